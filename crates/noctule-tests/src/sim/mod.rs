//! The simulation: many clients and shards on virtual time and one seed.
//!
//! ```text
//!  clients --bytes--> links --bytes--> Node (N brokers, one index) --bytes--> links --> clients
//!      \                  cut, stalled, half open         |                              /
//!       +---- what was sent ----------> Ledger <----------+-- what was received --------+
//! ```
//!
//! In some runs the node dies now and then, with what its log had not stored, and starts again.
//!
//! A run is a function of its seed and the number of shards. The `ledger` is told what was
//! handed in and what arrived, and panics where the two disagree; brokers check themselves after
//! every step. [`run`] catches that and says how to replay it.

mod act;
pub(crate) mod chance;
mod client;
mod coverage;
mod crash;
mod finish;
mod ledger;
mod plan;
mod step;
mod universe;
mod world;

pub(crate) use chance::Chance;
pub use coverage::Coverage;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// Numbers of shards every seed is run with.
pub const SHARDS: [u16; 3] = [1, 2, 5];

/// A run that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// Its shards.
    pub shards: u16,
    /// What went wrong, where.
    pub what: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "seed {} with {} shards: {}\n  replay: cargo run --profile test-fast \
             -p noctule-tests --bin simulate -- --seed {} --shards {} --trace",
            self.seed, self.shards, self.what, self.seed, self.shards
        )
    }
}

thread_local! {
    /// What the last panic of this thread said, while a run wants to know.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Lets panics of runs be caught in silence; others are reported as ever. Call once.
pub fn quiet_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let wanted = PANIC.with_borrow_mut(|said| {
            let wanted = said.is_some();
            if wanted {
                *said = Some(info.to_string());
            }
            wanted
        });
        if !wanted {
            loud(info);
        }
    }));
}

/// Runs one seed with so many shards.
///
/// # Errors
/// If a promise was broken.
pub fn run(seed: u64, shards: u16, traced: bool) -> Result<Coverage, Failure> {
    caught(|| play(seed, shards, traced)).map_err(|what| Failure { seed, shards, what })
}

/// What a run comes to, or what it said when it panicked.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    PANIC.set(Some(String::new()));
    let outcome = catch_unwind(AssertUnwindSafe(run));
    let said = PANIC.take().unwrap_or_default();
    outcome.map_err(|_| said)
}

fn play(seed: u64, shards: u16, traced: bool) -> Coverage {
    let mut world = World::new(seed, shards, traced);
    world.ledger.trace(|| format!("{:?}", world.plan));
    world.call_witness();
    for _ in 0..world.plan.steps {
        world.step();
    }
    world.finish();
    Coverage::of(&world)
}
