//! Packets that are mostly legal: bytes by hand, so that they may also break every rule.
//!
//! Whether a packet carries properties is decided by the script and not by the version of its
//! connection, which makes some of them malformed.

use crate::script::Script;

pub(super) fn connect(script: &mut Script<'_>) -> Vec<u8> {
    let (name, level) = [("MQTT", 5), ("MQTT", 4), ("MQIsdp", 3), ("MQTT", 6)][script.below(4)];
    let v5 = level == 5;
    let flags = script.byte() & 0xFE;
    let mut body = Vec::new();
    text(&mut body, name.as_bytes());
    body.extend([level, flags, 0, script.byte()]);
    if v5 {
        properties(&mut body, script, &[(0x11, 4), (0x21, 2), (0x22, 2), (0x27, 4), (0x15, 0)]);
    }
    text(&mut body, script.client_id().as_bytes());
    if flags & 0x04 != 0 {
        if v5 {
            properties(&mut body, script, &[(0x18, 4), (0x02, 4), (0x01, 1)]);
        }
        text(&mut body, script.topic().as_bytes());
        text(&mut body, script.raw());
    }
    if flags & 0x80 != 0 {
        text(&mut body, b"user");
    }
    if flags & 0x40 != 0 {
        text(&mut body, b"secret");
    }
    packet(0x10, &body)
}

pub(super) fn publish(script: &mut Script<'_>) -> Vec<u8> {
    let flags = script.byte() & 0x0F;
    let mut body = Vec::new();
    text(&mut body, script.topic().as_bytes());
    if flags & 0x06 != 0 {
        packet_id(&mut body, script);
    }
    if script.flag() {
        properties(&mut body, script, &[(0x23, 2), (0x02, 4), (0x01, 1), (0x08, 0), (0x26, 0)]);
    }
    body.extend_from_slice(script.raw());
    packet(0x30 | flags, &body)
}

pub(super) fn subscribe(script: &mut Script<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    packet_id(&mut body, script);
    if script.flag() {
        properties(&mut body, script, &[(0x0B, 1), (0x26, 0)]);
    }
    for _ in 0..=script.below(3) {
        text(&mut body, script.filter().as_bytes());
        body.push(script.byte() & 0x2F);
    }
    packet(0x82, &body)
}

pub(super) fn unsubscribe(script: &mut Script<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    packet_id(&mut body, script);
    if script.flag() {
        properties(&mut body, script, &[(0x26, 0)]);
    }
    for _ in 0..=script.below(2) {
        text(&mut body, script.filter().as_bytes());
    }
    packet(0xA2, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
pub(super) fn ack(script: &mut Script<'_>) -> Vec<u8> {
    let first = [0x40, 0x50, 0x62, 0x70][script.below(4)];
    let mut body = Vec::new();
    packet_id(&mut body, script);
    if script.flag() {
        body.push([0x00, 0x10, 0x80, 0x92][script.below(4)]);
    }
    packet(first, &body)
}

/// PINGREQ, DISCONNECT, AUTH.
pub(super) fn other(script: &mut Script<'_>) -> Vec<u8> {
    match script.below(4) {
        0 => packet(0xC0, &[]),
        1 => packet(0xE0, &[]),
        2 => {
            let mut body = vec![[0x00, 0x04][script.below(2)]];
            properties(&mut body, script, &[(0x11, 4), (0x1F, 0)]);
            packet(0xE0, &body)
        }
        _ => {
            let mut body = vec![[0x18, 0x19, 0x00][script.below(3)]];
            properties(&mut body, script, &[(0x15, 0), (0x16, 0)]);
            packet(0xF0, &body)
        }
    }
}

/// A few of the given properties: an identifier, and the length of its number, 0 for text.
fn properties(out: &mut Vec<u8>, script: &mut Script<'_>, known: &[(u8, usize)]) {
    let mut section = Vec::new();
    for _ in 0..script.below(4) {
        let (id, len) = known[script.below(known.len())];
        section.push(id);
        match len {
            0 if id == 0x26 => {
                text(&mut section, b"name");
                text(&mut section, b"value");
            }
            0 => text(&mut section, b"text"),
            len => {
                section.resize(section.len() + len - 1, 0);
                section.push(script.byte());
            }
        }
    }
    out.push(u8::try_from(section.len()).expect("three properties are short"));
    out.extend_from_slice(&section);
}

/// One of a few, so that they meet again; 0 is among them.
fn packet_id(out: &mut Vec<u8>, script: &mut Script<'_>) {
    out.extend([0, script.byte() & 0x07]);
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    let len = u16::try_from(text.len()).expect("texts of a script are short");
    out.extend(len.to_be_bytes());
    out.extend_from_slice(text);
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut rest = body.len();
    while rest > 0x7F {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out.extend_from_slice(body);
    out
}
