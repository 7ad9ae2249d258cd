//! What the server keeps of a password: enough to check it, not enough to use it.

use super::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Rounds of PBKDF2 for new verifiers.
pub const ITERATIONS: u32 = 15_000;

/// Rounds a verifier may ask for: fewer protect nothing, more stop a worker for minutes.
const ITERATIONS_ALLOWED: std::ops::RangeInclusive<u32> = 1000..=10_000_000;

pub(super) const SCHEME: &str = "SCRAM-SHA-256";

/// A SCRAM-SHA-256 verifier (RFC 5802, section 3; RFC 7677), which serves plain passwords as well.
/// Written `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, the binary parts in base64.
#[derive(Clone, PartialEq)]
pub struct Verifier {
    pub(super) iterations: u32,
    pub(super) salt: Box<[u8]>,
    pub(super) stored_key: [u8; 32],
    pub(super) server_key: [u8; 32],
}

impl Verifier {
    /// The verifier of a password. Takes milliseconds: never on a shard.
    #[must_use]
    pub fn from_password(password: &str, iterations: u32, salt: &[u8]) -> Verifier {
        Verifier::from_bytes(password.as_bytes(), iterations, salt)
    }

    /// The verifier of a password with a salt from the system and the usual number of rounds.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn with_random_salt(password: &str) -> Result<Verifier, getrandom::Error> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        Ok(Verifier::from_password(password, ITERATIONS, &salt))
    }

    /// Whether this is the password. Takes milliseconds: never on a shard.
    #[must_use]
    pub fn accepts(&self, password: &[u8]) -> bool {
        let asked = Verifier::from_bytes(password, self.iterations, &self.salt);
        asked.stored_key.ct_eq(&self.stored_key).into()
    }

    /// A verifier no password fits, which costs as much to ask: an unknown user must not be told
    /// from a wrong password by the time it takes.
    pub(super) fn of_nobody(salt: [u8; 16]) -> Verifier {
        Verifier {
            iterations: ITERATIONS,
            salt: salt.into(),
            stored_key: [0; 32],
            server_key: [0; 32],
        }
    }

    fn from_bytes(password: &[u8], iterations: u32, salt: &[u8]) -> Verifier {
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(&prepared(password), salt, iterations, &mut salted);
        let client_key = hmac(&salted, b"Client Key");
        Verifier {
            iterations,
            salt: salt.into(),
            stored_key: Sha256::digest(client_key).into(),
            server_key: hmac(&salted, b"Server Key"),
        }
    }
}

/// SASLprep where the password is text; other bytes are taken as they are (MQTT allows any).
fn prepared(password: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(password) else { return password.into() };
    match stringprep::saslprep(text) {
        Ok(Cow::Owned(text)) => text.into_bytes().into(),
        Ok(Cow::Borrowed(_)) | Err(_) => password.into(),
    }
}

/// A user name as it is compared; `None` if it holds what no name may.
pub(crate) fn prepared_name(name: &str) -> Option<Cow<'_, str>> {
    stringprep::saslprep(name).ok().filter(|prepared| !prepared.is_empty())
}

/// HMAC-SHA-256.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME}${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key)
        )
    }
}

impl fmt::Debug for Verifier {
    /// Not even what could be attacked offline is printed by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

/// The text is not a verifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifierError;

impl fmt::Display for VerifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a verifier expected, as `noctule passwd NAME` prints it")
    }
}

impl std::error::Error for VerifierError {}

impl FromStr for Verifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Verifier, VerifierError> {
        let mut parts = text.split('$');
        if parts.next() != Some(SCHEME) {
            return Err(VerifierError);
        }
        let mut pair = || parts.next()?.split_once(':');
        let (iterations, salt) = pair().ok_or(VerifierError)?;
        let (stored, server) = pair().ok_or(VerifierError)?;
        if parts.next().is_some() {
            return Err(VerifierError);
        }
        let iterations = iterations.parse().ok().filter(|n| ITERATIONS_ALLOWED.contains(n));
        let salt = STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty());
        Ok(Verifier {
            iterations: iterations.ok_or(VerifierError)?,
            salt: salt.ok_or(VerifierError)?.into(),
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }
}

