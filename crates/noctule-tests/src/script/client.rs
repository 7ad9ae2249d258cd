//! A client of a script: it says what it is told to, and knows what it should hear.

use super::connect::Connect;
use super::packet::{
    Packet, disconnect, frame_len, kind, pingreq, puback, pubcomp, pubrec, pubrel, subscribe,
    unsubscribe,
};
use super::property::REASON_STRING;
use super::transport::{Arrival, Patience, Transport};
use super::watch::Watch;
use noctule_proto::Version;
use std::cell::RefCell;
use std::rc::Rc;

/// What all clients of a world share.
pub(super) struct Stage {
    pub(super) transport: Box<dyn Transport>,
    log: Vec<String>,
}

impl Stage {
    pub(super) fn new(transport: Box<dyn Transport>) -> Stage {
        Stage { transport, log: Vec::new() }
    }

    pub(super) fn note(&mut self, line: String) {
        self.log.push(line);
    }

    pub(super) fn transcript(&self) -> String {
        let skipped = self.log.len().saturating_sub(60);
        self.log[skipped..].join("\n")
    }
}

/// One connection of a script.
pub struct Client {
    stage: Rc<RefCell<Stage>>,
    line: usize,
    version: Version,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    arrived: Vec<u8>,
    watch: Watch,
    /// Last packet id this client used by itself.
    last_id: u16,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "client on line {}", self.line)
    }
}

/// What the client sends.
impl Client {
    pub(super) fn open(stage: &Rc<RefCell<Stage>>, listener: u16, version: Version) -> Client {
        let line = stage.borrow_mut().transport.open(listener);
        let state = RefCell::new(State::default());
        Client { stage: Rc::clone(stage), line, version, state }
    }

    /// Sends a packet.
    pub fn send(&self, packet: Packet) {
        self.note(&format!("{} > {packet:?}", self.line));
        self.state.borrow_mut().watch.sent(&packet);
        self.write(&packet.encode(self.version));
    }

    /// Sends a CONNECT.
    pub fn send_connect(&self, connect: &Connect) {
        self.note(&format!("{} > {connect:?}", self.line));
        self.state.borrow_mut().watch.connect(connect, self.version);
        self.write(&connect.encode(self.version));
    }

    /// Sends bytes, whatever they mean.
    pub fn send_bytes(&self, bytes: &[u8]) {
        self.note(&format!("{} > {:02x?}", self.line, &bytes[..bytes.len().min(64)]));
        self.write(bytes);
    }

    /// The connection is gone without a word.
    pub fn hang_up(&self) {
        self.note(&format!("{} hangs up", self.line));
        self.stage.borrow_mut().transport.hang_up(self.line);
    }

    /// Everything this client said so far has had its effect when this returns.
    pub fn settle(&self) {
        self.stage.borrow_mut().transport.settle();
    }

    /// The version it speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    fn write(&self, bytes: &[u8]) {
        self.stage.borrow_mut().transport.write(self.line, bytes);
    }

    fn note(&self, line: &str) {
        self.stage.borrow_mut().note(line.to_owned());
    }

    fn fresh_id(&self) -> u16 {
        let mut state = self.state.borrow_mut();
        // Far from the ids that scripts choose themselves.
        state.last_id = state.last_id.max(20_000) + 1;
        state.last_id
    }
}

/// What the client should hear.
impl Client {
    /// The next packet, with its topic in place of an alias.
    pub fn next_packet(&self) -> Packet {
        let packet = self.next_raw();
        self.state.borrow_mut().watch.resolve(packet)
    }

    /// The next packet, as it was sent.
    pub fn next_raw(&self) -> Packet {
        let bytes = match self.next_frame(Patience::Long) {
            Ok(bytes) => bytes,
            Err(Arrival::Closed) => panic!("line {}: closed instead of a packet", self.line),
            Err(_) => panic!("line {}: no packet came", self.line),
        };
        self.checked(&bytes)
    }

