//! SUBSCRIBE and UNSUBSCRIBE: asked in their order, and again on the next connection if this one
//! brings no answer.

use super::Driver;
use super::command::{Request, Waiting};
use crate::error::{Error, Invalid};
use crate::message::Subscribe;
use crate::session::Token;
use noctule_proto::ReasonCode;
use noctule_proto::packet::RetainHandling;
use std::collections::HashSet;

impl Driver {
    /// Asks the server as soon as there is one.
    pub(super) fn ask(&mut self, request: Request) {
        self.requests.push_back(request);
        self.ask_waiting();
    }

    /// Asks for what the last connection brought no answer to; if the server has forgotten us, or
    /// may have, also for what it had granted. All of it in the order in which the application
    /// asked.
    pub(super) fn ask_again(&mut self, forgotten: bool) {
        if forgotten {
            let waiting: HashSet<u64> = self.requests.iter().filter_map(Request::key).collect();
            let granted = self.routes.keys().filter(|key| !waiting.contains(key));
            self.requests.extend(granted.map(|key| Request::Subscribe { key, reply: None }));
        }
        self.requests.make_contiguous().sort_by_key(Request::place);
        self.ask_waiting();
    }

    /// Asks what could not be asked before.
    pub(super) fn ask_waiting(&mut self) {
        while self.parts.session.is_online() {
            let Some(request) = self.requests.pop_front() else { return };
            match self.try_ask(&request) {
                Some(Ok(token)) => {
                    self.waiting.insert(token, Waiting::Request(request));
                }
                // Each answer brings an identifier back, and the next try.
                Some(Err(Error::Invalid(Invalid::NoPacketId))) => {
                    return self.requests.push_front(request);
                }
                Some(Err(error)) => self.failed(request, error),
                None => {}
            }
        }
    }

    /// `None`: there is nothing to ask any more.
    fn try_ask(&mut self, request: &Request) -> Option<Result<Token, Error>> {
        match request {
            Request::Subscribe { key, .. } if request.is_given_up() => {
                self.routes.remove(*key);
                None
            }
            Request::Subscribe { key, .. } => {
                let server = self.parts.session.server();
                let known = server.is_some_and(|server| server.subscription_ids_available);
                let numbers = known && self.parts.number_subscriptions;
                let mut subscribe = self.routes.request(*key, numbers)?;
                if request.is_renewal() && server.is_some_and(|server| server.session_in_doubt) {
                    want_nothing_twice(&mut subscribe);
                }
                Some(self.parts.session.subscribe(&subscribe))
            }
            Request::Unsubscribe { unsubscribe, .. } => {
                Some(self.parts.session.unsubscribe(unsubscribe))
            }
        }
    }

    pub(super) fn answered(&mut self, token: Token, result: Result<Vec<ReasonCode>, Error>) {
        let Some(Waiting::Request(request)) = self.waiting.remove(&token) else { return };
        match result {
            Ok(codes) => self.granted(request, codes),
            Err(error) => self.failed(request, error),
        }
        self.ask_waiting();
    }

    fn granted(&mut self, request: Request, codes: Vec<ReasonCode>) {
        if let (Request::Subscribe { key, .. }, true) = (&request, request.is_given_up()) {
            return self.routes.remove(*key);
        }
        match request {
            Request::Subscribe { key, reply } => {
                self.routes.granted(key, &codes);
                if let Some((reply, inbox)) = reply {
                    let _ = reply.send(Ok((codes, inbox)));
                }
            }
            Request::Unsubscribe { unsubscribe, newest, reply } => {
                for (filter, code) in unsubscribe.filters.iter().zip(&codes) {
                    if !code.is_error() {
                        self.routes.unsubscribed(filter, newest);
                    }
                }
                let _ = reply.send(Ok(codes));
            }
        }
    }

    /// A request that was not answered, or could not be made. If the connection is the cause, the
    /// next one brings the answer.
    fn failed(&mut self, request: Request, error: Error) {
        match error {
            Error::Invalid(_) | Error::Rejected(_) => {}
            Error::Refused(_)
            | Error::Disconnected(_)
            | Error::Closed
            | Error::NoAnswer(_)
            | Error::Protocol(_)
            | Error::SessionLost
            | Error::NoResponse
            | Error::NotConnected
            | Error::Finished
            | Error::Authentication(_)
            | Error::Failure(_) => return self.requests.push_back(request),
        }
        match request {
            Request::Subscribe { key, reply } => {
                self.routes.refuse(key, error.clone());
                if let Some((reply, _)) = reply {
                    let _ = reply.send(Err(error));
                }
            }
            Request::Unsubscribe { reply, .. } => {
                let _ = reply.send(Err(error));
            }
        }
    }
}

/// Of a subscription that may stand already: its retained messages have come then.
fn want_nothing_twice(subscribe: &mut Subscribe) {
    for (_, options) in &mut subscribe.filters {
        options.retain_handling = match options.retain_handling {
            RetainHandling::Always | RetainHandling::IfNew => RetainHandling::IfNew,
            RetainHandling::Never => RetainHandling::Never,
        };
    }
}
