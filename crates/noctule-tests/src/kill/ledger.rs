//! What was sent, what was acknowledged, and what arrived: the only judge of a run.

use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write as _;

/// A publisher's messages to one topic, all of one QoS, numbered from 0.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) topic: String,
    pub(super) kind: Kind,
    sent: Vec<State>,
}

/// What is promised of a stream's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// QoS 1: each at least once.
    AtLeastOnce,
    /// QoS 2: each exactly once, to receivers at QoS 2.
    ExactlyOnce,
    /// Retained, QoS 1: the last one is what a topic holds.
    Retained,
    /// Wills, QoS 2, each of a session of its own: in any order.
    Wills,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Sent,
    Acknowledged,
    /// Given up in a way that the broker has acknowledged: it must not appear.
    Void,
}

/// Who receives: a session, or a share group.
#[derive(Debug)]
pub(super) struct Receiver {
    name: String,
    qos: u8,
    /// A group's members share its messages, so there is no order among them.
    ordered: bool,
    /// Subscriptions that match what comes exactly once: each brings a copy.
    copies: u8,
    kinds: Vec<Kind>,
    /// Since when it is subscribed, by stream; `None` while it is not.
    since: Option<Vec<usize>>,
    /// How often what arrived, by stream.
    seen: Vec<Vec<u8>>,
    /// Below these, by stream, nothing is owed any more.
    settled: Vec<usize>,
    last: Vec<Option<usize>>,
}

/// The ledger.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) streams: Vec<Stream>,
    pub(super) receivers: Vec<Receiver>,
    /// How many messages were sent, how many acknowledged, and how many deliveries arrived.
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    pub(super) arrived: u64,
}

impl Ledger {
    pub(super) fn stream(&mut self, topic: String, kind: Kind) -> usize {
        self.streams.push(Stream { topic, kind, sent: Vec::new() });
        self.streams.len() - 1
    }

    pub(super) fn receiver(&mut self, name: &str, qos: u8, group: bool, kinds: &[Kind]) -> usize {
        self.receivers.push(Receiver {
            name: name.to_owned(),
            qos,
            ordered: !group,
            copies: 1,
            kinds: kinds.to_vec(),
            since: None,
            seen: Vec::new(),
            settled: Vec::new(),
            last: Vec::new(),
        });
        self.receivers.len() - 1
    }

    /// So many subscriptions of a receiver match what comes exactly once.
    pub(super) fn overlap(&mut self, receiver: usize, copies: u8) {
        self.receivers[receiver].copies = copies;
    }

    /// How many messages each stream has.
    pub(super) fn lengths(&self) -> Vec<usize> {
        self.streams.iter().map(|stream| stream.sent.len()).collect()
    }

    /// The next message of a stream is sent; answers its number.
    pub(super) fn send(&mut self, stream: usize) -> usize {
        self.sent += 1;
        self.streams[stream].sent.push(State::Sent);
        self.streams[stream].sent.len() - 1
    }

    /// The broker has taken it over.
    pub(super) fn acknowledge(&mut self, stream: usize, number: usize) {
        self.streams[stream].sent[number] = State::Acknowledged;
        self.acknowledged += 1;
    }

    /// It must not appear any more.
    pub(super) fn make_void(&mut self, stream: usize, number: usize) -> Result<()> {
        self.streams[stream].sent[number] = State::Void;
        for receiver in &self.receivers {
            let seen = receiver.seen.get(stream).and_then(|seen| seen.get(number));
            ensure!(
                seen.is_none_or(|seen| *seen == 0),
                "will {number} came although its client had left well"
            );
        }
        Ok(())
    }

    /// Messages of a stream that have a number.
    pub(super) fn len(&self, stream: usize) -> usize {
        self.streams[stream].sent.len()
    }

    /// The last acknowledged message of a stream.
    pub(super) fn last_acknowledged(&self, stream: usize) -> Option<usize> {
        self.streams[stream].sent.iter().rposition(|state| *state == State::Acknowledged)
    }

    /// A receiver's subscription is acknowledged: what is sent from here on is for it.
    pub(super) fn subscribed(&mut self, receiver: usize) {
        self.receivers[receiver].since = Some(self.lengths());
    }

