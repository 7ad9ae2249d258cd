//! What the log comes to: sealed segments folded into a checkpoint, and what nobody needs removed.
//!
//! The fold replays the last checkpoint and the segments sealed since into a broker of its own,
//! which tells its state as records. So a checkpoint says what a replay says, by the same code.

use super::prepare::UNFINISHED;
use super::{Log, locked};
use crate::StoreError;
use crate::format::{
    CHECKPOINT_PREFIX, Context, FILE_HEAD, Position, checkpoint_name, log_name, number_of,
};
use noctule_core::{Broker, Homes, Limits, ShardId, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::PoisonError;

/// What is known of the log behind the tail.
#[derive(Debug)]
pub(super) struct Live {
    /// The last checkpoint.
    checkpoint: Option<Position>,
    /// Messages of each sealed segment.
    messages: BTreeMap<u32, u64>,
    /// Segments of which nothing is needed, as of the last checkpoint.
    dead: BTreeSet<u32>,
    /// Bytes that somebody needs, about.
    bytes: u64,
}

impl Live {
    pub(super) fn new(checkpoint: Option<Position>) -> Live {
        Live { checkpoint, messages: BTreeMap::new(), dead: BTreeSet::new(), bytes: 0 }
    }
}

/// What a fold did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Folded {
    /// Messages that are still needed.
    pub messages: u64,
    /// Bytes of the log that are still needed, about.
    pub live_bytes: u64,
    /// Segments removed.
    pub removed: u64,
}

impl Log {
    /// Where a checkpoint could end: all before is sealed and durable.
    fn sealed(&self) -> Position {
        Position::new(self.durable().segment(), FILE_HEAD as u32)
    }

    /// Bytes of the sealed segments in a range.
    fn sealed_bytes(&self, from: u32, to: u32) -> u64 {
        let ends = locked(&self.ends);
        ends.range(from..to.max(from)).map(|(_, end)| u64::from(*end)).sum()
    }

    /// Bytes that the segments take on the disk, those that are prepared included.
    ///
    /// # Errors
    /// The disk fails.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.values().map(|file| file.size()).sum()
    }

    /// Whether a fold is worth its work: because there is much to replay, or more on the disk than
    /// twice what is needed.
    ///
    /// # Errors
    /// The disk fails.
    pub fn fold_is_due(&self) -> io::Result<bool> {
        let live = locked(&self.live);
        let from = live.checkpoint.map_or(1, Position::segment);
        let since = self.sealed_bytes(from, self.sealed().segment());
        let segment = u64::from(self.options.segment_bytes_max);
        if since >= (3 * segment).max(live.bytes / 2) {
            return Ok(true);
        }
        let wasted = self.disk_bytes()? > 2 * live.bytes + 3 * segment;
        Ok(wasted && since >= segment.max(live.bytes / 8))
    }

    /// Writes a checkpoint of all that is sealed, and removes segments that were of no use at the
    /// last checkpoint and at this one: in between, what was asked for is still read. Not to be
    /// called while a replay runs.
    ///
    /// # Errors
    /// The log cannot be read, or the checkpoint not be written; the log goes on as it is.
    pub fn fold(&self) -> Result<Folded, StoreError> {
        let mut live = locked(&self.live);
        let covers = self.sealed();
        if live.checkpoint.is_some_and(|last| last >= covers) {
            return Ok(Folded::default());
        }
        let (broker, alive) = self.replayed_to(covers, &mut live)?;
        self.write_checkpoint(covers, alive, &mut |take| {
            broker.snapshot(&mut |record| take(&record));
        })?;
        live.checkpoint = Some(covers);
        let mut places = Vec::new();
        broker.places(&mut |place| places.push(place.0.get()));
        drop(broker);
        places.sort_unstable();
        places.dedup();
        let mut needed: BTreeMap<u32, u64> = BTreeMap::new();
        for place in &places {
            *needed.entry(Position(*place).segment()).or_default() += 1;
        }
        live.bytes = self.bytes_of(&needed, &live.messages);
        let removed = self.remove_dead(covers, &needed, &mut live)?;
        Ok(Folded { messages: places.len() as u64, live_bytes: live.bytes, removed })
    }

    /// A broker that has replayed the log up to a position.
    fn replayed_to(&self, covers: Position, live: &mut Live) -> Result<(Broker, Time), StoreError> {
        let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
        let mut bodies = |place| self.read(place);
        let mut each = |record: &_| broker.apply(record);
        let mut context = Context::new(&mut bodies, &mut each);
        if let Some(last) = live.checkpoint {
            self.replay_checkpoint(last, &mut context)?;
        }
        let from = live.checkpoint.unwrap_or(Position::new(1, FILE_HEAD as u32));
        let mut alive = self.start.alive.unwrap_or_default();
        for number in from.segment()..covers.segment() {
            let from = from.max(Position::new(number, FILE_HEAD as u32));
            let end = locked(&self.ends).get(&number).copied();
            let before = context.messages;
            let last = self.replay_segment(from, end.unwrap_or_default(), &mut context)?;
            live.messages.insert(number, context.messages - before);
            alive = alive.max(last);
        }
        drop(context);
        Ok((broker, alive))
    }

    /// Bytes of segments in proportion to the messages of them that are needed; of a segment that
    /// was not counted, all.
    fn bytes_of(&self, needed: &BTreeMap<u32, u64>, messages: &BTreeMap<u32, u64>) -> u64 {
        let ends = locked(&self.ends);
        let bytes = needed.iter().map(|(number, needed)| {
            let end = ends.get(number).copied().unwrap_or(self.options.size_of(*number));
            let all = messages.get(number).copied().unwrap_or(*needed).max(*needed).max(1);
            u64::from(end) * needed / all
        });
        bytes.sum()
    }

    /// Removes older checkpoints, and segments that were dead before and are dead now.
    fn remove_dead(
        &self,
        covers: Position,
        needed: &BTreeMap<u32, u64>,
        live: &mut Live,
    ) -> Result<u64, StoreError> {
        // A copy is being made of what there was: it goes another time.
        let Some(_unheld) = self.disk.unheld()? else { return Ok(0) };
        let kept = checkpoint_name(covers.0);
        for name in self.disk.list()? {
            let older = number_of(&name, CHECKPOINT_PREFIX).is_some() && name != kept;
            if older && !name.ends_with(UNFINISHED) {
                self.disk.remove(&name)?;
            }
        }
        self.disk.sync_dir()?;
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let sealed = segments.keys().copied().take_while(|number| *number < covers.segment());
        let dead: BTreeSet<u32> = sealed.filter(|number| !needed.contains_key(number)).collect();
        drop(segments);
        let mut removed = 0;
        for number in dead.intersection(&live.dead) {
            self.disk.remove(&log_name(*number))?;
            let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
            segments.remove(number);
            drop(segments);
            live.messages.remove(number);
            locked(&self.ends).remove(number);
            removed += 1;
        }
        self.disk.sync_dir()?;
        live.dead = dead;
        Ok(removed)
    }
}
