//! The `-wal`: pages that were written and are not in the file yet.

use std::collections::HashMap;

const HEAD: usize = 32;
const FRAME_HEAD: usize = 24;

/// What is valid of a `-wal`.
pub(super) struct Wal {
    /// Where pages lie, the newest of each.
    pub(super) pages: HashMap<u32, usize>,
    /// Pages of the database by then.
    pub(super) count: u32,
}

/// Reads up to the last transaction that was ended; `None` if there is none.
pub(super) fn read(bytes: &[u8], page_size: usize) -> Option<Wal> {
    let head = bytes.get(..HEAD)?;
    let big_endian = match number(head, 0) {
        0x377F_0682 => false,
        0x377F_0683 => true,
        _ => return None,
    };
    let mut sum = Checksum { big_endian, sums: (0, 0) };
    sum.add(&head[..24]);
    let is_whole = sum.sums == (number(head, 24), number(head, 28));
    if !is_whole || number(head, 4) != 3_007_000 || number(head, 8) as usize != page_size {
        return None;
    }
    let (mut begun, mut wal) = (HashMap::new(), None);
    let frame = FRAME_HEAD + page_size;
    for (at, bytes) in bytes[HEAD..].chunks_exact(frame).enumerate() {
        let (its_head, page) = bytes.split_at(FRAME_HEAD);
        sum.add(&its_head[..8]);
        sum.add(page);
        let is_this = its_head[8..16] == head[16..24];
        if !is_this || sum.sums != (number(its_head, 16), number(its_head, 20)) {
            break;
        }
        begun.insert(number(its_head, 0), HEAD + at * frame + FRAME_HEAD);
        let count = number(its_head, 4);
        if count > 0 {
            let ended = wal.get_or_insert_with(|| Wal { pages: HashMap::new(), count });
            ended.pages.extend(begun.drain());
            ended.count = count;
        }
    }
    wal
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

struct Checksum {
    /// How it takes words out of bytes.
    big_endian: bool,
    sums: (u32, u32),
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let word = |bytes: &[u8]| {
            let word = number(bytes, 0);
            if self.big_endian { word } else { word.swap_bytes() }
        };
        let (mut one, mut two) = self.sums;
        for pair in bytes.chunks_exact(8) {
            one = one.wrapping_add(word(&pair[..4])).wrapping_add(two);
            two = two.wrapping_add(word(&pair[4..])).wrapping_add(one);
        }
        self.sums = (one, two);
    }
}

/// A `-wal` with these pages as one transaction.
#[cfg(test)]
pub(super) fn of_pages(pages: &[(u32, Vec<u8>)], count: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut sum = Checksum { big_endian: true, sums: (0, 0) };
    let size = pages[0].1.len() as u32;
    for word in [0x377F_0683, 3_007_000, size, 0, 7, 8] {
        bytes.extend_from_slice(&u32::to_be_bytes(word));
    }
    sum.add(&bytes);
    let tell = |bytes: &mut Vec<u8>, sum: &Checksum| {
        bytes.extend_from_slice(&sum.sums.0.to_be_bytes());
        bytes.extend_from_slice(&sum.sums.1.to_be_bytes());
    };
    tell(&mut bytes, &sum);
    for (at, (number, page)) in pages.iter().enumerate() {
        let ends = if at + 1 == pages.len() { count } else { 0 };
        let head = [number.to_be_bytes(), ends.to_be_bytes()].concat();
        sum.add(&head);
        sum.add(page);
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&[0, 0, 0, 7, 0, 0, 0, 8]);
        tell(&mut bytes, &sum);
        bytes.extend_from_slice(page);
    }
    bytes
}
