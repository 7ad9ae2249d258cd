//! `cargo xtask spec`: how far each statement of the standards is met.
//!
//! The rows stand in `spec/*.tsv`; `spec/README.md` has the rules. A row is done when, on each side
//! that it binds, product code cites it where it decides and the doc comment of a test cites it
//! too: of a conformance script for the broker, of a test in `noctule-client` for the client.

mod citations;
mod report;
mod table;

use anyhow::{Result, bail};

use crate::tree;
use citations::Citations;
use table::{Row, Side, State, Table};

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
        if row.state == State::Open && lacks(row, &id, citations).is_empty() {
            row.state = State::Done;
        }
    }
}

/// What has to cite a row and does not.
fn lacks(row: &Row, id: &str, citations: &Citations) -> Vec<&'static str> {
    let mut lacks = Vec::new();
    for side in row.sides() {
        let (code, test) = match side {
            Side::Server => ("code", "a conformance script"),
            Side::Client => ("code of the client", "a test of the client"),
        };
        let missing = [(citations.in_code(id, *side), code), (citations.in_tests(id, *side), test)];
        lacks.extend(missing.into_iter().filter(|(there, _)| !there).map(|(_, what)| what));
    }
    lacks
}

/// Rows that say they are done and are not, and excuses without a reason.
fn untrue_rows(table: &Table, citations: &Citations) -> Vec<String> {
    let mut faults = Vec::new();
    for row in &table.rows {
        let id = table.version.citation(&row.id);
        match row.state {
            State::Done | State::Half(_) => {
                for what in lacks(row, &id, citations) {
                    faults.push(format!("[{id}] is marked done, but it is not cited by {what}"));
                }
            }
            State::Excused | State::Open => {}
        }
        if matches!(row.state, State::Half(_) | State::Excused) && row.reason.is_empty() {
            faults.push(format!("[{id}] is excused without a reason"));
        }
    }
    faults
}

/// Rows that are not met.
fn open_rows(table: &Table) -> Vec<String> {
    let open = table.rows.iter().filter(|row| row.state == State::Open);
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
    use table::Version;

    fn table(state: State, reason: &str) -> Table {
        table_for("server", state, reason)
    }

    fn table_for(duty: &str, state: State, reason: &str) -> Table {
        let row = Row {
            id: "MQTT-1.5.4-1".to_owned(),
            duty: duty.to_owned(),
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
    fn each_side_that_is_bound_shows_it_by_its_own_code_and_test() {
        let cite = "// [MQTT-1.5.4-1 v5]\n";
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let server = [
            source("crates/noctule-core/src/x.rs", cite),
            source("crates/noctule-tests/tests/conformance/x.rs", TEST),
        ];
        let client = [
            source("crates/noctule-client/src/x.rs", cite),
            source("crates/noctule-client/src/session/tests/x.rs", TEST),
        ];
        let faults = |duty, state, sources: &[Source]| {
            untrue_rows(&table_for(duty, state, "why"), &citations::collect(sources)).len()
        };
        assert_eq!(faults("server", State::Done, &server), 0);
        assert_eq!(faults("server", State::Done, &client), 1);
        assert_eq!(faults("client", State::Done, &client), 0);
        assert_eq!(faults("client", State::Done, &server), 2);
        assert_eq!(faults("both", State::Done, &server), 2);
        assert_eq!(faults("both", State::Half(Side::Server), &server), 0);
        assert_eq!(faults("both", State::Half(Side::Client), &server), 2);
        assert_eq!(faults("both", State::Half(Side::Client), &client), 0);
        let elsewhere = [source("crates/a/src/x.rs", cite), source("crates/a/tests/x.rs", TEST)];
        assert_eq!(faults("server", State::Done, &elsewhere), 1);
        let shared = [source("crates/noctule-proto/src/x.rs", cite), client[1].clone()];
        assert_eq!(faults("client", State::Done, &shared), 0);
    }

    #[test]
    fn an_excuse_needs_a_reason() {
        assert_eq!(untrue_rows(&table(State::Excused, ""), &citations("", "")).len(), 1);
        assert!(untrue_rows(&table(State::Excused, "x"), &citations("", "")).is_empty());
        let cite = citations("// [MQTT-1.5.4-1 v5]\n", TEST);
        assert_eq!(untrue_rows(&table_for("both", State::Half(Side::Server), ""), &cite).len(), 1);
    }

    #[test]
    fn a_citation_of_nothing_is_a_fault() {
        let cites = citations("// [MQTT-1.5.4-9 v5]\n", "// [MQTT-1.5.4-1 v3.1.1]\n");
        assert_eq!(unknown_citations(&[table(State::Open, "")], &cites).len(), 2);
    }

    #[test]
    fn open_rows_are_named() {
        assert_eq!(open_rows(&table(State::Open, "")).len(), 1);
        assert!(open_rows(&table(State::Done, "")).is_empty());
    }
}
