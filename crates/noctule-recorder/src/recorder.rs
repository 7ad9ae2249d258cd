//! What is known of the files, and what is written down before each change.

use crate::entry::Entry;
use crate::kernel::{self, Call};
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::fs::{File, Metadata};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Descriptors above are refused; no broker of a test opens as many.
const DESCRIPTORS_MAX: usize = 1 << 16;

/// The inode behind each descriptor that leads into the directory; 0 where none does. Read before
/// each write of the whole process, sockets included, so it is a table of atomics.
static INODES: [AtomicU64; DESCRIPTORS_MAX] = [const { AtomicU64::new(0) }; DESCRIPTORS_MAX];

static RECORDER: OnceLock<Option<Mutex<Recorder>>> = OnceLock::new();

/// The journal and what its entries need.
#[derive(Debug)]
pub(crate) struct Recorder {
    data: PathBuf,
    side: PathBuf,
    journal: File,
    lies: bool,
    /// The number of the last entry of this process, if it is to have one.
    die_at: Option<u64>,
    entries: u64,
    /// A handle to read each file with: the process may have opened it for writing only.
    files: BTreeMap<u64, File>,
}

/// The recorder, locked, where the environment asks for one.
pub(crate) fn recorder() -> Option<MutexGuard<'static, Recorder>> {
    let recorder =
        RECORDER.get_or_init(|| Recorder::from_environment().map(Mutex::new)).as_ref()?;
    Some(recorder.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Whether the environment asks for recording, without taking the lock.
pub(crate) fn is_on() -> bool {
    RECORDER.get_or_init(|| Recorder::from_environment().map(Mutex::new)).is_some()
}

/// The inode behind a descriptor, if it leads into the directory.
pub(crate) fn inode_of(fd: c_int) -> Option<u64> {
    let inode = INODES.get(usize::try_from(fd).ok()?)?.load(Ordering::Relaxed);
    (inode != 0).then_some(inode)
}

/// The descriptor is about to be closed.
pub(crate) fn forget(fd: c_int) {
    if let Some(entry) = usize::try_from(fd).ok().and_then(|fd| INODES.get(fd)) {
        entry.store(0, Ordering::Relaxed);
    }
}

/// A descriptor leads where another does.
pub(crate) fn same(fd: c_int, as_fd: c_int) {
    if let Some(inode) = inode_of(as_fd) {
        remember(fd, inode);
    }
}

fn remember(fd: c_int, inode: u64) {
    match usize::try_from(fd).ok().and_then(|fd| INODES.get(fd)) {
        Some(entry) => entry.store(inode, Ordering::Relaxed),
        None => kernel::refuse("a descriptor above 65,535"),
    }
}

impl Recorder {
    fn from_environment() -> Option<Recorder> {
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        let data = path("NOCTULE_RECORD_DATA")?.canonicalize().ok();
        let side = path("NOCTULE_RECORD_SIDE");
        let journal = path("NOCTULE_RECORD_JOURNAL")
            .and_then(|path| kernel::open(&path, libc::O_WRONLY | libc::O_APPEND));
        let (Some(data), Some(side), Some(journal)) = (data, side, journal) else {
            kernel::refuse("directory, side or journal are not there");
        };
        let lies = std::env::var_os("NOCTULE_RECORD_LIE").is_some();
        let die_at = std::env::var("NOCTULE_RECORD_DIE_AT").ok().and_then(|at| at.parse().ok());
        let files = BTreeMap::new();
        let mut recorder = Recorder { data, side, journal, lies, die_at, entries: 0, files };
        recorder.note(Entry::Started);
        Some(recorder)
    }

    /// Writes an entry.
    pub(crate) fn note(&mut self, entry: Entry<'_>) {
        let bytes = entry.encode();
        if kernel::write_once(self.journal.as_raw_fd(), &bytes) != bytes.len() as isize {
            kernel::refuse("the journal takes no more");
        }
        self.entries += 1;
        if self.die_at == Some(self.entries) {
            kernel::die();
        }
    }

    /// So many entries of this process are written.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// Whether syncs are to do nothing.
    pub(crate) fn lies(&self) -> bool {
        self.lies
    }

    /// Where a path of the directory really lies.
    pub(crate) fn full(&self, path: &str) -> PathBuf {
        self.data.join(path)
    }

    /// The place of a name below the directory, as far as it is there: links in it followed, but
    /// for the last part.
    pub(crate) fn inside(&self, path: &Path) -> Option<String> {
        let parent = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            parent => parent?,
        };
        let parent = parent.canonicalize().ok()?;
        let below = parent.strip_prefix(&self.data).ok()?.join(path.file_name()?);
        Some(text(&below))
    }

    /// Looks at what a descriptor leads to, and remembers it if that is in the directory.
    pub(crate) fn opened(&mut self, fd: c_int) {
        let own = PathBuf::from(format!("/proc/self/fd/{fd}"));
        let Ok(path) = own.read_link() else { return };
        let Ok(below) = path.strip_prefix(&self.data) else { return };
        let metadata = kernel::borrow(fd).metadata();
        let Ok(metadata) = metadata else { kernel::refuse("a file without metadata") };
        let inode = metadata.ino();
        self.meet(inode, &text(below), &own);
        remember(fd, inode);
    }

    /// Bytes are about to be written; without a place, where the descriptor stands.
    pub(crate) fn writing(&mut self, fd: c_int, inode: u64, at: Option<u64>, len: u64) {
        let size = self.size(inode);
        let appends = kernel::flags_of(fd) & libc::O_APPEND != 0;
        let at = if appends { size } else { at.unwrap_or_else(|| kernel::position(fd)) };
        let before = self.read(inode, at, at.saturating_add(len).min(size));
        self.note(Entry::Write { inode, at, len, size, before: &before });
    }

    /// The size is about to change.
    pub(crate) fn resizing(&mut self, inode: u64, to: u64) {
        let from = self.size(inode);
        let before = self.read(inode, to, from);
        self.note(Entry::Resize { inode, from, to, before: &before });
    }

    /// The size is about to grow, if it is below.
    pub(crate) fn growing(&mut self, inode: u64, to: u64) {
        if self.size(inode) < to {
            self.resizing(inode, to);
        }
    }

    /// The file at this path is about to be opened and emptied.
    pub(crate) fn emptying(&mut self, path: &str) {
        let Some(metadata) = self.look_up(path) else { return };
        self.meet(metadata.ino(), path, &self.full(path));
        self.resizing(metadata.ino(), 0);
    }

    /// What a name stands for; `None` where it stands for nothing.
    pub(crate) fn look_up(&self, path: &str) -> Option<Metadata> {
        self.full(path).symlink_metadata().ok()
    }

    /// Keeps a file whose name is about to be taken away.
    pub(crate) fn keep(&self, path: &str, inode: u64) {
        let kept = self.side.join(inode.to_string());
        if !kept.exists() && !kernel::link(&self.full(path), &kept) {
            kernel::refuse("a file that cannot be kept aside");
        }
    }

    /// Makes a call that changes names, and says so where it did not.
    pub(crate) fn name(&mut self, entry: Entry<'_>, call: Call) -> isize {
        self.note(entry);
        let answer = call.make();
        if answer < 0 {
            let errno = kernel::errno();
            self.note(Entry::Failed);
            kernel::set_errno(errno);
        }
        answer
    }

    /// Says what a file is called, and keeps a handle to it, at the first sight of it.
    fn meet(&mut self, inode: u64, path: &str, way: &Path) {
        if self.files.contains_key(&inode) {
            return;
        }
        match kernel::open(way, libc::O_RDONLY) {
            Some(file) => self.files.insert(inode, file),
            None => kernel::refuse("a file that cannot be read"),
        };
        self.note(Entry::Named { inode, path });
    }

    fn size(&self, inode: u64) -> u64 {
        match self.files.get(&inode).map(File::metadata) {
            Some(Ok(metadata)) => metadata.len(),
            _ => kernel::refuse("a file without a size"),
        }
    }

    fn read(&self, inode: u64, from: u64, to: u64) -> Vec<u8> {
        let mut bytes = vec![0; to.saturating_sub(from) as usize];
        let read = self.files.get(&inode).map(|file| file.read_exact_at(&mut bytes, from));
        match read {
            Some(Ok(())) => bytes,
            _ => kernel::refuse("a file that cannot be read back"),
        }
    }
}

fn text(path: &Path) -> String {
    match path.to_str() {
        Some(path) => path.to_owned(),
        None => kernel::refuse("a name that is no text"),
    }
}
