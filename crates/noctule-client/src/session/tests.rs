//! Scripts: what goes in, what comes out.

use super::*;
use crate::delivery::Delivery;
use crate::options::Will;
use crate::{QoS, SubscribeOptions};
use noctule_proto::packet::{Ack, Auth, ConnAckProperties, Publish, PublishProperties, SubAck};
use noctule_proto::property::UserProperties;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::{Deref, DerefMut};

pub(super) const NOW: Duration = Duration::from_secs(1000);

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn options(version: Version) -> Options {
    Options { version, ..Options::new("c") }
}

/// A session, and what its owner keeps: unread input, and what it was told.
pub(super) struct Owner {
    session: Session,
    input: Vec<u8>,
    told: Vec<String>,
    pub(super) acks: Vec<AckToken>,
    ended: Option<Error>,
}

impl Owner {
    pub(super) fn new(options: Options) -> Owner {
        Owner::of(Session::new(options).expect("legal options"))
    }

    pub(super) fn of(session: Session) -> Owner {
        Owner { session, input: Vec::new(), told: Vec::new(), acks: Vec::new(), ended: None }
    }

    pub(super) fn receive(&mut self, now: Duration, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let mut rest = &self.input[..];
        while let Some(received) = self.session.read(now, &mut rest) {
            let event = match received {
                Received::Event(event) => event,
                Received::Message(delivery) => {
                    self.acks.extend(delivery.ack);
                    self.told.push(tell_message(&delivery));
                    continue;
                }
            };
            if let Event::Ended(error) = &event {
                self.ended = Some(error.clone());
            }
            self.told.push(tell(event));
        }
        self.input = rest.to_vec();
    }
}

impl Deref for Owner {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Owner {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

/// Packets that the session has put out, decoded as a server would, and then forgotten.
pub(super) fn sent(session: &mut Owner) -> Vec<String> {
    let version = session.options.version;
    let bytes = session.output().to_vec();
    session.written(NOW, bytes.len());
    let mut rest = &bytes[..];
    let mut packets = Vec::new();
    while let Some(frame) = next_frame(rest, u32::MAX).expect("a packet") {
        let known = (frame.first >> 4 != PacketType::Connect as u8).then_some(version);
        let packet = Packet::decode(frame, known, Role::Client).expect("a legal packet");
        packets.push(say(&packet));
        rest = &rest[frame.len..];
    }
    assert!(rest.is_empty());
    packets
}

/// A packet in one line.
fn say(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connect(connect) => format!(
            "CONNECT {} clean={} keep={}",
            connect.client_id, connect.clean_start, connect.keep_alive_secs
        ),
        Packet::Publish(p) => format!(
            "PUBLISH{} q{}{} {} {}",
            if p.dup { " dup" } else { "" },
            p.qos as u8,
            p.packet_id.map_or(String::new(), |id| format!(" #{id}")),
            p.topic.as_str(),
            String::from_utf8_lossy(p.payload)
        ),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            format!("{} #{} {:#04x}", packet.packet_type(), ack.packet_id, ack.reason.as_u8())
        }
        Packet::Subscribe(s) => {
            let filters: Vec<_> =
                s.filters.map(|(f, o)| format!("{}@{}", f.as_str(), o.qos as u8)).collect();
            format!("SUBSCRIBE #{} {}", s.packet_id, filters.join(" "))
        }
        Packet::Unsubscribe(u) => {
            let filters: Vec<_> = u.filters.map(|f| f.as_str().to_owned()).collect();
            format!("UNSUBSCRIBE #{} {}", u.packet_id, filters.join(" "))
        }
        Packet::Disconnect(d) => format!("DISCONNECT {:#04x}", d.reason.as_u8()),
        other => other.packet_type().to_string(),
    }
}

/// What was told so far, in one line each.
pub(super) fn events(owner: &mut Owner) -> Vec<String> {
    let mut told = std::mem::take(&mut owner.told);
    told.extend(std::iter::from_fn(|| owner.next_event()).map(tell));
    told
}

fn tell_message(delivery: &Delivery<'_>) -> String {
    let dup = if delivery.duplicate { " dup" } else { "" };
    let payload = String::from_utf8_lossy(delivery.payload);
    format!("message{dup} q{} {} {payload}", delivery.qos as u8, delivery.topic)
}

