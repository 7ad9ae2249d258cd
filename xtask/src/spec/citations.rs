//! Finding citations: `[MQTT-3.3.1-5 v5]`, `[MQTT-3.8.4-3 v3.1.1]`, `[U5-3.8.3-1]`,
//! `[V31-3.1-1]`, and in a row
//! `[MQTT-3.3.1-5 v5] to [MQTT-3.3.1-8 v5]`, which cites those between as well.
//!
//! A test shows a statement if its doc comment cites it: a line of a test file that says why it is
//! there proves nothing. What binds the server is shown by a conformance script, which sees it from
//! outside; what binds a client, by a test of the client library.

use std::collections::{BTreeMap, BTreeSet};

use super::table::Side;
use crate::tree::Source;

/// What the tree cites.
#[derive(Default)]
pub(super) struct Citations {
    /// Each id, and the places that cite it.
    places: BTreeMap<String, Vec<String>>,
    code: BTreeSet<String>,
    /// The same without the code that only a broker has.
    client_code: BTreeSet<String>,
    /// What the doc comments of tests of the client library cite.
    client_tests: BTreeSet<String>,
    /// What those of conformance scripts cite.
    scripts: BTreeSet<String>,
    /// Ids without the version that would tell them apart.
    pub(super) malformed: Vec<String>,
}

impl Citations {
    /// Whether product code of this side cites the id.
    pub(super) fn in_code(&self, id: &str, side: Side) -> bool {
        match side {
            Side::Server => &self.code,
            Side::Client => &self.client_code,
        }
        .contains(id)
    }

    /// Whether a test of this side shows the statement.
    pub(super) fn in_tests(&self, id: &str, side: Side) -> bool {
        match side {
            Side::Server => &self.scripts,
            Side::Client => &self.client_tests,
        }
        .contains(id)
    }

    /// Every citation with its place.
    pub(super) fn places(&self) -> impl Iterator<Item = (&str, &str)> {
        self.places
            .iter()
            .flat_map(|(id, places)| places.iter().map(move |place| (id.as_str(), place.as_str())))
    }
}

/// Where the scripts are.
const SCRIPTS: &str = "crates/noctule-tests/tests/conformance/";

/// What a client is made of.
const CLIENT: &str = "crates/noctule-client/";
/// Scripts of the client against the broker.
const CLIENT_SCRIPTS: &str = "crates/noctule-tests/tests/client_";
const PROTO: &str = "crates/noctule-proto/";

/// Reads every Rust file under `crates/`.
pub(super) fn collect(sources: &[Source]) -> Citations {
    let mut citations = Citations::default();
    let ours = |source: &&Source| source.is_rust() && source.path.starts_with("crates/");
    for source in sources.iter().filter(ours) {
        let decided = cited(&source.product_lines());
        if source.path.starts_with(CLIENT) || source.path.starts_with(PROTO) {
            citations.client_code.extend(decided.clone());
        }
        citations.code.extend(decided);
        let shown = cited(&source.test_docs());
        if source.path.starts_with(SCRIPTS) {
            citations.scripts.extend(shown);
        } else if [CLIENT, CLIENT_SCRIPTS].iter().any(|it| source.path.starts_with(it)) {
            citations.client_tests.extend(shown);
        }
        for (at, line) in source.product_lines().into_iter().chain(source.test_lines()) {
            let place = format!("{}:{at}", source.path);
            for found in scan(line) {
                match found {
                    Ok(id) => citations.places.entry(id).or_default().push(place.clone()),
                    Err(id) => citations
                        .malformed
                        .push(format!("{place}: {id} needs its version: [{id} v5]")),
                }
            }
        }
    }
    citations
}

/// The ids in these lines that are well formed.
fn cited(lines: &[(usize, &str)]) -> BTreeSet<String> {
    lines.iter().flat_map(|(_, line)| scan(line)).filter_map(Result::ok).collect()
}

/// The ids in a line, as the tables have them; an `Err` is an id whose version is missing.
fn scan(line: &str) -> Vec<Result<String, String>> {
    let mut found = ids(line);
    for (at, _) in line.match_indices("] to [") {
        let first = ids(&line[..=at]).pop();
        let last = ids(&line[at..]).into_iter().next();
        if let (Some(Ok(first)), Some(Ok(last))) = (first, last) {
            found.extend(between(&first, &last).into_iter().map(Ok));
        }
    }
    found
}

