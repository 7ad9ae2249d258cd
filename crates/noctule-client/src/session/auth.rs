//! Enhanced authentication: at CONNECT, and again while the connection lasts (4.12 v5).

use super::event::Event;
use super::{Phase, Session};
use crate::authenticator::{AuthError, Authenticator};
use crate::error::{Error, Violation};
use crate::message::Goodbye;
use alloc::boxed::Box;
use alloc::vec::Vec;
use noctule_proto::packet::{self, ConnAck};
use noctule_proto::property::UserProperties;
use noctule_proto::{PacketType, ReasonCode};

/// The authentication method of a session, if it has one.
#[derive(Debug, Default)]
pub(super) struct Auth {
    method: Option<Box<dyn Authenticator>>,
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
        self.method.as_mut().and_then(|method| method.start())
    }

    /// The method, if the server speaks of the same `[MQTT-4.12.0-5 v5]`.
    fn agreed(&mut self, method: Option<&str>) -> Result<&mut dyn Authenticator, Violation> {
        match &mut self.method {
            Some(ours) if method == Some(ours.method()) => Ok(ours.as_mut()),
            Some(_) | None => Err(Violation::AuthenticationMethod),
        }
    }
}

impl Session {
    /// Authenticates by this method, at every connection (5.0).
    pub fn authenticate_by(&mut self, method: Box<dyn Authenticator>) {
        self.auth.method = Some(method);
    }

    /// Authenticates again on the connection that stands, by the method of CONNECT (4.12.1 v5).
    /// [`Event::Reauthenticated`] tells that it went well; if it does not, the server ends the
    /// connection.
    pub fn reauthenticate(&mut self) -> Result<(), Error> {
        self.online()?;
        let data = match &mut self.auth.method {
            Some(method) => method.start(),
            None => return Err(AuthError("there is no authentication method".into()).into()),
        };
        self.auth.renewing = true;
        // [MQTT-4.12.1-1 v5]
        self.say_auth(ReasonCode::ReAuthenticate, data.as_deref());
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
        if auth.reason == ReasonCode::ContinueAuthentication {
            match method.answer(data) {
                Ok(answer) => {
                    self.say_auth(ReasonCode::ContinueAuthentication, Some(&answer));
                }
                Err(error) => self.give_up_on(error),
            }
            return Ok(());
        }
        let finished = method.finish(data);
        self.auth.renewing = false;
        match finished {
            Ok(()) => self.events.push_back(Event::Reauthenticated),
            Err(error) => self.give_up_on(error),
        }
        Ok(())
    }

    /// Whether a CONNACK that lets us in ends the authentication well.
    pub(super) fn check_welcome(&mut self, connack: &ConnAck<'_>) -> Result<(), Error> {
        let properties = &connack.properties;
        if self.auth.method.is_none() {
            // [MQTT-4.12.0-6 v5]
            let none = properties.authentication_method.is_none();
            return if none { Ok(()) } else { Err(Violation::AuthenticationMethod.into()) };
        }
        let method = self.auth.agreed(properties.authentication_method)?;
        Ok(method.finish(properties.authentication_data.unwrap_or_default())?)
    }

    /// The server does not prove who it is, or asks what we cannot answer.
    pub(super) fn give_up_on(&mut self, error: AuthError) {
        // A client has no better code [3.14.2.1 v5].
        self.say_goodbye(&Goodbye::because(ReasonCode::UnspecifiedError));
        self.end(Error::Authentication(error));
    }

    fn say_auth(&mut self, reason: ReasonCode, data: Option<&[u8]>) {
        let auth = packet::Auth {
            reason,
            method: self.auth.name(),
            data,
            reason_string: None,
            user_properties: UserProperties::EMPTY,
        };
        auth.encode(self.options.version, self.output.end());
    }
}
