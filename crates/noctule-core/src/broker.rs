//! The broker: everything goes in through [`Broker::handle`] and [`Broker::tick`].

use crate::counters::Counters;
use crate::identity::{Homes, ShardId, Time};
use crate::index::Index;
use crate::input::Input;
use crate::limits::Limits;
use crate::output::Outbox;
use crate::record::Record;

/// One shard's broker.
#[derive(Debug)]
pub struct Broker {}

impl Broker {
    /// An empty broker for `shard` of `homes`.
    #[must_use]
    pub fn new(_shard: ShardId, _homes: Homes, _limits: Limits) -> Broker {
        Broker {}
    }

    /// Takes in one thing that happened.
    pub fn handle(&mut self, _now: Time, _index: &Index, _input: Input<'_>, _out: &mut Outbox) {}

    /// Does what is due at `now` and gives running jobs their share of the turn.
    pub fn tick(&mut self, _now: Time, _index: &Index, _out: &mut Outbox) {}

    /// When `tick` has to run next, if nothing comes in before; a time in the past means at once
    /// (a job has work left).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        None
    }

    /// Replays one record, before anything else goes in.
    pub fn apply(&mut self, _record: &Record) {}

    /// Present counts.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        unreachable!("replaced before it is used")
    }
}
