//! What the log comes to: what is durable folded into a checkpoint, and what nobody needs removed.
//!
//! The fold replays the last checkpoint and the log since into a broker of its own, which tells its
//! state as records. So a checkpoint says what a replay says, by the same code.
//!
//! A fold is due in the middle of a segment rather than at its start, because the messages of the
//! segment before are mostly settled by then: in a log whose messages are soon settled there is the
//! segment that is written, the next one, the one before, and a dead one that will be the next.

use super::cold::Home;
use super::compact::{Compacted, Moving};
use super::owed::OwedMessages;
use super::prepare::UNFINISHED;
use super::tally::Tallied;
use super::{Log, locked};
use crate::StoreError;
use crate::disk::DiskFile;
use crate::format::{CHECKPOINT_PREFIX, Context, FILE_HEAD, Position, checkpoint_name, number_of};
use noctule_core::{Broker, Homes, Limits, ShardId, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, PoisonError};

/// What is known of the log behind the tail.
#[derive(Debug)]
pub(super) struct Live {
    /// The last checkpoint.
    checkpoint: Option<Position>,
    /// There was a fold since the start.
    begun: bool,
    /// Files of which nothing is needed, as of the last checkpoint.
    pub(super) dead: BTreeSet<Home>,
    /// Files with a message that is needed and damaged: they stay as they are.
    pub(super) damaged: BTreeSet<Home>,
    /// Bytes that somebody needs, about.
    pub(super) bytes: u64,
    /// The tally as of then.
    tallied: Tallied,
    /// Bytes that may be moved: a part of what was appended.
    pub(super) credit: u64,
    /// What is being moved.
    pub(super) moving: Option<Moving>,
}

impl Live {
    pub(super) fn new(checkpoint: Option<Position>, credit: u64) -> Live {
        let (dead, damaged) = (BTreeSet::new(), BTreeSet::new());
        let (bytes, tallied) = (0, Tallied::default());
        Live { checkpoint, begun: false, dead, damaged, bytes, tallied, credit, moving: None }
    }
}

/// What a fold did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Folded {
    /// Messages that are still needed.
    pub messages: u64,
    /// Bytes of the log that are still needed, about.
    pub live_bytes: u64,
    /// Files removed.
    pub removed: u64,
    /// Bytes that are to be moved by [`Log::compact`].
    pub to_move: u64,
}

