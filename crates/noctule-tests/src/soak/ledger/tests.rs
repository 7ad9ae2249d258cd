//! The ledger sees what is planted.

use super::*;
use crate::soak::content::payload;
use noctule_client::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// One publisher with a stream of this QoS, and one receiver.
struct Play {
    ledger: Arc<Ledger>,
    stream: u16,
    receiver: u16,
    qos: QoS,
}

impl Play {
    fn new(qos: QoS, lenience: Lenience, care: Care) -> Play {
        let ledger = Ledger::new();
        ledger.party("broker");
        let (publisher, subscriber) = (ledger.party("publisher"), ledger.party("subscriber"));
        let stream = ledger.stream(publisher, "stream", qos, lenience);
        let receiver = ledger.receiver(subscriber, Kind::News, ExactlyOnce, care);
        Play { ledger, stream, receiver, qos }
    }

    fn strict(qos: QoS) -> Play {
        Play::new(qos, Lenience::None, Care::Strict)
    }

    fn asks(&self) -> Name {
        self.ledger.ask(self.stream, false)
    }

    fn keeps(&self, name: Name) {
        self.ledger.settle(name, &Ok(ReasonCode::Success));
    }

    fn hears(&self, name: Name) {
        let payload = payload(name);
        let arrival = Arrival { topic: "t", payload: &payload, qos: self.qos };
        self.ledger.arrive(self.receiver, &arrival);
    }

    fn fault(&self) -> Option<String> {
        let fault = self.ledger.fault.borrow();
        fault.as_ref().map(|fault| fault.lines().next().unwrap_or_default().to_owned())
    }

    fn assert_fault(&self, part: &str) {
        let fault = self.fault().unwrap_or_default();
        assert!(fault.contains(part), "{fault:?} instead of {part:?}");
    }

    fn assert_even(&self) {
        assert_eq!((self.fault(), self.ledger.backlog()), (None, 0));
    }
}

#[test]
fn what_was_promised_and_has_not_come_is_missing() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let play = Play::strict(qos);
        let (one, two) = (play.asks(), play.asks());
        play.keeps(one);
        play.hears(one);
        play.keeps(two);
        assert_eq!(play.ledger.backlog(), 1);
        assert!(!play.ledger.forgive());
        play.ledger.stuck();
        play.assert_fault("message 1 of publisher, stream (");
        play.assert_fault("it has not come to subscriber");
    }
    let play = Play::strict(AtMostOnce);
    let one = play.asks();
    play.keeps(one);
    play.assert_even();
}

#[test]
fn it_may_come_before_its_promise() {
    let play = Play::strict(AtLeastOnce);
    let one = play.asks();
    play.hears(one);
    assert_eq!(play.ledger.backlog(), 1);
    play.keeps(one);
    play.assert_even();
    assert!(play.ledger.account().is_ok());
}

#[test]
fn what_comes_twice_is_seen_but_at_qos_1() {
    for (qos, care, fault) in [
        (AtMostOnce, Care::Strict, "it came to subscriber twice"),
        (AtLeastOnce, Care::Strict, ""),
        (ExactlyOnce, Care::Strict, "it came to subscriber twice"),
        (ExactlyOnce, Care::Shared, "it came to subscriber twice"),
        (ExactlyOnce, Care::Repeated, ""),
    ] {
        let play = Play::new(qos, Lenience::None, care);
        let (one, two) = (play.asks(), play.asks());
        for name in [one, two, one] {
            play.hears(name);
        }
        play.assert_fault(fault);
        assert_eq!(play.fault().is_none(), fault.is_empty());
    }
}

#[test]
fn what_comes_behind_a_later_one_is_seen_but_in_a_group() {
    for (care, fault) in
        [(Care::Strict, "after a later one"), (Care::Shared, ""), (Care::Repeated, "")]
    {
        let play = Play::new(AtLeastOnce, Lenience::None, care);
        let (one, two) = (play.asks(), play.asks());
        play.hears(two);
        play.hears(one);
        play.assert_fault(fault);
        assert_eq!(play.fault().is_none(), fault.is_empty());
    }
}

#[test]
fn what_was_refused_must_not_come_and_what_is_unwelcome_must_be_refused() {
    let refused = || Err(Error::Invalid(noctule_client::Invalid::NoFilter));
    let play = Play::strict(AtLeastOnce);
    let one = play.ledger.ask(play.stream, true);
    play.ledger.settle(one, &refused());
    play.assert_even();
    play.hears(one);
    play.assert_fault("it was refused, and came to subscriber");

    let play = Play::strict(AtLeastOnce);
    let one = play.ledger.ask(play.stream, true);
    play.keeps(one);
    play.assert_fault("it ended as Ok(Success)");

    let play = Play::strict(AtLeastOnce);
    play.ledger.settle(play.asks(), &refused());
    play.assert_fault("it ended as Err(Invalid(NoFilter))");
}

