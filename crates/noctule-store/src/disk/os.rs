//! The disk of the system.

use super::{Disk, DiskFile, HOLD, LOCK, LockGuard};
use crate::StoreError;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of the file system.
#[derive(Debug)]
pub struct OsDisk {
    path: PathBuf,
}

impl OsDisk {
    /// The directory, made if there is none, for nobody but the user: it holds what was published.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(path: &Path) -> io::Result<OsDisk> {
        let disk = OsDisk { path: path.to_owned() };
        let above = |path: &Path| path.parent().map(Path::to_owned);
        let missing = std::iter::successors(Some(path.to_owned()), |path| above(path));
        let missing: Vec<PathBuf> = missing.take_while(|path| !path.is_dir()).collect();
        if !missing.is_empty() {
            make_private(path)?;
        }
        // A name is durable once the directory that it is in is synced: each of the new ones.
        for parent in missing.iter().filter_map(|path| path.parent()) {
            let here = parent.as_os_str().is_empty();
            sync_dir(if here { Path::new(".") } else { parent })?;
        }
        Ok(disk)
    }

    fn open_hold(&self) -> io::Result<File> {
        self.options().create(true).truncate(false).open(self.path.join(HOLD))
    }

    fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(unix)]
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Elsewhere a directory cannot be synced; names are as durable as the system makes them.
#[cfg(not(unix))]
fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

impl Disk for OsDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(self.options().open(self.path.join(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path.join(name);
        Ok(Arc::new(self.options().create(true).truncate(true).open(path)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        sync_dir(&self.path)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn lock(&self) -> Result<LockGuard, StoreError> {
        let path = self.path.join(LOCK);
        let mut file = self.options().create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Where the holder's lock keeps others from reading, it stays unnamed.
                let read = file.read_to_string(&mut pid);
                let pid = read.ok().and_then(|_| pid.trim().parse().ok());
                return Err(StoreError::InUse { pid });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        // It belongs to the same user: who copies may be another one.
        self.open_hold()?;
        Ok(Box::new(file))
    }

    fn hold(&self) -> io::Result<LockGuard> {
        let file = match File::open(self.path.join(HOLD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.open_hold(),
            opened => opened,
        }?;
        file.lock_shared()?;
        Ok(Box::new(file))
    }

    fn unheld(&self) -> io::Result<Option<LockGuard>> {
        let file = self.open_hold()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for File {
    #[cfg(unix)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, buf, offset)
    }

    #[cfg(target_os = "linux")]
    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        use rustix::io::{ReadWriteFlags, preadv2};
        let bufs = &mut [io::IoSliceMut::new(buf)];
        Ok(preadv2(self, bufs, offset, ReadWriteFlags::NOWAIT)?)
    }

    /// Elsewhere there is no way to ask: the reader thread does it.
    #[cfg(not(target_os = "linux"))]
    fn read_cached_at(&self, _buf: &mut [u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    #[cfg(unix)]
    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        match bufs {
            [one] => std::os::unix::fs::FileExt::write_at(self, one, offset),
            many => Ok(rustix::io::pwritev(self, many, offset)?),
        }
    }

    #[cfg(windows)]
    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        std::os::windows::fs::FileExt::seek_write(self, first, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
