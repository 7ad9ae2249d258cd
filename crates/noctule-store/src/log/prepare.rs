//! The next segment, made ready before it is needed. A disk without room for it is noticed here,
//! a segment early.

use super::{Log, Options, locked};
use crate::StoreError;
use crate::disk::{Disk, DiskFile, write_full};
use crate::format::{FILE_HEAD, FileHead, FileKind, log_name};
use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Ending of the names of files that are not whole yet.
pub(super) const UNFINISHED: &str = ".tmp";
/// Zeros written at a time.
const CHUNK: usize = 256 * 1024;
/// Zeros written between two syncs: a disk with a long queue of them would keep commits waiting.
const SYNC_EVERY: u64 = 4 * 1024 * 1024;

/// What a prepare step did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prepared {
    /// The next segment is ready.
    Ready,
    /// One was made ready; there may be more to do.
    One,
    /// There is no room for one. To be tried again.
    Full(Arc<str>),
}

impl Log {
    /// Makes the next segment ready if it is not.
    ///
    /// # Errors
    /// The names of files cannot be made durable: nothing is taken any more.
    pub fn prepare(&self) -> Result<Prepared, StoreError> {
        self.check()?;
        let _preparing = locked(&self.preparing);
        let next = self.prepared.load(Ordering::Acquire) + 1;
        if next > locked(&self.tail).segment() + 1 {
            return Ok(Prepared::Ready);
        }
        let head = self.head(FileKind::Log, u64::from(next));
        let file = match make(&*self.disk, &self.options, &head) {
            Ok(file) => file,
            Err(Unmade::Before(error)) => return Ok(self.no_room(&error)),
            Err(Unmade::Names(error)) => return Err(self.fail(error)),
        };
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.insert(next, file);
        drop(segments);
        self.prepared.store(next, Ordering::Release);
        if locked(&self.full).take().is_some() {
            self.is_full.store(false, Ordering::Release);
            self.asks.wake_all();
        }
        Ok(Prepared::One)
    }

    fn no_room(&self, error: &io::Error) -> Prepared {
        let reason: Arc<str> = error.to_string().into();
        if locked(&self.full).replace(Arc::clone(&reason)).is_none() {
            self.is_full.store(true, Ordering::Release);
            self.asks.wake_all();
        }
        Prepared::Full(reason)
    }
}

/// Why a segment could not be made.
#[derive(Debug)]
pub(super) enum Unmade {
    /// It has no name yet and can be made another time.
    Before(io::Error),
    /// It may have a name or not.
    Names(io::Error),
}

/// Makes a segment: whole and synced before it has its name.
pub(super) fn make(
    disk: &dyn Disk,
    options: &Options,
    head: &FileHead,
) -> Result<Arc<dyn DiskFile>, Unmade> {
    let name = log_name(head.number as u32);
    let unfinished = format!("{name}{UNFINISHED}");
    let size = options.size_of(head.number as u32);
    let filled = disk.create(&unfinished).and_then(|file| {
        fill(&*file, head, u64::from(size))?;
        disk.rename(&unfinished, &name)?;
        Ok(file)
    });
    let file = filled.map_err(|error| {
        // What it took is needed; if it cannot go now, it goes when the log is opened.
        disk.remove(&unfinished).ok();
        Unmade::Before(error)
    })?;
    disk.sync_dir().map_err(Unmade::Names)?;
    Ok(file)
}

fn fill(file: &dyn DiskFile, head: &FileHead, size: u64) -> io::Result<()> {
    let zeros = vec![0; CHUNK.min(size as usize)];
    write_full(file, &mut [IoSlice::new(&head.encode())], 0)?;
    let (mut at, mut synced) = (FILE_HEAD as u64, 0);
    while at < size {
        let len = CHUNK.min((size - at) as usize);
        write_full(file, &mut [IoSlice::new(&zeros[..len])], at)?;
        at += len as u64;
        if at - synced >= SYNC_EVERY {
            file.sync_data()?;
            synced = at;
        }
    }
    file.sync_data()
}
