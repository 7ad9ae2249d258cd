//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side, without channel binding.
//!
//! ```text
//! start ──n,,n=user,r=ours──▶        ◀──r=ours+theirs,s=salt,i=count── answer
//! answer ──c=biws,r=...,p=proof──▶   ◀──v=signature── finish
//! ```
//!
//! The password never leaves the client, and the server has to prove that it knows of it.

use crate::authenticator::{AuthError, Authenticator};
use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Fewer iterations would protect a stolen verifier too little (RFC 7677).
const ITERATIONS_MIN: u32 = 4096;
/// More would be an attack on our time.
const ITERATIONS_MAX: u32 = 1_000_000;
/// Longest message of a server that is looked at.
const MESSAGE_MAX: usize = 4096;

type Hash = [u8; 32];

/// The method SCRAM-SHA-256, for [`Connector::authenticator`](crate::Connector) or
/// [`Session::authenticate_by`](crate::Session::authenticate_by).
pub struct Scram {
    user_name: String,
    password: String,
    nonces: Box<dyn FnMut() -> String + Send + Sync>,
    step: Step,
    /// Salt and iterations of the last exchange, and what they make of the password: that takes
    /// long, and a server asks the same each time.
    salted: Option<(Vec<u8>, u32, Hash)>,
}

enum Step {
    Idle,
    /// `client-first-message-bare`, and the nonce in it.
    Begun {
        bare: String,
        nonce: String,
    },
    /// What the server has to answer.
    Proven {
        signature: Hash,
    },
    Done,
}

impl Scram {
    /// With nonces from the operating system.
    ///
    /// # Panics
    /// When it begins, if the operating system has no random numbers.
    pub fn new(user_name: &str, password: &str) -> Scram {
        Scram::with_nonces(user_name, password, || {
            let mut nonce = [0; 18];
            getrandom::fill(&mut nonce).expect("the operating system has random numbers");
            STANDARD.encode(nonce)
        })
    }

    /// With a source of nonces: each has to be new and unpredictable, and printable ASCII without
    /// commas.
    pub fn with_nonces(
        user_name: &str,
        password: &str,
        nonces: impl FnMut() -> String + Send + Sync + 'static,
    ) -> Scram {
        Scram {
            user_name: escaped(&prepared(user_name)),
            password: prepared(password).into_owned(),
            nonces: Box::new(nonces),
            step: Step::Idle,
            salted: None,
        }
    }

    fn salted(&mut self, salt: Vec<u8>, iterations: u32) -> Hash {
        if let Some((before, count, hash)) = &self.salted
            && *before == salt
            && *count == iterations
        {
            return *hash;
        }
        let mut hash = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(self.password.as_bytes(), &salt, iterations, &mut hash);
        self.salted = Some((salt, iterations, hash));
        hash
    }
}

impl Authenticator for Scram {
    fn method(&self) -> &str {
        "SCRAM-SHA-256"
    }

    fn start(&mut self) -> Option<Vec<u8>> {
        let nonce = (self.nonces)();
        let bare = format!("n={},r={nonce}", self.user_name);
        let first = format!("n,,{bare}");
        self.step = Step::Begun { bare, nonce };
        Some(first.into_bytes())
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, AuthError> {
        let Step::Begun { bare, nonce: ours } = core::mem::replace(&mut self.step, Step::Idle)
        else {
            return Err(error("the server asks for a proof twice"));
        };
        let text = text(challenge)?;
        let mut attributes = text.split(',');
        let nonce = attribute(attributes.next(), "r=")?;
        if !nonce.starts_with(&ours) || nonce.len() == ours.len() {
            return Err(error("the server's nonce is not made from ours"));
        }
        let salt = attribute(attributes.next(), "s=")?;
        let salt = STANDARD.decode(salt).map_err(|_| error("the server's salt is no base64"))?;
        let iterations = attribute(attributes.next(), "i=")?.parse().unwrap_or(0);
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(AuthError(format!(
                "the server asks for an iteration count outside {ITERATIONS_MIN} to \
                 {ITERATIONS_MAX}"
            )));
        }
        // "biws" is "n,,": no channel binding.
        let without_proof = format!("c=biws,r={nonce}");
        let auth_message = format!("{bare},{text},{without_proof}");
        let salted = self.salted(salt, iterations);
        let client_key = hmac(&salted, b"Client Key");
        let stored_key: Hash = Sha256::digest(client_key).into();
        let mut proof = hmac(&stored_key, auth_message.as_bytes());
        proof.iter_mut().zip(client_key).for_each(|(byte, key)| *byte ^= key);
        let server_key = hmac(&salted, b"Server Key");
        self.step = Step::Proven { signature: hmac(&server_key, auth_message.as_bytes()) };
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes())
    }

    fn finish(&mut self, data: &[u8]) -> Result<(), AuthError> {
        let Step::Proven { signature } = core::mem::replace(&mut self.step, Step::Done) else {
            return Err(error("the server lets us in without asking for a proof"));
        };
        let text = text(data)?;
        if let Some(refusal) = text.strip_prefix("e=") {
            return Err(AuthError(format!("the server says {refusal:?}")));
        }
        // The signature is no secret of ours: it need not be compared in constant time.
        let theirs = STANDARD.decode(attribute(text.split(',').next(), "v=")?);
        match theirs {
            Ok(theirs) if theirs == signature => Ok(()),
            Ok(_) | Err(_) => Err(error("the server does not prove that it knows the password")),
        }
    }
}

