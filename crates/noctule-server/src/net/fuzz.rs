//! What the fuzz targets reach of this room: they are in a workspace of their own, and see what is
//! public alone.

use super::proxy::{self, ProxyVersion};
use super::tcp::Received;
use super::ws::{Rules, Ws};
use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;

/// The WebSocket of one connection.
pub struct WebSocket(Ws);

/// What was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Bytes of MQTT.
    Data(Vec<u8>),
    /// There is nothing now.
    Nothing,
    /// Nothing more will come.
    End,
    /// A rule was broken: which.
    Failed(String),
}

impl WebSocket {
    /// One whose request has so many bytes at most and comes from a page of these origins.
    #[must_use]
    pub fn new(header_max: usize, origins: &[&str]) -> WebSocket {
        let origins = origins.iter().map(|it| (*it).into()).collect();
        WebSocket(Ws::new(Arc::new(Rules { header_max, origins })))
    }

    /// Receives once: so many bytes of what `left` has.
    pub fn receive(&mut self, left: &mut &[u8], len: usize) -> Heard {
        let mut buffer = [0; 8 * 1024];
        let received = self.0.receive(&mut buffer, |room| {
            let len = len.min(left.len()).min(room.len());
            room[..len].copy_from_slice(&left[..len]);
            *left = &left[len..];
            if len == 0 { Received::Nothing } else { Received::More(len) }
        });
        match received {
            Received::Last(len) | Received::More(len) => Heard::Data(buffer[..len].to_vec()),
            Received::Nothing | Received::Told(_) => Heard::Nothing,
            Received::End => Heard::End,
            Received::Failed(_, why) => Heard::Failed(why),
        }
    }

    /// Sends some of these bytes by a socket that takes as many as `write` says; answers how many.
    /// `None`: there is no sending now.
    pub fn send(&mut self, bytes: &[u8], mut write: impl FnMut(&[u8]) -> usize) -> Option<usize> {
        let segments = [IoSlice::new(bytes)];
        self.0.send(bytes.len(), &segments, |all| Ok(write(&joined(all)))).ok()
    }

    /// Sends what waits beside data.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8]) -> usize) {
        // The socket of a fuzz target does not fail.
        drop(self.0.flush(|all| Ok(write(&joined(all)))));
    }

    /// Says that this is the end.
    pub fn finish(&mut self, mut write: impl FnMut(&[u8]) -> usize) {
        drop(self.0.finish(|all| Ok(write(&joined(all)))));
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebSocket")
    }
}

fn joined(segments: &[IoSlice<'_>]) -> Vec<u8> {
    let mut all = Vec::new();
    segments.iter().for_each(|segment| all.extend_from_slice(segment));
    all
}

/// The header of a proxy that these bytes begin with, in words, and its length; `None` while it is
/// not whole.
///
/// # Errors
/// It is none.
pub fn proxy_header(
    bytes: &[u8],
    version: ProxyVersion,
) -> Result<Option<(String, usize)>, &'static str> {
    Ok(proxy::parse(bytes, version)?.map(|(told, len)| (format!("{told:?}"), len)))
}
