//! Detection: what clients do that they usually do not. Pure: fed with numbers and the time.
//!
//! ```text
//!  Connection.traffic --Broker::look--> Clients::look ----+--> Found: which kind, how much,
//!  connections that end --------------> Clients::ended ---+    and how to answer
//!  logins that fail, connections ------> Sources::failed --+
//!  that come to nothing
//! ```
//!
//! * `traffic`  what a connection counts of itself, 16 bytes, an addition a message
//! * `clients`  what is known of each active client, 32 bytes, in a table that is mostly full
//! * `client`   one client against its own past
//! * `sources`  addresses and user names whose logins fail, or that connect to no purpose
//! * `level`    a number by its logarithm;  `sketch`  how many topics, without keeping any
//!
//! It lives in core although the broker never asks it anything: only here it is checked that
//! nothing reads a clock or iterates in an order that differs from run to run, and so a week of ten
//! thousand devices is replayed in a test. Whose business the findings are is the server's.

mod client;
mod clients;
mod level;
mod sketch;
mod sources;
mod traffic;

#[cfg(test)]
mod tests;

pub use clients::Clients;
pub use sources::Sources;
pub use traffic::{ClientKey, Look, Traffic};

/// Seconds between two looks at a connection.
pub const LOOK_SECS: u32 = 4;

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Logins fail, again and again: of one address, or for one user.
    AuthFailures,
    /// A client connects and is gone again, over and over.
    Flapping,
    /// A client asks for what it may not do, again and again.
    Denied,
    /// A client publishes far more messages than it ever does.
    RateSpike,
    /// A client publishes far more bytes than it ever does.
    SizeSpike,
    /// A client publishes to ever new topics.
    TopicExplosion,
    /// A client that always talks has stopped.
    Silence,
    /// An address opens connections that come to nothing.
    ConnectFlood,
    /// A client subscribes without end.
    SubscribeFlood,
}

impl Kind {
    /// Number of variants.
    pub const COUNT: usize = 9;

    /// All, in order of their numbers.
    pub const ALL: [Kind; Kind::COUNT] = [
        Kind::AuthFailures,
        Kind::Flapping,
        Kind::Denied,
        Kind::RateSpike,
        Kind::SizeSpike,
        Kind::TopicExplosion,
        Kind::Silence,
        Kind::ConnectFlood,
        Kind::SubscribeFlood,
    ];

    /// The name used in metrics, logs and topics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::AuthFailures => "auth_failures",
            Kind::Flapping => "flapping",
            Kind::Denied => "denied",
            Kind::RateSpike => "rate_spike",
            Kind::SizeSpike => "size_spike",
            Kind::TopicExplosion => "topic_explosion",
            Kind::Silence => "silence",
            Kind::ConnectFlood => "connect_flood",
            Kind::SubscribeFlood => "subscribe_flood",
        }
    }
}

/// What is done about a finding, from the mildest on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Answer {
    /// It is told.
    #[default]
    Observe,
    /// The connection is not read for a while.
    Slow,
    /// What the client publishes is refused for a while.
    Quarantine,
    /// It is not let in for a while.
    Ban,
}

impl Answer {
    /// The name used in the configuration, logs and topics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Answer::Observe => "observe",
            Answer::Slow => "slow",
            Answer::Quarantine => "quarantine",
            Answer::Ban => "ban",
        }
    }

    /// The next one up.
    fn harder(self) -> Answer {
        match self {
            Answer::Observe => Answer::Slow,
            Answer::Slow => Answer::Quarantine,
            Answer::Quarantine | Answer::Ban => Answer::Ban,
        }
    }
}

/// A finding.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Found {
    /// Of which kind.
    pub kind: Kind,
    /// How much it was: failures, ends, denials, messages or bytes a second, topics, seconds.
    pub value: u64,
    /// How much is usual, or allowed.
    pub usual: u64,
    /// What its turn is: the harder the more often the same client was found of late.
    pub answer: Answer,
}

/// From where on something is a finding. Zero switches a kind off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thresholds {
    /// Failed logins of an address; one is forgiven a minute.
    pub address_failures_max: u16,
    /// Failed logins for a user name; one is forgiven a minute.
    pub user_failures_max: u16,
    /// Connections of an address that came to nothing; one is forgiven a second.
    pub idle_connects_max: u16,
    /// Connections that were lost, or of no use; one is forgiven every half minute.
    pub flaps_max: u8,
    /// Denials in a second.
    pub denials_max: u16,
    /// SUBSCRIBEs in a second, each 64 filters of one counted as another.
    pub subscribes_max: u8,
    /// Messages a second that are too few to be a spike.
    pub spike_messages_min: u32,
    /// Bytes a second that are too few to be a spike.
    pub spike_bytes_min: u32,
    /// Topics within an hour that are too few to be an explosion.
    pub topics_min: u32,
    /// Whether silence is looked for.
    pub silence: bool,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            address_failures_max: 10,
            user_failures_max: 50,
            idle_connects_max: 100,
            flaps_max: 10,
            denials_max: 10,
            subscribes_max: 50,
            spike_messages_min: 100,
            spike_bytes_min: 256 * 1024,
            topics_min: 1000,
            silence: true,
        }
    }
}
