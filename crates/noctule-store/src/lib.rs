//! What survives a restart: records of the broker, appended to a log and committed in groups.
//!
//! ```text
//!  shard: Outbox.records --append--> one frame, encoded by the shard
//!                                      | position reserved under a short lock
//!                                      v
//!  store thread:            pending --write--> log-<n> --sync--> durable --wake--> shards
//!  reader thread:           fetch   --read---> messages           --wake--> shards
//!  fold thread:             log-<n> --fold---> ckpt-<n>    --move--> cold-<n>
//!  start:                   checkpoint, later segments --replay--> Broker::apply
//! ```
//!
//! One node has one log; each shard has its own [`Store`] of it, which numbers that shard's records
//! by their order since the start: the numbers `Input::Stored` speaks of.
//!
//! A message is named by its place in the log, for good; where its bytes lie may change. A segment
//! of which nothing is needed becomes a next one. If little is needed of many, that little is moved
//! into cold files, each with a map of where its messages had been, so that the disk holds no more
//! than about twice what is needed, and four segments.
//!
//! * [`mod@format`]   bytes: records, messages, frames, headers of files; decoding is total
//! * [`log`]      the engine, one synchronous object: append, write, sync, prepare, recover, read
//! * [`disk`]     what the engine asks of a disk: the system's, or a simulated one
//! * `tools`    what commands do with a store: look at it, mend it, copy it
//! * `threads`    the threads that drive the engine of a real process
//! * [`LogStore`] a shard's end of the log; [`MemoryStore`] for brokers that keep nothing
//! * [`testing`]  disks whose bad days are scripted
//!
//! Deliberately absent: what a record means. That is `noctule_core::record`.
#![deny(unsafe_code)]

pub mod disk;
mod error;
pub mod format;
pub mod log;
mod memory;
mod shard;
mod surplus;
pub mod testing;
mod threads;
mod tools;

pub use error::StoreError;
pub use memory::MemoryStore;
pub use noctule_core::Time;
pub use noctule_core::output::Fetch;
pub use shard::{LogStore, now};
pub use surplus::give_back;
pub use threads::{Opened, Waker, open};
pub use tools::{Amount, Owing, Sessions, Stats};
pub use tools::{check, exists, export, is_file_of_store, salvage, snapshot, stats};

use noctule_core::identity::{MessageId, Place, SessionNumber};
use noctule_core::message::Message;
use noctule_core::record::Record;
use std::sync::Arc;

/// Keeps the records of one shard, and gives messages back.
pub trait Store: Send {
    /// Takes a batch, in order, and leaves `records` empty (with its capacity). Answers the number
    /// of the last record taken: the count of records appended since the start. Nothing of it need
    /// be durable yet. Messages kept in full have their place afterwards.
    ///
    /// # Errors
    /// The store takes no more records; those already durable stay durable.
    fn append(&mut self, records: &mut Vec<Record>) -> Result<u64, StoreError>;

    /// Asks that everything appended so far be kept as the class says. Does not wait. What is
    /// never asked for goes with the next commit, or soon by itself.
    ///
    /// # Errors
    /// As for [`Store::append`].
    fn commit(&mut self, class: Class) -> Result<(), StoreError>;

    /// How far the records of this shard have come. Never goes back.
    ///
    /// # Errors
    /// A commit failed: what it covered may be lost, and it is never tried again, because the
    /// system may have dropped the written pages and would call a second try a success.
    fn progress(&mut self) -> Result<Progress, StoreError>;

    /// Whether more is welcome. The shard is woken when the answer gets better.
    fn room(&mut self) -> Room;

    /// Asks for messages. What is at hand without waiting for the disk can be taken by
    /// [`Store::fetched`] at once; for the rest the shard is woken.
    ///
    /// # Errors
    /// As for [`Store::append`].
    fn fetch(&mut self, fetch: Fetch) -> Result<(), StoreError>;

    /// The next answer. Answers for one session come in the order in which they were asked for.
    fn fetched(&mut self) -> Option<Fetched>;

    /// Gives every record kept from earlier runs to `each`, in order. Called before the first
    /// [`Store::append`]; replayed records are not counted by the numbers above.
    ///
    /// # Errors
    /// The kept records cannot be read.
    fn replay(&mut self, each: &mut dyn FnMut(&Record)) -> Result<Replayed, StoreError>;
}

/// What must have happened to a record before it counts as kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// The operating system has it: it survives the end of the process.
    Os,
    /// The disk has it: it survives a power cut.
    Fsync,
}

/// Counts of a shard's records since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Kept at [`Class::Os`].
    pub written: u64,
    /// Kept at [`Class::Fsync`].
    pub durable: u64,
}

/// Whether a store welcomes more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Room {
    /// Yes.
    Free,
    /// The disk is behind: read from no publisher for a moment. Appends are taken all the same.
    Busy,
    /// The disk has no room for another segment, for this reason: take no new messages to keep.
    /// What frees room (acknowledgements, deletions) is taken all the same.
    Full(Arc<str>),
}

/// The answer to a [`Fetch`].
#[derive(Clone, PartialEq, Debug)]
pub struct Fetched {
    /// As asked.
    pub session: SessionNumber,
    /// What lies at each place, in the order asked for; `None`: it is damaged.
    pub messages: Vec<(Place, Option<Arc<Message>>)>,
}

/// What a replay came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Replayed {
    /// Records given.
    pub records: u64,
    /// When the log was last known to be in use.
    pub alive: Option<Time>,
    /// The greatest id of a message seen.
    pub message_id_max: MessageId,
}
