//! A client that writes and reads packets one by one over a real socket, and waits for nothing
//! longer than a test may take.
#![allow(dead_code, reason = "each test file uses its part")]

use noctule_core::Limits;
use noctule_proto::packet::{
    Connect, Disconnect, Publish, PublishProperties, Role, Subscribe, SubscribeFiltersBuf,
    SubscribeOptions,
};
use noctule_proto::{
    Packet, PacketId, QoS, ReasonCode, TopicFilter, TopicName, Version, next_frame,
};
use noctule_server::{Config, Handle, Server};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::time::Duration;

/// Long enough for a loaded machine; no test that passes waits as long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker with so many shards, on ports of its own.
pub(crate) fn broker(shards: u16) -> Handle {
    broker_with(shards, |_| ())
}

/// The same, with something changed.
pub(crate) fn broker_with(shards: u16, change: impl FnOnce(&mut Config)) -> Handle {
    let mut config = Config::for_tests();
    config.shards = NonZeroU16::new(shards);
    config.limits = Limits { packet_size_max: 16 << 20, ..config.limits };
    change(&mut config);
    Server::start(config).expect("a loopback port of the system's choice is free")
}

/// One client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    version: Version,
    received: Vec<u8>,
    used: usize,
}

impl Client {
    /// A connection without CONNECT.
    pub(crate) fn open(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).expect("the broker listens"))
    }

    /// A connection that is there already.
    pub(crate) fn over(stream: TcpStream) -> Client {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, version: Version::V5, received: Vec::new(), used: 0 }
    }

    /// A connected client.
    pub(crate) fn connect(address: SocketAddr, version: Version, id: &str) -> Client {
        let mut client = Client::open(address);
        let reason = client.connect_with(&Connect::new(version, id));
        assert_eq!(reason, ReasonCode::Success);
        client
    }

    /// Sends this CONNECT and is accepted; `None`: the connection was closed instead.
    pub(crate) fn try_connect(&mut self, connect: &Connect<'_>) -> Option<()> {
        self.version = connect.version;
        let mut bytes = Vec::new();
        Packet::Connect(connect.clone()).encode(self.version, &mut bytes);
        self.stream.write_all(&bytes).ok()?;
        let mut first = [0];
        if self.stream.read(&mut first).ok()? == 0 {
            return None;
        }
        self.received.extend_from_slice(&first);
        self.next(|packet| match packet {
            Packet::ConnAck(ack) => assert_eq!(ack.reason, ReasonCode::Success),
            other => panic!("a CONNACK expected: {other:?}"),
        });
        Some(())
    }

    /// Sends this CONNECT; answers the reason code of the CONNACK.
    pub(crate) fn connect_with(&mut self, connect: &Connect<'_>) -> ReasonCode {
        self.version = connect.version;
        self.send(&Packet::Connect(connect.clone()));
        self.next(|packet| match packet {
            Packet::ConnAck(ack) => ack.reason,
            other => panic!("a CONNACK expected: {other:?}"),
        })
    }

    /// The same; answers whether there is a session, or `None` if refused.
    pub(crate) fn answer(&mut self, connect: &Connect<'_>) -> Option<bool> {
        self.version = connect.version;
        self.send(&Packet::Connect(connect.clone()));
        self.next(|packet| match packet {
            Packet::ConnAck(ack) => {
                (ack.reason == ReasonCode::Success).then_some(ack.session_present)
            }
            other => panic!("a CONNACK expected: {other:?}"),
        })
    }

    /// Sends a packet.
    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        self.write(&bytes);
    }

    /// Sends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the broker reads");
    }

    /// Subscribes and waits for the SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: QoS) {
        let mut filters = SubscribeFiltersBuf::new();
        let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
        filters.push(TopicFilter::parse(filter).unwrap(), options);
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: id(1),
            subscription_id: None,
            user_properties: Default::default(),
            filters: filters.as_filters(),
        }));
        self.next(|packet| match packet {
            Packet::SubAck(ack) => assert_eq!(ack.codes, [qos as u8]),
            other => panic!("a SUBACK expected: {other:?}"),
        });
    }

    /// Publishes without waiting for anything.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS) {
        let bytes = self.publish_bytes(topic, payload, qos);
        self.write(&bytes);
    }

    /// A PUBLISH as bytes.
    pub(crate) fn publish_bytes(&self, topic: &str, payload: &[u8], qos: QoS) -> Vec<u8> {
        let mut bytes = Vec::new();
        Packet::Publish(publish(topic, payload, qos)).encode(self.version, &mut bytes);
        bytes
    }

    /// A round trip: what was sent before it was handled when this returns.
    pub(crate) fn ping(&mut self) {
        self.send(&Packet::PingReq);
        self.next(|packet| assert_eq!(*packet, Packet::PingResp));
    }

    /// Says goodbye and waits for the end.
    pub(crate) fn disconnect(mut self) {
        self.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
        self.expect_end();
    }

    /// Waits for the next packet and looks at it.
    pub(crate) fn next<T>(&mut self, look: impl FnOnce(&Packet<'_>) -> T) -> T {
        loop {
            if let Some(frame) = next_frame(&self.received[self.used..], u32::MAX).unwrap() {
                let len = frame.len;
                let packet = Packet::decode(frame, Some(self.version), Role::Server).unwrap();
                let seen = look(&packet);
                self.used += len;
                if self.used == self.received.len() {
                    self.received.clear();
                    self.used = 0;
                }
                return seen;
            }
            assert!(self.receive(), "a packet expected, but the connection ended");
        }
    }

    /// Waits for a PUBLISH; answers topic and payload.
    pub(crate) fn message(&mut self) -> (String, Vec<u8>) {
        self.next(|packet| match packet {
            Packet::Publish(publish) => {
                (publish.topic.as_str().to_owned(), publish.payload.to_vec())
            }
            other => panic!("a PUBLISH expected: {other:?}"),
        })
    }

    /// Waits for DISCONNECT; answers its reason code.
    pub(crate) fn farewell(&mut self) -> ReasonCode {
        self.next(|packet| match packet {
            Packet::Disconnect(disconnect) => disconnect.reason,
            other => panic!("a DISCONNECT expected: {other:?}"),
        })
    }

    /// Waits for the end of the connection, with nothing before it.
    pub(crate) fn expect_end(&mut self) {
        let left = self.received.len() - self.used;
        assert!(left == 0 && !self.receive(), "the end expected, not bytes");
    }

    /// Receives once; `false` at the end.
    fn receive(&mut self) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.received.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

/// A packet identifier.
pub(crate) fn id(number: u16) -> PacketId {
    PacketId(NonZeroU16::new(number).expect("packet identifiers are not 0"))
}

/// A PUBLISH with packet identifier 7 where it needs one.
pub(crate) fn publish<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: TopicName::parse(topic).unwrap(),
        packet_id: (qos != QoS::AtMostOnce).then(|| id(7)),
        properties: PublishProperties::default(),
        payload,
    }
}
