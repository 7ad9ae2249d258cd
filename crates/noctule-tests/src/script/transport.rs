//! What carries a script's bytes: the pure broker on virtual time, or a server behind sockets.

use crate::node::{LineId, Node};
use noctule_core::grant::Policies;
use noctule_core::{Limits, ListenerId, ShardId, Tenant};

/// What reached a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// Bytes.
    Bytes,
    /// The end of the connection; nothing comes after it.
    Closed,
    /// Nothing, and nothing will come by itself (or did, for as long as it is worth waiting).
    Nothing,
}

/// How patiently a script waits where only time can tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// Something has to come.
    Long,
    /// Nothing should come.
    Short,
}

/// A broker that scripts talk to.
pub trait Transport {
    /// Opens a connection to a listener, the first being 0, and returns its number.
    fn open(&mut self, listener: u16) -> usize;

    /// The client sends bytes.
    fn write(&mut self, line: usize, bytes: &[u8]);

    /// Appends what reached the client.
    fn receive(&mut self, line: usize, into: &mut Vec<u8>, patience: Patience) -> Arrival;

    /// The client is gone without a word.
    fn hang_up(&mut self, line: usize);

    /// Whatever the bytes written so far bring about has happened when this returns.
    fn settle(&mut self);

    /// Lets time pass.
    fn advance(&mut self, millis: u64);

    /// The node, if there is one without sockets.
    fn node(&mut self) -> Option<&mut Node>;
}

/// The pure broker.
#[derive(Debug)]
pub struct Pure {
    node: Node,
    lines: Vec<LineId>,
}

impl Pure {
    /// A node of so many shards, with these rules.
    #[must_use]
    pub fn new(shards: u16, limits: &Limits, policies: &Policies) -> Pure {
        let mut node = Node::new(shards, 7, limits);
        if !policies.are_open() {
            node.set_policies(policies.clone());
        }
        Pure { node, lines: Vec::new() }
    }
}

impl Transport for Pure {
    fn open(&mut self, listener: u16) -> usize {
        // Connections come in anywhere, so that most have to move to their home.
        let shard = ShardId(self.lines.len() as u16 % self.node.shards());
        self.lines.push(self.node.open_in(shard, ListenerId(listener), Tenant(0)));
        self.lines.len() - 1
    }

    fn write(&mut self, line: usize, bytes: &[u8]) {
        self.node.write(self.lines[line], bytes);
        self.node.settle();
    }

    fn receive(&mut self, line: usize, into: &mut Vec<u8>, _patience: Patience) -> Arrival {
        self.node.settle();
        let bytes = self.node.read(self.lines[line]);
        if !bytes.is_empty() {
            into.extend_from_slice(&bytes);
            return Arrival::Bytes;
        }
        if self.node.is_open(self.lines[line]) { Arrival::Nothing } else { Arrival::Closed }
    }

    fn hang_up(&mut self, line: usize) {
        self.node.hang_up(self.lines[line]);
        self.node.settle();
    }

    fn settle(&mut self) {
        self.node.settle();
    }

    fn advance(&mut self, millis: u64) {
        self.node.advance_millis(millis);
    }

    fn node(&mut self) -> Option<&mut Node> {
        Some(&mut self.node)
    }
}
