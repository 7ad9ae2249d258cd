//! A bounded table of what is known of many, each by a number: addresses, client ids.
//!
//! Who is idle is as good as unknown and gives way to who comes. While nobody is, newcomers share
//! a few entries: they are held to a common account rather than to none, so that nobody gets rid of
//! what is held against him by filling the table.

use crate::identity::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Entries that newcomers share once all others are taken.
const SHARED: u64 = 1024;

/// Entries looked at for idle ones with each new entry: more than one, so that the table follows
/// those who are active.
const LOOKED_AT: usize = 2;

/// The same while the table is full.
const LOOKED_AT_FULL: usize = 64;

/// What is known of one.
pub trait Known: Default {
    /// Whether it may be forgotten: a new entry would say the same.
    fn is_idle(&self, now: Time) -> bool;
}

/// Where an entry lies. It stays there while it is not idle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Place {
    /// Its own.
    Own(u64),
    /// One that it shares with others.
    Shared(u64),
}

/// The table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Crowd<T> {
    of: BTreeMap<u64, T>,
    shared: BTreeMap<u64, T>,
    entries_max: usize,
    /// Where the next look begins.
    next: u64,
}

impl<T: Known> Crowd<T> {
    /// A table of so many entries at most, beside the shared ones.
    #[must_use]
    pub fn new(entries_max: usize) -> Crowd<T> {
        Crowd { of: BTreeMap::new(), shared: BTreeMap::new(), entries_max, next: 0 }
    }

    /// Where to find what is known of a number that nobody else can choose freely.
    pub fn place(&mut self, number: u64, now: Time) -> Place {
        if self.of.contains_key(&number) {
            return Place::Own(number);
        }
        let full = self.of.len() >= self.entries_max;
        self.forget_idle(now, if full { LOOKED_AT_FULL } else { LOOKED_AT });
        if self.of.len() < self.entries_max {
            Place::Own(number)
        } else {
            Place::Shared(number % SHARED)
        }
    }

    /// What is known there.
    pub fn at(&mut self, place: Place) -> &mut T {
        match place {
            Place::Own(number) => self.of.entry(number).or_default(),
            Place::Shared(slot) => self.shared.entry(slot).or_default(),
        }
    }

    /// Entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.of.len() + self.shared.len()
    }

    /// Whether nothing is known of anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn forget_idle(&mut self, now: Time, count: usize) {
        let from = (Bound::Included(self.next), Bound::Unbounded);
        let seen: Vec<(u64, bool)> = self
            .of
            .range(from)
            .take(count)
            .map(|(number, known)| (*number, known.is_idle(now)))
            .collect();
        let round = seen.len() < count;
        let last = seen.last().filter(|_| !round);
        self.next = last.and_then(|(last, _)| last.checked_add(1)).unwrap_or(0);
        for (number, _) in seen.into_iter().filter(|(_, idle)| *idle) {
            self.of.remove(&number);
        }
        if round {
            self.shared.retain(|_, known| !known.is_idle(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::{Bucket, Rate};

    #[derive(Default)]
    struct Visits(Bucket);

    impl Known for Visits {
        fn is_idle(&self, now: Time) -> bool {
            self.0.is_full(now)
        }
    }

    fn visit(crowd: &mut Crowd<Visits>, number: u64, now: u64) -> bool {
        let rate = Rate::new(1, 1, 2).expect("it is above 0");
        let place = crowd.place(number, Time(now));
        crowd.at(place).0.take(Time(now), rate, 1).is_ok()
    }

    #[test]
    fn nobody_is_forgotten_by_crowding_the_table() {
        let mut crowd = Crowd::new(100);
        assert!(visit(&mut crowd, 7, 0) && visit(&mut crowd, 7, 0) && !visit(&mut crowd, 7, 0));
        for number in 1000..100_000 {
            visit(&mut crowd, number, 500);
        }
        assert!(!visit(&mut crowd, 7, 500), "what is held against it is still known");
        assert!(crowd.len() <= 100 + SHARED as usize);
        assert!(!visit(&mut crowd, 100_000, 500), "newcomers share an account that is used up");
    }

    #[test]
    fn who_is_idle_gives_way() {
        let mut crowd = Crowd::new(100);
        for number in 0..5000 {
            assert!(visit(&mut crowd, number, number * 100), "{number}");
        }
        assert!(crowd.len() <= 100);
        for number in 10_000..10_200 {
            visit(&mut crowd, number, 10_000_000);
        }
        // The table, and what was shared, is left as times go by.
        for number in 0..400 {
            assert!(visit(&mut crowd, 50_000 + number, 20_000_000 + number * 10_000));
        }
        assert!(crowd.len() < 10, "{}", crowd.len());
    }
}
