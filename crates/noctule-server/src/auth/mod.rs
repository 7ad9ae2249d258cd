//! Who a client is: the answers to `Effect::Authenticate`.
//!
//! * `trust`     who is believed
//! * `verifier`  what is kept of a password, for SCRAM too; who may log in
//! * `secret`    what is kept of a password in other forms
//! * `password_file`  users in a file, one a line
//! * `recent`    passwords that were right a moment ago
//! * `scram`     SCRAM-SHA-256, an enhanced authentication
//! * `plain`     plain passwords, handed to `pool`
//! * `pool`      the threads that check plain passwords, because that takes milliseconds
//! * `token`     JSON Web Tokens, with threads of their own
//! * `identity`  who a client turned out to be
//! * `dynsec`    clients of dynamic security
//! * `webhook`   a service of the operator's
//! * `headcount` how many connections each user has
//! * `grants`    what it says that clients may do
//! * `file`      files that say who is believed
//!
//! A chain, maybe one for each listener: `Chain::order` says who is asked, and the first who knows
//! the client decides. Known is who has shown a certificate that gives a user name
//! (`user_name_from`), who sends a password that wants to be a token, if there are issuers of any,
//! and who gives a user name that is configured; a webhook knows whom it likes. Nobody knows the
//! rest: a client with a name or a password is refused, without both the listener decides. If
//! nothing is configured that anybody could be checked against, a listener that lets anonymous
//! clients in lets every name in. An Authentication Method names one of the chain.

mod dynsec;
mod file;
mod grants;
mod headcount;
mod identity;
mod password_file;
mod plain;
mod pool;
mod recent;
mod scram;
mod secret;
mod token;
mod trust;
mod verifier;
mod webhook;

pub use file::AuthFileError;
pub use password_file::{PasswordFileError, PasswordLine, read_lines};
pub use secret::{HashKind, ROUNDS, Secret, SecretError};
pub use token::Algorithm;
pub use verifier::{ITERATIONS, Users, Verifier, VerifierError};

pub(crate) use headcount::Headcount;
pub(crate) use identity::Verdict;
pub(crate) use pool::{PasswordCheck, PasswordPool};
pub(crate) use token::{TokenCheck, TokenPool};
pub(crate) use trust::{Believed, Trust};
pub(crate) use verifier::prepared_name;

use crate::config::AuthenticatorKind;
use crate::shard::{Clock, Mailbox};
use grants::Grants;
use headcount::{Applying, Counted};
use identity::{Asked, Identity};
use noctule_core::grant::Principal;
use noctule_core::input::AuthAnswer;
use noctule_core::output::AuthRequest;
use noctule_core::{ConnId, ListenerId, Tenant, Time};
use noctule_proto::{ReasonCode, Version};
use scram::{ClientFirst, Exchange, ScramError};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use token::{Proof, now_millis};
use webhook::{About, Hook};

/// What is said of a URL that is asked openly about who is let in.
const DECIDES: &str = "whoever is on the way there decides who gets in";

/// Those who find out what takes long.
pub(crate) struct Checks {
    pub(crate) passwords: PasswordCheck,
    pub(crate) tokens: TokenCheck,
    /// What users have open.
    pub(crate) headcount: Headcount,
    /// Where the answers of webhooks go.
    pub(crate) answers: Mailbox,
}

/// The authenticator of one shard.
pub(crate) struct Authenticator {
    trust: Arc<Trust>,
    checks: Checks,
    clock: Clock,
    /// Keys the salts told to unknown users: the same name is always told the same salt.
    secret: [u8; 32],
    /// Clients of dynamic security, if there is any.
    dynsec: Option<Arc<crate::dynsec::Model>>,
    running: HashMap<ConnId, Running>,
    /// Who a connection is that proved it: a re-authentication cannot change it, a reload can end
    /// it.
    known: HashMap<ConnId, Known>,
    grants: Grants,
    /// Who has said who it is, while a role bounds how many connections a user has; and who counts.
    applying: HashMap<ConnId, Applying>,
    counted: HashMap<ConnId, Counted>,
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
    /// Its client id has to be the same.
    pub(crate) bound: bool,
    /// Where it came in.
    pub(crate) place: (ListenerId, Tenant),
    /// What, but for where it comes from, nobody but a webhook wants to know.
    pub(crate) seen: Seen,
}

