//! Heads of frames. A frame is what one turn of a shard appended: it is there whole, or not at all.

use super::bytes::Bytes;
use super::message::{CRC, MESSAGE, item};
use super::position::Position;

/// Bytes of a head.
pub(crate) const FRAME_HEAD: usize = 48;
/// The first bytes of a frame.
pub(crate) const MAGIC: [u8; 4] = *b"nFr1";
const CHECKED: usize = FRAME_HEAD - 4;

/// The first bytes of a frame. It says where it lies: what is left of an earlier use of the file
/// never passes for a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameHead {
    /// Bytes of items.
    pub(crate) body_len: u32,
    /// Where it lies.
    pub(crate) at: Position,
    /// All that ends here or earlier was durable when this was appended.
    pub(crate) durable_before: Position,
    /// When it was appended: milliseconds since the Unix epoch.
    pub(crate) time: u64,
    /// How many times the store had been opened. Frames behind a cut tail are of an older time
    /// than those that were put before them later.
    pub(crate) epoch: u32,
    /// Offset of the end of the frame before it: in the segment before, for the first one.
    pub(crate) previous_end: u32,
    /// Checksum of the body without the contents of messages and their checksums.
    pub(crate) body_crc: u32,
}

impl FrameHead {
    pub(crate) fn write(&self, seed: u32, out: &mut [u8]) {
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&self.body_len.to_le_bytes());
        out[8..16].copy_from_slice(&self.at.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.durable_before.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.time.to_le_bytes());
        out[32..36].copy_from_slice(&self.epoch.to_le_bytes());
        out[36..40].copy_from_slice(&self.previous_end.to_le_bytes());
        out[40..44].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &out[..CHECKED]);
        out[CHECKED..FRAME_HEAD].copy_from_slice(&crc.to_le_bytes());
    }

    /// The head that lies at `at`, if one does.
    pub(crate) fn read(bytes: &[u8], seed: u32, at: Position) -> Option<FrameHead> {
        let bytes = bytes.get(..FRAME_HEAD)?;
        let mut head = Bytes(bytes.strip_prefix(&MAGIC)?);
        let body_len = head.u32().ok()?;
        if Position(head.u64().ok()?) != at {
            return None;
        }
        let found = FrameHead {
            body_len,
            at,
            durable_before: Position(head.u64().ok()?),
            time: head.u64().ok()?,
            epoch: head.u32().ok()?,
            previous_end: head.u32().ok()?,
            body_crc: head.u32().ok()?,
        };
        let crc = crc32c::crc32c_append(seed, &bytes[..CHECKED]);
        (head.u32().ok()? == crc).then_some(found)
    }

    /// Bytes of the frame, padding included.
    pub(crate) fn frame_len(&self) -> u64 {
        align(FRAME_HEAD as u64 + u64::from(self.body_len))
    }

    /// Where the next frame may begin.
    pub(crate) fn end(&self) -> Position {
        self.at.plus(self.frame_len())
    }

    /// Where an item lies that begins at an offset of the body.
    pub(super) fn place(&self, offset: usize) -> Position {
        self.at.plus((FRAME_HEAD + offset) as u64)
    }

    /// Whether these items are those of the frame, as they were written.
    pub(crate) fn verify(&self, body: &[u8], seed: u32) -> bool {
        let (mut crc, mut from) = (0, 0);
        let mut rest = Bytes(body);
        while !rest.is_empty() {
            let start = body.len() - rest.0.len();
            let Ok(found) = item(&mut rest) else { return false };
            if found.kind != MESSAGE {
                continue;
            }
            let end = body.len() - rest.0.len();
            crc = crc32c::crc32c_append(crc, &body[from..end - found.content.len() - CRC]);
            from = end;
            if !found.is_message_of(self.place(start), seed) {
                return false;
            }
        }
        crc32c::crc32c_append(crc, &body[from..]) == self.body_crc
    }
}

/// The next multiple of 8.
pub(crate) fn align(len: u64) -> u64 {
    len.next_multiple_of(8)
}
