//! What can go wrong, in plain words, and what probably helps.

use crate::authenticator::AuthError;
use alloc::string::String;
use core::fmt;
use noctule_proto::property::ValueError;
use noctule_proto::{DecodeError, PacketType, QoS, ReasonCode, TopicError};

/// Why a connection or a request ended without success.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// What the application asked for cannot be sent.
    Invalid(Invalid),
    /// The server refused the connection.
    Refused(Notice),
    /// The server refused the message or the request.
    Rejected(Notice),
    /// The server ended the connection and said why.
    Disconnected(Notice),
    /// The connection ended without a word.
    Closed,
    /// The server left this packet unanswered for too long.
    NoAnswer(PacketType),
    /// The server broke the rules of MQTT.
    Protocol(Violation),
    /// The server has lost the session, and with it what it knew of a QoS 2 message that was on
    /// the way: it may have been delivered or not.
    SessionLost,
    /// Nobody has answered a request in time (see [`Requester`](crate::Requester)).
    NoResponse,
    /// There is no connection.
    NotConnected,
    /// The application has disconnected.
    Finished,
    /// The authentication method could not go on, or the server did not prove who it is.
    Authentication(AuthError),
    /// The network, or a file that the session is kept in, failed.
    Failure(Failure),
}

/// What failed outside of MQTT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Where it failed.
    pub layer: Layer,
    /// In plain words.
    pub what: String,
    /// The operating system's number for it (`errno`).
    pub os_error: Option<i32>,
    /// What probably helps.
    pub fix: Option<&'static str>,
    /// Whether it would fail the same way if it were tried again.
    pub is_final: bool,
}

/// Where something outside of MQTT failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Layer {
    /// The address cannot be understood.
    Address,
    /// Its name stands for no host.
    Lookup,
    /// The host cannot be reached, or takes no connection.
    Reach,
    /// The connection broke.
    Network,
    /// The proxy does not let us through.
    Proxy,
    /// There is no trust, or no common ground, below TLS.
    Tls,
    /// The server speaks no MQTT over WebSocket.
    WebSocket,
    /// This build or this platform cannot do it.
    Missing,
    /// The file that the session is kept in.
    Store,
    /// The runtime that drives the client.
    Runtime,
}

/// A reason code of the server, with what it added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Why.
    pub reason: ReasonCode,
    /// The code as the server sent it: a return code (1 to 5) in a CONNACK before 5.0.
    pub code: u8,
    /// The server's own words.
    pub reason_string: Option<String>,
    /// The server to use instead.
    pub server_reference: Option<String>,
}

/// A request that cannot be sent, to any server or to this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Invalid {
    /// Not a topic name.
    TopicName(TopicError),
    /// Not a topic filter.
    TopicFilter(TopicError),
    /// No topic filter at all.
    NoFilter,
    /// No Local on a shared subscription.
    NoLocalOnShared,
    /// A subscription identifier of 0 or above 268,435,455.
    SubscriptionId,
    /// A text with a character that MQTT forbids.
    Characters(Field),
    /// More than 65,535 bytes in a field.
    TooLong(Field),
    /// This protocol version needs a client identifier here.
    ClientIdMissing,
    /// A password without user name, before 5.0.
    PasswordWithoutUserName,
    /// A receive maximum, send maximum, packet size or connect timeout of 0.
    ZeroLimit,
    /// Larger than the server accepts.
    PacketTooLarge {
        /// Bytes of the packet.
        size: u64,
        /// Bytes that the server takes.
        max: u32,
    },
    /// A QoS above what the server offers.
    QoSNotSupported {
        /// The highest that it does.
        max: QoS,
    },
    /// The server does not retain messages.
    RetainNotSupported,
    /// The server knows no wildcards.
    WildcardsNotSupported,
    /// The server knows no shared subscriptions.
    SharedNotSupported,
    /// The server knows no subscription identifiers.
    SubscriptionIdsNotSupported,
    /// 65,535 requests are waiting for their answers.
    NoPacketId,
    /// Something that only MQTT 5.0 has.
    NotInThisVersion,
    /// A property of more than 65,535 bytes.
    PropertyTooLong,
    /// A property with a character that MQTT forbids.
    PropertyCharacters,
    /// A request with a response topic or correlation data of its own.
    PropertyTwice,
    /// A response to a message that names no response topic.
    NoResponseTopic,
}

