//! What was brought and what was left, for people.

use super::persisted::Persisted;
use std::collections::BTreeMap;
use std::fmt;

/// What an import came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// What kind of file it was.
    pub kind: String,
    /// Retained messages.
    pub retained: u64,
    /// Sessions.
    pub sessions: u64,
    /// Of these, those whose clients had a user name.
    pub with_user_name: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Of these, shared ones.
    pub shared: u64,
    /// Messages that wait for their clients.
    pub queued: u64,
    /// Messages that were sent with QoS 2, to be sent again.
    pub sent: u64,
    /// Messages that were received: their PUBREL is sent again.
    pub released: u64,
    /// Messages from clients whose PUBREL is yet to come.
    pub unreleased: u64,
    /// Wills that wait for their delay.
    pub wills: u64,
    /// What was left, how much of it, and an example.
    pub left: BTreeMap<Left, (u64, String)>,
    /// What else is to be known.
    pub remarks: Vec<String>,
}

/// Why something was left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "the words of each are below")]
pub enum Left {
    RetainedExpired,
    RetainedInvalid,
    RetainedAlone,
    RetainedSys,
    RetainedEmpty,
    ClientId,
    ClientTwice,
    SessionExpired,
    SessionEnds,
    Subscription,
    SubscriptionAlone,
    Delivery,
    DeliveryAlone,
    DeliveryDone,
    DeliveryExpired,
    DeliveryInvalid,
    DeliveryLost,
    DeliveryQos0,
    DeliveryTwice,
    Will,
    WillNotWaiting,
}

impl Left {
    fn words(self) -> &'static str {
        match self {
            Left::RetainedExpired => "retained messages that have expired",
            Left::RetainedInvalid => "retained messages that MQTT forbids",
            Left::RetainedAlone => "retained messages that are not in the file: expired",
            Left::RetainedSys => "retained messages of the broker itself ($SYS)",
            Left::RetainedEmpty => "retained messages that are empty",
            Left::ClientId => "sessions with a client id that noctule refuses",
            Left::ClientTwice => "sessions that the file has twice",
            Left::SessionExpired => "sessions that have expired",
            Left::SessionEnds => "sessions that end with their connection",
            Left::Subscription => "subscriptions to what is no filter",
            Left::SubscriptionAlone => "subscriptions of sessions that are left",
            Left::Delivery => "messages in a state that there is not",
            Left::DeliveryAlone => "messages for sessions that are left",
            Left::DeliveryDone => "messages that are done with, but for an answer",
            Left::DeliveryExpired => "queued messages that have expired",
            Left::DeliveryInvalid => "queued messages that MQTT forbids",
            Left::DeliveryLost => "queued messages that are not in the file: expired",
            Left::DeliveryQos0 => "queued messages of QoS 0, which noctule never stores",
            Left::DeliveryTwice => "messages under a packet identifier that is in use",
            Left::Will => "Wills that MQTT forbids",
            Left::WillNotWaiting => "Wills that do not wait for a delay",
        }
    }
}

impl Report {
    pub(super) fn of(persisted: &Persisted<'_>) -> Report {
        let (kind, remarks) = (persisted.kind.clone(), persisted.remarks.clone());
        Report { kind, remarks, ..Report::default() }
    }

    pub(super) fn left(&mut self, left: Left, example: &[u8]) {
        let example = || String::from_utf8_lossy(example).into_owned();
        self.left.entry(left).or_insert_with(|| (0, example())).0 += 1;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.kind)?;
        let in_flight = self.sent + self.released + self.unreleased;
        let taken = [
            ("retained messages", self.retained, String::new()),
            ("sessions", self.sessions, some(&[(self.with_user_name, "with a user name")])),
            ("subscriptions", self.subscriptions, some(&[(self.shared, "shared")])),
            ("queued messages", self.queued, String::new()),
            (
                "QoS 2 messages in flight",
                in_flight,
                some(&[
                    (self.sent, "to be sent again"),
                    (self.released, "with PUBREL to be sent again"),
                    (self.unreleased, "from clients, without PUBREL yet"),
                ]),
            ),
            ("Wills that wait", self.wills, String::new()),
        ];
        for (noun, count, more) in taken {
            writeln!(f, "  taken: {count} {noun}{more}")?;
        }
        for (left, (count, example)) in &self.left {
            let words = left.words();
            match example.as_str() {
                "" => writeln!(f, "  left: {count} {words}")?,
                example => writeln!(f, "  left: {count} {words}, the first of {example:?}")?,
            }
        }
        if self.with_user_name > 0 {
            writeln!(
                f,
                "  note: whom a session belongs to is not kept by noctule: whoever may connect \
                 with its client id gets it"
            )?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "  note: {remark}"))
    }
}

fn some(parts: &[(u64, &str)]) -> String {
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<_> = parts.map(|(count, words)| format!("{count} {words}")).collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_what_was_taken_and_what_was_left() {
        let mut report = Report {
            kind: "mosquitto.db, version 6".into(),
            retained: 2,
            sessions: 3,
            with_user_name: 1,
            subscriptions: 4,
            queued: 5,
            sent: 1,
            unreleased: 1,
            remarks: vec!["it rains".into()],
            ..Report::default()
        };
        report.left(Left::RetainedExpired, b"a/\xFF");
        report.left(Left::RetainedExpired, b"b");
        report.left(Left::RetainedAlone, b"");
        assert_eq!(
            report.to_string(),
            "  mosquitto.db, version 6
  taken: 2 retained messages
  taken: 3 sessions (1 with a user name)
  taken: 4 subscriptions
  taken: 5 queued messages
  taken: 2 QoS 2 messages in flight (1 to be sent again, 1 from clients, without PUBREL yet)
  taken: 0 Wills that wait
  left: 2 retained messages that have expired, the first of \"a/\u{FFFD}\"
  left: 1 retained messages that are not in the file: expired
  note: whom a session belongs to is not kept by noctule: whoever may connect with its client id \
gets it
  note: it rains
"
        );
    }
}
