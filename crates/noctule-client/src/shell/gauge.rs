//! How much of what was received the application has not taken yet.

use crate::message::Message;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// What a message counts for at least, in bytes: there is more to a message than its content.
const MESSAGE_MIN: usize = 4096;
/// From here on the driver stops reading, if it may: 4,096 messages, or fewer large ones.
pub(super) const UNREAD_HIGH: usize = 4096 * MESSAGE_MIN;
/// From here on messages of QoS 0 are dropped, if it may not.
pub(super) const UNREAD_MAX: usize = 16 * UNREAD_HIGH;

/// What a message counts for, in bytes.
pub(super) fn weight(message: &Message) -> usize {
    let properties = message.properties.as_properties().encoded_len();
    (message.topic.len() + message.payload.len() + properties).max(MESSAGE_MIN)
}

#[derive(Debug, Default)]
pub(super) struct Gauge {
    unread: AtomicUsize,
    dropped: AtomicU64,
    below: Notify,
}

impl Gauge {
    /// Bytes that lie unread.
    pub(super) fn unread(&self) -> usize {
        self.unread.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.unread.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn take(&self, bytes: usize) {
        let before = self.unread.fetch_sub(bytes, Ordering::Relaxed);
        if before >= UNREAD_HIGH && before - bytes < UNREAD_HIGH {
            self.below.notify_one();
        }
    }

    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until fewer than [`UNREAD_HIGH`] bytes lie unread.
    pub(super) async fn below_high(&self) {
        while self.unread() >= UNREAD_HIGH {
            self.below.notified().await;
        }
    }
}
