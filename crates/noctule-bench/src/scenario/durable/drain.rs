//! A client that comes back to a long queue after the broker was killed: how fast it is read from
//! the disk, whether all of it is there, and whether others are held up meanwhile.

use super::super::{Deaf, Step, disconnect, turn_until};
use super::apart::Apart;
use super::bystander::Bystander;
use super::program::{Broker, Ending, Kind};
use super::pump::{PUBLISHERS, Pump};
use super::{Stage, away};
use crate::error::Error;
use crate::observer::Observer;
use crate::report::{Better, Run};
use std::sync::Arc;

/// Runs the part.
pub(super) fn run(stage: &Stage<'_>, observer: &mut Observer, run: &mut Run) -> Result<(), Error> {
    let durable = stage.durable;
    let patience = stage.plan.patience;
    let mut broker = Broker::start(Kind::Noctule(durable), durable, ("drain", patience))?;
    let plan = stage.plan_for(broker.port);
    let (id, message) = (super::super::fresh_run(), &durable.message);
    let topic: Arc<str> = format!("bench/{:08x}/drain", id.0).into();
    away::sessions(&plan, (id, message), 1, &|_| Arc::clone(&topic))?;
    let mut fleet = super::super::fleet(&plan, PUBLISHERS as usize)?;
    let mut pump = Pump::connect((id, message), vec![topic], &mut fleet, &plan)?;
    pump.ledger.subscriber(0..PUBLISHERS);
    pump.publish(durable.messages.into(), (&mut fleet, &plan), observer)?;
    Pump::check(&fleet)?;
    drop(fleet);
    let apart = Apart::new();
    apart.broker(|| broker.restart(Ending::Kill, patience))?;
    apart.clients();

    let bystander = Bystander::start(plan.clone())?;
    let mut fleet = super::super::fleet(&plan, 1)?;
    // Alone, for comparison.
    super::super::settle(&mut fleet, &plan, &mut Deaf)?;
    bystander.p99()?;
    super::super::settle(&mut fleet, &plan, &mut Deaf)?;
    let before = bystander.p99()?;
    let mut watch = broker.observer()?;
    let clocks = watch.clocks(fleet.look_at_clock())?;
    fleet.add(away::client(&plan, message, id, 0))?;
    let drained = turn_until(&mut fleet, plan.patience, &mut pump, |fleet, pump| {
        let received = pump.ledger.received();
        observer.show(fleet.now(), received, "messages drained");
        Ok(if pump.ledger.outstanding() == 0 { Step::Done } else { Step::At(received) })
    })?;
    let during = bystander.p99()?;
    let end = if drained { fleet.now() } else { pump.arrived };
    let cost = watch.since(clocks, end)?;
    bystander.end()?;
    disconnect(&mut fleet, &mut pump);
    let counts = pump.ledger.counts();
    run.rate("drained_per_second", counts.received, cost.time);
    cost.report(run, "drain_", "message", counts.received);
    run.time("drain_bystander_p99_alone", before, Better::Neither);
    run.time("drain_bystander_p99", during, Better::Lower);
    run.time("drain_bystander_p99_growth", during.saturating_sub(before), Better::Lower);
    run.count("drain_lost", counts.lost, Better::Lower);
    run.count("drain_duplicated", counts.duplicated, Better::Lower);
    run.count("drain_reordered", counts.reordered, Better::Lower);
    Ok(())
}
