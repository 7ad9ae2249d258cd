//! A disk in memory that forgets what was not synced.
//!
//! Changes are seen at once, as in a system's page cache, and are durable when their file, or the
//! directory, is synced. [`SimDisk::cut_power`] keeps, drops or tears each other change by chance.
//! Operations that change something are numbered from 1, and can be made to fail by number.

use super::Chance;
use crate::StoreError;
use crate::disk::{Disk, DiskFile, LockGuard};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is written whole or not at all.
const SECTOR: usize = 512;

/// What happens to one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It does nothing and fails. A sync that fails forgets what it should have made durable: the
    /// next one succeeds all the same.
    Fails(io::ErrorKind),
    /// A write takes a part of the bytes. Nothing happens to other operations.
    Short,
}

/// A directory of files in memory.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    names: Names,
    durable_names: Names,
    renamed: Vec<Renamed>,
    operations: u64,
    written: u64,
    halt_at: Option<u64>,
    faults: BTreeMap<u64, Fault>,
    space: Option<usize>,
    cold: bool,
    locked: bool,
}

type Names = BTreeMap<String, usize>;

#[derive(Debug, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    changed: Vec<Changed>,
}

/// A change of a file that was not synced.
#[derive(Debug)]
enum Changed {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

/// A change of names that was not synced: a name that is gone, a name that is there.
#[derive(Debug)]
struct Renamed {
    gone: Option<String>,
    there: Option<(String, usize)>,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.state().written
    }

    /// The operation with this number, and no later one, fails like this.
    pub fn fault(&self, operation: u64, fault: Fault) {
        self.state().faults.insert(operation, fault);
    }

    /// The machine stops at the operation with this number: it and all later ones fail. What it
    /// was about to change may have changed or not.
    pub fn halt_at(&self, operation: u64) {
        self.state().halt_at = Some(operation);
    }

    /// It does not stop after all.
    pub fn halt_never(&self) {
        self.state().halt_at = None;
    }

    /// So many bytes fit on it; without a number, any.
    pub fn set_space(&self, bytes: Option<usize>) {
        self.state().space = bytes;
    }

    /// Whether nothing can be read without waiting.
    pub fn set_cold(&self, cold: bool) {
        self.state().cold = cold;
    }

    /// Power is lost and comes back: of what was not synced, each change is kept, dropped or torn.
    pub fn cut_power(&self, chance: &mut Chance) {
        let mut state = self.state();
        let state = &mut *state;
        let mood = Mood::any(chance);
        for file in &mut state.files {
            for change in file.changed.drain(..) {
                change.survive(&mut file.durable, mood, chance);
            }
            file.live.clone_from(&file.durable);
        }
        for renamed in state.renamed.drain(..) {
            if mood.keeps(chance) {
                renamed.apply(&mut state.durable_names);
            }
        }
        state.names.clone_from(&state.durable_names);
        (state.halt_at, state.locked) = (None, false);
        state.faults.clear();
    }

    /// The process ended and the machine did not: the disk works again, nothing is lost.
    pub fn revive(&self) {
        let mut state = self.state();
        (state.halt_at, state.locked) = (None, false);
        state.faults.clear();
    }

    /// A disk with the durable content of this one.
    #[must_use]
    pub fn copy(&self) -> SimDisk {
        let state = self.state();
        let copied = |file: &Content| Content {
            live: file.durable.clone(),
            durable: file.durable.clone(),
            changed: Vec::new(),
        };
        let names = state.durable_names.clone();
        let copy = State {
            files: state.files.iter().map(copied).collect(),
            durable_names: names.clone(),
            names,
            ..State::default()
        };
        SimDisk { state: Arc::new(Mutex::new(copy)) }
    }

    /// Bytes of a file; none if it is not there.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(name).map(|id| state.files[*id].live.clone())
    }

    /// Changes the bytes of a file for good, without an operation.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let id = state.names[name];
        let file = &mut state.files[id];
        change(&mut file.live);
        file.durable.clone_from(&file.live);
    }
}

