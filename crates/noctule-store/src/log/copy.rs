//! A copy of all that is durable, while the log goes on.

use super::prepare::UNFINISHED;
use super::{Log, locked};
use crate::StoreError;
use crate::disk::{Disk, DiskFile, read_full, write_full};
use crate::format::{CHECKPOINT_PREFIX, Position, log_name, number_of};
use std::io::{self, IoSlice};
use std::sync::{Arc, PoisonError};

/// Bytes copied at a time.
const CHUNK: usize = 256 * 1024;

impl Log {
    /// Copies the log as far as it is durable to an empty directory, from which another broker can
    /// start; answers up to where. Folds wait meanwhile; nothing else does.
    ///
    /// # Errors
    /// The directory is not empty, or in use; one of the disks fails.
    pub fn copy_to(&self, to: &dyn Disk) -> Result<Position, StoreError> {
        let _in_use = to.lock()?;
        let strange = |name: &String| name != crate::disk::LOCK;
        if to.list()?.iter().any(strange) {
            return Err(io::Error::from(io::ErrorKind::DirectoryNotEmpty).into());
        }
        // Nothing is removed as long as this is held.
        let _live = locked(&self.live);
        let end = self.durable();
        for name in self.disk.list()? {
            if number_of(&name, CHECKPOINT_PREFIX).is_some() {
                let file = self.disk.open(&name)?;
                let size = file.size()?;
                copy(&*file, size, to, &name)?;
            }
        }
        let segments: Vec<(u32, Arc<dyn DiskFile>)> = {
            let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
            let needed = segments.range(..=end.segment());
            needed.map(|(number, file)| (*number, Arc::clone(file))).collect()
        };
        for (number, file) in segments {
            let len = match locked(&self.ends).get(&number) {
                Some(whole) if number < end.segment() => u64::from(*whole),
                Some(_) | None if number == end.segment() => u64::from(end.offset()),
                // It lies before the checkpoint that this process started from.
                Some(_) | None => file.size()?,
            };
            copy(&*file, len, to, &log_name(number))?;
        }
        to.sync_dir()?;
        Ok(end)
    }
}

fn copy(from: &dyn DiskFile, len: u64, to: &dyn Disk, name: &str) -> io::Result<()> {
    let unfinished = format!("{name}{UNFINISHED}");
    let file = to.create(&unfinished)?;
    let mut buf = vec![0; CHUNK];
    let mut at = 0;
    while at < len {
        let part = CHUNK.min((len - at) as usize);
        let count = read_full(from, &mut buf[..part], at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_full(&*file, &mut [IoSlice::new(&buf[..count])], at)?;
        at += count as u64;
    }
    file.sync_data()?;
    to.rename(&unfinished, name)
}
