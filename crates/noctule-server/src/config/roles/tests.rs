//! Roles from a file to what clients may do.

use crate::config::{Config, show};
use noctule_core::grant::{Action, Principal, Who};
use noctule_proto::QoS;

fn config(text: &str) -> Config {
    Config::parse("f", text).unwrap_or_else(|error| panic!("{error}"))
}

fn faults(text: &str) -> String {
    Config::parse("f", text).expect_err("the text is wrong").to_string()
}

/// What a user may do with a topic: p and P (with RETAIN and QoS 2), s, r.
fn may(config: &Config, user: Option<&str>, topic: &str) -> String {
    let principal = Principal { user_name: user.map(Into::into), ..Principal::default() };
    let rules = config.policies.otherwise.rules_of(&principal);
    let who = Who { client_id: "c1", user_name: user };
    let all = [
        ("p", Action::Publish { qos: QoS::AtMostOnce, retain: false }),
        ("P", Action::Publish { qos: QoS::ExactlyOnce, retain: true }),
        ("s", Action::Subscribe),
        ("r", Action::Receive),
    ];
    let allowed = all.into_iter().filter(|(_, it)| rules.ruling((*it, topic), who).is_allowed());
    allowed.map(|(word, _)| word).collect()
}

const FILE: &str = r##"
[[group]]
name = "plant"
users = ["ann", "bob"]
[[role]]
name = "operator"
groups = ["plant"]
[[role.rule]]
allow = ["publish", "subscribe"]
topics = ["plant/%u/#", "plant/all"]
[[role.rule]]
deny = "receive"
topics = "plant/+/secret"
[[role]]
name = "sensor"
everyone = true
rule = [{ allow = "publish", topics = "up/%c/dev-%c", qos_max = 1, retain = false }]
[[role]]
name = "guest"
anonymous = true
[[role.rule]]
allow = "all"
topics = "lobby/#"
[[role]]
name = "auditor"
users = ["eve"]
[[role.rule]]
allow = "receive"
topics = "#"
"##;

#[test]
fn roles_of_users_groups_everybody_and_nobody() {
    let config = config(FILE);
    for (user, topic, expected) in [
        (Some("ann"), "plant/ann/x", "pPsr"),
        (Some("ann"), "plant/ann/secret", "pPs"),
        (Some("ann"), "plant/bob/x", ""),
        (Some("eve"), "plant/bob/x", "r"),
        (Some("eve"), "up/c1/dev-c1", "pr"),
        (Some("ann"), "up/c1/dev-c2", ""),
        (None, "lobby/x", "pPsr"),
        (None, "up/c1/dev-c1", ""),
        (Some("ann"), "lobby/x", ""),
    ] {
        assert_eq!(may(&config, user, topic), expected, "{user:?} {topic}");
    }
    assert!(config.policies.otherwise.strict);
}

#[test]
fn what_is_shown_of_roles_says_the_same() {
    let shown = show(&config(FILE));
    let again = config(&shown);
    assert_eq!(show(&again), shown);
    for topic in ["plant/ann/x", "plant/ann/secret", "up/c1/dev-c1", "lobby/x", "other"] {
        for user in [Some("ann"), Some("eve"), None] {
            assert_eq!(may(&again, user, topic), may(&config(FILE), user, topic), "{topic}");
        }
    }
}

#[test]
fn mistakes_in_roles_are_named() {
    for (text, expected) in [
        ("[[role]]\n", "f:1: role.name: is missing in this entry"),
        ("role = 1", "f:1: role: write each as a table of its own: [[role]]"),
        (
            "[[role]]\nname = \"r\"\n[[role]]\nname = \"r\"",
            "f:3: role.name: \"r\" has an entry already",
        ),
        ("[[role]]\nname = \"r\"\ngroups = [\"g\"]", "f:1: role.groups: there is no group \"g\""),
        (
            "[[role]]\nname = \"r\"\n[[role.rule]]\ntopics = \"a\"",
            "f:3: role.rule.allow: is missing in this rule, or `deny`",
        ),
        (
            "[[role]]\nname = \"r\"\n[[role.rule]]\nallow = \"read\"\ntopics = \"a\"",
            "f:4: role.rule.allow: \"read\" is wrong: \"publish\", \"subscribe\", \"receive\" or \
             \"all\" expected, or a list",
        ),
        (
            "[[role]]\nname = \"r\"\n[[role.rule]]\nallow = \"all\"\ntopics = \"a/#/b\"",
            "f:5: role.rule.topics: \"a/#/b\" is wrong: \"a/#/b\" is no topic filter: ",
        ),
        (
            "[[role]]\nname = \"r\"\n[[role.rule]]\ndeny = \"all\"\ntopics = \"a\"\nqos_max = 1",
            "f:3: role.rule.qos_max: bounds what is allowed: `deny` denies every QoS",
        ),
        ("roles_file = \"x\"\n[[role]]\nname = \"r\"", "f:1: roles_file: the roles stand in here"),
    ] {
        let found = faults(text);
        assert!(found.starts_with(expected), "{found}");
    }
}
