//! The hand-shakes: each step, both ends over a link that drops and reconnects, and the ring of
//! the sender against a map.

use super::*;
use crate::{PacketId, QoS, ReasonCode};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::num::NonZeroU16;
use proptest::prelude::*;

fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("tests use no identifier 0")
}

#[test]
fn idle_ends_are_small_and_own_nothing() {
    assert!(size_of::<Sender<[u64; 8]>>() <= 32);
    assert!(size_of::<Receiver<[u64; 8]>>() <= 32);
    assert!(size_of::<Quota>() <= 4);
}

#[test]
fn a_qos_1_message_is_open_until_its_puback() {
    // [MQTT-4.3.2-1 v5], [MQTT-4.3.2-3 v5], [MQTT-4.3.2-1 v3.1.1], [MQTT-2.2.1-3 v5]
    let mut sender = Sender::new();
    let first = sender.start(QoS::AtLeastOnce, 'a').expect("free");
    assert_eq!(first, id(1));
    assert_eq!(sender.pubrec(first, ReasonCode::Success), PubRecOutcome::OtherKind);
    assert_eq!(sender.pubcomp(first), Err(Unknown::OtherKind));
    assert_eq!(sender.puback(id(2)), Err(Unknown::NotOpen));
    assert_eq!(sender.open(), 1);
    assert_eq!(sender.puback(first), Ok('a'));
    assert_eq!(sender.puback(first), Err(Unknown::NotOpen));
    assert!(sender.is_empty());
    assert_eq!(sender.start(QoS::AtLeastOnce, 'b'), Some(id(2)));
}

#[test]
fn a_qos_2_message_is_handed_over_at_pubrec_and_open_until_pubcomp() {
    // [MQTT-4.3.3-1 v5], [MQTT-4.3.3-3 v5], [MQTT-4.3.3-4 v5], [MQTT-4.3.3-5 v5],
    // [MQTT-4.3.3-6 v5], [MQTT-4.3.3-1 v3.1.1]
    let mut sender = Sender::new();
    let only = sender.start(QoS::ExactlyOnce, 'a').expect("free");
    assert_eq!(sender.puback(only), Err(Unknown::OtherKind));
    assert_eq!(sender.pubcomp(only), Err(Unknown::OtherKind));
    let publish = Resend::Publish { id: only, qos: QoS::ExactlyOnce, message: &'a' };
    assert!(sender.iter_resend().eq([publish]));
    assert_eq!(sender.pubrec(only, ReasonCode::Success), PubRecOutcome::Release('a'));
    assert_eq!(sender.pubrec(only, ReasonCode::Success), PubRecOutcome::AlreadyReleased);
    assert!(sender.iter_resend().eq([Resend::PubRel { id: only }]));
    assert_eq!(sender.open(), 1);
    assert_eq!(sender.pubcomp(only), Ok(()));
    assert_eq!(sender.pubcomp(only), Err(Unknown::NotOpen));
    assert_eq!(sender.pubrec(only, ReasonCode::Success), PubRecOutcome::Unknown);
}

#[test]
fn a_refused_qos_2_message_is_settled() {
    // [MQTT-4.4.0-2 v5]
    let mut sender = Sender::new();
    let only = sender.start(QoS::ExactlyOnce, 'a').expect("free");
    assert_eq!(sender.pubrec(only, ReasonCode::QuotaExceeded), PubRecOutcome::Settled('a'));
    assert!(sender.is_empty());
}

#[test]
fn identifiers_follow_each_other_and_skip_0() {
    let mut sender = Sender::new();
    for expected in (1..=u16::MAX).chain(1..=3) {
        let next = sender.start(QoS::AtLeastOnce, expected).expect("free");
        assert_eq!(next.value(), expected);
        assert_eq!(sender.puback(next), Ok(expected));
    }
    assert_eq!(sender.start(QoS::AtMostOnce, 0), None);
}

