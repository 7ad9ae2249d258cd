//! Queued frames to the disk.

use super::tail::Appended;
use super::{Log, PENDING_MAX, locked};
use crate::disk::{DiskFile, write_full};
use crate::format::{Encoder, Position};
use crate::{Class, StoreError};
use noctule_core::Time;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What only one caller at a time may do.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Segments written to since they were last synced.
    dirty: BTreeMap<u32, Arc<dyn DiskFile>>,
}

/// The disk, or what the user may have of it, is full.
pub(super) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What a write step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrote {
    /// Nothing was queued.
    Nothing,
    /// Something, as far as the given bound.
    Some,
    /// Nothing, because the segment it belongs to is not prepared, or cannot be made longer.
    NoSegment,
}

impl Log {
    /// Writes queued frames, in order, until `bytes` or more are written.
    ///
    /// # Errors
    /// A write failed: nothing is taken any more.
    pub fn write(&self, bytes: usize) -> Result<Wrote, StoreError> {
        self.check()?;
        let mut writer = locked(&self.writer);
        let batch = self.batch(bytes);
        let Some(last) = batch.last() else {
            let waits = !locked(&self.tail).pending.is_empty();
            return Ok(if waits { Wrote::NoSegment } else { Wrote::Nothing });
        };
        for run in batch.chunk_by(|a, b| a.at.segment() == b.at.segment()) {
            if let Err(error) = self.write_run(&mut writer, run) {
                return self.unwritten(run, error);
            }
        }
        let from = self.written();
        self.written.store(last.end.0, Ordering::Release);
        let written = batch.iter().map(|frame| frame.bytes.len()).sum();
        locked(&self.tail).pending.drain(..batch.len());
        drop(writer);
        if self.is_full() && self.prepared.load(Ordering::Acquire) > self.end().segment() {
            // It was this that there was no room for.
            self.has_room();
        }
        let before = self.pending_bytes.fetch_sub(written, Ordering::Relaxed);
        if before - written < PENDING_MAX {
            self.asks.wake_held_back();
        }
        self.asks.wake(Class::Os, from);
        Ok(Wrote::Some)
    }

    /// Frames that can be written, as far as the bound.
    fn batch(&self, bytes: usize) -> Vec<Arc<Appended>> {
        let prepared = self.prepared.load(Ordering::Acquire);
        let tail = locked(&self.tail);
        let mut sum = 0;
        let mut fits = |frame: &&Arc<Appended>| {
            let fits = sum < bytes && frame.at.segment() <= prepared;
            sum += frame.bytes.len();
            fits
        };
        tail.pending.iter().take_while(|frame| fits(frame)).cloned().collect()
    }

    /// A frame may be longer than its segment was prepared for. If there is no room for it, it
    /// waits, as it does for a segment; what is there of it by then is no frame.
    fn unwritten(&self, run: &[Arc<Appended>], error: io::Error) -> Result<Wrote, StoreError> {
        let end = run.iter().map(|frame| u64::from(frame.end.offset())).max();
        let size = self.segment(run[0].at.segment()).and_then(|file| file.size().ok());
        if !is_no_room(&error) || size >= end {
            return Err(self.fail(error));
        }
        self.no_room(&error);
        Ok(Wrote::NoSegment)
    }

    fn write_run(&self, writer: &mut Writer, run: &[Arc<Appended>]) -> io::Result<()> {
        let at = run[0].at;
        let file = self.segment(at.segment()).ok_or(io::ErrorKind::NotFound)?;
        writer.dirty.insert(at.segment(), Arc::clone(&file));
        let mut slices: Vec<_> = run.iter().map(|frame| IoSlice::new(&frame.bytes)).collect();
        write_full(&*file, &mut slices, u64::from(at.offset()))
    }

    /// Makes durable what is written.
    ///
    /// # Errors
    /// A sync failed. It is never tried again; nothing is taken any more.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.check()?;
        let mut writer = locked(&self.writer);
        let to = self.written();
        while let Some((_, file)) = writer.dirty.pop_first() {
            file.sync_data().map_err(|error| self.fail(error))?;
        }
        drop(writer);
        let from = Position(self.durable.swap(to.0, Ordering::AcqRel));
        if to > from {
            self.asks.wake(Class::Fsync, from);
        }
        Ok(())
    }

    /// Appends a frame without records: it says that all before it is durable, and that the broker
    /// was alive.
    ///
    /// # Errors
    /// A write or a sync failed earlier.
    pub fn beat(&self, now: Time) -> Result<Position, StoreError> {
        Ok(self.append(&mut Encoder::new(), now)?.end)
    }
}
