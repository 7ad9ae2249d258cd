//! Rules that do nothing, or something else than they look like.

use super::{lists, user_names, words};
use crate::Config;
use noctule_core::grant::{Actions, List, Policy, Rule, Source, Who};
use std::fmt;

/// Something odd.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The rule; `None`: it is about something without a line.
    pub source: Option<Source>,
    /// What.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// A placeholder in one rule is the same as in another.
const ANYBODY: Who<'_> = Who { client_id: "%c", user_name: Some("%u") };

/// What is odd about the rules of a configuration, in order of files and lines.
#[must_use]
pub fn lint(config: &Config) -> Vec<Finding> {
    let policies = &config.policies;
    let all = policies.by_listener.iter().chain([&policies.otherwise]);
    let mut findings = Vec::new();
    for policy in all {
        for finding in of_policy(policy).into_iter().chain(of_users(policy, config)) {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    let key = |it: &Finding| it.source.as_ref().map(|at| (at.file.clone(), at.line));
    findings.sort_by_key(key);
    findings
}

fn of_policy(policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |rule: &Rule, what: String| {
        findings.push(Finding { source: Some(rule.source.clone()), what });
    };
    for (_, list) in lists(policy) {
        shadowed(list, &mut find);
        for rule in list.allow.iter().chain(&list.deny) {
            let text = rule.pattern.as_str();
            if rule.actions == Actions::PUBLISH && (text == "$SYS" || text.starts_with("$SYS/")) {
                find(rule, "does nothing: topics under $SYS are the broker's own".into());
            }
        }
    }
    if let Some(acl) = &policy.acl {
        for list in acl.users.values().chain([&acl.anonymous]) {
            for rule in list.allow.iter().chain(&list.deny) {
                if rule.pattern.as_str().split('/').any(|level| matches!(level, "%c" | "%u")) {
                    let what = "%c and %u stand for themselves in a `topic` line: write `pattern`, \
                                which is for everybody";
                    find(rule, what.into());
                }
            }
        }
        for rule in acl.patterns.allow.iter().chain(&acl.patterns.deny) {
            let (text, pattern) = (rule.pattern.as_str(), &rule.pattern);
            let inside = |level: &str| {
                level.len() > 2 && ["%c", "%u"].map(|it| level.contains(it)).contains(&true)
            };
            if text.split('/').any(inside) {
                let what = "%c and %u stand for themselves unless they are a whole level";
                find(rule, what.into());
            } else if !pattern.names_client() && !pattern.names_user() {
                find(rule, "is for everybody, and for clients without a user name".into());
            }
        }
    }
    findings
}

/// Rules of a list that others leave nothing to say for.
fn shadowed(list: &List, find: &mut impl FnMut(&Rule, String)) {
    for (at, rule) in list.deny.iter().enumerate() {
        if let Some(other) = list.deny[..at].iter().find(|other| denies_all_of(other, rule)) {
            let what = format!("adds nothing: {}", because(other, rule, false));
            find(rule, what);
        }
    }
    for (at, rule) in list.allow.iter().enumerate() {
        if let Some(other) = list.deny.iter().find(|other| denies_all_of(other, rule)) {
            find(rule, format!("never has a say: {}", because(other, rule, false)));
        } else if let Some(other) = list.allow[..at].iter().find(|other| allows_all_of(other, rule))
        {
            find(rule, format!("adds nothing: {}", because(other, rule, true)));
        }
    }
}

fn because(other: &Rule, rule: &Rule, allows: bool) -> String {
    match other.source.file == rule.source.file {
        true => format!("line {} says {:?}", other.source.line, words(other, allows)),
        false => format!("{} says {:?}", other.source, words(other, allows)),
    }
}

fn denies_all_of(other: &Rule, rule: &Rule) -> bool {
    other.actions.hold(rule.actions) && other.pattern.includes(rule.pattern.as_str(), ANYBODY)
}

fn allows_all_of(other: &Rule, rule: &Rule) -> bool {
    denies_all_of(other, rule) && other.qos_max >= rule.qos_max && (other.retain || !rule.retain)
}

/// Users, and roles, that are nobody's.
fn of_users(policy: &Policy, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |what| findings.push(Finding { source: None, what });
    let mut by_certificate = config.listeners.iter().filter_map(|it| it.tls.as_ref());
    let by_certificate =
        by_certificate.any(|tls| tls.user_name_from != crate::config::UserNameFrom::Nothing);
    if !by_certificate {
        for name in user_names(policy) {
            if config.users.is_empty() {
                find(format!("any client may say that it is {name:?}: there are no passwords"));
            } else if config.users.find(name).is_none() {
                find(format!("nobody can log in as {name:?}: it has no password"));
            }
        }
    }
    if let Some(roles) = &policy.roles {
        for name in roles.rules.keys() {
            let held = roles.of_users.values().any(|all| all.contains(name))
                || roles.of_everyone.contains(name)
                || roles.of_anonymous.contains(name);
            if !held {
                find(format!("nobody has the role {name:?}, unless a login brings it along"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut config = Config::parse("noctule.toml", text).unwrap();
        config.policies = noctule_core::grant::Policies::of_all(Policy {
            roles: config.roles.clone(),
            acl: None,
            strict: true,
        });
        lint(&config).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_without_a_say_are_found() {
        let text = "[[role]]\nname = \"r\"\neveryone = true\n\
                    [[role.rule]]\nallow = \"all\"\ntopics = [\"a/#\", \"a/+\", \"b/%c\"]\n\
                    [[role.rule]]\nallow = \"publish\"\ntopics = \"b/%c\"\nqos_max = 1\n\
                    [[role.rule]]\ndeny = \"publish\"\ntopics = [\"c/#\"]\n\
                    [[role.rule]]\nallow = \"publish\"\ntopics = [\"c/x\", \"$SYS/x\"]\n";
        let found = found(text);
        let expected = [
            "noctule.toml:4: adds nothing: line 4 says",
            "noctule.toml:7: adds nothing: line 4 says",
            "noctule.toml:14: never has a say: line 11 says \"deny publish c/#\"",
            "noctule.toml:14: does nothing: topics under $SYS",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn rules_that_differ_in_anything_are_left_alone() {
        let text = "[[role]]\nname = \"r\"\nanonymous = true\n\
                    [[role.rule]]\nallow = \"publish\"\ntopics = \"a/#\"\nretain = false\n\
                    [[role.rule]]\nallow = \"publish\"\ntopics = \"a/x\"\n\
                    [[role.rule]]\nallow = \"subscribe\"\ntopics = \"a/#\"\n\
                    [[role.rule]]\ndeny = \"receive\"\ntopics = \"a/y\"\n";
        assert_eq!(found(text), [""; 0]);
    }

    #[test]
    fn roles_and_users_that_are_nobodys_are_found() {
        let text = "[[role]]\nname = \"r\"\nusers = [\"ann\"]\n[[role]]\nname = \"s\"\n";
        let found = found(text);
        assert!(found[0].contains("any client may say that it is \"ann\""), "{found:?}");
        assert!(found[1].contains("nobody has the role \"s\""), "{found:?}");
    }
}
