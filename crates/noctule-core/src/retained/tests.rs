//! The store against a list of messages and the plain matcher.

use super::store::RetainedStore;
use crate::identity::{MessageId, Tenant, Time};
use crate::limits::Durability;
use crate::message::{Message, Origin, Parts};
use crate::random::Random;
use noctule_proto::QoS;
use noctule_proto::topic::matches;
use std::collections::BTreeMap;
use std::sync::Arc;

const NOW: Time = Time(1_000_000);

fn message(id: u64, tenant: u16, topic: &str, payload: &str) -> Arc<Message> {
    expiring(id, (tenant, topic, payload), None)
}

fn expiring(
    id: u64,
    (tenant, topic, payload): (u16, &str, &str),
    expiry_secs: Option<u32>,
) -> Arc<Message> {
    let origin = Origin {
        id: MessageId(id),
        tenant: Tenant(tenant),
        publisher: None,
        routed_at: 0,
        durability: Durability::Memory,
    };
    let payload = payload.as_bytes();
    let (qos, retain, properties) = (QoS::AtLeastOnce, true, [].as_slice());
    let parts = Parts { topic, properties, payload, qos, retain, expiry_secs };
    Arc::new(Message::new(NOW, origin, &parts))
}

/// Scans in portions of `limit` topics; the topics found, and how many portions it took.
fn scan(store: &RetainedStore, filter: &str, limit: usize, now: Time) -> (Vec<String>, usize) {
    let (mut out, mut after, mut portions) = (Vec::new(), None::<Box<str>>, 0);
    loop {
        portions += 1;
        after = store.scan(Tenant(0), (filter, after.as_deref()), (limit, now), &mut out);
        if after.is_none() {
            break;
        }
    }
    (out.iter().map(|message| message.topic().to_owned()).collect(), portions)
}

fn below(random: &mut Random, end: usize) -> usize {
    (random.next() % end as u64) as usize
}

fn levels(random: &mut Random, plus: bool) -> Vec<&'static str> {
    // `!` sorts before the separator and `0` behind it.
    const LEVELS: [&str; 10] = ["", "a", "a!", "a0", "b", "!", "0", "$s", "ü", "~"];
    (0..=below(random, 4))
        .map(|_| match below(random, 3) {
            0 if plus => "+",
            _ => LEVELS[below(random, LEVELS.len())],
        })
        .collect()
}

fn filter(random: &mut Random) -> String {
    let mut levels = levels(random, true);
    match below(random, 4) {
        0 => levels.push("#"),
        1 => *levels.last_mut().expect("one level at least") = "#",
        _ => {}
    }
    levels.join("/")
}

#[test]
fn a_scan_finds_what_the_plain_matcher_finds_in_portions_of_any_size() {
    for seed in 0..4 {
        let mut random = Random::new((seed, 0));
        let mut store = RetainedStore::new();
        let mut naive: BTreeMap<String, Option<Time>> = BTreeMap::new();
        for step in 0..2_000 {
            let topic = levels(&mut random, false).join("/");
            let payload = if below(&mut random, 3) == 0 { "" } else { "x" };
            let expiry = (below(&mut random, 3) == 0).then(|| below(&mut random, 50) as u32);
            store.set(expiring(step, (0, &topic, payload), expiry));
            naive.remove(&topic);
            if !payload.is_empty() {
                naive.insert(topic, expiry.map(|secs| NOW.plus_secs(secs.into())));
            }
            let now = NOW.plus_secs(below(&mut random, 60) as u64);
            let filter = filter(&mut random);
            let limit = [1, 2, 7, 1000][below(&mut random, 4)];
            let wanted = naive
                .iter()
                .filter(|(topic, at)| matches(&filter, topic) && at.is_none_or(|at| at > now));
            let wanted: Vec<&String> = wanted.map(|(topic, _)| topic).collect();
            let (found, _) = scan(&store, &filter, limit, now);
            assert!(found.iter().eq(wanted), "seed {seed}, step {step}, {filter:?}: {found:?}");
            if below(&mut random, 200) == 0 {
                store.expire(now, usize::MAX);
                naive.retain(|_, at| at.is_none_or(|at| at > now));
            }
            assert_eq!(store.len(), naive.len());
        }
        store.check();
    }
}

#[test]
fn the_greatest_id_of_a_topic_wins_in_whatever_order_messages_arrive() {
    for seed in 0..200 {
        let mut random = Random::new((seed, 0));
        let mut messages: Vec<Arc<Message>> = (1..=12)
            .map(|id| {
                let topic = ["a", "b"][below(&mut random, 2)];
                let payload = ["", "x"][below(&mut random, 2)];
                message(id, below(&mut random, 2) as u16, topic, payload)
            })
            .collect();
        let mut wanted = BTreeMap::new();
        for message in &messages {
            wanted.insert((message.tenant, message.topic().to_owned()), Arc::clone(message));
        }
        wanted.retain(|_, message| !message.payload().is_empty());
        for at in (1..messages.len()).rev() {
            messages.swap(at, below(&mut random, at + 1));
        }
        let mut store = RetainedStore::new();
        for message in messages {
            store.set(message);
            store.check();
        }
        assert_eq!(store.len(), wanted.len());
        for ((tenant, topic), message) in &wanted {
            assert_eq!(store.get(*tenant, topic), Some(message));
        }
    }
}

