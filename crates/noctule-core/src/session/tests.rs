//! What a session keeps and gives up.

use crate::grant::Principal;
use crate::identity::SessionNumber;
use crate::input::{AuthAnswer, Input, Level, Origin, SystemPublish};
use crate::limits::{Durability, QueueLimits};
use crate::output::Event;
use crate::peer::PeerMessage;
use crate::verdict::Verdict;
use crate::{
    Broker, ConnId, Effect, Homes, Index, Limits, ListenerId, Outbox, ShardId, Tenant, Time,
};
use noctule_proto::packet::{Packet, Role};
use noctule_proto::{QoS, ReasonCode};
use noctule_proto::{Version, next_frame};

/// One shard, told what a server would tell it.
pub(super) struct Rig {
    pub(super) broker: Broker,
    pub(super) now: Time,
    index: Index,
    changes: u64,
}

impl Rig {
    pub(super) fn new() -> Rig {
        Rig::of(1)
    }

    /// The first of so many shards.
    pub(super) fn of(shards: u16) -> Rig {
        let homes = Homes::new(shards, 7);
        let limits = Limits {
            queue: QueueLimits { messages_max: 70_000, ..QueueLimits::default() },
            ..Limits::default()
        };
        let broker = Broker::new(ShardId(0), homes, limits);
        Rig { broker, now: Time(1000), index: Index::new(7), changes: 0 }
    }

    pub(super) fn tell(&mut self, input: Input<'_>) -> Outbox {
        let mut out = Outbox::default();
        self.broker.handle(self.now, &self.index, input, &mut out);
        while !out.index.is_empty() {
            self.changes += out.index.len() as u64;
            out.index.drain(..).for_each(|change| self.index.apply(&change));
            let version = self.index.version();
            let input = Input::IndexVisible { up_to: self.changes, version };
            self.broker.handle(self.now, &self.index, input, &mut out);
        }
        self.broker.tick(self.now, &self.index, &mut out);
        self.broker.check();
        out
    }

    /// A turn in which nothing comes in.
    pub(super) fn idle(&mut self) -> Outbox {
        let mut out = Outbox::default();
        self.broker.tick(self.now, &self.index, &mut out);
        self.broker.check();
        out
    }

    /// A peer says something; no turn ends with it.
    pub(super) fn told_by_peer(&mut self, message: PeerMessage) -> Outbox {
        let mut out = Outbox::default();
        let input = Input::Peer { from: ShardId(1), message };
        self.broker.handle(self.now, &self.index, input, &mut out);
        out
    }

    pub(super) fn open(&mut self, conn: u32) {
        let from =
            Origin { listener: ListenerId(0), tenant: Tenant(0), remote: None, durability: None };
        self.tell(Input::Opened { conn: ConnId(conn), from });
    }

    pub(super) fn send(&mut self, conn: u32, bytes: &[u8]) -> Outbox {
        let frame = next_frame(bytes, u32::MAX).expect("valid").expect("whole");
        let version = (bytes[0] != 0x10).then_some(Version::V5);
        let packet = Packet::decode(frame, version, Role::Client).expect("valid");
        let (conn, size) = (ConnId(conn), bytes.len() as u32);
        self.tell(Input::Packet { conn, packet: &packet, size })
    }

    /// Connects client `c` to its session, with this Receive Maximum.
    pub(super) fn connect(&mut self, conn: u32, receive_maximum: u8) {
        let id = ConnId(conn);
        self.open(conn);
        let mut bytes = vec![0x10, 22, 0, 4];
        bytes.extend_from_slice(b"MQTT\x05\x00\x00\x00");
        bytes.extend_from_slice(&[8, 0x11, 0, 0, 1, 0, 0x21, 0, receive_maximum, 0, 1, b'c']);
        self.send(conn, &bytes);
        let answer = AuthAnswer::Allow { principal: Principal::default(), data: None };
        let out = self.tell(Input::Authenticated { conn: id, answer });
        assert!(!out.effects.contains(&Effect::Close { conn: id }));
    }

    pub(super) fn subscribe(&mut self, conn: u32) {
        self.send(conn, &[0x82, 7, 0, 1, 0, 0, 1, b't', 2]);
    }

    fn puback(&mut self, conn: u32, id: u16) -> Outbox {
        self.send(conn, &[0x40, 2, (id >> 8) as u8, id as u8])
    }

