//! Where messages lie: in the segment that they were appended to, or in a cold file.
//!
//! The place of a message is its name for good: the segment and the offset of its first home. What
//! is moved into a cold file is found there by the file's map. A message may have several homes for
//! a while, each as good as the other, because its bytes never change: the newest is asked first.

use super::Log;
use super::recover::{damaged, read_head};
use super::window::Window;
use crate::StoreError;
use crate::disk::{Disk, DiskFile, read_full};
use crate::format::{
    COLD_ENTRY, COLD_TAIL, FILE_HEAD, FileHead, FileKind, Moved, Position, cold_name, decode_map,
    log_name, map_len,
};
use noctule_core::identity::Place;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, PoisonError};

/// A file that messages lie in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Home {
    /// The segment that they were appended to.
    Segment(u32),
    /// A file that they were moved to.
    Cold(u32),
}

/// A file of messages that were moved.
#[derive(Debug)]
pub(super) struct Cold {
    pub(super) file: Arc<dyn DiskFile>,
    /// Bytes of it.
    pub(super) size: u64,
    /// What lies in it, by segment.
    pub(super) moved: Vec<Moved>,
}

/// All cold files.
#[derive(Clone, Debug, Default)]
pub(super) struct ColdFiles {
    files: BTreeMap<u32, Arc<Cold>>,
    /// Files that have messages of a segment, and which of their parts it is; the newest last.
    homes: BTreeMap<u32, Vec<(u32, usize)>>,
}

impl ColdFiles {
    /// Opens them: each is whole, or damaged.
    pub(super) fn open(
        disk: &dyn Disk,
        identity: [u8; 16],
        numbers: &[u32],
    ) -> Result<ColdFiles, StoreError> {
        let mut all = ColdFiles::default();
        for number in numbers {
            all.insert(*number, Arc::new(Cold::open(disk, identity, *number)?));
        }
        Ok(all)
    }

    pub(super) fn insert(&mut self, number: u32, cold: Arc<Cold>) {
        for (part, moved) in cold.moved.iter().enumerate() {
            let homes = self.homes.entry(moved.segment).or_default();
            homes.push((number, part));
            homes.sort_unstable();
        }
        self.files.insert(number, cold);
    }

