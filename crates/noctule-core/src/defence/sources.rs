//! Where logins fail: addresses, or user names, each a bucket that leaks.
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

/// Seconds after which a quarter is forgiven.
const FORGIVEN_SECS: u32 = 15;

/// Failed logins by where they come from.
#[derive(Debug)]
pub struct Sources {
    /// Made with the first failure.
    entries: Vec<Source>,
    failures_max: u16,
    began: Time,
}

#[derive(Clone, Copy, Default, Debug)]
struct Source {
    key: u64,
    at: u32,
    quarters: u16,
}

const _: () = assert!(size_of::<Source>() <= 16);

impl Source {
    /// The same at a later time, less what is forgiven by then.
    fn at(self, now_secs: u32) -> Source {
        let forgiven = now_secs.saturating_sub(self.at) / FORGIVEN_SECS;
        let left = u32::from(self.quarters).saturating_sub(forgiven) as u16;
        // The rest of the time counts for the next quarter.
        let at = if left > 0 { self.at + forgiven * FORGIVEN_SECS } else { now_secs };
        Source { quarters: left, at, ..self }
    }
}

impl Sources {
    /// Nothing has failed; more than `failures_max` failures are a finding, 0: never.
    #[must_use]
    pub fn new(failures_max: u16, now: Time) -> Sources {
        Sources { entries: Vec::new(), failures_max, began: now }
    }

    /// Another bound from here on.
    pub fn set_failures_max(&mut self, failures_max: u16) {
        self.failures_max = failures_max;
    }

    /// A login failed. Answers how many have, if that is a finding: then half as many bring the
    /// next one.
    pub fn failed(&mut self, now: Time, key: u64) -> Option<u64> {
        if self.failures_max == 0 {
            return None;
        }
        if self.entries.is_empty() {
            self.entries.resize(SETS * WAYS, Source::default());
        }
        let now_secs = self.secs(now);
        let failures_max = self.failures_max;
        let set = self.set(key);
        let at = set
            .iter()
            .position(|it| it.key == key && it.quarters > 0)
            .or_else(|| (0..WAYS).min_by_key(|at| set[*at].at(now_secs).quarters))?;
        let source = &mut set[at];
        let new = Source { key, at: now_secs, quarters: 0 };
        *source = if source.key == key { source.at(now_secs) } else { new };
        source.quarters = source.quarters.saturating_add(QUARTERS);
        let failures = source.quarters / QUARTERS;
        if failures <= failures_max {
            return None;
        }
        source.quarters = (failures_max / 2 + 1).saturating_mul(QUARTERS);
        Some(u64::from(failures))
    }

    /// A login succeeded: many devices behind one address are not an attack because a few of them
    /// have an old password.
    pub fn succeeded(&mut self, now: Time, key: u64) {
        if self.entries.is_empty() {
            return;
        }
        let now_secs = self.secs(now);
        if let Some(source) = self.set(key).iter_mut().find(|it| it.key == key) {
            *source = source.at(now_secs);
            source.quarters = source.quarters.saturating_sub(1);
        }
    }

    fn set(&mut self, key: u64) -> &mut [Source] {
        let at = key as usize % SETS * WAYS;
        &mut self.entries[at..at + WAYS]
    }

    fn secs(&self, now: Time) -> u32 {
        (now.millis_since(self.began) / 1000) as u32
    }
}