    pub(super) fn publish(&mut self) -> Outbox {
        self.tell(Input::Publish(SystemPublish {
            tenant: Tenant(0),
            topic: "t",
            payload: b"x",
            qos: QoS::AtLeastOnce,
            retain: false,
        }))
    }
}

/// The packet identifiers of the PUBLISH packets sent.
fn ids(out: &Outbox) -> Vec<u16> {
    out.sends.iter().filter_map(|send| Some(send.id?.1.value())).collect()
}

#[test]
fn a_client_that_never_settles_one_message_stops_when_the_identifiers_run_out() {
    let mut rig = Rig::new();
    rig.connect(0, 4);
    rig.subscribe(0);
    assert_eq!(ids(&rig.publish()), [1]);
    for id in 2..=u16::MAX {
        assert_eq!(ids(&rig.publish()), [id]);
        rig.puback(0, id);
    }
    // Every identifier lies behind the one that is open: the rest waits, in order.
    assert!(ids(&rig.publish()).is_empty());
    assert!(ids(&rig.publish()).is_empty());
    rig.puback(0, 9);
    assert_eq!(rig.broker.counters().queued_now, 2);
    assert_eq!(ids(&rig.puback(0, 1)), [1, 2]);
}

#[test]
fn a_message_settled_before_it_was_sent_again_is_not_sent_again() {
    let mut rig = Rig::new();
    rig.connect(0, 8);
    rig.subscribe(0);
    for id in 1..=5 {
        assert_eq!(ids(&rig.publish()), [id]);
    }
    rig.tell(Input::Closed { conn: ConnId(0) });
    rig.connect(1, 1);
    rig.publish();
    rig.tell(Input::Backlog { conn: ConnId(1), level: Level::High });
    for id in [5, 4, 3, 1] {
        assert!(ids(&rig.puback(1, id)).is_empty());
    }
    let out = rig.tell(Input::Backlog { conn: ConnId(1), level: Level::Low });
    assert_eq!(ids(&out), [2]);
    assert_eq!(ids(&rig.puback(1, 2)), [6]);
}

/// What was sent last is not mixed up with what is sent first.
#[test]
fn packet_identifiers_go_on_where_an_earlier_connection_left_off() {
    let mut rig = Rig::new();
    rig.connect(0, 8);
    rig.subscribe(0);
    for id in 1..=3 {
        assert_eq!(ids(&rig.publish()), [id]);
        rig.puback(0, id);
    }
    for conn in [1, 2] {
        rig.tell(Input::Closed { conn: ConnId(conn - 1) });
        rig.connect(conn, 8);
    }
    assert_eq!(ids(&rig.publish()), [4]);
}

#[test]
fn what_held_a_connection_does_not_release_the_next_one_of_its_number() {
    let mut rig = Rig::new();
    rig.connect(0, 8);
    let shard = ShardId(1);
    let publisher = rig.broker.sessions.at(0).number;
    let hold = || PeerMessage::Hold { publisher, receiver: SessionNumber(99) };
    let release = || PeerMessage::Release { publisher, receiver: SessionNumber(99) };
    let held = rig.tell(Input::Peer { from: shard, message: hold() });
    assert_eq!(held.effects, [Effect::Pause { conn: ConnId(0) }]);
    rig.tell(Input::Closed { conn: ConnId(0) });
    // The next connection of the session is held by something else.
    rig.connect(0, 8);
    let conn = ConnId(0);
    let connection = rig.broker.connections.get_mut(conn).expect("it is connected");
    connection.holds += 1;
    let out = rig.tell(Input::Peer { from: shard, message: release() });
    assert!(out.effects.is_empty(), "released by what held its predecessor");
}