/// What else is seen of a client.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Where it comes from.
    pub(crate) remote: Option<SocketAddr>,
    /// Where it came in.
    pub(crate) listener: Option<SocketAddr>,
    /// What it speaks.
    pub(crate) version: Option<Version>,
    /// The common name in its certificate.
    pub(crate) common_name: Option<Arc<str>>,
}

/// A client at the chain.
struct Applicant {
    asked: Asked,
    password: Option<Box<[u8]>>,
    shown: Shown,
}

/// What comes of an answer.
pub(crate) enum Outcome {
    /// The client is let in, or not.
    Answer(AuthAnswer),
    /// It is in, and has other rights than before.
    Changed(Principal),
    /// It is in, and may not be.
    Lost(ReasonCode, Box<str>),
}

/// Who a connection is.
#[derive(Clone)]
struct Known {
    principal: Principal,
    by: Voucher,
}

/// Who says who a connection is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Voucher {
    /// We do, to those who came in here.
    Own(ListenerId),
    /// The issuer of its token.
    Issuer(Box<str>),
    Webhook,
    /// The file of dynamic security, whose keeper ends connections by itself.
    Dynsec,
}

/// An authentication that waits for something.
enum Running {
    /// For a password check; the answer has to carry this ticket, so that it cannot reach a
    /// later connection with the same number. Without a user no password is right.
    Password { ticket: u64, by: Voucher, user: Option<Arc<str>> },
    /// For the client's proof.
    Scram { exchange: Exchange, at: ListenerId, user: Option<Arc<str>> },
    /// For the check of a token; again, if it is not the first of this connection.
    Token { ticket: u64, again: bool },
    /// For a webhook, which may leave it to those from this place in the chain on.
    Webhook { ticket: u64, applicant: Arc<Applicant>, next: usize },
}

