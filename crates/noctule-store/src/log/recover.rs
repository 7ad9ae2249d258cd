//! Where the log ends, after whatever happened to the process and its disk.
//!
//! Frames are followed from the checkpoint on. Where none follows, the log ends; it may be that
//! the last frames were not durable and are there in part, the later ones before the earlier ones.
//! What tells that from damage: each frame says what was durable when it was appended. If one
//! claims more than what is left, something durable is gone, and the log is not opened.
//!
//! What lies behind the end is left where it is. It can never pass for a part of the log: frames
//! appended from here on are of a later epoch, and an earlier one does not follow a later one.

use super::Options;
use super::checkpoint;
use super::cold::ColdFiles;
use super::prepare::{UNFINISHED, Unmade, make};
use super::window::Window;
use crate::StoreError;
use crate::disk::{Disk, DiskFile, read_full, write_full};
use crate::format::{
    CHECKPOINT_PREFIX, COLD_PREFIX, FILE_HEAD, FRAME_HEAD, FileHead, FileKind, FrameHead,
    HeadError, LOG_PREFIX, MAGIC, Position, SPARE_PREFIX, checkpoint_name, cold_name, log_name,
    number_of, seed_of,
};
use noctule_core::Time;
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Bytes rewritten at a time.
const CHUNK: usize = 256 * 1024;

/// The end of a log that was cut because a power cut or a crash had left it in parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Torn {
    /// Name of the file in the store's directory.
    pub file: String,
    /// Where it was cut.
    pub offset: u64,
    /// Bytes behind, in that file, that had been written. None of them was ever acknowledged.
    pub bytes: u64,
}

/// From where to where a replay goes.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// The checkpoint to begin with.
    pub(super) checkpoint: Option<Position>,
    /// Where the log begins behind it.
    pub(super) from: Position,
    /// No frame of an earlier epoch follows there.
    pub(super) epoch: u32,
    /// Where each segment that is followed by another one ends.
    pub(super) ends: BTreeMap<u32, u32>,
    /// Where the log ends.
    pub(super) end: Position,
    /// Time of the last frame.
    pub(super) alive: Option<Time>,
}

/// What there is.
pub(super) struct Found {
    pub(super) identity: [u8; 16],
    pub(super) segments: BTreeMap<u32, Arc<dyn DiskFile>>,
    pub(super) cold: ColdFiles,
    pub(super) start: Start,
    /// Epoch of what is appended from here on.
    pub(super) epoch: u32,
    pub(super) torn: Option<Torn>,
}

/// The files of a store.
#[derive(Default)]
struct Files {
    unfinished: Vec<String>,
    numbers: Vec<u32>,
    cold: Vec<u32>,
    checkpoints: Vec<Position>,
}

fn files(disk: &dyn Disk) -> io::Result<Files> {
    let mut files = Files::default();
    for name in disk.list()? {
        let prefixes = [LOG_PREFIX, CHECKPOINT_PREFIX, COLD_PREFIX];
        let own = prefixes.iter().any(|prefix| name.starts_with(prefix));
        // What a process meant to do with a dead segment is not known: it may have its next name.
        if own && name.ends_with(UNFINISHED) || name.starts_with(SPARE_PREFIX) {
            files.unfinished.push(name);
            continue;
        }
        let number =
            |prefix| number_of(&name, prefix).and_then(|number| u32::try_from(number).ok());
        files.numbers.extend(number(LOG_PREFIX));
        files.cold.extend(number(COLD_PREFIX));
        files.checkpoints.extend(number_of(&name, CHECKPOINT_PREFIX).map(Position));
    }
    files.checkpoints.sort();
    files.numbers.sort_unstable();
    files.cold.sort_unstable();
    Ok(files)
}

/// Finds out, and makes sure of it.
pub(super) fn recover(disk: &dyn Disk, options: &Options) -> Result<Found, StoreError> {
    let files = files(disk)?;
    for name in &files.unfinished {
        disk.remove(name)?;
    }
    let Some((mut found, durable)) = look(disk, &files)? else { return begin(disk, options) };
    make_durable(&found.segments, &found.start, durable)?;
    found.segments = drop_stale(disk, found.segments, found.start.end.segment())?;
    Ok(found)
}

