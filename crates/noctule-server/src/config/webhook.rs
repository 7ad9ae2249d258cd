//! The service that is asked who is let in, and what clients may do.

use std::path::{Path, PathBuf};

/// How it is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookOptions {
    /// Where it is.
    pub url: Box<str>,
    /// Who vouches for it over TLS, if not whom the system trusts.
    pub ca: Option<PathBuf>,
    /// A file with the token that it wants to see.
    pub bearer: Option<PathBuf>,
    /// Milliseconds that an answer may take.
    pub timeout_millis: u32,
    /// Questions on their way at a time.
    pub in_flight_max: u16,
    /// Failures in a row after which it is not asked for a while.
    pub failures_max: u16,
    /// That while, in seconds.
    pub retry_secs: u16,
    /// Seconds for which it need not be asked again about a client that it lets in.
    pub cache_allow_secs: u32,
    /// The same for one that it refuses.
    pub cache_deny_secs: u32,
    /// What holds while it fails.
    pub fail: WebhookFailure,
    /// Whether it is asked what clients may do whom others let in.
    pub permissions: bool,
    /// Seconds until it is asked again what a connected client may do; 0: it is not.
    pub permissions_secs: u32,
}

/// What holds while a service fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WebhookFailure {
    /// Nobody gets in by it.
    Closed,
    /// Everybody gets in whom it would be asked about.
    Open,
    /// It knows nobody: the next authenticator is asked.
    Ignore,
}

impl WebhookOptions {
    /// Files that are not named from the root on lie in this folder.
    pub(super) fn resolve(&mut self, folder: &Path) {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        self.ca.iter_mut().for_each(resolve);
        self.bearer.iter_mut().for_each(resolve);
    }
}

/// A `[webhook]` as the file says it.
#[derive(Clone)]
pub(super) struct WebhookDraft {
    pub(super) url: Box<str>,
    pub(super) ca: Box<str>,
    pub(super) bearer: Box<str>,
    pub(super) timeout_millis: u32,
    pub(super) in_flight_max: u16,
    pub(super) failures_max: u16,
    pub(super) retry_secs: u16,
    pub(super) cache_allow_secs: u32,
    pub(super) cache_deny_secs: u32,
    pub(super) fail: WebhookFailure,
    pub(super) permissions: bool,
    pub(super) permissions_secs: u32,
}

impl Default for WebhookDraft {
    fn default() -> WebhookDraft {
        WebhookDraft {
            url: Box::default(),
            ca: Box::default(),
            bearer: Box::default(),
            timeout_millis: 2000,
            in_flight_max: 64,
            failures_max: 5,
            retry_secs: 5,
            cache_allow_secs: 60,
            cache_deny_secs: 10,
            fail: WebhookFailure::Closed,
            permissions: false,
            permissions_secs: 300,
        }
    }
}

impl WebhookDraft {
    /// The options as the file would say them.
    pub(super) fn of(options: &WebhookOptions) -> WebhookDraft {
        let text = |path: &Option<PathBuf>| {
            path.as_deref().map(|path| path.to_string_lossy().into()).unwrap_or_default()
        };
        WebhookDraft {
            url: options.url.clone(),
            ca: text(&options.ca),
            bearer: text(&options.bearer),
            timeout_millis: options.timeout_millis,
            in_flight_max: options.in_flight_max,
            failures_max: options.failures_max,
            retry_secs: options.retry_secs,
            cache_allow_secs: options.cache_allow_secs,
            cache_deny_secs: options.cache_deny_secs,
            fail: options.fail,
            permissions: options.permissions,
            permissions_secs: options.permissions_secs,
        }
    }

    /// What it means, or which option is wrong, and why.
    pub(super) fn finish(self) -> Result<WebhookOptions, (&'static str, String)> {
        if self.url.is_empty() {
            return Err(("url", "is missing: where the service is".into()));
        }
        crate::http::check_url(&self.url).map_err(|why| ("url", why))?;
        if !self.ca.is_empty() && !self.url.starts_with("https://") {
            return Err(("ca", "needs a `url` with https".into()));
        }
        let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        Ok(WebhookOptions {
            ca: path(&self.ca),
            bearer: path(&self.bearer),
            url: self.url,
            timeout_millis: self.timeout_millis,
            in_flight_max: self.in_flight_max,
            failures_max: self.failures_max,
            retry_secs: self.retry_secs,
            cache_allow_secs: self.cache_allow_secs,
            cache_deny_secs: self.cache_deny_secs,
            fail: self.fail,
            permissions: self.permissions,
            permissions_secs: self.permissions_secs,
        })
    }
}
