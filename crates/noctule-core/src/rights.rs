//! What clients may do, asked where it matters: when they publish, when they subscribe, and before
//! they are given a message.
//!
//! A client's rules are found at CONNECT and kept with its session ([`Permit`]), so that they hold
//! while it is away. New policies void all permits at once; each is made anew when it is needed
//! next. A session of an earlier run has none until its client returns: messages wait for it
//! unseen, and are looked at before they are sent.

use crate::broker::{Broker, Turn};
use crate::grant::{
    Action, Actions, Bounds, Decisions, Permit, Policies, Principal, Ranked, Ruling, Source,
    is_reserved,
};
use crate::identity::{ConnId, ListenerId};
use noctule_proto::{QoS, TopicFilter};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Everybody's rules.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rights {
    policies: Policies,
    /// What has a say before them.
    ranked: Option<Arc<Ranked>>,
    /// Topics that begin with `$CONTROL/` are for the server.
    controls: bool,
    /// Counts the policies there have been.
    version: u32,
    /// Somebody has rules. Otherwise no client has a permit, nor needs one.
    in_force: bool,
    /// Some client brought rules along.
    brought: bool,
    #[serde(skip)]
    decisions: Decisions,
}

impl Rights {
    /// No rules.
    pub(crate) fn new(controls: bool) -> Rights {
        Rights { controls, ..Rights::default() }
    }

    /// Lets go of what can be decided again.
    pub(crate) fn let_go(&mut self) {
        self.decisions.clear();
    }
}

/// What a topic is asked by: the topic, and its hash once it is known.
pub(crate) struct Asked<'a> {
    pub(crate) topic: &'a str,
    pub(crate) hash: &'a mut Option<u64>,
}

impl Broker {
    /// Other rules from now on.
    pub(crate) fn set_policies(&mut self, policies: Policies) {
        self.rights.policies = policies;
        self.void_permits();
    }

    /// Other rules with the first say from now on.
    pub(crate) fn set_ranked(&mut self, ranked: Arc<Ranked>) {
        self.rights.ranked = Some(ranked);
        self.control_anew();
        self.void_permits();
    }

    /// Other limits, or rules, from now on.
    pub(crate) fn control_anew(&mut self) {
        self.rights.controls = self.rights.ranked.is_some() || self.limits.control_api;
    }

    fn void_permits(&mut self) {
        let rights = &mut self.rights;
        let ruled = rights.ranked.is_some() || !rights.policies.are_open();
        rights.in_force = rights.brought || ruled;
        rights.version += 1;
        rights.decisions.clear();
        self.routes.clear();
        self.connections.forget_routes();
        self.jobs.recheck();
    }

    /// What a client may do; `None` while nobody has rules.
    pub(crate) fn permit(
        &mut self,
        principal: Principal,
        listener: ListenerId,
        client_id: &str,
    ) -> Option<Box<Permit>> {
        let brings = principal.rules.is_some();
        if brings {
            self.rights.brought = true;
            self.rights.in_force = true;
        }
        if !self.rights.in_force {
            return None;
        }
        // Rules that come along may be any: no two bring the same.
        let nonce = if brings { self.random.next() } else { 0 };
        let rights = &self.rights;
        let of = (&rights.policies, rights.ranked.as_deref(), rights.version);
        let mut permit = Permit::new(of, (principal, listener));
        let who = (&permit.principal.user_name, &permit.principal.roles);
        let client_id = permit.names_client().then_some(client_id);
        permit.key = self.homes.seed.of((rights.version, listener, who, client_id, nonce));
        Some(Box::new(permit))
    }

    /// How much a session may do by its client's roles, if they say so.
    pub(crate) fn bounds(&self, slot: u32) -> Option<&Bounds> {
        let permit = self.sessions.at(slot).permit.as_ref().filter(|_| self.rights.in_force)?;
        permit.bounds.as_deref()
    }

    /// Makes the permit of a session that has none of the present policies.
    fn renew_permit(&mut self, slot: u32) {
        let session = self.sessions.at(slot);
        let (principal, listener) = match &session.permit {
            Some(permit) if permit.version == self.rights.version => return,
            Some(permit) => (permit.principal.clone(), permit.listener),
            None => {
                // There were no rules when it connected, so nobody kept who it is.
                let connection = session.conn().and_then(|conn| self.connections.get(conn));
                let Some(connection) = connection else { return };
                (Principal::default(), connection.origin.listener)
            }
        };
        let client_id = session.client_id.clone();
        let permit = self.permit(principal, listener, &client_id);
        self.put_permit(slot, permit);
    }

