//! The 27 property identifiers: name, type, and where they belong.

use crate::PacketType;
use core::fmt;

/// A property of MQTT 5.0 `[2.2.2.2 v5]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs, reason = "named as in the standard")]
pub enum PropertyId {
    PayloadFormatIndicator = 0x01,
    MessageExpiryInterval = 0x02,
    ContentType = 0x03,
    ResponseTopic = 0x08,
    CorrelationData = 0x09,
    SubscriptionIdentifier = 0x0B,
    SessionExpiryInterval = 0x11,
    AssignedClientIdentifier = 0x12,
    ServerKeepAlive = 0x13,
    AuthenticationMethod = 0x15,
    AuthenticationData = 0x16,
    RequestProblemInformation = 0x17,
    WillDelayInterval = 0x18,
    RequestResponseInformation = 0x19,
    ResponseInformation = 0x1A,
    ServerReference = 0x1C,
    ReasonString = 0x1F,
    ReceiveMaximum = 0x21,
    TopicAliasMaximum = 0x22,
    TopicAlias = 0x23,
    MaximumQoS = 0x24,
    RetainAvailable = 0x25,
    UserProperty = 0x26,
    MaximumPacketSize = 0x27,
    WildcardSubscriptionAvailable = 0x28,
    SubscriptionIdentifierAvailable = 0x29,
    SharedSubscriptionAvailable = 0x2A,
}

/// How a property value is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Byte,
    TwoBytes,
    FourBytes,
    Varint,
    Text,
    Binary,
    Pair,
}

struct Row {
    id: PropertyId,
    kind: Kind,
    /// A bit for each packet type; bit 0 stands for the Will properties inside CONNECT.
    packets: u16,
    name: &'static str,
}

const fn row(id: PropertyId, kind: Kind, packets: u16, name: &'static str) -> Row {
    Row { id, kind, packets, name }
}

const TABLE: [Row; 27] = {
    use Kind as K;
    use PropertyId as P;
    const fn bit(packet: PacketType) -> u16 {
        1 << packet as u8
    }
    const WILL: u16 = 1;
    const CONNECT: u16 = bit(PacketType::Connect);
    const CONNACK: u16 = bit(PacketType::ConnAck);
    const PUBLISH: u16 = bit(PacketType::Publish);
    const SUBSCRIBE: u16 = bit(PacketType::Subscribe);
    const DISCONNECT: u16 = bit(PacketType::Disconnect);
    const AUTH: u16 = bit(PacketType::Auth);
    const ACKS: u16 = bit(PacketType::PubAck)
        | bit(PacketType::PubRec)
        | bit(PacketType::PubRel)
        | bit(PacketType::PubComp)
        | bit(PacketType::SubAck)
        | bit(PacketType::UnsubAck);
    const ALL: u16 = WILL
        | CONNECT
        | CONNACK
        | PUBLISH
        | SUBSCRIBE
        | bit(PacketType::Unsubscribe)
        | DISCONNECT
        | AUTH
        | ACKS;
    const MESSAGE: u16 = PUBLISH | WILL;
    const OPENING: u16 = CONNECT | CONNACK;
    [
        row(P::PayloadFormatIndicator, K::Byte, MESSAGE, "payload format indicator"),
        row(P::MessageExpiryInterval, K::FourBytes, MESSAGE, "message expiry interval"),
        row(P::ContentType, K::Text, MESSAGE, "content type"),
        row(P::ResponseTopic, K::Text, MESSAGE, "response topic"),
        row(P::CorrelationData, K::Binary, MESSAGE, "correlation data"),
        row(P::SubscriptionIdentifier, K::Varint, SUBSCRIBE | PUBLISH, "subscription identifier"),
        row(
            P::SessionExpiryInterval,
            K::FourBytes,
            OPENING | DISCONNECT,
            "session expiry interval",
        ),
        row(P::AssignedClientIdentifier, K::Text, CONNACK, "assigned client identifier"),
        row(P::ServerKeepAlive, K::TwoBytes, CONNACK, "server keep alive"),
        row(P::AuthenticationMethod, K::Text, OPENING | AUTH, "authentication method"),
        row(P::AuthenticationData, K::Binary, OPENING | AUTH, "authentication data"),
        row(P::RequestProblemInformation, K::Byte, CONNECT, "request problem information"),
        row(P::WillDelayInterval, K::FourBytes, WILL, "will delay interval"),
        row(P::RequestResponseInformation, K::Byte, CONNECT, "request response information"),
        row(P::ResponseInformation, K::Text, CONNACK, "response information"),
        row(P::ServerReference, K::Text, CONNACK | DISCONNECT, "server reference"),
        row(P::ReasonString, K::Text, CONNACK | ACKS | DISCONNECT | AUTH, "reason string"),
        row(P::ReceiveMaximum, K::TwoBytes, OPENING, "receive maximum"),
        row(P::TopicAliasMaximum, K::TwoBytes, OPENING, "topic alias maximum"),
        row(P::TopicAlias, K::TwoBytes, PUBLISH, "topic alias"),
        row(P::MaximumQoS, K::Byte, CONNACK, "maximum QoS"),
        row(P::RetainAvailable, K::Byte, CONNACK, "retain available"),
        row(P::UserProperty, K::Pair, ALL, "user property"),
        row(P::MaximumPacketSize, K::FourBytes, OPENING, "maximum packet size"),
        row(P::WildcardSubscriptionAvailable, K::Byte, CONNACK, "wildcard subscription available"),
        row(
            P::SubscriptionIdentifierAvailable,
            K::Byte,
            CONNACK,
            "subscription identifier available",
        ),
        row(P::SharedSubscriptionAvailable, K::Byte, CONNACK, "shared subscription available"),
    ]
};

