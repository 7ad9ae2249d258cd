//! The bytes of the log, version 1.
//!
//! ```text
//! file    = head (64) frame*
//! cold    = head (64) message* map tail
//! frame   = head (48) item* padding to 8
//! item    = kind (1) length (varint) [crc (4), messages only] content
//! ```
//!
//! * `bytes`      integers and texts, written and read
//! * `position`   where something lies in the log
//! * `file`       heads of files, and how they are called
//! * `cold`       the end of a file of messages that were moved: where they had been
//! * `frame`      heads of frames, and the check of what follows
//! * `judge`      what is left of a damaged frame
//! * `message`    a message as an item of its own, which has a place
//! * `encode`, `decode`    records as items; they speak of messages by place
//! * `receivers`  who gets a message, at a few bytes each
//!
//! Each byte of a frame is covered by one checksum: that of the message it belongs to, or that of
//! the frame. So a message can be read and verified alone. Checksums are seeded with the identity
//! of the store, and say where what they cover belongs: what another store wrote, what a publisher
//! wrote into a payload, what a disk wrote into the wrong place is never taken for what was there.

mod bytes;
mod cold;
mod decode;
mod encode;
mod file;
mod frame;
mod judge;
mod message;
mod position;
mod receivers;
#[cfg(test)]
mod tests;

pub(crate) use cold::{COLD_ENTRY, COLD_TAIL, Moved, decode_map, encode_map, map_len};
pub use decode::Malformed;
pub(crate) use decode::{Context, Undecoded, decode};
pub(crate) use encode::Encoder;
pub(crate) use file::{CHECKPOINT_PREFIX, FILE_HEAD, FileHead, FileKind, HeadError, LOG_PREFIX};
pub(crate) use file::{COLD_PREFIX, cold_name};
pub(crate) use file::{SPARE_PREFIX, checkpoint_name, log_name, number_of, seed_of, spare_name};
pub(crate) use frame::{FRAME_HEAD, FrameHead, MAGIC};
pub(crate) use judge::{Bad, Judged, blank, judge};
pub(crate) use message::{MESSAGE_HEAD_MAX, message_bytes, message_len, message_of};
pub use position::Position;

/// Version of the format, in the head of each file.
pub(crate) const VERSION: u16 = 1;
