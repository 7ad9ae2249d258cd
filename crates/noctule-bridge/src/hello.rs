//! How a connection begins: CONNECT and its answer, at both ends.

use crate::line::{Line, Terms};
use crate::plan::Plan;
use crate::relay::{filters, subscribe};
use crate::rules::Way;
use noctule_client::net::ConnectError;
use noctule_proto::packet::{Connect, ConnectProperties, Will};
use noctule_proto::{
    DecodeError, Packet, PacketType, QoS, ReasonCode, Role, TopicName, Version, next_frame,
};
use std::fmt;
use std::io::{self, ErrorKind};
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long a connection may take to come about.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// The largest CONNACK: its fields at their longest fit.
const CONNACK_MAX: u32 = 1024 * 1024;

/// Why a connection did not come about.
#[derive(Debug)]
pub(crate) enum NoConnection {
    /// There was none.
    Unreachable(ConnectError),
    /// It took too long.
    TimedOut,
    /// It ended before an answer came.
    Ended(Option<io::Error>),
    /// What came is no answer.
    Broken(DecodeError),
    /// Another packet came.
    Unexpected(PacketType),
    /// The broker refuses.
    Refused(ReasonCode, Option<Box<str>>),
}

impl NoConnection {
    /// Whether the broker may take us if we do not say that we are a bridge.
    pub(crate) fn may_be_for_the_bit(&self) -> bool {
        match self {
            NoConnection::Refused(reason, _) => *reason == ReasonCode::UnsupportedProtocolVersion,
            NoConnection::Ended(_) => true,
            NoConnection::Unreachable(_)
            | NoConnection::TimedOut
            | NoConnection::Broken(_)
            | NoConnection::Unexpected(_) => false,
        }
    }

    /// Whether the broker may take us with a Will that asks for less.
    pub(crate) fn is_for_the_will(&self) -> bool {
        let will = [ReasonCode::RetainNotSupported, ReasonCode::QoSNotSupported];
        matches!(self, NoConnection::Refused(reason, _) if will.contains(reason))
    }
}

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoConnection::Unreachable(error) => error.fmt(f),
            NoConnection::TimedOut => write!(f, "no answer within {} s", PATIENCE.as_secs()),
            NoConnection::Ended(None) => f.write_str("closed before it answered CONNECT"),
            NoConnection::Ended(Some(error)) => write!(f, "no answer to CONNECT: {error}"),
            NoConnection::Broken(error) => write!(f, "the answer to CONNECT is broken: {error}"),
            NoConnection::Unexpected(packet) => {
                write!(f, "CONNECT is answered by a packet of type {packet:?}")
            }
            NoConnection::Refused(reason, None) => write!(f, "refused: {reason}"),
            NoConnection::Refused(reason, Some(why)) if **why != *reason.name() => {
                write!(f, "refused: {reason}: {why}")
            }
            NoConnection::Refused(reason, Some(_)) => write!(f, "refused: {reason}"),
        }
    }
}

/// How a bridge introduces itself there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// As a bridge, if its version of MQTT has a way to say so.
    pub(crate) says_bridge: bool,
    /// With a Will of QoS 0 that is not retained.
    pub(crate) plain_will: bool,
    /// The largest packet that it takes, bytes.
    pub(crate) packet_size_max: u32,
}

/// Introduces the bridge to the other broker.
pub(crate) async fn far<S: AsyncRead + AsyncWrite + Unpin>(
    plan: &Plan,
    stream: &mut S,
    manners: Manners,
) -> Result<Line, NoConnection> {
    let bridge = &plan.bridge;
    let v5 = bridge.version == Version::V5;
    let user_name = Some(&*bridge.user_name).filter(|name| !name.is_empty());
    let password = Some(&*bridge.password.0).filter(|password| !password.is_empty());
    let will_topic = plan.state_topic.as_deref().filter(|_| plan.tells_there());
    let will = will_topic.and_then(|topic| TopicName::parse(topic).ok());
    let connect = Connect {
        bridge: manners.says_bridge,
        clean_start: bridge.clean_start,
        keep_alive_secs: bridge.keep_alive_secs,
        will: will.map(|topic| match manners.plain_will {
            false => Will::new(topic, b"0", QoS::AtLeastOnce, true),
            true => Will::new(topic, b"0", QoS::AtMostOnce, false),
        }),
        user_name,
        password: password.map(str::as_bytes),
        properties: match v5 {
            false => ConnectProperties::default(),
            true => ConnectProperties {
                session_expiry_secs: (!bridge.clean_start).then_some(bridge.session_expiry_secs),
                receive_maximum: NonZeroU16::new(bridge.receive_maximum),
                maximum_packet_size: NonZeroU32::new(manners.packet_size_max),
                ..ConnectProperties::default()
            },
        },
        ..Connect::new(bridge.version, &plan.client_id)
    };
    let mut line = greet(stream, &connect).await?;
    if v5 {
        // Before 5.0 it cannot be told: what is too large comes, and is dropped.
        line.packet_size_max = manners.packet_size_max;
    }
    line.terms.packet_size_max = line.terms.packet_size_max.min(bridge.packet_size_max);
    Ok(line)
}

