//! What `cargo xtask spec` prints.

use std::collections::BTreeMap;

use super::citations::Citations;
use super::table::{Row, State, Table};

/// Rows of one chapter, or of all.
#[derive(Default, Clone, Copy)]
struct Counts {
    done: usize,
    /// Met on one side and excused on the other.
    half: usize,
    excused: usize,
    open: usize,
}

impl Counts {
    fn add(&mut self, row: &Row) {
        match row.state {
            State::Done => self.done += 1,
            State::Half(_) => self.half += 1,
            State::Excused => self.excused += 1,
            State::Open => self.open += 1,
        }
    }

    fn print(self, name: &str) {
        let Self { done, half, excused, open } = self;
        println!("{name:<24}{done:>6}{half:>6}{excused:>9}{open:>6}");
    }
}

/// The table of all chapters.
pub(super) fn print(tables: &[Table]) {
    println!("{:<24}{:>6}{:>6}{:>9}{:>6}", "chapter", "done", "half", "excused", "open");
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
    println!("half: met on one side, excused on the other");
}

/// Each open row, with what it lacks.
pub(super) fn print_open(tables: &[Table], citations: &Citations) {
    for table in tables {
        for row in table.rows.iter().filter(|row| row.state == State::Open) {
            let id = table.version.citation(&row.id);
            let mut lacks = super::lacks(row, &id, citations);
            if lacks.is_empty() {
                lacks.push("--update");
            }
            println!("[{id}] lacks {}: {}", lacks.join(", "), row.said[1]);
        }
    }
}
