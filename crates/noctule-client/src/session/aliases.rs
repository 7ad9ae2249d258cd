//! Topic aliases towards the server, chosen as topics come up.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU16;

/// A table larger than this gains nothing.
const SLOTS_MAX: u16 = 256;

/// The aliases of one connection `[MQTT-3.3.2-7 v5]`.
///
/// The first topics get the first aliases. When all are given away, a topic that comes up twice in
/// a row of such topics takes the place of one that was not used of late, so that a stream of ever
/// new topics does not chase out those that return.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    slots: Vec<Slot>,
    by_topic: BTreeMap<Arc<str>, usize>,
    max: usize,
    /// Where the search for an idle alias goes on.
    hand: usize,
    /// The last topic that found no alias.
    missed: Option<Arc<str>>,
}

#[derive(Debug)]
struct Slot {
    topic: Arc<str>,
    used: bool,
}

/// How to name a topic in a PUBLISH.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Naming {
    /// By its name alone.
    Topic,
    /// By its name, which the alias stands for from now on.
    Both(NonZeroU16),
    /// By the alias alone.
    Alias(NonZeroU16),
}

impl Aliases {
    /// A connection whose server takes this many, or none `[MQTT-3.2.2-17 v5]`
    /// `[MQTT-3.2.2-18 v5]` `[MQTT-3.3.2-9 v5]`.
    pub(super) fn open(&mut self, max: u16) {
        *self = Aliases { max: usize::from(max.min(SLOTS_MAX)), ..Aliases::default() };
    }

    /// How to name a topic in the next PUBLISH. What it says has to be sent, in this order.
    #[inline]
    pub(super) fn name(&mut self, topic: &Arc<str>) -> Naming {
        if self.max == 0 {
            return Naming::Topic;
        }
        self.name_by_table(topic)
    }

    fn name_by_table(&mut self, topic: &Arc<str>) -> Naming {
        if let Some(at) = self.by_topic.get(topic) {
            self.slots[*at].used = true;
            return number(*at).map_or(Naming::Topic, Naming::Alias);
        }
        let at = if self.slots.len() < self.max {
            self.slots.push(Slot { topic: Arc::clone(topic), used: true });
            self.slots.len() - 1
        } else if self.missed.as_ref() == Some(topic) {
            self.replace(topic)
        } else {
            self.missed = Some(Arc::clone(topic));
            return Naming::Topic;
        };
        self.by_topic.insert(Arc::clone(topic), at);
        number(at).map_or(Naming::Topic, Naming::Both)
    }

    /// Gives the alias of an idle topic to this one.
    fn replace(&mut self, topic: &Arc<str>) -> usize {
        while core::mem::take(&mut self.slots[self.hand].used) {
            self.hand = (self.hand + 1) % self.slots.len();
        }
        let at = self.hand;
        self.hand = (self.hand + 1) % self.slots.len();
        self.missed = None;
        let slot = Slot { topic: Arc::clone(topic), used: true };
        let before = core::mem::replace(&mut self.slots[at], slot);
        self.by_topic.remove(&before.topic);
        at
    }
}

fn number(at: usize) -> Option<NonZeroU16> {
    NonZeroU16::new(u16::try_from(at + 1).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(number: u16) -> NonZeroU16 {
        NonZeroU16::new(number).expect("not 0")
    }

    #[test]
    fn a_topic_is_named_once_and_then_by_its_alias() {
        let mut aliases = Aliases::default();
        assert_eq!(aliases.name(&"a".into()), Naming::Topic);
        aliases.open(2);
        assert_eq!(aliases.name(&"a".into()), Naming::Both(alias(1)));
        assert_eq!(aliases.name(&"a".into()), Naming::Alias(alias(1)));
        assert_eq!(aliases.name(&"b".into()), Naming::Both(alias(2)));
        assert_eq!(aliases.name(&"b".into()), Naming::Alias(alias(2)));
        aliases.open(2);
        assert_eq!(aliases.name(&"a".into()), Naming::Both(alias(1)));
    }

    #[test]
    fn ever_new_topics_do_not_chase_out_those_that_return() {
        let mut aliases = Aliases::default();
        aliases.open(1);
        aliases.name(&"a".into());
        for topic in ["b", "c", "b", "d"] {
            assert_eq!(aliases.name(&topic.into()), Naming::Topic);
        }
        assert_eq!(aliases.name(&"d".into()), Naming::Both(alias(1)));
        assert_eq!(aliases.name(&"a".into()), Naming::Topic);
    }
}
