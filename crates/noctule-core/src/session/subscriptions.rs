//! The subscriptions of one session, by filter as the client sent it.

use crate::identity::GroupNumber;
use crate::seed::Seed;
use hashbrown::HashTable;
use noctule_proto::packet::SubscribeOptions;
use serde::{Deserialize, Serialize};

/// One subscription.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    /// As sent, with the `$share` prefix if it has one.
    pub(crate) filter: Box<str>,
    pub(crate) options: SubscribeOptions,
    /// 0 = none.
    pub(crate) id: u32,
    /// Group, once its home has answered.
    pub(crate) group: Option<GroupNumber>,
}

/// A list, with a table beside it once it is long: most sessions hold a handful.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Subscriptions {
    list: Vec<Held>,
    #[serde(skip)]
    table: Option<Box<Table>>,
}

/// Where filters lie in the list. Its seed keeps clients from choosing filters that collide.
#[derive(Debug)]
struct Table {
    seed: Seed,
    places: HashTable<u32>,
}

/// Longer lists get a table.
const LIST_MAX: usize = 16;

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.list.iter()
    }

    pub(crate) fn get(&self, filter: &str) -> Option<&Held> {
        Some(&self.list[self.position(filter)?])
    }

    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut Held> {
        let at = self.position(filter)?;
        Some(&mut self.list[at])
    }

    /// Adds or replaces `[MQTT-3.8.4-3 v5]`; says whether it is new.
    pub(crate) fn insert(&mut self, held: Held, seed: &Seed) -> bool {
        if let Some(at) = self.position(&held.filter) {
            let group = self.list[at].group;
            self.list[at] = Held { group, ..held };
            return false;
        }
        if self.list.len() == self.list.capacity() {
            // Most sessions have one subscription, and go on having one.
            self.list.reserve_exact((self.list.len() / 2).max(1));
        }
        self.list.push(held);
        self.index_last(seed);
        true
    }

    pub(crate) fn remove(&mut self, filter: &str) -> Option<Held> {
        let at = self.position(filter)?;
        if let Some(table) = &mut self.table {
            let last = self.list.len() as u32 - 1;
            let Table { seed, places } = &mut **table;
            if let Ok(entry) = places.find_entry(seed.of(filter), |found| *found == at as u32) {
                entry.remove();
            }
            if last != at as u32 {
                let moved = seed.of(&*self.list[last as usize].filter);
                if let Some(found) = places.find_mut(moved, |found| *found == last) {
                    *found = at as u32;
                }
            }
        }
        Some(self.list.swap_remove(at))
    }

    /// Takes all of them.
    pub(crate) fn take(&mut self) -> Vec<Held> {
        self.table = None;
        std::mem::take(&mut self.list)
    }

    /// Builds the table anew after a thaw.
    pub(crate) fn relink(&mut self, seed: &Seed) {
        self.table = None;
        if self.list.len() > LIST_MAX {
            self.build(seed);
        }
    }

    fn position(&self, filter: &str) -> Option<usize> {
        match &self.table {
            Some(table) => table
                .places
                .find(table.seed.of(filter), |at| *self.list[*at as usize].filter == *filter)
                .map(|at| *at as usize),
            None => self.list.iter().position(|held| *held.filter == *filter),
        }
    }

    fn index_last(&mut self, seed: &Seed) {
        let at = self.list.len() - 1;
        match &mut self.table {
            Some(table) => {
                let list = &self.list;
                let Table { seed, places } = &mut **table;
                places.insert_unique(seed.of(&*list[at].filter), at as u32, |at| {
                    seed.of(&*list[*at as usize].filter)
                });
            }
            None if at >= LIST_MAX => self.build(seed),
            None => {}
        }
    }

    fn build(&mut self, seed: &Seed) {
        let list = &self.list;
        let seed = seed.clone();
        let mut places = HashTable::with_capacity(list.len());
        for (at, held) in list.iter().enumerate() {
            places.insert_unique(seed.of(&*held.filter), at as u32, |at| {
                seed.of(&*list[*at as usize].filter)
            });
        }
        self.table = Some(Box::new(Table { seed, places }));
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, Seed, Subscriptions};

    fn held(filter: &str) -> Held {
        Held { filter: filter.into(), options: Default::default(), id: 0, group: None }
    }

    #[test]
    fn finds_what_it_holds_through_growth_removal_and_thaw() {
        let (mut all, seed) = (Subscriptions::default(), Seed::new(7));
        for n in 0..200 {
            assert!(all.insert(held(&format!("a/{n}")), &seed));
            assert!(!all.insert(held(&format!("a/{n}")), &seed));
        }
        for n in (0..200).step_by(3) {
            assert!(all.remove(&format!("a/{n}")).is_some());
            assert!(all.remove(&format!("a/{n}")).is_none());
        }
        all.relink(&seed);
        for n in 0..200 {
            assert_eq!(all.get(&format!("a/{n}")).is_some(), n % 3 != 0, "a/{n}");
        }
        assert_eq!(all.len(), all.take().len());
    }
}
