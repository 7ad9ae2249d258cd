//! The byte cases: packets as bytes, valid and broken, with the outcome the standard asks for.
//!
//! One table for everybody who needs such bytes: the decoder's own tests, the conformance tests of
//! broker and client, and the seeds of the fuzz targets. Outcomes are written down by hand or
//! follow from a stated rule; none is taken from the decoder.

mod codes;
mod flags;
mod lengths;
mod packets;
mod plain;
mod properties;
#[cfg(test)]
mod tests;
mod truncated;

use crate::{Cause, PacketType, ReasonCode, Role, Version};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Bytes that one side sends, and what they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// What is special about the bytes.
    pub name: String,
    /// Version of the connection; for a first packet, the version that its bytes tell.
    pub version: Option<Version>,
    /// Whether this is the first packet of a connection.
    pub first: bool,
    /// Who sends the bytes.
    pub sender: Role,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they are.
    pub expect: Expect,
    /// What a server says to them if they are a valid packet of a client.
    reply: Answer,
}

/// What the bytes of a case are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// A valid packet of this type, and nothing after it.
    Packet(PacketType),
    /// The beginning of a packet.
    Incomplete,
    /// No packet, for this cause and with this reason code.
    Error(Cause, ReasonCode),
}

/// How a server answers the bytes of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// With exactly these bytes, which may be none, and the connection goes on.
    Bytes(Vec<u8>),
    /// It waits for the rest.
    Wait,
    /// It closes without a word.
    Close,
    /// CONNACK with this reason code (v5) or return code (3.x); it closes then, unless that is 0.
    ConnAck(u8),
    /// DISCONNECT with this reason code, then it closes.
    Disconnect(u8),
}

impl Case {
    /// How a server with the limits it has by default answers this case, if a client sent it on a
    /// connection on which nothing was said since a CONNECT with a clean session that asked for
    /// nothing (or as its first packet), and nobody else is there.
    pub fn answer(&self) -> Answer {
        let (cause, code) = match self.expect {
            Expect::Packet(_) => return self.reply.clone(),
            Expect::Incomplete => return Answer::Wait,
            Expect::Error(cause, code) => (cause, code),
        };
        match (self.version, self.first) {
            _ if cause == Cause::NotConnect => Answer::Close,
            (None, _) | (Some(Version::V31 | Version::V311), false) => Answer::Close,
            (Some(Version::V5), true) => Answer::ConnAck(code.as_u8()),
            (Some(Version::V5), false) => Answer::Disconnect(code.as_u8()),
            (Some(Version::V31 | Version::V311), true) => {
                code.v3_return_code().map_or(Answer::Close, Answer::ConnAck)
            }
        }
    }

    fn new(name: &str, version: Version, sender: Role, bytes: Vec<u8>, expect: Expect) -> Case {
        let first = bytes.first().is_some_and(|first| first >> 4 == PacketType::Connect as u8);
        let (name, reply) = (name.to_string(), Answer::Bytes(Vec::new()));
        Case { name, version: Some(version), first, sender, bytes, expect, reply }
    }

    /// With this reply to a valid packet: bytes in their readable form (`""`: none),
    /// `"accepted"`, `"refused 8C"` (a CONNACK), `"ends 82"` (a DISCONNECT, where the version has
    /// one), or `"closed"`.
    fn replied(mut self, text: &str) -> Case {
        let code = |digits| u8::from_str_radix(digits, 16).expect("two hexadecimal digits");
        self.reply = match text.split_once(' ') {
            _ if text == "accepted" => Answer::ConnAck(0),
            _ if text == "closed" => Answer::Close,
            Some(("refused", digits)) => Answer::ConnAck(code(digits)),
            Some(("ends", digits)) if self.version == Some(Version::V5) => {
                Answer::Disconnect(code(digits))
            }
            Some(("ends", _)) => Answer::Close,
            _ => Answer::Bytes(bytes(text)),
        };
        self
    }
}

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = packets::cases();
    cases.extend(properties::cases());
    cases.extend(truncated::cases());
    cases.extend(flags::cases());
    cases.extend(lengths::cases());
    cases.extend(codes::cases());
    cases
}

const ALL_VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn ok(packet: PacketType) -> Expect {
    Expect::Packet(packet)
}

fn malformed(cause: Cause) -> Expect {
    Expect::Error(cause, ReasonCode::MalformedPacket)
}

fn protocol_error(cause: Cause) -> Expect {
    Expect::Error(cause, ReasonCode::ProtocolError)
}

/// Bytes from a readable form: `3C` is a byte, `"text"` is text behind its two-byte length,
/// `'text'` is text alone, and `|` stands for the remaining length of what follows.
fn bytes(text: &str) -> Vec<u8> {
    if let Some((head, body)) = text.split_once('|') {
        return frame(&bytes(head), &bytes(body));
    }
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(quote) = rest.chars().next() {
        if quote == '"' || quote == '\'' {
            let (inner, after) = rest[1..].split_once(quote).expect("a closing quote");
            if quote == '"' {
                out.extend_from_slice(&(inner.len() as u16).to_be_bytes());
            }
            out.extend_from_slice(inner.as_bytes());
            rest = after.trim_start();
        } else {
            let (digits, after) = rest.split_at(2);
            out.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
            rest = after.trim_start();
        }
    }
    out
}

/// `head`, the length of `body`, and `body`.
fn frame(head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = head.to_vec();
    crate::write::varint(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

/// The name of a version as people say it.
fn version_name(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5",
    }
}

fn named(version: Version, packet: &str, what: &str) -> String {
    format!("{} {packet}: {what}", version_name(version))
}
