//! The world of a script: a broker, and the clients that talk to it.

use super::client::{Client, Stage};
use super::connect::{Connect, connect};
use super::packet::{Packet, connack};
use super::property;
use super::transport::Transport;
use crate::node::Node;
use noctule_core::Limits;
use noctule_proto::Version;
use std::cell::RefCell;
use std::rc::Rc;

/// Longest real time a script may let pass behind sockets.
const REAL_MILLIS_MAX: u64 = 3000;

/// A broker and its clients.
pub struct World {
    /// Version that connections speak unless they say otherwise.
    pub version: Version,
    limits: Limits,
    title: String,
    stage: Rc<RefCell<Stage>>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.title)
    }
}

impl World {
    /// A world whose connections speak `version`.
    #[must_use]
    pub fn new(
        title: &str,
        version: Version,
        limits: Limits,
        transport: Box<dyn Transport>,
    ) -> World {
        let stage = Stage::new(transport);
        World { version, limits, title: title.to_owned(), stage: Rc::new(RefCell::new(stage)) }
    }

    /// Whether connections speak v5 unless they say otherwise.
    #[must_use]
    pub fn is_v5(&self) -> bool {
        self.version == Version::V5
    }

    /// `v5`, or `v3` if connections speak an earlier version.
    #[must_use]
    pub fn by_version<T>(&self, v5: T, v3: T) -> T {
        if self.is_v5() { v5 } else { v3 }
    }

    /// The broker's limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A connection on which nothing was said yet.
    #[must_use]
    pub fn line(&self) -> Client {
        self.line_of(self.version)
    }

    /// The same, in this version.
    #[must_use]
    pub fn line_of(&self, version: Version) -> Client {
        Client::open(&self.stage, 0, version)
    }

    /// A client with a clean session that came by this listener of `Limits::listeners`.
    #[must_use]
    pub fn connect_at(&self, listener: u16, connect: &Connect) -> Client {
        let client = self.line_at(listener);
        client.connects(connect);
        client
    }

    /// A connection to this listener on which nothing was said yet.
    #[must_use]
    pub fn line_at(&self, listener: u16) -> Client {
        Client::open(&self.stage, listener, self.version)
    }

    /// A client with a clean session.
    #[must_use]
    pub fn connect(&self, client_id: &str) -> Client {
        self.connect_with(&connect(client_id))
    }

    /// A client with a clean session that speaks this version.
    #[must_use]
    pub fn connect_as(&self, version: Version, client_id: &str) -> Client {
        let client = self.line_of(version);
        client.connects(&connect(client_id));
        client
    }

    /// A client that sent this and was accepted.
    #[must_use]
    pub fn connect_with(&self, connect: &Connect) -> Client {
        let client = self.line();
        client.connects(connect);
        client
    }

    /// A client that sent this, was accepted, and found its session.
    #[must_use]
    pub fn resume(&self, connect: &Connect) -> Client {
        let client = self.line();
        let connack = client.connects(connect);
        // MQTT 3.1 has no Session Present.
        let told = u8::from(self.version != Version::V31);
        assert_eq!(connack.flags, told, "Session Present");
        client
    }

    /// The CONNACK that accepts a CONNECT which asks for nothing special.
    #[must_use]
    pub fn connack(&self) -> Packet {
        connack(0)
            .with(property::receive_maximum(self.limits.receive_maximum))
            .with(property::maximum_packet_size(self.limits.packet_size_max))
            .with(property::topic_alias_maximum(self.limits.topic_alias_max))
    }

    /// Adds a line to what a script that fails shows.
    pub fn note(&self, line: &str) {
        self.stage.borrow_mut().note(line.to_owned());
    }

    /// Lets time pass.
    pub fn advance(&self, secs: u64) {
        self.advance_millis(secs * 1000);
    }

    /// Lets time pass.
    pub fn advance_millis(&self, millis: u64) {
        let mut stage = self.stage.borrow_mut();
        stage.note(format!("      {millis} ms pass"));
        let is_virtual = stage.transport.node().is_some();
        assert!(is_virtual || millis <= REAL_MILLIS_MAX, "such a script is for the pure broker");
        stage.transport.advance(millis);
    }

    /// Everything that clients said so far has had its effect when this returns.
    pub fn settle(&self) {
        self.stage.borrow_mut().transport.settle();
    }

    /// Talks to the node itself; `None` behind sockets.
    pub fn with_node<T>(&self, act: impl FnOnce(&mut Node) -> T) -> Option<T> {
        let mut stage = self.stage.borrow_mut();
        let node = stage.transport.node()?;
        let done = act(node);
        node.settle();
        Some(done)
    }
}

impl Drop for World {
    /// A script that failed shows what was said.
    #[allow(clippy::print_stderr, reason = "it is read by whoever ran the test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\n{}\n{}", self.title, self.stage.borrow().transcript());
        }
    }
}
