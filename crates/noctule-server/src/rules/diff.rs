//! Who gains and who loses what, from one version of the rules to another.
//!
//! Rules cut the topics into regions: what a filter of any rule matches, and what two of them match
//! both. For each region one topic is asked for, of levels that nothing else mentions.

use super::user_names;
use noctule_core::grant::{Action, Policy, Principal, Rules, Ruling, Source, Who};
use noctule_proto::QoS;
use std::collections::BTreeSet;
use std::fmt;

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Who: a user, or the words for others.
    pub who: String,
    /// Gained, or lost.
    pub gains: bool,
    /// What.
    pub action: &'static str,
    /// On which topics.
    pub topics: String,
    /// The rule that says so by now; `None`: no rule is about it any more.
    pub rule: Option<Source>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.gains { "gains" } else { "loses" };
        write!(f, "{} {verb} {} on {}", self.who, self.action, self.topics)?;
        match &self.rule {
            Some(rule) => write!(f, " ({rule})"),
            None => f.write_str(" (no rule allows it any more)"),
        }
    }
}

/// What is asked for.
const ACTIONS: [(&str, Action); 5] = [
    ("subscribe", Action::Subscribe),
    ("receive", Action::Receive),
    ("publish", Action::Publish { qos: QoS::AtMostOnce, retain: false }),
    ("publish with QoS 2", Action::Publish { qos: QoS::ExactlyOnce, retain: false }),
    ("publish with RETAIN", Action::Publish { qos: QoS::AtMostOnce, retain: true }),
];

/// A client id that no rule names.
const CLIENT: &str = "%c";

/// The differences, user by user.
#[must_use]
pub fn diff(old: &Policy, new: &Policy) -> Vec<Change> {
    let names: BTreeSet<&str> = user_names(old).into_iter().chain(user_names(new)).collect();
    let mut changes = Vec::new();
    of_one("clients without a user name", None, (old, new), &mut changes);
    of_one("any other user", Some("%u"), (old, new), &mut changes);
    for name in names {
        of_one(&format!("user {name:?}"), Some(name), (old, new), &mut changes);
    }
    changes
}

fn of_one(
    words: &str,
    user_name: Option<&str>,
    (old, new): (&Policy, &Policy),
    changes: &mut Vec<Change>,
) {
    let user = user_name.map(Into::into);
    let principal = Principal { user_name: user, ..Principal::default() };
    let who = Who { client_id: CLIENT, user_name };
    let rules = |policy: &Policy| (!policy.is_open()).then(|| policy.rules_of(&principal));
    let (old_rules, new_rules) = (rules(old), rules(new));
    let regions = regions([&old_rules, &new_rules].into_iter().flatten());
    for (name, action) in ACTIONS {
        let mut said: Vec<(&str, bool)> = Vec::new();
        for region in &regions {
            let asked = match action {
                Action::Subscribe | Action::Unsubscribe => region.clone(),
                Action::Receive | Action::Publish { .. } => witness(region, user_name),
            };
            let before = may(&old_rules, (action, &asked), who, old.strict);
            let after = may(&new_rules, (action, &asked), who, new.strict);
            let gains = after.is_allowed();
            // A filter within one that was told of is a part of it.
            let told = |(of, how): &(&str, bool)| *how == gains && covers(of, region);
            if before.is_allowed() == gains || said.iter().any(told) {
                continue;
            }
            said.push((region, gains));
            let rule = match after {
                Ruling::Allowed(rule) => rule,
                Ruling::Denied(rule) => Some(rule),
                Ruling::NoRule => None,
            };
            let same = |it: &&Change| it.who == words && it.topics == *region && it.gains == gains;
            let publishes = changes.iter().filter(same).any(|it| it.action == "publish");
            if publishes && name.starts_with("publish ") {
                continue;
            }
            changes.push(Change {
                who: words.into(),
                gains,
                action: name,
                topics: region.clone(),
                rule: rule.map(|rule| rule.source.clone()),
            });
        }
    }
}

fn may<'r>(
    rules: &'r Option<Rules>,
    asked: (Action, &str),
    who: Who<'_>,
    strict: bool,
) -> Ruling<'r> {
    match rules {
        Some(_) if asked.0 == Action::Subscribe && !strict => Ruling::Allowed(None),
        Some(rules) => rules.ruling(asked, who),
        None => Ruling::Allowed(None),
    }
}

/// What rules are about: each filter, and what any two have in common; the wide ones first.
fn regions<'r>(rules: impl Iterator<Item = &'r Rules>) -> Vec<String> {
    let lists: Vec<_> = rules.flat_map(Rules::lists).collect();
    let patterns = lists.iter().flat_map(|list| list.deny.iter().chain(&list.allow));
    let single: BTreeSet<String> =
        patterns.map(|rule| rule.pattern.as_str().to_owned()).chain(["#".into()]).collect();
    let mut all = single.clone();
    for one in &single {
        all.extend(single.iter().filter_map(|other| common(one, other)));
    }
    let mut all: Vec<String> = all.into_iter().collect();
    let width = |text: &String| {
        let wild = |sign| text.split('/').filter(|level| *level == sign).count();
        (std::cmp::Reverse(wild("#")), text.split('/').count(), std::cmp::Reverse(wild("+")))
    };
    all.sort_by_key(width);
    all
}

