//! What is kept of a password, in each form that a file may have it in.
//!
//! | written | what it is | by |
//! |---|---|---|
//! | `SCRAM-SHA-256$…` | a [`Verifier`], for passwords and for SCRAM | `noctule passwd NAME` |
//! | `$argon2id$…$salt$hash` | Argon2id | mosquitto 2.1, `noctule passwd FILE NAME` |
//! | `$7$rounds$salt$hash` | PBKDF2 with SHA-512 | mosquitto 2.0 |
//! | `$6$salt$hash` | SHA-512 of password and salt, once | mosquitto 1.6 |
//!
//! Passwords of mosquitto's forms are bytes as they come; those of the first one are prepared.

use super::verifier::{SCHEME, Verifier, VerifierError};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha512};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// Rounds of PBKDF2 for new hashes of that kind: mosquitto's.
pub const ROUNDS: u32 = 1000;

/// Memory, in KiB, and passes of Argon2id for new hashes: mosquitto's.
const MEMORY: u32 = 47_104;
const PASSES: u32 = 1;

/// What a file may ask for: a mistake must not stop the threads that check for minutes.
const ROUNDS_ALLOWED: RangeInclusive<u32> = 1..=10_000_000;
const MEMORY_ALLOWED: RangeInclusive<u32> = 8..=1_048_576;
const PASSES_ALLOWED: RangeInclusive<u32> = 1..=100;
const LANES_ALLOWED: RangeInclusive<u32> = 1..=64;

/// Bytes of salt and hash of new hashes: mosquitto's.
const LEN: usize = 64;
/// Bytes of a salt or hash that a file may hold.
const LEN_ALLOWED: RangeInclusive<usize> = 8..=256;

/// What is kept of a password.
#[derive(Clone, PartialEq)]
pub enum Secret {
    /// For passwords and for SCRAM.
    Scram(Verifier),
    /// A hash of the password.
    Hash(Box<Hash>),
}

/// A hash of a password, with all that it takes to make it again.
#[derive(Clone, PartialEq)]
pub struct Hash {
    kind: HashKind,
    salt: Box<[u8]>,
    hash: Box<[u8]>,
}

/// How a hash is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashKind {
    /// Argon2id.
    Argon2id {
        /// Memory, KiB.
        memory: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// PBKDF2 with SHA-512.
    Pbkdf2 {
        /// Rounds.
        rounds: u32,
    },
    /// SHA-512, once.
    Sha512,
}

impl HashKind {
    /// Argon2id as mosquitto makes it.
    pub const ARGON2ID: HashKind = HashKind::Argon2id { memory: MEMORY, passes: PASSES, lanes: 1 };

    /// Hashes a password with a salt from the system. Takes milliseconds.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn hash(self, password: &[u8]) -> Result<Secret, getrandom::Error> {
        let mut salt = [0; LEN];
        getrandom::fill(&mut salt)?;
        let hash = self.made(password, &salt, LEN);
        Ok(Secret::Hash(Box::new(Hash { kind: self, salt: salt.into(), hash })))
    }

    fn made(self, password: &[u8], salt: &[u8], len: usize) -> Box<[u8]> {
        let mut hash = vec![0; len].into_boxed_slice();
        match self {
            HashKind::Argon2id { memory, passes, lanes } => {
                let params = Params::new(memory, passes, lanes, Some(len)).expect("allowed ones");
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                argon2.hash_password_into(password, salt, &mut hash).expect("lengths are allowed");
            }
            HashKind::Pbkdf2 { rounds } => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, &mut hash);
            }
            HashKind::Sha512 => {
                let digest = Sha512::new().chain_update(password).chain_update(salt).finalize();
                return digest.as_slice().into();
            }
        }
        hash
    }
}

impl Secret {
    /// Whether this is the password. Takes milliseconds: never on a shard.
    #[must_use]
    pub fn accepts(&self, password: &[u8]) -> bool {
        match self {
            Secret::Scram(verifier) => verifier.accepts(password),
            Secret::Hash(kept) => {
                let asked = kept.kind.made(password, &kept.salt, kept.hash.len());
                asked.ct_eq(&kept.hash).into()
            }
        }
    }

    /// What SCRAM needs of it, if it has that.
    pub(super) fn scram(&self) -> Option<&Verifier> {
        match self {
            Secret::Scram(verifier) => Some(verifier),
            Secret::Hash(_) => None,
        }
    }

