//! What a seed decides before its first step: how many clients, which limits, how bad the world.

use super::chance::Chance;
use noctule_core::Limits;
use noctule_core::limits::{ClientLimits, Durability, Overflow, QueueLimits, QueueRule};

/// The shape of one run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) clients: usize,
    pub(crate) steps: u32,
    pub(crate) limits: Limits,
    /// A witness sees every message, not only Wills: then nobody is ever held for being the sole
    /// receiver, so it is not there in every run.
    pub(crate) all_seeing: bool,
    /// How many in a hundred steps are faults.
    pub(crate) faults: u32,
    /// How many in a hundred steps are publishes.
    pub(crate) publishes: u32,
    /// Messages in the channel between two shards that make it full.
    pub(crate) channel_max: usize,
    /// The node dies now and then.
    pub(crate) dies: bool,
    /// Most messages one action publishes.
    pub(crate) burst: usize,
}

impl Plan {
    pub(crate) fn new(chance: &mut Chance) -> Plan {
        let tight = chance.percent(45);
        let dies = chance.percent(35);
        let mut limits = limits(chance, tight);
        if dies {
            limits.durability =
                chance.pick(&[Durability::Fsync, Durability::Fsync, Durability::Os]);
            if chance.percent(50) {
                limits.durability_of_topics = of_topics();
            }
            // Many Wills at once must not be too many for the witness.
            let others = limits.queue_rules.iter_mut().map(|rule| &mut rule.queue);
            for queue in others.chain([&mut limits.queue]) {
                queue.messages_max = queue.messages_max.max(20);
            }
        }
        if chance.percent(25) {
            // Publishers are not read now and then; nothing may be lost or out of order by that.
            limits.client = ClientLimits {
                publishes_per_sec: chance.pick(&[50, 200]),
                publishes_burst: chance.pick(&[1, 3]),
                publish_bytes_per_sec: 20_000,
                ..ClientLimits::default()
            };
        }
        Plan {
            clients: chance.between(10, 15) as usize,
            steps: chance.between(500, 540) as u32,
            limits,
            all_seeing: chance.percent(50) && !dies,
            dies,
            faults: chance.pick(&[4, 10, 16]),
            publishes: chance.pick(&[25, 40, 55]),
            channel_max: chance.pick(&[4, 12, 60]),
            burst: if tight { 8 } else { 4 },
        }
    }
}

/// Topics of which less is promised: ordinary ones, retained ones and those of share groups.
fn of_topics() -> Vec<(Box<str>, Durability)> {
    let os = ["t/0", "r/1", "s/0"].map(|topic| (topic.into(), Durability::Os));
    let memory = ["t/2", "r/0/x", "s/1"].map(|topic| (topic.into(), Durability::Memory));
    os.into_iter().chain(memory).collect()
}

fn limits(chance: &mut Chance, tight: bool) -> Limits {
    let durability = if chance.percent(30) { Durability::Fsync } else { Durability::Memory };
    let wide = Limits {
        durability,
        turn_budget: chance.pick(&[4096, 4096, 64, 8]),
        keep_alive_secs_max: chance.pick(&[0, 0, 120]),
        session_expiry_secs_max: chance.pick(&[u32::MAX, 50]),
        session_expiry_secs_v3: chance.pick(&[u32::MAX, u32::MAX, 45]),
        stall_millis: chance.pick(&[1000, 100]),
        queue: QueueLimits { qos0: chance.percent(20), ..QueueLimits::default() },
        receive_maximum: chance.pick(&[1024, 6, 3]),
        topic_alias_max: chance.pick(&[64, 3, 0]),
        topic_alias_out_max: chance.pick(&[64, 3, 2]),
        ..Limits::default()
    };
    if !tight {
        return wide;
    }
    let overflow = [Overflow::DropNewest, Overflow::DropNewest, Overflow::DropOldest];
    let queue = QueueLimits {
        messages_max: chance.pick(&[20, 8, 40]),
        overflow: chance.pick(&overflow),
        ..wide.queue
    };
    let others = QueueLimits {
        messages_max: chance.pick(&[4, 12, 60]),
        overflow: chance.pick(&overflow),
        qos0: chance.percent(20),
        ..wide.queue
    };
    let rule = QueueRule { clients: chance.pick(&["c*1", "c?", "c*"]).into(), queue: others };
    Limits {
        queue,
        queue_rules: vec![rule],
        inflight_max: chance.pick(&[5, 2, 10]),
        share_queue_max: chance.pick(&[10, 4, 100]),
        backlog_high: chance.pick(&[300, 1000, 4000]),
        subscriptions_max: chance.pick(&[4, 8, 1000]),
        ..wide
    }
}
