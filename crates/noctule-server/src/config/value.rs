//! One value of the file: how it is written, and what is wrong with a bad one.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// A place in the configuration that a value of the file goes to.
pub(super) trait Value {
    /// The present value as the file would say it; `None` if it has no spelling (not set).
    fn show(&self) -> Option<String>;

    /// Takes the value of the file, or says what would be right.
    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String>;
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things, or a unit that the option's name ends with.
    Plain,
    /// Bytes; may be written `"64 KiB"`.
    Bytes,
    /// The same, the greatest number being `"no bound"`.
    BytesOrNoBound,
    /// Things, the greatest number being `"no bound"`.
    OrNoBound,
    /// Seconds, the greatest number being `"never"`.
    SecsOrNever,
}

/// A number within a range.
pub(super) struct Number<'a, T> {
    pub(super) slot: &'a mut T,
    pub(super) range: RangeInclusive<u64>,
    pub(super) unit: Unit,
}

/// One of a few words.
pub(super) struct Choice<'a, T: 'static> {
    pub(super) slot: &'a mut T,
    pub(super) words: &'static [(&'static str, T)],
}

/// One of a few words, or not set.
pub(super) struct ChoiceOrNone<'a, T: 'static> {
    pub(super) slot: &'a mut Option<T>,
    pub(super) words: &'static [(&'static str, T)],
}

/// Valid text, checked by `check`.
pub(super) struct Text<'a> {
    pub(super) slot: &'a mut Box<str>,
    pub(super) check: fn(&str) -> Result<(), String>,
}

/// A list of texts, each checked by `check`; one alone needs no brackets.
pub(super) struct Texts<'a> {
    pub(super) slot: &'a mut Vec<Box<str>>,
    pub(super) check: fn(&str) -> Result<(), String>,
}

/// A number of threads; 0 = chosen at start.
pub(super) struct Auto<'a> {
    pub(super) slot: &'a mut Option<NonZeroU16>,
    pub(super) max: u16,
}

const BYTE_UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl<T> Value for Number<'_, T>
where
    T: Copy + TryFrom<u64>,
    u64: From<T>,
{
    fn show(&self) -> Option<String> {
        let number = u64::from(*self.slot);
        Some(match self.unit {
            Unit::SecsOrNever if number == *self.range.end() => "\"never\"".into(),
            Unit::BytesOrNoBound | Unit::OrNoBound if number == *self.range.end() => {
                "\"no bound\"".into()
            }
            Unit::Plain | Unit::OrNoBound | Unit::SecsOrNever => digits(number),
            Unit::Bytes | Unit::BytesOrNoBound => show_bytes(number),
        })
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let number = match (self.unit, value) {
            (Unit::BytesOrNoBound | Unit::OrNoBound, DeValue::String(text))
                if text == "no bound" =>
            {
                Some(*self.range.end())
            }
            (Unit::Bytes | Unit::BytesOrNoBound, DeValue::String(text)) => parse_bytes(text),
            (Unit::SecsOrNever, DeValue::String(text)) if text == "never" => {
                Some(*self.range.end())
            }
            (_, DeValue::Integer(_)) => Some(integer(value).ok_or_else(|| self.wanted())?),
            _ => None,
        };
        let number = number.ok_or_else(|| format!("{} expected", self.kind()))?;
        if !self.range.contains(&number) {
            return Err(self.wanted());
        }
        *self.slot = T::try_from(number).map_err(|_| self.wanted())?;
        Ok(())
    }
}

impl<T> Number<'_, T> {
    fn kind(&self) -> &'static str {
        match self.unit {
            Unit::Plain => "a whole number",
            Unit::Bytes => "a number of bytes, like 65536 or \"64 KiB\",",
            Unit::BytesOrNoBound => "a number of bytes, like \"64 GiB\", or \"no bound\"",
            Unit::OrNoBound => "a whole number or \"no bound\"",
            Unit::SecsOrNever => "a number of seconds or \"never\"",
        }
    }

    fn wanted(&self) -> String {
        format!("must lie between {} and {}", self.range.start(), self.range.end())
    }
}

impl Value for &mut bool {
    fn show(&self) -> Option<String> {
        Some((**self).to_string())
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        **self = value.as_bool().ok_or("true or false expected, without quotes")?;
        Ok(())
    }
}

impl Value for &mut Option<bool> {
    fn show(&self) -> Option<String> {
        self.map(|it| it.to_string())
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        **self = Some(value.as_bool().ok_or("true or false expected, without quotes")?);
        Ok(())
    }
}

