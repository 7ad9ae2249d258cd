//! Memory that was needed for a moment, given back: after a fold, above all.
#![allow(unsafe_code, reason = "one call of the C library, which takes no pointer")]

/// Gives memory that is free back to the system; with allocators other than glibc's it does
/// nothing. Others that ask for memory meanwhile wait: milliseconds for each GiB.
///
/// A fold takes about as much memory as all sessions. The allocator of glibc keeps what is freed,
/// and a few small pieces that it holds for the thread keep all that lies before them: without
/// this, a broker with a million messages waiting stays half as large again.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes the locks of the allocator and touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