/// A field that the application fills.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say all")]
pub enum Field {
    ClientId,
    UserName,
    Password,
    WillPayload,
    AuthenticationData,
}

/// How a server broke the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Violation {
    /// It sent what is no packet.
    Decode(DecodeError),
    /// A packet that has no place here: before CONNACK, a second CONNACK, AUTH unasked.
    Unexpected(PacketType),
    /// It resumes a session that this client does not hold.
    SessionPresent,
    /// A topic alias above the maximum.
    TopicAlias,
    /// No topic, and a topic alias that stands for nothing.
    UnknownAlias,
    /// More QoS 1 and 2 messages at once than it may send.
    ReceiveMaximum,
    /// Another authentication method than the client's, or none `[MQTT-4.12.0-5 v5]`.
    AuthenticationMethod,
    /// A SUBACK or UNSUBACK that does not fit its request.
    AnswerCount,
    /// An answer to something that was not asked.
    UnknownPacketId(PacketType),
    /// A reason or user properties that the client has asked to leave out.
    ProblemInformation(PacketType),
    /// It asks for ever more answers and reads none.
    Unread,
}

impl Violation {
    /// The reason code for DISCONNECT (5.0).
    pub fn reason_code(&self) -> ReasonCode {
        match self {
            Violation::Decode(error) => error.reason_code(),
            Violation::TopicAlias => ReasonCode::TopicAliasInvalid,
            Violation::ReceiveMaximum => ReasonCode::ReceiveMaximumExceeded,
            Violation::Unread => ReasonCode::QuotaExceeded,
            Violation::Unexpected(_)
            | Violation::SessionPresent
            | Violation::UnknownAlias
            | Violation::AuthenticationMethod
            | Violation::AnswerCount
            | Violation::ProblemInformation(_)
            | Violation::UnknownPacketId(_) => ReasonCode::ProtocolError,
        }
    }
}

impl Error {
    /// What probably helps, where that can be told.
    pub fn likely_fix(&self) -> Option<&'static str> {
        match self {
            Error::Invalid(invalid) => invalid.likely_fix(),
            Error::Refused(notice) | Error::Rejected(notice) | Error::Disconnected(notice) => {
                likely_fix(notice.reason)
            }
            Error::Closed => Some(
                "see the server's log; a server that does not speak this protocol version, or \
                 that expects TLS, closes like this",
            ),
            Error::NoAnswer(PacketType::Connect) => {
                Some("check that an MQTT server (and not one that expects TLS) has this port")
            }
            Error::NoAnswer(_) => Some("check the network; a longer keep alive bears more"),
            Error::Protocol(_) => Some("the server needs a repair; another version may do"),
            Error::SessionLost => Some("publish again if twice is better than not at all"),
            Error::NoResponse => Some(
                "check that somebody has subscribed to the topic of the request, or wait longer",
            ),
            Error::NotConnected | Error::Finished => None,
            Error::Authentication(_) => Some("check user name and password"),
            Error::Failure(failure) => failure.fix,
        }
    }
}

