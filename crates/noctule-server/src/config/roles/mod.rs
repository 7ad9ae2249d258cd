//! Roles: what their holders may do, and who holds them. In the configuration, or in a file of
//! their own (`roles_file`).

mod walk;

use super::options::{Opt, bytes, plain};
use super::value::{Number, Text, Unit, Value, list, one_or_more, texts};
use noctule_core::grant::{Actions, Bounds, List, Pattern, Placeholders, Roles, Rule, Source};
use noctule_proto::QoS;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use toml::de::DeValue;

/// A `[[role]]` as the file says it.
#[derive(Default)]
pub(super) struct RoleDraft {
    pub(super) name: Box<str>,
    users: Vec<Box<str>>,
    groups: Vec<Box<str>>,
    everyone: bool,
    anonymous: bool,
    bounds: Bounds,
    pub(super) rules: List,
}

/// A `[[role.rule]]` as the file says it.
pub(super) struct RuleDraft {
    allow: Actions,
    deny: Actions,
    topics: Vec<Box<str>>,
    qos_max: u8,
    retain: bool,
}

impl Default for RuleDraft {
    fn default() -> RuleDraft {
        let (allow, deny) = (Actions::default(), Actions::default());
        RuleDraft { allow, deny, topics: Vec::new(), qos_max: 2, retain: true }
    }
}

/// A `[[group]]` as the file says it.
#[derive(Default)]
pub(super) struct GroupDraft {
    pub(super) name: Box<str>,
    users: Vec<Box<str>>,
}

macro_rules! opt {
    ($name:literal, $doc:expr, $slot:expr) => {
        Opt { name: $name, doc: $doc, slot: $slot }
    };
}

/// Options of `[[role]]`, beside its rules.
pub(super) const ROLE: &[Opt<RoleDraft>] = &[
    opt!("name", "Name of the role.", |r| name(&mut r.name)),
    opt!("users", "User names that have the role.", |r| Box::new(Names(&mut r.users))),
    opt!("groups", "Groups whose users have it.", |r| Box::new(Names(&mut r.groups))),
    opt!("everyone", "Whether everybody who has a user name has it.", |r| Box::new(
        &mut r.everyone
    )),
    opt!("anonymous", "Whether clients without a user name have it.", |r| Box::new(
        &mut r.anonymous
    )),
    opt!(
        "connections_max",
        "Connections that a user who has it may have at a time. 0: as many as it likes.",
        |r| plain(&mut r.bounds.connections_max, 0, u32::MAX.into())
    ),
    opt!(
        "publishes_per_sec",
        "Messages that a client that has it may publish in a second, instead of \
         `limits.client.publishes_per_sec`. 0: what is said there.",
        |r| plain(&mut r.bounds.publishes_per_sec, 0, 1_000_000_000)
    ),
    opt!("publishes_burst", "Of those, the ones at once. 0: all of a second.", |r| plain(
        &mut r.bounds.publishes_burst,
        0,
        1_000_000_000
    )),
    opt!("publish_bytes_per_sec", "The same for bytes.", |r| bytes(
        &mut r.bounds.publish_bytes_per_sec,
        0,
        1 << 40
    )),
    opt!("publish_bytes_burst", "Of those, the ones at once. 0: all of a second.", |r| bytes(
        &mut r.bounds.publish_bytes_burst,
        0,
        1 << 40
    )),
];

/// Options of `[[role.rule]]`.
pub(super) const RULE: &[Opt<RuleDraft>] = &[
    opt!(
        "allow",
        "What it allows: \"publish\", \"subscribe\" (and to be given what comes of it), \
         \"receive\" (that alone), \"all\"; or a list of these.",
        |r| Box::new(Words(&mut r.allow))
    ),
    opt!("deny", "What it denies, whatever other rules allow: the same words.", |r| Box::new(
        Words(&mut r.deny)
    )),
    opt!(
        "topics",
        "Topic filters it is about; `%c` in them is the client id, `%u` the user name.",
        |r| Box::new(Topics(&mut r.topics))
    ),
    opt!("qos_max", "The highest QoS it allows, to publish or to subscribe with.", |r| Box::new(
        Number { slot: &mut r.qos_max, range: 0..=2, unit: Unit::Plain }
    )),
    opt!("retain", "Whether it allows to publish with the RETAIN flag.", |r| Box::new(
        &mut r.retain
    )),
];

/// Options of `[[group]]`.
pub(super) const GROUP: &[Opt<GroupDraft>] = &[
    opt!("name", "Name of the group.", |g| name(&mut g.name)),
    opt!("users", "User names in it.", |g| Box::new(Names(&mut g.users))),
];

impl RoleDraft {
    /// Roles as a file would say them.
    pub(super) fn all(roles: &Roles) -> Vec<RoleDraft> {
        let draft = |(name, rules): (&str, &Arc<List>)| {
            let users = roles.of_users.iter().filter(|(_, held)| held.contains(name));
            RoleDraft {
                name: name.into(),
                users: users.map(|(user, _)| user.clone()).collect(),
                groups: Vec::new(),
                everyone: roles.of_everyone.contains(name),
                anonymous: roles.of_anonymous.contains(name),
                bounds: roles.bounds.get(name).copied().unwrap_or_default(),
                rules: (**rules).clone(),
            }
        };
        roles.rules.iter().map(|(name, rules)| draft((name, rules))).collect()
    }
}

