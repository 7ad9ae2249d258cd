//! Publishing to one session that is away, beside a bare loop of append and sync in the same
//! directory, and beside another broker: a slice of each in turn, so that all of them meet the
//! same disk.

use super::bare::Bare;
use super::program::{Broker, Home, Kind};
use super::pump::{OUTSTANDING, Pump};
use super::{Stage, away};
use crate::error::Error;
use crate::fleet::Fleet;
use crate::observer::{Cost, Observer};
use crate::payload::RunId;
use crate::plan::Plan;
use crate::report::{Better, Run, Unit};
use std::sync::Arc;
use std::time::Duration;

/// One turn of each.
const SLICE: Duration = Duration::from_millis(500);

/// One broker and its clients.
struct Lane {
    /// What the names of its numbers begin with.
    name: &'static str,
    broker: Broker,
    plan: Plan,
    fleet: Fleet,
    pump: Pump,
    observer: Observer,
    messages: u64,
    cost: Cost,
    written: Option<u64>,
}

/// Runs the part.
pub(super) fn run(stage: &Stage<'_>, observer: &mut Observer, run: &mut Run) -> Result<(), Error> {
    let durable = stage.durable;
    let mut lanes = vec![Lane::open(stage, "publish", Kind::Noctule(durable))?];
    if let Some(mosquitto) = &durable.mosquitto {
        lanes.push(Lane::open(stage, "mosquitto_publish", Kind::Mosquitto(mosquitto))?);
    }
    let home = Home::new(&durable.directory, "bare")?;
    let content = stage.content(&topic(RunId(0)));
    let mut bare = Bare::new(home.path(), OUTSTANDING * content)?;
    for lane in &mut lanes {
        // What is not there yet on the first messages is no part of what a message costs.
        lane.publish(stage.plan.warmup, observer)?;
        lane.begin();
    }
    let mut left = durable.time;
    while !left.is_zero() {
        let slice = left.min(SLICE);
        bare.run(slice)?;
        for lane in &mut lanes {
            lane.publish(slice, observer)?;
        }
        left -= slice;
    }
    run.add("bare_syncs_per_second", bare.rate(), Unit::PerSecond, Better::Neither);
    for lane in &lanes {
        lane.report(bare.rate(), run)?;
    }
    if let [ours, theirs] = &lanes[..]
        && let (Some(ours), Some(theirs)) = (ours.per_cpu_second(), theirs.per_cpu_second())
    {
        let name = "publish_per_cpu_second_by_mosquitto";
        run.add(name, ours / theirs, Unit::Ratio, Better::Higher);
    }
    Ok(())
}

fn topic(id: RunId) -> Arc<str> {
    format!("bench/{:08x}/q", id.0).into()
}

impl Lane {
    fn open(stage: &Stage<'_>, name: &'static str, kind: Kind<'_>) -> Result<Lane, Error> {
        let broker = Broker::start(kind, stage.durable, (name, stage.plan.patience))?;
        let plan = stage.plan_for(broker.port);
        let (id, message) = (super::super::fresh_run(), &stage.durable.message);
        away::sessions(&plan, (id, message), 1, &|_| topic(id))?;
        let mut fleet = super::super::fleet(&plan, super::pump::PUBLISHERS as usize)?;
        let pump = Pump::connect((id, message), vec![topic(id)], &mut fleet, &plan)?;
        let observer = broker.observer()?;
        let cost = Cost::default();
        Ok(Lane { name, broker, plan, fleet, pump, observer, messages: 0, cost, written: None })
    }

    /// Publishes for a while.
    fn publish(&mut self, time: Duration, observer: &mut Observer) -> Result<(), Error> {
        // The bench's own observer has the progress line; this one knows the broker.
        let progress = &mut observer.progress;
        std::mem::swap(progress, &mut self.observer.progress);
        let done = self.pump.publish_for(time, (&mut self.fleet, &self.plan), &mut self.observer);
        std::mem::swap(&mut observer.progress, &mut self.observer.progress);
        let (messages, cost) = done?;
        self.messages += messages;
        self.cost = self.cost.plus(cost);
        Pump::check(&self.fleet)
    }

    /// From here on it counts.
    fn begin(&mut self) {
        (self.messages, self.cost) = (0, Cost::default());
        self.written = self.broker.written();
    }

    /// Messages that were acknowledged, for each second of the broker's CPU time.
    fn per_cpu_second(&self) -> Option<f64> {
        let cpu = self.cost.broker_cpu()?.as_secs_f64();
        Some(self.messages as f64 / cpu.max(f64::EPSILON))
    }

    fn report(&self, bare: f64, run: &mut Run) -> Result<(), Error> {
        let name = self.name;
        run.rate(&format!("{name}_acknowledged_per_second"), self.messages, self.cost.time);
        let rate = self.messages as f64 / self.cost.time.as_secs_f64().max(f64::EPSILON);
        let share = rate / (OUTSTANDING as f64 * bare).max(f64::EPSILON);
        run.add(format!("{name}_share_of_bare"), share, Unit::Ratio, Better::Higher);
        self.cost.report(run, &format!("{name}_"), "message", self.messages);
        if let (Some(before), Some(after)) = (self.written, self.broker.written()) {
            let each = (after - before) as f64 / self.messages.max(1) as f64;
            run.add(format!("{name}_written_per_message"), each, Unit::Bytes, Better::Lower);
        }
        Ok(())
    }
}