    /// One that no password fits and that takes as long to find out.
    pub(super) fn of_nobody(&self, salt: [u8; 16]) -> Secret {
        match self {
            Secret::Scram(verifier) => {
                let iterations = verifier.iterations;
                Secret::Scram(Verifier { iterations, ..Verifier::of_nobody(salt) })
            }
            Secret::Hash(kept) => {
                let hash = vec![0; kept.hash.len()].into();
                Secret::Hash(Box::new(Hash { kind: kept.kind, salt: salt.into(), hash }))
            }
        }
    }
}

impl From<Verifier> for Secret {
    fn from(verifier: Verifier) -> Secret {
        Secret::Scram(verifier)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = match self {
            Secret::Scram(verifier) => return verifier.fmt(f),
            Secret::Hash(kept) => kept,
        };
        let Hash { kind, salt, hash } = &**kept;
        match kind {
            HashKind::Argon2id { memory, passes, lanes } => {
                let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
                write!(f, "$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")
            }
            HashKind::Pbkdf2 { rounds } => {
                write!(f, "$7${rounds}${}${}", STANDARD.encode(salt), STANDARD.encode(hash))
            }
            HashKind::Sha512 => {
                write!(f, "$6${}${}", STANDARD.encode(salt), STANDARD.encode(hash))
            }
        }
    }
}

