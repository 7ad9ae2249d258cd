//! Where packets, events and changes of one step go.

use super::event::{Event, Token};
use super::journal::Change;
use super::output::Output;
use crate::error::Error;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use noctule_proto::packet::Ack;
use noctule_proto::{PacketId, PacketType, ReasonCode, Version};

pub(super) struct Sink<'a> {
    pub(super) version: Version,
    pub(super) output: &'a mut Output,
    pub(super) events: &'a mut VecDeque<Event>,
    pub(super) changes: Option<&'a mut Vec<Change>>,
}

impl Sink<'_> {
    #[inline]
    pub(super) fn published(&mut self, token: Token, result: Result<ReasonCode, Error>) {
        self.events.push_back(Event::Published { token, result });
    }

    /// Answers a packet of a hand-shake, under the identifier of its PUBLISH `[MQTT-2.2.1-5 v5]`
    /// `[MQTT-2.3.1-6 v3.1.1]`. It says nothing but its reason, so that no server finds it too
    /// large `[MQTT-3.4.2-2 v5]` `[MQTT-3.4.2-3 v5]` `[MQTT-3.5.2-2 v5]` `[MQTT-3.5.2-3 v5]`
    /// `[MQTT-3.6.2-2 v5]` `[MQTT-3.6.2-3 v5]` `[MQTT-3.7.2-2 v5]` `[MQTT-3.7.2-3 v5]`.
    #[inline]
    pub(super) fn answer(&mut self, packet: PacketType, id: PacketId, reason: ReasonCode) {
        let version = self.version;
        self.output.answer(|bytes| Ack::new(id, reason).encode(packet, version, bytes));
    }

    /// Notes what has to survive the process, if anybody keeps it.
    #[inline]
    pub(super) fn note(&mut self, change: impl FnOnce() -> Change) {
        if let Some(changes) = &mut self.changes {
            changes.push(change());
        }
    }
}
