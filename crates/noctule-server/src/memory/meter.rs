//! How much of its budget the process has, as a level.
//!
//! A level is entered at its mark and left five percent of the budget below, so that what is given
//! back at a mark does not end what gave it back.

use super::{Budget, MemoryMax, anonymous};
use noctule_core::input::Memory;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Percent of the budget at which a level is entered.
const MARKS: [(Memory, u64); 3] = [(Memory::Full, 100), (Memory::Tight, 90), (Memory::Near, 80)];

/// Percent of the budget that lie between entering a level and leaving it.
const GAP: u64 = 5;

/// Between two looks, at most and at least: what comes in between is what the budget may be
/// exceeded by.
const PAUSE_MAX: Duration = Duration::from_millis(200);
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The same while nothing is left: what takes memory is refused by then, and at each look some more
/// is let go.
const PAUSE_FULL: Duration = Duration::from_millis(20);

/// Bytes of memory that a flood may take in a millisecond, about: four GiB a second. No pause is
/// longer than what is left of the budget lasts then.
const FLOOD: u64 = 4 << 20;

/// Between two times at which free memory is given back to the system, at each level: until then
/// what was let go counts as used.
const TRIM_NEAR: Duration = Duration::from_secs(10);
const TRIM_TIGHT: Duration = Duration::from_secs(1);
const TRIM_FULL: Duration = Duration::from_millis(500);

/// From entering a level to the first of them: shards have let go what they can by then.
const TRIM_FIRST: Duration = Duration::from_millis(100);

/// It costs milliseconds for each GiB, in which others wait for the allocator: at most one part of
/// so many of the time is spent on it.
const TRIM_PARTS: u32 = 50;

/// What the metrics tell.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// Bytes of the budget; 0: there is none.
    pub(crate) budget: AtomicU64,
    /// Bytes in use at the last look.
    pub(crate) used: AtomicU64,
    /// The present level, by its number.
    pub(crate) level: AtomicU64,
    /// How often each was entered from below; the first never is.
    pub(crate) entered: [AtomicU64; Memory::ALL.len()],
}

/// Another level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub(crate) from: Memory,
    pub(crate) to: Memory,
    /// Bytes in use.
    pub(crate) used: u64,
    /// Bytes of the budget.
    pub(crate) budget: u64,
}

/// Looks at the memory of the process, now and then.
pub(crate) struct Meter {
    budget: Option<Budget>,
    level: Memory,
    looked_at: Instant,
    pause: Duration,
    trim_at: Instant,
}

impl Meter {
    pub(crate) fn new(max: MemoryMax, gauge: &Gauge) -> Meter {
        let now = Instant::now();
        let level = Memory::Free;
        let mut meter =
            Meter { budget: None, level, looked_at: now, pause: PAUSE_MIN, trim_at: now };
        meter.set_max(max, gauge);
        meter
    }

    /// Another budget from here on; the next look works out the level.
    pub(crate) fn set_max(&mut self, max: MemoryMax, gauge: &Gauge) {
        self.budget = max.budget().filter(|_| anonymous().is_some());
        gauge.budget.store(self.budget.map_or(0, |it| it.bytes), Ordering::Relaxed);
    }

    /// How long until the next look.
    pub(crate) fn pause(&self) -> Duration {
        self.pause
    }

    /// The present level.
    pub(crate) fn level(&self) -> Memory {
        self.level
    }

    /// Looks, if it is time. `None`: it is not; `Some(None)`: the level is what it was.
    pub(crate) fn look(&mut self, gauge: &Gauge) -> Option<Option<Change>> {
        let now = Instant::now();
        if now.duration_since(self.looked_at) < self.pause {
            return None;
        }
        self.looked_at = now;
        let from = self.level;
        let (used, budget, to) = match self.budget {
            Some(Budget { bytes, .. }) => {
                let used = anonymous().unwrap_or_default();
                (used, bytes, level(from, used, bytes))
            }
            None => (0, 0, Memory::Free),
        };
        gauge.used.store(used, Ordering::Relaxed);
        self.level = to;
        self.pause = self.budget.map_or(PAUSE_MAX, |it| pause(used, it.bytes));
        if to > from {
            self.trim_at = now + TRIM_FIRST;
        }
        gauge.level.store(to as u64, Ordering::Relaxed);
        for entered in Memory::ALL.iter().filter(|it| **it > from && **it <= to) {
            gauge.entered[*entered as usize].fetch_add(1, Ordering::Relaxed);
        }
        Some((from != to).then_some(Change { from, to, used, budget }))
    }

