//! What the session tells, and whom it concerns.

use super::Driver;
use super::command::{Kept, Reply, Request, Waiting};
use crate::error::{Error, Notice};
use crate::session::{Connected, Event, Token};
use crate::shell::state::State;
use noctule_proto::ReasonCode;
use std::sync::Arc;

// A reply that nobody waits for any more is dropped.

impl Driver {
    pub(super) fn take_events(&mut self) {
        while let Some(event) = self.parts.session.next_event() {
            self.happened(event);
        }
    }

    pub(super) fn happened(&mut self, event: Event) {
        match event {
            Event::Connected(connected) => self.connected(Arc::from(connected)),
            Event::Published { token, result } => self.published(token, result),
            Event::Subscribed { token, result } | Event::Unsubscribed { token, result } => {
                self.answered(token, result);
            }
            Event::Reauthenticated => {
                for reply in self.renewals.drain(..) {
                    let _ = reply.send(Ok(()));
                }
            }
            Event::Ended(error) => {
                for reply in self.renewals.drain(..) {
                    let _ = reply.send(Err(error.clone()));
                }
                self.shared.enter(State::Connecting);
                self.connection.ended = Some(error);
            }
        }
    }

    fn connected(&mut self, connected: Arc<Connected>) {
        self.parts.backoff.connected();
        self.parts.way.connected();
        self.routes.resumed(connected.session_present);
        let asked: Vec<u64> = self.requests.iter().filter_map(Request::key).collect();
        let forgotten = !connected.session_present;
        self.shared.enter(State::Online(connected));
        let requests = std::mem::take(&mut self.requests);
        if forgotten {
            let keys = self.routes.keys().filter(|key| !asked.contains(key));
            for key in keys.collect::<Vec<_>>() {
                self.ask(Request::Subscribe { key, reply: None });
            }
        }
        for request in requests {
            self.ask(request);
        }
    }

    fn published(&mut self, token: Token, result: Result<ReasonCode, Error>) {
        // Messages of an earlier process have nobody who waits.
        let Some(Waiting::Publish { reply, when }) = self.waiting.remove(&token) else { return };
        if when == Kept::Written && result.is_ok() {
            let end = self.connection.written + self.parts.session.output().len() as u64;
            self.connection.leaving.push_back((end, reply));
        } else {
            let _ = reply.send(result);
        }
    }

    fn answered(&mut self, token: Token, result: Result<Vec<ReasonCode>, Error>) {
        let Some(Waiting::Request(request)) = self.waiting.remove(&token) else { return };
        let codes = match result {
            Ok(codes) => codes,
            Err(error) => return self.failed(request, error),
        };
        match request {
            Request::Subscribe { key, reply } => {
                self.routes.granted(key, &codes);
                if let Some((reply, inbox)) = reply {
                    send(reply, Ok((codes, inbox)));
                }
            }
            Request::Unsubscribe { unsubscribe, reply } => {
                for (filter, code) in unsubscribe.filters.iter().zip(&codes) {
                    if !code.is_error() {
                        self.routes.unsubscribed(filter);
                    }
                }
                send(reply, Ok(codes));
            }
        }
    }

    /// A request that was not answered, or could not be made. If the connection is the cause, the
    /// next one brings the answer.
    pub(super) fn failed(&mut self, request: Request, error: Error) {
        match error {
            Error::Invalid(_) | Error::Rejected(_) => {}
            _ => return self.requests.push_back(request),
        }
        match request {
            Request::Subscribe { key, reply } => {
                self.routes.refuse(key, &error);
                if let Some((reply, _)) = reply {
                    send(reply, Err(error));
                }
            }
            Request::Unsubscribe { reply, .. } => send(reply, Err(error)),
        }
    }
}

fn send<T>(reply: Reply<T>, result: Result<T, Error>) {
    let _ = reply.send(result);
}

impl Request {
    fn key(&self) -> Option<u64> {
        match self {
            Request::Subscribe { key, .. } => Some(*key),
            Request::Unsubscribe { .. } => None,
        }
    }
}

/// A refusal that came as a bare reason code.
pub(in crate::shell) fn rejected(reason: ReasonCode) -> Error {
    let code = reason.as_u8();
    Error::Rejected(Notice { reason, code, reason_string: None, server_reference: None })
}
