//! The beginning of a connection: CONNECT, and what the server makes of it.

use super::connected::Connected;
use super::event::Event;
use super::outgoing::Sink;
use super::{Phase, Session};
use crate::error::{Error, Notice, Violation};
use crate::options::Options;
use noctule_proto::packet::{self, ConnAck, Connect};
use noctule_proto::{Frame, PacketType, ReasonCode, TopicName, Version};
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

impl Session {
    /// A transport stands: says CONNECT `[MQTT-3.1.0-1 v5]`.
    pub fn open(&mut self, now: Duration) {
        self.drop_connection();
        self.output.clear();
        let clean_start = self.clean_start();
        self.write_connect(clean_start);
        let patience = Duration::from_secs(self.options.connect_timeout_secs.into());
        self.phase = Phase::Connecting { give_up: now + patience };
    }

    /// Whether this connection begins a session anew. In 5.0 only the first one does, if later
    /// ones can find something; Clean Session before 5.0 is a property of the session.
    fn clean_start(&self) -> bool {
        match self.options.version {
            Version::V31 | Version::V311 => self.options.clean_start,
            Version::V5 if self.resumed => !self.options.keeps_session(),
            Version::V5 => self.options.clean_start,
        }
    }

    fn write_connect(&mut self, clean_start: bool) {
        let options = &self.options;
        // The identifier that the server assigned is the name of our session with it.
        let assigned = self.server.as_ref().map(|server| server.client_id.as_str());
        let client_id = assigned.unwrap_or(&options.client_id);
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
            properties: connect_properties(options),
            ..Connect::new(options.version, client_id)
        };
        connect.encode(&mut self.output);
    }

    /// The server's answer to CONNECT.
    pub(super) fn welcome(
        &mut self,
        now: Duration,
        connack: &ConnAck<'_>,
    ) -> Result<(), Violation> {
        if connack.reason.is_error() {
            self.end(Error::Refused(refusal(connack, self.options.version)));
            return Ok(());
        }
        // [MQTT-3.2.2-4 v5]
        if connack.session_present && self.clean_start() {
            return Err(Violation::SessionPresent);
        }
        let mut server = Connected::new(connack, &self.options);
        if let (true, Some(before)) = (server.client_id.is_empty(), &self.server) {
            server.client_id.clone_from(&before.client_id);
        }
        self.keep_alive.start(now, server.keep_alive_secs);
        self.outgoing.open_quota(self.options.send_quota(server.receive_maximum));
        self.events.push_back(Event::Connected(server.clone()));
        self.phase = Phase::Online;
        self.resumed = true;
        let version = self.options.version;
        let mut sink = Sink { version, output: &mut self.output, events: &mut self.events };
        // MQTT 3.1 has no Session Present: a session that was to be kept is taken for kept.
        let kept = server.session_present || version == Version::V31 && !self.options.clean_start;
        if kept {
            self.outgoing.resume(&mut sink);
        } else {
            self.outgoing.restart(&mut sink);
            self.incoming.restart();
        }
        self.server = Some(server);
        self.pump();
        Ok(())
    }
}

fn connect_properties(options: &Options) -> packet::ConnectProperties<'_> {
    packet::ConnectProperties {
        session_expiry_secs: Some(options.session_expiry_secs).filter(|secs| *secs > 0),
        receive_maximum: NonZeroU16::new(options.receive_maximum)
            .filter(|max| max.get() < u16::MAX),
        maximum_packet_size: options.maximum_packet_size.and_then(NonZeroU32::new),
        topic_alias_maximum: Some(options.topic_alias_maximum).filter(|max| *max > 0),
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
