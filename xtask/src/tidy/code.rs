//! Rules on what Rust code says: no `unwrap`, no `unsafe` where it is not argued, notes for later
//! only with an issue behind them.

use super::Finding;
use crate::tree::{Source, code_of, without_strings};

/// Notes that nobody would come back to.
const LOOSE_NOTES: [&str; 3] = ["FIXME", "XXX", "HACK"];

/// Looks at one file.
pub(super) fn check(source: &Source, findings: &mut Vec<Finding>) {
    if !source.is_rust() {
        return;
    }
    let mut find = |rule, line, says: &str| findings.push(Finding::new(rule, source, line, says));
    for (at, line) in source.product_lines() {
        let code = without_strings(code_of(line));
        if code.contains(".unwrap()") {
            find("unwrap", at, "`expect` states why it cannot fail");
        }
        if has_word(&code, "unsafe") {
            find("unsafe", at, "unsafe code needs a file of its own, argued and listed");
        }
    }
    for (at, line) in source.text.lines().enumerate() {
        let comment = &line[code_of(line).len()..];
        if has_word(comment, "TODO") && !names_an_issue(comment) {
            find("todo", at + 1, "a note for later names its issue: TODO(#12)");
        }
        if LOOSE_NOTES.iter().any(|note| has_word(comment, note)) {
            find("todo", at + 1, "what is to be done later is a TODO with its issue");
        }
        if silences_a_lint(source, at) {
            find("lint", at + 1, "a silenced lint gives its reason: `reason = \"...\"`");
        }
    }
}

/// Whether the word stands in the text, not as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(part_of_word) && !text[at + word.len()..].starts_with(part_of_word)
    })
}

/// Whether every such note in the comment is followed by the number of an issue.
fn names_an_issue(comment: &str) -> bool {
    comment.split("TODO").skip(1).all(|rest| {
        let rest = rest.trim_start_matches(['(', ' ']);
        rest.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// Whether an `allow` or `expect` attribute opens on this line and gives no reason.
fn silences_a_lint(source: &Source, at: usize) -> bool {
    let mut lines = source.text.lines().skip(at);
    let first = lines.next().unwrap_or_default().trim_start();
    let opens = ["#[allow(", "#![allow(", "#[expect(", "#![expect("];
    if !opens.iter().any(|open| first.starts_with(open)) {
        return false;
    }
    let mut attribute = first.to_owned();
    while !attribute.contains(")]") {
        let Some(line) = lines.next() else { break };
        attribute.push_str(line);
    }
    !attribute.contains("reason =")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        let mut findings = Vec::new();
        let path = "crates/a/src/b.rs".to_owned();
        check(&Source { path, text: text.to_owned() }, &mut findings);
        findings.iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn unwrap_is_found_in_product_code_only() {
        assert_eq!(rules("let a = b.unwrap();\n"), ["unwrap"]);
        assert!(rules("// b.unwrap() would panic\nb.unwrap_or(1);\n").is_empty());
        assert!(rules("#[cfg(test)]\nmod tests {\n    b.unwrap();\n}\n").is_empty());
    }

    #[test]
    fn unsafe_is_found_as_a_word() {
        assert_eq!(rules("unsafe { x }\n"), ["unsafe"]);
        assert!(rules("#![forbid(unsafe_code)]\n// unsafe would be faster\n").is_empty());
    }

    #[test]
    fn a_todo_needs_an_issue() {
        assert_eq!(rules("// TODO: later\n"), ["todo"]);
        assert_eq!(rules("x(); // FIXME\n"), ["todo"]);
        assert!(rules("// TODO(#12): later\n// TODO #3 then\n").is_empty());
    }

    #[test]
    fn a_silenced_lint_needs_a_reason() {
        assert_eq!(rules("#[allow(dead_code)]\nfn f() {}\n"), ["lint"]);
        assert!(rules("#[expect(\n    dead_code,\n    reason = \"x\"\n)]\nfn f() {}\n").is_empty());
    }
}
