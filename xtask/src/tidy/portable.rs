//! Nothing in the tree may belong to one machine: no private paths, no private registries.

use super::Finding;
use crate::tree::Source;

/// What gives a machine away. Each is put together here so that this file does not find itself.
const MARKS: [(&str, &str); 9] = [
    (concat!("/ro", "ot/"), "a home folder"),
    (concat!("/wo", "rk/"), "a folder of one machine"),
    (concat!("/opt/", "wheels"), "a folder of one machine"),
    (concat!("/var/", "folders/"), "a folder of one machine"),
    (concat!("/Us", "ers/"), "a home folder"),
    (concat!("--index", "-url"), "a registry of one's own"),
    (concat!("--extra-index", "-url"), "a registry of one's own"),
    (concat!("--reg", "istry="), "a registry of one's own"),
    (concat!("replace", "-with ="), "a registry of one's own"),
];

/// Where crates come from, in a lock file.
const CRATES: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Looks at one file.
pub(super) fn check(source: &Source, findings: &mut Vec<Finding>) {
    let mut find = |line, says: String| findings.push(Finding::new("portable", source, line, says));
    for (at, line) in source.text.lines().enumerate() {
        for (mark, what) in MARKS {
            if line.contains(mark) {
                find(at + 1, format!("`{mark}`: {what}"));
            }
        }
        let lock = source.path.rsplit('/').next().unwrap_or_default();
        if lock == "package-lock.json" && line.contains("\"resolved\"") {
            find(at + 1, "a lock file without `resolved` works with every registry".to_owned());
        }
        let from = line.strip_prefix("source = \"").and_then(|rest| rest.strip_suffix('"'));
        if lock == "Cargo.lock" && from.is_some_and(|from| from != CRATES) {
            find(at + 1, "a crate that does not come from crates.io".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        let mut findings = Vec::new();
        check(&Source { path: path.to_owned(), text: text.to_owned() }, &mut findings);
        findings.len()
    }

    #[test]
    fn a_home_folder_is_found_in_any_file() {
        assert_eq!(count("a.md", concat!("see /ro", "ot/notes\n")), 1);
        assert_eq!(count("a.md", "see the root/ of the tree\n"), 0);
    }

    #[test]
    fn a_lock_file_names_no_registry() {
        assert_eq!(count("x/package-lock.json", "\"resolved\": \"https://x/y.tgz\"\n"), 1);
        assert_eq!(count("Cargo.lock", "source = \"registry+https://x\"\n"), 1);
        assert_eq!(count("Cargo.lock", &format!("source = \"{CRATES}\"\n")), 0);
    }
}
