//! Which subscription a message is for.

use super::gauge::{Gauge, UNREAD_MAX};
use crate::message::{Message, Subscribe};
use noctule_proto::{QoS, ReasonCode, TopicFilter, matches};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Messages of a resumed session that are kept for a subscription to come.
const UNCLAIMED_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct Routes {
    routes: Vec<Route>,
    /// Received before the application has said who wants them.
    unclaimed: VecDeque<Message>,
    /// Whether such messages can be: the server had a session of ours.
    keep_unclaimed: bool,
    gauge: Arc<Gauge>,
    keys: u64,
}

#[derive(Debug)]
struct Route {
    key: u64,
    filters: Vec<Wanted>,
    inbox: mpsc::UnboundedSender<Message>,
}

#[derive(Debug)]
struct Wanted {
    filter: String,
    /// The identifier under which the server knows the filter now.
    id: Option<u32>,
}

impl Wanted {
    fn matches(&self, topic: &str) -> bool {
        TopicFilter::parse(&self.filter).is_ok_and(|filter| matches(filter.plain(), topic))
    }
}

impl Routes {
    pub(super) fn new(gauge: Arc<Gauge>) -> Routes {
        Routes {
            routes: Vec::new(),
            unclaimed: VecDeque::new(),
            keep_unclaimed: false,
            gauge,
            keys: 0,
        }
    }

    pub(super) fn resumed(&mut self, session_present: bool) {
        self.keep_unclaimed = session_present;
    }

    /// A subscription that is asked for: retained messages may come before its SUBACK.
    pub(super) fn add(&mut self, subscribe: &Subscribe) -> (u64, mpsc::UnboundedReceiver<Message>) {
        let (inbox, messages) = mpsc::unbounded_channel();
        self.keys += 1;
        let id = subscribe.id;
        // The server replaces a subscription with the same filter, and its identifier with it.
        for wanted in self.routes.iter_mut().flat_map(|route| &mut route.filters) {
            if subscribe.filters.iter().any(|(filter, _)| *filter == wanted.filter) {
                wanted.id = id;
            }
        }
        let filters = subscribe.filters.iter();
        let filters = filters.map(|(filter, _)| Wanted { filter: filter.clone(), id }).collect();
        self.routes.push(Route { key: self.keys, filters, inbox });
        self.claim();
        (self.keys, messages)
    }

    /// The server's answer: filters that it refused bring nothing.
    pub(super) fn granted(&mut self, key: u64, codes: &[ReasonCode]) {
        let Some(route) = self.routes.iter_mut().find(|route| route.key == key) else { return };
        let mut codes = codes.iter();
        route.filters.retain(|_| codes.next().is_some_and(|code| !code.is_error()));
        self.remove_empty();
    }

    /// A subscription that did not come about.
    pub(super) fn remove(&mut self, key: u64) {
        self.routes.retain(|route| route.key != key);
    }

    /// The server sends nothing more for this filter.
    pub(super) fn unsubscribed(&mut self, filter: &str) {
        for route in &mut self.routes {
            route.filters.retain(|wanted| wanted.filter != filter);
        }
        self.remove_empty();
    }

    /// Ends a stream when nothing can come through it any more.
    fn remove_empty(&mut self) {
        self.routes.retain(|route| !route.filters.is_empty());
    }

    /// Hands a message to the subscriptions it is for. If the server names some, these; else all
    /// that match. One that was dropped by the application takes it and forgets it.
    pub(super) fn deliver(&mut self, message: Message) {
        if message.qos == QoS::AtMostOnce && self.gauge.unread() >= UNREAD_MAX {
            return self.gauge.drop_one();
        }
        let targets = self.targets(&message);
        let Some((last, others)) = targets.split_last() else {
            return self.leave_unclaimed(message);
        };
        for other in others {
            push(other, message.clone(), &self.gauge);
        }
        push(last, message, &self.gauge);
    }

