//! Who a client is: the answers to `Effect::Authenticate`.
//!
//! * `verifier`  what is kept of a password, for SCRAM too; who may log in
//! * `secret`    what is kept of a password in other forms
//! * `password_file`  users in a file, one a line
//! * `recent`    passwords that were right a moment ago
//! * `scram`     SCRAM-SHA-256, the enhanced authentication we speak
//! * `pool`      the threads that check plain passwords, because that takes milliseconds
//!
//! Rules, in this order. An Authentication Method must be SCRAM-SHA-256. A certificate that gives a
//! user name (`user_name_from`) is taken for it. A user name is checked
//! against the configured users; without any configured, a listener that lets anonymous clients in
//! lets every name in. Without a user name the listener decides.

mod password_file;
mod pool;
mod recent;
mod scram;
mod secret;
mod verifier;

pub use password_file::{PasswordFileError, PasswordLine, read_lines};
pub use secret::{HashKind, ROUNDS, Secret};
pub use verifier::{ITERATIONS, Users, Verifier, VerifierError};

pub(crate) use pool::{PasswordCheck, PasswordPool};
pub(crate) use verifier::prepared_name;

use noctule_core::ConnId;
use noctule_core::grant::Grant;
use noctule_core::input::AuthAnswer;
use noctule_core::output::AuthRequest;
use noctule_proto::ReasonCode;
use scram::{ClientFirst, Exchange, ScramError};
use std::collections::HashMap;
use std::sync::Arc;

/// The authenticator of one shard.
pub(crate) struct Authenticator {
    users: Arc<Users>,
    checks: PasswordCheck,
    /// Keys the salts told to unknown users: the same name is always told the same salt.
    secret: [u8; 32],
    running: HashMap<ConnId, Running>,
    /// Who a connection is that proved it: a re-authentication cannot change it, a reload can end
    /// it.
    known: HashMap<ConnId, Arc<str>>,
    last_ticket: u64,
}

/// What is known of a client before it says who it is.
#[derive(Clone, Default)]
pub(crate) struct Shown {
    /// Its listener lets anonymous clients in.
    pub(crate) anonymous: bool,
    /// The user name that its certificate gives it, where that counts; `Some(None)`: it has shown
    /// one that gives none.
    pub(crate) user_name: Option<Option<Arc<str>>>,
}

/// An authentication that waits for something.
enum Running {
    /// For a password check; the answer has to carry this ticket, so that it cannot reach a
    /// later connection with the same number. Without a user no password is right.
    Password { ticket: u64, user: Option<Arc<str>> },
    /// For the client's proof.
    Scram { exchange: Exchange, user: Option<Arc<str>> },
}

