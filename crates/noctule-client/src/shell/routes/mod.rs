//! Which subscription a message is for.

mod inbox;
mod route;
mod unclaimed;

pub(super) use inbox::Inbox;

use super::driver::rejected;
use super::gauge::{Gauge, UNREAD_MAX};
use crate::delivery::AckToken;
use crate::error::Error;
use crate::message::{Message, Subscribe};
use crate::options::Acknowledge;
use inbox::{Outlet, inbox};
use noctule_proto::{QoS, ReasonCode};
use route::Route;
use std::sync::Arc;
use unclaimed::Unclaimed;

/// The highest subscription identifier (3.8.2.1.2 v5).
const SUBSCRIPTION_ID_MAX: u64 = 268_435_455;

#[derive(Debug)]
pub(super) struct Routes {
    /// In the order of their keys.
    routes: Vec<Route>,
    /// Who wants every message, whatever it is for.
    everything: Vec<Outlet>,
    unclaimed: Unclaimed,
    /// Who acknowledges what comes, unless a route knows better.
    acknowledge: Acknowledge,
    /// What the library has to acknowledge.
    due: Vec<AckToken>,
    gauge: Arc<Gauge>,
    /// The newest.
    key: u64,
}

impl Routes {
    pub(super) fn new(gauge: Arc<Gauge>, acknowledge: Acknowledge) -> Routes {
        Routes {
            routes: Vec::new(),
            everything: Vec::new(),
            unclaimed: Unclaimed::default(),
            acknowledge,
            due: Vec::new(),
            gauge,
            key: 0,
        }
    }

    /// The server had a session of ours: messages may come before the application has said who
    /// wants them.
    pub(super) fn resumed(&mut self) {
        self.unclaimed.expect();
    }

    /// The connection is over.
    pub(super) fn disconnected(&mut self) {
        self.unclaimed.disconnected();
    }

    /// A subscription that will be asked for: retained messages may come before its SUBACK.
    pub(super) fn add(&mut self, subscribe: Subscribe, acknowledge: Acknowledge) -> (u64, Inbox) {
        let (outlet, inbox) = inbox(&self.gauge);
        self.key += 1;
        let id = subscribe.id.unwrap_or_else(|| self.number());
        self.routes.push(Route::new(self.key, id, subscribe, outlet, acknowledge));
        self.claim();
        (self.key, inbox)
    }

    /// An identifier for the newest subscription, other than those the application has chosen.
    fn number(&self) -> u32 {
        let numbers = (self.key..).map(|key| (key % SUBSCRIPTION_ID_MAX + 1) as u32);
        let mut free = numbers.filter(|number| self.routes.iter().all(|it| it.id != *number));
        free.next().unwrap_or(1)
    }

    /// A stream of every message.
    pub(super) fn everything(&mut self) -> Inbox {
        let (outlet, inbox) = inbox(&self.gauge);
        self.everything.retain(|outlet| !outlet.is_closed());
        self.everything.push(outlet);
        self.claim();
        inbox
    }

    /// All subscriptions that stand or are asked for.
    pub(super) fn keys(&self) -> impl Iterator<Item = u64> {
        self.routes.iter().map(|route| route.key)
    }

    /// The newest subscription.
    pub(super) fn newest(&self) -> u64 {
        self.key
    }

    fn find(&mut self, key: u64) -> Option<&mut Route> {
        let at = self.routes.binary_search_by_key(&key, |route| route.key).ok()?;
        self.routes.get_mut(at)
    }

    /// What to ask the server for, `numbers` telling whether it knows subscription identifiers.
    pub(super) fn request(&mut self, key: u64, numbers: bool) -> Option<Subscribe> {
        let subscribe = self.find(key)?.request(numbers);
        for (filter, _) in &subscribe.filters {
            for route in &mut self.routes {
                // The server replaces a subscription with the same filter, and its identifier with
                // it. Who has dropped the earlier stream need not be served any more.
                if route.key != key && route.outlet.is_closed() {
                    route.remove(filter);
                } else if let Some(id) = subscribe.id {
                    route.learn(filter, id);
                }
            }
        }
        self.remove_empty();
        Some(subscribe)
    }

