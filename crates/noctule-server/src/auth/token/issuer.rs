//! One issuer of tokens, and where its keys come from.

use super::algorithm::Algorithm;
use super::key_set::{KeySet, Secrets};
use super::pool::Question;
use super::remote::{Remote, keep_fresh};
use crate::auth::DECIDES;
use crate::auth::file::{AuthFileError, Stamp, stamp};
use crate::config::{JwtKeys, JwtOptions};
use crate::http::Endpoint;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// A larger file holds no keys.
const FILE_MAX: u64 = 1 << 20;

/// Who signs tokens.
pub(super) struct Issuer {
    pub(super) options: JwtOptions,
    keys: RwLock<Option<Arc<KeySet>>>,
    source: Source,
}

enum Source {
    File { path: PathBuf, stamp: Mutex<Stamp> },
    Url { endpoint: Arc<Endpoint>, remote: Remote },
}

impl Issuer {
    /// Reads its file. What comes from a URL is fetched later.
    pub(super) fn load(options: &JwtOptions) -> Result<Issuer, AuthFileError> {
        let (source, keys) = match &options.keys {
            JwtKeys::PublicKey(path) | JwtKeys::Secret(path) | JwtKeys::JwksFile(path) => {
                // Before it is read: a change meanwhile is found later.
                let stamp = Mutex::new(stamp(path));
                let keys = read(&options.keys, path)?;
                (Source::File { path: path.clone(), stamp }, Some(Arc::new(keys)))
            }
            JwtKeys::JwksUrl(url) => {
                let ca = options.jwks_ca.as_deref();
                let endpoint = Endpoint::new(url, ca).map_err(|why| AuthFileError {
                    path: ca.map_or_else(|| PathBuf::from(&**url), Path::to_path_buf),
                    why,
                })?;
                if endpoint.is_open() {
                    tracing::warn!("{url} is not https: {DECIDES}");
                }
                let remote = Remote::new();
                (Source::Url { endpoint: Arc::new(endpoint), remote }, None)
            }
        };
        Ok(Issuer { options: options.clone(), keys: RwLock::new(keys), source })
    }

    /// Its keys, once there are any.
    pub(super) fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the configuration lets it sign like this.
    pub(super) fn allows(&self, algorithm: Algorithm) -> bool {
        self.options.algorithms.is_empty() || self.options.algorithms.contains(&algorithm)
    }

    /// Whether its keys come from a URL.
    pub(super) fn is_remote(&self) -> bool {
        self.remote().is_some()
    }

    fn remote(&self) -> Option<&Remote> {
        match &self.source {
            Source::Url { remote, .. } => Some(remote),
            Source::File { .. } => None,
        }
    }

    /// Reads its file again, changed or not. One of no use changes nothing.
    pub(super) fn refresh(&self) -> Result<(), AuthFileError> {
        let Source::File { path, stamp: before } = &self.source else { return Ok(()) };
        *locked(before) = stamp(path);
        self.put(read(&self.options.keys, path)?);
        Ok(())
    }

    /// The same if it has changed; whether it has.
    pub(super) fn refresh_if_changed(&self) -> Result<bool, AuthFileError> {
        let Source::File { path, stamp: before } = &self.source else { return Ok(false) };
        if stamp(path) == *locked(before) {
            return Ok(false);
        }
        self.refresh().map(|()| true)
    }

    fn put(&self, keys: KeySet) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
    }

    /// Fetches its keys from now on, if they come from a URL and nobody does so yet.
    pub(super) fn begin_fetching(this: &Arc<Issuer>, on: &tokio::runtime::Handle) {
        let Source::Url { endpoint, remote } = &this.source else { return };
        if let Some(wanted) = remote.begin() {
            on.spawn(keep_fresh(Arc::downgrade(this), Arc::clone(endpoint), wanted));
        }
    }

    /// Lets a question wait for keys that are fetched for it; gives it back if they are not.
    pub(super) fn wait_for_keys(&self, question: Question) -> Result<(), Question> {
        match self.remote() {
            Some(remote) => remote.park(question),
            None => Err(question),
        }
    }

    /// Takes what was fetched, and gives back who waited for it.
    pub(super) fn fetched(
        &self,
        body: Result<&[u8], String>,
    ) -> (Result<(), String>, Vec<Question>) {
        let keys = body.and_then(|body| KeySet::of_jwks(body, Secrets::Refused));
        let outcome = keys.map(|keys| self.put(keys));
        (outcome, self.remote().map(Remote::settled).unwrap_or_default())
    }
}

fn locked(stamp: &Mutex<Stamp>) -> MutexGuard<'_, Stamp> {
    stamp.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(keys: &JwtKeys, path: &Path) -> Result<KeySet, AuthFileError> {
    let wrong = |why: String| AuthFileError { path: path.into(), why };
    if std::fs::metadata(path).is_ok_and(|it| it.len() > FILE_MAX) {
        return Err(wrong("it is too large for a file of keys".into()));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let set = match keys {
        JwtKeys::PublicKey(_) => KeySet::of_pem(&bytes),
        JwtKeys::Secret(_) => KeySet::of_secret(&bytes),
        JwtKeys::JwksFile(_) => KeySet::of_jwks(&bytes, Secrets::Allowed),
        JwtKeys::JwksUrl(_) => Err("a URL is no file".into()),
    };
    set.map_err(wrong)
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.options.issuer {
            "" => f.write_str("the issuer of tokens"),
            name => write!(f, "the issuer of tokens {name:?}"),
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({:?})", self.options.issuer)
    }
}