#[test]
fn a_failure_needs_an_excuse() {
    use Lenience::{Amnesia, Elsewhere, Forgetful, Mortal, None};
    for (qos, lenience, error, excused) in [
        (ExactlyOnce, None, Error::SessionLost, false),
        (ExactlyOnce, Elsewhere, Error::SessionLost, false),
        (ExactlyOnce, Mortal, Error::SessionLost, false),
        (ExactlyOnce, Forgetful, Error::SessionLost, true),
        (AtLeastOnce, Forgetful, Error::SessionLost, false),
        (ExactlyOnce, Amnesia, Error::SessionLost, false),
        (AtMostOnce, None, Error::Closed, true),
        (AtLeastOnce, Amnesia, Error::Closed, false),
        (AtLeastOnce, None, Error::Finished, false),
    ] {
        let play = Play::new(qos, lenience, Care::Strict);
        play.ledger.settle(play.asks(), &Err(error.clone()));
        assert_eq!(play.fault().is_none(), excused, "{qos:?} {lenience:?} {error:?}");
    }
    let play = Play::strict(AtLeastOnce);
    play.ledger.settle(play.asks(), &Ok(ReasonCode::NoMatchingSubscribers));
    play.assert_fault("it ended as NoMatchingSubscribers");
}

#[test]
fn a_server_that_forgets_owes_nothing_until_promises_count() {
    let play = Play::new(ExactlyOnce, Lenience::Amnesia, Care::Strict);
    assert!(play.ledger.forgive());
    let (one, two) = (play.asks(), play.asks());
    play.ledger.settle(one, &Err(Error::SessionLost));
    play.keeps(two);
    play.assert_even();
    play.ledger.owe();
    let three = play.asks();
    play.keeps(three);
    assert!(!play.ledger.forgive());
    play.hears(three);
    play.assert_even();
    assert!(play.ledger.all_have_heard_since(0));
}

#[test]
fn what_is_under_way_when_a_mortal_server_dies_is_not_counted_upon() {
    for (qos, backlog) in [(AtLeastOnce, 1), (ExactlyOnce, 0)] {
        let play = Play::new(qos, Lenience::Mortal, Care::Repeated);
        let one = play.asks();
        play.ledger.death();
        play.keeps(one);
        assert_eq!(play.ledger.backlog(), backlog);
    }
}

#[test]
fn another_process_may_be_heard_late_but_has_to_be_heard() {
    let play = Play::new(ExactlyOnce, Lenience::Elsewhere, Care::Strict);
    let one = play.ledger.next(play.stream);
    play.hears(one);
    assert_eq!(play.ledger.backlog(), 1);
    play.ledger.ask_elsewhere(one);
    play.ledger.in_line(one);
    play.assert_even();
    // Killed between asking and being in line.
    let two = play.ledger.next(play.stream);
    play.ledger.ask_elsewhere(two);
    play.ledger.abandon(play.stream);
    play.assert_even();
    let three = play.ledger.next(play.stream);
    play.ledger.ask_elsewhere(three);
    play.ledger.in_line(three);
    assert_eq!(play.ledger.backlog(), 1);
    play.ledger.ask_elsewhere(one);
    play.assert_fault("it is not the next of its stream");

    let play = Play::strict(ExactlyOnce);
    play.hears(Name { stream: play.stream, number: 0 });
    play.assert_fault("subscriber got what nobody has published");
}

#[test]
fn a_story_follows_the_hand_shakes_of_its_message() {
    let play = Play::strict(ExactlyOnce);
    let one = play.asks();
    let body = payload(one);
    let mut publish = vec![0x34, 0, 0, 1, b't', 0, 7];
    publish.extend_from_slice(&body);
    publish[1] = u8::try_from(publish.len() - 2).expect("a short one");
    let packet = |packet: Tapped<'_>| play.ledger.packet(1, Version::V311, packet);
    packet(Tapped::Sent(&publish));
    packet(Tapped::Received(&[0x50, 2, 0, 7]));
    packet(Tapped::Received(&[0x50, 2, 0, 8]));
    packet(Tapped::Sent(&[0x50, 2, 0, 7]));
    packet(Tapped::Sent(&[0x62, 2, 0, 7]));
    play.ledger.stuck();
    let fault = play.ledger.fault.borrow().clone().expect("stuck");
    let packets = fault.lines().filter_map(|line| line.split_once('#').map(|_| line));
    let steps: Vec<&str> = packets
        .filter_map(|line| line.split_once("publisher").map(|(_, step)| step.trim()))
        .collect();
    assert_eq!(steps, ["-> PUBLISH #7", "<- PUBREC #7", "-> PUBREL #7"], "{fault}");
}
