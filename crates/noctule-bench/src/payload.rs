//! What the payload of each message begins with: which run it is of, who published it, as the how
//! manyth, and when.
//!
//! ```text
//!  0   2  mark       "nb"
//!  2   6  sequence   of this publisher, from 0
//!  8   4  run        a number of this run, chosen at random
//! 12   4  publisher  from 0
//! 16   8  sent       nanoseconds since the run began: when it was to be sent (open loop), or was
//! 24   .  filling
//! ```
//!
//! All numbers are big endian. The clock is the one of the process: publishers and subscribers of
//! a run live in the same one, so no two clocks have to agree.

use std::time::Duration;

/// Bytes of the header, and so the smallest payload.
pub const LEN: usize = 24;

/// The mark, where it stands in the first eight bytes.
const MARK: u64 = (b'n' as u64) << 56 | (b'b' as u64) << 48;
const SEQUENCE: u64 = (1 << 48) - 1;

/// Tells the messages of one run from those of all others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunId(pub u32);

/// What a payload says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Which run it is of.
    pub run: RunId,
    /// Who published it.
    pub publisher: u32,
    /// Which of the publisher's messages it is, from 0. 48 bits travel.
    pub sequence: u64,
    /// When it was to be sent, since the run began.
    pub sent: Duration,
}

impl Header {
    /// Writes the header to the beginning of a payload that has room for it.
    #[inline]
    pub fn write(&self, payload: &mut [u8; LEN]) {
        let words = [
            MARK | self.sequence & SEQUENCE,
            u64::from(self.run.0) << 32 | u64::from(self.publisher),
            self.sent.as_nanos() as u64,
        ];
        for (place, word) in payload.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
    }

    /// Reads the header of a payload; `None` if it is nobody's from here.
    #[inline]
    pub fn read(payload: &[u8]) -> Option<Header> {
        let (words, _) = payload.split_first_chunk::<LEN>()?.0.as_chunks::<8>();
        let [first, second, third] = [0, 1, 2].map(|at| u64::from_be_bytes(words[at]));
        if first & !SEQUENCE != MARK {
            return None;
        }
        Some(Header {
            run: RunId((second >> 32) as u32),
            publisher: second as u32,
            sequence: first & SEQUENCE,
            sent: Duration::from_nanos(third),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_out_as_it_went_in() {
        let header = Header {
            run: RunId(0xDEAD_BEEF),
            publisher: 70_000,
            sequence: 0x1234_5678_9ABC,
            sent: Duration::from_nanos(5_000_000_123),
        };
        let mut payload = [0; LEN];
        header.write(&mut payload);
        assert_eq!(Header::read(&payload), Some(header));
        assert_eq!(Header::read(&payload[..LEN - 1]), None);
        payload[0] = b'x';
        assert_eq!(Header::read(&payload), None);
    }
}
