//! Both ends of a bridge, told whatever a script of bytes says: messages, acknowledgements in any
//! order, sockets that take little, time that passes, and bytes of no sense.
//!
//! What must hold: each end is told legal packets of a client alone, within what it grants. As long
//! as both keep to the rules, each message arrives once and in its order, no end is given more at a
//! time than it takes, none is acknowledged that was not sent; and when both have answered all that
//! there is, nothing is left in the relay.

mod end;

use crate::script::Script;
use end::End;
use noctule_bridge::fuzz::{Joined, NEAR_RECEIVE_MAXIMUM, Setting};
use noctule_proto::{QoS, Version};

/// What the far end takes at most, if it says so. Payloads are much smaller, or larger.
const PACKET_SIZE_MAX: u32 = 150;
const LARGE: usize = 200;
/// Identifiers that this broker holds of an earlier time: the ends use none of them.
const UNRELEASED: [u16; 2] = [17, 18];
/// Turns after which both ends must have nothing more to say.
const TURNS_MAX: usize = 10_000;

/// Plays the script.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut world = World::new(&mut script);
    while !script.is_over() {
        if world.step(&mut script).is_err() {
            return;
        }
    }
    if world.polite {
        world.come_to_rest();
    }
}

/// Scripts that are worth starting from: messages of each QoS, both ways, answered.
#[must_use]
pub fn scripts() -> Vec<Vec<u8>> {
    let mut scripts = Vec::new();
    for setting in [[0; 5], [1, 1, 1, 1, 1], [2, 2, 0, 2, 2], [0, 1, 1, 0, 3]] {
        let mut script = setting.to_vec();
        for qos in 0..3 {
            for step in [0, 1] {
                script.extend([step, qos, qos, 0, 3, b'a', b'b', b'c']);
            }
            script.extend([4, 255, 5, 255, 2, 0, 3, 0, 4, 255, 5, 255, 2, 1, 3, 1, 6, 1]);
        }
        scripts.push(script);
    }
    scripts
}

struct World {
    setting: Setting,
    joined: Joined,
    /// This broker, and the other one.
    ends: [End; 2],
    /// Both have kept to the rules so far.
    polite: bool,
}

/// The relay has ended, as it may.
struct Over;

const NEAR: usize = 0;
const FAR: usize = 1;

impl World {
    fn new(script: &mut Script<'_>) -> World {
        let version = [Version::V5, Version::V311, Version::V31][script.below(3)];
        let v5 = version == Version::V5;
        let qos = [QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::AtMostOnce][script.below(3)];
        let more = script.byte();
        // Before 5.0 nothing of this can be said.
        let setting = Setting {
            version,
            qos_max: if v5 { qos } else { QoS::ExactlyOnce },
            retain: !v5 || more & 1 == 0,
            receive_maximum: if v5 { [65_535, 1, 4][script.below(3)] } else { 65_535 },
            packet_size_max: if more & 2 == 0 { u32::MAX } else { PACKET_SIZE_MAX },
            rate_max: [0, 0, 1, 5][script.below(4)],
        };
        let unreleased = if more & 4 == 0 { &[][..] } else { &UNRELEASED };
        let far = setting;
        let near = Setting {
            version: Version::V5,
            qos_max: QoS::ExactlyOnce,
            retain: true,
            receive_maximum: NEAR_RECEIVE_MAXIMUM,
            packet_size_max: u32::MAX,
            ..setting
        };
        World {
            joined: Joined::new(&setting, unreleased),
            setting,
            ends: [End::new(near), End::new(far)],
            polite: true,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) -> Result<(), Over> {
        match script.below(8) {
            0 => self.publish(NEAR, script),
            1 => self.publish(FAR, script),
            2 => self.answer(NEAR, usize::from(script.byte())),
            3 => self.answer(FAR, usize::from(script.byte())),
            way @ (4 | 5) => {
                self.take([NEAR, FAR][way - 4], script.byte());
                Ok(())
            }
            6 => self.pass([1, 500, 1_000, 20_000][script.below(4)]),
            _ => {
                let end = script.below(2);
                let bytes = script.raw();
                self.polite &= bytes.is_empty();
                self.hear(end, bytes)
            }
        }
    }

    fn hear(&mut self, end: usize, bytes: &[u8]) -> Result<(), Over> {
        let heard = self.joined.hear(end == NEAR, bytes);
        self.go_on(heard)
    }

    fn pass(&mut self, millis: u64) -> Result<(), Over> {
        let passed = self.joined.pass(millis);
        self.go_on(passed)
    }

    /// A relay between ends that keep to the rules does not end, but for one that is silent.
    fn go_on(&self, outcome: Result<(), String>) -> Result<(), Over> {
        outcome.map_err(|why| {
            assert!(why == "Silent" || !self.polite, "{why}");
            Over
        })
    }

    fn publish(&mut self, from: usize, script: &mut Script<'_>) -> Result<(), Over> {
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][script.below(3)];
        let how = script.byte();
        let topic = match how & 3 {
            0 | 1 => ["h/a", "t/a"][from],
            2 => ["h/b/c", "t/b/c"][from],
            _ => "x",
        };
        let mut payload = script.raw().to_vec();
        payload.truncate(24);
        if how & 8 != 0 {
            payload.resize(LARGE, 0);
        }
        let fits = from == FAR || how & 8 == 0 || self.setting.packet_size_max == u32::MAX;
        let arrives = topic != "x" && fits;
        match self.ends[from].publish(topic, (qos, how & 4 != 0), &payload, arrives) {
            Some(bytes) => self.hear(from, &bytes),
            None => Ok(()),
        }
    }

    fn answer(&mut self, from: usize, which: usize) -> Result<(), Over> {
        match self.ends[from].answer(which) {
            Some(bytes) => self.hear(from, &bytes),
            None => Ok(()),
        }
    }

    /// An end is told some of what waits for it; whether there was any.
    fn take(&mut self, to: usize, len: u8) -> bool {
        let len = if len == 255 { usize::MAX } else { usize::from(len) };
        let bytes = self.joined.take(to == NEAR, len);
        let [near, far] = &mut self.ends;
        let (end, other) = if to == NEAR { (near, far) } else { (far, near) };
        end.told(&bytes, other, self.polite);
        !bytes.is_empty()
    }

    /// Both answer all there is, and time passes.
    fn come_to_rest(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut quiet = true;
            for end in [NEAR, FAR] {
                quiet &= !self.take(end, 255);
                while let Some(bytes) = self.ends[end].answer(0) {
                    quiet = false;
                    if self.hear(end, &bytes).is_err() {
                        return;
                    }
                }
            }
            let waiting = [true, false].map(|near| self.joined.under_way(near).1);
            if quiet && waiting == [0, 0] {
                return self.check_rest();
            }
            if self.pass(1_000).is_err() {
                return;
            }
        }
        panic!("it does not come to an end");
    }

    fn check_rest(&mut self) {
        for end in [NEAR, FAR] {
            let left = self.joined.under_way(end == NEAR);
            assert_eq!(left, (0, 0, 0), "nothing is left of what end {end} was told or said");
            self.ends[end].check_settled();
        }
    }
}
