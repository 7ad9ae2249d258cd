//! Memory of the process, where the system tells it.

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
    let kib = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(Resident { now: kib("VmRSS")? * 1024, maximum: kib("VmHWM")? * 1024 })
}

/// Resident memory: not told here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn resident() -> Option<Resident> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_running_process_has_memory() {
        let memory = resident().unwrap();
        assert!(memory.now > 100_000 && memory.maximum >= memory.now);
    }
}
