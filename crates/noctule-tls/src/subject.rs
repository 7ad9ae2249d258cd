//! The name of whom a certificate is for, as text.

use crate::certificate::{
    Der, IA5_STRING, OID, PRINTABLE_STRING, SEQUENCE, SET, TELETEX_STRING, UTF8_STRING,
};
use std::fmt::Write as _;

const BMP_STRING: u8 = 0x1e;

/// Attributes by the names that RFC 4514 and OpenSSL give them.
const NAMES: [(&[u8], &str); 14] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 42], "GN"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// A name as RFC 2253 writes it: the last part first, and what is not ASCII as its bytes. That is
/// what mosquitto takes for a user name (`use_subject_as_username`).
pub(crate) fn text(name: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut sets = Der(name);
    while let Some((tag, content, _)) = sets.next() {
        if tag != SET {
            return None;
        }
        let mut values = Vec::new();
        let mut attributes = Der(content);
        while let Some((SEQUENCE, content, _)) = attributes.next() {
            values.push(attribute(content)?);
        }
        parts.push(values.join("+"));
    }
    parts.reverse();
    Some(parts.join(",")).filter(|text| !text.is_empty())
}

fn attribute(content: &[u8]) -> Option<String> {
    let mut attribute = Der(content);
    let id = attribute.expect(OID)?;
    let (tag, value, whole) = attribute.next()?;
    let known = NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| *name);
    let mut text = known.map_or_else(|| dotted(id), str::to_owned);
    text.push('=');
    match characters(tag, value).filter(|_| known.is_some()) {
        Some(value) => escape(&value, &mut text),
        None => {
            text.push('#');
            for byte in whole {
                write!(text, "{byte:02X}").expect("writing to a String cannot fail");
            }
        }
    }
    Some(text)
}

fn characters(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8_STRING | PRINTABLE_STRING | TELETEX_STRING | IA5_STRING => {
            str::from_utf8(value).ok().map(str::to_owned)
        }
        BMP_STRING if value.len().is_multiple_of(2) => {
            let units = value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16(&units.collect::<Vec<_>>()).ok()
        }
        _ => None,
    }
}

fn escape(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        let special = match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            '#' => at == 0,
            ' ' => at == 0 || at == last,
            _ => false,
        };
        if special {
            text.push('\\');
            text.push(character);
        } else if character.is_ascii() && !character.is_ascii_control() {
            text.push(character);
        } else {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                write!(text, "\\{byte:02X}").expect("writing to a String cannot fail");
            }
        }
    }
}

/// An object identifier in digits.
fn dotted(id: &[u8]) -> String {
    let mut text = String::new();
    let mut number: u64 = 0;
    for byte in id {
        number = number.saturating_mul(128).saturating_add(u64::from(byte & 0x7f));
        if byte & 0x80 != 0 {
            continue;
        }
        if text.is_empty() {
            let first = (number / 40).min(2);
            text = format!("{first}.{}", number - first * 40);
        } else {
            write!(text, ".{number}").expect("writing to a String cannot fail");
        }
        number = 0;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, content.len() as u8], content].concat()
    }

    fn part(attributes: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
        let one = |(id, tag, value): &(&[u8], u8, &[u8])| {
            der(SEQUENCE, &[der(OID, id), der(*tag, value)].concat())
        };
        der(SET, &attributes.iter().map(one).collect::<Vec<_>>().concat())
    }

    #[test]
    fn names_are_written_as_openssl_writes_them() {
        let (cn, o, c): (&[u8], &[u8], &[u8]) = (&[0x55, 4, 3], &[0x55, 4, 10], &[0x55, 4, 6]);
        let name = [
            part(&[(c, PRINTABLE_STRING, b"DE")]),
            part(&[(o, UTF8_STRING, " Größe, \"A+B\" ".as_bytes())]),
            part(&[(cn, UTF8_STRING, b"ann"), (&[0x2a, 3, 0x84, 1], UTF8_STRING, b"x")]),
            part(&[(cn, BMP_STRING, &[0, b'#', 0, b'b'])]),
        ]
        .concat();
        let expected =
            "CN=\\#b,CN=ann+1.2.3.513=#0C0178,O=\\ Gr\\C3\\B6\\C3\\9Fe\\, \\\"A\\+B\\\"\\ ,C=DE";
        assert_eq!(text(&name).as_deref(), Some(expected));
        assert_eq!(text(&[]), None);
        assert_eq!(text(&[0x30, 0]), None);
    }
}