impl Authenticator {
    /// Checks against `users`, with the password threads behind `checks`.
    pub(crate) fn new(
        users: Arc<Users>,
        checks: PasswordCheck,
    ) -> Result<Authenticator, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Authenticator {
            users,
            checks,
            secret,
            running: HashMap::new(),
            known: HashMap::new(),
            last_ticket: 0,
        })
    }

    /// Other users from here on. Answers whose user is gone or has another password: they are to
    /// be ended, or were about to be let in by what does not hold any more.
    pub(crate) fn reconfigure(&mut self, users: Arc<Users>) -> Vec<ConnId> {
        let before = std::mem::replace(&mut self.users, users);
        let changed = |user: &str| before.find(user) != self.users.find(user);
        let known = self.known.iter().filter(|(_, user)| changed(user));
        let running = self.running.iter().filter(|(_, running)| match running {
            Running::Password { user, .. } | Running::Scram { user, .. } => {
                user.as_deref().is_some_and(changed)
            }
        });
        let mut ended: Vec<ConnId> =
            known.map(|(conn, _)| *conn).chain(running.map(|(conn, _)| *conn)).collect();
        ended.sort_unstable();
        ended.dedup();
        ended
    }

    /// Takes one step. `None`: a password is being checked; [`Authenticator::checked`] has the
    /// answer later.
    pub(crate) fn step(
        &mut self,
        conn: ConnId,
        shown: Shown,
        request: AuthRequest,
    ) -> Option<AuthAnswer> {
        match request {
            AuthRequest::Connect { method: None, .. } if shown.user_name.is_some() => {
                Some(self.by_certificate(conn, shown.user_name.flatten()))
            }
            AuthRequest::Connect { user_name, method: Some(method), data, .. } => {
                Some(self.scram_first(conn, &method, data.as_deref(), user_name.as_deref()))
            }
            AuthRequest::Connect { user_name, password, method: None, .. } => {
                self.plain(conn, shown.anonymous, user_name, password)
            }
            AuthRequest::Step { data } => Some(self.scram_final(conn, data.as_deref())),
            AuthRequest::Again { method, data, .. } => {
                let known = self.known.get(&conn).cloned();
                Some(self.scram_first(conn, &method, data.as_deref(), known.as_deref()))
            }
        }
    }

    /// The answer of a password check, if its connection still waits for it.
    pub(crate) fn checked(
        &mut self,
        conn: ConnId,
        ticket: u64,
        accepted: bool,
    ) -> Option<AuthAnswer> {
        match self.running.get(&conn) {
            Some(Running::Password { ticket: waiting, user }) if *waiting == ticket => {
                let user = user.clone().filter(|_| accepted);
                self.running.remove(&conn);
                let Some(user) = user else { return Some(wrong_password()) };
                self.known.insert(conn, user);
                Some(allow(None))
            }
            _ => None,
        }
    }

    /// The user name that a connection has proved to have.
    pub(crate) fn user_of(&self, conn: ConnId) -> Option<&str> {
        self.known.get(&conn).map(|user| &**user)
    }

    /// The connection is gone.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        // Most connections never had to wait: no hashing for them.
        if !self.running.is_empty() {
            self.running.remove(&conn);
        }
        if !self.known.is_empty() {
            self.known.remove(&conn);
        }
    }

    /// The certificate is proof enough.
    fn by_certificate(&mut self, conn: ConnId, user: Option<Arc<str>>) -> AuthAnswer {
        let Some(user) = user else {
            let why = "the certificate has no common name";
            return deny(ReasonCode::BadUserNameOrPassword, why);
        };
        let user_name = Some((*user).into());
        self.known.insert(conn, user);
        AuthAnswer::Allow { grant: Grant::Full, data: None, user_name }
    }

    fn plain(
        &mut self,
        conn: ConnId,
        anonymous: bool,
        user_name: Option<Box<str>>,
        password: Option<Box<[u8]>>,
    ) -> Option<AuthAnswer> {
        if self.users.is_empty() && anonymous {
            return Some(allow(None));
        }
        let Some(user_name) = user_name else {
            return Some(match (password, anonymous) {
                (None, true) => allow(None),
                (None, false) => deny(
                    ReasonCode::NotAuthorized,
                    "this listener does not let anonymous clients in",
                ),
                (Some(_), _) => wrong_password(),
            });
        };
        let (user, secret) = self.user(&user_name);
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        if !self.checks.ask(conn, ticket, secret, password.unwrap_or_default()) {
            return Some(deny(ReasonCode::ServerBusy, "too many logins at a time"));
        }
        self.running.insert(conn, Running::Password { ticket, user });
        None
    }

    /// `expected`: the user name the client gave elsewhere, which has to be the same.
    fn scram_first(
        &mut self,
        conn: ConnId,
        method: &str,
        data: Option<&[u8]>,
        expected: Option<&str>,
    ) -> AuthAnswer {
        if method != scram::METHOD {
            // [MQTT-4.12.0-1 v5]
            return deny(
                ReasonCode::BadAuthenticationMethod,
                "the authentication method of this server is SCRAM-SHA-256",
            );
        }
        let first = match ClientFirst::parse(data.unwrap_or_default()) {
            Ok(first) => first,
            Err(error) => return refuse(error),
        };
        let same = |name: &str| prepared_name(name).is_some_and(|it| *it == *first.user_name);
        if expected.is_some_and(|name| !same(name)) {
            return deny(ReasonCode::NotAuthorized, "another user name than before");
        }
        let mut nonce = [0; 18];
        if getrandom::fill(&mut nonce).is_err() {
            return deny(ReasonCode::ServerUnavailable, "no random numbers");
        }
        let nonce = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, nonce);
        let (user, secret) = self.user(&first.user_name);
        // A hash of another kind is of no use here; nobody is told whose it is.
        let (user, verifier) = match secret.scram() {
            Some(verifier) => (user, verifier.clone()),
            None => (None, Verifier::of_nobody(self.salt_of_nobody(&first.user_name))),
        };
        let (answer, exchange) = first.begin(verifier, &nonce);
        self.running.insert(conn, Running::Scram { exchange, user });
        AuthAnswer::Continue { data: answer.into_bytes().into() }
    }

    fn scram_final(&mut self, conn: ConnId, data: Option<&[u8]>) -> AuthAnswer {
        let Some(Running::Scram { exchange, user }) = self.running.remove(&conn) else {
            return deny(ReasonCode::NotAuthorized, "no authentication exchange is running");
        };
        match exchange.finish(data.unwrap_or_default()) {
            Ok(proof) => {
                let Some(user) = user else { return refuse(ScramError::WrongProof) };
                self.known.insert(conn, user);
                allow(Some(proof.into_bytes().into()))
            }
            Err(error) => refuse(error),
        }
    }

    /// A user and what to check against; for a name that is none, something no password fits.
    fn user(&self, name: &str) -> (Option<Arc<str>>, Secret) {
        match self.users.entry(name) {
            Some((user, secret)) => (Some(Arc::clone(user)), secret.clone()),
            None => (None, self.users.nobody(self.salt_of_nobody(name))),
        }
    }

    fn salt_of_nobody(&self, user_name: &str) -> [u8; 16] {
        let hash = verifier::hmac(&self.secret, user_name.as_bytes());
        hash.first_chunk().copied().expect("32 bytes begin with 16 bytes")
    }
}

fn allow(data: Option<Box<[u8]>>) -> AuthAnswer {
    AuthAnswer::Allow { grant: Grant::Full, data, user_name: None }
}

fn deny(reason: ReasonCode, why: &str) -> AuthAnswer {
    AuthAnswer::Deny { reason, why: why.into() }
}

fn wrong_password() -> AuthAnswer {
    deny(ReasonCode::BadUserNameOrPassword, "bad user name or password")
}

fn refuse(error: ScramError) -> AuthAnswer {
    match error {
        ScramError::Malformed => {
            deny(ReasonCode::NotAuthorized, "the SCRAM message is not what RFC 5802 says")
        }
        ScramError::Unsupported => deny(
            ReasonCode::NotAuthorized,
            "channel binding, authorisation identities and extensions of SCRAM are not supported",
        ),
        // The standard knows 0x86 for CONNACK only; 0x87 fits a re-authentication as well.
        ScramError::WrongProof => deny(ReasonCode::NotAuthorized, "bad user name or password"),
    }
}

#[cfg(test)]
mod tests;
