//! Bytes from the server that make no whole packet yet.

/// A larger buffer is not kept once its packet is whole.
const KEPT_MAX: usize = 1 << 20;

/// What is left between two reads. A packet that comes in many pieces is put together here, each
/// byte moved once.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
}

impl Input {
    /// What lies here, and what came, in one piece.
    pub(super) fn with<'a>(&'a mut self, came: &'a [u8]) -> &'a [u8] {
        if self.bytes.is_empty() {
            return came;
        }
        self.bytes.extend_from_slice(came);
        &self.bytes
    }

    /// The last `left` bytes of that piece wait for more.
    pub(super) fn keep(&mut self, came: &[u8], left: usize) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&came[came.len() - left..]);
        } else {
            self.bytes.drain(..self.bytes.len() - left);
        }
        if left < KEPT_MAX {
            self.bytes.shrink_to(KEPT_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes whole packets of this many bytes.
    fn feed(input: &mut Input, came: &[u8], packet: usize) -> usize {
        let whole = input.with(came);
        let left = whole.len() % packet;
        let taken = whole.len() / packet;
        input.keep(came, left);
        taken
    }

    #[test]
    fn packets_are_put_together_from_any_pieces() {
        let mut input = Input::default();
        let all: Vec<u8> = (0..=255).collect();
        let mut taken = 0;
        for piece in all.chunks(7) {
            taken += feed(&mut input, piece, 10);
        }
        assert_eq!((taken, &input.bytes[..]), (25, &all[250..]));
    }

    #[test]
    fn pieces_of_a_large_packet_are_added_where_the_first_lies() {
        let mut input = Input::default();
        let mut moved = 0;
        let mut place = std::ptr::null();
        for _ in 0..1024 {
            assert_eq!(feed(&mut input, &[0; 4096], usize::MAX), 0);
            moved += usize::from(place != input.bytes.as_ptr());
            place = input.bytes.as_ptr();
        }
        assert!(moved < 20, "moved {moved} times");
        assert_eq!(feed(&mut input, &[], 4 << 20), 1);
        assert!(input.bytes.capacity() <= KEPT_MAX);
    }
}
