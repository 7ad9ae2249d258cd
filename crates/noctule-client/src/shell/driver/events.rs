//! What the session tells, and whom it concerns.

use super::Driver;
use super::command::{Kept, Waiting};
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
            Event::Connected(connected) => self.connected(*connected),
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
                self.connection.answered |= matches!(error, Error::Refused(_));
                for reply in self.renewals.drain(..) {
                    let _ = reply.send(Err(error.clone()));
                }
                self.shared.enter(State::Connecting);
                self.connection.ended = Some(error);
            }
        }
    }

    fn connected(&mut self, connected: Connected) {
        self.connection.answered = true;
        self.parts.backoff.connected();
        if connected.session_present {
            self.routes.resumed();
        }
        let forgotten = !connected.session_present || connected.session_in_doubt;
        self.shared.enter(State::Online(Arc::new(connected)));
        self.ask_again(forgotten);
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
        self.ask_waiting();
    }
}

/// A refusal that came as a bare reason code.
pub(in crate::shell) fn rejected(reason: ReasonCode) -> Error {
    let code = reason.as_u8();
    Error::Rejected(Notice { reason, code, reason_string: None, server_reference: None })
}
