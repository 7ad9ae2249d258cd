//! `-F`: how a message is printed.
//!
//! A format is parsed once; printing is a pure function of a message and a time. The letters are
//! those of mosquitto_sub 2.1, and so is every odd corner that a script may have come to rely on.

mod clock;
mod field;
mod json;

pub(super) use clock::Moment;

use super::flags::Misuse;
use field::Field;
use noctule_client::Message;

/// Characters that may separate groups of hexadecimal digits.
const SEPARATORS: &[u8] = b"!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~ ";

/// Above this, width and precision count no further.
const WIDTH_MAX: usize = 1 << 20;

/// A parsed format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Format(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Literal(Vec<u8>),
    Field(Field, Spec),
    /// `@X`: the time, as `%X` of strftime.
    Time(u8),
}

/// What stands between `%` and the letter.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Spec {
    /// Bytes at least (of payloads: at most, too); 0 for as many as there are.
    width: usize,
    precision: Option<usize>,
    /// Between groups of `precision` hexadecimal digits.
    separator: u8,
    left: bool,
    pad: u8,
}

/// A message, and what is told beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    pub(super) message: &'a Message,
    /// The packet identifier it came with; 0 at QoS 0.
    pub(super) packet_id: u16,
    pub(super) moment: &'a Moment,
    /// Whether JSON is spread over lines.
    pub(super) pretty: bool,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec { width: 0, precision: None, separator: b' ', left: false, pad: b' ' }
    }
}

impl Format {
    /// Reads the value of `-F`.
    pub(super) fn parse(text: &[u8]) -> Result<Format, Misuse> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let [first, behind @ ..] = rest {
            rest = match first {
                b'%' => {
                    let (field, spec, behind) = parse_field(behind)?;
                    pieces.push(Piece::Field(field, spec));
                    behind
                }
                b'@' => {
                    let [letter, behind @ ..] = behind else { return Err(incomplete("format")) };
                    pieces.push(match letter {
                        b'@' => Piece::Literal(b"@".to_vec()),
                        letter => Piece::Time(*letter),
                    });
                    behind
                }
                b'\\' => {
                    let [letter, behind @ ..] = behind else { return Err(incomplete("escape")) };
                    let byte = escaped(*letter).ok_or_else(|| invalid("escape", *letter))?;
                    push_literal(&mut pieces, byte);
                    behind
                }
                literal => {
                    push_literal(&mut pieces, *literal);
                    behind
                }
            };
        }
        Ok(Format(pieces))
    }

    /// Appends the message to `out`, and what went wrong to `complaints`.
    pub(super) fn print(&self, shown: Shown<'_>, out: &mut Vec<u8>, complaints: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Field(field, spec) => {
                    if let Err(complaint) = field.print(spec, shown, out) {
                        complaints.extend_from_slice(complaint.as_bytes());
                    }
                }
                Piece::Time(letter) => out.extend(shown.moment.strftime(*letter).bytes()),
            }
        }
    }
}

fn push_literal(pieces: &mut Vec<Piece>, byte: u8) {
    match pieces.last_mut() {
        Some(Piece::Literal(bytes)) => bytes.push(byte),
        _ => pieces.push(Piece::Literal(vec![byte])),
    }
}

fn escaped(letter: u8) -> Option<u8> {
    Some(match letter {
        b'\\' => b'\\',
        b'0' => 0,
        b'a' => 7,
        b'e' => 27,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        _ => return None,
    })
}

/// What stands behind a `%`: flag, width, precision, separator and letter.
fn parse_field(text: &[u8]) -> Result<(Field, Spec, &[u8]), Misuse> {
    let mut spec = Spec::default();
    let mut rest = text;
    if let Some(behind) = rest.strip_prefix(b"-") {
        spec.left = true;
        rest = behind;
    }
    if let Some(behind) = rest.strip_prefix(b"0") {
        spec.pad = b'0';
        rest = behind;
    }
    (spec.width, rest) = digits(rest);
    if let Some(behind) = rest.strip_prefix(b".") {
        let (precision, behind) = digits(behind);
        spec.precision = Some(precision);
        rest = behind;
    }
    if rest.is_empty() {
        return Err(incomplete("format"));
    }
    if let [separator, behind @ ..] = rest
        && SEPARATORS.contains(separator)
    {
        spec.separator = *separator;
        rest = behind;
    }
    // Behind a separator the end of the text is read as a letter of its own.
    let (letter, behind) = rest.split_first().unwrap_or((&0, &[]));
    let field = Field::from_letter(*letter).ok_or_else(|| invalid("format", *letter))?;
    Ok((field, spec, behind))
}

fn digits(text: &[u8]) -> (usize, &[u8]) {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(count);
    let number = digits
        .iter()
        .fold(0, |number: usize, digit| (number * 10 + usize::from(digit - b'0')).min(WIDTH_MAX));
    (number, rest)
}

fn incomplete(what: &str) -> Misuse {
    Misuse::line(format!("Incomplete {what} specifier."))
}

fn invalid(what: &str, letter: u8) -> Misuse {
    let start = format!("Invalid {what} specifier '");
    Misuse::line([start.as_bytes(), &[letter], b"'."].concat())
}

#[cfg(test)]
mod tests;
