//! `spec/mutants.tsv`: the faults. One line each, fields separated by one tab, a header first:
//! name, file, after, line, replacement, breaks, argued.
//!
//! `line` is the exact text of a line without its indent. Where that text stands more than once,
//! `after` names an earlier line, and the first one that follows it is meant; else it is `-`.

use anyhow::{Context, Result, bail};

use crate::process;

const PATH: &str = "spec/mutants.tsv";

/// With fewer faults a clean report says little.
const LISTED_MIN: usize = 50;

/// One planted fault.
pub(super) struct Mutant {
    pub(super) name: String,
    pub(super) file: String,
    after: Option<String>,
    line: String,
    replacement: String,
    /// What goes wrong with it, for who reads the report.
    pub(super) breaks: String,
    /// Why no test can notice it; empty where one should.
    pub(super) argued: String,
}

/// Reads the list.
pub(super) fn load() -> Result<Vec<Mutant>> {
    let text = std::fs::read_to_string(process::root().join(PATH))
        .with_context(|| format!("cannot read {PATH}"))?;
    let mut mutants: Vec<Mutant> = Vec::new();
    for (at, row) in text.lines().enumerate().skip(1) {
        let mutant = parse(row).with_context(|| format!("{PATH}:{}", at + 1))?;
        if mutants.iter().any(|other| other.name == mutant.name) {
            bail!("{PATH}:{}: {} stands twice", at + 1, mutant.name);
        }
        mutants.push(mutant);
    }
    if mutants.len() < LISTED_MIN {
        bail!("{PATH} lists {} faults, {LISTED_MIN} at least are wanted", mutants.len());
    }
    Ok(mutants)
}

fn parse(row: &str) -> Result<Mutant> {
    let fields: Vec<&str> = row.split('\t').collect();
    let [name, file, after, line, replacement, breaks, argued] = fields[..] else {
        bail!("7 fields are needed, {} found", fields.len());
    };
    if line == replacement {
        bail!("{name} changes nothing");
    }
    Ok(Mutant {
        name: name.to_owned(),
        file: file.to_owned(),
        after: (after != "-").then(|| after.to_owned()),
        line: line.to_owned(),
        replacement: replacement.to_owned(),
        breaks: breaks.to_owned(),
        argued: argued.trim().to_owned(),
    })
}

impl Mutant {
    /// The file's text with the fault in it.
    pub(super) fn plant(&self, text: &str) -> Result<String> {
        let at = self.find(text)?;
        let mut planted = String::with_capacity(text.len() + self.replacement.len());
        for (number, line) in text.lines().enumerate() {
            if number == at {
                let indent = line.len() - line.trim_start().len();
                planted.push_str(&line[..indent]);
                planted.push_str(&self.replacement);
            } else {
                planted.push_str(line);
            }
            planted.push('\n');
        }
        Ok(planted)
    }

    fn find(&self, text: &str) -> Result<usize> {
        let places = |wanted: &str| -> Vec<usize> {
            let lines = text.lines().enumerate();
            lines.filter(|(_, line)| line.trim() == wanted).map(|(at, _)| at).collect()
        };
        let hits = places(&self.line);
        let Some(after) = &self.after else {
            let [at] = hits[..] else {
                bail!("the line stands {} times in {}: `{}`", hits.len(), self.file, self.line);
            };
            return Ok(at);
        };
        let starts = places(after);
        let [start] = starts[..] else {
            bail!("the line before stands {} times in {}: `{after}`", starts.len(), self.file);
        };
        let at = hits.into_iter().find(|at| *at > start);
        at.with_context(|| format!("no such line after `{after}`: `{}`", self.line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fn a() {\n    x\n}\nfn b() {\n    x\n    y\n}\n";

    fn mutant(after: &str, line: &str) -> Mutant {
        parse(&format!("n\tf\t{after}\t{line}\tz\tb\t")).expect("well formed")
    }

    #[test]
    fn a_line_that_stands_once_is_replaced_under_its_indent() {
        let planted = mutant("-", "y").plant(TEXT).expect("stands once");
        assert_eq!(planted, TEXT.replace("    y", "    z"));
    }

    #[test]
    fn a_line_that_stands_twice_needs_the_one_before() {
        assert!(mutant("-", "x").plant(TEXT).is_err());
        let planted = mutant("fn b() {", "x").plant(TEXT).expect("stands after b");
        assert_eq!(planted, "fn a() {\n    x\n}\nfn b() {\n    z\n    y\n}\n");
    }

    #[test]
    fn a_line_that_is_gone_is_an_error() {
        assert!(mutant("-", "w").plant(TEXT).is_err());
        assert!(mutant("fn b() {", "fn a() {").plant(TEXT).is_err());
    }
}
