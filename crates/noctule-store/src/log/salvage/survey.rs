//! Which files there are, which of them can be used, and with which checkpoint to begin.

use super::Loss;
use super::walk::{Each, Segments};
use crate::StoreError;
use crate::disk::{Disk, DiskFile, read_full};
use crate::format::{
    CHECKPOINT_PREFIX, COLD_PREFIX, FILE_HEAD, FRAME_HEAD, FileHead, FileKind, FrameHead,
    HeadError, Judged, LOG_PREFIX, Position, checkpoint_name, cold_name, judge, log_name,
    number_of, seed_of,
};
use crate::log::checkpoint;
use crate::log::cold::{Cold, ColdFiles};
use crate::log::recover::damaged;
use crate::log::window::Window;
use noctule_core::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// The files of a store, whatever state they are in.
#[derive(Default)]
pub(in crate::log) struct Survey {
    pub(in crate::log) identity: [u8; 16],
    pub(in crate::log) segments: Segments,
    /// Those whose maps can be read.
    pub(in crate::log) cold: ColdFiles,
    /// As checkpoints say, all was durable up to here.
    pub(in crate::log) durable: Position,
    /// What to begin with.
    pub(in crate::log) start: Start,
    /// Files that no broker may see again.
    pub(in crate::log) bad: BTreeSet<String>,
    pub(in crate::log) losses: Vec<Loss>,
}

/// A checkpoint to begin with.
#[derive(Default)]
pub(in crate::log) struct Start {
    /// What it covers; `None`: the log is there from its beginning, or nothing else is.
    pub(in crate::log) checkpoint: Option<Position>,
    pub(in crate::log) from: Position,
    pub(in crate::log) alive: Time,
    pub(in crate::log) epoch: u32,
}

/// A file by its name, and what its head says.
type Headed = (Arc<dyn DiskFile>, Result<FileHead, HeadError>);

impl Survey {
    /// Looks around; `None`: there is no store.
    pub(in crate::log) fn make(disk: &dyn Disk) -> Result<Option<Survey>, StoreError> {
        let mut logs: BTreeMap<u32, Headed> = BTreeMap::new();
        let mut checkpoints: BTreeMap<Position, Headed> = BTreeMap::new();
        let mut colds: BTreeMap<u32, Headed> = BTreeMap::new();
        for name in disk.list()? {
            let number = number_of(&name, LOG_PREFIX).and_then(|it| u32::try_from(it).ok());
            if let Some(number) = number.filter(|number| name == log_name(*number)) {
                logs.insert(number, headed(disk, &name)?);
            } else if let Some(number) = number_of(&name, COLD_PREFIX)
                && let Ok(number) = u32::try_from(number)
                && name == cold_name(number)
            {
                colds.insert(number, headed(disk, &name)?);
            } else if let Some(covers) = number_of(&name, CHECKPOINT_PREFIX)
                && name == checkpoint_name(covers)
            {
                checkpoints.insert(Position(covers), headed(disk, &name)?);
            }
        }
        if logs.is_empty() && checkpoints.is_empty() && colds.is_empty() {
            return Ok(None);
        }
        let heads = logs.values().chain(checkpoints.values()).chain(colds.values());
        let identity = identity(heads)?;
        let mut survey = Survey { identity, ..Survey::default() };
        for (number, (file, head)) in logs {
            let expected = survey.head(FileKind::Log, u64::from(number));
            if survey.takes(&log_name(number), expected, head)? {
                survey.segments.insert(number, file);
            }
        }
        for (number, (file, head)) in colds {
            survey.open_cold(number, file, head)?;
        }
        survey.choose(disk, checkpoints)?;
        Ok(Some(survey))
    }

