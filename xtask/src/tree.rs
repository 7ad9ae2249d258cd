//! The files of the repository, and which lines of a Rust file are product and which are tests.

use std::path::Path;

use anyhow::{Context, Result};

use crate::process;

/// One text file of the repository.
#[derive(Clone)]
pub(crate) struct Source {
    /// Its path from the root, with `/` between the parts.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) text: String,
}

/// Every text file that is tracked, or would be with the next `git add`.
pub(crate) fn sources() -> Result<Vec<Source>> {
    let list =
        process::output("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let mut paths: Vec<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    let root = process::root();
    let mut sources = Vec::with_capacity(paths.len());
    for path in paths {
        if let Some(text) = read_text(&root.join(path))? {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}

/// A file's text; `None` where it is deleted but not yet committed so, a link, or not text.
fn read_text(path: &Path) -> Result<Option<String>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8(bytes).ok())
}

impl Source {
    /// Whether this is a Rust file.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether every line of it is test code.
    pub(crate) fn is_test(&self) -> bool {
        let path = &self.path;
        path.ends_with("/tests.rs")
            || path.contains("/tests/")
            // Bytes with their outcomes: what tests are made of.
            || path.contains("/cases/")
            || path.contains("/benches/")
            || path.starts_with("crates/noctule-tests/")
    }

    /// The lines outside of tests, with their numbers from 1.
    pub(crate) fn product_lines(&self) -> Vec<(usize, &str)> {
        if self.is_test() { Vec::new() } else { self.lines(false) }
    }

    /// The lines of tests, with their numbers from 1.
    pub(crate) fn test_lines(&self) -> Vec<(usize, &str)> {
        if self.is_test() {
            return self.text.lines().enumerate().map(|(at, line)| (at + 1, line)).collect();
        }
        self.lines(true)
    }

    /// The lines of the doc comments of test functions, with their numbers from 1. It leans on
    /// rustfmt: the comment stands directly above the attributes.
    pub(crate) fn test_docs(&self) -> Vec<(usize, &str)> {
        let (mut docs, mut above) = (Vec::new(), Vec::new());
        for (at, line) in self.text.lines().enumerate() {
            let word = line.trim();
            if word.starts_with("///") {
                above.push((at + 1, line));
            } else if word == "#[test]" || word.starts_with("#[tokio::test") {
                docs.append(&mut above);
            } else if !word.starts_with("#[") {
                above.clear();
            }
        }
        docs
    }

    /// The lines inside or outside of items marked `#[cfg(test)]`. It leans on rustfmt: such an
    /// item ends at the next line of the same indent that closes it.
    fn lines(&self, in_tests: bool) -> Vec<(usize, &str)> {
        let mut picked = Vec::new();
        let mut test_indent = None;
        for (at, line) in self.text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let word = line.trim();
            if test_indent.is_none() && word.starts_with("#[cfg(test)]") {
                test_indent = Some(indent);
            }
            if test_indent.is_some() == in_tests {
                picked.push((at + 1, line));
            }
            let closes = word.starts_with('}') || word.ends_with(';') || word.ends_with(" {}");
            if test_indent == Some(indent) && closes {
                test_indent = None;
            }
        }
        picked
    }
}

/// The line without its `//` comment. A `//` inside a string literal stays.
pub(crate) fn code_of(line: &str) -> &str {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !line[..at].ends_with('\'') => quoted = !quoted,
            b'/' if !quoted && line[at..].starts_with("//") => return &line[..at],
            _ => {}
        }
    }
    line
}

/// The code with nothing between its quotes.
pub(crate) fn without_strings(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut quoted = false;
    let mut escaped = false;
    for c in code.chars() {
        let quote = c == '"' && !escaped && !kept.ends_with('\'');
        escaped = quoted && c == '\\' && !escaped;
        if quote {
            quoted = !quoted;
        }
        if quote || !quoted {
            kept.push(c);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn product_lines_leave_out_test_modules_and_test_functions() {
        let text = "one\n#[cfg(test)]\nmod tests;\ntwo\nimpl X {\n    #[cfg(test)]\n    fn f() {\n\
                    x\n    }\n    three\n}\n#[cfg(test)]\nmod more {\n    y\n}\nfour\n";
        let file = source("crates/a/src/b.rs", text);
        let kept: Vec<&str> = file.product_lines().iter().map(|(_, line)| line.trim()).collect();
        assert_eq!(kept, ["one", "two", "impl X {", "three", "}", "four"]);
        assert_eq!(file.test_lines().len() + kept.len(), text.lines().count());
    }

    #[test]
    fn docs_of_tests_are_told_from_other_comments() {
        let text = "/// one\n/// two\n#[test]\nfn a() {\n    // three\n}\n\n/// four\nfn b() {}\n\n\
                    #[test]\nfn c() {}\n/// five\n#[ignore]\n#[tokio::test(x)]\nfn d() {}\n";
        let file = source("crates/a/tests/b.rs", text);
        let found: Vec<&str> = file.test_docs().iter().map(|(_, line)| &line[4..]).collect();
        assert_eq!(found, ["one", "two", "five"]);
    }

    #[test]
    fn a_file_named_tests_has_no_product_lines() {
        assert!(source("crates/a/src/b/tests.rs", "x\n").product_lines().is_empty());
    }

    #[test]
    fn a_comment_is_cut_but_not_inside_a_string() {
        assert_eq!(code_of("let a = 1; // why"), "let a = 1; ");
        assert_eq!(code_of("let a = \"mqtt://x\"; // why"), "let a = \"mqtt://x\"; ");
        assert_eq!(code_of("if c == '\"' { // why"), "if c == '\"' { ");
    }

    #[test]
    fn what_stands_between_quotes_is_left_out() {
        assert_eq!(without_strings(r#"a("b \" c", 'd', "e")"#), r#"a("", 'd', "")"#);
    }
}
