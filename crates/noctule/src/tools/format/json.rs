//! JSON as cJSON reads and prints it, which is what mosquitto_sub uses: members keep their order
//! and may repeat, numbers are doubles printed as short as C can, and bytes that are no UTF-8 stay
//! what they are.

use std::fmt::Write;

/// Deeper nesting is refused.
const DEPTH_MAX: usize = 1000;

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(Vec<u8>),
    Array(Vec<Json>),
    Object(Vec<(Vec<u8>, Json)>),
}

/// What a string of C holds: all before the first zero byte.
pub(super) fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Reads a text that holds one value and nothing else.
pub(super) fn parse(text: &[u8]) -> Option<Json> {
    let mut reader = Reader { rest: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text) };
    // A zero byte would be the end of the text, and something else behind it.
    if text.contains(&0) {
        return None;
    }
    reader.skip_space();
    let value = reader.value(0)?;
    reader.skip_space();
    reader.rest.is_empty().then_some(value)
}

impl Json {
    pub(super) fn text(text: &str) -> Json {
        Json::Text(text.as_bytes().to_vec())
    }

    pub(super) fn object<'a>(members: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
        let members = members.into_iter();
        Json::Object(members.map(|(name, value)| (name.as_bytes().to_vec(), value)).collect())
    }

    /// Appends the value, in one line or spread over several.
    pub(super) fn print(&self, pretty: bool, out: &mut Vec<u8>) {
        self.print_at(if pretty { Some(0) } else { None }, out);
    }

    fn print_at(&self, depth: Option<usize>, out: &mut Vec<u8>) {
        match self {
            Json::Null => out.extend_from_slice(b"null"),
            Json::Bool(true) => out.extend_from_slice(b"true"),
            Json::Bool(false) => out.extend_from_slice(b"false"),
            Json::Number(number) => out.extend_from_slice(number_text(*number).as_bytes()),
            Json::Text(text) => print_text(text, out),
            Json::Array(values) => {
                out.push(b'[');
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        out.extend_from_slice(if depth.is_some() { b", " } else { b"," });
                    }
                    value.print_at(depth.map(|depth| depth + 1), out);
                }
                out.push(b']');
            }
            Json::Object(members) => print_object(members, depth, out),
        }
    }
}

fn print_object(members: &[(Vec<u8>, Json)], depth: Option<usize>, out: &mut Vec<u8>) {
    let indent = |depth: usize, out: &mut Vec<u8>| out.extend(std::iter::repeat_n(b'\t', depth));
    out.push(b'{');
    if depth.is_some() {
        out.push(b'\n');
    }
    for (at, (name, value)) in members.iter().enumerate() {
        if let Some(depth) = depth {
            indent(depth + 1, out);
        }
        print_text(name, out);
        out.extend_from_slice(if depth.is_some() { b":\t" } else { b":" });
        value.print_at(depth.map(|depth| depth + 1), out);
        if at + 1 < members.len() {
            out.push(b',');
        }
        if depth.is_some() {
            out.push(b'\n');
        }
    }
    if let Some(depth) = depth {
        indent(depth, out);
    }
    out.push(b'}');
}

