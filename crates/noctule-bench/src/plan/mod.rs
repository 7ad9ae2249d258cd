//! What is to be measured, and how.

mod durable;

pub use durable::{Durable, DurablePart, Mosquitto};

use crate::error::Error;
use crate::payload;
use noctule_client::net::Tls;
use noctule_client::{Options, QoS, SEND_MAXIMUM_V3, Version};
use std::collections::BTreeMap;
use std::time::Duration;

/// One measurement.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The broker.
    pub target: Target,
    /// What is done to it.
    pub scenario: Scenario,
    /// The process of the broker, if its CPU time and memory are to be measured.
    pub pid: Option<u32>,
    /// Time before the measurement begins, and before memory is read.
    pub warmup: Duration,
    /// After so much silence, what has not arrived is lost.
    pub quiet: Duration,
    /// After so much silence while something is due, the run is given up.
    pub patience: Duration,
    /// How often everything is repeated.
    pub runs: u32,
    /// Connections that may be on their way at once.
    pub concurrent: u32,
}

/// Where the broker is, and as whom to connect.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Protocol version.
    pub version: Version,
    /// User name.
    pub user_name: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Keep alive of each connection, in seconds.
    pub keep_alive_secs: u16,
    /// Whom to trust, if TLS is spoken.
    pub tls: Option<Tls>,
}

/// What is done to the broker.
#[derive(Clone, Debug)]
pub enum Scenario {
    /// Messages from publishers to subscribers, as many as go through, or at a rate.
    Traffic(Traffic),
    /// Many connections.
    Connect(Connect),
    /// Retained messages: stored, then fetched by a wildcard.
    Retained(Retained),
    /// Messages for persistent sessions whose clients are away.
    Offline(Offline),
    /// Many subscriptions, and their change.
    Subscriptions(Subscriptions),
    /// Messages that have to survive. Brokers are started for it: the plan's target is not asked.
    Durable(Durable),
}

/// Messages from publishers to subscribers.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Who hears whom.
    pub pattern: Pattern,
    /// Clients that publish.
    pub publishers: u32,
    /// Clients that subscribe.
    pub subscribers: u32,
    /// What is published.
    pub message: MessageShape,
    /// How fast.
    pub pace: Pace,
    /// How long.
    pub length: Length,
    /// Messages that may be on the way to one subscriber at most: a broker that queues as many
    /// drops none. mosquitto queues 1000.
    pub in_flight_max: u32,
}

/// Who hears whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// Each publisher has a subscriber of its own.
    Pairs,
    /// Each subscriber hears all publishers, who share a topic.
    FanIn,
    /// Each publisher is heard by all subscribers, who subscribe to its topic.
    FanOut,
    /// The subscribers are one share group; each message goes to one of them.
    Shared,
    /// Each publisher has its topic; each subscriber hears all by a wildcard.
    Wildcard,
}

/// What a message looks like.
#[derive(Clone, Copy, Debug)]
pub struct MessageShape {
    /// Quality of service, of both publishing and subscribing.
    pub qos: QoS,
    /// Bytes of payload, [`payload::LEN`] at least.
    pub size: usize,
    /// User properties of each message (5.0).
    pub user_properties: u32,
    /// Whether topic aliases are used in both directions (5.0).
    pub aliases: bool,
}

/// How fast messages are published.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Closed loop: each publisher has at most `window` messages that have not reached all their
    /// subscribers, and publishes as soon as `batch` of them have.
    Window {
        /// Messages of a publisher on the way.
        window: u32,
        /// Messages published at once; at most `window`.
        batch: u32,
    },
    /// Open loop: so many messages a second, evenly spaced, whatever the broker does.
    Rate(f64),
}

/// How long a measurement lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// So long.
    Time(Duration),
    /// Until so many messages have been published, and have arrived.
    Messages(u64),
}

