//! A simulated disk that fails: at each operation, in each way, and with each byte changed.

use super::*;
use crate::Room;
use crate::testing::{Chance, Fault, SimDisk};
use std::io::ErrorKind;
use std::sync::atomic::AtomicUsize;

const OPTIONS: Options =
    Options { segment_bytes_min: 1024, segment_bytes_max: 2048, identity: Some([5; 16]) };

fn log_on(disk: &SimDisk) -> Result<Arc<Log>, StoreError> {
    let wakers = (0..2).map(|_| Box::new(|| ()) as Waker).collect();
    Log::open(Arc::new(disk.clone()), OPTIONS, wakers).map(Arc::new)
}

fn retained(id: u64, payload: &[u8]) -> Record {
    let message = Body::Here(message(id, payload));
    Record::Published { message, receivers: Vec::new().into(), retained: true }
}

/// What a course of steps came to.
#[derive(Default)]
struct Course {
    /// What was appended, and where it ends.
    appended: Vec<(u64, Position)>,
    durable: Position,
    error: Option<StoreError>,
    checkpoints: usize,
}

/// A course of steps that meets each kind of operation.
fn course(log: &Arc<Log>) -> Course {
    let mut course = Course { durable: log.durable(), ..Course::default() };
    let run = |course: &mut Course| {
        let mut shards = [0, 1].map(|shard| LogStore::stepped(Arc::clone(log), shard));
        for number in 0..24 {
            let message = message(number, &[number as u8; 150]);
            shards[number as usize % 2].append_at(Time(number), &mut vec![published(&message)])?;
            course.appended.push((number, log.end()));
            if number % 3 == 2 {
                while log.write(1 << 20)? != Wrote::Nothing {
                    while log.prepare()? == Prepared::One {}
                }
                log.sync()?;
                course.durable = log.durable();
            }
            if number % 9 == 8 {
                let mut tell = told(replayed_so_far(course, log.durable()));
                let written = log.write_checkpoint(log.durable(), Time(number), &mut tell);
                course.checkpoints += usize::from(written.is_ok());
            }
        }
        Ok(())
    };
    course.error = run(&mut course).err();
    course
}

/// Stands for what the log says up to there.
fn replayed_so_far(course: &Course, covers: Position) -> Vec<Record> {
    let covered = course.appended.iter().take_while(|(_, end)| *end <= covers);
    covered.map(|(number, _)| ended(*number)).collect()
}

/// The numbers that a log tells.
fn numbers(log: &Log) -> Vec<u64> {
    let number = |record| match record {
        Record::SessionEnded(session) => session.0,
        Record::Published { receivers, .. } => match receivers[0].receiver {
            Receiver::Session(session) => session.0,
            Receiver::Group(_) => panic!("no group was told"),
        },
        other => panic!("{other:?}"),
    };
    replayed(log).into_iter().map(number).collect()
}

#[test]
fn a_fault_at_any_operation_loses_nothing_that_was_called_durable() {
    let disk = SimDisk::new();
    let whole = course(&log_on(&disk).unwrap());
    assert_eq!((whole.error.is_some(), whole.checkpoints), (false, 2));
    let operations = disk.operations();
    assert!(operations > 60, "{operations}");
    let faults = [
        Fault::Fails(ErrorKind::StorageFull),
        Fault::Fails(ErrorKind::Other),
        Fault::Fails(ErrorKind::Interrupted),
        Fault::Short,
    ];
    let (mut failed, mut survived, mut unopened) = (0, 0, 0);
    for (operation, fault) in (1..=operations).flat_map(|at| faults.map(|fault| (at, fault))) {
        let disk = SimDisk::new();
        disk.fault(operation, fault);
        let Ok(log) = log_on(&disk) else {
            unopened += 1;
            log_on(&disk).expect("the second opening meets no fault");
            continue;
        };
        let course = course(&log);
        if course.error.is_some() {
            failed += 1;
            stays_failed(&log, course.durable);
        } else {
            survived += 1;
        }
        assert!(fault != Fault::Short || course.error.is_none(), "a short write is continued");
        drop(log);
        disk.cut_power(&mut Chance::new(operation));
        let found = numbers(&log_on(&disk).expect("a log that met a fault opens again"));
        let durable = course.appended.iter().filter(|(_, end)| *end <= course.durable).count();
        assert!(found.len() >= durable, "{operation} {fault:?}: {} < {durable}", found.len());
        assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>());
    }
    assert!(failed > 20 && survived > 100 && unopened > 5, "{failed} {survived} {unopened}");
}