#[test]
fn a_replay_keeps_the_copies_of_a_message_that_were_not_settled() {
    use crate::record::{Manner, Receipt, Record};
    use crate::{Message, message};
    let session = SessionNumber(5);
    let receiver = crate::index::Receiver::Session(session);
    let client_id = "c".into();
    let (tenant, qos) = (Tenant(0), QoS::ExactlyOnce);
    let opened = Record::Session {
        session,
        tenant,
        client_id,
        expiry_secs: 9,
        durability: Durability::Fsync,
        away_since: None,
    };
    let id = crate::identity::MessageId(1 << 10);
    let origin = message::Origin {
        id,
        tenant,
        publisher: None,
        routed_at: 0,
        durability: Durability::Memory,
    };
    let (topic, properties, payload) = ("t", &[][..], &b"x"[..]);
    let expiry_secs = None;
    let parts = message::Parts { topic, properties, payload, qos, retain: false, expiry_secs };
    let message = std::sync::Arc::new(Message::new(Time(1000), origin, &parts));
    let copy = |subscription_id| Receipt { receiver, qos, retain: false, subscription_id };
    message.set_place(crate::identity::Place(std::num::NonZeroU64::MIN));
    let receivers = vec![copy(1), copy(2), copy(3)];
    let published = Record::Published {
        message: message.clone().into(),
        receivers: receivers.into(),
        retained: false,
    };
    let packet_id = noctule_proto::PacketId::new(1).expect("not 0");
    let manner = |subscription_id| Manner { qos, retain: false, subscription_id };
    let sent =
        Record::Sent { session, message: message.clone().into(), manner: manner(2), id: packet_id };
    let settled = |subscription_id| Record::Settled {
        receiver,
        message: message.clone().into(),
        manner: Some(manner(subscription_id)),
    };
    // The shard that sent them may have been faster to the log than the one they arrived at.
    let (first, last) = (settled(1), settled(3));
    let orders = [[&published, &sent, &first, &last], [&sent, &last, &first, &published]];
    for order in orders {
        let mut rig = Rig::new();
        rig.broker.apply(&opened);
        order.into_iter().for_each(|record| rig.broker.apply(record));
        rig.broker.replayed((Time(1000), Time(1000)), &rig.index, &mut Outbox::default());
        let counters = rig.broker.counters();
        assert_eq!(counters.queued_now + counters.inflight_now, 1);
    }
}

#[test]
fn a_full_shard_carries_on_the_sessions_it_has() {
    let mut rig = Rig::new();
    rig.connect(0, 8);
    rig.tell(Input::Closed { conn: ConnId(0) });
    rig.broker.limits.sessions_max = 1;
    rig.connect(0, 8);
    assert_eq!(rig.broker.counters().sessions_resumed, 1);
}

#[test]
fn a_restored_group_outlives_the_first_member_that_comes_back_and_goes() {
    use crate::identity::GroupNumber;
    use crate::peer::ShareJoin;
    use crate::record::Record;

    let mut rig = Rig::of(2);
    let tenant = Tenant(0);
    let homes = rig.broker.homes.clone();
    let is_here = |name: &String| homes.of_group(tenant, name, "t") == ShardId(0);
    let name = (0..64).map(|number| number.to_string()).find(is_here).expect("one of them");
    let name: Box<str> = name.into();
    let (group, filter) = (GroupNumber(2), Box::from("t"));
    rig.broker.apply(&Record::Group { group, tenant, name: name.clone(), filter });
    let mut out = Outbox::default();
    rig.broker.replayed((Time(1000), Time(1000)), &rig.index, &mut out);
    let Some(Record::Group { group, .. }) = out.records.last() else { panic!("{out:?}") };
    let group = *group;
    rig.changes += out.index.len() as u64;
    out.index.drain(..).for_each(|change| rig.index.apply(&change));
    let (up_to, version) = (rig.changes, rig.index.version());
    rig.tell(Input::IndexVisible { up_to, version });

    let from = ShardId(1);
    let session = SessionNumber(9);
    let join = ShareJoin {
        tenant,
        name,
        filter: "t".into(),
        session,
        options: noctule_proto::packet::SubscribeOptions::default(),
        subscription_id: 0,
        window: 1,
        request: 1,
    };
    rig.tell(Input::Peer { from, message: PeerMessage::ShareJoin(join) });
    let leave = PeerMessage::ShareLeave { group, session, keep: Vec::new() };
    let out = rig.tell(Input::Peer { from, message: leave });
    assert_eq!(out.records, [], "others may be on their way");
    rig.now = rig.now.plus_secs(60);
    assert_eq!(rig.idle().records, [Record::GroupEnded(group)]);
}

#[test]
fn nobody_is_told_that_a_session_is_over_before_that_is_stored() {
    let stored = || Input::Stored { written: u64::MAX, durable: u64::MAX };
    let mut rig = Rig::new();
    rig.broker.limits.durability = Durability::Fsync;
    rig.connect(0, 8);
    rig.tell(stored());
    // DISCONNECT with Session Expiry Interval 0.
    rig.send(0, &[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0]);
    rig.open(1);
    let mut hello = vec![0x10, 14, 0, 4];
    hello.extend_from_slice(b"MQTT\x05\x00\x00\x00\x00\x00\x01c");
    rig.send(1, &hello);
    let answer = AuthAnswer::Allow { principal: Principal::default(), data: None };
    let out = rig.tell(Input::Authenticated { conn: ConnId(1), answer });
    assert!(out.sends.is_empty(), "a crash now would bring the session back");
    assert_eq!(rig.tell(stored()).sends.len(), 1);
}

