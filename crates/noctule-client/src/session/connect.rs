//! The beginning of a connection: CONNECT, and what the server makes of it.

use super::connected::{Connected, PACKET_MAX};
use super::event::Event;
use super::journal::Change;
use super::{Phase, Session};
use crate::error::{Error, Invalid, Notice, Violation};
use crate::options::Options;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use core::num::{NonZeroU16, NonZeroU32};
use core::time::Duration;
use noctule_proto::packet::{self, ConnAck, Connect};
use noctule_proto::text::LEN_MAX;
use noctule_proto::{Frame, PacketType, ReasonCode, TopicName, Version};

impl Session {
    /// A transport stands: says CONNECT `[MQTT-3.1.0-1 v5]` `[MQTT-3.1.0-1 v3.1.1]`
    /// `[V31-3.1-4]`, and nothing else before CONNACK, though other packets might follow
    /// `[MQTT-3.1.2-30 v5]` `[U5-3.1.4-2]`.
    pub fn open(&mut self, now: Duration) {
        // An owner that has not told of the end of the last one.
        self.end(Error::Closed);
        self.output.clear();
        self.asked = false;
        self.unread = 0;
        let clean_start = self.clean_start();
        let data = self.auth.start();
        if data.as_ref().is_none_or(|data| data.len() <= LEN_MAX) {
            self.write_connect(clean_start, data.as_deref());
        }
        let patience = Duration::from_secs(self.options.connect_timeout_secs.into());
        self.phase = Phase::Connecting { give_up: now + patience };
        // User properties and authentication data have no end of their own.
        if self.output.unwritten().is_empty() {
            self.end(too_large(u64::MAX, PACKET_MAX));
        }
    }

    /// Whether this connection begins a session anew. In 5.0 only the first one does, if later
    /// ones can find something; Clean Session before 5.0 is a property of the session
    /// `[MQTT-3.1.2-4 v5]` `[MQTT-3.1.2-4 v3.1.1]` `[MQTT-3.1.2-6 v3.1.1]`.
    fn clean_start(&self) -> bool {
        match self.options.version {
            Version::V31 | Version::V311 => self.options.clean_start,
            Version::V5 if self.resumed => !self.options.keeps_session(),
            Version::V5 => self.options.clean_start,
        }
    }

    fn write_connect(&mut self, clean_start: bool, auth_data: Option<&[u8]>) {
        let options = &self.options;
        let client_id = name_of(self.identity.as_deref(), options);
        let will = options.will.as_ref().and_then(|will| {
            Some(packet::Will {
                topic: TopicName::parse(&will.message.topic).ok()?,
                payload: &will.message.payload,
                qos: will.message.qos,
                retain: will.message.retain,
                delay_secs: will.delay_secs,
                message_expiry_secs: will.message.expiry_secs,
                others: will.message.properties.as_properties(),
            })
        });
        let connect = Connect {
            clean_start,
            keep_alive_secs: options.keep_alive_secs,
            will,
            user_name: options.user_name.as_deref(),
            password: options.password.as_deref(),
            properties: packet::ConnectProperties {
                authentication_method: self.auth.name(),
                authentication_data: auth_data,
                ..connect_properties(options)
            },
            ..Connect::new(options.version, client_id)
        };
        connect.encode(self.output.end());
    }

