//! The C library's functions that are taken over. Each has its function's own signature and answer;
//! the arguments go on unchanged, so whoever calls it has vouched for them already.

use crate::entry::Entry;
use crate::kernel::{self, Call, refuse};
use crate::recorder::{self, Recorder, inode_of, recorder};
use libc::{c_char, c_int, c_uint, c_void, iovec, mode_t, off_t, size_t, ssize_t};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// # Safety
/// The path must be a C string.
unsafe fn absolute(dir: c_int, path: *const c_char) -> PathBuf {
    // SAFETY: the caller's promise.
    let path = unsafe { CStr::from_ptr(path) };
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    if dir == libc::AT_FDCWD || path.is_absolute() {
        return path.to_owned();
    }
    let base = PathBuf::from(format!("/proc/self/fd/{dir}")).read_link().unwrap_or_default();
    base.join(path)
}

/// How many bytes the parts have.
///
/// # Safety
/// `parts` must point to so many of them.
unsafe fn len_of(parts: *const iovec, count: c_int) -> u64 {
    if count <= 0 {
        return 0;
    }
    // SAFETY: the caller's promise.
    let parts = unsafe { std::slice::from_raw_parts(parts, count as usize) };
    parts.iter().map(|part| part.iov_len as u64).sum()
}

// ---- opening and closing ----

