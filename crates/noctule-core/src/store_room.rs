//! Whether the store takes more. While it is behind, publishers of what must be stored are not
//! read; while the disk is full, nothing new is promised, and all else goes on.

use crate::broker::{Broker, Turn};
use crate::identity::ConnId;
use crate::input::Room;
use crate::limits::Durability;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a refusal for want of room says.
pub(crate) const DISK_FULL: &str = "the disk of the broker is full";

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoreRoom {
    room: Room,
    /// Connections that are not read until there is room.
    held: BTreeSet<ConnId>,
}

impl StoreRoom {
    /// Whether nothing new is promised.
    pub(crate) fn is_full(&self) -> bool {
        self.room == Room::Full
    }

    /// A connection is gone: it waits for nothing.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.held.remove(&conn);
    }
}

impl Broker {
    pub(crate) fn store_room(&mut self, turn: &mut Turn<'_>, room: Room) {
        self.store_room.room = room;
        self.count_short();
        if room != Room::Busy {
            for conn in std::mem::take(&mut self.store_room.held) {
                self.release(turn, conn);
            }
        }
    }

    /// A connection said what must be stored: if the store is behind, it is not read until there is
    /// room.
    pub(crate) fn hold_for_store(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        if self.store_room.room == Room::Busy && self.store_room.held.insert(conn) {
            self.hold(turn, conn);
        }
    }

    /// Whether a promise cannot be made for want of room.
    pub(crate) fn is_full_for(&self, durability: Durability) -> bool {
        self.store_room.is_full() && durability != Durability::Memory
    }
}
