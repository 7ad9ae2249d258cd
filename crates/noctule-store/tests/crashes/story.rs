//! One story: a disk that goes through several crashes, and the list of what was appended.

use noctule_core::identity::{MessageId, Place, SessionNumber, Tenant, Time};
use noctule_core::index::Receiver;
use noctule_core::limits::Durability;
use noctule_core::message::{Message, Origin, Parts};
use noctule_core::record::{Body, Manner, Receipt, Record, Stored};
use noctule_core::{Broker, Homes, Limits, ShardId};
use noctule_proto::{PacketId, QoS};
use noctule_store::disk::Disk;
use noctule_store::format::Position;
use noctule_store::log::{Compacted, Log, Options, Prepared, Waker, Wrote};
use noctule_store::testing::{Chance, SimDisk};
use noctule_store::{Fetch, LogStore, Store, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Sessions that there are.
const SESSIONS: u64 = 6;
/// Of all deliveries.
const MANNER: Option<Manner> =
    Some(Manner { qos: QoS::AtLeastOnce, retain: false, subscription_id: 0 });
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
    folds: u64,
    removed: u64,
    spares: u64,
    compacted: u64,
    half_compacted: u64,
    cold: u64,
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
        self.folds += other.folds;
        self.removed += other.removed;
        self.spares += other.spares;
        self.compacted += other.compacted;
        self.half_compacted += other.half_compacted;
        self.cold += other.cold;
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
            assert!(self.folds > crashes / 10, "{self:?}");
            assert!(self.spares > crashes / 100, "{self:?}");
            assert!(self.compacted > crashes / 50, "{self:?}");
            assert!(self.half_compacted > crashes / 50, "{self:?}");
            assert!(self.cold > crashes / 50, "{self:?}");
            assert!(self.removed > crashes / 20, "{self:?}");
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
    /// How often each session has ended.
    ended: [u64; SESSIONS as usize],
    /// The log is folded, so that what nobody needs goes; else checkpoints tell all that was ever
    /// appended, and everything must be there for good.
    folds: bool,
    /// Messages that were owed at the last fold, and at the one before: until the next one, they
    /// may be spoken of and are read.
    flying: [Vec<Arc<Message>>; 2],
    /// What the last fold covers.
    folded: Position,
    /// Messages of before were spoken of up to here: before, no fold follows, because none of them
    /// is underway for as long as from one fold to the next.
    spoken: Position,
    /// The batch that is about to be appended speaks of one.
    speaks: bool,
    /// What the whole list comes to, and what is covered by a fold.
    applied: Applied,
    covered: Applied,
    /// Settled by the batch that is about to be appended.
    settled: Vec<Option<Place>>,
}

/// Runs a story; answers how many crashes it had.
pub(crate) fn run(seed: u64, seen: &mut Seen) -> u64 {
    let mut chance = Chance::new(seed);
    let segment_bytes_max = 1024 << chance.below(4);
    let options = Options { segment_bytes_min: 1024, segment_bytes_max, identity: Some([9; 16]) };
    let disk = SimDisk::new();
    let folds = chance.one_in(2);
    let mut story = Story {
        disk,
        chance,
        options,
        list: Vec::new(),
        ids: 0,
        time: 1,
        ended: Default::default(),
        folds,
        flying: Default::default(),
        folded: Position::default(),
        spoken: Position::default(),
        speaks: false,
        applied: Applied::default(),
        covered: Applied::default(),
        settled: Vec::new(),
    };
    for _ in 0..CRASHES {
        story.chapter(seen);
    }
    CRASHES
}

