//! The detector, told what a client does look by look.

use super::level::{Level, Middle};
use super::sketch::Sketch;
use super::*;
use crate::identity::{Tenant, Time};
use crate::random::Random;

const LOOK_MILLIS: u32 = LOOK_SECS * 1000;

fn hash(number: u64) -> u64 {
    Random::new((7, number)).next()
}

/// One client, looked at every four seconds.
struct Watched {
    clients: Clients,
    now: Time,
    key: ClientKey,
}

impl Watched {
    fn new() -> Watched {
        let now = Time(1_000_000);
        let mut clients = Clients::new(Thresholds::default(), 10, now);
        let key = ClientKey::of(hash(1));
        clients.connected(now, key);
        Watched { clients, now, key }
    }

    fn look(&mut self, traffic: Traffic) -> Option<Found> {
        self.now = self.now.plus_millis(LOOK_MILLIS.into());
        let look = Look { client: self.key, tenant: Tenant(0), traffic };
        self.clients.look(self.now, &look, LOOK_MILLIS)
    }

    /// A message every so many looks, for so many looks; never a finding.
    fn talk(&mut self, every: u32, looks: u32) {
        for at in 0..looks {
            let found = self.look(said(u32::from(at % every == 0), 100));
            assert_eq!(found, None, "after {at} looks");
        }
    }
}

fn said(messages: u32, bytes: u32) -> Traffic {
    Traffic { messages, bytes: messages * bytes, ..Traffic::default() }
}

#[test]
fn a_level_is_near_the_number_and_fades_by_half_in_2048_steps() {
    for number in [0.0, 1.0, 60.0, 4096.0, 1e9] {
        let mut level = Level::of(number);
        assert!((level.number() - number).abs() <= number * 0.001, "{number}");
        for _ in 0..2048 {
            level.fade();
        }
        assert!(level.number() <= number * 0.51, "{number}");
    }
}

#[test]
fn the_middle_is_where_half_lies_above() {
    let mut middle = Middle::default();
    for number in 0..2000_u16 {
        middle.see(f32::from(number % 10 * 10));
    }
    assert!((35.0..60.0).contains(&middle.number()), "{}", middle.number());
}

#[test]
fn a_sketch_counts_to_a_factor_of_two() {
    for count in [1_u64, 5, 100, 1000, 20_000] {
        // On the whole: one sketch may be off by more.
        let mut logs = 0.0;
        for round in 0..64 {
            let mut sketch = Sketch::default();
            for number in 0..count {
                sketch.add(hash(round << 32 | number));
                sketch.add(hash(round << 32 | number));
            }
            logs += (sketch.count() / count as f32).log2();
        }
        assert!((logs / 64.0).abs() < 0.5, "{count}: {logs}");
    }
}

#[test]
fn a_spike_is_found_in_its_second_look_and_answered_harder_each_time() {
    let mut it = Watched::new();
    it.talk(15, 1000);
    assert_eq!(it.look(said(4000, 100)), None, "it may be what waited for a network");
    let found = it.look(said(4000, 100)).unwrap();
    assert_eq!((found.kind, found.value, found.answer), (Kind::RateSpike, 1000, Answer::Observe));
    let mut answers = Vec::new();
    for _ in 0..9 {
        answers.extend(it.look(said(4000, 100)).map(|found| found.answer));
    }
    assert_eq!(answers, [Answer::Slow, Answer::Quarantine, Answer::Ban]);
}

#[test]
fn a_client_that_goes_on_like_that_has_got_used_to_it() {
    let mut it = Watched::new();
    it.talk(1, 1000);
    let found = (0..1000).filter_map(|_| it.look(said(2000, 100))).count();
    assert!((1..200).contains(&found), "{found}");
    assert_eq!(it.look(said(2000, 100)), None);
}

#[test]
fn large_messages_are_another_kind_of_spike() {
    let mut it = Watched::new();
    it.talk(15, 1000);
    assert_eq!(it.look(said(4, 1_000_000)), None);
    assert_eq!(it.look(said(4, 1_000_000)).unwrap().kind, Kind::SizeSpike);
}

