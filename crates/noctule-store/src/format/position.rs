//! Where something lies in the log.

use noctule_core::identity::Place;
use std::num::NonZeroU64;

/// A segment and an offset in it; positions compare as the log runs. A checkpoint has positions of
/// its own: offsets in its file, marked by the top bit, which no number of a segment reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position(pub u64);

const CHECKPOINT: u64 = 1 << 63;

impl Position {
    pub(crate) fn new(segment: u32, offset: u32) -> Position {
        Position(u64::from(segment) << 32 | u64::from(offset))
    }

    pub(crate) fn in_checkpoint(offset: u64) -> Position {
        Position(CHECKPOINT | offset)
    }

    pub(crate) fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn offset(self) -> u32 {
        self.0 as u32
    }

    /// So many bytes further on in the same segment.
    pub(crate) fn plus(self, bytes: u64) -> Position {
        Position(self.0 + bytes)
    }

    pub(crate) fn of_place(place: Place) -> Position {
        Position(place.0.get())
    }

    /// Where the first frame of the next segment lies.
    pub(crate) fn next_segment(self) -> Position {
        Position::new(self.segment() + 1, super::FILE_HEAD as u32)
    }

    /// As the name of a message that lies here.
    pub(crate) fn place(self) -> Option<Place> {
        NonZeroU64::new(self.0).map(Place)
    }
}
