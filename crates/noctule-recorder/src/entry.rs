//! The journal's entries as bytes: a length, a kind, and fields of fixed order, all little endian.
//! The reader is `noctule_tests::kill::journal`, written apart.

/// Something that happened, or is about to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry<'a> {
    /// A process began; numbers of entries count from here.
    Started,
    /// A file or directory was seen for the first time by this process.
    Named { inode: u64, path: &'a str },
    /// A file comes to be under this name; [`Entry::Named`] follows.
    Create { path: &'a str },
    /// The change of names just before did not happen.
    Failed,
    /// Bytes are written; `before` is what the range held, as far as the file went.
    Write { inode: u64, at: u64, len: u64, size: u64, before: &'a [u8] },
    /// The size changes; `before` is what is cut off.
    Resize { inode: u64, from: u64, to: u64, before: &'a [u8] },
    /// A sync has completed that began when there were so many entries of this process.
    Sync { inode: u64, covers: u64 },
    /// A name moves; `displaced` is the file that had the new name, or 0.
    Rename { from: &'a str, to: &'a str, inode: u64, displaced: u64 },
    /// A name goes.
    Unlink { path: &'a str, inode: u64 },
    /// A file gets another name.
    Link { path: &'a str, inode: u64 },
    /// A directory comes to be.
    Mkdir { path: &'a str },
    /// A directory goes.
    Rmdir { path: &'a str },
}

impl Entry<'_> {
    /// The bytes, ready for one write call.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = vec![0; 4];
        match self {
            Entry::Started => out.push(1),
            Entry::Named { inode, path } => {
                numbers(&mut out, 2, &[inode]);
                text(&mut out, path);
            }
            Entry::Create { path } => one_path(&mut out, 3, path),
            Entry::Failed => out.push(4),
            Entry::Write { inode, at, len, size, before } => {
                numbers(&mut out, 5, &[inode, at, len, size]);
                bytes(&mut out, before);
            }
            Entry::Resize { inode, from, to, before } => {
                numbers(&mut out, 6, &[inode, from, to]);
                bytes(&mut out, before);
            }
            Entry::Sync { inode, covers } => numbers(&mut out, 7, &[inode, covers]),
            Entry::Rename { from, to, inode, displaced } => {
                numbers(&mut out, 8, &[inode, displaced]);
                text(&mut out, from);
                text(&mut out, to);
            }
            Entry::Unlink { path, inode } => {
                numbers(&mut out, 9, &[inode]);
                text(&mut out, path);
            }
            Entry::Link { path, inode } => {
                numbers(&mut out, 10, &[inode]);
                text(&mut out, path);
            }
            Entry::Mkdir { path } => one_path(&mut out, 11, path),
            Entry::Rmdir { path } => one_path(&mut out, 12, path),
        }
        let len = out.len() as u32 - 4;
        out[..4].copy_from_slice(&len.to_le_bytes());
        out
    }
}

fn numbers(out: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    out.push(kind);
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn one_path(out: &mut Vec<u8>, kind: u8, path: &str) {
    out.push(kind);
    text(out, path);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Their number, whether others than zeros are among them, and only then the bytes: what a log
/// overwrites is zeros nearly always.
fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    let some = bytes.iter().any(|byte| *byte != 0);
    out.push(u8::from(some));
    if some {
        out.extend_from_slice(bytes);
    }
}
