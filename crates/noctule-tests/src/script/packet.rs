//! Packets as scripts write and read them.
//!
//! This is a second implementation of the wire format on purpose: the broker's own decoder and
//! encoder must not vouch for each other. It can write packets that break rules; what it reads it
//! reads strictly.

use super::property::{self, Property, REASON_STRING};
use noctule_proto::Version;
use std::fmt;

/// Packet types, as in the upper half of the first byte.
#[allow(missing_docs, reason = "the names are those of the standard")]
pub mod kind {
    pub const CONNECT: u8 = 1;
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const SUBACK: u8 = 9;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const UNSUBACK: u8 = 11;
    pub const PINGREQ: u8 = 12;
    pub const PINGRESP: u8 = 13;
    pub const DISCONNECT: u8 = 14;
    pub const AUTH: u8 = 15;
}

/// Any packet but CONNECT ([`super::connect::Connect`]). Which fields count depends on its type.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// Type and flags.
    pub first: u8,
    /// Packet identifier.
    pub id: u16,
    /// CONNACK: acknowledge flags.
    pub flags: u8,
    /// Reason code or return code.
    pub code: u8,
    /// PUBLISH: topic.
    pub topic: Vec<u8>,
    /// Properties; left out before v5.
    pub properties: Vec<Property>,
    /// PUBLISH: message. SUBACK, UNSUBACK: codes. SUBSCRIBE, UNSUBSCRIBE: nothing.
    pub payload: Vec<u8>,
    /// SUBSCRIBE, UNSUBSCRIBE: filters with their options.
    pub filters: Vec<(Vec<u8>, u8)>,
}

fn packet(kind: u8, flags: u8) -> Packet {
    Packet {
        first: kind << 4 | flags,
        id: 0,
        flags: 0,
        code: 0,
        topic: Vec::new(),
        properties: Vec::new(),
        payload: Vec::new(),
        filters: Vec::new(),
    }
}

/// CONNACK with this code.
#[must_use]
pub fn connack(code: u8) -> Packet {
    packet(kind::CONNACK, 0).code(code)
}

/// PUBLISH at QoS 0.
#[must_use]
pub fn publish(topic: &str, payload: impl AsRef<[u8]>) -> Packet {
    let mut packet = packet(kind::PUBLISH, 0);
    packet.topic = topic.as_bytes().to_vec();
    packet.payload = payload.as_ref().to_vec();
    packet
}

/// PUBACK.
#[must_use]
pub fn puback(id: u16) -> Packet {
    packet(kind::PUBACK, 0).id(id)
}

/// PUBREC.
#[must_use]
pub fn pubrec(id: u16) -> Packet {
    packet(kind::PUBREC, 0).id(id)
}

/// PUBREL.
#[must_use]
pub fn pubrel(id: u16) -> Packet {
    packet(kind::PUBREL, 2).id(id)
}

/// PUBCOMP.
#[must_use]
pub fn pubcomp(id: u16) -> Packet {
    packet(kind::PUBCOMP, 0).id(id)
}

/// SUBSCRIBE without filters.
#[must_use]
pub fn subscribe(id: u16) -> Packet {
    packet(kind::SUBSCRIBE, 2).id(id)
}

/// SUBACK with these codes.
#[must_use]
pub fn suback(id: u16, codes: &[u8]) -> Packet {
    let mut packet = packet(kind::SUBACK, 0).id(id);
    packet.payload = codes.to_vec();
    packet
}

/// UNSUBSCRIBE of these filters.
#[must_use]
pub fn unsubscribe(id: u16, filters: &[&str]) -> Packet {
    let start = packet(kind::UNSUBSCRIBE, 2).id(id);
    filters.iter().fold(start, |packet, filter| packet.filter(filter, 0))
}

/// UNSUBACK with these codes, which 3.x leaves out.
#[must_use]
pub fn unsuback(id: u16, codes: &[u8]) -> Packet {
    let mut packet = packet(kind::UNSUBACK, 0).id(id);
    packet.payload = codes.to_vec();
    packet
}

