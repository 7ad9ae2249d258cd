//! Every bound of the broker, each with what happens beyond it.

mod client;
mod listener;
mod queues;

pub(crate) use client::PublishRates;
pub use client::{ClientLimits, OverRate};
pub(crate) use listener::Offer;
pub use listener::{ListenerLimits, Versions};
pub(crate) use queues::QueueChoice;
pub use queues::{Overflow, QueueLimits, QueueRule};

use noctule_proto::{QoS, TopicName};
use serde::{Deserialize, Serialize};

/// Bounds and announced capabilities, the same for all shards of a node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds a new connection has to send its CONNECT; then it is closed.
    pub connect_timeout_secs: u16,
    /// Largest packet accepted, bytes (announced as Maximum Packet Size); larger: 0x95.
    pub packet_size_max: u32,
    /// Largest payload of a PUBLISH, bytes; a larger message is dropped: PUBACK or PUBREC 0x97, and
    /// before v5 one that says nothing of it.
    pub payload_size_max: u32,
    /// QoS 1 and 2 messages a client may have open towards us (announced); beyond: 0x93.
    pub receive_maximum: u16,
    /// QoS 1 and 2 messages we keep open towards a client at most, whatever it announces.
    pub inflight_max: u16,
    /// Topic aliases a client may use towards us (announced); beyond: 0x94.
    pub topic_alias_max: u16,
    /// Topic aliases we use towards a client at most, whatever it announces.
    pub topic_alias_out_max: u16,
    /// Levels of a topic name or filter; deeper: 0x90 for names, 0x8F for filters.
    pub topic_levels_max: u16,
    /// Longest client id, bytes; longer: CONNACK 0x85.
    pub client_id_len_max: u16,
    /// Longest keep alive, seconds; 0 = any. Longer ones are lowered (v5) or kept (3.x).
    pub keep_alive_secs_max: u16,
    /// Longest session expiry, seconds; longer ones are lowered and told in CONNACK.
    pub session_expiry_secs_max: u32,
    /// Session expiry of a 3.x session with Clean Session 0, seconds; `u32::MAX` = never.
    pub session_expiry_secs_v3: u32,
    /// Bounds of the queue of a session, and of what waits in a share group.
    pub queue: QueueLimits,
    /// Sessions with bounds of their own; the first rule that is for a client decides.
    pub queue_rules: Vec<QueueRule>,
    /// Subscriptions of one session; beyond: SUBACK 0x97.
    pub subscriptions_max: u32,
    /// Retained messages of a shard; beyond: 0x97, the message is delivered but not kept.
    pub retained_max: u32,
    /// Bytes of retained messages of a shard; beyond: 0x97.
    pub retained_bytes_max: u64,
    /// Bytes of wills of a shard; beyond: CONNACK 0x97.
    pub wills_bytes_max: u64,
    /// Sessions of a shard; beyond: CONNACK 0x97.
    pub sessions_max: u32,
    /// Connections of a shard; beyond: closed, or CONNACK 0x89.
    pub connections_max: u32,
    /// Connections of a shard whose CONNECT is awaited; beyond, the server closes the oldest.
    pub half_open_max: u32,
    /// Messages waiting in one share group for a member with room; beyond, the queue's `overflow`
    /// decides.
    pub share_queue_max: u32,
    /// Bytes waiting for one socket above which the broker sends it nothing more (QoS 0 for it is
    /// dropped, QoS 1 and 2 queue), until half of it has left. The server reports the crossings.
    pub backlog_high: u32,
    /// Milliseconds without progress after which a slow receiver no longer holds publishers.
    pub stall_millis: u32,
    /// Highest QoS accepted; 2 unless configured (announced as Maximum QoS).
    pub qos_max: QoS,
    /// Retained messages are supported (announced).
    pub retain_available: bool,
    /// Wildcard subscriptions are supported (announced).
    pub wildcard_available: bool,
    /// Subscription identifiers are supported (announced).
    pub subscription_ids_available: bool,
    /// Shared subscriptions are supported (announced).
    pub shared_available: bool,
    /// An empty client id is given a name; otherwise CONNACK 0x85.
    pub assign_client_ids: bool,
    /// Prefix of assigned client ids.
    pub assigned_id_prefix: Box<str>,
    /// Refusals say why in a Reason String, to v5 clients that want it; otherwise the code alone.
    pub reason_strings: bool,
    /// Refusals are those of mosquitto: 0x87 for credentials, 0x80 for client ids, Maximum QoS in
    /// CONNACK; and 3.x clients that ask for too long a keep alive are refused (return code 2).
    pub refusals_as_mosquitto: bool,
    /// Response Information given to v5 clients that ask, `%c` = client id; none if empty.
    pub response_information: Box<str>,
    /// What an acknowledgement promises, unless the listener or the topic says otherwise.
    pub durability: Durability,
    /// Topic filters whose messages are promised something else; the first that matches decides.
    pub durability_of_topics: Vec<(Box<str>, Durability)>,
    /// Messages waiting for all sessions of a shard; beyond, the newest is dropped.
    pub queues_messages_max: u64,
    /// Bytes of messages waiting for all sessions of a shard; beyond, the newest is dropped.
    pub queues_bytes_max: u64,
    /// Messages to topics that begin with `$CONTROL/` are for the server, whatever rules there are.
    pub control_api: bool,
    /// How much one client may do.
    pub client: ClientLimits,
    /// What listeners allow, by their numbers; one that is not there allows all of the above.
    pub listeners: Vec<ListenerLimits>,
    /// Deliveries a job may make in one turn (about 1 ms of work).
    pub turn_budget: u32,
    /// Bytes of cached routes a shard may keep.
    pub route_cache_bytes: u32,
}