/// Many connections.
#[derive(Clone, Debug)]
pub struct Connect {
    /// How many.
    pub connections: u32,
    /// What they do when they are connected.
    pub fleet: FleetKind,
}

/// What connections do when they stand.
#[derive(Clone, Debug)]
pub enum FleetKind {
    /// Leave at once: only connecting is measured.
    Storm,
    /// Stay and say nothing but pings, for this long.
    Idle(Duration),
    /// Each publishes once an interval; one backend subscribes to all.
    Telemetry {
        /// Between two messages of one device.
        interval: Duration,
        /// What they publish.
        message: MessageShape,
        /// For how long.
        hold: Duration,
    },
}

/// Retained messages.
#[derive(Clone, Debug)]
pub struct Retained {
    /// Topics with a retained message each.
    pub topics: u32,
    /// What is published.
    pub message: MessageShape,
    /// Subscribers that fetch all of them, one after the other.
    pub subscribers: u32,
    /// Messages on the way while they are stored.
    pub window: u32,
}

/// Messages for sessions without a connection.
#[derive(Clone, Debug)]
pub struct Offline {
    /// Persistent sessions, each with its own topic.
    pub sessions: u32,
    /// Messages for each of them.
    pub messages: u32,
    /// What is published; QoS 1 or 2.
    pub message: MessageShape,
    /// Messages on the way while they are queued.
    pub window: u32,
}

/// Many subscriptions.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    /// Clients that subscribe.
    pub clients: u32,
    /// Filters of each.
    pub filters: u32,
    /// Filters in one SUBSCRIBE.
    pub per_packet: u32,
    /// Of a hundred filters, those with a `+`.
    pub wildcard_percent: u32,
    /// How long filters are given up and taken again.
    pub churn: Duration,
}

impl Target {
    /// How to connect as this client.
    pub(crate) fn options(&self, client_id: String) -> Options {
        let mut options = Options::new(client_id);
        options.version = self.version;
        options.user_name.clone_from(&self.user_name);
        options.password = self.password.as_ref().map(|password| password.clone().into_bytes());
        options.keep_alive_secs = self.keep_alive_secs;
        options.use_topic_aliases = false;
        options
    }
}

impl MessageShape {
    /// The same options for a client that publishes or receives such messages.
    pub(crate) fn tune(&self, mut options: Options) -> Options {
        if self.aliases {
            options.use_topic_aliases = true;
            options.topic_alias_maximum = ALIASES;
        }
        // What is on the way is bounded by the window. At QoS 2 brokers hold 3.x clients to a few.
        options.send_maximum = match self.qos {
            QoS::AtMostOnce | QoS::AtLeastOnce => Some(u16::MAX),
            QoS::ExactlyOnce if options.version == Version::V5 => Some(u16::MAX),
            QoS::ExactlyOnce => Some(SEND_MAXIMUM_V3),
        };
        options
    }

    /// Refuses messages of which nobody can know whether the broker took them.
    fn promise(&self, done: &str) -> Result<(), Error> {
        if self.qos == QoS::AtMostOnce {
            return refuse(format!("nobody knows when a message of QoS 0 is {done}: -q 1 or 2"));
        }
        Ok(())
    }

    fn settings(&self, set: &mut dyn FnMut(&str, String)) {
        set("qos", (self.qos as u8).to_string());
        set("size", self.size.to_string());
        if self.user_properties > 0 {
            set("user properties", self.user_properties.to_string());
        }
        if self.aliases {
            set("aliases", "yes".into());
        }
    }

    fn check(&self, version: Version) -> Result<(), Error> {
        if self.size < payload::LEN {
            return refuse(format!(
                "a payload has {} bytes at least: run, publisher, number and time stand there",
                payload::LEN
            ));
        }
        if self.size > PAYLOAD_MAX {
            return refuse(format!("a payload has {PAYLOAD_MAX} bytes at most"));
        }
        if version != Version::V5 && (self.aliases || self.user_properties > 0) {
            return refuse("user properties and topic aliases need MQTT 5 (-V 5)");
        }
        Ok(())
    }
}

