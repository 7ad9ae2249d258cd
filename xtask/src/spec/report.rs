//! What `cargo xtask spec` prints.

use std::collections::BTreeMap;

use super::citations::Citations;
use super::table::{Row, State, Table};

/// Rows of one chapter, or of all.
#[derive(Default, Clone, Copy)]
struct Counts {
    done: usize,
    excused: usize,
    open: usize,
    /// Open rows that bind only the client.
    client: usize,
}

impl Counts {
    fn add(&mut self, row: &Row) {
        match row.state {
            State::Done => self.done += 1,
            State::Excused => self.excused += 1,
            State::Open if row.binds_server() => self.open += 1,
            State::Open => self.client += 1,
        }
    }

    fn print(self, name: &str) {
        let Self { done, excused, open, client } = self;
        println!("{name:<24}{done:>6}{excused:>9}{open:>6}{client:>8}");
    }
}

/// The table of all chapters.
pub(super) fn print(tables: &[Table]) {
    println!("{:<24}{:>6}{:>9}{:>6}{:>8}", "chapter", "done", "excused", "open", "client");
    for table in tables {
        let mut all = Counts::default();
        let mut chapters: BTreeMap<(u32, u32), Counts> = BTreeMap::new();
        for row in &table.rows {
            all.add(row);
            chapters.entry(row.chapter()).or_default().add(row);
        }
        for ((chapter, section), counts) in chapters {
            counts.print(&format!("  {chapter}.{section}"));
        }
        all.print(&table.path.display().to_string());
    }
    println!("client: binds only a client; it waits for the client library's own issue");
}

/// Each open row that binds the server, with what it lacks.
pub(super) fn print_open(tables: &[Table], citations: &Citations) {
    for table in tables {
        let open = table.rows.iter().filter(|row| row.state == State::Open && row.binds_server());
        for row in open {
            let id = table.version.citation(&row.id);
            let lacks = match (citations.in_code(&id), citations.in_tests(&id, true)) {
                (false, false) => "code, test",
                (false, true) => "code",
                (true, false) => "test",
                (true, true) => "--update",
            };
            println!("[{id}] lacks {lacks}: {}", row.said[1]);
        }
    }
}
