//! What the fuzz target reaches of a relay: it is in a workspace of its own, and sees what is
//! public alone.

use super::{End, Relay, Side};
use crate::line::{Line, Terms};
use crate::plan::Plan;
use crate::via::Stamp;
use noctule_core::Holdings;
use noctule_proto::{PacketId, QoS, Version};
use noctule_server::config::{Bridge, BridgeTopic, Direction};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What this broker takes at a time.
pub const NEAR_RECEIVE_MAXIMUM: u16 = 3;

/// What the other broker grants, and what the bridge does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The version of MQTT there.
    pub version: Version,
    /// The highest QoS.
    pub qos_max: QoS,
    /// Whether messages can be retained.
    pub retain: bool,
    /// Messages of QoS 1 and 2 at a time.
    pub receive_maximum: u16,
    /// The largest packet, bytes.
    pub packet_size_max: u32,
    /// Messages a second that go out at most; 0: any.
    pub rate_max: u32,
}

/// Two brokers that a relay joins. Topics `h/#` here are `t/#` there, both ways.
#[derive(Debug)]
pub struct Joined {
    relay: Relay,
    now: Instant,
}

impl Joined {
    /// Joins them; `unreleased` is what this broker holds of an earlier time.
    ///
    /// # Panics
    /// If the relay cannot be configured so.
    #[must_use]
    pub fn new(setting: &Setting, unreleased: &[u16]) -> Joined {
        let topic = BridgeTopic {
            filter: "#".into(),
            direction: Direction::Both,
            qos: QoS::ExactlyOnce,
            local_prefix: "h/".into(),
            remote_prefix: "t/".into(),
        };
        let bridge = Bridge {
            name: "b".into(),
            addresses: vec!["localhost".into()],
            version: setting.version,
            topics: vec![topic],
            rate_max: setting.rate_max,
            ..Bridge::default()
        };
        let plan = Arc::new(Plan::of(&bridge).expect("a bridge that can be"));
        let far = Terms {
            session_present: true,
            receive_maximum: setting.receive_maximum,
            packet_size_max: setting.packet_size_max,
            qos_max: setting.qos_max,
            retain: setting.retain,
            keep_alive_secs: 60,
        };
        let near = Terms {
            receive_maximum: NEAR_RECEIVE_MAXIMUM,
            packet_size_max: u32::MAX,
            qos_max: QoS::ExactlyOnce,
            retain: true,
            ..far
        };
        let near = Line::new(Version::V5, near, Vec::new());
        let far = Line::new(setting.version, far, Vec::new());
        let now = Instant::now();
        let mut relay = Relay::new(plan, (Stamp::new(), Arc::default()), (near, far), now);
        let ids = unreleased.iter().filter_map(|id| PacketId::new(*id));
        let held = Holdings { unreleased: ids.collect(), ..Holdings::default() };
        relay.begin(&held, true);
        Joined { relay, now }
    }

    /// A side says something.
    ///
    /// # Errors
    /// The relay ends: why.
    pub fn hear(&mut self, near: bool, bytes: &[u8]) -> Result<(), String> {
        self.relay.came(side(near), bytes, self.now);
        self.relay.work(self.now).map_err(why)
    }

    /// So many of the bytes that wait for a side leave.
    pub fn take(&mut self, near: bool, len: usize) -> Vec<u8> {
        let waiting = self.relay.line(side(near)).unwritten();
        let taken = waiting[..len.min(waiting.len())].to_vec();
        self.relay.written(side(near), taken.len(), self.now);
        taken
    }

    /// Time passes.
    ///
    /// # Errors
    /// The relay ends: why.
    pub fn pass(&mut self, millis: u64) -> Result<(), String> {
        self.now += Duration::from_millis(millis);
        let ticked = self.relay.tick(self.now);
        ticked.and_then(|()| self.relay.work(self.now)).map_err(why)
    }

    /// What is under way: messages that a side was given and has not settled, bytes of its own that
    /// wait, and what is known of single messages from there.
    pub fn under_way(&mut self, near: bool) -> (u16, usize, usize) {
        let side = side(near);
        let odd = &self.relay.odd[side.way() as usize];
        let known = odd.lowered.len() + odd.kept_back.len() + self.relay.swept[side as usize].len();
        let line = self.relay.line(side);
        (line.open, line.parked(), known)
    }
}

fn side(near: bool) -> Side {
    if near { Side::Near } else { Side::Far }
}

fn why(end: End) -> String {
    format!("{end:?}")
}
