//! Everything the broker can say.

use crate::grant::{Actions, Source};
use crate::identity::{ConnId, Place, SessionNumber, ShardId, Tenant};
use crate::index::IndexChange;
use crate::limits::Durability;
use crate::message::Message;
use crate::peer::PeerMessage;
use crate::record::Record;
use noctule_proto::{PacketId, QoS, ReasonCode, Version};
use std::net::SocketAddr;
use std::sync::Arc;

/// What one or more calls of `handle` and `tick` had to say. The server empties it after each
/// batch, in any order between the fields, in order within each.
#[derive(Default, PartialEq, Debug)]
pub struct Outbox {
    /// Encoded bytes that `sends` point into.
    pub frames: Vec<u8>,
    /// Bytes for connections, in order per connection.
    pub sends: Vec<Send>,
    /// Things to do with connections, after the sends.
    pub effects: Vec<Effect>,
    /// Messages for other shards, in order per shard.
    pub peers: Vec<(ShardId, PeerMessage)>,
    /// Changes for the index writer, numbered by their order since the start.
    pub index: Vec<IndexChange>,
    /// Records for the store, numbered by their order since the start; one batch.
    pub records: Vec<Record>,
    /// How far the store has to get with the records soon, because something waits for it.
    pub commit: Durability,
    /// Messages that queues need back from the log; each answered by `Input::Fetched`.
    pub fetches: Vec<Fetch>,
    /// Rare things for logs, `$SYS` and alerts.
    pub events: Vec<Event>,
}

/// Messages to be read from the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Fetch {
    /// Whose queue asks.
    pub session: SessionNumber,
    /// Where they lie, in the order in which they are needed.
    pub places: Vec<Place>,
}

/// Bytes for one connection: `frames[start..start + len]`, then the payload of `body` if there is
/// one. The same bytes may go to many connections, each with a packet id of its own.
#[derive(Clone, PartialEq, Debug)]
pub struct Send {
    /// Receiver.
    pub conn: ConnId,
    /// Start in `frames`.
    pub start: u32,
    /// Length in `frames`.
    pub len: u32,
    /// Packet id to write (big endian) at `start + id.0` of the receiver's copy.
    pub id: Option<(u32, PacketId)>,
    /// A large payload, shared instead of copied.
    pub body: Option<Arc<Message>>,
}

/// Something the server has to do with a connection.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Flush what was sent, then close.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Hand the connection to its home shard: it is `Opened` there, and its bytes from the
    /// current CONNECT on are decoded there again.
    Move {
        /// Which.
        conn: ConnId,
        /// Home.
        to: ShardId,
    },
    /// Put no more packets of this connection in, and stop reading its socket.
    Pause {
        /// Which.
        conn: ConnId,
    },
    /// Undo `Pause`.
    Resume {
        /// Which.
        conn: ConnId,
    },
    /// Find out who this is; answered by `Input::Authenticated`. Comes with `Pause`.
    Authenticate {
        /// Which.
        conn: ConnId,
        /// What it says of itself.
        request: Box<AuthRequest>,
    },
    /// A message of a client that is for the server; answered by `Input::Controlled`. Comes with
    /// `Pause`: a client has one of them under way at most.
    Control {
        /// Whose.
        conn: ConnId,
        /// What it says.
        request: Box<ControlRequest>,
    },
    /// The shutdown job is done.
    Stopped,
}

/// A message that is for the server and goes to no subscriber.
#[derive(Clone, PartialEq)]
pub struct ControlRequest {
    /// Namespace.
    pub tenant: Tenant,
    /// Topic: it begins with `$CONTROL/`.
    pub topic: Box<str>,
    /// Payload. May hold passwords: never logged.
    pub payload: Box<[u8]>,
}

impl core::fmt::Debug for ControlRequest {
    /// What it says is never printed.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ControlRequest to {:?}", self.topic)
    }
}

