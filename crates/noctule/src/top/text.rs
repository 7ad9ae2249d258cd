//! What others wrote, made fit for a terminal; numbers, made fit for people.

use std::fmt::Write as _;
use std::time::Duration;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// So many marks may sit on one letter: enough for every script, too few to climb over lines.
const MARKS_MAX: usize = 3;

/// The text with everything visible and nothing that a terminal would obey: control characters,
/// changes of direction and what has no width are spelled out.
pub(super) fn readable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = MARKS_MAX;
    for c in text.chars() {
        match c.width() {
            Some(0) if marks < MARKS_MAX && !is_format(c) => {
                marks += 1;
                out.push(c);
            }
            Some(1..) if !is_format(c) => {
                marks = 0;
                out.push(c);
            }
            Some(_) | None => {
                marks = MARKS_MAX;
                spell(&mut out, c);
            }
        }
    }
    out
}

fn spell(out: &mut String, c: char) {
    let spelled = match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c if c.is_ascii() => write!(out, "\\x{:02x}", u32::from(c)),
        c => write!(out, "\\u{{{:x}}}", u32::from(c)),
    };
    spelled.expect("writing to a String cannot fail");
}

/// Characters that steer the text around them instead of being seen.
fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The beginning of a readable text that fits into so many columns, with a mark if that is not all.
pub(super) fn cut(text: &str, columns: usize) -> String {
    let mut width = 0;
    let mut fits = 0;
    for (at, c) in text.char_indices() {
        width += c.width().unwrap_or(0);
        if width > columns {
            let mut cut = text[..fits].to_owned();
            if columns > 0 {
                cut.push('…');
            }
            return cut;
        }
        if width < columns {
            fits = at + c.len_utf8();
        }
    }
    text.to_owned()
}

/// The text in lines of at most so many columns, broken between words where that can be.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut used = columns;
    for word in text.split(' ') {
        let width = word.width();
        if used + 1 + width <= columns {
            let line = lines.last_mut().expect("less than all columns of a line are used");
            line.push(' ');
            line.push_str(word);
            used += 1 + width;
        } else {
            lines.push(cut(word, columns));
            used = width.min(columns);
        }
    }
    lines
}

/// A count with its thousands apart: `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// So many a second, in at most eight characters.
pub(super) fn rate(number: f64) -> String {
    match number {
        n if n < 0.005 => "0".to_owned(),
        n if n < 10.0 => format!("{n:.2}"),
        n if n < 1000.0 => format!("{n:.1}"),
        n if n < 999_999.5 => count(n.round() as u64),
        n => scaled(n, &["", "k", "M", "G", "T", "P", "E"]),
    }
}

/// Bytes with a unit of thousands: `1.2 MB`.
pub(super) fn bytes(number: f64) -> String {
    match number {
        n if n < 999.5 => format!("{n:.0} B"),
        n => scaled(n, &["B", "kB", "MB", "GB", "TB", "PB", "EB"]),
    }
}

fn scaled(number: f64, units: &[&str]) -> String {
    let mut value = number;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    match value {
        v if v < 9.995 => format!("{v:.2} {}", units[unit]),
        v if v < 99.95 => format!("{v:.1} {}", units[unit]),
        v if v < 9999.5 => format!("{v:.0} {}", units[unit]),
        v => format!("{v:.0e} {}", units[unit]),
    }
}

