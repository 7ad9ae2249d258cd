//! `noctule store stats`: how much there is of what.

use super::salvage::json_of;
use super::words::{grouped, line, size};
use super::{AnswerArgs, PlaceArgs, none, refused, show};
use clap::Args;
use jiff::Timestamp;
use noctule_store::log::Owed;
use noctule_store::{Amount, Stats, Time, now};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// Say how much there is of what; change nothing.
///
/// Sessions, subscriptions, messages that wait, retained ones, the biggest queues, and what the
/// files hold. Bytes of messages are those of topics, properties and payloads.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct StatsArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    answer: AnswerArgs,
    /// Show so many of the biggest queues.
    #[arg(long, value_name = "N", default_value_t = 10)]
    queues: usize,
}

const EXAMPLES: &str = "\
Examples:
  noctule store stats
  noctule store stats /srv/noctule --queues 3
  noctule store stats -c noctule.toml --json

Exit status:
  0  well
  1  it could not be done
  2  wrong use";

impl StatsArgs {
    /// Does it.
    pub(super) fn run(&self) -> ExitCode {
        self.place.run(|directory| self.stats(directory))
    }

    fn stats(&self, directory: &Path) -> ExitCode {
        let stats = match noctule_store::stats(directory, now(), self.queues) {
            Ok(Some(stats)) => stats,
            Ok(None) => return none(directory),
            Err(error) => return refused(directory, &error),
        };
        show(&match self.answer.json {
            true => format!("{}\n", to_json(&stats, directory)),
            false => to_text(&stats, directory),
        });
        ExitCode::SUCCESS
    }
}

/// A moment as text.
pub(super) fn moment(time: Time) -> Option<String> {
    let millis = i64::try_from(time.0).ok().filter(|millis| *millis > 0)?;
    Timestamp::from_millisecond(millis).ok().map(|moment| moment.to_string())
}

fn to_text(stats: &Stats, directory: &Path) -> String {
    let mut text = format!("{}\n", directory.display());
    let sessions = stats.sessions;
    let mut row = |what: &str, count: u64, bytes: Option<u64>| {
        let bytes = bytes.map(|bytes| format!("{:>12}", size(bytes))).unwrap_or_default();
        line(&mut text, &format!("{what:<26}{:>13}{bytes}", grouped(count)));
    };
    row("sessions, online", sessions.online, None);
    row("sessions, offline", sessions.offline, None);
    row("sessions, expired", sessions.expired, None);
    row("subscriptions", stats.subscriptions, None);
    row("messages queued", stats.queued.messages, Some(stats.queued.bytes));
    row("messages retained", stats.retained.messages, Some(stats.retained.bytes));
    row("messages kept once for all", stats.live.messages, Some(stats.live.bytes));
    row("wills delayed", stats.wills_delayed, None);
    row("segments", stats.segments, None);
    row("segments, dead", stats.dead, None);
    row("cold files", stats.cold_files, None);
    row("files, all of them", stats.segments + stats.cold_files, Some(stats.disk_bytes));
    if let Some(percent) = (stats.live.bytes * 100).checked_div(stats.disk_bytes) {
        line(&mut text, &format!("{percent} % of the disk's bytes are live"));
    }
    if let Some(alive) = stats.alive.and_then(moment) {
        line(&mut text, &format!("last in use {alive}"));
    }
    if !stats.queues.is_empty() {
        line(&mut text, "biggest queues:");
    }
    for (owed, Amount { messages, bytes }) in &stats.queues {
        let (messages, bytes) = (grouped(*messages), size(*bytes));
        line(&mut text, &format!("{messages:>14} {bytes:>12}  {}", name_of(owed)));
    }
    text
}

fn name_of(owed: &Owed) -> String {
    match owed {
        Owed::Session(client_id) | Owed::Unreleased(client_id) => format!("{client_id:?}"),
        Owed::Group(name, filter) => format!("share group {name:?} of {filter:?}"),
        Owed::Unknown(session) => format!("session {}", session.0),
        Owed::Retained => "retained".to_owned(),
    }
}

fn to_json(stats: &Stats, directory: &Path) -> Value {
    let amount = |it: Amount| json!({"messages": it.messages, "bytes": it.bytes});
    let queue = |(owed, it): &(Owed, Amount)| {
        let mut queue = json_of(owed);
        queue["messages"] = json!(it.messages);
        queue["bytes"] = json!(it.bytes);
        queue
    };
    json!({
        "directory": directory.display().to_string(),
        "alive": stats.alive.and_then(moment),
        "sessions": {
            "online": stats.sessions.online,
            "offline": stats.sessions.offline,
            "expired": stats.sessions.expired,
        },
        "subscriptions": stats.subscriptions,
        "queued": amount(stats.queued),
        "retained": amount(stats.retained),
        "live": amount(stats.live),
        "wills_delayed": stats.wills_delayed,
        "segments": stats.segments,
        "segments_dead": stats.dead,
        "cold_files": stats.cold_files,
        "disk_bytes": stats.disk_bytes,
        "queues": stats.queues.iter().map(queue).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_store::Sessions;

    #[test]
    fn numbers_stand_below_each_other() {
        let amount = Amount { messages: 1_000_000, bytes: 216 << 20 };
        let stats = Stats {
            segments: 7,
            dead: 1,
            cold_files: 2,
            disk_bytes: 400 << 20,
            live: amount,
            alive: Some(Time(1_000)),
            sessions: Sessions { online: 1, offline: 99_999, expired: 0 },
            subscriptions: 2,
            queued: amount,
            retained: Amount::default(),
            wills_delayed: 3,
            queues: vec![
                (Owed::Session("far".into()), amount),
                (Owed::Group("g".into(), "a/#".into()), Amount { messages: 1, bytes: 5 }),
            ],
        };
        assert_eq!(
            to_text(&stats, Path::new("/d")),
            "\
/d
  sessions, online                      1
  sessions, offline                99,999
  sessions, expired                     0
  subscriptions                         2
  messages queued               1,000,000     216 MiB
  messages retained                     0         0 B
  messages kept once for all    1,000,000     216 MiB
  wills delayed                         3
  segments                              7
  segments, dead                        1
  cold files                            2
  files, all of them                    9     400 MiB
  54 % of the disk's bytes are live
  last in use 1970-01-01T00:00:01Z
  biggest queues:
       1,000,000      216 MiB  \"far\"
               1          5 B  share group \"g\" of \"a/#\"
"
        );
        let value = to_json(&stats, Path::new("/d"));
        assert_eq!(value["queues"][0]["client_id"], "far");
        assert_eq!(value["queues"][1]["share"], "g");
        assert_eq!(value["alive"], "1970-01-01T00:00:01Z");
    }

    #[test]
    fn an_empty_store_has_no_shares_and_no_queues() {
        let text = to_text(&Stats::default(), Path::new("/d"));
        assert!(!text.contains('%') && !text.contains("queues:"), "{text}");
    }
}
