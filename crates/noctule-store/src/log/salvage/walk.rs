//! Frames of a log that is not whole, as far as they can be told apart.
//!
//! Where the next frame is not whole, the same question is asked as at a start: was more durable
//! than what is here? If so, what follows the damage is a part of the log and read on; if not, the
//! log ends here, in parts or not, as it would at a start.

use super::Loss;
use crate::disk::DiskFile;
use crate::format::{
    Bad, FILE_HEAD, FRAME_HEAD, FrameHead, Judged, MAGIC, Malformed, Position, blank, judge,
    log_name,
};
use crate::log::recover::stale;
use crate::log::window::Window;
use noctule_core::Time;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

pub(in crate::log) type Segments = BTreeMap<u32, Arc<dyn DiskFile>>;

/// Takes frames; those whose messages are lost in part come with blank ones in their places, and
/// with the places of these.
pub(in crate::log) type Each<'e> =
    dyn FnMut(&[u8], Position, &[Position]) -> Result<(), Malformed> + 'e;

/// Follows frames.
pub(in crate::log) struct Walk<'s> {
    segments: &'s Segments,
    seed: u32,
    /// That of the last frame: no frame of an earlier one follows.
    epoch: u32,
    /// The greatest of any frame, also behind the end.
    pub(in crate::log) epoch_max: u32,
    /// All that ends here or earlier was durable; not known before somebody asks.
    durable: Option<Position>,
    /// It looks at what lies before the checkpoint: segments between may be gone.
    before: bool,
    /// Where it stops at the latest.
    until: Position,
    /// Where the last frame ends.
    pub(in crate::log) end: Position,
    /// Time of the last frame.
    pub(in crate::log) alive: Time,
    pub(in crate::log) losses: Vec<Loss>,
}

/// What lies where a frame should.
enum Gap {
    /// Damage up to this offset, where a frame is.
    To(u32),
    /// Damage up to this offset, where the segment ends.
    ToEnd(u32),
    /// The segment ends.
    Next,
    /// The log ends.
    End,
}

impl<'s> Walk<'s> {
    pub(in crate::log) fn new(
        segments: &'s Segments,
        seed: u32,
        (from, epoch): (Position, u32),
    ) -> Self {
        Walk {
            segments,
            seed,
            epoch,
            epoch_max: epoch,
            durable: None,
            before: false,
            until: Position(u64::MAX),
            end: from,
            alive: Time::default(),
            losses: Vec::new(),
        }
    }

    /// Follows the log to its end.
    pub(in crate::log) fn run(&mut self, each: &mut Each<'_>) -> io::Result<()> {
        let mut at = self.end;
        let last = self.segments.last_key_value().map_or(0, |(number, _)| *number);
        if !self.segments.contains_key(&at.segment()) {
            // Something said that the log goes on here.
            self.lose(at, 0, (1, None), "the file is missing");
            at = at.next_segment();
        }
        while at.segment() <= last {
            if !self.segment(at, each)? {
                break;
            }
            at = at.next_segment();
        }
        self.epoch_max = self.epoch_max.max(self.epoch);
        Ok(())
    }

    /// Looks at what lies before the checkpoint: all of that was durable.
    pub(in crate::log) fn run_before(&mut self, checkpoint: Position) -> io::Result<()> {
        (self.durable, self.before) = (Some(Position(u64::MAX)), true);
        self.until = checkpoint;
        let before = self.segments.range(..=checkpoint.segment());
        for number in before.map(|(number, _)| *number) {
            // With those that are gone went what they said of epochs.
            self.epoch = 0;
            self.segment(Position::new(number, FILE_HEAD as u32), &mut |_, _, _| Ok(()))?;
        }
        Ok(())
    }

    /// Up to where something must have been durable.
    pub(in crate::log) fn durable(&mut self) -> io::Result<Position> {
        if let Some(durable) = self.durable {
            return Ok(durable);
        }
        let mut durable = Position::default();
        for number in self.segments.range(self.end.segment()..).map(|(number, _)| *number) {
            for head in heads(self.segments, self.seed, number)? {
                durable = durable.max(head.durable_before);
                self.epoch_max = self.epoch_max.max(head.epoch);
            }
        }
        self.durable = Some(durable);
        Ok(durable)
    }

