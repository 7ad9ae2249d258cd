//! Counts and sizes as people read them.

use std::fmt::Write as _;

/// Appends a line that belongs to a headline.
pub(super) fn line(text: &mut String, words: &str) {
    writeln!(text, "  {words}").expect("writing to a String cannot fail");
}

/// A count with its noun.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let many = if count == 1 { "" } else { "s" };
    format!("{} {noun}{many}", grouped(count))
}

/// Digits with a comma every three.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in a unit that fits.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let fits = |unit: usize| bytes < 10_000 << (10 * unit) || unit == UNITS.len() - 1;
    let unit = (0..UNITS.len()).find(|unit| fits(*unit)).unwrap_or(0);
    format!("{} {}", grouped(bytes >> (10 * unit)), UNITS[unit])
}
