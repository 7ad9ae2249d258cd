//! The calls themselves, made past the C library: its functions are what this library replaces, so
//! they would lead back here.
//!
//! Everything here is unsafe for one reason only, that the kernel reads and writes where the
//! arguments point to; each function says who answers for them.

use std::ffi::{CString, c_int, c_long};
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A call that somebody else asked for: the kernel's number, and arguments that are theirs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    number: c_long,
    arguments: [usize; 6],
}

impl Call {
    /// # Safety
    /// The arguments must be as the function of this number demands, until the call was made.
    pub(crate) unsafe fn new(number: c_long, arguments: &[usize]) -> Call {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        Call { number, arguments: all }
    }

    /// Makes it. What a C function answers: -1 with `errno` set where it failed.
    pub(crate) fn make(self) -> isize {
        let [a, b, c, d, e, f] = self.arguments;
        // SAFETY: whoever made this value vouched for the arguments; what is left of the six is 0,
        // which calls with fewer do not look at.
        unsafe { libc::syscall(self.number, a, b, c, d, e, f) as isize }
    }
}

/// The file behind a descriptor that stays its owner's.
pub(crate) fn borrow(fd: c_int) -> ManuallyDrop<File> {
    // SAFETY: never closed through this value; callers use it within the call that named the
    // descriptor, during which its owner keeps it open.
    ManuallyDrop::new(unsafe { File::from_raw_fd(fd) })
}

/// Opens a file for ourselves; `None` where the kernel refuses.
pub(crate) fn open(path: &Path, flags: c_int) -> Option<File> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let arguments =
        [libc::AT_FDCWD as usize, path.as_ptr() as usize, (flags | libc::O_CLOEXEC) as usize];
    // SAFETY: the path is a C string that lives until the call is made, below.
    let fd = unsafe { Call::new(libc::SYS_openat, &arguments) }.make();
    // SAFETY: the kernel just gave this descriptor to us, and nobody else knows it.
    (fd >= 0).then(|| unsafe { File::from_raw_fd(fd as c_int) })
}

/// Gives a file another name; answers whether that worked.
pub(crate) fn link(from: &Path, to: &Path) -> bool {
    let c_string = |path: &Path| CString::new(path.as_os_str().as_bytes()).ok();
    let (Some(from), Some(to)) = (c_string(from), c_string(to)) else { return false };
    let here = libc::AT_FDCWD as usize;
    let arguments = [here, from.as_ptr() as usize, here, to.as_ptr() as usize, 0];
    // SAFETY: both paths are C strings that live until the call is made, here.
    unsafe { Call::new(libc::SYS_linkat, &arguments) }.make() == 0
}

/// All the bytes in one write call.
pub(crate) fn write_once(fd: c_int, bytes: &[u8]) -> isize {
    let arguments = [fd as usize, bytes.as_ptr() as usize, bytes.len()];
    // SAFETY: pointer and length are those of a slice that outlives the call.
    unsafe { Call::new(libc::SYS_write, &arguments) }.make()
}

/// What `fcntl` answers to a question without an argument.
pub(crate) fn flags_of(fd: c_int) -> c_int {
    // SAFETY: F_GETFL reads nothing of ours; a descriptor that is none is an error, not a fault.
    unsafe { Call::new(libc::SYS_fcntl, &[fd as usize, libc::F_GETFL as usize]) }.make() as c_int
}

/// Where the next `write` of a descriptor goes.
pub(crate) fn position(fd: c_int) -> u64 {
    let arguments = [fd as usize, 0, libc::SEEK_CUR as usize];
    // SAFETY: lseek takes no pointers.
    unsafe { Call::new(libc::SYS_lseek, &arguments) }.make().max(0) as u64
}

/// Ends this process as `kill -9` does.
pub(crate) fn die() -> ! {
    // SAFETY: kill takes no pointers, and our own process id is always right.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    loop {
        std::thread::park();
    }
}

/// Ends this process because it does what cannot be recorded.
pub(crate) fn refuse(what: &str) -> ! {
    let line = format!("noctule-recorder: {what}: this cannot be recorded\n");
    write_once(2, line.as_bytes());
    std::process::abort()
}

/// What the C library calls `errno`.
pub(crate) fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Sets it.
pub(crate) fn set_errno(errno: c_int) {
    // SAFETY: the C library's own place for this thread's errno, always there.
    unsafe { *libc::__errno_location() = errno };
}
