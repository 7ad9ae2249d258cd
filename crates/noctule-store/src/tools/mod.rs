//! What commands do with a store: look at it, mend it, copy it.
//!
//! * `export`  every message that is owed
//! * `stats`   how much there is of what

mod export;
mod stats;

pub use export::{Owing, export};
pub use stats::{Amount, Sessions, Stats, stats};

use crate::StoreError;
use crate::disk::{Disk, HOLD, LOCK, OsDisk};
use crate::log::{self, Checked, Copied, Intent, Log, Options, Salvaged};
use noctule_core::{Broker, Homes, Limits, ShardId};
use std::path::Path;
use std::sync::Arc;

/// Whether there is a store in a directory.
#[must_use]
pub fn exists(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.any(|name| log::is_store_file(&name))
}

/// Whether a file of this name in a store's directory is the store's.
#[must_use]
pub fn is_file_of_store(name: &str) -> bool {
    log::is_store_file(name) || [LOCK, HOLD].contains(&name)
}

/// Checks the store in a directory and changes nothing. `None`: there is none.
///
/// # Errors
/// A broker would not start from it: damage says where; or one has it open; or the disk fails.
pub fn check(directory: &Path) -> Result<Option<Checked>, StoreError> {
    if !directory.is_dir() {
        return Ok(None);
    }
    log::check(&OsDisk::new(directory)?)
}

/// Makes a broker start again from the store in a directory, or says what that would come to.
/// `None`: there is none.
///
/// # Errors
/// A broker has it open; nothing of it can be told; the disk fails.
pub fn salvage(
    directory: &Path,
    intent: Intent,
    tell: &mut dyn FnMut(&Salvaged),
) -> Result<Option<Salvaged>, StoreError> {
    if !directory.is_dir() {
        return Ok(None);
    }
    let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(directory)?);
    log::salvage(&disk, Options::default(), intent, tell)
}

/// Copies the store in a directory, whether a broker has it open or not, to another one, which must
/// not exist, or be empty, and checks the copy. `None`: there is none.
///
/// # Errors
/// The store is damaged; there is something where the copy should be; a disk fails.
pub fn snapshot(from: &Path, to: &Path) -> Result<Option<(Copied, Checked)>, StoreError> {
    if !from.is_dir() {
        return Ok(None);
    }
    let from = OsDisk::new(from)?;
    if !from.list()?.iter().any(|name| log::is_store_file(name)) {
        return Ok(None);
    }
    let to = OsDisk::new(to)?;
    let Some(copied) = log::copy(&from, &to)? else { return Ok(None) };
    Ok(log::check(&to)?.map(|checked| (copied, checked)))
}

/// The log in a directory, only looked at, and a broker that has replayed it.
fn replayed(directory: &Path) -> Result<Option<(Log, Broker)>, StoreError> {
    if !directory.is_dir() {
        return Ok(None);
    }
    let Some(log) = Log::look(Arc::new(OsDisk::new(directory)?))? else { return Ok(None) };
    let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
    log.replay(&mut |record| broker.apply(record))?;
    Ok(Some((log, broker)))
}
