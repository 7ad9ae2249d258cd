//! What a check of a store found, for people and as JSON.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// What `check` found.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Check {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) frames: u64,
    /// The end that a crash left in parts: nothing of it was ever acknowledged.
    pub(super) torn: Option<Span>,
    pub(super) damages: Vec<Damage>,
}

/// A piece of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) file: String,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Bytes that are not what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Damage {
    pub(super) file: String,
    pub(super) offset: u64,
    pub(super) what: String,
}

impl Check {
    pub(super) fn to_text(&self, directory: &Path) -> String {
        let whole = if self.damages.is_empty() { "nothing is damaged" } else { "damaged" };
        let mut text = format!(
            "{}: {whole}\n  {}, {}, {}\n",
            directory.display(),
            counted(self.files, "file"),
            size(self.bytes),
            counted(self.frames, "frame")
        );
        for Damage { file, offset, what } in &self.damages {
            line(&mut text, &format!("{file} at byte {offset}: {what}"));
        }
        if let Some(Span { file, offset, bytes }) = &self.torn {
            line(
                &mut text,
                &format!(
                    "the end is torn: {bytes} bytes from byte {offset} of {file} were never \
                     acknowledged; the next start cuts them off"
                ),
            );
        }
        text
    }

    pub(super) fn to_json(&self, directory: &Path) -> Value {
        let damage = |it: &Damage| json!({"file": it.file, "offset": it.offset, "what": it.what});
        json!({
            "directory": directory.display().to_string(),
            "files": self.files,
            "bytes": self.bytes,
            "frames": self.frames,
            "torn": self.torn.as_ref().map(Span::to_json),
            "damages": self.damages.iter().map(damage).collect::<Vec<_>>(),
        })
    }

    /// Whether the exit code says so.
    pub(super) fn is_bad(&self) -> bool {
        !self.damages.is_empty()
    }
}

impl Span {
    fn to_json(&self) -> Value {
        json!({"file": self.file, "offset": self.offset, "bytes": self.bytes})
    }
}

fn line(text: &mut String, words: &str) {
    writeln!(text, "  {words}").expect("writing to a String cannot fail");
}

fn counted(count: u64, noun: &str) -> String {
    let many = if count == 1 { "" } else { "s" };
    format!("{} {noun}{many}", grouped(count))
}

/// Digits with a comma every three.
fn grouped(count: u64) -> String {
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

fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let fits = |unit: usize| bytes < 10_000 << (10 * unit) || unit == UNITS.len() - 1;
    let unit = (0..UNITS.len()).find(|unit| fits(*unit)).unwrap_or(0);
    format!("{} {}", grouped(bytes >> (10 * unit)), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span() -> Span {
        Span { file: "log-3".into(), offset: 4096, bytes: 512 }
    }

    #[test]
    fn a_torn_end_is_told_and_is_no_damage() {
        let check =
            Check { files: 1, bytes: 1 << 20, frames: 1234, torn: Some(span()), damages: vec![] };
        assert!(!check.is_bad());
        assert_eq!(
            check.to_text(Path::new("/d")),
            "/d: nothing is damaged\n  1 file, 1,024 KiB, 1,234 frames\n  the end is torn: 512 \
             bytes from byte 4096 of log-3 were never acknowledged; the next start cuts them off\n"
        );
        let value = check.to_json(Path::new("/d"));
        assert_eq!(value["torn"], json!({"file": "log-3", "offset": 4096, "bytes": 512}));
        assert_eq!(value["damages"], json!([]));
    }

    #[test]
    fn damage_names_file_and_place() {
        let what = "its checksum is wrong".to_owned();
        let damages = vec![Damage { file: "log-3".into(), offset: 64, what }];
        let check = Check { files: 2, damages, ..Check::default() };
        assert!(check.is_bad());
        let text = check.to_text(Path::new("/d"));
        assert!(text.starts_with("/d: damaged\n  2 files, 0 B, 0 frames\n"), "{text}");
        assert!(text.ends_with("  log-3 at byte 64: its checksum is wrong\n"), "{text}");
        assert_eq!(check.to_json(Path::new("/d"))["damages"][0]["offset"], 64);
    }
}
