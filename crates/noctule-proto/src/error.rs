//! Why bytes were not a packet.

use crate::property::PropertyId;
use crate::topic::TopicError;
use crate::{PacketType, ReasonCode, Version};
use core::fmt;

/// Bytes that are no packet, or a packet that its sender was not allowed to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct DecodeError {
    /// What is wrong.
    pub cause: Cause,
    /// The packet it is wrong with, where the type nibble says one.
    pub packet: Option<PacketType>,
    /// The version of the connection; in a first CONNECT, what that had told before the fault.
    /// `None`: nothing is known of the peer, so nothing can be answered.
    pub version: Option<Version>,
}

/// What is wrong with a packet: one variant for every distinct fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Cause {
    // Framing.
    /// The packet is larger than this end accepts.
    PacketTooLarge,
    /// A remaining length of more than four bytes, or longer than needed.
    BadRemainingLength,
    /// Packet type 0, or AUTH before v5.
    ForbiddenType,
    /// A packet that only the other side may send.
    WrongDirection,
    /// Reserved bits of the fixed header.
    ReservedFlags,
    /// Both QoS bits of a PUBLISH are set.
    QoS3,
    /// DUP together with QoS 0.
    DupWithQoS0,
    // Fields of any packet.
    /// A field ends beyond the packet or the property section.
    Truncated,
    /// Bytes after the last field.
    TrailingBytes,
    /// A variable byte integer of more than four bytes, or longer than needed.
    BadVarint,
    /// Text that is not UTF-8 (or encodes a surrogate).
    IllFormedText,
    /// Text with U+0000, another control character or a non-character.
    ForbiddenCharacter,
    /// Packet identifier 0.
    PacketIdZero,
    /// A value that is no reason code, or not one of this packet and sender.
    ReasonCode(u8),
    // Properties.
    /// A property identifier MQTT 5.0 does not know.
    UnknownProperty(u8),
    /// A property that does not belong into this packet.
    MisplacedProperty(PropertyId),
    /// A property this side may not send in this packet.
    ForbiddenProperty(PropertyId),
    /// A property that came twice.
    RepeatedProperty(PropertyId),
    /// A property with a value that it may not have.
    PropertyValue(PropertyId),
    /// Topic alias 0.
    TopicAliasZero,
    /// Authentication data without authentication method.
    AuthDataWithoutMethod,
    // CONNECT and CONNACK.
    /// The first packet of a connection is not a CONNECT.
    NotConnect,
    /// The first bytes of a connection begin a handshake of TLS.
    TlsHello,
    /// A CONNECT on a connection that had one.
    SecondConnect,
    /// A protocol name that is neither `MQTT` nor `MQIsdp`.
    WrongProtocolName,
    /// A protocol level that does not exist (under this protocol name).
    UnsupportedLevel(u8),
    /// Bit 0 of the connect flags, or reserved bits of the connect acknowledge flags.
    ReservedConnectFlags,
    /// Will QoS or Will Retain without Will.
    WillFlagsWithoutWill,
    /// Will QoS 3.
    WillQoS3,
    /// A password without a user name, before v5.
    PasswordWithoutUserName,
    /// Session Present together with a failure.
    SessionPresentOnFailure,
    // Topics.
    /// A topic name that is none.
    TopicName(TopicError),
    /// An empty topic name without a topic alias.
    NoTopic,
    /// A Will topic that is none.
    WillTopic(TopicError),
    /// A response topic that is none.
    ResponseTopic(TopicError),
    /// A topic filter that is none.
    TopicFilter(TopicError),
    // SUBSCRIBE, UNSUBSCRIBE and their answers.
    /// No topic filter, or no answer to one.
    EmptyPayload,
    /// Reserved bits of the subscription options.
    ReservedOptions,
    /// QoS 3 in the subscription options.
    OptionsQoS3,
    /// Retain handling 3.
    RetainHandling3,
    /// No Local on a shared subscription.
    NoLocalOnShared,
}

impl DecodeError {
    /// The reason code to answer with, in CONNACK or DISCONNECT. Before v5 only CONNECT has an
    /// answer, see [`ReasonCode::v3_return_code`].
    pub fn reason_code(&self) -> ReasonCode {
        self.cause.reason_code(self.version)
    }

    /// The same error on a connection of this version; framing does not know it.
    pub fn with_version(self, version: Version) -> DecodeError {
        DecodeError { version: Some(version), ..self }
    }

    /// Whether the connection is closed without a word, because the peer is not known to speak
    /// MQTT, or its version has no packet to tell it.
    pub fn is_silent(&self) -> bool {
        match (self.version, self.packet) {
            (None, _) => true,
            (Some(Version::V5), _) => false,
            (Some(_), Some(PacketType::Connect)) => self.reason_code().v3_return_code().is_none(),
            (Some(_), _) => true,
        }
    }
}

