//! Stores that are damaged, and what a salvage makes of them.

use super::*;
use crate::testing::{Chance, SimDisk};
use noctule_core::record::Waiting;
use noctule_core::{Broker, Homes, Limits, ShardId};
use noctule_proto::PacketId;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

const OPTIONS: Options =
    Options { segment_bytes_min: 1024, segment_bytes_max: 2048, identity: Some([5; 16]) };

/// Two sessions that are owed messages; numbers of sessions that are recorded are odd.
const NEAR: SessionNumber = SessionNumber(3);
const FAR: SessionNumber = SessionNumber(5);

fn log_on(disk: &SimDisk) -> Result<Arc<Log>, StoreError> {
    Log::open(Arc::new(disk.clone()), OPTIONS, vec![Box::new(|| ())]).map(Arc::new)
}

fn session(number: SessionNumber, name: &str) -> Record {
    Record::Session {
        session: number,
        tenant: Tenant(0),
        client_id: name.into(),
        expiry_secs: 3600,
        durability: Durability::Fsync,
        away_since: Some(Time(1)),
    }
}

fn to(number: SessionNumber, qos: QoS) -> Receipt {
    Receipt { receiver: Receiver::Session(number), qos, retain: false, subscription_id: 0 }
}

/// Appends frames, each durable before the next one.
struct Keeper {
    log: Arc<Log>,
    store: LogStore,
    time: u64,
}

impl Keeper {
    fn on(disk: &SimDisk) -> Keeper {
        let log = log_on(disk).unwrap();
        Keeper { store: LogStore::stepped(Arc::clone(&log), 0), log, time: 1000 }
    }

    fn keep(&mut self, records: impl IntoIterator<Item = Record>) {
        self.time += 1;
        let mut records = records.into_iter().collect();
        self.store.append_at(Time(self.time), &mut records).unwrap();
        write_all(&self.log);
        self.log.sync().unwrap();
    }

    /// A message for these, kept; answers it.
    fn publish(&mut self, id: u64, receivers: Vec<Receipt>, retained: bool) -> Arc<Message> {
        let message = message(id, &[id as u8; 100]);
        let body = Body::Here(Arc::clone(&message));
        self.keep([Record::Published { message: body, receivers: receivers.into(), retained }]);
        message
    }
}

/// Messages 0 to 29 for both, of which the far one has settled the even ones; a retained message;
/// one to a share group; QoS 2 in both directions; a checkpoint in the middle; nothing torn.
fn story() -> SimDisk {
    story_with(true)
}

fn story_with(checkpoint: bool) -> SimDisk {
    let disk = SimDisk::new();
    let mut keeper = Keeper::on(&disk);
    keeper.keep([session(NEAR, "near"), session(FAR, "far")]);
    let (name, filter) = ("workers".into(), "a/#".into());
    keeper.keep([Record::Group { group: GroupNumber(1), tenant: Tenant(0), name, filter }]);
    for id in 0..30 {
        let both = vec![to(NEAR, QoS::AtLeastOnce), to(FAR, QoS::AtLeastOnce)];
        let message = Body::Here(keeper.publish(id, both, false));
        if id % 2 == 0 {
            let receiver = Receiver::Session(FAR);
            keeper.keep([Record::Settled { receiver, message, manner: MANNER }]);
        }
        if id == 15 {
            keeper.publish(100, vec![], true);
            let receiver = Receiver::Group(GroupNumber(1));
            keeper.publish(101, vec![Receipt { receiver, ..to(NEAR, QoS::AtLeastOnce) }], false);
            let sent = keeper.publish(102, vec![to(NEAR, QoS::ExactlyOnce)], false);
            let (session, message) = (NEAR, Body::Here(sent));
            let id = PacketId::new(7).unwrap();
            let manner = Manner { qos: QoS::ExactlyOnce, retain: false, subscription_id: 0 };
            keeper.keep([Record::Sent { session, message, manner, id }]);
            let (session, message) = (FAR, Body::Here(super::message(103, &[103; 100])));
            keeper.keep([Record::Received { session, id, message }]);
            if checkpoint {
                assert!(keeper.log.fold().unwrap().messages > 0);
            }
        }
    }
    keeper.log.beat(Time(5000)).unwrap();
    write_all(&keeper.log);
    keeper.log.sync().unwrap();
    disk
}

