//! What an acknowledgement promises holds in whatever order the shards of a node get to work.

use noctule_core::limits::Durability;
use noctule_core::{Limits, ShardId};
use noctule_tests::node::{LineId, Node, Step};
use noctule_tests::script::prelude::*;
use std::collections::BTreeMap;

/// A node whose steps come in an order drawn from a seed.
struct Race {
    node: Node,
    /// What clients were sent and did not look at yet.
    heard: BTreeMap<LineId, Vec<u8>>,
    random: u64,
    seed: u64,
}

impl Race {
    fn new(seed: u64) -> Race {
        let durability =
            if seed.is_multiple_of(2) { Durability::Memory } else { Durability::Fsync };
        let limits = Limits { durability, ..Limits::default() };
        let shards = [2, 3, 5][(seed % 3) as usize];
        Race {
            node: Node::new(shards, seed, &limits),
            heard: BTreeMap::new(),
            random: seed | 1,
            seed,
        }
    }

    fn draw(&mut self, below: usize) -> usize {
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }

    /// Steps in any order until the client was sent `wanted`, next.
    fn until(&mut self, line: LineId, wanted: &Packet) {
        let wanted = wanted.encode(Version::V311);
        let heard = self.next(line, wanted.len());
        assert_eq!(heard, wanted, "seed {}", self.seed);
    }

    /// The same for two packets, whichever is first.
    fn until_both(&mut self, line: LineId, wanted: [&Packet; 2]) {
        let [one, other] = wanted.map(|packet| packet.encode(Version::V311));
        let heard = self.next(line, one.len() + other.len());
        let both = [[&one[..], &other].concat(), [&other[..], &one].concat()];
        assert!(both.contains(&heard), "seed {}: {heard:02x?}", self.seed);
    }

    /// Steps in any order until the client was sent so many bytes, which come next.
    fn next(&mut self, line: LineId, len: usize) -> Vec<u8> {
        let mut heard = self.heard.remove(&line).unwrap_or_default();
        let mut steps = Vec::new();
        while heard.len() < len {
            steps.clear();
            self.node.due(&mut steps);
            assert!(!steps.is_empty(), "seed {}: {heard:02x?}", self.seed);
            let step = self.pick(&steps);
            self.node.take(step);
            heard.extend(self.node.read(line));
        }
        let rest = heard.split_off(len);
        self.heard.insert(line, rest);
        heard
    }

    /// Some channels are slow for long: which, depends on the seed.
    fn pick(&mut self, steps: &[Step]) -> Step {
        let slow = (ShardId((self.seed % 5) as u16), ShardId((self.seed / 5 % 5) as u16));
        let patient: Vec<Step> = steps
            .iter()
            .filter(|step| !matches!(step, Step::Hear { from, to } if (*from, *to) == slow))
            .copied()
            .collect();
        let steps = if patient.is_empty() { steps } else { &patient };
        steps[self.draw(steps.len())]
    }

    fn connect(&mut self, connect: &Connect) -> LineId {
        let shard = ShardId(self.draw(usize::from(self.node.shards())) as u16);
        let line = self.node.open(shard);
        self.node.write(line, &connect.encode(Version::V311));
        self.until(line, &connack(0));
        line
    }

    fn say(&mut self, line: LineId, packet: &Packet, answer: &Packet) {
        self.node.write(line, &packet.encode(Version::V311));
        self.until(line, answer);
    }

    /// All that the client is sent in the end.
    fn rest(&mut self, line: LineId) -> Vec<u8> {
        self.node.settle();
        let mut heard = self.heard.remove(&line).unwrap_or_default();
        heard.extend(self.node.read(line));
        heard
    }
}

fn for_each_seed(race: impl Fn(&mut Race, &str)) {
    for seed in 0..300 {
        race(&mut Race::new(seed), &format!("t/{seed}"));
    }
}

/// `[MQTT-3.3.1-5 v5]` `[MQTT-3.3.1-9 v5]` `[MQTT-3.3.1-5 v3.1.1]` `[MQTT-3.3.1-6 v3.1.1]`
/// `[MQTT-3.3.1-6 v5]` `[MQTT-3.3.1-10 v3.1.1]`
#[test]
fn a_retained_message_that_was_acknowledged_is_found_by_every_later_subscriber() {
    for_each_seed(|race, topic| {
        let (a, b) = (race.connect(&connect("a")), race.connect(&connect("b")));
        race.say(a, &publish(topic, "x").qos(1, 1).retain(), &puback(1));
        race.say(b, &subscribe(1).filter(topic, 0), &suback(1, &[0]));
        let kept = publish(topic, "x").retain().encode(Version::V311);
        assert_eq!(race.rest(b), kept, "seed {}", race.seed);
        race.say(b, &unsubscribe(2, &[topic]), &unsuback(2, &[]));
        // At QoS 2 it is PUBCOMP that says so; then it is deleted.
        race.say(a, &publish(topic, "y").qos(2, 2).retain(), &pubrec(2));
        race.say(a, &pubrel(2), &pubcomp(2));
        race.say(b, &subscribe(3).filter("t/+", 0), &suback(3, &[0]));
        let kept = publish(topic, "y").retain().encode(Version::V311);
        assert_eq!(race.rest(b), kept, "seed {}", race.seed);
        race.say(b, &unsubscribe(4, &["t/+"]), &unsuback(4, &[]));
        race.say(a, &publish(topic, "").qos(1, 3).retain(), &puback(3));
        race.say(b, &subscribe(5).filter("#", 0), &suback(5, &[0]));
        assert_eq!(race.rest(b), b"", "seed {}", race.seed);
    });
}

