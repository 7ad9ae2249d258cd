//! When to ping, and when silence means that the server is gone.
//!
//! Either direction counts: after too long without sending, the standard asks for a ping; after too
//! long without hearing, a ping finds out whether anybody is there.

use core::time::Duration;

/// Silence that is always borne after a PINGREQ, however short the keep alive.
const PATIENCE_MIN: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default)]
pub(super) struct KeepAlive {
    interval: Duration,
    sent: Duration,
    heard: Duration,
    pinged: Option<Duration>,
}

/// What the clock asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Nothing,
    Ping,
    GiveUp,
}

impl KeepAlive {
    pub(super) fn start(&mut self, now: Duration, secs: u16) {
        let interval = Duration::from_secs(secs.into());
        *self = KeepAlive { interval, sent: now, heard: now, pinged: None };
    }

    pub(super) fn sent(&mut self, now: Duration) {
        self.sent = self.sent.max(now);
    }

    pub(super) fn heard(&mut self, now: Duration) {
        self.heard = self.heard.max(now);
    }

    pub(super) fn pong(&mut self) {
        self.pinged = None;
    }

    pub(super) fn due(&mut self, now: Duration) -> Due {
        match self.next() {
            Some(at) if at <= now && self.pinged.is_some() => Due::GiveUp,
            Some(at) if at <= now => {
                self.pinged = Some(now);
                Due::Ping
            }
            Some(_) | None => Due::Nothing,
        }
    }

    /// When [`due`](Self::due) has to be asked again.
    pub(super) fn next(&self) -> Option<Duration> {
        if self.interval.is_zero() {
            return None;
        }
        Some(match self.pinged {
            // Anything heard shows that the server lives, even if PINGRESP queues behind it.
            Some(pinged) => pinged.max(self.heard) + self.interval.max(PATIENCE_MIN),
            // An eighth early, so that the ping is there within the interval [MQTT-3.1.2-20 v5].
            None => self.sent.min(self.heard) + self.interval - self.interval / 8,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn silence_in_either_direction_asks_for_a_ping() {
        let mut keep_alive = KeepAlive::default();
        keep_alive.start(secs(100), 80);
        assert_eq!(keep_alive.next(), Some(secs(170)));
        keep_alive.sent(secs(150));
        assert_eq!(keep_alive.next(), Some(secs(170)));
        keep_alive.heard(secs(160));
        assert_eq!(keep_alive.next(), Some(secs(220)));
        assert_eq!(keep_alive.due(secs(219)), Due::Nothing);
        assert_eq!(keep_alive.due(secs(220)), Due::Ping);
        assert_eq!(keep_alive.due(secs(220)), Due::Nothing);
    }

    #[test]
    fn silence_after_a_ping_means_that_the_server_is_gone() {
        let mut keep_alive = KeepAlive::default();
        keep_alive.start(secs(0), 8);
        assert_eq!(keep_alive.due(secs(7)), Due::Ping);
        keep_alive.heard(secs(10));
        assert_eq!(keep_alive.due(secs(17)), Due::Nothing);
        assert_eq!(keep_alive.due(secs(18)), Due::GiveUp);
    }

    #[test]
    fn an_answer_starts_anew_and_zero_switches_off() {
        let mut keep_alive = KeepAlive::default();
        keep_alive.start(secs(0), 8);
        assert_eq!(keep_alive.due(secs(7)), Due::Ping);
        keep_alive.sent(secs(7));
        keep_alive.heard(secs(8));
        keep_alive.pong();
        assert_eq!(keep_alive.next(), Some(secs(14)));
        keep_alive.start(secs(0), 0);
        assert_eq!((keep_alive.next(), keep_alive.due(secs(1_000_000))), (None, Due::Nothing));
    }
}
