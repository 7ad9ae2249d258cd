//! Keeps clients off the broker's processors. A client and the shard that serves it often share one
//! otherwise, and what is measured then is when the scheduler takes it from the one for the other.

#[cfg(target_os = "linux")]
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
#[cfg(target_os = "linux")]
use nix::unistd::Pid;

/// The processors that this thread may run on: one for clients, the others for the broker. Where
/// there is but one, or it cannot be known, both run anywhere.
#[derive(Debug)]
pub(super) struct Apart {
    #[cfg(target_os = "linux")]
    sets: Option<Sets>,
}

#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Sets {
    all: CpuSet,
    broker: CpuSet,
    clients: CpuSet,
}

#[cfg(target_os = "linux")]
impl Apart {
    pub(super) fn new() -> Apart {
        Apart { sets: Sets::new() }
    }

    /// Runs `start`: processes that it starts are kept to the broker's processors.
    pub(super) fn broker<T: Send>(&self, start: impl FnOnce() -> T + Send) -> T {
        let confined = || {
            self.confine(|sets| &sets.broker);
            start()
        };
        std::thread::scope(|scope| match scope.spawn(confined).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Keeps this thread, and those that it starts from now on, to the clients' processor.
    pub(super) fn clients(&self) {
        self.confine(|sets| &sets.clients);
    }

    fn confine(&self, which: fn(&Sets) -> &CpuSet) {
        if let Some(sets) = &self.sets {
            // A part of the set it had: not refused.
            sched_setaffinity(Pid::from_raw(0), which(sets)).ok();
        }
    }
}

#[cfg(target_os = "linux")]
impl Sets {
    fn new() -> Option<Sets> {
        let all = sched_getaffinity(Pid::from_raw(0)).ok()?;
        let may = |cpu: &usize| all.is_set(*cpu).unwrap_or(false);
        let last = (0..CpuSet::count()).rfind(may)?;
        let (mut broker, mut clients) = (all, CpuSet::new());
        broker.unset(last).ok()?;
        clients.set(last).ok()?;
        (0..last).any(|cpu| may(&cpu)).then_some(Sets { all, broker, clients })
    }
}

#[cfg(target_os = "linux")]
impl Drop for Apart {
    fn drop(&mut self) {
        self.confine(|sets| &sets.all);
    }
}

#[cfg(not(target_os = "linux"))]
impl Apart {
    pub(super) fn new() -> Apart {
        Apart {}
    }

    pub(super) fn broker<T>(&self, start: impl FnOnce() -> T) -> T {
        start()
    }

    pub(super) fn clients(&self) {}
}