/// What an acknowledgement promises: what it is about survives so much.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub enum Durability {
    /// Nothing: no record is emitted, no acknowledgement waits for the store.
    #[default]
    Memory,
    /// The end of the process: acknowledgements wait until the record is written.
    Os,
    /// The loss of power: they wait until it is on the disk.
    Fsync,
}

impl Durability {
    /// Its name in the configuration, metrics and the manual.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Durability::Memory => "memory",
            Durability::Os => "os",
            Durability::Fsync => "fsync",
        }
    }
}

impl Limits {
    /// What is promised of a message: what its topic says, or else what its publisher was promised.
    pub(crate) fn durability_of(&self, topic: TopicName<'_>, promised: Durability) -> Durability {
        let rules = self.durability_of_topics.iter();
        let mut matching =
            rules.filter(|(filter, _)| noctule_proto::topic::matches(filter, topic.as_str()));
        matching.next().map_or(promised, |(_, durability)| *durability)
    }
}

impl Default for Limits {
    /// Generous, chosen for throughput; the manual (`docs/limits.md`) gives the reasons.
    fn default() -> Limits {
        Limits {
            connect_timeout_secs: 10,
            packet_size_max: 16 * 1024 * 1024,
            payload_size_max: u32::MAX,
            receive_maximum: 1024,
            inflight_max: 1024,
            topic_alias_max: 64,
            topic_alias_out_max: 64,
            topic_levels_max: 200,
            client_id_len_max: 65_535,
            keep_alive_secs_max: 0,
            session_expiry_secs_max: u32::MAX,
            session_expiry_secs_v3: u32::MAX,
            queue: QueueLimits::default(),
            queue_rules: Vec::new(),
            subscriptions_max: 1_000_000,
            retained_max: 10_000_000,
            retained_bytes_max: 4 * 1024 * 1024 * 1024,
            wills_bytes_max: 1024 * 1024 * 1024,
            sessions_max: 10_000_000,
            connections_max: 10_000_000,
            half_open_max: 50_000,
            share_queue_max: 100_000,
            backlog_high: 1024 * 1024,
            stall_millis: 1000,
            qos_max: QoS::ExactlyOnce,
            retain_available: true,
            wildcard_available: true,
            subscription_ids_available: true,
            shared_available: true,
            assign_client_ids: true,
            assigned_id_prefix: "auto-".into(),
            reason_strings: true,
            refusals_as_mosquitto: false,
            response_information: "".into(),
            durability: Durability::Memory,
            durability_of_topics: Vec::new(),
            queues_messages_max: u64::MAX,
            queues_bytes_max: u64::MAX,
            control_api: false,
            client: ClientLimits::default(),
            listeners: Vec::new(),
            turn_budget: 4096,
            route_cache_bytes: 8 * 1024 * 1024,
        }
    }
}
