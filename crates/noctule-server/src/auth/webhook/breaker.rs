//! Does not go on asking a service that does not answer. After some failures in a row nobody asks
//! for a while; then one does, and what comes of that decides for all.

use std::time::{Duration, Instant};

/// Whether a service is asked.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u16,
    /// Nobody asks until then.
    open_until: Option<Instant>,
    /// One asks though it was open.
    probing: bool,
}

/// What a failure led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// It is asked again.
    Asked,
    /// Nobody asks from now on, for a while.
    Opened,
    /// Nobody does still.
    StaysOpen,
}

impl Breaker {
    /// Whether the service is to be asked now. Whoever is told so has to say what came of it.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        match self.open_until {
            None => true,
            Some(until) if now < until || self.probing => false,
            Some(_) => {
                self.probing = true;
                true
            }
        }
    }

    /// It has answered; `true`: for the first time since nobody asked.
    pub(super) fn succeeded(&mut self) -> bool {
        let was_open = self.open_until.is_some();
        *self = Breaker::default();
        was_open
    }

    /// It has not.
    pub(super) fn failed(&mut self, now: Instant, failures_max: u16, pause: Duration) -> Next {
        self.failures = self.failures.saturating_add(1);
        if self.failures < failures_max && self.open_until.is_none() {
            return Next::Asked;
        }
        self.probing = false;
        match self.open_until.replace(now + pause) {
            None => Next::Opened,
            Some(_) => Next::StaysOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    #[test]
    fn after_some_failures_in_a_row_nobody_asks_and_then_one_tries() {
        let (mut it, now) = (Breaker::default(), Instant::now());
        assert_eq!(it.failed(now, 3, PAUSE), Next::Asked);
        assert_eq!(it.failed(now, 3, PAUSE), Next::Asked);
        assert!(!it.succeeded(), "it was asked all the time");
        assert_eq!(it.failed(now, 3, PAUSE), Next::Asked);
        assert_eq!(it.failed(now, 3, PAUSE), Next::Asked);
        assert!(it.admits(now));
        assert_eq!(it.failed(now, 3, PAUSE), Next::Opened);
        assert!(!it.admits(now) && !it.admits(now + PAUSE / 2));
        let later = now + PAUSE;
        assert!(it.admits(later) && !it.admits(later), "one alone tries");
        assert_eq!(it.failed(later, 3, PAUSE), Next::StaysOpen);
        assert!(!it.admits(later + PAUSE / 2) && it.admits(later + PAUSE));
        assert!(it.succeeded());
        assert!(it.admits(later) && it.admits(later));
    }
}
