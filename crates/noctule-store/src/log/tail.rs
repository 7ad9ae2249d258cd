//! The end of the log, where frames get their positions.

use super::recover::Start;
use super::{Log, locked};
use crate::StoreError;
use crate::format::{Encoder, FILE_HEAD, FrameHead, Position};
use noctule_core::Time;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A frame that has its position.
#[derive(Debug)]
pub(super) struct Appended {
    pub(super) at: Position,
    pub(super) end: Position,
    pub(super) bytes: Vec<u8>,
}

/// Where the next frame goes, and the frames on their way to the disk.
#[derive(Debug)]
pub(super) struct Tail {
    /// Where the next frame goes if its segment has room.
    at: Position,
    /// Bytes of that segment.
    size: u32,
    epoch: u32,
    /// Time of the last frame.
    time: u64,
    /// Whether the last frame is one without records.
    quiet: bool,
    /// Frames not yet written, in order.
    pub(super) pending: VecDeque<Arc<Appended>>,
}

/// Where an appended frame lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reserved {
    pub(crate) end: Position,
    /// It is the first of its segment: another one has to be prepared.
    pub(crate) new_segment: bool,
    /// The middle of its segment is some way behind, as for no one before: a fold may be due.
    pub(crate) past_middle: bool,
}

impl Tail {
    pub(super) fn new(at: Position, size: u32, epoch: u32, start: &Start) -> Tail {
        let time = start.alive.map_or(0, |alive| alive.0);
        Tail { at, size, epoch, time, quiet: false, pending: VecDeque::new() }
    }

    pub(super) fn segment(&self) -> u32 {
        self.at.segment()
    }
}

impl Log {
    /// Queues what was encoded as a frame at the end of the log. It is never refused for want of
    /// room: what does not fit waits for the next segment, and a frame larger than a segment makes
    /// it longer.
    pub(crate) fn append(&self, encoder: &mut Encoder, now: Time) -> Result<Reserved, StoreError> {
        self.check()?;
        let mut frame = encoder.finish();
        let len = frame.bytes.len();
        let mut tail = locked(&self.tail);
        let previous_end = tail.at.offset();
        let room = u64::from(tail.size).saturating_sub(u64::from(previous_end));
        let new_segment = len as u64 > room && previous_end as usize > FILE_HEAD;
        if new_segment {
            locked(&self.ends).insert(tail.at.segment(), previous_end);
            tail.at = tail.at.next_segment();
            tail.size = self.bytes_of(tail.at.segment());
        }
        let at = tail.at;
        tail.time = tail.time.max(now.0);
        tail.quiet = frame.body_len == 0;
        let head = FrameHead {
            body_len: frame.body_len,
            at,
            durable_before: self.durable(),
            time: tail.time,
            epoch: tail.epoch,
            previous_end,
            body_crc: frame.body_crc,
        };
        encoder.seal(&mut frame, &head, self.seed);
        let end = head.end();
        tail.at = end;
        // By then the middle is durable, most likely.
        let past_middle = (at.offset()..end.offset()).contains(&(tail.size / 8 * 5));
        tail.pending.push_back(Arc::new(Appended { at, end, bytes: frame.bytes }));
        self.pending_bytes.fetch_add(len, Ordering::Relaxed);
        Ok(Reserved { end, new_segment, past_middle })
    }

    pub(super) fn epoch(&self) -> u32 {
        locked(&self.tail).epoch
    }

    /// Where the next frame goes: all appended so far ends here or earlier.
    #[must_use]
    pub fn end(&self) -> Position {
        locked(&self.tail).at
    }

    /// Whether the last frame has no records: all before it is known to have been durable.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        locked(&self.tail).quiet
    }
}