/// Who is owed what: ids of messages, in order.
type Owings = BTreeMap<String, Vec<u64>>;

fn replayed_broker(log: &Log) -> Broker {
    let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
    log.replay(&mut |record| broker.apply(record)).unwrap();
    broker
}

/// What a broker that starts from the disk would owe; each message is read and compared.
fn owings(disk: &SimDisk) -> Owings {
    let log = log_on(&disk.copy()).unwrap();
    let mut owings = Owings::new();
    let mut names = BTreeMap::new();
    let id_of = |body: &Body| {
        let message = log.read(body.place().unwrap()).unwrap();
        assert_eq!(message.payload(), [message.id.0 as u8; 100]);
        message.id.0
    };
    replayed_broker(&log).snapshot(&mut |record| {
        let mut owe = |who: String, body: &Body| owings.entry(who).or_default().push(id_of(body));
        match &record {
            Record::Session { session, client_id, .. } => {
                names.insert(*session, client_id.to_string());
            }
            Record::Published { message, retained: true, .. } => owe("retained".into(), message),
            Record::Published { message, receivers, .. } => {
                let Receiver::Session(number) = receivers[0].receiver else { panic!() };
                owe(format!("{} sent", names[&number]), message);
            }
            Record::Received { session, message, .. } => {
                owe(format!("{} unreleased", names[session]), message);
            }
            Record::Waiting { receiver, messages } => {
                let who = match receiver {
                    Receiver::Session(number) => names[number].clone(),
                    Receiver::Group(_) => "group".into(),
                };
                for Waiting { message, .. } in messages {
                    owe(who.clone(), message);
                }
            }
            _ => {}
        }
    });
    owings
}

fn run(disk: &SimDisk, intent: Intent) -> Result<Salvaged, StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Ok(salvage(&disk, OPTIONS, intent, &mut |_| ())?.expect("there is a store"))
}

fn salvaged(disk: &SimDisk) -> Salvaged {
    let done = run(disk, Intent::Salvage).unwrap();
    let again = run(disk, Intent::Salvage).unwrap();
    assert!(!again.is_needed(), "{again:?}");
    let checked = check(disk).unwrap().unwrap();
    assert_eq!(checked.damaged, []);
    assert!(checked.torn.is_none() || !done.is_needed(), "{checked:?}");
    done
}

fn total(owings: &Owings) -> u64 {
    owings.values().map(|ids| ids.len() as u64).sum()
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name != crate::disk::LOCK).collect()
}

fn contents(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let content = |name: String| (name.clone(), disk.content(&name).unwrap());
    names(disk).into_iter().map(content).collect()
}

/// The file in which a message of this id lies, and where its payload is.
fn payload_of(disk: &SimDisk, id: u8) -> (String, usize) {
    let found = contents(disk).into_iter().find_map(|(name, bytes)| {
        let at = bytes.windows(100).position(|part| part == [id; 100])?;
        Some((name, at))
    });
    found.unwrap()
}

#[test]
fn a_store_that_is_whole_is_left_alone() {
    let disk = story();
    let before = owings(&disk);
    assert_eq!(total(&before), 30 + 15 + 4);
    let (operations, content) = (disk.operations(), contents(&disk));
    let found = run(&disk, Intent::Salvage).unwrap();
    assert_eq!(found, Salvaged { kept: 49, ..Salvaged::default() });
    // A sync of names, and nothing else.
    assert_eq!((disk.operations(), contents(&disk)), (operations + 1, content));
    let none: Arc<dyn Disk> = Arc::new(SimDisk::new());
    assert_eq!(salvage(&none, OPTIONS, Intent::Salvage, &mut |_| ()).unwrap(), None);
}