    /// Something else than the log says that all was durable up to here.
    pub(in crate::log) fn durable_at_least(&mut self, known: Position) -> io::Result<()> {
        self.durable = Some(self.durable()?.max(known));
        Ok(())
    }

    fn lose(
        &mut self,
        at: Position,
        bytes: u64,
        (frames, records): (u64, Option<u64>),
        what: &'static str,
    ) {
        let (file, offset) = (log_name(at.segment()), u64::from(at.offset()));
        self.losses.push(Loss { file, offset, bytes, frames, records, what });
    }

    /// Follows the frames of a segment; `false`: the log ends in it.
    fn segment(&mut self, from: Position, each: &mut Each<'_>) -> io::Result<bool> {
        let Some(file) = self.segments.get(&from.segment()) else {
            let lost = self.durable()? > from;
            if lost {
                self.lose(from, 0, (1, None), "the file is missing");
            }
            return Ok(lost);
        };
        let mut window = Window::new(Arc::clone(file))?;
        let mut at = from;
        while at < self.until {
            let frame = window.frame(u64::from(at.offset()), self.seed, at)?;
            if let Some((head, frame)) = frame.filter(|(head, _)| head.epoch >= self.epoch) {
                let judged = judge(&head, &frame[FRAME_HEAD..], self.seed);
                if judged != Judged::Whole {
                    // What was torn before the next segment began is no part of the log.
                    let first = self.first_of_next(at)?;
                    let sealed = self.before && at.segment() != self.until.segment();
                    let ends = first.map_or(sealed, |it| it.previous_end == at.offset());
                    if ends {
                        return Ok(true);
                    }
                    if self.durable()? <= at {
                        return Ok(false);
                    }
                }
                self.frame((&head, frame), judged, each);
                at = head.end();
                continue;
            }
            let what = "there is no whole frame";
            match self.gap(at)? {
                Gap::To(offset) => {
                    let offset = self.not_beyond(at, offset);
                    let len = u64::from(offset - at.offset());
                    self.lose(at, len, (self.begun(at, len)?, None), what);
                    at = Position::new(at.segment(), offset);
                }
                Gap::ToEnd(offset) => {
                    let offset = self.not_beyond(at, offset);
                    let len = u64::from(offset - at.offset());
                    self.lose(at, len, (self.begun(at, len)?, None), what);
                    return Ok(true);
                }
                Gap::Next => return Ok(true),
                Gap::End => return Ok(false),
            }
        }
        Ok(true)
    }

    /// An offset in the segment of `at`, not behind what is looked at.
    fn not_beyond(&self, at: Position, offset: u32) -> u32 {
        match at.segment() == self.until.segment() {
            true => offset.min(self.until.offset()),
            false => offset,
        }
    }

    /// A frame of the log whose head is whole.
    fn frame(&mut self, (head, frame): (&FrameHead, &[u8]), judged: Judged, each: &mut Each<'_>) {
        let given = match judged {
            Judged::Whole => each(frame, head.at, &[]),
            Judged::But(bad) => self.but(frame, head.at, &bad, each),
            Judged::Lost(records) => {
                self.lose(head.at, head.frame_len(), (1, records), "the checksum is wrong");
                Ok(())
            }
        };
        if let Err(error) = given {
            self.lose(head.at, head.frame_len(), (1, None), error.0);
        }
        self.epoch = head.epoch;
        self.end = head.end();
        self.alive = self.alive.max(Time(head.time));
    }

    /// The first frame of the next segment, which says where this one ends.
    fn first_of_next(&self, at: Position) -> io::Result<Option<FrameHead>> {
        let next = at.next_segment();
        let Some(file) = self.segments.get(&next.segment()) else { return Ok(None) };
        let mut window = Window::new(Arc::clone(file))?;
        let first = window.frame(FILE_HEAD as u64, self.seed, next)?.map(|(head, _)| head);
        Ok(first.filter(|head| head.epoch >= self.epoch))
    }

