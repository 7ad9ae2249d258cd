//! A connection of a client that behaves: one thread waits for what comes.

use super::stage::{Doors, PASSWORD};
use crate::script::connect::connect;
use crate::script::line::Line;
use crate::script::packet::{Packet, frame_len, kind};
use anyhow::{Result, anyhow, ensure};
use noctule_proto::Version;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a good client waits for what it is owed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A read that brings nothing returns after as long, so that the end of a run is noticed.
const LOOK_UP: Duration = Duration::from_millis(200);

/// Through which listener somebody comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Plain,
    Tls,
}

/// A connection whose CONNECT was accepted.
pub(super) struct Wire {
    line: Line,
    arrived: Vec<u8>,
}

impl Wire {
    /// Connects and logs in.
    pub(super) fn open(doors: Doors, way: Way, client_id: &str, user: &str) -> Result<Wire> {
        let address = if way == Way::Tls { doors.tls } else { doors.plain };
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let line = if way == Way::Tls { Line::secure(stream)? } else { Line::Plain(stream) };
        line.stream().set_read_timeout(Some(LOOK_UP))?;
        let mut wire = Wire { line, arrived: Vec::new() };
        let hello = connect(client_id).keep_alive(60);
        let hello = hello.user_name(user.as_bytes()).password(PASSWORD.as_bytes());
        wire.send_bytes(&hello.encode(Version::V5))?;
        let welcome = wire.expect(kind::CONNACK)?;
        ensure!(welcome.code == 0, "{client_id} is refused: {welcome:?}");
        Ok(wire)
    }

    pub(super) fn send(&mut self, packet: &Packet) -> Result<()> {
        self.send_bytes(&packet.encode(Version::V5))
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.line.write_all(bytes)?;
        Ok(self.line.flush()?)
    }

    /// What comes next, of this type.
    pub(super) fn expect(&mut self, kind: u8) -> Result<Packet> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(packet) = self.next()? {
                ensure!(packet.kind() == kind, "unexpected: {packet:?}");
                return Ok(packet);
            }
        }
        Err(anyhow!("no packet of type {kind} within {PATIENCE:?}"))
    }

    /// The next packet; `None` if none came for a while.
    pub(super) fn next(&mut self) -> Result<Option<Packet>> {
        loop {
            if let Some(packet) = self.whole()? {
                return Ok(Some(packet));
            }
            let mut bytes = [0; 16 * 1024];
            match self.line.read(&mut bytes) {
                Ok(0) => return Err(anyhow!("the broker closed the connection")),
                Ok(len) => self.arrived.extend_from_slice(&bytes[..len]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(None),
                    ErrorKind::Interrupted => {}
                    _ => return Err(error.into()),
                },
            }
        }
    }

    fn whole(&mut self) -> Result<Option<Packet>> {
        let wrong = |wrong: String| anyhow!("the broker sent no packet: {wrong}");
        let Some((len, _)) = frame_len(&self.arrived).map_err(wrong)? else { return Ok(None) };
        if self.arrived.len() < len {
            return Ok(None);
        }
        let bytes: Vec<u8> = self.arrived.drain(..len).collect();
        Packet::parse(&bytes, Version::V5).map(Some).map_err(wrong)
    }
}