/// The password stays out of logs.
impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram").field("user_name", &self.user_name).finish_non_exhaustive()
    }
}

fn error(words: &str) -> AuthError {
    AuthError(words.to_owned())
}

fn hmac(key: &[u8], message: &[u8]) -> Hash {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn text(message: &[u8]) -> Result<&str, AuthError> {
    if message.len() > MESSAGE_MAX {
        return Err(error("the server's message is too long"));
    }
    core::str::from_utf8(message).map_err(|_| error("the server's message is no text"))
}

fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, AuthError> {
    match part {
        Some(part) if part.starts_with("m=") => {
            Err(error("the server demands an extension that is not known here"))
        }
        Some(part) => part
            .strip_prefix(name)
            .ok_or_else(|| AuthError(format!("the server's message lacks {name}"))),
        None => Err(AuthError(format!("the server's message lacks {name}"))),
    }
}

/// By SASLprep, or as it is where that does not allow it: then the server decides.
fn prepared(text: &str) -> Cow<'_, str> {
    stringprep::saslprep(text).unwrap_or(Cow::Borrowed(text))
}

/// Commas and equals signs part attributes.
fn escaped(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example exchange of RFC 7677, section 3.
    const SERVER_FIRST: &[u8] = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn pencil() -> Scram {
        let mut scram = Scram::with_nonces("user", "pencil", || "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(scram.start().as_deref(), Some(&b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"[..]));
        scram
    }

    #[test]
    fn the_exchange_of_rfc_7677_comes_out_and_can_be_repeated() {
        let mut scram = pencil();
        for _ in 0..2 {
            let answer = scram.answer(SERVER_FIRST).expect("a legal challenge");
            assert_eq!(
                String::from_utf8_lossy(&answer),
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
            );
            let last = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
            assert_eq!(scram.finish(last), Ok(()));
            assert!(scram.finish(last).is_err());
            scram.start();
        }
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_refused() {
        for last in [
            &b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="[..],
            b"v=",
            b"e=other-error",
            b"",
            b"\xff",
        ] {
            let mut scram = pencil();
            scram.answer(SERVER_FIRST).expect("a legal challenge");
            assert!(scram.finish(last).is_err());
        }
        // Or that does not ask for a proof at all.
        assert!(pencil().finish(b"").is_err());
    }

    #[test]
    fn a_challenge_that_is_none_is_refused() {
        for (from, to) in [
            ("r=rO", "r=xO"),
            ("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", ""),
            ("i=4096", "i=4095"),
            ("i=4096", "i=4294967295"),
            ("i=4096", "i=many"),
            ("s=W22", "s=*22"),
            ("r=rO", "m=ext,r=rO"),
            (",i=4096", ""),
        ] {
            let challenge = String::from_utf8_lossy(SERVER_FIRST).replace(from, to);
            assert!(pencil().answer(challenge.as_bytes()).is_err(), "{challenge}");
        }
        let mut twice = pencil();
        twice.answer(SERVER_FIRST).expect("a legal challenge");
        assert!(twice.answer(SERVER_FIRST).is_err());
        assert!(pencil().answer(&[b'r'; 5000]).is_err());
    }

    #[test]
    fn names_are_escaped_and_passwords_do_not_show() {
        let mut scram = Scram::with_nonces("a,b=c", "secret", || "x".into());
        assert_eq!(scram.start().as_deref(), Some(&b"n,,n=a=2Cb=3Dc,r=x"[..]));
        assert!(!format!("{scram:?}").contains("secret"));
    }
}