#[test]
fn the_time_that_a_connection_may_stay_survives_a_new_process_and_ends_with_the_connection() {
    let mut rig = Rig::new();
    let until = rig.now.plus_secs(10);
    for conn in [1, 2] {
        rig.open(conn);
        let mut bytes = vec![0x10, 14, 0, 4];
        bytes.extend_from_slice(b"MQTT\x05\x02\x00\x00");
        bytes.extend_from_slice(&[0, 0, 1, b'a' + conn as u8]);
        rig.send(conn, &bytes);
        let expires = Some(until);
        let answer = AuthAnswer::Allow {
            principal: Principal { expires, ..Principal::default() },
            data: None,
        };
        rig.tell(Input::Authenticated { conn: ConnId(conn), answer });
    }
    rig.tell(Input::Closed { conn: ConnId(2) });
    let mut frozen = serde_json::Serializer::new(Vec::new());
    rig.broker.freeze(&mut frozen).unwrap();
    let frozen = frozen.into_inner();
    rig.broker = Broker::thaw(&mut serde_json::Deserializer::from_slice(&frozen)).unwrap();
    // The number is given to a connection that may stay.
    rig.connect(2, 1);
    rig.now = until;
    let out = rig.idle();
    assert_eq!(out.effects, [Effect::Close { conn: ConnId(1) }]);
    let last = &out.sends[0];
    let bytes = &out.frames[last.start as usize..(last.start + last.len) as usize];
    assert_eq!((bytes[0], bytes[2]), (0xE0, 0xA0));
}

/// A PUBLISH of MQTT 5 to `t`, with this QoS.
fn publish(qos: u8) -> Vec<u8> {
    let mut bytes = vec![0x30 | qos << 1, if qos == 0 { 5 } else { 7 }, 0, 1, b't'];
    if qos > 0 {
        bytes.extend_from_slice(&[0, 9]);
    }
    bytes.extend_from_slice(&[0, b'x']);
    bytes
}

#[test]
fn what_a_client_in_quarantine_publishes_is_refused_and_it_stays() {
    let mut rig = Rig::new();
    rig.connect(0, 10);
    let conn = ConnId(0);
    let refused = |rig: &Rig| rig.broker.counters().verdicts[Verdict::Quarantined as usize];
    rig.tell(Input::Quarantined { conn, on: true });
    for (qos, answer) in [(0, None), (1, Some(0x40)), (2, Some(0x50))] {
        let out = rig.send(0, &publish(qos));
        assert!(out.effects.is_empty(), "QoS {qos}: {:?}", out.effects);
        assert_eq!(out.frames.first().copied(), answer, "QoS {qos}");
        if answer.is_some() {
            assert_eq!(out.frames[4], ReasonCode::QuotaExceeded as u8, "QoS {qos}");
        }
    }
    assert_eq!(refused(&rig), 3);
    rig.tell(Input::Quarantined { conn, on: false });
    let out = rig.send(0, &publish(1));
    assert_ne!(out.frames.get(4).copied(), Some(ReasonCode::QuotaExceeded as u8));
    assert_eq!(refused(&rig), 3);
    let look = rig.broker.look(conn).unwrap();
    assert_eq!((look.traffic.messages, look.traffic.bytes), (4, 4));
}

#[test]
fn a_slowed_connection_is_not_read_and_not_blamed_for_its_silence() {
    let mut rig = Rig::new();
    let conn = ConnId(0);
    rig.open(0);
    // With a keep alive of ten seconds.
    rig.send(0, b"\x10\x0E\0\x04MQTT\x05\0\0\x0A\0\0\x01c");
    let answer = AuthAnswer::Allow { principal: Principal::default(), data: None };
    rig.tell(Input::Authenticated { conn, answer });
    let out = rig.tell(Input::Slowed { conn });
    assert_eq!(out.effects, [Effect::Pause { conn }]);
    rig.now = rig.now.plus_secs(3600);
    assert!(rig.idle().effects.is_empty(), "keep alive waits");
    let out = rig.tell(Input::Unslowed { conn });
    assert_eq!(out.effects, [Effect::Resume { conn }]);
    rig.now = rig.now.plus_secs(16);
    assert_eq!(rig.idle().effects, [Effect::Close { conn }], "now it counts again");
}