fn print_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in until_zero(text) {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..32 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// An integer as it is, anything else with 15 digits if they say enough, or with 17.
fn number_text(number: f64) -> String {
    if !number.is_finite() {
        return "null".to_owned();
    }
    let whole = number as i32;
    if f64::from(whole) == number {
        return whole.to_string();
    }
    let short = general(number, 15);
    let read: f64 = short.parse().unwrap_or_default();
    let near = (read - number).abs() <= read.abs().max(number.abs()) * f64::EPSILON;
    if near { short } else { general(number, 17) }
}

/// As `%.*g` of C.
fn general(number: f64, digits: usize) -> String {
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let places = digits as i32 - 1 - exponent;
    if exponent >= -4 && places >= 0 {
        return without_zeros(&format!("{number:.*}", places as usize)).to_owned();
    }
    let mut text = without_zeros(mantissa).to_owned();
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(text, "e{sign}{:02}", exponent.unsigned_abs());
    text
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        let space = self.rest.iter().take_while(|byte| **byte <= b' ').count();
        self.rest = &self.rest[space..];
    }

    fn take(&mut self, text: &[u8]) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        match self.rest.first()? {
            b'n' => self.take(b"null").then_some(Json::Null),
            b't' => self.take(b"true").then_some(Json::Bool(true)),
            b'f' => self.take(b"false").then_some(Json::Bool(false)),
            b'"' => self.text().map(Json::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b'[' | b'{' if depth >= DEPTH_MAX => None,
            b'[' => self.array(depth + 1),
            b'{' => self.object(depth + 1),
            _ => None,
        }
    }

    fn array(&mut self, depth: usize) -> Option<Json> {
        self.take(b"[");
        self.skip_space();
        let mut values = Vec::new();
        if self.take(b"]") {
            return Some(Json::Array(values));
        }
        loop {
            self.skip_space();
            values.push(self.value(depth)?);
            self.skip_space();
            if !self.take(b",") {
                return self.take(b"]").then_some(Json::Array(values));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.take(b"{");
        self.skip_space();
        let mut members = Vec::new();
        if self.take(b"}") {
            return Some(Json::Object(members));
        }
        loop {
            self.skip_space();
            let name = self.text()?;
            self.skip_space();
            if !self.take(b":") {
                return None;
            }
            self.skip_space();
            members.push((name, self.value(depth)?));
            self.skip_space();
            if !self.take(b",") {
                return self.take(b"}").then_some(Json::Object(members));
            }
        }
    }

    /// The longest start that C would read as a number.
    fn number(&mut self) -> Option<Json> {
        let likely = |byte: &u8| byte.is_ascii_digit() || b"+-eE.".contains(byte);
        let end = self.rest.iter().take_while(|byte| likely(byte)).count();
        let text = std::str::from_utf8(&self.rest[..end]).ok()?;
        let end = number_len(text.as_bytes());
        let number = text[..end].parse().ok()?;
        self.rest = &self.rest[end..];
        Some(Json::Number(number))
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        if !self.take(b"\"") {
            return None;
        }
        let mut text = Vec::new();
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(text),
                b'\\' => self.escape(&mut text)?,
                _ => text.push(*byte),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Option<()> {
        let (letter, rest) = self.rest.split_first()?;
        self.rest = rest;
        let byte = match letter {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'"' | b'\\' | b'/' => *letter,
            b'u' => {
                let mut utf8 = [0; 4];
                text.extend_from_slice(self.character()?.encode_utf8(&mut utf8).as_bytes());
                return Some(());
            }
            _ => return None,
        };
        text.push(byte);
        Some(())
    }

    /// The character behind `\u`, which may take two of them.
    fn character(&mut self) -> Option<char> {
        let first = self.four_digits()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first);
        }
        if !self.take(b"\\u") {
            return None;
        }
        let second = self.four_digits().filter(|second| (0xDC00..0xE000).contains(second))?;
        char::from_u32(0x10000 + ((first & 0x3FF) << 10 | second & 0x3FF))
    }

    /// What is no hexadecimal number counts as 0.
    fn four_digits(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        let number = digits
            .iter()
            .try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?));
        Some(number.unwrap_or(0))
    }
}

/// How much of a text `strtod` takes: sign, digits with a point, exponent.
fn number_len(text: &[u8]) -> usize {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = |at: usize| usize::from(matches!(text.get(at), Some(b'+' | b'-')));
    let mut end = sign(0);
    end += digits(end);
    if text.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let start = end + 1 + sign(end + 1);
        let exponent = digits(start.min(text.len()));
        if exponent > 0 {
            end = start + exponent;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> Option<String> {
        let mut out = Vec::new();
        parse(text.as_bytes())?.print(false, &mut out);
        Some(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn values_come_out_as_cjson_prints_them() {
        for (text, expected) in [
            ("null", "null"),
            (" [ true , false ] ", "[true,false]"),
            ("{\"b\":1,\"a\":{},\"b\":[]}", "{\"b\":1,\"a\":{},\"b\":[]}"),
            ("[1,2.50,1e3,1.0,-0.1,-0,01]", "[1,2.5,1000,1,-0.1,0,1]"),
            ("[123456789012345678,1e-7]", "[1.2345678901234568e+17,1e-07]"),
            ("[3.14159265358979312,0.1,0.3]", "[3.1415926535897931,0.1,0.3]"),
            ("[2147483647,2147483648,-2147483648]", "[2147483647,2147483648,-2147483648]"),
            ("[1e400,1e20,123456.7,0.0001,0.00001]", "[null,1e+20,123456.7,0.0001,1e-05]"),
            ("\"\\u00e9\\n\\/\\ud83d\\ude00\"", "\"é\\n/😀\""),
            ("\"a\\u0000b\"", "\"a\""),
            ("\"\t\u{1}\"", "\"\\t\\u0001\""),
            ("\u{feff}1", "1"),
            ("1.", "1"),
        ] {
            assert_eq!(again(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "nul",
            "nullx",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1,}",
            "\"a",
            "\"\\x\"",
            "\"\\u12",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "1 2",
            "-",
            "1\0",
            "1e",
            "+1",
            "[",
        ] {
            assert_eq!(again(text), None, "{text}");
        }
    }

    #[test]
    fn nesting_ends_somewhere() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(again(&nested(1000)).is_some());
        assert!(again(&nested(1001)).is_none());
    }

    #[test]
    fn pretty_is_spread_over_lines() {
        let value = parse(b"{\"a\":[1,{\"x\":null}],\"b\":{}}").expect("JSON");
        let mut out = Vec::new();
        value.print(true, &mut out);
        let expected = "{\n\t\"a\":\t[1, {\n\t\t\t\"x\":\tnull\n\t\t}],\n\t\"b\":\t{\n\t}\n}";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
