//! Good clients that come while the attack is on: every half second one, over TLS, in turn one
//! whose password the broker knows from before and one whose password it has to check.

use super::stage::{Doors, GOOD, GUESTS, guest};
use super::wire::{Way, Wire};
use crate::script::packet::{disconnect, kind, publish};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(500);

/// They come.
pub(super) struct Newcomers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Arrivals>,
}

/// Who was served.
#[derive(Default)]
pub(super) struct Arrivals {
    pub(super) served: u64,
    /// The longest that one took, from the connection to the acknowledgement of its message.
    pub(super) slowest: Duration,
    /// Why others were not.
    pub(super) refused: Vec<String>,
}

impl Newcomers {
    pub(super) fn start(doors: Doors) -> Newcomers {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut arrivals = Arrivals::default();
            let mut number = 0;
            while !until.load(Ordering::Relaxed) {
                let began = Instant::now();
                match visit(doors, number) {
                    Ok(()) => {
                        arrivals.served += 1;
                        arrivals.slowest = arrivals.slowest.max(began.elapsed());
                    }
                    Err(error) => arrivals.refused.push(format!("newcomer {number}: {error:#}")),
                }
                number += 1;
                std::thread::sleep(PERIOD.saturating_sub(began.elapsed()));
            }
            arrivals
        });
        Newcomers { stop, thread }
    }

    pub(super) fn stop(self) -> Result<Arrivals> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the newcomers panicked")
    }
}

fn visit(doors: Doors, number: usize) -> Result<()> {
    let user = if number.is_multiple_of(2) { GOOD.to_owned() } else { guest(number / 2 % GUESTS) };
    let mut wire = Wire::open(doors, Way::Tls, &format!("good-new-{number}"), &user)?;
    wire.send(&publish("good/new", "here").qos(1, 1))?;
    wire.expect(kind::PUBACK)?;
    wire.send(&disconnect(0))
}
