//! When to connect again.

use crate::error::Error;
use noctule_proto::ReasonCode;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Whether and when a connection that is over, or did not come about, is tried again.
///
/// The delay doubles from one failure to the next and is drawn between a half and the whole of
/// itself, so that the clients of a server that restarts do not come back all at once. It begins
/// anew after a connection that outlasted `delay_max`.
///
/// Not tried again is what would fail again: wrong credentials, a refused client identifier or
/// version, a ban, and a session that another client has taken over. A CONNECT of our own that was
/// given up and comes to the server late takes the session over, too: what that may be is tried
/// again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reconnect {
    /// Whether to keep trying before the first connection has come about, too: for a device that
    /// starts before its network does.
    pub first: bool,
    /// How long to wait after the first failure.
    pub delay_min: Duration,
    /// How long to wait at most.
    pub delay_max: Duration,
    /// How many failures in a row end it; `None` for no end.
    pub failures_max: Option<u32>,
}

impl Default for Reconnect {
    fn default() -> Reconnect {
        Reconnect {
            first: false,
            delay_min: Duration::from_millis(500),
            delay_max: Duration::from_secs(60),
            failures_max: None,
        }
    }
}

impl Reconnect {
    /// The end of the first connection is the end of the client.
    pub fn never() -> Reconnect {
        Reconnect { failures_max: Some(0), ..Reconnect::default() }
    }

    /// As the default, and before the first connection too.
    pub fn always() -> Reconnect {
        Reconnect { first: true, ..Reconnect::default() }
    }
}

/// Failures in a row.
#[derive(Debug)]
pub(super) struct Backoff {
    reconnect: Reconnect,
    failures: u32,
    connected_before: bool,
    /// CONNECTs of ours that may be on their way still, though we have given them up.
    ghosts: u32,
}

/// More of them do not come at once, and a namesake must not be fought for ever.
const GHOSTS_MAX: u32 = 3;
/// What is on its way for longer than this, no system sends any more.
const GHOST_LIFE: Duration = Duration::from_secs(300);

impl Backoff {
    pub(super) fn new(reconnect: Reconnect) -> Backoff {
        Backoff { reconnect, failures: 0, connected_before: false, ghosts: 0 }
    }

    /// A CONNECT has left, and its connection was over before an answer came.
    pub(super) fn unanswered(&mut self) {
        self.ghosts = GHOSTS_MAX.min(self.ghosts + 1);
    }

    /// The server has let us in.
    pub(super) fn connected(&mut self) {
        self.connected_before = true;
    }

    /// A connection that had lasted this long is over. Answers whether that is long enough to
    /// forget what was before.
    pub(super) fn lasted(&mut self, connection: Duration) -> bool {
        if connection > GHOST_LIFE {
            self.ghosts = 0;
        }
        let long = connection > self.reconnect.delay_max;
        if long {
            self.failures = 0;
        }
        long
    }

    /// How long to wait after this failure; `None`: it is final.
    pub(super) fn delay(&mut self, error: &Error) -> Option<Duration> {
        let may = self.connected_before || self.reconnect.first;
        let left = self.reconnect.failures_max.is_none_or(|max| self.failures < max);
        if !may || !left || is_final(error) && !self.is_ghost(error) {
            return None;
        }
        let doubled = self.reconnect.delay_min.saturating_mul(1 << self.failures.min(20));
        self.failures += 1;
        Some(jittered(doubled.min(self.reconnect.delay_max)))
    }

    /// Whether it may be no other client that has taken over the session. Each CONNECT does so
    /// once.
    fn is_ghost(&mut self, error: &Error) -> bool {
        let Error::Disconnected(notice) = error else { return false };
        let ghost = notice.reason == ReasonCode::SessionTakenOver && self.ghosts > 0;
        self.ghosts -= u32::from(ghost);
        ghost
    }
}

/// Between a half and the whole of it.
fn jittered(delay: Duration) -> Duration {
    // Each state of this kind has keys of its own.
    let dice = RandomState::new().hash_one(0_u8);
    let share = dice as f64 / u64::MAX as f64;
    // In halves: the longest delay there is has nothing above it to round to.
    delay / 2 + (delay / 2).mul_f64(share)
}

