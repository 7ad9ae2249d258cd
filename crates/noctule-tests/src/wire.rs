//! Packets off a stream, for tests that look at bytes.

use anyhow::{Context, Result};
use std::io::Read;

/// The next packet whole: its first byte, and what follows its length.
///
/// # Errors
/// The stream ends, or gives nothing in time.
pub fn read_packet(stream: &mut impl Read) -> Result<(u8, Vec<u8>)> {
    let (mut byte, mut len, mut shift) = ([0], 0, 0);
    stream.read_exact(&mut byte).context("a packet")?;
    let first = byte[0];
    loop {
        stream.read_exact(&mut byte)?;
        len |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body)?;
    Ok((first, body))
}
