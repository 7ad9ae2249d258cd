//! Folds: after them a replay comes to the same state, and what nobody needs is gone.

use super::*;
use crate::format::message_bytes;
use crate::testing::{Chance, SimDisk};
use noctule_core::identity::Place;
use noctule_core::record::Stored;
use noctule_core::{Broker, Homes, Limits, ShardId};
use std::collections::VecDeque;

const SESSIONS: u64 = 5;

fn log_on(disk: &SimDisk) -> Result<Arc<Log>, StoreError> {
    let options =
        Options { segment_bytes_min: 1024, segment_bytes_max: 2048, identity: Some([5; 16]) };
    Log::open(Arc::new(disk.clone()), options, vec![Box::new(|| ())]).map(Arc::new)
}

fn number(session: u64) -> SessionNumber {
    // Numbers of sessions whose queues are recorded are odd.
    SessionNumber(session * 2 + 1)
}

fn session(session: u64) -> Record {
    Record::Session {
        session: number(session),
        tenant: Tenant(0),
        client_id: format!("client {session}").into(),
        expiry_secs: 100,
        durability: Durability::Fsync,
        away_since: Some(Time(5)),
    }
}

/// A message to some sessions, or a retained one.
fn publish(id: u64, chance: &mut Chance) -> Record {
    let message = message(id, &vec![id as u8; chance.below(300) as usize]);
    let receipt = |session| Receipt {
        receiver: Receiver::Session(number(session)),
        qos: QoS::AtLeastOnce,
        retain: false,
        subscription_id: 0,
    };
    let receivers = (0..SESSIONS).filter(|_| chance.one_in(3)).map(receipt).collect();
    Record::Published { message: Body::Here(message), receivers, retained: chance.one_in(8) }
}

/// A record as it comes back.
fn as_read(record: &Record) -> Record {
    let mut record = record.clone();
    if let Record::Published { message, retained: false, .. } | Record::Settled { message, .. } =
        &mut record
    {
        *message = stored(message);
    }
    record
}

fn stored(message: &Body) -> Body {
    let place = message.place().expect("it was kept");
    Body::Stored(Stored { place, cost: message.cost() as u32 })
}

/// What a broker tells that has applied some records, in an order of its own.
fn state(apply: impl FnOnce(&mut dyn FnMut(&Record))) -> (Vec<String>, Vec<Place>) {
    let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
    apply(&mut |record| broker.apply(record));
    let (mut told, mut places) = (Vec::new(), Vec::new());
    broker.snapshot(&mut |mut record| {
        match &mut record {
            // Numbers may be skipped.
            Record::Given { .. } => return,
            // Whether a message that waits is in memory makes no difference.
            Record::Waiting { messages, .. } => {
                messages.iter_mut().for_each(|waiting| waiting.message = stored(&waiting.message));
            }
            _ => {}
        }
        told.push(format!("{record:?}"));
    });
    broker.places(&mut |stored| places.push(stored.place));
    told.sort();
    (told, places)
}

/// Appended records, each with the end of its frame, and the messages that wait, by session.
struct Course {
    records: Vec<(Record, Position)>,
    waiting: Vec<(u64, Arc<Message>)>,
    ids: u64,
}

impl Course {
    fn append(&mut self, store: &mut LogStore, records: Vec<Record>) -> Result<(), StoreError> {
        store.append_at(Time(self.ids), &mut records.clone())?;
        let end = store.log().end();
        self.records.extend(records.into_iter().map(|record| (record, end)));
        Ok(())
    }

    fn step(&mut self, store: &mut LogStore, chance: &mut Chance) -> Result<(), StoreError> {
        let log = Arc::clone(store.log());
        match chance.below(10) {
            0..4 => {
                self.ids += 1;
                let record = publish(self.ids, chance);
                self.append(store, vec![record.clone()])?;
                let Record::Published { message: Body::Here(message), receivers, .. } = record
                else {
                    return Ok(());
                };
                for receipt in receivers.iter() {
                    let Receiver::Session(session) = receipt.receiver else { continue };
                    self.waiting.push((session.0 / 2, Arc::clone(&message)));
                }
            }
            4..8 if !self.waiting.is_empty() => {
                let (session, message) = self.waiting.remove(0);
                let receiver = Receiver::Session(number(session));
                let message = Body::Here(message);
                let settled = Record::Settled { receiver, message, manner: MANNER };
                self.append(store, vec![settled])?;
            }
            8 => {
                log.fold()?;
            }
            _ => {
                while log.write(1 << 20)? != Wrote::Nothing {
                    // A machine that has stopped looks like a disk without room.
                    if let Prepared::Full(_) = log.prepare()? {
                        return Err(StoreError::Failed);
                    }
                }
                log.sync()?;
            }
        }
        Ok(())
    }
}