#[test]
fn set_answers_the_message_that_lost() {
    let mut store = RetainedStore::new();
    let [first, second, late] = [5, 6, 4].map(|id| message(id, 0, "t", "x"));
    assert_eq!(store.set(Arc::clone(&first)), None);
    assert_eq!(store.set(Arc::clone(&second)), Some(first));
    assert_eq!(store.set(Arc::clone(&late)), Some(Arc::clone(&late)));
    assert_eq!(store.set(message(7, 0, "t", "")), Some(Arc::clone(&second)));
    assert_eq!(store.set(Arc::clone(&second)), Some(second));
    assert!(store.is_empty() && store.bytes() == 0);
}

#[test]
fn replaying_the_message_that_is_kept_changes_nothing() {
    let mut store = RetainedStore::new();
    for _ in 0..2 {
        store.set(expiring(5, (0, "t", "x"), Some(9)));
        store.check();
    }
    assert_eq!((store.len(), store.next_expiry()), (1, Some(NOW.plus_secs(9))));
}

#[test]
fn tenants_do_not_see_each_other() {
    let mut store = RetainedStore::new();
    store.set(message(1, 0, "t", "x"));
    store.set(message(2, 1, "t", "y"));
    store.set(message(3, 1, "t", ""));
    assert_eq!(scan(&store, "#", 9, NOW).0, ["t"]);
    assert!(store.get(Tenant(1), "t").is_none());
    store.check();
}

#[test]
fn expiry_removes_in_portions_what_is_due_and_nothing_else() {
    let mut store = RetainedStore::new();
    for id in 0..100 {
        let secs = (id % 2 == 0).then_some(id as u32 + 1);
        store.set(expiring(id, (0, &format!("t/{id}"), "x"), secs));
    }
    assert_eq!(store.next_expiry(), Some(NOW.plus_secs(1)));
    assert_eq!(store.expire(NOW, 10), 0);
    assert_eq!(store.expire(NOW.plus_secs(49), 10), 10);
    assert_eq!(store.expire(NOW.plus_secs(49), 100), 15);
    assert_eq!((store.len(), store.next_expiry()), (75, Some(NOW.plus_secs(51))));
    // An older message does not take the place of an expired one.
    store.set(message(0, 0, "t/2", "old"));
    assert!(store.get(Tenant(0), "t/2").is_none());
    store.check();
}

#[test]
fn a_scan_passes_over_subtrees_that_cannot_match() {
    let mut store = RetainedStore::new();
    let mut id = 0;
    for site in 0..20 {
        for device in 0..100 {
            id += 1;
            store.set(message(id, 0, &format!("site{site}/device{device}/state"), "x"));
        }
        id += 1;
        store.set(message(id, 0, &format!("site{site}/x"), "x"));
    }
    // About two topics a site are looked at, not a hundred.
    let (found, portions) = scan(&store, "+/x", 1, NOW);
    assert_eq!(found.len(), 20);
    assert!(portions < 70, "{portions} topics looked at");
    let (found, portions) = scan(&store, "site7/#", 1, NOW);
    assert_eq!(found.len(), 101);
    assert!(portions <= 103, "{portions} topics looked at");
    let (found, portions) = scan(&store, "nowhere/#", 1, NOW);
    assert_eq!((found.len(), portions), (0, 1));
}

#[test]
fn topics_of_very_many_levels_are_scanned_without_recursion() {
    let mut store = RetainedStore::new();
    let (deep, slashes) = (vec!["a"; 10_000].join("/"), "/".repeat(65_535));
    store.set(message(1, 0, &deep, "x"));
    store.set(message(2, 0, &slashes, "x"));
    assert_eq!(scan(&store, &vec!["+"; 10_000].join("/"), 9, NOW).0, [deep]);
    assert_eq!(scan(&store, &slashes, 9, NOW).0, [slashes]);
}

#[test]
fn cleared_topics_are_remembered_within_bounds() {
    let mut store = RetainedStore::new();
    let long = "l".repeat(60_000);
    for id in 0..20_000 {
        store.set(message(id, 0, &format!("t/{id}"), ""));
        if id % 2000 == 0 {
            store.set(message(id, 0, &format!("{long}/{id}"), ""));
            store.check();
        }
    }
    store.check();
    store.set(message(1, 0, "t/19999", "late"));
    assert!(store.is_empty(), "cleared a moment ago");
}

#[test]
fn a_thawed_store_is_the_one_that_was_frozen() {
    let mut random = Random::new((4, 0));
    let mut store = RetainedStore::new();
    for id in 0..2_000 {
        let topic = levels(&mut random, false).join("/");
        let payload = ["", "x"][below(&mut random, 2)];
        let expiry = (below(&mut random, 2) == 0).then_some(below(&mut random, 50) as u32);
        store.set(expiring(id, (below(&mut random, 2) as u16, &topic, payload), expiry));
    }
    let frozen = serde_json::to_string(&store).expect("a store can be written");
    let thawed: RetainedStore = serde_json::from_str(&frozen).expect("what was written");
    thawed.check();
    assert_eq!((thawed.len(), thawed.bytes()), (store.len(), store.bytes()));
    assert_eq!(thawed.next_expiry(), store.next_expiry());
    assert_eq!(serde_json::to_string(&thawed).expect("a store can be written"), frozen);
}
