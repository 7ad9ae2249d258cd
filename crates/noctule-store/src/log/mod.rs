//! The engine: one log, shared by all shards of a node, as a plain synchronous object. Threads (or
//! a simulator) call its steps; nothing here waits for anything but the disk.
//!
//! ```text
//!  append   any shard     reserves a position, queues the frame      (tail)
//!  write    one caller    queued frames to their segments            (write)
//!  sync     the same      segments to the disk; `durable` moves      (write)
//!  prepare  one caller    the next segment, a dead one or new        (prepare)
//!  read     anyone        messages back, also those not yet written  (read)
//!  fold     one caller    a checkpoint; what nobody needs is removed (fold)
//!  compact  the same      what is needed, moved out of what is not   (compact, cold)
//! ```
//!
//! The order of the log is the order of appends, and what is durable is a prefix of it: a record
//! that was appended after hearing of another one lies behind it, whichever shards they are from.

mod ask;
mod check;
mod checkpoint;
mod cold;
mod compact;
mod copy;
mod fold;
mod names;
mod owed;
mod prepare;
mod read;
mod recover;
mod replay;
mod salvage;
mod tail;
mod tally;
#[cfg(test)]
mod tests;
mod window;
mod write;

pub use ask::Waker;
pub use check::{Checked, Damage, check};
pub use checkpoint::Take;
pub use compact::Compacted;
pub(crate) use copy::is_store_file;
pub use copy::{Copied, copy};
pub use fold::Folded;
pub(crate) use names::Names;
pub use names::Owed;
pub use prepare::Prepared;
use prepare::Spare;
pub use recover::Torn;
pub use salvage::{Intent, Loss, Salvaged, salvage};
pub(crate) use tail::Reserved;
pub use write::Wrote;

use crate::disk::{Disk, DiskFile, LockGuard};
use crate::format::{FileHead, FileKind, Position, seed_of};
use crate::{Replayed, StoreError};
use ask::Asks;
use cold::ColdFiles;
use fold::Live;
use noctule_core::Time;
use read::Desk;
pub(crate) use read::{Wait, answer_to};
use recover::{Found, Start};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tail::Tail;
use tally::Tally;
use write::Writer;

/// Bytes that may wait to be written before publishers are held back.
pub(crate) const PENDING_MAX: usize = 4 * 1024 * 1024;

/// How a log is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of the first segment; each later one is twice as large as the one before.
    pub segment_bytes_min: u32,
    /// Bytes of a segment, at most, unless a frame needs more.
    pub segment_bytes_max: u32,
    /// Identity of a store that does not exist yet; drawn at random if not given.
    pub identity: Option<[u8; 16]>,
}

impl Default for Options {
    fn default() -> Options {
        let segment_bytes_max = 64 * 1024 * 1024;
        Options { segment_bytes_min: 1024 * 1024, segment_bytes_max, identity: None }
    }
}

impl Options {
    /// Bytes of a segment.
    fn size_of(&self, segment: u32) -> u32 {
        let doublings = segment.saturating_sub(1).min(31);
        let size = u64::from(self.segment_bytes_min) << doublings;
        size.min(u64::from(self.segment_bytes_max)) as u32
    }
}

