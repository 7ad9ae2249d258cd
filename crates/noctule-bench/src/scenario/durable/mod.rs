//! Brokers that keep what they acknowledge: what that costs, and whether it is kept.
//!
//! Each part starts a broker of its own on a directory of its own, because a store that another
//! part has filled has other costs, and because some parts kill the broker.
//!
//! * `program`    starts brokers, ends them, starts them again
//! * `pump`       publishers with a window of unacknowledged messages each
//! * `away`       sessions whose clients are away
//! * `disk`       what a process wrote, and what a directory holds
//! * `bare`       a loop of append and sync: what the disk can do at best
//! * `apart`      keeps clients off the broker's processors
//! * `bystander`  a pair of clients beside, whose latency shows whether others are held up
//! * `committer`  a client beside that waits for each acknowledgement: what a commit takes
//! * `publish`, `fan_out`, `churn`, `start`, `drain`, `endure`: the parts

mod apart;
mod away;
mod bare;
mod bystander;
mod churn;
mod committer;
mod disk;
mod drain;
mod endure;
mod fan_out;
mod program;
mod publish;
mod pump;
mod start;

use crate::error::Error;
use crate::observer::Observer;
use crate::plan::{Durable, DurablePart, Plan};
use crate::report::{Better, Run};

/// What is to be reached: the number, and its bound. The better side of it is within.
const TARGETS: [(&str, f64); 19] = [
    ("publish_share_of_bare", 0.4),
    ("publish_broker_cpu_per_message", 1200.0),
    ("publish_per_cpu_second_by_mosquitto", 10.0),
    ("fan_out_broker_cpu_per_reference", 60.0),
    ("fan_out_disk_per_reference", 4.0),
    ("churn_written_by_content", 1.7),
    ("start_empty", 30e6),
    ("start_after_kill", 1e9),
    ("start_memory_per_session", 360.0),
    ("start_memory_per_queued_message", 48.0),
    ("start_lost", 0.0),
    ("drained_per_second", 800_000.0),
    ("drain_broker_cpu_per_message", 800.0),
    ("drain_bystander_p99_growth", 2e6),
    ("drain_lost", 0.0),
    ("churn_lost", 0.0),
    ("endure_commit_worst_by_median", 10.0),
    ("endure_disk_by_bound", 1.0),
    ("endure_memory_per_kept_message", 48.0),
];

/// Runs it once.
pub(super) fn run(plan: &Plan, durable: &Durable, observer: &mut Observer) -> Result<Run, Error> {
    let mut run = Run::default();
    for part in DurablePart::ALL.into_iter().filter(|part| durable.parts.contains(part)) {
        let stage = Stage { plan, durable };
        match part {
            DurablePart::Publish => publish::run(&stage, observer, &mut run),
            DurablePart::FanOut => fan_out::run(&stage, observer, &mut run),
            DurablePart::Churn => churn::run(&stage, observer, &mut run),
            DurablePart::Start => start::run(&stage, observer, &mut run),
            DurablePart::Drain => drain::run(&stage, observer, &mut run),
            DurablePart::Endure => endure::run(&stage, observer, &mut run),
        }?;
    }
    compare_with_targets(&mut run);
    Ok(run)
}

/// What every part is given.
struct Stage<'a> {
    plan: &'a Plan,
    durable: &'a Durable,
}

impl Stage<'_> {
    /// The plan for a broker that was started at this port.
    fn plan_for(&self, port: u16) -> Plan {
        let mut plan = self.plan.clone();
        plan.target.host = "127.0.0.1".into();
        plan.target.port = port;
        plan
    }

    /// Bytes of a message that a client could not do without: its topic and payload.
    fn content(&self, topic: &str) -> usize {
        topic.len() + self.durable.message.size
    }
}

/// Says which targets this run has missed.
fn compare_with_targets(run: &mut Run) {
    let mut missed = Vec::new();
    for (name, bound) in TARGETS {
        let Some(metric) = run.metrics.iter().find(|metric| metric.name == name) else { continue };
        let (well, word) = match metric.better {
            Better::Lower | Better::Neither => (metric.value <= bound, "at most"),
            Better::Higher => (metric.value >= bound, "at least"),
        };
        if !well {
            let name = name.replace('_', " ");
            missed
                .push(format!("target missed: {name} is to be {word} {}", metric.unit.show(bound)));
        }
    }
    missed.into_iter().for_each(|words| run.warn(words));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    #[test]
    fn a_target_is_missed_on_its_worse_side_only() {
        let mut run = Run::default();
        run.add("publish_share_of_bare", 0.5, Unit::Ratio, Better::Higher);
        run.add("fan_out_disk_per_reference", 4.1, Unit::Bytes, Better::Lower);
        run.add("start_after_kill", 0.9e9, Unit::Nanoseconds, Better::Lower);
        run.add("drained_per_second", 799_999.0, Unit::PerSecond, Better::Higher);
        compare_with_targets(&mut run);
        assert_eq!(
            run.warnings,
            [
                "target missed: fan out disk per reference is to be at most 4 B",
                "target missed: drained per second is to be at least 800,000/s",
            ]
        );
    }
}
