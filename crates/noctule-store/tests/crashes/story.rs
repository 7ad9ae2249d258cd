//! One story: a disk that goes through several crashes, and the list of what was appended.

use noctule_core::identity::{MessageId, Place, SessionNumber, Tenant, Time};
use noctule_core::index::Receiver;
use noctule_core::limits::Durability;
use noctule_core::message::{Message, Origin, Parts};
use noctule_core::record::{Body, Manner, Receipt, Record, Stored};
use noctule_proto::{PacketId, QoS};
use noctule_store::format::Position;
use noctule_store::log::{Log, Options, Prepared, Waker, Wrote};
use noctule_store::testing::{Chance, SimDisk};
use noctule_store::{Fetch, LogStore, Store, StoreError};
use std::sync::Arc;

/// Crashes of one disk.
const CRASHES: u64 = 6;

/// What happened in all stories: a check that the interesting things do.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    cut: u64,
    torn: u64,
    lost: u64,
    kept_undurable: u64,
    segments: u64,
    checkpoints: u64,
    halted_openings: u64,
    records: u64,
}

impl Seen {
    pub(crate) fn plus(mut self, other: Seen) -> Seen {
        self.cut += other.cut;
        self.torn += other.torn;
        self.lost += other.lost;
        self.kept_undurable += other.kept_undurable;
        self.segments += other.segments;
        self.checkpoints += other.checkpoints;
        self.halted_openings += other.halted_openings;
        self.records += other.records;
        self
    }

    /// A run of many crash points that never met one of these tests nothing.
    pub(crate) fn check(&self, crashes: u64) {
        if crashes >= 1000 {
            assert!(self.torn > crashes / 200, "{self:?}");
            assert!(self.lost > crashes / 50, "{self:?}");
            assert!(self.kept_undurable > crashes / 50, "{self:?}");
            assert!(self.segments > crashes / 10, "{self:?}");
            assert!(self.checkpoints > crashes / 50, "{self:?}");
            assert!(self.halted_openings > crashes / 50, "{self:?}");
        }
    }
}

/// A record as it is to be replayed, and where its frame ends.
#[derive(Debug)]
struct Entry {
    record: Record,
    end: Position,
    shard: usize,
    message: Option<Arc<Message>>,
}

struct Story {
    disk: SimDisk,
    chance: Chance,
    options: Options,
    /// All that was appended and not lost, in order.
    list: Vec<Entry>,
    /// Ids of messages given.
    ids: u64,
    time: u64,
}

/// Runs a story; answers how many crashes it had.
pub(crate) fn run(seed: u64, seen: &mut Seen) -> u64 {
    let mut chance = Chance::new(seed);
    let segment_bytes_max = 1024 << chance.below(4);
    let options = Options { segment_bytes_min: 1024, segment_bytes_max, identity: Some([9; 16]) };
    let disk = SimDisk::new();
    let mut story = Story { disk, chance, options, list: Vec::new(), ids: 0, time: 1 };
    for _ in 0..CRASHES {
        story.chapter(seen);
    }
    CRASHES
}

impl Story {
    fn chapter(&mut self, seen: &mut Seen) {
        let log = self.open(seen);
        self.compare(&log);
        let mut shards: Vec<_> = (0..1 + self.chance.below(4) as usize)
            .map(|shard| LogStore::stepped(Arc::clone(&log), shard))
            .collect();
        let before = self.list.len();
        let halt = 1 + self.chance.below(80);
        self.disk.halt_at(self.disk.operations() + halt);
        let steps = 1 + self.chance.below(160);
        for _ in 0..steps {
            if self.step(&log, &mut shards, seen).is_err() {
                break;
            }
        }
        seen.segments += u64::from((log.end().0 >> 32) as u32 > 1);
        let durable = log.durable();
        self.check_progress(&log, &mut shards, before);
        drop((log, shards));
        if self.chance.one_in(4) {
            self.disk.revive();
        } else {
            self.disk.cut_power(&mut self.chance);
            seen.cut += 1;
        }
        self.settle(durable, seen);
    }

