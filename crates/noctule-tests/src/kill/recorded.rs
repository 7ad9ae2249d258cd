//! A directory whose changes are recorded, from one power cut to the next.

use super::journal::{self, Entry};
use super::power::{self, Style, Toll};
use crate::process::target_directory;
use crate::sim::Chance;
use anyhow::{Context, Result, bail, ensure};
use noctule_store::disk::OsDisk;
use noctule_store::log::{Log, Options};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a recorder is told besides where to write.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Orders {
    /// Syncs do nothing and answer well.
    pub lie: bool,
    /// The process ends behind so many entries.
    pub die_at: Option<u64>,
}

/// A directory, the journal of what was done to it, and what lost its name there.
#[derive(Debug)]
pub struct Recorded {
    home: PathBuf,
    /// What the directory held when the journal began.
    origin: Image,
}

/// The files of a directory by their names, and `None` for directories.
pub type Image = BTreeMap<String, Option<Vec<u8>>>;

impl Recorded {
    /// An empty directory within `home`.
    pub fn new(home: &Path) -> Result<Recorded> {
        let recorded = Recorded { home: home.to_owned(), origin: Image::new() };
        std::fs::create_dir_all(recorded.data())?;
        recorded.fresh_journal()?;
        Ok(recorded)
    }

    /// The directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn side(&self) -> PathBuf {
        self.home.join("side")
    }

    fn journal(&self) -> PathBuf {
        self.home.join("journal")
    }

    fn fresh_journal(&self) -> Result<()> {
        if self.side().exists() {
            std::fs::remove_dir_all(self.side())?;
        }
        std::fs::create_dir(self.side())?;
        std::fs::write(self.journal(), [])?;
        Ok(())
    }

    /// The environment in which a process is recorded.
    pub fn environment(&self, orders: Orders) -> Result<Vec<(&'static str, OsString)>> {
        let mut environment = vec![
            ("LD_PRELOAD", recorder()?.into_os_string()),
            ("NOCTULE_RECORD_DATA", self.data().into_os_string()),
            ("NOCTULE_RECORD_SIDE", self.side().into_os_string()),
            ("NOCTULE_RECORD_JOURNAL", self.journal().into_os_string()),
        ];
        if orders.lie {
            environment.push(("NOCTULE_RECORD_LIE", "1".into()));
        }
        if let Some(at) = orders.die_at {
            environment.push(("NOCTULE_RECORD_DIE_AT", at.to_string().into()));
        }
        Ok(environment)
    }

    /// The processes so far have ended. Answers how many entries the last of them made.
    pub fn ended(&self) -> Result<usize> {
        let entries = journal::read(&self.journal())?;
        let last = entries.iter().rposition(|entry| *entry == Entry::Started);
        Ok(entries.len() - last.unwrap_or(0))
    }

    /// Plays a power cut as the seed has it; the directory is then what a disk would hold.
    pub fn cut(&mut self, seed: u64) -> Result<(Style, Toll)> {
        let entries = journal::read(&self.journal())?;
        let style = Style::draw(&mut Chance::new(seed), entries.len());
        Ok((style, self.cut_by(style, seed)?))
    }

    /// The same in a given style.
    pub fn cut_by(&mut self, style: Style, seed: u64) -> Result<Toll> {
        let entries = journal::read(&self.journal())?;
        let toll = power::cut(&self.data(), &self.side(), &entries, style, &mut Chance::new(seed))?;
        self.fresh_journal()?;
        self.origin = image(&self.data())?;
        Ok(toll)
    }

    /// What was left is folded into a checkpoint, as a broker does that has much more of it. The
    /// journal begins anew.
    pub fn fold(&mut self) -> Result<()> {
        let disk = OsDisk::new(&self.data())?;
        let log = Log::open(Arc::new(disk), Options::default(), Vec::new())?;
        log.fold()?;
        drop(log);
        self.fresh_journal()?;
        self.origin = image(&self.data())?;
        Ok(())
    }

    /// Undoes everything, in a copy, and compares with what was there when the journal began: were
    /// there a change that the recorder did not see, it would be left.
    pub fn prove(&self) -> Result<()> {
        let entries = journal::read(&self.journal())?;
        let copy = self.home.join("copy");
        if copy.exists() {
            std::fs::remove_dir_all(&copy)?;
        }
        let (data, side) = (copy.join("data"), copy.join("side"));
        let entries = copy_to(&self.data(), &self.side(), &data, &side, entries)?;
        power::cut(&data, &side, &entries, Style::Rewind, &mut Chance::new(0))?;
        let rewound = image(&data)?;
        std::fs::remove_dir_all(&copy)?;
        let names = |image: &Image| image.keys().cloned().collect::<Vec<_>>();
        let (found, expected) = (names(&rewound), names(&self.origin));
        ensure!(found == expected, "the recorder missed names: {found:?}, before {expected:?}");
        for (path, before) in &self.origin {
            if rewound[path] != *before {
                bail!("the recorder missed a change of {path}: {}", differ(&rewound[path], before));
            }
        }
        Ok(())
    }
}

