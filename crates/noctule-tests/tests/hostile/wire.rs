//! MQTT by hand over a socket: the least that an attacker needs, and nothing that stops one.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// The only bound on time in these tests: whoever waits longer was held back.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const CONNACK: u8 = 0x20;
pub(crate) const PUBLISH: u8 = 0x30;
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBREL: u8 = 0x60;
pub(crate) const PUBCOMP: u8 = 0x70;
pub(crate) const SUBSCRIBE: u8 = 0x82;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const PINGREQ: u8 = 0xC0;
pub(crate) const PINGRESP: u8 = 0xD0;
pub(crate) const DISCONNECT: u8 = 0xE0;

/// The protocol level in CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    V311 = 4,
    V5 = 5,
}

/// A CONNECT as it is wanted.
#[derive(Clone)]
pub(crate) struct Connect {
    pub level: Level,
    pub id: String,
    pub clean: bool,
    /// Topic and payload, at QoS 1.
    pub will: Option<(String, Vec<u8>)>,
    /// Of MQTT 5, as they stand in the packet.
    pub properties: Vec<u8>,
}

impl Connect {
    pub(crate) fn new(id: &str) -> Self {
        Self { level: Level::V311, id: id.to_owned(), clean: true, will: None, properties: vec![] }
    }

    pub(crate) fn v5(id: &str) -> Self {
        Self { level: Level::V5, ..Self::new(id) }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = text("MQTT");
        let will_at_qos_1 = if self.will.is_some() { 0x0C } else { 0 };
        body.extend([self.level as u8, u8::from(self.clean) << 1 | will_at_qos_1]);
        body.extend(60_u16.to_be_bytes());
        body.extend(properties(self.level, &self.properties));
        body.extend(text(&self.id));
        if let Some((topic, payload)) = &self.will {
            body.extend(no_properties(self.level));
            body.extend(text(topic));
            body.extend(prefixed(payload));
        }
        packet(0x10, &body)
    }
}

/// A packet: its first byte, its length, its body.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut left = body.len();
    loop {
        let low = u8::try_from(left % 128).expect("a remainder of 128 is a byte");
        left /= 128;
        bytes.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// SUBSCRIBE at QoS 1 to all the filters at once.
pub(crate) fn subscribe(level: Level, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(no_properties(level));
    for filter in filters {
        body.extend(text(filter));
        body.push(1);
    }
    packet(SUBSCRIBE, &body)
}

/// PUBLISH; an id makes it QoS 1.
pub(crate) fn publish(level: Level, topic: &str, id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let first = if id.is_some() { PUBLISH | 2 } else { PUBLISH };
    publish_as(first, level, topic, id, payload)
}

/// PUBLISH with any flags.
pub(crate) fn publish_as(
    first: u8,
    level: Level,
    topic: &str,
    id: Option<u16>,
    payload: &[u8],
) -> Vec<u8> {
    let mut body = text(topic);
    body.extend(id.map(u16::to_be_bytes).iter().flatten());
    body.extend(no_properties(level));
    body.extend(payload);
    packet(first, &body)
}

pub(crate) fn puback(id: [u8; 2]) -> [u8; 4] {
    [PUBACK, 2, id[0], id[1]]
}

/// PUBLISH of MQTT 5 at QoS 1, with a topic alias.
pub(crate) fn publish_aliased(topic: &str, alias: u16, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    body.extend(id.to_be_bytes());
    let [high, low] = alias.to_be_bytes();
    body.extend(properties(Level::V5, &[0x23, high, low]));
    body.extend(payload);
    packet(PUBLISH | 2, &body)
}

/// The properties with their length before them, below 128 bytes; MQTT 3 has none.
fn properties(level: Level, bytes: &[u8]) -> Vec<u8> {
    match level {
        Level::V311 => Vec::new(),
        Level::V5 => {
            let length = u8::try_from(bytes.len()).expect("a length of one byte");
            assert!(length < 128, "a length of one byte");
            [&[length], bytes].concat()
        }
    }
}

fn no_properties(level: Level) -> &'static [u8] {
    match level {
        Level::V311 => &[],
        Level::V5 => &[0],
    }
}

fn text(text: &str) -> Vec<u8> {
    prefixed(text.as_bytes())
}

fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("MQTT has no text beyond 65,535 bytes");
    [&length.to_be_bytes(), bytes].concat()
}

/// A packet as it came.
#[derive(Debug)]
pub(crate) struct Packet {
    pub first: u8,
    pub body: Vec<u8>,
}

impl Packet {
    /// Its type, without the flags.
    pub(crate) fn kind(&self) -> u8 {
        self.first & 0xF0
    }

    fn topic_end(&self) -> usize {
        2 + usize::from(u16::from_be_bytes([self.body[0], self.body[1]]))
    }

    /// The topic of a PUBLISH.
    pub(crate) fn topic(&self) -> &[u8] {
        &self.body[2..self.topic_end()]
    }

    /// The id of a PUBLISH above QoS 0.
    pub(crate) fn id(&self) -> Option<[u8; 2]> {
        let at = self.topic_end();
        (self.first & 6 != 0).then(|| [self.body[at], self.body[at + 1]])
    }

