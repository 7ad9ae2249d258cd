//! The session in a file: what the journal says, each change a record with its checksum.
//!
//! ```text
//! "noctule session 1\n"  then, for each change:  length u32 | CRC-32 of the body | body
//! ```
//!
//! A record that was cut by a crash is the last one, and is cut off when the file is opened: nobody
//! was told that it is safe. A damaged record before the last is left out; what the others say is
//! true without it. The file is written anew when most of it is history.

use crate::error::{Failure, Layer};
use crate::message::Message;
use crate::session::{Change, Token};
use bytes::Bytes;
use noctule_proto::packet::Publish;
use noctule_proto::property::PropertiesBuf;
use noctule_proto::{PacketId, QoS, Role, TopicName, Version, next_frame};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEAD: &[u8] = b"noctule session 1\n";
/// Length and checksum before each record.
const PREFIX: usize = 8;
/// Below this size a file is never written anew.
const REWRITE_MIN: u64 = 1 << 20;
/// How often a file may be written anew by others while it is opened.
const TRIES: usize = 100;

/// A file that holds one session.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    file: File,
    /// Bytes of the file, and what they were when it was last written anew.
    len: u64,
    rewritten_len: u64,
}

impl Store {
    /// Opens or makes the file, and reads what it holds.
    pub(super) fn open(path: &Path) -> Result<(Store, Vec<Change>), Failure> {
        let failed = |error: io::Error| failure(path, &error);
        let mut file = open_locked(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let whole = if bytes.len() < HEAD.len() && HEAD.starts_with(&bytes) {
            // New, or cut while it was made.
            file.set_len(0).map_err(failed)?;
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            file.write_all(HEAD).map_err(failed)?;
            file.sync_all().map_err(failed)?;
            sync_folder(path).map_err(failed)?;
            bytes.clear();
            HEAD.len()
        } else if bytes.starts_with(HEAD) {
            HEAD.len()
        } else {
            return Err(Failure {
                layer: Layer::Store,
                what: format!("{} is no session of noctule", path.display()),
                os_error: None,
                fix: Some("name another file for the session, or remove this one"),
                is_final: true,
            });
        };
        let (changes, len) = records(&bytes, whole);
        if len < bytes.len() {
            file.set_len(len as u64).map_err(failed)?;
        }
        file.seek(SeekFrom::Start(len as u64)).map_err(failed)?;
        let len = len as u64;
        Ok((Store { path: path.to_owned(), file, len, rewritten_len: 0 }, changes))
    }

    /// Appends changes; when this returns they survive a power failure.
    pub(super) fn append(&mut self, changes: &[Change]) -> Result<(), Failure> {
        let bytes = encode_all(changes);
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        written.map_err(|error| failure(&self.path, &error))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Whether most of the file is history.
    pub(super) fn wants_rewrite(&self) -> bool {
        self.len > REWRITE_MIN && self.len > 2 * self.rewritten_len
    }

    /// Writes the file anew with just this in it.
    pub(super) fn rewrite(&mut self, snapshot: &[Change]) -> Result<(), Failure> {
        let failed = |error: io::Error| failure(&self.path, &error);
        let beside = self.path.with_added_extension("new");
        let mut bytes = HEAD.to_vec();
        bytes.extend_from_slice(&encode_all(snapshot));
        let mut file = open_locked(&beside)?;
        file.set_len(0).map_err(failed)?;
        file.write_all(&bytes).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&beside, &self.path).map_err(failed)?;
        sync_folder(&self.path).map_err(failed)?;
        self.len = bytes.len() as u64;
        (self.file, self.rewritten_len) = (file, self.len);
        Ok(())
    }
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure {
        layer: Layer::Store,
        what: format!("cannot keep the session in {}: {error}", path.display()),
        os_error: error.raw_os_error(),
        fix: Some("give the session a file that can be written"),
        is_final: true,
    }
}

/// One process at a time: two would both be this client.
fn open_locked(path: &Path) -> Result<File, Failure> {
    for _ in 0..TRIES {
        let file = open_private(path).map_err(|error| failure(path, &error))?;
        match file.try_lock() {
            Ok(()) if is_at(path, &file) => return Ok(file),
            // Written anew by another process since it was opened.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(error)) => return Err(failure(path, &error)),
        }
    }
    Err(Failure {
        layer: Layer::Store,
        what: format!("another process has the session in {}", path.display()),
        os_error: None,
        fix: Some("end the other process, or give each its own file and client identifier"),
        is_final: true,
    })
}

/// Whether this file still is the one at the path, and no other has taken its place.
#[cfg(unix)]
fn is_at(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (std::fs::metadata(path), file.metadata()) {
        (Ok(there), Ok(here)) => id(there) == id(here),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// Nothing of that can be told here.
#[cfg(not(unix))]
fn is_at(_: &Path, _: &File) -> bool {
    true
}

/// Messages are nobody else's business.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A file that is new is safe when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The changes in a file from `at` on, and where the last whole record ends.
fn records(bytes: &[u8], mut at: usize) -> (Vec<Change>, usize) {
    let mut changes = Vec::new();
    while let Some((body, next)) = record(bytes, at) {
        match body {
            Some(body) => changes.extend(decode(body)),
            // What follows tells whether this is damage, or the end that a crash has torn.
            None if matches!(record(bytes, next), Some((Some(_), _))) => {}
            None => break,
        }
        at = next;
    }
    (changes, at)
}

/// The body of the record here, `None` if it is damaged, and where the next one begins.
fn record(bytes: &[u8], at: usize) -> Option<(Option<&[u8]>, usize)> {
    let (len, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let body = rest.get(..u32::from_le_bytes(*len) as usize)?;
    let is_whole = crc32fast::hash(body) == u32::from_le_bytes(*sum);
    Some((is_whole.then_some(body), at + PREFIX + body.len()))
}

fn encode_all(changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::new();
    for change in changes {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX]);
        encode(change, &mut out);
        let body = start + PREFIX;
        let len = (out.len() - body) as u32;
        let sum = crc32fast::hash(&out[body..]);
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
        out[start + 4..body].copy_from_slice(&sum.to_le_bytes());
    }
    out
}

fn encode(change: &Change, out: &mut Vec<u8>) {
    let mut say = |kind: u8, token: Option<Token>, id: Option<PacketId>| {
        out.push(kind);
        if let Some(token) = token {
            out.extend_from_slice(&token.number().to_le_bytes());
        }
        if let Some(id) = id {
            out.extend_from_slice(&id.value().to_le_bytes());
        }
    };
    match change {
        Change::Identity(client_id) => {
            say(b'I', None, None);
            out.extend_from_slice(client_id.as_bytes());
        }
        Change::Queued { token, message } => {
            say(b'Q', Some(*token), None);
            encode_message(message, out);
        }
        Change::Sent { token, id } => say(b'S', Some(*token), Some(*id)),
        Change::Released { token, id } => say(b'R', Some(*token), Some(*id)),
        Change::Settled { token } => say(b'D', Some(*token), None),
        Change::Received { id, doubtful: false } => say(b'A', None, Some(*id)),
        Change::Received { id, doubtful: true } => say(b'B', None, Some(*id)),
        Change::Doubted => say(b'U', None, None),
        Change::Completed(id) => say(b'C', None, Some(*id)),
        Change::Forgotten => say(b'F', None, None),
    }
}

/// `None`: no change of this format, though its checksum holds.
fn decode(body: &[u8]) -> Option<Change> {
    let (kind, rest) = body.split_first()?;
    let token = || {
        let (number, rest) = rest.split_first_chunk::<8>()?;
        Some((Token::from_number(u64::from_le_bytes(*number)), rest))
    };
    let id = |bytes: &[u8]| PacketId::new(u16::from_le_bytes(bytes.try_into().ok()?));
    Some(match kind {
        b'I' => Change::Identity(String::from_utf8(rest.to_vec()).ok()?),
        b'Q' => {
            let (token, rest) = token()?;
            Change::Queued { token, message: decode_message(rest)? }
        }
        b'S' => {
            let (token, rest) = token()?;
            Change::Sent { token, id: id(rest)? }
        }
        b'R' => {
            let (token, rest) = token()?;
            Change::Released { token, id: id(rest)? }
        }
        b'D' => Change::Settled { token: token()?.0 },
        b'A' | b'B' => Change::Received { id: id(rest)?, doubtful: *kind == b'B' },
        b'U' => Change::Doubted,
        b'C' => Change::Completed(id(rest)?),
        b'F' => Change::Forgotten,
        _ => return None,
    })
}

/// A message is kept as the PUBLISH of 5.0 that would send it: what is read back is as valid as
/// what comes from the network.
fn encode_message(message: &Message, out: &mut Vec<u8>) {
    let publish = Publish {
        dup: false,
        qos: message.qos,
        retain: message.retain,
        topic: TopicName::parse(&message.topic).unwrap_or(TopicName::EMPTY),
        packet_id: (message.qos != QoS::AtMostOnce).then_some(PacketId(std::num::NonZeroU16::MIN)),
        properties: message.publish_properties(),
        payload: &message.payload,
    };
    publish.encode(Version::V5, out);
}

fn decode_message(bytes: &[u8]) -> Option<Message> {
    let frame = next_frame(bytes, u32::MAX).ok()??;
    let publish = Publish::decode(frame, Version::V5, Role::Client).ok()?;
    Some(Message {
        topic: Arc::from(publish.topic.as_str()),
        payload: Bytes::copy_from_slice(publish.payload),
        qos: publish.qos,
        retain: publish.retain,
        expiry_secs: publish.properties.message_expiry_secs,
        properties: PropertiesBuf::from(publish.properties.others),
        ..Message::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Change> {
        let id = |number| PacketId::new(number).expect("not 0");
        let token = Token::from_number;
        let mut message = Message::new("a/b", vec![7; 300]).qos(QoS::ExactlyOnce).retained();
        message.expiry_secs = Some(9);
        message.properties.user_property("k", "v").expect("short");
        vec![
            Change::Identity("meter".into()),
            Change::Queued { token: token(1), message },
            Change::Sent { token: token(1), id: id(5) },
            Change::Released { token: token(2), id: id(65_535) },
            Change::Settled { token: token(u64::MAX) },
            Change::Received { id: id(1), doubtful: false },
            Change::Received { id: id(2), doubtful: true },
            Change::Doubted,
            Change::Completed(id(1)),
            Change::Forgotten,
        ]
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder for temporary files")
    }

    #[test]
    fn what_is_appended_is_read_back_also_after_a_rewrite() {
        let folder = folder();
        let path = folder.path().join("session");
        let (mut store, before) = Store::open(&path).expect("new");
        assert_eq!(before, []);
        store.append(&all()[..4]).expect("room");
        store.append(&all()[4..]).expect("room");
        drop(store);
        let (mut store, after) = Store::open(&path).expect("there");
        assert_eq!(after, all());
        store.rewrite(&all()[1..2]).expect("room");
        store.append(&all()[2..3]).expect("room");
        drop(store);
        assert_eq!(Store::open(&path).expect("there").1, all()[1..3]);
    }

    #[test]
    fn a_file_cut_or_damaged_anywhere_gives_what_lies_before() {
        let folder = folder();
        let path = folder.path().join("session");
        let whole = [HEAD, &encode_all(&all())].concat();
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).expect("room");
            let (mut store, changes) = Store::open(&path).expect("never refused");
            assert_eq!(changes, all()[..changes.len()], "cut at {len}");
            store.append(&all()[all().len() - 1..]).expect("room");
            drop(store);
            let again = Store::open(&path).expect("there").1;
            assert_eq!(again.len(), changes.len() + 1, "cut at {len}");
            assert_eq!(again.last(), Some(&Change::Forgotten));
        }
    }

    #[test]
    fn a_damaged_record_is_left_out_and_those_behind_it_are_read() {
        let folder = folder();
        let path = folder.path().join("session");
        let mut end = HEAD.len();
        for (number, change) in all().iter().enumerate() {
            let begin = end;
            end += encode_all(std::slice::from_ref(change)).len();
            for at in begin..end {
                let mut damaged = [HEAD, &encode_all(&all())].concat();
                damaged[at] ^= 0x55;
                std::fs::write(&path, &damaged).expect("room");
                let changes = Store::open(&path).expect("never refused").1;
                let (before, behind) = (&all()[..number], &all()[number + 1..]);
                if at >= begin + 4 {
                    assert_eq!(changes, [before, behind].concat(), "damaged at {at}");
                } else {
                    // A damaged length hides what follows.
                    assert!(changes.starts_with(before), "damaged at {at}");
                    assert!(behind.ends_with(&changes[number..]), "damaged at {at}");
                }
            }
        }
    }

    #[test]
    fn a_record_of_another_kind_is_left_out() {
        let mut bytes = encode_all(&all()[..1]);
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(b"?").to_le_bytes());
        bytes.push(b'?');
        bytes.extend_from_slice(&encode_all(&all()[1..2]));
        assert_eq!(records(&bytes, 0), (all()[..2].to_vec(), bytes.len()));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_replaced_is_not_taken_for_the_one_at_the_path() {
        let folder = folder();
        let path = folder.path().join("session");
        let (mut store, _) = Store::open(&path).expect("new");
        let opened = open_private(&path).expect("there");
        assert!(is_at(&path, &opened));
        store.rewrite(&all()).expect("room");
        assert!(opened.try_lock().is_ok());
        assert!(!is_at(&path, &opened));
        Store::open(&path).expect_err("taken");
    }

    #[test]
    fn a_file_of_another_kind_or_of_another_process_is_refused() {
        let folder = folder();
        let path = folder.path().join("session");
        std::fs::write(&path, "some text that is worth keeping").expect("room");
        let refused = Store::open(&path).expect_err("no session");
        assert!(refused.what.contains("is no session"), "{refused:?}");
        let path = folder.path().join("other");
        let first = Store::open(&path).expect("new");
        let refused = Store::open(&path).expect_err("taken");
        assert!(refused.what.contains("another process"), "{refused:?}");
        drop(first);
    }
}
