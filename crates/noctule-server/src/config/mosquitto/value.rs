//! How values are written in mosquitto.conf, and what was said.

use super::lines::Place;
use super::options::{Fate, Kind, Known};
use std::collections::BTreeMap;

/// A value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Flag(bool),
    Number(i64),
    Text(Box<str>),
}

/// What was said of the options of one thing, by their names of today.
#[derive(Clone, Default, Debug)]
pub(super) struct Values(BTreeMap<&'static str, (Value, Place)>);

impl Values {
    /// Takes a value, in place of one that was there.
    pub(super) fn set(&mut self, name: &'static str, value: Value, place: &Place) {
        self.0.insert(name, (value, place.clone()));
    }

    pub(super) fn place(&self, name: &str) -> Option<&Place> {
        self.0.get(name).map(|(_, place)| place)
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.0.get(name)?.0 {
            Value::Flag(flag) => Some(flag),
            Value::Number(_) | Value::Text(_) => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        match self.0.get(name)?.0 {
            Value::Number(number) => Some(number),
            Value::Flag(_) | Value::Text(_) => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match &self.0.get(name)?.0 {
            Value::Text(text) => Some(text),
            Value::Flag(_) | Value::Number(_) => None,
        }
    }

    /// Everything that was said.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.0.values().map(|(_, place)| place)
    }
}

/// The value of an option, or what is wrong with it.
pub(super) fn parse(known: &Known, rest: &str) -> Result<Value, String> {
    if rest.is_empty() && !matches!(known.kind, Kind::Anything) {
        return Err("has no value".into());
    }
    // More words behind the first are passed over, as mosquitto does.
    let word = rest.split(' ').next().unwrap_or_default();
    let value = match &known.kind {
        Kind::Flag => match word {
            "true" | "1" => Value::Flag(true),
            "false" | "0" => Value::Flag(false),
            _ => return Err(format!("{word:?} must be true or false (or 1 or 0)")),
        },
        Kind::Number(range) => {
            let number = number(word).ok_or_else(|| format!("{word:?} must be a whole number"))?;
            if !range.contains(&number) {
                let (least, most) = (range.start(), range.end());
                return Err(format!("{number} must lie between {least} and {most}"));
            }
            Value::Number(number)
        }
        Kind::Word(words) => match words.iter().find(|it| **it == word) {
            Some(word) => Value::Text((*word).into()),
            None => return Err(format!("{word:?} must be one of: {}", words.join(", "))),
        },
        Kind::Text | Kind::LastText | Kind::Anything | Kind::Own => Value::Text(rest.into()),
    };
    match known.fate {
        Fate::Only(only, why) if !is(&value, only) => Err(why.into()),
        Fate::Refused(why) => Err(why.into()),
        Fate::Only(..) | Fate::Becomes(_) | Fate::Noted(_) => Ok(value),
    }
}

/// Whether a value is the one that these words write.
fn is(value: &Value, words: &str) -> bool {
    match value {
        Value::Flag(flag) => words == if *flag { "true" } else { "false" },
        Value::Number(number) => words == number.to_string(),
        Value::Text(text) => words == &**text,
    }
}

/// A number as C reads it: 0x16, 020 and 16 are the same.
pub(super) fn number(word: &str) -> Option<i64> {
    let (negative, digits) = match word.as_bytes().first()? {
        b'-' => (true, &word[1..]),
        b'+' => (false, &word[1..]),
        _ => (false, word),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

/// Seconds as in `2w`: a number, and s, h, d, w, m or y.
pub(super) fn duration(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let secs = match unit {
        's' => 1,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        'm' => 30 * 86_400,
        'y' => 365 * 86_400,
        _ => return None,
    };
    let number: i64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(secs).filter(|secs| *secs > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_c() {
        for (text, wanted) in [
            ("16", Some(16)),
            ("0x10", Some(16)),
            ("020", Some(16)),
            ("-1", Some(-1)),
            ("+3", Some(3)),
            ("0", Some(0)),
            ("", None),
            ("-", None),
            ("0x", None),
            ("1k", None),
            ("--1", None),
            ("08", None),
            ("é", None),
        ] {
            assert_eq!(number(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        for (text, wanted) in [
            ("2w", Some(1_209_600)),
            ("1m", Some(2_592_000)),
            ("5", None),
            ("0d", None),
            ("é", None),
        ] {
            assert_eq!(duration(text), wanted, "{text}");
        }
    }
}
