//! What is needed, moved out of files that are mostly of no use, which then go.
//!
//! A fold says what is needed. If the files that are not written to any more are together much
//! larger than that, the emptiest of them are chosen, and what is needed of them is written to new
//! cold files. These are whole and durable, in name and content, before a fold takes the old ones
//! away: at the next checkpoint, if nobody needs anything else of them by then.
//!
//! What may be moved is a part of what was appended, so that moving never takes the disk from
//! appending; it goes in steps, so that the caller can pause between them.

use super::cold::{Cold, Home};
use super::fold::{Live, apart};
use super::owed::OwedMessages;
use super::prepare::{SYNC_EVERY, UNFINISHED};
use super::window::Window;
use super::{Log, locked};
use crate::StoreError;
use crate::disk::{Disk, DiskFile, write_full};
use crate::format::{FileKind, Moved, Position, cold_name, encode_map};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::sync::{Arc, PoisonError};

/// Bytes written at a time.
const CHUNK: usize = 256 * 1024;
/// Bytes of a cold file when few are needed in all.
const COLD_BYTES_MIN: u64 = 256 * 1024;

/// What a step of moving did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compacted {
    /// There is nothing to move.
    Nothing,
    /// Something; there is more to do.
    More,
    /// All that was planned is moved.
    Done,
}

/// A message that is to be moved.
#[derive(Clone, Copy, Debug)]
struct Mover {
    /// Segment and offset that it was appended to.
    place: (u32, u32),
    /// Which of the sources it is read from, and where.
    source: u32,
    offset: u32,
}

/// A file that messages are moved out of.
#[derive(Debug)]
struct Source {
    home: Home,
    file: Arc<dyn DiskFile>,
    /// Where its messages end.
    end: u64,
    /// Messages to be moved.
    left: usize,
    window: Option<Window>,
    /// One of them is not what was written.
    damaged: bool,
}

/// Messages on their way to cold files.
#[derive(Debug)]
pub(super) struct Moving {
    /// In the order in which they were appended.
    messages: Vec<Mover>,
    next: usize,
    sources: Vec<Source>,
    /// Bytes of a cold file, about.
    bytes_max: u64,
    output: Option<Output>,
}

/// A cold file that is being written.
#[derive(Debug)]
struct Output {
    number: u32,
    file: Arc<dyn DiskFile>,
    /// Bytes that are not written yet, and where they go.
    buf: Vec<u8>,
    at: u64,
    /// Bytes up to here are synced.
    synced: u64,
    moved: Vec<Moved>,
}

impl Live {
    /// So much was appended: half of it may be moved.
    pub(super) fn earn(&mut self, appended: u64, segment_bytes_max: u32) {
        let most = (4 * u64::from(segment_bytes_max)).max(self.bytes);
        self.credit = (self.credit + appended / 2).min(most);
    }
}

impl Log {
    /// Plans what is to be moved, if anything; answers how many bytes.
    pub(super) fn plan(
        &self,
        covers: Position,
        (owed, needed): (&OwedMessages, &BTreeMap<Home, u64>),
        live: &mut Live,
    ) -> io::Result<u64> {
        let segment = u64::from(self.options.segment_bytes_max);
        let bytes_max = (live.bytes / 8).max(COLD_BYTES_MIN).min(segment);
        let sealed = self.sealed(covers)?;
        let (chosen, cost) = choose(&sealed, needed, live, bytes_max);
        if chosen.is_empty() {
            return Ok(0);
        }
        let mut sources: Vec<Source> = Vec::new();
        for home in chosen {
            sources.extend(self.source(home)?);
        }
        let mut messages = Vec::new();
        let colds = self.cold.read().unwrap_or_else(PoisonError::into_inner);
        owed.each(&colds, &mut |place, (home, offset), _| {
            // They are in order.
            if let Ok(source) = sources.binary_search_by_key(&home, |source| source.home) {
                sources[source].left += 1;
                messages.push(Mover { place, source: source as u32, offset });
            }
        });
        drop(colds);
        live.credit = live.credit.saturating_sub(cost);
        live.moving = Some(Moving { messages, next: 0, sources, bytes_max, output: None });
        Ok(cost)
    }