/// The disk works again, and a log that failed takes and acknowledges nothing for all that.
fn stays_failed(log: &Arc<Log>, durable: Position) {
    let mut shard = LogStore::stepped(Arc::clone(log), 0);
    assert!(matches!(log.sync(), Err(StoreError::Failed)));
    assert!(matches!(log.write(1), Err(StoreError::Failed)));
    assert!(matches!(shard.append(&mut vec![ended(1)]), Err(StoreError::Failed)));
    assert!(matches!(shard.commit(Class::Fsync), Err(StoreError::Failed)));
    assert!(matches!(shard.progress(), Err(StoreError::Failed)));
    assert_eq!(log.durable(), durable);
}

#[test]
fn a_failed_sync_is_not_tried_again_and_all_shards_are_woken() {
    let disk = SimDisk::new();
    let woken = Arc::new(AtomicUsize::new(0));
    let waker = || {
        let woken = Arc::clone(&woken);
        Box::new(move || {
            woken.fetch_add(1, Ordering::Relaxed);
        }) as Waker
    };
    let wakers = vec![waker(), waker()];
    let log = Arc::new(Log::open(Arc::new(disk.clone()), OPTIONS, wakers).unwrap());
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    shard.append(&mut vec![ended(1)]).unwrap();
    shard.commit(Class::Fsync).unwrap();
    assert_eq!(log.write(1).unwrap(), Wrote::Some);
    assert_eq!(woken.load(Ordering::Relaxed), 0, "nobody waits for what is only written");
    disk.fault(disk.operations() + 1, Fault::Fails(ErrorKind::Other));
    assert!(matches!(log.sync(), Err(StoreError::Io(_))));
    assert_eq!(woken.load(Ordering::Relaxed), 2);
    let operations = disk.operations();
    stays_failed(&log, Position::new(1, 64));
    assert_eq!(disk.operations(), operations, "nothing was asked of the disk any more");
    // The process dies and the machine does not: what passes for written never reached the disk.
    // The next opening must not trust it, or make it true.
    drop((log, shard));
    disk.revive();
    let log = log_on(&disk).unwrap();
    let found = replayed(&log);
    drop(log);
    disk.cut_power(&mut Chance::new(1));
    assert_eq!(replayed(&log_on(&disk).unwrap()), found);
}

#[test]
fn a_full_disk_is_noticed_a_segment_early_and_is_over_when_there_is_room() {
    let disk = SimDisk::new();
    let log = log_on(&disk).unwrap();
    assert_eq!(log.prepare().unwrap(), Prepared::One);
    assert_eq!(log.prepare().unwrap(), Prepared::Ready);
    disk.set_space(Some(1024 + 2048 + 100));
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    let mut appended = 0;
    let mut append = || {
        shard.append(&mut vec![ended(appended)]).unwrap();
        appended += 1;
        log.write(1).unwrap();
        (log.prepare().unwrap(), shard.room())
    };
    while append() == (Prepared::Ready, Room::Free) {}
    let (prepared, room) = append();
    assert!(matches!(prepared, Prepared::Full(_)), "{prepared:?}");
    assert!(matches!(room, Room::Full(_)), "{room:?}");
    assert_eq!(disk.content("log-00000003.tmp"), None, "what was begun gives its room back");
    // There is a segment left for what frees room.
    for _ in 0..20 {
        append();
    }
    log.sync().unwrap();
    assert_eq!(log.durable(), log.end());
    // Even the reserve comes to an end; nothing is refused, and it is kept when there is room.
    for _ in 0..40 {
        append();
    }
    assert_eq!(log.write(1).unwrap(), Wrote::NoSegment);
    disk.set_space(None);
    assert_eq!(log.prepare().unwrap(), Prepared::One);
    assert_eq!(shard.room(), Room::Free);
    write_all(&log);
    log.sync().unwrap();
    assert_eq!(shard.progress().unwrap().durable, appended);
    drop((log, shard));
    assert_eq!(numbers(&log_on(&disk).unwrap()), (0..appended).collect::<Vec<_>>());
}