/// PINGREQ.
#[must_use]
pub fn pingreq() -> Packet {
    packet(kind::PINGREQ, 0)
}

/// PINGRESP.
#[must_use]
pub fn pingresp() -> Packet {
    packet(kind::PINGRESP, 0)
}

/// DISCONNECT with this code.
#[must_use]
pub fn disconnect(code: u8) -> Packet {
    packet(kind::DISCONNECT, 0).code(code)
}

/// AUTH with this code.
#[must_use]
pub fn auth(code: u8) -> Packet {
    packet(kind::AUTH, 0).code(code)
}

impl Packet {
    /// With this packet identifier.
    #[must_use]
    pub fn id(self, id: u16) -> Packet {
        Packet { id, ..self }
    }

    /// With this reason or return code.
    #[must_use]
    pub fn code(self, code: u8) -> Packet {
        Packet { code, ..self }
    }

    /// At this QoS, with this packet identifier.
    #[must_use]
    pub fn qos(self, qos: u8, id: u16) -> Packet {
        Packet { first: self.first & !6 | qos << 1, id, ..self }
    }

    /// With RETAIN.
    #[must_use]
    pub fn retain(self) -> Packet {
        Packet { first: self.first | 1, ..self }
    }

    /// With DUP.
    #[must_use]
    pub fn dup(self) -> Packet {
        Packet { first: self.first | 8, ..self }
    }

    /// With these flags in the first byte.
    #[must_use]
    pub fn first_flags(self, flags: u8) -> Packet {
        Packet { first: self.first & 0xF0 | flags, ..self }
    }

    /// With one property more; left out before v5.
    #[must_use]
    pub fn with(mut self, property: Property) -> Packet {
        self.properties.push(property);
        self
    }

    /// With one filter more. `options` is the whole options byte.
    #[must_use]
    pub fn filter(mut self, filter: &str, options: u8) -> Packet {
        self.filters.push((filter.as_bytes().to_vec(), options));
        self
    }

    /// CONNACK: with Session Present.
    #[must_use]
    pub fn session_present(self) -> Packet {
        Packet { flags: 1, ..self }
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The value of a property, if it is there.
    #[must_use]
    pub fn property(&self, id: u8) -> Option<&[u8]> {
        let found = self.properties.iter().find(|property| property.id == id)?;
        Some(&found.value)
    }

    /// The Message Expiry Interval, if it is there.
    #[must_use]
    pub fn expiry(&self) -> Option<u32> {
        let value = self.property(0x02)?.try_into().ok()?;
        Some(u32::from_be_bytes(value))
    }

    /// Without properties of this identifier.
    #[must_use]
    pub fn without(mut self, id: u8) -> Packet {
        self.properties.retain(|property| property.id != id);
        self
    }

    /// Whether a code in it reports a failure.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        let codes = [kind::SUBACK, kind::UNSUBACK].contains(&self.kind());
        self.code >= 0x80 || codes && self.payload.iter().any(|code| *code >= 0x80)
    }

    /// The bytes it is on a connection of this version.
    #[must_use]
    pub fn encode(&self, version: Version) -> Vec<u8> {
        frame(self.first, &self.body(version == Version::V5))
    }

