//! Looks at a store that nobody has open.

use crate::StoreError;
use crate::disk::OsDisk;
use crate::log::{self, Checked};
use std::path::Path;

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