fn tell(event: Event) -> String {
    match event {
        Event::Connected(c) => format!("connected {}", c.session_present),
        Event::Published { token, result } => format!("published {} {}", token.0, brief(result)),
        Event::Subscribed { token, result } => format!("subscribed {} {}", token.0, brief(result)),
        Event::Unsubscribed { token, result } => {
            format!("unsubscribed {} {}", token.0, brief(result))
        }
        Event::Reauthenticated => "reauthenticated".to_owned(),
        Event::Ended(error) => format!("ended {error:?}"),
    }
}

fn brief<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(Error::Rejected(notice)) => format!("rejected {:#04x}", notice.code),
        Err(error) => format!("{error:?}"),
    }
}

pub(super) fn give(session: &mut Owner, packet: &Packet<'_>) {
    let mut bytes = Vec::new();
    packet.encode(session.options.version, &mut bytes);
    assert!(!bytes.is_empty());
    session.receive(NOW, &bytes);
}

pub(super) fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("not 0")
}

pub(super) fn ack(number: u16) -> Ack<'static> {
    Ack::new(id(number), ReasonCode::Success)
}

pub(super) fn welcome(session: &mut Owner, session_present: bool) {
    let connack = packet::ConnAck::new(session_present, ReasonCode::Success);
    give(session, &Packet::ConnAck(connack));
}

pub(super) fn online_with(options: Options, properties: ConnAckProperties<'_>) -> Owner {
    let mut session = Owner::new(options);
    session.open(NOW);
    sent(&mut session);
    let connack =
        packet::ConnAck { properties, ..packet::ConnAck::new(false, ReasonCode::Success) };
    give(&mut session, &Packet::ConnAck(connack));
    assert_eq!(events(&mut session), ["connected false"]);
    session
}

pub(super) fn online(version: Version) -> Owner {
    online_with(options(version), ConnAckProperties::default())
}

pub(super) fn reconnect(session: &mut Owner, session_present: bool) {
    session.lose(Error::Closed);
    events(session);
    session.open(NOW);
    sent(session);
    welcome(session, session_present);
}

pub(super) fn publish(session: &mut Owner, topic: &str, qos: QoS) {
    session.publish(Message::new(topic, "x").qos(qos)).expect("a legal message");
}

pub(super) fn incoming<'a>(topic: &'a str, qos: QoS, number: u16) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: TopicName::parse(topic).expect("a topic"),
        packet_id: PacketId::new(number),
        properties: PublishProperties::default(),
        payload: b"x",
    }
}