/// What probably helps against a reason code of the server.
fn likely_fix(reason: ReasonCode) -> Option<&'static str> {
    use ReasonCode as R;
    Some(match reason {
        R::UnsupportedProtocolVersion => "connect with another protocol version",
        R::ClientIdentifierNotValid => "use another client identifier",
        R::BadUserNameOrPassword => "check user name and password",
        R::NotAuthorized => "use a user name with the right to do this, or have it granted",
        R::ServerUnavailable | R::ServerBusy | R::ServerShuttingDown => "try again later",
        R::Banned => "ask the administrator of the server",
        R::BadAuthenticationMethod => "use an authentication method that the server offers",
        R::KeepAliveTimeout => "check the network, or raise the keep alive",
        R::SessionTakenOver => "give every client its own client identifier",
        R::TopicFilterInvalid | R::TopicNameInvalid => "use a topic that the server allows",
        R::ReceiveMaximumExceeded
        | R::TopicAliasInvalid
        | R::MalformedPacket
        | R::ProtocolError => "report this: a client must not send that",
        R::PacketTooLarge => "send less in one message, or raise the server's packet size",
        R::MessageRateTooHigh | R::ConnectionRateExceeded => "send more slowly",
        R::QuotaExceeded => "wait, or have the quota raised",
        R::RetainNotSupported => "publish without retain",
        R::QoSNotSupported => "use a lower QoS",
        R::UseAnotherServer | R::ServerMoved => "connect to the server it names",
        R::SharedSubscriptionsNotSupported => "subscribe without $share",
        R::SubscriptionIdentifiersNotSupported => "subscribe without identifier",
        R::WildcardSubscriptionsNotSupported => "subscribe without + and #",
        R::PayloadFormatInvalid => "send the payload in the format it declares",
        R::MaximumConnectTime => "connect again",
        R::UnspecifiedError | R::ImplementationSpecificError | R::AdministrativeAction => {
            "see the server's log"
        }
        R::Success
        | R::GrantedQoS1
        | R::GrantedQoS2
        | R::DisconnectWithWill
        | R::NoMatchingSubscribers
        | R::NoSubscriptionExisted
        | R::ContinueAuthentication
        | R::ReAuthenticate
        | R::PacketIdentifierInUse
        | R::PacketIdentifierNotFound => return None,
    })
}