    /// A frame that is whole but for some of its messages.
    fn but(
        &mut self,
        frame: &[u8],
        at: Position,
        bad: &[Bad],
        each: &mut Each<'_>,
    ) -> Result<(), Malformed> {
        let mut mended = frame.to_vec();
        let mut places = Vec::new();
        for Bad { offset, content } in bad {
            let (start, end) = (FRAME_HEAD + offset, FRAME_HEAD + content.end);
            let (lies, what) = (at.plus(start as u64), "the checksum of a message is wrong");
            self.lose(lies, (end - start) as u64, (0, Some(0)), what);
            places.push(lies);
            blank(&mut mended[FRAME_HEAD + content.start..end]);
        }
        each(&mended, at, &places)
    }

    /// What to make of a place where no whole frame is.
    fn gap(&mut self, at: Position) -> io::Result<Gap> {
        let first = self.first_of_next(at)?;
        if first.as_ref().is_some_and(|it| it.previous_end == at.offset()) {
            return Ok(Gap::Next);
        }
        let heads = heads(self.segments, self.seed, at.segment())?;
        // What is left there of an earlier epoch does not say where this segment ends.
        let latest = heads.iter().map(|head| head.epoch).max().unwrap_or_default();
        let first = first.filter(|it| it.epoch >= latest);
        let stops = (at.segment() == self.until.segment()).then(|| self.until.offset());
        let sealed = stops.or(first.map(|it| it.previous_end)).filter(|end| *end > at.offset());
        if self.before && sealed.is_none() {
            // Nothing says where this segment ends: messages are read one by one anyway.
            return Ok(Gap::Next);
        }
        let later = heads.iter().find(|head| {
            let offset = head.at.offset();
            head.epoch >= self.epoch
                && offset > at.offset()
                && sealed.is_none_or(|end| offset < end)
        });
        let later = later.map(|head| head.at.offset());
        let durable = self.durable()?;
        if durable <= at {
            return Ok(Gap::End);
        }
        Ok(match (later, sealed) {
            (Some(offset), _) => Gap::To(offset),
            (None, Some(end)) => Gap::ToEnd(end),
            (None, None) if durable.segment() == at.segment() => Gap::ToEnd(durable.offset()),
            (None, None) if self.begun(at, FRAME_HEAD as u64)? > 0 => {
                Gap::ToEnd(at.offset() + FRAME_HEAD as u32)
            }
            (None, None) => Gap::Next,
        })
    }

    /// How many frames begin in a range, as far as their first bytes tell; of a range that is more
    /// than the head of a frame, one at least.
    fn begun(&self, from: Position, len: u64) -> io::Result<u64> {
        let Some(file) = self.segments.get(&from.segment()) else { return Ok(0) };
        let mut window = Window::new(Arc::clone(file))?;
        let mut count = 0;
        for skip in (0..len).step_by(8) {
            let at = from.plus(skip);
            let bytes = window.bytes(u64::from(at.offset()), 16)?;
            let own = at.0.to_le_bytes();
            count += u64::from(bytes.starts_with(&MAGIC) && bytes.ends_with(&own));
        }
        Ok(count.max(u64::from(len > FRAME_HEAD as u64)))
    }
}

/// Heads of frames in a segment, also of those that are no part of the log any more.
fn heads(segments: &Segments, seed: u32, number: u32) -> io::Result<Vec<FrameHead>> {
    let Some(file) = segments.get(&number) else { return Ok(Vec::new()) };
    let mut window = Window::new(Arc::clone(file))?;
    let (mut heads, mut offset) = (Vec::new(), FILE_HEAD as u64);
    while let Some((head, next)) = stale(&mut window, seed, number, offset)? {
        heads.push(head);
        offset = next;
    }
    Ok(heads)
}
