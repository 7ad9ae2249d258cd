//! Whose tokens are taken.

use crate::auth::Algorithm;
use std::path::{Path, PathBuf};

/// One issuer of JSON Web Tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JwtOptions {
    /// What `iss` says; empty: of any issuer that has no table of its own.
    pub issuer: Box<str>,
    /// One of these has to be among what `aud` says; without any, `aud` says nothing.
    pub audience: Vec<Box<str>>,
    /// Algorithms that are taken; without any, all that the keys allow.
    pub algorithms: Vec<Algorithm>,
    /// What signatures are checked with.
    pub keys: JwtKeys,
    /// Seconds between two fetches of keys from a URL.
    pub jwks_refresh_secs: u32,
    /// Who vouches for that URL, if not whom the system trusts.
    pub jwks_ca: Option<PathBuf>,
    /// Seconds that the issuer's clock and ours may differ.
    pub leeway_secs: u32,
    /// Whether a token needs an expiry time.
    pub expiry_required: bool,
    /// The claim that is the user name; empty: none, the client's own word counts.
    pub user_claim: Box<str>,
    /// Whether a user name in CONNECT has to be that of the token.
    pub user_name_must_match: bool,
    /// The claim that the client id has to be; empty: none.
    pub client_id_claim: Box<str>,
    /// The claim that names roles.
    pub roles_claim: Box<str>,
    /// The claim that holds topic permissions.
    pub acl_claim: Box<str>,
    /// The Authentication Method by which tokens come.
    pub method: Box<str>,
}

/// Where keys come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JwtKeys {
    /// A file (PEM) of public keys or certificates.
    PublicKey(PathBuf),
    /// A file that is a secret of HMAC.
    Secret(PathBuf),
    /// A file that is a JSON Web Key Set.
    JwksFile(PathBuf),
    /// A URL where there is one.
    JwksUrl(Box<str>),
}

impl JwtOptions {
    /// Its file that is for a few, if it has one.
    pub(crate) fn secret_file(&self) -> Option<&PathBuf> {
        match &self.keys {
            JwtKeys::Secret(path) => Some(path),
            // A key set may hold secrets, but mostly does not.
            JwtKeys::PublicKey(_) | JwtKeys::JwksFile(_) | JwtKeys::JwksUrl(_) => None,
        }
    }

    /// Files that are not named from the root on lie in this folder.
    pub(super) fn resolve(&mut self, folder: &Path) {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        match &mut self.keys {
            JwtKeys::PublicKey(path) | JwtKeys::Secret(path) | JwtKeys::JwksFile(path) => {
                resolve(path);
            }
            JwtKeys::JwksUrl(_) => {}
        }
        self.jwks_ca.iter_mut().for_each(resolve);
    }
}

/// A `[[jwt]]` as the file says it.
#[derive(Clone)]
pub(super) struct JwtDraft {
    pub(super) issuer: Box<str>,
    pub(super) audience: Vec<Box<str>>,
    pub(super) algorithms: Vec<Box<str>>,
    pub(super) public_key: Box<str>,
    pub(super) secret: Box<str>,
    pub(super) jwks: Box<str>,
    pub(super) jwks_refresh_secs: u32,
    pub(super) jwks_ca: Box<str>,
    pub(super) leeway_secs: u32,
    pub(super) expiry_required: bool,
    pub(super) user_claim: Box<str>,
    pub(super) user_name_must_match: bool,
    pub(super) client_id_claim: Box<str>,
    pub(super) roles_claim: Box<str>,
    pub(super) acl_claim: Box<str>,
    pub(super) method: Box<str>,
}

impl Default for JwtDraft {
    fn default() -> JwtDraft {
        JwtDraft {
            issuer: Box::default(),
            audience: Vec::new(),
            algorithms: Vec::new(),
            public_key: Box::default(),
            secret: Box::default(),
            jwks: Box::default(),
            jwks_refresh_secs: 300,
            jwks_ca: Box::default(),
            leeway_secs: 30,
            expiry_required: true,
            user_claim: "sub".into(),
            user_name_must_match: false,
            client_id_claim: Box::default(),
            roles_claim: "roles".into(),
            acl_claim: "acl".into(),
            method: "JWT".into(),
        }
    }
}

/// What a `jwks` begins with that is no file.
const URLS: [&str; 2] = ["http://", "https://"];

impl JwtDraft {
    /// The options as the file would say them.
    pub(super) fn of(options: &JwtOptions) -> JwtDraft {
        let text = |path: &Path| path.to_string_lossy().into();
        let mut draft = JwtDraft {
            issuer: options.issuer.clone(),
            audience: options.audience.clone(),
            algorithms: options.algorithms.iter().map(|it| it.name().into()).collect(),
            jwks_refresh_secs: options.jwks_refresh_secs,
            jwks_ca: options.jwks_ca.as_deref().map(text).unwrap_or_default(),
            leeway_secs: options.leeway_secs,
            expiry_required: options.expiry_required,
            user_claim: options.user_claim.clone(),
            user_name_must_match: options.user_name_must_match,
            client_id_claim: options.client_id_claim.clone(),
            roles_claim: options.roles_claim.clone(),
            acl_claim: options.acl_claim.clone(),
            method: options.method.clone(),
            ..JwtDraft::default()
        };
        match &options.keys {
            JwtKeys::PublicKey(path) => draft.public_key = text(path),
            JwtKeys::Secret(path) => draft.secret = text(path),
            JwtKeys::JwksFile(path) => draft.jwks = text(path),
            JwtKeys::JwksUrl(url) => draft.jwks = url.clone(),
        }
        draft
    }

    /// What it means, or which option is wrong, and why.
    pub(super) fn finish(self) -> Result<JwtOptions, (&'static str, String)> {
        let path = |text: &str| PathBuf::from(text);
        let is_url = URLS.iter().any(|it| self.jwks.starts_with(it));
        let keys = match (&*self.public_key, &*self.secret, &*self.jwks) {
            ("", "", "") => {
                let why = "is missing: name what signatures are checked with, one of \
                           `public_key`, `secret` and `jwks`";
                return Err(("public_key", why.into()));
            }
            (key, "", "") => JwtKeys::PublicKey(path(key)),
            ("", secret, "") => JwtKeys::Secret(path(secret)),
            ("", "", url) if is_url => {
                crate::http::check_url(url).map_err(|why| ("jwks", why))?;
                JwtKeys::JwksUrl(url.into())
            }
            ("", "", file) => JwtKeys::JwksFile(path(file)),
            _ => {
                let why = "only one of `public_key`, `secret` and `jwks` can be given: each \
                           issuer has a table of its own";
                return Err(("public_key", why.into()));
            }
        };
        if !self.jwks_ca.is_empty() && !self.jwks.starts_with("https://") {
            return Err(("jwks_ca", "needs a `jwks` that is a URL with https".into()));
        }
        let algorithms = self.algorithms.iter().filter_map(|it| Algorithm::by_name(it)).collect();
        Ok(JwtOptions {
            issuer: self.issuer,
            audience: self.audience,
            algorithms,
            keys,
            jwks_refresh_secs: self.jwks_refresh_secs,
            jwks_ca: (!self.jwks_ca.is_empty()).then(|| path(&self.jwks_ca)),
            leeway_secs: self.leeway_secs,
            expiry_required: self.expiry_required,
            user_claim: self.user_claim,
            user_name_must_match: self.user_name_must_match,
            client_id_claim: self.client_id_claim,
            roles_claim: self.roles_claim,
            acl_claim: self.acl_claim,
            method: self.method,
        })
    }
}