fn key(text: &str) -> Result<[u8; 32], VerifierError> {
    let bytes = STANDARD.decode(text).map_err(|_| VerifierError)?;
    bytes.try_into().map_err(|_| VerifierError)
}

/// Who may log in. Names are compared as SASLprep prepares them: the same name, however it is
/// spelled, is the same user with a password and with SCRAM.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Users {
    by_name: HashMap<Arc<str>, Secret>,
    /// What is kept of the last one's password: an unknown user is to take as long.
    typical: Option<Secret>,
}

impl Users {
    /// Adds a user; `false` if the name has an entry already, or is none.
    pub fn insert(&mut self, name: Box<str>, secret: impl Into<Secret>) -> bool {
        let secret = secret.into();
        let Some(prepared) = prepared_name(&name) else { return false };
        match self.by_name.entry(prepared.as_ref().into()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                self.typical = Some(free.insert(secret).clone());
                true
            }
        }
    }

    /// What is kept of a user's password.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Secret> {
        self.entry(name).map(|(_, secret)| secret)
    }

    /// The name, as it is kept, of a user with that password. Takes milliseconds, whether there is
    /// one or not: never on a shard.
    pub(crate) fn login(&self, name: &str, password: &[u8]) -> Option<Arc<str>> {
        let Some((user, secret)) = self.entry(name) else {
            return self.nobody([0; 16]).accepts(password).then(|| name.into());
        };
        secret.accepts(password).then(|| Arc::clone(user))
    }

    /// What no password fits, and takes as long to find that out as a user's does.
    pub(super) fn nobody(&self, salt: [u8; 16]) -> Secret {
        match &self.typical {
            Some(typical) => typical.of_nobody(salt),
            None => Verifier::of_nobody(salt).into(),
        }
    }

    /// The same, with the name as it is kept.
    pub(super) fn entry(&self, name: &str) -> Option<(&Arc<str>, &Secret)> {
        self.by_name.get_key_value(&*prepared_name(name)?)
    }

    /// Number of users.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// No users.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_accepts_its_password_and_no_other() {
        let verifier = Verifier::from_password("correct horse", 4096, b"salt of 16 bytes");
        assert!(verifier.accepts(b"correct horse"));
        assert!(!verifier.accepts(b"correct horse "));
        assert!(!verifier.accepts(b""));
        let binary = Verifier::from_bytes(&[0xff, 0, 1], 4096, b"salt");
        assert!(binary.accepts(&[0xff, 0, 1]));
        assert!(!Verifier::of_nobody([0; 16]).accepts(b""));
    }

    #[test]
    fn a_verifier_survives_being_written_and_read() {
        let verifier = Verifier::with_random_salt("secret").unwrap();
        let read: Verifier = verifier.to_string().parse().unwrap();
        assert!(read == verifier);
        assert!(!format!("{verifier:?}").contains('$'));
    }

    #[test]
    fn other_texts_are_not_verifiers() {
        let good = Verifier::from_password("x", 4096, b"salt").to_string();
        let rounds = |n: &str| good.replacen("4096", n, 1);
        let bad = [
            String::new(),
            "SCRAM-SHA-256".into(),
            "secret".into(),
            good.replacen("256", "512", 1),
            rounds("1"),
            rounds("4294967295"),
            rounds("-1"),
            format!("{good}$"),
            good[..good.len() - 4].into(),
        ];
        for text in bad {
            assert!(text.parse::<Verifier>().is_err(), "{text}");
        }
    }

    #[test]
    fn equivalent_spellings_of_a_password_are_one() {
        // SASLprep: a no-break space is a space, compatibility forms are decomposed.
        let verifier = Verifier::from_password("a b\u{2168}", 4096, b"salt");
        assert!(verifier.accepts("a\u{a0}bIX".as_bytes()));
    }

    #[test]
    fn equivalent_spellings_of_a_user_name_are_one() {
        let verifier = || Verifier::from_password("x", 4096, b"salt");
        let mut users = Users::default();
        assert!(users.insert("a\u{a0}b\u{2168}".into(), verifier()));
        assert!(users.find("a bIX").is_some() && users.find("a\u{a0}b\u{2168}").is_some());
        assert!(!users.insert("a bIX".into(), verifier()));
        assert!(!users.insert("a\u{7}b".into(), verifier()), "no name holds a bell");
        assert!(users.find("a\u{7}b").is_none());
    }
}
