//! `noctule store snapshot`: a copy that another broker starts from.

use super::words::{counted, line, size};
use super::{AnswerArgs, DAMAGED, none, show};
use crate::failed;
use clap::Args;
use noctule_server::store_directory;
use noctule_store::StoreError;
use noctule_store::log::{Checked, Copied, Damage};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make a consistent copy that a broker starts from, also while one is running.
///
/// The copy has everything that was acknowledged before it began, and whatever came next up to one
/// moment. The broker goes on, and need not know of it; it removes no files meanwhile. The copy is
/// checked when it is complete, and what was not completed is no store.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct SnapshotArgs {
    /// Directory of the copy; it must not exist, or be empty.
    #[arg(value_name = "TO")]
    to: PathBuf,
    /// Directory of the store.
    #[arg(long, value_name = "DIR", visible_alias = "data")]
    from: Option<PathBuf>,
    /// Configuration file of the broker.
    #[arg(short, long, value_name = "FILE", conflicts_with = "from")]
    config: Option<PathBuf>,
    #[command(flatten)]
    answer: AnswerArgs,
}

const EXAMPLES: &str = "\
Examples:
  noctule store snapshot /backup/monday
  noctule store snapshot --from /srv/noctule /backup/monday
  noctule serve --data /backup/monday -p 2883

Exit status:
  0  the copy is complete and whole
  1  it could not be made
  2  wrong use
  3  the copy is complete, and has damage that the store has: a broker starts from both, but some
     messages may be lost (noctule store salvage)";

impl SnapshotArgs {
    /// Does it.
    pub(super) fn run(&self) -> ExitCode {
        let from = match store_directory(self.config.as_deref(), self.from.as_deref()) {
            Ok(directory) => directory,
            Err(error) => return failed(&error),
        };
        let (copied, checked) = match noctule_store::snapshot(&from, &self.to) {
            Ok(Some(done)) => done,
            Ok(None) => return none(&from),
            Err(error) => return self.refused(&from, &error),
        };
        show(&match self.answer.json {
            true => format!("{}\n", to_json(&copied, &checked, (&from, &self.to))),
            false => to_text(&copied, &checked, (&from, &self.to)),
        });
        if checked.damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DAMAGED) }
    }

    fn refused(&self, from: &Path, error: &StoreError) -> ExitCode {
        let to = self.to.display();
        match error {
            StoreError::Io(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                failed(&format!("{to} is not empty: name a directory that does not exist"))
            }
            StoreError::InUse { .. } => failed(&format!("{to} is in use")),
            StoreError::Damaged { .. } => failed(&format!(
                "{}: {error}. A copy would be damaged too: stop the broker and run noctule store \
                 salvage",
                from.display()
            )),
            error => failed(&format!("{} to {to}: {error}", from.display())),
        }
    }
}

fn to_text(copied: &Copied, checked: &Checked, (from, to): (&Path, &Path)) -> String {
    let (files, bytes) = (counted(copied.files, "file"), size(copied.bytes));
    let mut text = format!("{}: a copy of {}\n", to.display(), from.display());
    line(&mut text, &format!("{files}, {bytes}, {}", counted(checked.frames, "frame")));
    for Damage { file, offset } in &checked.damaged {
        let what = "damaged there too; messages that lie here may be lost";
        line(&mut text, &format!("{file} at byte {offset}: {what}"));
    }
    text
}

fn to_json(copied: &Copied, checked: &Checked, (from, to): (&Path, &Path)) -> Value {
    let damage = |it: &Damage| json!({"file": it.file, "offset": it.offset});
    json!({
        "from": from.display().to_string(),
        "to": to.display().to_string(),
        "files": copied.files,
        "bytes": copied.bytes,
        "frames": checked.frames,
        "damages": checked.damaged.iter().map(damage).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_store::format::Position;

    #[test]
    fn a_copy_is_told_with_damage_that_it_inherited() {
        let copied = Copied { files: 2, bytes: 1 << 20, end: Position(0) };
        let damaged = vec![Damage { file: "log-1".into(), offset: 64 }];
        let checked = Checked { frames: 1234, damaged, ..Checked::default() };
        let places = (Path::new("/d"), Path::new("/to"));
        assert_eq!(
            to_text(&copied, &checked, places),
            "\
/to: a copy of /d
  2 files, 1,024 KiB, 1,234 frames
  log-1 at byte 64: damaged there too; messages that lie here may be lost
"
        );
        assert_eq!(to_json(&copied, &checked, places)["damages"][0]["offset"], 64);
    }
}