impl Invalid {
    fn likely_fix(&self) -> Option<&'static str> {
        Some(match self {
            Invalid::TopicName(TopicError::Wildcard) => "publish to a topic without + and #",
            Invalid::TopicFilter(_) => {
                "let + and # fill whole levels, and # be the last: home/+/temp, home/#"
            }
            Invalid::ClientIdMissing => "set a client identifier",
            Invalid::PasswordWithoutUserName => "set a user name",
            Invalid::QoSNotSupported { .. } => "use a lower QoS",
            Invalid::RetainNotSupported => "publish without retain",
            Invalid::NoPacketId => "wait for answers before asking more",
            Invalid::NotInThisVersion => "connect with MQTT 5.0",
            Invalid::NoResponseTopic => "have the other side set a response topic",
            Invalid::TopicName(_)
            | Invalid::NoFilter
            | Invalid::NoLocalOnShared
            | Invalid::SubscriptionId
            | Invalid::Characters(_)
            | Invalid::TooLong(_)
            | Invalid::ZeroLimit
            | Invalid::PropertyTooLong
            | Invalid::PropertyCharacters
            | Invalid::PropertyTwice
            | Invalid::PacketTooLarge { .. }
            | Invalid::WildcardsNotSupported
            | Invalid::SharedNotSupported
            | Invalid::SubscriptionIdsNotSupported => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(invalid) => invalid.fmt(f)?,
            Error::Refused(notice) => write!(f, "the server refused the connection: {notice}")?,
            Error::Rejected(notice) => write!(f, "the server refused the request: {notice}")?,
            Error::Disconnected(notice) => write!(f, "the server disconnected: {notice}")?,
            Error::Closed => f.write_str("the server closed the connection without a word")?,
            Error::NoAnswer(packet) => write!(f, "the server did not answer {packet} in time")?,
            Error::Protocol(violation) => write!(f, "the server broke the protocol: {violation}")?,
            Error::SessionLost => f.write_str("the server lost the session and this message")?,
            Error::NoResponse => f.write_str("nobody has answered the request in time")?,
            Error::NotConnected => f.write_str("there is no connection")?,
            Error::Finished => f.write_str("the client has disconnected")?,
            Error::Authentication(error) => write!(f, "authentication failed: {error}")?,
            Error::Failure(failure) => f.write_str(&failure.what)?,
        }
        match self.likely_fix() {
            Some(fix) => write!(f, " (likely fix: {fix})"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for Error {}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Error {
        Error::Invalid(invalid)
    }
}

impl From<ValueError> for Invalid {
    fn from(error: ValueError) -> Invalid {
        match error {
            ValueError::TooLong => Invalid::PropertyTooLong,
            ValueError::ForbiddenCharacter => Invalid::PropertyCharacters,
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Error {
        Error::Protocol(violation)
    }
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Error {
        Error::Authentication(error)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.reason, self.code)?;
        if let Some(text) = &self.reason_string {
            write!(f, ", \"{text}\"")?;
        }
        if let Some(server) = &self.server_reference {
            write!(f, ", use {server}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invalid::TopicName(error) => return write!(f, "topic name {error}"),
            Invalid::TopicFilter(error) => return write!(f, "topic filter {error}"),
            Invalid::Characters(field) => {
                return write!(f, "{field} holds a character that MQTT forbids");
            }
            Invalid::TooLong(field) => return write!(f, "{field} is longer than 65,535 bytes"),
            Invalid::PacketTooLarge { size, max } => {
                return write!(f, "a packet of {size} bytes, and the server takes {max}");
            }
            Invalid::QoSNotSupported { max } => {
                return write!(f, "the server offers no QoS above {}", *max as u8);
            }
            Invalid::NoFilter => "no topic filter",
            Invalid::NoLocalOnShared => "no local does not go with a shared subscription",
            Invalid::SubscriptionId => "a subscription identifier is 1 to 268,435,455",
            Invalid::ClientIdMissing => {
                "this protocol version wants a client identifier (3.1: always; 3.1.1: without \
                 clean start)"
            }
            Invalid::PasswordWithoutUserName => "a password without a user name",
            Invalid::ZeroLimit => {
                "receive and send maximum, maximum packet size and connect timeout are at least 1"
            }
            Invalid::RetainNotSupported => "the server retains no messages",
            Invalid::WildcardsNotSupported => "the server takes no wildcards",
            Invalid::SharedNotSupported => "the server takes no shared subscriptions",
            Invalid::SubscriptionIdsNotSupported => "the server takes no subscription identifiers",
            Invalid::NotInThisVersion => "this needs MQTT 5.0",
            Invalid::PropertyTooLong => "a property is longer than 65,535 bytes",
            Invalid::PropertyCharacters => "a property holds a character that MQTT forbids",
            Invalid::PropertyTwice => {
                "the response topic and the correlation data of a request are set by the library"
            }
            Invalid::NoResponseTopic => "the message names no topic for a response",
            Invalid::NoPacketId => "all packet identifiers are in use",
        })
    }
}

impl core::error::Error for Invalid {}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::ClientId => "the client identifier",
            Field::UserName => "the user name",
            Field::Password => "the password",
            Field::WillPayload => "the payload of the will",
            Field::AuthenticationData => "the data of the authentication method",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::Decode(error) => return error.fmt(f),
            Violation::Unexpected(packet) => return write!(f, "{packet} has no place here"),
            Violation::UnknownPacketId(packet) => {
                return write!(f, "{packet} for something that was not asked");
            }
            Violation::SessionPresent => "it resumes a session that was to be forgotten",
            Violation::TopicAlias => "a topic alias above the maximum",
            Violation::UnknownAlias => "a topic alias that stands for nothing",
            Violation::ReceiveMaximum => "more messages at once than it may send",
            Violation::AuthenticationMethod => "another authentication method than was asked for",
            Violation::ProblemInformation(packet) => {
                return write!(f, "{packet} explains itself against the client's wish");
            }
            Violation::Unread => "it reads no answers and asks for ever more",
            Violation::AnswerCount => "an answer that does not fit the request",
        })
    }
}
