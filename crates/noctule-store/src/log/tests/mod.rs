//! Tests of the engine and its threads on the disk of the system.

mod compaction;
mod copies;
mod faults;
mod folds;
mod salvages;

use super::*;
use crate::disk::OsDisk;
use crate::format::log_name;
use crate::testing::{Chance, SimDisk};
use crate::{Class, Fetch, LogStore, Progress, Store, open};
use noctule_core::SessionNumber;
use noctule_core::identity::{GroupNumber, MessageId, Tenant};
use noctule_core::index::Receiver;
use noctule_core::limits::Durability;
use noctule_core::message::{Message, Origin, Parts};
use noctule_core::record::{Body, Manner, Receipt, Receivers, Record};
use noctule_proto::QoS;
use std::fs;
use std::path::Path;
use std::sync::mpsc;

fn message(id: u64, payload: &[u8]) -> Arc<Message> {
    let origin = Origin {
        id: MessageId(id),
        tenant: Tenant(0),
        publisher: None,
        routed_at: 0,
        durability: Durability::Fsync,
    };
    let parts = Parts {
        topic: "a/topic",
        properties: &[],
        payload,
        qos: QoS::AtLeastOnce,
        retain: false,
        expiry_secs: None,
    };
    Arc::new(Message::new(Time(0), origin, &parts))
}

fn published(message: &Arc<Message>) -> Record {
    let receipt = Receipt {
        receiver: Receiver::Session(SessionNumber(message.id.0)),
        qos: QoS::AtLeastOnce,
        retain: false,
        subscription_id: 0,
    };
    let message = Body::Here(Arc::clone(message));
    Record::Published { message, receivers: Receivers::One(receipt), retained: false }
}

fn ended(number: u64) -> Record {
    Record::SessionEnded(SessionNumber(number))
}

fn log_in(path: &Path, shards: usize) -> Result<Arc<Log>, StoreError> {
    let options =
        Options { segment_bytes_min: 4096, segment_bytes_max: 16 * 1024, ..Options::default() };
    let wakers = (0..shards).map(|_| Box::new(|| ()) as Waker).collect();
    Log::open(Arc::new(OsDisk::new(path).unwrap()), options, wakers).map(Arc::new)
}

fn replayed(log: &Log) -> Vec<Record> {
    let mut records = Vec::new();
    log.replay(&mut |record| records.push(record.clone())).unwrap();
    records
}

/// Tells these records.
fn told(records: impl IntoIterator<Item = Record> + Clone) -> impl FnMut(&mut Take<'_>) {
    move |take| records.clone().into_iter().for_each(|record| take(&record))
}

/// Writes all that is queued, preparing what is needed.
fn write_all(log: &Log) {
    loop {
        match log.write(1 << 20).unwrap() {
            Wrote::Nothing => return,
            Wrote::Some => {}
            Wrote::NoSegment => assert_eq!(log.prepare().unwrap(), Prepared::One),
        }
    }
}

#[test]
fn what_was_appended_is_replayed_in_the_order_of_all_shards() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path(), 2).unwrap();
    let mut shards = [0, 1].map(|shard| LogStore::stepped(Arc::clone(&log), shard));
    for number in 0..200 {
        let shard = &mut shards[number as usize % 2];
        shard.append_at(Time(number), &mut vec![ended(number)]).unwrap();
    }
    write_all(&log);
    log.sync().unwrap();
    for shard in &mut shards {
        assert_eq!(shard.progress().unwrap(), Progress { written: 100, durable: 100 });
    }
    drop((log, shards));
    let log = log_in(dir.path(), 2).unwrap();
    assert_eq!(log.torn(), None);
    assert_eq!(log.alive(), Some(Time(199)));
    assert_eq!(replayed(&log), (0..200).map(ended).collect::<Vec<_>>());
}

const MANNER: Option<Manner> =
    Some(Manner { qos: QoS::AtLeastOnce, retain: false, subscription_id: 0 });

#[test]
fn a_directory_is_made_with_those_above_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("of/some/depth");
    drop(log_in(&path, 1).unwrap());
    assert_eq!(replayed(&log_in(&path, 1).unwrap()), []);
}

