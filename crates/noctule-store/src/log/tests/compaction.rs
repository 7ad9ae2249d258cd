//! What is needed is moved out of what is not: the disk holds little else, and nothing is lost.

use super::*;
use crate::format::message_bytes;
use crate::log::prepare::UNFINISHED;
use crate::testing::{Chance, Fault, SimDisk};
use noctule_core::identity::Place;
use noctule_core::{Broker, Homes, Limits, ShardId};
use std::collections::VecDeque;
use std::io::ErrorKind;

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
            manner: MANNER,
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
        let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
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

#[test]
fn a_message_that_is_damaged_where_it_was_moved_to_is_read_from_where_it_was() {
    let mut town = Town::new();
    let twice = |town: &Town| {
        let mut places = town.away.iter().filter_map(|message| message.place());
        places.find(|place| town.log.homes(*place).len() > 1)
    };
    while twice(&town).is_none() {
        town.step();
    }
    let place = twice(&town).unwrap();
    let homes = town.log.homes(place);
    let before = town.log.read(place).unwrap();
    for (nth, lies) in homes.iter().enumerate() {
        assert_eq!(town.log.read(place).unwrap(), before, "{nth} homes are damaged");
        town.fetch();
        let at = lies.offset as usize + 40;
        town.disk.damage(&lies.home.name(), |bytes| bytes[at] ^= 1);
    }
    assert!(town.log.read(place).is_err());
    assert_eq!(town.fetched().iter().filter(|message| message.is_none()).count(), 1);
}

#[test]
fn whatever_fails_while_messages_are_moved_nothing_is_lost() {
    let (mut failed, mut moved) = (0, 0);
    for (operation, kind) in (1..60).flat_map(|operation| {
        [ErrorKind::StorageFull, ErrorKind::Other].map(|kind| (operation, kind))
    }) {
        let mut town = Town::new();
        (0..44).for_each(|_| town.step());
        town.disk.fault(town.disk.operations() + operation, Fault::Fails(kind));
        // That it fails is what this is about.
        town.log.fold().ok();
        while let Ok(Compacted::More) = town.log.compact(500) {}
        town.disk.revive();
        failed += usize::from(town.log.has_failed());
        moved += usize::from(!town.names("cold-").is_empty());
        if !town.log.has_failed() {
            town.fetch();
            (0..30).for_each(|_| town.step());
            town.fetch();
        }
        town.crash(&mut Chance::new(operation));
        town.fetch();
        (0..30).for_each(|_| town.step());
        town.fetch();
    }
    assert!(failed > 0 && moved > 50, "{failed} {moved}");
}

#[test]
fn a_copy_has_what_was_moved() {
    let mut town = Town::new();
    town.run(120);
    let (copy, cold) = (SimDisk::new(), town.names("cold-"));
    super::super::copy(&town.disk, &copy).unwrap().unwrap();
    town.run(50);
    let log = log_on(&copy.copy());
    for message in town.away.iter().take(30) {
        assert_eq!(log.read(message.place().unwrap()).unwrap(), *message);
    }
    assert!(!cold.is_empty() && cold.iter().all(|name| copy.copy().content(name).is_some()));
}

#[test]
fn a_copy_is_whole_at_whatever_moment_of_a_compaction_it_is_made() {
    let mut town = Town::new();
    let mut half = 0;
    for _ in 0..400 {
        town.step();
        half += u32::from(town.names("cold-").iter().any(|name| name.ends_with(UNFINISHED)));
        let copy = SimDisk::new();
        super::super::copy(&town.disk, &copy).unwrap().unwrap();
        assert_eq!(check(&copy).unwrap().unwrap().damaged, []);
        let log = log_on(&copy);
        let owed = replayed_owed(&log);
        assert!(owed.iter().map(Option::as_ref).eq(town.away.iter().map(Some)));
    }
    assert!(half > 1 && !town.names("cold-").is_empty(), "{half}");
}

/// Salvages the store of a town; what it found, and the messages of the session that is away.
fn salvaged(town: &Town, disk: &SimDisk) -> (Salvaged, Vec<Option<Arc<Message>>>) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = town.log.options;
    let found = salvage(&disk, options, Intent::Salvage, &mut |_| ()).unwrap().unwrap();
    let again = salvage(&disk, options, Intent::DryRun, &mut |_| ()).unwrap().unwrap();
    assert!(!again.is_needed(), "{again:?}");
    let messages = replayed_owed(&Log::open(disk, options, Vec::new()).unwrap());
    (found, messages)
}

#[test]
fn what_is_left_of_damaged_cold_files_is_salvaged() {
    let mut town = Town::new();
    town.run(120);
    write_all(&town.log);
    town.log.sync().unwrap();
    let names = town.names("cold-");
    let whole = town.disk.copy().content(&names[0]).unwrap();
    let owed: Vec<Arc<Message>> = town.away.iter().cloned().collect();
    // In its head; in a message; in the map.
    for (at, loses) in [(3, false), (100, true), (whole.len() - 40, true)] {
        let disk = town.disk.copy();
        disk.damage(&names[0], |bytes| bytes[at] ^= 1);
        let (found, left) = salvaged(&town, &disk);
        assert_eq!(found.aside.len(), 1, "{found:?}");
        assert!(disk.content(&format!("{}.damaged", names[0])).is_some());
        let lost: u64 = found.missing.values().sum();
        assert_eq!(lost > 0, loses, "{at}: {found:?}");
        assert_eq!(left.len() as u64 + lost, owed.len() as u64, "{at}: {found:?}");
        let mut owed = owed.iter();
        for message in left {
            let message = message.expect("what is owed can be read");
            assert!(owed.any(|it| it.payload() == message.payload()), "{at}: not in order");
        }
    }
}

