//! How long things took: high dynamic range histograms, exact to a thousandth.

use hdrhistogram::Histogram;
use std::time::Duration;

/// What is longer counts as this long.
const LONGEST: Duration = Duration::from_secs(3600);
/// Significant decimal digits that are kept.
const DIGITS: u8 = 3;

/// Times of one phase. Those since the last [`turn`](Latencies::turn) can be seen by themselves.
#[derive(Debug)]
pub struct Latencies {
    total: Histogram<u64>,
    recent: Histogram<u64>,
    /// The last time in nanoseconds, and how often in a row: messages that were sent together and
    /// arrive together took the same.
    last: (u64, u64),
}

/// What a histogram says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Percentiles {
    /// How many times were measured.
    pub count: u64,
    /// Half of them are at most this.
    pub p50: Duration,
    /// 90 % are at most this.
    pub p90: Duration,
    /// 99 % are at most this.
    pub p99: Duration,
    /// 99.9 % are at most this.
    pub p999: Duration,
    /// The longest.
    pub max: Duration,
    /// The average.
    pub mean: Duration,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies { total: histogram(), recent: histogram(), last: (0, 0) }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, DIGITS)
        .expect("these bounds and digits are within what the crate allows")
}

impl Latencies {
    /// Something took this long.
    #[inline]
    pub fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if nanos == self.last.0 {
            self.last.1 += 1;
        } else {
            self.write_last();
            self.last = (nanos, 1);
        }
    }

    fn write_last(&mut self) {
        let (nanos, count) = std::mem::take(&mut self.last);
        if count > 0 {
            self.recent.saturating_record_n(nanos.max(1), count);
        }
    }

    /// What was recorded since the last turn.
    pub fn turn(&mut self) -> Percentiles {
        self.write_last();
        let recent = percentiles(&self.recent);
        self.total.add(&self.recent).expect("both have the same bounds");
        self.recent.reset();
        recent
    }

    /// What was recorded since the beginning, or since it was cleared.
    pub fn total(&mut self) -> Percentiles {
        self.turn();
        percentiles(&self.total)
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.last = (0, 0);
        self.total.reset();
        self.recent.reset();
    }
}

fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let at = |quantile| Duration::from_nanos(histogram.value_at_quantile(quantile));
    Percentiles {
        count: histogram.len(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: Duration::from_nanos(histogram.max()),
        mean: Duration::from_nanos(histogram.mean() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is the value wanted, to a thousandth.
    fn near(got: Duration, want: Duration) -> bool {
        got.abs_diff(want) <= want / 1000
    }

    #[test]
    fn an_even_distribution_has_the_percentiles_it_must_have() {
        let mut latencies = Latencies::default();
        for micros in (1..=100_000).rev() {
            latencies.record(Duration::from_micros(micros));
        }
        let all = latencies.total();
        assert_eq!(all.count, 100_000);
        let micros = Duration::from_micros;
        assert!(near(all.p50, micros(50_000)), "{all:?}");
        assert!(near(all.p90, micros(90_000)), "{all:?}");
        assert!(near(all.p99, micros(99_000)), "{all:?}");
        assert!(near(all.p999, micros(99_900)), "{all:?}");
        assert!(near(all.max, micros(100_000)), "{all:?}");
        assert!(near(all.mean, micros(50_000)), "{all:?}");
    }

    #[test]
    fn a_geometric_distribution_over_nine_decades_keeps_its_digits() {
        let mut latencies = Latencies::default();
        let steps: Vec<Duration> = (0..1000)
            .map(|step| Duration::from_secs_f64(1e-8 * 10_f64.powf(f64::from(step) / 100.0)))
            .collect();
        for step in &steps {
            latencies.record(*step);
        }
        let all = latencies.total();
        assert!(near(all.p50, steps[499]), "{all:?}");
        assert!(near(all.p99, steps[989]), "{all:?}");
        assert!(near(all.max, steps[999]), "{all:?}");
    }

    #[test]
    fn a_turn_shows_what_is_new_and_the_total_keeps_all() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_millis(1));
        assert_eq!(latencies.turn().count, 1);
        latencies.record(Duration::from_millis(3));
        latencies.record(Duration::from_millis(3));
        let recent = latencies.turn();
        assert_eq!(recent.count, 2);
        assert!(near(recent.p50, Duration::from_millis(3)));
        assert_eq!(latencies.total().count, 3);
        latencies.clear();
        assert_eq!(latencies.total(), Percentiles::default());
    }

    #[test]
    fn beyond_the_bounds_nothing_is_lost() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::MAX);
        let all = latencies.total();
        assert_eq!(all.count, 2);
        assert!(near(all.max, LONGEST), "{all:?}");
    }
}
