//! Heads of files, and how files are called.

use super::VERSION;
use super::bytes::Bytes;

/// Bytes of a head.
pub(crate) const FILE_HEAD: usize = 64;
const CHECKED: usize = FILE_HEAD - 4;
const MAGIC: &[u8; 8] = b"noctule\n";

/// Segments of the log are called this and their number.
pub(crate) const LOG_PREFIX: &str = "log-";
/// Dead segments that become the next ones are called this and the number they had.
pub(crate) const SPARE_PREFIX: &str = "spare-";
/// Files of messages that were moved are called this and their number.
pub(crate) const COLD_PREFIX: &str = "cold-";
/// Checkpoints are called this and the position they cover.
pub(crate) const CHECKPOINT_PREFIX: &str = "ckpt-";

/// What a file of the store is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileKind {
    /// A segment of the log.
    Log = 1,
    /// A checkpoint.
    Checkpoint = 2,
    /// Messages that were moved out of segments.
    Cold = 3,
}

/// The first bytes of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileHead {
    /// What it is.
    pub(crate) kind: FileKind,
    /// Which store it belongs to.
    pub(crate) store: [u8; 16],
    /// Of a segment, or a cold file: its number. Of a checkpoint: the position it covers.
    pub(crate) number: u64,
}

/// Why the head of a file cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeadError {
    Damaged,
    Version(u16),
}

impl FileHead {
    pub(crate) fn encode(&self) -> [u8; FILE_HEAD] {
        let mut out = [0; FILE_HEAD];
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10] = self.kind as u8;
        out[16..32].copy_from_slice(&self.store);
        out[32..40].copy_from_slice(&self.number.to_le_bytes());
        let crc = crc32c::crc32c(&out[..CHECKED]);
        out[CHECKED..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<FileHead, HeadError> {
        let read = || {
            let checked = bytes.get(..CHECKED)?;
            let mut rest = Bytes(&bytes[CHECKED..]);
            if rest.u32().ok()? != crc32c::crc32c(checked) {
                return None;
            }
            let mut head = Bytes(checked.strip_prefix(MAGIC)?);
            let (version, kind) = (head.u16().ok()?, head.u8().ok()?);
            head.take(5).ok()?;
            let store = head.take(16).ok()?.try_into().ok()?;
            Some((version, kind, store, head.u64().ok()?))
        };
        let (version, kind, store, number) = read().ok_or(HeadError::Damaged)?;
        if version != VERSION {
            return Err(HeadError::Version(version));
        }
        let kind = match kind {
            1 => FileKind::Log,
            2 => FileKind::Checkpoint,
            3 => FileKind::Cold,
            _ => return Err(HeadError::Damaged),
        };
        Ok(FileHead { kind, store, number })
    }

    /// What the checksums of this store begin with.
    pub(crate) fn seed(&self) -> u32 {
        seed_of(&self.store)
    }
}

/// What the checksums of a store begin with.
pub(crate) fn seed_of(identity: &[u8; 16]) -> u32 {
    crc32c::crc32c(identity)
}

/// Name of a segment.
pub(crate) fn log_name(segment: u32) -> String {
    format!("{LOG_PREFIX}{segment:08}")
}

/// Name of a segment that is dead.
pub(crate) fn spare_name(segment: u32) -> String {
    format!("{SPARE_PREFIX}{segment:08}")
}

/// Name of a file of messages that were moved.
pub(crate) fn cold_name(number: u32) -> String {
    format!("{COLD_PREFIX}{number:08}")
}

/// Name of a checkpoint that covers the log up to a position.
pub(crate) fn checkpoint_name(covers: u64) -> String {
    format!("{CHECKPOINT_PREFIX}{covers:016x}")
}

/// The number in the name of a file with this prefix.
pub(crate) fn number_of(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let radix = if prefix == CHECKPOINT_PREFIX { 16 } else { 10 };
    u64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_and_no_damage_of_it_goes_unnoticed() {
        let head = FileHead { kind: FileKind::Log, store: [7; 16], number: 42 };
        let bytes = head.encode();
        assert_eq!(FileHead::decode(&bytes), Ok(head));
        for at in 0..FILE_HEAD {
            let mut bad = bytes;
            bad[at] ^= 4;
            assert_eq!(FileHead::decode(&bad), Err(HeadError::Damaged), "byte {at}");
            assert_eq!(FileHead::decode(&bytes[..at]), Err(HeadError::Damaged));
        }
    }

    #[test]
    fn names_are_read_back() {
        assert_eq!(number_of(&log_name(17), LOG_PREFIX), Some(17));
        assert_eq!(number_of(&checkpoint_name(0xab), CHECKPOINT_PREFIX), Some(0xab));
        assert_eq!(number_of("log-x", LOG_PREFIX), None);
        assert_eq!(number_of("lock", LOG_PREFIX), None);
    }
}
