//! Deadlines: which key is due next. Exact to the millisecond, at most one timer per key.
//!
//! The owner of a key keeps its [`Deadline`] (8 bytes) and lends it to [`Timers::set`]; so the set
//! needs no second map from key to deadline.

use crate::identity::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Timers of many keys, ordered by deadline, then key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timers<K: Ord> {
    armed: BTreeSet<(Time, K)>,
}

/// When the timer of one key is due, as its owner remembers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deadline(Time);

/// The instant that never comes stands for "not armed".
const NEVER: Time = Time(u64::MAX);

impl Deadline {
    /// Not armed.
    pub const NONE: Deadline = Deadline(NEVER);

    /// The instant it is due, unless it is not armed. Still answers the old instant after
    /// [`Timers::pop_due`] returned its key, until it is cleared or set again.
    #[must_use]
    pub fn at(self) -> Option<Time> {
        (self.0 != NEVER).then_some(self.0)
    }

    /// Forgets the instant, after [`Timers::pop_due`] returned its key.
    pub fn clear(&mut self) {
        *self = Deadline::NONE;
    }
}

impl Default for Deadline {
    fn default() -> Deadline {
        Deadline::NONE
    }
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Timers<K> {
        Timers { armed: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// No timers.
    #[must_use]
    pub fn new() -> Timers<K> {
        Timers::default()
    }

    /// Arms the timer of `key` for `at`, or moves it there. `held` is what the key's owner keeps:
    /// default at first, changed by this method and `cancel` only. `Time(u64::MAX)` is never.
    pub fn set(&mut self, key: K, held: &mut Deadline, at: Time) {
        self.cancel(key, held);
        if at != NEVER {
            self.armed.insert((at, key));
            *held = Deadline(at);
        }
    }

    /// Disarms the timer of `key`. Does nothing if it is not armed, or went off already.
    pub fn cancel(&mut self, key: K, held: &mut Deadline) {
        if let Some(at) = held.at() {
            self.armed.remove(&(at, key));
            held.clear();
        }
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.armed.first().map(|&(at, _)| at)
    }

    /// Takes the first key whose deadline is at or before `now`; call until it returns `None`.
    /// The order is that of deadlines, then keys.
    pub fn pop_due(&mut self, now: Time) -> Option<K> {
        let &(at, key) = self.armed.first()?;
        if at > now {
            return None;
        }
        self.armed.pop_first();
        Some(key)
    }

    /// Armed timers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.armed.len()
    }

    /// No timer is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// Whether `held` tells the truth about `key`: for `Broker::check`.
    #[must_use]
    pub fn holds(&self, key: K, held: Deadline) -> bool {
        held.at().is_none_or(|at| self.armed.contains(&(at, key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_by_deadline_then_key_and_not_before_they_are_due() {
        let mut timers = Timers::new();
        let mut held = [Deadline::NONE; 4];
        for (key, at) in [(3, 20), (1, 10), (2, 10), (0, 30)] {
            timers.set(key, &mut held[key], Time(at));
        }
        assert_eq!(timers.next(), Some(Time(10)));
        assert_eq!(timers.pop_due(Time(9)), None);
        assert_eq!(timers.pop_due(Time(20)), Some(1));
        assert_eq!(timers.pop_due(Time(20)), Some(2));
        assert_eq!(timers.pop_due(Time(20)), Some(3));
        assert_eq!(timers.pop_due(Time(20)), None);
        assert_eq!((timers.next(), timers.len()), (Some(Time(30)), 1));
    }

    #[test]
    fn setting_again_moves_the_timer_and_cancel_removes_it() {
        let mut timers = Timers::new();
        let mut held = Deadline::NONE;
        timers.set(7u32, &mut held, Time(50));
        timers.set(7, &mut held, Time(10));
        timers.set(7, &mut held, Time(90));
        assert!(timers.holds(7, held));
        assert_eq!((timers.len(), timers.next()), (1, Some(Time(90))));
        timers.cancel(7, &mut held);
        timers.cancel(7, &mut held);
        assert!(timers.is_empty());
        assert_eq!(held.at(), None);
    }

    #[test]
    fn a_timer_set_to_never_is_not_armed() {
        let mut timers = Timers::new();
        let mut held = Deadline::NONE;
        timers.set(1u32, &mut held, Time(5));
        timers.set(1, &mut held, Time(u64::MAX));
        assert!(timers.is_empty());
        assert_eq!(timers.pop_due(Time(u64::MAX)), None);
    }

    #[test]
    fn a_timer_that_went_off_can_be_set_again_even_to_the_same_instant() {
        let mut timers = Timers::new();
        let mut held = Deadline::NONE;
        timers.set(1u32, &mut held, Time(5));
        assert_eq!(timers.pop_due(Time(5)), Some(1));
        timers.set(1, &mut held, Time(5));
        assert_eq!(timers.pop_due(Time(5)), Some(1));
        assert!(timers.is_empty());
    }
}
