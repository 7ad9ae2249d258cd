//! What waits for a socket: bytes, with large shared payloads in between.

use super::pool::Buffer;
use super::tcp::Socket;
use super::tls::Scratch;
use noctule_core::Message;
use noctule_proto::PacketId;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Payloads up to this size are copied; copying them costs less than a segment of their own.
const COPIED_MAX: usize = 1024;

/// Segments of one system call.
const SEGMENTS_MAX: usize = 32;

/// Sent bytes that are moved out of the buffer when they are the greater part of it.
const COMPACT_MIN: usize = 64 * 1024;

/// What waits for one socket, in order.
#[derive(Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// How many of `bytes` were sent.
    sent: usize,
    bodies: VecDeque<Body>,
    /// Bytes of `bodies` that were not sent.
    bodies_waiting: usize,
    /// Packets that came while the socket was full.
    pub(crate) late: usize,
}

/// A payload that is sent from where it lies.
struct Body {
    /// How many of `bytes` go before it.
    at: usize,
    message: Arc<Message>,
    sent: usize,
}

/// How far a flush came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// Everything was sent.
    Done,
    /// The socket takes no more for now, and will say when it does.
    Blocked,
}

impl Output {
    /// Appends bytes, with `id` written into them at its offset.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8], id: Option<(u32, PacketId)>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        if let Some((offset, id)) = id {
            let at = start + offset as usize;
            self.bytes[at..at + 2].copy_from_slice(&id.0.get().to_be_bytes());
        }
    }

    /// Appends the payload of a message: copied if it is small, unless the socket is blocked
    /// already: then a thousand slow receivers share one payload, whatever its size.
    #[inline]
    pub(crate) fn push_body(&mut self, message: Arc<Message>, blocked: bool) {
        let payload = message.payload();
        if payload.len() <= COPIED_MAX && !(blocked && payload.len() > size_of::<Body>()) {
            self.bytes.extend_from_slice(payload);
            return;
        }
        self.bodies_waiting += payload.len();
        self.bodies.push_back(Body { at: self.bytes.len(), message, sent: 0 });
    }

    /// Bytes not sent yet.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        self.bytes.len() - self.sent + self.bodies_waiting
    }

    /// Sends what the socket takes.
    pub(crate) fn flush(
        &mut self,
        socket: &mut Socket,
        scratch: &mut Scratch,
    ) -> io::Result<Progress> {
        while self.waiting() > 0 {
            let count = if self.bodies.is_empty() {
                socket.send(&self.bytes[self.sent..], scratch)?
            } else {
                let (segments, used) = self.segments();
                socket.send_segments(self.waiting(), &segments[..used], scratch)?
            };
            if count == 0 {
                self.compact();
                return Ok(Progress::Blocked);
            }
            self.advance(count);
        }
        self.clear();
        // Encrypted, it may still wait for the socket.
        Ok(if socket.flush(scratch)? { Progress::Done } else { Progress::Blocked })
    }

    fn segments(&self) -> ([IoSlice<'_>; SEGMENTS_MAX], usize) {
        let mut segments = [IoSlice::new(&[]); SEGMENTS_MAX];
        let mut used = 0;
        let mut from = self.sent;
        for body in &self.bodies {
            if used + 2 > SEGMENTS_MAX {
                return (segments, used);
            }
            if body.at > from {
                segments[used] = IoSlice::new(&self.bytes[from..body.at]);
                used += 1;
            }
            segments[used] = IoSlice::new(&body.message.payload()[body.sent..]);
            used += 1;
            from = body.at;
        }
        if used < SEGMENTS_MAX && from < self.bytes.len() {
            segments[used] = IoSlice::new(&self.bytes[from..]);
            used += 1;
        }
        (segments, used)
    }

    /// `count` bytes left, in order.
    fn advance(&mut self, mut count: usize) {
        while let Some(body) = self.bodies.front_mut() {
            let before = count.min(body.at - self.sent);
            self.sent += before;
            count -= before;
            let part = count.min(body.message.payload().len() - body.sent);
            body.sent += part;
            count -= part;
            self.bodies_waiting -= part;
            if self.sent < body.at || body.sent < body.message.payload().len() {
                return;
            }
            self.bodies.pop_front();
        }
        self.sent += count;
    }

    /// Moves sent bytes out of the buffer, seldom enough to cost nothing on average.
    fn compact(&mut self) {
        if self.sent < COMPACT_MIN || self.sent * 2 < self.bytes.len() {
            return;
        }
        self.bytes.drain(..self.sent);
        for body in &mut self.bodies {
            body.at -= self.sent;
        }
        self.sent = 0;
    }
}

