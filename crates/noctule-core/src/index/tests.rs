//! The index against the plain reading of the standard.

use super::{Index, IndexChange, Match, Receiver};
use crate::identity::{GroupNumber, SessionNumber, ShardId, Tenant};
use noctule_proto::QoS;
use noctule_proto::packet::{RetainHandling, SubscribeOptions};
use noctule_proto::topic::matches;

/// A small generator of pseudo-random numbers (splitmix64): a seed is a test case.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    fn level(&mut self) -> &'static str {
        const LEVELS: [&str; 9] = [
            "",
            "a",
            "b",
            "$x",
            "$",
            "ü",
            "日本",
            "twenty-two bytes in it",
            "twenty-three bytes in i",
        ];
        LEVELS[self.below(LEVELS.len() as u64) as usize]
    }

    fn topic(&mut self) -> String {
        let levels: Vec<&str> = (0..=self.below(4)).map(|_| self.level()).collect();
        levels.join("/")
    }

    fn filter(&mut self) -> String {
        let mut levels: Vec<&str> = (0..=self.below(4))
            .map(|_| if self.below(3) == 0 { "+" } else { self.level() })
            .collect();
        match self.below(5) {
            0 => levels.push("#"),
            1 => *levels.last_mut().expect("one level at least") = "#",
            _ => {}
        }
        levels.join("/")
    }

    fn receiver(&mut self) -> Receiver {
        match self.below(2) {
            0 => Receiver::Session(SessionNumber(self.below(4) + (self.below(2) << 50))),
            _ => Receiver::Group(GroupNumber(self.below(4))),
        }
    }

    fn entry(&mut self) -> Match {
        Match {
            shard: ShardId(self.below(3) as u16),
            receiver: self.receiver(),
            options: SubscribeOptions {
                qos: [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][self.below(3) as usize],
                no_local: self.below(2) == 0,
                retain_as_published: self.below(2) == 0,
                retain_handling: [
                    RetainHandling::Always,
                    RetainHandling::IfNew,
                    RetainHandling::Never,
                ][self.below(3) as usize],
            },
            subscription_id: self.below(268_435_456) as u32,
        }
    }

    fn change(&mut self, naive: &Naive) -> IndexChange {
        let tenant = Tenant(self.below(2) as u16 * 17);
        let known = naive.len() as u64;
        if self.below(100) < 55 {
            let filter = self.filter().into();
            return IndexChange::Insert { tenant, filter, entry: self.entry() };
        }
        if known > 0 && self.below(10) > 0 {
            let (tenant, filter, entry) = naive[self.below(known) as usize].clone();
            // Half of them replace; an unchanged entry among them.
            return match self.below(6) {
                0 => IndexChange::Insert { tenant, filter, entry },
                1 => {
                    let entry = Match { receiver: entry.receiver, ..self.entry() };
                    IndexChange::Insert { tenant, filter, entry }
                }
                _ => IndexChange::Remove { tenant, filter, receiver: entry.receiver },
            };
        }
        IndexChange::Remove { tenant, filter: self.filter().into(), receiver: self.receiver() }
    }
}

type Naive = Vec<(Tenant, Box<str>, Match)>;

fn apply_naive(naive: &mut Naive, change: &IndexChange) {
    let (tenant, filter, receiver) = match change {
        IndexChange::Insert { tenant, filter, entry } => (tenant, filter, entry.receiver),
        IndexChange::Remove { tenant, filter, receiver } => (tenant, filter, *receiver),
    };
    naive.retain(|(t, f, e)| (t, f, e.receiver) != (tenant, filter, receiver));
    if let IndexChange::Insert { tenant, filter, entry } = change {
        naive.push((*tenant, filter.clone(), *entry));
    }
}

fn route_naive(naive: &Naive, tenant: Tenant, topic: &str) -> Vec<Match> {
    let hits = naive.iter().filter(|(t, f, _)| *t == tenant && matches(f, topic));
    sorted(hits.map(|(_, _, entry)| *entry).collect())
}

fn route(index: &Index, tenant: Tenant, topic: &str) -> Vec<Match> {
    let mut out = Vec::new();
    index.route(tenant, topic, &mut out);
    out
}

fn sorted(mut matches: Vec<Match>) -> Vec<Match> {
    matches.sort_by_key(|m| (m.receiver, m.shard, m.subscription_id, format!("{:?}", m.options)));
    matches
}

fn session(number: u64) -> Match {
    Match {
        shard: ShardId(0),
        receiver: Receiver::Session(SessionNumber(number)),
        options: SubscribeOptions::default(),
        subscription_id: 0,
    }
}

fn insert(index: &mut Index, filter: &str, number: u64) {
    let entry = session(number);
    index.apply(&IndexChange::Insert { tenant: Tenant(0), filter: filter.into(), entry });
}

