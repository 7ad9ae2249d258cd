//! CONNECT to CONNACK: checks, authentication, the session found or made.

use crate::alias::Aliases;
use crate::broker::{Broker, TimerKey, Turn};
use crate::connection::{Announced, Extras, Phase, Proving};
use crate::grant::Principal;
use crate::identity::{ConnId, ListenerId, Tenant};
use crate::input::AuthAnswer;
use crate::limits::{Durability, Limits, Offer};
use crate::mount::{mounted, too_long};
use crate::output::{AuthRequest, Effect, Event};
use crate::record::StoredWill;
use crate::session::Link;
use crate::store_room::DISK_FULL;
use crate::verdict::Verdict;
use crate::wait::{Reply, Wait};
use noctule_proto::packet::{Auth, ConnAck, ConnAckProperties, Connect, Packet, Will};
use noctule_proto::property::{UserProperties, UserPropertiesBuf};
use noctule_proto::{DecodeError, PacketType, QoS, ReasonCode, Role, Version};
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU16, NonZeroU32};

/// A CONNECT kept while its sender proves who it is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Applicant {
    client_id: Box<str>,
    assigned: bool,
    clean_start: bool,
    keep_alive_secs: u16,
    user_name: Option<Box<str>>,
    will: Option<Box<StoredWill>>,
    session_expiry_secs: u32,
    expiry_lowered: bool,
    /// It asked for one above 0.
    expiry_asked: bool,
    receive_maximum: u16,
    alias_max: u16,
    wants_response_information: bool,
    /// It asks what acknowledgements promise it.
    wants_durability: bool,
    problem_information: bool,
    method: Option<Box<str>>,
    /// It is the client's turn: AUTH is awaited.
    asked: bool,
}

/// The User Property by which a client asks in CONNECT, with any value, what acknowledgements
/// promise it, and by which CONNACK answers.
const DURABILITY: &str = "noctule-durability";

impl Applicant {
    /// The client id, and the user name, for whoever tells of its refusal.
    pub(crate) fn into_names(self) -> (Option<Box<str>>, Option<Box<str>>) {
        (Some(self.client_id), self.user_name)
    }
}

/// What CONNACK says once the session is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Accepted {
    applicant: Applicant,
    session_present: bool,
    auth_data: Option<Box<[u8]>>,
}

