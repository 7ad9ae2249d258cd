//! Everything the broker can be told.

use crate::grant::{Policies, Principal, Ranked};
use crate::identity::{ConnId, ListenerId, Place, SessionNumber, ShardId, Tenant};
use crate::limits::{Durability, Limits};
use crate::message::Message;
use crate::peer::PeerMessage;
use noctule_proto::{DecodeError, QoS, ReasonCode, packet::Packet};
use std::net::SocketAddr;
use std::sync::Arc;

/// One thing that happened. `handle` is total: there is an answer to each, at any time.
///
/// For every connection the server says `Opened` once, then `Packet` for each whole packet in
/// order (or `Broken` once), until either it says `Closed` or the broker said `Effect::Close` or
/// `Effect::Move`. Inputs for a connection the broker no longer has are ignored.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A transport connection exists.
    Opened {
        /// Its slot.
        conn: ConnId,
        /// Where it came in.
        from: Origin,
    },
    /// A whole, valid packet. After `Effect::Pause` no packet goes in until `Effect::Resume`.
    Packet {
        /// Sender.
        conn: ConnId,
        /// The packet, borrowing the read buffer.
        packet: &'a Packet<'a>,
        /// Bytes it took on the wire.
        size: u32,
    },
    /// The bytes of a connection broke a rule of the format. Nothing more is decoded from it.
    Broken {
        /// Sender.
        conn: ConnId,
        /// Which rule.
        error: DecodeError,
    },
    /// The transport ended without our doing.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// The bytes waiting for a connection's socket crossed a mark of `limits.backlog`.
    Backlog {
        /// Which.
        conn: ConnId,
        /// Above the high mark, or back below the low one.
        level: Level,
    },
    /// A proxy has told where a connection comes from, before its first packet.
    Located {
        /// Which.
        conn: ConnId,
        /// From there.
        remote: SocketAddr,
    },
    /// Its bytes wait unread for a reason of ours: its silence is not to be blamed on it.
    Excused {
        /// Which.
        conn: ConnId,
    },
    /// The answer to `Effect::Authenticate`.
    Authenticated {
        /// Who asked.
        conn: ConnId,
        /// The verdict.
        answer: AuthAnswer,
    },
    /// A message from another shard, in the order it was sent.
    Peer {
        /// Sender.
        from: ShardId,
        /// What it says.
        message: PeerMessage,
    },
    /// The channel to a peer crossed its mark: while `High`, the broker reads nobody who fills it.
    PeerBacklog {
        /// Which peer.
        to: ShardId,
        /// Full, or with room again.
        level: Level,
    },
    /// Every index change this broker emitted, up to this one, can be seen by all shards.
    IndexVisible {
        /// Number of the change: the count of changes emitted since the start.
        up_to: u64,
        /// Version of the index with that change in it and none after.
        version: u64,
    },
    /// How far the store is with the records of this broker, each by its number: the count of
    /// records emitted since the start.
    Stored {
        /// Up to this one they survive the end of the process.
        written: u64,
        /// Up to this one they survive the loss of power.
        durable: u64,
    },
    /// The answer to `Outbox::fetches`.
    Fetched {
        /// Whose queue asked.
        session: SessionNumber,
        /// What lies at each place, in the order asked for; `None`: it is damaged.
        messages: Vec<(Place, Option<Arc<Message>>)>,
    },
    /// Whether the store takes more.
    StoreRoom(Room),
    /// How much memory the process has left: told when that changes, and again and again while it
    /// is `Full`.
    Memory(Memory),
    /// A message of the broker itself (`$SYS`).
    Publish(SystemPublish<'a>),
    /// New limits after a reload.
    Reconfigured(Box<Limits>),
    /// The rules of who may do what, before the first connection and after a reload. Those who are
    /// connected, or away, are under them from here on.
    Policies(Policies),
    /// Rules that have a say before those, from here on. While there are any, topics that begin
    /// with `$CONTROL/` are for the server.
    Ranked(Arc<Ranked>),
    /// The answer to `Effect::Control`.
    Controlled {
        /// Whose message it was.
        conn: ConnId,
        /// Whether it was taken.
        taken: bool,
    },
    /// Who a connected client is, for rules that came after it.
    Identified {
        /// Which.
        conn: ConnId,
        /// As what it was let in.
        principal: Principal,
    },
    /// An operator ends a client's connection (and session).
    Kick {
        /// Namespace of the client id.
        tenant: Tenant,
        /// Client id.
        client_id: &'a str,
        /// Reason code of the DISCONNECT.
        reason: ReasonCode,
    },
    /// A connection has lost its right to be here; its session goes on.
    Revoked {
        /// Which.
        conn: ConnId,
        /// Reason code of the DISCONNECT.
        reason: ReasonCode,
        /// In plain words.
        why: &'a str,
    },
    /// A connection is not to be read for now, for a reason that core does not know.
    Slowed {
        /// Which.
        conn: ConnId,
    },
    /// It may be read again, after `Slowed`; said of the same connection only.
    Unslowed {
        /// Which.
        conn: ConnId,
    },
    /// What a connection publishes is refused from here on, or not any more.
    Quarantined {
        /// Which.
        conn: ConnId,
        /// Whether it is.
        on: bool,
    },
    /// Refuse new connections and end all others with DISCONNECT 0x8B, as a job; afterwards
    /// `Effect::Stopped` comes out.
    Shutdown,
}