/// Topic aliases that a client takes.
const ALIASES: u16 = 64;
/// Room is left for topic and properties in what a remaining length can say.
const PAYLOAD_MAX: usize = 256 * 1024 * 1024 - 1024 * 1024;

impl Plan {
    /// What results depend on, in words. Who one is and where the broker is do not belong to it.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::new();
        let mut set = |name: &str, value: String| {
            settings.insert(name.to_owned(), value);
        };
        set("version", version_name(self.target.version).into());
        if self.target.tls.is_some() {
            set("TLS", "yes".into());
        }
        match &self.scenario {
            Scenario::Traffic(traffic) => traffic.settings(&mut set),
            Scenario::Connect(connect) => {
                set("concurrent", self.concurrent.to_string());
                set("keep alive", format!("{} s", self.target.keep_alive_secs));
                connect.settings(&mut set);
            }
            Scenario::Retained(retained) => {
                set("topics", retained.topics.to_string());
                set("subscribers", retained.subscribers.to_string());
                set("window", retained.window.to_string());
                retained.message.settings(&mut set);
            }
            Scenario::Offline(offline) => {
                set("sessions", offline.sessions.to_string());
                set("messages", offline.messages.to_string());
                set("window", offline.window.to_string());
                offline.message.settings(&mut set);
            }
            Scenario::Subscriptions(subscriptions) => {
                set("clients", subscriptions.clients.to_string());
                set("filters", subscriptions.filters.to_string());
                set("per packet", subscriptions.per_packet.to_string());
                set("wildcards", format!("{} %", subscriptions.wildcard_percent));
                set("churn", seconds(subscriptions.churn));
            }
            Scenario::Durable(durable) => durable.settings(&mut set),
        }
        settings
    }

    /// Whether the plan makes sense.
    pub fn check(&self) -> Result<(), Error> {
        let version = self.target.version;
        positive(self.runs, "runs")?;
        positive(self.concurrent, "connections at once")?;
        match &self.scenario {
            Scenario::Traffic(traffic) => traffic.check(version),
            Scenario::Connect(connect) => connect.check(version),
            Scenario::Retained(retained) => {
                positive(retained.topics, "topics")?;
                positive(retained.subscribers, "subscribers")?;
                positive(retained.window, "window")?;
                retained.message.promise("stored")?;
                retained.message.check(version)
            }
            Scenario::Offline(offline) => {
                positive(offline.sessions, "sessions")?;
                positive(offline.messages, "messages")?;
                positive(offline.window, "window")?;
                offline.message.promise("queued")?;
                offline.message.check(version)
            }
            Scenario::Subscriptions(subscriptions) => {
                positive(subscriptions.clients, "clients")?;
                positive(subscriptions.filters, "filters")?;
                positive(subscriptions.per_packet, "filters per packet")
            }
            Scenario::Durable(durable) => durable.check(version),
        }
    }
}

impl Scenario {
    /// Its name, as in `noctule bench`.
    pub(crate) fn name(&self) -> String {
        match self {
            Scenario::Traffic(traffic) => match traffic.pace {
                Pace::Window { .. } => format!("throughput {}", traffic.pattern.name()),
                Pace::Rate(_) => format!("latency {}", traffic.pattern.name()),
            },
            Scenario::Connect(connect) => match connect.fleet {
                FleetKind::Storm => "connect storm".into(),
                FleetKind::Idle(_) => "connect idle".into(),
                FleetKind::Telemetry { .. } => "connect telemetry".into(),
            },
            Scenario::Retained(_) => "retained".into(),
            Scenario::Offline(_) => "offline".into(),
            Scenario::Subscriptions(_) => "subscriptions".into(),
            Scenario::Durable(_) => "durable".into(),
        }
    }
}

