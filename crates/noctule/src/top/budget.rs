//! How many messages may be sampled: a bucket that fills at a steady rate.

use std::time::Duration;

/// What fits into the bucket, in seconds of its rate.
const FULL_SECS: f64 = 2.0;

/// Messages that may still be taken; fewer than none while the bucket pays off a debt.
pub(super) struct Budget {
    a_second: f64,
    left: f64,
    at: Duration,
}

impl Budget {
    pub(super) fn new(a_second: u32, now: Duration) -> Budget {
        let a_second = f64::from(a_second.max(1));
        Budget { a_second, left: a_second * FULL_SECS, at: now }
    }

    /// Takes one; whether there is more.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + passed * self.a_second).min(self.a_second * FULL_SECS) - 1.0;
        self.left >= 1.0
    }

    /// When it is full again.
    pub(super) fn full_at(&self) -> Duration {
        let missing = (self.a_second * FULL_SECS - self.left).max(0.0);
        self.at.saturating_add(Duration::from_secs_f64(missing / self.a_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_at_the_rate_is_never_stopped() {
        let mut budget = Budget::new(10, Duration::ZERO);
        for tenth in 0..10_000 {
            assert!(budget.take(Duration::from_millis(tenth * 100)));
        }
    }

    #[test]
    fn a_flood_is_stopped_until_it_is_paid() {
        let mut budget = Budget::new(10, Duration::ZERO);
        let taken = (1..1000).find(|_| !budget.take(Duration::ZERO));
        assert_eq!(taken, Some(20));
        // What was on the way is a debt.
        for _ in 0..80 {
            budget.take(Duration::ZERO);
        }
        assert_eq!(budget.full_at(), Duration::from_secs(10));
        assert!(!budget.take(Duration::from_secs(4)));
        assert!(budget.take(Duration::from_secs(10)));
    }
}
