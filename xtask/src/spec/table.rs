//! The tables in `spec/`: one row a statement, fields separated by one tab, a header first.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::process;

/// The tables, with the standard each belongs to.
const TABLES: [(&str, Version); 4] = [
    ("spec/mqtt5.tsv", Version::V5),
    ("spec/mqtt5-unnumbered.tsv", Version::Unnumbered),
    ("spec/mqtt311.tsv", Version::V311),
    ("spec/mqtt31.tsv", Version::Unnumbered),
];

/// How the rows of a table are cited: the same id means different things in two standards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// MQTT 5.0.
    V5,
    /// Rules of MQTT 5.0 without a number, and all of MQTT 3.1, which numbers none; their ids are
    /// our own and need no version.
    Unnumbered,
    /// MQTT 3.1.1.
    V311,
}

impl Version {
    /// The id as code and tests cite it.
    pub(super) fn citation(self, id: &str) -> String {
        match self {
            Self::V5 => format!("{id} v5"),
            Self::Unnumbered => id.to_owned(),
            Self::V311 => format!("{id} v3.1.1"),
        }
    }
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The broker.
    Server,
    /// The client library.
    Client,
}

/// How far a statement is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Code and a test of each side that it binds cite it.
    Done,
    /// It is met on this side, and excused on the other; the row says why.
    Half(Side),
    /// It cannot be met or tested yet; the row says why.
    Excused,
    /// Not met yet.
    Open,
}

/// One statement.
pub(super) struct Row {
    pub(super) id: String,
    /// Who is bound: `server`, `client` or `both`.
    pub(super) duty: String,
    pub(super) state: State,
    /// Why it is excused.
    pub(super) reason: String,
    /// The fields between duty and state: topic, statement, what breaking it brings.
    pub(super) said: Vec<String>,
}

/// The statements of one standard.
pub(super) struct Table {
    pub(super) version: Version,
    pub(super) rows: Vec<Row>,
    pub(super) header: String,
    pub(super) path: PathBuf,
}

impl Row {
    /// The sides that have to show that they keep to it.
    pub(super) fn sides(&self) -> &'static [Side] {
        match (self.state, self.duty.as_str()) {
            (State::Excused, _) => &[],
            (State::Half(Side::Server), _) | (State::Done | State::Open, "server") => {
                &[Side::Server]
            }
            (State::Half(Side::Client), _) | (State::Done | State::Open, "client") => {
                &[Side::Client]
            }
            (State::Done | State::Open, _) => &[Side::Server, Side::Client],
        }
    }

    /// The section's first two numbers: `3.14` of `MQTT-3.14.4-1`.
    pub(super) fn chapter(&self) -> (u32, u32) {
        let number = self.id.split('-').nth(1).unwrap_or_default();
        let mut parts = number.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    fn parse(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [id, duty, topic, statement, on_violation, state, reason] = fields[..] else {
            bail!("7 fields are needed, {} found", fields.len());
        };
        if !["server", "client", "both"].contains(&duty) {
            bail!("duty is server, client or both, not `{duty}`");
        }
        let state = match state {
            "done" => State::Done,
            "server" | "client" if duty != "both" => bail!("`{state}` is for duty both"),
            "server" => State::Half(Side::Server),
            "client" => State::Half(Side::Client),
            "excused" => State::Excused,
            "open" => State::Open,
            other => bail!("state is done, server, client, excused or open, not `{other}`"),
        };
        Ok(Self {
            id: id.to_owned(),
            duty: duty.to_owned(),
            state,
            reason: reason.trim().to_owned(),
            said: [topic, statement, on_violation].map(str::to_owned).to_vec(),
        })
    }
}

impl Table {
    fn parse(path: PathBuf, version: Version, text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let header = lines.next().context("a table opens with its header")?.to_owned();
        let mut rows: Vec<Row> = Vec::new();
        for (at, line) in lines.enumerate() {
            let row = Row::parse(line).with_context(|| format!("line {}", at + 2))?;
            if rows.iter().any(|other| other.id == row.id) {
                bail!("line {}: {} stands twice", at + 2, row.id);
            }
            rows.push(row);
        }
        Ok(Self { version, rows, header, path })
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n", self.header);
        for row in &self.rows {
            let state = match row.state {
                State::Done => "done",
                State::Half(Side::Server) => "server",
                State::Half(Side::Client) => "client",
                State::Excused => "excused",
                State::Open => "open",
            };
            let said = row.said.join("\t");
            writeln!(text, "{}\t{}\t{said}\t{state}\t{}", row.id, row.duty, row.reason)
                .expect("a String takes every write");
        }
        text
    }

    /// Writes the table back to its file.
    pub(super) fn save(&self) -> Result<()> {
        let path = process::root().join(&self.path);
        std::fs::write(&path, self.text())
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Reads every table.
pub(super) fn load_all() -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for (name, version) in TABLES {
        let text = std::fs::read_to_string(process::root().join(name))
            .with_context(|| format!("cannot read {name}"))?;
        let table = Table::parse(name.into(), version, &text).with_context(|| name.to_owned())?;
        tables.push(table);
    }
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "id\tduty\ttopic\tstatement\ton_violation\tstate\treason\n\
                        MQTT-3.14.4-1\tboth\tA\tB\t—\topen\t\n\
                        MQTT-6.0.0-1\tserver\tC\tD\tclose\texcused\twhy\n\
                        MQTT-6.0.0-2\tboth\tC\tD\tclose\tclient\twhy\n";

    #[test]
    fn a_table_is_written_as_it_was_read() {
        let table = Table::parse("x".into(), Version::V5, TEXT).expect("well formed");
        assert_eq!(table.text(), TEXT);
        assert_eq!(table.rows[0].chapter(), (3, 14));
    }

    #[test]
    fn a_row_with_a_field_too_few_an_unknown_state_or_a_repeated_id_is_refused() {
        for text in [
            "h\nA\tboth\tx\ty\tz\topen\n",
            "h\nA\tboth\tx\ty\tz\tmaybe\t\n",
            "h\nA\tserver\tx\ty\tz\tclient\twhy\n",
        ] {
            assert!(Table::parse("x".into(), Version::V5, text).is_err());
        }
        let twice = "h\nA\tboth\tx\ty\tz\topen\t\nA\tboth\tx\ty\tz\topen\t\n";
        assert!(Table::parse("x".into(), Version::V5, twice).is_err());
    }
}
