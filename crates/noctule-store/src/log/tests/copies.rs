//! Copies of a log that goes on, and checks of one that does not.

use super::*;
use crate::testing::{Fault, SimDisk};
use noctule_core::identity::Place;

fn log_on(disk: &SimDisk) -> Result<Arc<Log>, StoreError> {
    let options =
        Options { segment_bytes_min: 1024, segment_bytes_max: 2048, identity: Some([5; 16]) };
    Log::open(Arc::new(disk.clone()), options, vec![Box::new(|| ())]).map(Arc::new)
}

/// Appends messages and makes them durable; answers where they lie.
fn fill(log: &Arc<Log>, ids: std::ops::Range<u64>) -> Vec<Place> {
    let mut store = LogStore::stepped(Arc::clone(log), 0);
    let append = |id| {
        let message = message(id, &[id as u8; 200]);
        store.append(&mut vec![published(&message)]).unwrap();
        write_all(log);
        log.sync().unwrap();
        message.place().unwrap()
    };
    ids.map(append).collect()
}

#[test]
fn a_copy_has_all_that_is_written_and_goes_on_by_itself() {
    let (disk, to) = (SimDisk::new(), SimDisk::new());
    assert_eq!(copy(&disk, &SimDisk::new()).unwrap(), None);
    let log = log_on(&disk).unwrap();
    let places = fill(&log, 0..20);
    log.write_checkpoint(
        log.durable(),
        Time(1),
        &mut told(replayed(&log_on(&disk.copy()).unwrap())),
    )
    .unwrap();
    fill(&log, 20..30);
    let mut store = LogStore::stepped(Arc::clone(&log), 0);
    store.append(&mut vec![ended(1)]).unwrap();
    write_all(&log);
    let written = log.written();
    // Not written: no part of the copy.
    store.append(&mut vec![ended(3)]).unwrap();
    let copied = copy(&disk, &to).unwrap().unwrap();
    assert_eq!((copied.end, log.durable() < written), (written, true));
    assert!(copy(&disk, &to).is_err(), "it is not empty any more");
    write_all(&log);
    log.sync().unwrap();

    let copied = log_on(&to.copy()).unwrap();
    assert_eq!(copied.torn(), None);
    assert_eq!(replayed(&copied).len(), 31);
    for place in places {
        assert_eq!(copied.read(place).unwrap(), log.read(place).unwrap());
    }
    fill(&copied, 100..120);
    drop((log, store));
    assert_eq!(replayed(&log_on(&disk).unwrap()).len(), 32);
}

/// Whatever becomes of a copy that was not finished, no broker starts from a part of it.
#[test]
fn a_copy_that_is_cut_off_is_no_store_and_leaves_the_log_alone() {
    let disk = SimDisk::new();
    let log = log_on(&disk).unwrap();
    fill(&log, 0..12);
    log.write_checkpoint(log.durable(), Time(1), &mut told([ended(1)])).unwrap();
    fill(&log, 12..24);
    let whole = SimDisk::new();
    let expected = copy(&disk, &whole).unwrap();
    let operations = whole.operations();
    assert!(operations > 20);
    for operation in 1..=operations {
        for seed in 1..4 {
            let to = SimDisk::new();
            to.halt_at(operation);
            assert!(copy(&disk, &to).is_err());
            to.cut_power(&mut Chance::new(seed));
            let some = to.list().unwrap().iter().any(|name| !name.ends_with(".tmp"));
            if let (true, Ok(opened)) = (some, log_on(&to)) {
                assert_eq!(Some(opened.end()), expected.map(|it| it.end), "at {operation}");
            }
        }
    }
    fill(&log, 24..30);
    let full = SimDisk::new();
    full.fault(7, Fault::Fails(std::io::ErrorKind::StorageFull));
    assert!(copy(&disk, &full).is_err());
    drop(log);
    assert_eq!(replayed(&log_on(&disk).unwrap()).len(), 1 + 18);
}

#[test]
fn a_damaged_store_is_not_copied_and_a_torn_tail_is_cut() {
    let disk = SimDisk::new();
    let log = log_on(&disk).unwrap();
    fill(&log, 0..12);
    let end = log.durable();
    let mut store = LogStore::stepped(Arc::clone(&log), 0);
    store.append(&mut vec![ended(1)]).unwrap();
    write_all(&log);
    drop((log, store));
    disk.damage(&log_name(end.segment()), |bytes| bytes[end.offset() as usize + 50] ^= 1);
    assert_eq!(copy(&disk, &SimDisk::new()).unwrap().map(|it| it.end), Some(end));
    disk.damage("log-00000001", |bytes| bytes[200] ^= 1);
    assert!(matches!(copy(&disk, &SimDisk::new()), Err(StoreError::Damaged { .. })));
}

