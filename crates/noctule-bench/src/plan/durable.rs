//! What brokers are asked for that keep what they acknowledge.

use super::{MessageShape, positive, refuse, seconds};
use crate::error::Error;
use noctule_client::Version;
use std::path::PathBuf;
use std::time::Duration;

/// Messages that have to survive, and brokers that are started, killed and started again for it.
#[derive(Clone, Debug)]
pub struct Durable {
    /// The program that is measured: noctule.
    pub noctule: PathBuf,
    /// What its acknowledgements promise: a class of its configuration.
    pub class: String,
    /// Its shards, if not as many as it chooses.
    pub shards: Option<u16>,
    /// Another broker that is asked for the same.
    pub mosquitto: Option<Mosquitto>,
    /// On the disk that is measured. Each part makes a directory in it, and takes it away.
    pub directory: PathBuf,
    /// What is measured.
    pub parts: Vec<DurablePart>,
    /// What is published.
    pub message: MessageShape,
    /// How many messages are queued, where many are.
    pub messages: u32,
    /// How many sessions are away, where many are.
    pub sessions: u32,
    /// How long is published, where time is the bound.
    pub time: Duration,
}

/// mosquitto, with the store that keeps most.
#[derive(Clone, Debug)]
pub struct Mosquitto {
    /// The program.
    pub program: PathBuf,
    /// Its plugin `mosquitto_persist_sqlite.so`.
    pub store: PathBuf,
}

/// One thing that is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DurablePart {
    /// Publishing to one session that is away, beside a bare loop of append and sync.
    Publish,
    /// Publishing to a thousand sessions that are away.
    FanOut,
    /// A queue that is filled at one end and emptied at the other.
    Churn,
    /// A start with many messages and sessions.
    Start,
    /// A client that comes back to a long queue.
    Drain,
    /// One session that stays away among many busy ones.
    Endure,
}

impl DurablePart {
    /// All of them, in the order in which they are done.
    pub const ALL: [DurablePart; 6] = [
        DurablePart::Publish,
        DurablePart::FanOut,
        DurablePart::Churn,
        DurablePart::Start,
        DurablePart::Drain,
        DurablePart::Endure,
    ];

    /// Its name, with which the names of its numbers begin.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DurablePart::Publish => "publish",
            DurablePart::FanOut => "fan_out",
            DurablePart::Churn => "churn",
            DurablePart::Start => "start",
            DurablePart::Drain => "drain",
            DurablePart::Endure => "endure",
        }
    }

    /// Whether a broker that keeps nothing fails at it.
    fn needs_restart(self) -> bool {
        match self {
            DurablePart::Publish
            | DurablePart::FanOut
            | DurablePart::Churn
            | DurablePart::Endure => false,
            DurablePart::Start | DurablePart::Drain => true,
        }
    }
}

impl Durable {
    pub(super) fn settings(&self, set: &mut dyn FnMut(&str, String)) {
        set("class", self.class.clone());
        if let Some(shards) = self.shards {
            set("shards", shards.to_string());
        }
        set("messages", self.messages.to_string());
        set("sessions", self.sessions.to_string());
        set("time", seconds(self.time));
        self.message.settings(set);
    }

    pub(super) fn check(&self, version: Version) -> Result<(), Error> {
        positive(self.messages, "messages")?;
        positive(self.sessions, "sessions")?;
        if self.parts.is_empty() {
            return refuse("nothing is to be measured");
        }
        if let Some(part) = self.parts.iter().find(|part| part.needs_restart())
            && self.class == "memory"
        {
            return refuse(format!(
                "{} asks whether something survives, and with class memory nothing does",
                part.name().replace('_', "-")
            ));
        }
        self.message.promise("kept")?;
        self.message.check(version)
    }
}
