//! A copy of a store, from which another broker can start, also while a broker runs.
//!
//! It is made from outside: the broker need not know of it, so no shard and no thread of its store
//! waits for anything, and the copy has the rights and the directory of who asked for it, not those
//! of the broker. That is enough because a log only grows. What is acknowledged is in its file, all
//! of it before what came later; so everything that was acknowledged before the copy began is found
//! by following the frames, and the copy is cut at the last whole one. Only a fold takes files
//! away, and not while somebody holds their names: [`Disk::hold`]. The system lets go of them if
//! the copy ends, however it ends.
//!
//! How far the log was durable is asked before it is followed. Where it seems to end earlier, it is
//! damaged, and not just written to meanwhile.
//!
//! A copy that is not whole never passes for one: of the segments that are replayed the first comes
//! last, and without it no broker starts.

use super::prepare::UNFINISHED;
use super::recover::damaged;
use super::salvage::{Survey, Walk};
use crate::StoreError;
use crate::disk::{Disk, DiskFile, HOLD, LOCK, read_full, write_full};
use crate::format::{
    CHECKPOINT_PREFIX, COLD_PREFIX, LOG_PREFIX, Position, checkpoint_name, cold_name, log_name,
    seed_of,
};
use std::io::{self, IoSlice};

/// Bytes copied at a time.
const CHUNK: usize = 256 * 1024;
/// How often a copy is begun anew because a file is gone that was there: a broker that starts
/// removes segments that say nothing.
const ATTEMPTS: u32 = 5;

/// What was copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copied {
    /// Files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Where the copy ends.
    pub end: Position,
}

/// Whether a file of this name is a part of a store's log.
pub(crate) fn is_store_file(name: &str) -> bool {
    [LOG_PREFIX, CHECKPOINT_PREFIX, COLD_PREFIX].iter().any(|prefix| name.starts_with(prefix))
}

/// Copies a store to an empty directory, whether a broker has it open or not. `None`: there is no
/// store.
///
/// # Errors
/// The directory is not empty, or in use; the store is damaged; one of the disks fails.
pub fn copy(from: &dyn Disk, to: &dyn Disk) -> Result<Option<Copied>, StoreError> {
    let _in_use = to.lock()?;
    if to.list()?.iter().any(|name| name != LOCK && name != HOLD) {
        return Err(io::Error::from(io::ErrorKind::DirectoryNotEmpty).into());
    }
    let _held = from.hold()?;
    let mut attempts = 1;
    let found = loop {
        match Source::find(from) {
            Err(StoreError::Io(error))
                if error.kind() == io::ErrorKind::NotFound && attempts < ATTEMPTS =>
            {
                attempts += 1;
            }
            found => break found?,
        }
    };
    found.map(|source| source.copy_to(from, to)).transpose()
}

/// What there is to copy.
struct Source {
    survey: Survey,
    end: Position,
}

impl Source {
    fn find(disk: &dyn Disk) -> Result<Option<Source>, StoreError> {
        let Some(survey) = Survey::make(disk)? else { return Ok(None) };
        let checkpoint = survey.start.checkpoint.map(|covers| checkpoint_name(covers.0));
        let needed = |name: &String| {
            name.starts_with(LOG_PREFIX)
                || name.starts_with(COLD_PREFIX)
                || Some(name) == checkpoint.as_ref()
        };
        if let Some(loss) = survey.losses.iter().find(|loss| needed(&loss.file)) {
            return Err(damaged(loss.file.clone(), loss.offset, loss.what));
        }
        if let Some(name) = survey.bad.iter().find(|name| needed(name)) {
            return Err(damaged(name.clone(), 0, "the checkpoint is not whole"));
        }
        let seed = seed_of(&survey.identity);
        let mut walk = Walk::new(&survey.segments, seed, (survey.start.from, survey.start.epoch));
        walk.durable()?;
        walk.run(&mut |_, _, _| Ok(()))?;
        if let Some(loss) = walk.losses.first() {
            return Err(damaged(loss.file.clone(), loss.offset, loss.what));
        }
        let end = walk.end;
        Ok(Some(Source { survey, end }))
    }

    fn copy_to(self, from: &dyn Disk, to: &dyn Disk) -> Result<Copied, StoreError> {
        let Source { survey, end } = self;
        let mut copied = Copied { files: 0, bytes: 0, end };
        let mut copy = |file: &dyn DiskFile, len: u64, name: &str| {
            copied.files += 1;
            copied.bytes += len;
            copy_file(file, len, to, name)
        };
        if let Some(covers) = survey.start.checkpoint {
            let name = checkpoint_name(covers.0);
            let file = from.open(&name)?;
            copy(&*file, file.size()?, &name)?;
        }
        let first = survey.start.from.segment();
        let segments = survey.segments.range(..=end.segment());
        let (before, replayed): (Vec<_>, Vec<_>) =
            segments.partition(|(number, _)| **number < first);
        // These never change, and what they stand for is not taken away as long as names are held.
        for (number, cold) in survey.cold.iter() {
            copy(&*cold.file, cold.size, &cold_name(number))?;
        }
        for (number, file) in before.into_iter().chain(replayed.into_iter().rev()) {
            let last = *number == end.segment();
            let len = if last { u64::from(end.offset()) } else { file.size()? };
            copy(&**file, len, &log_name(*number))?;
        }
        to.sync_dir()?;
        Ok(copied)
    }
}

/// Copies a file; it has its name when it is whole.
pub(super) fn copy_file(
    from: &dyn DiskFile,
    len: u64,
    to: &dyn Disk,
    name: &str,
) -> io::Result<()> {
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
    to.rename(&unfinished, name)?;
    // In this order also after a power cut: what comes later stands for what came before.
    to.sync_dir()
}