/// Introduces it to this broker, on behalf of another one that takes so many messages at a time.
pub(crate) async fn near<S: AsyncRead + AsyncWrite + Unpin>(
    plan: &Plan,
    stream: &mut S,
    receive_maximum: u16,
) -> Result<Line, NoConnection> {
    let forgets = plan.bridge.forgets_here();
    let connect = Connect {
        clean_start: forgets,
        user_name: Some(&*plan.bridge.local_user_name).filter(|name| !name.is_empty()),
        properties: ConnectProperties {
            session_expiry_secs: (!forgets).then_some(u32::MAX),
            receive_maximum: NonZeroU16::new(receive_maximum.min(plan.bridge.receive_maximum)),
            ..ConnectProperties::default()
        },
        ..Connect::new(Version::V5, &plan.local_client_id)
    };
    greet(stream, &connect).await
}

/// The same before there is another broker: messages wait here from now on.
pub(crate) async fn near_alone<S: AsyncRead + AsyncWrite + Unpin>(
    plan: &Plan,
    stream: &mut S,
) -> Result<Line, NoConnection> {
    let ended = |error| NoConnection::Ended(Some(error));
    let mut line = near(plan, stream, plan.bridge.receive_maximum).await?;
    let filters = filters(&plan.rules.filters(Way::Out));
    let mut bytes = Vec::new();
    subscribe(&filters).encode(Version::V5, &mut bytes);
    stream.write_all(&bytes).await.map_err(ended)?;
    let (mut came, mut at) = (line.take_input(), 0);
    loop {
        while let Some(frame) = next_frame(&came[at..], u32::MAX).map_err(NoConnection::Broken)? {
            if frame.packet_type() == Some(PacketType::SubAck) {
                // Whoever has the line later asks again, and awaits an answer of his own.
                came.drain(at..at + frame.len);
                line.keep(came, 0);
                return Ok(line);
            }
            at += frame.len;
        }
        if stream.read_buf(&mut came).await.map_err(ended)? == 0 {
            return Err(NoConnection::Ended(None));
        }
    }
}

/// Has this broker forget a session.
pub(crate) async fn forget<S: AsyncRead + AsyncWrite + Unpin>(
    client_id: &str,
    stream: &mut S,
) -> Result<(), NoConnection> {
    greet(stream, &Connect::new(Version::V5, client_id)).await.map(drop)
}

/// Sends a CONNECT and awaits its answer.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    connect: &Connect<'_>,
) -> Result<Line, NoConnection> {
    let ended = |error| NoConnection::Ended(Some(error));
    let mut bytes = Vec::new();
    connect.encode(&mut bytes);
    stream.write_all(&bytes).await.map_err(ended)?;
    stream.flush().await.map_err(ended)?;
    let mut came = Vec::new();
    loop {
        if let Some(line) = answer(&came, connect)? {
            return Ok(line);
        }
        match stream.read_buf(&mut came).await {
            Ok(0) => return Err(NoConnection::Ended(None)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(ended(error)),
        }
    }
}

/// The answer to a CONNECT, if all of it has come.
fn answer(bytes: &[u8], connect: &Connect<'_>) -> Result<Option<Line>, NoConnection> {
    let version = connect.version;
    let frame = next_frame(bytes, CONNACK_MAX).map_err(NoConnection::Broken)?;
    let Some(frame) = frame else { return Ok(None) };
    let connack = match Packet::decode(frame, Some(version), Role::Server) {
        Ok(Packet::ConnAck(connack)) => connack,
        Ok(Packet::Disconnect(it)) => {
            let why = it.reason_string.map(Into::into);
            return Err(NoConnection::Refused(it.reason, why));
        }
        Ok(other) => return Err(NoConnection::Unexpected(other.packet_type())),
        // A broker that does not know 5.0 answers as it can.
        Err(_) if version == Version::V5 && frame.body.len() == 2 => {
            let reason = ReasonCode::UnsupportedProtocolVersion;
            return Err(NoConnection::Refused(reason, None));
        }
        Err(error) => return Err(NoConnection::Broken(error)),
    };
    if connack.reason.is_error() {
        let why = connack.properties.reason_string.map(Into::into);
        return Err(NoConnection::Refused(connack.reason, why));
    }
    let terms = Terms::of(&connack, connect.keep_alive_secs);
    Ok(Some(Line::new(version, terms, bytes[frame.len..].to_vec())))
}