/// The log of a node.
pub struct Log {
    disk: Arc<dyn Disk>,
    options: Options,
    identity: [u8; 16],
    seed: u32,
    tail: Mutex<Tail>,
    /// Bytes queued and not yet written.
    pending_bytes: AtomicUsize,
    writer: Mutex<Writer>,
    /// All that ends here or earlier is written.
    written: AtomicU64,
    /// All that ends here or earlier is durable.
    durable: AtomicU64,
    failed: AtomicBool,
    segments: RwLock<BTreeMap<u32, Arc<dyn DiskFile>>>,
    /// Messages that were moved.
    cold: RwLock<ColdFiles>,
    /// The last segment that can be written to.
    prepared: AtomicU32,
    /// Held by who prepares: dead segments, which become next ones.
    spares: Mutex<Vec<Spare>>,
    full: Mutex<Option<Arc<str>>>,
    /// Whether there is a reason in `full`.
    is_full: AtomicBool,
    /// Bytes of the last checkpoint.
    checkpoint_bytes: AtomicU64,
    tally: Tally,
    asks: Asks,
    desk: Desk,
    start: Start,
    /// Where each segment that is followed by another one ends.
    ends: Mutex<BTreeMap<u32, u32>>,
    live: Mutex<Live>,
    torn: Option<Torn>,
    _lock: LockGuard,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the log of a directory, or begins one: finds where it ends, cuts a torn tail. There
    /// is one waker for each shard.
    ///
    /// # Errors
    /// Another process has it open; it is damaged; the disk fails.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        wakers: Vec<Waker>,
    ) -> Result<Log, StoreError> {
        let lock = disk.lock()?;
        let found = recover::recover(&*disk, &options)?;
        Log::of(disk, (options, wakers), found, lock)
    }

    /// A log that is only looked at: nothing of it is changed. `None`: there is none.
    pub(crate) fn look(disk: Arc<dyn Disk>) -> Result<Option<Log>, StoreError> {
        let lock = disk.lock()?;
        let found = recover::inspect(&*disk)?;
        let shards = (Options::default(), Vec::new());
        found.map(|found| Log::of(disk, shards, found, lock)).transpose()
    }

    /// The log of what was found.
    fn of(
        disk: Arc<dyn Disk>,
        (options, wakers): (Options, Vec<Waker>),
        found: Found,
        lock: LockGuard,
    ) -> Result<Log, StoreError> {
        let end = found.start.end;
        let mut size = options.size_of(end.segment());
        if let Some(last) = found.segments.get(&end.segment()) {
            size = last.size()?.min(u64::from(size)) as u32;
        }
        let tail = Tail::new(end, size, found.epoch, &found.start);
        let prepared = found.segments.last_key_value().map_or(0, |(number, _)| *number);
        Ok(Log {
            seed: seed_of(&found.identity),
            identity: found.identity,
            tail: Mutex::new(tail),
            pending_bytes: AtomicUsize::new(0),
            writer: Mutex::new(Writer::default()),
            written: AtomicU64::new(end.0),
            durable: AtomicU64::new(end.0),
            failed: AtomicBool::new(false),
            segments: RwLock::new(found.segments),
            cold: RwLock::new(found.cold),
            prepared: AtomicU32::new(prepared),
            spares: Mutex::new(Vec::new()),
            full: Mutex::new(None),
            is_full: AtomicBool::new(false),
            checkpoint_bytes: AtomicU64::new(0),
            tally: Tally::default(),
            asks: Asks::new(wakers),
            desk: Desk::default(),
            ends: Mutex::new(found.start.ends.clone()),
            live: Mutex::new(Live::new(
                found.start.checkpoint,
                u64::from(options.segment_bytes_max),
            )),
            start: found.start,
            torn: found.torn,
            disk,
            options,
            _lock: lock,
        })
    }

    /// The torn tail that was cut when the log was opened.
    #[must_use]
    pub fn torn(&self) -> Option<&Torn> {
        self.torn.as_ref()
    }

    /// When the log was last known to be in use, before it was opened.
    #[must_use]
    pub fn alive(&self) -> Option<Time> {
        self.start.alive
    }

    /// All that ends here or earlier is written.
    #[must_use]
    pub fn written(&self) -> Position {
        Position(self.written.load(Ordering::Acquire))
    }

    /// All that ends here or earlier is durable.
    #[must_use]
    pub fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Acquire))
    }

    /// Whether a write or a sync failed: nothing is taken or acknowledged any more.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Bytes queued and not yet written.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Ordering::Relaxed)
    }

    /// Whether [`Log::full`] has a reason.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Acquire)
    }

    /// Why no other segment could be prepared, while that is so.
    #[must_use]
    pub fn full(&self) -> Option<Arc<str>> {
        locked(&self.full).clone()
    }

    pub(crate) fn asks(&self) -> &Asks {
        &self.asks
    }

    /// Numbers of the segments, in order.
    pub(crate) fn segment_numbers(&self) -> Vec<u32> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.keys().copied().collect()
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.has_failed() { Err(StoreError::Failed) } else { Ok(()) }
    }

    /// Nothing is taken or acknowledged from here on.
    fn fail(&self, error: std::io::Error) -> StoreError {
        self.failed.store(true, Ordering::Release);
        self.asks.wake_all();
        StoreError::Io(error)
    }

    fn segment(&self, number: u32) -> Option<Arc<dyn DiskFile>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    fn head(&self, kind: FileKind, number: u64) -> FileHead {
        FileHead { kind, store: self.identity, number }
    }
}

/// The value, also if another thread panicked while it held the lock: release builds abort then,
/// and tests look at what is left.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