#[test]
fn progress_follows_the_steps() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path(), 1).unwrap();
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    assert_eq!(shard.append(&mut vec![ended(1), ended(2)]).unwrap(), 2);
    assert_eq!(shard.progress().unwrap(), Progress { written: 0, durable: 0 });
    log.write(1).unwrap();
    assert_eq!(shard.progress().unwrap(), Progress { written: 2, durable: 0 });
    // A message that was never kept: the record says nothing, and counts with the one before it.
    let message = Body::Here(message(1, b"x"));
    let receiver = Receiver::Session(SessionNumber(1));
    let settled = Record::Settled { receiver, message, manner: MANNER };
    assert_eq!(shard.append(&mut vec![settled]).unwrap(), 3);
    assert_eq!(log.write(1).unwrap(), Wrote::Nothing);
    log.sync().unwrap();
    assert_eq!(shard.progress().unwrap(), Progress { written: 3, durable: 3 });
}

#[test]
fn messages_are_read_back_queued_written_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path(), 1).unwrap();
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    // From tiny to longer than a segment.
    let sizes = [0, 1, 100, 1000, 5000, 10, 70_000, 3];
    let messages: Vec<_> =
        sizes.iter().enumerate().map(|(id, size)| message(id as u64, &vec![7; *size])).collect();
    for message in &messages {
        shard.append(&mut vec![published(message)]).unwrap();
    }
    let places: Vec<_> = messages.iter().map(|message| message.place().unwrap()).collect();
    let check = |log: &Arc<Log>| {
        for (message, place) in messages.iter().zip(&places) {
            assert_eq!(*log.read(*place).unwrap(), **message);
        }
        let mut shard = LogStore::stepped(Arc::clone(log), 0);
        let fetch = Fetch { session: SessionNumber(1), places: places.clone() };
        shard.fetch(fetch).unwrap();
        let fetched = shard.fetched().or_else(|| {
            assert!(log.answer(), "what is not at hand is left to the reader");
            shard.fetched()
        });
        let fetched = fetched.expect("a fetch is answered");
        let whole = messages.iter().cloned().map(Some);
        let all: Vec<_> = places.iter().copied().zip(whole).collect();
        assert_eq!(fetched.messages, all);
    };
    check(&log);
    log.write(1).unwrap();
    check(&log);
    write_all(&log);
    check(&log);
    log.sync().unwrap();
    drop((log, shard));
    let log = log_in(dir.path(), 1).unwrap();
    check(&log);
    let bodies: Vec<_> = replayed(&log)
        .into_iter()
        .map(|record| match record {
            Record::Published { message, .. } => message,
            other => panic!("{other:?}"),
        })
        .collect();
    for (body, message) in bodies.iter().zip(&messages) {
        assert!(matches!(body, Body::Stored(_)), "{body:?}");
        assert_eq!(body.place(), message.place());
        assert_eq!(body.cost(), message.cost() as u64);
    }
    assert_eq!(bodies.len(), messages.len());
}

#[test]
fn a_torn_tail_is_cut_and_never_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path(), 1).unwrap();
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    shard.append(&mut vec![ended(0)]).unwrap();
    write_all(&log);
    log.sync().unwrap();
    let cut = log.end();
    // Three frames of one commit that did not come to its end: the first is lost.
    for number in 1..4 {
        shard.append(&mut vec![ended(number)]).unwrap();
    }
    write_all(&log);
    drop((log, shard));
    let path = dir.path().join("log-00000001");
    let mut bytes = fs::read(&path).unwrap();
    bytes[cut.offset() as usize] ^= 1;
    fs::write(&path, &bytes).unwrap();

    let log = log_in(dir.path(), 1).unwrap();
    let torn = log.torn().cloned().unwrap();
    assert_eq!((torn.file.as_str(), torn.offset), ("log-00000001", u64::from(cut.offset())));
    assert_eq!(torn.bytes, 3 * 56);
    assert_eq!(replayed(&log), [ended(0)]);
    // The new frame ends where the second lost one begins.
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    shard.append(&mut vec![ended(9)]).unwrap();
    write_all(&log);
    log.sync().unwrap();
    drop((log, shard));
    let log = log_in(dir.path(), 1).unwrap();
    assert_eq!(replayed(&log), [ended(0), ended(9)]);
}

