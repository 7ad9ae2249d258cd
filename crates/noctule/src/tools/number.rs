//! Numbers as C reads them: what stands at the start counts, and nothing is 0.
//!
//! The command lines of mosquitto's tools are read like this: `-q 1st` is QoS 1, `-C ten` is 0.

/// The number at the start of the text, as `atoi` reads it; beyond 64 bits it saturates, and of
/// the rest the lower 32 bits count.
pub(super) fn atoi(text: &[u8]) -> i32 {
    atol(text) as i32
}

/// As [`atoi`], in 64 bits.
pub(super) fn atol(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (sign, digits) = sign(text);
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0i64, |number, digit| push(number, sign, 10, i64::from(digit - b'0')))
}

/// A whole number in decimal, hexadecimal (`0x`) or octal (`0`), as `strtoll` reads it with base
/// 0. `None` if there is anything else in the text.
pub(super) fn whole(text: &[u8]) -> Option<i64> {
    let (sign, digits) = sign(text.trim_ascii_start());
    let (radix, digits) = match digits {
        [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (16, rest),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        _ => (10, digits),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0i64, |number, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        Some(push(number, sign, i64::from(radix), i64::from(digit)))
    })
}

/// The fraction at the start of the text, as `atof` reads it (decimal notation only).
pub(super) fn atof(text: &[u8]) -> f64 {
    let text = text.trim_ascii_start();
    let text = &text[..text.iter().take_while(|byte| byte.is_ascii()).count()];
    let text = std::str::from_utf8(text).unwrap_or_default();
    let likely = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    let mut end = text.find(|c| !likely(c)).unwrap_or(text.len());
    while end > 0 {
        if let Ok(number) = text[..end].parse() {
            return number;
        }
        end -= 1;
    }
    0.0
}

fn sign(text: &[u8]) -> (i64, &[u8]) {
    match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    }
}

fn push(number: i64, sign: i64, radix: i64, digit: i64) -> i64 {
    number.saturating_mul(radix).saturating_add(sign * digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_at_the_start_counts() {
        for (text, number) in [
            ("12", 12),
            (" \t-7x", -7),
            ("+3.9", 3),
            ("", 0),
            ("x1", 0),
            ("-", 0),
            ("4294967297", 1),
            ("2147483648", i32::MIN),
            ("99999999999999999999", -1),
        ] {
            assert_eq!(atoi(text.as_bytes()), number, "{text}");
        }
        assert_eq!(atol(b"-99999999999999999999"), i64::MIN);
    }

    #[test]
    fn a_whole_number_allows_nothing_else() {
        for (text, number) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("0x1F", Some(31)),
            ("010", Some(8)),
            (" 5", Some(5)),
            ("5 ", None),
            ("", None),
            ("-", None),
            ("0x", None),
            ("08", None),
            ("5s", None),
        ] {
            assert_eq!(whole(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn a_fraction_ends_where_it_ends() {
        for (text, number) in
            [("1.5", 1.5), ("1.5x", 1.5), ("-2e1e", -20.0), (".5", 0.5), ("e5", 0.0), ("", 0.0)]
        {
            assert!((atof(text.as_bytes()) - number).abs() < f64::EPSILON, "{text}");
        }
        assert!((atof("2ß".as_bytes()) - 2.0).abs() < f64::EPSILON);
    }
}