#[test]
fn a_running_broker_keeps_its_store() {
    let disk = story();
    let _log = log_on(&disk).unwrap();
    assert!(matches!(run(&disk, Intent::Salvage), Err(StoreError::InUse { .. })));
}

/// What follows a damage of one byte: what is lost is told, and nothing else is.
#[test]
fn whichever_byte_is_damaged_the_rest_is_there_and_the_loss_is_told() {
    let mut kinds = BTreeSet::new();
    for whole in [story_with(true), story_with(false)] {
        let before = owings(&whole);
        for (name, content) in contents(&whole) {
            // Every alignment, in a fifth of the time.
            for at in (0..content.len()).step_by(5) {
                let disk = whole.copy();
                disk.damage(&name, |bytes| bytes[at] ^= 0x10);
                let found = run(&disk, Intent::Salvage).unwrap();
                let kind = judged(&found, &before, &owings(&disk), (&name, at as u64));
                kinds.insert(kind);
            }
        }
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
}

/// What a damage of one byte led to, after a look at whether that is right.
fn judged(
    found: &Salvaged,
    before: &Owings,
    after: &Owings,
    (name, at): (&str, u64),
) -> &'static str {
    let place = format!("{name} byte {at}: {found:?}");
    if !found.is_needed() {
        assert_eq!(after, before, "{place}");
        return "no harm";
    }
    let told = found.losses.iter().any(|it| {
        it.file == name && it.offset <= at && (it.bytes == 0 || at < it.offset + it.bytes)
    });
    assert!(told, "{place}");
    assert_eq!(total(after), found.kept, "{place}");
    let frames: u64 = found.losses.iter().map(|it| it.frames).sum();
    let missing: u64 = found.missing.values().sum();
    let gone = |(who, ids): (&String, &Vec<u64>)| {
        let left = after.get(who).map_or(&[][..], |ids| ids);
        ids.iter().filter(|id| !left.contains(id)).count() as u64
    };
    let gone: u64 = before.iter().map(gone).sum();
    if frames == 0 {
        assert_eq!(gone, missing, "{place}");
        assert_eq!(total(after) + missing, total(before), "{place}");
        return "all is told";
    }
    assert!(name.starts_with("log") && found.losses.len() == 1, "{place}");
    if gone <= 2 {
        // It had one message for two, or an acknowledgement.
        return "a frame is lost";
    }
    // It had the sessions, or the group.
    assert!(found.losses[0].offset < 512, "{place}");
    let unknown = |owed: &Owed| matches!(owed, Owed::Unknown(_));
    assert_eq!(found.missing.keys().filter(|owed| unknown(owed)).count(), 2, "{place}");
    "sessions are lost"
}

#[test]
fn a_damaged_message_is_told_with_its_receivers_and_the_file_is_kept_aside() {
    let disk = story();
    let before = owings(&disk);
    // It lies before the checkpoint, and both are owed it.
    let (name, at) = payload_of(&disk, 3);
    disk.damage(&name, |bytes| bytes[at] ^= 1);
    let damaged = disk.content(&name);

    let operations = disk.operations();
    let dry = run(&disk, Intent::DryRun).unwrap();
    assert_eq!(disk.operations(), operations, "a dry run changes nothing");
    let done = salvaged(&disk);
    assert_eq!(Salvaged { written: done.written.clone(), ..dry }, done);
    let missing =
        [(Owed::Session("far".into()), 1), (Owed::Session("near".into()), 1)].into_iter().collect();
    assert_eq!(done.missing, missing);
    assert_eq!(done.losses.len(), 1);
    assert_eq!((done.losses[0].frames, done.losses[0].records), (0, Some(0)));
    let aside = format!("{name}.damaged");
    assert_eq!(done.aside, [(name.clone(), aside.clone())]);
    assert_eq!((disk.content(&aside), disk.content(&name)), (damaged, None));
    assert!(done.rescued > 0);
    let mut after = before;
    after.get_mut("near").unwrap().retain(|id| *id != 3);
    after.get_mut("far").unwrap().retain(|id| *id != 3);
    assert_eq!(owings(&disk), after);
}