    /// A receiver's session begins anew.
    pub(super) fn forget(&mut self, receiver: usize) {
        let receiver = &mut self.receivers[receiver];
        receiver.since = None;
        receiver.seen.clear();
        receiver.settled.clear();
        receiver.last.clear();
    }

    pub(super) fn is_subscribed(&self, receiver: usize) -> bool {
        self.receivers[receiver].since.is_some()
    }

    /// A message reaches a receiver, for the first time on its packet id.
    pub(super) fn arrive(&mut self, receiver: usize, content: Content, qos: u8) -> Result<()> {
        let Content { stream, number } = content;
        let to = &mut self.receivers[receiver];
        let of = &self.streams[stream];
        let state = of.sent.get(number).context("a message arrived that was never sent")?;
        let what = || format!("{} of {} to {}", number, of.topic, to.name);
        ensure!(*state != State::Void, "{} is a will that was erased", what());
        ensure!(to.kinds.contains(&of.kind), "{}: no subscription is for it", what());
        let exact = matches!(of.kind, Kind::ExactlyOnce | Kind::Wills);
        let expected = if exact { to.qos } else { 1 };
        ensure!(qos == expected, "{} came at QoS {qos}", what());
        to.seen.resize_with(self.streams.len(), Vec::new);
        to.last.resize(self.streams.len(), None);
        let copies = to.copies_of(of.kind);
        let seen = &mut to.seen[stream];
        if seen.len() <= number {
            seen.resize(number + 1, 0);
        }
        if seen[number] >= copies {
            ensure!(!(exact && qos == 2), "{} came more than {copies} times", what());
            return Ok(());
        }
        seen[number] += 1;
        if seen[number] > 1 {
            return Ok(());
        }
        self.arrived += 1;
        let last = to.last[stream];
        if of.kind != Kind::Wills && to.ordered && last.is_some_and(|last| number < last) {
            bail!("{} came behind {}", what(), last.unwrap_or_default());
        }
        to.last[stream] = to.last[stream].max(Some(number));
        Ok(())
    }

    /// Which acknowledged messages a receiver still lacks; nothing, if it is empty.
    pub(super) fn lacks(&mut self, receiver: usize) -> String {
        let to = &mut self.receivers[receiver];
        let mut story = String::new();
        let Some(since) = &to.since else { return story };
        to.settled.resize(self.streams.len(), 0);
        for (at, stream) in self.streams.iter().enumerate() {
            if !to.kinds.contains(&stream.kind) {
                continue;
            }
            let from = since.get(at).copied().unwrap_or(0);
            let seen = to.seen.get(at).map_or(&[][..], Vec::as_slice);
            let copies = to.copies_of(stream.kind);
            let has = |number: usize| seen.get(number).is_some_and(|seen| *seen >= copies);
            let done = |number: usize| match stream.sent[number] {
                State::Sent => false,
                State::Acknowledged => has(number),
                State::Void => true,
            };
            let mut settled = to.settled[at].max(from);
            while settled < stream.sent.len() && done(settled) {
                settled += 1;
            }
            to.settled[at] = settled;
            let lacks =
                |number: &usize| stream.sent[*number] == State::Acknowledged && !has(*number);
            let missing: Vec<usize> = (settled..stream.sent.len()).filter(lacks).collect();
            if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
                let (n, topic, len) = (missing.len(), &stream.topic, stream.sent.len());
                let _ = write!(story, "\n  {} lacks {n} of {topic}, ", to.name);
                let _ = write!(story, "{first} to {last} of {len}, subscribed since {from}");
            }
        }
        story
    }
}

impl Receiver {
    /// How many copies of each message of a kind it gets.
    fn copies_of(&self, kind: Kind) -> u8 {
        match kind {
            Kind::ExactlyOnce => self.copies,
            Kind::AtLeastOnce | Kind::Retained | Kind::Wills => 1,
        }
    }
}

/// Which message a payload is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Content {
    pub(super) stream: usize,
    pub(super) number: usize,
}