/// Bytes of the log between two folds, at least: each tells all that is needed.
pub(super) fn apart(live_bytes: u64) -> u64 {
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

    /// Bytes that messages take on the disk: segments, those that are prepared included, and
    /// cold files.
    ///
    /// # Errors
    /// The disk fails.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let own: u64 = segments.values().map(|file| file.size()).sum::<io::Result<u64>>()?;
        drop(segments);
        Ok(own + self.spare_bytes()? + self.cold_bytes())
    }

    /// Whether a fold is worth its work: because much is to be replayed that is of no use any
    /// more, or very much whatever it is, or there is more on the disk than twice what is needed.
    ///
    /// # Errors
    /// The disk fails.
    pub fn fold_is_due(&self) -> io::Result<bool> {
        let live = locked(&self.live);
        let from = live.checkpoint.unwrap_or(Position::new(1, FILE_HEAD as u32));
        let since = self.bytes_between(from, self.durable());
        let segment = u64::from(self.options.segment_bytes_max);
        let fresh = live.tallied.needed_of(since, self.tally.now());
        let needed = live.bytes + fresh;
        // What is needed is replayed as fast from the log as from a checkpoint.
        if since - fresh >= (3 * segment).max(needed / 2) || since >= (8 * segment).max(live.bytes)
        {
            return Ok(true);
        }
        if self.is_full() && since >= u64::from(self.options.segment_bytes_min) {
            return Ok(true);
        }
        let wasted = self.disk_bytes()? - self.spare_bytes()? >= 2 * needed + 2 * segment;
        let (segment, offset) = (self.durable().segment(), self.durable().offset());
        let in_its_middle = offset >= self.options.size_of(segment) / 2;
        // Middles of segments are not always a whole segment apart.
        let apart = apart(needed).max(u64::from(self.options.segment_bytes_max) / 4 * 3);
        Ok(wasted && in_its_middle && since >= apart)
    }

    /// Writes a checkpoint of all that is durable, and removes files that were of no use at the
    /// last checkpoint and at this one: in between, what was asked for is still read. If too much
    /// of the disk is taken by what is of no use, it is planned what is to be moved, which
    /// [`Log::compact`] does. Not to be called while a replay runs.
    ///
    /// # Errors
    /// The log cannot be read, or the checkpoint not be written; the log goes on as it is.
    pub fn fold(&self) -> Result<Folded, StoreError> {
        // Planned by the last fold. If it cannot be moved, it stays where it is.
        let _: Result<Compacted, StoreError> = self.compact(u64::MAX);
        self.check()?;
        let mut live = locked(&self.live);
        let (covers, tallied) = (self.durable(), self.tally.now());
        let from = live.checkpoint.unwrap_or(Position::new(1, FILE_HEAD as u32));
        if live.checkpoint.is_some_and(|last| last >= covers) {
            return Ok(Folded::default());
        }
        let (broker, alive) = self.replayed_to(covers, &mut live)?;
        self.write_checkpoint(covers, alive, &mut |take| {
            broker.snapshot(&mut |record| take(&record));
        })?;
        (live.checkpoint, live.tallied) = (Some(covers), tallied);
        let owed = OwedMessages::of(&broker);
        drop(broker);
        let needed = self.needed(&owed);
        live.bytes = needed.values().sum();
        live.earn(self.bytes_between(from, covers), self.options.segment_bytes_max);
        let removed = self.remove_dead(covers, &needed, &mut live)?;
        let to_move = self.plan(covers, (&owed, &needed), &mut live)?;
        let messages = owed.len() as u64;
        Ok(Folded { messages, live_bytes: live.bytes, removed, to_move })
    }

    /// A broker that has replayed the log up to a position, and when it was last alive.
    fn replayed_to(&self, covers: Position, live: &mut Live) -> Result<(Broker, Time), StoreError> {
        let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
        if let Some(last) = live.checkpoint {
            let mut bodies = |place| self.read(place);
            let mut each = |record: &_| broker.apply(record);
            // It says which ids are taken.
            self.replay_checkpoint(last, &mut Context::new(&mut bodies, &mut each))?;
        }
        let mut from = live.checkpoint.unwrap_or(Position::new(1, FILE_HEAD as u32));
        let mut alive = self.start.alive.unwrap_or_default();
        if !std::mem::replace(&mut live.begun, true) {
            // Nobody asks for what was needed before the start: that counts as a checkpoint.
            self.replay_between((from, self.start.end), &mut broker)?;
            from = self.start.end;
            live.dead = self.dead(from, &self.needed(&OwedMessages::of(&broker)))?;
        }
        alive = alive.max(self.replay_between((from, covers), &mut broker)?);
        Ok((broker, alive))
    }

    fn replay_between(
        &self,
        (from, to): (Position, Position),
        broker: &mut Broker,
    ) -> Result<Time, StoreError> {
        let mut bodies = |place| self.read(place);
        let mut each = |record: &_| broker.apply(record);
        let mut context = Context::new(&mut bodies, &mut each);
        let mut alive = Time::default();
        for number in from.segment()..=to.segment() {
            let from = from.max(Position::new(number, FILE_HEAD as u32));
            let end = locked(&self.ends).get(&number).copied();
            let end = end.filter(|_| number < to.segment()).unwrap_or(to.offset());
            alive = alive.max(self.replay_segment(from, end, &mut context)?);
        }
        let newest = context.message_id_max;
        broker.message_taken(newest);
        Ok(alive)
    }

    /// Bytes of messages that are owed, by the file that they lie in.
    fn needed(&self, owed: &OwedMessages) -> BTreeMap<Home, u64> {
        owed.by_home(&self.cold.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Files of which nothing is needed, before a position.
    fn dead(&self, covers: Position, needed: &BTreeMap<Home, u64>) -> io::Result<BTreeSet<Home>> {
        let sealed = self.sealed(covers)?.into_keys();
        Ok(sealed.filter(|home| !needed.contains_key(home)).collect())
    }

    /// Removes older checkpoints, and files that were dead before and are dead now.
    fn remove_dead(
        &self,
        covers: Position,
        needed: &BTreeMap<Home, u64>,
        live: &mut Live,
    ) -> Result<u64, StoreError> {
        let mut dead = self.dead(covers, needed)?;
        let Some(_unheld) = self.disk.unheld()? else {
            // A copy is being made of what there was: it goes another time.
            live.dead = dead;
            return Ok(0);
        };
        let kept = checkpoint_name(covers.0);
        for name in self.disk.list()? {
            let older = number_of(&name, CHECKPOINT_PREFIX).is_some() && name != kept;
            if older && !name.ends_with(UNFINISHED) {
                self.disk.remove(&name)?;
            }
        }
        let gone: BTreeSet<Home> = dead.intersection(&live.dead).copied().collect();
        dead.retain(|home| !gone.contains(home));
        live.dead = dead;
        let mut segments = Vec::new();
        for home in &gone {
            match home {
                Home::Segment(number) => segments.push(*number),
                Home::Cold(number) => self.remove_cold(*number)?,
            }
        }
        let segment = u64::from(self.options.segment_bytes_max);
        self.retire(&segments, 2 * live.bytes + 4 * segment)?;
        Ok(gone.len() as u64)
    }

    /// Files that messages before a position lie in and no more are written to, and their bytes.
    pub(super) fn sealed(&self, covers: Position) -> io::Result<BTreeMap<Home, u64>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let before = segments.iter().take_while(|(number, _)| **number < covers.segment());
        let size =
            |(number, file): (&u32, &Arc<dyn DiskFile>)| Ok((Home::Segment(*number), file.size()?));
        let mut sealed = before.map(size).collect::<io::Result<BTreeMap<Home, u64>>>()?;
        drop(segments);
        let colds = self.cold.read().unwrap_or_else(PoisonError::into_inner);
        sealed.extend(colds.iter().map(|(number, cold)| (Home::Cold(number), cold.size)));
        Ok(sealed)
    }
}