/// Finds out and changes nothing; `None`: there is no store.
pub(super) fn inspect(disk: &dyn Disk) -> Result<Option<Found>, StoreError> {
    Ok(look(disk, &files(disk)?)?.map(|(found, _)| found))
}

/// What there is, and up to where it is known to be durable.
fn look(disk: &dyn Disk, files: &Files) -> Result<Option<(Found, Position)>, StoreError> {
    let Files { numbers, cold, checkpoints, .. } = files;
    if numbers.is_empty() {
        let checkpoint = checkpoints.last().map(|last| checkpoint_name(last.0));
        return match checkpoint.or(cold.last().map(|last| cold_name(*last))) {
            Some(last) => Err(damaged(last, 0, "the log behind it is missing")),
            None => Ok(None),
        };
    }
    let (identity, segments) = open_segments(disk, numbers)?;
    let cold = ColdFiles::open(disk, identity, cold)?;
    let mut start = choose(disk, identity, checkpoints)?;
    whole(&segments, start.from)?;
    let mut scan = Scan::new(&segments, seed_of(&identity), &start);
    let torn = scan.run()?;
    start.end = scan.at;
    start.ends = std::mem::take(&mut scan.ends);
    start.alive = start.alive.max(scan.last.map(|last| Time(last.time)));
    let epoch = scan.epoch_max + 1;
    let durable = scan.last.map_or(start.from, |last| last.durable_before.max(start.from));
    Ok(Some((Found { identity, segments, cold, start, epoch, torn }, durable)))
}

/// Begins a log where there is none.
fn begin(disk: &dyn Disk, options: &Options) -> Result<Found, StoreError> {
    let identity = options.identity.unwrap_or_else(|| {
        let half = || RandomState::new().hash_one(0).to_le_bytes();
        let (mut identity, halves) = ([0; 16], [half(), half()]);
        identity.copy_from_slice(halves.as_flattened());
        identity
    });
    let head = FileHead { kind: FileKind::Log, store: identity, number: 1 };
    let file = make(disk, &head, (options.size_of(1), 0)).map_err(|unmade| match unmade {
        Unmade::Before(error) | Unmade::Names(error) => error,
    })?;
    let at = Position::new(1, FILE_HEAD as u32);
    let start = Start { from: at, end: at, ..Start::default() };
    let (segments, cold) = ([(1, file)].into(), ColdFiles::default());
    Ok(Found { identity, segments, cold, start, epoch: 1, torn: None })
}

type Opened = ([u8; 16], BTreeMap<u32, Arc<dyn DiskFile>>);

/// Opens all segments, which must belong to one store.
fn open_segments(disk: &dyn Disk, numbers: &[u32]) -> Result<Opened, StoreError> {
    let mut segments = BTreeMap::new();
    let mut identity = None;
    for number in numbers {
        let name = log_name(*number);
        let file = disk.open(&name)?;
        let head = read_head(&*file, &name)?;
        if head.kind != FileKind::Log || head.number != u64::from(*number) {
            return Err(damaged(name, 0, "it is not the file that its name says"));
        }
        if *identity.get_or_insert(head.store) != head.store {
            return Err(damaged(name, 0, "it belongs to another store"));
        }
        segments.insert(*number, file);
    }
    Ok((identity.expect("there is a segment"), segments))
}

/// The head of a file.
pub(super) fn read_head(file: &dyn DiskFile, name: &str) -> Result<FileHead, StoreError> {
    let mut bytes = [0; FILE_HEAD];
    read_full(file, &mut bytes, 0)?;
    FileHead::decode(&bytes).map_err(|error| match error {
        HeadError::Damaged => damaged(name.to_owned(), 0, "its head is damaged"),
        HeadError::Version(found) => StoreError::Version { file: name.to_owned(), found },
    })
}

