//! What a file of dynamic security says.

use crate::auth::Secret;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of a client, a group or a role.
pub(crate) type Name = Box<str>;

/// Names, each with the priority that it has there.
pub(super) type Held = BTreeMap<Name, i32>;

/// The priority of what says none.
pub(super) const UNSAID: i32 = -1;

/// Priorities are no greater, and no less than this below 0.
const PRIORITY_MAX: i32 = 100_000;

/// How many of each there may be. A message cannot make many; many messages could.
pub(super) const ENTRIES_MAX: usize = 1_000_000;

/// All of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Model {
    pub(super) clients: BTreeMap<Name, Client>,
    pub(super) groups: BTreeMap<Name, Group>,
    pub(super) roles: BTreeMap<Name, Role>,
    /// The group of clients without a user name.
    pub(super) anonymous: Option<Name>,
    pub(super) access: Access,
    /// Counts the changes there have been.
    pub(super) changes: i64,
}

/// Words for people.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct About {
    pub(super) name: Option<Name>,
    pub(super) description: Option<Name>,
}

/// Who may log in.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Client {
    pub(super) about: About,
    /// The client id that it has to have.
    pub(crate) client_id: Option<Name>,
    pub(crate) disabled: bool,
    /// What is kept of its password; without, nobody can log in as this one.
    pub(crate) secret: Option<Arc<Secret>>,
    pub(super) roles: Held,
}

/// Clients that have roles together.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Group {
    pub(super) about: About,
    pub(super) roles: Held,
    pub(super) clients: Held,
}

/// What its holders may do.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Role {
    pub(super) about: About,
    pub(super) allow_wildcard_subs: bool,
    acls: [Vec<Acl>; AclType::ALL.len()],
}

/// One rule.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Acl {
    pub(super) topic: Name,
    pub(super) priority: i32,
    pub(super) allow: bool,
}

/// What a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AclType {
    PublishClientSend,
    PublishClientReceive,
    SubscribeLiteral,
    SubscribePattern,
    UnsubscribeLiteral,
    UnsubscribePattern,
}

/// What is allowed where no rule is about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Access {
    pub(super) publish_client_send: bool,
    pub(super) publish_client_receive: bool,
    pub(super) subscribe: bool,
    pub(super) unsubscribe: bool,
}

impl AclType {
    /// All, in the order in which they are written.
    pub(super) const ALL: [AclType; 6] = [
        AclType::PublishClientSend,
        AclType::PublishClientReceive,
        AclType::SubscribeLiteral,
        AclType::SubscribePattern,
        AclType::UnsubscribeLiteral,
        AclType::UnsubscribePattern,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            AclType::PublishClientSend => "publishClientSend",
            AclType::PublishClientReceive => "publishClientReceive",
            AclType::SubscribeLiteral => "subscribeLiteral",
            AclType::SubscribePattern => "subscribePattern",
            AclType::UnsubscribeLiteral => "unsubscribeLiteral",
            AclType::UnsubscribePattern => "unsubscribePattern",
        }
    }

    /// However it is written, as mosquitto reads it.
    pub(super) fn parse(name: &str) -> Option<AclType> {
        AclType::ALL.into_iter().find(|it| it.name().eq_ignore_ascii_case(name))
    }
}

impl Access {
    /// The name of each, and what it is.
    pub(super) fn all(&mut self) -> [(&'static str, &mut bool); 4] {
        [
            ("publishClientSend", &mut self.publish_client_send),
            ("publishClientReceive", &mut self.publish_client_receive),
            ("subscribe", &mut self.subscribe),
            ("unsubscribe", &mut self.unsubscribe),
        ]
    }
}

impl Default for Role {
    fn default() -> Role {
        Role::new(About::default(), true)
    }
}

impl Role {
    /// One without rules.
    pub(super) fn new(about: About, allow_wildcard_subs: bool) -> Role {
        Role { about, allow_wildcard_subs, acls: Default::default() }
    }

    /// The rules of one type, in the order in which they have a say.
    pub(super) fn of(&self, kind: AclType) -> &[Acl] {
        &self.acls[kind as usize]
    }

    /// All rules, with their types.
    pub(super) fn all(&self) -> impl Iterator<Item = (AclType, &Acl)> {
        AclType::ALL.into_iter().flat_map(|kind| self.of(kind).iter().map(move |acl| (kind, acl)))
    }

    /// Adds a rule behind those of its priority; `false` if there is one of that topic.
    pub(super) fn add(&mut self, kind: AclType, acl: Acl) -> bool {
        let acls = &mut self.acls[kind as usize];
        if acls.iter().any(|it| it.topic == acl.topic) {
            return false;
        }
        acls.insert(acls.partition_point(|it| it.priority >= acl.priority), acl);
        true
    }

    /// Takes a rule away; `false` if there is none of that topic.
    pub(super) fn remove(&mut self, kind: AclType, topic: &str) -> bool {
        let acls = &mut self.acls[kind as usize];
        let found = acls.iter().position(|it| *it.topic == *topic);
        found.map(|at| acls.remove(at)).is_some()
    }

    /// The rules of another one, instead of its own.
    pub(super) fn take_rules(&mut self, other: Role) {
        self.acls = other.acls;
    }
}

impl Model {
    /// The client of a user name.
    pub(crate) fn client(&self, user_name: &str) -> Option<&Client> {
        self.clients.get(user_name)
    }

    /// What is kept of some password: who is unknown is to be refused as slowly as who is known.
    pub(crate) fn typical(&self) -> Option<&Secret> {
        self.clients.values().find_map(|client| client.secret.as_deref())
    }

    /// The groups of each client that has any.
    pub(super) fn memberships(&self) -> BTreeMap<&str, Held> {
        let mut all: BTreeMap<&str, Held> = BTreeMap::new();
        for (group, said) in &self.groups {
            for (client, priority) in &said.clients {
                all.entry(client).or_default().insert(group.clone(), *priority);
            }
        }
        all
    }

    /// The groups of one client.
    pub(super) fn groups_of(&self, client: &str) -> Held {
        let priority = |group: &Group| group.clients.get(client).copied();
        let groups = self.groups.iter();
        groups.filter_map(|(name, group)| Some((name.clone(), priority(group)?))).collect()
    }
}

/// What is held, in the order in which it has a say: by priority, then by name.
pub(super) fn in_order(held: &Held) -> Vec<(&Name, i32)> {
    let mut all: Vec<(&Name, i32)> = held.iter().map(|(name, it)| (name, *it)).collect();
    // What is equal stays in the order of names.
    all.sort_by_key(|(_, priority)| std::cmp::Reverse(*priority));
    all
}

/// A priority within what there is.
pub(super) fn within(priority: i32) -> i32 {
    priority.clamp(-PRIORITY_MAX, PRIORITY_MAX)
}
