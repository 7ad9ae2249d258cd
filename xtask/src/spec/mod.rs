//! `cargo xtask spec`: how far each statement of the standards is met.
//!
//! The rows stand in `spec/*.tsv`. A row is done when product code cites it where it decides and
//! the doc comment of a test cites it too; that of a conformance script, if the row binds the
//! server. Rows that bind only a client wait for the client library's own issue.

mod citations;
mod report;
mod table;

use anyhow::{Result, bail};

use crate::tree;
use citations::Citations;
use table::{State, Table};

/// What a run was asked to do besides checking.
#[derive(Default)]
struct Wishes {
    /// Open rows fail the run.
    strict: bool,
    /// Name each row that is open and what it lacks.
    open: bool,
    /// Mark as done what is cited in code and in a test.
    update: bool,
}

/// Reads the tables and the tree, prints how far each chapter is, and fails on what is untrue.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let wishes = parse(args)?;
    let citations = citations::collect(&tree::sources()?);
    let mut tables = table::load_all()?;
    if wishes.update {
        for table in &mut tables {
            update(table, &citations);
            table.save()?;
        }
    }
    report::print(&tables);
    if wishes.open {
        report::print_open(&tables, &citations);
    }
    let mut faults = citations.malformed.clone();
    faults.extend(unknown_citations(&tables, &citations));
    faults.extend(tables.iter().flat_map(|table| untrue_rows(table, &citations)));
    if wishes.strict {
        faults.extend(tables.iter().flat_map(open_rows));
    }
    for fault in &faults {
        println!("{fault}");
    }
    if !faults.is_empty() {
        bail!("{} faults", faults.len());
    }
    Ok(())
}

fn parse(args: &[String]) -> Result<Wishes> {
    let mut wishes = Wishes::default();
    for arg in args {
        match arg.as_str() {
            "--strict" => wishes.strict = true,
            "--open" => wishes.open = true,
            "--update" => wishes.update = true,
            other => bail!("no such option: {other}"),
        }
    }
    Ok(wishes)
}

fn update(table: &mut Table, citations: &Citations) {
    for row in &mut table.rows {
        let id = table.version.citation(&row.id);
        let shown = citations.in_tests(&id, row.binds_server());
        if row.state == State::Open && citations.in_code(&id) && shown {
            row.state = State::Done;
        }
    }
}

/// Rows that say they are done and are not, and excuses without a reason.
fn untrue_rows(table: &Table, citations: &Citations) -> Vec<String> {
    let mut faults = Vec::new();
    for row in &table.rows {
        let id = table.version.citation(&row.id);
        match row.state {
            State::Done if !citations.in_code(&id) => {
                faults.push(format!("[{id}] is marked done, but no code cites it"));
            }
            State::Done if !citations.in_tests(&id, row.binds_server()) => {
                faults.push(format!("[{id}] is marked done, but no test's doc comment cites it"));
            }
            State::Excused if row.reason.is_empty() => {
                faults.push(format!("[{id}] is excused without a reason"));
            }
            State::Done | State::Excused | State::Open => {}
        }
    }
    faults
}

/// Rows that bind the server and are not met.
fn open_rows(table: &Table) -> Vec<String> {
    let open = table.rows.iter().filter(|row| row.state == State::Open && row.binds_server());
    open.map(|row| format!("[{}] is open", table.version.citation(&row.id))).collect()
}

/// Citations of statements that no table holds.
fn unknown_citations(tables: &[Table], citations: &Citations) -> Vec<String> {
    let holds = |id: &str| {
        tables
            .iter()
            .any(|table| table.rows.iter().any(|row| table.version.citation(&row.id) == id))
    };
    let unknown = citations.places().filter(|(id, _)| !holds(id));
    unknown.map(|(id, place)| format!("{place}: no table holds [{id}]")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Source;
    use table::{Row, Version};

    fn table(state: State, reason: &str) -> Table {
        let row = Row {
            id: "MQTT-1.5.4-1".to_owned(),
            duty: "both".to_owned(),
            state,
            reason: reason.to_owned(),
            said: Vec::new(),
        };
        Table { version: Version::V5, rows: vec![row], header: String::new(), path: "x".into() }
    }

    fn citations(code: &str, test: &str) -> Citations {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        citations::collect(&[
            source("crates/noctule-core/src/a.rs", code),
            source("crates/noctule-tests/tests/conformance/b.rs", test),
        ])
    }

    const TEST: &str = "/// `[MQTT-1.5.4-1 v5]`\n#[test]\nfn x() {}\n";

    #[test]
    fn a_row_becomes_done_once_code_and_test_cite_it() {
        let cite = "// [MQTT-1.5.4-1 v5]\n";
        for (code, test, state) in
            [(cite, TEST, State::Done), (cite, cite, State::Open), ("", TEST, State::Open)]
        {
            let mut table = table(State::Open, "");
            update(&mut table, &citations(code, test));
            assert_eq!(table.rows[0].state, state);
        }
    }

    #[test]
    fn a_row_that_says_done_without_a_test_is_a_fault() {
        let cite = "// [MQTT-1.5.4-1 v5]\n";
        assert_eq!(untrue_rows(&table(State::Done, ""), &citations(cite, cite)).len(), 1);
        assert_eq!(untrue_rows(&table(State::Done, ""), &citations("", TEST)).len(), 1);
        assert!(untrue_rows(&table(State::Done, ""), &citations(cite, TEST)).is_empty());
    }

    #[test]
    fn what_binds_the_server_is_shown_by_a_script_and_what_binds_a_client_by_any_test() {
        let elsewhere = [
            Source { path: "crates/a/src/x.rs".into(), text: "// [MQTT-1.5.4-1 v5]\n".into() },
            Source { path: "crates/a/tests/x.rs".into(), text: TEST.into() },
        ];
        let citations = citations::collect(&elsewhere);
        let mut table = table(State::Done, "");
        assert_eq!(untrue_rows(&table, &citations).len(), 1);
        table.rows[0].duty = "client".to_owned();
        assert!(untrue_rows(&table, &citations).is_empty());
    }

    #[test]
    fn an_excuse_needs_a_reason() {
        assert_eq!(untrue_rows(&table(State::Excused, ""), &citations("", "")).len(), 1);
        assert!(untrue_rows(&table(State::Excused, "x"), &citations("", "")).is_empty());
    }

    #[test]
    fn a_citation_of_nothing_is_a_fault() {
        let cites = citations("// [MQTT-1.5.4-9 v5]\n", "// [MQTT-1.5.4-1 v3.1.1]\n");
        assert_eq!(unknown_citations(&[table(State::Open, "")], &cites).len(), 2);
    }

    #[test]
    fn open_rows_of_the_server_are_named() {
        assert_eq!(open_rows(&table(State::Open, "")).len(), 1);
        assert!(open_rows(&table(State::Done, "")).is_empty());
    }
}