#[test]
fn a_frame_that_the_disk_has_no_room_for_waits_and_nothing_fails() {
    let disk = SimDisk::new();
    let log = log_on(&disk).unwrap();
    while log.prepare().unwrap() == Prepared::One {}
    disk.set_space(Some(1024 + 2048 + 1000));
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    let long = message(1, &[7; 9000]);
    shard.append(&mut vec![published(&long)]).unwrap();
    shard.append(&mut vec![ended(0)]).unwrap();
    for _ in 0..3 {
        assert_eq!(log.write(1).unwrap(), Wrote::NoSegment);
        assert!(matches!(shard.room(), Room::Full(_)));
    }
    log.sync().unwrap();
    assert_eq!(shard.progress().unwrap().written, 0);
    // Whatever there is of it by now is no frame, nor damage.
    let torn = log_on(&disk.copy()).unwrap();
    assert_eq!(replayed(&torn), []);
    disk.set_space(None);
    assert_eq!(log.write(1).unwrap(), Wrote::Some);
    write_all(&log);
    while log.prepare().unwrap() == Prepared::One {}
    assert_eq!(shard.room(), Room::Free);
    log.sync().unwrap();
    assert_eq!(shard.progress().unwrap().durable, 2);
    drop((log, shard));
    let log = log_on(&disk).unwrap();
    assert_eq!(replayed(&log).len(), 2);
    assert_eq!(log.read(long.place().unwrap()).unwrap(), long);
}

#[test]
fn where_there_is_some_room_again_a_segment_is_shorter() {
    let disk = SimDisk::new();
    let options =
        Options { segment_bytes_min: 1024, segment_bytes_max: 65536, identity: Some([5; 16]) };
    let open = || {
        let wakers = vec![Box::new(|| ()) as Waker];
        Arc::new(Log::open(Arc::new(disk.clone()), options, wakers).unwrap())
    };
    let log = open();
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    let mut appended = 0;
    let mut append = |shard: &mut LogStore| {
        shard.append(&mut vec![ended(appended)]).unwrap();
        appended += 1;
        let log = Arc::clone(shard.log());
        let prepared = log.prepare().unwrap();
        while log.write(1 << 20).unwrap() == Wrote::Some {}
        log.sync().unwrap();
        prepared
    };
    // The fifth has no room.
    disk.set_space(Some(1024 + 2048 + 4096 + 8192));
    while !matches!(append(&mut shard), Prepared::Full(_)) {}
    disk.set_space(Some(1024 + 2048 + 4096 + 8192 + 6000));
    assert_eq!(append(&mut shard), Prepared::One);
    assert_eq!(shard.room(), Room::Free);
    let fifth = log_name(5);
    assert_eq!(disk.content(&fifth).unwrap().len(), 2048, "as much besides is left");
    while log.end().segment() < 5 || log.end().offset() < 500 {
        append(&mut shard);
    }
    drop((log, shard));
    // It ends where it is full, also after a restart.
    let log = open();
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    disk.set_space(None);
    while log.end().segment() < 7 {
        append(&mut shard);
    }
    let sizes = [5, 6, 7].map(|number| disk.content(&log_name(number)).unwrap().len());
    assert_eq!(sizes, [2048, 1024, 65536], "the seventh is made when there is room for all");
    drop((log, shard));
    assert_eq!(numbers(&open()), (0..appended).collect::<Vec<_>>());
}

