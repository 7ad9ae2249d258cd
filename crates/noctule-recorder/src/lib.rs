//! Stands between a process and its files, and keeps a journal of how to undo what it did to them.
//!
//! ```text
//! broker --write, rename, fdatasync ...--> recorder --entry--> journal   (one write call each)
//!                                             |
//!                                             +--the same call--> kernel
//! ```
//!
//! Loaded with `LD_PRELOAD`, it takes the place of the C library's calls that change files below
//! one directory. kill -9 leaves behind what the kernel was told, not what a disk would hold after
//! a power cut; with the journal, `noctule_tests::kill` takes back what no completed sync covers.
//!
//! The environment says what to do:
//! * `NOCTULE_RECORD_DATA`: the directory; without it nothing is recorded
//! * `NOCTULE_RECORD_JOURNAL`: the journal, which is there already, outside the directory
//! * `NOCTULE_RECORD_SIDE`: a directory of the same file system, outside the other, that keeps
//!   files whose name is taken away, each under its inode's number
//! * `NOCTULE_RECORD_LIE`: syncs answer well and do nothing, as those of some disks
//! * `NOCTULE_RECORD_DIE_AT`: the number of the entry behind which the process kills itself
//!
//! * `calls`: the functions that are taken over
//! * `recorder`: what is known of the files, and what is written down
//! * `entry`: how it is written down
//! * `kernel`: the calls themselves, past the C library
//!
//! One lock is held around each change and its entry, so the journal has the order of the changes,
//! across all threads. An entry is written before its change: one whose change did not happen
//! any more undoes nothing. What cannot be undone (a mapping for writing, a file without a name, a
//! sync implied by a flag) ends the process, loudly. Absent on purpose: calls by number
//! (`syscall`), `io_uring`, children; that nothing went past the recorder is proved by undoing all.
//! `sync_file_range`, `sync` and `syncfs` are not taken over, so they cover nothing.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]
#![allow(unsafe_code, reason = "it stands in the place of C functions: `calls` and `kernel` only")]

mod calls;
mod entry;
mod kernel;
mod recorder;
