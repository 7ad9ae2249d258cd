//! How many received messages the application has not taken yet.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// From here on the driver stops reading, if it may.
pub(super) const UNREAD_HIGH: usize = 4096;
/// From here on messages of QoS 0 are dropped, if it may not.
pub(super) const UNREAD_MAX: usize = 16 * UNREAD_HIGH;

#[derive(Debug, Default)]
pub(super) struct Gauge {
    unread: AtomicUsize,
    dropped: AtomicU64,
    below: Notify,
}

impl Gauge {
    pub(super) fn unread(&self) -> usize {
        self.unread.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self) {
        self.unread.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn take(&self, messages: usize) {
        let before = self.unread.fetch_sub(messages, Ordering::Relaxed);
        if before >= UNREAD_HIGH && before - messages < UNREAD_HIGH {
            self.below.notify_one();
        }
    }

    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until fewer than [`UNREAD_HIGH`] messages lie unread.
    pub(super) async fn below_high(&self) {
        while self.unread() >= UNREAD_HIGH {
            self.below.notified().await;
        }
    }
}
