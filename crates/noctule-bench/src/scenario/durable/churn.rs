//! A queue that is filled at one end and emptied at the other, at the same length all along: what
//! is written for a message that comes and goes, and how much room is taken meanwhile.

use super::super::{Step, connect, wait};
use super::program::{Broker, Kind};
use super::pump::{PUBLISHERS, Pump};
use super::{Stage, away, disk};
use crate::error::Error;
use crate::fleet::Fleet;
use crate::observer::Observer;
use crate::plan::Plan;
use crate::report::{Better, Run, Unit};
use std::sync::Arc;
use std::time::Duration;

/// Of the messages that come and go, one in so many is there from the beginning.
const BACKLOG: u32 = 10;

/// How often is looked how much room is taken.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Runs the part.
pub(super) fn run(stage: &Stage<'_>, observer: &mut Observer, run: &mut Run) -> Result<(), Error> {
    let durable = stage.durable;
    let broker = Broker::start(Kind::Noctule(durable), durable, ("churn", stage.plan.patience))?;
    let plan = stage.plan_for(broker.port);
    let (id, message) = (super::super::fresh_run(), &durable.message);
    let topic: Arc<str> = format!("bench/{:08x}/churn", id.0).into();
    away::sessions(&plan, (id, message), 1, &|_| Arc::clone(&topic))?;
    let mut fleet = super::super::fleet(&plan, PUBLISHERS as usize + 1)?;
    let content = stage.content(&topic) as f64;
    let mut pump = Pump::connect((id, message), vec![topic], &mut fleet, &plan)?;
    pump.ledger.subscriber(0..PUBLISHERS);
    let backlog = u64::from((durable.messages / BACKLOG).max(1));
    pump.publish(backlog, (&mut fleet, &plan), observer)?;
    let back = away::client(&plan, message, id, 0);
    // What is written first goes to files that are new: it takes a while until that counts little.
    let all = 4 * u64::from(durable.messages);
    let mut watch = broker.observer()?;
    let (written, clocks) = (broker.written(), watch.clocks(fleet.look_at_clock())?);
    connect(&mut fleet, [back].into_iter(), &plan, &mut pump)?;
    let disk_max = exchange((&mut fleet, &plan), &mut pump, (backlog, all), &broker)?;
    let cost = watch.since(clocks, fleet.look_at_clock())?;
    run.rate("churn_per_second", all, cost.time);
    cost.report(run, "churn_", "message", all);
    if let (Some(before), Some(after)) = (written, broker.written()) {
        let each = (after - before) as f64 / all as f64;
        run.add("churn_written_per_message", each, Unit::Bytes, Better::Lower);
        run.add("churn_written_by_content", each / content, Unit::Ratio, Better::Lower);
    }
    run.bytes("churn_disk_max", disk_max);
    let by_live = disk_max as f64 / (backlog as f64 * content);
    run.add("churn_disk_by_live", by_live, Unit::Ratio, Better::Lower);
    empty((&mut fleet, &plan), &mut pump)?;
    run.count("churn_lost", pump.ledger.counts().lost, Better::Lower);
    Ok(())
}

/// Publishes as many messages as are taken, until so many have been; answers the most room that
/// was taken.
fn exchange(
    (fleet, plan): (&mut Fleet, &Plan),
    pump: &mut Pump,
    (backlog, all): (u64, u64),
    broker: &Broker,
) -> Result<u64, Error> {
    let data = broker.data();
    let (mut disk_max, mut look) = (0, Duration::ZERO);
    wait(fleet, plan, pump, |fleet, pump| {
        let received = pump.ledger.received();
        pump.limit = (backlog + received).min(backlog + all);
        pump.fill(fleet)?;
        if fleet.now() >= look {
            look = fleet.now() + LOOK_AGAIN;
            disk_max = disk_max.max(disk::size(&data));
        }
        Ok(if received >= all { Step::Done } else { Step::At(received) })
    })?;
    Ok(disk_max)
}

/// Takes what is left.
fn empty((fleet, plan): (&mut Fleet, &Plan), pump: &mut Pump) -> Result<(), Error> {
    super::super::turn_until(fleet, plan.quiet, pump, |_, pump| {
        let left = pump.ledger.outstanding();
        Ok(if left == 0 { Step::Done } else { Step::At(left) })
    })
    .map(drop)
}
