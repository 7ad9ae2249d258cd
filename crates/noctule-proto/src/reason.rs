//! Reason codes of MQTT 5.0 and return codes of 3.x.

use crate::{PacketType, Role};
use core::fmt;

/// Why something was answered as it was: one variant for every code value of MQTT 5.0.
///
/// 0x00 is also "Normal disconnection" (DISCONNECT) and "Granted QoS 0" (SUBACK).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
#[allow(missing_docs, reason = "named as in the standard; `name` says it in words")]
pub enum ReasonCode {
    Success = 0x00,
    GrantedQoS1 = 0x01,
    GrantedQoS2 = 0x02,
    DisconnectWithWill = 0x04,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    ContinueAuthentication = 0x18,
    ReAuthenticate = 0x19,
    UnspecifiedError = 0x80,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecificError = 0x83,
    UnsupportedProtocolVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerBusy = 0x89,
    Banned = 0x8A,
    ServerShuttingDown = 0x8B,
    BadAuthenticationMethod = 0x8C,
    KeepAliveTimeout = 0x8D,
    SessionTakenOver = 0x8E,
    TopicFilterInvalid = 0x8F,
    TopicNameInvalid = 0x90,
    PacketIdentifierInUse = 0x91,
    PacketIdentifierNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    MessageRateTooHigh = 0x96,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9A,
    QoSNotSupported = 0x9B,
    UseAnotherServer = 0x9C,
    ServerMoved = 0x9D,
    SharedSubscriptionsNotSupported = 0x9E,
    ConnectionRateExceeded = 0x9F,
    MaximumConnectTime = 0xA0,
    SubscriptionIdentifiersNotSupported = 0xA1,
    WildcardSubscriptionsNotSupported = 0xA2,
}