    fn source(&self, home: Home) -> io::Result<Option<Source>> {
        let found = match home {
            Home::Segment(number) => {
                let file = self.segment(number);
                file.map(|file| file.size().map(|end| (file, end))).transpose()?
            }
            Home::Cold(number) => {
                let colds = self.cold.read().unwrap_or_else(PoisonError::into_inner);
                colds.get(number).map(|cold| (Arc::clone(&cold.file), cold.end()))
            }
        };
        let source =
            |(file, end)| Source { home, file, end, left: 0, window: None, damaged: false };
        Ok(found.map(source))
    }

    /// Moves about so many bytes of what the last fold has planned.
    ///
    /// # Errors
    /// The disk fails: what was planned stays where it is. The names of files cannot be made
    /// durable: nothing is taken any more.
    pub fn compact(&self, bytes: u64) -> Result<Compacted, StoreError> {
        self.check()?;
        let mut live = locked(&self.live);
        let Some(mut moving) = live.moving.take() else { return Ok(Compacted::Nothing) };
        match self.move_some(&mut moving, bytes) {
            Ok(Compacted::More) => {
                live.moving = Some(moving);
                Ok(Compacted::More)
            }
            Ok(done) => {
                for source in &moving.sources {
                    // As of the last checkpoint, nothing but what was moved was needed.
                    let set = if source.damaged { &mut live.damaged } else { &mut live.dead };
                    set.insert(source.home);
                }
                Ok(done)
            }
            Err(error) => {
                moving.abandon(&*self.disk);
                Err(error)
            }
        }
    }

    fn move_some(&self, moving: &mut Moving, bytes: u64) -> Result<Compacted, StoreError> {
        let mut left = bytes;
        while moving.next < moving.messages.len() {
            if left == 0 {
                return Ok(Compacted::More);
            }
            if moving.output.is_none() {
                moving.output = Some(self.output()?);
            }
            left = left.saturating_sub(moving.step(self.seed)?);
            let full = |output: &Output| output.end() >= moving.bytes_max;
            if moving.output.as_ref().is_some_and(full) {
                self.finish(moving)?;
            }
        }
        self.finish(moving)?;
        Ok(Compacted::Done)
    }

    fn output(&self) -> io::Result<Output> {
        let colds = self.cold.read().unwrap_or_else(PoisonError::into_inner);
        let number = colds.next_number();
        drop(colds);
        let file = self.disk.create(&unfinished(number))?;
        let buf = self.head(FileKind::Cold, u64::from(number)).encode().to_vec();
        Ok(Output { number, file, buf, at: 0, synced: 0, moved: Vec::new() })
    }

    /// Completes a cold file: from here on messages are read from it.
    fn finish(&self, moving: &mut Moving) -> Result<(), StoreError> {
        let Some(output) = &mut moving.output else { return Ok(()) };
        if output.moved.is_empty() {
            // All that was to be moved is damaged.
            moving.abandon(&*self.disk);
            return Ok(());
        }
        let map = encode_map(&output.moved, output.end(), self.seed);
        output.buf.extend_from_slice(&map);
        output.flush()?;
        output.file.sync_data()?;
        let Output { number, file, at: size, moved, .. } = output;
        self.disk.rename(&unfinished(*number), &cold_name(*number))?;
        // Files are removed on the strength of this one: its name is durable or unknown.
        self.disk.sync_dir().map_err(|error| self.fail(error))?;
        moved.iter_mut().for_each(|part| part.offsets.shrink_to_fit());
        let moved = std::mem::take(moved);
        let cold = Arc::new(Cold { file: Arc::clone(file), size: *size, moved });
        let mut colds = self.cold.write().unwrap_or_else(PoisonError::into_inner);
        colds.insert(*number, cold);
        drop(colds);
        moving.output = None;
        Ok(())
    }
}

