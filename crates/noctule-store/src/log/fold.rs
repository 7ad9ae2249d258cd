//! What the log comes to: what is durable folded into a checkpoint, and what nobody needs removed.
//!
//! The fold replays the last checkpoint and the log since into a broker of its own, which tells its
//! state as records. So a checkpoint says what a replay says, by the same code.
//!
//! A fold is due in the middle of a segment rather than at its start, because the messages of the
//! segment before are mostly settled by then: in a log whose messages are soon settled there is the
//! segment that is written, the next one, the one before, and a dead one that will be the next.

use super::prepare::UNFINISHED;
use super::{Log, locked};
use crate::StoreError;
use crate::format::{
    CHECKPOINT_PREFIX, Context, FILE_HEAD, Position, checkpoint_name, message_bytes, number_of,
};
use noctule_core::record::Stored;
use noctule_core::{Broker, Homes, Limits, ShardId, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::PoisonError;

/// What is known of the log behind the tail.
#[derive(Debug)]
pub(super) struct Live {
    /// The last checkpoint.
    checkpoint: Option<Position>,
    /// Segments of which nothing is needed, as of the last checkpoint.
    dead: BTreeSet<u32>,
    /// Bytes that somebody needs, about.
    bytes: u64,
}

impl Live {
    pub(super) fn new(checkpoint: Option<Position>) -> Live {
        Live { checkpoint, dead: BTreeSet::new(), bytes: 0 }
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

/// Messages that are owed to somebody: where they lie and what they cost, each once.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Segment, offset and cost: small, because there may be many millions.
    messages: Vec<[u32; 3]>,
    /// So many are in order, and each of them only once.
    sorted: usize,
}

impl Owed {
    fn of(broker: &Broker) -> Owed {
        let mut owed = Owed::default();
        broker.places(&mut |stored| owed.push(stored));
        owed.sort();
        owed
    }

    fn push(&mut self, Stored { place, cost }: Stored) {
        let at = Position::of_place(place);
        self.messages.push([at.segment(), at.offset(), cost]);
        // A message to very many takes the room of one, every now and then.
        if self.messages.len() > 2 * self.sorted + (1 << 20) {
            self.sort();
        }
    }

    fn sort(&mut self) {
        self.messages.sort_unstable();
        self.messages.dedup();
        self.sorted = self.messages.len();
    }

    /// Bytes of messages by segment.
    fn by_segment(&self) -> BTreeMap<u32, u64> {
        let mut bytes = BTreeMap::new();
        for [segment, _, cost] in &self.messages {
            *bytes.entry(*segment).or_default() += message_bytes(*cost);
        }
        bytes
    }
}

/// Bytes of the log between two folds, at least: each tells all that is needed.
fn apart(live_bytes: u64) -> u64 {
    live_bytes / 8
}

impl Log {
    /// Bytes of the log between two positions, what no frame fitted into included.
    fn bytes_between(&self, from: Position, to: Position) -> u64 {
        let ends = locked(&self.ends);
        let sealed = ends.range(from.segment()..to.segment().max(from.segment()));
        let size = |(number, end): (&u32, &u32)| self.options.size_of(*number).max(*end);
        let whole: u64 = sealed.map(|sealed| u64::from(size(sealed))).sum();
        (whole + u64::from(to.offset())).saturating_sub(u64::from(from.offset()))
    }

    /// Bytes that the segments take on the disk, those that are prepared included.
    ///
    /// # Errors
    /// The disk fails.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let own: u64 = segments.values().map(|file| file.size()).sum::<io::Result<u64>>()?;
        drop(segments);
        Ok(own + self.spare_bytes()?)
    }

    /// Whether a fold is worth its work: because there is much to replay, or more on the disk than
    /// twice what is needed.
    ///
    /// # Errors
    /// The disk fails.
    pub fn fold_is_due(&self) -> io::Result<bool> {
        let live = locked(&self.live);
        let from = live.checkpoint.unwrap_or(Position::new(1, FILE_HEAD as u32));
        let since = self.bytes_between(from, self.durable());
        let segment = u64::from(self.options.segment_bytes_max);
        if since >= (3 * segment).max(live.bytes / 2) {
            return Ok(true);
        }
        let wasted = self.disk_bytes()? - self.spare_bytes()? >= 2 * live.bytes + 2 * segment;
        let (segment, offset) = (self.durable().segment(), self.durable().offset());
        let in_its_middle = offset >= self.options.size_of(segment) / 2;
        // Middles of segments are not always a whole segment apart.
        let apart = apart(live.bytes).max(u64::from(self.options.segment_bytes_max) / 4 * 3);
        Ok(wasted && in_its_middle && since >= apart)
    }

    /// Writes a checkpoint of all that is durable, and removes segments that were of no use at the
    /// last checkpoint and at this one: in between, what was asked for is still read. Not to be
    /// called while a replay runs.
    ///
    /// # Errors
    /// The log cannot be read, or the checkpoint not be written; the log goes on as it is.
    pub fn fold(&self) -> Result<Folded, StoreError> {
        let mut live = locked(&self.live);
        let covers = self.durable();
        if live.checkpoint.is_some_and(|last| last >= covers) {
            return Ok(Folded::default());
        }
        let (broker, alive) = self.replayed_to(covers, &live)?;
        self.write_checkpoint(covers, alive, &mut |take| {
            broker.snapshot(&mut |record| take(&record));
        })?;
        live.checkpoint = Some(covers);
        let owed = Owed::of(&broker);
        drop(broker);
        let needed = owed.by_segment();
        live.bytes = needed.values().sum();
        let removed = self.remove_dead(covers, &needed, &mut live)?;
        Ok(Folded { messages: owed.messages.len() as u64, live_bytes: live.bytes, removed })
    }

    /// A broker that has replayed the log up to a position.
    fn replayed_to(&self, covers: Position, live: &Live) -> Result<(Broker, Time), StoreError> {
        let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
        let mut bodies = |place| self.read(place);
        let mut each = |record: &_| broker.apply(record);
        let mut context = Context::new(&mut bodies, &mut each);
        if let Some(last) = live.checkpoint {
            self.replay_checkpoint(last, &mut context)?;
        }
        let from = live.checkpoint.unwrap_or(Position::new(1, FILE_HEAD as u32));
        let mut alive = self.start.alive.unwrap_or_default();
        for number in from.segment()..=covers.segment() {
            let from = from.max(Position::new(number, FILE_HEAD as u32));
            let end = locked(&self.ends).get(&number).copied();
            let end = end.filter(|_| number < covers.segment()).unwrap_or(covers.offset());
            alive = alive.max(self.replay_segment(from, end, &mut context)?);
        }
        drop(context);
        Ok((broker, alive))
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
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let before = segments.keys().copied().take_while(|number| *number < covers.segment());
        let dead: BTreeSet<u32> = before.filter(|number| !needed.contains_key(number)).collect();
        drop(segments);
        let segment = u64::from(self.options.segment_bytes_max);
        let gone: Vec<u32> = dead.intersection(&live.dead).copied().collect();
        self.retire(&gone, 2 * live.bytes + 4 * segment)?;
        live.dead = dead;
        Ok(gone.len() as u64)
    }
}
