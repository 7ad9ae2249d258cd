//! A shard's end of the log.

use crate::format::{Encoder, Position};
use crate::log::{Log, PENDING_MAX, Wait, answer_to};
use crate::threads::Threads;
use crate::{Class, Fetch, Fetched, Progress, Replayed, Room, Store, StoreError};
use noctule_core::record::Record;
use noctule_core::{SessionNumber, Time};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a batch, at most: offsets in a segment have 32 bits.
const BATCH_MAX: usize = 2 * 1024 * 1024 * 1024;

/// A shard's end of a [`Log`].
#[derive(Debug)]
pub struct LogStore {
    log: Arc<Log>,
    /// Threads to wake; none where somebody calls the steps of the log.
    threads: Option<Arc<Threads>>,
    /// It may still replay.
    replays: bool,
    shard: usize,
    encoder: Encoder,
    appended: u64,
    /// End of the last frame of this shard.
    end: Position,
    /// Ends of frames that are not durable yet, and the number of the last record in them.
    frames: VecDeque<(Position, u64)>,
    progress: Progress,
    ready: VecDeque<Fetched>,
    /// Fetches of a session that the reader has.
    reading: HashMap<SessionNumber, u32>,
}

impl LogStore {
    /// The end of one shard of a log whose steps the caller makes.
    #[must_use]
    pub fn stepped(log: Arc<Log>, shard: usize) -> LogStore {
        LogStore::new(log, None, shard)
    }

    pub(crate) fn new(log: Arc<Log>, threads: Option<Arc<Threads>>, shard: usize) -> LogStore {
        LogStore {
            end: log.end(),
            log,
            threads,
            replays: true,
            shard,
            encoder: Encoder::new(),
            appended: 0,
            frames: VecDeque::new(),
            progress: Progress::default(),
            ready: VecDeque::new(),
            reading: HashMap::new(),
        }
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Appends a batch at a given time.
    ///
    /// # Errors
    /// As for [`Store::append`].
    pub fn append_at(&mut self, now: Time, records: &mut Vec<Record>) -> Result<u64, StoreError> {
        if self.log.has_failed() {
            return Err(StoreError::Failed);
        }
        self.replayed();
        self.appended += records.len() as u64;
        records.iter().for_each(|record| self.encoder.record(record));
        self.log.count(records);
        // The messages are held until they have their places.
        self.end_frame(now)?;
        records.clear();
        Ok(self.appended)
    }

    /// It replays no more: what was replayed may be folded.
    fn replayed(&mut self) {
        if std::mem::take(&mut self.replays)
            && let Some(threads) = &self.threads
        {
            threads.replayed();
        }
    }

    /// A batch is one frame, however long: it survives whole or not at all.
    fn end_frame(&mut self, now: Time) -> Result<(), StoreError> {
        if self.encoder.len() > BATCH_MAX {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
        }
        if self.encoder.len() > 0 {
            let reserved = self.log.append(&mut self.encoder, now)?;
            self.end = reserved.end;
            if let Some(threads) = &self.threads {
                threads.appended(&reserved);
            }
        }
        match self.frames.back_mut() {
            // What says nothing counts with what was said before.
            Some((end, number)) if *end == self.end => *number = self.appended,
            Some(_) | None => self.frames.push_back((self.end, self.appended)),
        }
        Ok(())
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        self.replayed();
    }
}

/// The time by the system's clock: milliseconds since the Unix epoch.
#[must_use]
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(since.as_millis() as u64)
}

impl Store for LogStore {
    fn append(&mut self, records: &mut Vec<Record>) -> Result<u64, StoreError> {
        if records.is_empty() {
            return Ok(self.appended);
        }
        self.append_at(now(), records)
    }

    fn commit(&mut self, class: Class) -> Result<(), StoreError> {
        if self.log.has_failed() {
            return Err(StoreError::Failed);
        }
        self.log.asks().commit(self.shard, class, self.end);
        if let Some(threads) = &self.threads {
            threads.committed();
        }
        Ok(())
    }

    fn progress(&mut self) -> Result<Progress, StoreError> {
        if self.log.has_failed() {
            return Err(StoreError::Failed);
        }
        // In this order: what is durable is written.
        let (durable, written) = (self.log.durable(), self.log.written());
        while let Some((end, number)) = self.frames.front()
            && *end <= durable
        {
            self.progress.durable = *number;
            self.frames.pop_front();
        }
        let behind = self.frames.partition_point(|(end, _)| *end <= written);
        let ahead = behind.checked_sub(1).map_or(self.progress.durable, |last| self.frames[last].1);
        self.progress.written = self.progress.written.max(ahead);
        Ok(self.progress)
    }

    fn room(&mut self) -> Room {
        // Asked for in every turn: no lock while all is well.
        if self.log.is_full()
            && let Some(reason) = self.log.full()
        {
            return Room::Full(reason);
        }
        if self.log.pending_bytes() < PENDING_MAX {
            return Room::Free;
        }
        self.log.asks().held_back(self.shard);
        // It may have been written in between, when nobody was known to be held back.
        if self.log.pending_bytes() < PENDING_MAX { Room::Free } else { Room::Busy }
    }

    fn fetch(&mut self, fetch: Fetch) -> Result<(), StoreError> {
        let Fetch { session, places } = &fetch;
        if !self.reading.contains_key(session) {
            let mut messages = Vec::with_capacity(places.len());
            // Whatever else is wrong than that the disk is needed, the reader meets it again.
            if self.log.read_all(places, Wait::Never, &mut messages).is_ok() {
                self.ready.push_back(answer_to(fetch, messages));
                return Ok(());
            }
        }
        *self.reading.entry(*session).or_default() += 1;
        self.log.ask(self.shard, fetch);
        if let Some(threads) = &self.threads {
            threads.asked();
        }
        Ok(())
    }

    fn fetched(&mut self) -> Option<Fetched> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        if self.reading.is_empty() {
            return None;
        }
        let fetched = self.log.answered(self.shard)?;
        if let Some(count) = self.reading.get_mut(&fetched.session) {
            *count -= 1;
            if *count == 0 {
                self.reading.remove(&fetched.session);
            }
        }
        Some(fetched)
    }

    fn replay(&mut self, each: &mut dyn FnMut(&Record)) -> Result<Replayed, StoreError> {
        let replayed = self.log.replay(each);
        self.replayed();
        replayed
    }
}
