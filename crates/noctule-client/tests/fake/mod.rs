//! A server that does just what a test says.
#![allow(dead_code, unreachable_pub, reason = "shared by several test programs")]

use noctule_client::{QoS, ReasonCode, Version};
use noctule_proto::packet::{Ack, ConnAck, ConnAckProperties, Publish, PublishProperties, SubAck};
use noctule_proto::{Packet, PacketId, PacketType, Role, TopicName, next_frame};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Long enough for any machine; a test that fails waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Fake {
    listener: TcpListener,
    version: Version,
}

impl Fake {
    pub async fn start(version: Version) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        Fake { listener, version }
    }

    pub fn address(&self) -> String {
        self.listener.local_addr().expect("bound").to_string()
    }

    /// Waits for a client and reads its CONNECT.
    pub async fn accept(&self) -> (Peer, String) {
        let accepted = timeout(PATIENCE, self.listener.accept()).await.expect("a client comes");
        let (stream, _) = accepted.expect("a socket");
        let mut peer = Peer { stream, version: None, input: Vec::new() };
        let connect = peer.next().await;
        peer.version = Some(self.version);
        (peer, connect)
    }

    /// The same, and lets it in.
    pub async fn welcome(&self, session_present: bool) -> Peer {
        let (mut peer, _) = self.accept().await;
        peer.send(&Packet::ConnAck(ConnAck::new(session_present, ReasonCode::Success))).await;
        peer
    }
}

pub struct Peer {
    stream: TcpStream,
    /// `None` until CONNECT is read.
    version: Option<Version>,
    input: Vec<u8>,
}

impl Peer {
    /// The next packet in one line; "closed" at the end.
    pub async fn next(&mut self) -> String {
        let line = timeout(PATIENCE, self.read(say)).await.expect("the client says something");
        line.unwrap_or_else(|| "closed".to_owned())
    }

    /// The correlation data of the next packet, which is a PUBLISH that has some.
    pub async fn next_correlation(&mut self) -> Vec<u8> {
        let data = self.read(|packet| match packet {
            Packet::Publish(publish) => publish.properties.others.correlation_data().map(Vec::from),
            _ => None,
        });
        let data = timeout(PATIENCE, data).await.expect("the client says something").flatten();
        data.expect("a PUBLISH with correlation data")
    }

    /// What the next packet says; `None` at the end.
    async fn read<T>(&mut self, say: impl FnOnce(&Packet<'_>) -> T) -> Option<T> {
        loop {
            if let Some(frame) = next_frame(&self.input, u32::MAX).expect("a packet") {
                let packet = Packet::decode(frame, self.version, Role::Client).expect("legal");
                let said = say(&packet);
                let len = frame.len;
                self.input.drain(..len);
                return Some(said);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(len) => self.input.extend_from_slice(&buffer[..len]),
            }
        }
    }

    /// The next packets are these, in this order.
    pub async fn expect(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.next().await, *line);
        }
    }

    /// Nothing comes for a while.
    pub async fn expect_silence(&mut self) {
        let said = timeout(Duration::from_millis(200), self.read(say)).await;
        assert!(said.is_err(), "{said:?}");
    }

    pub async fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version.unwrap_or(Version::V5), &mut bytes);
        assert!(!bytes.is_empty());
        self.stream.write_all(&bytes).await.expect("the client is there");
    }

    pub async fn connack(&mut self, reason: ReasonCode, properties: ConnAckProperties<'_>) {
        let connack = ConnAck { properties, ..ConnAck::new(false, reason) };
        self.send(&Packet::ConnAck(connack)).await;
    }

    pub async fn ack(&mut self, packet_type: PacketType, id: u16) {
        let ack = Ack::new(PacketId::new(id).expect("not 0"), ReasonCode::Success);
        self.send(&match packet_type {
            PacketType::PubAck => Packet::PubAck(ack),
            PacketType::PubRec => Packet::PubRec(ack),
            PacketType::PubRel => Packet::PubRel(ack),
            PacketType::PubComp => Packet::PubComp(ack),
            other => panic!("{other} is no acknowledgement"),
        })
        .await;
    }

    pub async fn suback(&mut self, id: u16, codes: &[u8]) {
        self.send(&Packet::SubAck(SubAck::new(PacketId::new(id).expect("not 0"), codes))).await;
    }

    /// For one filter, or before 5.0.
    pub async fn unsuback(&mut self, id: u16) {
        let codes: &[u8] = if self.version == Some(Version::V5) { &[0] } else { &[] };
        let unsuback = SubAck::new(PacketId::new(id).expect("not 0"), codes);
        self.send(&Packet::UnsubAck(unsuback)).await;
    }

    pub async fn publish(&mut self, topic: &str, qos: QoS, id: u16) {
        self.publish_with(topic, qos, id, PublishProperties::default()).await;
    }

    pub async fn publish_with(
        &mut self,
        topic: &str,
        qos: QoS,
        id: u16,
        properties: PublishProperties<'_>,
    ) {
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic: TopicName::parse(topic).expect("a topic"),
            packet_id: PacketId::new(id),
            properties,
            payload: b"x",
        };
        self.send(&Packet::Publish(publish)).await;
    }
}

/// A packet in one line.
fn say(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connect(c) => format!("CONNECT {} clean={}", c.client_id, c.clean_start),
        Packet::Publish(p) => format!(
            "PUBLISH{} q{}{} {} {}",
            if p.dup { " dup" } else { "" },
            p.qos as u8,
            p.packet_id.map_or(String::new(), |id| format!(" #{id}")),
            p.topic.as_str(),
            String::from_utf8_lossy(p.payload)
        ),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            format!("{} #{} {:#04x}", packet.packet_type(), ack.packet_id, ack.reason.as_u8())
        }
        Packet::Subscribe(s) => {
            let filters: Vec<_> =
                s.filters.map(|(f, o)| format!("{}@{}", f.as_str(), o.qos as u8)).collect();
            let id = s.subscription_id.map_or(String::new(), |id| format!(" id={id}"));
            format!("SUBSCRIBE #{}{id} {}", s.packet_id, filters.join(" "))
        }
        Packet::Unsubscribe(u) => {
            let filters: Vec<_> = u.filters.map(|f| f.as_str().to_owned()).collect();
            format!("UNSUBSCRIBE #{} {}", u.packet_id, filters.join(" "))
        }
        Packet::Disconnect(d) => format!("DISCONNECT {:#04x}", d.reason.as_u8()),
        Packet::Auth(a) => {
            let data = String::from_utf8_lossy(a.data.unwrap_or_default()).into_owned();
            format!("AUTH {:#04x} {data}", a.reason.as_u8())
        }
        other => other.packet_type().to_string(),
    }
}
