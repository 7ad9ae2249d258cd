//! Values of a row.

use super::super::persisted::Bytes;
use super::tree::varint;
use std::borrow::Cow;

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value<'a> {
    Null,
    Number(i64),
    Real(f64),
    /// Text or a blob.
    Bytes(Bytes<'a>),
}

/// The first values of a record, as many as are wanted at most. `None`: it is damaged.
pub(super) fn values(record: Bytes<'_>, wanted: usize) -> Option<Vec<Value<'_>>> {
    match record {
        Cow::Borrowed(record) => parse(record, wanted),
        // A long row lies on many pages and is ours already.
        Cow::Owned(record) => {
            let values = parse(&record, wanted)?;
            Some(values.into_iter().map(Value::into_owned).collect())
        }
    }
}

fn parse(record: &[u8], wanted: usize) -> Option<Vec<Value<'_>>> {
    let (head_len, kinds) = varint(record)?;
    let head_len = usize::try_from(head_len).ok()?;
    let (_, mut body) = record.split_at_checked(head_len)?;
    let mut kinds = kinds.get(..head_len.checked_sub(record.len() - kinds.len())?)?;
    let mut values = Vec::new();
    while !kinds.is_empty() && values.len() < wanted {
        let (kind, rest) = varint(kinds)?;
        kinds = rest;
        let (value, rest) = value(kind, body)?;
        body = rest;
        values.push(value);
    }
    Some(values)
}

fn value(kind: u64, body: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let len = match kind {
        0 | 8 | 9 => 0,
        1..=4 => kind,
        5 => 6,
        6 | 7 => 8,
        10 | 11 => return None,
        long => (long - 12) / 2,
    };
    let (bytes, rest) = body.split_at_checked(usize::try_from(len).ok()?)?;
    let value = match kind {
        0 => Value::Null,
        1..=6 => Value::Number(number(bytes)),
        7 => Value::Real(f64::from_bits(number(bytes) as u64)),
        8 => Value::Number(0),
        9 => Value::Number(1),
        _ => Value::Bytes(bytes.into()),
    };
    Some((value, rest))
}

/// A number of 1 to 8 bytes with its sign.
fn number(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(sign, |sum, byte| sum << 8 | i64::from(*byte))
}

impl<'a> Value<'a> {
    fn into_owned<'b>(self) -> Value<'b> {
        match self {
            Value::Null => Value::Null,
            Value::Number(number) => Value::Number(number),
            Value::Real(real) => Value::Real(real),
            Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        }
    }

    /// As a number; what is none is 0.
    pub(super) fn as_number(&self) -> i64 {
        match self {
            Value::Number(number) => *number,
            Value::Real(real) => *real as i64,
            Value::Null | Value::Bytes(_) => 0,
        }
    }

    /// As text. A column may make numbers of text that looks like one.
    pub(super) fn into_text(self) -> Bytes<'a> {
        match self {
            Value::Null => Bytes::default(),
            Value::Number(number) => Cow::Owned(number.to_string().into_bytes()),
            Value::Real(real) => Cow::Owned(real.to_string().into_bytes()),
            Value::Bytes(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_their_kinds() {
        let record: &[u8] = &[
            9, 0, 1, 5, 7, 8, 9, 15, 16,   // kinds
            0xFE, // -2
            0, 0, 0, 0, 1, 0, // 256
            0x3F, 0xF8, 0, 0, 0, 0, 0, 0, // 1.5
            b'a', 0xFF, 0xFE,
        ];
        let found = values(record.into(), 99).unwrap();
        let bytes = |bytes: &'static [u8]| Value::Bytes(bytes.into());
        let wanted = [
            Value::Null,
            Value::Number(-2),
            Value::Number(256),
            Value::Real(1.5),
            Value::Number(0),
            Value::Number(1),
            bytes(b"a"),
            bytes(b"\xFF\xFE"),
        ];
        assert_eq!(found, wanted);
        assert_eq!(values(record.to_vec().into(), 2).unwrap(), wanted[..2]);
        for cut in 0..record.len() {
            assert_eq!(values(record[..cut].into(), 99), None, "cut at {cut}");
        }
        assert_eq!(values([2, 10][..].into(), 9), None);
    }

    #[test]
    fn numbers_are_text_where_text_is_wanted() {
        let text = |value: Value<'static>| String::from_utf8(value.into_text().into_owned());
        assert_eq!(text(Value::Number(7)).unwrap(), "7");
        assert_eq!(text(Value::Real(1.5)).unwrap(), "1.5");
        assert_eq!(Value::Bytes(b"7"[..].into()).as_number(), 0);
    }
}