/// Where two files begin to differ.
fn differ(found: &Option<Vec<u8>>, expected: &Option<Vec<u8>>) -> String {
    let (Some(found), Some(expected)) = (found, expected) else { return "a directory".into() };
    let at = found.iter().zip(expected).position(|(found, expected)| found != expected);
    format!("{} bytes, before {}, other bytes from {at:?} on", found.len(), expected.len())
}

/// What a directory holds.
pub fn image(data: &Path) -> Result<Image> {
    let mut image = Image::new();
    let mut open = vec![data.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            let name = path.strip_prefix(data)?.to_str().context("a name is no text")?.to_owned();
            if path.is_dir() {
                image.insert(name, None);
                open.push(path);
            } else {
                image.insert(name, Some(std::fs::read(path)?));
            }
        }
    }
    Ok(image)
}

/// Copies a directory and its side, and renumbers the entries: copies are other inodes.
fn copy_to(
    from: &Path,
    from_side: &Path,
    to: &Path,
    to_side: &Path,
    mut entries: Vec<Entry>,
) -> Result<Vec<Entry>> {
    use std::os::unix::fs::MetadataExt;
    let mut inodes = BTreeMap::new();
    std::fs::create_dir_all(to)?;
    std::fs::create_dir_all(to_side)?;
    for (path, bytes) in image(from)? {
        let (old, new) = (from.join(&path), to.join(&path));
        // Directories come before what they hold.
        match bytes {
            None => std::fs::create_dir(&new)?,
            Some(_) => {
                let inode = old.metadata()?.ino();
                match inodes.get(&inode) {
                    Some(other) => std::fs::hard_link(to_side.join(u64::to_string(other)), &new)?,
                    None => {
                        std::fs::copy(&old, &new)?;
                        let copied = new.metadata()?.ino();
                        inodes.insert(inode, copied);
                        std::fs::hard_link(&new, to_side.join(copied.to_string()))?;
                    }
                }
            }
        }
    }
    for entry in std::fs::read_dir(from_side)? {
        let entry = entry?;
        let inode = entry.metadata()?.ino();
        if inodes.contains_key(&inode) {
            continue;
        }
        let fresh = to_side.join("fresh");
        std::fs::copy(entry.path(), &fresh)?;
        let copied = fresh.metadata()?.ino();
        std::fs::rename(fresh, to_side.join(copied.to_string()))?;
        inodes.insert(inode, copied);
    }
    let new = |inode: &mut u64| *inode = inodes.get(inode).copied().unwrap_or(*inode);
    for entry in &mut entries {
        match entry {
            Entry::Write { inode, .. }
            | Entry::Resize { inode, .. }
            | Entry::Unlink { inode, .. } => new(inode),
            Entry::Rename { inode, displaced, .. } => {
                new(inode);
                displaced.iter_mut().for_each(new);
            }
            _ => {}
        }
    }
    Ok(entries)
}

/// The recorder's newest build.
fn recorder() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("NOCTULE_RECORDER") {
        return Ok(path.into());
    }
    let builds = ["release", "test-fast", "debug"]
        .map(|profile| target_directory().join(profile).join("libnoctule_recorder.so"));
    let newest = builds
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max_by_key(|(built, _)| *built);
    let (_, path) = newest.context("no recorder: run `cargo build -p noctule-recorder` first")?;
    Ok(path.canonicalize()?)
}