/// Codes with a bit for each packet type that may carry them, for each sender; the rows of the
/// per-packet tables of the standard. Kept in the order of the code values.
const TABLE: [Row; 43] = {
    use PacketType as T;
    const ACKS: u16 = bit(T::PubAck) | bit(T::PubRec);
    const HALVES: u16 = bit(T::PubRel) | bit(T::PubComp);
    const CONNACK: u16 = bit(T::ConnAck);
    const SUBACK: u16 = bit(T::SubAck);
    const UNSUBACK: u16 = bit(T::UnsubAck);
    const BYE: u16 = bit(T::Disconnect);
    const AUTH: u16 = bit(T::Auth);
    use ReasonCode as R;
    [
        row(R::Success, ACKS | HALVES | BYE, CONNACK | SUBACK | UNSUBACK | AUTH, "success"),
        row(R::GrantedQoS1, 0, SUBACK, "granted QoS 1"),
        row(R::GrantedQoS2, 0, SUBACK, "granted QoS 2"),
        Row { code: R::DisconnectWithWill, client: BYE, server: 0, name: "disconnect with will" },
        row(R::NoMatchingSubscribers, 0, ACKS, "no matching subscribers"),
        row(R::NoSubscriptionExisted, 0, UNSUBACK, "no subscription existed"),
        row(R::ContinueAuthentication, AUTH, 0, "continue authentication"),
        Row { code: R::ReAuthenticate, client: AUTH, server: 0, name: "re-authenticate" },
        row(R::UnspecifiedError, ACKS | BYE, CONNACK | SUBACK | UNSUBACK, "unspecified error"),
        row(R::MalformedPacket, BYE, CONNACK, "malformed packet"),
        row(R::ProtocolError, BYE, CONNACK, "protocol error"),
        row(
            R::ImplementationSpecificError,
            ACKS | BYE,
            CONNACK | SUBACK | UNSUBACK,
            "implementation specific error",
        ),
        row(R::UnsupportedProtocolVersion, 0, CONNACK, "unsupported protocol version"),
        row(R::ClientIdentifierNotValid, 0, CONNACK, "client identifier not valid"),
        row(R::BadUserNameOrPassword, 0, CONNACK, "bad user name or password"),
        row(R::NotAuthorized, ACKS, CONNACK | SUBACK | UNSUBACK | BYE, "not authorized"),
        row(R::ServerUnavailable, 0, CONNACK, "server unavailable"),
        row(R::ServerBusy, 0, CONNACK | BYE, "server busy"),
        row(R::Banned, 0, CONNACK, "banned"),
        row(R::ServerShuttingDown, 0, BYE, "server shutting down"),
        row(R::BadAuthenticationMethod, BYE, CONNACK, "bad authentication method"),
        row(R::KeepAliveTimeout, 0, BYE, "keep alive timeout"),
        row(R::SessionTakenOver, 0, BYE, "session taken over"),
        row(R::TopicFilterInvalid, 0, SUBACK | UNSUBACK | BYE, "topic filter invalid"),
        row(R::TopicNameInvalid, ACKS | BYE, CONNACK, "topic name invalid"),
        row(R::PacketIdentifierInUse, ACKS, SUBACK | UNSUBACK, "packet identifier in use"),
        row(R::PacketIdentifierNotFound, HALVES, 0, "packet identifier not found"),
        row(R::ReceiveMaximumExceeded, BYE, 0, "receive maximum exceeded"),
        row(R::TopicAliasInvalid, BYE, 0, "topic alias invalid"),
        row(R::PacketTooLarge, BYE, CONNACK, "packet too large"),
        row(R::MessageRateTooHigh, BYE, 0, "message rate too high"),
        row(R::QuotaExceeded, ACKS | BYE, CONNACK | SUBACK, "quota exceeded"),
        row(R::AdministrativeAction, BYE, 0, "administrative action"),
        row(R::PayloadFormatInvalid, ACKS | BYE, CONNACK, "payload format invalid"),
        row(R::RetainNotSupported, 0, CONNACK | BYE, "retain not supported"),
        // A client may say so about a message it did not ask for at that QoS (3.3.4 v5).
        row(R::QoSNotSupported, BYE, CONNACK, "QoS not supported"),
        row(R::UseAnotherServer, 0, CONNACK | BYE, "use another server"),
        row(R::ServerMoved, 0, CONNACK | BYE, "server moved"),
        row(
            R::SharedSubscriptionsNotSupported,
            0,
            SUBACK | BYE,
            "shared subscriptions not supported",
        ),
        row(R::ConnectionRateExceeded, 0, CONNACK | BYE, "connection rate exceeded"),
        row(R::MaximumConnectTime, 0, BYE, "maximum connect time"),
        row(
            R::SubscriptionIdentifiersNotSupported,
            0,
            SUBACK | BYE,
            "subscription identifiers not supported",
        ),
        row(
            R::WildcardSubscriptionsNotSupported,
            0,
            SUBACK | BYE,
            "wildcard subscriptions not supported",
        ),
    ]
};

struct Row {
    code: ReasonCode,
    client: u16,
    server: u16,
    name: &'static str,
}

/// A code that `both` sides may send in some packets and only the `server` in others.
const fn row(code: ReasonCode, both: u16, server: u16, name: &'static str) -> Row {
    Row { code, client: both, server: both | server, name }
}

const fn bit(packet: PacketType) -> u16 {
    1 << packet as u8
}

/// Row number of every code value plus one; 0 marks a value that is no code.
const ROW_OF: [u8; 256] = {
    let mut rows = [0; 256];
    let mut i = 0;
    while i < TABLE.len() {
        rows[TABLE[i].code as usize] = i as u8 + 1;
        i += 1;
    }
    rows
};

impl ReasonCode {
    /// Every code, in the order of the values.
    pub fn all() -> impl Iterator<Item = ReasonCode> {
        TABLE.iter().map(|row| row.code)
    }

    /// The code of this value, if MQTT 5.0 knows it.
    #[inline]
    pub fn from_u8(value: u8) -> Option<ReasonCode> {
        match ROW_OF[usize::from(value)] {
            0 => None,
            row => Some(TABLE[usize::from(row) - 1].code),
        }
    }

