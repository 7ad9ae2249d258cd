//! Keys that come from a URL: fetched every so often, and early if a token names a key that is not
//! among them. While they cannot be had, those that were had last stay in force.

use super::issuer::Issuer;
use super::pool::Question;
use crate::http::{Endpoint, Request};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Between two early fetches: whoever invents names of keys must not make us ask all the time.
const EARLY_PAUSE: Duration = Duration::from_secs(10);

/// Tokens that wait for a fetch; more are refused.
const PARKED_MAX: usize = 1024;

/// How long a fetch may take.
const FETCH_MAX: Duration = Duration::from_secs(10);

/// Between two fetches that fail, at most.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// A larger answer is no key set.
const BODY_MAX: usize = 256 * 1024;

/// Who waits for the keys of one issuer. What waits keeps the issuer alive, also after a reload, so
/// that it is answered.
pub(super) struct Remote {
    wanted: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: bool,
    /// A fetch is under way, or about to begin.
    fetching: bool,
    parked: Vec<Question>,
    /// When an early fetch was last asked for.
    early: Option<Instant>,
}

impl Remote {
    pub(super) fn new() -> Remote {
        Remote { wanted: Arc::new(Notify::new()), state: Mutex::default() }
    }

    /// What the task that fetches waits for; `None` if there is one already.
    pub(super) fn begin(&self) -> Option<Arc<Notify>> {
        let mut state = self.state();
        let first = !std::mem::replace(&mut state.begun, true);
        state.fetching |= first;
        first.then(|| Arc::clone(&self.wanted))
    }

    /// Keeps a question until the next fetch is over; gives it back if it should not wait.
    pub(super) fn park(&self, question: Question) -> Result<(), Question> {
        let mut state = self.state();
        let now = Instant::now();
        let soon = state.early.is_some_and(|at| now < at + EARLY_PAUSE);
        if !state.begun || (soon && !state.fetching) || state.parked.len() >= PARKED_MAX {
            return Err(question);
        }
        state.parked.push(question);
        if !state.fetching {
            (state.fetching, state.early) = (true, Some(now));
            self.wanted.notify_one();
        }
        Ok(())
    }

    /// A fetch is over: who waited for it.
    pub(super) fn settled(&self) -> Vec<Question> {
        let mut state = self.state();
        state.fetching = false;
        std::mem::take(&mut state.parked)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fetches keys for as long as there is the issuer.
pub(super) async fn keep_fresh(issuer: Weak<Issuer>, endpoint: Arc<Endpoint>, wanted: Arc<Notify>) {
    let mut failures = 0;
    loop {
        let request = Request { body: None, bearer: None, answer_max: BODY_MAX };
        let answer = match tokio::time::timeout(FETCH_MAX, endpoint.ask(request)).await {
            Ok(Ok(answer)) if answer.status == 200 => Ok(answer.body),
            Ok(Ok(answer)) => Err(format!("the answer is HTTP status {}", answer.status)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err("no answer in time".into()),
        };
        let Some(issuer) = issuer.upgrade() else { return };
        let (outcome, waiting) = issuer.fetched(answer.as_deref().map_err(Clone::clone));
        failures = report(&issuer, &endpoint, outcome, failures);
        let every = Duration::from_secs(issuer.options.jwks_refresh_secs.into());
        // The next fetch must not wait for a long queue, nor what else this thread does.
        drop(issuer);
        for question in waiting {
            question.settle();
            tokio::task::yield_now().await;
        }
        let pause = match failures {
            0 => every,
            _ => Duration::from_secs(1 << failures.min(10)).min(RETRY_MAX).min(every),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = wanted.notified() => {}
        }
    }
}

/// Says what changed, not each time that nothing did.
fn report(issuer: &Issuer, endpoint: &Endpoint, outcome: Result<(), String>, failures: u32) -> u32 {
    match outcome {
        Ok(()) if failures == 0 => {
            tracing::debug!("{issuer}: its keys were fetched from {endpoint}");
            0
        }
        Ok(()) => {
            tracing::info!("{issuer}: its keys can be had again from {endpoint}");
            0
        }
        Err(why) => {
            if failures == 0 {
                let meanwhile = match issuer.keys() {
                    Some(_) => "those that it had stay in force",
                    None => "nobody gets in by its tokens",
                };
                tracing::warn!("{issuer}: no keys from {endpoint}: {why}; {meanwhile}");
            }
            failures.saturating_add(1)
        }
    }
}
