//! `noctule store check`: what is damaged, for people and as JSON.

use super::words::{counted, line, size};
use super::{DAMAGED, none, refused, show};
use noctule_store::StoreError;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

pub(super) const EXAMPLES: &str = "\
Examples:
  noctule store check
  noctule store check /srv/noctule --json

Exit status:
  0  nothing is damaged
  1  it could not be done
  2  wrong use
  3  something is damaged";

/// What `check` found.
#[derive(Clone, PartialEq, Debug, Default)]
struct Check {
    files: u64,
    bytes: u64,
    frames: u64,
    /// The end that a crash left in parts: nothing of it was ever acknowledged.
    torn: Option<Span>,
    damages: Vec<Damage>,
}

/// A piece of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Span {
    file: String,
    offset: u64,
    bytes: u64,
}

/// Bytes that are not what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Damage {
    file: String,
    offset: u64,
    what: String,
}

/// Reads everything and verifies it.
pub(super) fn check(directory: &Path, json: bool) -> ExitCode {
    let found = match noctule_store::check(directory) {
        Ok(Some(checked)) => Check::of(checked),
        Ok(None) => return none(directory),
        // Such damage that no broker starts from it.
        Err(StoreError::Damaged { file, offset, what }) => {
            let damages = vec![Damage { file, offset, what: what.to_owned() }];
            Check { damages, ..Check::default() }
        }
        Err(error) => return refused(directory, &error),
    };
    if json {
        show(&format!("{}\n", found.to_json(directory)));
    } else {
        show(&found.to_text(directory));
    }
    if found.is_bad() { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS }
}

impl Check {
    fn of(checked: noctule_store::log::Checked) -> Check {
        let what = "this is not what was written; messages that lie here may be lost";
        let damage = |it: noctule_store::log::Damage| Damage {
            file: it.file,
            offset: it.offset,
            what: what.to_owned(),
        };
        Check {
            files: checked.segments + checked.cold_files,
            bytes: checked.bytes,
            frames: checked.frames,
            torn: checked.torn.map(|it| Span {
                file: it.file.to_string(),
                offset: it.offset,
                bytes: it.bytes,
            }),
            damages: checked.damaged.into_iter().map(damage).collect(),
        }
    }

    fn to_text(&self, directory: &Path) -> String {
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

    fn to_json(&self, directory: &Path) -> Value {
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
    fn is_bad(&self) -> bool {
        !self.damages.is_empty()
    }
}

impl Span {
    fn to_json(&self) -> Value {
        json!({"file": self.file, "offset": self.offset, "bytes": self.bytes})
    }
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