impl Cause {
    fn reason_code(self, version: Option<Version>) -> ReasonCode {
        use Cause as C;
        match self {
            C::BadRemainingLength
            | C::ReservedFlags
            | C::QoS3
            | C::DupWithQoS0
            | C::Truncated
            | C::TrailingBytes
            | C::BadVarint
            | C::IllFormedText
            | C::ForbiddenCharacter
            | C::UnknownProperty(_)
            | C::MisplacedProperty(_)
            | C::ReservedConnectFlags
            | C::WillFlagsWithoutWill
            | C::WillQoS3
            | C::ReservedOptions => ReasonCode::MalformedPacket,
            C::ForbiddenType
            | C::WrongDirection
            | C::PacketIdZero
            | C::ReasonCode(_)
            | C::ForbiddenProperty(_)
            | C::RepeatedProperty(_)
            | C::PropertyValue(_)
            | C::AuthDataWithoutMethod
            | C::NotConnect
            | C::TlsHello
            | C::SecondConnect
            | C::PasswordWithoutUserName
            | C::SessionPresentOnFailure
            | C::NoTopic
            | C::EmptyPayload
            | C::RetainHandling3
            | C::NoLocalOnShared => ReasonCode::ProtocolError,
            // A Protocol Error in v5 [U5-3.8.3-1], malformed before it [MQTT-3.8.3-4 v3.1.1].
            C::OptionsQoS3 if version == Some(Version::V5) => ReasonCode::ProtocolError,
            C::OptionsQoS3 => ReasonCode::MalformedPacket,
            C::PacketTooLarge => ReasonCode::PacketTooLarge,
            C::TopicAliasZero => ReasonCode::TopicAliasInvalid,
            C::WrongProtocolName | C::UnsupportedLevel(_) => ReasonCode::UnsupportedProtocolVersion,
            C::TopicName(error)
            | C::WillTopic(error)
            | C::ResponseTopic(error)
            | C::TopicFilter(error) => error.reason_code(),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.packet {
            Some(packet) => write!(f, "{packet}: {}", self.cause),
            None => self.cause.fmt(f),
        }
    }
}

impl core::error::Error for DecodeError {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Cause as C;
        f.write_str(match *self {
            C::ReasonCode(code) => return write!(f, "reason code {code:#04x} is not allowed here"),
            C::UnknownProperty(id) => return write!(f, "unknown property {id:#04x}"),
            C::MisplacedProperty(id) => return write!(f, "{id} does not belong here"),
            C::ForbiddenProperty(id) => return write!(f, "{id} is not for this side to send"),
            C::RepeatedProperty(id) => return write!(f, "{id} came twice"),
            C::PropertyValue(id) => return write!(f, "{id} has a value it may not have"),
            C::UnsupportedLevel(level) => return write!(f, "no protocol level {level}"),
            C::TopicName(error) => return write!(f, "topic name {error}"),
            C::WillTopic(error) => return write!(f, "will topic {error}"),
            C::ResponseTopic(error) => return write!(f, "response topic {error}"),
            C::TopicFilter(error) => return write!(f, "topic filter {error}"),
            C::PacketTooLarge => "larger than this end accepts",
            C::BadRemainingLength => "bad remaining length",
            C::ForbiddenType => "forbidden packet type",
            C::WrongDirection => "not for this side to send",
            C::ReservedFlags => "reserved flags of the fixed header",
            C::QoS3 => "QoS 3",
            C::DupWithQoS0 => "DUP with QoS 0",
            C::Truncated => "a field ends beyond the packet",
            C::TrailingBytes => "bytes after the last field",
            C::BadVarint => "bad variable byte integer",
            C::IllFormedText => "text is not UTF-8",
            C::ForbiddenCharacter => "text holds a control or non-character",
            C::PacketIdZero => "packet identifier 0",
            C::TopicAliasZero => "topic alias 0",
            C::AuthDataWithoutMethod => "authentication data without method",
            C::NotConnect => "the first packet must be CONNECT",
            C::TlsHello => "the client speaks TLS, and its listener does not",
            C::SecondConnect => "a second CONNECT",
            C::WrongProtocolName => "unknown protocol name",
            C::ReservedConnectFlags => "reserved flags",
            C::WillFlagsWithoutWill => "will QoS or retain without a will",
            C::WillQoS3 => "will QoS 3",
            C::PasswordWithoutUserName => "password without user name",
            C::SessionPresentOnFailure => "session present together with a failure",
            C::NoTopic => "neither topic name nor topic alias",
            C::EmptyPayload => "empty payload",
            C::ReservedOptions => "reserved bits of the subscription options",
            C::OptionsQoS3 => "subscription with QoS 3",
            C::RetainHandling3 => "retain handling 3",
            C::NoLocalOnShared => "no local on a shared subscription",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_small_and_reads_well() {
        assert!(size_of::<DecodeError>() <= 8);
        let error = DecodeError {
            cause: Cause::TopicName(TopicError::Wildcard),
            packet: Some(PacketType::Publish),
            version: Some(Version::V5),
        };
        assert_eq!(alloc::format!("{error}"), "PUBLISH: topic name holds a wildcard");
        assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
    }
}