/// Whether the same would happen again.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Invalid(_) | Error::Finished | Error::Authentication(_) => true,
        Error::Refused(notice) | Error::Disconnected(notice) => is_final_reason(notice.reason),
        Error::Rejected(_)
        | Error::Closed
        | Error::NoAnswer(_)
        | Error::Protocol(_)
        | Error::SessionLost
        | Error::NoResponse
        | Error::NotConnected => false,
        Error::Failure(failure) => failure.is_final,
    }
}

fn is_final_reason(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::UnsupportedProtocolVersion
            | ReasonCode::ClientIdentifierNotValid
            | ReasonCode::BadUserNameOrPassword
            | ReasonCode::NotAuthorized
            | ReasonCode::Banned
            | ReasonCode::BadAuthenticationMethod
            | ReasonCode::SessionTakenOver
            | ReasonCode::UseAnotherServer
            | ReasonCode::ServerMoved
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Notice;

    fn refused(reason: ReasonCode) -> Error {
        let code = reason.as_u8();
        Error::Refused(Notice { reason, code, reason_string: None, server_reference: None })
    }

    #[test]
    fn delays_double_up_to_the_longest_and_are_drawn() {
        let mut backoff = Backoff::new(Reconnect::always());
        let mut longest = Duration::from_millis(500);
        for _ in 0..12 {
            let delay = backoff.delay(&Error::Closed).expect("goes on");
            assert!(delay >= longest / 2 && delay <= longest, "{delay:?} of {longest:?}");
            longest = (longest * 2).min(Duration::from_secs(60));
        }
        assert!(!backoff.lasted(Duration::from_secs(59)));
        assert!(backoff.lasted(Duration::from_secs(61)));
        assert!(backoff.delay(&Error::Closed).expect("goes on") <= Duration::from_millis(500));
    }

    #[test]
    fn the_longest_delay_there_is_can_be_drawn_from() {
        let delay_max = Duration::MAX;
        let mut backoff =
            Backoff::new(Reconnect { delay_min: delay_max, delay_max, ..Reconnect::always() });
        for _ in 0..100 {
            assert!(backoff.delay(&Error::Closed) >= Some(delay_max / 2));
        }
    }

    #[test]
    fn what_would_fail_again_is_not_tried_again() {
        let mut backoff = Backoff::new(Reconnect::always());
        assert_eq!(backoff.delay(&refused(ReasonCode::BadUserNameOrPassword)), None);
        assert_eq!(backoff.delay(&Error::Finished), None);
        assert!(backoff.delay(&refused(ReasonCode::ServerBusy)).is_some());
    }

    #[test]
    fn a_session_taken_over_by_our_own_ghost_is_taken_back_once() {
        let taken = || {
            let Error::Refused(notice) = refused(ReasonCode::SessionTakenOver) else {
                panic!("refused")
            };
            Error::Disconnected(notice)
        };
        let mut backoff = Backoff::new(Reconnect::always());
        assert_eq!(backoff.delay(&taken()), None);
        backoff.unanswered();
        backoff.unanswered();
        assert_eq!(backoff.delay(&refused(ReasonCode::Banned)), None);
        assert!(backoff.delay(&taken()).is_some());
        assert!(backoff.delay(&taken()).is_some());
        assert_eq!(backoff.delay(&taken()), None);
        backoff.unanswered();
        backoff.lasted(GHOST_LIFE + Duration::from_secs(1));
        assert_eq!(backoff.delay(&taken()), None);
    }

    #[test]
    fn the_first_connection_is_tried_once_unless_asked() {
        let mut backoff = Backoff::new(Reconnect::default());
        assert_eq!(backoff.delay(&Error::Closed), None);
        backoff.connected();
        assert!(backoff.delay(&Error::Closed).is_some());
        let mut never = Backoff::new(Reconnect::never());
        never.connected();
        assert_eq!(never.delay(&Error::Closed), None);
    }
}
