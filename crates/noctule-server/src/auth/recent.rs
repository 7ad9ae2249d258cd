//! Passwords that were right a moment ago. A fleet that comes back all at once logs in by what took
//! milliseconds each the first time, and microseconds from then on.
//!
//! Neither passwords nor anything they could be found out from is kept: only keyed hashes, whose
//! key is drawn at the start and lives in this memory alone. A password that was changed is not
//! known any more.

use super::Secret;
use super::verifier::hmac;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many are known.
const MAX: usize = 16_384;

/// For how long.
const FOR: Duration = Duration::from_secs(300);

/// What was right.
pub(super) struct Recent {
    key: [u8; 32],
    known: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Recent {
    /// Nothing is known yet.
    pub(super) fn new() -> std::io::Result<Recent> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Recent { key, known: Mutex::default() })
    }

    /// Whether this is the password. Takes milliseconds, mostly: never on a shard.
    pub(super) fn accepts(&self, secret: &Secret, password: &[u8]) -> bool {
        let name = self.name(secret, password);
        let now = Instant::now();
        if self.is_known(&name, now) {
            return true;
        }
        let accepted = secret.accepts(password);
        if accepted {
            let mut known = self.known();
            if known.len() >= MAX {
                known.retain(|_, until| now < *until);
            }
            if known.len() >= MAX {
                known.clear();
            }
            known.insert(name, now + FOR);
        }
        accepted
    }

    /// Whether this is known to be the password: a few hashes, for a shard to ask before anybody
    /// waits.
    pub(super) fn knows(&self, secret: &Secret, password: &[u8]) -> bool {
        self.is_known(&self.name(secret, password), Instant::now())
    }

    fn is_known(&self, name: &[u8; 32], now: Instant) -> bool {
        self.known().get(name).is_some_and(|until| now < *until)
    }

    /// What is kept of a password has a salt, so two users never share a name here.
    fn name(&self, secret: &Secret, password: &[u8]) -> [u8; 32] {
        let of_secret = hmac(&self.key, secret.to_string().as_bytes());
        hmac(&of_secret, password)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::HashKind;
    use super::*;

    #[test]
    fn what_was_right_is_known_and_nothing_else() {
        let recent = Recent::new().unwrap();
        let secret = |password: &[u8]| HashKind::Pbkdf2 { rounds: 10 }.hash(password).unwrap();
        let (old, new) = (secret(b"right"), secret(b"other"));
        assert!(!recent.accepts(&old, b"wrong") && recent.known().is_empty());
        assert!(!recent.knows(&old, b"right"), "nobody has checked it");
        for _ in 0..3 {
            assert!(recent.accepts(&old, b"right"));
            assert!(recent.knows(&old, b"right") && !recent.knows(&old, b"wrong"));
            assert_eq!(recent.known().len(), 1);
        }
        assert!(!recent.accepts(&new, b"right"), "another password by now");
        let past = Instant::now();
        recent.known().values_mut().for_each(|until| *until = past);
        assert!(recent.accepts(&old, b"right"), "it is looked at again");
        assert!(recent.known().values().all(|until| *until > past));
    }

    #[test]
    fn no_more_are_known_than_there_is_room_for() {
        let recent = Recent::new().unwrap();
        let later = Instant::now() + FOR;
        for number in 0..MAX as u64 {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&number.to_le_bytes());
            recent.known().insert(name, later);
        }
        let secret = HashKind::Sha512.hash(b"right").unwrap();
        assert!(recent.accepts(&secret, b"right"));
        assert!(recent.known().len() <= MAX);
    }
}
