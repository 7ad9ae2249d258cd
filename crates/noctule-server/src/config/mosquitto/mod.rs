//! mosquitto.conf: read as mosquitto reads it, and said as a noctule.toml, which the one parser of
//! this crate reads then.
//!
//! ```text
//!  files ─lines─▶ Line ─read─▶ Said ─translate, listeners─▶ text of a noctule.toml, and for each
//!                  │ options: one table                       line where it comes from ─▶ Config
//! ```
//!
//! Deliberately absent: a second way to a [`Config`]. What cannot be written in a noctule.toml
//! cannot be had by a mosquitto.conf either.

mod bridges;
mod lines;
mod listeners;
mod log;
mod options;
mod plugins;
mod read;
mod translate;
mod value;
mod write;

#[cfg(test)]
mod tests;

use super::{Config, ConfigError, Fault};
use lines::Place;
use std::fmt;
use std::path::{Path, PathBuf};
use write::Writer;

/// Every option of mosquitto.conf and what becomes of it, as the table of the manual.
#[must_use]
pub fn table() -> String {
    options::table()
}

/// What a mosquitto.conf depends on besides itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Surroundings {
    /// Where relative paths begin: mosquitto has them begin where it is started.
    pub folder: PathBuf,
    /// `$MOSQUITTO_PERSISTENCE_LOCATION`, which wins over the file.
    pub persistence_location: Option<String>,
    /// Ports of the loopback listeners that there are if the file has none (`-p`).
    pub ports: Vec<u16>,
}

/// A mosquitto.conf, said as a noctule.toml.
#[derive(Debug)]
pub struct Translation {
    text: String,
    /// Of each line of the text.
    places: Vec<Option<Place>>,
    notes: Vec<Note>,
    /// The name of the mosquitto.conf.
    name: String,
}

/// Something that a mosquitto.conf says and that changes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    place: Place,
    text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, option } = &self.place;
        write!(f, "{file}:{line}: {option}: {}", self.text)
    }
}

impl Surroundings {
    /// Those of this process.
    ///
    /// # Errors
    /// The folder that it runs in cannot be told.
    pub fn of_process() -> std::io::Result<Surroundings> {
        let location = std::env::var("MOSQUITTO_PERSISTENCE_LOCATION").ok();
        Ok(Surroundings {
            folder: std::env::current_dir()?,
            persistence_location: location,
            ports: Vec::new(),
        })
    }

    /// A path from the root on.
    fn path(&self, path: &str) -> String {
        self.folder.join(path).to_string_lossy().into_owned()
    }
}

impl Translation {
    /// Reads a file, and those that it includes; without one: what mosquitto does then.
    ///
    /// # Errors
    /// It cannot be read, or says something that mosquitto would not take, or noctule cannot do.
    pub fn read(path: Option<&Path>, around: &Surroundings) -> Result<Translation, ConfigError> {
        let name = path.map_or_else(|| "mosquitto.conf".into(), |path| path.display().to_string());
        let lines = path.map(lines::read).transpose()?.unwrap_or_default();
        let error = |faults| ConfigError { file: name.clone(), faults: once(faults) };
        let said = read::read(&lines).map_err(error)?;
        let (mut writer, mut faults) = (Writer::default(), Vec::new());
        writer.comment(&format!("{name}, as noctule says it."));
        let mut notes = said.notes.clone();
        notes.sort_by_key(|note| (note.place.file.clone(), note.place.line));
        if !notes.is_empty() {
            writer.comment("What has no effect:");
        }
        for note in &notes {
            writer.comment(&format!("* {note}"));
        }
        writer.line("", None);
        translate::write(&said, around, &mut writer, &mut faults);
        if !faults.is_empty() {
            return Err(error(faults));
        }
        let (text, places) = writer.finish();
        Ok(Translation { text, places, notes, name })
    }

    /// The text of the noctule.toml that says the same.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What has no effect.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// What it comes to, with the files that it names.
    ///
    /// # Errors
    /// Any of it is wrong: with the lines of mosquitto.conf.
    pub fn config(&self) -> Result<Config, ConfigError> {
        // No path is relative any more.
        Config::of_text(&self.name, &self.text, Path::new("/")).map_err(|error| self.told(error))
    }

    /// Tells of the lines of mosquitto.conf what is said of those of the text.
    fn told(&self, mut error: ConfigError) -> ConfigError {
        if error.file != self.name {
            return error;
        }
        for fault in &mut error.faults {
            let at = fault.line.checked_sub(1);
            let place = at.and_then(|at| self.places.get(at)).and_then(Option::as_ref);
            *fault = match place {
                Some(place) => place.fault(std::mem::take(&mut fault.what)),
                None => Fault { line: 0, ..fault.clone() },
            };
        }
        error.faults = once(error.faults);
        error.faults.sort();
        error
    }
}

/// Each of them once: a listener that has several addresses would be told of for each.
fn once(faults: Vec<Fault>) -> Vec<Fault> {
    let mut told: Vec<Fault> = Vec::new();
    for fault in faults {
        if !told.contains(&fault) {
            told.push(fault);
        }
    }
    told
}
