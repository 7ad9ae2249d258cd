//! Cases for every property in every packet that has properties: valid, repeated, out of place,
//! out of range, ill-formed and cut at every byte.

use super::{Case, Expect, bytes, frame, malformed, protocol_error};
use crate::Role::{Client, Server};
use crate::property::PropertyId;
use crate::{Cause, PacketType, ReasonCode, Role, TopicError, Version};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for home in homes() {
        for id in PropertyId::all() {
            if home.takes(id) {
                at_home(&home, id, &mut cases);
            } else {
                let entry = entry(id, &value(id));
                let expect = malformed(Cause::MisplacedProperty(id));
                cases.push(home.case(format!("{id} out of place"), &entry, expect));
            }
        }
        section(&home, &mut cases);
    }
    cases
}

/// A packet with a property section: what stands before it and after it.
struct Home {
    name: &'static str,
    packet: PacketType,
    sender: Role,
    /// The properties that the standard allows here, whoever sends it `[2.2.2.2 v5]`.
    ids: &'static [u8],
    before: Vec<u8>,
    after: Vec<u8>,
    /// What a server replies to it, if a client sent it.
    reply: &'static str,
}

impl Home {
    fn takes(&self, id: PropertyId) -> bool {
        self.ids.contains(&(id as u8))
    }

    /// The packet with these properties.
    fn case(&self, what: String, properties: &[u8], expect: Expect) -> Case {
        let mut section = Vec::new();
        crate::write::varint(&mut section, properties.len());
        section.extend_from_slice(properties);
        self.with_section(what, &section, expect)
    }

    /// The packet with these bytes in place of its property section.
    fn with_section(&self, what: String, section: &[u8], expect: Expect) -> Case {
        let body = [&self.before, section, &self.after].concat();
        let name = format!("5 {} of {:?}: {what}", self.name, self.sender);
        let bytes = frame(&[self.packet.first()], &body);
        Case::new(&name, Version::V5, self.sender, bytes, expect).replied(self.reply)
    }
}

/// The identifiers that belong into each packet, written down from the table of the standard.
mod allowed {
    pub(super) const CONNECT: &[u8] = &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27];
    pub(super) const WILL: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26];
    pub(super) const CONNACK: &[u8] = &[
        0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28,
        0x29, 0x2A,
    ];
    pub(super) const PUBLISH: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26];
    pub(super) const SUBSCRIBE: &[u8] = &[0x0B, 0x26];
    pub(super) const UNSUBSCRIBE: &[u8] = &[0x26];
    pub(super) const ACKS: &[u8] = &[0x1F, 0x26];
    pub(super) const DISCONNECT: &[u8] = &[0x11, 0x1C, 0x1F, 0x26];
    pub(super) const AUTH: &[u8] = &[0x15, 0x16, 0x1F, 0x26];
}

