//! Rules, and what they come to for one client and topic.

use super::pattern::{Pattern, Who};
use noctule_proto::QoS;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What a client wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Publish to a topic.
    Publish {
        /// With this QoS.
        qos: QoS,
        /// With the RETAIN flag.
        retain: bool,
    },
    /// Subscribe to a filter.
    Subscribe,
    /// Be given a message of a topic.
    Receive,
    /// End a subscription to a filter.
    Unsubscribe,
}

/// Some of the kinds of [`Action`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Actions(pub(super) u8);

impl Actions {
    /// Publishing.
    pub const PUBLISH: Actions = Actions(1);
    /// Subscribing.
    pub const SUBSCRIBE: Actions = Actions(2);
    /// Receiving.
    pub const RECEIVE: Actions = Actions(4);
    /// Subscribing, and receiving what comes of it.
    pub const READ: Actions = Actions(6);
    /// Everything but to unsubscribe, which is nobody's loss.
    pub const ALL: Actions = Actions(7);
    /// Ending subscriptions.
    pub const UNSUBSCRIBE: Actions = Actions(8);

    /// These and those.
    #[must_use]
    pub fn and(self, others: Actions) -> Actions {
        Actions(self.0 | others.0)
    }

    /// Whether all of those are among these.
    #[must_use]
    pub fn hold(self, others: Actions) -> bool {
        self.0 & others.0 == others.0
    }

    /// None.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl From<Action> for Actions {
    fn from(action: Action) -> Actions {
        match action {
            Action::Publish { .. } => Actions::PUBLISH,
            Action::Subscribe => Actions::SUBSCRIBE,
            Action::Receive => Actions::RECEIVE,
            Action::Unsubscribe => Actions::UNSUBSCRIBE,
        }
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (Actions::PUBLISH, "publish"),
            (Actions::SUBSCRIBE, "subscribe"),
            (Actions::RECEIVE, "receive"),
            (Actions::UNSUBSCRIBE, "unsubscribe"),
        ];
        let mut first = true;
        for (_, word) in all.into_iter().filter(|(one, _)| self.hold(*one)) {
            write!(f, "{}{word}", if first { "" } else { ", " })?;
            first = false;
        }
        Ok(())
    }
}

/// Where a rule was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Source {
    /// The file; or what else it came with.
    pub file: Arc<str>,
    /// The line, from 1; 0 if it has none.
    pub line: u32,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// One rule. Whether it allows or denies says the list it is in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// What it is about.
    pub actions: Actions,
    /// Which topics.
    pub pattern: Pattern,
    /// What it allows has this QoS at most: messages published, subscriptions made.
    pub qos_max: QoS,
    /// It allows messages to be retained.
    pub retain: bool,
    /// Where it was written.
    pub source: Source,
}

impl Rule {
    fn is_about(&self, (action, topic): (Action, &str), who: Who<'_>) -> bool {
        self.actions.hold(action.into())
            && match action {
                Action::Publish { .. } | Action::Receive => self.pattern.matches(topic, who),
                Action::Subscribe | Action::Unsubscribe => self.pattern.includes(topic, who),
            }
    }

    fn allows(&self, (action, topic): (Action, &str), who: Who<'_>) -> bool {
        let within = match action {
            Action::Publish { qos, retain } => qos <= self.qos_max && (self.retain || !retain),
            Action::Subscribe | Action::Receive | Action::Unsubscribe => true,
        };
        within && self.is_about((action, topic), who)
    }
}

/// Rules of one source that have a say together.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct List {
    /// What they deny.
    pub deny: Vec<Rule>,
    /// What they allow.
    pub allow: Vec<Rule>,
}

impl List {
    /// Whether the client id makes a difference.
    #[must_use]
    pub fn names_client(&self) -> bool {
        self.deny.iter().chain(&self.allow).any(|rule| rule.pattern.names_client())
    }
}

/// What rules come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ruling<'a> {
    /// This rule allows it; or no rule is about it, and it is allowed without.
    Allowed(Option<&'a Rule>),
    /// This rule denies it.
    Denied(&'a Rule),
    /// No rule is about it: it is denied.
    NoRule,
}

impl Ruling<'_> {
    /// Whether it may be done.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Ruling::Allowed(_))
    }
}

/// What clients may do where no rule is about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Otherwise {
    /// With topics in general.
    pub plain: Actions,
    /// With those that control the broker.
    pub control: Actions,
}

impl Default for Otherwise {
    /// Nothing but to leave.
    fn default() -> Otherwise {
        Otherwise { plain: Actions::UNSUBSCRIBE, control: Actions::UNSUBSCRIBE }
    }
}

/// What topics that control the broker begin with, as mosquitto has it.
const CONTROL: &str = "$CONTROL";

/// The rules of one client: stages, in order. The first stage that has a say decides; within it
/// what denies goes before what allows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rules {
    /// Each list with the number of its stage, in order.
    lists: Box<[(u32, Arc<List>)]>,
    otherwise: Otherwise,
}

impl Rules {
    /// Of lists, each with the number of its stage; these must not go down.
    #[must_use]
    pub fn new(lists: impl IntoIterator<Item = (u32, Arc<List>)>) -> Rules {
        let lists: Box<[(u32, Arc<List>)]> = lists.into_iter().collect();
        debug_assert!(lists.is_sorted_by_key(|(stage, _)| *stage), "stages go up");
        Rules { lists, otherwise: Otherwise::default() }
    }

    /// The same, where more, or less, is allowed that no rule is about.
    #[must_use]
    pub fn with_otherwise(self, otherwise: Otherwise) -> Rules {
        Rules { otherwise, ..self }
    }

    /// What they come to.
    #[must_use]
    pub fn ruling(&self, asked: (Action, &str), who: Who<'_>) -> Ruling<'_> {
        for stage in self.lists.chunk_by(|(one, _), (other, _)| one == other) {
            let mut lists = stage.iter().map(|(_, list)| list);
            let denying =
                |list: &'_ List| list.deny.iter().position(|rule| rule.is_about(asked, who));
            if let Some(rule) = lists.clone().find_map(|it| denying(it).map(|at| &it.deny[at])) {
                return Ruling::Denied(rule);
            }
            let allowing =
                |list: &'_ List| list.allow.iter().position(|rule| rule.allows(asked, who));
            if let Some(rule) = lists.find_map(|it| allowing(it).map(|at| &it.allow[at])) {
                return Ruling::Allowed(Some(rule));
            }
        }
        let (action, topic) = asked;
        let Otherwise { plain, control } = self.otherwise;
        let otherwise = if topic.starts_with(CONTROL) { control } else { plain };
        if otherwise.hold(action.into()) { Ruling::Allowed(None) } else { Ruling::NoRule }
    }

    /// The lists, in the order in which they have a say.
    pub fn lists(&self) -> impl Iterator<Item = &Arc<List>> {
        self.lists.iter().map(|(_, list)| list)
    }

    /// Whether the client id makes a difference.
    #[must_use]
    pub fn name_client(&self) -> bool {
        self.lists().any(|list| list.names_client())
    }
}