/// One step of authentication.
#[derive(Clone, PartialEq)]
pub enum AuthRequest {
    /// From CONNECT.
    Connect {
        /// Client id (the assigned one if it sent none).
        client_id: Box<str>,
        /// User name.
        user_name: Option<Box<str>>,
        /// Password. Never logged.
        password: Option<Box<[u8]>>,
        /// Authentication Method, for enhanced authentication.
        method: Option<Box<str>>,
        /// Authentication Data. Never logged.
        data: Option<Box<[u8]>>,
    },
    /// AUTH 0x18: the next step of a running exchange.
    Step {
        /// Authentication Data. Never logged.
        data: Option<Box<[u8]>>,
    },
    /// AUTH 0x19: a new exchange on a live connection, by the method of its CONNECT.
    Again {
        /// Client id.
        client_id: Box<str>,
        /// Authentication Method.
        method: Box<str>,
        /// Authentication Data. Never logged.
        data: Option<Box<[u8]>>,
    },
}

impl core::fmt::Debug for AuthRequest {
    /// Names the step and nothing else: credentials are never printed.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            AuthRequest::Connect { .. } => "AuthRequest::Connect",
            AuthRequest::Step { .. } => "AuthRequest::Step",
            AuthRequest::Again { .. } => "AuthRequest::Again",
        })
    }
}

/// A rare thing worth a log line. Counts of common things are [`crate::counters::Counters`].
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A client connected.
    Connected {
        /// Client id.
        client_id: Box<str>,
        /// Namespace.
        tenant: Tenant,
        /// Its address.
        remote: Option<SocketAddr>,
        /// Protocol version.
        version: Version,
        /// Keep alive in force, seconds.
        keep_alive_secs: u16,
        /// Clean start asked for.
        clean_start: bool,
        /// User name.
        user_name: Option<Box<str>>,
    },
    /// A connection was refused before or with its CONNACK.
    Refused {
        /// Client id, if one was told.
        client_id: Option<Box<str>>,
        /// User name, if one was told.
        user_name: Option<Box<str>>,
        /// Namespace.
        tenant: Tenant,
        /// Its address.
        remote: Option<SocketAddr>,
        /// Reason code.
        reason: ReasonCode,
        /// In plain words.
        why: Box<str>,
    },
    /// A client's connection ended.
    Disconnected {
        /// Client id.
        client_id: Box<str>,
        /// Namespace.
        tenant: Tenant,
        /// Its address.
        remote: Option<SocketAddr>,
        /// How.
        end: End,
        /// What it was good for.
        purpose: Purpose,
    },
    /// A session ended by its expiry interval.
    SessionExpired {
        /// Client id.
        client_id: Box<str>,
    },
    /// A session's queue began to overflow (said once until it has room again).
    QueueOverflow {
        /// Client id.
        client_id: Box<str>,
        /// Messages waiting.
        messages: u64,
    },
    /// A client subscribed.
    Subscribed {
        /// Client id.
        client_id: Box<str>,
        /// Filter.
        filter: Box<str>,
        /// Granted QoS.
        qos: QoS,
    },
    /// A message that waits cannot be read from the log: it is skipped, and stays there.
    Damaged {
        /// Whom it waits for.
        client_id: Box<str>,
        /// Where it lies.
        place: Place,
    },
    /// A client wanted what it may not do (told once between two looks at its connection).
    Denied {
        /// Client id.
        client_id: Box<str>,
        /// User name, where there are rules.
        user_name: Option<Box<str>>,
        /// Its address.
        remote: Option<SocketAddr>,
        /// What it wanted.
        action: Actions,
        /// The topic, or filter.
        topic: Box<str>,
        /// The rule that denies it; `None`: none allows it.
        rule: Option<Source>,
    },
    /// A client unsubscribed, or lost the right to a subscription.
    Unsubscribed {
        /// Client id.
        client_id: Box<str>,
        /// Filter.
        filter: Box<str>,
    },
}

/// What a connection was good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The client published or subscribed.
    Traffic,
    /// It did neither, but its session has subscriptions: it came to hear.
    Hearing,
    /// Nothing that could be seen.
    None,
}

/// How a connection ended.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub enum End {
    /// The client sent DISCONNECT with this reason.
    ByClient(ReasonCode),
    /// The transport closed without one.
    Lost,
    /// The broker ended it.
    ByBroker {
        /// Reason code (told to the client if its version has one).
        reason: ReasonCode,
        /// In plain words.
        why: Box<str>,
    },
}
