//! Records into a store that is empty: all of them or none.
//!
//! They are one frame of the log, so a crash in the middle leaves an empty store. What failed takes
//! away again what it made.

use super::ImportError;
use super::plan::{Given, Plan};
use super::report::Report;
use noctule_core::record::Record;
use noctule_core::{Broker, Homes, Limits, ShardId, Time};
use noctule_store::log::Options;
use noctule_store::{Class, LogStore, Room, Store, StoreError, Waker};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Bytes of a frame, at most: as much as the store takes.
const BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Bytes that a record takes besides its message, about and at most.
const RECORD_BYTES: u64 = 64;

/// Between two looks whether the disk is full.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Whether a store could be written to in the directory.
pub(super) fn check_empty(directory: &Path) -> Result<(), ImportError> {
    if !noctule_store::exists(directory) {
        return Ok(());
    }
    let stats = noctule_store::stats(directory, Time(0), 0);
    let stats = stats.map_err(|error| ImportError::Store(directory.to_owned(), error))?;
    match stats {
        Some(stats) if stats.sessions != noctule_store::Sessions::default() => {
            Err(ImportError::Holds(directory.to_owned()))
        }
        Some(stats) if stats.live.messages > 0 => Err(ImportError::Holds(directory.to_owned())),
        Some(_) | None => Ok(()),
    }
}

/// Writes what is planned into the store of a directory, which is made if it is not there.
pub(super) fn write(
    directory: &Path,
    plan: impl FnOnce(Time, Given) -> Plan,
) -> Result<Report, ImportError> {
    let before = names(directory);
    let written = written(directory, plan);
    // A store of others is nothing to tidy up.
    let is_ours = !matches!(
        written,
        Ok(_) | Err(ImportError::Holds(_) | ImportError::Store(_, StoreError::InUse { .. }))
    );
    if is_ours {
        take_away(directory, before.as_ref());
    }
    written
}

fn names(directory: &Path) -> Option<BTreeSet<OsString>> {
    let entries = fs::read_dir(directory).ok()?;
    Some(entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect())
}

/// Removes the files of a store that were not there before. What cannot be removed is an empty
/// store at worst.
fn take_away(directory: &Path, before: Option<&BTreeSet<OsString>>) {
    for name in names(directory).unwrap_or_default() {
        let is_new = before.is_none_or(|before| !before.contains(&name));
        if is_new && name.to_str().is_some_and(noctule_store::is_file_of_store) {
            fs::remove_file(directory.join(name)).ok();
        }
    }
    if before.is_none() {
        fs::remove_dir(directory).ok();
    }
}

fn written(
    directory: &Path,
    plan: impl FnOnce(Time, Given) -> Plan,
) -> Result<Report, ImportError> {
    let failed = |error| ImportError::Store(directory.to_owned(), error);
    let (wake, news) = channel();
    let waker: Waker = Box::new(move || wake.send(()).unwrap_or(()));
    let opened = noctule_store::open(directory, Options::default(), vec![waker]);
    let mut shards = opened.map_err(failed)?.shards;
    let mut store = shards.pop().expect("as many shards as wakers");
    let given = given(&mut store).map_err(failed)?;
    let given = given.ok_or_else(|| ImportError::Holds(directory.to_owned()))?;
    let now = noctule_store::now();
    let Plan { mut records, report, bytes } = plan(now, given);
    let bytes = bytes + RECORD_BYTES * records.len() as u64;
    if bytes > BYTES_MAX {
        return Err(ImportError::TooMuch(bytes));
    }
    let last = store.append_at(now, &mut records).map_err(failed)?;
    store.commit(Class::Fsync).map_err(failed)?;
    let full = await_durable(&mut store, last, &news).map_err(failed)?;
    match full {
        None => Ok(report),
        Some(why) => Err(ImportError::Full(directory.to_owned(), why)),
    }
}

/// The numbers that an empty store has given; `None`: it holds something.
fn given(store: &mut LogStore) -> Result<Option<Given>, StoreError> {
    let mut broker = Broker::new(ShardId(0), Homes::new(1, 0), Limits::default());
    let replayed = store.replay(&mut |record| broker.apply(record))?;
    broker.message_taken(replayed.message_id_max);
    let mut found = Some(Given::default());
    broker.snapshot(&mut |record| match (record, &mut found) {
        (Record::Given { session, message, .. }, Some(given)) => {
            *given = Given { session, message };
        }
        // That a topic was cleared matters for as long as an older message may follow.
        (Record::Cleared { .. }, _) => {}
        _ => found = None,
    });
    Ok(found)
}

/// Waits until all is on the disk, or there is no room: why, then.
fn await_durable(
    store: &mut LogStore,
    last: u64,
    news: &Receiver<()>,
) -> Result<Option<String>, StoreError> {
    while store.progress()?.durable < last {
        if let Room::Full(why) = store.room() {
            return Ok(Some(why.to_string()));
        }
        // Whether there is news or not, it is looked again.
        news.recv_timeout(LOOK_AGAIN).ok();
    }
    Ok(None)
}