    /// A packet that holds to the rules that hold for all.
    fn checked(&self, bytes: &[u8]) -> Packet {
        let packet = match Packet::parse(bytes, self.version) {
            Ok(packet) => packet,
            Err(wrong) => panic!("line {}: {wrong}: {bytes:02x?}", self.line),
        };
        self.note(&format!("{} <      {packet:?}", self.line));
        let watch = &mut self.state.borrow_mut().watch;
        if let Err(wrong) = watch.received(&packet, bytes.len(), self.version) {
            panic!("line {}: {wrong}: {packet:?}", self.line);
        }
        packet
    }

    /// Expects this packet. A PUBLISH above QoS 0 with packet id 0 expects any packet id.
    pub fn expect(&self, expected: Packet) -> Packet {
        let packet = self.next_packet();
        self.same(&packet, expected);
        packet
    }

    /// Expects these packets in any order and returns them in the order of `expected`.
    pub fn expect_all(&self, expected: &[Packet]) -> Vec<Packet> {
        let mut found: Vec<Packet> = expected.iter().map(|_| self.next_packet()).collect();
        let mut sorted = Vec::new();
        for expected in expected {
            let at = found
                .iter()
                .position(|packet| packet.normal(self.version) == self.normal(expected, packet));
            let Some(at) = at else {
                panic!("line {}: found {found:?}, expected {expected:?} too", self.line);
            };
            sorted.push(found.remove(at));
        }
        sorted
    }

    /// Expects exactly these bytes next.
    pub fn expect_bytes(&self, expected: &[u8]) {
        let bytes = self.next_frame(Patience::Long).unwrap_or_default();
        self.note(&format!("{} <      {bytes:02x?}", self.line));
        if !bytes.is_empty() {
            self.checked(&bytes);
        }
        assert_eq!(bytes, expected, "line {}: found left, expected right", self.line);
    }

    /// Expects exactly this packet next, byte for byte; a Reason String may be in it besides, whose
    /// words are the broker's own.
    pub fn expect_packet_bytes(&self, expected: &[u8]) {
        let bytes = self.next_frame(Patience::Long).unwrap_or_default();
        let wanted = Packet::parse(expected, self.version).expect("the script writes packets");
        if bytes != expected {
            self.note(&format!("{} <      {bytes:02x?} for {expected:02x?}", self.line));
            assert!(!bytes.is_empty(), "line {}: no packet came", self.line);
            let found = self.checked(&bytes);
            let explained = found.property(REASON_STRING).is_some();
            assert!(explained, "line {}: found {bytes:02x?}, expected {expected:02x?}", self.line);
            assert_eq!(found.without(REASON_STRING), wanted, "line {}", self.line);
        } else {
            self.checked(&bytes);
        }
    }

    /// Expects that nothing came, and that the connection lives.
    pub fn expect_nothing(&self) {
        self.settle();
        match self.next_frame(Patience::Short) {
            Ok(bytes) => panic!("line {}: unexpected {bytes:02x?}", self.line),
            Err(Arrival::Closed) => panic!("line {}: closed", self.line),
            Err(_) => {}
        }
    }

    /// Expects the end of the connection, without a packet before it.
    pub fn expect_closed(&self) {
        match self.next_frame(Patience::Long) {
            Ok(bytes) => panic!("line {}: {bytes:02x?} before the end", self.line),
            Err(Arrival::Closed) => self.note(&format!("{} <      closed", self.line)),
            Err(_) => panic!("line {}: still open", self.line),
        }
    }

    /// Expects that the broker ends the connection: by a DISCONNECT with this code, which versions
    /// before v5 do not have.
    pub fn expect_end(&self, code: u8) {
        if self.version == Version::V5 {
            self.expect(disconnect(code));
        }
        self.expect_closed();
    }

    /// The next packet, if one has come.
    pub fn poll(&self) -> Option<Packet> {
        let bytes = self.next_frame(Patience::Short).ok()?;
        Some(self.checked(&bytes))
    }

    /// Asserts that a packet that was found is the one expected.
    pub fn same(&self, found: &Packet, expected: Packet) {
        let wanted = self.normal(&expected, found);
        let line = self.line;
        assert_eq!(found.normal(self.version), wanted, "line {line}: found left, expected right");
    }

