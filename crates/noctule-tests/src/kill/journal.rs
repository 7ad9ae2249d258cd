//! The journal that `noctule-recorder` writes, read back.

use anyhow::{Context, Result, ensure};
use std::fs::OpenOptions;
use std::path::Path;

/// One change of the files, or a mark between changes. Which bytes it has is said in the recorder's
/// `entry.rs`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    Started,
    Named {
        inode: u64,
        path: String,
    },
    Create {
        path: String,
    },
    Failed,
    Write {
        inode: u64,
        at: u64,
        len: u64,
        size: u64,
        before: Before,
    },
    Resize {
        inode: u64,
        from: u64,
        to: u64,
        before: Before,
    },
    /// `covers` counts from the beginning of the journal.
    Sync {
        inode: u64,
        covers: usize,
    },
    Rename {
        from: String,
        to: String,
        inode: u64,
        displaced: Option<u64>,
    },
    Unlink {
        path: String,
        inode: u64,
    },
    Link {
        path: String,
    },
    Mkdir {
        path: String,
    },
    Rmdir {
        path: String,
    },
}

/// What a range of a file held: zeros, or these bytes and zeros behind them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Before {
    Zeros,
    Bytes(Vec<u8>),
}

impl Before {
    /// The byte so far into the range.
    pub(super) fn byte(&self, at: usize) -> u8 {
        match self {
            Before::Zeros => 0,
            Before::Bytes(bytes) => bytes.get(at).copied().unwrap_or(0),
        }
    }
}

/// Reads a journal. An entry that is not whole at its end belongs to a change that did not happen;
/// it is cut off, so that the next process can go on behind it.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>> {
    let bytes = std::fs::read(path)?;
    let mut entries = Vec::new();
    let mut started = 0;
    let mut rest = &bytes[..];
    while let Some((entry, behind)) = next(rest) {
        let mut entry = parse(entry).with_context(|| format!("entry {}", entries.len()))?;
        match &mut entry {
            Entry::Started => started = entries.len(),
            Entry::Sync { covers, .. } => *covers += started,
            _ => {}
        }
        entries.push(entry);
        rest = behind;
    }
    if !rest.is_empty() {
        let whole = (bytes.len() - rest.len()) as u64;
        OpenOptions::new().write(true).open(path)?.set_len(whole)?;
    }
    Ok(entries)
}

/// The first entry and what follows it; `None` where it is not whole.
fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

fn parse(bytes: &[u8]) -> Result<Entry> {
    let mut reader = Reader(bytes);
    let entry = match reader.byte()? {
        1 => Entry::Started,
        2 => Entry::Named { inode: reader.number()?, path: reader.text()? },
        3 => Entry::Create { path: reader.text()? },
        4 => Entry::Failed,
        5 => Entry::Write {
            inode: reader.number()?,
            at: reader.number()?,
            len: reader.number()?,
            size: reader.number()?,
            before: reader.before()?,
        },
        6 => Entry::Resize {
            inode: reader.number()?,
            from: reader.number()?,
            to: reader.number()?,
            before: reader.before()?,
        },
        7 => Entry::Sync { inode: reader.number()?, covers: reader.number()? as usize },
        8 => {
            let (inode, displaced) = (reader.number()?, reader.number()?);
            let displaced = (displaced != 0).then_some(displaced);
            Entry::Rename { inode, displaced, from: reader.text()?, to: reader.text()? }
        }
        9 => Entry::Unlink { inode: reader.number()?, path: reader.text()? },
        10 => {
            reader.number()?;
            Entry::Link { path: reader.text()? }
        }
        11 => Entry::Mkdir { path: reader.text()? },
        12 => Entry::Rmdir { path: reader.text()? },
        kind => anyhow::bail!("no entry is of kind {kind}"),
    };
    ensure!(reader.0.is_empty(), "bytes behind {entry:?}");
    Ok(entry)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).context("it ends within a field")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into()?))
    }

    fn text(&mut self) -> Result<String> {
        let len = u16::from_le_bytes(self.take(2)?.try_into()?);
        Ok(std::str::from_utf8(self.take(usize::from(len))?)?.to_owned())
    }

    fn before(&mut self) -> Result<Before> {
        let len = self.number()? as usize;
        match self.byte()? {
            0 => Ok(Before::Zeros),
            _ => Ok(Before::Bytes(self.take(len)?.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_entry_at_the_end_is_cut_off() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("journal");
        let whole = [1, 0, 0, 0, 1, 1, 0, 0, 0, 4];
        std::fs::write(&path, [&whole[..], &[9, 0, 0, 0, 3, 5]].concat()).expect("written");
        assert_eq!(read(&path).expect("readable"), [Entry::Started, Entry::Failed]);
        assert_eq!(std::fs::read(&path).expect("there"), whole);
    }

    #[test]
    fn what_a_sync_covers_counts_from_the_start_of_its_process() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("journal");
        let sync = [&[17, 0, 0, 0, 7][..], &5_u64.to_le_bytes(), &1_u64.to_le_bytes()].concat();
        let started = [1, 0, 0, 0, 1];
        let bytes = [&started[..], &sync, &started, &sync].concat();
        std::fs::write(&path, bytes).expect("written");
        let covers = |entry: &Entry| match entry {
            Entry::Sync { covers, .. } => Some(*covers),
            _ => None,
        };
        let entries = read(&path).expect("readable");
        assert_eq!(entries.iter().filter_map(covers).collect::<Vec<_>>(), [1, 3]);
    }
}
