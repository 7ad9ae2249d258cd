//! Topic aliases of one connection, both ways (MQTT 5). They die with the connection
//! `[MQTT-3.3.2-7 v5]`.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU16;

/// The alias tables of a connection; empty until used.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Aliases {
    /// Topics by alias - 1, as the client set them.
    incoming: Vec<Box<str>>,
    outgoing: Outgoing,
}

/// Aliases we chose: when all are taken the oldest is given a new topic.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Outgoing {
    max: u16,
    next: u16,
    topics: Vec<Box<str>>,
}

/// What to write for an outgoing topic.
pub(crate) struct Chosen {
    pub(crate) alias: NonZeroU16,
    /// The client knows the alias already: the topic itself is left out.
    pub(crate) known: bool,
    /// Another topic had the alias before.
    pub(crate) replaced: bool,
}

impl Aliases {
    /// `outgoing_max` is what the client announced, capped by ours `[MQTT-3.1.2-26 v5]`.
    pub(crate) fn new(outgoing_max: u16) -> Aliases {
        let outgoing = Outgoing { max: outgoing_max, ..Outgoing::default() };
        Aliases { incoming: Vec::new(), outgoing }
    }

    /// The client maps an alias (already checked against the maximum) to a topic.
    pub(crate) fn learn(&mut self, alias: NonZeroU16, topic: &str) {
        let at = usize::from(alias.get()) - 1;
        if self.incoming.len() <= at {
            self.incoming.resize(at + 1, Box::default());
        }
        if *self.incoming[at] != *topic {
            self.incoming[at] = topic.into();
        }
    }

    /// The topic the client means.
    pub(crate) fn recall(&self, alias: NonZeroU16) -> Option<&str> {
        let topic = self.incoming.get(usize::from(alias.get()) - 1)?;
        (!topic.is_empty()).then_some(topic)
    }

    /// Aliases may be used towards the client `[MQTT-3.1.2-27 v5]`.
    pub(crate) fn outgoing_allowed(&self) -> bool {
        self.outgoing.max > 0
    }

    /// Chooses the alias for an outgoing topic. `[MQTT-3.3.2-11 v5]`, `[MQTT-3.3.2-8 v5]`
    pub(crate) fn choose(&mut self, topic: &str) -> Option<Chosen> {
        let out = &mut self.outgoing;
        if out.max == 0 {
            return None;
        }
        let alias = |at: usize| NonZeroU16::new(at as u16 + 1).expect("one more than a number");
        if let Some(at) = out.topics.iter().position(|known| **known == *topic) {
            return Some(Chosen { alias: alias(at), known: true, replaced: false });
        }
        if out.topics.len() < usize::from(out.max) {
            out.topics.push(topic.into());
            let alias = alias(out.topics.len() - 1);
            return Some(Chosen { alias, known: false, replaced: false });
        }
        let at = usize::from(out.next);
        out.next = (out.next + 1) % out.max;
        out.topics[at] = topic.into();
        Some(Chosen { alias: alias(at), known: false, replaced: true })
    }

    /// The last choice was not sent after all: forget it.
    pub(crate) fn unlearn(&mut self, alias: NonZeroU16) {
        if let Some(topic) = self.outgoing.topics.get_mut(usize::from(alias.get()) - 1) {
            *topic = Box::default();
        }
    }
}
