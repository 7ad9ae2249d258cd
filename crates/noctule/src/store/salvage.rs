//! `noctule store salvage`: a damaged store made one that a broker starts from.

use super::words::{counted, grouped, line};
use super::{AnswerArgs, DAMAGED, PlaceArgs, none, refused, show};
use clap::Args;
use noctule_store::log::{Intent, Loss, Owed, Salvaged};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// Make a damaged store start again; say exactly what is lost.
///
/// Damaged files are kept aside, as NAME.damaged, and never written to. What can still be read of
/// them is copied, what nobody is owed any more goes, and references to what is lost are dropped:
/// nothing damaged is ever delivered. The report comes before the first change, and a crash in the
/// middle loses nothing: run it again.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct SalvageArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    answer: AnswerArgs,
    /// Say what it would do, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  noctule store salvage --dry-run
  noctule store salvage /srv/noctule && noctule serve --data /srv/noctule
  noctule store salvage -c noctule.toml --json > lost.json

Exit status:
  0  a broker starts, and nothing that it owes is lost
  1  it could not be done; the store is as it was
  2  wrong use
  3  a broker starts (or would, with --dry-run), and something is lost";

impl SalvageArgs {
    /// Does it.
    pub(super) fn run(&self) -> ExitCode {
        self.place.run(|directory| self.salvage(directory))
    }

    fn salvage(&self, directory: &Path) -> ExitCode {
        let intent = if self.dry_run { Intent::DryRun } else { Intent::Salvage };
        let mut tell = |found: &Salvaged| {
            let report = Report { found, intent };
            show(&match self.answer.json {
                true => format!("{}\n", report.to_json(directory)),
                false => report.to_text(directory),
            });
        };
        let found = match noctule_store::salvage(directory, intent, &mut tell) {
            Ok(Some(found)) => found,
            Ok(None) => return none(directory),
            Err(error) => return refused(directory, &error),
        };
        if !found.written.is_empty() && !self.answer.json {
            show("  done: a broker starts from it again\n");
        }
        if loses(&found) { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS }
    }
}

/// Whether something is lost, or may be: what lost frames said is not known.
fn loses(found: &Salvaged) -> bool {
    !found.missing.is_empty() || found.losses.iter().any(|loss| loss.frames > 0)
}

/// What was found, and what for.
struct Report<'f> {
    found: &'f Salvaged,
    intent: Intent,
}

impl Report<'_> {
    fn to_text(&self, directory: &Path) -> String {
        let Salvaged { losses, missing, rescued, kept, aside, .. } = self.found;
        let shown = directory.display();
        if !self.found.is_needed() {
            return format!("{shown}: nothing is damaged, nothing to do\n");
        }
        let mut text = format!("{shown}: damaged\n");
        losses.iter().for_each(|loss| line(&mut text, &words_of(loss)));
        for (owed, messages) in missing {
            let lost = counted(*messages, "message");
            line(&mut text, &format!("lost: {lost} {}", whose(owed)));
        }
        if losses.iter().any(|loss| loss.frames > 0) {
            line(&mut text, "what was said in lost frames is not known: messages that came then");
            line(&mut text, "may be missing, and some acknowledged then may be delivered again");
        }
        let kept = counted(*kept, "message");
        let copied = grouped(*rescued);
        line(&mut text, &format!("left: {kept}, {copied} of them in damaged files"));
        let would = if self.intent == Intent::DryRun { "would be " } else { "" };
        for (name, new) in aside {
            line(&mut text, &format!("{would}kept aside: {name} as {new}"));
        }
        text
    }

    fn to_json(&self, directory: &Path) -> Value {
        let Salvaged { losses, missing, rescued, kept, aside, .. } = self.found;
        let loss = |it: &Loss| {
            json!({
                "file": it.file,
                "offset": it.offset,
                "bytes": (it.bytes > 0).then_some(it.bytes),
                "frames": it.frames,
                "records": it.records,
                "what": it.what,
            })
        };
        let missing = missing.iter().map(|(owed, messages)| {
            let mut who = json_of(owed);
            who["messages"] = json!(messages);
            who
        });
        let name = |(file, new): &(String, String)| json!({"file": file, "as": new});
        json!({
            "directory": directory.display().to_string(),
            "dry_run": self.intent == Intent::DryRun,
            "damaged": self.found.is_needed(),
            "losses": losses.iter().map(loss).collect::<Vec<_>>(),
            "missing": missing.collect::<Vec<_>>(),
            "kept": kept,
            "rescued": rescued,
            "aside": aside.iter().map(name).collect::<Vec<_>>(),
        })
    }
}

