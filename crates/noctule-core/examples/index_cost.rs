//! What a subscription costs in memory, and a match in time, at a million subscriptions: 80 %
//! exact, 15 % with `+`, 5 % with `#`, five levels, about four matches a topic.
//!
//! `cargo run --release --example index_cost [subscriptions]`
#![expect(clippy::disallowed_types, reason = "an example measures time; core does not")]

use noctule_core::index::{Index, IndexChange, Match, Receiver};
use noctule_core::{SessionNumber, ShardId, Tenant};
use noctule_proto::packet::SubscribeOptions;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// How topics are spread.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Filters share their upper levels, and few share none of the lower: 20 sites of 50 areas
    /// of 100 machines of 5 parts of 4 values.
    Shared,
    /// Every device has a name of its own in the third of five levels.
    Devices,
}

impl Shape {
    fn levels(self, random: &mut Random, subscriptions: u64) -> [String; 5] {
        let mut level = |name: &str, end: u64| format!("{name}{}", random.below(end));
        match self {
            Shape::Shared => [
                level("site", 20),
                level("area", 50),
                level("machine", 100),
                level("part", 5),
                level("value", 4),
            ],
            Shape::Devices => [
                level("tenant", 20),
                level("site", 50),
                level("device-", subscriptions),
                "sensor".to_owned(),
                level("value", 2),
            ],
        }
    }

    fn topic(self, random: &mut Random, subscriptions: u64) -> String {
        self.levels(random, subscriptions).join("/")
    }

    fn filter(self, random: &mut Random, subscriptions: u64) -> String {
        let mut levels = self.levels(random, subscriptions);
        match random.below(100) {
            0..80 => levels.join("/"),
            80..95 => {
                levels[random.below(4) as usize + 1] = "+".to_owned();
                levels.join("/")
            }
            _ => {
                let depth = 3 + random.below(2) as usize;
                let mut filter = levels[..depth].join("/");
                filter.push_str("/#");
                filter
            }
        }
    }
}

/// Resident bytes, where the system tells.
fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

fn fill(shape: Shape, subscriptions: u64, report: &mut String) -> Index {
    let mut random = Random(1);
    let mut index = Index::new(7);
    let before = resident();
    let mut spent = 0;
    let mut changes = Vec::with_capacity(1000);
    for block in 0..subscriptions / 1000 {
        // Made outside the time measured; the text is short-lived.
        changes.extend((0..1000).map(|n| IndexChange::Insert {
            tenant: Tenant(0),
            filter: shape.filter(&mut random, subscriptions).into(),
            entry: Match {
                shard: ShardId((n % 16) as u16),
                receiver: Receiver::Session(SessionNumber(block * 1000 + n)),
                options: SubscribeOptions::default(),
                subscription_id: n as u32,
            },
        }));
        let start = Instant::now();
        changes.iter().for_each(|change| index.apply(change));
        spent += start.elapsed().as_nanos();
        changes.clear();
    }
    let count = index.len() as u128;
    let _ = write!(report, "insert {} ns, ", spent / count);
    let _ = write!(report, "{} B counted", index.memory_bytes() as u128 / count);
    if let (Some(before), Some(after)) = (before, resident()) {
        let _ = write!(report, " ({} B resident)", (after - before) as u128 / count);
    }
    report.push_str(" a subscription");
    index
}

/// Nanoseconds a match in the best of `rounds` passes (others were disturbed), and matches found.
fn time_matches(index: &Index, topics: &[String], rounds: usize) -> (u128, f64) {
    let mut out = Vec::with_capacity(4096);
    let mut best = u128::MAX;
    let mut found = 0;
    for _ in 0..rounds {
        found = 0;
        let start = Instant::now();
        for topic in topics {
            out.clear();
            index.route(Tenant(0), black_box(topic), &mut out);
            found += out.len();
        }
        best = best.min(start.elapsed().as_nanos() / topics.len() as u128);
    }
    (best, found as f64 / topics.len() as f64)
}

#[expect(clippy::print_stdout, reason = "an example prints")]
fn main() {
    let asked = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let subscriptions: u64 = asked.unwrap_or(1_000_000);
    for shape in [Shape::Shared, Shape::Devices] {
        let mut report = format!("{shape:?}, {subscriptions} subscriptions: ");
        let index = fill(shape, subscriptions, &mut report);
        let mut random = Random(2);
        let topics: Vec<String> =
            (0..200_000).map(|_| shape.topic(&mut random, subscriptions)).collect();
        let (cold, mean) = time_matches(&index, &topics, 8);
        let (hot, _) = time_matches(&index, &topics[..1000], 300);
        let _ = write!(report, "\n  match {cold} ns cold (200,000 topics), {hot} ns hot (1000)");
        println!("{report}, {mean:.1} matches a topic");
    }
}