impl Buffer for Output {
    fn capacity(&self) -> usize {
        self.bytes.capacity() + self.bodies.capacity() * size_of::<Body>()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
        self.bodies.clear();
        self.bodies_waiting = 0;
        self.late = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_core::Time;
    use noctule_core::message::{Origin, Parts};
    use noctule_proto::QoS;

    fn message(payload: &[u8]) -> Arc<Message> {
        let parts = Parts {
            topic: "t",
            properties: &[],
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            expiry_secs: None,
        };
        Arc::new(Message::new(Time(0), Origin::default(), &parts))
    }

    /// Everything that waits, taken in portions of `step` bytes.
    fn taken(output: &mut Output, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while output.waiting() > 0 {
            let (segments, used) = output.segments();
            let portion: Vec<u8> =
                segments[..used].iter().flat_map(|it| it.iter().copied()).take(step).collect();
            assert!(!portion.is_empty());
            output.advance(portion.len());
            output.compact();
            all.extend(portion);
        }
        all
    }

    #[test]
    fn bytes_and_bodies_leave_in_order_whatever_the_portions() {
        for step in [1, 7, 1000, 1_000_000] {
            let mut output = Output::default();
            let mut expected = Vec::new();
            for n in 0..100_usize {
                let head = [n as u8; 5];
                output.push(&head, None);
                expected.extend(head);
                let payload = vec![n as u8 ^ 0xff; n * 40];
                output.push_body(message(&payload), false);
                expected.extend(payload);
            }
            output.push(b"end", None);
            expected.extend(b"end");
            assert_eq!(output.waiting(), expected.len());
            assert!(taken(&mut output, step) == expected, "portions of {step}");
            assert_eq!(output.waiting(), 0);
        }
    }

    #[test]
    fn a_packet_id_is_written_into_the_copy() {
        let mut output = Output::default();
        let id = PacketId(std::num::NonZeroU16::new(0x1234).unwrap());
        output.push(b"xx", None);
        output.push(b"ab__cd", Some((2, id)));
        assert_eq!(output.bytes, b"xxab\x12\x34cd");
    }

    #[test]
    fn small_bodies_are_copied_until_the_socket_is_blocked() {
        let mut output = Output::default();
        output.push_body(message(&[1; COPIED_MAX]), false);
        assert!(output.bodies.is_empty());
        output.push_body(message(&[1; COPIED_MAX]), true);
        output.push_body(message(&[1; COPIED_MAX + 1]), false);
        assert_eq!(output.bodies.len(), 2);
        assert_eq!(output.waiting(), 3 * COPIED_MAX + 1);
    }

    #[test]
    fn the_buffer_shrinks_while_a_slow_socket_takes_its_bytes() {
        let mut output = Output::default();
        output.push(&vec![0; 4 * COMPACT_MIN], None);
        output.push_body(message(&vec![1; 2000]), false);
        output.advance(3 * COMPACT_MIN);
        output.compact();
        assert_eq!(output.bytes.len(), COMPACT_MIN);
        assert_eq!(output.waiting(), COMPACT_MIN + 2000);
        assert_eq!(taken(&mut output, usize::MAX).len(), COMPACT_MIN + 2000);
    }
}
