//! Enhanced authentication: at CONNECT, and again while the connection lasts (4.12 v5).

use super::event::Event;
use super::{Phase, Session};
use crate::authenticator::{AuthError, Authenticator};
use crate::error::{Error, Field, Invalid, Violation};
use crate::message::Goodbye;
use alloc::boxed::Box;
use alloc::vec::Vec;
use noctule_proto::packet::{self, ConnAck};
use noctule_proto::property::UserProperties;
use noctule_proto::text::LEN_MAX;
use noctule_proto::{PacketType, ReasonCode, Version};

/// The authentication method of a session, if it has one.
#[derive(Debug, Default)]
pub(super) struct Auth {
    /// That of the CONNECT that was sent last.
    method: Option<Box<dyn Authenticator>>,
    /// That of the next one, if it is another.
    next: Option<Box<dyn Authenticator>>,
    /// A re-authentication is under way.
    renewing: bool,
}

impl Auth {
    pub(super) fn name(&self) -> Option<&str> {
        self.method.as_deref().map(Authenticator::method)
    }

    /// The first data of CONNECT.
    pub(super) fn start(&mut self) -> Option<Vec<u8>> {
        self.renewing = false;
        if let Some(next) = self.next.take() {
            self.method = Some(next);
        }
        self.method.as_mut().and_then(|method| method.start())
    }

    /// The method, if the server speaks of the same `[MQTT-4.12.0-5 v5]` `[U5-3.15.0-1]`.
    fn agreed(&mut self, method: Option<&str>) -> Result<&mut dyn Authenticator, Violation> {
        match &mut self.method {
            Some(ours) if method == Some(ours.method()) => Ok(ours.as_mut()),
            Some(_) | None => Err(Violation::AuthenticationMethod),
        }
    }
}

impl Session {
    /// Authenticates by this method, at every connection that is opened from now on. Only 5.0 can;
    /// before, each connection fails.
    pub fn authenticate_by(&mut self, method: Box<dyn Authenticator>) {
        self.auth.next = Some(method);
    }

    /// Authenticates again on the connection that stands, by the method of CONNECT (4.12.1 v5).
    /// Other packets flow on meanwhile `[U5-4.12.1-1]`.
    /// [`Event::Reauthenticated`] tells that it went well; if it does not, the server ends the
    /// connection.
    pub fn reauthenticate(&mut self) -> Result<(), Error> {
        self.online()?;
        if self.auth.renewing {
            return Err(AuthError("another authentication is under way".into()).into());
        }
        let data = match &mut self.auth.method {
            Some(method) => method.start(),
            // [MQTT-4.12.0-7 v5]
            None => return Err(AuthError("there is no authentication method".into()).into()),
        };
        // [MQTT-4.12.1-1 v5]
        self.say_auth(ReasonCode::ReAuthenticate, data.as_deref())?;
        self.auth.renewing = true;
        Ok(())
    }

    /// AUTH came from the server.
    pub(super) fn challenged(&mut self, auth: &packet::Auth<'_>) -> Result<(), Violation> {
        let expected = match self.phase {
            Phase::Connecting { .. } => auth.reason == ReasonCode::ContinueAuthentication,
            Phase::Online => self.auth.renewing,
            Phase::Offline => false,
        };
        // (4.12 v5): unasked, or where no method was named [MQTT-4.12.0-6 v5].
        if !expected || self.auth.method.is_none() {
            return Err(Violation::Unexpected(PacketType::Auth));
        }
        let data = auth.data.unwrap_or_default();
        let method = self.auth.agreed(auth.method)?;
        let done = if auth.reason == ReasonCode::ContinueAuthentication {
            // [MQTT-4.12.0-3 v5]
            let answer = method.answer(data).map_err(Error::from);
            answer.and_then(|it| self.say_auth(ReasonCode::ContinueAuthentication, Some(&it)))
        } else {
            let finished = method.finish(data).map_err(Error::from);
            finished.map(|()| {
                self.auth.renewing = false;
                self.events.push_back(Event::Reauthenticated);
            })
        };
        if let Err(error) = done {
            self.give_up(error);
        }
        Ok(())
    }

    /// Whether a CONNACK that lets us in ends the authentication well.
    pub(super) fn check_welcome(&mut self, connack: &ConnAck<'_>) -> Result<(), Error> {
        let properties = &connack.properties;
        if self.options.version != Version::V5 && self.auth.method.is_some() {
            let what = "this protocol version has no authentication methods";
            return Err(AuthError(what.into()).into());
        }
        if self.auth.method.is_none() {
            // [MQTT-4.12.0-6 v5]
            let none = properties.authentication_method.is_none();
            return if none { Ok(()) } else { Err(Violation::AuthenticationMethod.into()) };
        }
        let method = self.auth.agreed(properties.authentication_method)?;
        Ok(method.finish(properties.authentication_data.unwrap_or_default())?)
    }

    /// The server does not prove who it is, or asks what we cannot answer
    /// `[MQTT-4.12.1-2 v5]`.
    pub(super) fn give_up(&mut self, error: Error) {
        // A client has no better code [3.14.2.1 v5].
        self.say_goodbye(&Goodbye::because(ReasonCode::UnspecifiedError));
        self.end(error);
    }

    fn say_auth(&mut self, reason: ReasonCode, data: Option<&[u8]>) -> Result<(), Error> {
        if data.is_some_and(|data| data.len() > LEN_MAX) {
            return Err(Invalid::TooLong(Field::AuthenticationData).into());
        }
        let auth = packet::Auth {
            reason,
            method: self.auth.name(),
            data,
            reason_string: None,
            user_properties: UserProperties::EMPTY,
        };
        let version = self.options.version;
        // Without words that could make it too large [MQTT-3.15.2-2 v5] [MQTT-3.15.2-3 v5].
        // Before CONNACK nobody knows what the server takes.
        if let Ok(server) = self.online() {
            server.check_size(auth.encoded_len(version))?;
        }
        self.output.answer(|bytes| auth.encode(version, bytes));
        Ok(())
    }
}