#[test]
fn what_cannot_hurt_and_what_is_new_is_no_spike() {
    let mut it = Watched::new();
    for _ in 0..100 {
        assert_eq!(it.look(said(100_000, 1000)), None, "it has no past");
    }
    let mut it = Watched::new();
    it.talk(150, 1000);
    for _ in 0..100 {
        assert_eq!(it.look(said(399, 100)), None, "below 100 a second");
    }
}

#[test]
fn ever_new_topics_are_found_and_many_old_ones_are_not() {
    let topics = |from: u64, to: u64| {
        let mut traffic = said(4, 100);
        (from..to).for_each(|number| traffic.topic(hash(number)));
        traffic
    };
    let mut it = Watched::new();
    for _ in 0..2000 {
        assert_eq!(it.look(topics(0, 20)), None);
    }
    let found = (0..3).find_map(|at| it.look(topics(at * 4000, at * 4000 + 4000))).unwrap();
    assert_eq!((found.kind, found.answer), (Kind::TopicExplosion, Answer::Observe));
    // A gateway for three thousand devices.
    let mut it = Watched::new();
    for at in 0..4000 {
        let from = at % 10 * 300;
        assert_eq!(it.look(topics(from, from + 300)), None, "{at}");
    }
}

#[test]
fn denials_are_a_finding_when_they_come_in_bursts() {
    let mut it = Watched::new();
    let denied = |denials| Traffic { denials, ..Traffic::default() };
    assert_eq!(it.look(denied(40)), None, "10 a second are allowed");
    assert_eq!(it.look(denied(44)).unwrap().kind, Kind::Denied);
}

#[test]
fn silence_is_found_before_three_periods_are_over_and_told_once() {
    for period in [8, 15, 75] {
        let mut it = Watched::new();
        it.talk(period, 22_000 - 22_000 % period + 1);
        let found: Vec<(u32, Found)> =
            (1..10_000).filter_map(|at| Some((at, it.look(said(0, 0))?))).collect();
        let [(at, found)] = &found[..] else { panic!("{period}: {found:?}") };
        assert_eq!((found.kind, found.answer), (Kind::Silence, Answer::Observe));
        assert!(*at <= 3 * period, "{period}: {at}");
        assert_eq!(it.look(said(1, 1)), None);
        assert!((1..10_000).filter_map(|_| it.look(said(0, 0))).count() <= 1);
    }
}

#[test]
fn who_talks_now_and_then_may_be_silent() {
    let mut it = Watched::new();
    // By chance, once in a hundred looks.
    for at in 0..200_000_u64 {
        let talks = hash(at).is_multiple_of(100);
        assert_eq!(it.look(said(u32::from(talks), 1)), None, "{at}");
    }
}

#[test]
fn ends_that_come_fast_are_flapping_and_a_few_are_not() {
    let mut it = Watched::new();
    let mut cut = |millis: u64, flap| {
        it.now = it.now.plus_millis(millis);
        it.clients.connected(it.now, it.key);
        it.clients.ended(it.now, it.key, flap)
    };
    for _ in 0..500 {
        assert_eq!(cut(31_000, true), None, "one every half minute");
        assert_eq!(cut(100, false), None, "of some use");
    }
    let found: Vec<Found> = (0..22).filter_map(|_| cut(800, true)).collect();
    let answers: Vec<Answer> = found.iter().map(|it| it.answer).collect();
    assert_eq!(answers[..2], [Answer::Observe, Answer::Slow]);
    assert!(found.iter().all(|it| it.kind == Kind::Flapping));
    // Ten seconds are enough for the first.
    assert_eq!(found[0].value, 11);
}

#[test]
fn a_full_table_watches_nobody_new_until_somebody_is_forgotten() {
    let mut it = Watched::new();
    for number in 2..=30 {
        it.clients.connected(it.now, ClientKey::of(hash(number)));
    }
    assert_eq!((it.clients.len(), it.clients.unwatched()), (10, 20));
    for number in 2..=30 {
        assert_eq!(it.clients.ended(it.now, ClientKey::of(hash(number)), true), None);
    }
    let later = it.now.plus_secs(61);
    for _ in 0..64 {
        it.clients.sweep(later);
    }
    assert_eq!(it.clients.len(), 1, "one is still connected");
    it.clients.connected(later, ClientKey::of(hash(30)));
    assert_eq!(it.clients.len(), 2);
}

