//! A loop of append and sync: what the disk can do at best for whoever waits for it.

use crate::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file begins anew when it is as long as this.
const LENGTH_MAX: u64 = 256 * 1024 * 1024;

/// The loop, and how it went.
#[derive(Debug)]
pub(super) struct Bare {
    path: PathBuf,
    file: File,
    length: u64,
    batch: Vec<u8>,
    /// Appends that were synced.
    pub(super) syncs: u64,
    /// What they took.
    pub(super) time: Duration,
}

impl Bare {
    /// In this directory, with so many bytes at a time.
    pub(super) fn new(directory: &Path, batch: usize) -> Result<Bare, Error> {
        let path = directory.join("bare");
        let file = create(&path)?;
        let batch = (0..batch).map(|at| b'a' + (at % 26) as u8).collect();
        Ok(Bare { path, file, length: 0, batch, syncs: 0, time: Duration::ZERO })
    }

    /// Appends and syncs for a while.
    pub(super) fn run(&mut self, time: Duration) -> Result<(), Error> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.step()?;
        }
        self.time += start.elapsed();
        Ok(())
    }

    /// Appends and syncs once.
    pub(super) fn step(&mut self) -> Result<(), Error> {
        if self.length >= LENGTH_MAX {
            self.file = create(&self.path)?;
            self.length = 0;
        }
        let written = self.file.write_all(&self.batch).and_then(|()| self.file.sync_data());
        written.map_err(Error::io(format!("cannot write {}", self.path.display())))?;
        self.length += self.batch.len() as u64;
        self.syncs += 1;
        Ok(())
    }

    /// Appends a second.
    pub(super) fn rate(&self) -> f64 {
        self.syncs as f64 / self.time.as_secs_f64().max(f64::EPSILON)
    }
}

fn create(path: &Path) -> Result<File, Error> {
    File::create(path).map_err(Error::io(format!("cannot make {}", path.display())))
}
