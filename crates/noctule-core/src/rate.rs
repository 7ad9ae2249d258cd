//! Token buckets: how often something may happen on average, and how much of it at once.
//!
//! A [`Rate`] is the rule, shared by all it is for; a [`Bucket`] is eight bytes of state for each.
//! Instead of tokens and the time they were counted at, a bucket keeps the instant at which it is
//! full again: what was taken moves it on, and time passes by itself.

use crate::identity::Time;
use serde::{Deserialize, Serialize};

/// So many on average, and at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rate {
    /// Nanoseconds until one more may happen, in fractions of 2^-20.
    step: u64,
    /// How many may happen at once.
    burst: u64,
}

/// What was taken lately.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Bucket {
    /// Nanoseconds since the Unix epoch.
    full_at: u64,
}

const FRACTION_BITS: u32 = 20;
const NANOS_PER_MILLI: u64 = 1_000_000;

impl Rate {
    /// `count` in so many seconds, `burst` of them at once (0: as many as `count`). `None` if
    /// `count` is 0: no bound.
    #[must_use]
    pub fn new(count: u64, secs: u32, burst: u64) -> Option<Rate> {
        let nanos = (u128::from(secs) * 1_000_000_000) << FRACTION_BITS;
        let step = nanos.checked_div(u128::from(count))?;
        let burst = if burst == 0 { count } else { burst };
        Some(Rate { step: u64::try_from(step).unwrap_or(u64::MAX).max(1), burst })
    }

