//! The busiest topics of a stream of messages, in bounded memory: space-saving (Metwally, Agrawal,
//! El Abbadi 2005) over counts that fade.
//!
//! There are [`SLOTS`] counters however many topics there are. A topic without a counter takes the
//! one with the least, and what that one had counted is the most it can have missed before. Each
//! counter keeps what it saw itself apart from what it took over, so that what is shown is never
//! more than what was seen; a topic with more than 1/512 of the messages always has a counter.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// Topics that have a counter.
const SLOTS: usize = 512;

/// Bytes of a topic that are kept; MQTT allows 65,535.
const TOPIC_BYTES_MAX: usize = 1024;

/// A message counts for less and less: after so many seconds for 1/e.
const FADE_SECS: f64 = 30.0;

/// A counter that has faded to less is given up.
const FORGOTTEN: f64 = 0.05;

/// A rate is a guess before so many seconds, or so many messages in less time, have been heard.
const HEARD_SECS: f64 = 0.5;
const HEARD_MESSAGES: f64 = 50.0;
const HEARD_SECS_LEAST: f64 = 0.01;

/// Counters, faded to one moment.
pub(super) struct Busiest {
    slots: Vec<Slot>,
    /// Where the counter of a topic is, by its hash under a key of this process.
    places: HashMap<u64, usize>,
    hasher: RandomState,
    faded_at: Duration,
    hears: bool,
    messages: f64,
    heard_secs: f64,
    secs: f64,
}

struct Slot {
    hash: u64,
    topic: Box<str>,
    shortened: bool,
    /// Messages seen since it has this counter, and their payload bytes.
    messages: f64,
    bytes: f64,
    /// Messages it may have had before.
    missed: f64,
}

/// A topic with what was seen of it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Topic {
    /// The name, or its beginning.
    pub(super) name: String,
    /// Whether `name` is only the beginning.
    pub(super) shortened: bool,
    /// Messages a second, on the average of the time heard.
    pub(super) messages: f64,
    /// Payload bytes a second.
    pub(super) bytes: f64,
    /// Part of all messages heard.
    pub(super) share: f64,
    /// There may have been more: it had no counter for a while.
    pub(super) at_least: bool,
}

/// What topics are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Sort {
    /// The most messages first.
    #[default]
    Messages,
    /// The most bytes first.
    Bytes,
    /// From A to Z.
    Name,
}

impl Sort {
    /// The one that a key press changes to.
    pub(super) fn next(self) -> Sort {
        match self {
            Sort::Messages => Sort::Bytes,
            Sort::Bytes => Sort::Name,
            Sort::Name => Sort::Messages,
        }
    }

    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Sort::Messages => "messages",
            Sort::Bytes => "bytes",
            Sort::Name => "name",
        }
    }

    /// The first topics in this order.
    pub(super) fn first(self, topics: &[Topic], count: usize) -> Vec<&Topic> {
        let mut sorted: Vec<&Topic> = topics.iter().collect();
        // Names decide where figures do not, so that lines of equals do not dance.
        sorted.sort_by(|a, b| match self {
            Sort::Messages => b.messages.total_cmp(&a.messages).then_with(|| a.name.cmp(&b.name)),
            Sort::Bytes => b.bytes.total_cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)),
            Sort::Name => a.name.cmp(&b.name),
        });
        sorted.truncate(count);
        sorted
    }
}

impl Busiest {
    pub(super) fn new(now: Duration) -> Busiest {
        Busiest {
            slots: Vec::new(),
            places: HashMap::new(),
            hasher: RandomState::new(),
            faded_at: now,
            hears: false,
            messages: 0.0,
            heard_secs: 0.0,
            secs: 0.0,
        }
    }

    /// From now on messages are heard, or not.
    pub(super) fn hear(&mut self, now: Duration, hears: bool) {
        self.fade(now);
        self.hears = hears;
    }

    /// Counts a message.
    pub(super) fn add(&mut self, topic: &str, bytes: usize) {
        self.messages += 1.0;
        let hash = self.hasher.hash_one(topic);
        let at = match self.places.get(&hash) {
            Some(at) => *at,
            None => self.place(hash, topic),
        };
        let slot = &mut self.slots[at];
        slot.messages += 1.0;
        slot.bytes += bytes as f64;
    }

    /// A counter for a topic that has none.
    fn place(&mut self, hash: u64, topic: &str) -> usize {
        let mut slot = Slot::new(hash, topic);
        let at = if self.slots.len() < SLOTS {
            self.slots.push(slot);
            self.slots.len() - 1
        } else {
            let all = self.slots.iter().enumerate();
            let least = all.min_by(|(_, a), (_, b)| a.most().total_cmp(&b.most()));
            let (at, least) = least.expect("all slots are taken, and there are some");
            self.places.remove(&least.hash);
            slot.missed = least.most();
            self.slots[at] = slot;
            at
        };
        self.places.insert(hash, at);
        at
    }

    /// Lets everything fade to this moment. Rates between two of these calls are a little off; once
    /// a second is enough.
    pub(super) fn fade(&mut self, now: Duration) {
        let secs = now.saturating_sub(self.faded_at).as_secs_f64();
        if secs == 0.0 {
            return;
        }
        self.faded_at = now;
        let factor = (-secs / FADE_SECS).exp();
        let passed = FADE_SECS * (1.0 - factor);
        self.secs = self.secs * factor + passed;
        self.heard_secs = self.heard_secs * factor + if self.hears { passed } else { 0.0 };
        self.messages *= factor;
        for slot in &mut self.slots {
            slot.messages *= factor;
            slot.bytes *= factor;
            slot.missed *= factor;
        }
        self.slots.retain(|slot| slot.most() >= FORGOTTEN);
        if self.slots.len() < self.places.len() {
            let slots = self.slots.iter().enumerate();
            self.places = slots.map(|(at, slot)| (slot.hash, at)).collect();
        }
    }

