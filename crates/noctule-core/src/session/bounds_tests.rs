//! A turn is bounded in work, whatever one client asks for.

use super::tests::Rig;
use crate::grant::{Policies, Policy, Principal, Roles};
use crate::identity::{GroupNumber, MessageId, SessionNumber};
use crate::index::Receiver;
use crate::input::{AuthAnswer, Input, Memory, Room, SystemPublish};
use crate::limits::{Durability, QueueLimits, QueueRule};
use crate::message::{Message, Origin, Parts};
use crate::peer::{Delivery, PeerMessage, RetainedAnswer, Target};
use crate::verdict::Verdict;
use crate::{ConnId, Effect, Outbox, ShardId, Tenant, Time};
use noctule_proto::QoS;
use noctule_proto::packet::SubscribeOptions;
use std::sync::Arc;

fn retained(topic: &str) -> SystemPublish<'_> {
    SystemPublish { tenant: Tenant(0), topic, payload: b"x", qos: QoS::AtMostOnce, retain: true }
}

fn message(id: u64) -> Arc<Message> {
    message_of(id, QoS::AtMostOnce, &[(id >> 10) as u8])
}

fn message_of(id: u64, qos: QoS, payload: &[u8]) -> Arc<Message> {
    message_from(None, id, qos, payload)
}

fn message_from(
    publisher: Option<SessionNumber>,
    id: u64,
    qos: QoS,
    payload: &[u8],
) -> Arc<Message> {
    let origin = Origin {
        id: MessageId(id),
        tenant: Tenant(0),
        publisher,
        routed_at: 0,
        durability: Durability::Memory,
    };
    let (topic, properties) = ("t", &[][..]);
    let parts = Parts { topic, properties, payload, qos, retain: false, expiry_secs: None };
    Arc::new(Message::new(Time(1000), origin, &parts))
}

/// A message of a peer for so many receivers, none of which exists.
fn delivery(id: u64, receivers: u64) -> PeerMessage {
    let target = |number| Target {
        receiver: Receiver::Session(SessionNumber(number)),
        options: SubscribeOptions::default(),
        subscription_id: 0,
        group: None,
    };
    let targets = (0..receivers).map(|number| target(1_000_000 + number)).collect();
    PeerMessage::Deliver(Delivery { message: message(id), targets, sole: false })
}