impl Authenticator {
    /// Believes `trust`, with the threads behind `checks`.
    pub(crate) fn new(
        trust: Arc<Trust>,
        checks: Checks,
        clock: Clock,
    ) -> Result<Authenticator, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Authenticator {
            trust,
            checks,
            clock,
            secret,
            dynsec: None,
            running: HashMap::new(),
            known: HashMap::new(),
            grants: Grants::default(),
            applying: HashMap::new(),
            counted: HashMap::new(),
            last_ticket: 0,
        })
    }

    /// Believes others from here on. Answers who is to be ended, or was about to be let in by what
    /// does not hold any more: its user is gone or has another password, or who vouches for it is
    /// gone.
    pub(crate) fn reconfigure(&mut self, trust: Arc<Trust>) -> Vec<ConnId> {
        let before = std::mem::replace(&mut self.trust, trust);
        let changed = |at: ListenerId, user: &str| {
            before.at(at).users.find(user) != self.trust.at(at).users.find(user)
        };
        let known = self.known.iter().filter(|(_, known)| match &known.by {
            Voucher::Issuer(issuer) => !self.trust.tokens.knows(issuer),
            Voucher::Webhook => self.trust.hook.is_none(),
            Voucher::Dynsec => false,
            Voucher::Own(at) => {
                known.principal.user_name.as_deref().is_some_and(|user| changed(*at, user))
            }
        });
        let running = self.running.iter().filter(|(_, running)| match running {
            Running::Password { user, by: Voucher::Own(at), .. }
            | Running::Scram { user, at, .. } => {
                user.as_deref().is_some_and(|user| changed(*at, user))
            }
            // Who vouches for it is looked for again when it is answered.
            Running::Password { .. } | Running::Token { .. } | Running::Webhook { .. } => false,
        });
        let mut ended: Vec<ConnId> =
            known.map(|(conn, _)| *conn).chain(running.map(|(conn, _)| *conn)).collect();
        ended.sort_unstable();
        ended.dedup();
        ended
    }

    /// Takes one step. `None`: something is being checked; [`Authenticator::checked`] or
    /// [`Authenticator::identified`] has the answer later.
    pub(crate) fn step(
        &mut self,
        conn: ConnId,
        shown: Shown,
        request: AuthRequest,
    ) -> Option<AuthAnswer> {
        if let AuthRequest::Connect { client_id, .. } = &request {
            if self.permissions_secs().is_some() && !self.trust.at(shown.place.0).inside {
                self.grants.begin(conn, client_id, &shown);
            }
            if self.trust.bounds_users {
                let (listener, tenant) = shown.place;
                let applying = Applying { listener, tenant, client_id: client_id.clone() };
                self.applying.insert(conn, applying);
            }
        }
        let answer = self.first_step(conn, shown, request)?;
        self.permitted(conn, answer)
    }

    fn first_step(
        &mut self,
        conn: ConnId,
        shown: Shown,
        request: AuthRequest,
    ) -> Option<AuthAnswer> {
        let (at, _) = shown.place;
        match request {
            AuthRequest::Connect { client_id, user_name, password, method: None, .. } => {
                let asked = Asked { client_id, user_name: user_name.map(Into::into) };
                self.ask(conn, Arc::new(Applicant { asked, password, shown }), 0)
            }
            AuthRequest::Connect { client_id, user_name, method: Some(method), data, .. } => {
                let asked = Asked { client_id, user_name: user_name.map(Into::into) };
                self.enhanced((conn, at), &method, data, (asked, false))
            }
            AuthRequest::Step { data } => Some(self.scram_final(conn, data.as_deref())),
            AuthRequest::Again { client_id, method, data } => {
                let user_name =
                    self.known.get(&conn).and_then(|known| known.principal.user_name.clone());
                self.enhanced((conn, at), &method, data, (Asked { client_id, user_name }, true))
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
            Some(Running::Password { ticket: waiting, by, user }) if *waiting == ticket => {
                let by = by.clone();
                let user = user.clone().filter(|_| accepted);
                self.running.remove(&conn);
                let Some(user) = user else { return Some(wrong_password()) };
                let answer = self.admit_user(conn, (user, by), None);
                self.permitted(conn, answer)
            }
            _ => None,
        }
    }

    /// The answer of somebody else, if its connection still waits for it.
    pub(crate) fn identified(
        &mut self,
        conn: ConnId,
        ticket: u64,
        verdict: Verdict,
    ) -> Option<Outcome> {
        if self.grants.asked(conn, ticket) {
            return self.granted(conn, verdict);
        }
        let waits = match self.running.get(&conn)? {
            Running::Token { ticket, .. } | Running::Webhook { ticket, .. } => *ticket,
            Running::Password { .. } | Running::Scram { .. } => return None,
        };
        let running = if waits == ticket { self.running.remove(&conn)? } else { return None };
        let answer = match verdict {
            Verdict::Deny { reason, why } => AuthAnswer::Deny { reason, why },
            Verdict::Allow(identity) => match running {
                Running::Token { again, .. } => self.by_token(conn, *identity, again),
                Running::Webhook { .. } => {
                    return Some(Outcome::Answer(self.by_webhook(conn, *identity)));
                }
                Running::Password { .. } | Running::Scram { .. } => wrong_password(),
            },
            Verdict::NotMine => match running {
                Running::Webhook { applicant, next, .. } => self.ask(conn, applicant, next)?,
                // Nobody else takes tokens.
                Running::Token { .. } | Running::Password { .. } | Running::Scram { .. } => {
                    wrong_password()
                }
            },
        };
        self.permitted(conn, answer).map(Outcome::Answer)
    }

    /// The user name that a connection has proved to have.
    pub(crate) fn user_of(&self, conn: ConnId) -> Option<&str> {
        self.known.get(&conn).and_then(|known| known.principal.user_name.as_deref())
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
        self.grants.forget(conn);
        if !self.applying.is_empty() {
            self.applying.remove(&conn);
        }
        if !self.counted.is_empty() {
            self.counted.remove(&conn);
        }
    }

    /// One of our own users has proved who it is.
    fn admit_user(
        &mut self,
        conn: ConnId,
        (user, by): (Arc<str>, Voucher),
        data: Option<Box<[u8]>>,
    ) -> AuthAnswer {
        let principal = Principal { user_name: Some(user), ..Principal::default() };
        self.known.insert(conn, Known { principal: principal.clone(), by });
        AuthAnswer::Allow { principal, data }
    }

    /// Those who have proved who they are, for rules that came after them.
    pub(crate) fn known(&self) -> impl Iterator<Item = (ConnId, Principal)> {
        // Of one that proves it once more, what the webhook says is not there yet.
        let known = self.known.iter().filter(|(conn, _)| !self.grants.waits(**conn));
        known.map(|(conn, known)| (*conn, known.principal.clone()))
    }

    /// Whether somebody is asked who wants to know all that is seen of a client.
    pub(crate) fn wants_to_see(&self) -> bool {
        self.trust.hook.is_some()
    }

    /// Asks one after the other, from a place in the chain on.
    fn ask(&mut self, conn: ConnId, applicant: Arc<Applicant>, from: usize) -> Option<AuthAnswer> {
        let trust = Arc::clone(&self.trust);
        let chain = trust.at(applicant.shown.place.0);
        for (at, kind) in chain.order.iter().enumerate().skip(from) {
            match kind {
                AuthenticatorKind::Certificate => {
                    if let Some(user) = applicant.shown.user_name.clone() {
                        return Some(self.by_certificate(conn, user, &applicant));
                    }
                }
                AuthenticatorKind::Jwt => {
                    let token = applicant.password.as_deref().unwrap_or_default();
                    if !trust.tokens.is_empty() && token::wants_to_be_token(token) {
                        let proof = Proof { token: token.into(), enhanced: false };
                        let asked = applicant.asked.clone();
                        return self.ask_for_token(conn, (asked, false), proof);
                    }
                }
                AuthenticatorKind::Dynsec => {
                    if let Some(answer) = self.ask_dynsec(conn, &applicant) {
                        return answer;
                    }
                }
                AuthenticatorKind::Password => {
                    let name = applicant.asked.user_name.as_deref();
                    if let Some(name) = name.filter(|name| chain.users.find(name).is_some()) {
                        return self.ask_for_password(conn, name, &applicant);
                    }
                }
                AuthenticatorKind::Webhook => {
                    if let Some(hook) = &trust.hook {
                        return self.ask_webhook(conn, hook, (applicant, at + 1));
                    }
                }
            }
        }
        self.unknown(conn, &applicant)
    }

    /// Nobody knows it.
    fn unknown(&mut self, conn: ConnId, applicant: &Applicant) -> Option<AuthAnswer> {
        let Applicant { asked, password, shown: Shown { anonymous, place, .. } } = applicant;
        let (anonymous, (at, _)) = (*anonymous, *place);
        // Nobody can prove a name here, so it is taken for what it is said to be.
        let dynsec = self.has_dynsec() && self.trust.at(at).asks(AuthenticatorKind::Dynsec);
        if anonymous && !dynsec && self.trust.is_empty_at(at) {
            return Some(allow(asked.user_name.clone()));
        }
        match (&asked.user_name, password) {
            (None, None) if anonymous => Some(allow(None)),
            (None, None) => Some(deny(
                ReasonCode::NotAuthorized,
                "this listener does not let anonymous clients in",
            )),
            // It takes as long as it does for a user who is known.
            (Some(name), _) if dynsec || self.trust.at(at).asks(AuthenticatorKind::Password) => {
                self.ask_for_password(conn, name, applicant)
            }
            (None | Some(_), _) => Some(wrong_password()),
        }
    }

    fn ask_for_token(
        &mut self,
        conn: ConnId,
        (asked, again): (Asked, bool),
        proof: Proof,
    ) -> Option<AuthAnswer> {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        if !self.checks.tokens.ask((conn, ticket), &self.trust.tokens, asked, proof) {
            return Some(too_many());
        }
        self.running.insert(conn, Running::Token { ticket, again });
        None
    }

    fn ask_webhook(
        &mut self,
        conn: ConnId,
        hook: &Hook,
        (applicant, next): (Arc<Applicant>, usize),
    ) -> Option<AuthAnswer> {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        if !hook.ask((conn, ticket), (About::Login, &applicant), &self.checks.answers) {
            return Some(too_many());
        }
        self.running.insert(conn, Running::Webhook { ticket, applicant, next });
        None
    }

    /// A webhook says that it may come in.
    fn by_webhook(&mut self, conn: ConnId, identity: Identity) -> AuthAnswer {
        if self.trust.hook.is_none() {
            return deny(ReasonCode::NotAuthorized, "who would let it in was taken away");
        }
        let answer = self.admit(conn, identity, Voucher::Webhook);
        if let AuthAnswer::Allow { principal, .. } = &answer {
            self.last_ticket += 1;
            self.grants.by_webhook(conn, principal, self.last_ticket);
            self.schedule(conn);
        }
        answer
    }

    /// A token is good.
    fn by_token(&mut self, conn: ConnId, identity: Identity, again: bool) -> AuthAnswer {
        let issuer = identity.issuer.clone().unwrap_or_default();
        if !self.trust.tokens.knows(&issuer) {
            return deny(ReasonCode::NotAuthorized, "the token's issuer was taken away");
        }
        let before = self.known.get(&conn).map(|known| &known.principal.user_name);
        if again && before.is_some_and(|user| *user != identity.user_name) {
            return deny(ReasonCode::NotAuthorized, ANOTHER_USER);
        }
        self.admit(conn, identity, Voucher::Issuer(issuer))
    }

    /// What core is told of a client that something vouches for.
    fn admit(&mut self, conn: ConnId, identity: Identity, by: Voucher) -> AuthAnswer {
        let expires = self.expires(&identity);
        let rules = identity.permissions.as_deref().map(|all| Arc::new(identity::rules(all)));
        let principal =
            Principal { user_name: identity.user_name, roles: identity.roles, rules, expires };
        for role in principal.roles.iter().filter(|role| !self.trust.has_role(role)) {
            // Issuers name roles of other services too: it is no fault, but somebody may wonder.
            tracing::debug!(user = principal.user_name.as_deref(), role, "no such role here");
        }
        self.known.insert(conn, Known { principal: principal.clone(), by });
        AuthAnswer::Allow { principal, data: None }
    }

    /// When it ends. The broker's clock need not agree with the system's.
    fn expires(&self, identity: &Identity) -> Option<Time> {
        let in_millis = |at: u64| self.clock.now().plus_millis(at.saturating_sub(now_millis()));
        identity.expires_millis.map(in_millis)
    }

    /// The authentication of MQTT 5, by a method that belongs to one of the chain.
    fn enhanced(
        &mut self,
        (conn, at): (ConnId, ListenerId),
        method: &str,
        data: Option<Box<[u8]>>,
        (asked, again): (Asked, bool),
    ) -> Option<AuthAnswer> {
        let in_chain = |kind| self.trust.at(at).asks(kind);
        if method == scram::METHOD && in_chain(AuthenticatorKind::Password) {
            return Some(self.scram_first((conn, at), data.as_deref(), asked.user_name.as_deref()));
        }
        if self.trust.tokens.has_method(method) && in_chain(AuthenticatorKind::Jwt) {
            let proof = Proof { token: data.unwrap_or_default(), enhanced: true };
            return self.ask_for_token(conn, (asked, again), proof);
        }
        // [MQTT-4.12.0-1 v5]
        let scram = in_chain(AuthenticatorKind::Password).then_some(scram::METHOD);
        let mut known: Vec<&str> = scram.into_iter().collect();
        let tokens = self.trust.tokens.methods().filter(|_| in_chain(AuthenticatorKind::Jwt));
        for method in tokens {
            if !known.contains(&method) {
                known.push(method);
            }
        }
        let why = match known.as_slice() {
            [] => "this server has no authentication method".into(),
            [one] => format!("the authentication method of this server is {one}"),
            several => {
                format!("the authentication methods of this server are {}", several.join(", "))
            }
        };
        Some(deny(ReasonCode::BadAuthenticationMethod, &why))
    }

    /// The certificate is proof enough.
    fn by_certificate(
        &mut self,
        conn: ConnId,
        user: Option<Arc<str>>,
        applicant: &Applicant,
    ) -> AuthAnswer {
        let Some(user) = user else {
            let why = "the certificate has no name of the kind that is taken for a user name";
            return deny(ReasonCode::BadUserNameOrPassword, why);
        };
        if applicant.shown.bound && *applicant.asked.client_id != *user {
            let why = "the client identifier is not the name in the certificate";
            return deny(ReasonCode::ClientIdentifierNotValid, why);
        }
        self.admit_user(conn, (user, Voucher::Own(applicant.shown.place.0)), None)
    }

    /// `expected`: the user name the client gave elsewhere, which has to be the same.
    fn scram_first(
        &mut self,
        (conn, at): (ConnId, ListenerId),
        data: Option<&[u8]>,
        expected: Option<&str>,
    ) -> AuthAnswer {
        let first = match ClientFirst::parse(data.unwrap_or_default()) {
            Ok(first) => first,
            Err(error) => return refuse(error),
        };
        let same = |name: &str| prepared_name(name).is_some_and(|it| *it == *first.user_name);
        if expected.is_some_and(|name| !same(name)) {
            return deny(ReasonCode::NotAuthorized, ANOTHER_USER);
        }
        let mut nonce = [0; 18];
        if getrandom::fill(&mut nonce).is_err() {
            return deny(ReasonCode::ServerUnavailable, "no random numbers");
        }
        let nonce = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, nonce);
        let (user, secret) = self.user(at, &first.user_name);
        // A hash of another kind is of no use here; nobody is told whose it is.
        let (user, verifier) = match secret.scram() {
            Some(verifier) => (user, verifier.clone()),
            None => (None, Verifier::of_nobody(self.salt_of_nobody(&first.user_name))),
        };
        let (answer, exchange) = first.begin(verifier, &nonce);
        self.running.insert(conn, Running::Scram { exchange, at, user });
        AuthAnswer::Continue { data: answer.into_bytes().into() }
    }

    fn scram_final(&mut self, conn: ConnId, data: Option<&[u8]>) -> AuthAnswer {
        let Some(Running::Scram { exchange, at, user }) = self.running.remove(&conn) else {
            return deny(ReasonCode::NotAuthorized, "no authentication exchange is running");
        };
        match exchange.finish(data.unwrap_or_default()) {
            Ok(proof) => {
                let Some(user) = user else { return refuse(ScramError::WrongProof) };
                self.admit_user(conn, (user, Voucher::Own(at)), Some(proof.into_bytes().into()))
            }
            Err(error) => refuse(error),
        }
    }
}

const ANOTHER_USER: &str = "another user name than before";

/// Let in without proof.
fn allow(user_name: Option<Arc<str>>) -> AuthAnswer {
    AuthAnswer::Allow { principal: Principal { user_name, ..Principal::default() }, data: None }
}

fn deny(reason: ReasonCode, why: &str) -> AuthAnswer {
    AuthAnswer::Deny { reason, why: why.into() }
}

fn too_many() -> AuthAnswer {
    deny(ReasonCode::ServerBusy, "too many logins at a time")
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
