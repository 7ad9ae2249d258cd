//! The syntax of mosquitto.conf: lines, and the files that `include_dir` brings in between.
//!
//! A comment has its # in the very first column. A line is a key, spaces and a value that goes on
//! to the end of the line.

use super::super::{ConfigError, Fault};
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where something is said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// As it was named.
    pub(super) file: Arc<str>,
    pub(super) line: usize,
    /// As it stands there.
    pub(super) option: Box<str>,
}

/// A line that says something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    /// Which of the files that were read it stands in: each has a last listener of its own.
    pub(super) part: usize,
    /// What follows the key, without the spaces around it.
    pub(super) rest: Box<str>,
}

impl Place {
    /// A mistake here.
    pub(super) fn fault(&self, what: impl Into<String>) -> Fault {
        Fault {
            file: Some((&*self.file).into()),
            line: self.line,
            option: Some((&*self.option).into()),
            what: what.into(),
        }
    }
}

/// Reads a file, and what it includes.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, ConfigError> {
    let mut files = Files::default();
    files.file(path, true)?;
    if files.faults.is_empty() {
        return Ok(files.lines);
    }
    Err(ConfigError { file: path.display().to_string(), faults: files.faults })
}

#[derive(Default)]
struct Files {
    lines: Vec<Line>,
    faults: Vec<Fault>,
    parts: usize,
}

impl Files {
    fn file(&mut self, path: &Path, first: bool) -> Result<(), ConfigError> {
        let name: Arc<str> = path.display().to_string().into();
        let bytes = std::fs::read(path).map_err(|error| ConfigError::unreadable(&name, &error))?;
        let part = self.parts;
        self.parts += 1;
        for (at, bytes) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if matches!(bytes.first(), None | Some(b'#' | b'\r')) {
                continue;
            }
            let place = |option: &str| Place {
                file: Arc::clone(&name),
                line: at + 1,
                option: option.into(),
            };
            let Ok(text) = std::str::from_utf8(bytes) else {
                self.faults.push(place("").fault("is not UTF-8"));
                continue;
            };
            let text = text.trim_end_matches('\r').trim_start_matches(' ');
            let (key, rest) = text.split_once(' ').unwrap_or((text, ""));
            if key.is_empty() {
                continue;
            }
            let place = place(key);
            let rest = rest.trim();
            if rest.chars().any(|char| char.is_control() && char != '\t') {
                self.faults.push(place.fault("holds a control character"));
            } else if key == "include_dir" {
                self.include(&place, rest, first)?;
            } else {
                self.lines.push(Line { place, part, rest: rest.into() });
            }
        }
        Ok(())
    }

    fn include(&mut self, place: &Place, folder: &str, first: bool) -> Result<(), ConfigError> {
        if !first {
            let what = "is for the main file alone: name the folder there";
            self.faults.push(place.fault(what));
            return Ok(());
        }
        if folder.is_empty() {
            self.faults.push(place.fault("needs the path of a folder"));
            return Ok(());
        }
        match listed(Path::new(folder)) {
            Ok(paths) => paths.iter().try_for_each(|path| self.file(path, false)),
            Err(error) => {
                self.faults.push(place.fault(format!("{folder} cannot be listed: {error}")));
                Ok(())
            }
        }
    }
}

/// The `.conf` files of a folder, in mosquitto's order.
fn listed(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        // A name of that alone is a hidden file.
        let is_conf = |name: &OsStr| {
            let bytes = name.as_encoded_bytes();
            bytes.len() > 5 && bytes.ends_with(b".conf")
        };
        if is_conf(&name) {
            names.push(name);
        }
    }
    names.sort_by(|one, other| before(one.as_encoded_bytes(), other.as_encoded_bytes()));
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Letter by letter whatever their case, and of one letter the capital first.
fn before(one: &[u8], other: &[u8]) -> Ordering {
    let key = |byte: &u8| (byte.to_ascii_uppercase(), *byte);
    one.iter().map(key).cmp(other.iter().map(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_files_come_in_mosquittos_order() {
        let mut names = ["b.conf", "B.conf", "a.conf", "A.conf", "10.conf", "1.conf", "aa.conf"];
        names.sort_by(|one, other| before(one.as_bytes(), other.as_bytes()));
        let wanted = ["1.conf", "10.conf", "A.conf", "a.conf", "aa.conf", "B.conf", "b.conf"];
        assert_eq!(names, wanted);
    }
}