    /// A file of messages that were moved: without its map nobody knows which they are.
    fn open_cold(
        &mut self,
        number: u32,
        file: Arc<dyn DiskFile>,
        head: Result<FileHead, HeadError>,
    ) -> Result<(), StoreError> {
        let name = cold_name(number);
        let expected = self.head(FileKind::Cold, u64::from(number));
        if !self.takes(&name, expected, head)? {
            return Ok(());
        }
        match Cold::behind_head(file, expected, name.clone()) {
            Ok(cold) => self.cold.insert(number, Arc::new(cold)),
            Err(StoreError::Damaged { file, offset, what }) => {
                self.bad.insert(name);
                let records = Some(0);
                self.losses.push(Loss { file, offset, bytes: 0, frames: 0, records, what });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reads all messages that were moved.
    pub(super) fn verify_cold(&mut self) -> io::Result<()> {
        let seed = seed_of(&self.identity);
        for (number, cold) in self.cold.iter() {
            let name = cold_name(number);
            for offset in cold.damaged(seed)? {
                self.bad.insert(name.clone());
                let (file, records) = (name.clone(), Some(0));
                let what = "there is no whole message";
                self.losses.push(Loss { file, offset, bytes: 0, frames: 0, records, what });
            }
        }
        Ok(())
    }

    fn head(&self, kind: FileKind, number: u64) -> FileHead {
        FileHead { kind, store: self.identity, number }
    }

    /// Whether a file is a part of this store: it is if its head says so, or says nothing.
    fn takes(
        &mut self,
        name: &str,
        expected: FileHead,
        found: Result<FileHead, HeadError>,
    ) -> Result<bool, StoreError> {
        let (takes, bytes, what) = match found {
            Ok(head) if head == expected => return Ok(true),
            Ok(_) => (false, 0, "it is not the file that its name says"),
            Err(HeadError::Damaged) => (true, FILE_HEAD as u64, "its head is damaged"),
            Err(HeadError::Version(found)) => {
                return Err(StoreError::Version { file: name.to_owned(), found });
            }
        };
        self.bad.insert(name.to_owned());
        let (file, records) = (name.to_owned(), Some(0));
        self.losses.push(Loss { file, offset: 0, bytes, frames: 0, records, what });
        Ok(takes)
    }

    /// Chooses the newest checkpoint that is whole: it says all that is said before it, and what is
    /// missing behind it is missing behind older ones too. Without one, the beginning of the log if
    /// all is there that the newest checkpoint stands for, or nothing of that can be read; else
    /// that one, as far as it goes.
    fn choose(
        &mut self,
        disk: &dyn Disk,
        mut checkpoints: BTreeMap<Position, Headed>,
    ) -> Result<(), StoreError> {
        let mut whole = None;
        let mut broken = Vec::new();
        while let Some((covers, (_, head))) = checkpoints.pop_last() {
            let name = checkpoint_name(covers.0);
            if head == Ok(self.head(FileKind::Checkpoint, covers.0)) {
                self.durable = self.durable.max(covers);
            }
            match checkpoint::verify(disk, self.identity, covers)? {
                Some((alive, epoch)) => {
                    let start = Start { checkpoint: Some(covers), from: covers, alive, epoch };
                    whole = whole.or(Some(start));
                }
                None if self.takes(&name, self.head(FileKind::Checkpoint, covers.0), head)? => {
                    self.bad.insert(name);
                    broken.push(covers);
                }
                None => {}
            }
        }
        let first = Position::new(1, FILE_HEAD as u32);
        // What is missing behind it is missing from the beginning too.
        let replaces = |covers: &Position| {
            let end = covers.segment() + u32::from(covers.offset() > first.offset());
            (1..end).all(|number| self.segments.contains_key(&number))
        };
        self.start = match (whole, broken.first()) {
            (Some(start), _) => start,
            (None, Some(newest)) if !replaces(newest) && self.says_something(disk, *newest)? => {
                let (checkpoint, from) = (Some(*newest), *newest);
                Start { checkpoint, from, ..Start::default() }
            }
            (None, _) => Start { from: first, ..Start::default() },
        };
        broken.retain(|covers| self.start.checkpoint != Some(*covers));
        let what = "the checkpoint is not whole; the log is read from an earlier place";
        self.losses.extend(broken.into_iter().map(|covers| {
            let (file, records) = (checkpoint_name(covers.0), Some(0));
            Loss { file, offset: 0, bytes: 0, frames: 0, records, what }
        }));
        Ok(())
    }

    /// Whether a frame of a checkpoint is left.
    fn says_something(&self, disk: &dyn Disk, covers: Position) -> io::Result<bool> {
        let seed = seed_of(&self.identity);
        let mut window = Window::new(disk.open(&checkpoint_name(covers.0))?)?;
        let mut at = next(&mut window, seed, FILE_HEAD as u64)?;
        while at < window.len() {
            let frame = window.frame(at, seed, Position::in_checkpoint(at))?;
            let whole = |(head, frame): (FrameHead, &[u8])| {
                head.body_len > 0 && head.verify(&frame[FRAME_HEAD..], seed)
            };
            if frame.is_some_and(whole) {
                return Ok(true);
            }
            at = next(&mut window, seed, at + 8)?;
        }
        Ok(false)
    }

    /// Gives the frames of the checkpoint that are whole.
    pub(in crate::log) fn checkpoint_frames(
        &mut self,
        disk: &dyn Disk,
        each: &mut Each<'_>,
    ) -> io::Result<()> {
        let Some(covers) = self.start.checkpoint else { return Ok(()) };
        let name = checkpoint_name(covers.0);
        let seed = seed_of(&self.identity);
        let mut window = Window::new(disk.open(&name)?)?;
        let mut at = FILE_HEAD as u64;
        while at < window.len() {
            let (offset, here) = (at, Position::in_checkpoint(at));
            let lost = match window.frame(at, seed, here)? {
                Some((head, frame)) => {
                    self.start.alive = self.start.alive.max(Time(head.time));
                    self.start.epoch = self.start.epoch.max(head.epoch);
                    if head.body_len == 0 {
                        return Ok(());
                    }
                    at += head.frame_len();
                    match judge(&head, &frame[FRAME_HEAD..], seed) {
                        Judged::Whole => each(frame, here, &[]).err().map(|it| (None, it.0)),
                        Judged::Lost(records) => Some((records, "the checksum is wrong")),
                        Judged::But(_) => Some((None, "a checkpoint holds no messages")),
                    }
                }
                None => {
                    at = next(&mut window, seed, at + 8)?;
                    Some((None, "there is no whole frame"))
                }
            };
            if let Some((records, what)) = lost {
                let (bytes, file) = (at - offset, name.clone());
                self.losses.push(Loss { file, offset, bytes, frames: 1, records, what });
            }
        }
        Ok(())
    }
}

fn headed(disk: &dyn Disk, name: &str) -> io::Result<Headed> {
    let file = disk.open(name)?;
    let mut bytes = [0; FILE_HEAD];
    read_full(&*file, &mut bytes, 0)?;
    Ok((file, FileHead::decode(&bytes)))
}

/// The store that most heads speak of.
fn identity<'f>(files: impl Iterator<Item = &'f Headed>) -> Result<[u8; 16], StoreError> {
    let mut votes: BTreeMap<[u8; 16], usize> = BTreeMap::new();
    for head in files.filter_map(|(_, head)| head.as_ref().ok()) {
        *votes.entry(head.store).or_default() += 1;
    }
    let most = votes.into_iter().max_by_key(|(_, count)| *count);
    let none = || damaged(log_name(1), 0, "no head of any file can be read: nothing can be told");
    most.map(|(identity, _)| identity).ok_or_else(none)
}

/// Where the next frame of a checkpoint begins, or the file ends.
fn next(window: &mut Window, seed: u32, from: u64) -> io::Result<u64> {
    let mut at = from;
    while at < window.len() {
        if FrameHead::read(window.bytes(at, FRAME_HEAD)?, seed, Position::in_checkpoint(at))
            .is_some()
        {
            return Ok(at);
        }
        at += 8;
    }
    Ok(window.len())
}
