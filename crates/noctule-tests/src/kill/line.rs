//! A connection to the broker that never blocks: one thread looks after all of them, so that what
//! was acknowledged has one order.

use crate::script::packet::{Packet, frame_len, kind};
use anyhow::{Result, anyhow};
use noctule_proto::Version;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes that wait for the socket at most; who has more to say waits.
const PENDING_MAX: usize = 256 * 1024;

/// The reason code `Session taken over`.
const TAKEN_OVER: u8 = 0x8E;

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    version: Version,
    arrived: Vec<u8>,
    pending: Vec<u8>,
    ended: bool,
}

impl Line {
    /// Connects; `None` where nobody listens.
    pub(super) fn open(address: SocketAddr, version: Version) -> Option<Line> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_nonblocking(true).ok()?;
        let (arrived, pending) = (Vec::new(), Vec::new());
        Some(Line { stream, version, arrived, pending, ended: false })
    }

    /// Whether there is room to say more.
    pub(super) fn has_room(&self) -> bool {
        !self.ended && self.pending.len() < PENDING_MAX
    }

    /// Whether the broker has ended it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn send(&mut self, packet: &Packet) {
        self.send_bytes(&packet.encode(self.version));
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Writes and reads what can be; answers the packets that came whole.
    pub(super) fn pump(&mut self) -> Result<Vec<Packet>> {
        while !self.pending.is_empty() && !self.ended {
            match self.stream.write(&self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // What is still to be read is read below.
                Err(_) => self.pending.clear(),
            }
        }
        self.read();
        self.packets()
    }

    /// Reads all that a killed broker had sent.
    pub(super) fn drain(&mut self) -> Result<Vec<Packet>> {
        self.stream.set_nonblocking(false)?;
        // Its end of the socket is closed; were it not, a test would hang here.
        self.stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        while !self.ended {
            self.read();
        }
        self.packets()
    }

    fn read(&mut self) {
        let mut bytes = [0; 64 * 1024];
        // A turn of others comes in between, whatever there is to read.
        for _ in 0..4 {
            match self.stream.read(&mut bytes) {
                Ok(0) => self.ended = true,
                Ok(len) => {
                    self.arrived.extend_from_slice(&bytes[..len]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.ended = true,
            }
            return;
        }
    }

    fn packets(&mut self) -> Result<Vec<Packet>> {
        let mut packets = Vec::new();
        let mut at = 0;
        let wrong = |wrong: String| anyhow!("the broker sent no packet: {wrong}");
        while let Some((len, _)) = frame_len(&self.arrived[at..]).map_err(wrong)? {
            let Some(bytes) = self.arrived.get(at..at + len) else { break };
            let packet = Packet::parse(bytes, self.version).map_err(wrong)?;
            at += len;
            // Of two connections of a client, the one that was given up may be heard last.
            if !(packet.kind() == kind::DISCONNECT && packet.code == TAKEN_OVER) {
                packets.push(packet);
            }
        }
        self.arrived.drain(..at);
        Ok(packets)
    }
}