/// How much of what was not synced a power cut keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mood {
    All,
    Nothing,
    Some,
}

impl Mood {
    fn any(chance: &mut Chance) -> Mood {
        match chance.below(8) {
            0 => Mood::All,
            1 => Mood::Nothing,
            _ => Mood::Some,
        }
    }

    fn keeps(self, chance: &mut Chance) -> bool {
        match self {
            Mood::All => true,
            Mood::Nothing => false,
            Mood::Some => chance.one_in(2),
        }
    }
}

impl Changed {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Changed::Bytes(offset, bytes) => write(to, *offset, bytes),
            Changed::Length(len) => to.resize(*len, 0),
        }
    }

    fn survive(&self, durable: &mut Vec<u8>, mood: Mood, chance: &mut Chance) {
        let torn = mood == Mood::Some && chance.one_in(3);
        match self {
            Changed::Bytes(offset, bytes) if torn => {
                let (mut at, mut rest) = (*offset, &bytes[..]);
                while !rest.is_empty() {
                    let (sector, more) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                    if chance.one_in(2) {
                        write(durable, at, sector);
                    }
                    (at, rest) = (at + sector.len(), more);
                }
            }
            Changed::Bytes(..) | Changed::Length(_) => {
                if mood.keeps(chance) {
                    self.apply(durable);
                }
            }
        }
    }
}

impl Renamed {
    fn apply(&self, names: &mut Names) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        if let Some((name, id)) = &self.there {
            names.insert(name.clone(), *id);
        }
    }
}

fn write(to: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[offset..end].copy_from_slice(bytes);
}

/// How an operation goes.
enum Course {
    Well,
    Short,
    /// It happens, or begins to, and nobody hears of it.
    Unheard,
}

fn halted() -> io::Error {
    io::Error::other("the machine has stopped")
}

impl State {
    fn begin(&mut self) -> io::Result<Course> {
        self.operations += 1;
        match self.halt_at {
            Some(at) if self.operations > at => return Err(halted()),
            Some(at) if self.operations == at => return Ok(Course::Unheard),
            Some(_) | None => {}
        }
        match self.faults.remove(&self.operations) {
            Some(Fault::Fails(kind)) => Err(kind.into()),
            Some(Fault::Short) => Ok(Course::Short),
            None => Ok(Course::Well),
        }
    }