    fn body(&self, v5: bool) -> Vec<u8> {
        let id = self.id.to_be_bytes();
        let section = if v5 { property::section(&self.properties) } else { Vec::new() };
        match self.kind() {
            kind::CONNACK => [&[self.flags, self.code][..], &section].concat(),
            kind::PUBLISH => {
                let id = if self.first & 6 == 0 { &[][..] } else { &id };
                [&binary(&self.topic)[..], id, &section, &self.payload].concat()
            }
            kind::PUBACK..=kind::PUBCOMP => [&id, &self.tail(v5)[..]].concat(),
            kind::SUBSCRIBE | kind::UNSUBSCRIBE => {
                let mut body = [&id[..], &section].concat();
                for (filter, options) in &self.filters {
                    body.extend_from_slice(&binary(filter));
                    if self.kind() == kind::SUBSCRIBE {
                        body.push(*options);
                    }
                }
                body
            }
            kind::UNSUBACK if !v5 => id.to_vec(),
            kind::SUBACK | kind::UNSUBACK => [&id[..], &section, &self.payload].concat(),
            // Only the AUTH that says nothing at all may leave its Property Length out.
            kind::AUTH if self.code != 0 => [&[self.code][..], &section].concat(),
            kind::DISCONNECT | kind::AUTH => self.tail(v5),
            _ => Vec::new(),
        }
    }

    /// Reason code and properties, in their shortest form.
    fn tail(&self, v5: bool) -> Vec<u8> {
        match (v5, self.code, self.properties.is_empty()) {
            (false, ..) | (true, 0, true) => Vec::new(),
            (true, code, true) => vec![code],
            (true, code, false) => [&[code][..], &property::section(&self.properties)].concat(),
        }
    }

    /// What the server sent, strictly read: one whole packet.
    pub fn parse(bytes: &[u8], version: Version) -> Result<Packet, String> {
        let (len, header) = frame_len(bytes)?.ok_or("the packet is not whole")?;
        if len != bytes.len() {
            return Err(format!("{} bytes where the packet has {len}", bytes.len()));
        }
        let mut packet = packet(bytes[0] >> 4, bytes[0] & 0x0F);
        let mut body = Reader(&bytes[header..]);
        packet.read_body(&mut body, version == Version::V5)?;
        if !body.0.is_empty() {
            return Err(format!("{} bytes after the last field", body.0.len()));
        }
        Ok(packet)
    }

    fn read_body(&mut self, body: &mut Reader<'_>, v5: bool) -> Result<(), String> {
        if self.kind() != kind::PUBLISH && self.first & 0x0F != u8::from(self.kind() == 6) * 2 {
            return Err(format!("first byte {:#04x}", self.first));
        }
        match self.kind() {
            kind::CONNACK => {
                (self.flags, self.code) = (body.byte()?, body.byte()?);
                if v5 {
                    self.properties = body.properties()?;
                }
            }
            kind::PUBLISH => {
                self.topic = body.binary()?.to_vec();
                if self.first & 6 != 0 {
                    self.id = body.u16()?;
                }
                if v5 {
                    self.properties = body.properties()?;
                }
                self.payload = std::mem::take(&mut body.0).to_vec();
            }
            kind::PUBACK..=kind::PUBCOMP => {
                self.id = body.u16()?;
                self.read_tail(body, v5)?;
            }
            kind::SUBACK | kind::UNSUBACK => {
                self.id = body.u16()?;
                if v5 {
                    self.properties = body.properties()?;
                }
                self.payload = std::mem::take(&mut body.0).to_vec();
            }
            kind::DISCONNECT | kind::AUTH if v5 => self.read_tail(body, v5)?,
            kind::PINGRESP => {}
            kind => return Err(format!("a server sends no packet of type {kind}")),
        }
        Ok(())
    }

    fn read_tail(&mut self, body: &mut Reader<'_>, v5: bool) -> Result<(), String> {
        if v5 && !body.0.is_empty() {
            self.code = body.byte()?;
            if !body.0.is_empty() {
                self.properties = body.properties()?;
            }
        }
        Ok(())
    }