/// A part of a whole: `12 %`, with a digit more where that says more.
pub(super) fn percent(part: f64) -> String {
    match part * 100.0 {
        p if p > 0.0 && p < 0.1 => "<0.1 %".to_owned(),
        p if p < 9.95 && p > 0.0 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

/// A time as people say it: `3 d 04:05:06`.
pub(super) fn uptime(secs: u64) -> String {
    let (days, hours) = (secs / 86_400, secs / 3600 % 24);
    let (minutes, secs) = (secs / 60 % 60, secs % 60);
    match days {
        0 => format!("{hours}:{minutes:02}:{secs:02}"),
        days => format!("{} d {hours:02}:{minutes:02}:{secs:02}", count(days)),
    }
}

/// A short time: `4 s`, `12 min`.
pub(super) fn age(time: Duration) -> String {
    match time.as_secs() {
        secs @ 0..=119 => format!("{secs} s"),
        secs @ 120..=7199 => format!("{} min", secs / 60),
        secs => format!("{} h", count(secs / 3600)),
    }
}

/// Rates over time as a row of blocks, the latest on the right, scaled to the largest.
pub(super) fn spark(rates: &[Option<f64>], columns: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &rates[rates.len().saturating_sub(columns)..];
    let top = shown.iter().flatten().fold(0.0_f64, |top, rate| top.max(*rate));
    let block = |rate: &Option<f64>| match rate {
        None => ' ',
        Some(rate) if top <= 0.0 || *rate <= 0.0 => BLOCKS[0],
        Some(rate) => BLOCKS[((rate / top * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    shown.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        let hostile = "a\x1b[2J\x07\r\n\t\u{9b}31m\u{7f}\u{202e}b\u{200b}\u{feff}\u{e0041}";
        let text = readable(hostile);
        assert_eq!(
            text,
            "a\\x1b[2J\\x07\\r\\n\\t\\u{9b}31m\\x7f\\u{202e}b\\u{200b}\\u{feff}\\u{e0041}"
        );
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            assert!(readable(&c.to_string()).chars().all(|c| !c.is_control()), "{c:?}");
        }
    }

    #[test]
    fn letters_of_every_script_stay_but_not_towers_of_marks() {
        for text in ["küche", "e\u{301}te\u{301}", "温度", "कि", "🌡"] {
            assert_eq!(readable(text), text);
        }
        let tower = format!("z{}", "\u{335}".repeat(100));
        assert!(readable(&tower).starts_with("z\u{335}\u{335}\u{335}\\u{335}"));
        assert!(readable("\u{301}a").starts_with('\\'), "a mark needs a letter under it");
    }

    #[test]
    fn a_cut_text_fits_and_says_that_it_is_cut() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("温度計", 5), "温度…");
        assert_eq!(cut("温度計", 4), "温…");
        assert_eq!(cut("温度計", 1), "…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn a_text_is_wrapped_between_words_and_fits_any_width() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("温度 a", 4), ["温度", "a"]);
        for columns in 0..20 {
            let lines = wrap("a incomprehensibly long 温度計 x", columns);
            assert!(lines.iter().all(|line| line.width() <= columns), "{lines:?}");
        }
    }

    #[test]
    fn numbers_of_every_size_are_short() {
        let cases = [(0.0, "0"), (0.25, "0.25"), (12.34, "12.3"), (12_345.6, "12,346")];
        for (number, text) in cases {
            assert_eq!(rate(number), text);
        }
        assert_eq!(rate(12_345_678.0), "12.3 M");
        for number in [1e9, 1e18, u64::MAX as f64, f64::MAX] {
            assert!(rate(number).len() <= 9 && bytes(number).len() <= 9, "{number}");
        }
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(count(999), "999");
        assert_eq!(bytes(1_234_567.0), "1.23 MB");
        assert_eq!(bytes(999.0), "999 B");
        assert_eq!([percent(0.0), percent(0.0001), percent(0.05)], ["0 %", "<0.1 %", "5.0 %"]);
        assert_eq!(uptime(3 * 86_400 + 4 * 3600 + 5 * 60 + 6), "3 d 04:05:06");
        assert_eq!(uptime(61), "0:01:01");
        assert_eq!(age(Duration::from_secs(130)), "2 min");
    }

    #[test]
    fn a_spark_shows_the_latest_and_leaves_gaps() {
        assert_eq!(spark(&[Some(8.0), None, Some(0.0), Some(4.0), Some(8.0)], 4), " ▁▄█");
        assert_eq!(spark(&[Some(0.0)], 4), "▁");
        assert_eq!(spark(&[], 4), "");
        assert_eq!(spark(&[Some(f64::MAX)], 0), "");
    }
}
