//! Which subscription a message is for.

use super::driver::rejected;
use super::gauge::Gauge;
use crate::error::Error;
use crate::message::{Message, Subscribe};
use noctule_proto::{ReasonCode, TopicFilter, matches};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;

/// Messages of a resumed session that are kept for a subscription to come.
const UNCLAIMED_MAX: usize = 4096;
/// The highest subscription identifier (3.8.2.1.2 v5).
const SUBSCRIPTION_ID_MAX: u32 = 268_435_455;

#[derive(Debug)]
pub(super) struct Routes {
    routes: Vec<Route>,
    /// Who wants every message, whatever it is for.
    everything: Vec<mpsc::UnboundedSender<Message>>,
    /// Received before the application has said who wants them.
    unclaimed: VecDeque<Message>,
    /// Whether such messages can be: the server had a session of ours.
    keep_unclaimed: bool,
    gauge: Arc<Gauge>,
    keys: u64,
}

/// The receiving end of a route.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) messages: mpsc::UnboundedReceiver<Message>,
    /// Why nothing comes any more, if the client goes on.
    pub(super) end: Arc<OnceLock<Error>>,
}

#[derive(Debug)]
struct Route {
    key: u64,
    /// As the application asked, without what is refused or unsubscribed.
    subscribe: Subscribe,
    /// The identifier under which the server knows each filter now.
    ids: Vec<Option<u32>>,
    messages: mpsc::UnboundedSender<Message>,
    end: Arc<OnceLock<Error>>,
}

impl Route {
    fn filters(&self) -> impl Iterator<Item = (&str, Option<u32>)> {
        let filters = self.subscribe.filters.iter();
        filters.zip(&self.ids).map(|((filter, _), id)| (filter.as_str(), *id))
    }

    /// Keeps the filters for which this holds.
    fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let kept: Vec<bool> = self.filters().map(|(filter, _)| keep(filter)).collect();
        let mut filters = kept.iter();
        self.subscribe.filters.retain(|_| filters.next() == Some(&true));
        let mut ids = kept.iter();
        self.ids.retain(|_| ids.next() == Some(&true));
    }

    /// Whether a message is for this subscription: by the identifiers that the server names, or by
    /// the topic alone.
    fn wants(&self, message: &Message, named: bool) -> bool {
        let by_id = |id: Option<u32>| id.is_some_and(|id| message.subscription_ids.contains(&id));
        self.filters().any(|(filter, id)| {
            let matched = TopicFilter::parse(filter)
                .is_ok_and(|filter| matches(filter.plain(), &message.topic));
            matched && (!named || by_id(id))
        })
    }
}

impl Routes {
    pub(super) fn new(gauge: Arc<Gauge>) -> Routes {
        Routes {
            routes: Vec::new(),
            everything: Vec::new(),
            unclaimed: VecDeque::new(),
            keep_unclaimed: false,
            gauge,
            keys: 0,
        }
    }

    pub(super) fn resumed(&mut self, session_present: bool) {
        self.keep_unclaimed |= session_present;
    }

    /// A subscription that will be asked for: retained messages may come before its SUBACK.
    pub(super) fn add(&mut self, subscribe: Subscribe) -> (u64, Inbox) {
        let (messages, inbox) = inbox();
        self.keys += 1;
        let ids = vec![None; subscribe.filters.len()];
        let end = Arc::clone(&inbox.end);
        self.routes.push(Route { key: self.keys, subscribe, ids, messages, end });
        self.claim();
        (self.keys, inbox)
    }

    /// A stream of every message.
    pub(super) fn everything(&mut self) -> Inbox {
        let (messages, inbox) = inbox();
        self.everything.push(messages);
        self.claim();
        inbox
    }

    /// All subscriptions that stand or are asked for.
    pub(super) fn keys(&self) -> impl Iterator<Item = u64> {
        self.routes.iter().map(|route| route.key)
    }

    /// What to ask the server for. It gets an identifier, if the server knows them and the
    /// application has not chosen one.
    pub(super) fn request(&mut self, key: u64, numbers: bool) -> Option<Subscribe> {
        let route = self.routes.iter().find(|route| route.key == key)?;
        let mut subscribe = route.subscribe.clone();
        let number = u32::try_from(key % u64::from(SUBSCRIPTION_ID_MAX)).ok()? + 1;
        subscribe.id = subscribe.id.or(numbers.then_some(number));
        // The server replaces a subscription with the same filter, and its identifier with it.
        for route in &mut self.routes {
            for ((filter, _), id) in route.subscribe.filters.iter().zip(&mut route.ids) {
                if subscribe.filters.iter().any(|(asked, _)| asked == filter) {
                    *id = subscribe.id;
                }
            }
        }
        Some(subscribe)
    }