#[test]
fn after_folds_and_crashes_a_replay_comes_to_the_same_state() {
    let (mut folded, mut removed) = (0, 0);
    for seed in 0..200 {
        let mut chance = Chance::new(seed);
        let disk = SimDisk::new();
        let mut course = Course { records: Vec::new(), waiting: Vec::new(), ids: 0 };
        for life in 0..4 {
            let log = log_on(&disk).unwrap();
            let mut store = LogStore::stepped(Arc::clone(&log), 0);
            disk.halt_at(disk.operations() + 20 + chance.below(100));
            if life == 0 {
                let sessions = (0..SESSIONS).map(session).collect();
                course.append(&mut store, sessions).unwrap();
            }
            for _ in 0..400 {
                if course.step(&mut store, &mut chance).is_err() {
                    break;
                }
            }
            let durable = log.durable();
            drop((log, store));
            disk.cut_power(&mut chance);
            let log = log_on(&disk).unwrap();
            let (told, places) = state(|apply| {
                log.replay(&mut *apply).unwrap();
            });
            // All that was durable, and whole frames of what was not.
            let kept = |count: &usize| {
                let (before, behind) = course.records.split_at(*count);
                let whole = before.last().map(|last| last.1) < behind.first().map(|next| next.1);
                let is_end = behind.is_empty() || whole;
                is_end && behind.first().is_none_or(|next| next.1 > durable)
            };
            let count = (0..=course.records.len()).filter(kept).find(|count| {
                let records = &course.records[..*count];
                let apply = |apply: &mut dyn FnMut(&Record)| {
                    records.iter().for_each(|(record, _)| apply(&as_read(record)));
                };
                state(apply).0 == told
            });
            let count = count.unwrap_or_else(|| panic!("seed {seed} life {life}: {told:#?}"));
            for place in places {
                log.read(place).expect("what is owed can be read");
            }
            course.forget(count);
            let names = Disk::list(&disk).unwrap();
            folded += names.iter().filter(|name| name.starts_with("ckpt-")).count();
            removed += usize::from(!names.contains(&"log-00000001".to_owned()));
        }
    }
    assert!(folded > 200 && removed > 60, "{folded} {removed}");
}

