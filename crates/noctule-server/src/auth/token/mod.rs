//! JSON Web Tokens (RFC 7519): who signed them, for whom, until when, and what they permit.
//!
//! * `algorithm`    the signatures that we know
//! * `jws`          a token, taken apart
//! * `json`         JSON that names nothing twice
//! * `der`, `key`, `key_set`  keys, and what each may verify
//! * `issuer`       where the keys of one issuer come from
//! * `remote`       those that come from a URL
//! * `claims`, `permissions`  what a token says of its bearer
//! * `pool`         the threads that check signatures
//! * `error`        what is wrong with a token
//!
//! The rules are those of RFC 8725: an algorithm has to be one of the key's, whatever the token
//! says; there is no `none`; nothing of a token is believed before its signature was checked, but
//! for the names of its issuer and its key, by which the key is found.

mod algorithm;
mod claims;
mod der;
mod error;
mod issuer;
mod json;
mod jws;
mod key;
mod key_set;
mod permissions;
mod pool;
mod remote;

pub use algorithm::Algorithm;

pub(super) use claims::roles;
pub(crate) use error::TokenError;
pub(super) use json::object as json_object;
pub(crate) use jws::wants_to_be_token;
pub(super) use permissions::read as read_permissions;
pub(super) use pool::now_millis;
pub(crate) use pool::{Proof, TokenCheck, TokenPool};

use super::file::AuthFileError;
use super::identity::{Asked, Identity};
use crate::config::JwtOptions;
use issuer::Issuer;
use jws::Jws;
use key_set::NoKey;
use std::sync::Arc;

/// Whose tokens are taken.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issuers: Vec<Arc<Issuer>>,
}

/// What became of a token.
enum Judged {
    Good(Identity),
    Bad(TokenError),
    /// It would take a key that its issuer may have by now.
    LacksKey(Arc<Issuer>, TokenError),
}

impl Tokens {
    /// Reads the files of all issuers. One that is in `before` with the same options keeps what it
    /// has fetched.
    ///
    /// # Errors
    /// One of the files is of no use.
    pub(crate) fn load(
        options: &[JwtOptions],
        before: Option<&Tokens>,
    ) -> Result<Tokens, AuthFileError> {
        let same = |new: &JwtOptions| {
            let issuers = before.map(|it| it.issuers.iter()).into_iter().flatten();
            issuers.into_iter().find(|it| it.options == *new).cloned()
        };
        let issuer = |new| match same(new) {
            Some(issuer) => issuer.refresh().map(|()| issuer),
            None => Issuer::load(new).map(Arc::new),
        };
        let issuers = options.iter().map(issuer).collect::<Result<_, _>>()?;
        Ok(Tokens { issuers })
    }

    /// No tokens are taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Whether keys have to be fetched.
    pub(crate) fn need_fetching(&self) -> bool {
        self.issuers.iter().any(|it| it.is_remote())
    }

    /// Fetches keys from URLs, from now on, for as long as there are these tokens.
    pub(crate) fn begin_fetching(&self, on: &tokio::runtime::Handle) {
        self.issuers.iter().for_each(|it| Issuer::begin_fetching(it, on));
    }

    /// Reads the files again that have changed since they were read. Those that are of no use
    /// change nothing, and the log says so.
    pub(crate) fn refresh(&self) {
        for issuer in &self.issuers {
            match issuer.refresh_if_changed() {
                Ok(false) => {}
                Ok(true) => tracing::info!("{issuer} has its keys anew"),
                Err(error) => tracing::error!("{issuer} stays as it was: {error}"),
            }
        }
    }

    /// Whether this is an Authentication Method by which tokens come.
    pub(super) fn has_method(&self, method: &str) -> bool {
        self.issuers.iter().any(|it| *it.options.method == *method)
    }

    /// The names of these methods.
    pub(super) fn methods(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(|it| &*it.options.method)
    }

    /// Whether tokens of this name are taken still.
    pub(super) fn knows(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|it| *it.options.issuer == *issuer)
    }

    /// Takes a token for what it is. Takes a tenth of a millisecond, or some: never on a shard.
    fn judge(&self, token: &[u8], asked: &Asked, now_millis: u64) -> Judged {
        let jws = match Jws::parse(token) {
            Ok(jws) => jws,
            Err(error) => return Judged::Bad(error),
        };
        let Some(issuer) = self.issuer_of(&jws) else {
            return Judged::Bad(TokenError::UnknownIssuer);
        };
        let lacks = |error| match issuer.is_remote() {
            true => Judged::LacksKey(Arc::clone(issuer), error),
            false => Judged::Bad(error),
        };
        let Some(keys) = issuer.keys() else { return lacks(TokenError::NoKeys) };
        if !issuer.allows(jws.algorithm) || !keys.allows(jws.algorithm) {
            return Judged::Bad(TokenError::OtherAlgorithm);
        }
        let mut tried = match keys.find(jws.key_name.as_deref(), jws.algorithm) {
            Ok(tried) => tried,
            Err(NoKey::UnknownName) => return lacks(TokenError::UnknownKey),
            Err(NoKey::OtherAlgorithm) => return Judged::Bad(TokenError::OtherAlgorithm),
        };
        if !tried.any(|key| key.verifies(jws.algorithm, jws.signed, &jws.signature)) {
            return Judged::Bad(TokenError::BadSignature);
        }
        match claims::check(&issuer.options, &jws.claims, asked, now_millis) {
            Ok(identity) => Judged::Good(identity),
            Err(error) => Judged::Bad(error),
        }
    }

    /// The issuer that the token names; else the one that has no name.
    fn issuer_of(&self, jws: &Jws<'_>) -> Option<&Arc<Issuer>> {
        let said = jws.claims.get("iss").and_then(serde_json::Value::as_str);
        let named = said
            .filter(|it| !it.is_empty())
            .and_then(|said| self.issuers.iter().find(|it| *it.options.issuer == *said));
        named.or_else(|| self.issuers.iter().find(|it| it.options.issuer.is_empty()))
    }
}

#[cfg(test)]
mod tests;
