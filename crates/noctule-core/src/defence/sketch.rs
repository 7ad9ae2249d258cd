//! How many different topics, in four bytes: eight registers of a HyperLogLog, to a factor of 1.5.
//! Enough to tell a thousand from what is usual sixteen times over.

/// Registers, of four bits each.
const REGISTERS: u32 = 8;

/// A set that can be asked for its size alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Sketch(u32);

impl Sketch {
    /// Adds something by its hash.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64) {
        let shift = (hash as u32 % REGISTERS) * 4;
        // The bit ends the count: 15 fits into four bits.
        let rank = ((hash >> 16) | 1 << 14).trailing_zeros() + 1;
        if rank > self.0 >> shift & 15 {
            self.0 = self.0 & !(15 << shift) | rank << shift;
        }
    }

    /// Adds all of another set.
    pub(super) fn join(&mut self, other: Sketch) {
        for shift in (0..REGISTERS).map(|register| register * 4) {
            let rank = (other.0 >> shift & 15).max(self.0 >> shift & 15);
            self.0 = self.0 & !(15 << shift) | rank << shift;
        }
    }

    /// About how many were added.
    pub(super) fn count(self) -> f32 {
        let registers = (0..REGISTERS).map(|register| self.0 >> (register * 4) & 15);
        let empty = registers.clone().filter(|rank| *rank == 0).count();
        let all = REGISTERS as f32;
        // The constant belongs to eight registers.
        let sum: f32 = registers.map(|rank| (-(rank as f32)).exp2()).sum();
        let estimate = 0.626 * all * all / sum;
        if empty > 0 && estimate < 2.5 * all {
            return all * (all / empty as f32).ln();
        }
        estimate
    }
}
