//! Rules that hold for every packet of every script: each is checked on each packet that a server
//! sends, so that a script has to say only what is its own.

use super::connect::Connect;
use super::packet::{Packet, kind};
use super::property::{REASON_STRING, TOPIC_ALIAS, USER_PROPERTY};
use noctule_proto::Version;
use std::collections::BTreeMap;

/// What one client announced, and where its connection stands.
#[derive(Debug, Default)]
pub(super) struct Watch {
    connack_seen: bool,
    receive_maximum: Option<u16>,
    packet_size_max: Option<u32>,
    alias_max: u16,
    knows_properties: bool,
    wants_no_reasons: bool,
    auth_method: bool,
    aliases: BTreeMap<u16, Vec<u8>>,
    /// Packet ids of deliveries that the client has not settled.
    open: Vec<u16>,
}

impl Watch {
    /// The client sent this CONNECT.
    pub(super) fn connect(&mut self, connect: &Connect, version: Version) {
        *self = Watch::default();
        if version != Version::V5 {
            return;
        }
        self.knows_properties = true;
        let number = |id| {
            let value = connect.property(id)?;
            Some(value.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
        };
        self.receive_maximum = number(0x21).map(|number| number as u16);
        self.packet_size_max = number(0x27);
        self.alias_max = number(0x22).unwrap_or(0) as u16;
        self.wants_no_reasons = number(0x17) == Some(0);
        self.auth_method = connect.property(0x15).is_some();
    }

    /// The client sent this packet.
    pub(super) fn sent(&mut self, packet: &Packet) {
        let settles = match packet.kind() {
            kind::PUBACK | kind::PUBCOMP => true,
            kind::PUBREC => packet.code >= 0x80,
            _ => false,
        };
        if settles {
            self.open.retain(|id| *id != packet.id);
        }
    }

    /// The server sent this packet, of so many bytes.
    pub(super) fn received(
        &mut self,
        packet: &Packet,
        len: usize,
        version: Version,
    ) -> Result<(), String> {
        self.check_order(packet)?;
        check_codes(packet, version)?;
        match packet.kind() {
            // [MQTT-3.2.2-1 v5]: bits 7 to 1 are 0.
            kind::CONNACK if packet.flags > 1 => return Err("reserved acknowledge flags".into()),
            // [MQTT-3.2.2-6 v5], [MQTT-3.2.2-4 v3.1.1]
            kind::CONNACK if packet.flags == 1 && packet.code != 0 => {
                return Err("Session Present in a refusal".into());
            }
            kind::PUBLISH => self.check_publish(packet)?,
            // [MQTT-3.14.2-2 v5]
            kind::DISCONNECT if packet.property(0x11).is_some() => {
                return Err("a server's DISCONNECT with Session Expiry Interval".into());
            }
            _ => {}
        }
        // [MQTT-3.1.2-24 v5], and for each packet its own: [MQTT-3.2.2-19 v5] [MQTT-3.2.2-20 v5]
        // [MQTT-3.4.2-2 v5] [MQTT-3.5.2-2 v5] [MQTT-3.6.2-2 v5] [MQTT-3.7.2-2 v5]
        // [MQTT-3.9.2-1 v5] [MQTT-3.11.2-1 v5] [MQTT-3.14.2-3 v5]
        if self.packet_size_max.is_some_and(|max| len > max as usize) {
            return Err(format!("{len} bytes are more than the client takes"));
        }
        self.check_reasons(packet)
    }

    /// The topic of a PUBLISH, whether it is there or in an alias.
    pub(super) fn resolve(&mut self, packet: Packet) -> Packet {
        let Some(alias) = packet.property(TOPIC_ALIAS) else { return packet };
        let alias = u16::from_be_bytes([alias[0], alias[1]]);
        let mut packet = packet.without(TOPIC_ALIAS);
        if packet.topic.is_empty() {
            packet.topic = self.aliases[&alias].clone();
        }
        packet
    }

    fn check_order(&mut self, packet: &Packet) -> Result<(), String> {
        let connack = packet.kind() == kind::CONNACK;
        // [MQTT-3.2.0-2 v5]
        if connack && self.connack_seen {
            return Err("a second CONNACK".into());
        }
        // [MQTT-3.2.0-1 v5], [MQTT-3.2.0-1 v3.1.1], [MQTT-3.14.0-1 v5]
        if !connack && !self.connack_seen && packet.kind() != kind::AUTH {
            return Err("a packet before CONNACK".into());
        }
        // [MQTT-4.12.0-6 v5]
        let in_connack = [0x15, 0x16].iter().any(|id| packet.property(*id).is_some());
        let about_auth = packet.kind() == kind::AUTH || connack && in_connack;
        if about_auth && !self.auth_method {
            return Err("authentication nobody asked for".into());
        }
        self.connack_seen |= connack;
        Ok(())
    }

    fn check_publish(&mut self, packet: &Packet) -> Result<(), String> {
        let qos = packet.first >> 1 & 3;
        // [MQTT-3.3.1-4 v5], [MQTT-3.3.1-2 v5], [MQTT-3.3.1-2 v3.1.1], [MQTT-4.3.1-1 v5],
        // [MQTT-4.3.1-1 v3.1.1]
        if qos == 3 || qos == 0 && packet.first & 8 != 0 {
            return Err("QoS 3, or DUP at QoS 0".into());
        }
        self.check_alias(packet)?;
        if qos == 0 {
            return Ok(());
        }
        // [MQTT-2.2.1-4 v5], [MQTT-2.3.1-1 v3.1.1], [MQTT-2.3.1-4 v3.1.1], [MQTT-4.3.2-1 v5],
        // [MQTT-4.3.3-1 v5]: a new message takes an id that is not 0 and not in use.
        let in_use = self.open.contains(&packet.id);
        if packet.id == 0 || in_use {
            return Err(format!("packet id {} for a new message", packet.id));
        }
        self.open.push(packet.id);
        // [MQTT-3.3.4-9 v5], [MQTT-4.9.0-1 v5], [MQTT-4.9.0-2 v5]
        let max = self.receive_maximum.unwrap_or(u16::MAX);
        if self.open.len() > usize::from(max) {
            return Err(format!("more than Receive Maximum {max}"));
        }
        Ok(())
    }

    fn check_alias(&mut self, packet: &Packet) -> Result<(), String> {
        let Some(alias) = packet.property(TOPIC_ALIAS) else {
            return if packet.topic.is_empty() { Err("no topic".into()) } else { Ok(()) };
        };
        let alias = u16::from_be_bytes([alias[0], alias[1]]);
        // [MQTT-3.1.2-26 v5], [MQTT-3.1.2-27 v5], [MQTT-3.3.2-8 v5], [MQTT-3.3.2-11 v5]
        if alias == 0 || alias > self.alias_max {
            return Err(format!("topic alias {alias} of at most {}", self.alias_max));
        }
        if !packet.topic.is_empty() {
            self.aliases.insert(alias, packet.topic.clone());
        } else if !self.aliases.contains_key(&alias) {
            return Err(format!("topic alias {alias} was never told"));
        }
        Ok(())
    }

    /// Every refusal says why, to those who want to know it.
    fn check_reasons(&self, packet: &Packet) -> Result<(), String> {
        let reason = packet.property(REASON_STRING);
        let always = [kind::CONNACK, kind::PUBLISH, kind::DISCONNECT].contains(&packet.kind());
        if self.wants_no_reasons && !always {
            // [MQTT-3.1.2-29 v5]
            let says = reason.is_some() || packet.property(USER_PROPERTY).is_some();
            return if says { Err("a reason nobody wants".into()) } else { Ok(()) };
        }
        let small = self.packet_size_max.is_some_and(|max| max < 256);
        let answers = [
            kind::CONNACK,
            kind::PUBACK,
            kind::PUBREC,
            kind::SUBACK,
            kind::UNSUBACK,
            kind::DISCONNECT,
        ];
        let told = reason.is_some_and(|reason| reason.len() > 2);
        let v5 = self.knows_properties;
        if v5 && packet.is_refusal() && answers.contains(&packet.kind()) && !small && !told {
            return Err("a refusal without a reason string".into());
        }
        Ok(())
    }
}

/// Only codes of the packet's own table are used `[MQTT-3.2.2-8 v5]` `[MQTT-3.4.2-1 v5]`
/// `[MQTT-3.5.2-1 v5]` `[MQTT-3.6.2-1 v5]` `[MQTT-3.7.2-1 v5]` `[MQTT-3.9.3-2 v5]`
/// `[MQTT-3.11.3-2 v5]` `[MQTT-3.14.2-1 v5]` `[MQTT-3.15.2-1 v5]` `[MQTT-3.9.3-2 v3.1.1]`
/// `[MQTT-3.8.4-7 v5]`.
fn check_codes(packet: &Packet, version: Version) -> Result<(), String> {
    const CONNACK: &[u8] = &[
        0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
        0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    ];
    const PUBLISHED: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    const SUBSCRIBED: &[u8] =
        &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
    const UNSUBSCRIBED: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
    const ENDED: &[u8] = &[
        0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
        0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
    ];
    let code = std::slice::from_ref(&packet.code);
    let (codes, allowed): (&[u8], &[u8]) = match (packet.kind(), version) {
        (kind::CONNACK, Version::V5) => (code, CONNACK),
        (kind::CONNACK, _) => (code, &[0, 1, 2, 3, 4, 5]),
        (kind::PUBACK | kind::PUBREC, _) => (code, PUBLISHED),
        (kind::PUBREL | kind::PUBCOMP, _) => (code, &[0x00, 0x92]),
        (kind::SUBACK, Version::V5) => (&packet.payload, SUBSCRIBED),
        (kind::SUBACK, Version::V311) => (&packet.payload, &[0, 1, 2, 0x80]),
        // MQTT 3.1 knows no failure in SUBACK.
        (kind::SUBACK, Version::V31) => (&packet.payload, &[0, 1, 2]),
        (kind::UNSUBACK, _) => (&packet.payload, UNSUBSCRIBED),
        (kind::DISCONNECT, _) => (code, ENDED),
        (kind::AUTH, _) => (code, &[0x00, 0x18]),
        _ => return Ok(()),
    };
    match codes.iter().find(|code| !allowed.contains(code)) {
        Some(code) => Err(format!("code {code:#04x} does not belong there")),
        None => Ok(()),
    }
}
