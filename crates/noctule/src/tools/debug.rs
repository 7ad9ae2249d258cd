//! `-d`: packets as they pass, in the words of mosquitto's library.

use super::Tool;
use noctule_client::{Tapped, Version};
use noctule_proto::packet::{Ack, Connect, Publish, SubAck, SubscribeOptions};
use noctule_proto::{Packet, PacketId, PacketType, QoS, Role, next_frame};
use std::collections::HashMap;

/// The longest packet, header included.
const PACKET_MAX: u32 = noctule_proto::REMAINING_LENGTH_MAX + 5;

/// What a packet leads to on the screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// A line.
    Line(String),
    /// A line of the tool, not of its library: `--quiet` leaves it out.
    Answer(String),
    /// Here a message that was received is printed.
    Message,
}

/// Puts packets into words. It numbers what is sent as mosquitto's library does: each message,
/// whatever its QoS, and each request.
#[derive(Debug)]
pub(super) struct Debug {
    tool: Tool,
    version: Version,
    /// As the broker knows it; `None` before MQTT 5 chose one.
    client_id: Option<String>,
    /// The number of the last message or request.
    last: u16,
    /// The numbers of those that are not answered, by the identifiers of their packets.
    numbers: HashMap<PacketId, u16>,
    entries: Vec<Entry>,
}

impl Debug {
    pub(super) fn new(tool: Tool, version: Version) -> Debug {
        let (numbers, entries) = (HashMap::new(), Vec::new());
        Debug { tool, version, client_id: None, last: 0, numbers, entries }
    }

    /// The lines of a packet.
    pub(super) fn see(&mut self, tapped: Tapped<'_>) -> Vec<Entry> {
        let (bytes, sender) = match tapped {
            Tapped::Sent(bytes) => (bytes, Role::Client),
            Tapped::Received(bytes) => (bytes, Role::Server),
        };
        let Ok(Some(frame)) = next_frame(bytes, PACKET_MAX) else { return Vec::new() };
        // CONNECT says the version itself.
        let connect = PacketType::Connect as u8 == bytes[0] >> 4;
        let version = (!connect).then_some(self.version);
        // What is no packet is complained about elsewhere.
        let Ok(packet) = Packet::decode(frame, version, sender) else { return Vec::new() };
        match (sender, &packet) {
            (Role::Client, packet) => self.sent(packet),
            // The code as it was sent: that of 3.x has no reason code of its own.
            (Role::Server, Packet::ConnAck(connack)) => {
                let code = frame.body.get(1).copied().unwrap_or_default();
                self.received_connack(connack.properties.assigned_client_id, code);
            }
            (Role::Server, packet) => self.received(packet),
        }
        std::mem::take(&mut self.entries)
    }

    /// The client identifier as most lines show it.
    fn name(&self) -> &str {
        self.client_id.as_deref().unwrap_or("null")
    }

    fn line(&mut self, words: &str) {
        let line = format!("Client {} {words}", self.name());
        self.entries.push(Entry::Line(line));
    }

