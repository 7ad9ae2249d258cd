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
    pinged: Option<Pinged>,
}

/// PINGREQs that wait for a PINGRESP.
#[derive(Clone, Copy, Debug)]
struct Pinged {
    first: Duration,
    last: Duration,
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
        if self.next().is_none_or(|at| at > now) {
            return Due::Nothing;
        }
        match &mut self.pinged {
            None => self.pinged = Some(Pinged { first: now, last: now }),
            Some(pinged) if now >= pinged.patience(self.heard, self.interval) => {
                return Due::GiveUp;
            }
            Some(pinged) => pinged.last = now,
        }
        Due::Ping
    }

    /// When [`due`](Self::due) has to be asked again.
    pub(super) fn next(&self) -> Option<Duration> {
        // [U5-3.1.2-2] [V31-3.1-10]
        if self.interval.is_zero() {
            return None;
        }
        // An eighth early, so that the ping is there within the interval [MQTT-3.1.2-20 v5]
        // [MQTT-3.1.2-23 v3.1.1].
        let pause = self.interval - self.interval / 8;
        Some(match self.pinged {
            None => self.sent.min(self.heard) + pause,
            // The server does not fall silent with us while PINGRESP queues behind what it sends.
            Some(pinged) if self.heard > pinged.last => self.sent.max(pinged.last) + pause,
            Some(pinged) => pinged.patience(self.heard, self.interval),
        })
    }
}

impl Pinged {
    /// When silence is taken for the end `[U5-3.1.2-3]`. Anything heard shows that the server
    /// lives, even if PINGRESP queues behind it.
    fn patience(self, heard: Duration, interval: Duration) -> Duration {
        self.first.max(heard) + interval.max(PATIENCE_MIN)
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
        assert_eq!(keep_alive.due(secs(14)), Due::Ping);
        assert_eq!(keep_alive.due(secs(17)), Due::Nothing);
        assert_eq!(keep_alive.due(secs(18)), Due::GiveUp);
    }

    #[test]
    fn a_server_that_speaks_and_does_not_answer_is_pinged_all_the_same() {
        let mut keep_alive = KeepAlive::default();
        keep_alive.start(secs(0), 8);
        for second in 1..100 {
            keep_alive.heard(secs(second));
            match keep_alive.due(secs(second)) {
                Due::Nothing => assert!(second % 7 != 0, "a ping is due"),
                Due::Ping => keep_alive.sent(secs(second)),
                Due::GiveUp => panic!("the server lives"),
            }
        }
        assert_eq!(keep_alive.next(), Some(secs(105)));
        assert_eq!(keep_alive.due(secs(105)), Due::Ping);
        assert_eq!(keep_alive.due(secs(107)), Due::GiveUp);
    }

    #[test]
    fn pings_go_on_while_nothing_is_read_from_the_server() {
        let mut keep_alive = KeepAlive::default();
        keep_alive.start(secs(0), 60);
        let mut pings = Vec::new();
        for now in 0..600 {
            // The owner does not read, and says so.
            keep_alive.heard(secs(now));
            match keep_alive.due(secs(now)) {
                Due::Nothing => {}
                Due::Ping => pings.push(now),
                Due::GiveUp => panic!("at {now}"),
            }
        }
        let gaps = pings.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(pings.len() > 9 && gaps.max() <= Some(60), "{pings:?}");
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
