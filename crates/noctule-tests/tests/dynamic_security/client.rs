//! A client of MQTT 5 or 3.1.1 that tells exactly what it is answered, and a manager's way to ask.

use anyhow::{Context, Result, bail, ensure};
use noctule_proto::packet::{Connect, ConnectProperties, Packet};
use noctule_proto::{Role, Version, next_frame};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The topic of requests.
pub(crate) const TOPIC: &str = "$CONTROL/dynamic-security/v1";

/// Who connects: user name with password, and client id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    pub(crate) login: Option<(&'a str, &'a str)>,
    pub(crate) client_id: &'a str,
    pub(crate) version: Version,
}

impl<'a> Who<'a> {
    pub(crate) fn user(name: &'a str, password: &'a str, client_id: &'a str) -> Who<'a> {
        Who { login: Some((name, password)), client_id, version: Version::V5 }
    }
}

/// What it is told next.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Told {
    /// CONNACK, PUBACK, SUBACK or UNSUBACK with this code, the last of several.
    Code(u8),
    /// DISCONNECT with this code.
    Gone(u8),
    Closed,
    /// Nothing in time.
    Silence,
}

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    version: Version,
    bytes: Vec<u8>,
    messages: VecDeque<(String, Vec<u8>)>,
}

impl Client {
    /// Says hello, and what it is told.
    pub(crate) fn hello(address: SocketAddr, who: &Who<'_>) -> Result<(Client, Told)> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let (version, messages) = (who.version, VecDeque::new());
        let mut client = Client { stream, version, bytes: Vec::new(), messages };
        let packet = Packet::Connect(Connect {
            version,
            bridge: false,
            clean_start: true,
            keep_alive_secs: 60,
            client_id: who.client_id,
            will: None,
            user_name: who.login.map(|(name, _)| name),
            password: who.login.map(|(_, password)| password.as_bytes()),
            properties: ConnectProperties::default(),
        });
        let mut bytes = Vec::new();
        packet.encode(version, &mut bytes);
        client.stream.write_all(&bytes)?;
        let told = client.told()?;
        Ok((client, told))
    }

    /// One that is let in.
    pub(crate) fn connect(address: SocketAddr, who: &Who<'_>) -> Result<Client> {
        let (client, told) = Client::hello(address, who)?;
        ensure!(told == Told::Code(0), "{who:?}: {told:?}");
        Ok(client)
    }

