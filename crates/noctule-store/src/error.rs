//! What can go wrong with a store.

use std::fmt;
use std::io;

/// Why a store could not do its work.
#[derive(Debug)]
pub enum StoreError {
    /// The disk, or what stands for it, failed.
    Io(io::Error),
    /// The store failed earlier and takes nothing more.
    Failed,
    /// Another process has the store open.
    InUse {
        /// Its process id, as far as it can be read.
        pid: Option<u32>,
    },
    /// Bytes that were durable are not what was written.
    Damaged {
        /// Name of the file in the store's directory.
        file: String,
        /// Where in the file.
        offset: u64,
        /// In plain words.
        what: &'static str,
    },
    /// The store was written by a version of the broker that this one does not know.
    Version {
        /// Name of the file in the store's directory.
        file: String,
        /// Version of the format.
        found: u16,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io(error) => write!(f, "the store failed: {error}"),
            StoreError::Failed => f.write_str("the store failed earlier and takes nothing more"),
            StoreError::InUse { pid: Some(pid) } => {
                write!(f, "the store is in use by process {pid}")
            }
            StoreError::InUse { pid: None } => f.write_str("the store is in use"),
            StoreError::Damaged { file, offset, what } => {
                write!(f, "the store is damaged: {file} at byte {offset}: {what}")
            }
            StoreError::Version { file, found } => {
                write!(f, "{file} has version {found} of the format, which is not known here")
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Io(error) => Some(error),
            StoreError::Failed
            | StoreError::InUse { .. }
            | StoreError::Damaged { .. }
            | StoreError::Version { .. } => None,
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> StoreError {
        StoreError::Io(error)
    }
}
