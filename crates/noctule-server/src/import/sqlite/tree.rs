//! Rows of a table: the leaves of its tree, in order.

use super::super::persisted::{Bytes, FormatError};
use super::pages::{HEAD, Page, Pages};

const INTERIOR: u8 = 0x05;
const LEAF: u8 = 0x0D;

/// Calls `each` with the record of every row, in the order of their row ids.
pub(super) fn rows<'a>(
    pages: &Pages<'a>,
    root: u32,
    each: &mut dyn FnMut(Page<'a>, Bytes<'a>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut walk = Walk { pages, seen: vec![false; pages.count as usize + 1] };
    // The next page is the last of them.
    let mut ahead = vec![root];
    while let Some(number) = ahead.pop() {
        let page = walk.visit(number)?;
        let start = if number == 1 { HEAD } else { 0 };
        let cells = u16_at(page, start + 3)? as usize;
        match page.bytes[start] {
            INTERIOR => {
                let mut children = Vec::new();
                for at in 0..cells {
                    children.push(u32_at(page, u16_at(page, start + 12 + 2 * at)?)?);
                }
                children.push(u32_at(page, start + 8)?);
                ahead.extend(children.into_iter().rev());
            }
            LEAF => {
                // Cells do not overlap: so many that are so long do not fit.
                let mut room = pages.usable;
                for at in 0..cells {
                    let (cell, local) = walk.cell(page, u16_at(page, start + 8 + 2 * at)?)?;
                    room = room
                        .checked_sub(local)
                        .ok_or_else(|| page.wrong("rows that overlap each other"))?;
                    each(page, cell)?;
                }
            }
            kind => return Err(page.wrong(format!("of kind {kind}, and no part of a table"))),
        }
    }
    Ok(())
}

struct Walk<'p, 'a> {
    pages: &'p Pages<'a>,
    /// No page is a part of two things, or twice of one.
    seen: Vec<bool>,
}

impl<'a> Walk<'_, 'a> {
    fn visit(&mut self, number: u32) -> Result<Page<'a>, FormatError> {
        let page = self.pages.page(number)?;
        if std::mem::replace(&mut self.seen[number as usize], true) {
            return Err(page.wrong("met twice"));
        }
        Ok(page)
    }

    /// The record of a cell, and how many bytes of the page the cell takes.
    fn cell(&mut self, page: Page<'a>, at: usize) -> Result<(Bytes<'a>, usize), FormatError> {
        let short = || page.wrong("a row that ends after the page");
        let cell = page.bytes.get(at..).ok_or_else(short)?;
        let (len, rest) = varint(cell).ok_or_else(short)?;
        let (_row_id, rest) = varint(rest).ok_or_else(short)?;
        let head = cell.len() - rest.len();
        let usable = self.pages.usable;
        let all = usable as u64 * u64::from(self.pages.count);
        let len = usize::try_from(len).ok().filter(|len| *len as u64 <= all);
        let len = len.ok_or_else(|| page.wrong("a row that is longer than the file"))?;
        let most = usable - 35;
        if len <= most {
            let record = rest.get(..len).ok_or_else(short)?;
            return Ok((record.into(), head + len));
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let fits = least + (len - least) % (usable - 4);
        let local = if fits <= most { fits } else { least };
        let mut record = rest.get(..local).ok_or_else(short)?.to_vec();
        let next = rest.get(local..local + 4).ok_or_else(short)?;
        let mut next = u32::from_be_bytes([next[0], next[1], next[2], next[3]]);
        while record.len() < len {
            let page = self.visit(next)?;
            let part = (len - record.len()).min(usable - 4);
            record.extend_from_slice(&page.bytes[4..4 + part]);
            next = u32_at(page, 0)?;
        }
        Ok((record.into(), head + local + 4))
    }
}

fn u16_at(page: Page<'_>, at: usize) -> Result<usize, FormatError> {
    match page.bytes.get(at..at + 2) {
        Some(two) => Ok(usize::from(u16::from_be_bytes([two[0], two[1]]))),
        None => Err(page.wrong("more cells than it has room for")),
    }
}

fn u32_at(page: Page<'_>, at: usize) -> Result<u32, FormatError> {
    match page.bytes.get(at..at + 4) {
        Some(four) => Ok(u32::from_be_bytes([four[0], four[1], four[2], four[3]])),
        None => Err(page.wrong("a cell that ends after the page")),
    }
}

/// SQLite's number of 1 to 9 bytes, and what follows.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        if at == 8 {
            return Some((value << 8 | u64::from(*byte), &bytes[9..]));
        }
        value = value << 7 | u64::from(byte & 0x7F);
        if *byte < 0x80 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}