#[test]
fn files_stay_while_they_are_copied() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path(), 1).unwrap();
    let mut store = LogStore::stepped(Arc::clone(&log), 0);
    let mut churn = || {
        for id in 0..200 {
            store.append_at(Time(id), &mut vec![published(&message(id, &[1; 200]))]).unwrap();
            write_all(&log);
        }
        log.sync().unwrap();
        log.fold().unwrap().removed
    };
    churn();
    let held = OsDisk::new(dir.path()).unwrap().hold().unwrap();
    let names = || {
        let mut names = OsDisk::new(dir.path()).unwrap().list().unwrap();
        names.retain(|name| name.starts_with("log-") || name.starts_with("ckpt-"));
        names
    };
    let before = names();
    assert_eq!((churn(), churn()), (0, 0));
    assert!(before.iter().all(|name| names().contains(name)), "{before:?}, {:?}", names());
    drop(held);
    assert!(churn() + churn() > 0);
    assert_eq!(names().iter().filter(|name| name.starts_with("ckpt-")).count(), 1);
}

/// Two threads append and commit, a third folds, and copies are made all the while: each has all
/// that was committed when it began, and nothing out of order.
#[test]
fn copies_of_a_busy_log_are_prefixes_of_it() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path(), 1).unwrap();
    let (stop, committed) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut store = LogStore::stepped(Arc::clone(&log), 0);
            let mut number = 0;
            while !stop.load(Ordering::Acquire) {
                for _ in 0..3 {
                    number += 1;
                    let retained = Record::Published {
                        message: Body::Here(message(number, &[7; 64])),
                        receivers: Vec::new().into(),
                        retained: true,
                    };
                    store.append_at(Time(number), &mut vec![retained]).unwrap();
                }
                write_all(&log);
                log.sync().unwrap();
                committed.store(number, Ordering::Release);
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                log.fold().unwrap();
            }
        });
        let from = OsDisk::new(dir.path()).unwrap();
        let copied = std::panic::catch_unwind(|| {
            let mut folded = 0;
            while folded < 3 {
                let before = committed.load(Ordering::Acquire);
                let to = tempfile::tempdir().unwrap();
                copy(&from, &OsDisk::new(to.path()).unwrap()).unwrap().unwrap();
                let copied = log_in(to.path(), 1).unwrap();
                assert_eq!(copied.torn(), None);
                let newest = copied.replay(&mut |_| ()).unwrap().message_id_max;
                assert!(newest.0 >= before, "{newest:?} of {before}");
                folded += u32::from(copied.start.checkpoint.is_some());
            }
        });
        stop.store(true, Ordering::Release);
        copied.unwrap();
    });
}

#[test]
fn a_check_changes_nothing_and_finds_what_a_start_would() {
    let disk = SimDisk::new();
    assert_eq!(check(&disk).unwrap(), None);
    let log = log_on(&disk).unwrap();
    fill(&log, 0..20);
    assert!(matches!(check(&disk), Err(StoreError::InUse { .. })));
    let end = log.durable();
    let mut store = LogStore::stepped(Arc::clone(&log), 0);
    store.append(&mut vec![ended(1)]).unwrap();
    write_all(&log);
    drop((log, store));
    let operations = disk.operations();
    let whole = check(&disk).unwrap().unwrap();
    assert_eq!((whole.frames, whole.torn.as_ref(), whole.damaged.len()), (21, None, 0));

    // The last frame was not durable: torn. An earlier one was: damage.
    let last = log_name(end.segment());
    disk.damage(&last, |bytes| bytes[end.offset() as usize + 50] ^= 1);
    let torn = check(&disk).unwrap().unwrap();
    assert_eq!((torn.frames, torn.end), (20, end));
    assert_eq!(torn.torn.map(|torn| torn.offset), Some(u64::from(end.offset())));
    disk.damage("log-00000002", |bytes| bytes[100] ^= 1);
    assert!(matches!(check(&disk), Err(StoreError::Damaged { offset: 64, .. })));
    assert_eq!(disk.operations(), operations);
}

#[test]
fn damage_before_a_checkpoint_is_found_by_a_check() {
    let disk = SimDisk::new();
    let log = log_on(&disk).unwrap();
    fill(&log, 0..20);
    log.write_checkpoint(log.durable(), Time(1), &mut told([ended(1)])).unwrap();
    drop(log);
    assert_eq!(check(&disk).unwrap().unwrap().damaged, []);
    disk.damage("log-00000001", |bytes| bytes[150] ^= 1);
    let damaged = check(&disk).unwrap().unwrap().damaged;
    assert_eq!(damaged, [Damage { file: "log-00000001".to_owned(), offset: 64 }]);
}
