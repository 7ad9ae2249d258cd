//! Frames in both directions, over bytes where they lie: what a client sends is taken apart in the
//! buffer it was received in, and what it is sent gets a header in front.

use noctule_proto::Role;
use noctule_proto::websocket::{FrameError, HEADER_MAX, Header, Kind, Sequence, mask, parse_close};

/// The longest frame that is sent, bytes. A browser sees a message once its frame is whole: a
/// longer one would keep the answer to a ping from a client on a slow line.
const FRAME_MAX: usize = u16::MAX as usize;

/// The longest header of such a frame.
const SENT_HEADER_MAX: usize = 4;

/// Takes apart what a client sends, however it is cut.
#[derive(Default)]
pub(super) struct Reader {
    /// Bytes of the present frame that are still to come, and what they are masked with.
    left: u64,
    key: [u8; 4],
    sequence: Sequence,
}

/// What was found in a buffer.
pub(super) struct Found {
    /// Bytes of MQTT, which lie at its front now.
    pub(super) data: usize,
    /// Where the bytes begin that were not used: a part of a header or of a control frame.
    pub(super) rest: usize,
    pub(super) end: End,
}

/// How the frames of a buffer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// More may come.
    None,
    /// The client ends the WebSocket, with this code if any.
    Closed(Option<u16>),
    /// It has broken the rules.
    Broken(FrameError),
}

impl Reader {
    /// Takes `buffer[from..]` apart. The last ping's bytes go to `ping`: older ones need no answer
    /// [RFC 6455, 5.5.3].
    pub(super) fn unframe(
        &mut self,
        buffer: &mut [u8],
        from: usize,
        mut ping: impl FnMut(&[u8]),
    ) -> Found {
        let (mut at, mut data) = (from, 0);
        let end = loop {
            if self.left > 0 {
                let waiting = (buffer.len() - at) as u64;
                let len = self.left.min(waiting) as usize;
                if at != data {
                    buffer.copy_within(at..at + len, data);
                }
                mask(&mut buffer[data..data + len], self.key);
                self.key.rotate_left(len % 4);
                self.left -= len as u64;
                at += len;
                data += len;
            }
            if at == buffer.len() {
                break End::None;
            }
            let (header, len) = match Header::parse(&buffer[at..], Role::Client) {
                Ok(Some(found)) => found,
                Ok(None) => break End::None,
                Err(error) => break End::Broken(error),
            };
            if let Err(error) = self.sequence.follow(&header) {
                break End::Broken(error);
            }
            let key = header.mask.unwrap_or_default();
            if !header.kind.is_control() {
                (self.left, self.key) = (header.len, key);
                at += len;
                continue;
            }
            // At most 125 bytes.
            let payload = at + len..at + len + header.len as usize;
            if payload.end > buffer.len() {
                break End::None;
            }
            at = payload.end;
            let payload = &mut buffer[payload];
            mask(payload, key);
            match header.kind {
                Kind::Ping => ping(payload),
                Kind::Close => {
                    break match parse_close(payload) {
                        Ok(said) => End::Closed(said.map(|(code, _)| code)),
                        Err(error) => End::Broken(error),
                    };
                }
                // Nobody asked for it, and nothing comes of it.
                Kind::Pong | Kind::Continuation | Kind::Text | Kind::Binary => {}
            }
        };
        Found { data, rest: at, end }
    }
}

/// Puts headers before what is sent.
#[derive(Default)]
pub(super) struct Writer {
    /// Bytes of the present frame that are still to be sent.
    left: u16,
    head: [u8; SENT_HEADER_MAX],
    /// Which bytes of `head` are still to be sent.
    head_from: u8,
    head_to: u8,
}

impl Writer {
    /// Whether a control frame may go now.
    pub(super) fn is_between(&self) -> bool {
        self.left == 0 && self.head_from == self.head_to
    }

    /// Begins a frame for as much of `waiting` bytes as fits, unless one is under way.
    pub(super) fn begin(&mut self, waiting: usize) {
        if !self.is_between() || waiting == 0 {
            return;
        }
        self.left = waiting.min(FRAME_MAX) as u16;
        // [MQTT-6.0.0-1 v5] [MQTT-6.0.0-1 v3.1.1]
        let header =
            Header { last: true, kind: Kind::Binary, mask: None, len: u64::from(self.left) };
        let mut bytes = [0; HEADER_MAX];
        let len = header.write(&mut bytes);
        self.head.copy_from_slice(&bytes[..SENT_HEADER_MAX]);
        (self.head_from, self.head_to) = (0, len as u8);
    }

    /// What of the header is still to be sent.
    pub(super) fn head(&self) -> &[u8] {
        &self.head[usize::from(self.head_from)..usize::from(self.head_to)]
    }

    /// Bytes that may follow it.
    pub(super) fn room(&self) -> usize {
        usize::from(self.left)
    }

    /// So many bytes were sent, the header's first; answers how many were not the header's.
    pub(super) fn sent(&mut self, count: usize) -> usize {
        let of_head = count.min(self.head().len());
        self.head_from += of_head as u8;
        let others = count - of_head;
        self.left -= others as u16;
        others
    }
}

/// Appends a control frame. `payload` has at most 125 bytes.
pub(super) fn control(kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
    let header = Header { last: true, kind, mask: None, len: payload.len() as u64 };
    let mut bytes = [0; HEADER_MAX];
    let len = header.write(&mut bytes);
    out.extend_from_slice(&bytes[..len]);
    out.extend_from_slice(payload);
}