fn remove(index: &mut Index, filter: &str, number: u64) {
    let receiver = session(number).receiver;
    index.apply(&IndexChange::Remove { tenant: Tenant(0), filter: filter.into(), receiver });
}

fn receivers(index: &Index, topic: &str) -> Vec<u64> {
    let number = |m: Match| match m.receiver {
        Receiver::Session(SessionNumber(number)) | Receiver::Group(GroupNumber(number)) => number,
    };
    route(index, Tenant(0), topic).into_iter().map(number).collect()
}

#[test]
fn it_answers_what_the_plain_matcher_answers() {
    for seed in 0..8 {
        let mut random = Random(seed);
        let mut index = Index::new(seed);
        let mut naive = Naive::new();
        for step in 0..5_000 {
            let change = random.change(&naive);
            apply_naive(&mut naive, &change);
            index.apply(&change);
            assert_eq!(index.len(), naive.len());
            let (tenant, topic) = (Tenant(random.below(2) as u16 * 17), random.topic());
            let found = sorted(route(&index, tenant, &topic));
            assert_eq!(found, route_naive(&naive, tenant, &topic), "seed {seed}, {topic:?}");
            if step % 100 == 0 {
                index.check();
            }
            // Now and then nearly everything goes, so that nodes are freed and used again.
            if random.below(1_000) == 0 {
                while naive.len() > 3 {
                    let (tenant, filter, entry) = naive.pop().expect("more than three");
                    let receiver = entry.receiver;
                    index.apply(&IndexChange::Remove { tenant, filter, receiver });
                }
                index.check();
            }
        }
    }
}

#[test]
fn the_generation_changes_whenever_the_route_does() {
    for seed in 0..4 {
        let mut random = Random(seed);
        let mut index = Index::new(seed);
        let mut naive = Naive::new();
        let tenants = [Tenant(0), Tenant(17)];
        let topics: Vec<(Tenant, String)> =
            (0..40).map(|n| (tenants[n % 2], random.topic())).collect();
        let look = |index: &Index, naive: &Naive| -> Vec<(u64, Vec<Match>)> {
            let one = |(tenant, topic): &(Tenant, String)| {
                (index.generation(*tenant, topic), route_naive(naive, *tenant, topic))
            };
            topics.iter().map(one).collect()
        };
        let mut before = look(&index, &naive);
        for _ in 0..1_000 {
            let change = random.change(&naive);
            apply_naive(&mut naive, &change);
            index.apply(&change);
            let after = look(&index, &naive);
            for ((old, old_route), (new, new_route)) in before.iter().zip(&after) {
                assert!(new >= old, "a generation never comes back");
                assert!(old_route == new_route || new > old, "seed {seed}");
            }
            before = after;
        }
    }
}

#[test]
fn churn_under_one_first_level_leaves_other_generations_alone() {
    let mut index = Index::new(1);
    let before: Vec<u64> =
        (0..100).map(|n| index.generation(Tenant(0), &format!("quiet{n}/x"))).collect();
    insert(&mut index, "busy/x", 1);
    insert(&mut index, "busy/x", 1);
    remove(&mut index, "busy/y", 1);
    let changed = before
        .iter()
        .enumerate()
        .filter(|(n, old)| index.generation(Tenant(0), &format!("quiet{n}/x")) != **old);
    assert!(changed.count() < 10, "only those in the same bucket");
    assert_eq!(index.generation(Tenant(0), "busy/z"), 1, "what changes nothing does not count");
    insert(&mut index, "+/x", 1);
    assert_eq!(index.generation(Tenant(0), "busy/z"), 2);
    assert_eq!(index.generation(Tenant(0), "$SYS/x"), index.generation(Tenant(0), "$SYS/y"));
}

#[test]
fn the_order_of_matches_does_not_depend_on_the_hash() {
    let mut random = Random(9);
    let mut naive = Naive::new();
    let mut indexes: Vec<Index> = (0..4).map(Index::new).collect();
    for _ in 0..4_000 {
        let change = random.change(&naive);
        apply_naive(&mut naive, &change);
        indexes.iter_mut().for_each(|index| index.apply(&change));
        let topic = random.topic();
        let first = route(&indexes[0], Tenant(0), &topic);
        for other in &indexes[1..] {
            assert_eq!(route(other, Tenant(0), &topic), first);
        }
    }
}

#[test]
fn a_wildcard_in_front_does_not_match_topics_that_begin_with_a_dollar() {
    let mut index = Index::new(1);
    for (number, filter) in ["#", "+/x", "$SYS/#", "$SYS/+", "+/+/#"].into_iter().enumerate() {
        insert(&mut index, filter, number as u64);
    }
    assert_eq!(receivers(&index, "$SYS/x"), [2, 3]);
    assert_eq!(receivers(&index, "$SYS"), [2]);
    assert_eq!(receivers(&index, "a/$x"), [0, 4]);
}