impl<T: Copy + PartialEq> Value for Choice<'_, T> {
    fn show(&self) -> Option<String> {
        self.words.iter().find(|(_, it)| it == self.slot).map(|(word, _)| format!("\"{word}\""))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        *self.slot = choose(self.words, value)?;
        Ok(())
    }
}

impl<T: Copy + PartialEq> Value for ChoiceOrNone<'_, T> {
    fn show(&self) -> Option<String> {
        let mut slot = (*self.slot)?;
        Choice { slot: &mut slot, words: self.words }.show()
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        *self.slot = Some(choose(self.words, value)?);
        Ok(())
    }
}

/// The meaning of the word, or which words there are.
fn choose<T: Copy>(words: &[(&str, T)], value: &DeValue<'_>) -> Result<T, String> {
    let said = value.as_str().unwrap_or_default();
    if let Some((_, it)) = words.iter().find(|(word, _)| *word == said) {
        return Ok(*it);
    }
    let mut text = String::from("must be ");
    for (at, (word, _)) in words.iter().enumerate() {
        let joint = match at {
            0 => "",
            _ if at + 1 == words.len() => " or ",
            _ => ", ",
        };
        write!(text, "{joint}\"{word}\"").expect("writing to a String cannot fail");
    }
    Err(text)
}

impl Value for Text<'_> {
    fn show(&self) -> Option<String> {
        Some(quoted(self.slot))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let text = value.as_str().ok_or("text in quotes expected")?;
        (self.check)(text)?;
        *self.slot = text.into();
        Ok(())
    }
}

impl Value for Texts<'_> {
    fn show(&self) -> Option<String> {
        Some(list(&*self.slot))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let said = one_or_more(value).ok_or("text in quotes expected, or a list of texts")?;
        said.iter().try_for_each(|text| (self.check)(text))?;
        *self.slot = said.into_iter().map(Into::into).collect();
        Ok(())
    }
}

/// The texts of a list; `None`: it is anything else.
pub(super) fn texts<'v>(value: &'v DeValue<'_>) -> Option<Vec<&'v str>> {
    value.as_array()?.iter().map(|it| it.get_ref().as_str()).collect()
}

/// The same; one text alone needs no brackets.
pub(super) fn one_or_more<'v>(value: &'v DeValue<'_>) -> Option<Vec<&'v str>> {
    value.as_str().map(|text| vec![text]).or_else(|| texts(value))
}

/// A list of texts as TOML writes it.
pub(super) fn list(texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

impl Value for Auto<'_> {
    fn show(&self) -> Option<String> {
        Some(self.slot.map_or(0, NonZeroU16::get).to_string())
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let wanted = || format!("must be 0 (as many as cores) or lie between 1 and {}", self.max);
        let number = integer(value).and_then(|n| u16::try_from(n).ok());
        *self.slot = match number.filter(|n| *n <= self.max) {
            Some(number) => NonZeroU16::new(number),
            None => return Err(wanted()),
        };
        Ok(())
    }
}

impl Value for &mut IpAddr {
    fn show(&self) -> Option<String> {
        Some(format!("\"{}\"", **self))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let wanted = "an IP address expected, like \"127.0.0.1\", \"::1\" or \"0.0.0.0\" (all)";
        **self = value.as_str().and_then(|text| text.parse().ok()).ok_or(wanted)?;
        Ok(())
    }
}

impl Value for &mut SocketAddr {
    fn show(&self) -> Option<String> {
        Some(format!("\"{}\"", **self))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let wanted = "an IP address and port expected, like \"127.0.0.1:18831\"";
        **self = value.as_str().and_then(|text| text.parse().ok()).ok_or(wanted)?;
        Ok(())
    }
}

impl Value for &mut Option<PathBuf> {
    fn show(&self) -> Option<String> {
        self.as_ref().map(|path| quoted(&path.to_string_lossy()))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        // A broker that is started from elsewhere must not begin with an empty store.
        let wanted = "a directory expected, from the root on, like \"/var/lib/noctule\"";
        let path = value.as_str().map(Path::new).filter(|path| path.is_absolute());
        **self = Some(path.ok_or(wanted)?.into());
        Ok(())
    }
}

/// Text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A whole number that is not negative and fits.
pub(super) fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim();
    if unit.is_empty() || unit == "B" {
        return Some(number);
    }
    let (_, factor) = BYTE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

pub(super) fn show_bytes(number: u64) -> String {
    let whole =
        BYTE_UNITS.iter().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    match whole {
        Some((unit, factor)) => format!("\"{} {unit}\"", number / factor),
        None => digits(number),
    }
}

/// Digits in groups of three, as TOML allows them.
fn digits(number: u64) -> String {
    let plain = number.to_string();
    if plain.len() < 5 {
        return plain;
    }
    let mut text = String::new();
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}