/// Row number of each identifier below 0x80 plus one; 0 marks no identifier.
const ROW_OF: [u8; 128] = {
    let mut rows = [0; 128];
    let mut i = 0;
    while i < TABLE.len() {
        rows[TABLE[i].id as usize] = i as u8 + 1;
        i += 1;
    }
    rows
};

impl PropertyId {
    /// Every property, in the order of the identifiers.
    pub fn all() -> impl Iterator<Item = PropertyId> {
        TABLE.iter().map(|row| row.id)
    }

    /// The property with this identifier, if there is one.
    #[inline]
    pub fn from_u8(id: u8) -> Option<PropertyId> {
        match ROW_OF.get(usize::from(id)) {
            None | Some(0) => None,
            Some(row) => Some(TABLE[usize::from(*row) - 1].id),
        }
    }

    /// Whether the property belongs into packets of this type (Will properties aside).
    pub fn belongs_in(self, packet: PacketType) -> bool {
        self.in_packets(1 << packet as u8)
    }

    /// Whether the property belongs into the Will properties of a CONNECT.
    pub fn belongs_in_will(self) -> bool {
        self.in_packets(1)
    }

    #[inline]
    pub(crate) fn in_packets(self, bit: u16) -> bool {
        self.row().packets & bit != 0
    }

    #[inline]
    pub(crate) fn kind(self) -> Kind {
        self.row().kind
    }

    #[inline]
    fn row(self) -> &'static Row {
        // Every variant has a row, so its entry is 1 or more (tested below).
        &TABLE[usize::from(ROW_OF[usize::from(self as u8 & 0x7F)]).saturating_sub(1)]
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identifier_survives_the_round_trip() {
        let known = (0..=255u8).filter_map(PropertyId::from_u8);
        assert!(known.eq(PropertyId::all()));
        assert_eq!(PropertyId::all().count(), 27);
        for id in PropertyId::all() {
            assert_eq!(id.row().id, id);
            assert_eq!(PropertyId::from_u8(id as u8), Some(id));
        }
    }

    #[test]
    fn properties_stay_in_their_packets() {
        assert!(PropertyId::WillDelayInterval.belongs_in_will());
        assert!(!PropertyId::WillDelayInterval.belongs_in(PacketType::Connect));
        assert!(PropertyId::UserProperty.belongs_in(PacketType::Unsubscribe));
        assert!(!PropertyId::UserProperty.belongs_in(PacketType::PingReq));
        assert!(!PropertyId::ReasonString.belongs_in(PacketType::Publish));
    }
}