#[test]
fn the_first_bytes_are_those_of_the_standard() {
    let mut v5 = Owner::new(options(Version::V5));
    v5.open(NOW);
    assert_eq!(v5.output(), b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01c");
    let mut v311 = Owner::new(options(Version::V311));
    v311.open(NOW);
    assert_eq!(v311.output(), b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c");
    let mut v31 = Owner::new(options(Version::V31));
    v31.open(NOW);
    assert_eq!(v31.output(), b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01c");
}

#[test]
fn everything_asked_for_is_in_connect() {
    let mut options = options(Version::V5);
    options.user_name = Some("u".into());
    options.password = Some(b"p".to_vec());
    options.session_expiry_secs = 9;
    options.receive_maximum = 7;
    options.topic_alias_maximum = 5;
    options.maximum_packet_size = Some(1000);
    options.will = Some(Will { message: Message::new("w", "gone").retained(), delay_secs: 3 });
    let mut session = Owner::new(options);
    session.open(NOW);
    let frame = next_frame(session.output(), u32::MAX).expect("legal").expect("whole");
    let Ok(Packet::Connect(connect)) = Packet::decode(frame, None, Role::Client) else {
        panic!("a CONNECT")
    };
    assert_eq!((connect.user_name, connect.password), (Some("u"), Some(&b"p"[..])));
    assert_eq!(connect.properties.session_expiry_secs, Some(9));
    assert_eq!(connect.properties.receive_maximum.map(u16::from), Some(7));
    assert_eq!(connect.properties.topic_alias_maximum, Some(5));
    assert_eq!(connect.properties.maximum_packet_size.map(u32::from), Some(1000));
    let will = connect.will.expect("a will");
    assert_eq!((will.topic.as_str(), will.delay_secs, will.retain), ("w", 3, true));
}

#[test]
fn a_packet_may_come_in_any_pieces() {
    let mut session = online(Version::V5);
    let mut bytes = Vec::new();
    for number in 1..4 {
        let publish = incoming("a/b", QoS::AtLeastOnce, number);
        Packet::Publish(publish).encode(Version::V5, &mut bytes);
    }
    for size in [1, 5, 11] {
        bytes.chunks(size).for_each(|piece| session.receive(NOW, piece));
        assert_eq!(events(&mut session), ["message q1 a/b x"; 3]);
        assert_eq!(sent(&mut session), ["PUBACK #1 0x00", "PUBACK #2 0x00", "PUBACK #3 0x00"]);
    }
}

#[test]
fn qos_0_is_done_when_it_is_out() {
    let mut session = online(Version::V311);
    publish(&mut session, "t", QoS::AtMostOnce);
    assert_eq!(sent(&mut session), ["PUBLISH q0 t x"]);
    assert_eq!(events(&mut session), ["published 1 Success"]);
}

#[test]
fn qos_1_is_done_with_puback_and_qos_2_with_pubcomp() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut session = online(version);
        publish(&mut session, "a", QoS::AtLeastOnce);
        publish(&mut session, "b", QoS::ExactlyOnce);
        assert_eq!(sent(&mut session), ["PUBLISH q1 #1 a x", "PUBLISH q2 #2 b x"]);
        assert_eq!(events(&mut session), Vec::<String>::new());
        give(&mut session, &Packet::PubAck(ack(1)));
        assert_eq!(events(&mut session), ["published 1 Success"]);
        give(&mut session, &Packet::PubRec(ack(2)));
        assert_eq!(sent(&mut session), ["PUBREL #2 0x00"]);
        assert_eq!(events(&mut session), Vec::<String>::new());
        give(&mut session, &Packet::PubComp(ack(2)));
        assert_eq!(events(&mut session), ["published 2 Success"]);
        assert_eq!(session.open_requests(), 0);
    }
}

#[test]
fn a_message_that_the_server_refuses_fails_with_its_reason() {
    let mut session = online(Version::V5);
    publish(&mut session, "a", QoS::AtLeastOnce);
    publish(&mut session, "b", QoS::ExactlyOnce);
    sent(&mut session);
    give(&mut session, &Packet::PubAck(Ack::new(id(1), ReasonCode::NotAuthorized)));
    give(&mut session, &Packet::PubRec(Ack::new(id(2), ReasonCode::QuotaExceeded)));
    assert_eq!(events(&mut session), ["published 1 rejected 0x87", "published 2 rejected 0x97"]);
    // No PUBREL for a message that is not the server's [MQTT-4.3.3-4 v5].
    assert_eq!(sent(&mut session), Vec::<String>::new());
}

#[test]
fn no_more_is_on_the_way_than_the_server_takes_and_the_rest_follows_in_order() {
    let two = ConnAckProperties { receive_maximum: NonZeroU16::new(2), ..Default::default() };
    let mut session = online_with(options(Version::V5), two);
    for topic in ["a", "b", "c", "d"] {
        publish(&mut session, topic, QoS::AtLeastOnce);
    }
    assert_eq!(sent(&mut session), ["PUBLISH q1 #1 a x", "PUBLISH q1 #2 b x"]);
    // Only PUBLISH waits [MQTT-3.3.4-8 v5].
    session.unsubscribe(&Unsubscribe::from("t")).expect("online");
    assert_eq!(sent(&mut session), ["UNSUBSCRIBE #3 t"]);
    give(&mut session, &Packet::PubAck(ack(2)));
    assert_eq!(sent(&mut session), ["PUBLISH q1 #4 c x"]);
    give(&mut session, &Packet::PubAck(ack(1)));
    assert_eq!(sent(&mut session), ["PUBLISH q1 #5 d x"]);
}

#[test]
fn a_kept_session_goes_on_where_it_was() {
    let mut options = options(Version::V5);
    options.session_expiry_secs = 60;
    let mut session = online_with(options, ConnAckProperties::default());
    publish(&mut session, "a", QoS::ExactlyOnce);
    publish(&mut session, "b", QoS::AtLeastOnce);
    publish(&mut session, "c", QoS::ExactlyOnce);
    give(&mut session, &Packet::PubRec(ack(1)));
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    sent(&mut session);
    session.lose(Error::Closed);
    assert_eq!(events(&mut session), ["message q2 in x", "ended Closed"]);
    publish(&mut session, "d", QoS::AtLeastOnce);
    session.open(NOW);
    assert_eq!(sent(&mut session), ["CONNECT c clean=false keep=60"]);
    welcome(&mut session, true);
    let again = ["PUBREL #1 0x00", "PUBLISH dup q1 #2 b x", "PUBLISH dup q2 #3 c x"];
    let mut expected = again.to_vec();
    expected.push("PUBLISH q1 #4 d x");
    assert_eq!(sent(&mut session), expected);
    // The same message again is acknowledged and not delivered twice [MQTT-4.3.3-10 v5].
    let repeat = Publish { dup: true, ..incoming("in", QoS::ExactlyOnce, 9) };
    give(&mut session, &Packet::Publish(repeat));
    assert_eq!(sent(&mut session), ["PUBREC #9 0x00"]);
    assert_eq!(events(&mut session), ["connected true"]);
    give(&mut session, &Packet::PubRel(ack(9)));
    give(&mut session, &Packet::PubRel(ack(9)));
    assert_eq!(sent(&mut session), ["PUBCOMP #9 0x00", "PUBCOMP #9 0x92"]);
}

#[test]
fn resending_keeps_to_the_receive_maximum_of_the_new_connection() {
    let mut options = options(Version::V5);
    options.session_expiry_secs = 60;
    let mut session = online_with(options, ConnAckProperties::default());
    for topic in ["a", "b", "c"] {
        publish(&mut session, topic, QoS::AtLeastOnce);
    }
    session.lose(Error::Closed);
    session.open(NOW);
    sent(&mut session);
    publish(&mut session, "d", QoS::AtMostOnce);
    let one = ConnAckProperties { receive_maximum: NonZeroU16::new(1), ..Default::default() };
    let connack =
        packet::ConnAck { properties: one, ..packet::ConnAck::new(true, ReasonCode::Success) };
    give(&mut session, &Packet::ConnAck(connack));
    assert_eq!(sent(&mut session), ["PUBLISH dup q1 #1 a x"]);
    give(&mut session, &Packet::PubAck(ack(1)));
    assert_eq!(sent(&mut session), ["PUBLISH dup q1 #2 b x"]);
    give(&mut session, &Packet::PubAck(ack(2)));
    assert_eq!(sent(&mut session), ["PUBLISH dup q1 #3 c x", "PUBLISH q0 d x"]);
}

#[test]
fn a_lost_session_is_lost_here_too() {
    let mut options = options(Version::V5);
    options.session_expiry_secs = 60;
    let mut session = online_with(options, ConnAckProperties::default());
    publish(&mut session, "a", QoS::ExactlyOnce);
    publish(&mut session, "b", QoS::AtLeastOnce);
    publish(&mut session, "c", QoS::ExactlyOnce);
    give(&mut session, &Packet::PubRec(ack(1)));
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    sent(&mut session);
    reconnect(&mut session, false);
    // What had been the server's is delivered, QoS 1 starts anew, and of QoS 2 nobody knows.
    let told = ["connected false", "published 1 Success", "published 3 SessionLost"];
    assert_eq!(events(&mut session), told);
    assert_eq!(sent(&mut session), ["PUBLISH q1 #4 b x"]);
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    assert_eq!(events(&mut session), ["message q2 in x"]);
}

#[test]
fn a_session_that_was_to_be_forgotten_and_is_resumed_ends_the_connection() {
    let mut session = Owner::new(options(Version::V5));
    session.open(NOW);
    sent(&mut session);
    welcome(&mut session, true);
    assert_eq!(events(&mut session), ["ended Protocol(SessionPresent)"]);
    assert_eq!(sent(&mut session), ["DISCONNECT 0x82"]);
}

#[test]
fn a_refused_connection_tells_code_and_fix() {
    for (version, code) in [(Version::V311, 5), (Version::V5, 0x87)] {
        let mut session = Owner::new(options(version));
        session.open(NOW);
        let connack = packet::ConnAck::new(false, ReasonCode::NotAuthorized);
        give(&mut session, &Packet::ConnAck(connack));
        let Some(Error::Refused(notice)) = session.ended.take() else { panic!("refused") };
        assert_eq!(notice.code, code);
        let words = Error::Refused(notice).to_string();
        assert!(words.contains("not authorized") && words.contains("likely fix"), "{words}");
    }
}

#[test]
fn a_server_of_old_that_refuses_a_new_version_is_understood() {
    let mut session = Owner::new(options(Version::V5));
    session.open(NOW);
    session.receive(NOW, &[0x20, 2, 0, 1]);
    let Some(Error::Refused(notice)) = session.ended.take() else { panic!("refused") };
    assert_eq!(notice.reason, ReasonCode::UnsupportedProtocolVersion);
}

#[test]
fn what_this_server_does_not_take_is_not_sent() {
    let poor = ConnAckProperties {
        maximum_qos: Some(QoS::AtMostOnce),
        retain_available: Some(false),
        maximum_packet_size: NonZeroU32::new(20),
        wildcard_subscription_available: Some(false),
        shared_subscription_available: Some(false),
        subscription_identifiers_available: Some(false),
        ..Default::default()
    };
    let mut session = online_with(options(Version::V5), poor);
    publish(&mut session, "a", QoS::AtLeastOnce);
    session.publish(Message::new("a", "x").retained()).expect("legal");
    session.publish(Message::new("a", "x".repeat(15))).expect("legal");
    session.publish(Message::new("a", "x".repeat(14))).expect("legal");
    let told = events(&mut session);
    assert!(told[0].contains("QoSNotSupported { max: AtMostOnce }"), "{told:?}");
    assert!(told[1].contains("RetainNotSupported"), "{told:?}");
    assert!(told[2].contains("PacketTooLarge { size: 21, max: 20 }"), "{told:?}");
    assert_eq!(told[3], "published 4 Success");
    assert_eq!(sent(&mut session).len(), 1);
    let mut refused = |subscribe: Subscribe| match session.subscribe(&subscribe) {
        Err(Error::Invalid(invalid)) => invalid,
        other => panic!("{other:?}"),
    };
    let qos = QoS::AtMostOnce;
    assert_eq!(refused(Subscribe::to("a/+", qos)), Invalid::WildcardsNotSupported);
    assert_eq!(refused(Subscribe::to("$share/g/a", qos)), Invalid::SharedNotSupported);
    let with_id = Subscribe { id: Some(1), ..Subscribe::to("a", qos) };
    assert_eq!(refused(with_id), Invalid::SubscriptionIdsNotSupported);
    let long = refused(Subscribe::to("a".repeat(20), qos));
    assert!(matches!(long, Invalid::PacketTooLarge { max: 20, .. }));
    assert_eq!(sent(&mut session), Vec::<String>::new());
    session.subscribe(&Subscribe::to("a", qos)).expect("what is left is legal");
}

#[test]
fn what_no_server_may_get_is_refused_at_once() {
    let mut session = online(Version::V5);
    assert!(matches!(session.publish(Message::new("a/#", "")), Err(Invalid::TopicName(_))));
    assert!(matches!(session.publish(Message::new("", "")), Err(Invalid::TopicName(_))));
    let bad = session.subscribe(&Subscribe::to("a/#/b", QoS::AtMostOnce));
    assert!(matches!(bad, Err(Error::Invalid(Invalid::TopicFilter(_)))));
    assert!(session.subscribe(&Subscribe::default()).is_err());
    let no_local = SubscribeOptions { no_local: true, ..SubscribeOptions::default() };
    let bad = session.subscribe(&Subscribe::default().and("$share/g/a", no_local));
    assert!(matches!(bad, Err(Error::Invalid(Invalid::NoLocalOnShared))));
    assert_eq!(sent(&mut session), Vec::<String>::new());
}

#[test]
fn subscribe_and_unsubscribe_bring_a_code_for_each_filter() {
    let mut session = online(Version::V5);
    let both = Subscribe::to("a", QoS::AtLeastOnce).and("b/#", SubscribeOptions::default());
    session.subscribe(&both).expect("online");
    session.unsubscribe(&Unsubscribe::from("a").and("b/#")).expect("online");
    assert_eq!(sent(&mut session), ["SUBSCRIBE #1 a@1 b/#@0", "UNSUBSCRIBE #2 a b/#"]);
    give(&mut session, &Packet::SubAck(SubAck::new(id(1), &[1, 0x87])));
    give(&mut session, &Packet::UnsubAck(SubAck::new(id(2), &[0, 0x11])));
    let told = [
        "subscribed 1 [GrantedQoS1, NotAuthorized]",
        "unsubscribed 2 [Success, NoSubscriptionExisted]",
    ];
    assert_eq!(events(&mut session), told);
    let mut old = online(Version::V311);
    old.unsubscribe(&Unsubscribe::from("a").and("b")).expect("online");
    give(&mut old, &Packet::UnsubAck(SubAck::new(id(1), &[])));
    assert_eq!(events(&mut old), ["unsubscribed 1 [Success, Success]"]);
}

#[test]
fn requests_die_with_their_connection_and_their_identifiers_are_free_again() {
    let mut options = options(Version::V5);
    options.session_expiry_secs = 60;
    let mut session = online_with(options, ConnAckProperties::default());
    session.subscribe(&Subscribe::to("a", QoS::AtMostOnce)).expect("online");
    session.lose(Error::Closed);
    assert_eq!(events(&mut session), ["subscribed 1 Closed", "ended Closed"]);
    let offline = session.subscribe(&Subscribe::to("a", QoS::AtMostOnce));
    assert!(matches!(offline, Err(Error::NotConnected)));
    assert_eq!(session.open_requests(), 0);
}

#[test]
fn topic_aliases_stand_for_the_topic_until_the_connection_ends() {
    let mut options = options(Version::V5);
    (options.topic_alias_maximum, options.session_expiry_secs) = (2, 60);
    let mut session = online_with(options, ConnAckProperties::default());
    let aliased = |topic, alias| Publish {
        topic: TopicName::parse(topic).unwrap_or(TopicName::EMPTY),
        properties: PublishProperties {
            topic_alias: NonZeroU16::new(alias),
            ..PublishProperties::default()
        },
        ..incoming("a", QoS::AtMostOnce, 0)
    };
    give(&mut session, &Packet::Publish(aliased("a", 2)));
    give(&mut session, &Packet::Publish(aliased("", 2)));
    give(&mut session, &Packet::Publish(aliased("b", 2)));
    give(&mut session, &Packet::Publish(aliased("", 2)));
    let told = ["message q0 a x", "message q0 a x", "message q0 b x", "message q0 b x"];
    assert_eq!(events(&mut session), told);
    reconnect(&mut session, true);
    events(&mut session);
    give(&mut session, &Packet::Publish(aliased("", 2)));
    assert_eq!(events(&mut session), ["ended Protocol(UnknownAlias)"]);
    assert_eq!(sent(&mut session), ["DISCONNECT 0x82"]);
    reconnect(&mut session, true);
    events(&mut session);
    give(&mut session, &Packet::Publish(aliased("a", 3)));
    assert_eq!(events(&mut session), ["ended Protocol(TopicAlias)"]);
    assert_eq!(sent(&mut session), ["DISCONNECT 0x94"]);
}

#[test]
fn a_server_that_breaks_the_rules_is_told_and_left() {
    let v5 = Version::V5;
    let told = |session: &mut Owner| (sent(session).pop(), events(session).pop());
    let mut session = online(v5);
    session.receive(NOW, &[0xF0, 0]);
    let (said, _) = told(&mut session);
    assert_eq!(said.as_deref(), Some("DISCONNECT 0x82"));
    // AUTH without a method in CONNECT (4.12 v5).
    let mut session = online(v5);
    let auth = Auth {
        method: Some("m"),
        data: None,
        reason: ReasonCode::ContinueAuthentication,
        reason_string: None,
        user_properties: UserProperties::EMPTY,
    };
    give(&mut session, &Packet::Auth(auth));
    assert_eq!(told(&mut session).0.as_deref(), Some("DISCONNECT 0x82"));
    // PUBACK for QoS 2.
    let mut session = online(v5);
    publish(&mut session, "a", QoS::ExactlyOnce);
    give(&mut session, &Packet::PubAck(ack(1)));
    assert_eq!(told(&mut session).0.as_deref(), Some("DISCONNECT 0x82"));
    // More QoS 2 than we take (3.3.4 v5).
    let mut few = options(v5);
    few.receive_maximum = 1;
    let mut session = online_with(few, ConnAckProperties::default());
    give(&mut session, &Packet::Publish(incoming("a", QoS::ExactlyOnce, 1)));
    give(&mut session, &Packet::Publish(incoming("a", QoS::ExactlyOnce, 2)));
    assert_eq!(told(&mut session).0.as_deref(), Some("DISCONNECT 0x93"));
    // A packet larger than we take.
    let mut small = options(v5);
    small.maximum_packet_size = Some(10);
    let mut session = online_with(small, ConnAckProperties::default());
    session.receive(NOW, &[0x30, 9]);
    assert_eq!(told(&mut session).0.as_deref(), Some("DISCONNECT 0x95"));
    // A wrong number of codes; nothing can be said before 5.0.
    let mut session = online(Version::V311);
    session.subscribe(&Subscribe::to("a", QoS::AtMostOnce)).expect("online");
    sent(&mut session);
    give(&mut session, &Packet::SubAck(SubAck::new(id(1), &[0, 0])));
    assert_eq!(told(&mut session), (None, Some("ended Protocol(AnswerCount)".into())));
}

#[test]
fn stray_acknowledgements_are_borne() {
    let mut session = online(Version::V5);
    give(&mut session, &Packet::PubAck(ack(7)));
    give(&mut session, &Packet::PubComp(ack(7)));
    give(&mut session, &Packet::PubRec(ack(7)));
    assert_eq!(sent(&mut session), ["PUBREL #7 0x92"]);
    assert!(session.is_online());
}

#[test]
fn silence_is_pinged_and_an_unanswered_ping_ends_the_connection() {
    let quicker = ConnAckProperties { server_keep_alive_secs: Some(16), ..Default::default() };
    let mut session = online_with(options(Version::V5), quicker);
    assert_eq!(session.next_deadline(), Some(NOW + secs(14)));
    session.tick(NOW + secs(14));
    assert_eq!(session.output(), [0xC0, 0]);
    session.written(NOW + secs(14), 2);
    session.receive(NOW + secs(15), &[0xD0, 0]);
    assert_eq!(session.next_deadline(), Some(NOW + secs(28)));
    session.tick(NOW + secs(28));
    let patience = session.next_deadline().expect("waits for PINGRESP");
    assert_eq!(patience, NOW + secs(44));
    session.tick(patience);
    assert_eq!(events(&mut session), ["ended NoAnswer(PingReq)"]);
}

#[test]
fn a_server_that_never_answers_connect_is_given_up() {
    let mut session = Owner::new(options(Version::V5));
    session.open(NOW);
    let deadline = session.next_deadline().expect("waits for CONNACK");
    session.tick(deadline - secs(1));
    assert_eq!(events(&mut session), Vec::<String>::new());
    session.tick(deadline);
    assert_eq!(events(&mut session), ["ended NoAnswer(Connect)"]);
}

#[test]
fn the_assigned_client_identifier_names_the_session_from_then_on() {
    let assigned = ConnAckProperties { assigned_client_id: Some("auto-1"), ..Default::default() };
    let nameless = Options { session_expiry_secs: 60, ..Options::default() };
    let mut session = online_with(nameless, assigned);
    session.lose(Error::Closed);
    session.open(NOW);
    assert_eq!(sent(&mut session), ["CONNECT auto-1 clean=false keep=60"]);
    welcome(&mut session, true);
    assert_eq!(session.server().map(|server| server.client_id.as_str()), Some("auto-1"));
}

#[test]
fn good_bye_is_said_once() {
    let mut session = online(Version::V5);
    session.disconnect(&Goodbye::default());
    session.disconnect(&Goodbye::default());
    assert_eq!(session.output(), [0xE0, 0]);
    assert_eq!(events(&mut session), ["ended Finished"]);
    let mut session = online(Version::V5);
    session.receive(NOW, &[0xE0, 1, 0x8B]);
    let Some(Error::Disconnected(notice)) = session.ended.take() else { panic!("disconnected") };
    assert_eq!(notice.reason, ReasonCode::ServerShuttingDown);
}
