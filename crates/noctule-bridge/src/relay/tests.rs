//! Packets in at one end, packets out at the other.

use super::*;
use crate::line::Terms;
use noctule_proto::packet::Disconnect;
use noctule_server::config::{Bridge, BridgeTopic, Direction, Notifications};

fn terms() -> Terms {
    Terms {
        session_present: true,
        receive_maximum: 3,
        packet_size_max: 2000,
        qos_max: QoS::ExactlyOnce,
        retain: true,
        keep_alive_secs: 60,
    }
}

/// A relay whose other broker speaks a version, on these terms; all topics go both ways.
fn relay(version: Version, far: Terms, change: impl FnOnce(&mut Bridge)) -> Relay {
    let topic = BridgeTopic {
        filter: "#".into(),
        direction: Direction::Both,
        qos: QoS::ExactlyOnce,
        local_prefix: "h/".into(),
        remote_prefix: "t/".into(),
    };
    let mut bridge = Bridge {
        name: "b".into(),
        addresses: vec!["localhost".into()],
        version,
        topics: vec![topic],
        ..Bridge::default()
    };
    change(&mut bridge);
    let plan = Arc::new(Plan::of(&bridge).expect("a bridge that can be"));
    let near = Terms { receive_maximum: 3, packet_size_max: u32::MAX, ..terms() };
    let lines = (Line::new(Version::V5, near, Vec::new()), Line::new(version, far, Vec::new()));
    Relay::new(plan, (Stamp::new(), Arc::default()), lines, Instant::now())
}

fn publish<'a>(topic: &'a str, qos: QoS, packet_id: u16) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: TopicName::parse(topic).expect("a topic"),
        packet_id: PacketId::new(packet_id),
        properties: PublishProperties::default(),
        payload: b"x",
    })
}

fn ack(packet_id: u16, reason: ReasonCode) -> Ack<'static> {
    Ack::new(id(packet_id), reason)
}

impl Relay {
    /// Has a side say something.
    fn hear(&mut self, side: Side, packet: &Packet<'_>) -> Result<(), End> {
        let mut bytes = Vec::new();
        packet.encode(self.line(side).version, &mut bytes);
        self.came(side, &bytes, Instant::now());
        self.work(Instant::now())
    }

    /// What a side is told: types of packets, with their identifiers.
    fn told(&mut self, side: Side) -> Vec<(PacketType, u16)> {
        let version = self.line(side).version;
        let bytes = self.line(side).unwritten().to_vec();
        self.written(side, bytes.len(), Instant::now());
        let (mut told, mut at) = (Vec::new(), 0);
        while let Ok(Some(frame)) = next_frame(&bytes[at..], u32::MAX) {
            at += frame.len;
            let packet = Packet::decode(frame, Some(version), Role::Client).expect("a packet");
            let id = match &packet {
                Packet::Publish(publish) => publish.packet_id.map_or(0, PacketId::value),
                Packet::PubAck(ack)
                | Packet::PubRec(ack)
                | Packet::PubRel(ack)
                | Packet::PubComp(ack) => ack.packet_id.value(),
                _ => 0,
            };
            told.push((packet.packet_type(), id));
        }
        told
    }
}

use PacketType as P;

#[test]
fn a_hand_shake_goes_through_from_one_end_to_the_other() {
    for (from, topic) in [(Side::Near, "h/a"), (Side::Far, "t/a")] {
        let mut relay = relay(Version::V311, terms(), |_| ());
        let to = from.other();
        relay.hear(from, &publish(topic, QoS::ExactlyOnce, 7)).unwrap();
        assert_eq!(relay.told(to), [(P::Publish, 7)]);
        assert_eq!(relay.told(from), []);
        for (side, packet) in [
            (to, Packet::PubRec(ack(7, ReasonCode::Success))),
            (from, Packet::PubRel(ack(7, ReasonCode::Success))),
            (to, Packet::PubComp(ack(7, ReasonCode::Success))),
        ] {
            relay.hear(side, &packet).unwrap();
            assert_eq!(relay.told(side.other()), [(packet.packet_type(), 7)]);
        }
        assert_eq!(relay.line(to).open, 0);
    }
}