    /// The server's answer: filters that it refused bring nothing.
    pub(super) fn granted(&mut self, key: u64, codes: &[ReasonCode]) {
        let Some(route) = self.routes.iter_mut().find(|route| route.key == key) else { return };
        let mut codes = codes.iter();
        let mut refused = None;
        route.retain(|_| match codes.next() {
            Some(code) if code.is_error() => {
                refused = Some(*code);
                false
            }
            Some(_) | None => true,
        });
        if let (Some(code), true) = (refused, route.ids.is_empty()) {
            let _ = route.end.set(rejected(code));
        }
        self.remove_empty();
    }

    /// A subscription that did not come about, or could not be renewed.
    pub(super) fn refuse(&mut self, key: u64, error: &Error) {
        if let Some(route) = self.routes.iter().find(|route| route.key == key) {
            let _ = route.end.set(error.clone());
        }
        self.routes.retain(|route| route.key != key);
    }

    /// The server sends nothing more for this filter.
    pub(super) fn unsubscribed(&mut self, filter: &str) {
        for route in &mut self.routes {
            route.retain(|wanted| wanted != filter);
        }
        self.remove_empty();
    }

    /// Ends a stream when nothing can come through it any more.
    fn remove_empty(&mut self) {
        self.routes.retain(|route| !route.ids.is_empty());
    }

    /// Hands a message to the subscriptions it is for. If the server names some, these; else all
    /// that match. One that was dropped by the application takes it and forgets it. `false`: none
    /// has it, and none will.
    pub(super) fn deliver(&mut self, message: Message) -> bool {
        self.everything.retain(|messages| !messages.is_closed());
        let mut taken = false;
        for messages in &self.everything {
            taken |= push(messages, message.clone(), &self.gauge);
        }
        let targets = self.targets(&message);
        let Some((last, others)) = targets.split_last() else {
            return taken || self.everything.is_empty() && self.leave_unclaimed(message);
        };
        for other in others {
            taken |= push(&other.messages, message.clone(), &self.gauge);
        }
        taken | push(&last.messages, message, &self.gauge)
    }

    fn targets(&self, message: &Message) -> Vec<&Route> {
        let wanting = |named| self.routes.iter().filter(move |route| route.wants(message, named));
        let named: Vec<&Route> = wanting(true).collect();
        if named.is_empty() { wanting(false).collect() } else { named }
    }

    fn leave_unclaimed(&mut self, message: Message) -> bool {
        if !self.keep_unclaimed {
            return false;
        }
        if self.unclaimed.len() >= UNCLAIMED_MAX {
            self.drop_one();
            return false;
        }
        self.unclaimed.push_back(message);
        true
    }

    /// Offers the unclaimed messages again.
    fn claim(&mut self) {
        for message in std::mem::take(&mut self.unclaimed) {
            self.deliver(message);
        }
    }

    /// How many messages the application has not taken.
    pub(super) fn unread(&self) -> usize {
        self.gauge.unread()
    }

    /// A message that finds no place.
    pub(super) fn drop_one(&self) {
        self.gauge.drop_one();
    }
}

fn inbox() -> (mpsc::UnboundedSender<Message>, Inbox) {
    let (sender, messages) = mpsc::unbounded_channel();
    (sender, Inbox { messages, end: Arc::default() })
}

/// `false`: the application has dropped the stream.
fn push(messages: &mpsc::UnboundedSender<Message>, message: Message, gauge: &Gauge) -> bool {
    gauge.add();
    let taken = messages.send(message).is_ok();
    if !taken {
        gauge.take(1);
    }
    taken
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

    fn count(inbox: &mut Inbox) -> usize {
        std::iter::from_fn(|| inbox.messages.try_recv().ok()).count()
    }

    /// Subscribed, and asked for.
    fn add(routes: &mut Routes, subscribe: Subscribe) -> Inbox {
        let (key, inbox) = routes.add(subscribe);
        routes.request(key, true);
        inbox
    }

    #[test]
    fn a_message_goes_where_the_server_says_or_else_where_it_matches() {
        let mut routes = Routes::new(Arc::default());
        let mut all = add(&mut routes, subscribe("a/#", Some(1)));
        let mut some = add(&mut routes, subscribe("$share/g/a/+", Some(2)));
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
        let mut first = add(&mut routes, subscribe("a", Some(1)));
        let mut second = add(&mut routes, subscribe("a", Some(2)));
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
        assert_eq!(count(&mut add(&mut routes, subscribe("b", None))), 1);
        assert_eq!(count(&mut add(&mut routes, subscribe("+", None))), 1);
    }

    #[test]
    fn a_stream_ends_when_nothing_can_come_through_it() {
        let mut routes = Routes::new(Arc::default());
        let two = subscribe("a", None).and("b", SubscribeOptions::default());
        let (key, mut messages) = routes.add(two);
        routes.granted(key, &[ReasonCode::Success, ReasonCode::NotAuthorized]);
        routes.deliver(message("b", &[]));
        routes.deliver(message("a", &[]));
        assert_eq!(count(&mut messages), 1);
        assert!(!messages.messages.is_closed());
        routes.unsubscribed("a");
        assert!(messages.messages.is_closed());
    }
}