/// The ids after `first` and before `last`, where the two differ in their last number only.
fn between(first: &str, last: &str) -> Vec<String> {
    let parts = |id: &str| {
        let (id, version) = id.split_once(' ').map_or((id, ""), |(id, version)| (id, version));
        let (section, number) = id.rsplit_once('-')?;
        Some((section.to_owned(), number.parse::<u32>().ok()?, version.to_owned()))
    };
    let (Some((section, first, version)), Some((other, last, also))) = (parts(first), parts(last))
    else {
        return Vec::new();
    };
    if section != other || version != also {
        return Vec::new();
    }
    let id = |number| format!("{section}-{number} {version}").trim_end().to_owned();
    (first + 1..last).map(id).collect()
}

/// In the order in which they stand in the line.
fn ids(line: &str) -> Vec<Result<String, String>> {
    let mut found = Vec::new();
    for (mark, numbered) in [("MQTT-", true), ("U5-", false), ("V31-", false)] {
        for (at, _) in line.match_indices(mark) {
            let rest = &line[at + mark.len()..];
            let number = leading(rest, |c| c.is_ascii_digit() || c == '.' || c == '-');
            let number = number.trim_end_matches(['.', '-']);
            let in_word = line[..at].ends_with(|c: char| c.is_alphanumeric());
            if in_word || !number.contains('-') || !number.starts_with(|c: char| c.is_ascii_digit())
            {
                continue;
            }
            let id = format!("{mark}{number}");
            let version = rest[number.len()..].strip_prefix(" v").map(|rest| {
                leading(rest, |c| c.is_ascii_digit() || c == '.').trim_end_matches('.')
            });
            let id = match version {
                _ if !numbered => Ok(id),
                Some(version @ ("5" | "3.1.1")) => Ok(format!("{id} v{version}")),
                Some(_) | None => Err(id),
            };
            found.push((at, id));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, id)| id).collect()
}

fn leading(text: &str, wanted: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !wanted(c)).unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_of_a_line_is_found_with_its_version() {
        let line = "// [MQTT-3.3.1-5 v5], [MQTT-3.8.4-3 v3.1.1] and [U5-3.8.3-1]; \
                    MQTT-4.2-1 v5, V31-3.1-2.";
        let expected =
            ["MQTT-3.3.1-5 v5", "MQTT-3.8.4-3 v3.1.1", "U5-3.8.3-1", "MQTT-4.2-1 v5", "V31-3.1-2"];
        assert_eq!(scan(line), expected.map(|id| Ok(id.to_owned())));
    }

    #[test]
    fn a_row_of_ids_cites_those_between() {
        let line = "// [MQTT-3.3.1-5 v5] to [MQTT-3.3.1-8 v5], [U5-3.8.3-1] to [U5-3.8.3-3]";
        let expected = [
            "MQTT-3.3.1-5 v5",
            "MQTT-3.3.1-8 v5",
            "U5-3.8.3-1",
            "U5-3.8.3-3",
            "MQTT-3.3.1-6 v5",
            "MQTT-3.3.1-7 v5",
            "U5-3.8.3-2",
        ];
        assert_eq!(scan(line), expected.map(|id| Ok(id.to_owned())));
        assert_eq!(scan("[MQTT-3.3.1-5 v5] to [MQTT-3.3.2-8 v5]").len(), 2);
        assert_eq!(scan("[U5-3.8.3-1], [MQTT-3.3.1-5 v5] to [MQTT-3.3.1-7 v5]").len(), 4);
    }

    #[test]
    fn an_id_without_its_version_is_malformed() {
        assert_eq!(scan("// [MQTT-3.3.1-5]"), [Err("MQTT-3.3.1-5".to_owned())]);
        assert_eq!(scan("// [MQTT-3.3.1-5 v4]"), [Err("MQTT-3.3.1-5".to_owned())]);
    }

    #[test]
    fn what_only_looks_like_an_id_is_left_alone() {
        assert!(scan("MQTT-SN, MQTT-5.0, MQTT-, U5-x").is_empty());
    }
}
