//! Who may do what: a pure check. Finding out who somebody is, and reading the rules, is the
//! server's work.
//!
//! * `pattern`    the topics a rule is about
//! * `rules`      rules, and what they come to for one client and topic
//! * `bounds`     how much the holder of a role may do
//! * `policy`     all rules of a configuration; which of them are for a client
//! * `ranked`     rules in an order of their own
//! * `decisions`  what was decided a moment ago
//!
//! ```text
//! Policy + Principal --at CONNECT--> Permit --with each topic--> Ruling
//! ```

mod bounds;
mod decisions;
mod pattern;
mod policy;
mod ranked;
mod rules;
#[cfg(test)]
mod tests;

pub use bounds::Bounds;
pub(crate) use decisions::Decisions;
pub use pattern::{Pattern, PatternError, Placeholders, Who};
pub use policy::{Acl, Policies, Policy, Principal, Roles};
pub use ranked::{Ranked, RankedLists};
pub use rules::{Action, Actions, List, Otherwise, Rule, Rules, Ruling, Source};

use crate::identity::ListenerId;
use noctule_proto::TopicFilter;
use serde::{Deserialize, Serialize};

/// What one client may do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Permit {
    pub(crate) principal: Principal,
    pub(crate) listener: ListenerId,
    /// The policies it was made from.
    pub(crate) version: u32,
    /// Stands for its rules and for who asks, where decisions are remembered.
    pub(crate) key: u64,
    /// A SUBSCRIBE is looked at, not only what is delivered.
    pub(crate) strict: bool,
    /// Filters are looked at with their shares, as ranked rules have it.
    whole: bool,
    /// `None`: everything.
    rules: Option<Rules>,
    /// How much of it; `None`: as much as everybody.
    pub(crate) bounds: Option<Box<Bounds>>,
}

impl Permit {
    /// Its key is for who makes it to choose.
    pub(crate) fn new(
        (policies, ranked, version): (&Policies, Option<&Ranked>, u32),
        (principal, listener): (Principal, ListenerId),
    ) -> Permit {
        let policy = policies.of(listener);
        let ranked = ranked.filter(|_| policies.beyond_ranks != Some(listener));
        let strict = policy.strict || policy.is_open() || ranked.is_some();
        let rules = match ranked {
            Some(ranked) => Some(policy.rules_below(ranked, &principal)),
            None if policy.is_open() && principal.rules.is_none() => None,
            None => Some(policy.rules_of(&principal)),
        };
        let user_name = principal.user_name.as_deref();
        let whole = ranked.is_some_and(|ranked| ranked.lists_of(user_name).is_some());
        let bounds = policy.bounds_of(&principal);
        let bounds = (!bounds.is_none()).then(|| Box::new(bounds));
        Permit { principal, listener, version, key: 0, strict, whole, rules, bounds }
    }

    /// Everything is allowed.
    pub(crate) fn is_open(&self) -> bool {
        self.rules.is_none()
    }

    /// Whether the client id makes a difference.
    pub(crate) fn names_client(&self) -> bool {
        self.rules.as_ref().is_some_and(Rules::name_client)
    }

    /// What of a filter its rules are about.
    pub(crate) fn asked<'f>(&self, filter: TopicFilter<'f>) -> &'f str {
        if self.whole { filter.as_str() } else { filter.plain() }
    }

    /// What the rules come to.
    pub(crate) fn ruling(&self, asked: (Action, &str), client_id: &str) -> Ruling<'_> {
        let user_name = self.principal.user_name.as_deref();
        match &self.rules {
            Some(rules) => rules.ruling(asked, Who { client_id, user_name }),
            None => Ruling::Allowed(None),
        }
    }
}

/// Topics that are the broker's own to publish to. `[U5-4.7.2-1]`
pub(crate) fn is_reserved(topic: &str) -> bool {
    topic == "$SYS" || topic.starts_with("$SYS/") && !is_state_of_bridge(topic)
}

/// Where bridges of other brokers say how they stand, as mosquitto's do.
fn is_state_of_bridge(topic: &str) -> bool {
    let name =
        topic.strip_prefix("$SYS/broker/connection/").and_then(|it| it.strip_suffix("/state"));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}