#[test]
fn damage_to_what_was_durable_stops_the_start_and_names_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path(), 1).unwrap();
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    for number in 0..300 {
        shard.append(&mut vec![ended(number)]).unwrap();
        write_all(&log);
        log.sync().unwrap();
    }
    drop((log, shard));
    for (name, offset) in [("log-00000001", 64 + 56 * 3), ("log-00000002", 64)] {
        let path = dir.path().join(name);
        let bytes = fs::read(&path).unwrap();
        let mut bad = bytes.clone();
        bad[offset + 50] ^= 1;
        fs::write(&path, &bad).unwrap();
        match log_in(dir.path(), 1) {
            Err(StoreError::Damaged { file, offset: at, .. }) => {
                assert_eq!((file.as_str(), at), (name, offset as u64));
            }
            other => panic!("{other:?}"),
        }
        fs::write(&path, &bytes).unwrap();
    }
    fs::rename(dir.path().join("log-00000002"), dir.path().join("x")).unwrap();
    assert!(matches!(log_in(dir.path(), 1), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_second_opening_names_the_first_process() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path(), 1).unwrap();
    match log_in(dir.path(), 1) {
        Err(StoreError::InUse { pid }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    drop(log);
    assert!(log_in(dir.path(), 1).is_ok());
}

#[test]
fn a_replay_begins_with_the_checkpoint_and_a_damaged_one_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path(), 1).unwrap();
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    let retained = message(5, b"kept");
    let record = Record::Published {
        message: Body::Here(Arc::clone(&retained)),
        receivers: Vec::new().into(),
        retained: true,
    };
    shard.append(&mut vec![ended(0), record.clone()]).unwrap();
    write_all(&log);
    log.sync().unwrap();
    let covers = log.end();
    let many = (1000..9000).map(ended);
    let folded = std::iter::once(record.clone()).chain(many.clone());
    log.write_checkpoint(covers, Time(77), &mut told(folded)).unwrap();
    shard.append(&mut vec![ended(1)]).unwrap();
    write_all(&log);
    log.sync().unwrap();
    drop((log, shard));

    let log = log_in(dir.path(), 1).unwrap();
    let all: Vec<_> = [record.clone()].into_iter().chain(many).chain([ended(1)]).collect();
    assert_eq!(replayed(&log), all);
    let unkept = published(&message(9, b"never kept"));
    let refused = log.write_checkpoint(covers, Time(77), &mut told([unkept]));
    assert!(refused.is_err(), "a checkpoint holds no messages");
    drop(log);

    let name = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = name.into_iter().find(|path| path.to_string_lossy().contains("ckpt-")).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.pop();
    fs::write(&path, bytes).unwrap();
    let log = log_in(dir.path(), 1).unwrap();
    assert_eq!(replayed(&log), [ended(0), record, ended(1)]);
}

#[test]
fn a_batch_longer_than_a_segment_is_one_frame_and_its_messages_have_places() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path(), 1).unwrap();
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    let messages: Vec<_> = (0..5).map(|id| message(id, &[1; 600_000])).collect();
    let mut batch: Vec<_> = messages.iter().map(published).collect();
    // It speaks of a message of the same frame.
    let receiver = Receiver::Session(SessionNumber(0));
    let message = Body::Here(Arc::clone(&messages[0]));
    batch.push(Record::Settled { receiver, message, manner: MANNER });
    assert_eq!(shard.append(&mut batch).unwrap(), 6);
    assert_eq!(log.write(1).unwrap(), Wrote::Some, "it is written at once");
    assert_eq!(log.write(1).unwrap(), Wrote::Nothing);
    log.sync().unwrap();
    assert_eq!(shard.progress().unwrap().durable, 6);
    for message in &messages {
        assert_eq!(*log.read(message.place().unwrap()).unwrap(), **message);
    }
    drop((log, shard));
    let records = replayed(&log_in(dir.path(), 1).unwrap());
    let Record::Settled { message, .. } = &records[5] else { panic!("{records:?}") };
    assert_eq!(message.place(), messages[0].place());
}

