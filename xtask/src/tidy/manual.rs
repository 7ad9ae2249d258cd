//! The manual keeps up with the code: every option of the configuration is named in `docs/`.

use super::Finding;
use crate::tree::Source;

/// Where lists of options are, each as `opt!("name", ...)`.
const OPTIONS: &str = "crates/noctule-server/src/config/";

/// Looks at the options, if they are there, and at all pages of the manual.
pub(super) fn check(sources: &[Source], findings: &mut Vec<Finding>) {
    let pages: Vec<&Source> =
        sources.iter().filter(|source| source.path.starts_with("docs/")).collect();
    for options in sources.iter().filter(|source| source.path.starts_with(OPTIONS)) {
        for (at, name) in names(&options.text) {
            let quoted = format!("`{name}`");
            if !pages.iter().any(|page| page.text.contains(&quoted)) {
                let says = format!("option {quoted} is in no page of the manual");
                findings.push(Finding::new("manual", options, at, says));
            }
        }
    }
}

/// The names of the options, with the lines they stand on.
fn names(text: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices("opt!(") {
        let rest = text[at + "opt!(".len()..].trim_start();
        let name = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
        let line = text[..at].lines().count().max(1);
        names.extend(name.map(|name| (line, name)));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_no_page_names_is_found() {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let options = "opt!(\"one\", \"...\"),\nopt!(\n    \"two\",\n    \"...\"\n)\n";
        let path = format!("{OPTIONS}options.rs");
        let tree = [source(&path, options), source("docs/x.md", "`one` is there, two is not")];
        let mut findings = Vec::new();
        check(&tree, &mut findings);
        let says: Vec<&str> = findings.iter().map(|finding| finding.says.as_str()).collect();
        assert_eq!(says, ["option `two` is in no page of the manual"]);
    }
}
