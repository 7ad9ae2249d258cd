//! The load of clients that behave: pairs of a publisher and a subscriber, QoS 1, at a steady rate.
//!
//! A message carries its number and when it was due, not when it was sent: a publisher that is held
//! up counts all that waited behind.

use super::stage::{Doors, GOOD};
use super::wire::{PATIENCE, Way, Wire};
use crate::script::packet::{disconnect, kind, puback, publish, subscribe};
use anyhow::{Context, Result, bail, ensure};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pairs, every second of which speaks TLS.
pub(super) const PAIRS: u64 = 8;
/// Between two messages of a publisher: 400 messages a second in all.
const PERIOD: Duration = Duration::from_millis(20);
const PAYLOAD: usize = 64;

/// What all of them write down.
#[derive(Default)]
struct Record {
    /// Due, since the start, and how much later it arrived; in microseconds.
    arrivals: Mutex<Vec<(u64, u64)>>,
    acknowledged: AtomicU64,
    /// The load is to end.
    stop: AtomicBool,
}

/// The load, running.
pub(super) struct Good {
    start: Instant,
    record: Arc<Record>,
    pairs: Vec<Pair>,
    /// Messages that each publisher had acknowledged when it ended; `u64::MAX` until then.
    ends: Vec<Arc<AtomicU64>>,
}

/// A publisher, and a subscriber with what arrived there.
type Pair = (JoinHandle<Result<()>>, JoinHandle<Result<u64>>);

/// What came of it.
pub(super) struct Outcome {
    pub(super) acknowledged: u64,
    pub(super) lost: u64,
    /// Why clients ended before they were to.
    pub(super) broken: Vec<String>,
    arrivals: Vec<(u64, u64)>,
    start: Instant,
}

impl Good {
    /// Starts it; every subscriber is there.
    pub(super) fn start(doors: Doors) -> Result<Good> {
        let (start, record) = (Instant::now(), Arc::<Record>::default());
        let (mut pairs, mut ends) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            let way = if pair % 2 == 0 { Way::Plain } else { Way::Tls };
            let topic = format!("good/{pair}");
            let mut reader = Wire::open(doors, way, &format!("good-sub-{pair}"), GOOD)?;
            reader.send(&subscribe(1).filter(&topic, 1))?;
            reader.expect(kind::SUBACK)?;
            let writer = Wire::open(doors, way, &format!("good-pub-{pair}"), GOOD)?;
            let end = Arc::new(AtomicU64::new(u64::MAX));
            let (to, until) = (Arc::clone(&record), Arc::clone(&end));
            let reads = std::thread::spawn(move || read(reader, start, &to, &until));
            let (to, until) = (Arc::clone(&record), Arc::clone(&end));
            let offset = PERIOD * pair as u32 / PAIRS as u32;
            let writes = std::thread::spawn(move || {
                let mut sent = 0;
                let ended = write(writer, &topic, (start, offset), &to, &mut sent);
                until.store(sent, Ordering::Relaxed);
                ended
            });
            pairs.push((writes, reads));
            ends.push(end);
        }
        Ok(Good { start, record, pairs, ends })
    }

    /// Ends the load, and waits for what was acknowledged to arrive.
    pub(super) fn stop(self) -> Result<Outcome> {
        self.record.stop.store(true, Ordering::Relaxed);
        let (mut lost, mut broken) = (0, Vec::new());
        for (pair, (writes, reads)) in self.pairs.into_iter().enumerate() {
            let wrote = writes.join().ok().context("a publisher panicked")?;
            let read = reads.join().ok().context("a subscriber panicked")?;
            let sent = self.ends[pair].load(Ordering::Relaxed);
            let mut arrived = 0;
            match read {
                Ok(count) => arrived = count,
                Err(error) => broken.push(format!("subscriber {pair}: {error:#}")),
            }
            if let Err(error) = wrote {
                broken.push(format!("publisher {pair}: {error:#}"));
            }
            lost += sent.saturating_sub(arrived);
        }
        let arrivals = self.record.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let acknowledged = self.record.acknowledged.load(Ordering::Relaxed);
        Ok(Outcome { acknowledged, lost, broken, arrivals, start: self.start })
    }
}

impl Outcome {
    /// The middle of the 99th percentiles of slices of a second that were due between these
    /// instants; `None` where nothing arrived.
    pub(super) fn p99(&self, spans: &[(Instant, Instant)]) -> Option<Duration> {
        let mut slices = Vec::new();
        for (from, to) in spans {
            let micros = |at: &Instant| at.duration_since(self.start).as_micros() as u64;
            let (from, to) = (micros(from), micros(to));
            let mut begin = from;
            while begin + 1_000_000 <= to {
                let within = |due: u64| (begin..begin + 1_000_000).contains(&due);
                let late = self.arrivals.iter().filter(|(due, _)| within(*due));
                let mut late: Vec<u64> = late.map(|(_, late)| *late).collect();
                late.sort_unstable();
                slices.extend(late.get(late.len() * 99 / 100).copied());
                begin += 1_000_000;
            }
        }
        slices.sort_unstable();
        slices.get(slices.len() / 2).map(|micros| Duration::from_micros(*micros))
    }
}

fn write(
    mut wire: Wire,
    topic: &str,
    (start, offset): (Instant, Duration),
    record: &Record,
    sent: &mut u64,
) -> Result<()> {
    let mut due = start.elapsed() + offset;
    while !record.stop.load(Ordering::Relaxed) {
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        let mut payload = [0; PAYLOAD];
        payload[..8].copy_from_slice(&sent.to_be_bytes());
        payload[8..16].copy_from_slice(&(due.as_micros() as u64).to_be_bytes());
        let id = (*sent % 60_000) as u16 + 1;
        wire.send(&publish(topic, payload).qos(1, id))?;
        let answer = wire.expect(kind::PUBACK)?;
        ensure!(answer.id == id && answer.code == 0, "refused: {answer:?}");
        *sent += 1;
        record.acknowledged.fetch_add(1, Ordering::Relaxed);
        due += PERIOD;
    }
    wire.send(&disconnect(0))
}

/// Reads until as many have come as were acknowledged.
fn read(mut wire: Wire, start: Instant, record: &Record, end: &AtomicU64) -> Result<u64> {
    let mut arrived = 0;
    let mut heard = Instant::now();
    loop {
        let owed = end.load(Ordering::Relaxed);
        if arrived >= owed || owed != u64::MAX && heard.elapsed() > PATIENCE {
            wire.send(&disconnect(0))?;
            return Ok(arrived);
        }
        let Some(packet) = wire.next()? else { continue };
        heard = Instant::now();
        ensure!(packet.kind() == kind::PUBLISH, "unexpected: {packet:?}");
        wire.send(&puback(packet.id))?;
        let number = |at: usize| -> Result<u64> {
            let bytes = packet.payload.get(at..at + 8).context("a payload of nobody here")?;
            Ok(u64::from_be_bytes(bytes.try_into()?))
        };
        let (sequence, due) = (number(0)?, number(8)?);
        if sequence > arrived {
            bail!("message {sequence} came where {arrived} was due");
        }
        arrived = arrived.max(sequence + 1);
        let late = (start.elapsed().as_micros() as u64).saturating_sub(due);
        record.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push((due, late));
    }
}
