//! What a connection counts of what its client does, between two looks.

use super::sketch::Sketch;
use crate::identity::Tenant;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// Filters of a SUBSCRIBE that count as another one.
const FILTERS: usize = 64;

/// Counts since the last look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Messages published.
    pub messages: u32,
    /// Bytes of their payloads.
    pub bytes: u32,
    pub(crate) topics: Sketch,
    /// What it asked for and may not do.
    pub denials: u16,
    /// SUBSCRIBEs, each 64 filters of one counted as another; 255 is many.
    pub subscribes: u8,
    /// Something was published or subscribed since the connection began.
    pub(crate) useful: bool,
}

const _: () = assert!(size_of::<Traffic>() <= 16);

impl Traffic {
    /// So many messages, of so many bytes in all.
    #[must_use]
    pub fn of(messages: u32, bytes: u32) -> Traffic {
        Traffic { messages, bytes, ..Traffic::default() }
    }

    /// Counts a message.
    #[inline]
    pub(crate) fn message(&mut self, bytes: usize) {
        self.messages = self.messages.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(bytes as u32);
    }

    /// Counts a SUBSCRIBE of so many filters.
    pub fn subscribe(&mut self, filters: usize) {
        self.useful = true;
        let more = u8::try_from(filters / FILTERS + 1).unwrap_or(u8::MAX);
        self.subscribes = self.subscribes.saturating_add(more);
    }

    /// Adds a topic by its hash.
    #[inline]
    pub fn topic(&mut self, hash: u64) {
        self.topics.add(hash);
    }

    /// Whether the client has published or subscribed.
    pub(crate) fn was_useful(&self) -> bool {
        self.useful || self.messages > 0
    }

    /// Takes what was counted, and begins anew.
    pub(crate) fn take(&mut self) -> Traffic {
        let useful = self.was_useful();
        std::mem::replace(self, Traffic { useful, ..Traffic::default() })
    }
}

/// A client by the keyed hash of its name and tenant. Two that collide are taken for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientKey(NonZeroU64);

impl ClientKey {
    /// From the hash.
    #[must_use]
    pub fn of(hash: u64) -> ClientKey {
        // Zero is what a place in a table holds that is free.
        ClientKey(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }

    pub(super) fn number(self) -> u64 {
        self.0.get()
    }
}

/// A look at a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Whose it is.
    pub client: ClientKey,
    /// Its namespace.
    pub tenant: Tenant,
    /// What was counted since the last look.
    pub traffic: Traffic,
}