#[test]
fn where_the_other_side_knows_no_qos_2_the_hand_shake_is_made_here() {
    let far = Terms { qos_max: QoS::AtLeastOnce, ..terms() };
    let mut relay = relay(Version::V5, far, |_| ());
    relay.hear(Side::Near, &publish("h/a", QoS::ExactlyOnce, 7)).unwrap();
    assert_eq!(relay.told(Side::Far), [(P::Publish, 7)]);
    relay.hear(Side::Far, &Packet::PubAck(ack(7, ReasonCode::NoMatchingSubscribers))).unwrap();
    assert_eq!(relay.told(Side::Near), [(P::PubRec, 7)]);
    relay.hear(Side::Near, &Packet::PubRel(ack(7, ReasonCode::Success))).unwrap();
    assert_eq!(relay.told(Side::Near), [(P::PubComp, 7)]);
    assert_eq!(relay.told(Side::Far), []);
}

#[test]
fn messages_wait_for_room_in_their_order_and_acknowledgements_do_not() {
    let mut relay = relay(Version::V5, terms(), |_| ());
    for number in 1..=5 {
        relay.hear(Side::Far, &publish("t/a", QoS::AtLeastOnce, number)).unwrap();
    }
    let first = [(P::Publish, 1), (P::Publish, 2), (P::Publish, 3)];
    assert_eq!(relay.told(Side::Near), first);
    // Behind what waits.
    relay.hear(Side::Near, &publish("h/a", QoS::AtLeastOnce, 9)).unwrap();
    assert_eq!(relay.told(Side::Far), [(P::Publish, 9)]);
    relay.hear(Side::Far, &Packet::PubAck(ack(9, ReasonCode::Success))).unwrap();
    assert_eq!(relay.told(Side::Near), [(P::PubAck, 9)]);
    relay.hear(Side::Near, &Packet::PubAck(ack(1, ReasonCode::Success))).unwrap();
    assert_eq!(relay.told(Side::Near), [(P::Publish, 4)]);
    relay.hear(Side::Near, &Packet::PubAck(ack(2, ReasonCode::Success))).unwrap();
    assert_eq!(relay.told(Side::Near), [(P::Publish, 5)]);
}