    /// Finds out what is left: all that was durable, and nothing out of order.
    fn settle(&mut self, durable: Position, seen: &mut Seen) {
        let log = self.open(seen);
        seen.torn += u64::from(log.torn().is_some());
        let mut count = 0;
        log.replay(&mut |record| {
            let entry = self.list.get(count).expect("nothing comes that was not appended");
            assert_eq!(*record, entry.record, "number {count}");
            count += 1;
        })
        .expect("what was opened can be replayed");
        let kept = self.list.iter().take_while(|entry| entry.end <= durable).count();
        assert!(count >= kept, "{count} records of {kept} durable ones");
        // A frame is there whole or not at all.
        if let (Some(last), Some(next)) = (self.list[..count].last(), self.list.get(count)) {
            assert!(last.end < next.end, "half a frame");
        }
        seen.kept_undurable += u64::from(count > kept);
        seen.lost += u64::from(count < self.list.len());
        seen.records += count as u64;
        self.list.truncate(count);
    }

    /// Opens the log; the machine may stop while it is opened.
    fn open(&mut self, seen: &mut Seen) -> Arc<Log> {
        loop {
            let halts = self.chance.one_in(3);
            if halts {
                let halt = 1 + self.chance.below(12);
                self.disk.halt_at(self.disk.operations() + halt);
            }
            let wakers = (0..4).map(|_| Box::new(|| ()) as Waker).collect();
            match Log::open(Arc::new(self.disk.clone()), self.options, wakers) {
                Ok(log) => {
                    self.disk.halt_never();
                    return Arc::new(log);
                }
                Err(StoreError::Io(_)) if halts => {
                    seen.halted_openings += 1;
                    if self.chance.one_in(2) {
                        self.disk.revive();
                    } else {
                        self.disk.cut_power(&mut self.chance);
                    }
                }
                Err(error) => panic!("a log that crashed must open: {error}"),
            }
        }
    }

    /// What is there is the list, and its messages can be read.
    fn compare(&mut self, log: &Arc<Log>) {
        let mut count = 0;
        log.replay(&mut |record| {
            assert_eq!(*record, self.list[count].record, "number {count}");
            count += 1;
        })
        .expect("what was opened can be replayed");
        assert_eq!(count, self.list.len());
        let held = self.list.iter().filter_map(|entry| entry.message.clone());
        let held: Vec<Arc<Message>> = held.collect();
        if held.is_empty() {
            return;
        }
        let places = held.iter().map(|message| message.place().expect("it is kept"));
        let places: Vec<Place> = places.collect();
        self.disk.set_cold(self.chance.one_in(2));
        let mut shard = LogStore::stepped(Arc::clone(log), 0);
        shard.fetch(Fetch { session: SessionNumber(1), places }).expect("the log works");
        log.answer();
        let fetched = shard.fetched().expect("a fetch is answered");
        for ((place, found), message) in fetched.messages.iter().zip(&held) {
            assert_eq!(message.place(), Some(*place));
            assert_eq!(found.as_ref(), Some(message));
        }
        assert_eq!(fetched.messages.len(), held.len());
    }

    /// What a shard was told is durable is what the positions say.
    fn check_progress(&self, log: &Log, shards: &mut [LogStore], before: usize) {
        for (number, shard) in shards.iter_mut().enumerate() {
            let Ok(progress) = shard.progress() else {
                assert!(log.has_failed());
                continue;
            };
            let own = self.list[before..].iter().filter(|entry| entry.shard == number);
            let durable = own.filter(|entry| entry.end <= log.durable()).count() as u64;
            assert_eq!(progress.durable, durable);
        }
    }

    fn step(
        &mut self,
        log: &Arc<Log>,
        shards: &mut [LogStore],
        seen: &mut Seen,
    ) -> Result<(), StoreError> {
        self.time += 1;
        match self.chance.below(16) {
            0..8 => {
                let shard = self.chance.below(shards.len() as u64) as usize;
                self.append(&mut shards[shard], shard)?;
            }
            8..10 => {
                let bytes = 1 + self.chance.below(4096) as usize;
                if log.write(bytes)? == Wrote::NoSegment {
                    log.prepare()?;
                }
            }
            10..13 => {
                while log.write(1 << 20)? == Wrote::Some {}
                log.sync()?;
            }
            13 => while log.prepare()? == Prepared::One {},
            14 if self.chance.one_in(4) => {
                log.beat(Time(self.time))?;
            }
            14 => log.sync()?,
            _ => {
                if self.chance.one_in(4) {
                    seen.checkpoints += 1;
                    self.checkpoint(log)?;
                }
            }
        }
        Ok(())
    }

