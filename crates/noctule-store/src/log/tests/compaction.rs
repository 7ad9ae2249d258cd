//! What is needed is moved out of what is not: the disk holds little else, and nothing is lost.

use super::*;
use crate::format::message_bytes;
use crate::testing::{Chance, SimDisk};
use noctule_core::identity::Place;
use std::collections::VecDeque;

const SEGMENT: u32 = 64 * 1024;
/// Messages of a batch.
const BATCH: u64 = 32;
/// One of so many messages is for the session that is away.
const SPRINKLED: u64 = 100;
const BUSY: u64 = 100;
const AWAY: u64 = BUSY;

fn log_on(disk: &SimDisk) -> Arc<Log> {
    let (segment_bytes_min, segment_bytes_max) = (SEGMENT, SEGMENT);
    let options = Options { segment_bytes_min, segment_bytes_max, identity: Some([5; 16]) };
    Log::open(Arc::new(disk.clone()), options, vec![Box::new(|| ())]).map(Arc::new).unwrap()
}

/// Numbers of sessions whose queues are recorded are odd.
fn receiver(session: u64) -> Receiver {
    Receiver::Session(SessionNumber(session * 2 + 1))
}

fn session(session: u64) -> Record {
    Record::Session {
        session: SessionNumber(session * 2 + 1),
        tenant: Tenant(0),
        client_id: format!("client {session}").into(),
        expiry_secs: 100_000,
        durability: Durability::Fsync,
        away_since: Some(Time(5)),
    }
}

/// Busy sessions, which take each message soon, and one that is away.
struct Town {
    disk: SimDisk,
    log: Arc<Log>,
    store: LogStore,
    batch: u64,
    /// Messages that wait for busy sessions.
    busy: VecDeque<(u64, Arc<Message>)>,
    away: VecDeque<Arc<Message>>,
    /// The session has come back and takes so many with each batch.
    takes: usize,
    /// Bytes of payload and topic.
    bytes: u64,
}

impl Town {
    fn new() -> Town {
        let disk = SimDisk::new();
        let log = log_on(&disk);
        let mut store = LogStore::stepped(Arc::clone(&log), 0);
        store.append_at(Time(1), &mut (0..=BUSY).map(session).collect()).unwrap();
        let (busy, away) = (VecDeque::new(), VecDeque::new());
        Town { disk, log, store, batch: 0, busy, away, takes: 0, bytes: 0 }
    }

    /// A batch is published and the one before is taken; what is due is done, a little at a time.
    fn step(&mut self) {
        let settled = |(session, message)| Record::Settled {
            receiver: receiver(session),
            message: Body::Here(message),
        };
        let mut records: Vec<Record> = self.busy.drain(..).map(settled).collect();
        let taken = self.away.drain(..self.takes.min(self.away.len()));
        records.extend(taken.map(|message| settled((AWAY, message))));
        for id in self.batch * BATCH..(self.batch + 1) * BATCH {
            let message = message(id, &[id as u8; 193]);
            self.bytes += 193 + "a/topic".len() as u64;
            let away = self.takes == 0 && id % SPRINKLED == 7;
            let session = if away { AWAY } else { id % BUSY };
            let receipt = Receipt {
                receiver: receiver(session),
                qos: QoS::AtLeastOnce,
                retain: false,
                subscription_id: 0,
            };
            let (body, receivers) = (Body::Here(Arc::clone(&message)), vec![receipt].into());
            records.push(Record::Published { message: body, receivers, retained: false });
            if away {
                self.away.push_back(message);
            } else {
                self.busy.push_back((session, message));
            }
        }
        self.batch += 1;
        self.store.append_at(Time(self.batch), &mut records).unwrap();
        write_all(&self.log);
        self.log.sync().unwrap();
        self.log.prepare().unwrap();
        if self.log.fold_is_due().unwrap() {
            self.log.fold().unwrap();
        }
        self.log.compact(4096).unwrap();
    }

    fn bytes_max(&self) -> u64 {
        let owed = self.away.iter().chain(self.busy.iter().map(|(_, message)| message));
        let live: u64 = owed.map(|message| message_bytes(message.cost() as u32)).sum();
        4 * u64::from(SEGMENT) + 2 * live
    }

    fn run(&mut self, batches: u64) {
        for _ in 0..batches {
            self.step();
            let (disk, most) = (self.log.disk_bytes().unwrap(), self.bytes_max());
            assert!(disk <= most, "batch {}: {disk} of {most}", self.batch);
        }
    }

    /// What the session that is away would get of what it is owed, in order.
    fn fetched(&mut self) -> Vec<Option<Arc<Message>>> {
        let places: Vec<Place> = self.away.iter().map(|message| message.place().unwrap()).collect();
        let session = SessionNumber(AWAY * 2 + 1);
        self.store.fetch(Fetch { session, places: places.clone() }).unwrap();
        self.log.answer();
        let (asked, got): (Vec<_>, _) = self.store.fetched().unwrap().messages.into_iter().unzip();
        assert_eq!(asked, places);
        got
    }

