//! The time of a turn.

use noctule_core::Time;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall clock at the start plus a clock that never runs backwards: a correction of the system's
/// clock neither expires sessions nor keeps them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_millis: u64,
}

impl Clock {
    /// A clock that is right now.
    pub(crate) fn start() -> Clock {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Clock { start: Instant::now(), start_millis }
    }

    /// The present instant.
    pub(crate) fn now(&self) -> Time {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Time(self.start_millis).plus_millis(elapsed)
    }

    /// Milliseconds since the start.
    pub(crate) fn uptime_millis(&self, now: Time) -> u64 {
        now.millis_since(Time(self.start_millis))
    }
}
