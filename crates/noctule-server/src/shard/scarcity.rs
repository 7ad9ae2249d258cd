//! What a shard does when the process has little memory left, beside what core decides: the bounds
//! that it has anyway become tighter, and buffers that nothing waits in are given back.

use super::Shard;
use super::lines::{LINGER_MILLIS, Lines};
use noctule_core::input::Memory;
use noctule_core::{Index, Input};

/// Bytes waiting for a socket that make it a slow one, while memory is tight and full.
const TIGHT_BACKLOG: usize = 64 * 1024;
const FULL_BACKLOG: usize = 16 * 1024;

/// Connections that may have sent no CONNECT, while memory is tight and full.
const TIGHT_STRANGERS: usize = 1000;
const FULL_STRANGERS: usize = 100;

/// Milliseconds a closing connection has while memory is full: what waits for it is needed.
const FULL_LINGER_MILLIS: u64 = LINGER_MILLIS / 4;

impl Lines {
    /// The bounds that are in force at a level.
    pub(super) fn set_memory(&mut self, level: Memory) {
        let (backlog, linger) = match level {
            Memory::Free | Memory::Near => (usize::MAX, LINGER_MILLIS),
            Memory::Tight => (TIGHT_BACKLOG, LINGER_MILLIS),
            Memory::Full => (FULL_BACKLOG, FULL_LINGER_MILLIS),
        };
        let before = self.backlog_high;
        self.backlog_high = self.backlog_max.min(backlog);
        self.linger_millis = linger;
        self.held.set_memory(level);
        if self.backlog_high < before {
            self.recount_backlogs();
        }
    }
}

impl Shard {
    /// How much memory is left.
    pub(super) fn memory_is(&mut self, index: &Index, level: Memory) {
        let before = std::mem::replace(&mut self.memory, level);
        if level != before {
            self.lines.set_memory(level);
        }
        if level > before {
            self.lines.let_go();
            noctule_alloc::let_go();
        }
        self.broker.handle(self.now, index, Input::Memory(level), &mut self.outbox);
    }

    /// Connections that may have sent no CONNECT.
    pub(super) fn strangers_max(&self) -> usize {
        self.half_open_max.min(match self.memory {
            Memory::Free | Memory::Near => usize::MAX,
            Memory::Tight => TIGHT_STRANGERS,
            Memory::Full => FULL_STRANGERS,
        })
    }
}