/// A refusal: its code and the words for it.
type Refusal = (ReasonCode, &'static str);

impl Broker {
    /// The first packet. [MQTT-3.1.4-1 v5], [MQTT-3.1.4-1 v3.1.1]
    /// [MQTT-3.1.3-2 v5], [MQTT-3.1.3-2 v3.1.1], [U5-3.1.4-2].
    pub(crate) fn connect(&mut self, turn: &mut Turn<'_>, conn: ConnId, connect: &Connect<'_>) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.version = connect.version;
        connection.bridge = connect.bridge;
        let size_max = connect.properties.maximum_packet_size;
        connection.packet_size_max = size_max.map_or(u32::MAX, NonZeroU32::get);
        let (tenant, listener) = (connection.origin.tenant, connection.origin.listener);
        if let Err((reason, why)) = self.check_connect(listener, connect) {
            self.refuse(turn, conn, reason, why);
            return;
        }
        let assigned = connect.client_id.is_empty();
        let client_id: Box<str> =
            if assigned { self.assign_id(tenant, listener) } else { connect.client_id.into() };
        if !self.limits.takes_id(listener, &client_id) {
            let why = "client ids begin with something else here";
            self.refuse(turn, conn, ReasonCode::NotAuthorized, why);
            return;
        }
        let mount_point = self.limits.mount_point(listener);
        let mut will = connect.will.as_ref().map(|will| stored_will(will, mount_point));
        if connect.version != Version::V5
            && let Some(will) = &mut will
        {
            will.delay_secs = 0;
        }
        let applicant = self.applicant(connect, client_id.clone(), will);
        let properties = &connect.properties;
        let request = AuthRequest::Connect {
            client_id,
            user_name: connect.user_name.map(Into::into),
            password: connect.password.map(Into::into),
            method: properties.authentication_method.map(Into::into),
            data: properties.authentication_data.map(Into::into),
        };
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.phase = Phase::Proving(Box::new(applicant));
            self.counters.connections_opened += 1;
        }
        self.hold(turn, conn);
        turn.out.effects.push(Effect::Authenticate { conn, request: Box::new(request) });
    }

    /// [MQTT-3.1.3-5 v5], [MQTT-3.1.3-5 v3.1.1].
    fn check_connect(&self, listener: ListenerId, connect: &Connect<'_>) -> Result<(), Refusal> {
        let limits = &self.limits;
        // [MQTT-3.1.2-2 v5], [MQTT-3.1.2-2 v3.1.1]
        if !limits.serves(listener, connect.version) {
            let why = "this version of MQTT is not served here";
            return Err((ReasonCode::UnsupportedProtocolVersion, why));
        }
        if self.stopping {
            return Err((ReasonCode::ServerUnavailable, "the broker is shutting down"));
        }
        if connect.user_name.is_none_or(str::is_empty) && limits.calls_by_user_name(listener) {
            return Err((ReasonCode::NotAuthorized, "a user name is needed here"));
        }
        let id = connect.client_id;
        // MQTT 3.1 bounds client ids to 1 to 23 characters [V31-3.1-6].
        let v31_length = connect.version == Version::V31 && !(1..=23).contains(&id.chars().count());
        // [MQTT-3.1.3-7 v3.1.1], [MQTT-3.1.3-8 v3.1.1]: no id, no stored session.
        let unnamed_v311 =
            id.is_empty() && connect.version == Version::V311 && !connect.clean_start;
        if v31_length
            || unnamed_v311
            || id.len() > usize::from(limits.client_id_len_max)
            || (id.is_empty() && !limits.assigns_ids(listener))
        {
            // [MQTT-3.1.3-8 v5], [MQTT-3.1.3-9 v3.1.1]
            return Err((ReasonCode::ClientIdentifierNotValid, "client identifier not accepted"));
        }
        let (asked, most) = (connect.keep_alive_secs, limits.keep_alive_secs_max);
        let too_long = most > 0 && (asked == 0 || asked > most);
        // They cannot be told another one, as clients of v5 are.
        if limits.refusals_as_mosquitto && too_long && connect.version != Version::V5 {
            let why = "its keep alive is longer than the broker allows";
            return Err((ReasonCode::ClientIdentifierNotValid, why));
        }
        // [U5-3.1.2-4]
        let properties = &connect.properties;
        if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
            return Err((ReasonCode::ProtocolError, "authentication data without a method"));
        }
        connect.will.as_ref().map_or(Ok(()), |will| self.check_will(listener, will))
    }

    fn check_will(&self, listener: ListenerId, will: &Will<'_>) -> Result<(), Refusal> {
        let offer = self.limits.offer(listener);
        if will.qos > offer.qos_max {
            // [MQTT-3.2.2-12 v5]
            return Err((ReasonCode::QoSNotSupported, "will QoS above the maximum"));
        }
        if will.retain && !offer.retain_available {
            // [MQTT-3.2.2-13 v5]
            return Err((ReasonCode::RetainNotSupported, "retained messages are switched off"));
        }
        let topic = mounted(self.limits.mount_point(listener), will.topic.as_str());
        if too_deep(&topic, self.limits.topic_levels_max) {
            return Err((ReasonCode::TopicNameInvalid, "will topic has too many levels"));
        }
        if too_long(&topic) {
            let why = "will topic is too long with what the broker puts before it";
            return Err((ReasonCode::TopicNameInvalid, why));
        }
        let bytes = topic.len() + will.payload.len() + will.others.encoded_len();
        if bytes > self.limits.client.will_bytes_max as usize {
            return Err((ReasonCode::QuotaExceeded, "the will is larger than the broker keeps"));
        }
        // [U5-3.1.3-2]
        if will.others.payload_format_is_utf8() && core::str::from_utf8(will.payload).is_err() {
            return Err((ReasonCode::PayloadFormatInvalid, "will payload is not UTF-8"));
        }
        Ok(())
    }

    fn applicant(
        &self,
        connect: &Connect<'_>,
        client_id: Box<str>,
        will: Option<Box<StoredWill>>,
    ) -> Applicant {
        let properties = &connect.properties;
        let expiry = match (connect.version, connect.clean_start) {
            // [U5-3.1.2-1]
            (Version::V5, _) => properties.session_expiry_secs.unwrap_or(0),
            // [V31-3.1-8], [MQTT-3.1.2-6 v3.1.1]
            (_, true) => 0,
            (_, false) => self.limits.session_expiry_secs_v3,
        };
        Applicant {
            assigned: connect.client_id.is_empty(),
            client_id,
            clean_start: connect.clean_start,
            keep_alive_secs: connect.keep_alive_secs,
            user_name: connect.user_name.map(Into::into),
            will,
            session_expiry_secs: expiry.min(self.limits.session_expiry_secs_max),
            expiry_asked: expiry > 0,
            expiry_lowered: expiry > self.limits.session_expiry_secs_max,
            receive_maximum: properties.receive_maximum.map_or(u16::MAX, NonZeroU16::get),
            alias_max: properties.topic_alias_maximum.unwrap_or(0),
            wants_response_information: properties.request_response_information.unwrap_or(false),
            wants_durability: properties.user_properties.iter().any(|(name, _)| name == DURABILITY),
            problem_information: properties.request_problem_information.unwrap_or(true),
            method: properties.authentication_method.map(Into::into),
            asked: false,
        }
    }

    /// A name nobody has, at home here. [MQTT-3.1.3-6 v5], [MQTT-3.2.2-16 v5]
    /// [MQTT-3.1.3-6 v3.1.1].
    fn assign_id(&mut self, tenant: Tenant, listener: ListenerId) -> Box<str> {
        loop {
            let (high, low) = (self.random.next(), self.random.next());
            // In the form of a random UUID.
            let id = format!(
                "{}{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
                self.limits.assigned_id_prefix_at(listener),
                high >> 32,
                high >> 16 & 0xFFFF,
                high & 0xFFF,
                low >> 50 | 0x8000,
                low & 0xFFFF_FFFF_FFFF,
            );
            if self.homes.of_client(tenant, &id) == self.me
                && self.sessions.find(tenant, &id).is_none()
            {
                return id.into();
            }
        }
    }

    /// The server found out who it is.
    pub(crate) fn authenticated(&mut self, turn: &mut Turn<'_>, conn: ConnId, answer: AuthAnswer) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if !matches!(connection.phase, Phase::Proving(_)) {
            self.proved_again(turn, conn, answer);
            return;
        }
        match answer {
            AuthAnswer::Allow { principal, data } => {
                let live = Phase::Accepting;
                let Phase::Proving(mut applicant) = std::mem::replace(&mut connection.phase, live)
                else {
                    return;
                };
                let proved = principal.user_name.as_deref().map(Into::into);
                applicant.user_name = proved.or(applicant.user_name);
                self.set_expiry(conn, principal.expires);
                self.accept(turn, conn, *applicant, (principal, data));
            }
            AuthAnswer::Continue { data } => {
                let Phase::Proving(applicant) = &mut connection.phase else { return };
                let Some(method) = applicant.method.clone() else {
                    // [MQTT-4.12.0-6 v5]: there is nobody to go on with.
                    let why = "the authenticator wants more than a user name and password";
                    self.refuse(turn, conn, ReasonCode::NotAuthorized, why);
                    return;
                };
                applicant.asked = true;
                // [MQTT-4.12.0-2 v5], [MQTT-4.12.0-5 v5]
                self.send(
                    turn,
                    conn,
                    &auth_packet(ReasonCode::ContinueAuthentication, Some(&method), Some(&data)),
                );
                self.release(turn, conn);
            }
            // [V31-3.2-3], [MQTT-4.12.0-4 v5], [MQTT-3.1.4-2 v5]
            AuthAnswer::Deny { reason, why } => self.refuse(turn, conn, reason, &why),
        }
    }

    /// AUTH during CONNECT.
    pub(crate) fn auth_step(&mut self, turn: &mut Turn<'_>, conn: ConnId, auth: &Auth<'_>) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let Phase::Proving(applicant) = &mut connection.phase else { return };
        // [MQTT-4.12.0-3 v5], [MQTT-4.12.0-5 v5], [MQTT-4.12.0-7 v5], [U5-3.15.0-1]
        if !applicant.asked
            || auth.reason != ReasonCode::ContinueAuthentication
            || auth.method.is_none()
            || auth.method != applicant.method.as_deref()
        {
            self.refuse(turn, conn, ReasonCode::ProtocolError, "AUTH does not fit the exchange");
            return;
        }
        applicant.asked = false;
        self.hold(turn, conn);
        let request = Box::new(AuthRequest::Step { data: auth.data.map(Into::into) });
        turn.out.effects.push(Effect::Authenticate { conn, request });
    }

    /// AUTH on a live connection. [MQTT-4.12.1-1 v5]
    pub(crate) fn authenticate_again(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        auth: &Auth<'_>,
    ) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let slot = connection.session;
        let extras = connection.v5.as_mut();
        let Some(extras) = extras.filter(|extras| {
            // [MQTT-4.12.0-3 v5]: it speaks only when it is its turn.
            let expected = match extras.proving {
                Proving::No => auth.reason == ReasonCode::ReAuthenticate,
                Proving::Asked => auth.reason == ReasonCode::ContinueAuthentication,
                Proving::Judged => false,
            };
            expected && extras.method.is_some() && extras.method.as_deref() == auth.method
        }) else {
            let why = "AUTH does not fit: wrong method or reason code, or not its turn";
            self.fail(turn, conn, ReasonCode::ProtocolError, why);
            return;
        };
        let data = auth.data.map(Into::into);
        let request = match (&extras.method, extras.proving) {
            (Some(method), Proving::No) => {
                let client_id = self.sessions.at(slot).client_id.clone();
                AuthRequest::Again { client_id, method: method.clone(), data }
            }
            _ => AuthRequest::Step { data },
        };
        extras.proving = Proving::Judged;
        turn.out.effects.push(Effect::Authenticate { conn, request: Box::new(request) });
    }

    /// The answer to a re-authentication; other packets flow on meanwhile `[U5-4.12.1-1]`.
    fn proved_again(&mut self, turn: &mut Turn<'_>, conn: ConnId, answer: AuthAnswer) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let judged = |extras: &&mut Box<Extras>| extras.proving == Proving::Judged;
        let Some(extras) = connection.v5.as_mut().filter(judged) else { return };
        let method = extras.method.clone();
        let (reason, data) = match answer {
            AuthAnswer::Allow { principal, data } => {
                extras.proving = Proving::No;
                self.set_expiry(conn, principal.expires);
                self.identified(turn, conn, principal);
                (ReasonCode::Success, data)
            }
            AuthAnswer::Continue { data } => {
                extras.proving = Proving::Asked;
                (ReasonCode::ContinueAuthentication, Some(data))
            }
            // [MQTT-4.12.1-2 v5]
            AuthAnswer::Deny { reason, why } => {
                self.end(turn, conn, reason, &why);
                return;
            }
        };
        self.send(turn, conn, &auth_packet(reason, method.as_deref(), data.as_deref()));
    }

    /// Permission given: the session is found or made. [MQTT-3.1.4-3 v5], [MQTT-3.1.4-4 v5]
    /// [MQTT-3.1.4-3 v3.1.1].
    fn accept(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        mut applicant: Applicant,
        (principal, auth_data): (Principal, Option<Box<[u8]>>),
    ) {
        let Some(connection) = self.connections.get(conn) else { return };
        let (tenant, listener) = (connection.origin.tenant, connection.origin.listener);
        let durability = self.promised(conn);
        let permit = self.permit(principal, listener, &applicant.client_id);
        if let Some(will) = &applicant.will
            // mosquitto lets it in, and says nothing in the end.
            && !self.limits.refusals_as_mosquitto
            && !Broker::may_have_will(
                permit.as_deref(),
                &applicant.client_id,
                (&will.topic, will.qos, will.retain),
            )
        {
            self.counters.verdict(Verdict::NotAuthorized);
            self.refuse(turn, conn, ReasonCode::NotAuthorized, "may not publish the will");
            return;
        }
        // Here, where the session is at home: one that exists is carried on even if all are taken.
        if let Err(why) = self.room_for_session((tenant, &applicant.client_id)) {
            self.refuse(turn, conn, ReasonCode::QuotaExceeded, why);
            return;
        }
        let client = (tenant, &*applicant.client_id);
        if applicant.will.as_ref().is_some_and(|will| !self.has_room_for_will(client, will)) {
            let why = "the broker has no room for another will";
            self.refuse(turn, conn, ReasonCode::QuotaExceeded, why);
            return;
        }
        if !applicant.assigned && !self.may_connect(turn, client) {
            let why = "this client identifier connects too often";
            self.refuse(turn, conn, ReasonCode::ConnectionRateExceeded, why);
            return;
        }
        let expiry = applicant.session_expiry_secs;
        if expiry > 0 && self.is_full_for(durability) {
            self.refuse(turn, conn, ReasonCode::QuotaExceeded, DISK_FULL);
            return;
        }
        let before = self.waits.records_emitted();
        let found = self.take_over(turn, (tenant, &applicant.client_id), applicant.clean_start);
        // A session that is said to be over must not be there again after a crash.
        let mut wait = match self.waits.records_emitted() == before {
            true => Wait::default(),
            false => self.all_recorded(turn, durability),
        };
        let session_present = found.is_some();
        if !session_present {
            // Nor one that ended a moment ago.
            wait.and(self.ends_recorded(turn, durability));
        }
        let slot = match found {
            Some(slot) => slot,
            None => self.new_session((tenant, &applicant.client_id), expiry, durability),
        };
        let will = applicant.will.take();
        wait.and(self.attach(turn, slot, (conn, expiry), will));
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.session = slot;
        }
        self.take_permit(turn, slot, permit);
        let accepted = Accepted { applicant, session_present, auth_data };
        self.reply(turn, conn, wait, Reply::ConnAck(Box::new(accepted)));
    }

    /// CONNACK leaves, and with it the connection is live. [MQTT-3.1.4-5 v5]
    /// [MQTT-3.2.0-1 v5], [MQTT-3.2.0-2 v5], [MQTT-3.2.2-3 v5], [MQTT-3.1.4-4 v3.1.1],
    /// [MQTT-3.2.0-1 v3.1.1], [MQTT-3.2.2-2 v5], [MQTT-3.2.2-1 v3.1.1], [MQTT-3.2.2-2 v3.1.1],
    /// [MQTT-3.2.2-3 v3.1.1].
    pub(crate) fn connack(&mut self, turn: &mut Turn<'_>, conn: ConnId, accepted: Accepted) {
        let Accepted { applicant, session_present, auth_data } = accepted;
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let (slot, v5) = (connection.session, connection.version == Version::V5);
        let keep_alive = self.keep_alive_of(&applicant, v5);
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.phase = Phase::Live;
        connection.keep_alive_secs = keep_alive;
        let offer = self.limits.offer(connection.origin.listener);
        let aliases = Aliases::new(applicant.alias_max.min(offer.topic_alias_out_max));
        let aliased = v5 && aliases.outgoing_allowed();
        if v5 {
            connection.v5 = Some(Box::new(Extras {
                aliases,
                problem_information: applicant.problem_information,
                method: applicant.method.clone(),
                proving: Proving::No,
                announced: Announced {
                    receive_maximum: self.limits.receive_maximum,
                    topic_alias_max: offer.topic_alias_max,
                    qos_max: offer.qos_max,
                    retain_available: offer.retain_available,
                },
                may_expire_late: applicant.expiry_asked,
            }));
        }
        let response = self.response_information(&applicant);
        let mut told = UserPropertiesBuf::new();
        if applicant.wants_durability {
            let promised = self.promised(conn);
            told.push(DURABILITY, promised.name()).expect("both are short");
        }
        let properties = ConnAckProperties {
            response_information: response.as_deref(),
            // [MQTT-3.2.2-21 v5]
            server_keep_alive_secs: Some(keep_alive).filter(|k| *k != applicant.keep_alive_secs),
            // [MQTT-4.12.0-6 v5]
            authentication_data: auth_data.as_deref().filter(|_| applicant.method.is_some()),
            user_properties: told.as_properties(),
            ..announced(&self.limits, offer, &applicant)
        };
        let reason = ReasonCode::Success;
        let packet = Packet::ConnAck(ConnAck { session_present, reason, properties });
        let fits = self.try_send(turn, conn, &packet);
        self.counters.clients_now += 1;
        if !fits {
            // [MQTT-3.1.2-24 v5], and without CONNACK nothing may follow [MQTT-3.2.0-1 v5].
            let why = "CONNACK exceeds the client's limit";
            self.lose(turn, conn, ReasonCode::PacketTooLarge, why);
            return;
        }
        self.counters.connects_accepted += 1;
        self.counters.sessions_resumed += u64::from(session_present);
        self.announce(turn, conn, &applicant);
        let due = turn.now.plus_millis(u64::from(keep_alive) * 1500);
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if keep_alive > 0 {
            self.timers.set(TimerKey::Connection(conn), &mut connection.timer, due);
        } else {
            // [V31-3.1-10], [U5-3.1.2-2]
            self.timers.cancel(TimerKey::Connection(conn), &mut connection.timer);
        }
        let window = applicant.receive_maximum.min(self.limits.inflight_max);
        let packet_size_max = connection.packet_size_max;
        self.agree(turn.now, conn);
        let own_topics = aliased || self.is_mounted(conn);
        let session = self.sessions.at_mut(slot);
        session.queue.recall(&mut self.pending);
        session.link =
            Some(Link { conn, v5, own_topics, congested: false, window, packet_size_max });
        self.release(turn, conn);
        self.resume(turn, slot);
    }

    /// What a connection's listener, or else the broker, promises.
    fn promised(&self, conn: ConnId) -> Durability {
        let connection = self.connections.get(conn);
        let own = connection.and_then(|connection| connection.origin.durability);
        own.unwrap_or(self.limits.durability)
    }

    fn announce(&mut self, turn: &mut Turn<'_>, conn: ConnId, applicant: &Applicant) {
        let Some(connection) = self.connections.get(conn) else { return };
        turn.out.events.push(Event::Connected {
            client_id: applicant.client_id.clone(),
            tenant: connection.origin.tenant,
            remote: connection.origin.remote,
            version: connection.version,
            keep_alive_secs: connection.keep_alive_secs,
            clean_start: applicant.clean_start,
            user_name: applicant.user_name.clone(),
        });
    }

    /// Keep alive in force. [MQTT-3.2.2-22 v5]: the client's own unless CONNACK says otherwise,
    /// which only v5 can.
    fn keep_alive_of(&self, applicant: &Applicant, v5: bool) -> u16 {
        let (asked, max) = (applicant.keep_alive_secs, self.limits.keep_alive_secs_max);
        if v5 && max > 0 && (asked == 0 || asked > max) { max } else { asked }
    }

    /// [MQTT-3.1.2-28 v5]
    fn response_information(&self, applicant: &Applicant) -> Option<String> {
        let template = &self.limits.response_information;
        (applicant.wants_response_information && !template.is_empty())
            .then(|| template.replace("%c", &applicant.client_id))
    }

    /// Refuses a connection: CONNACK where one fits, then close. [MQTT-3.2.2-6 v5], [V31-3.2-2],
    /// [MQTT-3.2.2-7 v5], [MQTT-3.2.2-5 v3.1.1], [MQTT-3.2.2-6 v3.1.1], [MQTT-3.1.4-6 v5]
    /// [MQTT-3.1.4-5 v3.1.1].
    pub(crate) fn refuse(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        why: ReasonCode,
        text: &str,
    ) {
        let Some(connection) = self.connections.get(conn) else { return };
        // What came before CONNACK may have broken a rule whose code CONNACK does not know.
        // [MQTT-3.2.2-8 v5]
        let fits = why.allowed_in(PacketType::ConnAck, Role::Server);
        let why = if fits { why } else { ReasonCode::ProtocolError };
        let told = !matches!(connection.phase, Phase::Fresh) || connection.version == Version::V5;
        let known = told || why != ReasonCode::ServerBusy;
        if known && (connection.version == Version::V5 || why.v3_return_code().is_some()) {
            // Return code 4 is for credentials that are malformed; wrong ones are not authorized.
            let v5 = connection.version == Version::V5;
            let like = self.limits.refusals_as_mosquitto;
            let wrong = (!v5 || like) && why == ReasonCode::BadUserNameOrPassword;
            let reason = match why {
                _ if wrong => ReasonCode::NotAuthorized,
                ReasonCode::ClientIdentifierNotValid if v5 && like => ReasonCode::UnspecifiedError,
                why => why,
            };
            let most = self.limits.offer(connection.origin.listener).qos_max;
            let maximum_qos = Some(most).filter(|_| like && most != QoS::ExactlyOnce);
            let refusal = |reason_string| {
                let properties = ConnAckProperties {
                    maximum_qos,
                    reason_string,
                    ..ConnAckProperties::default()
                };
                Packet::ConnAck(ConnAck { session_present: false, reason, properties })
            };
            // [MQTT-3.2.2-19 v5]
            let text = Some(text).filter(|_| self.limits.reason_strings);
            if !self.try_send(turn, conn, &refusal(text)) {
                self.send(turn, conn, &refusal(None));
            }
        }
        self.lose(turn, conn, why, text);
    }

    /// Refuses what was not even a CONNECT, as far as the version it told allows.
    pub(crate) fn refuse_broken(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        error: DecodeError,
        why: &str,
    ) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        match error.version {
            Some(version) => {
                connection.version = version;
                let reason = error.reason_code();
                // [MQTT-3.1.4-1 v3.1.1]: no CONNACK for a malformed 3.x CONNECT, but for its
                // level [MQTT-3.1.2-2 v3.1.1].
                if version == Version::V5 || reason == ReasonCode::UnsupportedProtocolVersion {
                    self.refuse(turn, conn, reason, why);
                } else {
                    self.lose(turn, conn, reason, why);
                }
            }
            None => self.lose(turn, conn, error.reason_code(), why),
        }
    }
}

