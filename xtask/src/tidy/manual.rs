//! The manual keeps up with the code: every option of the configuration is named in `docs/`.

use super::Finding;
use crate::tree::Source;

/// Where the options are listed, each as `opt!("name", ...)`: a file and a folder.
const OPTIONS: &str = "crates/noctule-server/src/config/options";

/// Looks at the options, where they are listed, and at all pages of the manual.
pub(super) fn check(sources: &[Source], findings: &mut Vec<Finding>) {
    for options in sources.iter().filter(|source| source.path.starts_with(OPTIONS)) {
        check_list(sources, options, findings);
    }
}

fn check_list(sources: &[Source], options: &Source, findings: &mut Vec<Finding>) {
    let pages: Vec<&Source> =
        sources.iter().filter(|source| source.path.starts_with("docs/")).collect();
    for options in sources.iter().filter(|source| OPTIONS.contains(&source.path.as_str())) {
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
        let list = "crates/noctule-server/src/config/options.rs";
        let tree = [source(list, options), source("docs/x.md", "`one` is there, two is not")];
        let mut findings = Vec::new();
        check(&tree, &mut findings);
        let says: Vec<&str> = findings.iter().map(|finding| finding.says.as_str()).collect();
        assert_eq!(says, ["option `two` is in no page of the manual"]);
    }
}