#[test]
fn what_was_kept_aside_before_is_never_written_over() {
    let disk = story();
    disk.create("log-00000001.damaged").unwrap();
    disk.damage("log-00000001", |bytes| bytes[0] ^= 1);
    let found = salvaged(&disk);
    assert_eq!(found.aside[0].1, "log-00000001.damaged.2");
    assert_eq!(disk.content("log-00000001.damaged"), Some(vec![]));
    assert_eq!((total(&owings(&disk)), found.missing.len()), (49, 0));
}

#[test]
fn a_log_that_was_salvaged_goes_on() {
    let disk = story();
    let at = disk.content("log-00000002").unwrap().len() / 2;
    disk.damage("log-00000002", |bytes| bytes[at] ^= 1);
    salvaged(&disk);
    let before = owings(&disk);
    let mut keeper = Keeper::on(&disk);
    for id in 200..230 {
        keeper.publish(id, vec![to(NEAR, QoS::AtLeastOnce)], false);
    }
    keeper.log.fold().unwrap();
    keeper.log.fold().unwrap();
    drop(keeper);
    let after = owings(&disk);
    let near = [before["near"].clone(), (200..230).collect()].concat();
    assert_eq!(after["near"], near);
    assert_eq!(after["far"], before["far"]);
    assert!(!run(&disk, Intent::DryRun).unwrap().is_needed());
}

#[test]
fn a_torn_tail_is_no_damage() {
    let disk = story();
    let log = log_on(&disk).unwrap();
    let mut store = LogStore::stepped(Arc::clone(&log), 0);
    store.append(&mut vec![ended(1)]).unwrap();
    let at = log.durable();
    write_all(&log);
    drop((log, store));
    disk.damage(&log_name(at.segment()), |bytes| bytes[at.offset() as usize + 50] ^= 1);
    assert!(check(&disk).unwrap().unwrap().torn.is_some());
    let content = contents(&disk);
    assert!(!run(&disk, Intent::Salvage).unwrap().is_needed());
    assert_eq!(contents(&disk), content);
}

#[test]
fn a_segment_that_is_gone_is_told() {
    let disk = story();
    let newest = names(&disk).into_iter().rfind(|name| name.starts_with("ckpt"));
    let covers = u64::from_str_radix(&newest.unwrap()[5..], 16).unwrap();
    let first = Position(covers).segment();
    disk.remove(&log_name(first + 1)).unwrap();
    assert!(matches!(log_on(&disk), Err(StoreError::Damaged { .. })));
    let found = salvaged(&disk);
    assert_eq!(found.losses.len(), 1, "{found:?}");
    assert_eq!(found.losses[0].file, log_name(first + 1));
    assert!(!found.losses[0].what.is_empty() && found.aside.is_empty());
    let after = owings(&disk);
    assert_eq!(after["near"].first(), Some(&0));
    assert_eq!(after["near"].last(), Some(&29));
}

#[test]
fn without_its_checkpoint_a_log_that_begins_at_its_beginning_loses_nothing() {
    let disk = story();
    let before = owings(&disk);
    for name in names(&disk).into_iter().filter(|name| name.starts_with("ckpt")) {
        disk.damage(&name, |bytes| bytes[100] ^= 1);
    }
    let found = salvaged(&disk);
    assert_eq!(owings(&disk), before);
    assert!(found.missing.is_empty());
    assert!(found.aside.iter().all(|(name, _)| name.starts_with("ckpt")), "{found:?}");
}