    /// The part of the recent time in which messages were heard.
    pub(super) fn heard(&self) -> f64 {
        if self.secs > 0.0 { self.heard_secs / self.secs } else { 0.0 }
    }

    /// Topics that are surely busy, in no order.
    pub(super) fn topics(&self) -> Vec<Topic> {
        let secs = self.heard_secs.max(f64::MIN_POSITIVE);
        let topic = |slot: &Slot| Topic {
            name: slot.topic.to_string(),
            shortened: slot.shortened,
            messages: slot.messages / secs,
            bytes: slot.bytes / secs,
            share: slot.messages / self.messages.max(f64::MIN_POSITIVE),
            at_least: slot.missed > slot.messages / 100.0,
        };
        let known = self.heard_secs >= HEARD_SECS
            || (self.messages >= HEARD_MESSAGES && self.heard_secs >= HEARD_SECS_LEAST);
        if known { self.slots.iter().map(topic).collect() } else { Vec::new() }
    }
}

impl Slot {
    fn new(hash: u64, topic: &str) -> Slot {
        let mut end = topic.len().min(TOPIC_BYTES_MAX);
        while !topic.is_char_boundary(end) {
            end -= 1;
        }
        let shortened = end < topic.len();
        let topic = topic[..end].into();
        Slot { hash, topic, shortened, messages: 0.0, bytes: 0.0, missed: 0.0 }
    }

    fn most(&self) -> f64 {
        self.messages + self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn of<'a>(topics: &'a [Topic], name: &str) -> &'a Topic {
        topics.iter().find(|topic| topic.name == name).expect("it is among the busiest")
    }

    #[test]
    fn a_steady_rate_is_found_whatever_part_of_the_time_is_heard() {
        let mut busiest = Busiest::new(secs(0));
        for second in 0..240 {
            let hears = second % 4 == 0;
            busiest.hear(secs(second), hears);
            for _ in 0..if hears { 50 } else { 0 } {
                busiest.add("a", 10);
            }
        }
        busiest.fade(secs(240));
        let topics = busiest.topics();
        let a = of(&topics, "a");
        assert!((a.messages - 50.0).abs() < 2.0, "{a:?}");
        assert!((a.bytes - 500.0).abs() < 20.0, "{a:?}");
        assert!((busiest.heard() - 0.25).abs() < 0.02, "{}", busiest.heard());
        assert!((a.share - 1.0).abs() < 1e-9 && !a.at_least);
    }

    #[test]
    fn a_glimpse_of_a_flood_is_enough_but_not_of_a_trickle() {
        let mut busiest = Busiest::new(secs(0));
        busiest.hear(secs(0), true);
        busiest.add("a", 0);
        busiest.hear(Duration::from_millis(20), false);
        assert!(busiest.topics().is_empty());
        busiest.hear(secs(5), true);
        for _ in 0..200 {
            busiest.add("a", 0);
        }
        busiest.hear(Duration::from_millis(5020), false);
        busiest.fade(secs(6));
        let topics = busiest.topics();
        let a = of(&topics, "a");
        assert!((a.messages - 201.0 / 0.04).abs() < 600.0, "{a:?}");
    }

    #[test]
    fn millions_of_topics_take_no_more_room_and_hide_no_busy_one() {
        let mut busiest = Busiest::new(secs(0));
        busiest.hear(secs(0), true);
        let mut busy = 0.0;
        for number in 0..200_000_u32 {
            busiest.add(&format!("once/{number}"), 1);
            if number % 50 == 0 {
                busiest.add("busy", 1);
                busy += 1.0;
            }
        }
        busiest.fade(secs(1));
        assert_eq!((busiest.slots.len(), busiest.places.len()), (SLOTS, SLOTS));
        let topics = busiest.topics();
        let shown = of(&topics, "busy");
        assert!(shown.messages <= busy + 1.0 && shown.messages > 0.9 * busy, "{shown:?}");
        let others = topics.iter().filter(|topic| topic.name != "busy");
        assert!(others.clone().all(|topic| topic.messages < 0.05 * shown.messages));
        assert!(others.clone().all(|topic| topic.at_least));
        assert!(busiest.slots.iter().all(|slot| busiest.places.contains_key(&slot.hash)));
    }

    #[test]
    fn what_is_quiet_fades_and_leaves_its_room() {
        let mut busiest = Busiest::new(secs(0));
        busiest.hear(secs(0), true);
        busiest.add("a", 0);
        busiest.add("b", 0);
        busiest.fade(secs(60));
        busiest.add("b", 0);
        busiest.fade(secs(95));
        let topics = busiest.topics();
        assert_eq!(topics.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["b"]);
        busiest.add("b", 0);
        busiest.add("a", 0);
        assert_eq!(busiest.slots.len(), 2);
    }

    #[test]
    fn of_a_long_topic_the_beginning_is_kept_and_two_of_them_stay_apart() {
        let mut busiest = Busiest::new(secs(0));
        busiest.hear(secs(0), true);
        let long = format!("{}€", "x".repeat(TOPIC_BYTES_MAX - 1));
        busiest.add(&format!("{long}/1"), 0);
        busiest.add(&format!("{long}/2"), 0);
        busiest.fade(secs(1));
        let topics = busiest.topics();
        assert_eq!(topics.len(), 2);
        assert!(topics.iter().all(|it| it.shortened && it.name.len() == TOPIC_BYTES_MAX - 1));
    }
}
