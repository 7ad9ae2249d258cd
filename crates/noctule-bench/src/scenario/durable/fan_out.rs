//! Publishing to a thousand sessions that are away and share a filter: what one more receiver
//! costs.

use super::program::{Broker, Kind};
use super::pump::{PUBLISHERS, Pump};
use super::{Stage, away};
use crate::error::Error;
use crate::observer::Observer;
use crate::report::{Better, Run, Unit};
use std::sync::Arc;

/// Sessions that every message is for.
const SESSIONS: usize = 1000;

/// Messages that go before: the first ones find nothing prepared.
const WARMUP: u64 = 100;

/// Runs the part.
pub(super) fn run(stage: &Stage<'_>, observer: &mut Observer, run: &mut Run) -> Result<(), Error> {
    let durable = stage.durable;
    let broker = Broker::start(Kind::Noctule(durable), durable, ("fan-out", stage.plan.patience))?;
    let plan = stage.plan_for(broker.port);
    let (id, message) = (super::super::fresh_run(), &durable.message);
    let topic: Arc<str> = format!("bench/{:08x}/all", id.0).into();
    away::sessions(&plan, (id, message), SESSIONS, &|_| Arc::clone(&topic))?;
    let mut fleet = super::super::fleet(&plan, PUBLISHERS as usize)?;
    let content = stage.content(&topic) as u64;
    let mut pump = Pump::connect((id, message), vec![topic], &mut fleet, &plan)?;
    let mut watch = broker.observer()?;
    pump.publish(WARMUP, (&mut fleet, &plan), observer)?;
    let messages = (u64::from(durable.messages) * 2).div_ceil(SESSIONS as u64);
    let before = broker.footprint()?;
    let cost = pump.publish(messages, (&mut fleet, &plan), &mut watch)?;
    Pump::check(&fleet)?;
    let references = messages * SESSIONS as u64;
    run.rate("fan_out_references_per_second", references, cost.time);
    cost.report(run, "fan_out_", "reference", references);
    let grown = broker.footprint()?.used.saturating_sub(before.used);
    let each = grown.saturating_sub(messages * content) as f64 / references as f64;
    run.add("fan_out_disk_per_reference", each, Unit::Bytes, Better::Lower);
    Ok(())
}
