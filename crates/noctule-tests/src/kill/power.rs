//! The power cut: what no completed sync covers is undone, kept, or torn.
//!
//! What a disk holds after a cut is, sector by sector, any version that the file had there since
//! its last sync; and, name by name, any that its directory had. So the journal is walked from its
//! end: a change that is to be kept pins its sectors (its names) as they are now, and a change that
//! is to be undone restores those that nothing newer has pinned.

use super::journal::{Before, Entry};
use crate::sim::Chance;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// The unit that a disk writes whole.
const SECTOR: u64 = 512;

/// How a cut chooses among what no sync covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Nothing of it reached the disk.
    Lose,
    /// The disk stopped at an entry: what came later is lost.
    Late(usize),
    /// Each change by itself, so many in a hundred kept.
    Scatter(u32),
    /// Only what came at or behind an entry is in doubt.
    TornEnd(usize),
    /// Everything is undone, covered or not: the files are again as when the journal began.
    Rewind,
}

impl Style {
    /// One of them, for a journal of so many entries.
    pub(super) fn draw(chance: &mut Chance, entries: usize) -> Style {
        let near = |chance: &mut Chance| {
            let back = chance.between(1, 40) as usize;
            entries.saturating_sub(back)
        };
        match chance.below(6) {
            0 | 1 => Style::Lose,
            2 => Style::Late(near(chance)),
            3 => Style::TornEnd(near(chance)),
            4 => Style::Scatter(chance.pick(&[10, 50, 90])),
            _ => Style::Late(chance.below(entries + 1)),
        }
    }
}

/// What a cut did to the changes that no sync covered.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Toll {
    kept: usize,
    torn: usize,
    undone: usize,
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} undone, {} torn, {} kept", self.undone, self.torn, self.kept)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Keep,
    Torn,
    Undo,
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    Directory,
    File(u64),
}

/// Plays a power cut in the directory `data`, by the journal's entries; `side` holds the files that
/// lost their names.
pub(super) fn cut(
    data: &Path,
    side: &Path,
    entries: &[Entry],
    style: Style,
    chance: &mut Chance,
) -> Result<Toll> {
    let names = scan(data)?;
    let mut cut = Cut {
        covered: covered(entries),
        directories: directories(data, &names, entries)?,
        files: open(data, side, &names, entries)?,
        names: names.clone(),
        pinned: BTreeSet::new(),
        style,
        chance,
        toll: Toll::default(),
    };
    for (at, entry) in entries.iter().enumerate().rev() {
        if happened(data, entries, at) {
            cut.step(at, entry)?;
        }
    }
    for (_, state) in std::mem::take(&mut cut.files) {
        state.file.set_len(state.size)?;
    }
    rename(data, side, &names, &cut.names)?;
    Ok(cut.toll)
}

struct Cut<'a> {
    /// Entries before this number are covered by a sync of the inode.
    covered: HashMap<u64, usize>,
    directories: HashMap<String, u64>,
    files: BTreeMap<u64, State>,
    /// The names, as they are undone.
    names: BTreeMap<String, Node>,
    /// Names that something newer has settled.
    pinned: BTreeSet<String>,
    style: Style,
    chance: &'a mut Chance,
    toll: Toll,
}

/// What restores the bytes of a range, and the size where that was another.
struct Patch<'a> {
    inode: u64,
    from: u64,
    to: u64,
    size: Option<u64>,
    before: &'a Before,
}

/// A file while it is undone.
struct State {
    file: File,
    size: u64,
    size_pinned: bool,
    /// A flag for each sector.
    pinned: Vec<bool>,
}

