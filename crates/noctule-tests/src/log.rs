//! What stands for a node's log: the records of all shards in one order, and how far they are
//! stored.

use noctule_core::identity::Place;
use noctule_core::output::Fetch;
use noctule_core::record::{Body, Record};
use noctule_core::{Broker, Homes, Input, Limits, Message, ShardId};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

/// Records of all shards, in the order in which they were appended.
#[derive(Debug, Default)]
pub(crate) struct Log {
    records: Vec<Record>,
    messages: BTreeMap<Place, Arc<Message>>,
    /// Where each batch ends: a store has all of it or nothing.
    batches: Vec<usize>,
    /// How many of `records` would survive now.
    stored: usize,
    /// How many would survive if the process died, and the machine did not.
    written: usize,
    shards: Vec<Appended>,
}

/// What one shard has appended since it started.
#[derive(Clone, Debug, Default)]
struct Appended {
    count: u64,
    /// Where its last record lies.
    end: usize,
    told: u64,
    /// How many it was told are written.
    told_written: u64,
    fetches: Vec<Fetch>,
}

impl Log {
    pub(crate) fn new(shards: u16) -> Log {
        Log { shards: vec![Appended::default(); usize::from(shards)], ..Log::default() }
    }

    /// Takes records of a shard, and says of each message where it lies.
    pub(crate) fn append(&mut self, shard: ShardId, records: &mut Vec<Record>) {
        if records.is_empty() {
            return;
        }
        self.place_all(records);
        let appended = &mut self.shards[usize::from(shard.0)];
        appended.count += records.len() as u64;
        self.records.append(records);
        appended.end = self.records.len();
        self.batches.push(appended.end);
    }

    /// Says of each message of these records where it will lie.
    pub(crate) fn place_all(&mut self, records: &[Record]) {
        records.iter().filter_map(kept).for_each(|message| self.place(message));
    }

    /// Tells the messages of records that are the same where those lie.
    pub(crate) fn place_like(records: &[Record], same: &[Record]) {
        let pairs = records.iter().filter_map(kept).zip(same.iter().filter_map(kept));
        for (placed, message) in pairs {
            if let (Some(place), None) = (placed.place(), message.place()) {
                message.set_place(place);
            }
        }
    }

    fn place(&mut self, message: &Arc<Message>) {
        if message.place().is_none() {
            let number = NonZeroU64::MIN.saturating_add(self.messages.len() as u64);
            message.set_place(Place(number));
            self.messages.insert(Place(number), Arc::clone(message));
        }
    }

    pub(crate) fn ask(&mut self, shard: ShardId, fetches: &mut Vec<Fetch>) {
        self.shards[usize::from(shard.0)].fetches.append(fetches);
    }

    /// Whether a shard has records that it has not been told are stored.
    pub(crate) fn owes(&self, shard: ShardId) -> bool {
        let appended = &self.shards[usize::from(shard.0)];
        appended.told < appended.count
    }

    /// Whether a shard waits for messages.
    pub(crate) fn is_asked(&self, shard: ShardId) -> bool {
        !self.shards[usize::from(shard.0)].fetches.is_empty()
    }

    /// Everything that a shard has appended is stored, with what lies before it.
    pub(crate) fn store(&mut self, shard: ShardId) -> Input<'static> {
        let appended = &mut self.shards[usize::from(shard.0)];
        self.stored = self.stored.max(appended.end);
        self.written = self.written.max(self.stored);
        appended.told = appended.count;
        appended.told_written = appended.count;
        Input::Stored { written: appended.count, durable: appended.count }
    }

    /// Whether a shard has records that it has not been told are written.
    pub(crate) fn owes_write(&self, shard: ShardId) -> bool {
        let appended = &self.shards[usize::from(shard.0)];
        appended.told_written < appended.count
    }

    /// Everything that a shard has appended is written, with what lies before it.
    pub(crate) fn write(&mut self, shard: ShardId) -> Input<'static> {
        let appended = &mut self.shards[usize::from(shard.0)];
        self.written = self.written.max(appended.end);
        appended.told_written = appended.count;
        Input::Stored { written: appended.count, durable: appended.told }
    }

    /// Answers the first question of a shard.
    pub(crate) fn answer(&mut self, shard: ShardId) -> Input<'static> {
        let Fetch { session, places } = self.shards[usize::from(shard.0)].fetches.remove(0);
        let read = |place| (place, self.messages.get(&place).cloned());
        Input::Fetched { session, messages: places.into_iter().map(read).collect() }
    }

    /// The node dies; of what was not stored so many records survive, in whole batches.
    pub(crate) fn crash(&mut self, torn: usize) {
        let survives = |end: &&usize| **end <= self.stored + torn;
        let end = self.batches.iter().rev().find(survives);
        self.stored = self.stored.max(end.copied().unwrap_or(0));
        self.written = self.stored;
        self.batches.retain(|end| *end <= self.stored);
        self.records.truncate(self.stored);
    }

    /// The same log for another number of shards, none of which has appended anything.
    pub(crate) fn with_shards(self, shards: u16) -> Log {
        Log { shards: vec![Appended::default(); usize::from(shards)], ..self }
    }

    /// All of them.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// How many of them would survive now, whatever happens.
    pub(crate) fn stored(&self) -> usize {
        self.stored
    }

    /// And so many if the process died, and the machine did not.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// So many records would be lost if the node died now.
    pub(crate) fn unstored(&self) -> usize {
        self.records.len() - self.stored
    }

    /// Everything that is stored, told anew in as few records as can be, as a checkpoint does.
    pub(crate) fn fold(&mut self, limits: &Limits) {
        let mut replica = Broker::new(ShardId(0), Homes::new(1, 0), limits.clone());
        self.replay(&mut replica);
        self.records.clear();
        replica.snapshot(&mut |record| self.records.push(record));
        self.stored = self.records.len();
        self.written = self.stored;
        self.batches = vec![self.stored];
    }

    /// Replays all records, as a store gives them: messages that only wait stay in the log.
    pub(crate) fn replay(&self, broker: &mut Broker) {
        self.records.iter().for_each(|record| broker.apply(&as_read(record)));
    }
}

/// The message that a record brings into the log.
fn kept(record: &Record) -> Option<&Arc<Message>> {
    match record {
        Record::Published { message: Body::Here(message), .. }
        | Record::Received { message: Body::Here(message), .. } => Some(message),
        _ => None,
    }
}

/// A record as it is read back from a disk.
fn as_read(record: &Record) -> Record {
    use noctule_core::index::Receiver;
    let mut record = record.clone();
    if let Record::Published { message, receivers, retained: false } = &mut record
        && receivers.iter().all(|receipt| matches!(receipt.receiver, Receiver::Session(_)))
        && let Body::Here(whole) = &*message
        && let Some(place) = whole.place()
    {
        let cost = whole.cost() as u32;
        *message = Body::Stored(noctule_core::record::Stored { place, cost });
    }
    record
}
