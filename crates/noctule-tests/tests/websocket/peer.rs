//! A client that writes what it likes, and says what it is answered.

use anyhow::{Context, Result, ensure};
use noctule_proto::Role;
use noctule_proto::websocket::{Header, Kind};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// MQTT 3.1.1, a clean session, a client id that the broker chooses.
pub(crate) const CONNECT: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0";
const CONNACK: &[u8] = &[0x20, 2, 0, 0];
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Lines of a good request.
const GOOD: &str = "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: mqtt\r\n";

/// What came from the broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    Pong(Vec<u8>),
    /// Bytes of MQTT, those of neighbouring frames together.
    Data(Vec<u8>),
    /// A close frame, with its code.
    Close(Option<u16>),
    /// The end of the connection.
    End,
}

/// A connection.
pub(crate) struct Peer {
    stream: TcpStream,
    incoming: Vec<u8>,
}

impl Peer {
    /// Asks for a WebSocket with these lines more; answers what the broker says, to the empty line.
    pub(crate) fn ask(address: SocketAddr, more: &str) -> Result<(Peer, String)> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(format!("GET /mqtt HTTP/1.1\r\n{GOOD}{more}\r\n").as_bytes())?;
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).context("an answer")?;
            answer.push(byte[0]);
        }
        Ok((Peer { stream, incoming: Vec::new() }, String::from_utf8(answer)?))
    }

    /// Connects with MQTT too.
    pub(crate) fn connect(address: SocketAddr) -> Result<Peer> {
        let (mut peer, answer) = Peer::ask(address, "")?;
        ensure!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        peer.write(&frame(0x82, CONNECT))?;
        ensure!(peer.hear()? == Heard::Data(CONNACK.to_vec()), "no CONNACK");
        Ok(peer)
    }

    /// The broker may have closed already; what it said before is heard.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self.stream.write_all(bytes) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// The same, a few bytes at a time.
    pub(crate) fn write_chopped(&mut self, bytes: &[u8], size: usize) -> Result<()> {
        bytes.chunks(size).try_for_each(|piece| self.write(piece))
    }

    /// The next frame of the broker.
    pub(crate) fn hear(&mut self) -> Result<Heard> {
        loop {
            let parsed = Header::parse(&self.incoming, Role::Server);
            let parsed = parsed.map_err(|error| anyhow::anyhow!("{}", error.what()))?;
            if let Some((header, len)) = parsed
                && self.incoming.len() >= len + header.len as usize
            {
                ensure!(header.last, "the broker sends no parts");
                let payload = self.incoming[len..len + header.len as usize].to_vec();
                self.incoming.drain(..len + payload.len());
                return Ok(match header.kind {
                    Kind::Binary => Heard::Data(payload),
                    Kind::Pong => Heard::Pong(payload),
                    Kind::Close => Heard::Close(payload.try_into().ok().map(u16::from_be_bytes)),
                    Kind::Ping | Kind::Text | Kind::Continuation => anyhow::bail!("{header:?}"),
                });
            }
            let mut bytes = [0; 64 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(Heard::End),
                Ok(len) => self.incoming.extend_from_slice(&bytes[..len]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Heard::End),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// All that comes until the broker has said this much of MQTT, or has closed.
    pub(crate) fn hear_until(&mut self, data: &[u8]) -> Result<Vec<Heard>> {
        let (mut all, mut whole) = (Vec::new(), Vec::new());
        while whole != data {
            match self.hear()? {
                Heard::Data(bytes) => {
                    whole.extend_from_slice(&bytes);
                    ensure!(data.starts_with(&whole), "{whole:?} instead of {data:?}");
                }
                Heard::End => {
                    all.push(Heard::End);
                    return Ok(all);
                }
                other => all.push(other),
            }
        }
        all.push(Heard::Data(whole));
        Ok(all)
    }
}

/// A frame of a client.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}
