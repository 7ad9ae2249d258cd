//! Where logins fail, or connections come to nothing: addresses, or user names, each a bucket that
//! leaks.
//!
//! A table of fixed size in sets of eight. In a full set the one gives way that has the least left
//! to forgive: a thousand addresses that fail once each cannot push out one that fails all the
//! time.

use crate::identity::Time;

/// Entries of a set.
const WAYS: usize = 8;

/// Sets; a power of two. With sixteen bytes an entry this is a mebibyte.
const SETS: usize = 8192;

/// Failures are counted in quarters: a login that succeeds takes one back.
const QUARTERS: u16 = 4;

/// Milliseconds after which a quarter of a failed login is forgiven.
const LOGIN_MILLIS: u64 = 15_000;

/// Milliseconds after which a quarter of a connection is forgiven that came to nothing.
const CONNECT_MILLIS: u64 = 250;

/// Failures by where they come from.
#[derive(Debug)]
pub struct Sources {
    /// Made with the first failure.
    entries: Vec<Source>,
    failures_max: u16,
    /// After so many milliseconds a quarter is forgiven.
    quarter_millis: u64,
    began: Time,
}

#[derive(Clone, Copy, Default, Debug)]
struct Source {
    key: u64,
    /// In units of `quarter_millis`.
    at: u32,
    quarters: u16,
}

const _: () = assert!(size_of::<Source>() <= 16);

impl Source {
    /// The same at a later time, less what is forgiven by then.
    fn at(self, now: u32) -> Source {
        let forgiven = now.saturating_sub(self.at);
        let quarters = u32::from(self.quarters).saturating_sub(forgiven) as u16;
        Source { quarters, at: now, ..self }
    }
}

impl Sources {
    /// No login has failed; more than `failures_max` failures are a finding, 0: never. One is
    /// forgiven a minute.
    #[must_use]
    pub fn new(failures_max: u16, now: Time) -> Sources {
        let (entries, quarter_millis) = (Vec::new(), LOGIN_MILLIS);
        Sources { entries, failures_max, quarter_millis, began: now }
    }

    /// The same for connections that come to nothing. One is forgiven a second.
    #[must_use]
    pub fn of_connects(failures_max: u16, now: Time) -> Sources {
        Sources { quarter_millis: CONNECT_MILLIS, ..Sources::new(failures_max, now) }
    }

    /// Another bound from here on.
    pub fn set_failures_max(&mut self, failures_max: u16) {
        self.failures_max = failures_max;
    }

    /// One failed. Answers how many have, if that is a finding: then half as many bring the
    /// next one.
    pub fn failed(&mut self, now: Time, key: u64) -> Option<u64> {
        if self.failures_max == 0 {
            return None;
        }
        if self.entries.is_empty() {
            self.entries.resize(SETS * WAYS, Source::default());
        }
        let at_now = self.quarters(now);
        let failures_max = self.failures_max;
        let set = self.set(key);
        let at = set
            .iter()
            .position(|it| it.key == key && it.quarters > 0)
            .or_else(|| (0..WAYS).min_by_key(|at| set[*at].at(at_now).quarters))?;
        let source = &mut set[at];
        let new = Source { key, at: at_now, quarters: 0 };
        *source = if source.key == key { source.at(at_now) } else { new };
        source.quarters = source.quarters.saturating_add(QUARTERS);
        let failures = source.quarters / QUARTERS;
        if failures <= failures_max {
            return None;
        }
        source.quarters = (failures_max / 2 + 1).saturating_mul(QUARTERS);
        Some(u64::from(failures))
    }

    /// One succeeded: many devices behind one address are not an attack because a few of them
    /// have an old password.
    pub fn succeeded(&mut self, now: Time, key: u64) {
        if self.entries.is_empty() {
            return;
        }
        let at_now = self.quarters(now);
        if let Some(source) = self.set(key).iter_mut().find(|it| it.key == key) {
            *source = source.at(at_now);
            source.quarters = source.quarters.saturating_sub(1);
        }
    }

    fn set(&mut self, key: u64) -> &mut [Source] {
        let at = key as usize % SETS * WAYS;
        &mut self.entries[at..at + WAYS]
    }

    fn quarters(&self, now: Time) -> u32 {
        (now.millis_since(self.began) / self.quarter_millis) as u32
    }
}