/// The newest checkpoint that is whole. A damaged one does no harm as long as an older one, or the
/// first segment, is there to begin with: `whole` finds out.
fn choose(
    disk: &dyn Disk,
    identity: [u8; 16],
    checkpoints: &[Position],
) -> Result<Start, StoreError> {
    for covers in checkpoints.iter().rev() {
        if let Some((time, epoch)) = checkpoint::verify(disk, identity, *covers)? {
            let (checkpoint, alive) = (Some(*covers), Some(time));
            return Ok(Start { checkpoint, from: *covers, epoch, alive, ..Start::default() });
        }
    }
    Ok(Start { from: Position::new(1, FILE_HEAD as u32), ..Start::default() })
}

/// From the start of a replay on, no segment may be missing.
fn whole(segments: &BTreeMap<u32, Arc<dyn DiskFile>>, from: Position) -> Result<(), StoreError> {
    let last = *segments.last_key_value().expect("there is a segment").0;
    for number in from.segment()..=last.max(from.segment()) {
        if !segments.contains_key(&number) {
            return Err(damaged(log_name(number), 0, "a segment of the log is missing"));
        }
    }
    Ok(())
}

pub(super) fn damaged(file: String, offset: u64, what: &'static str) -> StoreError {
    StoreError::Damaged { file, offset, what }
}

/// Follows the frames.
struct Scan<'s> {
    segments: &'s BTreeMap<u32, Arc<dyn DiskFile>>,
    seed: u32,
    /// Where the next frame would be.
    at: Position,
    /// What it would say of the frame before it.
    previous_end: Option<u32>,
    last: Option<FrameHead>,
    /// That of the last frame: no frame of an earlier one follows.
    epoch: u32,
    epoch_max: u32,
    ends: BTreeMap<u32, u32>,
}

