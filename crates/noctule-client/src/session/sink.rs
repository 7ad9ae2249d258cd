//! Where packets, events and changes of one step go.

use super::event::{Event, Token};
use super::journal::Change;
use crate::error::Error;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use noctule_proto::packet::Ack;
use noctule_proto::{PacketId, PacketType, ReasonCode, Version};

pub(super) struct Sink<'a> {
    pub(super) version: Version,
    pub(super) output: &'a mut Vec<u8>,
    pub(super) events: &'a mut VecDeque<Event>,
    pub(super) changes: Option<&'a mut Vec<Change>>,
}

impl Sink<'_> {
    #[inline]
    pub(super) fn published(&mut self, token: Token, result: Result<ReasonCode, Error>) {
        self.events.push_back(Event::Published { token, result });
    }

    pub(super) fn pubrel(&mut self, id: PacketId, reason: ReasonCode) {
        Ack::new(id, reason).encode(PacketType::PubRel, self.version, self.output);
    }

    /// Notes what has to survive the process, if anybody keeps it.
    #[inline]
    pub(super) fn note(&mut self, change: impl FnOnce() -> Change) {
        if let Some(changes) = &mut self.changes {
            changes.push(change());
        }
    }
}