    fn targets(&self, message: &Message) -> Vec<&Route> {
        let ids = &message.subscription_ids;
        let wants = |route: &&Route, named: bool| {
            let by_id = |id: Option<u32>| id.is_some_and(|id| ids.contains(&id));
            let mut filters = route.filters.iter();
            filters.any(|wanted| (!named || by_id(wanted.id)) && wanted.matches(&message.topic))
        };
        let named: Vec<&Route> = self.routes.iter().filter(|route| wants(route, true)).collect();
        if !named.is_empty() {
            return named;
        }
        self.routes.iter().filter(|route| wants(route, false)).collect()
    }

    fn leave_unclaimed(&mut self, message: Message) {
        if !self.keep_unclaimed {
            return;
        }
        if self.unclaimed.len() >= UNCLAIMED_MAX {
            self.unclaimed.pop_front();
            self.gauge.drop_one();
        }
        self.unclaimed.push_back(message);
    }

    /// Offers the unclaimed messages again.
    fn claim(&mut self) {
        for message in std::mem::take(&mut self.unclaimed) {
            self.deliver(message);
        }
    }
}

fn push(route: &Route, message: Message, gauge: &Gauge) {
    gauge.add();
    if route.inbox.send(message).is_err() {
        gauge.take(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_proto::packet::SubscribeOptions;

    fn subscribe(filter: &str, id: Option<u32>) -> Subscribe {
        Subscribe { id, ..Subscribe::to(filter, QoS::AtMostOnce) }
    }

    fn message(topic: &str, subscription_ids: &[u32]) -> Message {
        Message { subscription_ids: subscription_ids.to_vec(), ..Message::new(topic, "x") }
    }

    fn count(messages: &mut mpsc::UnboundedReceiver<Message>) -> usize {
        std::iter::from_fn(|| messages.try_recv().ok()).count()
    }

    #[test]
    fn a_message_goes_where_the_server_says_or_else_where_it_matches() {
        let mut routes = Routes::new(Arc::default());
        let (_, mut all) = routes.add(&subscribe("a/#", Some(1)));
        let (_, mut some) = routes.add(&subscribe("$share/g/a/+", Some(2)));
        routes.deliver(message("a/b", &[1]));
        assert_eq!((count(&mut all), count(&mut some)), (1, 0));
        routes.deliver(message("a/b", &[2]));
        assert_eq!((count(&mut all), count(&mut some)), (0, 1));
        routes.deliver(message("a/b", &[1, 2]));
        routes.deliver(message("a/b", &[]));
        routes.deliver(message("a/b", &[77]));
        assert_eq!((count(&mut all), count(&mut some)), (3, 3));
        routes.deliver(message("b", &[]));
        assert_eq!((count(&mut all), count(&mut some)), (0, 0));
    }

    #[test]
    fn the_same_filter_twice_feeds_both() {
        let mut routes = Routes::new(Arc::default());
        let (_, mut first) = routes.add(&subscribe("a", Some(1)));
        let (_, mut second) = routes.add(&subscribe("a", Some(2)));
        routes.deliver(message("a", &[2]));
        assert_eq!((count(&mut first), count(&mut second)), (1, 1));
    }

    #[test]
    fn messages_of_a_resumed_session_wait_for_their_subscription() {
        let mut routes = Routes::new(Arc::default());
        routes.deliver(message("a", &[]));
        routes.resumed(true);
        routes.deliver(message("a", &[3]));
        routes.deliver(message("b", &[]));
        assert_eq!(count(&mut routes.add(&subscribe("b", None)).1), 1);
        assert_eq!(count(&mut routes.add(&subscribe("+", None)).1), 1);
    }

    #[test]
    fn a_stream_ends_when_nothing_can_come_through_it() {
        let mut routes = Routes::new(Arc::default());
        let two = subscribe("a", None).and("b", SubscribeOptions::default());
        let (key, mut messages) = routes.add(&two);
        routes.granted(key, &[ReasonCode::Success, ReasonCode::NotAuthorized]);
        routes.deliver(message("b", &[]));
        routes.deliver(message("a", &[]));
        assert_eq!(count(&mut messages), 1);
        assert!(!messages.is_closed());
        routes.unsubscribed("a");
        assert!(messages.is_closed());
    }
}