    /// Whether that is another than before. Who receives what is found out anew, if it is.
    fn put_permit(&mut self, slot: u32, permit: Option<Box<Permit>>) -> bool {
        let key = |permit: &Option<Box<Permit>>| permit.as_ref().map(|permit| permit.key);
        let session = self.sessions.at_mut(slot);
        let other = key(&session.permit) != key(&permit);
        session.permit = permit;
        if other && session.subscriptions.len() > 0 {
            self.routes.clear();
        }
        other
    }

    /// A connected client has proved who it is, perhaps once more; or that was known before there
    /// were rules.
    pub(crate) fn identified(&mut self, turn: &mut Turn<'_>, conn: ConnId, principal: Principal) {
        let Some(connection) = self.connections.get_mut(conn).filter(|it| it.is_live()) else {
            return;
        };
        connection.last_route.permitted = 0;
        let (slot, listener) = (connection.session, connection.origin.listener);
        let client_id = self.sessions.at(slot).client_id.clone();
        let permit = self.permit(principal, listener, &client_id);
        self.take_permit(turn, slot, permit);
    }

    /// Whether a connected client may publish a message.
    #[inline]
    pub(crate) fn may_publish(
        &mut self,
        conn: ConnId,
        topic: &str,
        (qos, retain): (QoS, bool),
    ) -> bool {
        if topic.starts_with('$') && is_reserved(topic) {
            return false;
        }
        !self.rights.in_force || self.publish_is_ruled(conn, topic, (qos, retain))
    }

    /// The same, where there are rules. What the connection published last, in the same way, it may
    /// publish again.
    fn publish_is_ruled(&mut self, conn: ConnId, topic: &str, (qos, retain): (QoS, bool)) -> bool {
        let Some(connection) = self.connections.get(conn) else { return false };
        let way = 1 << (qos as u8 + 3 * u8::from(retain));
        let (slot, last) = (connection.session, connection.last_route);
        let again = self.is_last_route(last, (connection.origin.tenant, topic));
        if again && last.permitted & way != 0 {
            return true;
        }
        let allowed = self.is_allowed(slot, (Action::Publish { qos, retain }, topic));
        if allowed
            && again
            && let Some(connection) = self.connections.get_mut(conn)
        {
            connection.last_route.permitted |= way;
        }
        allowed
    }

    /// Whether a client may have a will: it is refused at CONNECT, not when it is too late.
    pub(crate) fn may_have_will(
        permit: Option<&Permit>,
        client_id: &str,
        (topic, qos, retain): (&str, QoS, bool),
    ) -> bool {
        let asked = (Action::Publish { qos, retain }, topic);
        !is_reserved(topic) && permit.is_none_or(|it| it.ruling(asked, client_id).is_allowed())
    }

    /// Whether the will of a session may be published by now.
    pub(crate) fn may_publish_will(
        &mut self,
        slot: u32,
        (topic, qos, retain): (&str, QoS, bool),
    ) -> bool {
        let asked = (Action::Publish { qos, retain }, topic);
        !is_reserved(topic) && (!self.rights.in_force || self.is_allowed(slot, asked))
    }

    /// The highest QoS with which a session may subscribe to a filter; `None`: it may not.
    pub(crate) fn may_subscribe(&mut self, slot: u32, filter: TopicFilter<'_>) -> Option<QoS> {
        if !self.rights.in_force {
            return Some(QoS::ExactlyOnce);
        }
        self.renew_permit(slot);
        let session = self.sessions.at(slot);
        let Some(permit) = session.permit.as_deref().filter(|permit| permit.strict) else {
            return Some(QoS::ExactlyOnce);
        };
        let asked = (Action::Subscribe, permit.asked(filter));
        match permit.ruling(asked, &session.client_id) {
            Ruling::Allowed(rule) => Some(rule.map_or(QoS::ExactlyOnce, |rule| rule.qos_max)),
            Ruling::Denied(_) | Ruling::NoRule => None,
        }
    }