    /// The server's answer: filters that it refused bring nothing.
    pub(super) fn granted(&mut self, key: u64, codes: &[ReasonCode]) {
        let Some(route) = self.find(key) else { return };
        let mut refused = None;
        for (filter, code) in route.take_asked().iter().zip(codes) {
            if code.is_error() {
                refused = Some(*code);
                route.remove(filter);
            }
        }
        if let (Some(code), true) = (refused, route.is_empty()) {
            route.outlet.end(rejected(code));
        }
        self.remove_empty();
    }

    /// A subscription that did not come about, or could not be renewed.
    pub(super) fn refuse(&mut self, key: u64, error: Error) {
        if let Some(route) = self.find(key) {
            route.outlet.end(error);
        }
        self.remove(key);
    }

    /// A subscription that nobody waits for any more.
    pub(super) fn remove(&mut self, key: u64) {
        self.routes.retain(|route| route.key != key);
    }

    /// The server sends nothing more for this filter, to subscriptions up to this one.
    pub(super) fn unsubscribed(&mut self, filter: &str, newest: u64) {
        for route in self.routes.iter_mut().filter(|route| route.key <= newest) {
            route.remove(filter);
        }
        self.remove_empty();
    }

    /// Ends a stream when nothing can come through it any more.
    fn remove_empty(&mut self) {
        self.routes.retain(|route| !route.is_empty());
    }

    /// Hands a message to the subscriptions it is for. If the server names some, these; else all
    /// that match.
    ///
    /// A stream that was dropped takes the message and forgets it. If it was for the application to
    /// acknowledge, nobody does: the work is undone, perhaps, and the server shall know.
    pub(super) fn deliver(&mut self, message: Message) {
        if message.qos == QoS::AtMostOnce && self.gauge.unread() >= UNREAD_MAX {
            return self.gauge.drop_one();
        }
        self.everything.retain(|outlet| !outlet.is_closed());
        let mut targets: Vec<(&Outlet, Acknowledge)> =
            self.everything.iter().map(|outlet| (outlet, self.acknowledge)).collect();
        let named = self.routes.iter().any(|route| route.is_named(&message));
        for route in &self.routes {
            if if named { route.is_named(&message) } else { route.matches(&message) } {
                targets.push((&route.outlet, route.acknowledge));
            }
        }
        let Some((last, others)) = targets.split_last() else {
            return self.leave_unclaimed(message);
        };
        let by_application = |(_, by): &(_, Acknowledge)| *by == Acknowledge::ByApplication;
        if !targets.iter().any(by_application) {
            self.due.extend(message.ack);
        }
        for target in others {
            hand(message.clone(), *target);
        }
        hand(message, *last);
    }

    fn leave_unclaimed(&mut self, mut message: Message) {
        if self.acknowledge == Acknowledge::Automatically {
            self.due.extend(message.ack.take());
        }
        let ack = message.ack;
        if !self.unclaimed.push(message) {
            self.due.extend(ack);
            if self.unclaimed.are_expected() {
                self.gauge.drop_one();
            }
        }
    }

    /// Offers the unclaimed messages again.
    fn claim(&mut self) {
        for message in self.unclaimed.take() {
            self.deliver(message);
        }
    }

    /// What the library has to acknowledge, each told once.
    pub(super) fn due(&mut self) -> impl Iterator<Item = AckToken> {
        self.due.drain(..)
    }

    pub(super) fn is_any_due(&self) -> bool {
        !self.due.is_empty()
    }
}