#[test]
fn all_identifiers_can_be_open_at_once() {
    let mut sender = Sender::new();
    for expected in 1..=u16::MAX {
        assert_eq!(sender.start(QoS::ExactlyOnce, ()).map(PacketId::value), Some(expected));
    }
    assert!(sender.is_full());
    assert_eq!(sender.start(QoS::ExactlyOnce, ()), None);
    assert_eq!(sender.reserve(), None);
    assert_eq!(sender.open(), 65_535);
    // One in the middle does not help: identifiers are assigned in order.
    assert_eq!(sender.pubrec(id(7), ReasonCode::NotAuthorized), PubRecOutcome::Settled(()));
    assert_eq!(sender.next_id(), None);
    assert_eq!(sender.pubrec(id(1), ReasonCode::NotAuthorized), PubRecOutcome::Settled(()));
    assert_eq!(sender.start(QoS::AtLeastOnce, ()), Some(id(1)));
    assert_eq!(sender.iter_resend().count(), 65_534);
    assert_eq!(sender.clear().count(), 65_534);
    assert_eq!((sender.open(), sender.next_id()), (0, Some(id(2))));
}

#[test]
fn a_reservation_shares_the_identifiers_but_is_no_message() {
    // [U5-2.2.1-1], [U5-2.2.1-2]
    let mut sender = Sender::new();
    let subscribe = sender.reserve().expect("free");
    let message = sender.start(QoS::AtLeastOnce, 'a').expect("free");
    assert_eq!((subscribe, message), (id(1), id(2)));
    assert_eq!(sender.open(), 1);
    assert_eq!(sender.iter_resend().count(), 1);
    assert_eq!(sender.puback(subscribe), Err(Unknown::OtherKind));
    assert_eq!(sender.release(message), Err(Unknown::OtherKind));
    assert_eq!(sender.release(subscribe), Ok(()));
    assert_eq!(sender.release(subscribe), Err(Unknown::NotOpen));
}

#[test]
fn a_sender_is_rebuilt_across_the_wrap() {
    let mut sender = Sender::new();
    for number in [65_534, 65_535, 2, 3] {
        assert_eq!(sender.place(id(number), Entry::AtLeastOnce(number)), None);
    }
    assert_eq!(sender.place(id(65_535), Entry::Released), Some(Entry::AtLeastOnce(65_535)));
    // Farther from the oldest than half of all identifiers.
    assert_eq!(sender.place(id(65_000), Entry::ExactlyOnce(65_000)), None);
    let ids: Vec<u16> = sender.iter().map(|(id, _)| id.value()).collect();
    assert_eq!(ids, [65_534, 65_535, 2, 3, 65_000]);
    assert_eq!((sender.open(), sender.next_id()), (5, Some(id(65_001))));
    assert!(sender.remove(id(65_000)).is_some());
    assert_eq!(sender.next_id(), Some(id(65_001)));
}

#[test]
fn a_repeated_qos_2_publish_is_known_until_released() {
    // [MQTT-4.3.3-9 v5], [MQTT-4.3.3-10 v5], [MQTT-4.3.3-12 v5], [MQTT-4.3.3-2 v3.1.1]
    let mut receiver = Receiver::new();
    assert_eq!(receiver.publish(id(9), 'a'), Arrival::Fresh);
    assert_eq!(receiver.publish(id(9), 'b'), Arrival::Repeat);
    assert_eq!(receiver.publish(id(3), 'c'), Arrival::Fresh);
    assert!(receiver.iter().eq([(id(3), &'c'), (id(9), &'a')]));
    assert_eq!(receiver.release(id(9)), Some('a'));
    assert_eq!(receiver.release(id(9)), None);
    assert_eq!(receiver.publish(id(9), 'd'), Arrival::Fresh);
    assert_eq!(receiver.clear().count(), 2);
    assert!(receiver.is_empty());
}

#[test]
fn a_quota_ends_at_0_and_never_grows_past_its_start() {
    // [MQTT-4.9.0-1 v5], [MQTT-4.9.0-2 v5], [U5-4.9.0-1]
    let mut quota = Quota::new(NonZeroU16::MIN);
    quota.give();
    assert!(quota.take());
    assert!(!quota.take());
    assert_eq!(quota.left(), 0);
    quota.give();
    assert_eq!((quota.left(), quota.max().get()), (1, 1));
}

