//! Memory of the process, where the system tells it, and how much of it there may be.
//!
//! * `budget`  what the process may have
//! * `meter`   how much of that it has, as a level that shards are told

mod budget;
mod meter;

pub(crate) use budget::Budget;
pub use budget::MemoryMax;
pub(crate) use meter::{Change, Gauge, Meter};

/// Resident memory, bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Resident {
    pub(crate) now: u64,
    pub(crate) maximum: u64,
}

/// Resident memory, as Linux tells it.
#[cfg(target_os = "linux")]
pub(crate) fn resident() -> Option<Resident> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(Resident { now: line_of(&status, "VmRSS")?, maximum: line_of(&status, "VmHWM")? })
}

/// Resident memory: not told here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn resident() -> Option<Resident> {
    None
}

/// Of that, what no file is behind, in bytes: the kernel can take nothing of it back. It is told
/// within a few hundred KiB, at the price of tens of microseconds.
#[cfg(target_os = "linux")]
pub(crate) fn anonymous() -> Option<u64> {
    line_of(&std::fs::read_to_string("/proc/self/status").ok()?, "RssAnon")
}

/// Of that, what no file is behind: not told here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn anonymous() -> Option<u64> {
    None
}

/// Bytes, from a line like `VmRSS:      9012 kB` of what the kernel tells.
fn line_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_running_process_has_memory() {
        let memory = resident().unwrap();
        assert!(memory.now > 100_000 && memory.maximum >= memory.now);
        assert!((100_000..=memory.maximum).contains(&anonymous().unwrap()));
    }

    #[test]
    fn lines_are_found_by_their_whole_name() {
        let text = "VmRSSx:\t 1 kB\nVmRSS:\t    9012 kB\nRssAnon:\t abc kB\n";
        assert_eq!(line_of(text, "VmRSS"), Some(9012 * 1024));
        assert_eq!(line_of(text, "RssAnon"), None);
        assert_eq!(line_of(text, "VmHWM"), None);
    }
}
