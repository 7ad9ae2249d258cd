//! Who a client turned out to be, and what it is asked about for that.

use noctule_core::grant::{Actions, List, Pattern, Rule, Source};
use noctule_proto::{QoS, ReasonCode};
use std::sync::Arc;

/// What a client says of itself beside what proves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub(crate) client_id: Box<str>,
    pub(crate) user_name: Option<Arc<str>>,
}

/// A client that was let in by something that says more of it than its name.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Identity {
    /// `None`: it has none.
    pub(crate) user_name: Option<Arc<str>>,
    pub(crate) roles: Arc<[Box<str>]>,
    /// `None`: nothing was said, and what holds for everybody holds for it.
    pub(crate) permissions: Option<Vec<Permission>>,
    /// The issuer of its token, if one let it in.
    pub(crate) issuer: Option<Box<str>>,
    /// Until when, in milliseconds since 1970; `None`: for good.
    pub(crate) expires_millis: Option<u64>,
}

/// One topic filter, and what may be done there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Permission {
    pub(crate) action: Action,
    pub(crate) filter: Pattern,
    pub(crate) effect: Effect,
}

/// What is permitted, or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Publish,
    Subscribe,
}

/// Whether it is permitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// What an authenticator of the chain says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Verdict {
    Allow(Box<Identity>),
    Deny {
        reason: ReasonCode,
        why: Box<str>,
    },
    /// Somebody else may know it.
    NotMine,
}

/// Permissions as core heeds them: what is denied is denied, and so is what none of them allows.
pub(super) fn rules(permissions: &[Permission]) -> List {
    let file: Arc<str> = "what the client was let in by".into();
    let mut list = List::default();
    for permission in permissions {
        let actions = match permission.action {
            Action::Publish => Actions::PUBLISH,
            Action::Subscribe => Actions::READ,
        };
        let rules = match permission.effect {
            Effect::Allow => &mut list.allow,
            Effect::Deny => &mut list.deny,
        };
        rules.push(Rule {
            actions,
            pattern: permission.filter.clone(),
            qos_max: QoS::ExactlyOnce,
            retain: true,
            source: Source { file: Arc::clone(&file), line: 0 },
        });
    }
    list
}
