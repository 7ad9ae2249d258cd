//! The shape of a Rust file: how long, how wide, how it opens, what it is called.

use super::Finding;
use crate::tree::Source;

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 700;
/// Characters of a line. rustfmt holds code to it but leaves comments and strings alone.
const COLUMNS_MAX: usize = 100;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["util", "helper", "common", "misc", "types", "manager", "context", "base"];

/// Looks at one file.
pub(super) fn check(source: &Source, findings: &mut Vec<Finding>) {
    if !source.is_rust() {
        return;
    }
    let mut find = |rule, line, says: String| findings.push(Finding::new(rule, source, line, says));
    let long = source.product_lines().len();
    if long > FILE_LINES_MAX {
        find("lines", 0, format!("{long} lines without tests, over {FILE_LINES_MAX}"));
    }
    for (at, line) in source.text.lines().enumerate() {
        let wide = line.chars().count();
        if wide > COLUMNS_MAX && !line.contains("https://") {
            find("columns", at + 1, format!("{wide} columns, over {COLUMNS_MAX}"));
        }
    }
    if !opens_with_its_doc(&source.text) {
        find("opening", 1, "a module opens with `//!`: what it is for".to_owned());
    }
    if let Some(name) = empty_name(&source.path) {
        find("names", 0, format!("`{name}` says nothing about what is inside"));
    }
}

/// Whether the first line that is not blank is the module's doc.
fn opens_with_its_doc(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.next().is_some_and(|line| line.starts_with("//!"))
}

/// The part of a path that is one of the empty names, alone or as a plural or a suffix.
fn empty_name(path: &str) -> Option<&str> {
    let parts = path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    let mut words = parts.flat_map(|part| part.split(['_', '-']));
    words.find(|word| {
        EMPTY_NAMES.iter().any(|empty| word == empty || word.strip_suffix('s') == Some(empty))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        let mut findings = Vec::new();
        check(&Source { path: path.to_owned(), text: text.to_owned() }, &mut findings);
        findings.iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_long_file_is_found_but_not_for_its_tests() {
        let code = format!("//! Doc.\n{}", "x\n".repeat(699));
        assert!(rules("crates/a/src/b.rs", &code).is_empty());
        let tests = format!("{code}#[cfg(test)]\nmod tests {{\n    x\n}}\n");
        assert!(rules("crates/a/src/b.rs", &tests).is_empty());
        assert_eq!(rules("crates/a/src/b.rs", &format!("{code}x\n")), ["lines"]);
    }

    #[test]
    fn a_wide_line_is_found_unless_it_holds_an_address() {
        let wide = "x".repeat(101);
        assert_eq!(rules("a.rs", &format!("//! Doc.\n// {wide}\n")), ["columns"]);
        assert!(rules("a.rs", &format!("//! Doc.\n// https://{wide}\n")).is_empty());
    }

    #[test]
    fn a_module_without_its_doc_is_found() {
        assert_eq!(rules("a.rs", "use x;\n"), ["opening"]);
    }

    #[test]
    fn an_empty_name_is_found_in_every_dress() {
        assert_eq!(empty_name("crates/a/src/utils.rs"), Some("utils"));
        assert_eq!(empty_name("crates/a/src/session_manager/mod.rs"), Some("manager"));
        assert_eq!(empty_name("crates/a/src/database.rs"), None);
    }
}
