//! Hears what arrives: accounts, windows, latencies.

use super::window::Window;
use crate::accounting::{Arrival, Ledger};
use crate::fleet::Listener;
use crate::histogram::Latencies;
use noctule_client::{Delivery, Event};
use std::ops::Range;
use std::time::Duration;

/// Whatever is between publishers and subscribers, seen from both ends.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) ledger: Ledger,
    /// From when a message was sent, or was to be sent, to its arrival.
    pub(crate) latencies: Latencies,
    /// Of each publisher; none in an open loop.
    windows: Vec<Window>,
    /// Publishers may publish when so much of their window is free.
    batch: u32,
    /// Publishers that may.
    free: Vec<u32>,
    /// Clients from this one on are publishers.
    subscribers: usize,
    /// When the last message arrived.
    pub(crate) arrived: Duration,
}

impl Exchange {
    pub(crate) fn new(ledger: Ledger, subscribers: u32) -> Exchange {
        Exchange {
            ledger,
            latencies: Latencies::default(),
            windows: Vec::new(),
            batch: 0,
            free: Vec::new(),
            subscribers: subscribers as usize,
            arrived: Duration::ZERO,
        }
    }

    /// Opens the windows of a closed loop.
    pub(crate) fn open_windows(&mut self, windows: Vec<Window>, batch: u32) {
        self.free = (0..windows.len() as u32).collect();
        (self.windows, self.batch) = (windows, batch);
    }

    /// Publishers that may publish, each once.
    pub(crate) fn take_free(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.free)
    }

    /// Gives back the list, for its room, with those that could not use what they were given.
    pub(crate) fn put_free(&mut self, list: Vec<u32>) {
        let meanwhile = std::mem::replace(&mut self.free, list);
        self.free.extend(meanwhile);
    }

    pub(crate) fn window(&mut self, publisher: u32) -> &mut Window {
        &mut self.windows[publisher as usize]
    }

    /// Gives up what has been on its way for too long, so that the loop goes on.
    pub(crate) fn write_off(&mut self, now: Duration, quiet: Duration) {
        for (publisher, window) in self.windows.iter_mut().enumerate() {
            if window.is_stuck(now, quiet) {
                let was_free = window.room() >= self.batch;
                window.write_off(now);
                if !was_free {
                    self.free.push(publisher as u32);
                }
            }
        }
    }

    #[inline]
    fn settle(&mut self, publisher: u32, messages: Range<u64>, now: Duration) {
        let Some(window) = self.windows.get_mut(publisher as usize) else { return };
        let was_free = window.room() >= self.batch;
        window.settle(messages, now);
        if !was_free && window.room() >= self.batch {
            self.free.push(publisher);
        }
    }
}

impl Listener for Exchange {
    #[inline]
    fn message(&mut self, client: usize, delivery: &Delivery<'_>, now: Duration) {
        if client >= self.subscribers {
            return;
        }
        self.arrived = now;
        match self.ledger.arrive(client, delivery.payload, delivery.retain) {
            Arrival::Fresh { header, settled } | Arrival::Late { header, settled } => {
                self.latencies.record(now.saturating_sub(header.sent));
                self.settle(header.publisher, settled, now);
            }
            Arrival::Duplicate(_) | Arrival::Retained | Arrival::Earlier | Arrival::Foreign => {}
        }
    }

    fn event(&mut self, _: usize, _: &Event, _: Duration) {}
}
