//! A start with many messages and sessions, after the broker was killed and after it was asked to
//! end; what they take of memory; and whether they are all there.

use super::super::{Deaf, Step, connect, disconnect, settle, turn_until};
use super::program::{Broker, Ending, Kind};
use super::pump::{PUBLISHERS, Pump};
use super::{Stage, away};
use crate::error::Error;
use crate::fleet::Listener;
use crate::observer::Observer;
use crate::payload::{Header, RunId};
use crate::plan::Plan;
use crate::report::{Better, Run, Unit};
use noctule_client::{Delivery, Event};
use std::sync::Arc;
use std::time::Duration;

/// Sessions that are looked into after all.
const LOOKED_INTO: usize = 100;

/// Runs the part.
pub(super) fn run(stage: &Stage<'_>, observer: &mut Observer, run: &mut Run) -> Result<(), Error> {
    let durable = stage.durable;
    let patience = stage.plan.patience;
    let mut broker = Broker::start(Kind::Noctule(durable), durable, ("start", patience))?;
    run.time("start_empty", broker.took, Better::Lower);
    let plan = stage.plan_for(broker.port);
    let (id, message) = (super::super::fresh_run(), &durable.message);
    let sessions = durable.sessions as usize;
    let topic = |number: usize| -> Arc<str> { format!("bench/{:08x}/{number:06}", id.0).into() };
    let mut watch = broker.observer()?;
    let empty = watch.memory(run)?;
    away::sessions(&plan, (id, message), sessions, &topic)?;
    let mut fleet = super::super::fleet(&plan, PUBLISHERS as usize)?;
    settle(&mut fleet, &plan, &mut Deaf)?;
    let subscribed = watch.memory(run)?;
    let topics = (0..sessions).map(topic).collect();
    let mut pump = Pump::connect((id, message), topics, &mut fleet, &plan)?;
    let count = u64::from(durable.messages);
    pump.publish(count, (&mut fleet, &plan), observer)?;
    Pump::check(&fleet)?;
    settle(&mut fleet, &plan, &mut Deaf)?;
    let queued = watch.memory(run)?;
    disconnect(&mut fleet, &mut Deaf);
    drop(fleet);
    if let (Some(empty), Some(subscribed), Some(queued)) = (empty, subscribed, queued) {
        memory_each(run, "session", (empty, subscribed), sessions as u64);
        memory_each(run, "queued_message", (subscribed, queued), count);
    }
    start_again(&mut broker, (Ending::Kill, "after_kill"), patience, run)?;
    let mut watch = broker.observer()?;
    if let (Some(empty), Some(now)) = (empty, watch.memory(run)?) {
        run.bytes("start_memory_after_kill", now.saturating_sub(empty));
    }
    start_again(&mut broker, (Ending::Stop, "after_stop"), patience, run)?;
    run.bytes("start_disk", broker.footprint()?.used);
    let lost = look_into(&plan, id, (message, sessions), count)?;
    run.count("start_lost", lost, Better::Lower);
    Ok(())
}

/// Ends the broker and starts it again: how long that takes, and its CPU time.
fn start_again(
    broker: &mut Broker,
    (ending, name): (Ending, &str),
    patience: Duration,
    run: &mut Run,
) -> Result<(), Error> {
    broker.restart(ending, patience)?;
    run.time(&format!("start_{name}"), broker.took, Better::Lower);
    let mut watch = broker.observer()?;
    if let Some(cpu) = watch.broker_cpu()? {
        run.add(
            format!("start_{name}_cpu"),
            cpu.as_nanos() as f64,
            Unit::Nanoseconds,
            Better::Lower,
        );
    }
    Ok(())
}

/// What memory grew by, for each of so many things.
fn memory_each(run: &mut Run, thing: &str, (before, after): (u64, u64), count: u64) {
    let each = (after as f64 - before as f64) / count as f64;
    run.add(format!("start_memory_per_{thing}"), each, Unit::Bytes, Better::Lower);
}

/// Counts what is for one of some sessions.
struct Count {
    id: RunId,
    messages: u64,
}

impl Listener for Count {
    fn message(&mut self, _: usize, delivery: &Delivery<'_>, _: Duration) {
        if Header::read(delivery.payload).is_some_and(|header| header.run == self.id) {
            self.messages += 1;
        }
    }

    fn event(&mut self, _: usize, _: &Event, _: Duration) {}
}

/// Lets some of the clients come back; answers how many messages they miss. Duplicates would hide
/// losses, but none of these messages has ever been on its way.
fn look_into(
    plan: &Plan,
    id: RunId,
    (message, sessions): (&crate::plan::MessageShape, usize),
    count: u64,
) -> Result<u64, Error> {
    let all = sessions.min(LOOKED_INTO);
    let chosen: Vec<usize> = (0..all).map(|nth| nth * (sessions / all)).collect();
    // Topics are published to in turn, beginning with the first.
    let due = |number: usize| {
        let (each, rest) = (count / sessions as u64, count % sessions as u64);
        each + u64::from((number as u64) < rest)
    };
    let due: u64 = chosen.iter().map(|number| due(*number)).sum();
    let mut fleet = super::super::fleet(plan, all)?;
    let mut ear = Count { id, messages: 0 };
    let options: Vec<_> =
        chosen.iter().map(|number| away::client(plan, message, id, *number)).collect();
    connect(&mut fleet, options.into_iter(), plan, &mut ear)?;
    turn_until(&mut fleet, plan.quiet, &mut ear, |_, ear| {
        Ok(if ear.messages >= due { Step::Done } else { Step::At(ear.messages) })
    })?;
    disconnect(&mut fleet, &mut ear);
    Ok(due.saturating_sub(ear.messages))
}