/// Its publisher has the message itself by then; others who subscribe find it all the same.
/// `[MQTT-3.3.1-5 v5]` `[MQTT-3.3.1-6 v5]`
#[test]
fn a_publisher_that_hears_itself_is_acknowledged_no_earlier() {
    for_each_seed(|race, topic| {
        let (a, b) = (race.connect(&connect("a")), race.connect(&connect("b")));
        race.say(a, &subscribe(1).filter(topic, 0), &suback(1, &[0]));
        for (id, payload) in [(1, "x"), (2, "")] {
            let kept = publish(topic, payload).qos(1, id).retain();
            race.node.write(a, &kept.encode(Version::V311));
            race.until_both(a, [&puback(id), &publish(topic, payload)]);
            race.say(b, &subscribe(id).filter("t/+", 0), &suback(id, &[0]));
            let found = match payload {
                "" => Vec::new(),
                _ => publish(topic, payload).retain().encode(Version::V311),
            };
            assert_eq!(race.rest(b), found, "seed {}", race.seed);
            race.say(b, &unsubscribe(9, &["t/+"]), &unsuback(9, &[]));
        }
    });
}

/// `[MQTT-3.8.4-1 v5]` `[MQTT-4.5.0-1 v5]` `[MQTT-4.5.0-1 v3.1.1]` `[U5-4.8.2-1]`
#[test]
fn after_suback_every_message_is_delivered() {
    for_each_seed(|race, topic| {
        let (a, b) = (race.connect(&connect("a")), race.connect(&connect("b")));
        race.say(b, &subscribe(1).filter(topic, 0), &suback(1, &[0]));
        race.say(a, &publish(topic, "x").qos(1, 1), &puback(1));
        let message = publish(topic, "x").encode(Version::V311);
        assert_eq!(race.rest(b), message, "seed {}", race.seed);
        race.say(b, &unsubscribe(2, &[topic]), &unsuback(2, &[]));
        let shared = format!("$share/group/{topic}");
        race.say(b, &subscribe(3).filter(&shared, 0), &suback(3, &[0]));
        race.say(a, &publish(topic, "x").qos(1, 2), &puback(2));
        assert_eq!(race.rest(b), message, "seed {}", race.seed);
    });
}

/// `[MQTT-3.10.4-2 v5]` `[MQTT-3.10.4-2 v3.1.1]` `[U5-4.8.2-3]`
#[test]
fn after_unsuback_no_message_is() {
    for_each_seed(|race, topic| {
        let (a, b) = (race.connect(&connect("a")), race.connect(&connect("b")));
        for filter in [topic, &format!("$share/group/{topic}")] {
            race.say(b, &subscribe(1).filter(filter, 1), &suback(1, &[1]));
            race.say(b, &unsubscribe(2, &[filter]), &unsuback(2, &[]));
            race.say(a, &publish(topic, "x").qos(1, 1), &puback(1));
            assert_eq!(race.rest(b), b"", "seed {} {filter}", race.seed);
        }
    });
}

/// `[MQTT-3.1.4-3 v5]` `[MQTT-3.1.4-2 v3.1.1]` `[MQTT-4.5.0-1 v5]` `[MQTT-3.1.2-5 v3.1.1]`
#[test]
fn a_message_that_was_acknowledged_finds_its_subscriber_wherever_it_connects() {
    for_each_seed(|race, topic| {
        let (a, b) = (race.connect(&connect("a")), race.connect(&resume("b")));
        race.say(b, &subscribe(1).filter(topic, 1), &suback(1, &[1]));
        race.node.hang_up(b);
        race.say(a, &publish(topic, "x").qos(1, 1), &puback(1));
        let shard = ShardId(race.draw(usize::from(race.node.shards())) as u16);
        let b = race.node.open(shard);
        race.node.write(b, &resume("b").encode(Version::V311));
        race.node.settle();
        let expected = [
            connack(0).session_present().encode(Version::V311),
            publish(topic, "x").qos(1, 1).encode(Version::V311),
        ];
        assert_eq!(race.rest(b), expected.concat(), "seed {}", race.seed);
    });
}
