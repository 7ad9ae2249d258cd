//! A service of the operator's that says who is let in, and what clients may do: asked by HTTP,
//! about each client anew or as it said a moment ago.
//!
//! * `answer`   what is asked, and what the answer means
//! * `cache`    what was said a moment ago
//! * `breaker`  when a service that does not answer is not asked
//!
//! No shard waits: questions are tasks of the HTTP thread, and as many of them are asked at a time
//! as is configured. Of a service that fails nobody gets in, unless that is configured otherwise.

mod answer;
mod breaker;
mod cache;

use super::file::{AuthFileError, Stamp, stamp};
use super::identity::{Identity, Verdict};
use super::token::now_millis;
use super::{Applicant, DECIDES};
use crate::config::{WebhookFailure, WebhookOptions};
use crate::http::{Endpoint, Request, bearer};
use crate::shard::{Command, Mailbox};
use breaker::{Breaker, Next};
use cache::Cache;
use hyper::body::Bytes;
use noctule_core::ConnId;
use noctule_proto::ReasonCode;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Clients that may wait for a service; more are told to come again.
const WAITING_MAX: usize = 4096;

/// A longer answer is an error.
const BODY_MAX: usize = 64 * 1024;

/// What it is asked about a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum About {
    /// Whether it is let in, and as whom.
    Login,
    /// What it may do, whom others let in.
    Permissions,
    /// The same of one that is connected: without an answer all stays as it is.
    PermissionsAgain,
}

impl About {
    fn name(self) -> &'static str {
        match self {
            About::Login => "login",
            About::Permissions | About::PermissionsAgain => "permissions",
        }
    }
}

/// The service.
pub(crate) struct Webhook {
    options: WebhookOptions,
    endpoint: Endpoint,
    bearer: Mutex<(Stamp, Option<Arc<str>>)>,
    permits: Semaphore,
    breaker: Mutex<Breaker>,
    cache: Cache,
    waiting: AtomicUsize,
}