    /// How long it waits from here on.
    pub(crate) fn wait(&self, patience: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(patience))?)
    }

    /// A packet of one topic: its first byte, what stands before the topic, and behind it.
    fn send(&mut self, first: u8, before: &[u8], topic: &str, after: &[u8]) -> Result<()> {
        let mut body = before.to_vec();
        body.extend(u16::try_from(topic.len())?.to_be_bytes());
        body.extend(topic.as_bytes());
        body.extend(after);
        let mut bytes = vec![first];
        let mut len = body.len();
        loop {
            let more = if len > 127 { 0x80 } else { 0 };
            bytes.push((len % 128) as u8 | more);
            len /= 128;
            if more == 0 {
                break;
            }
        }
        bytes.extend(body);
        Ok(self.stream.write_all(&bytes)?)
    }

    /// No properties, where there could be some.
    fn none(&self) -> &'static [u8] {
        if self.version == Version::V5 { &[0] } else { &[] }
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<Told> {
        self.send(0x32, &[], topic, &[&[0, 7], self.none(), payload].concat())?;
        self.told()
    }

    pub(crate) fn publish_qos_0(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        self.send(0x30, &[], topic, &[self.none(), payload].concat())
    }

    /// Both halves of QoS 2; what PUBCOMP says.
    pub(crate) fn publish_qos_2(&mut self, topic: &str, payload: &[u8]) -> Result<Told> {
        self.send(0x34, &[], topic, &[&[0, 9], self.none(), payload].concat())?;
        let received = self.told()?;
        ensure!(received == Told::Code(0), "PUBREC: {received:?}");
        self.stream.write_all(&[0x62, 2, 0, 9])?;
        self.told()
    }

    pub(crate) fn subscribe(&mut self, filter: &str) -> Result<Told> {
        self.send(0x82, &[&[0, 8], self.none()].concat(), filter, &[1])?;
        self.told()
    }

    pub(crate) fn unsubscribe(&mut self, filter: &str) -> Result<Told> {
        self.send(0xa2, &[&[0, 8], self.none()].concat(), filter, &[])?;
        self.told()
    }

    /// The next message; `None`: none in time, or it is closed.
    pub(crate) fn message(&mut self) -> Result<Option<(String, Vec<u8>)>> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(Some(message));
            }
            match self.next()? {
                None => {}
                Some(Told::Silence | Told::Closed | Told::Gone(_)) => return Ok(None),
                Some(other) => bail!("{other:?} instead of a message"),
            }
        }
    }

    /// The next thing that is no message.
    pub(crate) fn told(&mut self) -> Result<Told> {
        loop {
            if let Some(told) = self.next()? {
                return Ok(told);
            }
        }
    }

    /// The next packet; `None`: a message, which is put aside.
    fn next(&mut self) -> Result<Option<Told>> {
        loop {
            if let Some(frame) = next_frame(&self.bytes, u32::MAX).ok().context("a frame")? {
                let len = frame.len;
                let packet = Packet::decode(frame, Some(self.version), Role::Server);
                let told = match packet.ok().context("a packet")? {
                    Packet::Publish(publish) => {
                        let topic = publish.topic.as_str().to_owned();
                        self.messages.push_back((topic, publish.payload.to_vec()));
                        None
                    }
                    Packet::ConnAck(ack) => Some(Told::Code(ack.reason as u8)),
                    Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack) => {
                        Some(Told::Code(ack.reason as u8))
                    }
                    Packet::SubAck(_) | Packet::UnsubAck(_) => {
                        let last = self.bytes.get(len - 1).copied();
                        // UNSUBACK of MQTT 3 ends with the packet identifier.
                        let has_code = self.version == Version::V5 || self.bytes[0] == 0x90;
                        Some(Told::Code(last.filter(|_| has_code).unwrap_or(0)))
                    }
                    Packet::Disconnect(packet) => Some(Told::Gone(packet.reason as u8)),
                    other => bail!("unexpected: {other:?}"),
                };
                self.bytes.drain(..len);
                return Ok(told);
            }
            let mut chunk = [0; 65_536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(Some(Told::Closed)),
                Ok(count) => self.bytes.extend_from_slice(&chunk[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(Some(Told::Silence)),
                    ErrorKind::ConnectionReset => return Ok(Some(Told::Closed)),
                    _ => return Err(error.into()),
                },
            }
        }
    }
}

/// A client that may change everything.
pub(crate) struct Manager(pub(crate) Client);

impl Manager {
    pub(crate) fn connect(address: SocketAddr, password: &str) -> Result<Manager> {
        let mut client = Client::connect(address, &Who::user("admin", password, "manager"))?;
        let told = client.subscribe("$CONTROL/dynamic-security/#")?;
        ensure!(told == Told::Code(1), "{told:?}");
        Ok(Manager(client))
    }

    /// Any message, and the response.
    pub(crate) fn say(&mut self, payload: &[u8]) -> Result<Value> {
        let told = self.0.publish(TOPIC, payload)?;
        ensure!(told == Told::Code(0), "{told:?}");
        self.response()
    }

    pub(crate) fn response(&mut self) -> Result<Value> {
        let (topic, payload) = self.0.message()?.context("no response")?;
        ensure!(topic == format!("{TOPIC}/response"), "{topic}");
        Ok(serde_json::from_slice(&payload)?)
    }

    pub(crate) fn ask(&mut self, commands: &[Value]) -> Result<Vec<Value>> {
        let response = self.say(json!({ "commands": commands }).to_string().as_bytes())?;
        Ok(response["responses"].as_array().context("responses")?.clone())
    }

    /// Commands of which none fails.
    pub(crate) fn have(&mut self, commands: &[Value]) -> Result<Vec<Value>> {
        let responses = self.ask(commands)?;
        let failed = responses.iter().find(|it| it.get("error").is_some());
        ensure!(failed.is_none() && responses.len() == commands.len(), "{failed:?}");
        Ok(responses)
    }
}

/// A command with its fields.
pub(crate) fn command(name: &str, fields: Value) -> Value {
    let mut command = fields;
    command["command"] = name.into();
    command
}
