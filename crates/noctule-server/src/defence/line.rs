//! One line of the audit log: a JSON object with `time` and `event`, and what belongs to it. No
//! password and no authentication data is ever part of an event.

use super::{Suspicion, bans};
use crate::memory::Change;
use noctule_core::output::End;
use noctule_core::{Event, Time};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

/// The line of an event, if it has one.
pub(super) fn of_event(now: Time, event: &Event) -> Option<Value> {
    let remote = |remote: &Option<std::net::SocketAddr>| remote.map(|it| it.to_string());
    let line = match event {
        Event::Connected { client_id, tenant, remote: from, version, user_name, .. } => json!({
            "event": "connected",
            "client_id": &**client_id,
            "tenant": tenant.0,
            "remote": remote(from),
            "user_name": user_name.as_deref(),
            "version": format!("{version:?}"),
        }),
        Event::Refused { client_id, user_name, tenant, remote: from, reason, why } => json!({
            "event": "refused",
            "client_id": client_id.as_deref(),
            "tenant": tenant.0,
            "remote": remote(from),
            "user_name": user_name.as_deref(),
            "reason": reason.name(),
            "why": &**why,
        }),
        Event::Disconnected { client_id, tenant, remote: from, end, purpose: _ } => {
            let (by, reason, why) = match end {
                End::ByClient(reason) => ("client", Some(reason.name()), None),
                End::Lost => ("network", None, None),
                End::ByBroker { reason, why } => ("broker", Some(reason.name()), Some(&**why)),
            };
            json!({
                "event": "disconnected",
                "client_id": &**client_id,
                "tenant": tenant.0,
                "remote": remote(from),
                "by": by,
                "reason": reason,
                "why": why,
            })
        }
        Event::Denied { client_id, user_name, remote: from, action, topic, rule } => json!({
            "event": "denied",
            "client_id": &**client_id,
            "remote": remote(from),
            "user_name": user_name.as_deref(),
            "action": action.to_string(),
            "topic": &**topic,
            "rule": rule.as_ref().map(ToString::to_string),
        }),
        Event::SessionExpired { .. }
        | Event::QueueOverflow { .. }
        | Event::Subscribed { .. }
        | Event::Damaged { .. }
        | Event::Unsubscribed { .. } => return None,
    };
    Some(at(now, line))
}

/// The line of a finding; also what is published of it.
pub(super) fn of_finding(now: Time, it: &Suspicion) -> Value {
    let line = json!({
        "event": "found",
        "kind": it.found.kind.name(),
        "address": it.address.map(|it| it.to_canonical().to_string()),
        "client_id": it.client.as_ref().map(|(_, client_id)| &**client_id),
        "tenant": it.client.as_ref().map(|(tenant, _)| tenant.0),
        "user_name": it.user.as_deref(),
        "value": it.found.value,
        "usual": it.found.usual,
        "answer": it.answer.name(),
    });
    at(now, line)
}

/// The line of another level of memory; also what is published of it.
pub(super) fn of_memory(now: Time, change: &Change) -> Value {
    let line = json!({
        "event": "memory",
        "level": change.to.name(),
        "before": change.from.name(),
        "used": change.used,
        "budget": change.budget,
    });
    at(now, line)
}

/// The line of a ban that began (`banned`) or ended (`unbanned`).
pub(super) fn of_ban(
    now: Time,
    event: &str,
    subject: &bans::Subject,
    ban: Option<&bans::Ban>,
    by: &str,
) -> Value {
    let line = json!({
        "event": event,
        "kind": subject.kind(),
        "name": subject.name(),
        "tenant": subject.tenant().0,
        "until": ban.and_then(|ban| ban.until).map(stamp),
        "why": ban.map(|ban| &*ban.why),
        "by": by,
    });
    at(now, line)
}

/// The line of a reload.
pub(super) fn of_reload(now: Time, changed: &[&str], pinned: &[&str]) -> Value {
    let line = json!({
        "event": "reloaded",
        "by": "signal",
        "changed": changed,
        "needs_restart": pinned,
    });
    at(now, line)
}

fn at(now: Time, mut line: Value) -> Value {
    line["time"] = stamp(now).into();
    line
}

/// An instant as RFC 3339 writes it, to the millisecond, in UTC.
pub(super) fn stamp(time: Time) -> String {
    // The formatter of the log knows only the present, so the days are counted here (the civil
    // calendar, from 1 March of year 0 on).
    let since = UNIX_EPOCH + Duration::from_millis(time.0);
    let millis = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let (days, rest) = (millis / 86_400_000 + 719_468, millis % 86_400_000);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = (if month < 10 { month + 3 } else { month - 9 }, year + era * 400);
    let year = year + u64::from(month <= 2);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_core::Tenant;
    use noctule_proto::ReasonCode;

    #[test]
    fn instants_are_those_of_the_calendar() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_210_096, "2024-02-29T12:34:56.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(stamp(Time(secs * 1000)), text);
        }
    }

    #[test]
    fn what_clients_choose_cannot_forge_a_line() {
        let event = Event::Refused {
            client_id: Some("a\"}\n{\"event\":\"connected\"".into()),
            user_name: None,
            tenant: Tenant(0),
            remote: None,
            reason: ReasonCode::NotAuthorized,
            why: "no".into(),
        };
        let line = of_event(Time(0), &event).unwrap().to_string();
        assert_eq!(line.lines().count(), 1);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["event"], "refused");
    }
}