/// A log of several segments that ended well, with a checkpoint or without one; answers what is in
/// it, and its messages.
fn ended_well(disk: &SimDisk, checkpoint: bool) -> (Vec<Record>, Vec<Arc<Message>>) {
    let log = log_on(disk).unwrap();
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    let messages: Vec<_> = (0..12).map(|id| message(id, &[id as u8; 90])).collect();
    for (at, message) in messages.iter().enumerate() {
        shard.append(&mut vec![published(message), ended(at as u64)]).unwrap();
        shard.append(&mut vec![retained(100 + at as u64, b"retained")]).unwrap();
        write_all(&log);
        log.sync().unwrap();
        if checkpoint && at == 7 {
            drop((shard, log));
            let log = log_on(disk).unwrap();
            let records = replayed(&log);
            log.write_checkpoint(log.durable(), Time(1), &mut told(records)).unwrap();
            drop(log);
            return finish(disk, messages);
        }
    }
    drop((shard, log));
    finish(disk, messages)
}

fn finish(disk: &SimDisk, mut messages: Vec<Arc<Message>>) -> (Vec<Record>, Vec<Arc<Message>>) {
    let log = log_on(disk).unwrap();
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    shard.append(&mut vec![ended(77)]).unwrap();
    write_all(&log);
    log.sync().unwrap();
    log.beat(Time(9)).unwrap();
    write_all(&log);
    log.sync().unwrap();
    messages.retain(|message| message.place().is_some());
    drop((shard, log));
    (replayed(&log_on(disk).unwrap()), messages)
}

#[test]
fn with_any_byte_of_a_log_changed_the_answer_is_exact_or_a_refusal() {
    for checkpoint in [false, true] {
        let disk = SimDisk::new();
        let (records, messages) = ended_well(&disk, checkpoint);
        assert!(records.len() > 20 && messages.len() >= 8);
        let (mut refused, mut exact, mut lost) = (0, 0, 0);
        let names = Disk::list(&disk).unwrap();
        assert!(names.len() >= 3, "{names:?}");
        for name in &names {
            let len = disk.content(name).unwrap().len();
            for (at, mask) in (0..len).flat_map(|at| [(at, 1 << (at % 8)), (at, 0xff)]) {
                let disk = disk.copy();
                disk.damage(name, |bytes| bytes[at] ^= mask);
                let log = match log_on(&disk) {
                    Ok(log) => log,
                    Err(StoreError::Damaged { .. } | StoreError::Version { .. }) => {
                        refused += 1;
                        continue;
                    }
                    Err(error) => panic!("{name} {at}: {error}"),
                };
                let mut found = Vec::new();
                match log.replay(&mut |record| found.push(record.clone())) {
                    Ok(_) => assert_eq!(found, records, "{name} {at}"),
                    Err(StoreError::Damaged { .. }) => {
                        refused += 1;
                        continue;
                    }
                    Err(error) => panic!("{name} {at}: {error}"),
                }
                exact += 1;
                for message in &messages {
                    match log.read(message.place().unwrap()) {
                        Ok(found) => assert_eq!(found, *message, "{name} {at}"),
                        Err(StoreError::Damaged { .. }) => lost += 1,
                        Err(error) => panic!("{name} {at}: {error}"),
                    }
                }
            }
        }
        assert!(refused > 500 && exact > 1000, "{refused} {exact}");
        // Behind a checkpoint messages are only looked at when somebody wants them.
        assert_eq!(lost > 0, checkpoint, "{lost}");
    }
}

#[test]
fn a_message_damaged_while_the_log_is_open_is_not_delivered() {
    let disk = SimDisk::new();
    let (_, messages) = ended_well(&disk, false);
    let log = log_on(&disk).unwrap();
    let place = messages[3].place().unwrap();
    let at = Position::of_place(place);
    let name = format!("log-{:08}", at.segment());
    disk.damage(&name, |bytes| bytes[at.offset() as usize + 60] ^= 1);
    let mut shard = LogStore::stepped(Arc::clone(&log), 0);
    let places = messages.iter().map(|message| message.place().unwrap()).collect();
    shard.fetch(Fetch { session: SessionNumber(1), places }).unwrap();
    assert!(shard.fetched().is_none(), "the reader looks for it elsewhere");
    assert!(log.answer());
    let fetched = shard.fetched().unwrap();
    for ((found, got), message) in fetched.messages.iter().zip(&messages) {
        let expected = (*found != place).then_some(message);
        assert_eq!(got.as_ref(), expected);
    }
}
