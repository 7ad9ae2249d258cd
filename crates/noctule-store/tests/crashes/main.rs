//! Crash points: shards append, steps of the log are made, the machine stops at some operation,
//! power is cut or not, and what is there afterwards is compared with a plain list.
//!
//! `cargo test --profile test-fast -p noctule-store --test crashes -- --crashes 100000 --seed 1`

mod story;

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Crash points without `--crashes`.
const CRASHES: u64 = 3000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        Some(args.get(at + 1)?.parse().expect("a number"))
    };
    let (crashes, first) = (number("--crashes").unwrap_or(CRASHES), number("--seed"));
    let next = AtomicU64::new(first.unwrap_or(1));
    let done = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let seen = thread::scope(|scope| {
        let work = || {
            let mut seen = story::Seen::default();
            while done.load(Ordering::Relaxed) < crashes {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                let noted = Noted(seed);
                done.fetch_add(story::run(seed, &mut seen), Ordering::Relaxed);
                drop(noted);
            }
            seen
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| worker.join().expect("no story fails");
        workers.into_iter().map(join).fold(story::Seen::default(), story::Seen::plus)
    });
    seen.check(crashes);
    writeln!(std::io::stdout(), "{} crash points: {seen:?}", done.into_inner())
        .expect("somebody listens");
}

/// Says which story failed.
struct Noted(u64);

impl Drop for Noted {
    fn drop(&mut self) {
        if thread::panicking() {
            writeln!(std::io::stderr(), "failed: --crashes 1 --seed {}", self.0).ok();
        }
    }
}