    fn sent(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Connect(connect) => self.sent_connect(connect),
            Packet::Publish(publish) => {
                let number = self.number(publish.packet_id, publish.dup);
                self.line(&format!("sending PUBLISH ({})", described(publish, number)));
            }
            Packet::PubAck(ack) => {
                self.line(&format!("sending PUBACK (m{}, rc0)", ack.packet_id));
                self.entries.push(Entry::Message);
            }
            Packet::PubRec(ack) => self.line(&format!("sending PUBREC (m{}, rc0)", ack.packet_id)),
            Packet::PubRel(ack) => {
                let number = self.known(ack.packet_id);
                self.line(&format!("sending PUBREL (m{number})"));
            }
            Packet::PubComp(ack) => {
                self.line(&format!("sending PUBCOMP (m{})", ack.packet_id));
                self.entries.push(Entry::Message);
            }
            Packet::Subscribe(subscribe) => {
                let number = self.number(Some(subscribe.packet_id), false);
                for (filter, options) in subscribe.filters {
                    let (qos, options) = (options.qos as u8, bits(options));
                    self.line(&format!(
                        "sending SUBSCRIBE (Mid: {number}, Topic: {}, QoS: {qos}, Options: \
                         0x{options:02x})",
                        filter.as_str(),
                    ));
                }
            }
            Packet::Unsubscribe(unsubscribe) => {
                let number = self.number(Some(unsubscribe.packet_id), false);
                for filter in unsubscribe.filters {
                    let filter = filter.as_str();
                    self.line(&format!("sending UNSUBSCRIBE (Mid: {number}, Topic: {filter})"));
                }
            }
            Packet::PingReq => self.line("sending PINGREQ"),
            Packet::Disconnect(_) => self.line("sending DISCONNECT"),
            Packet::Auth(_) => self.line("sending AUTH"),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {}
        }
    }

    fn sent_connect(&mut self, connect: &Connect<'_>) {
        if self.client_id.is_none() && !connect.client_id.is_empty() {
            self.client_id = Some(connect.client_id.to_owned());
        }
        self.line("sending CONNECT");
    }

    fn received(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Publish(publish) => {
                let number = publish.packet_id.map_or(0, PacketId::value);
                self.line(&format!("received PUBLISH ({})", described(publish, number)));
                if publish.qos == QoS::AtMostOnce {
                    self.entries.push(Entry::Message);
                }
            }
            Packet::PubAck(ack) => self.received_ack("PUBACK", ack),
            Packet::PubRec(ack) => {
                let number = self.known(ack.packet_id);
                self.line(&format!("received PUBREC (Mid: {number})"));
            }
            Packet::PubRel(ack) => {
                self.line(&format!("received PUBREL (Mid: {})", ack.packet_id));
            }
            Packet::PubComp(ack) => self.received_ack("PUBCOMP", ack),
            Packet::SubAck(answer) => self.received_suback(answer),
            Packet::UnsubAck(_) => self.line("received UNSUBACK"),
            Packet::PingResp => self.line("received PINGRESP"),
            Packet::Disconnect(disconnect) => {
                let line = format!("Received DISCONNECT ({})", disconnect.reason.as_u8());
                self.entries.push(Entry::Line(line));
            }
            Packet::Auth(_) => self.line("received AUTH"),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq => {}
        }
    }

    fn received_connack(&mut self, assigned: Option<&str>, code: u8) {
        if let Some(id) = assigned {
            self.client_id = Some(id.to_owned());
        }
        let name = self.client_id.as_deref().unwrap_or("(null)");
        let line = format!("Client {name} received CONNACK ({code})");
        self.entries.push(Entry::Line(line));
        if code == 0 {
            return;
        }
        // mosquitto's library hangs up on a refusal of 5.0, and so do two of its tools.
        let library = usize::from(self.version == Version::V5);
        let tool = match self.tool {
            Tool::Pub => 0,
            Tool::Sub | Tool::Rr => 1,
        };
        for _ in 0..library + tool {
            self.line("sending DISCONNECT");
        }
    }

    fn received_ack(&mut self, name: &str, ack: &Ack<'_>) {
        let number = self.known(ack.packet_id);
        self.numbers.remove(&ack.packet_id);
        self.line(&format!("received {name} (Mid: {number}, RC:{})", ack.reason.as_u8()));
    }

    fn received_suback(&mut self, answer: &SubAck<'_>) {
        self.line("received SUBACK");
        let number = self.known(answer.packet_id);
        self.numbers.remove(&answer.packet_id);
        if self.tool == Tool::Sub {
            let codes: Vec<String> = answer.codes.iter().map(u8::to_string).collect();
            let line = format!("Subscribed (mid: {number}): {}", codes.join(", "));
            self.entries.push(Entry::Answer(line));
        }
    }

    /// The number of something that is sent; what is sent again keeps its own.
    fn number(&mut self, id: Option<PacketId>, again: bool) -> u16 {
        if let Some(id) = id.filter(|_| again) {
            return self.known(id);
        }
        self.last = self.last.checked_add(1).unwrap_or(1);
        if let Some(id) = id {
            self.numbers.insert(id, self.last);
        }
        self.last
    }

    fn known(&self, id: PacketId) -> u16 {
        self.numbers.get(&id).copied().unwrap_or(id.value())
    }
}

fn described(publish: &Publish<'_>, number: u16) -> String {
    let flag = |flag| u8::from(flag);
    let (dup, qos, retain) = (flag(publish.dup), publish.qos as u8, flag(publish.retain));
    let topic = if publish.topic.is_empty() { "(null)" } else { publish.topic.as_str() };
    let len = publish.payload.len();
    format!("d{dup}, q{qos}, r{retain}, m{number}, '{topic}', ... ({len} bytes)")
}