impl Story {
    fn chapter(&mut self, seen: &mut Seen) {
        let log = self.open(seen);
        self.compare(&log, seen);
        let mut shards: Vec<_> = (0..1 + self.chance.below(4) as usize)
            .map(|shard| LogStore::stepped(Arc::clone(&log), shard))
            .collect();
        let before = self.list.len();
        let long = self.folds && self.chance.one_in(2);
        let halt = 1 + self.chance.below(if long { 320 } else { 80 });
        self.disk.halt_at(self.disk.operations() + halt);
        let steps = 1 + self.chance.below(if long { 400 } else { 160 });
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
        let count = self.replayed(&log);
        let kept = self.list.iter().take_while(|entry| entry.end <= durable).count();
        assert!(count >= kept, "{count} records of {kept} durable ones");
        // A frame is there whole or not at all.
        if let (Some(last), Some(next)) = (self.list[..count].last(), self.list.get(count)) {
            assert!(last.end < next.end, "half a frame");
        }
        seen.kept_undurable += u64::from(count > kept);
        seen.lost += u64::from(count < self.list.len());
        seen.records += count as u64;
        if count < self.list.len() {
            (self.applied, self.covered) = Default::default();
        }
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
    fn compare(&mut self, log: &Arc<Log>, seen: &mut Seen) {
        assert_eq!(self.replayed(log), self.list.len());
        let held = if self.folds {
            self.owed(self.list.len())
        } else {
            self.list.iter().filter_map(|entry| entry.message.clone()).collect()
        };
        let names = Disk::list(&self.disk).expect("the disk works");
        seen.cold += u64::from(names.iter().any(|name| name.starts_with("cold-")));
        self.flying = [held.clone(), Vec::new()];
        // What was owed to nobody may be gone: the machine may have stopped in a fold.
        (self.folded, self.spoken) = (log.end(), Position::default());
        self.read(log, &held);
    }

    /// Messages are read back as they were.
    fn read(&mut self, log: &Arc<Log>, held: &[Arc<Message>]) {
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
        for ((place, found), message) in fetched.messages.iter().zip(held) {
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
        match self.chance.below(if self.folds { 19 } else { 16 }) {
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
            _ if self.folds && self.chance.one_in(2) => self.compact(log, seen)?,
            _ if self.folds => self.fold(log, seen)?,
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

    /// A fold, after which everything is there that may still be asked for.
    fn fold(&mut self, log: &Arc<Log>, seen: &mut Seen) -> Result<(), StoreError> {
        let covers = log.durable();
        if covers < self.spoken || covers <= self.folded {
            return Ok(());
        }
        let folded = log.fold()?;
        seen.folds += 1;
        seen.removed += folded.removed;
        let names = Disk::list(&self.disk)?;
        seen.spares += u64::from(names.iter().any(|name| name.starts_with("spare-")));
        let owed = self.owed(self.list.partition_point(|entry| entry.end <= covers));
        assert_eq!(folded.messages, owed.len() as u64);
        let [last, _] = std::mem::take(&mut self.flying);
        self.read(log, &last);
        self.read(log, &owed);
        (self.flying, self.folded) = ([owed, last], covers);
        Ok(())
    }

    /// What the last fold planned, or a part of it: messages are read back all the same.
    fn compact(&mut self, log: &Arc<Log>, seen: &mut Seen) -> Result<(), StoreError> {
        match log.compact(1 + self.chance.below(800))? {
            Compacted::Nothing => return Ok(()),
            Compacted::More => seen.half_compacted += 1,
            Compacted::Done => seen.compacted += 1,
        }
        for flying in self.flying.clone() {
            self.read(log, &flying);
        }
        Ok(())
    }

    fn append(&mut self, store: &mut LogStore, shard: usize) -> Result<(), StoreError> {
        let count = 1 + self.chance.below(4);
        self.settled.clear();
        let records: Vec<Record> = (0..count).map(|_| self.record()).collect();
        store.append_at(Time(self.time), &mut records.clone())?;
        let end = store.log().end();
        if std::mem::take(&mut self.speaks) {
            self.spoken = end;
        }
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
        let number = self.chance.below(SESSIONS);
        let session = self.session(number);
        let id = PacketId::new(1 + self.chance.below(9) as u16).expect("it is not 0");
        match self.chance.below(8) {
            0 if self.chance.one_in(8) => {
                self.ended[number as usize] += 1;
                Record::SessionEnded(session)
            }
            0 => Record::SessionEnded(SessionNumber(1 << 40 | self.chance.below(1 << 20))),
            1 => Record::Session {
                session,
                tenant: Tenant(0),
                client_id: format!("client {number}").into(),
                expiry_secs: 7,
                durability: Durability::Os,
                away_since: Some(Time(self.time)),
            },
            2 => Record::Received { session, id, message: Body::Here(self.message()) },
            3 | 4 => match self.earlier() {
                Some(message) if self.chance.one_in(3) => {
                    self.speaks = true;
                    self.published(message, false)
                }
                Some(_) if self.folds => {
                    self.settled().unwrap_or(Record::Completed { session, id })
                }
                Some(message) => {
                    let receiver = Receiver::Session(session);
                    Record::Settled { receiver, message, manner: MANNER }
                }
                None => Record::Released { session, id },
            },
            _ => {
                let message = Body::Here(self.message());
                let retained = self.chance.one_in(4);
                self.published(message, retained)
            }
        }
    }

    /// The number of a session, which is another one after each end of it. Numbers of sessions
    /// whose queues are recorded are odd.
    fn session(&self, number: u64) -> SessionNumber {
        SessionNumber(1 + 2 * (number + SESSIONS * self.ended[number as usize]))
    }

    /// A message that waits is settled, which happens once.
    fn settled(&mut self) -> Option<Record> {
        let mut all = Vec::new();
        self.applied.after(&self.list).snapshot(&mut |record| {
            if let Record::Waiting { receiver, messages } = record {
                all.extend(messages.into_iter().map(|waiting| (receiver, waiting.message)));
            }
        });
        all.retain(|(_, message)| !self.settled.contains(&message.place()));
        // Mostly the oldest, so that segments become of no use.
        let most = if self.chance.one_in(8) { all.len() } else { all.len().min(4) };
        let (receiver, message) = all.get(self.chance.below(most.max(1) as u64) as usize)?.clone();
        self.settled.push(message.place());
        Some(Record::Settled { receiver, message, manner: MANNER })
    }

    fn published(&mut self, message: Body, retained: bool) -> Record {
        let count = self.chance.below(4);
        let receivers = (0..count).map(|number| Receipt {
            receiver: Receiver::Session(self.session(number)),
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_id: 0,
        });
        let mut receivers: Vec<Receipt> = receivers.collect();
        receivers.sort_by_key(|receipt| receipt.receiver);
        let receivers = receivers.into();
        Record::Published { message, receivers, retained }
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

    /// A message that was kept before, and still is.
    fn earlier(&mut self) -> Option<Body> {
        let list = if self.folds && self.chance.one_in(2) {
            self.flying.concat()
        } else {
            let kept = |message: &Arc<Message>| {
                !self.folds || message.place().is_some_and(|at| at.0.get() > self.folded.0)
            };
            self.list.iter().filter_map(|entry| entry.message.clone()).filter(kept).collect()
        };
        let message = list.get(self.chance.below(list.len().max(1) as u64) as usize)?.clone();
        let (place, cost) = (message.place()?, message.cost() as u32);
        let here = self.chance.one_in(2);
        Some(if here { Body::Here(message) } else { Body::Stored(Stored { place, cost }) })
    }
}

impl Story {
    /// How many records of the list there are, as far as a replay tells: exactly those, or what a
    /// fold says they come to and exactly those behind it.
    fn replayed(&mut self, log: &Log) -> usize {
        let mut records = Vec::new();
        log.replay(&mut |record| records.push(record.clone()))
            .expect("what was opened can be replayed");
        let is = |records: &[Record], list: &[Entry]| {
            records.iter().eq(list.iter().map(|entry| &entry.record))
        };
        if self.list.get(..records.len()).is_some_and(|list| is(&records, list)) {
            return records.len();
        }
        assert!(self.folds, "nothing comes that was not appended");
        let names = Disk::list(&self.disk).expect("the disk works");
        let covers = |name: String| u64::from_str_radix(name.strip_prefix("ckpt-")?, 16).ok();
        let covers = names.into_iter().filter_map(covers).max().expect("there was a fold");
        let folded = self.list.partition_point(|entry| entry.end.0 <= covers);
        let expected = told(self.covered.after(&self.list[..folded]));
        let mut counts = folded..=self.list.len().min(folded + records.len());
        let count = counts.rfind(|count| {
            let (head, tail) = records.split_at(records.len() - (count - folded));
            is(tail, &self.list[folded..*count]) && told(&state(head)) == expected
        });
        count.expect("a fold says what it covers comes to, and nothing else comes")
    }

    /// Messages that are owed to somebody after so many records.
    fn owed(&mut self, count: usize) -> Vec<Arc<Message>> {
        let mut places = BTreeSet::new();
        let broker = self.covered.after(&self.list[..count]);
        broker.places(&mut |stored| {
            places.insert(stored.place.0);
        });
        let messages = self.list.iter().filter_map(|entry| entry.message.as_ref());
        let is_owed =
            |message: &&Arc<Message>| message.place().is_some_and(|place| places.remove(&place.0));
        let owed = messages.filter(is_owed).cloned().collect();
        assert!(places.is_empty(), "what is owed was appended");
        owed
    }
}

/// A broker that has applied entries of the list, and goes on from there.
#[derive(Default)]
struct Applied {
    count: usize,
    broker: Option<Broker>,
}

impl Applied {
    /// After these entries, which are mostly more than before.
    fn after(&mut self, list: &[Entry]) -> &Broker {
        if self.count > list.len() {
            *self = Applied::default();
        }
        let broker = self.broker.get_or_insert_with(|| state(&[]));
        list[self.count..].iter().for_each(|entry| broker.apply(&entry.record));
        self.count = list.len();
        broker
    }
}

/// A broker that has applied records.
fn state<'r>(records: impl IntoIterator<Item = &'r Record>) -> Broker {
    let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
    records.into_iter().for_each(|record| broker.apply(record));
    broker
}

/// What a broker tells, in an order of its own.
fn told(broker: &Broker) -> Vec<String> {
    let mut told = Vec::new();
    broker.snapshot(&mut |mut record| {
        match &mut record {
            // Numbers may be skipped.
            Record::Given { .. } => return,
            // Whether a message that waits is in memory makes no difference.
            Record::Waiting { messages, .. } => {
                let stored = |body: &Body| body.stored().expect("it was kept");
                messages.iter_mut().for_each(|it| it.message = Body::Stored(stored(&it.message)));
            }
            _ => {}
        }
        told.push(format!("{record:?}"));
    });
    told.sort();
    told
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
