//! A file read from front to back in large pieces.

use crate::disk::{DiskFile, read_full};
use crate::format::{FRAME_HEAD, FrameHead, MESSAGE_HEAD_MAX, Position, message_len, message_of};
use std::io;
use std::sync::Arc;

/// Bytes read at a time.
const CHUNK: usize = 512 * 1024;

/// The part of a file that is in memory.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<dyn DiskFile>,
    len: u64,
    buf: Vec<u8>,
    start: u64,
    filled: usize,
}

impl Window {
    pub(super) fn new(file: Arc<dyn DiskFile>) -> io::Result<Window> {
        let len = file.size()?;
        Ok(Window { file, len, buf: Vec::new(), start: 0, filled: 0 })
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Up to `len` bytes from `offset` on; fewer only at the end of the file.
    pub(super) fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let here = offset.checked_sub(self.start).filter(|skip| {
            let end = skip + len as u64;
            end <= self.filled as u64 || self.start + self.filled as u64 >= self.len
        });
        let skip = match here {
            Some(skip) if skip <= self.filled as u64 => skip as usize,
            Some(_) | None => {
                let wanted = len.max(CHUNK).min(self.len.saturating_sub(offset) as usize);
                if self.buf.len() < wanted {
                    self.buf.resize(wanted, 0);
                }
                self.filled = read_full(&*self.file, &mut self.buf[..wanted], offset)?;
                self.start = offset;
                0
            }
        };
        Ok(&self.buf[skip..self.filled.min(skip + len)])
    }

    /// What lies at an offset, if it is the message that is kept at a place of a store, as it was
    /// written, and ends before `end`.
    pub(super) fn message(
        &mut self,
        (offset, end): (u64, u64),
        (at, seed): (Position, u32),
    ) -> io::Result<Option<&[u8]>> {
        let room = end.min(self.len).saturating_sub(offset);
        let head = self.bytes(offset, MESSAGE_HEAD_MAX.min(room as usize))?;
        let Some(len) = message_len(head).ok().filter(|len| *len <= room) else {
            return Ok(None);
        };
        let bytes = self.bytes(offset, len as usize)?;
        Ok(message_of(bytes, at, seed).is_ok().then_some(bytes))
    }

    /// The frame at an offset, if the head of one lies there that says `at` and the file is long
    /// enough for it. Its body is not verified.
    pub(super) fn frame(
        &mut self,
        offset: u64,
        seed: u32,
        at: Position,
    ) -> io::Result<Option<(FrameHead, &[u8])>> {
        let Some(head) = FrameHead::read(self.bytes(offset, FRAME_HEAD)?, seed, at) else {
            return Ok(None);
        };
        if self.len.saturating_sub(offset) < head.frame_len() {
            return Ok(None);
        }
        let bytes = self.bytes(offset, FRAME_HEAD + head.body_len as usize)?;
        Ok(Some((head, bytes)))
    }
}