impl Cut<'_> {
    fn step(&mut self, at: usize, entry: &Entry) -> Result<()> {
        match entry {
            Entry::Started | Entry::Failed | Entry::Named { .. } | Entry::Sync { .. } => {}
            Entry::Write { inode, at: from, len, size, before } => {
                let end = from + len;
                if *len > 0 && !self.is_covered(at, *inode) {
                    let size = (*size < end).then_some(*size);
                    let (inode, from) = (*inode, *from);
                    self.bytes(at, &Patch { inode, from, to: end, size, before })?;
                }
            }
            Entry::Resize { inode, from, to, before } => {
                if from != to && !self.is_covered(at, *inode) {
                    let (inode, size, end) = (*inode, Some(*from), *from.max(to));
                    self.bytes(at, &Patch { inode, from: *to, to: end, size, before })?;
                }
            }
            Entry::Create { path } | Entry::Link { path } => self.name(at, &[(path, None)]),
            Entry::Mkdir { path } => {
                let below = format!("{path}/");
                if self.names.keys().any(|name| name.starts_with(&below)) {
                    self.pinned.insert(path.clone());
                }
                self.name(at, &[(path, None)]);
            }
            Entry::Rmdir { path } => self.name(at, &[(path, Some(Node::Directory))]),
            Entry::Unlink { path, inode } => self.name(at, &[(path, Some(Node::File(*inode)))]),
            Entry::Rename { from, to, inode, displaced } => {
                let (moved, displaced) = (Some(Node::File(*inode)), displaced.map(Node::File));
                self.name(at, &[(to, displaced), (from, moved)]);
            }
        }
        Ok(())
    }

    fn is_covered(&self, at: usize, inode: u64) -> bool {
        self.style != Style::Rewind && self.covered.get(&inode).is_some_and(|until| at < *until)
    }

    fn fate(&mut self, at: usize) -> Fate {
        let fate = match self.style {
            Style::Lose | Style::Rewind => Fate::Undo,
            Style::Late(from) if at >= from => Fate::Undo,
            Style::TornEnd(from) if at >= from => match self.chance.below(3) {
                0 => Fate::Keep,
                1 => Fate::Torn,
                _ => Fate::Undo,
            },
            Style::Late(_) | Style::TornEnd(_) => Fate::Keep,
            Style::Scatter(kept) if self.chance.percent(kept) => Fate::Keep,
            Style::Scatter(_) if self.chance.percent(30) => Fate::Torn,
            Style::Scatter(_) => Fate::Undo,
        };
        match fate {
            Fate::Keep => self.toll.kept += 1,
            Fate::Torn => self.toll.torn += 1,
            Fate::Undo => self.toll.undone += 1,
        }
        fate
    }

    /// A change of bytes.
    fn bytes(&mut self, at: usize, patch: &Patch<'_>) -> Result<()> {
        let Patch { inode, from, to, size, before } = *patch;
        if !self.files.contains_key(&inode) {
            return Ok(());
        }
        let fate = self.fate(at);
        // The size may reach the disk before the bytes do: then there are zeros.
        let loses_size = match self.style {
            Style::Scatter(_) | Style::TornEnd(_) => self.chance.percent(75),
            _ => true,
        };
        let state = self.files.get_mut(&inode).expect("looked up above");
        if let Some(size) = size {
            state.size_pinned |= fate != Fate::Undo || !loses_size;
            if !state.size_pinned {
                state.size = size;
            }
        }
        let mut run: Option<(u64, Vec<u8>)> = None;
        for sector in from / SECTOR..to.div_ceil(SECTOR) {
            let kept = match fate {
                Fate::Keep => true,
                Fate::Torn => self.chance.percent(50),
                Fate::Undo => false,
            };
            if state.is_pinned(sector) || kept {
                state.pin(sector);
                state.write(run.take())?;
                continue;
            }
            let (start, end) = (from.max(sector * SECTOR), to.min((sector + 1) * SECTOR));
            let (_, bytes) = run.get_or_insert_with(|| (start, Vec::new()));
            bytes.extend((start..end).map(|byte| before.byte((byte - from) as usize)));
        }
        state.write(run)
    }

    /// A change of names, each with what it stood for before.
    fn name(&mut self, at: usize, before: &[(&String, Option<Node>)]) {
        let covered = before.iter().any(|(path, _)| {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            let inode = self.directories.get(directory).copied();
            inode.is_some_and(|inode| self.is_covered(at, inode))
        });
        let fate = if covered { Fate::Keep } else { self.fate(at) };
        let undo = match fate {
            Fate::Keep => false,
            Fate::Torn => self.chance.percent(50),
            Fate::Undo => true,
        };
        let free = before.iter().all(|(path, _)| !self.pinned.contains(*path));
        for (path, node) in before {
            if !undo || !free {
                self.pinned.insert((*path).clone());
                continue;
            }
            match node {
                Some(node) => self.names.insert((*path).clone(), *node),
                None => self.names.remove(*path),
            };
        }
    }
}

impl State {
    fn is_pinned(&self, sector: u64) -> bool {
        self.pinned.get(sector as usize).copied().unwrap_or(false)
    }

