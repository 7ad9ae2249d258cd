//! The receivers of one filter: none, one, or a list. A list of many finds a receiver by hash, so
//! that the hundred-thousandth subscriber of a topic costs what the tenth did.

use super::pool::Pool;
use super::table::Table;
use super::{Match, Receiver};
use crate::identity::{GroupNumber, SessionNumber, ShardId};
use crate::seed::Seed;
use noctule_proto::QoS;
use noctule_proto::packet::{RetainHandling, SubscribeOptions};

/// A [`Match`], packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// In halves, because a `u64` would ask for an alignment of 8.
    number: [u32; 2],
    subscription_id: u32,
    shard: u16,
    options: u8,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Session,
    Group,
}

/// The receivers of one filter, in the order in which they came, except that the last one takes
/// the place of one that goes.
#[derive(Clone, Copy, Default, Debug)]
pub(super) enum Receivers {
    #[default]
    None,
    One(Entry),
    /// A list, two entries at least.
    Many(u32),
}

const _: () = assert!(size_of::<Receivers>() == 16, "a node is half a cache line");

const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;

impl Entry {
    fn pack(entry: &Match) -> Entry {
        let (number, kind) = key(entry.receiver);
        let SubscribeOptions { qos, no_local, retain_as_published, retain_handling } =
            entry.options;
        Entry {
            number,
            subscription_id: entry.subscription_id,
            shard: entry.shard.0,
            options: qos as u8
                | if no_local { NO_LOCAL } else { 0 }
                | if retain_as_published { RETAIN_AS_PUBLISHED } else { 0 }
                | (retain_handling as u8) << 4,
            kind,
        }
    }

    #[inline]
    pub(super) fn unpack(&self) -> Match {
        let number = u64::from(self.number[1]) << 32 | u64::from(self.number[0]);
        Match {
            shard: ShardId(self.shard),
            receiver: match self.kind {
                Kind::Session => Receiver::Session(SessionNumber(number)),
                Kind::Group => Receiver::Group(GroupNumber(number)),
            },
            options: SubscribeOptions {
                qos: match self.options & 3 {
                    0 => QoS::AtMostOnce,
                    1 => QoS::AtLeastOnce,
                    _ => QoS::ExactlyOnce,
                },
                no_local: self.options & NO_LOCAL != 0,
                retain_as_published: self.options & RETAIN_AS_PUBLISHED != 0,
                retain_handling: match self.options >> 4 & 3 {
                    0 => RetainHandling::Always,
                    1 => RetainHandling::IfNew,
                    _ => RetainHandling::Never,
                },
            },
            subscription_id: self.subscription_id,
        }
    }

    fn is_of(&self, receiver: Receiver) -> bool {
        (self.number, self.kind) == key(receiver)
    }

    fn hash(&self, seed: &Seed, list: u32) -> u64 {
        let number = u64::from(self.number[1]) << 32 | u64::from(self.number[0]);
        seed.of_numbers(number, list << 1 | self.kind as u32)
    }
}

fn key(receiver: Receiver) -> ([u32; 2], Kind) {
    let (number, kind) = match receiver {
        Receiver::Session(number) => (number.0, Kind::Session),
        Receiver::Group(number) => (number.0, Kind::Group),
    };
    ([number as u32, (number >> 32) as u32], kind)
}

/// What an insert did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Inserted {
    /// The receiver is new.
    Added,
    /// The receiver had another entry.
    Replaced,
    /// The receiver had this entry.
    Unchanged,
}

/// All lists of an index.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    lists: Pool<List>,
    places: Table<Place>,
    /// Capacity of the lists' vectors.
    entry_bytes: usize,
}

#[derive(Clone, Default, Debug)]
struct List {
    entries: Vec<Entry>,
    /// Each entry has its place in the table.
    wide: bool,
}

/// Where in a wide list an entry lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    list: u32,
    at: u32,
}

/// A list longer than this becomes wide, ...
const WIDE_ABOVE: usize = 32;
/// ... and one shorter than this is searched from end to end again.
const WIDE_BELOW: usize = 16;

impl Lists {
    pub(super) fn new() -> Lists {
        Lists { lists: Pool::new(), places: Table::new(), entry_bytes: 0 }
    }

    #[inline]
    pub(super) fn entries<'a>(&'a self, receivers: &'a Receivers) -> &'a [Entry] {
        match receivers {
            Receivers::None => &[],
            Receivers::One(entry) => std::slice::from_ref(entry),
            Receivers::Many(list) => &self.lists[*list].entries,
        }
    }

    /// Adds an entry, or replaces the receiver's entry.
    pub(super) fn insert(
        &mut self,
        seed: &Seed,
        receivers: &mut Receivers,
        entry: &Match,
    ) -> Inserted {
        let new = Entry::pack(entry);
        let old = match receivers {
            Receivers::None => {
                *receivers = Receivers::One(new);
                return Inserted::Added;
            }
            Receivers::One(old) if old.is_of(entry.receiver) => old,
            Receivers::One(first) => {
                let mut list = List::default();
                list.entries.reserve_exact(2);
                list.entries.extend([*first, new]);
                self.entry_bytes += list.bytes();
                *receivers = Receivers::Many(self.lists.insert(list));
                return Inserted::Added;
            }
            Receivers::Many(list) => match self.find(seed, *list, new) {
                Some(at) => &mut self.lists[*list].entries[at],
                None => {
                    self.push(seed, *list, new);
                    return Inserted::Added;
                }
            },
        };
        if std::mem::replace(old, new) == new { Inserted::Unchanged } else { Inserted::Replaced }
    }