fn opening(path: &Path, flags: c_int, call: Call) -> c_int {
    let Some(mut recorder) = recorder() else { return call.make() as c_int };
    let inside = recorder.inside(path);
    let mut fresh = false;
    if let Some(below) = &inside {
        if flags & libc::O_TMPFILE == libc::O_TMPFILE {
            refuse("a file without a name");
        }
        if flags & libc::O_DSYNC != 0 && flags & libc::O_ACCMODE != libc::O_RDONLY {
            refuse("a sync implied by a flag");
        }
        let there = recorder.look_up(below).is_some();
        if there && flags & libc::O_TRUNC != 0 && flags & libc::O_EXCL == 0 {
            recorder.emptying(below);
        }
        fresh = !there && flags & libc::O_CREAT != 0;
    }
    let fd = match &inside {
        Some(path) if fresh => recorder.name(Entry::Create { path }, call),
        _ => call.make(),
    };
    if fd >= 0 {
        recorder.opened(fd as c_int);
    }
    fd as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let arguments = [dir as usize, path as usize, flags as usize, mode as usize];
    // SAFETY: the caller's arguments. `mode` is whatever its register holds where the caller gave
    // none; the kernel looks at it only where the flags ask for it.
    let call = unsafe { Call::new(libc::SYS_openat, &arguments) };
    if !recorder::is_on() {
        return call.make() as c_int;
    }
    // SAFETY: the caller's path.
    opening(&unsafe { absolute(dir, path) }, flags, call)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { openat(dir, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { openat(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { openat(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn creat(path: *const c_char, mode: mode_t) -> c_int {
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    // SAFETY: the caller's arguments.
    unsafe { openat(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    // Before the kernel can give the number to another thread.
    recorder::forget(fd);
    // SAFETY: the caller's argument.
    unsafe { Call::new(libc::SYS_close, &[fd as usize]) }.make() as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller's arguments; the third is an int or a pointer, which share a register.
    let call = unsafe { Call::new(libc::SYS_fcntl, &[fd as usize, command as usize, argument]) };
    let answer = call.make() as c_int;
    if answer >= 0 && matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
        recorder::same(answer, fd);
    }
    answer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { fcntl(fd, command, argument) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dup(fd: c_int) -> c_int {
    // SAFETY: the caller's argument.
    let answer = unsafe { Call::new(libc::SYS_dup, &[fd as usize]) }.make() as c_int;
    recorder::same(answer, fd);
    answer
}

// ---- writing ----

fn writing(fd: c_int, at: Option<off_t>, len: u64, call: Call) -> ssize_t {
    let Some(inode) = inode_of(fd) else { return call.make() };
    let Some(mut recorder) = recorder() else { return call.make() };
    let at = at.filter(|at| *at >= 0).map(|at| at as u64);
    recorder.writing(fd, inode, at, len);
    call.make()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    let call = unsafe { Call::new(libc::SYS_write, &[fd as usize, bytes as usize, len]) };
    writing(fd, None, len as u64, call)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    let arguments = [fd as usize, parts as usize, count as usize];
    // SAFETY: the caller's arguments.
    let call = unsafe { Call::new(libc::SYS_writev, &arguments) };
    // SAFETY: the caller's parts.
    writing(fd, None, unsafe { len_of(parts, count) }, call)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, bytes: *const c_void, len: size_t, at: off_t) -> ssize_t {
    let arguments = [fd as usize, bytes as usize, len, at as usize];
    // SAFETY: the caller's arguments.
    writing(fd, Some(at), len as u64, unsafe { Call::new(libc::SYS_pwrite64, &arguments) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, len: size_t, at: off_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { pwrite(fd, bytes, len, at) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev(fd: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { pwritev2(fd, parts, count, at, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64(fd: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { pwritev2(fd, parts, count, at, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev2(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    if inode_of(fd).is_some() && flags != 0 {
        refuse("pwritev2 with flags");
    }
    // The kernel takes the place in two halves, the upper of which a 64-bit one does not need.
    let arguments = [fd as usize, parts as usize, count as usize, at as usize, 0, flags as usize];
    // SAFETY: the caller's arguments.
    let call = unsafe { Call::new(libc::SYS_pwritev2, &arguments) };
    // SAFETY: the caller's parts.
    writing(fd, Some(at), unsafe { len_of(parts, count) }, call)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64v2(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { pwritev2(fd, parts, count, at, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_at: *mut off_t,
    to: c_int,
    to_at: *mut off_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    if inode_of(to).is_some() {
        refuse("copy_file_range");
    }
    let arguments =
        [from as usize, from_at as usize, to as usize, to_at as usize, len, flags as usize];
    // SAFETY: the caller's arguments.
    unsafe { Call::new(libc::SYS_copy_file_range, &arguments) }.make()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile(to: c_int, from: c_int, from_at: *mut off_t, len: size_t) -> ssize_t {
    if inode_of(to).is_some() {
        refuse("sendfile");
    }
    let arguments = [to as usize, from as usize, from_at as usize, len];
    // SAFETY: the caller's arguments.
    unsafe { Call::new(libc::SYS_sendfile, &arguments) }.make()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(
    to: c_int,
    from: c_int,
    from_at: *mut off_t,
    len: size_t,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { sendfile(to, from, from_at, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    address: *mut c_void,
    len: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    at: off_t,
) -> *mut c_void {
    // A mapping for reading can be made writable later only where the file was opened so, and
    // nobody here does.
    let shared = flags & libc::MAP_TYPE != libc::MAP_PRIVATE;
    if shared && protection & libc::PROT_WRITE != 0 && inode_of(fd).is_some() {
        refuse("a mapping for writing");
    }
    let arguments =
        [address as usize, len, protection as usize, flags as usize, fd as usize, at as usize];
    // SAFETY: the caller's arguments. A failure is -1, which is MAP_FAILED.
    unsafe { Call::new(libc::SYS_mmap, &arguments) }.make() as *mut c_void
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    address: *mut c_void,
    len: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    at: off_t,
) -> *mut c_void {
    // SAFETY: the caller's arguments.
    unsafe { mmap(address, len, protection, flags, fd, at) }
}

// ---- sizes ----

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(fd: c_int, len: off_t) -> c_int {
    // SAFETY: the caller's arguments.
    let call = unsafe { Call::new(libc::SYS_ftruncate, &[fd as usize, len as usize]) };
    if let Some(inode) = inode_of(fd)
        && let Some(mut recorder) = recorder()
    {
        recorder.resizing(inode, len.max(0) as u64);
        return call.make() as c_int;
    }
    call.make() as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, len: off_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { ftruncate(fd, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn truncate(path: *const c_char, len: off_t) -> c_int {
    // SAFETY: the caller's path.
    let inside = recorder().and_then(|r| r.inside(&unsafe { absolute(libc::AT_FDCWD, path) }));
    if inside.is_some() {
        refuse("truncate by name");
    }
    // SAFETY: the caller's arguments.
    unsafe { Call::new(libc::SYS_truncate, &[path as usize, len as usize]) }.make() as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn truncate64(path: *const c_char, len: off_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { truncate(path, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate(fd: c_int, mode: c_int, at: off_t, len: off_t) -> c_int {
    let arguments = [fd as usize, mode as usize, at as usize, len as usize];
    // SAFETY: the caller's arguments.
    let call = unsafe { Call::new(libc::SYS_fallocate, &arguments) };
    let Some(inode) = inode_of(fd) else { return call.make() as c_int };
    let Some(mut recorder) = recorder() else { return call.make() as c_int };
    let (from, len) = (at.max(0) as u64, len.max(0) as u64);
    let keeps = mode & libc::FALLOC_FL_KEEP_SIZE != 0;
    match mode & !libc::FALLOC_FL_KEEP_SIZE {
        0 if keeps => {}
        0 => recorder.growing(inode, from + len),
        // Both put zeros in the place of what was there, as a write does.
        libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE => {
            recorder.writing(fd, inode, Some(from), len);
        }
        _ => refuse("fallocate that moves bytes"),
    }
    call.make() as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate64(fd: c_int, mode: c_int, at: off_t, len: off_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { fallocate(fd, mode, at, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_fallocate(fd: c_int, at: off_t, len: off_t) -> c_int {
    let errno = kernel::errno();
    // SAFETY: the caller's arguments.
    let failed = unsafe { fallocate(fd, 0, at, len) } < 0;
    // This one answers its error and leaves errno as it was.
    let answer = if failed { kernel::errno() } else { 0 };
    kernel::set_errno(errno);
    answer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_fallocate64(fd: c_int, at: off_t, len: off_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { posix_fallocate(fd, at, len) }
}

// ---- syncs ----

/// The lock is not held while the disk works: what is written meanwhile is not covered.
fn syncing(fd: c_int, call: Call) -> c_int {
    let Some(inode) = inode_of(fd) else { return call.make() as c_int };
    let Some(begun) = recorder().map(|recorder| (recorder.entries(), recorder.lies())) else {
        return call.make() as c_int;
    };
    let (covers, lies) = begun;
    if lies {
        return 0;
    }
    let answer = call.make() as c_int;
    if answer == 0
        && let Some(mut recorder) = recorder()
    {
        recorder.note(Entry::Sync { inode, covers });
    }
    answer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: the caller's argument.
    syncing(fd, unsafe { Call::new(libc::SYS_fsync, &[fd as usize]) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: the caller's argument.
    syncing(fd, unsafe { Call::new(libc::SYS_fdatasync, &[fd as usize]) })
}

// ---- names ----

/// The names of a call that has two, if they lie in the directory: both, or neither.
fn both(recorder: &Recorder, from: &Path, to: &Path) -> Option<(String, String)> {
    match (recorder.inside(from), recorder.inside(to)) {
        (Some(from), Some(to)) => Some((from, to)),
        (None, None) => None,
        _ => refuse("a name that comes from outside or goes there"),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat2(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    let arguments =
        [from_dir as usize, from as usize, to_dir as usize, to as usize, flags as usize];
    // SAFETY: the caller's arguments.
    let call = unsafe { Call::new(libc::SYS_renameat2, &arguments) };
    let Some(mut recorder) = recorder() else { return call.make() as c_int };
    // SAFETY: the caller's paths.
    let (from, to) = unsafe { (absolute(from_dir, from), absolute(to_dir, to)) };
    let Some((from, to)) = both(&recorder, &from, &to) else { return call.make() as c_int };
    let Some(moved) = recorder.look_up(&from) else { return call.make() as c_int };
    if !moved.is_file() || flags & !libc::RENAME_NOREPLACE != 0 {
        refuse("a rename of anything but a file");
    }
    let inode = moved.ino();
    let displaced = recorder.look_up(&to).map(|there| there.ino());
    if let Some(displaced) = displaced {
        recorder.keep(&to, displaced);
    }
    let displaced = displaced.unwrap_or(0);
    recorder.name(Entry::Rename { from: &from, to: &to, inode, displaced }, call) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { renameat2(from_dir, from, to_dir, to, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { renameat2(libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    let arguments = [dir as usize, path as usize, flags as usize];
    // SAFETY: the caller's arguments.
    let call = unsafe { Call::new(libc::SYS_unlinkat, &arguments) };
    let Some(mut recorder) = recorder() else { return call.make() as c_int };
    // SAFETY: the caller's path.
    let inside = recorder.inside(&unsafe { absolute(dir, path) });
    let Some(path) = inside else { return call.make() as c_int };
    let Some(there) = recorder.look_up(&path) else { return call.make() as c_int };
    if flags & libc::AT_REMOVEDIR != 0 {
        return recorder.name(Entry::Rmdir { path: &path }, call) as c_int;
    }
    let inode = there.ino();
    recorder.keep(&path, inode);
    recorder.name(Entry::Unlink { path: &path, inode }, call) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's argument.
    unsafe { unlinkat(libc::AT_FDCWD, path, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: the caller's argument.
    unsafe { unlinkat(libc::AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn remove(path: *const c_char) -> c_int {
    // SAFETY: the caller's argument.
    let answer = unsafe { unlink(path) };
    if answer < 0 && kernel::errno() == libc::EISDIR {
        // SAFETY: the same.
        return unsafe { rmdir(path) };
    }
    answer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn linkat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    let arguments =
        [from_dir as usize, from as usize, to_dir as usize, to as usize, flags as usize];
    // SAFETY: the caller's arguments.
    let call = unsafe { Call::new(libc::SYS_linkat, &arguments) };
    let Some(mut recorder) = recorder() else { return call.make() as c_int };
    // SAFETY: the caller's paths.
    let (from, to) = unsafe { (absolute(from_dir, from), absolute(to_dir, to)) };
    let Some(path) = recorder.inside(&to) else { return call.make() as c_int };
    let there = recorder.inside(&from).and_then(|from| recorder.look_up(&from));
    let Some(there) = there else { refuse("a link to a file outside") };
    let inode = there.ino();
    recorder.name(Entry::Link { path: &path, inode }, call) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { linkat(libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn symlinkat(target: *const c_char, dir: c_int, path: *const c_char) -> c_int {
    // SAFETY: the caller's path.
    if recorder().is_some_and(|r| r.inside(&unsafe { absolute(dir, path) }).is_some()) {
        refuse("a symbolic link");
    }
    let arguments = [target as usize, dir as usize, path as usize];
    // SAFETY: the caller's arguments.
    unsafe { Call::new(libc::SYS_symlinkat, &arguments) }.make() as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn symlink(target: *const c_char, path: *const c_char) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { symlinkat(target, libc::AT_FDCWD, path) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
    let arguments = [dir as usize, path as usize, mode as usize];
    // SAFETY: the caller's arguments.
    let call = unsafe { Call::new(libc::SYS_mkdirat, &arguments) };
    let Some(mut recorder) = recorder() else { return call.make() as c_int };
    // SAFETY: the caller's path.
    let inside = recorder.inside(&unsafe { absolute(dir, path) });
    match inside {
        Some(path) if recorder.look_up(&path).is_none() => {
            recorder.name(Entry::Mkdir { path: &path }, call) as c_int
        }
        _ => call.make() as c_int,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { mkdirat(libc::AT_FDCWD, path, mode) }
}
