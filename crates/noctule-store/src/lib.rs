//! What survives a restart: records of the broker, appended and committed in batches.
//!
//! ```text
//! Outbox.records --append--> Store --commit--> (disk) --durable--> Input::Stored
//!                              \--replay--> Broker::apply, once, before anything else goes in
//! ```
//!
//! One [`Store`] belongs to one shard; it numbers that shard's records by their order since the
//! start, which is the number `Input::Stored` speaks of. Implementations:
//!
//! * [`MemoryStore`]: keeps nothing and calls everything durable at once;
//! * [`testing::FaultyStore`]: acknowledges late, fails when told to, and loses on a crash exactly
//!   what it had not acknowledged.
//!
//! Deliberately absent: what a record means. That is `noctule_core::record`.
#![forbid(unsafe_code)]

mod memory;
pub mod testing;

pub use memory::MemoryStore;

use noctule_core::record::Record;
use std::fmt;

/// Keeps the records of one shard.
pub trait Store: Send {
    /// Takes a batch, in order, and leaves `records` empty (with its capacity). Answers the number
    /// of the last record taken: the count of records appended since the start. Nothing of it need
    /// be durable yet.
    ///
    /// # Errors
    /// The store takes no more records; those already durable stay durable.
    fn append(&mut self, records: &mut Vec<Record>) -> Result<u64, StoreError>;

    /// Asks that everything appended so far be made durable. Does not wait.
    ///
    /// # Errors
    /// As for [`Store::append`].
    fn commit(&mut self) -> Result<(), StoreError>;

    /// The number up to which everything survives a power loss. Never goes back.
    ///
    /// # Errors
    /// A commit failed: what it covered may be lost, and it is never tried again, because the
    /// system may have dropped the written pages and would call a second try a success.
    fn durable(&mut self) -> Result<u64, StoreError>;

    /// Gives every record kept from earlier runs to `each`, in order. Called once, before the
    /// first [`Store::append`]; replayed records are not counted by the numbers above.
    ///
    /// # Errors
    /// The kept records cannot be read.
    fn replay(&mut self, each: &mut dyn FnMut(&Record)) -> Result<(), StoreError>;
}

/// Why a store could not do its work.
#[derive(Debug)]
pub enum StoreError {
    /// The disk, or what stands for it, failed.
    Io(std::io::Error),
    /// The store failed earlier and takes nothing more.
    Failed,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io(error) => write!(f, "the store failed: {error}"),
            StoreError::Failed => f.write_str("the store failed earlier and takes nothing more"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Io(error) => Some(error),
            StoreError::Failed => None,
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> StoreError {
        StoreError::Io(error)
    }
}