    /// The server's answer to CONNECT.
    pub(super) fn welcome(
        &mut self,
        now: Duration,
        connack: &ConnAck<'_>,
    ) -> Result<(), Violation> {
        // [MQTT-4.13.2-1 v5]
        if connack.reason.is_error() {
            self.end(Error::Refused(refusal(connack, self.options.version)));
            return Ok(());
        }
        // [MQTT-3.2.2-4 v5]
        if connack.session_present && self.clean_start() {
            return Err(Violation::SessionPresent);
        }
        match self.check_welcome(connack) {
            Ok(()) => {}
            Err(Error::Protocol(violation)) => return Err(violation),
            Err(error) => {
                self.give_up(error);
                return Ok(());
            }
        }
        let client_id = name_of(self.identity.as_deref(), &self.options);
        let mut server = Connected::new(connack, client_id, &self.options);
        if server.maximum_packet_size < ANSWER_LEN {
            self.end(too_large(ANSWER_LEN.into(), server.maximum_packet_size));
            return Ok(());
        }
        // A session that the CONNECT before this one has begun is present, too.
        server.session_in_doubt = core::mem::take(&mut self.unanswered) && server.session_present;
        self.keep_alive.start(now, server.keep_alive_secs);
        let aliases = if self.options.use_topic_aliases { server.topic_alias_maximum } else { 0 };
        let quota = self.options.send_quota(server.receive_maximum);
        self.outgoing.open_connection(quota, aliases);
        self.events.push_back(Event::Connected(Box::new(server.clone())));
        self.phase = Phase::Online;
        self.resumed = true;
        // MQTT 3.1 has no Session Present: a session that was to be kept is taken for kept.
        let version = self.options.version;
        let kept = server.session_present || version == Version::V31 && !self.options.clean_start;
        let known = self.identity.as_ref() == Some(&server.client_id);
        self.identity = Some(server.client_id.clone());
        if kept {
            let (outgoing, incoming, mut sink) = self.parts();
            outgoing.resume(&mut sink);
            if server.session_in_doubt {
                incoming.doubt();
                sink.note(|| Change::Doubted);
            }
        } else {
            self.forget();
        }
        if !known {
            self.parts().2.note(|| Change::Identity(server.client_id.clone()));
        }
        self.server = Some(server);
        self.pump();
        Ok(())
    }

    /// The server has not kept the session, so this side forgets it too `[MQTT-3.2.2-5 v5]`.
    pub(super) fn forget(&mut self) {
        let (outgoing, incoming, mut sink) = self.parts();
        if !outgoing.is_settled() || incoming.received().next().is_some() {
            sink.note(|| Change::Forgotten);
        }
        outgoing.restart(&mut sink);
        incoming.restart();
    }
}

/// The identifier that the server assigned is the name of our session with it.
fn name_of<'a>(assigned: Option<&'a str>, options: &'a Options) -> &'a str {
    assigned.unwrap_or(&options.client_id)
}

fn too_large(size: u64, max: u32) -> Error {
    Invalid::PacketTooLarge { size, max }.into()
}

/// An acknowledgement with its reason. A server that takes less cannot be answered at all.
const ANSWER_LEN: u32 = 5;

fn connect_properties(options: &Options) -> packet::ConnectProperties<'_> {
    packet::ConnectProperties {
        // [U5-3.1.2-1], [MQTT-3.1.2-23 v5]
        session_expiry_secs: Some(options.session_expiry_secs).filter(|secs| *secs > 0),
        receive_maximum: NonZeroU16::new(options.receive_maximum)
            .filter(|max| max.get() < u16::MAX),
        maximum_packet_size: options.maximum_packet_size.and_then(NonZeroU32::new),
        topic_alias_maximum: Some(options.topic_alias_maximum).filter(|max| *max > 0),
        request_response_information: options.request_response_information.then_some(true),
        request_problem_information: (!options.request_problem_information).then_some(false),
        user_properties: options.user_properties.as_properties(),
        ..packet::ConnectProperties::default()
    }
}

/// A server that knows no 5.0 may answer as 3.1.1 does (3.1.2.2 v3.1.1); that CONNACK is no
/// packet of 5.0.
pub(super) fn connack_of_old_server(frame: Frame<'_>) -> Option<ConnAck<'static>> {
    match (frame.packet_type(), frame.body) {
        (Some(PacketType::ConnAck), [0, code @ 1..=5]) => {
            Some(ConnAck::new(false, ReasonCode::from_v3_return_code(*code)?))
        }
        _ => None,
    }
}

fn refusal(connack: &ConnAck<'_>, version: Version) -> Notice {
    let v3 = connack.reason.v3_return_code().filter(|_| version != Version::V5);
    Notice {
        reason: connack.reason,
        code: v3.unwrap_or(connack.reason.as_u8()),
        reason_string: connack.properties.reason_string.map(str::to_owned),
        server_reference: connack.properties.server_reference.map(str::to_owned),
    }
}
