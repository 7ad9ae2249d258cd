//! A number by its logarithm, in two bytes: peaks that fade by half in a day, whatever their size.

/// Steps of a factor of two.
const STEPS: f32 = 2048.0;

/// A number from 0 to 2^32, to a third of a thousandth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Level(u16);

impl Level {
    pub(super) fn of(number: f32) -> Level {
        // The conversion saturates.
        Level(((number + 1.0).log2() * STEPS) as u16)
    }

    pub(super) fn number(self) -> f32 {
        (f32::from(self.0) / STEPS).exp2() - 1.0
    }

    /// One step down: a factor of two takes 2048 of them.
    pub(super) fn fade(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    /// Grows to `other` if that is more.
    pub(super) fn hold(&mut self, other: Level) {
        self.0 = self.0.max(other.0);
    }

    /// Goes a part of the way up to `other`.
    pub(super) fn approach(&mut self, other: Level) {
        self.0 += other.0.saturating_sub(self.0).div_ceil(32);
    }
}

/// The same in one byte, to a twelfth, of numbers up to 2^16: where the middle of what was seen
/// lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Middle(u8);

impl Middle {
    const STEPS: f32 = 15.0;

    /// One step towards what was seen: half of what is seen lies above, and half below.
    pub(super) fn see(&mut self, number: f32) {
        let seen = ((number + 1.0).log2() * Middle::STEPS) as u8;
        match self.0 {
            0 => self.0 = seen,
            middle if seen > middle => self.0 += 1,
            middle => self.0 -= u8::from(seen < middle),
        }
    }

    pub(super) fn number(self) -> f32 {
        (f32::from(self.0) / Middle::STEPS).exp2() - 1.0
    }
}
