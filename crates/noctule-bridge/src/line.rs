//! One end of a relay: bytes that came, bytes that are to go, and what the other side allows.

use noctule_proto::packet::ConnAck;
use noctule_proto::{Packet, QoS, Version};

/// A larger buffer is not kept once it is empty.
const KEPT_MAX: usize = 1 << 20;

/// What a broker grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Terms {
    pub(crate) session_present: bool,
    pub(crate) receive_maximum: u16,
    pub(crate) packet_size_max: u32,
    pub(crate) qos_max: QoS,
    pub(crate) retain: bool,
    pub(crate) keep_alive_secs: u16,
}

impl Terms {
    /// What a CONNACK says, to a CONNECT with this keep alive.
    pub(crate) fn of(connack: &ConnAck<'_>, keep_alive_secs: u16) -> Terms {
        let granted = &connack.properties;
        Terms {
            session_present: connack.session_present,
            receive_maximum: granted.receive_maximum.map_or(u16::MAX, |max| max.get()),
            packet_size_max: granted.maximum_packet_size.map_or(u32::MAX, |max| max.get()),
            qos_max: granted.maximum_qos.unwrap_or(QoS::ExactlyOnce),
            retain: granted.retain_available.unwrap_or(true),
            // [MQTT-3.1.2-21 v5]
            keep_alive_secs: granted.server_keep_alive_secs.unwrap_or(keep_alive_secs),
        }
    }
}

/// What is left behind the first `used` bytes.
fn rest(mut bytes: Vec<u8>, used: usize) -> Vec<u8> {
    bytes.drain(..used);
    if bytes.is_empty() {
        bytes.shrink_to(KEPT_MAX);
    }
    bytes
}

/// One end.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) version: Version,
    pub(crate) terms: Terms,
    /// The largest packet that is taken from there.
    pub(crate) packet_size_max: u32,
    /// Messages of QoS 1 and 2 that it was given and has not settled.
    pub(crate) open: u16,
    input: Vec<u8>,
    /// Messages from there, whole, that wait until the other side takes them: what comes behind
    /// them may be acknowledgements, which must not wait.
    parked: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of `output` that have left.
    taken: usize,
}

impl Line {
    /// An end at which a CONNACK came, and these bytes behind it.
    pub(crate) fn new(version: Version, terms: Terms, input: Vec<u8>) -> Line {
        Line {
            version,
            terms,
            packet_size_max: u32::MAX,
            open: 0,
            input,
            parked: Vec::new(),
            output: Vec::new(),
            taken: 0,
        }
    }

    /// More bytes came.
    pub(crate) fn came(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Bytes that were not handled yet.
    pub(crate) fn unread(&self) -> usize {
        self.input.len()
    }

    /// The first of them.
    pub(crate) fn peek(&self) -> &[u8] {
        &self.input
    }

    /// Takes those out; what is not handled of them has to come back by [`Line::keep`].
    pub(crate) fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// All but the first `used` of the bytes that were taken are for later.
    pub(crate) fn keep(&mut self, bytes: Vec<u8>, used: usize) {
        self.input = rest(bytes, used);
    }

    /// Bytes of messages that wait.
    pub(crate) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// A whole message has to wait.
    pub(crate) fn park(&mut self, packet: &[u8]) {
        self.parked.extend_from_slice(packet);
    }

    /// Takes out those that wait; the others have to come back by [`Line::keep_parked`].
    pub(crate) fn take_parked(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.parked)
    }

    /// All but the first `used` bytes of them wait on.
    pub(crate) fn keep_parked(&mut self, bytes: Vec<u8>, used: usize) {
        self.parked = rest(bytes, used);
    }

    /// Bytes that are to go.
    pub(crate) fn unwritten(&self) -> &[u8] {
        &self.output[self.taken..]
    }

    /// So many of them have gone.
    pub(crate) fn written(&mut self, len: usize) {
        self.taken += len;
        if self.taken >= self.output.len() {
            self.output.clear();
            self.output.shrink_to(KEPT_MAX);
            self.taken = 0;
        } else if self.taken > KEPT_MAX {
            self.output.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// A packet is to go.
    pub(crate) fn put(&mut self, packet: &Packet<'_>) {
        packet.encode(self.version, &mut self.output);
    }

    /// A message is settled.
    pub(crate) fn settled(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}
