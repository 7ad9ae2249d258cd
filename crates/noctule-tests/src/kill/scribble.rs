//! A program that changes files as seeds have it, and a model of what a disk may then hold: what
//! the recorder and the power cut are tested with.

use super::recorded::Image;
use crate::sim::Chance;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Names in the directory, and in one within it.
const NAMES: [&str; 6] = ["a", "b", "c", "sub/d", "sub/e", "sub/f"];
const DIRECTORIES: [&str; 2] = ["", "sub"];
const SIZE_MAX: u64 = 6000;

/// One change, or sync.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Deed {
    Mkdir,
    Create(&'static str),
    Write { name: &'static str, at: u64, bytes: Vec<u8>, way: Way },
    Resize(&'static str, u64),
    Truncate(&'static str),
    Rename(&'static str, &'static str),
    Unlink(&'static str),
    Sync(&'static str),
    SyncDirectory(&'static str),
}

/// By which call bytes are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    At,
    Append,
    Vectored,
}

/// What the files hold, and what the disk holds for certain.
#[derive(Default, Debug)]
pub struct Model {
    deeds: usize,
    live: BTreeMap<&'static str, usize>,
    synced: BTreeMap<&'static str, usize>,
    files: Vec<Versions>,
}

/// The contents of a file since its last sync, the synced one first.
#[derive(Debug)]
struct Versions(Vec<Vec<u8>>);

impl Versions {
    fn last(&self) -> &Vec<u8> {
        self.0.last().expect("a file has at least the content that it was created with")
    }
}

impl Model {
    /// The next deed, which the model has then done. Without `names`, names stay as they are once
    /// all are there.
    fn next(&mut self, chance: &mut Chance, names: bool) -> Deed {
        self.deeds += 1;
        let deed = match self.deeds {
            1 => Deed::Mkdir,
            2 => Deed::SyncDirectory(""),
            3..=8 => Deed::Create(NAMES[self.deeds - 3]),
            9 => Deed::SyncDirectory(""),
            10 => Deed::SyncDirectory("sub"),
            _ => self.draw(chance, names),
        };
        self.apply(&deed);
        deed
    }

    fn draw(&self, chance: &mut Chance, names: bool) -> Deed {
        let name = chance.pick(&NAMES);
        if !self.live.contains_key(name) {
            return Deed::Create(name);
        }
        let half = if NAMES[..3].contains(&name) { &NAMES[..3] } else { &NAMES[3..] };
        match chance.below(if names { 20 } else { 15 }) {
            0..=8 => {
                let len = chance.between(1, 1500);
                let byte = chance.next() as u8;
                let bytes = (0..len).map(|at| byte.wrapping_add(at as u8) | 1).collect();
                let at = chance.between(0, SIZE_MAX);
                let way = chance.pick(&[Way::At, Way::At, Way::Append, Way::Vectored]);
                Deed::Write { name, at, bytes, way }
            }
            9 => Deed::Resize(name, chance.between(0, SIZE_MAX)),
            10 => Deed::Truncate(name),
            11..=14 => Deed::Sync(name),
            15 | 16 => Deed::Rename(name, chance.pick(half)),
            17 => Deed::Unlink(name),
            _ => Deed::SyncDirectory(chance.pick(&DIRECTORIES)),
        }
    }

    fn apply(&mut self, deed: &Deed) {
        match deed {
            Deed::Mkdir => {}
            Deed::Create(name) => {
                self.live.insert(name, self.files.len());
                self.files.push(Versions(vec![Vec::new()]));
            }
            Deed::Write { name, at, bytes, way } => self.change(name, |content| {
                let at = if *way == Way::Append { content.len() } else { *at as usize };
                let end = at + bytes.len();
                content.resize(content.len().max(end), 0);
                content[at..end].copy_from_slice(bytes);
            }),
            Deed::Resize(name, len) => {
                self.change(name, |content| content.resize(*len as usize, 0));
            }
            Deed::Truncate(name) => self.change(name, Vec::clear),
            Deed::Rename(from, to) if from == to => {}
            Deed::Rename(from, to) => {
                let file = self.live.remove(from).expect("drawn from those there");
                self.live.insert(to, file);
            }
            Deed::Unlink(name) => {
                self.live.remove(name);
            }
            Deed::Sync(name) => {
                let versions = &mut self.files[self.live[name]].0;
                versions.drain(..versions.len() - 1);
            }
            Deed::SyncDirectory(directory) => {
                let within = |name: &str| name.contains('/') != directory.is_empty();
                self.synced.retain(|name, _| !within(name));
                let live = self.live.iter().filter(|(name, _)| within(name));
                self.synced.extend(live.map(|(name, file)| (*name, *file)));
            }
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let versions = &mut self.files[self.live[name]];
        let mut content = versions.last().clone();
        change(&mut content);
        versions.0.push(content);
    }

    /// The model after so many deeds.
    #[must_use]
    pub fn after(seed: u64, deeds: usize, names: bool) -> Model {
        let (mut model, mut chance) = (Model::default(), Chance::new(seed));
        for _ in 0..deeds {
            model.next(&mut chance, names);
        }
        model
    }

    /// What the disk holds if nothing reached it but what was synced.
    #[must_use]
    pub fn lost(&self) -> Image {
        self.image(&self.synced, |versions| &versions.0[0])
    }

    /// What it holds if everything reached it.
    #[must_use]
    pub fn kept(&self) -> Image {
        self.image(&self.live, Versions::last)
    }

    fn image<'a>(
        &'a self,
        names: &BTreeMap<&'static str, usize>,
        content: impl Fn(&'a Versions) -> &'a Vec<u8>,
    ) -> Image {
        let files = names
            .iter()
            .map(|(name, file)| ((*name).to_owned(), Some(content(&self.files[*file]).clone())));
        let directory = (self.deeds >= 2).then(|| ("sub".to_owned(), None));
        files.chain(directory).collect()
    }

    /// Why an image is none that a disk may hold: each sector of a file must be as it was at some
    /// time since the last sync, and so must its size.
    pub fn allows(&self, image: &Image) -> Result<(), String> {
        for (name, file) in &self.live {
            let Some(Some(found)) = image.get(*name) else { return Err(format!("{name} is gone")) };
            let versions = &self.files[*file].0;
            if !versions.iter().any(|version| version.len() == found.len()) {
                return Err(format!("{name} never had {} bytes", found.len()));
            }
            for (number, sector) in found.chunks(512).enumerate() {
                let was = |version: &Vec<u8>| {
                    let tail = version.get(number * 512..).unwrap_or_default();
                    let bytes = tail.iter().copied().chain(std::iter::repeat(0));
                    sector.iter().copied().eq(bytes.take(sector.len()))
                };
                if !versions.iter().any(was) {
                    return Err(format!("sector {number} of {name} never was so"));
                }
            }
        }
        Ok(())
    }
}

/// Does so many deeds in a directory, and says so after each by a byte in the file `progress`.
pub fn scribble(
    directory: &Path,
    progress: &Path,
    seed: u64,
    deeds: usize,
    names: bool,
) -> Result<()> {
    let mut said = OpenOptions::new().append(true).create(true).open(progress)?;
    let (mut model, mut chance) = (Model::default(), Chance::new(seed));
    for _ in 0..deeds {
        perform(directory, &model.next(&mut chance, names))?;
        said.write_all(b".")?;
    }
    Ok(())
}

fn perform(directory: &Path, deed: &Deed) -> Result<()> {
    let path = |name: &str| directory.join(name);
    let open = |name: &str| OpenOptions::new().write(true).open(path(name));
    match deed {
        Deed::Mkdir => std::fs::create_dir(path("sub"))?,
        Deed::Create(name) => drop(File::create(path(name))?),
        Deed::Write { name, at, bytes, way: Way::At } => open(name)?.write_all_at(bytes, *at)?,
        Deed::Write { name, bytes, way: Way::Append, .. } => {
            OpenOptions::new().append(true).open(path(name))?.write_all(bytes)?;
        }
        Deed::Write { name, at, bytes, way: Way::Vectored } => {
            let mut file = open(name)?;
            std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(*at))?;
            let (left, right) = bytes.split_at(bytes.len() / 2);
            let written = file.write_vectored(&[IoSlice::new(left), IoSlice::new(right)])?;
            anyhow::ensure!(written == bytes.len(), "a short write to a file");
        }
        Deed::Resize(name, len) => open(name)?.set_len(*len)?,
        Deed::Truncate(name) => drop(File::create(path(name))?),
        Deed::Rename(from, to) => std::fs::rename(path(from), path(to))?,
        Deed::Unlink(name) => std::fs::remove_file(path(name))?,
        Deed::Sync(name) => open(name)?.sync_data()?,
        Deed::SyncDirectory(within) => File::open(path(within))?.sync_all()?,
    }
    Ok(())
}