    /// The value on the wire.
    #[inline]
    pub fn as_u8(self) -> u8 {
        self as u8
    }

    /// Whether the code reports a failure (0x80 and above).
    #[inline]
    pub fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// The code in plain words, as in "topic filter invalid".
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether `sender` may put this code into a packet of type `packet` `[2.4 v5]`.
    pub fn allowed_in(self, packet: PacketType, sender: Role) -> bool {
        let row = self.row();
        let packets = match sender {
            Role::Client => row.client,
            Role::Server => row.server,
        };
        packets & bit(packet) != 0
    }

    /// The return code of a 3.x CONNACK; `None`: no return code fits and the connection is closed
    /// without a CONNACK `[MQTT-3.2.2-6 v3.1.1]`.
    pub fn v3_return_code(self) -> Option<u8> {
        use ReasonCode as R;
        match self {
            R::Success => Some(0),
            R::UnsupportedProtocolVersion => Some(1),
            R::ClientIdentifierNotValid => Some(2),
            R::ServerUnavailable
            | R::ServerBusy
            | R::ServerShuttingDown
            | R::QuotaExceeded
            | R::UseAnotherServer
            | R::ServerMoved
            | R::ConnectionRateExceeded => Some(3),
            R::BadUserNameOrPassword => Some(4),
            R::NotAuthorized | R::Banned | R::BadAuthenticationMethod => Some(5),
            _ => None,
        }
    }

    /// The reason code that says what the return code of a 3.x CONNACK says.
    pub fn from_v3_return_code(code: u8) -> Option<ReasonCode> {
        match code {
            0 => Some(ReasonCode::Success),
            1 => Some(ReasonCode::UnsupportedProtocolVersion),
            2 => Some(ReasonCode::ClientIdentifierNotValid),
            3 => Some(ReasonCode::ServerUnavailable),
            4 => Some(ReasonCode::BadUserNameOrPassword),
            5 => Some(ReasonCode::NotAuthorized),
            _ => None,
        }
    }

    fn row(self) -> &'static Row {
        // Every variant has a row, so its entry is 1 or more (tested below).
        &TABLE[usize::from(ROW_OF[usize::from(self as u8)]).saturating_sub(1)]
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_value_survives_the_round_trip() {
        let known = (0..=255u8).filter_map(ReasonCode::from_u8).inspect(|code| {
            assert_eq!(code.row().code, *code);
            assert_eq!(ReasonCode::from_u8(code.as_u8()), Some(*code));
        });
        assert!(known.eq(ReasonCode::all()));
        assert_eq!(ReasonCode::all().count(), 43);
    }

    #[test]
    fn some_codes_belong_to_one_side() {
        let success = ReasonCode::Success;
        assert!(success.allowed_in(PacketType::Auth, Role::Server));
        assert!(!success.allowed_in(PacketType::Auth, Role::Client));
        assert!(ReasonCode::DisconnectWithWill.allowed_in(PacketType::Disconnect, Role::Client));
        assert!(!ReasonCode::DisconnectWithWill.allowed_in(PacketType::Disconnect, Role::Server));
        assert!(!ReasonCode::NoMatchingSubscribers.allowed_in(PacketType::PubAck, Role::Client));
        assert!(!ReasonCode::NotAuthorized.allowed_in(PacketType::Disconnect, Role::Client));
        assert!(ReasonCode::NotAuthorized.allowed_in(PacketType::PubAck, Role::Client));
    }

    #[test]
    fn v3_return_codes_map_both_ways() {
        for code in 0..=5 {
            let reason = ReasonCode::from_v3_return_code(code).expect("0 to 5 are return codes");
            assert_eq!(reason.v3_return_code(), Some(code));
        }
        assert_eq!(ReasonCode::from_v3_return_code(6), None);
        assert_eq!(ReasonCode::MalformedPacket.v3_return_code(), None);
    }
}