    /// The payload of a PUBLISH of MQTT 3.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.body[self.topic_end() + self.id().map_or(0, |id| id.len())..]
    }

    /// The properties of a PUBLISH of MQTT 5, below 128 bytes, and its payload.
    pub(crate) fn properties_and_payload(&self) -> (&[u8], &[u8]) {
        let rest = self.payload();
        rest[1..].split_at(usize::from(rest[0]))
    }
}

/// A connection to the broker.
pub(crate) struct Wire {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Wire {
    /// A TCP connection, and nothing sent.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let reader = BufReader::with_capacity(1 << 16, stream.try_clone()?);
        Ok(Self { stream, reader })
    }

    /// A connection that the broker has accepted with CONNACK.
    pub(crate) fn connect(address: SocketAddr, connect: &Connect) -> Result<Self> {
        let mut wire = Self::open(address)?;
        wire.send(&connect.bytes())?;
        let connack = wire.receive().with_context(|| format!("the CONNACK of {}", connect.id))?;
        ensure!(connack.first == CONNACK && connack.body[1] == 0, "{connack:02x?}");
        Ok(wire)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("the broker takes nothing more")
    }

    /// The second half of the socket, for a thread that only writes.
    pub(crate) fn writer(&self) -> Result<TcpStream> {
        Ok(self.stream.try_clone()?)
    }

    /// The next packet.
    pub(crate) fn receive(&mut self) -> Result<Packet> {
        receive_from(&mut self.reader)
    }

    /// The next packet, of which these bytes were read already.
    pub(crate) fn receive_after(&mut self, start: &[u8]) -> Result<Packet> {
        receive_from(&mut start.chain(&mut self.reader))
    }

    /// Takes one byte out of the socket and leaves the others there.
    pub(crate) fn byte(&mut self) -> Result<u8> {
        assert!(self.reader.buffer().is_empty(), "more was taken already");
        let mut byte = [0];
        self.stream.read_exact(&mut byte).context("waiting for a byte")?;
        Ok(byte[0])
    }

    /// Asks whether the broker is there, which must be the next that it says.
    pub(crate) fn ping(&mut self) -> Result<()> {
        self.send(&[PINGREQ, 0])?;
        self.expect(PINGRESP).map(drop)
    }

    /// The next packet, which must be of this type.
    pub(crate) fn expect(&mut self, kind: u8) -> Result<Packet> {
        let packet = self.receive().with_context(|| format!("waiting for {kind:#04x}"))?;
        if packet.kind() != kind {
            let start = &packet.body[..packet.body.len().min(40)];
            bail!("wanted {kind:#04x}, got {:#04x} {start:02x?}", packet.first);
        }
        Ok(packet)
    }

    /// Receives so many messages of any QoS and answers whatever asks for an answer.
    pub(crate) fn settle(&mut self, count: usize) -> Result<()> {
        let mut received = 0;
        while received < count {
            let packet = self.receive().with_context(|| format!("after {received} messages"))?;
            match (packet.kind(), packet.first & 6) {
                (PUBLISH, qos) => {
                    received += 1;
                    let id = packet.id().unwrap_or_default();
                    match qos {
                        0 => {}
                        2 => self.send(&puback(id))?,
                        _ => self.send(&[PUBREC, 2, id[0], id[1]])?,
                    }
                }
                (PUBREL, _) => self.send(&[PUBCOMP, 2, packet.body[0], packet.body[1]])?,
                _ => bail!("after {received} messages came {packet:02x?}"),
            }
        }
        Ok(())
    }

    /// Leaves when the CONNACK is there but unread, which tells the broker so by a reset (RST).
    pub(crate) fn vanish(self) -> Result<()> {
        let there = self.stream.peek(&mut [0]).context("waiting for the CONNACK")?;
        ensure!(there == 1, "closed without a CONNACK");
        Ok(())
    }

    /// Subscribes to one filter and waits for the SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str) -> Result<()> {
        self.send(&subscribe(Level::V311, 1, &[filter]))?;
        let suback = self.expect(SUBACK)?;
        ensure!(suback.body == [0, 1, 1], "{suback:02x?}");
        Ok(())
    }

    /// The next message, acknowledged.
    pub(crate) fn message(&mut self) -> Result<Packet> {
        let message = self.expect(PUBLISH)?;
        if let Some(id) = message.id() {
            self.send(&puback(id))?;
        }
        Ok(message)
    }

    /// Says that no more will be sent, as `close` does, but reads on.
    pub(crate) fn end_sending(&self) {
        // It may have been closed from the other side already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads until the broker closes, and returns what came before.
    pub(crate) fn closed(&mut self) -> Result<Vec<u8>> {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => Ok(rest),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(rest),
            Err(error) => Err(error).context("the broker did not close the connection"),
        }
    }
}

fn receive_from(reader: &mut impl Read) -> Result<Packet> {
    let mut byte = [0];
    reader.read_exact(&mut byte).context("waiting for a packet")?;
    let first = byte[0];
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        reader.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7F) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Packet { first, body })
}