#[test]
fn denials_are_counted_each_and_told_once_between_two_looks() {
    let mut rig = Rig::new();
    rig.connect(0, 10);
    let forged = [0x30, 9, 0, 6, b'$', b'S', b'Y', b'S', b'/', b'x', 0];
    for round in 0..2 {
        let mut told = 0;
        for _ in 0..5 {
            let events = rig.send(0, &forged).events;
            told += events.iter().filter(|it| matches!(it, Event::Denied { .. })).count();
        }
        let look = rig.broker.look(ConnId(0)).unwrap();
        assert_eq!((told, look.traffic.denials, look.traffic.messages), (1, 5, 0), "{round}");
    }
}

/// Messages to `$CONTROL/x`, with this first byte and packet identifier.
fn control(rig: &mut Rig, first: u8, id: Option<u8>) -> Outbox {
    let mut bytes = vec![first, 0, 0, 10];
    bytes.extend_from_slice(b"$CONTROL/x");
    bytes.extend(id.into_iter().flat_map(|id| [0, id]));
    bytes.extend_from_slice(&[0, b'?']);
    bytes[1] = bytes.len() as u8 - 2;
    rig.send(0, &bytes)
}

#[test]
fn a_message_for_the_server_is_acknowledged_when_it_is_done_and_goes_to_nobody() {
    use crate::grant::{Actions, Otherwise, Ranked};
    let mut rig = Rig::new();
    rig.connect(0, 8);
    let conn = ConnId(0);
    // Without rules that come by messages it is a topic like others.
    assert!(control(&mut rig, 0x30, None).effects.is_empty());
    // Or without somebody who answers.
    let mut limits = rig.broker.limits.clone();
    for control_api in [true, false] {
        limits.control_api = control_api;
        rig.tell(Input::Reconfigured(Box::new(limits.clone())));
        let asked = !control(&mut rig, 0x30, None).effects.is_empty();
        assert_eq!(asked, control_api);
        rig.tell(Input::Controlled { conn, taken: true });
    }
    let all = Actions::ALL.and(Actions::UNSUBSCRIBE);
    let otherwise = Otherwise { plain: all, control: all };
    rig.tell(Input::Ranked(std::sync::Arc::new(Ranked { otherwise, ..Ranked::default() })));
    rig.send(
        0,
        &[0x82, 16, 0, 1, 0, 0, 10, b'$', b'C', b'O', b'N', b'T', b'R', b'O', b'L', b'/', b'x', 1],
    );
    let is_control = |effect: &Effect| {
        matches!(effect, Effect::Control { request, .. }
            if &*request.topic == "$CONTROL/x" && *request.payload == *b"?")
    };
    for (first, id, ack) in [(0x30, None, None), (0x32, Some(5), Some(0x40)), (0x34, Some(6), None)]
    {
        let mut out = control(&mut rig, first, id);
        if first == 0x34 {
            // That of QoS 2 is heard when it is released.
            assert!(!out.effects.iter().any(is_control) && out.frames[0] == 0x50);
            out = rig.send(0, &[0x62, 2, 0, 6]);
        }
        assert!(
            matches!(&out.effects[..], [Effect::Pause { .. }, it] if is_control(it)),
            "{out:?}"
        );
        assert!(out.sends.is_empty(), "nobody is told yet, and it is for no subscriber");
        let out = rig.tell(Input::Controlled { conn, taken: true });
        assert_eq!(out.effects, [Effect::Resume { conn }]);
        let told = out.frames.first().copied();
        assert_eq!(told, if first == 0x34 { Some(0x70) } else { ack });
    }
    // One that is not taken is told so; who is gone is forgotten.
    control(&mut rig, 0x32, Some(7));
    let out = rig.tell(Input::Controlled { conn, taken: false });
    assert_eq!(out.frames[..5], [0x40, out.frames[1], 0, 7, ReasonCode::QuotaExceeded as u8]);
    control(&mut rig, 0x32, Some(8));
    rig.tell(Input::Closed { conn });
    rig.connect(0, 8);
    assert!(rig.tell(Input::Controlled { conn, taken: true }).frames.is_empty());
}
