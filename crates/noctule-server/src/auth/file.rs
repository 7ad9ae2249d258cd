//! Files that say who is believed: when they changed, and what is wrong with them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// When a file was written last, and its size; `None` if it is not there.
pub(super) type Stamp = Option<(SystemTime, u64)>;

/// The stamp that a file has now.
pub(super) fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

/// A file of keys or secrets, or the CA of a URL, is of no use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthFileError {
    pub(super) path: PathBuf,
    pub(super) why: String,
}

impl fmt::Display for AuthFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for AuthFileError {}
