//! What commands do with a store: look at it, mend it, copy it.

use crate::StoreError;
use crate::disk::{Disk, OsDisk};
use crate::log::{self, Checked, Copied, Intent, Options, Salvaged};
use std::path::Path;
use std::sync::Arc;

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