impl fmt::Debug for Secret {
    /// Not even what could be attacked offline is printed by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What is wrong with the text of a hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SecretError(&'static str);

impl SecretError {
    /// The same in words, without what is kept.
    #[must_use]
    pub fn what(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for SecretError {}

const NO_HASH: SecretError = SecretError(
    "no hash that noctule knows: $argon2id$, $7$, $6$ or SCRAM-SHA-256$ (is it a plain password? \
     noctule passwd -U FILE hashes those)",
);
const CUT_SHORT: SecretError =
    SecretError("the hash is cut short, or no base64: make it anew with noctule passwd");
const BAD_SALT: SecretError = SecretError(
    "the salt is no base64, or not of 8 to 256 bytes: make the hash anew with noctule passwd",
);
const BAD_ROUNDS: SecretError =
    SecretError("the rounds between $7$ and the salt must be a number from 1 to 10000000");
const BAD_COSTS: SecretError = SecretError(
    "the costs of $argon2id$ must be m=8 to 1048576 (KiB, 8 a lane or more), t=1 to 100, p=1 to 64",
);

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Secret, SecretError> {
        let Some(rest) = text.strip_prefix('$') else {
            return match text.parse() {
                Ok(verifier) => Ok(Secret::Scram(verifier)),
                Err(VerifierError) if text.starts_with(SCHEME) => Err(CUT_SHORT),
                Err(VerifierError) => Err(NO_HASH),
            };
        };
        let parts: Vec<&str> = rest.split('$').collect();
        let (kind, salt, hash) = match *parts.as_slice() {
            ["argon2id", "v=19", params, salt, hash] => {
                (argon2id(params).ok_or(BAD_COSTS)?, salt, hash)
            }
            ["7", rounds, salt, hash] => (pbkdf2(rounds).ok_or(BAD_ROUNDS)?, salt, hash),
            ["6", salt, hash] => (HashKind::Sha512, salt, hash),
            ["argon2id" | "6" | "7", ..] => return Err(CUT_SHORT),
            _ => return Err(NO_HASH),
        };
        // The start of a hash of Argon2 is no hash of fewer bytes: the length goes into it. With
        // the others it is, and would let in whoever finds a password for those few.
        let (engine, lens) = match kind {
            HashKind::Argon2id { .. } => (&STANDARD_NO_PAD, LEN_ALLOWED),
            HashKind::Pbkdf2 { .. } | HashKind::Sha512 => (&STANDARD, LEN..=LEN),
        };
        let decode = |text: &str, lens: RangeInclusive<usize>| {
            let bytes = engine.decode(text).ok().filter(|bytes| lens.contains(&bytes.len()));
            bytes.map(Vec::into_boxed_slice)
        };
        let salt = decode(salt, LEN_ALLOWED).ok_or(BAD_SALT)?;
        let hash = decode(hash, lens).ok_or(CUT_SHORT)?;
        Ok(Secret::Hash(Box::new(Hash { kind, salt, hash })))
    }
}

fn argon2id(params: &str) -> Option<HashKind> {
    let mut params = params.split(',');
    let mut next = |name: &str, allowed: RangeInclusive<u32>| -> Option<u32> {
        let number = params.next()?.strip_prefix(name)?.parse().ok()?;
        allowed.contains(&number).then_some(number)
    };
    let memory = next("m=", MEMORY_ALLOWED)?;
    let passes = next("t=", PASSES_ALLOWED)?;
    let lanes = next("p=", LANES_ALLOWED)?;
    // What Argon2 needs for each lane.
    let fits = params.next().is_none() && memory >= 8 * lanes;
    fits.then_some(HashKind::Argon2id { memory, passes, lanes })
}

fn pbkdf2(rounds: &str) -> Option<HashKind> {
    let rounds = rounds.parse().ok().filter(|rounds| ROUNDS_ALLOWED.contains(rounds))?;
    Some(HashKind::Pbkdf2 { rounds })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: HashKind = HashKind::Argon2id { memory: 64, passes: 1, lanes: 2 };

    #[test]
    fn each_kind_accepts_its_password_and_survives_being_written() {
        for kind in [SMALL, HashKind::Pbkdf2 { rounds: 10 }, HashKind::Sha512] {
            let secret = kind.hash(b"correct horse").unwrap();
            let read: Secret = secret.to_string().parse().unwrap();
            assert!(read == secret, "{kind:?}");
            assert!(read.accepts(b"correct horse") && !read.accepts(b"correct"), "{kind:?}");
            assert!(!read.of_nobody([7; 16]).accepts(b"correct horse"), "{kind:?}");
            assert!(!format!("{secret:?}").contains('$'));
        }
    }

    /// Made by mosquitto_passwd with `-H sha512` and `-H sha512-pbkdf2`.
    #[test]
    fn what_mosquitto_has_written_is_understood() {
        for text in MOSQUITTO {
            let secret: Secret = text.parse().unwrap();
            assert!(secret.accepts(b"secret") && !secret.accepts(b"Secret"), "{text}");
            assert_eq!(secret.to_string(), text);
        }
    }

    #[test]
    fn broken_hashes_are_refused() {
        let good = SMALL.hash(b"x").unwrap().to_string();
        let old = HashKind::Pbkdf2 { rounds: 10 }.hash(b"x").unwrap().to_string();
        let bad = [
            good.replacen("v=19", "v=16", 1),
            good.replacen("argon2id", "argon2i", 1),
            good.replacen("m=64", "m=4294967295", 1),
            good.replacen("m=64", "m=8", 1),
            good.replacen("p=2", "p=0", 1),
            good.replacen("p=2", "p=2,x=1", 1),
            format!("{good}$"),
            good[..good.len() - 3].to_owned() + "!!!",
            old.replacen("$10$", "$0$", 1),
            old.replacen("$10$", "$$", 1),
            old[..old.len() - 1].to_owned(),
            "$6$c2FsdA==$".into(),
            "$5$a$b".into(),
            "$".into(),
        ];
        for text in bad {
            assert!(text.parse::<Secret>().is_err(), "{text}");
        }
    }

    const MOSQUITTO: [&str; 2] = [
        concat!(
            "$6$GowSZTC6wQL22yA7JuQP1dY9G3cLrddvDNR689FbzWJcnEpse4Xygs7fk7nKXnLMhOh8ivZkSMw0x",
            "qQnyV5y3g==$2+wgo9aIWay6mcU3PLOC/GWnd3YEwQgxlE7tdSXdPlU3IH6/U6jJRctoxC/ATC7/Vdiw",
            "QpRIBN6K5TfpxAJynA==",
        ),
        concat!(
            "$7$1000$dVZ7YS3UZuqOrb6ts9Rvws+STvlNWTPrrFd+Zig/qMQCY+lPpBAxOwb/dlurZXxcFIJtF4Uq",
            "88ynYEr4PqwQgQ==$huFfCiUb9JH2lb34mrRg+Qu+KCzExtEWawFZE/JvRsFyeamYdFKRgy9k7vdFSfz",
            "eHQlhwgwZg6O3TfoZPI/PsQ==",
        ),
    ];

    /// From the test of the reference implementation.
    #[test]
    fn argon2id_is_what_others_call_so() {
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$\
                    CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let secret: Secret = text.parse().unwrap();
        assert!(secret.accepts(b"password") && !secret.accepts(b"Password"));
        assert_eq!(secret.to_string(), text);
    }
}