    /// How long it takes until so many more may happen.
    fn nanos(self, cost: u64) -> u64 {
        let nanos = (u128::from(cost) * u128::from(self.step)) >> FRACTION_BITS;
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

impl Bucket {
    /// Takes so much, if there is room for it. What is more than a burst finds room once the bucket
    /// is full, and is owed then.
    ///
    /// # Errors
    /// There is none: for so many milliseconds, if nothing else is taken.
    pub fn take(&mut self, now: Time, rate: Rate, cost: u64) -> Result<(), u64> {
        match self.wait(now, rate, cost) {
            0 => {
                self.charge(now, rate, cost);
                Ok(())
            }
            millis => Err(millis),
        }
    }

    /// Takes so much, also what there is no room for.
    #[inline]
    pub fn charge(&mut self, now: Time, rate: Rate, cost: u64) {
        self.full_at = self.full_at.max(nanos_of(now)).saturating_add(rate.nanos(cost));
    }

    /// Milliseconds until there is room for so much; 0: there is.
    #[must_use]
    #[inline]
    pub fn wait(&self, now: Time, rate: Rate, cost: u64) -> u64 {
        let owed = self.full_at.saturating_sub(nanos_of(now));
        let (burst, needed) = (rate.nanos(rate.burst), rate.nanos(cost.min(rate.burst)));
        owed.saturating_sub(burst - needed).div_ceil(NANOS_PER_MILLI)
    }

    /// Whether nothing is missing: it is as good as a new one.
    #[must_use]
    pub fn is_full(&self, now: Time) -> bool {
        self.full_at <= nanos_of(now)
    }

    /// What was taken from either.
    #[must_use]
    pub(crate) fn or_less(self, other: Bucket) -> Bucket {
        Bucket { full_at: self.full_at.max(other.full_at) }
    }
}

fn nanos_of(now: Time) -> u64 {
    now.0.saturating_mul(NANOS_PER_MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Tokens counted as one would on paper, in parts of which `secs * 1000` make a token.
    struct Naive {
        count: i128,
        secs: i128,
        burst: i128,
        parts: i128,
        at: u64,
    }

    impl Naive {
        fn new(count: u64, secs: u32, burst: u64) -> Naive {
            let (count, secs, burst) = (count.into(), secs.into(), i128::from(burst));
            Naive { count, secs, burst, parts: burst * secs * 1000, at: 0 }
        }

        fn part(&self) -> i128 {
            self.secs * 1000
        }

        fn pass(&mut self, now: u64) {
            let full = self.burst * self.part();
            self.parts = full.min(self.parts + i128::from(now - self.at) * self.count);
            self.at = now;
        }

        fn room(&self, cost: u64) -> i128 {
            self.parts - i128::from(cost).min(self.burst) * self.part()
        }
    }

    fn below(random: &mut Random, most: u64) -> u64 {
        random.next() % most
    }

    /// Rounding may let something happen a millisecond sooner or later, never more than that.
    #[test]
    fn a_bucket_is_what_counting_tokens_says() {
        for seed in 0..300 {
            let mut random = Random::new((seed, 0));
            let secs = if seed % 2 == 0 { 1 } else { 60 };
            let count = below(&mut random, 2_000_000) >> below(&mut random, 21);
            let (count, burst) = (count.max(1), 1 + below(&mut random, 5000));
            let rate = Rate::new(count, secs, burst).expect("it is above 0");
            let (mut bucket, mut naive) = (Bucket::default(), Naive::new(count, secs, burst));
            let mut now = 0;
            let millisecond = i128::from(count) + naive.part() / 1_000_000 + 1;
            for _ in 0..80 {
                now += below(&mut random, 3000);
                let cost = 1 + below(&mut random, 8000);
                naive.pass(now);
                match bucket.take(Time(now), rate, cost) {
                    Ok(()) => {
                        assert!(naive.room(cost) >= -millisecond, "too soon, seed {seed}");
                        naive.parts -= i128::from(cost) * naive.part();
                    }
                    Err(wait) => {
                        assert!(naive.room(cost) < millisecond, "there was room, seed {seed}");
                        let then = naive.room(cost) + i128::from(wait) * i128::from(count);
                        assert!(then >= -millisecond, "told to come too soon, seed {seed}");
                        let sooner = then - i128::from(count);
                        assert!(sooner < millisecond, "told to come too late, seed {seed}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_span_of_time_sees_more_than_burst_and_rate() {
        for seed in 0..50 {
            let mut random = Random::new((seed, 1));
            let (count, burst) = (1 + below(&mut random, 500), 1 + below(&mut random, 100));
            let rate = Rate::new(count, 1, burst).expect("it is above 0");
            let (mut bucket, mut now, mut taken) = (Bucket::default(), 0, Vec::new());
            for _ in 0..400 {
                now += below(&mut random, 40);
                if bucket.take(Time(now), rate, 1).is_ok() {
                    taken.push(now);
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    let most = burst + (to - from + 1) * count / 1000 + 1;
                    assert!((last - first + 1) as u64 <= most, "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn what_is_more_than_a_burst_waits_for_a_full_bucket_and_is_owed() {
        let rate = Rate::new(1000, 1, 100).expect("it is above 0");
        let mut bucket = Bucket::default();
        let at = |millis: u64| Time(5_000 + millis);
        assert_eq!(bucket.take(at(0), rate, 1), Ok(()));
        assert_eq!(bucket.take(at(0), rate, 1000), Err(1));
        assert_eq!(bucket.take(at(1), rate, 1000), Ok(()));
        assert_eq!(bucket.take(at(1), rate, 1), Err(901));
        assert!(!bucket.is_full(at(1000)) && bucket.is_full(at(1001)));
    }

    #[test]
    fn the_ends_of_what_can_be_said_neither_overflow_nor_stand_still() {
        assert_eq!(Rate::new(0, 1, 5), None);
        for (count, burst) in [(1, u64::MAX), (u64::MAX, u64::MAX), (u64::MAX, 1), (1, 1)] {
            let rate = Rate::new(count, 60, burst).expect("it is above 0");
            let mut bucket = Bucket::default();
            for cost in [1, u64::MAX, 0, u64::MAX] {
                let _ = bucket.take(Time(1_700_000_000_000), rate, cost);
                bucket.charge(Time(u64::MAX), rate, cost);
            }
            assert!(bucket.wait(Time(0), rate, 1) > 0);
        }
    }
}
