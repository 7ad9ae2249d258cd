//! The next segment, made ready before it is needed. A disk without room for it is noticed here,
//! a segment early. Once it has some room again, shorter segments will do.
//!
//! A dead segment becomes the next one, so that its bytes need not be written twice. What is left
//! in it never passes for frames of the next one, because a frame says where it lies.

use super::{Log, locked};
use crate::StoreError;
use crate::disk::{Disk, DiskFile, write_full};
use crate::format::{FILE_HEAD, FileHead, FileKind, log_name, spare_name};
use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Ending of the names of files that are not whole yet.
pub(super) const UNFINISHED: &str = ".tmp";
/// Zeros written at a time.
const CHUNK: usize = 256 * 1024;
/// Bytes written behind commits between two syncs: a disk with a long queue of them would keep
/// commits waiting.
pub(super) const SYNC_EVERY: u64 = 4 * 1024 * 1024;

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
        let mut spares = locked(&self.spares);
        let next = self.prepared.load(Ordering::Acquire) + 1;
        if next > locked(&self.tail).segment() + 1 {
            return Ok(Prepared::Ready);
        }
        let head = self.head(FileKind::Log, u64::from(next));
        let made = match self.recycle(&mut spares, &head) {
            Some(file) => self.disk.sync_dir().map(|()| file).map_err(Unmade::Names),
            None => self.make_next(&head),
        };
        let file = match made {
            Ok(file) => file,
            Err(Unmade::Before(error)) => return Ok(self.no_room(&error)),
            Err(Unmade::Names(error)) => return Err(self.fail(error)),
        };
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.insert(next, file);
        drop(segments);
        self.prepared.store(next, Ordering::Release);
        self.has_room();
        Ok(Prepared::One)
    }

    /// A new segment. On a disk that was full and has some room again, but not for a whole one, it
    /// is a shorter one, as long as a checkpoint still has room besides: by one, more may be freed.
    fn make_next(&self, head: &FileHead) -> Result<Arc<dyn DiskFile>, Unmade> {
        let mut size = self.options.size_of(head.number as u32);
        let mut made = make(&*self.disk, head, (size, 0));
        while self.is_full()
            && matches!(made, Err(Unmade::Before(_)))
            && size / 2 >= self.options.segment_bytes_min
        {
            size /= 2;
            let checkpoint = self.checkpoint_bytes.load(Ordering::Relaxed);
            made = make(&*self.disk, head, (size, checkpoint.max(u64::from(size))));
        }
        made
    }

    /// Bytes of a segment, as far as it is known to be shorter than others.
    pub(super) fn bytes_of(&self, segment: u32) -> u32 {
        let size = self.options.size_of(segment);
        if self.prepared.load(Ordering::Acquire) != segment {
            return size;
        }
        let file = self.segment(segment).and_then(|file| file.size().ok());
        file.map_or(size, |bytes| bytes.min(u64::from(size)) as u32)
    }

    /// There is room again.
    pub(super) fn has_room(&self) {
        if locked(&self.full).take().is_some() {
            self.is_full.store(false, Ordering::Release);
            self.asks.wake_all();
        }
    }

    /// Makes a dead segment the next one; `None`: there is none that will do.
    fn recycle(&self, spares: &mut Vec<Spare>, head: &FileHead) -> Option<Arc<dyn DiskFile>> {
        let size = u64::from(self.options.size_of(head.number as u32));
        while let Some(Spare { name, file }) = spares.pop() {
            let reuse = || {
                if file.size()? < size {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                // A frame larger than a segment had made it longer.
                if file.size()? > size {
                    file.set_len(size)?;
                }
                write_full(&*file, &mut [IoSlice::new(&head.encode())], 0)?;
                file.sync_data()?;
                self.disk.rename(&name, &log_name(head.number as u32))
            };
            if reuse().is_ok() {
                return Some(file);
            }
            // If it cannot go now, it goes when the log is opened.
            self.disk.remove(&name).ok();
        }
        None
    }

    /// Takes away segments of which nothing is needed. Those that will do, and that nobody reads
    /// any more, are kept to become the next ones, as long as there are not more than `bytes_max`
    /// on the disk. One is always kept, because the next segment takes its room in any case.
    pub(super) fn retire(&self, numbers: &[u32], bytes_max: u64) -> io::Result<()> {
        let next = self.options.size_of(self.prepared.load(Ordering::Acquire) + 1);
        let mut kept = Vec::new();
        for number in numbers {
            let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
            let file = segments.remove(number);
            drop(segments);
            locked(&self.ends).remove(number);
            let Some(file) = file else { continue };
            let name = log_name(*number);
            // Who had taken the file before it was out of the table may read what it becomes.
            if file.size()? >= u64::from(next) && Arc::strong_count(&file) == 1 {
                let spare = spare_name(*number);
                self.disk.rename(&name, &spare)?;
                kept.push(Spare { name: spare, file });
            } else {
                self.disk.remove(&name)?;
            }
        }
        // They may not be changed as long as their old names may come back.
        self.disk.sync_dir()?;
        locked(&self.spares).append(&mut kept);
        while self.disk_bytes()? > bytes_max {
            let mut spares = locked(&self.spares);
            let more = spares.len() > 1;
            let Some(one) = spares.pop_if(|_| more) else { break };
            self.disk.remove(&one.name)?;
        }
        Ok(())
    }

    pub(super) fn spare_bytes(&self) -> io::Result<u64> {
        locked(&self.spares).iter().map(|spare| spare.file.size()).sum()
    }

    pub(super) fn no_room(&self, error: &io::Error) -> Prepared {
        let reason: Arc<str> = error.to_string().into();
        if locked(&self.full).replace(Arc::clone(&reason)).is_none() {
            self.is_full.store(true, Ordering::Release);
            self.asks.wake_all();
        }
        Prepared::Full(reason)
    }
}

/// A dead segment, kept to become the next one.
#[derive(Debug)]
pub(super) struct Spare {
    name: String,
    file: Arc<dyn DiskFile>,
}

/// Why a segment could not be made.
#[derive(Debug)]
pub(super) enum Unmade {
    /// It has no name yet and can be made another time.
    Before(io::Error),
    /// It may have a name or not.
    Names(io::Error),
}

/// Makes a segment of so many bytes, if there is room for so many more: whole and synced before it
/// has its name.
pub(super) fn make(
    disk: &dyn Disk,
    head: &FileHead,
    (size, besides): (u32, u64),
) -> Result<Arc<dyn DiskFile>, Unmade> {
    let name = log_name(head.number as u32);
    let unfinished = format!("{name}{UNFINISHED}");
    let filled = disk.create(&unfinished).and_then(|file| {
        fill(&*file, head, u64::from(size) + besides)?;
        if besides > 0 {
            file.set_len(u64::from(size))?;
            file.sync_data()?;
        }
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