#[test]
fn a_client_takes_48_bytes_at_most_and_none_once_it_is_gone() {
    let now = Time(0);
    let mut clients = Clients::new(Thresholds::default(), usize::MAX, now);
    for number in 1..=200_000_usize {
        clients.connected(now, ClientKey::of(hash(number as u64)));
        if number.is_multiple_of(500) && number >= 10_000 {
            let each = clients.bytes() as f64 / clients.len() as f64;
            assert!(each <= 48.0, "{number}: {each}");
        }
    }
    assert_eq!(clients.len(), 200_000);
    for number in 1..=200_000 {
        clients.ended(now, ClientKey::of(hash(number)), false);
    }
    for _ in 0..64 {
        clients.sweep(Time(60_000));
    }
    assert_eq!((clients.len(), clients.bytes()), (0, 0));
}

#[test]
fn failures_of_a_source_are_found_and_forgiven() {
    let mut sources = Sources::new(10, Time(0));
    let at = |secs: u64| Time(secs * 1000);
    for minute in 0..1000 {
        assert_eq!(sources.failed(at(minute * 60), 1), None, "one a minute");
    }
    let found: Vec<u64> =
        (0..20).filter_map(|second| sources.failed(at(100_000 + second), 1)).collect();
    assert_eq!(found, [11, 11], "the eleventh, and the sixteenth");
    assert_eq!(sources.failed(at(100_020), 2), None, "another one");
    // Behind one address, where most logins succeed.
    for second in 0..1000 {
        for _ in 0..4 {
            sources.succeeded(at(200_000 + second), 3);
        }
        assert_eq!(sources.failed(at(200_000 + second), 3), None);
    }
}

#[test]
fn many_sources_push_out_the_ones_with_the_fewest_failures() {
    let mut sources = Sources::new(10, Time(0));
    let now = Time(1000);
    for _ in 0..9 {
        assert_eq!(sources.failed(now, hash(0)), None);
    }
    for number in 1..500_000 {
        assert_eq!(sources.failed(now, hash(number)), None);
    }
    let found = [sources.failed(now, hash(0)), sources.failed(now, hash(0))];
    assert_eq!(found, [None, Some(11)]);
}

#[test]
fn connections_that_come_to_nothing_are_forgiven_by_the_second() {
    let mut sources = Sources::of_connects(100, Time(0));
    for second in 0..1000 {
        assert_eq!(sources.failed(Time(second * 1000), 1), None, "a probe of a load balancer");
    }
    let begin = 2_000_000;
    let found = (0..300).filter_map(|at| sources.failed(Time(begin + at * 10), 1)).count();
    assert!((3..=6).contains(&found), "{found}");
}

#[test]
fn who_subscribes_without_end_is_found_and_who_begins_with_much_is_not() {
    let subscribes = |packets: usize, filters: usize| {
        let mut traffic = Traffic::default();
        (0..packets).for_each(|_| traffic.subscribe(filters));
        traffic
    };
    let key = ClientKey::of(hash(1));
    let mut clients = Clients::new(Thresholds::default(), 10, Time(0));
    let mut look = |at: u64, traffic: Traffic| {
        let look = Look { client: key, tenant: Tenant(0), traffic };
        clients.look(Time(at * 4000), &look, 4000).map(|found| found.kind)
    };
    // A service with thousands of topics begins, each in a SUBSCRIBE of its own.
    assert_eq!(look(1, subscribes(5000, 1)), None);
    for at in 2..20 {
        assert_eq!(look(at, subscribes(100, 1)), None, "25 a second");
    }
    // The same scan again and again; a bomb in few packets.
    assert_eq!(look(20, subscribes(300, 1)), None);
    assert_eq!(look(21, subscribes(300, 1)), Some(Kind::SubscribeFlood));
    for at in 22..30 {
        assert_eq!(look(at, Traffic::default()), None);
    }
    assert_eq!(look(30, subscribes(1, 100_000)), None);
    assert_eq!(look(31, subscribes(1, 100_000)), Some(Kind::SubscribeFlood));
}