    /// Gives what the allocator has free back to the system, if it is time.
    pub(crate) fn trim(&mut self) {
        let pause = match self.level {
            Memory::Free => return,
            Memory::Near => TRIM_NEAR,
            Memory::Tight => TRIM_TIGHT,
            Memory::Full => TRIM_FULL,
        };
        let began = Instant::now();
        if began >= self.trim_at {
            noctule_store::give_back();
            let ended = Instant::now();
            self.trim_at = ended + pause.max((ended - began) * TRIM_PARTS);
        }
    }
}

/// How long until the next look, at so many bytes of a budget.
fn pause(used: u64, budget: u64) -> Duration {
    if used >= budget {
        return PAUSE_FULL;
    }
    let lasts = Duration::from_millis((budget - used) / FLOOD);
    lasts.clamp(PAUSE_MIN, PAUSE_MAX)
}

/// The level at so many bytes of a budget, which depends on the level before.
fn level(before: Memory, used: u64, budget: u64) -> Memory {
    let parts = u128::from(used) * 100;
    let reached = |percent: u64| parts >= u128::from(budget) * u128::from(percent);
    let holds =
        |(level, mark): &&(Memory, u64)| reached(if *level <= before { mark - GAP } else { *mark });
    MARKS.iter().find(holds).map_or(Memory::Free, |(level, _)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Memory::{Free, Full, Near, Tight};

    #[test]
    fn levels_are_entered_at_their_marks_and_left_below() {
        let mut now = Free;
        for (used, expected) in [
            (0, Free),
            (799, Free),
            (800, Near),
            (799, Near),
            (750, Near),
            (749, Free),
            (799, Free),
            (900, Tight),
            (850, Tight),
            (849, Near),
            (899, Near),
            (1000, Full),
            (5000, Full),
            (950, Full),
            (949, Tight),
            (999, Tight),
            (1000, Full),
            // From one look to the next it may pass several.
            (760, Near),
            (1000, Full),
            (0, Free),
            (u64::MAX, Full),
        ] {
            now = level(now, used, 1000);
            assert_eq!(now, expected, "at {used}");
        }
    }

    #[test]
    fn what_moves_at_a_mark_does_not_change_the_level_each_time() {
        let mut now = Free;
        let mut changes = 0;
        for step in 0..1000 {
            let next = level(now, 1000 + if step % 2 == 0 { 20 } else { 0 } - 10, 1000);
            changes += u32::from(next != now);
            now = next;
        }
        assert_eq!(changes, 1);
    }

    #[test]
    fn the_less_is_left_the_sooner_comes_the_next_look() {
        let pause = |used_mib: u64, budget_mib: u64| pause(used_mib << 20, budget_mib << 20);
        assert_eq!(pause(10, 64), Duration::from_millis(13));
        assert_eq!(pause(50, 64), PAUSE_MIN);
        assert_eq!(pause(99, 64), PAUSE_FULL);
        assert_eq!(pause(9000, 10_000), PAUSE_MAX);
    }

    #[test]
    fn without_a_budget_nothing_is_ever_short() {
        let gauge = Gauge::default();
        let mut meter = Meter::new(MemoryMax::None, &gauge);
        assert_eq!(meter.look(&gauge), None);
        meter.looked_at -= PAUSE_MAX;
        assert_eq!(meter.look(&gauge), Some(None));
        assert_eq!(gauge.budget.load(Ordering::Relaxed), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_budget_that_is_used_up_is_told_once_and_one_that_is_not_again() {
        let gauge = Gauge::default();
        let mut meter = Meter::new(MemoryMax::Bytes(1), &gauge);
        meter.looked_at -= PAUSE_MAX;
        let change = meter.look(&gauge).flatten().unwrap();
        assert_eq!((change.from, change.to, change.budget), (Free, Full, 1));
        assert!(change.used > 100_000 && meter.pause() == PAUSE_FULL);
        meter.trim();
        meter.looked_at -= PAUSE_MAX;
        assert_eq!(meter.look(&gauge), Some(None));
        let entered = gauge.entered.iter().map(|it| it.load(Ordering::Relaxed));
        assert_eq!(entered.collect::<Vec<_>>(), [0, 1, 1, 1]);
        meter.set_max(MemoryMax::Bytes(1 << 40), &gauge);
        meter.looked_at -= PAUSE_MAX;
        let change = meter.look(&gauge).flatten().unwrap();
        assert_eq!((change.from, change.to), (Full, Free));
        assert_eq!(meter.pause(), PAUSE_MAX);
    }
}
