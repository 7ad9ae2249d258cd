//! How much of what is appended is still needed, about: by that a fold is worth its work or not.
//! What it comes to exactly, only a fold says.

use super::Log;
use noctule_core::record::Record;
use std::sync::atomic::{AtomicU64, Ordering};

/// Copies of messages that were appended since the start, and of these no more needed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    entered: AtomicU64,
    left: AtomicU64,
}

/// A tally at some time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tallied {
    entered: u64,
    left: u64,
}

impl Tally {
    /// Counts what is appended.
    pub(super) fn count(&self, records: &[Record]) {
        let (mut entered, mut left) = (0, 0);
        for record in records {
            match record {
                Record::Published { receivers, .. } => entered += receivers.len() as u64,
                Record::Received { .. } => entered += 1,
                Record::Settled { .. }
                | Record::Released { .. }
                | Record::ReceivedReleased { .. } => left += 1,
                // How much goes with it is not known: it may be all.
                Record::SessionEnded(_) | Record::GroupEnded(_) => left = u64::from(u32::MAX),
                _ => {}
            }
        }
        self.entered.fetch_add(entered, Ordering::Relaxed);
        self.left.fetch_add(left, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Tallied {
        let [entered, left] = [&self.entered, &self.left];
        Tallied { entered: entered.load(Ordering::Relaxed), left: left.load(Ordering::Relaxed) }
    }
}

impl Tallied {
    /// Of so many bytes that were appended since, those that are still needed, about.
    pub(super) fn needed_of(self, bytes: u64, now: Tallied) -> u64 {
        let entered = u128::from(now.entered - self.entered);
        let still = entered.saturating_sub(u128::from(now.left - self.left));
        (u128::from(bytes) * still).checked_div(entered).unwrap_or(0) as u64
    }
}

impl Log {
    /// Counts what is appended.
    pub(crate) fn count(&self, records: &[Record]) {
        self.tally.count(records);
    }
}