    /// Expects a CONNACK with this code and the end of the connection.
    pub fn expect_refusal(&self, code: u8) {
        let connack = self.next_packet();
        assert_eq!((connack.kind(), connack.code), (kind::CONNACK, code), "{connack:?}");
        self.expect_closed();
    }

    /// One whole packet.
    fn next_frame(&self, patience: Patience) -> Result<Vec<u8>, Arrival> {
        let arrived = &mut self.state.borrow_mut().arrived;
        loop {
            match frame_len(arrived) {
                Ok(Some((len, _))) if len <= arrived.len() => {
                    return Ok(arrived.drain(..len).collect());
                }
                Ok(_) => {}
                Err(wrong) => panic!("line {}: {wrong}: {arrived:02x?}", self.line),
            }
            let mut stage = self.stage.borrow_mut();
            match stage.transport.receive(self.line, arrived, patience) {
                Arrival::Bytes => {}
                end if arrived.is_empty() => return Err(end),
                end => panic!("line {}: {end:?} within a packet: {arrived:02x?}", self.line),
            }
        }
    }

    fn normal(&self, expected: &Packet, packet: &Packet) -> Packet {
        let mut wanted = expected.normal(self.version);
        if wanted.kind() == kind::PUBLISH && wanted.first & 6 != 0 && wanted.id == 0 {
            wanted.id = packet.id;
        }
        wanted
    }
}

/// Exchanges that are not what a script is about.
impl Client {
    /// Sends a CONNECT and is accepted.
    pub fn connects(&self, connect: &Connect) -> Packet {
        self.send_connect(connect);
        let connack = self.next_packet();
        assert_eq!((connack.kind(), connack.code), (kind::CONNACK, 0), "{connack:?}");
        connack
    }

    /// Subscribes and is granted what it asked for. `options` is the whole options byte.
    pub fn subscribes(&self, filter: &str, options: u8) {
        let id = self.fresh_id();
        self.send(subscribe(id).filter(filter, options));
        self.expect(super::packet::suback(id, &[options & 3]));
    }

    /// Unsubscribes from something it had subscribed to.
    pub fn unsubscribes(&self, filter: &str) {
        let id = self.fresh_id();
        self.send(unsubscribe(id, &[filter]));
        self.expect(super::packet::unsuback(id, &[0]));
    }

    /// Publishes, and goes through the hand-shake to its end.
    pub fn publishes(&self, mut publish: Packet) {
        let qos = publish.first >> 1 & 3;
        if qos > 0 && publish.id == 0 {
            publish.id = self.fresh_id();
        }
        let id = publish.id;
        self.send(publish);
        match qos {
            0 => self.settle(),
            1 => self.expect_accepted(puback(id)),
            _ => {
                self.expect_accepted(pubrec(id));
                self.send(pubrel(id));
                self.expect(pubcomp(id));
            }
        }
    }

    /// Expects this message and acknowledges it.
    pub fn receives(&self, publish: Packet) -> Packet {
        let publish = self.expect(publish);
        self.acknowledges(&publish);
        publish
    }

    /// Goes through the hand-shake of a delivery.
    pub fn acknowledges(&self, publish: &Packet) {
        match publish.first >> 1 & 3 {
            0 => {}
            1 => self.send(puback(publish.id)),
            _ => {
                self.send(pubrec(publish.id));
                self.expect(pubrel(publish.id));
                self.send(pubcomp(publish.id));
            }
        }
    }

    /// Pings and hears the answer next.
    pub fn pings(&self) {
        self.send(pingreq());
        self.expect(super::packet::pingresp());
    }

    /// Disconnects in an orderly way.
    pub fn disconnects(&self) {
        self.send(disconnect(0));
        self.expect_closed();
    }

    /// Expects this acknowledgement, whether or not there were subscribers.
    pub fn expect_accepted(&self, ack: Packet) {
        let found = self.next_packet();
        let accepted = [0x00, 0x10].contains(&found.code);
        assert!(accepted && (found.first, found.id) == (ack.first, ack.id), "{found:?}");
    }
}
