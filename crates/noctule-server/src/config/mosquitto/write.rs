//! Writes the text of a noctule.toml, and remembers where each of its lines comes from.

use super::lines::Place;
use std::fmt::Display;

/// A noctule.toml on its way.
#[derive(Default, Debug)]
pub(super) struct Writer {
    text: String,
    /// Of each line, from the first on.
    places: Vec<Option<Place>>,
}

impl Writer {
    /// A line as it is.
    pub(super) fn line(&mut self, line: &str, place: Option<&Place>) {
        self.text.push_str(line);
        if let Some(place) = place {
            // No control character may stand in a comment.
            let file = place.file.replace(char::is_control, "?");
            let comment = format!("  # {file}:{} {}", place.line, place.option);
            self.text.push_str(&comment);
        }
        self.text.push('\n');
        self.places.push(place.cloned());
    }

    /// A comment.
    pub(super) fn comment(&mut self, text: &str) {
        self.line(&format!("# {}", text.replace(char::is_control, "?")), None);
    }

    /// The head of a table, behind an empty line.
    pub(super) fn table(&mut self, head: &str, place: Option<&Place>) {
        self.line("", None);
        self.line(head, place);
    }

    /// An option.
    pub(super) fn put(&mut self, name: &str, value: impl Display, place: Option<&Place>) {
        self.line(&format!("{name} = {value}"), place);
    }

    /// An option whose value is text.
    pub(super) fn text(&mut self, name: &str, value: &str, place: Option<&Place>) {
        self.put(name, super::super::value::quoted(value), place);
    }

    /// The text, and where its lines come from.
    pub(super) fn finish(self) -> (String, Vec<Option<Place>>) {
        (self.text, self.places)
    }
}