/// What every successful v5 CONNACK tells of the broker's limits.
fn announced<'a>(limits: &Limits, offer: Offer, applicant: &'a Applicant) -> ConnAckProperties<'a> {
    let off = |available: bool| (!available).then_some(false);
    let expiry = applicant.session_expiry_secs;
    ConnAckProperties {
        // [U5-3.2.2-2]
        session_expiry_secs: applicant.expiry_lowered.then_some(expiry),
        // Left out, it is the greatest that there is.
        receive_maximum: NonZeroU16::new(limits.receive_maximum)
            .filter(|most| *most != NonZeroU16::MAX),
        // [MQTT-3.2.2-9 v5]
        maximum_qos: (offer.qos_max != QoS::ExactlyOnce).then_some(offer.qos_max),
        retain_available: off(offer.retain_available),
        maximum_packet_size: NonZeroU32::new(offer.packet_size_max),
        // [MQTT-3.1.3-7 v5]
        assigned_client_id: applicant.assigned.then_some(&*applicant.client_id),
        topic_alias_maximum: Some(offer.topic_alias_max).filter(|max| *max > 0),
        wildcard_subscription_available: off(limits.wildcard_available),
        subscription_identifiers_available: off(limits.subscription_ids_available),
        shared_subscription_available: off(limits.shared_available),
        // [MQTT-4.12.0-5 v5], [MQTT-4.12.0-6 v5]
        authentication_method: applicant.method.as_deref(),
        ..ConnAckProperties::default()
    }
}

fn auth_packet<'a>(
    reason: ReasonCode,
    method: Option<&'a str>,
    data: Option<&'a [u8]>,
) -> Packet<'a> {
    let user_properties = UserProperties::default();
    Packet::Auth(Auth { reason, method, data, reason_string: None, user_properties })
}

fn stored_will(will: &Will<'_>, mount_point: &str) -> Box<StoredWill> {
    let mut properties = Vec::new();
    will.others.copy_to(&mut properties);
    Box::new(StoredWill {
        topic: mounted(mount_point, will.topic.as_str()).into(),
        properties: properties.into(),
        payload: will.payload.into(),
        qos: will.qos,
        retain: will.retain,
        message_expiry_secs: will.message_expiry_secs,
        delay_secs: will.delay_secs,
    })
}

/// Whether a topic name or filter has more levels than allowed.
pub(crate) fn too_deep(topic: &str, levels_max: u16) -> bool {
    topic.len() >= usize::from(levels_max)
        && topic.bytes().filter(|byte| *byte == b'/').count() >= usize::from(levels_max)
}