#[cfg(feature = "serde")]
#[test]
fn what_is_frozen_thaws_the_same() {
    let mut sender = Sender::new();
    for _ in 0..10 {
        let id = sender.start(QoS::AtLeastOnce, 7_u8).expect("free");
        sender.puback(id).expect("open");
    }
    let thaw = |sender: &Sender<u8>| -> Sender<u8> {
        let frozen = serde_json::to_string(sender).expect("plain data");
        serde_json::from_str(&frozen).expect("what was frozen")
    };
    assert_eq!(thaw(&sender).next_id(), Some(id(11)));
    let released = sender.start(QoS::ExactlyOnce, 1).expect("free");
    sender.start(QoS::AtLeastOnce, 2);
    let last = sender.start(QoS::ExactlyOnce, 3).expect("free");
    sender.pubrec(released, ReasonCode::Success);
    sender.pubrec(last, ReasonCode::NotAuthorized);
    let thawed = thaw(&sender);
    assert_eq!(thawed, sender);
    assert_eq!((thawed.open(), thawed.next_id()), (2, Some(id(14))));
}

/// What travels over the link.
#[derive(Clone, Copy, Debug)]
enum Wire {
    Publish(PacketId, QoS, u32),
    PubAck(PacketId),
    PubRec(PacketId, ReasonCode),
    PubRel(PacketId),
    PubComp(PacketId),
}

/// Two ends of a session, and a link between them that loses what is under way when it drops.
struct Link {
    sender: Sender<u32>,
    receiver: Receiver<()>,
    quota: Quota,
    there: VecDeque<Wire>,
    back: VecDeque<Wire>,
    started: Vec<QoS>,
    delivered: Vec<u32>,
    /// Messages under way on this connection that the receiver has not answered.
    unanswered_max: usize,
}

const RECEIVE_MAXIMUM: NonZeroU16 = NonZeroU16::MIN.saturating_add(4);

impl Link {
    fn new(first: u16) -> Link {
        let mut sender = Sender::new();
        sender.place(id(first), Entry::Reserved);
        sender.release(id(first)).expect("just placed");
        Link {
            sender,
            receiver: Receiver::new(),
            quota: Quota::new(RECEIVE_MAXIMUM),
            there: VecDeque::new(),
            back: VecDeque::new(),
            started: Vec::new(),
            delivered: Vec::new(),
            unanswered_max: 0,
        }
    }

    fn send(&mut self, qos: QoS) {
        if self.quota.take() {
            let message = self.started.len() as u32;
            let id = self.sender.start(qos, message).expect("few are open");
            self.started.push(qos);
            self.there.push_back(Wire::Publish(id, qos, message));
        }
    }

    /// The receiver refuses every seventh message of QoS 2.
    fn receive(&mut self) {
        let open = self.sender.open();
        self.unanswered_max = self.unanswered_max.max(open);
        match self.there.pop_front() {
            Some(Wire::Publish(id, QoS::ExactlyOnce, message)) if message % 7 == 0 => {
                self.back.push_back(Wire::PubRec(id, ReasonCode::NotAuthorized));
            }
            Some(Wire::Publish(id, QoS::ExactlyOnce, message)) => {
                if self.receiver.publish(id, ()) == Arrival::Fresh {
                    self.delivered.push(message);
                }
                self.back.push_back(Wire::PubRec(id, ReasonCode::Success));
            }
            Some(Wire::Publish(id, _, message)) => {
                self.delivered.push(message);
                self.back.push_back(Wire::PubAck(id));
            }
            Some(Wire::PubRel(id)) => {
                self.receiver.release(id);
                self.back.push_back(Wire::PubComp(id));
            }
            Some(other) => panic!("the sender sent {other:?}"),
            None => {}
        }
    }

    fn answered(&mut self) {
        match self.back.pop_front() {
            Some(Wire::PubAck(id)) => {
                self.sender.puback(id).expect("open");
                self.quota.give();
            }
            Some(Wire::PubRec(id, reason)) => match self.sender.pubrec(id, reason) {
                PubRecOutcome::Release(_) => self.there.push_back(Wire::PubRel(id)),
                PubRecOutcome::Settled(_) => self.quota.give(),
                other => panic!("PUBREC for {id}: {other:?}"),
            },
            Some(Wire::PubComp(id)) => {
                self.sender.pubcomp(id).expect("open");
                self.quota.give();
            }
            Some(other) => panic!("the receiver sent {other:?}"),
            None => {}
        }
    }