/// Everything in one frame of the checkpoint is lost with it: the rest of the log does not know
/// the sessions, and that is said.
#[test]
fn a_checkpoint_that_nothing_stands_in_for_is_read_as_far_as_it_goes() {
    let disk = story();
    let newest = names(&disk).into_iter().rfind(|name| name.starts_with("ckpt"));
    let newest = newest.unwrap();
    disk.remove("log-00000001").unwrap();
    disk.damage(&newest, |bytes| bytes[200] ^= 1);
    assert!(log_on(&disk).is_err());
    let found = salvaged(&disk);
    assert!(found.losses.iter().any(|it| it.file == newest && it.records.is_some()), "{found:?}");
    let unknown = |owed: &&Owed| matches!(owed, Owed::Unknown(_));
    assert_eq!(found.missing.keys().filter(unknown).count(), 2, "{found:?}");
    // What was published behind the checkpoint needs no session.
    assert_eq!(owings(&disk).keys().collect::<Vec<_>>(), ["retained"]);
}

#[test]
fn files_of_another_store_are_kept_aside() {
    let disk = story();
    let before = owings(&disk);
    let other = SimDisk::new();
    let options = Options { identity: Some([6; 16]), ..OPTIONS };
    drop(Log::open(Arc::new(other.clone()), options, vec![]).unwrap());
    let file = disk.create("log-00000099").unwrap();
    let mut bytes = other.content("log-00000001").unwrap();
    bytes[32] = 99;
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    crate::disk::write_full(&*file, &mut [std::io::IoSlice::new(&bytes)], 0).unwrap();
    assert!(log_on(&disk).is_err());
    let found = salvaged(&disk);
    assert_eq!(found.aside.len(), 1);
    assert_eq!(owings(&disk), before);
}

#[test]
fn a_store_without_a_head_that_says_which_it_is_is_left_alone() {
    let disk = story();
    for name in names(&disk) {
        disk.damage(&name, |bytes| bytes[3] ^= 1);
    }
    let content = contents(&disk);
    assert!(matches!(run(&disk, Intent::Salvage), Err(StoreError::Damaged { .. })));
    assert_eq!(contents(&disk), content);
}

/// The salvage is cut at each of its operations, by a crash or by a power cut, and made again.
#[test]
fn a_crash_in_the_middle_of_a_salvage_loses_nothing_more() {
    let damaged = story();
    damaged.damage("log-00000001", |bytes| bytes[20] ^= 1);
    let (name, at) = payload_of(&damaged, 9);
    damaged.damage(&name, |bytes| bytes[at] ^= 1);
    let whole = damaged.copy();
    let expected = salvaged(&whole);
    let after = owings(&whole);
    let operations = whole.operations();
    assert!(!expected.missing.is_empty() && operations > 5);
    for operation in 1..=operations {
        for seed in 0..4 {
            let disk = damaged.copy();
            disk.halt_at(disk.operations() + operation);
            let told = std::cell::RefCell::new(None);
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let halted = salvage(&shared, OPTIONS, Intent::Salvage, &mut |found| {
                *told.borrow_mut() = Some(found.clone());
            });
            if let Some(told) = told.borrow().as_ref() {
                assert_eq!(told.missing, expected.missing, "nothing was lost in between");
            } else {
                assert_eq!(operation, 1, "what is found is told before anything is changed");
            }
            match seed {
                0 => disk.revive(),
                seed => disk.cut_power(&mut Chance::new(seed)),
            }
            let first = halted.is_ok();
            let again = salvaged(&disk);
            assert!(!first || !again.is_needed());
            assert_eq!(owings(&disk), after, "operation {operation}, seed {seed}");
        }
    }
}

#[test]
fn a_full_disk_leaves_a_damaged_store_as_it_is() {
    let disk = story();
    disk.damage("log-00000001", |bytes| bytes[20] ^= 1);
    let content = contents(&disk);
    disk.set_space(Some(0));
    let failed = run(&disk, Intent::Salvage);
    assert!(
        matches!(&failed, Err(StoreError::Io(error)) if error.kind() == ErrorKind::StorageFull),
        "{failed:?}"
    );
    disk.set_space(None);
    let mut left = contents(&disk);
    left.retain(|(name, _)| !name.ends_with(".tmp"));
    assert_eq!(left, content);
    salvaged(&disk);
}

