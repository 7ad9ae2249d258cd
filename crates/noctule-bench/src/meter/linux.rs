//! Reads `/proc`.

use super::{Memory, MemoryKind, Meter};
use crate::error::Error;
use nix::time::clock_getcpuclockid;
use nix::unistd::{Pid, SysconfVar, sysconf};
use std::collections::HashMap;
use std::time::Duration;

impl Meter {
    /// CPU time so far. Looks for new children.
    pub fn cpu(&mut self) -> Result<Duration, Error> {
        self.family = descendants(self.root);
        self.cpu_of_known()
    }

    /// CPU time so far of the processes that the last reading found.
    pub fn cpu_of_known(&self) -> Result<Duration, Error> {
        // A child that has just ended counts for its parent from now on.
        let mut total = cpu_of(self.root).ok_or_else(|| self.gone())?;
        for pid in self.family.iter().filter(|pid| **pid != self.root) {
            total += cpu_of(*pid).unwrap_or_default();
        }
        Ok(total)
    }

    /// Memory now. The kernel walks the tables of the process for it: not to be asked often.
    pub fn memory(&mut self) -> Result<Memory, Error> {
        self.family = descendants(self.root);
        let mut all = Memory { bytes: 0, kind: MemoryKind::Pss };
        for pid in &self.family {
            let Some(memory) = memory_of(*pid) else { continue };
            all.bytes += memory.bytes;
            if memory.kind == MemoryKind::Rss {
                all.kind = MemoryKind::Rss;
            }
        }
        if all.bytes == 0 {
            return Err(self.gone());
        }
        Ok(all)
    }
}

/// CPU time of a process and of those of its children that it has waited for.
fn cpu_of(pid: u32) -> Option<Duration> {
    let pid = i32::try_from(pid).ok()?;
    let own = clock_getcpuclockid(Pid::from_raw(pid)).ok()?.now().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(Duration::from(own) + reaped(&stat)?)
}

/// CPU time of the children that a process has waited for, of its `stat` file.
fn reaped(stat: &str) -> Option<Duration> {
    let mut fields = fields(stat).skip(CUTIME);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let ticks_per_sec = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    Some(Duration::from_secs_f64((user + system) as f64 / ticks_per_sec as f64))
}

/// Places among [`fields`].
const PARENT: usize = 1;
const CUTIME: usize = 13;

/// The fields of a `stat` file after the name of the program, which may hold anything.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

/// A process and all its descendants that live.
fn descendants(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let parent = pid.and_then(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            fields(&stat).nth(PARENT)?.parse::<u32>().ok()
        });
        if let (Some(pid), Some(parent)) = (pid, parent) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut family = vec![root];
    let mut at = 0;
    while let Some(pid) = family.get(at) {
        family.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    family
}

fn memory_of(pid: u32) -> Option<Memory> {
    let read = |file, name, kind| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(Memory { bytes: kib * 1024, kind })
    };
    read("smaps_rollup", "Pss:", MemoryKind::Pss)
        .or_else(|| read("status", "VmRSS:", MemoryKind::Rss))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let stat = "12 (a) b (c) S 77 12 12 0 -1 4194304 1 2 3 4 5 6 150 50 20 0 1 0 9 8 7";
        assert_eq!(fields(stat).nth(PARENT), Some("77"));
        assert_eq!(reaped(stat), Some(Duration::from_secs(2)));
        assert_eq!(reaped("nonsense"), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(Meter::new(u32::MAX).is_err());
        assert!(Meter::new(0x3FFF_FFFF).is_err());
    }
}