    fn pin(&mut self, sector: u64) {
        let sector = sector as usize;
        if self.pinned.len() <= sector {
            self.pinned.resize(sector + 1, false);
        }
        self.pinned[sector] = true;
    }

    fn write(&self, run: Option<(u64, Vec<u8>)>) -> Result<()> {
        if let Some((at, bytes)) = run {
            self.file.write_all_at(&bytes, at)?;
        }
        Ok(())
    }
}

/// All names below a directory.
fn scan(data: &Path) -> Result<BTreeMap<String, Node>> {
    let mut names = BTreeMap::new();
    let mut open = vec![String::new()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(data.join(&directory))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { bail!("a name is no text") };
            let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                open.push(path.clone());
                names.insert(path, Node::Directory);
            } else {
                names.insert(path, Node::File(metadata.ino()));
            }
        }
    }
    Ok(names)
}

fn covered(entries: &[Entry]) -> HashMap<u64, usize> {
    let mut covered = HashMap::new();
    for entry in entries {
        if let Entry::Sync { inode, covers } = entry {
            let until = covered.entry(*inode).or_default();
            *until = (*covers).max(*until);
        }
    }
    covered
}

/// The inodes of directories by their names. One that came, went, and came again has the last.
fn directories(
    data: &Path,
    names: &BTreeMap<String, Node>,
    entries: &[Entry],
) -> Result<HashMap<String, u64>> {
    let mut directories = HashMap::new();
    for entry in entries {
        if let Entry::Named { inode, path } = entry {
            directories.insert(path.clone(), *inode);
        }
    }
    let there = names.iter().filter(|(_, node)| **node == Node::Directory).map(|(name, _)| name);
    for path in there.chain([&String::new()]) {
        directories.insert(path.clone(), data.join(path).metadata()?.ino());
    }
    Ok(directories)
}

/// Opens every file of the journal, and gives each a name in `side` that it keeps.
fn open(
    data: &Path,
    side: &Path,
    names: &BTreeMap<String, Node>,
    entries: &[Entry],
) -> Result<BTreeMap<u64, State>> {
    for (path, node) in names {
        let Node::File(inode) = node else { continue };
        let kept = side.join(inode.to_string());
        if !kept.exists() {
            std::fs::hard_link(data.join(path), &kept)?;
        }
    }
    let mut files = BTreeMap::new();
    for entry in entries {
        let (Entry::Write { inode, .. } | Entry::Resize { inode, .. }) = entry else { continue };
        let path = side.join(inode.to_string());
        if files.contains_key(inode) {
            continue;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.with_context(|| format!("inode {inode} of {entry:?} is nowhere"))?;
        let size = file.metadata()?.len();
        files.insert(*inode, State { file, size, size_pinned: false, pinned: Vec::new() });
    }
    Ok(files)
}

/// Whether a change of names took place: the last of a process that died may not have, and one that
/// the kernel refused did not.
fn happened(data: &Path, entries: &[Entry], at: usize) -> bool {
    let there = |path: &str| data.join(path).symlink_metadata().is_ok();
    match entries.get(at + 1) {
        Some(Entry::Failed) => false,
        Some(Entry::Started) | None => match &entries[at] {
            // The directory may have changed since, if a later process went on. Then such a name
            // is at worst pinned where it is.
            Entry::Create { path } | Entry::Link { path } | Entry::Mkdir { path } => there(path),
            Entry::Unlink { path, .. } | Entry::Rmdir { path } => !there(path),
            Entry::Rename { from, .. } => !there(from),
            _ => true,
        },
        Some(_) => true,
    }
}

/// Changes the names of a directory from what they are to what they are to be.
fn rename(
    data: &Path,
    side: &Path,
    now: &BTreeMap<String, Node>,
    then: &BTreeMap<String, Node>,
) -> Result<()> {
    // Deepest first away, and shallowest first back.
    for (path, node) in now.iter().rev() {
        let full = data.join(path);
        match node {
            _ if then.get(path) == Some(node) => {}
            Node::Directory => std::fs::remove_dir(full)?,
            Node::File(_) => std::fs::remove_file(full)?,
        }
    }
    for (path, node) in then {
        let full = data.join(path);
        match node {
            _ if now.get(path) == Some(node) => {}
            Node::Directory => std::fs::create_dir(full)?,
            Node::File(inode) => std::fs::hard_link(side.join(inode.to_string()), full)?,
        }
    }
    Ok(())
}