/// A log of several epochs, whose tail was torn in between, with checkpoints and acknowledgements.
fn long_story(chance: &mut Chance) -> SimDisk {
    let disk = SimDisk::new();
    let mut id = 0;
    for epoch in 0..1 + chance.below(3) {
        let mut keeper = Keeper::on(&disk);
        if epoch == 0 {
            keeper.keep([session(NEAR, "near"), session(FAR, "far")]);
        }
        for _ in 0..5 + chance.below(20) {
            let both = vec![to(NEAR, QoS::AtLeastOnce), to(FAR, QoS::AtLeastOnce)];
            let message = Body::Here(keeper.publish(id % 100, both, chance.below(5) == 0));
            id += 1;
            if chance.below(2) == 0 {
                let receiver = Receiver::Session(FAR);
                keeper.keep([Record::Settled { receiver, message, manner: MANNER }]);
            }
            if chance.below(8) == 0 {
                keeper.log.fold().unwrap();
            }
        }
        keeper.log.beat(Time(keeper.time)).unwrap();
        write_all(&keeper.log);
        keeper.log.sync().unwrap();
        // Written and never durable: what a power cut leaves of it is torn, or old.
        for _ in 0..chance.below(4) {
            let mut records = vec![published(&message(0, &[0; 100])), ended(99)];
            keeper.store.append_at(Time(keeper.time), &mut records).unwrap();
        }
        write_all(&keeper.log);
        drop(keeper);
        disk.cut_power(chance);
    }
    drop(log_on(&disk).unwrap());
    disk.copy()
}

/// How many messages a broker would owe that starts as the store is, readable or not; none if it
/// would not.
fn counted(disk: &SimDisk) -> Option<u64> {
    let log = log_on(&disk.copy()).ok()?;
    let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
    log.replay(&mut |record| broker.apply(record)).ok()?;
    let mut count = 0;
    broker.places(&mut |_| count += 1);
    Some(count)
}

#[test]
fn whatever_is_left_of_a_store_can_be_salvaged() {
    let mut unreadable = 0;
    let (mut lossless, mut started) = (0, 0);
    for seed in 0..300 {
        let mut chance = Chance::new(seed);
        let disk = long_story(&mut chance);
        let before = owings(&disk);
        for _ in 0..=chance.below(4) {
            let names = names(&disk);
            if !names.is_empty() {
                ruin((&disk, &names), &mut chance);
            }
        }
        let counted = counted(&disk);
        let halted = disk.copy();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        match salvage(&shared, OPTIONS, Intent::Salvage, &mut |_| ()) {
            Ok(Some(found)) => {
                let again = run(&disk, Intent::DryRun).unwrap();
                assert!(!again.is_needed(), "seed {seed}: {found:#?}, then {again:#?}");
                salvaged(&disk);
                let after = owings(&disk);
                assert_eq!(total(&after), found.kept, "seed {seed}");
                lossless += u32::from(found.is_needed() && after == before);
                halted.halt_at(1 + chance.below(16));
                let first = run(&halted, Intent::Salvage);
                halted.cut_power(&mut chance);
                let second = run(&halted, Intent::Salvage).unwrap();
                assert!(first.is_err() || !second.is_needed(), "seed {seed}");
                assert_eq!(owings(&halted), after, "seed {seed}");
                if let Some(counted) = counted {
                    // A broker would have started: it loses what it could not have read.
                    let missing: u64 = found.missing.values().sum();
                    assert_eq!(found.kept + missing, counted, "seed {seed}: {found:?}");
                    started += 1;
                }
            }
            Ok(None) => unreadable += 1,
            Err(StoreError::Damaged { what, .. }) => {
                assert!(what.starts_with("no head of any file"), "seed {seed}: {what}");
                unreadable += 1;
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    let seen = [lossless, started, unreadable];
    assert!(lossless > 10 && started > 100 && unreadable < 30, "{seen:?}");
}