/// The filter of what two filters match both.
fn common(one: &str, other: &str) -> Option<String> {
    let (mut ones, mut others) = (one.split('/').peekable(), other.split('/').peekable());
    let mut levels = Vec::new();
    loop {
        match (ones.peek().copied(), others.peek().copied()) {
            (Some("#"), _) => {
                levels.extend(others);
                break;
            }
            (_, Some("#")) => {
                levels.extend(ones);
                break;
            }
            (None, None) => break,
            (Some(a), Some(b)) if a == b || b == "+" => levels.push(a),
            (Some("+"), Some(b)) => levels.push(b),
            _ => return None,
        }
        ones.next();
        others.next();
    }
    (!levels.is_empty()).then(|| levels.join("/"))
}

fn covers(wide: &str, narrow: &str) -> bool {
    common(wide, narrow).as_deref() == Some(narrow)
}

/// A topic of a filter and of nothing narrower.
fn witness(filter: &str, user_name: Option<&str>) -> String {
    let level = |level: &str| match level {
        "+" | "#" => "\u{e000}".to_owned(),
        level => level.replace("%u", user_name.unwrap_or("%u")),
    };
    filter.split('/').map(level).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &str) -> Policy {
        let roles = crate::Config::parse("roles", rules).unwrap().roles;
        Policy { roles, acl: None, strict: true }
    }

    fn told(old: &str, new: &str) -> Vec<String> {
        diff(&policy(old), &policy(new)).iter().map(ToString::to_string).collect()
    }

    const OLD: &str = "[[role]]\nname = \"r\"\nusers = [\"ann\", \"bob\"]\n\
                       [[role.rule]]\nallow = \"subscribe\"\ntopics = \"a/#\"\n\
                       [[role.rule]]\nallow = \"publish\"\ntopics = \"d/%c/+\"\n";

    #[test]
    fn the_same_rules_in_other_words_are_no_difference() {
        let other = "[[group]]\nname = \"g\"\nusers = [\"bob\"]\n\
                     [[role]]\nname = \"s\"\nusers = [\"ann\"]\ngroups = [\"g\"]\n\
                     [[role.rule]]\nallow = \"publish\"\ntopics = \"d/%c/+\"\n\
                     [[role.rule]]\nallow = \"subscribe\"\ntopics = [\"a/#\", \"a/x\"]\n";
        assert_eq!(told(OLD, other), [""; 0]);
    }

    #[test]
    fn what_is_gained_and_lost_is_told_with_the_rule() {
        let new = "[[role]]\nname = \"r\"\nusers = [\"ann\"]\n\
                   [[role.rule]]\nallow = \"subscribe\"\ntopics = \"a/#\"\n\
                   [[role.rule]]\ndeny = \"receive\"\ntopics = \"a/secret/#\"\n\
                   [[role.rule]]\nallow = \"publish\"\ntopics = \"d/%c/+\"\nqos_max = 1\n\
                   [[role]]\nname = \"guest\"\nanonymous = true\n\
                   [[role.rule]]\nallow = \"publish\"\ntopics = \"hello\"\n";
        assert_eq!(
            told(OLD, new),
            [
                "clients without a user name gains publish on hello (roles:17)",
                "user \"ann\" loses receive on a/secret/# (roles:7)",
                "user \"ann\" loses publish with QoS 2 on d/%c/+ (no rule allows it any more)",
                "user \"bob\" loses subscribe on a/# (no rule allows it any more)",
                "user \"bob\" loses receive on a/# (no rule allows it any more)",
                "user \"bob\" loses publish on d/%c/+ (no rule allows it any more)",
            ]
        );
    }

    #[test]
    fn what_two_filters_have_in_common_is_a_region_of_its_own() {
        let old = "[[role]]\nname = \"r\"\neveryone = true\n\
                   [[role.rule]]\nallow = \"receive\"\ntopics = \"+/x\"\n";
        let new = format!("{old}[[role.rule]]\ndeny = \"receive\"\ntopics = \"a/+\"\n");
        assert_eq!(told(old, &new), ["any other user loses receive on a/x (roles:7)"]);
        assert_eq!(common("a/#", "a"), Some("a".into()));
        assert_eq!(common("a/+/c", "+/b/#"), Some("a/b/c".into()));
        assert_eq!(common("a", "b"), None);
    }

    #[test]
    fn rules_where_there_were_none_take_everything_else_away() {
        let open = Policy::default();
        let closed = policy("[[role]]\nname = \"r\"\n");
        let lost: Vec<String> = diff(&open, &closed).iter().map(ToString::to_string).collect();
        assert!(lost.iter().all(|it| it.contains("loses") && it.contains(" on #")), "{lost:?}");
        assert_eq!(lost.len(), 6);
    }
}