    /// It would get exactly that.
    fn fetch(&mut self) {
        let owed: Vec<_> = self.away.iter().cloned().map(Some).collect();
        assert_eq!(self.fetched(), owed);
    }

    fn crash(&mut self, chance: &mut Chance) {
        self.disk.cut_power(chance);
        self.log = log_on(&self.disk);
        self.store = LogStore::stepped(Arc::clone(&self.log), 0);
        assert_eq!(self.log.torn(), None);
        // The place of a message that is read is told by who asks.
        let mut waiting = Vec::new();
        let mut broker = noctule_core::Broker::new(
            noctule_core::ShardId(0),
            noctule_core::Homes::new(1, 0),
            noctule_core::Limits::default(),
        );
        self.store.replay(&mut |record| broker.apply(record)).unwrap();
        broker.snapshot(&mut |record| {
            if let Record::Waiting { receiver: whose, messages } = record
                && whose == receiver(AWAY)
            {
                waiting.extend(messages.iter().map(|waiting| waiting.message.place().unwrap()));
            }
        });
        let places: Vec<Place> = self.away.iter().map(|message| message.place().unwrap()).collect();
        assert_eq!(waiting, places, "a session is owed what it was owed, in order");
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        let names = Disk::list(&self.disk).unwrap();
        names.into_iter().filter(|name| name.starts_with(prefix)).collect()
    }
}

#[test]
fn a_session_that_is_long_away_costs_the_disk_twice_what_it_is_owed_and_loses_nothing() {
    let mut town = Town::new();
    let mut chance = Chance::new(3);
    for round in 0..10 {
        town.run(312);
        town.fetch();
        town.disk.set_cold(round % 2 == 0);
        town.fetch();
        town.crash(&mut chance);
        town.fetch();
    }
    let published = 10 * 312 * BATCH;
    assert_eq!(town.away.len() as u64, published.div_ceil(SPRINKLED));
    assert!(!town.names("cold-").is_empty());
    let percent = town.disk.written() * 100 / town.bytes;
    assert!(percent <= 170, "{percent} % of payloads and topics were written");
    assert_eq!(check(&town.disk.copy()).unwrap().unwrap().damaged, []);
    // It comes back, takes all, and nothing of it stays on the disk, but for two folds behind.
    town.takes = 4;
    while !town.away.is_empty() {
        (0..20).for_each(|_| town.step());
        town.fetch();
    }
    (0..30).for_each(|_| town.step());
    town.run(100);
    assert!(town.names("cold-").is_empty());
    assert!(town.log.disk_bytes().unwrap() <= 4 * u64::from(SEGMENT));
}

#[test]
fn a_damaged_message_is_not_moved_and_stays_where_it_is_damaged() {
    let mut town = Town::new();
    town.run(4);
    let place = Position::of_place(town.away[0].place().unwrap());
    let name = log_name(place.segment());
    town.disk.damage(&name, |bytes| bytes[place.offset() as usize + 60] ^= 1);
    (0..100).for_each(|_| town.step());
    for _ in 0..3 {
        let fetched = town.fetched();
        assert_eq!(fetched[0], None);
        let others = town.away.iter().skip(1).cloned().map(Some);
        assert!(fetched.into_iter().skip(1).eq(others));
        assert!(town.names("log-").contains(&name), "nothing else says that it was there");
        town.crash(&mut Chance::new(1));
        (0..50).for_each(|_| town.step());
    }
    let end = town.log.end().segment();
    assert!(town.names("log-").len() < 6 && end > 20, "of {end} segments only one is damaged");
}

#[test]
fn damage_of_a_cold_file_stops_the_start_or_is_found_by_a_check() {
    let mut town = Town::new();
    town.run(120);
    let name = town.names("cold-").remove(0);
    let disk = town.disk.copy();
    let len = disk.content(&name).unwrap().len();
    for at in [3, len - 20, len - 40] {
        let bad = disk.copy();
        bad.damage(&name, |bytes| bytes[at] ^= 1);
        let opened = Log::open(Arc::new(bad), town.log.options, Vec::new());
        assert!(
            matches!(&opened, Err(StoreError::Damaged { file, .. }) if *file == name),
            "{at}: {opened:?}"
        );
    }
    assert_eq!(check(&disk).unwrap().unwrap().damaged, []);
    disk.damage(&name, |bytes| bytes[100] ^= 1);
    let found = check(&disk).unwrap().unwrap();
    assert!(found.cold_files > 0);
    assert_eq!(found.damaged, [Damage { file: name, offset: 64 }]);
    // What stands for a disk that was lost: nothing is ever begun anew in its place.
    for name in Disk::list(&disk).unwrap() {
        if !name.starts_with("cold-") {
            Disk::remove(&disk, &name).unwrap();
        }
    }
    assert!(matches!(check(&disk), Err(StoreError::Damaged { .. })));
}