#[test]
fn a_rate_lets_so_many_out_a_second_and_holds_nothing_else_up() {
    let mut relay = relay(Version::V5, terms(), |bridge| bridge.rate_max = 2);
    for number in 0..5 {
        let qos = if number == 0 { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        relay.hear(Side::Near, &publish("h/a", qos, number + 1)).unwrap();
    }
    assert_eq!(relay.told(Side::Far), [(P::Publish, 1), (P::Publish, 0)]);
    relay.hear(Side::Far, &publish("t/a", QoS::AtLeastOnce, 3)).unwrap();
    relay.hear(Side::Near, &Packet::PubAck(ack(3, ReasonCode::Success))).unwrap();
    assert_eq!(relay.told(Side::Far), [(P::PubAck, 3)]);
    let later = Instant::now() + Duration::from_secs(1);
    assert!(relay.deadline() <= later);
    relay.tick(later).unwrap();
    relay.work(later).unwrap();
    assert_eq!(relay.told(Side::Far), [(P::Publish, 0), (P::Publish, 0)]);
}

#[test]
fn what_has_no_room_stays_and_what_is_refused_is_gone() {
    let mut relay = relay(Version::V5, terms(), |_| ());
    relay.hear(Side::Near, &publish("h/a", QoS::ExactlyOnce, 1)).unwrap();
    relay.hear(Side::Near, &publish("h/a", QoS::AtLeastOnce, 2)).unwrap();
    relay.told(Side::Far);
    relay.hear(Side::Far, &Packet::PubRec(ack(1, ReasonCode::NotAuthorized))).unwrap();
    assert_eq!(relay.told(Side::Near), [(P::PubRec, 1)]);
    let full = Packet::PubAck(ack(2, ReasonCode::QuotaExceeded));
    assert!(matches!(relay.hear(Side::Far, &full), Err(End::NoRoom(Side::Far))));
    assert_eq!(relay.told(Side::Near), []);
}

#[test]
fn filters_are_asked_for_eight_at_a_time() {
    let topic = |number: u8| BridgeTopic {
        filter: format!("{number}").into(),
        direction: Direction::In,
        qos: QoS::AtLeastOnce,
        local_prefix: "".into(),
        remote_prefix: "".into(),
    };
    let mut relay = relay(Version::V5, terms(), |bridge| {
        bridge.topics = (0..17).map(topic).collect();
        bridge.notifications = Notifications::None;
    });
    relay.begin(&Holdings::default(), false);
    for count in [8, 8, 1, 0] {
        let bytes = relay.line(Side::Far).unwritten().to_vec();
        relay.written(Side::Far, bytes.len(), Instant::now());
        let asked = match next_frame(&bytes, u32::MAX).expect("bytes of a packet") {
            None => 0,
            Some(frame) => match Packet::decode(frame, Some(Version::V5), Role::Client) {
                Ok(Packet::Subscribe(subscribe)) => subscribe.filters.into_iter().count(),
                other => panic!("{other:?}"),
            },
        };
        assert_eq!(asked, count);
        let answer = SubAck::new(id(SUBSCRIBE_ID), &[1; 8][..count.max(1)]);
        relay.hear(Side::Far, &Packet::SubAck(answer)).unwrap();
    }
}

#[test]
fn a_broker_that_has_gone_astray_ends_the_relay() {
    let connack = noctule_proto::packet::ConnAck::new(false, ReasonCode::Success);
    for (packet, wanted) in [
        (Packet::Disconnect(Disconnect::new(ReasonCode::ServerShuttingDown)), "Said"),
        (Packet::ConnAck(connack), "Unexpected"),
    ] {
        let mut relay = relay(Version::V5, terms(), |_| ());
        let end = relay.hear(Side::Far, &packet).unwrap_err();
        assert!(format!("{end:?}").starts_with(wanted), "{end:?}");
    }
    let mut relay = relay(Version::V5, terms(), |_| ());
    relay.came(Side::Far, &[0, 0], Instant::now());
    assert!(matches!(relay.work(Instant::now()), Err(End::Broken(Side::Far, _))));
}

#[test]
fn silence_is_answered_by_a_ping_and_more_of_it_by_the_end() {
    let mut relay = relay(Version::V311, terms(), |_| ());
    let after = |secs| Instant::now() + Duration::from_secs(secs);
    relay.tick(after(61)).unwrap();
    assert_eq!(relay.told(Side::Far), [(P::PingReq, 0)]);
    assert!(matches!(relay.tick(after(130)), Err(End::Silent)));
    relay.hear(Side::Far, &Packet::PingResp).unwrap();
    relay.tick(after(1)).unwrap();
}

/// Bytes of anything: no panic, and no more kept than came.
#[test]
fn no_bytes_of_either_side_do_harm() {
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut throw = move |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    for round in 0..20_000 {
        let version = [Version::V5, Version::V311, Version::V31][round % 3];
        let mut relay = relay(version, terms(), |_| ());
        relay.begin(&Holdings::default(), throw(2) == 0);
        for _ in 0..throw(12) {
            let side = if throw(2) == 0 { Side::Near } else { Side::Far };
            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][throw(3) as usize];
            let number = throw(4) as u16 + 1;
            let reason = [ReasonCode::Success, ReasonCode::UnspecifiedError][throw(2) as usize];
            let packet = match throw(7) {
                0 => publish(["h/a", "t/a", "x"][throw(3) as usize], qos, number),
                1 => Packet::PubAck(ack(number, reason)),
                2 => Packet::PubRec(ack(number, reason)),
                3 => Packet::PubRel(ack(number, ReasonCode::Success)),
                4 => Packet::PubComp(ack(number, ReasonCode::Success)),
                5 => Packet::SubAck(SubAck::new(id(SUBSCRIBE_ID), &[0x80])),
                _ => Packet::PingResp,
            };
            let mut bytes = Vec::new();
            packet.encode(relay.line(side).version, &mut bytes);
            if throw(20) == 0 && !bytes.is_empty() {
                let at = throw(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << throw(8);
            }
            relay.came(side, &bytes, Instant::now());
            if relay.work(Instant::now()).is_err() {
                break;
            }
        }
    }
}
