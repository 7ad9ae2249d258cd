//! Which crate may depend on which: the arrows of `ARCHITECTURE.md`, and the few dependencies of
//! the pure rooms.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::process;

/// A crate and the crates of this workspace it may use. Who is not listed may use none.
const ARROWS: [(&str, &[&str]); 13] = [
    ("noctule-proto", &[]),
    ("noctule-core", &["noctule-proto"]),
    ("noctule-store", &["noctule-core", "noctule-proto"]),
    (
        "noctule-server",
        &["noctule-alloc", "noctule-tls", "noctule-store", "noctule-core", "noctule-proto"],
    ),
    ("noctule-alloc", &[]),
    ("noctule-tls", &[]),
    ("noctule-client", &["noctule-tls", "noctule-proto"]),
    ("noctule-bench", &["noctule-client", "noctule-tls", "noctule-proto"]),
    (
        "noctule-bridge",
        &["noctule-server", "noctule-client", "noctule-store", "noctule-core", "noctule-proto"],
    ),
    (
        "noctule",
        &[
            "noctule-alloc",
            "noctule-server",
            "noctule-store",
            "noctule-client",
            "noctule-bridge",
            "noctule-bench",
            "noctule-core",
            "noctule-proto",
        ],
    ),
    (
        "noctule-tests",
        &[
            "noctule",
            "noctule-tls",
            "noctule-server",
            "noctule-client",
            "noctule-bridge",
            "noctule-bench",
            "noctule-store",
            "noctule-core",
            "noctule-proto",
        ],
    ),
    ("noctule-recorder", &[]),
    ("xtask", &[]),
];

/// Crates that must stay easy to take along: at most this many dependencies from outside.
const HANDFUL: usize = 5;
const PURE: [&str; 2] = ["noctule-proto", "noctule-core"];

/// Libraries answer with errors of their own; only these may fold them into `anyhow`.
const MAY_USE_ANYHOW: [&str; 3] = ["noctule", "noctule-tests", "xtask"];

/// Looks at every crate of the workspace.
pub(super) fn check() -> Result<Vec<Finding>> {
    let args = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
    let metadata: Value = serde_json::from_str(&process::output("cargo", &args)?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    let members: Vec<&str> = packages.iter().map(|package| text(package, "name")).collect();
    let mut findings = Vec::new();
    for package in packages {
        let wanted = package["dependencies"].as_array().context("a package lists dependencies")?;
        check_package(text(package, "name"), wanted, &members, &mut findings);
    }
    Ok(findings)
}

fn check_package(name: &str, wanted: &[Value], members: &[&str], findings: &mut Vec<Finding>) {
    let mut find = |says: String| {
        let path = format!("{name}/Cargo.toml");
        findings.push(Finding { rule: "arrows", path, line: 0, says });
    };
    let known = ARROWS.iter().find(|(from, _)| *from == name);
    let Some((_, allowed)) = known else {
        return find(format!("{name} has no place among the arrows in xtask/src/tidy/arrows.rs"));
    };
    for dependency in wanted.iter().map(|dependency| text(dependency, "name")) {
        if members.contains(&dependency) && !allowed.contains(&dependency) {
            find(format!("{name} may not use {dependency}"));
        }
        if dependency == "anyhow" && !MAY_USE_ANYHOW.contains(&name) {
            find("a library has errors of its own, not anyhow's".to_owned());
        }
    }
    let outside = wanted
        .iter()
        .filter(|dependency| dependency["kind"].is_null())
        .filter(|dependency| !members.contains(&text(dependency, "name")))
        .count();
    if PURE.contains(&name) && outside > HANDFUL {
        find(format!("{outside} dependencies from outside, more than a handful ({HANDFUL})"));
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn findings(name: &str, wanted: &[&str]) -> usize {
        let wanted: Vec<Value> = wanted.iter().map(|name| json!({ "name": name })).collect();
        let members: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
        let mut findings = Vec::new();
        check_package(name, &wanted, &members, &mut findings);
        findings.len()
    }

    #[test]
    fn an_arrow_may_point_down_but_not_up() {
        assert_eq!(findings("noctule-server", &["noctule-core", "mio"]), 0);
        assert_eq!(findings("noctule-core", &["noctule-server"]), 1);
        assert_eq!(findings("noctule-client", &["noctule-core"]), 1);
    }

    #[test]
    fn a_library_may_not_use_anyhow() {
        assert_eq!(findings("noctule", &["anyhow"]), 0);
        assert_eq!(findings("noctule-store", &["anyhow"]), 1);
    }

    #[test]
    fn the_pure_rooms_have_at_most_a_handful_of_dependencies() {
        assert_eq!(findings("noctule-proto", &["a", "b", "c", "d", "e"]), 0);
        assert_eq!(findings("noctule-proto", &["a", "b", "c", "d", "e", "f"]), 1);
        assert_eq!(findings("noctule-server", &["a", "b", "c", "d", "e", "f"]), 0);
    }

    #[test]
    fn a_crate_nobody_placed_is_a_finding() {
        assert_eq!(findings("noctule-new", &[]), 1);
    }
}