#[test]
fn a_hash_matches_the_level_above_and_everything_below() {
    let mut index = Index::new(1);
    insert(&mut index, "a/#", 1);
    insert(&mut index, "a/+", 2);
    insert(&mut index, "a", 3);
    assert_eq!(receivers(&index, "a"), [3, 1]);
    assert_eq!(receivers(&index, "a/"), [1, 2]);
    assert_eq!(receivers(&index, "a/b/c"), [1]);
    assert_eq!(receivers(&index, "b"), [0u64; 0]);
}

#[test]
fn many_receivers_of_one_filter_come_and_go_in_any_order() {
    const FILTERS: [&str; 3] = ["wide/topic", "wide/other", "wide/third"];
    let mut random = Random(3);
    let mut index = Index::new(3);
    let mut live = std::collections::BTreeSet::new();
    for step in 0..60_000u64 {
        // Grow, then shrink, through the sizes at which a list changes its shape.
        let (filter, number) = (FILTERS[random.below(3) as usize], random.below(1_000));
        if random.below(100) < if step % 20_000 < 10_000 { 80 } else { 20 } {
            insert(&mut index, filter, number);
            live.insert((filter, number));
        } else {
            remove(&mut index, filter, number);
            live.remove(&(filter, number));
        }
        assert_eq!(index.len(), live.len());
        if step % 500 == 0 {
            index.check();
            for filter in FILTERS {
                let mut found = receivers(&index, filter);
                found.sort_unstable();
                let wanted = live.iter().filter(|(live, _)| *live == filter);
                assert!(found.iter().eq(wanted.map(|(_, number)| number)));
            }
        }
    }
    for (filter, number) in live {
        remove(&mut index, filter, number);
    }
    index.check();
    assert!(index.is_empty() && receivers(&index, "wide/topic").is_empty());
}

#[test]
fn a_hundred_thousand_receivers_of_one_filter_are_each_found_at_once() {
    let mut index = Index::new(3);
    for number in 0..100_000 {
        insert(&mut index, "all", number);
    }
    for number in 0..100_000 {
        insert(&mut index, "all", number);
    }
    index.check();
    assert_eq!(receivers(&index, "all").len(), 100_000);
    for number in 0..100_000 {
        remove(&mut index, "all", number);
    }
    assert!(index.is_empty());
    index.check();
}

#[test]
fn churn_does_not_grow_it_and_an_emptied_index_gives_its_memory_back() {
    let mut random = Random(5);
    let mut index = Index::new(5);
    let empty = index.memory_bytes();
    let mut live = std::collections::VecDeque::new();
    let mut settled = 0;
    for step in 0..200_000u64 {
        let filter = match random.below(10) {
            0 => format!("site/{}/+/state", random.below(1_000_000)),
            1 => format!("site/{}/a level of more than twenty-two bytes {step}/#", step % 50),
            2 => format!("wide/{}", random.below(4)),
            _ => format!("site/{}/dev{step}/state", step % 50),
        };
        insert(&mut index, &filter, step);
        live.push_back((filter, step));
        if live.len() > 2_000 {
            let (filter, number) = live.pop_front().expect("not empty");
            remove(&mut index, &filter, number);
        }
        if step == 20_000 {
            settled = index.memory_bytes();
        }
    }
    index.check();
    assert!(index.memory_bytes() < settled + settled / 5, "memory grew under churn");
    for (filter, number) in live {
        remove(&mut index, &filter, number);
    }
    index.check();
    assert!(index.memory_bytes() < empty + 100_000, "memory stayed after the last filter went");
}

#[test]
fn filters_and_topics_of_very_many_levels_are_matched_without_recursion() {
    let mut index = Index::new(1);
    let slashes = "/".repeat(65_535);
    let plus = vec!["+"; 10_000].join("/");
    let deep = vec!["a"; 10_000].join("/");
    insert(&mut index, &slashes, 1);
    insert(&mut index, &plus, 2);
    insert(&mut index, &format!("{deep}/#"), 3);
    assert_eq!(receivers(&index, &slashes), [1]);
    assert_eq!(receivers(&index, &deep), [2, 3]);
    assert_eq!(receivers(&index, &format!("{deep}/b")), [3]);
    remove(&mut index, &slashes, 1);
    remove(&mut index, &plus, 2);
    remove(&mut index, &format!("{deep}/#"), 3);
    index.check();
    assert!(index.is_empty());
}

#[test]
fn it_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync>() {}
    shareable::<Index>();
}