impl RuleDraft {
    /// Rules as a file would say them.
    pub(super) fn all(list: &List) -> Vec<RuleDraft> {
        let none = Actions::default();
        let draft = |rule: &Rule, (allow, deny)| RuleDraft {
            allow,
            deny,
            topics: vec![rule.pattern.as_str().into()],
            qos_max: rule.qos_max as u8,
            retain: rule.retain,
        };
        let allow = list.allow.iter().map(|rule| draft(rule, (rule.actions, none)));
        allow.chain(list.deny.iter().map(|rule| draft(rule, (none, rule.actions)))).collect()
    }

    /// Adds what it says to a role's rules, or says which option is wrong, and why.
    pub(super) fn finish(
        self,
        source: &Source,
        rules: &mut List,
    ) -> Result<(), (&'static str, &'static str)> {
        let (list, actions) = match (self.allow.is_empty(), self.deny.is_empty()) {
            (false, true) => (&mut rules.allow, self.allow),
            (true, false) => (&mut rules.deny, self.deny),
            (true, true) => return Err(("allow", "is missing in this rule, or `deny`")),
            (false, false) => return Err(("deny", "goes into a rule of its own")),
        };
        if self.topics.is_empty() {
            return Err(("topics", "is missing in this rule: \"#\" is all topics"));
        }
        if !self.deny.is_empty() && self.qos_max < 2 {
            return Err(("qos_max", "bounds what is allowed: `deny` denies every QoS"));
        }
        if !self.deny.is_empty() && !self.retain {
            return Err(("retain", "bounds what is allowed: `deny` denies messages of both kinds"));
        }
        let qos_max = match self.qos_max {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        for topic in &self.topics {
            let pattern = Pattern::parse(topic, Placeholders::Anywhere);
            let pattern = pattern.expect("checked when it was set");
            let (retain, source) = (self.retain, source.clone());
            list.push(Rule { actions, pattern, qos_max, retain, source });
        }
        Ok(())
    }
}

/// A role names a group that is not there.
pub(super) struct NoSuchGroup {
    pub(super) role: Box<str>,
    pub(super) group: Box<str>,
}

/// What roles and groups come to.
pub(super) fn finish(
    roles: Vec<RoleDraft>,
    groups: Vec<GroupDraft>,
) -> Result<Roles, Vec<NoSuchGroup>> {
    let groups: BTreeMap<Box<str>, Vec<Box<str>>> =
        groups.into_iter().map(|group| (group.name, group.users)).collect();
    let (mut all, mut unknown) = (Roles::default(), Vec::new());
    for role in roles {
        let mut users: BTreeSet<Box<str>> = role.users.into_iter().collect();
        for group in role.groups {
            match groups.get(&group) {
                Some(members) => users.extend(members.iter().cloned()),
                None => unknown.push(NoSuchGroup { role: role.name.clone(), group }),
            }
        }
        for user in users {
            all.of_users.entry(user).or_default().insert(role.name.clone());
        }
        if role.everyone {
            all.of_everyone.insert(role.name.clone());
        }
        if role.anonymous {
            all.of_anonymous.insert(role.name.clone());
        }
        if !role.bounds.is_none() {
            all.bounds.insert(role.name.clone(), role.bounds);
        }
        all.rules.insert(role.name, Arc::new(role.rules));
    }
    if unknown.is_empty() { Ok(all) } else { Err(unknown) }
}

/// A name that is not empty.
fn name(slot: &mut Box<str>) -> Box<dyn Value + '_> {
    let check = |text: &str| match text {
        "" => Err("a name in quotes expected".into()),
        _ => Ok(()),
    };
    Box::new(Text { slot, check })
}

/// A list of names.
struct Names<'a>(&'a mut Vec<Box<str>>);

impl Value for Names<'_> {
    fn show(&self) -> Option<String> {
        Some(list(&*self.0))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let wanted = "a list of names expected, like [\"ann\", \"bob\"]";
        let names = texts(value).filter(|names| !names.contains(&""));
        *self.0 = names.ok_or(wanted)?.into_iter().map(prepared).collect();
        Ok(())
    }
}

/// A user name as those are compared who have proved theirs.
pub(super) fn prepared(name: &str) -> Box<str> {
    crate::auth::prepared_name(name).map_or_else(|| name.into(), Into::into)
}

/// Topic filters with placeholders.
struct Topics<'a>(&'a mut Vec<Box<str>>);

impl Value for Topics<'_> {
    fn show(&self) -> Option<String> {
        Some(list(&*self.0))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let wanted = "a topic filter expected, or a list of them, like [\"a/%c/#\", \"b\"]";
        for text in one_or_more(value).ok_or(wanted)? {
            if let Err(error) = Pattern::parse(text, Placeholders::Anywhere) {
                return Err(format!("{text:?} is no topic filter: {error}"));
            }
            self.0.push(text.into());
        }
        Ok(())
    }
}

/// Kinds of actions.
struct Words<'a>(&'a mut Actions);

impl Value for Words<'_> {
    fn show(&self) -> Option<String> {
        let words = self.0.to_string();
        (!self.0.is_empty()).then(|| list(words.split(", ")))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let wanted = "\"publish\", \"subscribe\", \"receive\" or \"all\" expected, or a list";
        for word in one_or_more(value).ok_or(wanted)? {
            *self.0 = self.0.and(match word {
                "publish" => Actions::PUBLISH,
                "subscribe" => Actions::READ,
                "receive" => Actions::RECEIVE,
                "all" => Actions::ALL,
                _ => return Err(wanted.into()),
            });
        }
        if self.0.is_empty() { Err(wanted.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
