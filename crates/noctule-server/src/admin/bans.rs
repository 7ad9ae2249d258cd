//! Bans over HTTP: `GET`, `POST` and `DELETE` of `/bans`.
//!
//! There is no password, so a change has to come from this machine, and not from a page that a
//! browser on it shows: the address of the other side is a loopback one, the request names an
//! address (or `localhost`) as its host, and its body is said to be JSON, which no page of another
//! site may send without asking first.

use super::socket::Peer;
use crate::defence::{Question, Report, Reports, parse_subject};
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use tokio::sync::oneshot;

/// Seconds a ban may last: a hundred years.
const SECS_MAX: u64 = 3_153_600_000;

/// An answer of JSON with one field.
fn say(status: StatusCode, name: &str, what: impl Into<Value>) -> Response {
    let body = json!({ name: what.into() });
    (status, [(CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

fn refuse(status: StatusCode, why: &str) -> Response {
    say(status, "error", why)
}

/// All bans.
pub(super) async fn list(State(desk): State<Reports>) -> Response {
    let (answer, answered) = oneshot::channel();
    match ask(desk, Question::List(answer), answered).await {
        Some(bans) => ([(CONTENT_TYPE, "application/json")], format!("{bans}\n")).into_response(),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "the broker is stopping"),
    }
}

/// One more, or one changed.
pub(super) async fn add(
    State(desk): State<Reports>,
    ConnectInfo(Peer(from)): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let entry = match entry(from, &headers, &body) {
        Ok(entry) => entry,
        Err(refusal) => return *refusal,
    };
    let subject = match parse_subject(&entry) {
        Ok(subject) => subject,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let secs = match &entry["secs"] {
        Value::Null => Some(None),
        secs => secs
            .as_u64()
            .filter(|secs| (1..=SECS_MAX).contains(secs))
            .and_then(|secs| u32::try_from(secs).ok())
            .map(Some),
    };
    let Some(secs) = secs else {
        return refuse(StatusCode::BAD_REQUEST, "`secs` is no number from 1 to 3153600000");
    };
    let why = entry["why"].as_str().unwrap_or("by hand").into();
    let (answer, answered) = oneshot::channel();
    match ask(desk, Question::Add(subject, secs, why, answer), answered).await {
        Some(()) => say(StatusCode::OK, "banned", true),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "the broker is stopping"),
    }
}

/// One less.
pub(super) async fn remove(
    State(desk): State<Reports>,
    ConnectInfo(Peer(from)): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let subject = match entry(from, &headers, &body) {
        Ok(entry) => parse_subject(&entry),
        Err(refusal) => return *refusal,
    };
    let subject = match subject {
        Ok(subject) => subject,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let (answer, answered) = oneshot::channel();
    match ask(desk, Question::Remove(subject, answer), answered).await {
        Some(true) => say(StatusCode::OK, "removed", true),
        Some(false) => refuse(StatusCode::NOT_FOUND, "there is no such ban"),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "the broker is stopping"),
    }
}

/// What a request says, if it may change anything.
fn entry(from: SocketAddr, headers: &HeaderMap, body: &[u8]) -> Result<Value, Box<Response>> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let host = text(HOST).parse::<Authority>();
    let named = host.is_ok_and(|host| {
        let name = host.host();
        name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
    });
    if !from.ip().to_canonical().is_loopback() || !named {
        let why = "bans are changed from this machine only";
        return Err(Box::new(refuse(StatusCode::FORBIDDEN, why)));
    }
    if text(CONTENT_TYPE) != "application/json" {
        let why = "the content type has to be application/json";
        return Err(Box::new(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)));
    }
    serde_json::from_slice(body)
        .map_err(|error| Box::new(refuse(StatusCode::BAD_REQUEST, &error.to_string())))
}

async fn ask<T>(desk: Reports, question: Question, answered: oneshot::Receiver<T>) -> Option<T> {
    // The thread answers at once; a full queue of reports is the worst that it has before.
    if !desk.insist(Report::Ask(question)) {
        return None;
    }
    answered.await.ok()
}