impl<'s> Scan<'s> {
    fn new(segments: &'s BTreeMap<u32, Arc<dyn DiskFile>>, seed: u32, start: &Start) -> Scan<'s> {
        let at = start.from;
        // What lies before the first segment that is read may be gone.
        let previous_end = (at.offset() as usize != FILE_HEAD).then_some(at.offset());
        let (epoch, ends) = (start.epoch, BTreeMap::new());
        Scan { segments, seed, at, previous_end, last: None, epoch, epoch_max: epoch, ends }
    }

    fn window(&self, segment: u32) -> io::Result<Option<Window>> {
        self.segments.get(&segment).map(|file| Window::new(Arc::clone(file))).transpose()
    }

    /// Whether this frame comes next.
    fn follows(&self, head: &FrameHead, frame: &[u8]) -> bool {
        head.epoch >= self.epoch
            && self.previous_end.is_none_or(|end| end == head.previous_end)
            && head.verify(&frame[FRAME_HEAD..], self.seed)
    }

    fn run(&mut self) -> Result<Option<Torn>, StoreError> {
        while let Some(mut window) = self.window(self.at.segment())? {
            while let Some((head, frame)) =
                window.frame(u64::from(self.at.offset()), self.seed, self.at)?
            {
                if !self.follows(&head, frame) {
                    break;
                }
                self.at = head.end();
                self.previous_end = Some(self.at.offset());
                self.epoch = head.epoch;
                self.last = Some(head);
            }
            self.previous_end = Some(self.at.offset());
            let next = self.at.next_segment();
            let Some(mut window) = self.window(next.segment())? else { break };
            match window.frame(FILE_HEAD as u64, self.seed, next)? {
                Some((head, frame)) if self.follows(&head, frame) => {
                    self.ends.insert(self.at.segment(), self.at.offset());
                    self.at = next;
                }
                _ => break,
            }
        }
        self.end()
    }

    /// Nothing follows: the log ends here, unless a later frame knows better.
    fn end(&mut self) -> Result<Option<Torn>, StoreError> {
        self.epoch_max = self.epoch;
        let mut durable = Position::default();
        let mut written = u64::from(self.at.offset());
        for (&number, _) in self.segments.range(self.at.segment()..) {
            let Some(mut window) = self.window(number)? else { continue };
            let here = number == self.at.segment();
            let mut offset = if here { u64::from(self.at.offset()) } else { FILE_HEAD as u64 };
            while let Some((head, next)) = stale(&mut window, self.seed, number, offset)? {
                offset = next;
                self.epoch_max = self.epoch_max.max(head.epoch);
                if head.epoch >= self.epoch {
                    durable = durable.max(head.durable_before);
                    written = written.max(if here { u64::from(head.end().offset()) } else { 0 });
                }
            }
        }
        let begun = self.begun()?;
        if durable > self.at {
            let later = !begun && durable.segment() > self.at.segment();
            let number = self.at.segment() + u32::from(later);
            let offset = if later { FILE_HEAD as u64 } else { u64::from(self.at.offset()) };
            return Err(damaged(log_name(number), offset, "a frame that was durable is not whole"));
        }
        let offset = u64::from(self.at.offset());
        let bytes = (written - offset).max(if begun { FRAME_HEAD as u64 } else { 0 });
        let file = log_name(self.at.segment());
        Ok((bytes > 0).then_some(Torn { file, offset, bytes }))
    }

    /// Whether a frame was begun where the log ends.
    fn begun(&self) -> io::Result<bool> {
        let Some(mut window) = self.window(self.at.segment())? else { return Ok(false) };
        let bytes = window.bytes(u64::from(self.at.offset()), 16)?;
        let own = self.at.0.to_le_bytes();
        Ok(bytes.starts_with(&MAGIC) && bytes.ends_with(&own))
    }
}

/// The next head of a frame at or behind an offset, whatever it belongs to, and where to look on.
pub(super) fn stale(
    window: &mut Window,
    seed: u32,
    segment: u32,
    from: u64,
) -> io::Result<Option<(FrameHead, u64)>> {
    let mut offset = from;
    while offset + FRAME_HEAD as u64 <= window.len() {
        let bytes = window.bytes(offset, CHUNK)?;
        if bytes.len() < FRAME_HEAD {
            return Ok(None);
        }
        let whole = bytes.len() - FRAME_HEAD + 1;
        let found = (0..whole).step_by(8).find_map(|skip| {
            let here = &bytes[skip..];
            let at = Position::new(segment, (offset + skip as u64) as u32);
            let starts = here.starts_with(&MAGIC);
            starts.then(|| FrameHead::read(here, seed, at)).flatten().map(|head| (head, skip))
        });
        if let Some((head, skip)) = found {
            return Ok(Some((head, offset + skip as u64 + 8)));
        }
        offset += whole.next_multiple_of(8) as u64;
    }
    Ok(None)
}

/// Makes sure that the disk has what was found: it may never have left the system's memory. After
/// a failed sync, pages can be there that were never written and pass for clean, so that nothing
/// but writing them again gets them to the disk.
fn make_durable(
    segments: &BTreeMap<u32, Arc<dyn DiskFile>>,
    start: &Start,
    durable: Position,
) -> io::Result<()> {
    let mut buf = Vec::new();
    for (number, file) in segments.range(durable.segment()..=start.end.segment()) {
        let from = if *number == durable.segment() { durable.offset() } else { FILE_HEAD as u32 };
        let end = start.ends.get(number).copied().unwrap_or(start.end.offset());
        let mut at = from;
        while at < end {
            let len = CHUNK.min((end - at) as usize);
            buf.resize(buf.len().max(len), 0);
            let len = read_full(&**file, &mut buf[..len], u64::from(at))?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            write_full(&**file, &mut [IoSlice::new(&buf[..len])], u64::from(at))?;
            at += len as u32;
        }
        file.sync_data()?;
    }
    Ok(())
}

/// Removes segments behind the next one, which is kept as prepared: from the last one down and one
/// by one, so that none is ever missing between others. What an earlier process did to names, and
/// may not have lived to sync, comes before.
fn drop_stale(
    disk: &dyn Disk,
    mut segments: BTreeMap<u32, Arc<dyn DiskFile>>,
    end: u32,
) -> io::Result<BTreeMap<u32, Arc<dyn DiskFile>>> {
    disk.sync_dir()?;
    while let Some(last) = segments.last_entry().filter(|last| *last.key() > end + 1) {
        disk.remove(&log_name(*last.key()))?;
        disk.sync_dir()?;
        last.remove();
    }
    Ok(segments)
}
