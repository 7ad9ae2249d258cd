//! What a process costs: CPU time and memory, its children included.
//!
//! CPU time is the kernel's own count for the process (`clock_getcpuclockid`), user and system, to
//! the nanosecond, threads that have ended included. Children that have ended and were waited for
//! count as the kernel adds them up (in hundredths of a second). Memory is the proportional set
//! size, which shares pages among those who map them; the resident set where that is not allowed.

use crate::error::Error;
use std::time::Duration;

/// What was read at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Bytes.
    pub bytes: u64,
    /// How they were counted.
    pub kind: MemoryKind,
}

/// How memory is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryKind {
    /// Proportional set size.
    Pss,
    /// Resident set size: counts shared pages in full.
    Rss,
}

/// Watches one process and its descendants.
#[derive(Debug)]
pub struct Meter {
    root: u32,
    /// The process and its descendants, as far as known.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing to watch there"))]
    family: Vec<u32>,
}

impl Meter {
    /// Watches the process of this number.
    pub fn new(pid: u32) -> Result<Meter, Error> {
        let mut meter = Meter { root: pid, family: vec![pid] };
        meter.cpu()?;
        Ok(meter)
    }

    fn gone(&self) -> Error {
        Error::Meter(format!("process {} is not there (any more)", self.root))
    }
}

/// CPU time of this process itself, user and system; zero where it cannot be told.
pub fn own_cpu() -> Duration {
    own::cpu()
}

#[cfg(unix)]
mod own {
    use nix::time::ClockId;
    use std::time::Duration;

    pub(super) fn cpu() -> Duration {
        ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map_or(Duration::ZERO, Duration::from)
    }
}

#[cfg(not(unix))]
mod own {
    pub(super) fn cpu() -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

#[cfg(not(target_os = "linux"))]
impl Meter {
    /// CPU time so far.
    pub fn cpu(&mut self) -> Result<Duration, Error> {
        Err(Error::Meter("another process can be watched on Linux only".into()))
    }

    /// CPU time so far of the processes that the last reading found.
    pub fn cpu_of_known(&self) -> Result<Duration, Error> {
        Err(self.gone())
    }

    /// Memory now.
    pub fn memory(&mut self) -> Result<Memory, Error> {
        Err(self.gone())
    }
}

#[cfg(target_os = "linux")]
mod linux;
