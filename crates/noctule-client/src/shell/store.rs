//! The session in a file: what the journal says, each change a record with its checksum.
//!
//! ```text
//! "noctule session 1\n"  then, for each change:  length u32 | CRC-32 of the body | body
//! ```
//!
//! A record that was cut by a crash is the last one, and is cut off when the file is opened. The
//! file is written anew when most of it is history.

use crate::error::Failure;
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
        what: format!("cannot keep the session in {}: {error}", path.display()),
        os_error: error.raw_os_error(),
        fix: Some("give the session a file that can be written"),
        is_final: true,
    }
}

/// One process at a time: two would both be this client.
fn open_locked(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|error| failure(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure {
            what: format!("another process has the session in {}", path.display()),
            os_error: None,
            fix: Some("end the other process, or give each its own file and client identifier"),
            is_final: true,
        }),
        Err(TryLockError::Error(error)) => Err(failure(path, &error)),
    }
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
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= PREFIX) {
        let word = |from: usize| {
            u32::from_le_bytes([rest[from], rest[from + 1], rest[from + 2], rest[from + 3]])
        };
        let (len, sum) = (word(0) as usize, word(4));
        let Some(body) = rest[PREFIX..].get(..len) else { break };
        if crc32fast::hash(body) != sum {
            break;
        }
        let Some(change) = decode(body) else { break };
        changes.push(change);
        at += PREFIX + len;
    }
    (changes, at.min(bytes.len().max(HEAD.len())))
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
        Change::Received(id) => say(b'A', None, Some(*id)),
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
        b'A' => Change::Received(id(rest)?),
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
            Change::Received(id(1)),
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
            store.append(&all()[7..]).expect("room");
            drop(store);
            let again = Store::open(&path).expect("there").1;
            assert_eq!(again.len(), changes.len() + 1, "cut at {len}");
            assert_eq!(again.last(), Some(&Change::Forgotten));
        }
        for at in HEAD.len()..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            std::fs::write(&path, &damaged).expect("room");
            let changes = Store::open(&path).expect("never refused").1;
            assert!(changes.len() < all().len() && changes == all()[..changes.len()]);
        }
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