/// What the session that is away is owed, as it is read.
fn replayed_owed(log: &Log) -> Vec<Option<Arc<Message>>> {
    let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
    log.replay(&mut |record| broker.apply(record)).unwrap();
    let mut messages = Vec::new();
    broker.snapshot(&mut |record| {
        if let Record::Waiting { receiver: whose, messages: waiting } = record
            && whose == receiver(AWAY)
        {
            let places = waiting.iter().map(|waiting| waiting.message.place().unwrap());
            messages.extend(places.map(|place| log.read(place).ok()));
        }
    });
    messages
}

#[test]
fn what_cold_files_name_is_never_the_place_of_a_new_message() {
    let mut town = Town::new();
    town.run(120);
    let disk = town.disk.copy();
    for name in Disk::list(&disk).unwrap() {
        if !name.starts_with("cold-") {
            Disk::remove(&disk, &name).unwrap();
        }
    }
    Disk::sync_dir(&disk).unwrap();
    let named: u32 = town
        .log
        .cold
        .read()
        .unwrap()
        .iter()
        .flat_map(|(_, cold)| cold.moved.iter().map(|moved| moved.segment))
        .max()
        .unwrap();
    let (found, left) = salvaged(&town, &disk);
    assert!(left.is_empty() && found.is_needed());
    let log = log_on(&disk);
    assert!(log.end().segment() > named, "{:?} {named}", log.end().segment());
}

#[test]
fn what_lies_in_an_older_home_is_not_lost() {
    let mut town = Town::new();
    while town.names("cold-").is_empty() {
        town.step();
    }
    let name = town.names("cold-").remove(0);
    let owed: Vec<_> = town.away.iter().cloned().collect();
    for at in [3, 100] {
        let disk = town.disk.copy();
        disk.damage(&name, |bytes| bytes[at] ^= 1);
        let (found, left) = salvaged(&town, &disk);
        assert!(found.missing.is_empty(), "{found:?}");
        let payloads = left.iter().map(|it| it.as_ref().unwrap().payload().to_vec());
        assert!(payloads.eq(owed.iter().map(|it| it.payload().to_vec())));
    }
}

#[test]
fn a_damaged_message_in_a_cold_file_is_copied_as_it_is() {
    let mut town = Town::new();
    town.run(120);
    let name = town.names("cold-").remove(0);
    town.disk.damage(&name, |bytes| bytes[100] ^= 1);
    let copy = SimDisk::new();
    super::super::copy(&town.disk, &copy).unwrap().unwrap();
    assert_eq!(check(&copy).unwrap().unwrap().damaged.len(), 1);
}

/// Damages files, cold ones more often than others.
fn ruin_some(disk: &SimDisk, chance: &mut Chance) {
    let mut names = Disk::list(disk).unwrap();
    names.retain(|name| name != crate::disk::LOCK);
    if chance.below(2) == 0 {
        names.retain(|name| name.starts_with("cold-"));
    }
    if !names.is_empty() {
        ruin((disk, &names), chance);
    }
}

#[test]
fn whatever_is_left_of_cold_files_and_the_rest_is_salvaged() {
    let mut town = Town::new();
    town.run(150);
    let options = town.log.options;
    let opened = |disk: &SimDisk| Log::open(Arc::new(disk.copy()), options, Vec::new());
    let id = |message: &Option<Arc<Message>>| message.as_ref().map(|it| it.id);
    let (mut lossless, mut lossy) = (0, 0);
    for seed in 0..150 {
        let mut chance = Chance::new(seed);
        let disk = town.disk.copy();
        for _ in 0..=chance.below(4) {
            ruin_some(&disk, &mut chance);
        }
        let before = opened(&disk).ok().map(|log| replayed_owed(&log));
        let halted = disk.copy();
        let (found, left) = salvaged(&town, &disk);
        assert_eq!(check(&disk).unwrap().unwrap().damaged, [], "seed {seed}");
        let mut owed = town.away.iter();
        for message in &left {
            let message = message.as_ref().expect("what is owed can be read");
            let is_owed = |it: &Arc<Message>| it.id == message.id;
            assert!(owed.any(|it| is_owed(it) && it.payload() == message.payload()), "seed {seed}");
        }
        // A broker would have started: it finds no less than it would have read.
        let readable = before.map_or(0, |before| before.iter().flatten().count());
        assert!(left.len() >= readable, "seed {seed}: {} of {readable}: {found:?}", left.len());
        halted.halt_at(halted.operations() + 1 + chance.below(16));
        let shared: Arc<dyn Disk> = Arc::new(halted.clone());
        // That it is cut off is what this is about.
        salvage(&shared, options, Intent::Salvage, &mut |_| ()).ok();
        halted.cut_power(&mut chance);
        let (_, again) = salvaged(&town, &halted);
        assert!(again.iter().map(id).eq(left.iter().map(id)), "seed {seed}");
        *if found.missing.is_empty() { &mut lossless } else { &mut lossy } += 1;
    }
    assert!(lossless > 10 && lossy > 10, "{lossless} {lossy}");
}
