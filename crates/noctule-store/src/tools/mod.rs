//! Looks at a store that nobody has open, and mends it.

use crate::StoreError;
use crate::disk::{Disk, OsDisk};
use crate::log::{self, Checked, Intent, Options, Salvaged};
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