    /// Whether a session may end its subscription to a filter.
    pub(crate) fn may_unsubscribe(&mut self, slot: u32, filter: TopicFilter<'_>) -> bool {
        if self.rights.ranked.is_none() {
            return true;
        }
        self.renew_permit(slot);
        let session = self.sessions.at(slot);
        session.permit.as_ref().is_none_or(|permit| {
            let asked = (Action::Unsubscribe, permit.asked(filter));
            permit.ruling(asked, &session.client_id).is_allowed()
        })
    }

    /// Whether messages of a topic are for the broker itself, and not for subscribers.
    #[inline]
    pub(crate) fn is_control(&self, topic: &str) -> bool {
        self.rights.controls && topic.starts_with("$CONTROL/")
    }

    /// Whether a session may be given a message.
    #[inline]
    pub(crate) fn may_receive(&mut self, slot: u32, asked: Asked<'_>) -> bool {
        !self.rights.in_force || self.receiving_is_ruled(slot, asked)
    }

    fn receiving_is_ruled(&mut self, slot: u32, Asked { topic, hash }: Asked<'_>) -> bool {
        if self.sessions.at(slot).permit.as_ref().is_none_or(|it| it.version != self.rights.version)
        {
            self.renew_permit(slot);
        }
        let session = self.sessions.at(slot);
        // Of an earlier run: what waits is looked at again when its client is there.
        let Some(permit) = &session.permit else { return true };
        if permit.is_open() {
            return true;
        }
        let seed = &self.homes.seed;
        let of_topic = *hash.get_or_insert_with(|| seed.of_bytes(topic.as_bytes()));
        let key = of_topic.rotate_left(17) ^ permit.key;
        if let Some(decided) = self.rights.decisions.find(key) {
            return decided;
        }
        let allowed = permit.ruling((Action::Receive, topic), &session.client_id).is_allowed();
        self.rights.decisions.remember(key, allowed);
        allowed
    }

    /// Asks the rules.
    fn is_allowed(&mut self, slot: u32, asked: (Action, &str)) -> bool {
        self.renew_permit(slot);
        let session = self.sessions.at(slot);
        let permit = session.permit.as_ref();
        permit.is_none_or(|permit| permit.ruling(asked, &session.client_id).is_allowed())
    }

    /// Whom the rules refused something, and by which rule, if it is not that none allows it.
    pub(crate) fn why_denied(
        &self,
        slot: u32,
        action: Actions,
        topic: &str,
    ) -> (Option<Box<str>>, Option<Source>) {
        let session = self.sessions.at(slot);
        let Some(permit) = &session.permit else { return (None, None) };
        let (qos, retain) = (QoS::AtMostOnce, false);
        let publishes = Action::Publish { qos, retain };
        let action = if action == Actions::PUBLISH { publishes } else { Action::Subscribe };
        let rule = match permit.ruling((action, topic), &session.client_id) {
            Ruling::Denied(rule) => Some(rule.source.clone()),
            Ruling::Allowed(_) | Ruling::NoRule => None,
        };
        (permit.principal.user_name.as_deref().map(Into::into), rule)
    }

    /// A session has a permit from here on, or others than before: subscriptions that it does not
    /// allow end.
    pub(crate) fn take_permit(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        permit: Option<Box<Permit>>,
    ) {
        if self.put_permit(slot, permit) {
            self.recheck(turn, slot);
        }
    }

    /// What a session may do, or how much of it, has changed: ends the subscriptions that it may
    /// not have any more; says how many it looked at.
    pub(crate) fn recheck(&mut self, turn: &mut Turn<'_>, slot: u32) -> usize {
        if self.rights.in_force {
            self.renew_permit(slot);
        }
        if let Some(conn) = self.sessions.at(slot).conn() {
            self.agree_rates(turn.now, conn);
        }
        let session = self.sessions.at(slot);
        let Some(permit) = session.permit.as_deref().filter(|it| it.strict && !it.is_open()) else {
            return 0;
        };
        let lost = session.subscriptions.iter().filter(|held| {
            let asked =
                TopicFilter::parse(&held.filter).map_or(&*held.filter, |it| permit.asked(it));
            !permit.ruling((Action::Subscribe, asked), &session.client_id).is_allowed()
        });
        let lost: Vec<Box<str>> = lost.map(|held| held.filter.clone()).collect();
        let seen = session.subscriptions.len();
        if !lost.is_empty() {
            self.end_subscriptions(turn, slot, &lost);
        }
        seen
    }
}
