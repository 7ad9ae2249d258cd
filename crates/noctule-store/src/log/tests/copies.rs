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
fn a_copy_has_all_that_is_durable_and_goes_on_by_itself() {
    let (disk, copy) = (SimDisk::new(), SimDisk::new());
    let log = log_on(&disk).unwrap();
    let places = fill(&log, 0..20);
    log.write_checkpoint(
        log.durable(),
        Time(1),
        &mut told(replayed(&log_on(&disk.copy()).unwrap())),
    )
    .unwrap();
    fill(&log, 20..30);
    // Neither written nor durable: no part of the copy.
    let mut store = LogStore::stepped(Arc::clone(&log), 0);
    store.append(&mut vec![ended(1)]).unwrap();
    assert_eq!(log.copy_to(&copy).unwrap(), log.durable());
    assert!(log.copy_to(&copy).is_err(), "it is not empty any more");
    write_all(&log);
    log.sync().unwrap();

    let copied = log_on(&copy.copy()).unwrap();
    assert_eq!(copied.torn(), None);
    assert_eq!(replayed(&copied).len(), 30);
    for place in places {
        assert_eq!(copied.read(place).unwrap(), log.read(place).unwrap());
    }
    fill(&copied, 100..120);
    drop((log, store));
    assert_eq!(replayed(&log_on(&disk).unwrap()).len(), 31);
}

#[test]
fn a_copy_that_fails_leaves_the_log_alone() {
    let (disk, copy) = (SimDisk::new(), SimDisk::new());
    let log = log_on(&disk).unwrap();
    fill(&log, 0..20);
    copy.fault(7, Fault::Fails(std::io::ErrorKind::StorageFull));
    assert!(log.copy_to(&copy).is_err());
    fill(&log, 20..30);
    drop(log);
    assert_eq!(replayed(&log_on(&disk).unwrap()).len(), 30);
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
