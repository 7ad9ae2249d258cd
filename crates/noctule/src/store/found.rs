//! What was found in a store, for people and as JSON.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// What `check` found.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Check {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) records: u64,
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

/// What `salvage` did.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Salvage {
    /// Files that were kept aside, by their new names.
    pub(super) aside: Vec<String>,
    /// What could not be read.
    pub(super) lost: Vec<Span>,
    /// Clients whose sessions miss messages, and how many.
    pub(super) missing: Vec<(String, u64)>,
    /// Retained messages that could not be read, by their topics.
    pub(super) retained: Vec<String>,
}

/// What `stats` counted.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Stats {
    pub(super) sessions: u64,
    pub(super) subscriptions: u64,
    pub(super) queued: Amount,
    pub(super) retained: Amount,
    pub(super) files: u64,
    /// Of the files.
    pub(super) bytes: u64,
    /// Of these, what is needed.
    pub(super) alive: u64,
    /// The longest queues, by client.
    pub(super) longest: Vec<(String, Amount)>,
}

/// Messages and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Amount {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Check {
    pub(super) fn to_text(&self, directory: &Path) -> String {
        let whole = if self.damages.is_empty() { "nothing is damaged" } else { "damaged" };
        let mut text = format!(
            "{}: {whole}\n  {}, {}, {}\n",
            directory.display(),
            counted(self.files, "file"),
            size(self.bytes),
            counted(self.records, "record")
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
            "records": self.records,
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

impl Salvage {
    pub(super) fn to_text(&self, directory: &Path) -> String {
        let outcome =
            if self.is_bad() { "starts again, without what was lost" } else { "is whole" };
        let mut text = format!("{}: {outcome}\n", directory.display());
        for Span { file, offset, bytes } in &self.lost {
            line(&mut text, &format!("lost: {bytes} bytes from byte {offset} of {file}"));
        }
        for (client_id, messages) in &self.missing {
            line(&mut text, &format!("{client_id:?} misses {}", counted(*messages, "message")));
        }
        for topic in &self.retained {
            line(&mut text, &format!("the retained message of {topic:?} is lost"));
        }
        for file in &self.aside {
            line(&mut text, &format!("kept aside: {file}"));
        }
        text
    }

    pub(super) fn to_json(&self, directory: &Path) -> Value {
        let missing = |it: &(String, u64)| json!({"client_id": it.0, "messages": it.1});
        json!({
            "directory": directory.display().to_string(),
            "aside": self.aside,
            "lost": self.lost.iter().map(Span::to_json).collect::<Vec<_>>(),
            "missing": self.missing.iter().map(missing).collect::<Vec<_>>(),
            "retained": self.retained,
        })
    }

    /// Whether the exit code says so.
    pub(super) fn is_bad(&self) -> bool {
        !self.lost.is_empty() || !self.missing.is_empty() || !self.retained.is_empty()
    }
}

impl Stats {
    pub(super) fn to_text(&self, directory: &Path) -> String {
        let mut text = format!("{}\n", directory.display());
        for (what, count, bytes) in [
            ("sessions", self.sessions, None),
            ("subscriptions", self.subscriptions, None),
            ("messages that wait", self.queued.messages, Some(self.queued.bytes)),
            ("retained messages", self.retained.messages, Some(self.retained.bytes)),
            ("files", self.files, Some(self.bytes)),
        ] {
            let bytes = bytes.map(|bytes| format!("{:>12}", size(bytes))).unwrap_or_default();
            line(&mut text, &format!("{what:<20} {:>14}{bytes}", grouped(count)));
        }
        if let Some(percent) = (self.alive * 100).checked_div(self.bytes) {
            line(&mut text, &format!("{percent} % of the files is needed"));
        }
        if !self.longest.is_empty() {
            line(&mut text, "longest queues:");
        }
        for (client_id, Amount { messages, bytes }) in &self.longest {
            let (messages, bytes) = (grouped(*messages), size(*bytes));
            line(&mut text, &format!("{messages:>14} {bytes:>12}  {client_id:?}"));
        }
        text
    }

    pub(super) fn to_json(&self, directory: &Path) -> Value {
        let longest = |(client_id, amount): &(String, Amount)| {
            let Amount { messages, bytes } = amount;
            json!({"client_id": client_id, "messages": messages, "bytes": bytes})
        };
        json!({
            "directory": directory.display().to_string(),
            "sessions": self.sessions,
            "subscriptions": self.subscriptions,
            "queued": {"messages": self.queued.messages, "bytes": self.queued.bytes},
            "retained": {"messages": self.retained.messages, "bytes": self.retained.bytes},
            "files": self.files,
            "bytes": self.bytes,
            "alive": self.alive,
            "longest": self.longest.iter().map(longest).collect::<Vec<_>>(),
        })
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
            Check { files: 1, bytes: 1 << 20, records: 1234, torn: Some(span()), damages: vec![] };
        assert!(!check.is_bad());
        assert_eq!(
            check.to_text(Path::new("/d")),
            "/d: nothing is damaged\n  1 file, 1,024 KiB, 1,234 records\n  the end is torn: 512 \
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
        assert!(text.starts_with("/d: damaged\n  2 files, 0 B, 0 records\n"), "{text}");
        assert!(text.ends_with("  log-3 at byte 64: its checksum is wrong\n"), "{text}");
        assert_eq!(check.to_json(Path::new("/d"))["damages"][0]["offset"], 64);
    }

    #[test]
    fn what_was_lost_is_told_to_the_last_client() {
        let salvage = Salvage {
            aside: vec!["log-3.damaged".into()],
            lost: vec![span()],
            missing: vec![("a \"b\"".into(), 1), ("c".into(), 2)],
            retained: vec!["t/1".into()],
        };
        assert!(salvage.is_bad());
        assert_eq!(
            salvage.to_text(Path::new("/d")),
            "\
/d: starts again, without what was lost
  lost: 512 bytes from byte 4096 of log-3
  \"a \\\"b\\\"\" misses 1 message
  \"c\" misses 2 messages
  the retained message of \"t/1\" is lost
  kept aside: log-3.damaged
"
        );
        let value = salvage.to_json(Path::new("/d"));
        assert_eq!(value["missing"][1], json!({"client_id": "c", "messages": 2}));
        let whole = Salvage::default();
        assert!(!whole.is_bad() && whole.to_text(Path::new("/d")) == "/d: is whole\n");
    }

    #[test]
    fn numbers_stand_below_each_other() {
        let amount = Amount { messages: 1_000_000, bytes: 216 << 20 };
        let stats = Stats {
            sessions: 100_000,
            subscriptions: 2,
            queued: amount,
            retained: Amount::default(),
            files: 4,
            bytes: 400 << 20,
            alive: 216 << 20,
            longest: vec![("far".into(), amount)],
        };
        assert_eq!(
            stats.to_text(Path::new("/d")),
            "\
/d
  sessions                    100,000
  subscriptions                     2
  messages that wait        1,000,000     216 MiB
  retained messages                 0         0 B
  files                             4     400 MiB
  54 % of the files is needed
  longest queues:
       1,000,000      216 MiB  \"far\"
"
        );
        assert_eq!(stats.to_json(Path::new("/d"))["longest"][0]["client_id"], "far");
        let empty = Stats::default().to_text(Path::new("/d"));
        assert!(!empty.contains('%'), "nothing is no share of nothing: {empty}");
    }
}
