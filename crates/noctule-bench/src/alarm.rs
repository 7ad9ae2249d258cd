//! Wakes the event loop at an instant finer than the milliseconds that a poll can wait.
//!
//! An open loop owes its messages at exact times, and a millisecond of lateness would be measured
//! as the broker's. On Linux a timer of the kernel does it; elsewhere the poll is all there is.

use crate::error::Error;
use mio::{Registry, Token};
use std::time::Duration;

#[cfg(target_os = "linux")]
mod timer {
    use super::{Duration, Error, Registry, Token};
    use mio::unix::SourceFd;
    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use std::os::fd::{AsFd, AsRawFd};

    /// A timer that makes an event.
    #[derive(Debug)]
    pub(crate) struct Alarm(TimerFd);

    impl Alarm {
        pub(crate) fn new(registry: &Registry, token: Token) -> Result<Alarm, Error> {
            let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)
                .map_err(|errno| Error::io("a timer")(errno.into()))?;
            let fd = timer.as_fd().as_raw_fd();
            registry
                .register(&mut SourceFd(&fd), token, mio::Interest::READABLE)
                .map_err(Error::io("a timer"))?;
            Ok(Alarm(timer))
        }

        /// Makes an event after this time, instead of what was set before.
        pub(crate) fn set(&self, after: Duration) {
            // Zero would switch it off.
            let after = TimeSpec::from_duration(after.max(Duration::from_nanos(1)));
            // The poll's own time limit stands behind it.
            let _ = self.0.set(Expiration::OneShot(after), TimerSetTimeFlags::empty());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use super::{Duration, Error, Registry, Token};

    /// Nothing here is more precise than the poll itself.
    #[derive(Debug)]
    pub(crate) struct Alarm;

    impl Alarm {
        pub(crate) fn new(_: &Registry, _: Token) -> Result<Alarm, Error> {
            Ok(Alarm)
        }

        pub(crate) fn set(&self, _: Duration) {}
    }
}

pub(crate) use timer::Alarm;
