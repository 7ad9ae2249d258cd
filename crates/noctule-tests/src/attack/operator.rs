//! Who watches: hears the alerts from before the attack on.

use super::stage::{Doors, OPERATOR};
use super::wire::{Way, Wire};
use crate::script::packet::{kind, puback, subscribe};
use anyhow::{Context, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The operator, listening.
pub(super) struct Operator {
    heard: Arc<Mutex<Vec<Alert>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

/// An alert, as it came.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) at: Instant,
}

impl Operator {
    pub(super) fn start(doors: Doors) -> Result<Operator> {
        let mut wire = Wire::open(doors, Way::Plain, "operator", OPERATOR)?;
        wire.send(&subscribe(1).filter("$SYS/broker/alerts/#", 1))?;
        wire.expect(kind::SUBACK)?;
        let (heard, stop) = (Arc::<Mutex<Vec<Alert>>>::default(), Arc::new(AtomicBool::new(false)));
        let (to, until) = (Arc::clone(&heard), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let Some(packet) = wire.next()? else { continue };
                wire.send(&puback(packet.id))?;
                let topic = String::from_utf8_lossy(&packet.topic).into_owned();
                let kind = topic.rsplit('/').next().unwrap_or_default().to_owned();
                let text = String::from_utf8_lossy(&packet.payload).into_owned();
                let alert = Alert { kind, text, at: Instant::now() };
                to.lock().unwrap_or_else(PoisonError::into_inner).push(alert);
            }
            Ok(())
        });
        Ok(Operator { heard, stop, thread })
    }

    /// Whether any alert is like this.
    pub(super) fn has_heard(&self, like: impl Fn(&Alert) -> bool) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).iter().any(like)
    }

    /// Waits a little for an alert like this.
    pub(super) fn await_alert(&self, like: impl Fn(&Alert) -> bool, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !self.has_heard(&like) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All that was heard; an error if he was cut off.
    pub(super) fn stop(self) -> Result<(Vec<Alert>, Result<()>)> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join().ok().context("the operator panicked")?;
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok((heard, ended))
    }
}
