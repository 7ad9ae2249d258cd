//! The end of a cold file: where its messages had been.
//!
//! ```text
//! map  = (segment (4) count (4) (old offset (4) new offset (4))*)*
//! tail = magic (8) bytes of the map (8) bytes of the file (8) crc (4) of map and tail, zeros (4)
//! ```

use super::bytes::Bytes;

/// Bytes at the end of a cold file that say how long its map is.
pub(crate) const COLD_TAIL: usize = 32;
/// Bytes of a map for each message, besides those for each segment.
pub(crate) const COLD_ENTRY: u64 = 8;
const MAGIC: &[u8; 8] = b"nCold1\0\0";
const CHECKED: usize = COLD_TAIL - 8;

/// Messages of one segment in a cold file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Moved {
    /// The segment that they were appended to.
    pub(crate) segment: u32,
    /// Their offsets there, ascending, and in the cold file.
    pub(crate) offsets: Vec<(u32, u32)>,
}

impl Moved {
    /// Where in the cold file the message lies that was appended at an offset.
    pub(crate) fn find(&self, old: u32) -> Option<u32> {
        let at = self.offsets.binary_search_by_key(&old, |(old, _)| *old).ok()?;
        Some(self.offsets[at].1)
    }
}

/// Map and tail of a cold file whose messages end at `at`.
pub(crate) fn encode_map(moved: &[Moved], at: u64, seed: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for part in moved {
        out.extend_from_slice(&part.segment.to_le_bytes());
        out.extend_from_slice(&(part.offsets.len() as u32).to_le_bytes());
        for (old, new) in &part.offsets {
            out.extend_from_slice(&old.to_le_bytes());
            out.extend_from_slice(&new.to_le_bytes());
        }
    }
    let len = out.len() as u64;
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&(at + len + COLD_TAIL as u64).to_le_bytes());
    let crc = crc32c::crc32c_append(seed, &out);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out
}

/// Bytes of the map, as the tail of a file says, which is so long.
pub(crate) fn map_len(tail: &[u8], file_len: u64) -> Option<u64> {
    let mut tail = Bytes(tail.strip_prefix(MAGIC)?);
    let len = tail.u64().ok()?;
    let fits = len <= file_len.saturating_sub(COLD_TAIL as u64);
    (fits && tail.u64().ok()? == file_len).then_some(len)
}

/// The map that these bytes are, with the tail behind it, if they are as they were written.
pub(crate) fn decode_map(bytes: &[u8], seed: u32) -> Option<Vec<Moved>> {
    let (map, tail) = bytes.split_at_checked(bytes.len().checked_sub(COLD_TAIL)?)?;
    let mut crc = Bytes(&tail[CHECKED..]);
    let own = crc32c::crc32c_append(seed, &bytes[..map.len() + CHECKED]);
    if crc.u32().ok()? != own || crc.u32().ok()? != 0 {
        return None;
    }
    let mut rest = Bytes(map);
    let mut moved = Vec::new();
    while !rest.is_empty() {
        let (segment, count) = (rest.u32().ok()?, rest.u32().ok()? as usize);
        let mut offsets = Bytes(rest.take(count.checked_mul(COLD_ENTRY as usize)?).ok()?);
        let mut part = Moved { segment, offsets: Vec::with_capacity(count) };
        while !offsets.is_empty() {
            part.offsets.push((offsets.u32().ok()?, offsets.u32().ok()?));
        }
        let ascending = part.offsets.is_sorted_by(|one, next| one.0 < next.0);
        if !ascending {
            return None;
        }
        moved.push(part);
    }
    moved.is_sorted_by(|one, next| one.segment < next.segment).then_some(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_back_and_no_damage_of_it_goes_unnoticed() {
        let moved = [
            Moved { segment: 3, offsets: vec![(64, 100), (900, 64), (1000, 5000)] },
            Moved { segment: 9, offsets: vec![(1, 2)] },
        ];
        let bytes = encode_map(&moved, 1000, 7);
        let len = bytes.len() - COLD_TAIL;
        let file_len = 1000 + bytes.len() as u64;
        assert_eq!(map_len(&bytes[len..], file_len), Some(len as u64));
        assert_eq!(map_len(&bytes[len..], file_len + 1), None);
        assert_eq!(decode_map(&bytes, 7).unwrap(), moved);
        assert_eq!(decode_map(&bytes, 8), None);
        assert_eq!((moved[0].find(900), moved[0].find(901)), (Some(64), None));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            assert_eq!(decode_map(&bad, 7), None, "byte {at}");
            assert_eq!(decode_map(&bytes[at + 1..], 7), None, "from byte {at}");
        }
    }
}