    /// Removes a receiver's entry; answers whether there was one.
    pub(super) fn remove(
        &mut self,
        seed: &Seed,
        receivers: &mut Receivers,
        receiver: Receiver,
    ) -> bool {
        let list = match receivers {
            Receivers::None => return false,
            Receivers::One(entry) => {
                let found = entry.is_of(receiver);
                if found {
                    *receivers = Receivers::None;
                }
                return found;
            }
            Receivers::Many(list) => *list,
        };
        let (number, kind) = key(receiver);
        let wanted = Entry { number, subscription_id: 0, shard: 0, options: 0, kind };
        let Some(at) = self.find(seed, list, wanted) else { return false };
        self.swap_remove(seed, list, at);
        if let [last] = *self.lists[list].entries {
            *receivers = Receivers::One(last);
            self.entry_bytes -= self.lists.remove(list).bytes();
        }
        true
    }

    /// Where the entry of the same receiver lies.
    fn find(&self, seed: &Seed, list: u32, wanted: Entry) -> Option<usize> {
        let List { entries, wide } = &self.lists[list];
        let same = |entry: &Entry| (entry.number, entry.kind) == (wanted.number, wanted.kind);
        if !wide {
            return entries.iter().position(same);
        }
        let same = |place: &Place| place.list == list && same(&entries[place.at as usize]);
        self.places.find(wanted.hash(seed, list), same).map(|place| place.at as usize)
    }

    fn push(&mut self, seed: &Seed, list: u32, entry: Entry) {
        let lists = &mut self.lists;
        let before = lists[list].bytes();
        lists[list].entries.push(entry);
        self.entry_bytes += lists[list].bytes() - before;
        let len = lists[list].entries.len();
        let added = if lists[list].wide {
            len - 1..len
        } else if len > WIDE_ABOVE {
            lists[list].wide = true;
            0..len
        } else {
            return;
        };
        let hash_of =
            |place: &Place| lists[place.list].entries[place.at as usize].hash(seed, place.list);
        for at in added {
            let place = Place { list, at: at as u32 };
            self.places.insert(hash_of(&place), place, hash_of);
        }
    }

    fn swap_remove(&mut self, seed: &Seed, list: u32, at: usize) {
        if self.lists[list].wide {
            if self.lists[list].entries.len() <= WIDE_BELOW {
                self.narrow(seed, list);
            } else {
                self.forget(seed, Place { list, at: at as u32 });
                self.move_last(seed, list, at);
            }
        }
        let List { entries, .. } = &mut self.lists[list];
        let before = entries.capacity();
        entries.swap_remove(at);
        if entries.len() < before / 4 {
            entries.shrink_to(entries.len() * 2);
        }
        self.entry_bytes -= (before - entries.capacity()) * size_of::<Entry>();
    }

    /// The last entry is about to take the place of the one at `at`.
    fn move_last(&mut self, seed: &Seed, list: u32, at: usize) {
        let entries = &self.lists[list].entries;
        let last = entries.len() - 1;
        if last == at {
            return;
        }
        let same = |place: &Place| place.list == list && place.at as usize == last;
        let place = self.places.find_mut(entries[last].hash(seed, list), same);
        place.expect("every entry of a wide list has its place").at = at as u32;
    }

    fn narrow(&mut self, seed: &Seed, list: u32) {
        for at in 0..self.lists[list].entries.len() {
            self.forget(seed, Place { list, at: at as u32 });
        }
        self.lists[list].wide = false;
    }

    fn forget(&mut self, seed: &Seed, gone: Place) {
        let lists = &self.lists;
        let hash_of =
            |place: &Place| lists[place.list].entries[place.at as usize].hash(seed, place.list);
        let same = |place: &Place| place.list == gone.list && place.at == gone.at;
        self.places.remove(hash_of(&gone), same, hash_of);
    }

    pub(super) fn bytes(&self) -> usize {
        self.lists.bytes() + self.places.bytes() + self.entry_bytes
    }

    /// Panics unless exactly the lists of `receivers` exist, and are as they should be.
    pub(super) fn check<'a>(&self, seed: &Seed, receivers: impl Iterator<Item = &'a Receivers>) {
        let mut used = Vec::new();
        let mut places = 0;
        for receivers in receivers {
            let Receivers::Many(list) = *receivers else { continue };
            used.push(list);
            let List { entries, wide } = &self.lists[list];
            assert!(entries.len() >= 2, "a list holds what a node cannot");
            assert!(entries.len() <= WIDE_ABOVE || *wide, "a long list is wide");
            places += if *wide { entries.len() } else { 0 };
            for (at, entry) in entries.iter().enumerate() {
                assert_eq!(self.find(seed, list, *entry), Some(at), "a receiver is listed once");
            }
        }
        used.sort_unstable();
        assert_eq!(used, self.lists.numbers(), "every list belongs to one node");
        assert_eq!(places, self.places.len(), "no place outlives its entry");
        let bytes: usize = used.iter().map(|&list| self.lists[list].bytes()).sum();
        assert_eq!(bytes, self.entry_bytes);
    }
}

impl List {
    fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }
}
