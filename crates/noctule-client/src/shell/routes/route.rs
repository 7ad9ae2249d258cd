//! One subscription: what was asked for, and how its messages are known.

use super::inbox::Outlet;
use crate::message::{Message, Subscribe};
use crate::options::Acknowledge;
use noctule_proto::packet::SubscribeOptions;
use noctule_proto::property::UserPropertiesBuf;
use noctule_proto::{TopicFilter, matches};

/// Identifiers of one filter that are remembered: messages under an earlier one may be under way.
const IDS_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Route {
    pub(super) key: u64,
    pub(super) outlet: Outlet,
    /// Who acknowledges what comes.
    pub(super) acknowledge: Acknowledge,
    /// The identifier to ask for, where the server knows them.
    pub(super) id: u32,
    /// It was the application's choice.
    id_is_given: bool,
    user_properties: UserPropertiesBuf,
    /// As the application asked, without what is refused or unsubscribed.
    filters: Vec<Filter>,
    /// The filters of the last SUBSCRIBE.
    asked: Vec<String>,
}

#[derive(Debug)]
struct Filter {
    text: String,
    /// Where it begins behind the name of a share group.
    plain: usize,
    options: SubscribeOptions,
    /// The identifiers under which the server knows it, or knew it.
    ids: Vec<u32>,
}

impl Route {
    pub(super) fn new(
        key: u64,
        id: u32,
        subscribe: Subscribe,
        outlet: Outlet,
        acknowledge: Acknowledge,
    ) -> Route {
        let filters = subscribe.filters.into_iter().map(|(text, options)| Filter {
            plain: TopicFilter::parse(&text).map_or(0, |it| text.len() - it.plain().len()),
            text,
            options,
            ids: Vec::new(),
        });
        Route {
            key,
            outlet,
            acknowledge,
            id,
            id_is_given: subscribe.id.is_some(),
            user_properties: subscribe.user_properties,
            filters: filters.collect(),
            asked: Vec::new(),
        }
    }

    /// What to ask the server for. It gets an identifier if the server knows them; one that the
    /// application has chosen, in any case.
    pub(super) fn request(&mut self, numbers: bool) -> Subscribe {
        self.asked = self.filters.iter().map(|filter| filter.text.clone()).collect();
        Subscribe {
            filters: self.filters.iter().map(|it| (it.text.clone(), it.options)).collect(),
            id: (numbers || self.id_is_given).then_some(self.id),
            user_properties: self.user_properties.clone(),
        }
    }

    /// The server is asked for this filter under this identifier: its messages, whoever asked,
    /// come under that from now on.
    pub(super) fn learn(&mut self, asked: &str, id: u32) {
        for filter in self.filters.iter_mut().filter(|filter| filter.text == asked) {
            if !filter.ids.contains(&id) {
                filter.ids.truncate(IDS_MAX - 1);
                filter.ids.insert(0, id);
            }
        }
    }

    /// The filters of the last SUBSCRIBE, in its order.
    pub(super) fn take_asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }

    pub(super) fn remove(&mut self, text: &str) {
        self.filters.retain(|filter| filter.text != text);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Whether a message is for this subscription by one of the identifiers that the server names.
    pub(super) fn is_named(&self, message: &Message) -> bool {
        self.filters.iter().any(|filter| {
            let named = filter.ids.iter().any(|id| message.subscription_ids.contains(id));
            named && filter.matches(&message.topic)
        })
    }

    /// Whether it is by its topic alone.
    pub(super) fn matches(&self, message: &Message) -> bool {
        self.filters.iter().any(|filter| filter.matches(&message.topic))
    }
}

impl Filter {
    fn matches(&self, topic: &str) -> bool {
        matches(&self.text[self.plain..], topic)
    }
}