    fn rename(&mut self, renamed: Renamed) -> io::Result<()> {
        let course = self.begin()?;
        renamed.apply(&mut self.names);
        self.renamed.push(renamed);
        heard(&course)
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used(&self) -> usize {
        self.names.values().map(|id| self.files[*id].live.len()).sum()
    }
}

fn heard(course: &Course) -> io::Result<()> {
    match course {
        Course::Well | Course::Short => Ok(()),
        Course::Unheard => Err(halted()),
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let id = self.state().find(name)?;
        Ok(Arc::new(SimFile { disk: self.clone(), id }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let id = state.files.len();
        state.files.push(Content::default());
        state.rename(Renamed { gone: None, there: Some((name.to_owned(), id)) })?;
        Ok(Arc::new(SimFile { disk: self.clone(), id }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let id = state.find(from)?;
        let there = Some((to.to_owned(), id));
        state.rename(Renamed { gone: Some(from.to_owned()), there })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.find(name)?;
        state.rename(Renamed { gone: Some(name.to_owned()), there: None })
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        let state = &mut *state;
        match state.begin() {
            Ok(Course::Unheard) => Err(halted()),
            Ok(Course::Well | Course::Short) => {
                for renamed in state.renamed.drain(..) {
                    renamed.apply(&mut state.durable_names);
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn lock(&self) -> Result<LockGuard, StoreError> {
        let mut state = self.state();
        if std::mem::replace(&mut state.locked, true) {
            return Err(StoreError::InUse { pid: None });
        }
        Ok(Box::new(Lock(self.clone())))
    }
}

/// Lets go of the disk.
struct Lock(SimDisk);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

/// A file of it.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    id: usize,
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let live = &state.files[self.id].live;
        let from = live.get(offset as usize..).unwrap_or_default();
        let len = from.len().min(buf.len());
        buf[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }

    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.disk.state().cold {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_at(buf, offset)
    }

    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let mut bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        let mut state = self.disk.state();
        let course = state.begin()?;
        let grows = (offset as usize + bytes.len()).saturating_sub(state.files[self.id].live.len());
        if state.space.is_some_and(|space| state.used() + grows > space) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if matches!(course, Course::Short) {
            bytes.truncate(bytes.len().div_ceil(2));
        }
        let len = bytes.len();
        state.written += len as u64;
        state.files[self.id].change(Changed::Bytes(offset as usize, bytes));
        heard(&course).map(|()| len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let course = state.begin();
        let file = &mut state.files[self.id];
        match course {
            Ok(Course::Unheard) => Err(halted()),
            Ok(Course::Well | Course::Short) => {
                for change in file.changed.drain(..) {
                    change.apply(&mut file.durable);
                }
                Ok(())
            }
            Err(error) => {
                if state.halt_at.is_none() {
                    state.files[self.id].changed.clear();
                }
                Err(error)
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let course = state.begin()?;
        state.files[self.id].change(Changed::Length(len as usize));
        heard(&course)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.id].live.len() as u64)
    }
}

impl Content {
    fn change(&mut self, change: Changed) {
        change.apply(&mut self.live);
        self.changed.push(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(file: &dyn DiskFile, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        file.write_at(&[IoSlice::new(bytes)], offset)
    }

    #[test]
    fn what_is_synced_survives_and_the_rest_is_kept_dropped_or_torn() {
        let (mut whole, mut dropped, mut torn) = (0, 0, 0);
        for seed in 0..300 {
            let disk = SimDisk::new();
            let file = disk.create("a").unwrap();
            put(&*file, 0, &[1; 2048]).unwrap();
            file.sync_data().unwrap();
            disk.sync_dir().unwrap();
            put(&*file, 0, &[2; 2048]).unwrap();
            disk.cut_power(&mut Chance::new(seed));
            let content = disk.content("a").expect("its name was synced");
            assert_eq!(content.len(), 2048);
            for sector in content.chunks(SECTOR) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "sectors are not torn");
            }
            match content.iter().map(|byte| usize::from(*byte)).sum::<usize>() {
                4096 => whole += 1,
                2048 => dropped += 1,
                _ => torn += 1,
            }
        }
        assert!(whole > 20 && dropped > 20 && torn > 20, "{whole} {dropped} {torn}");
    }

    #[test]
    fn names_are_durable_when_the_directory_is() {
        let survivors = (0..100).filter(|seed| {
            let disk = SimDisk::new();
            disk.create("a").unwrap().sync_data().unwrap();
            disk.cut_power(&mut Chance::new(*seed));
            disk.content("a").is_some()
        });
        assert!((10..90).contains(&survivors.count()));
    }

    #[test]
    fn a_failed_sync_forgets_and_the_next_one_succeeds() {
        let disk = SimDisk::new();
        let file = disk.create("a").unwrap();
        disk.sync_dir().unwrap();
        put(&*file, 0, b"x").unwrap();
        disk.fault(disk.operations() + 1, Fault::Fails(io::ErrorKind::Other));
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(disk.content("a").unwrap(), b"x");
        disk.cut_power(&mut Chance::new(0));
        assert_eq!(disk.content("a").unwrap(), b"");
    }

    #[test]
    fn a_halted_machine_does_nothing_more() {
        let disk = SimDisk::new();
        let file = disk.create("a").unwrap();
        disk.halt_at(disk.operations() + 1);
        assert!(put(&*file, 0, b"x").is_err());
        assert!(put(&*file, 1, b"y").is_err());
        assert_eq!(disk.content("a").unwrap(), b"x", "the first may have happened");
    }
}
