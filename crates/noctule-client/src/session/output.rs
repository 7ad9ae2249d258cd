//! Bytes for the server that the transport has not taken.

use alloc::vec::Vec;

/// What may lie here of answers. A server that keeps to the rules has no more than 65,535 messages
/// of either direction under way, and waits for its answers before it sends more: five bytes for
/// each, and what the estimate below is off.
const ANSWERS_MAX: usize = 4 << 20;

/// A larger buffer is not kept once it is empty.
const KEPT_MAX: usize = 1 << 20;

/// A buffer that is filled at its end and taken from its beginning, without moving bytes each time.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// How many bytes the transport has taken.
    taken: usize,
    answers: Answers,
}

/// How many bytes the answers take that lie in the output, or a bit more: two counts, before a
/// mark and behind it, the mark set anew whenever the transport comes to it.
#[derive(Debug, Default)]
struct Answers {
    /// Bytes that the transport takes before it comes to the mark.
    to_mark: usize,
    before: usize,
    behind: usize,
}

impl Output {
    /// What the transport has not taken.
    pub(super) fn unwritten(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Where packets are appended.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends the answer to a packet of the server.
    #[inline]
    pub(super) fn answer(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        encode(&mut self.bytes);
        self.answers.behind += self.bytes.len() - before;
    }

    /// Whether the server asks for ever more answers and reads none.
    pub(super) fn is_flooded(&self) -> bool {
        self.answers.before + self.answers.behind > ANSWERS_MAX
    }

    /// The transport has taken so many bytes.
    pub(super) fn written(&mut self, len: usize) {
        let len = len.min(self.unwritten().len());
        self.taken += len;
        let left = self.bytes.len() - self.taken;
        self.answers.written(len, left);
        if left == 0 {
            self.clear();
        } else if self.taken >= left {
            // Each byte is moved once for one that was taken at least.
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_MAX);
        self.taken = 0;
        self.answers = Answers::default();
    }
}

impl Answers {
    fn written(&mut self, len: usize, left: usize) {
        self.to_mark = self.to_mark.saturating_sub(len);
        if self.to_mark == 0 {
            (self.before, self.behind, self.to_mark) = (self.behind, 0, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(output: &mut Output) {
        output.answer(|bytes| bytes.extend_from_slice(&[0x40, 2, 0, 1]));
    }

    #[test]
    fn bytes_are_taken_in_any_pieces() {
        let mut output = Output::default();
        let (mut given, mut taken) = (Vec::new(), Vec::new());
        for round in 0..1000_usize {
            let piece = [round as u8; 7];
            output.end().extend_from_slice(&piece[..round % 7]);
            given.extend_from_slice(&piece[..round % 7]);
            let len = (round % 5).min(output.unwritten().len());
            taken.extend_from_slice(&output.unwritten()[..len]);
            output.written(len);
        }
        taken.extend_from_slice(output.unwritten());
        output.written(usize::MAX);
        assert_eq!((taken, output.unwritten()), (given, &[][..]));
    }

    #[test]
    fn answers_that_are_read_are_no_flood_however_much_lies_before_them() {
        let mut output = Output::default();
        output.end().resize(1 << 20, 0);
        for _ in 0..2_000_000 {
            answer(&mut output);
            output.written(5);
            assert!(!output.is_flooded());
        }
    }

    #[test]
    fn answers_that_nobody_reads_are_a_flood() {
        let mut output = Output::default();
        let count = (0..).take_while(|_| {
            answer(&mut output);
            // A trickle does not help.
            output.written(1);
            !output.is_flooded()
        });
        let count = count.count();
        assert!((4 << 18..8 << 18).contains(&count), "{count}");
        output.written(usize::MAX);
        assert!(!output.is_flooded());
    }
}
