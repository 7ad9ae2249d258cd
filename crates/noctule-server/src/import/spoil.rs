//! Seeded damage, for tests of readers: bytes that are almost right.

/// Numbers that look random and are the same each time.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }

    /// The bytes with a few changes: bits, bytes, numbers of four bytes, cuts, pieces elsewhere.
    pub(super) fn spoil(&mut self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                _ if bytes.is_empty() => {}
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][self.below(5)],
                2 => {
                    let number = [0, 1, 0xFFFF, 0x7FFF_FFFF, u32::MAX][self.below(5)].to_be_bytes();
                    bytes.iter_mut().skip(at).zip(number).for_each(|(byte, new)| *byte = new);
                }
                3 => bytes.truncate(at),
                4 => {
                    let piece: Vec<u8> =
                        bytes.iter().skip(self.below(at + 1)).take(40).copied().collect();
                    bytes.splice(at..at, piece);
                }
                _ => drop(bytes.splice(at..(at + self.below(40)).min(bytes.len()), [])),
            }
        }
        bytes
    }
}
