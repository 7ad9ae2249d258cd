//! How a bridge stands, for those who look at it from outside.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts of a bridge since the broker began.
#[derive(Debug, Default)]
pub(crate) struct Status {
    connected: AtomicBool,
    sent: Count,
    received: Count,
    /// Dropped because they went in a circle.
    looped: Count,
    /// Dropped because the other side does not take packets of that size.
    too_large: Count,
    /// Refused by the other side for good.
    refused: Count,
    /// Connections that came about.
    connections: Count,
}

/// A count that others read.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something to be counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counted {
    /// A message was passed on to the other broker.
    Sent,
    /// One came from there.
    Received,
    /// One went in a circle.
    Looped,
    /// One was too large.
    TooLarge,
    /// One was refused.
    Refused,
    /// A connection came about.
    Connection,
}

impl Status {
    pub(crate) fn count(&self, what: Counted) {
        match what {
            Counted::Sent => self.sent.add(),
            Counted::Received => self.received.add(),
            Counted::Looped => self.looped.add(),
            Counted::TooLarge => self.too_large.add(),
            Counted::Refused => self.refused.add(),
            Counted::Connection => self.connections.add(),
        }
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    /// What topics below `$SYS/broker/bridge/NAME` say.
    pub(crate) fn told(&self) -> [(&'static str, u64); 7] {
        [
            ("connected", self.connected.load(Ordering::Relaxed).into()),
            ("connections", self.connections.get()),
            ("messages/sent", self.sent.get()),
            ("messages/received", self.received.get()),
            ("messages/looped", self.looped.get()),
            ("messages/too large", self.too_large.get()),
            ("messages/refused", self.refused.get()),
        ]
    }
}