impl Course {
    /// Records from there on were lost.
    fn forget(&mut self, count: usize) {
        self.records.truncate(count);
        self.waiting.clear();
        for (record, _) in &self.records {
            match record {
                Record::Published { message: Body::Here(message), receivers, .. } => {
                    for receipt in receivers.iter() {
                        let Receiver::Session(session) = receipt.receiver else { continue };
                        self.waiting.push((session.0 / 2, Arc::clone(message)));
                    }
                }
                Record::Settled { receiver: Receiver::Session(session), message, .. } => {
                    let place = message.place();
                    let at = self.waiting.iter().position(|(waits, message)| {
                        *waits == session.0 / 2 && message.place() == place
                    });
                    self.waiting.remove(at.expect("it waited"));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_long_churn_takes_no_more_disk_than_what_is_needed() {
    let disk = SimDisk::new();
    let log = log_on(&disk).unwrap();
    let mut store = LogStore::stepped(Arc::clone(&log), 0);
    let mut chance = Chance::new(1);
    let mut course = Course { records: Vec::new(), waiting: Vec::new(), ids: 0 };
    course.append(&mut store, (0..SESSIONS).map(session).collect()).unwrap();
    let mut most = 0;
    for _ in 0..4000 {
        course.step(&mut store, &mut chance).unwrap();
        if log.fold_is_due().unwrap() {
            log.fold().unwrap();
        }
        let needed: usize = course.waiting.iter().map(|(_, message)| message.cost()).sum();
        most = most.max(log.disk_bytes().unwrap().saturating_sub(4 * needed as u64));
    }
    assert!(course.ids > 1000);
    assert!(most < 40 * 2048, "{most}");
}

/// Publishes batches of messages of 200 bytes to a session that takes each `lag` batches later, and
/// answers how many bytes were written for 100 bytes of payload and topic.
fn churn(disk: &SimDisk, log: &Arc<Log>, (batches, lag): (u64, usize)) -> u64 {
    const BATCH: u64 = 32;
    let mut store = LogStore::stepped(Arc::clone(log), 0);
    store.append_at(Time(1), &mut vec![session(0)]).unwrap();
    let mut before = (0, disk.written());
    let mut waiting = VecDeque::new();
    for batch in 0..batches {
        if batch == 3 * lag as u64 {
            // Until then the disk grows, and what is new is filled with zeros first.
            before = (batch, disk.written());
        }
        let receiver = Receiver::Session(number(0));
        let settled =
            |message| Record::Settled { receiver, message: Body::Here(message), manner: MANNER };
        let taken = waiting.len().saturating_sub(lag * BATCH as usize);
        let mut records: Vec<Record> = waiting.drain(..taken).map(settled).collect();
        for id in 0..BATCH {
            let message = message(batch * BATCH + id, &[7; 193]);
            let receipt =
                Receipt { receiver, qos: QoS::AtLeastOnce, retain: false, subscription_id: 0 };
            let (body, receivers) = (Body::Here(Arc::clone(&message)), vec![receipt]);
            let receivers = receivers.into();
            records.push(Record::Published { message: body, receivers, retained: false });
            waiting.push_back(message);
        }
        store.append_at(Time(batch), &mut records).unwrap();
        write_all(log);
        log.sync().unwrap();
        log.prepare().unwrap();
        let needed: u64 = waiting.iter().map(|message| message_bytes(message.cost() as u32)).sum();
        let most = 4 * u64::from(log.options.segment_bytes_max) + 2 * needed;
        let bytes = log.disk_bytes().unwrap();
        assert!(bytes <= most, "batch {batch}, lag {lag}: {bytes} of {most}");
        if log.fold_is_due().unwrap() {
            log.fold().unwrap();
        }
    }
    let bytes = (batches - before.0) * BATCH * (193 + "a/topic".len() as u64);
    (disk.written() - before.1) * 100 / bytes
}

#[test]
fn dead_segments_become_the_next_ones_and_bytes_are_written_once() {
    for (lag, percent_max) in [(1, 125), (5, 125), (20, 130), (50, 140), (200, 140)] {
        let disk = SimDisk::new();
        let size = 64 * 1024;
        let options =
            Options { segment_bytes_min: size, segment_bytes_max: size, identity: Some([5; 16]) };
        let log = Log::open(Arc::new(disk.clone()), options, vec![Box::new(|| ())]).unwrap();
        let log = Arc::new(log);
        let percent = churn(&disk, &log, (1000, lag));
        assert!(log.end().segment() > 100);
        assert!(percent <= percent_max, "lag {lag}: {percent} % of payloads and topics written");
        drop(log);
        assert_eq!(check(&disk).unwrap().unwrap().damaged, []);
    }
}

/// A broker that starts from the checkpoint gives none of the old ids again.
#[test]
fn ids_of_messages_that_are_gone_stay_taken_after_a_fold() {
    let disk = SimDisk::new();
    let log = log_on(&disk).unwrap();
    let mut store = LogStore::stepped(Arc::clone(&log), 0);
    let newest = MessageId(7 << 10);
    let message = Body::Here(message(newest.0, b"x"));
    let receiver = Receiver::Session(number(0));
    let receipt = Receipt { receiver, qos: QoS::AtLeastOnce, retain: false, subscription_id: 0 };
    let receivers = Receivers::One(receipt);
    let published = Record::Published { message: message.clone(), receivers, retained: false };
    store.append_at(Time(1), &mut vec![session(0), published]).unwrap();
    store
        .append_at(Time(1), &mut vec![Record::Settled { receiver, message, manner: MANNER }])
        .unwrap();
    write_all(&log);
    log.sync().unwrap();
    log.fold().unwrap();
    drop((store, log));
    let replayed = log_on(&disk).unwrap().replay(&mut |_| ()).unwrap();
    assert!(replayed.message_id_max >= newest, "{replayed:?}");
}

/// Shards append in an order of their own: what cleared a topic may be logged before what it
/// cleared.
#[test]
fn a_message_that_was_cleared_before_it_was_logged_stays_away_after_a_fold() {
    for folds in [false, true] {
        let disk = SimDisk::new();
        let log = log_on(&disk).unwrap();
        let mut store = LogStore::stepped(Arc::clone(&log), 0);
        let mut retain = |message| {
            let (message, receivers) = (Body::Here(message), Vec::new().into());
            let record = Record::Published { message, receivers, retained: true };
            store.append_at(Time(1), &mut vec![record]).unwrap();
            write_all(&log);
            log.sync().unwrap();
        };
        retain(message(5, b"late"));
        retain(message(9, b""));
        if folds {
            log.fold().unwrap();
        }
        retain(message(7, b"older"));
        drop((store, log));
        let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
        log_on(&disk).unwrap().replay(&mut |record| broker.apply(record)).unwrap();
        let mut kept = 0;
        broker.places(&mut |_| kept += 1);
        assert_eq!(kept, 0, "folded: {folds}");
    }
}

#[test]
fn what_is_only_added_to_is_folded_more_and_more_rarely() {
    let disk = SimDisk::new();
    let log = log_on(&disk).unwrap();
    let mut store = LogStore::stepped(Arc::clone(&log), 0);
    let mut chance = Chance::new(1);
    store.append_at(Time(1), &mut (0..SESSIONS).map(session).collect()).unwrap();
    let (mut folds, mut segments, mut id) = (0, Vec::new(), 0);
    while log.end().segment() < 256 {
        id += 1;
        store.append_at(Time(id), &mut vec![publish(id, &mut chance)]).unwrap();
        write_all(&log);
        log.sync().unwrap();
        if log.fold_is_due().unwrap() {
            log.fold().unwrap();
            folds += 1;
            segments.push(log.end().segment());
        }
    }
    let grown = |pair: &[u32]| pair[1] >= pair[0] / 2 * 3;
    assert!((3..=8).contains(&folds) && segments.windows(2).all(grown), "{segments:?}");
}