/// The options of a subscription without its QoS, as they are sent.
fn bits(options: SubscribeOptions) -> u8 {
    u8::from(options.no_local) << 2
        | u8::from(options.retain_as_published) << 3
        | (options.retain_handling as u8) << 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_client::ReasonCode;
    use noctule_proto::TopicName;
    use noctule_proto::packet::{ConnAck, PublishProperties};

    fn lines(entries: &[Entry]) -> Vec<&str> {
        entries
            .iter()
            .map(|entry| match entry {
                Entry::Line(line) | Entry::Answer(line) => line.as_str(),
                Entry::Message => "(message)",
            })
            .collect()
    }

    fn publish(qos: QoS, id: Option<u16>) -> Vec<u8> {
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic: TopicName::parse("a").expect("a topic"),
            packet_id: id.and_then(PacketId::new),
            properties: PublishProperties::default(),
            payload: b"xy",
        };
        let mut bytes = Vec::new();
        publish.encode(Version::V311, &mut bytes);
        bytes
    }

    fn ack(packet: PacketType, id: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        let id = PacketId::new(id).expect("not 0");
        Ack::new(id, ReasonCode::Success).encode(packet, Version::V311, &mut bytes);
        bytes
    }

    #[test]
    fn what_is_sent_is_numbered_as_mosquitto_numbers_it() {
        let mut debug = Debug::new(Tool::Pub, Version::V311);
        let mut see = |tapped: Tapped<'_>| debug.see(tapped);
        let sent = see(Tapped::Sent(&publish(QoS::AtMostOnce, None)));
        assert_eq!(
            lines(&sent),
            ["Client null sending PUBLISH (d0, q0, r0, m1, 'a', ... (2 bytes))"]
        );
        let sent = see(Tapped::Sent(&publish(QoS::ExactlyOnce, Some(9))));
        assert_eq!(
            lines(&sent),
            ["Client null sending PUBLISH (d0, q2, r0, m2, 'a', ... (2 bytes))"]
        );
        let answered = see(Tapped::Received(&ack(PacketType::PubRec, 9)));
        assert_eq!(lines(&answered), ["Client null received PUBREC (Mid: 2)"]);
        let sent = see(Tapped::Sent(&ack(PacketType::PubRel, 9)));
        assert_eq!(lines(&sent), ["Client null sending PUBREL (m2)"]);
        let answered = see(Tapped::Received(&ack(PacketType::PubComp, 9)));
        assert_eq!(lines(&answered), ["Client null received PUBCOMP (Mid: 2, RC:0)"]);
    }

    #[test]
    fn a_message_comes_behind_its_acknowledgement() {
        let mut debug = Debug::new(Tool::Sub, Version::V311);
        let mut see = |tapped: Tapped<'_>| debug.see(tapped);
        let came = see(Tapped::Received(&publish(QoS::AtMostOnce, None)));
        assert_eq!(
            lines(&came),
            ["Client null received PUBLISH (d0, q0, r0, m0, 'a', ... (2 bytes))", "(message)"]
        );
        assert_eq!(see(Tapped::Received(&publish(QoS::AtLeastOnce, Some(5)))).len(), 1);
        let acknowledged = see(Tapped::Sent(&ack(PacketType::PubAck, 5)));
        assert_eq!(lines(&acknowledged), ["Client null sending PUBACK (m5, rc0)", "(message)"]);
    }

    #[test]
    fn a_refusal_is_followed_by_goodbyes() {
        let mut bytes = Vec::new();
        ConnAck::new(false, ReasonCode::NotAuthorized).encode(Version::V5, &mut bytes);
        for (tool, goodbyes) in [(Tool::Pub, 1), (Tool::Sub, 2)] {
            let mut debug = Debug::new(tool, Version::V5);
            let entries = debug.see(Tapped::Received(&bytes));
            assert_eq!(lines(&entries)[0], "Client (null) received CONNACK (135)");
            assert_eq!(entries.len(), 1 + goodbyes);
        }
    }

    #[test]
    fn what_is_no_packet_is_not_described() {
        let mut debug = Debug::new(Tool::Sub, Version::V311);
        assert_eq!(debug.see(Tapped::Received(&[0xF0, 0])), []);
        assert_eq!(debug.see(Tapped::Received(&[0x20])), []);
    }
}
