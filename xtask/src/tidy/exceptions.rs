//! `xtask/exceptions.tsv`: where a rule does not hold, and why. One line each: rule, path, reason.

use anyhow::{Context, Result, bail};

use super::Finding;
use crate::tree::Source;

const PATH: &str = "xtask/exceptions.tsv";

/// What is excepted.
pub(super) struct Exceptions(Vec<Exception>);

struct Exception {
    line: usize,
    rule: String,
    path: String,
}

/// Reads the list.
pub(super) fn load(sources: &[Source]) -> Result<Exceptions> {
    let list = sources.iter().find(|source| source.path == PATH);
    parse(&list.with_context(|| format!("{PATH} is missing"))?.text)
}

fn parse(text: &str) -> Result<Exceptions> {
    let mut exceptions = Vec::new();
    for (at, row) in text.lines().enumerate().skip(1) {
        let fields: Vec<&str> = row.split('\t').collect();
        let [rule, path, reason] = fields[..] else {
            bail!("{PATH}:{}: rule, path and reason, with one tab between them", at + 1);
        };
        if reason.trim().is_empty() {
            bail!("{PATH}:{}: an exception gives its reason", at + 1);
        }
        exceptions.push(Exception { line: at + 1, rule: rule.to_owned(), path: path.to_owned() });
    }
    Ok(Exceptions(exceptions))
}

impl Exceptions {
    /// Takes out the findings that are excepted; an exception without a finding becomes one.
    pub(super) fn apply(&self, findings: &mut Vec<Finding>) {
        for exception in &self.0 {
            let before = findings.len();
            findings.retain(|found| found.rule != exception.rule || found.path != exception.path);
            if findings.len() == before {
                findings.push(Finding {
                    rule: "exceptions",
                    path: PATH.to_owned(),
                    line: exception.line,
                    says: format!("{} no longer breaks `{}`", exception.path, exception.rule),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(rule: &'static str, path: &str) -> Finding {
        Finding { rule, path: path.to_owned(), line: 1, says: String::new() }
    }

    #[test]
    fn an_exception_covers_its_rule_in_its_file_and_nothing_else() {
        let exceptions = parse("rule\tpath\treason\nunsafe\ta.rs\tspeed\n").expect("well formed");
        let mut findings = vec![finding("unsafe", "a.rs"), finding("unsafe", "b.rs")];
        exceptions.apply(&mut findings);
        assert_eq!(findings, [finding("unsafe", "b.rs")]);
    }

    #[test]
    fn an_exception_nobody_needs_is_a_finding() {
        let exceptions = parse("rule\tpath\treason\nunsafe\ta.rs\tspeed\n").expect("well formed");
        let mut findings = Vec::new();
        exceptions.apply(&mut findings);
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn an_exception_without_a_reason_is_refused() {
        assert!(parse("rule\tpath\treason\nunsafe\ta.rs\t \n").is_err());
        assert!(parse("rule\tpath\treason\nunsafe\ta.rs\n").is_err());
    }
}
