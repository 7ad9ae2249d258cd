//! What the process may have: what is configured, or a share of what the system gives it.

use super::line_of;
use std::path::{Path, PathBuf};

/// `memory_max` as it is configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryMax {
    /// So many percent of what the process may have: the smaller of its control group's bound and
    /// the memory of the machine.
    Percent(u8),
    /// So many bytes.
    Bytes(u64),
    /// As much as there is.
    None,
}

/// What it comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Budget {
    /// Bytes.
    pub(crate) bytes: u64,
    /// Of these a share, if it is one.
    of: Option<(u8, u64)>,
}

impl Default for MemoryMax {
    /// What is left is for the kernel's buffers of sockets, and for files that are read and
    /// written.
    fn default() -> MemoryMax {
        MemoryMax::Percent(75)
    }
}

impl MemoryMax {
    /// The budget; `None`: there is none, or the system does not say what a share of it is.
    pub(crate) fn budget(self) -> Option<Budget> {
        self.budget_of(available(Path::new("/")))
    }

    fn budget_of(self, available: Option<u64>) -> Option<Budget> {
        match self {
            MemoryMax::Percent(percent) => {
                let all = available?;
                let bytes = u128::from(all) * u128::from(percent) / 100;
                Some(Budget { bytes: u64::try_from(bytes).ok()?, of: Some((percent, all)) })
            }
            MemoryMax::Bytes(bytes) => Some(Budget { bytes, of: None }),
            MemoryMax::None => None,
        }
    }

    /// In plain words, what it comes to here, for the log and for who asks.
    #[must_use]
    pub fn told(self) -> String {
        self.told_of(self.budget(), super::anonymous().is_some())
    }

    fn told_of(self, budget: Option<Budget>, measured: bool) -> String {
        let mib = |bytes: u64| bytes >> 20;
        match budget {
            _ if self == MemoryMax::None => "memory has no bound".into(),
            _ if !measured => {
                "memory_max has no effect: this system does not tell how much memory is used".into()
            }
            None => "memory has no bound: this system does not tell how much there is".into(),
            Some(Budget { bytes, of: Some((percent, all)) }) => {
                format!("memory: at most {} MiB, {percent} % of {} MiB", mib(bytes), mib(all))
            }
            Some(Budget { bytes, of: None }) => format!("memory: at most {} MiB", mib(bytes)),
        }
    }
}

/// Bytes that the process may have at most: of the machine, or of a control group that it is in.
/// `root`: where the file system begins.
fn available(root: &Path) -> Option<u64> {
    let machine = read(root, "proc/meminfo").and_then(|text| line_of(&text, "MemTotal"));
    let groups = read(root, "proc/self/cgroup").unwrap_or_default();
    let bounds = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        match controllers {
            "" => least_bound(root, "sys/fs/cgroup", group, "memory.max"),
            _ if controllers.split(',').any(|it| it == "memory") => {
                least_bound(root, "sys/fs/cgroup/memory", group, "memory.limit_in_bytes")
            }
            _ => None,
        }
    });
    machine.into_iter().chain(bounds).min()
}

/// The least bound of a control group and those around it. In a container the group's path may be
/// one of the world outside: then those of its parents that are there count, the root above all.
fn least_bound(root: &Path, mount: &str, group: &str, file: &str) -> Option<u64> {
    let mount = root.join(mount);
    let inside: PathBuf = Path::new(group).components().skip(1).collect();
    let bounds = inside.ancestors().filter_map(|at| {
        // "max" is no bound; version 1 has a very great number for it.
        std::fs::read_to_string(mount.join(at).join(file)).ok()?.trim().parse().ok()
    });
    bounds.min()
}

fn read(root: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(root.join(file)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicU32, Ordering};

    const GIB: u64 = 1 << 30;

    /// A directory that goes with its test.
    struct Root(PathBuf);

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A file system with these files, and 8 GiB of memory.
    fn root(files: &[(&str, &str)]) -> Root {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("noctule-budget-{}-{number}", std::process::id());
        let root = Root(std::env::temp_dir().join(name));
        let memory = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:  17 kB\n");
        for (name, text) in files.iter().chain([&memory]) {
            let path = root.0.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn of(files: &[(&str, &str)]) -> Option<u64> {
        available(&root(files).0)
    }

    #[test]
    fn without_a_control_group_it_is_the_memory_of_the_machine() {
        assert_eq!(of(&[]), Some(8 * GIB));
        assert_eq!(of(&[("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/x", "")]), Some(8 * GIB));
        assert_eq!(of(&[("proc/self/cgroup", "nonsense\n\n:\n")]), Some(8 * GIB));
        assert_eq!(available(Path::new("/nowhere")), None);
    }

    #[test]
    fn the_least_bound_of_version_2_counts_wherever_it_is() {
        let files = [
            ("proc/self/cgroup", "0::/system.slice/noctule.service\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/system.slice/noctule.service/memory.max", "max\n"),
        ];
        assert_eq!(of(&files), Some(GIB));
        let inner = ("sys/fs/cgroup/system.slice/noctule.service/memory.max", "536870912\n");
        assert_eq!(of(&[files[0], files[1], inner]), Some(GIB / 2));
        // More than the machine has is no bound.
        let inner = ("sys/fs/cgroup/system.slice/noctule.service/memory.max", "99999999999999\n");
        assert_eq!(of(&[files[0], inner]), Some(8 * GIB));
    }

    #[test]
    fn a_container_finds_its_bound_at_the_root() {
        let own = ("proc/self/cgroup", "0::/\n");
        assert_eq!(of(&[own, ("sys/fs/cgroup/memory.max", "268435456\n")]), Some(GIB / 4));
        // Version 1 shows the path of the world outside.
        let own =
            ("proc/self/cgroup", "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/docker/1\n");
        let bound = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
        assert_eq!(of(&[own, bound]), Some(GIB / 4));
        let none = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(of(&[own, none]), Some(8 * GIB));
    }

    #[test]
    fn a_share_is_of_what_there_is_and_told_so() {
        let share = MemoryMax::default();
        let budget = share.budget_of(Some(8 * GIB));
        assert_eq!(budget.map(|it| it.bytes), Some(6 * GIB));
        assert_eq!(share.told_of(budget, true), "memory: at most 6144 MiB, 75 % of 8192 MiB");
        assert_eq!(share.budget_of(None), None);
        assert!(share.told_of(None, true).ends_with("how much there is"));
        let bytes = MemoryMax::Bytes(64 << 20);
        assert_eq!(bytes.budget_of(None).map(|it| it.bytes), Some(64 << 20));
        assert_eq!(bytes.told_of(bytes.budget_of(None), true), "memory: at most 64 MiB");
        assert!(bytes.told_of(bytes.budget_of(None), false).contains("has no effect"));
        assert_eq!(MemoryMax::None.budget_of(Some(GIB)), None);
        assert_eq!(MemoryMax::None.told_of(None, false), "memory has no bound");
    }
}