/// Where a connection came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// Listener.
    pub listener: ListenerId,
    /// Namespace the listener gives.
    pub tenant: Tenant,
    /// Address of the peer, if the transport has one (events and logs only).
    pub remote: Option<SocketAddr>,
    /// What the listener promises instead of `Limits::durability`.
    pub durability: Option<Durability>,
}

/// Whether the store takes more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub enum Room {
    /// As much as comes.
    #[default]
    Free,
    /// It is behind: who publishes what must be stored is not read for a while.
    Busy,
    /// The disk is full: nothing new is promised.
    Full,
}

/// How much of its memory the process has used: what is shed then is said in `docs/limits.md`.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[repr(u8)]
pub enum Memory {
    /// Little enough.
    #[default]
    Free,
    /// So much that what can be made again is given back.
    Near,
    /// So much that nobody new is taken in.
    Tight,
    /// All: nothing is taken that has to wait.
    Full,
}

impl Memory {
    /// All, the least serious first.
    pub const ALL: [Memory; 4] = [Memory::Free, Memory::Near, Memory::Tight, Memory::Full];

    /// Its name in logs, alerts and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Memory::Free => "free",
            Memory::Near => "near",
            Memory::Tight => "tight",
            Memory::Full => "full",
        }
    }
}

/// A mark of a backlog, crossed upwards or downwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Level {
    /// Back below the low mark.
    Low,
    /// Above the high mark.
    High,
}

/// What the server's authenticators say of a client.
#[derive(Clone, PartialEq, Debug)]
pub enum AuthAnswer {
    /// It is let in, as this principal.
    Allow {
        /// Who that is.
        principal: Principal,
        /// Last Authentication Data of the exchange, for CONNACK or AUTH 0x00.
        data: Option<Box<[u8]>>,
    },
    /// Enhanced authentication needs another step: AUTH 0x18 with this data.
    Continue {
        /// Authentication Data.
        data: Box<[u8]>,
    },
    /// Refused.
    Deny {
        /// An error code of the CONNACK table.
        reason: ReasonCode,
        /// Reason String; must hold no secret.
        why: Box<str>,
    },
}

/// A message published by the broker itself.
#[derive(Clone, Copy, Debug)]
pub struct SystemPublish<'a> {
    /// Namespace.
    pub tenant: Tenant,
    /// A valid topic name.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// QoS.
    pub qos: QoS,
    /// Keep it as the retained message of the topic.
    pub retain: bool,
}
