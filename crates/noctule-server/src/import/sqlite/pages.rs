//! Pages: of the file, or as the `-wal` has them.

use super::super::persisted::FormatError;
use super::wal;
use std::collections::HashMap;

/// Bytes at the beginning of the first page that are no part of its tree.
pub(super) const HEAD: usize = 100;

/// All pages of a database.
pub(super) struct Pages<'a> {
    main: &'a [u8],
    wal: &'a [u8],
    /// Where pages lie in the `-wal`, those that are there.
    newer: HashMap<u32, usize>,
    pub(super) size: usize,
    /// Bytes of a page that are used.
    pub(super) usable: usize,
    pub(super) count: u32,
    /// What is to be known of the `-wal`.
    pub(super) remark: Option<String>,
}

/// A page.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) number: u32,
    pub(super) bytes: &'a [u8],
}

impl Page<'_> {
    /// Something is wrong here.
    pub(super) fn wrong(&self, what: impl std::fmt::Display) -> FormatError {
        FormatError::whole(format!("is damaged: page {}: {what}", self.number))
    }
}

impl<'a> Pages<'a> {
    /// The pages of a file that begins with the magic words.
    pub(super) fn new(main: &'a [u8], wal: Option<&'a [u8]>) -> Result<Pages<'a>, FormatError> {
        if main.len() < HEAD {
            return Err(FormatError::whole("is a SQLite database that ends within its head"));
        }
        let size = match u16::from_be_bytes([main[16], main[17]]) {
            1 => 65_536,
            size => usize::from(size),
        };
        let usable = size.saturating_sub(usize::from(main[20]));
        if !size.is_power_of_two() || size < 512 || usable < 480 {
            let what = format!("is damaged: pages of {size} bytes, {usable} of them used");
            return Err(FormatError::at(16, what));
        }
        let wal = wal.filter(|bytes| !bytes.is_empty() && main[19] == 2);
        let mut pages = Pages {
            main,
            wal: wal.unwrap_or_default(),
            newer: HashMap::new(),
            size,
            usable,
            count: u32::try_from(main.len() / size).unwrap_or(u32::MAX),
            remark: None,
        };
        if let Some(bytes) = wal {
            let found = wal::read(bytes, size);
            pages.remark = Some(match &found {
                Some(found) => {
                    format!("the -wal beside the file: {} pages taken", found.pages.len())
                }
                None => "the -wal beside the file: nothing in it is valid".to_owned(),
            });
            if let Some(found) = found {
                // No more than there are bytes of.
                let most = (main.len() + bytes.len()) / size;
                pages.count = found.count.min(u32::try_from(most).unwrap_or(u32::MAX));
                pages.newer = found.pages;
            }
        }
        // 0: no text has been written yet.
        if !matches!(pages.page(1)?.bytes[56..60], [0, 0, 0, 0 | 1]) {
            return Err(FormatError::at(56, "text that is not UTF-8, as mosquitto writes it"));
        }
        Ok(pages)
    }

    /// A page by its number, from 1.
    pub(super) fn page(&self, number: u32) -> Result<Page<'a>, FormatError> {
        let none = || FormatError::whole(format!("is damaged: there is no page {number}"));
        if number == 0 || number > self.count {
            return Err(none());
        }
        let (file, start) = match self.newer.get(&number) {
            Some(start) => (self.wal, *start),
            None => (self.main, (number as usize - 1) * self.size),
        };
        let bytes = file.get(start..).and_then(|rest| rest.get(..self.size)).ok_or_else(none)?;
        Ok(Page { number, bytes: &bytes[..self.usable] })
    }
}