    pub(super) fn remove(&mut self, number: u32) {
        let Some(cold) = self.files.remove(&number) else { return };
        for moved in &cold.moved {
            if let Some(homes) = self.homes.get_mut(&moved.segment) {
                homes.retain(|(file, _)| *file != number);
                if homes.is_empty() {
                    self.homes.remove(&moved.segment);
                }
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Arc<Cold>)> {
        self.files.iter().map(|(number, cold)| (*number, cold))
    }

    pub(super) fn get(&self, number: u32) -> Option<&Arc<Cold>> {
        self.files.get(&number)
    }

    /// A number that no file has.
    pub(super) fn next_number(&self) -> u32 {
        self.files.last_key_value().map_or(1, |(number, _)| number + 1)
    }

    /// The last segment that messages were moved out of.
    pub(super) fn last_segment(&self) -> Option<u32> {
        self.homes.last_key_value().map(|(segment, _)| *segment)
    }

    /// Files with messages of a segment, the newest first.
    pub(super) fn of_segment(
        &self,
        segment: u32,
    ) -> impl Iterator<Item = (u32, &Arc<Cold>, &Moved)> {
        let homes = self.homes.get(&segment).map_or(&[][..], |homes| homes);
        homes.iter().rev().map(|(number, part)| {
            let cold = &self.files[number];
            (*number, cold, &cold.moved[*part])
        })
    }
}

impl Cold {
    fn open(disk: &dyn Disk, identity: [u8; 16], number: u32) -> Result<Cold, StoreError> {
        let name = cold_name(number);
        let file = disk.open(&name)?;
        let head = FileHead { kind: FileKind::Cold, store: identity, number: u64::from(number) };
        if read_head(&*file, &name)? != head {
            return Err(damaged(name, 0, "it is not the file that its name says"));
        }
        Cold::behind_head(file, head, name)
    }

    /// The same where its head was read, or cannot be.
    pub(super) fn behind_head(
        file: Arc<dyn DiskFile>,
        head: FileHead,
        name: String,
    ) -> Result<Cold, StoreError> {
        let size = file.size()?;
        let tail_at = size.saturating_sub(COLD_TAIL as u64);
        let mut tail = [0; COLD_TAIL];
        read_full(&*file, &mut tail, tail_at)?;
        let len = map_len(&tail, size).filter(|len| FILE_HEAD as u64 + len <= tail_at);
        let len = len.ok_or_else(|| damaged(name.clone(), tail_at, "its end is damaged"))?;
        let mut map = vec![0; len as usize + COLD_TAIL];
        read_full(&*file, &mut map, tail_at - len)?;
        let moved = decode_map(&map, head.seed());
        let moved = moved.ok_or_else(|| damaged(name, tail_at - len, "its map is damaged"))?;
        Ok(Cold { file, size, moved })
    }

    /// Where messages lie that are not what was moved.
    pub(super) fn damaged(&self, seed: u32) -> io::Result<Vec<u64>> {
        let mut window = Window::new(Arc::clone(&self.file))?;
        let mut messages = BTreeSet::new();
        for Moved { segment, offsets } in &self.moved {
            let lies = |(old, new): &(u32, u32)| (u64::from(*new), Position::new(*segment, *old));
            messages.extend(offsets.iter().map(lies));
        }
        let mut damaged = Vec::new();
        for (offset, at) in messages {
            if window.message((offset, self.end()), (at, seed))?.is_none() {
                damaged.push(offset);
            }
        }
        Ok(damaged)
    }

    /// Where its messages end.
    pub(super) fn end(&self) -> u64 {
        let part = |moved: &Moved| (1 + moved.offsets.len() as u64) * COLD_ENTRY;
        self.size - COLD_TAIL as u64 - self.moved.iter().map(part).sum::<u64>()
    }
}

/// One of the files that a message lies in, and where.
pub(super) struct Lies {
    pub(super) home: Home,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) offset: u32,
}

impl Home {
    /// Name of the file.
    pub(super) fn name(self) -> String {
        match self {
            Home::Segment(number) => log_name(number),
            Home::Cold(number) => cold_name(number),
        }
    }
}

/// Where messages of a segment lie.
pub(super) struct Located {
    /// Files that any of them lies in.
    pub(super) files: Vec<Arc<dyn DiskFile>>,
    /// Of each message: which file and where; `None`: it is gone.
    pub(super) lies: Vec<Option<(usize, u32)>>,
}

impl Log {
    /// Finds written messages of one segment.
    pub(super) fn locate(&self, places: &[Place]) -> Located {
        let Some(first) = places.first() else {
            return Located { files: Vec::new(), lies: Vec::new() };
        };
        let segment = Position::of_place(*first).segment();
        let own = self.segment(segment);
        let colds = self.cold.read().unwrap_or_else(PoisonError::into_inner);
        let homes: Vec<_> = colds.of_segment(segment).collect();
        let lies = places.iter().map(|place| {
            let old = Position::of_place(*place).offset();
            let moved = homes
                .iter()
                .enumerate()
                .find_map(|(file, (_, _, moved))| moved.find(old).map(|new| (file, new)));
            moved.or(own.as_ref().map(|_| (homes.len(), old)))
        });
        let lies = lies.collect();
        let mut files: Vec<_> = homes.iter().map(|(_, cold, _)| Arc::clone(&cold.file)).collect();
        files.extend(own);
        Located { files, lies }
    }

    /// All files that a written message may lie in, the newest first, which it is read from.
    pub(super) fn homes(&self, place: Place) -> Vec<Lies> {
        let at = Position::of_place(place);
        let colds = self.cold.read().unwrap_or_else(PoisonError::into_inner);
        let moved = colds.of_segment(at.segment()).filter_map(|(number, cold, moved)| {
            let (file, home) = (Arc::clone(&cold.file), Home::Cold(number));
            moved.find(at.offset()).map(|offset| Lies { home, file, offset })
        });
        let mut homes: Vec<Lies> = moved.collect();
        let home = Home::Segment(at.segment());
        let own = self.segment(at.segment());
        homes.extend(own.map(|file| Lies { home, file, offset: at.offset() }));
        homes
    }

    /// Segments that messages are read from which are kept at these places.
    pub(crate) fn segments_of(&self, places: impl Iterator<Item = Place>) -> BTreeSet<u32> {
        let colds = self.cold.read().unwrap_or_else(PoisonError::into_inner);
        let is_moved = |at: &Position| {
            colds.of_segment(at.segment()).any(|(_, _, moved)| moved.find(at.offset()).is_some())
        };
        let lie = places.map(Position::of_place).filter(|at| !is_moved(at));
        lie.map(Position::segment).collect()
    }

    /// How many cold files there are.
    pub(crate) fn cold_files(&self) -> u64 {
        let colds = self.cold.read().unwrap_or_else(PoisonError::into_inner);
        colds.iter().count() as u64
    }

    /// Bytes that cold files take on the disk.
    pub(super) fn cold_bytes(&self) -> u64 {
        let colds = self.cold.read().unwrap_or_else(PoisonError::into_inner);
        colds.iter().map(|(_, cold)| cold.size).sum()
    }

    /// Takes away a cold file of which nothing is needed. Who reads it has it until then.
    pub(super) fn remove_cold(&self, number: u32) -> io::Result<()> {
        let mut colds = self.cold.write().unwrap_or_else(PoisonError::into_inner);
        colds.remove(number);
        drop(colds);
        self.disk.remove(&cold_name(number))
    }
}
