//! `log_dest` and `log_type`, which are said once for each place and type.

use super::lines::{Line, Place};

/// What was said of the log.
#[derive(Default, Debug)]
pub(super) struct LogSaid {
    /// The last `log_dest`.
    pub(super) to_place: Option<Place>,
    pub(super) to: Vec<&'static str>,
    pub(super) file: Option<(Box<str>, Place)>,
    /// The last `log_type`.
    pub(super) types_place: Option<Place>,
    pub(super) types: Vec<&'static str>,
}

/// Types of lines, by mosquitto's names.
pub(super) const TYPES: [&str; 9] = [
    "error",
    "warning",
    "notice",
    "information",
    "debug",
    "subscribe",
    "unsubscribe",
    "websockets",
    "internal",
];

impl LogSaid {
    /// `log_dest`.
    pub(super) fn destination(&mut self, line: &Line) -> Result<(), String> {
        let (word, rest) = line.rest.split_once(' ').unwrap_or((&line.rest, ""));
        self.to_place = Some(line.place.clone());
        let to = match word {
            "none" => {
                self.to.clear();
                self.file = None;
                return Ok(());
            }
            "stdout" => "stdout",
            "stderr" => "stderr",
            "syslog" => "syslog",
            "file" if self.file.is_some() => return Err("names a second file".into()),
            "file" if rest.trim().is_empty() => return Err("needs the path of a file".into()),
            "file" => {
                self.file = Some((rest.trim().into(), line.place.clone()));
                return Ok(());
            }
            "topic" => "topic",
            "dlt" | "android" => {
                return Err(format!("{word} is not there: write to stderr, syslog or a file"));
            }
            _ => {
                return Err(format!(
                    "{word:?} must be stdout, stderr, syslog, topic, file PATH or none"
                ));
            }
        };
        if !self.to.contains(&to) {
            self.to.push(to);
        }
        Ok(())
    }

    /// `log_type`.
    pub(super) fn kind(&mut self, line: &Line) -> Result<(), String> {
        let word = line.rest.split(' ').next().unwrap_or_default();
        self.types_place = Some(line.place.clone());
        match word {
            "none" => self.types.clear(),
            "all" => self.types = TYPES.to_vec(),
            word => match TYPES.iter().find(|it| **it == word) {
                Some(kind) if self.types.contains(kind) => {}
                Some(kind) => self.types.push(kind),
                None => {
                    let all = TYPES.join(", ");
                    return Err(format!("{word:?} must be one of: {all}, none, all"));
                }
            },
        }
        Ok(())
    }
}