/// Every packet that has properties, once for each side that sends it.
fn homes() -> Vec<Home> {
    use PacketType as T;
    let client = [
        ("CONNECT", T::Connect, allowed::CONNECT, (r#""MQTT" 05 02 00 3C"#, r#""a""#), "accepted"),
        (
            "will",
            T::Connect,
            allowed::WILL,
            (r#""MQTT" 05 06 00 3C 00 "a""#, r#""w" "bye""#),
            "accepted",
        ),
        ("PUBLISH", T::Publish, allowed::PUBLISH, (r#""t""#, "'hello'"), ""),
        ("PUBACK", T::PubAck, allowed::ACKS, ("00 01 00", ""), ""),
        ("PUBREC", T::PubRec, allowed::ACKS, ("00 01 00", ""), "62 03 00 01 92"),
        ("PUBREL", T::PubRel, allowed::ACKS, ("00 01 00", ""), "70 03 00 01 92"),
        ("PUBCOMP", T::PubComp, allowed::ACKS, ("00 01 00", ""), ""),
        (
            "SUBSCRIBE",
            T::Subscribe,
            allowed::SUBSCRIBE,
            ("00 01", r#""a" 00"#),
            "90 04 00 01 00 00",
        ),
        (
            "UNSUBSCRIBE",
            T::Unsubscribe,
            allowed::UNSUBSCRIBE,
            ("00 01", r#""a""#),
            "B0 04 00 01 00 11",
        ),
        ("DISCONNECT", T::Disconnect, allowed::DISCONNECT, ("00", ""), "closed"),
        // The CONNECT before it named no method.
        ("AUTH", T::Auth, allowed::AUTH, ("18", ""), "ends 82"),
    ];
    let server = [
        ("CONNACK", T::ConnAck, allowed::CONNACK, ("00 00", "")),
        ("PUBLISH", T::Publish, allowed::PUBLISH, (r#""t""#, "'hello'")),
        ("PUBACK", T::PubAck, allowed::ACKS, ("00 01 00", "")),
        ("PUBREC", T::PubRec, allowed::ACKS, ("00 01 00", "")),
        ("PUBREL", T::PubRel, allowed::ACKS, ("00 01 00", "")),
        ("PUBCOMP", T::PubComp, allowed::ACKS, ("00 01 00", "")),
        ("SUBACK", T::SubAck, allowed::ACKS, ("00 01", "00")),
        ("UNSUBACK", T::UnsubAck, allowed::ACKS, ("00 01", "00")),
        ("DISCONNECT", T::Disconnect, allowed::DISCONNECT, ("00", "")),
        ("AUTH", T::Auth, allowed::AUTH, ("18", "")),
    ];
    let home = |sender, (name, packet, ids, (before, after), reply)| {
        let (before, after): (&str, &str) = (before, after);
        Home { name, packet, sender, ids, before: bytes(before), after: bytes(after), reply }
    };
    let client = client.into_iter().map(|row| home(Client, row));
    let server = server
        .into_iter()
        .map(|(name, packet, ids, around)| home(Server, (name, packet, ids, around, "")));
    client.chain(server).collect()
}

/// How a value looks on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Flag,
    Fixed,
    Varint,
    Text,
    Binary,
    Pair,
}

fn shape(id: PropertyId) -> Shape {
    use PropertyId as P;
    match id {
        P::PayloadFormatIndicator
        | P::RequestProblemInformation
        | P::RequestResponseInformation
        | P::MaximumQoS
        | P::RetainAvailable
        | P::WildcardSubscriptionAvailable
        | P::SubscriptionIdentifierAvailable
        | P::SharedSubscriptionAvailable => Shape::Flag,
        P::MessageExpiryInterval
        | P::SessionExpiryInterval
        | P::WillDelayInterval
        | P::MaximumPacketSize
        | P::ServerKeepAlive
        | P::ReceiveMaximum
        | P::TopicAliasMaximum
        | P::TopicAlias => Shape::Fixed,
        P::SubscriptionIdentifier => Shape::Varint,
        P::ContentType
        | P::ResponseTopic
        | P::AssignedClientIdentifier
        | P::AuthenticationMethod
        | P::ResponseInformation
        | P::ServerReference
        | P::ReasonString => Shape::Text,
        P::CorrelationData | P::AuthenticationData => Shape::Binary,
        P::UserProperty => Shape::Pair,
    }
}

/// A good value.
fn value(id: PropertyId) -> Vec<u8> {
    use PropertyId as P;
    bytes(match shape(id) {
        Shape::Flag => "01",
        Shape::Fixed => match id {
            P::ServerKeepAlive | P::ReceiveMaximum | P::TopicAliasMaximum | P::TopicAlias => {
                "01 00"
            }
            _ => "00 00 01 00",
        },
        Shape::Varint => "80 01",
        Shape::Text => r#""xyz""#,
        Shape::Binary => "00 03 00 FF 80",
        Shape::Pair => r#""k" "v""#,
    })
}

fn entry(id: PropertyId, value: &[u8]) -> Vec<u8> {
    let mut entry = [id as u8].to_vec();
    entry.extend_from_slice(value);
    entry
}

/// What a valid entry has to be preceded by.
fn needed(home: &Home, id: PropertyId) -> Vec<u8> {
    let opening = matches!(home.packet, PacketType::Connect | PacketType::ConnAck);
    if id == PropertyId::AuthenticationData && opening {
        return entry(PropertyId::AuthenticationMethod, &value(PropertyId::AuthenticationMethod));
    }
    Vec::new()
}

/// A property where it belongs.
fn at_home(home: &Home, id: PropertyId, cases: &mut Vec<Case>) {
    let good = entry(id, &value(id));
    let ok = Expect::Packet(home.packet);
    let forbidden = matches!(
        (id, home.packet, home.sender),
        (PropertyId::SubscriptionIdentifier, PacketType::Publish, Client)
            | (PropertyId::SessionExpiryInterval, PacketType::Disconnect, Server)
            | (PropertyId::ServerReference, PacketType::Disconnect, Client)
    );
    if forbidden {
        let expect = protocol_error(Cause::ForbiddenProperty(id));
        cases.push(home.case(format!("{id} from this side"), &good, expect));
        return;
    }
    let needed = needed(home, id);
    let mut push = |what: String, entry: &[u8], expect| {
        let reply = reply_to(home, id, entry).unwrap_or(home.reply);
        cases.push(home.case(what, &[&needed, entry].concat(), expect).replied(reply));
    };
    push(format!("{id}"), &good, ok);
    let repeats = id == PropertyId::UserProperty
        || id == PropertyId::SubscriptionIdentifier && home.packet == PacketType::Publish;
    let twice = if repeats { ok } else { protocol_error(Cause::RepeatedProperty(id)) };
    push(format!("{id} twice"), &[&good[..], &good].concat(), twice);
    for cut in 1..good.len() {
        let expect = malformed(Cause::Truncated);
        push(format!("{id} cut after {cut} bytes"), &good[..cut], expect);
    }
    for (what, bytes, expect) in extremes(id) {
        let expect = expect.unwrap_or(ok);
        push(format!("{id} {what}"), &entry(id, &bytes), expect);
    }
    if !needed.is_empty() {
        let expect = protocol_error(Cause::AuthDataWithoutMethod);
        cases.push(home.case(format!("{id} without method"), &good, expect));
    }
}

/// What a server replies to a valid entry that asks for more than the packet without it.
fn reply_to(home: &Home, id: PropertyId, entry: &[u8]) -> Option<&'static str> {
    use PropertyId as P;
    let zero = entry[1..].iter().all(|byte| *byte == 0);
    match (home.packet, id) {
        // No method is known.
        (PacketType::Connect, P::AuthenticationMethod | P::AuthenticationData) => {
            Some("refused 8C")
        }
        // Every value above 0 in these cases is above the maximum that the broker announces.
        (PacketType::Publish, P::TopicAlias) => Some("ends 94"),
        // The CONNECT said 0.
        (PacketType::Disconnect, P::SessionExpiryInterval) if !zero => Some("ends 82"),
        _ => None,
    }
}

/// Values at the borders of what is allowed, and beyond; `None` is fine.
fn extremes(id: PropertyId) -> Vec<(&'static str, Vec<u8>, Option<Expect>)> {
    use PropertyId as P;
    let out_of_range = Some(protocol_error(Cause::PropertyValue(id)));
    let row = |what, text, expect| (what, bytes(text), expect);
    match shape(id) {
        Shape::Flag => [
            row("0", "00", None),
            row("1", "01", None),
            row("2", "02", out_of_range),
            row("255", "FF", out_of_range),
        ]
        .into(),
        Shape::Fixed => {
            let len = value(id).len();
            let zero = match id {
                P::ReceiveMaximum | P::MaximumPacketSize => out_of_range,
                P::TopicAlias => {
                    Some(Expect::Error(Cause::TopicAliasZero, ReasonCode::TopicAliasInvalid))
                }
                _ => None,
            };
            [("0", [0].repeat(len), zero), ("highest", [0xFF].repeat(len), None)].into()
        }
        Shape::Varint => [
            row("0", "00", out_of_range),
            row("1", "01", None),
            row("highest", "FF FF FF 7F", None),
            row("in five bytes", "80 80 80 80 01", Some(malformed(Cause::BadVarint))),
            row("1 in two bytes", "81 00", Some(malformed(Cause::BadVarint))),
        ]
        .into(),
        Shape::Text if id == P::ResponseTopic => response_topics(),
        Shape::Text => texts(),
        Shape::Binary => [row("empty", "00 00", None)].into(),
        Shape::Pair => {
            let mut rows = [row("empty", r#""" """#, None)].to_vec();
            for (what, bytes, expect) in texts() {
                rows.push((what, [&bytes[..], &super::bytes(r#""v""#)].concat(), expect));
                rows.push((what, [&super::bytes(r#""k""#)[..], &bytes].concat(), expect));
            }
            rows
        }
    }
}

fn texts() -> Vec<(&'static str, Vec<u8>, Option<Expect>)> {
    let ill = Some(malformed(Cause::IllFormedText));
    let forbidden = Some(malformed(Cause::ForbiddenCharacter));
    let row = |what, text, expect| (what, bytes(text), expect);
    [
        row("empty", r#""""#, None),
        row("of many kinds", r#""aü温😀""#, None),
        row("that is no UTF-8", "00 01 FF", ill),
        row("with a surrogate", "00 03 ED A0 80", ill),
        row("with U+0000", "00 01 00", forbidden),
        row("with U+0019", "00 02 61 19", forbidden),
        row("with U+009F", "00 02 C2 9F", forbidden),
        row("with U+FFFE", "00 03 EF BF BE", forbidden),
    ]
    .into()
}

fn response_topics() -> Vec<(&'static str, Vec<u8>, Option<Expect>)> {
    let bad = |error| Some(protocol_error(Cause::ResponseTopic(error)));
    let forbidden = Some(malformed(Cause::ResponseTopic(TopicError::ForbiddenCharacter)));
    let row = |what, text, expect| (what, bytes(text), expect);
    [
        row("with +", r#""a/+""#, bad(TopicError::Wildcard)),
        row("with #", r##""#""##, bad(TopicError::Wildcard)),
        row("empty", r#""""#, bad(TopicError::Empty)),
        row("with U+0000", "00 01 00", forbidden),
        row("that is no UTF-8", "00 01 FF", Some(malformed(Cause::IllFormedText))),
        row("of many levels", r#""a//b/ü""#, None),
    ]
    .into()
}

/// The section as a whole.
fn section(home: &Home, cases: &mut Vec<Case>) {
    let ok = Expect::Packet(home.packet);
    cases.push(home.case("no properties".into(), &[], ok));
    for id in [0x00, 0x04, 0x07, 0x0A, 0x10, 0x14, 0x1B, 0x1D, 0x20, 0x2B, 0x7F] {
        let expect = malformed(Cause::UnknownProperty(id));
        cases.push(home.case(format!("unknown property {id:#04x}"), &[id, 0], expect));
    }
    let far = malformed(Cause::UnknownProperty(0xFF));
    cases.push(home.case("property 0x3FFF".into(), &bytes("FF 7F 00"), far));
    let long_id = malformed(Cause::BadVarint);
    cases.push(home.case("identifier in a long form".into(), &bytes("A6 00 00 00"), long_id));
    for (what, text, expect) in [
        ("length 0 in two bytes", "80 00", malformed(Cause::BadVarint)),
        ("length in five bytes", "FF FF FF FF 7F", malformed(Cause::BadVarint)),
        ("length beyond the packet", "FF 7F", malformed(Cause::Truncated)),
    ] {
        cases.push(home.with_section(what.into(), &bytes(text), expect));
    }
    let pair = |name: u8| [0x26, 0, 1, name, 0, 1, b'v'];
    let many = (b'a'..=b'z').flat_map(pair).collect::<Vec<u8>>();
    cases.push(home.case("26 user properties".into(), &many, ok));
}