fn words_of(loss: &Loss) -> String {
    let Loss { file, offset, bytes, frames, records, what } = loss;
    let mut words = match bytes {
        0 => format!("{file} from byte {offset}: {what}"),
        bytes => format!("{file} from byte {offset}, {}: {what}", counted(*bytes, "byte")),
    };
    match (frames, records) {
        (0, _) => {}
        (frames, None) => words += &format!("; {} lost, at least", counted(*frames, "frame")),
        (frames, Some(records)) => {
            let records = counted(*records, "record");
            words += &format!("; {} of {records} lost", counted(*frames, "frame"));
        }
    }
    words
}

pub(super) fn whose(owed: &Owed) -> String {
    match owed {
        Owed::Session(client_id) => format!("for client {client_id:?}"),
        Owed::Unknown(session) => {
            format!("or fewer for a session of which no record is left, number {}", session.0)
        }
        Owed::Group(name, filter) => format!("for the share group {name:?} of {filter:?}"),
        Owed::Retained => "kept as retained; an earlier one of the topic may be there".into(),
        Owed::Unreleased(client_id) => format!("that client {client_id:?} had not released yet"),
    }
}

pub(super) fn json_of(owed: &Owed) -> Value {
    match owed {
        Owed::Session(client_id) => json!({"client_id": client_id}),
        Owed::Unknown(session) => json!({"session": session.0}),
        Owed::Group(name, filter) => json!({"share": name, "filter": filter}),
        Owed::Retained => json!({"retained": true}),
        Owed::Unreleased(client_id) => json!({"client_id": client_id, "unreleased": true}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Salvaged {
        let loss = |offset, bytes, (frames, records)| Loss {
            file: "log-3".into(),
            offset,
            bytes,
            frames,
            records,
            what: "it is wrong",
        };
        Salvaged {
            losses: vec![
                loss(64, 100, (0, Some(0))),
                loss(4096, 512, (1, Some(7))),
                loss(8192, 1, (2, None)),
            ],
            missing: [(Owed::Session("a \"b\"".into()), 1), (Owed::Retained, 2)].into(),
            rescued: 1000,
            kept: 1234,
            aside: vec![("log-3".into(), "log-3.damaged".into())],
            written: vec![],
        }
    }

    #[test]
    fn what_is_lost_is_told_to_the_last_client() {
        let found = found();
        assert!(loses(&found));
        let report = Report { found: &found, intent: Intent::DryRun };
        assert_eq!(
            report.to_text(Path::new("/d")),
            "\
/d: damaged
  log-3 from byte 64, 100 bytes: it is wrong
  log-3 from byte 4096, 512 bytes: it is wrong; 1 frame of 7 records lost
  log-3 from byte 8192, 1 byte: it is wrong; 2 frames lost, at least
  lost: 1 message for client \"a \\\"b\\\"\"
  lost: 2 messages kept as retained; an earlier one of the topic may be there
  what was said in lost frames is not known: messages that came then
  may be missing, and some acknowledged then may be delivered again
  left: 1,234 messages, 1,000 of them in damaged files
  would be kept aside: log-3 as log-3.damaged
"
        );
        let value = report.to_json(Path::new("/d"));
        assert_eq!(value["missing"][0], json!({"client_id": "a \"b\"", "messages": 1}));
        assert_eq!(value["losses"][1]["records"], 7);
        assert_eq!(value["aside"][0], json!({"file": "log-3", "as": "log-3.damaged"}));
    }

    #[test]
    fn a_whole_store_is_told_so_and_damage_that_lost_nothing_is_no_loss() {
        let whole = Salvaged { kept: 3, ..Salvaged::default() };
        let report = Report { found: &whole, intent: Intent::Salvage };
        let text = report.to_text(Path::new("/d"));
        assert_eq!(text, "/d: nothing is damaged, nothing to do\n");
        let mut found = found();
        found.losses.truncate(1);
        found.missing.clear();
        assert!(found.is_needed() && !loses(&found));
    }
}
