//! Findings, posted to a service of the operator's: one after the other, from a thread of its own.
//!
//! A service that does not take one is tried again a few times, then the finding is counted and
//! left; the log says when that begins and when it is over. Nobody waits for it.

use super::Tally;
use crate::config;
use crate::http::{Endpoint, HttpThread, Request, bearer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Findings that may wait.
const WAITING_MAX: usize = 1024;

/// A longer answer is an error; what it says does not matter.
const BODY_MAX: usize = 64 * 1024;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a finding is tried; and the pause after the first time, which then doubles.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// The way to the service.
pub(crate) struct Alarm {
    lines: Sender<String>,
    tally: Arc<Tally>,
    /// Its thread ends with it.
    _http: HttpThread,
}

/// Where findings go.
struct Service {
    endpoint: Endpoint,
    /// A file, read anew for each finding: they are few, and it may change.
    bearer: Option<PathBuf>,
}

impl Alarm {
    /// Starts the thread, if there is a service.
    ///
    /// # Errors
    /// A file that it needs is of no use.
    pub(crate) fn start(config: &config::Defence, tally: &Arc<Tally>) -> io::Result<Option<Alarm>> {
        let Some(service) = service(config)? else { return Ok(None) };
        let http = HttpThread::start()?;
        let (lines, waiting) = channel(WAITING_MAX);
        http.runtime().spawn(post_all(service, waiting, Arc::clone(tally)));
        Ok(Some(Alarm { lines, tally: Arc::clone(tally), _http: http }))
    }

    /// Whether its files are of use.
    ///
    /// # Errors
    /// One is not.
    pub(crate) fn check(config: &config::Defence) -> io::Result<()> {
        service(config).map(drop)
    }

    /// Posts a finding, if there is room.
    pub(crate) fn raise(&self, line: String) {
        if self.lines.try_send(line).is_err() {
            Tally::add(&self.tally.alerts_failed);
        }
    }
}

fn service(config: &config::Defence) -> io::Result<Option<Service>> {
    if config.alert_url.is_empty() {
        return Ok(None);
    }
    let wrong = |option: &str, path: &Path, why: String| {
        io::Error::other(format!("{}: {why} (defence.{option})", path.display()))
    };
    let url = &*config.alert_url;
    let ca = config.alert_ca.as_deref();
    let endpoint = Endpoint::new(url, ca)
        .map_err(|why| wrong("alert_url", ca.unwrap_or(Path::new(url)), why))?;
    if endpoint.is_open() {
        tracing::warn!("{url} is not https: whoever is on the way there reads what was found");
    }
    if let Some(path) = &config.alert_bearer {
        bearer(path).map_err(|why| wrong("alert_bearer", path, why))?;
    }
    Ok(Some(Service { endpoint, bearer: config.alert_bearer.clone() }))
}

async fn post_all(service: Service, mut lines: Receiver<String>, tally: Arc<Tally>) {
    let mut fails = false;
    while let Some(line) = lines.recv().await {
        let mut pause = PAUSE;
        for left in (0..TRIES).rev() {
            let Err(why) = service.post(&line).await else {
                if std::mem::take(&mut fails) {
                    tracing::info!("{} takes alerts again", service.endpoint);
                }
                break;
            };
            if !std::mem::replace(&mut fails, true) {
                tracing::error!("{} takes no alerts: {why}", service.endpoint);
            }
            if left == 0 {
                Tally::add(&tally.alerts_failed);
            } else {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
    }
}

impl Service {
    async fn post(&self, line: &str) -> Result<(), String> {
        let body = Some(line.to_owned().into());
        let bearer = self.bearer.as_deref().map(bearer).transpose()?;
        let request = Request { body, bearer, answer_max: BODY_MAX };
        match tokio::time::timeout(PATIENCE, self.endpoint.ask(request)).await {
            Ok(Ok(answer)) if (200..300).contains(&answer.status) => Ok(()),
            Ok(Ok(answer)) => Err(format!("the answer is HTTP status {}", answer.status)),
            Ok(Err(why)) => Err(why),
            Err(_) => Err("no answer in time".into()),
        }
    }
}