impl Content {
    /// The payload: which message it is, and bytes that follow from that.
    pub(super) fn payload(self) -> Vec<u8> {
        let mut payload = format!("{} {} ", self.stream, self.number).into_bytes();
        let mixed = (self.number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let len = if mixed.is_multiple_of(97) { mixed % 20_000 } else { mixed % 500 };
        payload.extend((0..len).map(|at| (at + mixed) as u8));
        payload
    }

    /// Which message a payload is, if it is whole.
    pub(super) fn parse(payload: &[u8]) -> Result<Content> {
        let mut words = payload.splitn(3, |byte| *byte == b' ');
        let mut number = || -> Result<usize> {
            let word = words.next().context("a payload is not ours")?;
            Ok(std::str::from_utf8(word)?.parse()?)
        };
        let content = Content { stream: number()?, number: number()? };
        ensure!(content.payload() == payload, "the payload of {content:?} is damaged");
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(kind: Kind, qos: u8) -> (Ledger, usize, usize) {
        let mut ledger = Ledger::default();
        let stream = ledger.stream("t".to_owned(), kind);
        let receiver = ledger.receiver("r", qos, false, &[kind]);
        ledger.subscribed(receiver);
        (ledger, stream, receiver)
    }

    #[test]
    fn a_message_that_was_acknowledged_and_is_missing_is_found() {
        let (mut ledger, stream, receiver) = ledger(Kind::AtLeastOnce, 1);
        for _ in 0..3 {
            ledger.send(stream);
        }
        ledger.acknowledge(stream, 1);
        assert!(ledger.lacks(receiver).contains("1 to 1 of 3"));
        ledger.arrive(receiver, Content { stream, number: 1 }, 1).expect("as promised");
        assert_eq!(ledger.lacks(receiver), "");
    }

    #[test]
    fn what_was_sent_before_the_subscription_is_not_missed() {
        let (mut ledger, stream, receiver) = ledger(Kind::AtLeastOnce, 1);
        let number = ledger.send(stream);
        ledger.acknowledge(stream, number);
        ledger.forget(receiver);
        assert_eq!(ledger.lacks(receiver), "");
        ledger.subscribed(receiver);
        assert_eq!(ledger.lacks(receiver), "");
    }

    #[test]
    fn exactly_once_is_not_twice_and_at_least_once_may_be() {
        for (kind, qos, twice) in [(Kind::ExactlyOnce, 2, false), (Kind::AtLeastOnce, 1, true)] {
            let (mut ledger, stream, receiver) = ledger(kind, qos);
            let content = Content { stream, number: ledger.send(stream) };
            ledger.arrive(receiver, content, qos).expect("once");
            assert_eq!(ledger.arrive(receiver, content, qos).is_ok(), twice, "{kind:?}");
        }
    }

    #[test]
    fn two_subscriptions_bring_two_copies_and_no_third() {
        let (mut ledger, stream, receiver) = ledger(Kind::ExactlyOnce, 2);
        ledger.overlap(receiver, 2);
        let content = Content { stream, number: ledger.send(stream) };
        ledger.acknowledge(stream, 0);
        ledger.arrive(receiver, content, 2).expect("one");
        assert_ne!(ledger.lacks(receiver), "");
        ledger.arrive(receiver, content, 2).expect("two");
        assert_eq!(ledger.lacks(receiver), "");
        assert!(ledger.arrive(receiver, content, 2).is_err());
    }

    #[test]
    fn a_first_arrival_behind_a_later_message_is_out_of_order() {
        let (mut ledger, stream, receiver) = ledger(Kind::AtLeastOnce, 1);
        for _ in 0..3 {
            ledger.send(stream);
        }
        let mut arrive = |number| ledger.arrive(receiver, Content { stream, number }, 1);
        assert!(arrive(0).is_ok() && arrive(2).is_ok() && arrive(0).is_ok());
        assert!(arrive(1).is_err());
    }

    #[test]
    fn a_will_that_was_erased_must_not_come() {
        let (mut ledger, stream, receiver) = ledger(Kind::Wills, 2);
        let content = Content { stream, number: ledger.send(stream) };
        ledger.make_void(stream, 0).expect("it had not come");
        assert!(ledger.arrive(receiver, content, 2).is_err());
    }

    #[test]
    fn a_payload_tells_which_message_it_is_and_whether_it_is_whole() {
        let content = Content { stream: 3, number: 250 };
        let mut payload = content.payload();
        assert_eq!(Content::parse(&payload).expect("whole"), content);
        payload.push(0);
        assert!(Content::parse(&payload).is_err());
    }
}
