//! Scripts: what goes in, what comes out.

mod acks;
mod auth;
mod connecting;
mod hostile;
mod journal;
mod keep_alive;
mod lossy;
mod malformed;
mod receiving;
mod requests;
mod resuming;
mod sending;
mod wire;

use super::*;
use crate::delivery::Delivery;
use crate::options::{Acknowledge, Will};
use crate::{QoS, SubscribeOptions};
use noctule_proto::TopicName;
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

/// Of a session that outlives its connections.
pub(super) fn kept(version: Version) -> Options {
    let clean_start = version == Version::V5;
    Options { session_expiry_secs: 60, clean_start, ..options(version) }
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
            "CONNECT {} clean={} keep={}{}",
            connect.client_id,
            connect.clean_start,
            connect.keep_alive_secs,
            say_auth(
                connect.properties.authentication_method,
                connect.properties.authentication_data
            )
        ),
        Packet::Auth(auth) => {
            format!("AUTH {:#04x}{}", auth.reason.as_u8(), say_auth(auth.method, auth.data))
        }
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

fn say_auth(method: Option<&str>, data: Option<&[u8]>) -> String {
    let Some(method) = method else { return String::new() };
    format!(" auth={method}/{}", String::from_utf8_lossy(data.unwrap_or_default()))
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
    welcome_with(session, session_present, ConnAckProperties::default());
}

pub(super) fn welcome_with(
    session: &mut Owner,
    session_present: bool,
    properties: ConnAckProperties<'_>,
) {
    let plain = packet::ConnAck::new(session_present, ReasonCode::Success);
    give(session, &Packet::ConnAck(packet::ConnAck { properties, ..plain }));
}

pub(super) fn online_with(options: Options, properties: ConnAckProperties<'_>) -> Owner {
    let mut session = Owner::new(options);
    session.open(NOW);
    sent(&mut session);
    welcome_with(&mut session, false, properties);
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
