//! What came of an attack, and whether that may be.

use super::mallory::Attack;
use std::fmt;
use std::time::Duration;

/// Growth of resident memory that no attack may exceed. What the stage's limits allow, on two
/// shards: 64 MiB of retained messages with their topics (twice as much, resident), as much in
/// queues, the same again for connections and what the allocator keeps.
pub(super) const GROWTH_MAX: u64 = 256 << 20;

/// Below this nobody cares how many times its quiet value a delay is.
const SMALL: Duration = Duration::from_millis(5);

/// The line of one attack.
#[derive(Debug)]
pub struct Verdict {
    pub(super) attack: Attack,
    pub(super) acknowledged: u64,
    pub(super) quiet: Duration,
    pub(super) under: Duration,
    pub(super) broken: usize,
    pub(super) growth: u64,
    pub(super) newcomers: u64,
    pub(super) slowest: Duration,
    /// Cores that the broker and the attackers used.
    pub(super) cores: (f64, f64),
    /// Kind of the first alert that named the attacker, and how long it took.
    pub(super) named: Option<(String, Duration)>,
    pub(super) toll: String,
    /// What must not be, whatever the machine.
    pub(super) faults: Vec<String>,
}

/// The heading of the table.
#[must_use]
pub fn heading() -> String {
    format!(
        "{:<17} {:>6} {:>15} {:>5} {:>8} {:>14} {:>11}  {:<24} {}",
        "attack",
        "good",
        "p99 quiet/under",
        "cut",
        "memory",
        "newcomers",
        "cores b/a",
        "named by",
        "reached"
    )
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |it: Duration| it.as_secs_f64() * 1000.0;
        let named = match &self.named {
            Some((kind, after)) => format!("{kind} after {:.1} s", after.as_secs_f64()),
            None => "nothing".to_owned(),
        };
        write!(
            f,
            "{:<17} {:>6} {:>12} ms {:>5} {:>4} MiB {:>14} {:>11}  {named:<24} {}",
            self.attack.name(),
            self.acknowledged,
            format!("{:.2}/{:.2}", millis(self.quiet), millis(self.under)),
            self.broken,
            self.growth >> 20,
            format!("{} <{:.0} ms", self.newcomers, millis(self.slowest)),
            format!("{:.2}/{:.2}", self.cores.0, self.cores.1),
            self.toll
        )
    }
}

impl Verdict {
    /// What must not be, whatever the machine.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Whether good clients noticed the attack: their 99th percentile went beyond three times its
    /// quiet value and 5 ms.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.under > SMALL.max(self.quiet * 3)
    }
}