impl Pattern {
    fn name(self) -> &'static str {
        match self {
            Pattern::Pairs => "pairs",
            Pattern::FanIn => "fan-in",
            Pattern::FanOut => "fan-out",
            Pattern::Shared => "shared",
            Pattern::Wildcard => "wildcard",
        }
    }
}

impl Traffic {
    fn settings(&self, set: &mut dyn FnMut(&str, String)) {
        set("publishers", self.publishers.to_string());
        set("subscribers", self.subscribers.to_string());
        match self.pace {
            Pace::Rate(rate) => set("rate", format!("{rate}/s")),
            Pace::Window { .. } => {
                let (window, batch) = self.window().unwrap_or_default();
                set("window", window.to_string());
                set("batch", batch.to_string());
            }
        }
        match self.length {
            Length::Time(time) => set("time", seconds(time)),
            Length::Messages(count) => set("messages", count.to_string()),
        }
        self.message.settings(set);
    }

    fn check(&self, version: Version) -> Result<(), Error> {
        positive(self.publishers, "publishers")?;
        positive(self.subscribers, "subscribers")?;
        if self.pattern == Pattern::Pairs && self.publishers != self.subscribers {
            return refuse("pairs have as many publishers as subscribers");
        }
        if self.length == Length::Messages(0) {
            return refuse("0 messages measure nothing");
        }
        match self.pace {
            Pace::Rate(rate) if !(rate > 0.0 && rate.is_finite()) => {
                return refuse("a rate is above 0 messages a second");
            }
            Pace::Rate(_) => {}
            Pace::Window { window, batch } => {
                positive(window, "window")?;
                positive(batch, "batch")?;
                if batch > window {
                    return refuse("a batch larger than the window would never be free");
                }
                if self.heard() > self.in_flight_max {
                    return refuse(format!(
                        "{} publishers with a message each on the way to one subscriber are more \
                         than the {} that a broker is expected to queue: a larger \
                         --in-flight-max, or an open loop (--rate)",
                        self.heard(),
                        self.in_flight_max
                    ));
                }
            }
        }
        self.message.check(version)
    }

    /// How many publishers one subscriber hears.
    fn heard(&self) -> u32 {
        match self.pattern {
            Pattern::Pairs => 1,
            Pattern::FanIn | Pattern::Shared | Pattern::Wildcard | Pattern::FanOut => {
                self.publishers
            }
        }
    }

    /// Window and batch that keep to `in_flight_max`.
    pub(crate) fn window(&self) -> Option<(u32, u32)> {
        let Pace::Window { window, batch } = self.pace else { return None };
        let window = window.min(self.in_flight_max / self.heard()).max(1);
        Some((window, batch.min(window)))
    }
}

impl Connect {
    fn settings(&self, set: &mut dyn FnMut(&str, String)) {
        set("connections", self.connections.to_string());
        match &self.fleet {
            FleetKind::Storm => {}
            FleetKind::Idle(hold) => set("hold", seconds(*hold)),
            FleetKind::Telemetry { interval, message, hold } => {
                set("hold", seconds(*hold));
                set("interval", seconds(*interval));
                message.settings(set);
            }
        }
    }

    fn check(&self, version: Version) -> Result<(), Error> {
        positive(self.connections, "connections")?;
        match &self.fleet {
            FleetKind::Storm | FleetKind::Idle(_) => Ok(()),
            FleetKind::Telemetry { interval, message, .. } => {
                if interval.is_zero() {
                    return refuse("a device needs an interval above 0");
                }
                message.check(version)
            }
        }
    }
}

fn version_name(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

fn positive(number: u32, what: &str) -> Result<(), Error> {
    if number == 0 { refuse(format!("0 {what} measure nothing")) } else { Ok(()) }
}

fn refuse<T>(words: impl Into<String>) -> Result<T, Error> {
    Err(Error::Plan(words.into()))
}