fn unfinished(number: u32) -> String {
    format!("{}{UNFINISHED}", cold_name(number))
}

/// The emptiest files, until the rest is not much larger than what is needed; and how many bytes
/// of them are to be moved.
fn choose(
    sealed: &BTreeMap<Home, u64>,
    needed: &BTreeMap<Home, u64>,
    live: &Live,
    bytes_max: u64,
) -> (BTreeSet<Home>, u64) {
    let going = |home: &Home| live.dead.contains(home);
    let mut taken: u64 = sealed.iter().filter(|(home, _)| !going(home)).map(|(_, size)| size).sum();
    // What is of no use by the next folds comes on top of that.
    let aim = 2 * live.bytes - 3 * apart(live.bytes);
    let mut files: Vec<(u64, u64, Home)> = Vec::new();
    for (home, size) in sealed {
        if let Some(needed) = needed.get(home).filter(|_| !live.damaged.contains(home)) {
            files.push((*needed, *size, *home));
        }
    }
    let full = |(needed, size, _): &(u64, u64, Home)| needed.saturating_mul(1000) / size.max(&1);
    files.sort_by_key(full);
    let (mut chosen, mut cost) = (BTreeSet::new(), 0);
    for file in &files {
        let (needed, size, home) = *file;
        // Of a file that is mostly needed, moving frees next to nothing.
        if taken <= aim || full(file) > 750 || cost + needed > live.credit {
            break;
        }
        taken -= size.saturating_sub(needed);
        cost += needed;
        chosen.insert(home);
    }
    // Small cold files become one, as long as that is not more work than what is moved anyway.
    let mut small: Vec<(u64, u64, Home)> = files;
    small.retain(|(_, size, home)| matches!(home, Home::Cold(_)) && *size <= bytes_max / 2);
    small.sort_by_key(|(_, size, _)| *size);
    for (needed, size, home) in small {
        if size <= cost && cost + needed <= bytes_max && chosen.insert(home) {
            cost += needed;
        }
    }
    (chosen, cost)
}

impl Moving {
    /// Moves the next message; answers how many bytes that were.
    fn step(&mut self, seed: u32) -> io::Result<u64> {
        let Mover { place, source, offset } = self.messages[self.next];
        self.next += 1;
        let source = &mut self.sources[source as usize];
        let output = self.output.as_mut().expect("a message is moved to a file");
        let mut window = match source.window.take() {
            Some(window) => window,
            None => Window::new(Arc::clone(&source.file))?,
        };
        let before = output.end();
        let at = Position::new(place.0, place.1);
        match window.message((u64::from(offset), source.end), (at, seed))? {
            Some(message) => output.put(place, message)?,
            None => source.damaged = true,
        }
        source.left -= 1;
        // What is read of a file is not kept any longer than needed.
        source.window = Some(window).filter(|_| source.left > 0);
        Ok(output.end() - before)
    }

    /// What was begun goes. If it cannot go now, it goes when the log is opened.
    fn abandon(&mut self, disk: &dyn Disk) {
        if let Some(output) = self.output.take() {
            disk.remove(&unfinished(output.number)).ok();
        }
    }
}

impl Output {
    /// Where the next message goes.
    fn end(&self) -> u64 {
        self.at + self.buf.len() as u64
    }

    fn put(&mut self, (segment, old): (u32, u32), message: &[u8]) -> io::Result<()> {
        let new = u32::try_from(self.end()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        match self.moved.last_mut() {
            Some(part) if part.segment == segment => part.offsets.push((old, new)),
            Some(_) | None => self.moved.push(Moved { segment, offsets: vec![(old, new)] }),
        }
        self.buf.extend_from_slice(message);
        if self.buf.len() >= CHUNK {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        write_full(&*self.file, &mut [IoSlice::new(&self.buf)], self.at)?;
        self.at += self.buf.len() as u64;
        self.buf.clear();
        if self.at - self.synced >= SYNC_EVERY {
            self.file.sync_data()?;
            self.synced = self.at;
        }
        Ok(())
    }
}
