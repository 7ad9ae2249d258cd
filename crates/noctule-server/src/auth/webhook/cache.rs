//! What a webhook said a moment ago. Nothing that was asked is kept, only a hash of all of it under
//! a key that is drawn at the start and lives in this memory alone: no password can be found out.

use super::super::identity::Verdict;
use super::super::verifier::hmac;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many answers are kept.
const MAX: usize = 16_384;

/// Answers, each for a while.
pub(super) struct Cache {
    key: [u8; 32],
    known: Mutex<HashMap<[u8; 32], (Instant, Verdict)>>,
}

/// What a question is called here.
#[derive(Clone, Copy)]
pub(super) struct Name([u8; 32]);

impl Cache {
    pub(super) fn new() -> Result<Cache, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Cache { key, known: Mutex::default() })
    }

    pub(super) fn name(&self, question: &[u8]) -> Name {
        Name(hmac(&self.key, question))
    }

    /// What was said to it, unless that is too long ago; `now_millis` is since 1970.
    pub(super) fn find(&self, name: Name, now: Instant, now_millis: u64) -> Option<Verdict> {
        let known = self.known();
        let (until, verdict) = known.get(&name.0)?;
        // What is good for another moment only is as good as asked again.
        let soon = now_millis.saturating_add(1000);
        let expired = match verdict {
            Verdict::Allow(identity) => identity.expires_millis.is_some_and(|at| at <= soon),
            Verdict::Deny { .. } | Verdict::NotMine => false,
        };
        (now < *until && !expired).then(|| verdict.clone())
    }

    pub(super) fn keep(&self, name: Name, verdict: &Verdict, now: Instant, time: Duration) {
        if time.is_zero() {
            return;
        }
        let mut known = self.known();
        if known.len() >= MAX {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() >= MAX {
            known.clear();
        }
        known.insert(name.0, (now + time, verdict.clone()));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Instant, Verdict)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::identity::Identity;
    use std::sync::Arc;

    #[test]
    fn an_answer_is_known_for_its_time_and_never_beyond_the_end_of_what_it_allows() {
        let (cache, now) = (Cache::new().unwrap(), Instant::now());
        let identity = Identity {
            user_name: None,
            roles: Arc::default(),
            permissions: None,
            issuer: None,
            expires_millis: Some(2000),
        };
        let allow = Verdict::Allow(Box::new(identity));
        let name = cache.name(b"question");
        cache.keep(name, &allow, now, Duration::from_secs(5));
        assert_eq!(cache.find(cache.name(b"question"), now, 999), Some(allow.clone()));
        assert_eq!(cache.find(cache.name(b"question"), now, 1000), None);
        assert_eq!(cache.find(cache.name(b"another"), now, 0), None);
        assert_eq!(cache.find(name, now + Duration::from_secs(5), 0), None);
        cache.keep(cache.name(b"never"), &allow, now, Duration::ZERO);
        assert_eq!(cache.find(cache.name(b"never"), now, 0), None);
        assert!(Cache::new().unwrap().find(name, now, 0).is_none(), "another key");
        for at in 0..2 * MAX {
            cache.keep(cache.name(&at.to_be_bytes()), &allow, now, Duration::from_secs(5));
        }
        assert!(cache.known().len() <= MAX);
    }
}
