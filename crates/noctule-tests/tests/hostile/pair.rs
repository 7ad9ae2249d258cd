//! A well-behaved publisher and its subscriber, who must not notice what others do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::wire::{Connect, Level, PUBACK, Wire, publish};

/// A modest pace: the pair is a witness, not a load.
const PACE: Duration = Duration::from_millis(2);

pub(crate) struct Pair {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    publisher: JoinHandle<Result<u64>>,
    subscriber: JoinHandle<Result<Flow>>,
}

/// What the subscriber saw.
struct Flow {
    received: u64,
    /// The longest that it waited for a message, from the first one on.
    gap: Duration,
}

impl Pair {
    pub(crate) fn start(address: SocketAddr, name: &str) -> Result<Self> {
        let topic = format!("pair/{name}/{}", std::process::id());
        let mut reader = Wire::connect(address, &Connect::new(&format!("{name}-subscriber")))?;
        reader.subscribe(&topic)?;
        let writer = Wire::connect(address, &Connect::new(&format!("{name}-publisher")))?;
        let stop = Arc::new(AtomicBool::new(false));
        let received = Arc::new(AtomicU64::new(0));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&received));
        let publisher = std::thread::spawn(move || publish_until(writer, &topic, &stopped));
        let subscriber = std::thread::spawn(move || receive_all(reader, &counted));
        let pair = Self { stop, received, publisher, subscriber };
        // An attack that is over at once still begins beside a flow.
        while pair.received() == 0 && !pair.subscriber.is_finished() {
            std::thread::sleep(PACE);
        }
        Ok(pair)
    }

    /// How many messages went all the way so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Ends the flow; every message must have arrived, once and in order. Answers the longest gap
    /// between two of them.
    pub(crate) fn finish(self) -> Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.publisher.join().expect("the publisher does not panic");
        let sent = sent.context("the well-behaved publisher was held back")?;
        let flow = self.subscriber.join().expect("the subscriber does not panic");
        let flow = flow.context("the well-behaved subscriber was held back")?;
        ensure!(sent == flow.received, "{sent} sent, {} received", flow.received);
        Ok(flow.gap)
    }
}

/// Sends numbers, each after the PUBACK of the one before, and at last an empty payload.
fn publish_until(mut wire: Wire, topic: &str, stop: &AtomicBool) -> Result<u64> {
    let mut number: u64 = 0;
    loop {
        let end = stop.load(Ordering::Relaxed);
        let payload = if end { String::new() } else { number.to_string() };
        wire.send(&publish(Level::V311, topic, Some(1), payload.as_bytes()))?;
        wire.expect(PUBACK).with_context(|| format!("message {number}"))?;
        if end {
            return Ok(number);
        }
        number += 1;
        std::thread::sleep(PACE);
    }
}

fn receive_all(mut wire: Wire, received: &AtomicU64) -> Result<Flow> {
    let mut gap = Duration::ZERO;
    let mut last: Option<Instant> = None;
    loop {
        let wanted = received.load(Ordering::Relaxed);
        let message = wire.message().with_context(|| format!("message {wanted}"))?;
        let now = Instant::now();
        gap = gap.max(last.map_or(Duration::ZERO, |last| now - last));
        last = Some(now);
        if message.payload().is_empty() {
            return Ok(Flow { received: wanted, gap });
        }
        let number: u64 = std::str::from_utf8(message.payload())?.parse()?;
        ensure!(number == wanted, "message {number} came where {wanted} was due");
        received.store(wanted + 1, Ordering::Relaxed);
    }
}