/// The service, and where it is asked from.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) webhook: Arc<Webhook>,
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Webhook {
    /// Reads its files.
    ///
    /// # Errors
    /// One of them is of no use.
    pub(crate) fn load(options: &WebhookOptions) -> Result<Webhook, AuthFileError> {
        let wrong = |path: &std::path::Path, why| AuthFileError { path: path.into(), why };
        let ca = options.ca.as_deref();
        let endpoint = Endpoint::new(&options.url, ca);
        let endpoint = endpoint.map_err(|why| wrong(std::path::Path::new(&*options.url), why))?;
        if endpoint.is_open() {
            tracing::warn!("{} is not https: {DECIDES}", options.url);
        }
        let cache = Cache::new().map_err(|error| {
            wrong(std::path::Path::new(&*options.url), format!("no random numbers: {error}"))
        })?;
        Ok(Webhook {
            bearer: Mutex::new(read_bearer(options)?),
            permits: Semaphore::new(options.in_flight_max.into()),
            breaker: Mutex::default(),
            options: options.clone(),
            endpoint,
            cache,
            waiting: AtomicUsize::new(0),
        })
    }

    /// Whether it is what these options say.
    pub(crate) fn is(&self, options: &WebhookOptions) -> bool {
        self.options == *options
    }

    /// Reads the file of its token again, if it has changed. One of no use changes nothing, and the
    /// log says so.
    pub(crate) fn refresh(&self) {
        let Some(path) = &self.options.bearer else { return };
        let now = stamp(path);
        if locked(&self.bearer).0 == now {
            return;
        }
        match read_bearer(&self.options) {
            Ok(bearer) => *locked(&self.bearer) = bearer,
            Err(error) => {
                locked(&self.bearer).0 = now;
                tracing::error!("the webhook keeps the token that it had: {error}");
            }
        }
    }

    /// `None`: nothing is known, and nothing changes.
    async fn verdict(&self, about: About, applicant: &Applicant) -> Option<Verdict> {
        let body = Bytes::from(answer::question(about, applicant));
        let name = self.cache.name(&body);
        if let Some(verdict) = self.cache.find(name, Instant::now(), now_millis()) {
            return Some(verdict);
        }
        let verdict = match self.ask(applicant, body).await {
            Ok(verdict) => verdict,
            Err(why) => {
                tracing::debug!("webhook {}: {why}", self.endpoint);
                return self.failed(about, applicant);
            }
        };
        let secs = match &verdict {
            Verdict::Allow(_) => self.options.cache_allow_secs,
            Verdict::Deny { .. } => self.options.cache_deny_secs,
            Verdict::NotMine if about == About::Login => 0,
            Verdict::NotMine => self.options.cache_allow_secs,
        };
        self.cache.keep(name, &verdict, Instant::now(), Duration::from_secs(secs.into()));
        Some(verdict)
    }

    /// The answer of the service, or why there is none.
    async fn ask(&self, applicant: &Applicant, body: Bytes) -> Result<Verdict, String> {
        let patience = Duration::from_millis(self.options.timeout_millis.into());
        let permit = tokio::time::timeout(patience, self.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err("too many wait for it".into()) };
        if !locked(&self.breaker).admits(Instant::now()) {
            return Err("it is not asked for a while".into());
        }
        let bearer = locked(&self.bearer).1.clone();
        let request = Request { body: Some(body), bearer, answer_max: BODY_MAX };
        let answer = match tokio::time::timeout(patience, self.endpoint.ask(request)).await {
            Ok(Ok(answer)) if answer.status == 200 => {
                answer::verdict(&answer.body, applicant, now_millis()).map_err(str::to_owned)
            }
            Ok(Ok(answer)) => Err(format!("the answer is HTTP status {}", answer.status)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err("no answer in time".into()),
        };
        self.note(&answer);
        answer
    }

    /// Says what came of asking, where that changes anything.
    fn note(&self, answer: &Result<Verdict, String>) {
        let mut breaker = locked(&self.breaker);
        let Err(why) = answer else {
            if breaker.succeeded() {
                tracing::info!("webhook {} answers again", self.endpoint);
            }
            return;
        };
        let pause = Duration::from_secs(self.options.retry_secs.into());
        match breaker.failed(Instant::now(), self.options.failures_max, pause) {
            Next::Opened => {
                let outcome = match self.options.fail {
                    WebhookFailure::Closed => "nobody gets in by it",
                    WebhookFailure::Open => "everybody gets in whom it would be asked about",
                    WebhookFailure::Ignore => "others are asked instead",
                };
                tracing::error!(
                    "webhook {} fails: {why}; until it answers, {outcome}",
                    self.endpoint
                );
            }
            Next::Asked => tracing::warn!("webhook {} fails: {why}", self.endpoint),
            Next::StaysOpen => {}
        }
    }

    /// What holds without an answer.
    fn failed(&self, about: About, applicant: &Applicant) -> Option<Verdict> {
        let closed =
            |why: &str| Verdict::Deny { reason: ReasonCode::ServerUnavailable, why: why.into() };
        Some(match (about, self.options.fail) {
            (About::PermissionsAgain, _) => return None,
            (About::Login, WebhookFailure::Closed) => {
                closed("who you are cannot be found out at the moment")
            }
            (About::Permissions, WebhookFailure::Closed) => {
                closed("what you may do cannot be found out at the moment")
            }
            (About::Login, WebhookFailure::Open) => Verdict::Allow(Box::new(Identity {
                user_name: applicant.asked.user_name.clone(),
                roles: Arc::default(),
                permissions: None,
                issuer: None,
                expires_millis: None,
            })),
            (About::Login | About::Permissions, _) => Verdict::NotMine,
        })
    }
}

impl Hook {
    /// How often it is asked again what connected clients may do, in seconds; `None`: it is not
    /// asked what clients may do. 0: it is asked once.
    pub(super) fn permissions_secs(&self) -> Option<u32> {
        let options = &self.webhook.options;
        options.permissions.then_some(options.permissions_secs)
    }

    /// Asks about a client; the answer comes as `Command::Identified`. `false` if too many wait
    /// already.
    pub(super) fn ask(
        &self,
        (conn, ticket): (ConnId, u64),
        (about, applicant): (About, &Arc<Applicant>),
        answers: &Mailbox,
    ) -> bool {
        let (webhook, applicant) = (Arc::clone(&self.webhook), Arc::clone(applicant));
        if webhook.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            webhook.waiting.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let answers = answers.clone();
        self.runtime.spawn(async move {
            let verdict = webhook.verdict(about, &applicant).await;
            webhook.waiting.fetch_sub(1, Ordering::Relaxed);
            if let Some(verdict) = verdict {
                answers.post(Command::Identified { conn, ticket, verdict });
            }
        });
        true
    }
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The token that the service wants to see, if any.
fn read_bearer(options: &WebhookOptions) -> Result<(Stamp, Option<Arc<str>>), AuthFileError> {
    let Some(path) = &options.bearer else { return Ok((None, None)) };
    // Before it is read: a change meanwhile is found later.
    let stamp = stamp(path);
    let token = bearer(path).map_err(|why| AuthFileError { path: path.clone(), why })?;
    Ok((stamp, Some(token)))
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({})", self.endpoint)
    }
}
