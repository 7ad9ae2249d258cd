//! What the defence thread is told, and what is counted for the metrics.

use super::Subject;
use crate::config::{self, MemoryMax};
use crate::memory::Gauge;
use noctule_core::defence::{Answer, Found, Kind};
use noctule_core::{Event, Tenant, Time};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

/// Reports that may wait; more are dropped and counted.
pub(super) const REPORTS_MAX: usize = 16 * 1024;

/// Something the defence thread is told.
pub(crate) enum Report {
    /// What a broker had to tell of a connection.
    Event(Time, Event),
    /// A connection from this address ended without a CONNECT, or was not taken in.
    Idle(Time, IpAddr),
    /// A client was found by its shard, which has answered it already, but for a ban.
    Found(Time, Suspicion),
    /// The admin listener asks.
    Ask(Question),
    /// The configuration was read again.
    Reloaded(Box<Reloaded>),
    /// End.
    Stop,
}

/// What a reload brought.
pub(crate) struct Reloaded {
    pub(crate) defence: config::Defence,
    pub(crate) audit: config::Audit,
    pub(crate) memory_max: MemoryMax,
    /// Tables and options that differ.
    pub(crate) changed: Vec<&'static str>,
    /// Of those, what needs a restart.
    pub(crate) pinned: Vec<&'static str>,
}

/// Who was found at what.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Suspicion {
    pub(crate) found: Found,
    /// What is done.
    pub(crate) answer: Answer,
    pub(crate) address: Option<IpAddr>,
    pub(crate) client: Option<(Tenant, Box<str>)>,
    pub(crate) user: Option<Box<str>>,
}

/// What can be asked; the answer goes into the channel.
pub(crate) enum Question {
    /// All bans.
    List(tokio::sync::oneshot::Sender<serde_json::Value>),
    /// Ban, for so many seconds, or until it is taken back.
    Add(Subject, Option<u32>, Box<str>, tokio::sync::oneshot::Sender<()>),
    /// Take a ban back; answers whether there was one.
    Remove(Subject, tokio::sync::oneshot::Sender<bool>),
}

/// Counts of all shards and threads.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) found: [AtomicU64; Kind::COUNT],
    /// Bans there are.
    pub(crate) bans: AtomicU64,
    /// Connections and CONNECTs refused for a ban.
    pub(crate) banned: AtomicU64,
    pub(crate) reports_dropped: AtomicU64,
    /// Findings that were counted and not told: too many at a time.
    pub(crate) untold: AtomicU64,
    /// Findings that the operator's service was not told of.
    pub(crate) alerts_failed: AtomicU64,
    pub(crate) audit_dropped: AtomicU64,
    pub(crate) audit_failed: AtomicU64,
    pub(crate) memory: Gauge,
}

impl Tally {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A shard's way to report.
#[derive(Clone)]
pub(crate) struct Reports {
    pub(super) sender: SyncSender<Report>,
    pub(crate) tally: Arc<Tally>,
}

impl Reports {
    /// Reports, if there is room: a shard does not wait.
    pub(crate) fn tell(&self, report: Report) {
        match self.sender.try_send(report) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => Tally::add(&self.tally.reports_dropped),
        }
    }

    /// Reports, and waits for room: for those who have time. `false`: nobody is there any more.
    pub(crate) fn insist(&self, report: Report) -> bool {
        self.sender.send(report).is_ok()
    }
}
