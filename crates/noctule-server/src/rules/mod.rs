//! A look at rules from outside: what is odd about them, and what two versions of them differ in.
//!
//! * `lint`  rules that do nothing, or something else than they look like
//! * `diff`  who gains and who loses what

mod diff;
mod lint;

pub use diff::{Change, diff};
pub use lint::{Finding, lint};

use crate::Config;
use crate::dynsec::{self, DynsecError};
use noctule_core::grant::{List, Policy, Ranked, Rule};
use std::sync::Arc;

/// What the file of dynamic security says by now, if there is one: it has a say before the others.
///
/// # Errors
/// The file cannot be read or used.
pub fn ranked(config: &Config) -> Result<Option<Ranked>, DynsecError> {
    config.dynamic_security.as_ref().map_or(Ok(None), dynsec::permitted)
}

/// All lists of a policy, each with the words for whose it is.
fn lists(policy: &Policy) -> Vec<(String, &Arc<List>)> {
    let mut all = Vec::new();
    if let Some(roles) = &policy.roles {
        all.extend(roles.rules.iter().map(|(name, list)| (format!("role {name:?}"), list)));
    }
    if let Some(acl) = &policy.acl {
        all.push(("clients without a user name".into(), &acl.anonymous));
        all.extend(acl.users.iter().map(|(name, list)| (format!("user {name:?}"), list)));
        all.push(("everybody".into(), &acl.patterns));
    }
    all
}

/// The user names that a policy knows.
fn user_names(policy: &Policy) -> Vec<&str> {
    let of_roles = policy.roles.iter().flat_map(|roles| roles.of_users.keys());
    let of_acl = policy.acl.iter().flat_map(|acl| acl.users.keys());
    let mut names: Vec<&str> = of_roles.chain(of_acl).map(|name| &**name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A rule in words.
#[must_use]
pub fn words(rule: &Rule, allows: bool) -> String {
    let verb = if allows { "allow" } else { "deny" };
    let mut text = format!("{verb} {} {}", rule.actions, rule.pattern.as_str());
    if allows && rule.qos_max < noctule_proto::QoS::ExactlyOnce {
        text.push_str(&format!(" up to QoS {}", rule.qos_max as u8));
    }
    if allows && !rule.retain {
        text.push_str(" without RETAIN");
    }
    text
}
