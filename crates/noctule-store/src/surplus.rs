//! Memory that a fold has needed for a moment, given back.
#![allow(unsafe_code, reason = "one call of the C library, which takes no pointer")]

/// Gives free memory back to the system.
///
/// A fold takes about as much memory as all sessions. The allocator of glibc keeps what is freed,
/// and a few small pieces that it holds for the thread keep all that lies before them: without
/// this, a broker with a million messages waiting stays half as large again.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes the locks of the allocator and touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
