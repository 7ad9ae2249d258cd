//! What everybody may do, as the configuration says it; and what of it is for one client.

use super::bounds::Bounds;
use super::ranked::Ranked;
use super::rules::{List, Rules};
use crate::identity::{ListenerId, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who a client is, as far as authentication found out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Principal {
    /// Its user name, if it has one.
    pub user_name: Option<Arc<str>>,
    /// Roles that it brings along, beside those that the configuration gives its user name.
    pub roles: Arc<[Box<str>]>,
    /// Rules that it brings along; they have a say together with those of its roles.
    pub rules: Option<Arc<List>>,
    /// When what proved it is void.
    pub expires: Option<Time>,
}

/// The rules of a listener's clients. Without any, everything is allowed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Policy {
    /// What has the first say.
    pub roles: Option<Roles>,
    /// What has the next.
    pub acl: Option<Acl>,
    /// Whether a SUBSCRIBE is refused if not all of its filter is allowed; otherwise each message
    /// is looked at alone when it is delivered.
    pub strict: bool,
}

/// Roles, and who has them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Roles {
    /// The rules of each role.
    pub rules: BTreeMap<Box<str>, Arc<List>>,
    /// How much the holders of a role may do, where it says so.
    pub bounds: BTreeMap<Box<str>, Bounds>,
    /// The roles of users, those of their groups among them.
    pub of_users: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    /// The roles of everybody who has a user name.
    pub of_everyone: BTreeSet<Box<str>>,
    /// The roles of clients without one.
    pub of_anonymous: BTreeSet<Box<str>>,
}

/// Lists as mosquitto's ACL files have them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Acl {
    /// For each user.
    pub users: BTreeMap<Box<str>, Arc<List>>,
    /// For clients without a user name.
    pub anonymous: Arc<List>,
    /// For all, after those.
    pub patterns: Arc<List>,
}

/// Stages of [`Rules`].
const BY_ROLE: u32 = 0;
const BY_USER: u32 = 1;
const BY_PATTERN: u32 = 2;

impl Policy {
    /// Whether it has no rules: everything is allowed, but for what a principal's own rules say.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.roles.is_none() && self.acl.is_none()
    }

    /// How much a client may do by its roles.
    #[must_use]
    pub fn bounds_of(&self, principal: &Principal) -> Bounds {
        let Some(roles) = self.roles.as_ref().filter(|roles| !roles.bounds.is_empty()) else {
            return Bounds::default();
        };
        let held = roles.of(principal).into_iter().filter_map(|name| roles.bounds.get(name));
        held.copied().fold(Bounds::default(), Bounds::or_better)
    }

    /// What is for one client.
    #[must_use]
    pub fn rules_of(&self, principal: &Principal) -> Rules {
        Rules::new(self.lists_of(principal))
    }

    /// The same, with what ranked rules say of it before all others.
    #[must_use]
    pub fn rules_below(&self, ranked: &Ranked, principal: &Principal) -> Rules {
        let first = ranked.lists_of(principal.user_name.as_deref());
        let known = first.is_some();
        let first = (0..).zip(first.into_iter().flatten().cloned());
        let mut lists: Vec<(u32, Arc<List>)> = first.collect();
        let stages = u32::try_from(lists.len()).unwrap_or(u32::MAX - BY_PATTERN);
        let others = self.lists_of(principal).into_iter();
        lists.extend(others.map(|(stage, list)| (stages + stage, list)));
        let rules = Rules::new(lists);
        if known { rules.with_otherwise(ranked.otherwise) } else { rules }
    }

    fn lists_of(&self, principal: &Principal) -> Vec<(u32, Arc<List>)> {
        let user_name = principal.user_name.as_deref();
        let mut lists: Vec<(u32, Arc<List>)> = Vec::new();
        lists.extend(principal.rules.iter().map(|own| (BY_ROLE, Arc::clone(own))));
        if let Some(roles) = &self.roles {
            let names = roles.of(principal);
            let rules = names.iter().filter_map(|name| roles.rules.get(*name));
            lists.extend(rules.map(|list| (BY_ROLE, Arc::clone(list))));
        }
        if let Some(acl) = &self.acl {
            let own = match user_name {
                Some(name) => acl.users.get(name),
                None => Some(&acl.anonymous),
            };
            lists.extend(own.map(|list| (BY_USER, Arc::clone(list))));
            lists.push((BY_PATTERN, Arc::clone(&acl.patterns)));
        }
        lists
    }
}

impl Roles {
    /// The names of a client's roles.
    fn of<'a>(&'a self, principal: &'a Principal) -> BTreeSet<&'a str> {
        let user_name = principal.user_name.as_deref();
        let general = match user_name {
            Some(_) => &self.of_everyone,
            None => &self.of_anonymous,
        };
        let own = user_name.and_then(|name| self.of_users.get(name)).into_iter().flatten();
        general.iter().chain(own).chain(principal.roles.iter()).map(|name| &**name).collect()
    }
}

/// The policies of all listeners.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Policies {
    /// By number of the listener.
    pub by_listener: Vec<Arc<Policy>>,
    /// Of listeners without one.
    pub otherwise: Arc<Policy>,
    /// A listener of whose clients ranked rules say nothing.
    pub beyond_ranks: Option<ListenerId>,
}

impl Policies {
    /// The same for all.
    #[must_use]
    pub fn of_all(policy: Policy) -> Policies {
        Policies { otherwise: Arc::new(policy), ..Policies::default() }
    }

    /// Of one listener.
    #[must_use]
    pub fn of(&self, listener: ListenerId) -> &Policy {
        self.by_listener.get(usize::from(listener.0)).unwrap_or(&self.otherwise)
    }

    /// Whether a role of any of them bounds the connections of a user.
    #[must_use]
    pub fn bound_connections(&self) -> bool {
        let bounds = |policy: &Policy| {
            let bounds = policy.roles.iter().flat_map(|roles| roles.bounds.values());
            bounds.into_iter().any(|bounds| bounds.connections_max > 0)
        };
        bounds(&self.otherwise) || self.by_listener.iter().any(|policy| bounds(policy))
    }

    /// Whether none of them has rules.
    #[must_use]
    pub fn are_open(&self) -> bool {
        self.otherwise.is_open() && self.by_listener.iter().all(|policy| policy.is_open())
    }
}
