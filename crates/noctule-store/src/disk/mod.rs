//! What the engine asks of a disk: named files in one directory.
//!
//! A new name, a name that moved and one that is gone are durable once the directory is synced;
//! bytes are durable once their file is.

mod os;

pub use os::OsDisk;

use std::any::Any;
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// A directory of files.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file that exists.
    ///
    /// # Errors
    /// It does not, or the system refuses.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes an empty file, in place of what had the name before.
    ///
    /// # Errors
    /// The system refuses.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, in place of what had it before.
    ///
    /// # Errors
    /// The system refuses.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system refuses.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all changes of names durable.
    ///
    /// # Errors
    /// They may be lost; trying again proves nothing.
    fn sync_dir(&self) -> io::Result<()>;

    /// Names of all files.
    ///
    /// # Errors
    /// The system refuses.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Takes the directory for this process, until the guard is dropped.
    ///
    /// # Errors
    /// Another process has it, or the system refuses.
    fn lock(&self) -> Result<LockGuard, crate::StoreError>;

    /// Keeps all files under their names until the guard is dropped, also from who has locked the
    /// directory. Waits for who takes some away just now. Any number may hold at once.
    ///
    /// # Errors
    /// The system refuses.
    fn hold(&self) -> io::Result<LockGuard> {
        Ok(Box::new(()))
    }

    /// Leave to take names away, until the guard is dropped; `None`: somebody holds them.
    ///
    /// # Errors
    /// The system refuses.
    fn unheld(&self) -> io::Result<Option<LockGuard>> {
        Ok(Some(Box::new(())))
    }
}

/// Name of the file that is locked by whoever uses the directory.
pub(crate) const LOCK: &str = "lock";

/// Name of the file that is locked by who copies files, and by who takes names away.
pub(crate) const HOLD: &str = "hold";

/// Holds a directory for this process.
pub type LockGuard = Box<dyn Any + Send + Sync>;

/// A file, open to read and write.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads at an offset; fewer bytes than asked for where the system likes, none at the end.
    ///
    /// # Errors
    /// The system refuses.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// As [`DiskFile::read_at`], but gives [`io::ErrorKind::WouldBlock`] rather than wait.
    ///
    /// # Errors
    /// The system refuses, or the bytes are not at hand.
    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset; fewer bytes than given where the system likes.
    ///
    /// # Errors
    /// The system refuses.
    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Makes the bytes, and the length as far as reading them needs it, durable.
    ///
    /// # Errors
    /// What was written since the last sync may be lost, and another call that succeeds proves
    /// nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts or extends with zeros.
    ///
    /// # Errors
    /// The system refuses.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Bytes.
    ///
    /// # Errors
    /// The system refuses.
    fn size(&self) -> io::Result<u64>;
}

/// Reads until the buffer is full or the file ends; answers how many bytes.
pub(crate) fn read_full(file: &dyn DiskFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all bytes, as often as the system takes only a part of them.
pub(crate) fn write_full(
    file: &dyn DiskFile,
    bufs: &mut [IoSlice<'_>],
    offset: u64,
) -> io::Result<()> {
    let (mut bufs, mut offset) = (bufs, offset);
    IoSlice::advance_slices(&mut bufs, 0);
    while !bufs.is_empty() {
        match file.write_at(bufs, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                offset += count as u64;
                IoSlice::advance_slices(&mut bufs, count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
