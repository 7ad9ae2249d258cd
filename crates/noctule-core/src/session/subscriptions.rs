//! The subscriptions of one session, by filter as the client sent it.

use crate::identity::GroupNumber;
use crate::seed::Seed;
use hashbrown::HashTable;
use noctule_proto::packet::SubscribeOptions;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// A list; with a table beside it once it is long. Most sessions hold a handful, and go on holding
/// them: two words, and no room for more.
#[derive(Debug)]
pub(crate) enum Subscriptions {
    Few(Box<[Held]>),
    Many(Box<Many>),
}

/// A long list, and where filters lie in it. The seed keeps clients from choosing filters that
/// collide.
#[derive(Debug)]
pub(crate) struct Many {
    list: Vec<Held>,
    seed: Seed,
    places: HashTable<u32>,
}

/// Longer lists get a table.
const FEW: usize = 16;

impl Default for Subscriptions {
    fn default() -> Subscriptions {
        Subscriptions::Few(Box::default())
    }
}

impl Serialize for Subscriptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Subscriptions {
    /// Without a table: see [`relink`](Self::relink).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Subscriptions, D::Error> {
        Box::deserialize(deserializer).map(Subscriptions::Few)
    }
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        self.list().len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.list().iter()
    }

    pub(crate) fn get(&self, filter: &str) -> Option<&Held> {
        Some(&self.list()[self.position(filter)?])
    }

    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut Held> {
        let at = self.position(filter)?;
        match self {
            Subscriptions::Few(list) => list.get_mut(at),
            Subscriptions::Many(many) => many.list.get_mut(at),
        }
    }

    /// Adds or replaces `[MQTT-3.8.4-3 v5]`; says whether it is new.
    pub(crate) fn insert(&mut self, held: Held, seed: &Seed) -> bool {
        if let Some(old) = self.get_mut(&held.filter) {
            *old = Held { group: old.group, ..held };
            return false;
        }
        match self {
            Subscriptions::Few(list) => {
                let mut longer = std::mem::take(list).into_vec();
                longer.reserve_exact(1);
                longer.push(held);
                *self = Subscriptions::of(longer, seed);
            }
            Subscriptions::Many(many) => many.push(held),
        }
        true
    }

    pub(crate) fn remove(&mut self, filter: &str) -> Option<Held> {
        let at = self.position(filter)?;
        match self {
            Subscriptions::Few(list) => {
                let mut shorter = std::mem::take(list).into_vec();
                let removed = shorter.swap_remove(at);
                *list = shorter.into_boxed_slice();
                Some(removed)
            }
            Subscriptions::Many(many) => Some(many.remove(at)),
        }
    }

    /// Takes all of them.
    pub(crate) fn take(&mut self) -> Vec<Held> {
        match std::mem::take(self) {
            Subscriptions::Few(list) => list.into_vec(),
            Subscriptions::Many(many) => many.list,
        }
    }

    /// Builds the table anew after a thaw.
    pub(crate) fn relink(&mut self, seed: &Seed) {
        *self = Subscriptions::of(self.take(), seed);
    }

    fn of(list: Vec<Held>, seed: &Seed) -> Subscriptions {
        if list.len() <= FEW {
            return Subscriptions::Few(list.into_boxed_slice());
        }
        let places = HashTable::with_capacity(list.len());
        let mut many = Many { list: Vec::with_capacity(list.len()), seed: seed.clone(), places };
        list.into_iter().for_each(|held| many.push(held));
        Subscriptions::Many(Box::new(many))
    }

    fn list(&self) -> &[Held] {
        match self {
            Subscriptions::Few(list) => list,
            Subscriptions::Many(many) => &many.list,
        }
    }

    fn position(&self, filter: &str) -> Option<usize> {
        match self {
            Subscriptions::Few(list) => list.iter().position(|held| *held.filter == *filter),
            Subscriptions::Many(many) => many.position(filter),
        }
    }
}

impl Many {
    fn position(&self, filter: &str) -> Option<usize> {
        let same = |at: &u32| *self.list[*at as usize].filter == *filter;
        self.places.find(self.seed.of(filter), same).map(|at| *at as usize)
    }

    fn push(&mut self, held: Held) {
        let Many { list, seed, places } = self;
        let hash = seed.of(&*held.filter);
        let at = list.len() as u32;
        list.push(held);
        places.insert_unique(hash, at, |at| seed.of(&*list[*at as usize].filter));
    }

    fn remove(&mut self, at: usize) -> Held {
        let Many { list, seed, places } = self;
        let last = list.len() as u32 - 1;
        let hash = seed.of(&*list[at].filter);
        if let Ok(entry) = places.find_entry(hash, |found| *found == at as u32) {
            entry.remove();
        }
        if last != at as u32 {
            let moved = seed.of(&*list[last as usize].filter);
            if let Some(found) = places.find_mut(moved, |found| *found == last) {
                *found = at as u32;
            }
        }
        list.swap_remove(at)
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