fn hand(mut message: Message, (outlet, acknowledge): (&Outlet, Acknowledge)) {
    if acknowledge == Acknowledge::Automatically {
        message.ack = None;
    }
    outlet.push(message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_proto::QoS;
    use noctule_proto::packet::SubscribeOptions;

    fn subscribe(filter: &str, id: Option<u32>) -> Subscribe {
        Subscribe { id, ..Subscribe::to(filter, QoS::AtMostOnce) }
    }

    fn message(topic: &str, subscription_ids: &[u32]) -> Message {
        Message { subscription_ids: subscription_ids.to_vec(), ..Message::new(topic, "x") }
    }

    fn routes(acknowledge: Acknowledge) -> Routes {
        Routes::new(Arc::default(), acknowledge)
    }

    /// Subscribed, and asked for.
    fn add(routes: &mut Routes, subscribe: Subscribe) -> Inbox {
        let (key, inbox) = routes.add(subscribe, routes.acknowledge);
        routes.request(key, true);
        inbox
    }

    #[test]
    fn a_message_goes_where_the_server_says_or_else_where_it_matches() {
        let mut routes = routes(Acknowledge::Automatically);
        let mut all = add(&mut routes, subscribe("a/#", Some(1)));
        let mut some = add(&mut routes, subscribe("$share/g/a/+", Some(2)));
        routes.deliver(message("a/b", &[1]));
        assert_eq!((all.count(), some.count()), (1, 0));
        routes.deliver(message("a/b", &[2]));
        assert_eq!((all.count(), some.count()), (0, 1));
        routes.deliver(message("a/b", &[1, 2]));
        routes.deliver(message("a/b", &[]));
        routes.deliver(message("a/b", &[77]));
        assert_eq!((all.count(), some.count()), (3, 3));
        routes.deliver(message("b", &[]));
        assert_eq!((all.count(), some.count()), (0, 0));
    }

    #[test]
    fn the_same_filter_twice_feeds_both() {
        let mut routes = routes(Acknowledge::Automatically);
        let mut first = add(&mut routes, subscribe("a", Some(1)));
        let mut second = add(&mut routes, subscribe("a", Some(2)));
        routes.deliver(message("a", &[2]));
        assert_eq!((first.count(), second.count()), (1, 1));
    }

    #[test]
    fn messages_of_a_resumed_session_wait_for_their_subscription() {
        let mut routes = routes(Acknowledge::Automatically);
        routes.deliver(message("a", &[]));
        routes.resumed();
        routes.deliver(message("a", &[3]));
        routes.deliver(message("b", &[]));
        assert_eq!(add(&mut routes, subscribe("b", None)).count(), 1);
        assert_eq!(add(&mut routes, subscribe("+", None)).count(), 1);
    }

    #[test]
    fn a_stream_ends_when_nothing_can_come_through_it() {
        let mut routes = routes(Acknowledge::Automatically);
        let two = subscribe("a", None).and("b", SubscribeOptions::default());
        let (key, mut messages) = routes.add(two, Acknowledge::Automatically);
        routes.request(key, true);
        routes.granted(key, &[ReasonCode::Success, ReasonCode::NotAuthorized]);
        routes.deliver(message("b", &[]));
        routes.deliver(message("a", &[]));
        assert_eq!(messages.count(), 1);
        assert!(!messages.is_over());
        routes.unsubscribed("a", routes.newest());
        assert!(messages.is_over());
    }

    #[test]
    fn messages_under_an_earlier_identifier_still_find_their_subscription_and_no_other() {
        let mut routes = routes(Acknowledge::Automatically);
        let mut first = add(&mut routes, subscribe("a/#", None));
        let mut other = add(&mut routes, subscribe("a/+", None));
        let mut second = add(&mut routes, subscribe("a/#", None));
        // Under way since before the second one.
        routes.deliver(message("a/b", &[2]));
        assert_eq!((first.count(), second.count(), other.count()), (1, 0, 0));
        routes.deliver(message("a/b", &[4]));
        assert_eq!((first.count(), second.count(), other.count()), (1, 1, 0));
        routes.deliver(message("a/b", &[3]));
        assert_eq!((first.count(), second.count(), other.count()), (0, 0, 1));
    }

    #[test]
    fn the_library_chooses_no_identifier_of_the_applications() {
        let mut routes = routes(Acknowledge::Automatically);
        let mut chosen = add(&mut routes, subscribe("a/#", Some(3)));
        let mut other = add(&mut routes, subscribe("a/+", None));
        routes.deliver(message("a/b", &[3]));
        assert_eq!((chosen.count(), other.count()), (1, 0));
    }

    #[test]
    fn a_dropped_stream_gives_its_filter_to_the_next_one() {
        let mut routes = routes(Acknowledge::Automatically);
        for _ in 0..10 {
            drop(add(&mut routes, subscribe("a", None)));
        }
        let lives = add(&mut routes, subscribe("a", None));
        drop(add(&mut routes, subscribe("a", None)));
        // The one that lives, and the last, which nobody follows.
        assert_eq!(routes.keys().collect::<Vec<_>>(), [11, 12]);
        assert!(!lives.is_over());
    }

    #[test]
    fn what_is_unsubscribed_ends_the_subscriptions_before_it_alone() {
        let mut routes = routes(Acknowledge::Automatically);
        let before = add(&mut routes, subscribe("a", None));
        let newest = routes.newest();
        let after = add(&mut routes, subscribe("a", None));
        routes.unsubscribed("a", newest);
        assert!(before.is_over() && !after.is_over());
    }

    #[test]
    fn what_lies_in_a_dropped_stream_weighs_nothing() {
        let mut routes = routes(Acknowledge::Automatically);
        let inbox = add(&mut routes, subscribe("#", None));
        routes.deliver(message("a", &[]));
        let large = Message::new("a", vec![0; 1 << 20]);
        routes.deliver(large);
        assert!(routes.gauge.unread() > 1 << 20);
        drop(inbox);
        assert_eq!(routes.gauge.unread(), 0);
        routes.deliver(message("a", &[]));
        assert_eq!(routes.gauge.unread(), 0);
    }

    fn owed(topic: &str, arrival: u64) -> Message {
        let ack =
            Some(AckToken { id: noctule_proto::PacketId(std::num::NonZeroU16::MIN), arrival });
        Message { ack, ..Message::new(topic, "x").qos(QoS::AtLeastOnce) }
    }

    fn due(routes: &mut Routes) -> Vec<u64> {
        routes.due().map(|token| token.arrival).collect()
    }

    #[test]
    fn the_library_acknowledges_for_an_application_only_what_nobody_asked_for() {
        let mut routes = routes(Acknowledge::ByApplication);
        let dropped = add(&mut routes, subscribe("dropped", None));
        let lives = add(&mut routes, subscribe("lives", None));
        drop(dropped);
        for (arrival, topic) in ["dropped", "lives", "unknown"].iter().enumerate() {
            routes.deliver(owed(topic, arrival as u64));
        }
        assert_eq!(due(&mut routes), [2]);
        drop(lives);
        let (key, mut library) = routes.add(subscribe("x", None), Acknowledge::Automatically);
        routes.request(key, true);
        routes.deliver(owed("x", 3));
        assert_eq!((due(&mut routes), library.count()), (vec![3], 1));
    }

    #[test]
    fn unclaimed_messages_are_bounded_and_come_once() {
        let mut by_application = routes(Acknowledge::ByApplication);
        by_application.resumed();
        for arrival in 0..3 {
            by_application.deliver(owed("a", arrival));
            // The server sends it again.
            by_application.disconnected();
        }
        by_application.deliver(owed("a", 3));
        assert_eq!(due(&mut by_application), []);
        assert_eq!(add(&mut by_application, subscribe("a", None)).count(), 1);
        let mut automatic = routes(Acknowledge::Automatically);
        automatic.resumed();
        for arrival in 0..20 {
            let payload = vec![0; 1 << 20];
            automatic.deliver(Message { payload: payload.into(), ..owed("a", arrival) });
            automatic.disconnected();
        }
        assert_eq!(due(&mut automatic).len(), 20);
        assert_eq!(automatic.gauge.dropped(), 5);
        assert_eq!(add(&mut automatic, subscribe("a", None)).count(), 15);
    }
}