/// A SUBSCRIBE for so many filters, 700 different ones, each of which matches one retained topic.
fn subscribe_to_all(count: usize) -> Vec<u8> {
    let mut body = vec![0, 9, 0];
    for number in 0..count {
        let filter = format!("a{}/#", number % 700);
        body.extend_from_slice(&(filter.len() as u16).to_be_bytes());
        body.extend_from_slice(filter.as_bytes());
        body.push(0);
    }
    let mut bytes = vec![0x82];
    let mut rest = body.len();
    while rest >= 0x80 {
        bytes.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend(body);
    bytes
}

#[test]
fn retained_messages_for_very_many_filters_come_in_portions() {
    let mut rig = Rig::new();
    for number in 0..700 {
        rig.tell(Input::Publish(retained(&format!("a{number}/x"))));
    }
    rig.connect(0, 8);
    let mut sent = rig.send(0, &subscribe_to_all(5000)).sends.len();
    let mut turns = 0;
    // What was asked for twice while it waited is sent once.
    while sent < 701 {
        let now = rig.idle().sends.len();
        assert!(now <= 128, "{now} in one turn");
        sent += now;
        turns += 1;
        assert!(turns < 100, "they do not come");
    }
    assert_eq!(sent, 701, "SUBACK and each message once");
    assert!(turns > 5, "all at once");
    assert!(rig.idle().sends.is_empty());
}

#[test]
fn a_peer_that_says_too_much_is_not_listened_to_until_it_is_delivered() {
    let mut rig = Rig::new();
    let from = ShardId(1);
    for id in 1..=70 {
        rig.told_by_peer(delivery(id, 1000));
    }
    assert!(!rig.broker.listens_to(from));
    assert!(rig.broker.listens_to(ShardId(0)));
    while rig.broker.next_deadline() == Some(Time(0)) {
        rig.idle();
    }
    assert!(rig.broker.listens_to(from));
}

#[test]
fn a_fence_is_not_passed_before_what_was_said_ahead_of_it_is_delivered() {
    let mut rig = Rig::new();
    rig.connect(0, 8);
    let group = GroupNumber(7);
    let session = rig.broker.sessions.at_mut(0);
    session.work.leaving.push((5, group));
    let asker = session.number;
    rig.told_by_peer(delivery(1, 20_000));
    rig.told_by_peer(PeerMessage::Passed { asker, request: 5, kept: true });
    rig.broker.homes.shards = 2;
    let mut turns = 0;
    while !rig.broker.sessions.at(0).work.leaving.is_empty() {
        rig.idle();
        turns += 1;
        assert!(turns < 50, "it never passes");
    }
    assert!(turns >= 4, "it overtook the delivery");
}

/// A message of a peer at QoS 1 for the session of slot 0, which a group may have chosen.
fn for_session(rig: &Rig, message: Arc<Message>, group: Option<GroupNumber>) -> PeerMessage {
    let receiver = Receiver::Session(rig.broker.sessions.at(0).number);
    let options = SubscribeOptions { qos: QoS::AtLeastOnce, ..SubscribeOptions::default() };
    let target = Target { receiver, options, subscription_id: 0, group };
    PeerMessage::Deliver(Delivery { message, targets: [target].into(), sole: false })
}

#[test]
fn what_came_for_a_member_that_left_stays_the_groups_also_if_the_member_may_not_have_it() {
    let mut rig = Rig::new();
    rig.connect(0, 8);
    let group = GroupNumber(7);
    rig.broker.sessions.at_mut(0).work.leaving.push((5, group));
    let nothing = Policy { roles: Some(Roles::default()), ..Policy::default() };
    rig.tell(Input::Policies(Policies::of_all(nothing)));
    rig.broker.homes.shards = 2;
    let message = message_of(1 << 10 | 1, QoS::AtLeastOnce, b"x");
    let delivery = for_session(&rig, message, Some(group));
    let out = rig.told_by_peer(delivery);
    assert!(out.peers.is_empty(), "its group is told {:?}", out.peers);
}

#[test]
fn while_memory_is_full_the_shard_is_told_where_the_publisher_is_whatever_its_number() {
    let mut rig = Rig::new();
    rig.connect(0, 1);
    rig.tell(Input::Memory(Memory::Full));
    rig.broker.homes.shards = 3;
    // Its session is of an earlier run with another number of shards.
    let publisher = SessionNumber(2 * 70_000);
    for number in 1..=2 {
        let id = number << 10 | 2;
        let message = message_from(Some(publisher), id, QoS::AtLeastOnce, b"x");
        let delivery = for_session(&rig, message, None);
        let told = rig.told_by_peer(delivery).peers;
        let held = (ShardId(2), PeerMessage::HoldBack { publisher });
        assert_eq!(told, if number == 1 { vec![] } else { vec![held] });
    }
}

#[test]
fn work_without_end_puts_nothing_off_that_is_due() {
    let mut rig = Rig::new();
    // A connection that sends no CONNECT is closed after 10 seconds.
    rig.open(0);
    for id in 1..=60 {
        rig.told_by_peer(delivery(id, 20_000));
    }
    rig.now = Time(20_000);
    rig.idle();
    assert_eq!(rig.broker.counters().connections_now, 0);
    assert_eq!(rig.broker.next_deadline(), Some(Time(0)), "work is left");
    assert!(rig.broker.connections.get(ConnId(0)).is_none());
}

/// A message of a peer for one session, after so many receivers that do not exist.
fn delivery_to(session: SessionNumber, id: u64, others: u64) -> PeerMessage {
    let PeerMessage::Deliver(Delivery { targets, sole, .. }) = delivery(id, others + 1) else {
        panic!("a delivery is made");
    };
    let mut targets = targets.to_vec();
    let last = targets.last_mut().expect("there is one at least");
    last.receiver = Receiver::Session(session);
    PeerMessage::Deliver(Delivery { message: message(id), targets: targets.into(), sole })
}

#[test]
fn what_a_peer_says_is_delivered_in_order_though_one_message_is_a_job() {
    let mut rig = Rig::new();
    rig.connect(0, 8);
    let session = rig.broker.sessions.at(0).number;
    let mut sent = Vec::new();
    let mut note = |out: Outbox| {
        for send in out.sends {
            sent.push(out.frames[send.start as usize..(send.start + send.len) as usize].to_vec());
        }
    };
    note(rig.told_by_peer(delivery_to(session, 1 << 10, 20_000)));
    note(rig.told_by_peer(delivery_to(session, 2 << 10, 0)));
    while rig.broker.next_deadline() == Some(Time(0)) {
        note(rig.idle());
    }
    let payloads: Vec<&u8> = sent.iter().filter_map(|frame| frame.last()).collect();
    assert_eq!(payloads, [&1, &2]);
}

#[test]
fn a_queue_is_bounded_in_bytes() {
    let mut rig = Rig::new();
    rig.connect(0, 1);
    rig.subscribe(0);
    rig.tell(Input::Closed { conn: ConnId(0) });
    rig.broker.limits.queue.bytes_max = 2000;
    for _ in 0..100 {
        rig.publish();
    }
    let counters = rig.broker.counters();
    assert!(counters.queued_now > 2 && counters.queued_bytes_now <= 2000, "{counters:?}");
    assert_eq!(
        counters.queued_now + counters.verdicts[Verdict::QueueFullNewest as usize],
        100,
        "what is not kept is counted"
    );
}

#[test]
fn an_older_retained_message_does_not_follow_a_live_one() {
    let mut rig = Rig::of(2);
    rig.connect(0, 8);
    let session = rig.broker.sessions.at(0).number;
    let mut out = rig.send(0, &[0x82, 7, 0, 1, 0, 0, 1, b'#', 0]);
    let asked = out.peers.drain(..).find_map(|(to, said)| match said {
        PeerMessage::RetainedAsk(ask) if to == ShardId(1) => Some(ask),
        _ => None,
    });
    let query = asked.expect("the other shard is asked").query;
    let live = rig.told_by_peer(delivery_to(session, 9 << 10, 0));
    assert_eq!(live.sends.len(), 1);
    let answer = |id| {
        let messages = vec![message(id)];
        PeerMessage::RetainedAnswer(RetainedAnswer { query, session, messages, more_after: None })
    };
    assert!(rig.told_by_peer(answer(8 << 10)).sends.is_empty());
    let verdicts = &rig.broker.counters().verdicts;
    assert_eq!(verdicts[Verdict::RetainedSuperseded as usize], 1);
}

#[test]
fn a_live_message_that_is_too_large_does_not_stand_in_for_a_retained_one() {
    let mut rig = Rig::of(2);
    rig.open(0);
    // Receive Maximum 1, Maximum Packet Size 20.
    let mut hello = vec![0x10, 27, 0, 4];
    hello.extend_from_slice(b"MQTT\x05\x00\x00\x00");
    hello.extend_from_slice(&[13, 0x11, 0, 0, 1, 0, 0x21, 0, 1, 0x27, 0, 0, 0, 20, 0, 1, b'c']);
    rig.send(0, &hello);
    let answer = AuthAnswer::Allow { principal: Principal::default(), data: None };
    rig.tell(Input::Authenticated { conn: ConnId(0), answer });
    let session = rig.broker.sessions.at(0).number;
    rig.send(0, &[0x82, 7, 0, 1, 0, 0, 1, b'#', 1]);
    let options = SubscribeOptions { qos: QoS::AtLeastOnce, ..SubscribeOptions::default() };
    let (receiver, group) = (Receiver::Session(session), None);
    let live = |id, payload: &[u8]| {
        let message = message_of(id, QoS::AtLeastOnce, payload);
        let targets = [Target { receiver, options, subscription_id: 0, group }].into();
        PeerMessage::Deliver(Delivery { message, targets, sole: false })
    };
    assert_eq!(rig.told_by_peer(live(7 << 10, b"first")).sends.len(), 1);
    assert!(rig.told_by_peer(live(9 << 10, &[0; 100])).sends.is_empty());
    let messages = vec![message_of(8 << 10, QoS::AtLeastOnce, b"kept")];
    let answer = RetainedAnswer { query: 1, session, messages, more_after: None };
    rig.told_by_peer(PeerMessage::RetainedAnswer(answer));
    let out = rig.send(0, &[0x40, 2, 0, 1]);
    assert_eq!(out.sends.len(), 1, "the next one is too large, the one behind it is not");
    assert!(out.frames.ends_with(b"kept"));
}

#[test]
fn a_client_that_goes_on_while_its_answers_wait_is_not_read() {
    let mut rig = Rig::new();
    rig.broker.limits.durability = Durability::Fsync;
    rig.connect(0, 8);
    rig.tell(Input::Stored { written: 2, durable: 2 });
    let conn = ConnId(0);
    // PUBREC waits for the store, and whatever is answered waits behind it.
    assert!(rig.send(0, &[0x34, 6, 0, 1, b't', 0, 1, 0]).sends.is_empty());
    let mut asked = 1;
    while rig.send(0, &[0xC0, 0]).effects.is_empty() {
        asked += 1;
        assert!(asked < 2000, "it may go on for ever");
    }
    let out = rig.tell(Input::Stored { written: 3, durable: 3 });
    assert_eq!(out.sends.len(), asked + 1, "every answer leaves");
    assert_eq!(out.effects, [Effect::Resume { conn }]);
}

#[test]
fn a_full_disk_refuses_what_would_have_to_be_kept_and_nothing_else() {
    let mut rig = Rig::new();
    rig.connect(0, 8);
    rig.broker.limits.durability = Durability::Fsync;
    rig.tell(Input::StoreRoom(Room::Full));
    let message = |flags: u8| [0x30 | flags, 7, 0, 1, b't', 0, 1, 0, b'x'];
    let refused = |out: &Outbox| {
        assert_eq!((out.sends.len(), out.effects.len()), (1, 0), "PUBACK leaves: {out:?}");
        out.frames.contains(&0x97)
    };
    // Nobody who is away is to get it.
    assert!(!refused(&rig.send(0, &message(0b0010))));
    // A retained one would be kept.
    assert!(refused(&rig.send(0, &message(0b0011))));
    rig.tell(Input::StoreRoom(Room::Free));
    rig.send(0, &message(0b0011));
    assert_eq!(rig.broker.counters().retained_now, 1);
}

#[test]
fn other_rules_hold_for_sessions_that_are_there() {
    let mut rig = Rig::new();
    rig.connect(0, 1);
    rig.subscribe(0);
    rig.tell(Input::Closed { conn: ConnId(0) });
    let mut limits = rig.broker.limits.clone();
    let queue = QueueLimits { messages_max: 2, ..limits.queue };
    limits.queue_rules = vec![QueueRule { clients: "*".into(), queue }];
    rig.tell(Input::Reconfigured(Box::new(limits)));
    for _ in 0..5 {
        rig.publish();
    }
    assert_eq!(rig.broker.counters().queued_now, 2);
}