#[test]
fn shards_on_threads_of_their_own_have_their_records_made_durable() {
    const SHARDS: usize = 4;
    const EACH: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..SHARDS).map(|_| mpsc::channel()).unzip();
    let wakers: Vec<Waker> = senders
        .into_iter()
        .map(|sender| Box::new(move || sender.send(()).unwrap_or_default()) as Waker)
        .collect();
    // Segments grow fast enough for nothing to be folded.
    let options =
        Options { segment_bytes_min: 4096, segment_bytes_max: 1024 * 1024, ..Options::default() };
    let opened = open(dir.path(), options, wakers).unwrap();
    let work =
        opened.shards.into_iter().zip(receivers).enumerate().map(|(shard, (mut store, woken))| {
            std::thread::spawn(move || {
                for number in 0..EACH {
                    let message = message(shard as u64 * EACH + number, &[3; 100]);
                    let last = store.append(&mut vec![published(&message)]).unwrap();
                    store.commit(Class::Fsync).unwrap();
                    while store.progress().unwrap().durable < last {
                        woken.recv().unwrap();
                    }
                    assert_eq!(*store.log().read(message.place().unwrap()).unwrap(), *message);
                }
            })
        });
    work.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());

    let opened = open(dir.path(), options, vec![Box::new(|| ())]).unwrap();
    assert_eq!(opened.torn, None);
    let mut count = [0; SHARDS];
    let mut store = opened.shards.into_iter().next().unwrap();
    let replayed = store.replay(&mut |record| {
        let Record::Published { receivers, .. } = record else { panic!("{record:?}") };
        let Receiver::Session(number) = receivers[0].receiver else { panic!("{record:?}") };
        let shard = (number.0 / EACH) as usize;
        assert_eq!(number.0 % EACH, count[shard], "records of a shard stay in order");
        count[shard] += 1;
    });
    assert_eq!(replayed.unwrap().message_id_max, MessageId(SHARDS as u64 * EACH - 1));
    assert_eq!(count, [EACH; SHARDS]);
}

#[test]
fn what_nobody_commits_rides_along_or_is_committed_when_the_last_shard_goes() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path(), Options::default(), vec![Box::new(|| ())]).unwrap();
    let mut store = opened.shards.into_iter().next().unwrap();
    store.append(&mut vec![ended(1)]).unwrap();
    drop(store);
    let log = log_in(dir.path(), 1).unwrap();
    assert_eq!(replayed(&log), [ended(1)]);
}

#[test]
fn a_store_that_is_used_for_long_is_folded_behind() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { segment_bytes_min: 4096, segment_bytes_max: 8192, ..Options::default() };
    let (sender, woken) = mpsc::channel();
    let waker = Box::new(move || sender.send(()).unwrap_or_default()) as Waker;
    let opened = open(dir.path(), options, vec![waker]).unwrap();
    let mut store = opened.shards.into_iter().next().unwrap();
    let checkpoints = || {
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("ckpt-")).count()
    };
    let mut number = 0;
    while checkpoints() == 0 || dir.path().join("log-00000001").exists() {
        number += 1;
        assert!(number < 100_000, "it is never folded");
        let last = store.append(&mut vec![published(&message(number, &[1; 500]))]).unwrap();
        store.commit(Class::Fsync).unwrap();
        while store.progress().unwrap().durable < last {
            woken.recv().unwrap();
        }
    }
    drop(store);
    let log = log_in(dir.path(), 1).unwrap();
    assert!(log.replay(&mut |_| ()).unwrap().records < number, "most of it was for nobody");
}

/// Damages one of these files as disks and people do, or writes a piece of another one over it.
fn ruin((disk, names): (&SimDisk, &[String]), chance: &mut Chance) {
    let name = &names[chance.below(names.len() as u64) as usize];
    let at = chance.below(disk.content(name).unwrap().len().max(1) as u64) as usize;
    let len = 1 + chance.below(700) as usize;
    match chance.below(6) {
        0 | 1 => {
            disk.damage(name, |bytes| bytes.iter_mut().skip(at).take(1).for_each(|it| *it ^= 8));
        }
        2 => disk.damage(name, |bytes| bytes.iter_mut().skip(at).take(len).for_each(|it| *it = 0)),
        3 => disk.damage(name, |bytes| bytes.truncate(at)),
        4 => {
            let all = Disk::list(disk).unwrap();
            let other = disk.content(&all[chance.below(all.len() as u64) as usize]).unwrap();
            disk.damage(name, |bytes| {
                let piece = other.iter().skip(at).take(len);
                bytes.iter_mut().skip(at).zip(piece).for_each(|(it, new)| *it = *new);
            });
        }
        _ => {
            Disk::remove(disk, name).unwrap();
            Disk::sync_dir(disk).unwrap();
        }
    }
}