    /// The packet as it is compared: properties in the order of their identifiers, User Properties
    /// in their own order, and no reason string, whose words are free.
    #[must_use]
    pub fn normal(&self, version: Version) -> Packet {
        let mut normal = self.clone().without(REASON_STRING);
        normal.properties.sort_by_key(|property| property.id);
        if version != Version::V5 {
            normal.properties.clear();
            if normal.kind() != kind::CONNACK {
                normal.code = 0;
            }
            if normal.kind() == kind::UNSUBACK {
                normal.payload.clear();
            }
        }
        normal
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 16] = [
            "RESERVED",
            "CONNECT",
            "CONNACK",
            "PUBLISH",
            "PUBACK",
            "PUBREC",
            "PUBREL",
            "PUBCOMP",
            "SUBSCRIBE",
            "SUBACK",
            "UNSUBSCRIBE",
            "UNSUBACK",
            "PINGREQ",
            "PINGRESP",
            "DISCONNECT",
            "AUTH",
        ];
        write!(f, "{}", NAMES[usize::from(self.kind())])?;
        if self.kind() == kind::PUBLISH {
            write!(f, " {:?} qos {}", short(&self.topic), self.first >> 1 & 3)?;
            write!(f, "{}", if self.first & 8 != 0 { " dup" } else { "" })?;
            write!(f, "{}", if self.first & 1 != 0 { " retain" } else { "" })?;
        } else if self.first & 0x0F != 0 {
            write!(f, " flags {:#x}", self.first & 0x0F)?;
        }
        if self.id != 0 {
            write!(f, " id {}", self.id)?;
        }
        if self.kind() == kind::CONNACK || self.code != 0 {
            write!(f, " code {:#04x}", self.code)?;
        }
        if self.flags != 0 {
            write!(f, " flags {:#x}", self.flags)?;
        }
        for (filter, options) in &self.filters {
            write!(f, " {:?}/{options:#x}", short(filter))?;
        }
        for property in &self.properties {
            write!(f, " {:#04x}={:?}", property.id, short(&property.value))?;
        }
        match self.kind() {
            kind::PUBLISH => write!(f, " {:?}", short(&self.payload)),
            _ if self.payload.is_empty() => Ok(()),
            _ => write!(f, " {:02x?}", self.payload),
        }
    }
}

/// As much of it as a transcript needs.
fn short(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
    if bytes.len() > 60 { format!("{text}... ({} bytes)", bytes.len()) } else { text.into() }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let taken = self.0.get(..len).ok_or("a field ends beyond its packet")?;
        self.0 = &self.0[len..];
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, String> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn binary(&mut self) -> Result<&'a [u8], String> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    fn properties(&mut self) -> Result<Vec<Property>, String> {
        let (len, n) = read_varint(self.0)?.ok_or("the property length is not whole")?;
        self.take(n)?;
        let mut section = Reader(self.take(len as usize)?);
        let mut properties = Vec::new();
        while !section.0.is_empty() {
            let id = section.byte()?;
            let value = section.take(property::value_len(id, section.0)?)?.to_vec();
            properties.push(Property { id, value });
        }
        Ok(properties)
    }
}

/// A packet from its first byte and all that follows the remaining length.
#[must_use]
pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first][..], &varint(body.len() as u32), body].concat()
}

/// Text with its length.
#[must_use]
pub fn text(text: &str) -> Vec<u8> {
    binary(text.as_bytes())
}

/// Bytes with their length.
#[must_use]
pub fn binary(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// A variable byte integer.
#[must_use]
pub fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A variable byte integer and how many bytes it took; `None` if it is not whole.
fn read_varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, String> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if at == 4 || at > 0 && *byte == 0 {
            return Err("a variable byte integer longer than needed".to_owned());
        }
        value |= u32::from(byte & 0x7F) << (7 * at);
        if *byte < 0x80 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= 4 { Err("a variable byte integer without end".to_owned()) } else { Ok(None) }
}

/// Length of the first packet in `bytes` and of its header; `None` if the header is not whole.
pub(crate) fn frame_len(bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let Some(rest) = bytes.get(1..) else { return Ok(None) };
    let found = read_varint(rest)?;
    Ok(found.map(|(len, n)| (1 + n + len as usize, 1 + n)))
}