    /// A checkpoint that says the same as the log up to where it is durable.
    fn checkpoint(&mut self, log: &Log) -> Result<(), StoreError> {
        let covers = log.durable();
        log.write_checkpoint(covers, Time(self.time), &mut |take| {
            let folded = self.list.iter().take_while(|entry| entry.end <= covers);
            folded.for_each(|entry| take(&entry.record));
        })
    }

    fn append(&mut self, store: &mut LogStore, shard: usize) -> Result<(), StoreError> {
        let count = 1 + self.chance.below(4);
        let records: Vec<Record> = (0..count).map(|_| self.record()).collect();
        store.append_at(Time(self.time), &mut records.clone())?;
        let end = store.log().end();
        for record in records {
            let message = match &record {
                Record::Published { message: Body::Here(message), .. }
                | Record::Received { message: Body::Here(message), .. } => {
                    Some(Arc::clone(message))
                }
                _ => None,
            };
            self.list.push(Entry { record: as_read(record), end, shard, message });
        }
        Ok(())
    }

    fn record(&mut self) -> Record {
        let session = SessionNumber(self.chance.below(1 << 20));
        let id = PacketId::new(1 + self.chance.below(9) as u16).expect("it is not 0");
        match self.chance.below(8) {
            0 => Record::SessionEnded(session),
            1 => Record::Session {
                session,
                tenant: Tenant(0),
                client_id: "a client".into(),
                expiry_secs: 7,
                durability: Durability::Os,
                away_since: Some(Time(self.time)),
            },
            2 => Record::Received { session, id, message: Body::Here(self.message()) },
            3 | 4 => match self.earlier() {
                Some(message) if self.chance.one_in(3) => self.published(message),
                Some(message) => {
                    let receiver = Receiver::Session(session);
                    let manner =
                        Some(Manner { qos: QoS::AtLeastOnce, retain: false, subscription_id: 0 });
                    Record::Settled { receiver, message, manner }
                }
                None => Record::Released { session, id },
            },
            _ => {
                let message = Body::Here(self.message());
                self.published(message)
            }
        }
    }

    fn published(&mut self, message: Body) -> Record {
        let here = matches!(message, Body::Here(_));
        let receivers = (0..self.chance.below(4)).map(|number| Receipt {
            receiver: Receiver::Session(SessionNumber(number)),
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_id: 0,
        });
        let receivers = receivers.collect();
        Record::Published { message, receivers, retained: here && self.chance.one_in(4) }
    }

    fn message(&mut self) -> Arc<Message> {
        self.ids += 1;
        let len = match self.chance.below(40) {
            0 => 9000,
            1..6 => self.chance.below(1500),
            _ => self.chance.below(60),
        };
        let origin = Origin {
            id: MessageId(self.ids),
            tenant: Tenant(0),
            publisher: Some(SessionNumber(self.ids)),
            routed_at: 0,
            durability: Durability::Fsync,
        };
        let parts = Parts {
            topic: "a/topic",
            properties: &[],
            payload: &vec![self.ids as u8; len as usize],
            qos: QoS::AtLeastOnce,
            retain: false,
            expiry_secs: None,
        };
        Arc::new(Message::new(Time(0), origin, &parts))
    }

    /// A message that was kept before.
    fn earlier(&mut self) -> Option<Body> {
        let at = self.chance.below(self.list.len().max(1) as u64) as usize;
        let message = self.list.get(at)?.message.clone()?;
        let (place, cost) = (message.place()?, message.cost() as u32);
        let here = self.chance.one_in(2);
        Some(if here { Body::Here(message) } else { Body::Stored(Stored { place, cost }) })
    }
}

/// A record as it comes back: of a message that only waits, only where it lies.
fn as_read(mut record: Record) -> Record {
    if let Record::Published { message, retained: false, .. } | Record::Settled { message, .. } =
        &mut record
    {
        let place = message.place().expect("it was kept");
        *message = Body::Stored(Stored { place, cost: message.cost() as u32 });
    }
    record
}
