//! The client's end of a WebSocket, no more of it than scripts need. What is written goes in two
//! frames, cut where no packet ends, so that a broker that minds the borders of frames is found
//! out.

use noctule_proto::Role;
use noctule_proto::websocket::{HEADER_MAX, Header, Kind, mask};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

/// What the server answers to that key.
const PROOF: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// A connection.
#[derive(Debug)]
pub(crate) struct WebSocket {
    stream: TcpStream,
    /// Received, and not yet looked at.
    incoming: Vec<u8>,
    /// Bytes of the present frame that were not taken.
    left: usize,
    ended: bool,
}

impl WebSocket {
    /// Shakes hands.
    pub(crate) fn open(mut stream: TcpStream) -> io::Result<WebSocket> {
        stream.write_all(REQUEST)?;
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        let answer = String::from_utf8_lossy(&answer);
        if !answer.starts_with("HTTP/1.1 101 ") || !answer.contains(PROOF) {
            return Err(io::Error::other(answer.into_owned()));
        }
        Ok(WebSocket { stream, incoming: Vec::new(), left: 0, ended: false })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Takes a header off what has come; `false`: there is no whole one.
    fn begin_frame(&mut self) -> io::Result<bool> {
        let parsed = Header::parse(&self.incoming, Role::Server);
        let parsed = parsed.map_err(|error| io::Error::other(error.what()))?;
        let Some((header, len)) = parsed else { return Ok(false) };
        match header.kind {
            Kind::Binary => self.left = header.len as usize,
            Kind::Close => self.ended = true,
            Kind::Continuation | Kind::Text | Kind::Ping | Kind::Pong => {
                return Err(io::Error::other(format!("{header:?}")));
            }
        }
        self.incoming.drain(..len);
        Ok(true)
    }
}

impl Read for WebSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let here = self.left.min(self.incoming.len()).min(buffer.len());
            if here > 0 {
                buffer[..here].copy_from_slice(&self.incoming[..here]);
                self.incoming.drain(..here);
                self.left -= here;
                return Ok(here);
            }
            if self.ended {
                return Ok(0);
            }
            if self.left == 0 && self.begin_frame()? {
                continue;
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes)? {
                // A server says good-bye.
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                len => self.incoming.extend_from_slice(&bytes[..len]),
            }
        }
    }
}

impl Write for WebSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (first, second) = bytes.split_at(bytes.len() / 3);
        let mut out = Vec::new();
        for (payload, last, kind) in
            [(first, false, Kind::Binary), (second, true, Kind::Continuation)]
        {
            let key = [payload.len() as u8, 0x5a, 0xc3, 0x99];
            let header = Header { last, kind, mask: Some(key), len: payload.len() as u64 };
            let mut head = [0; HEADER_MAX];
            let len = header.write(&mut head);
            out.extend_from_slice(&head[..len]);
            let from = out.len();
            out.extend_from_slice(payload);
            mask(&mut out[from..], key);
        }
        self.stream.write_all(&out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