    fn reconnect(&mut self) {
        self.there.clear();
        self.back.clear();
        self.quota = Quota::new(RECEIVE_MAXIMUM);
        for resend in self.sender.iter_resend() {
            assert!(self.quota.take(), "no more are open than may be");
            self.there.push_back(match resend {
                Resend::Publish { id, qos, message } => Wire::Publish(id, qos, *message),
                Resend::PubRel { id } => Wire::PubRel(id),
            });
        }
    }

    /// Nothing drops any more until all is settled.
    fn settle(&mut self) {
        while !self.there.is_empty() || !self.back.is_empty() {
            self.receive();
            self.answered();
        }
        assert!(self.sender.is_empty() && self.receiver.is_empty());
        assert_eq!(self.quota.left(), RECEIVE_MAXIMUM.get());
    }

    fn check(&self) {
        assert!(self.unanswered_max <= usize::from(RECEIVE_MAXIMUM.get()), "quota kept");
        let mut firsts: Vec<u32> = Vec::new();
        for &message in &self.delivered {
            let qos = self.started[message as usize];
            if !firsts.contains(&message) {
                firsts.push(message);
            } else {
                assert_eq!(qos, QoS::AtLeastOnce, "QoS 2 came twice");
            }
        }
        assert!(firsts.is_sorted(), "order kept: {firsts:?}");
        let wanted = (0..).zip(&self.started);
        let wanted = wanted.filter(|(message, qos)| **qos == QoS::AtLeastOnce || message % 7 != 0);
        assert!(wanted.map(|(message, _)| message).eq(firsts), "nothing lost, nothing refused");
    }
}

proptest! {
    /// [MQTT-4.4.0-1 v5], [MQTT-4.4.0-1 v3.1.1], [MQTT-4.6.0-1 v5], [MQTT-4.6.0-1 v3.1.1]
    #[test]
    fn messages_survive_a_link_that_drops(
        steps in prop::collection::vec(0_u8..12, 0..300),
        first in prop_oneof![Just(1_u16), 65_500_u16..=65_535],
    ) {
        let mut link = Link::new(first);
        for step in steps {
            match step {
                0 | 1 => link.send(QoS::AtLeastOnce),
                2 | 3 => link.send(QoS::ExactlyOnce),
                4..=6 => link.receive(),
                7..=10 => link.answered(),
                _ => link.reconnect(),
            }
        }
        link.reconnect();
        link.settle();
        link.check();
    }

    #[test]
    fn the_ring_behaves_like_a_map(
        steps in prop::collection::vec((0_u8..8, 0_usize..20), 0..200),
        first in prop_oneof![Just(1_u16), 65_500_u16..=65_535],
    ) {
        let mut sender = Sender::new();
        sender.place(id(first), Entry::Reserved);
        sender.remove(id(first));
        // Keyed by the order of sending.
        let mut map = BTreeMap::new();
        let mut sent = 0;
        for (step, pick) in steps {
            let picked = map.iter().nth(pick).map(|(key, (id, entry))| (*key, *id, entry));
            match (step, picked) {
                (0..=2, _) => {
                    let entry = Entry::AtLeastOnce(sent);
                    let id = sender.start(QoS::AtLeastOnce, sent).expect("few are open");
                    map.insert(sent, (id, entry));
                    sent += 1;
                }
                (3, _) => {
                    let id = sender.reserve().expect("few are open");
                    map.insert(sent, (id, Entry::Reserved));
                    sent += 1;
                }
                (4, Some((key, id, Entry::AtLeastOnce(message)))) => {
                    assert_eq!(sender.puback(id), Ok(*message));
                    map.remove(&key);
                }
                (5, Some((key, id, Entry::Reserved))) => {
                    assert_eq!(sender.release(id), Ok(()));
                    map.remove(&key);
                }
                (6, Some((key, id, entry))) => {
                    assert_eq!(sender.remove(id).as_ref(), Some(entry));
                    map.remove(&key);
                }
                (7, Some((key, id, entry))) => {
                    assert_eq!(sender.place(id, Entry::Released).as_ref(), Some(entry));
                    map.insert(key, (id, Entry::Released));
                }
                _ => {}
            }
            assert!(sender.iter().eq(map.values().map(|(id, entry)| (*id, entry))));
            let open = map.values().filter(|(_, entry)| *entry != Entry::Reserved).count();
            assert_eq!((sender.open(), sender.is_empty()), (open, map.is_empty()));
        }
    }
}
