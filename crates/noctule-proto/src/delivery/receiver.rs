//! The receiving end of QoS 2.

use crate::PacketId;
use alloc::collections::BTreeMap;

/// Packet identifiers of QoS 2 messages that were received and not yet released, with what the
/// owner wants to keep of each message.
///
/// QoS 1 needs no memory at its receiver: each PUBLISH is new `[MQTT-4.3.2-5 v5]`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Receiver<M> {
    open: BTreeMap<PacketId, M>,
}

/// Whether a QoS 2 PUBLISH is a new message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// A new message.
    Fresh,
    /// A message that was received before: to be answered by PUBREC and not delivered again.
    Repeat,
}

impl<M> Default for Receiver<M> {
    fn default() -> Receiver<M> {
        Receiver { open: BTreeMap::new() }
    }
}

impl<M> Receiver<M> {
    /// Nothing received.
    pub const fn new() -> Receiver<M> {
        Receiver { open: BTreeMap::new() }
    }

    /// A QoS 2 PUBLISH came in. `message` is kept until the release if it is fresh, else dropped
    /// `[V31-4.2-2]` `[MQTT-4.3.3-10 v5]` `[MQTT-4.3.3-2 v3.1.1]`.
    pub fn publish(&mut self, id: PacketId, message: M) -> Arrival {
        use alloc::collections::btree_map::Entry;
        match self.open.entry(id) {
            Entry::Occupied(_) => Arrival::Repeat,
            Entry::Vacant(vacant) => {
                vacant.insert(message);
                Arrival::Fresh
            }
        }
    }

    /// Whether a PUBLISH with this identifier would be a repeat.
    pub fn is_open(&self, id: PacketId) -> bool {
        self.open.contains_key(&id)
    }

    /// A PUBREL came in, or the message is refused by a PUBREC of 0x80 or more: the identifier
    /// is free again `[MQTT-4.3.3-9 v5]` `[MQTT-4.3.3-12 v5]`. `None`: nothing was open.
    pub fn release(&mut self, id: PacketId) -> Option<M> {
        let message = self.open.remove(&id);
        if self.open.is_empty() {
            // An empty map would keep its last node.
            self.open = BTreeMap::new();
        }
        message
    }

    /// How many messages are received and not released.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// What is open, in the order of the identifiers.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (PacketId, &M)> {
        self.open.iter().map(|(id, message)| (*id, message))
    }

    /// All messages, in the order of the identifiers.
    pub fn messages_mut(&mut self) -> impl Iterator<Item = &mut M> {
        self.open.values_mut()
    }

    /// The message of an identifier, while it is open.
    pub fn message_mut(&mut self, id: PacketId) -> Option<&mut M> {
        self.open.get_mut(&id)
    }

    /// Forgets all and hands out the messages.
    pub fn clear(&mut self) -> impl Iterator<Item = (PacketId, M)> + use<M> {
        core::mem::take(&mut self.open).into_iter()
    }
}
