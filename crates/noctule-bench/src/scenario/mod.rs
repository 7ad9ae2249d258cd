//! What can be done to a broker, one file each, and what all of them need.

mod connect;
mod durable;
mod offline;
mod retained;
mod subscriptions;
mod traffic;

use crate::error::Error;
use crate::fleet::{Fleet, Listener};
use crate::observer::Observer;
use crate::payload::RunId;
use crate::plan::{Plan, Scenario};
use crate::report::Run;
use noctule_client::{Delivery, Event, Goodbye, Options, Unsubscribe};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// How often is looked for what has not happened.
const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// Runs the scenario once.
pub(crate) fn run(plan: &Plan, observer: &mut Observer) -> Result<Run, Error> {
    match &plan.scenario {
        Scenario::Traffic(traffic) => traffic::run(plan, traffic, observer),
        Scenario::Connect(connect) => connect::run(plan, connect, observer),
        Scenario::Retained(retained) => retained::run(plan, retained, observer),
        Scenario::Offline(offline) => offline::run(plan, offline, observer),
        Scenario::Subscriptions(subscriptions) => subscriptions::run(plan, subscriptions, observer),
        Scenario::Durable(durable) => durable::run(plan, durable, observer),
    }
}

/// A number for a run that no other run is likely to have.
pub(crate) fn fresh_run() -> RunId {
    // The standard library keys its hash maps at random.
    RunId(RandomState::new().build_hasher().finish() as u32)
}

/// A client identifier of this run: 21 characters, so every server takes it.
pub(crate) fn client_id(run: RunId, number: usize) -> String {
    format!("bench-{:08x}-{number:06}", run.0)
}

/// A fleet for the plan's broker.
pub(crate) fn fleet(plan: &Plan, connections: usize) -> Result<Fleet, Error> {
    Fleet::new(&plan.target, connections)
}

/// Where a wait stands.
pub(crate) enum Step {
    /// What was waited for is there.
    Done,
    /// Not yet. The number changes whenever something moves.
    At(u64),
}

/// Turns until it is done, or until nothing has moved for `limit`; answers whether it is done. A
/// connection that ends meanwhile is an error.
pub(crate) fn turn_until<L: Listener>(
    fleet: &mut Fleet,
    limit: Duration,
    listener: &mut L,
    mut step: impl FnMut(&mut Fleet, &mut L) -> Result<Step, Error>,
) -> Result<bool, Error> {
    let mut patience = Patience::new(limit, fleet.look_at_clock());
    loop {
        match step(fleet, listener)? {
            Step::Done => return Ok(true),
            Step::At(seen) => patience.look(fleet.now(), seen),
        }
        if patience.is_over(fleet.now()) {
            return Ok(false);
        }
        fleet.roll().check()?;
        let until = fleet.now() + HOUSEKEEPING;
        fleet.turn(until, listener)?;
    }
}

/// Turns until it is done; long silence is an error.
pub(crate) fn wait<L: Listener>(
    fleet: &mut Fleet,
    plan: &Plan,
    listener: &mut L,
    step: impl FnMut(&mut Fleet, &mut L) -> Result<Step, Error>,
) -> Result<(), Error> {
    if turn_until(fleet, plan.patience, listener, step)? {
        return Ok(());
    }
    Err(Error::Silent(plan.patience))
}

/// Lets a while pass, so that what a broker needs only for a moment is not taken for what it
/// keeps.
pub(crate) fn settle<L: Listener>(
    fleet: &mut Fleet,
    plan: &Plan,
    listener: &mut L,
) -> Result<(), Error> {
    turn_until(fleet, plan.warmup, listener, |_, _| Ok(Step::At(0))).map(|_| ())
}

/// Connects clients with these options, so many at a time, and waits until all are online.
pub(crate) fn connect<L: Listener>(
    fleet: &mut Fleet,
    mut options: impl ExactSizeIterator<Item = Options>,
    plan: &Plan,
    listener: &mut L,
) -> Result<(), Error> {
    let mut begun = fleet.roll().online;
    let goal = begun + options.len();
    wait(fleet, plan, listener, |fleet, _| {
        let online = fleet.roll().online;
        while begun - online < plan.concurrent as usize {
            let Some(next) = options.next() else { break };
            fleet.add(next)?;
            begun += 1;
        }
        Ok(if online == goal { Step::Done } else { Step::At(online as u64) })
    })
}

/// Waits until so many SUBSCRIBEs are answered; a refusal is an error.
pub(crate) fn answered<L: Listener>(
    fleet: &mut Fleet,
    goal: usize,
    plan: &Plan,
    listener: &mut L,
) -> Result<(), Error> {
    wait(fleet, plan, listener, |fleet, _| {
        let answers = fleet.roll().answers;
        Ok(if answers >= goal { Step::Done } else { Step::At(answers as u64) })
    })?;
    match &fleet.roll().refusal {
        None => Ok(()),
        Some(why) => Err(Error::Broker(format!("the broker refused a subscription: {why}"))),
    }
}

/// Lets subscribers give up their subscriptions, and waits for the answers, but not for long. A
/// broker writes them behind all that was on its way, so a last duplicate is not missed.
pub(crate) fn unsubscribe<L: Listener>(
    fleet: &mut Fleet,
    filters: impl Iterator<Item = (usize, Vec<String>)>,
    plan: &Plan,
    listener: &mut L,
) -> Result<(), Error> {
    let mut goal = fleet.roll().answers;
    for (client, filters) in filters {
        let mut packet = Unsubscribe::default();
        packet.filters = filters;
        fleet.unsubscribe(client, &packet)?;
        goal += 1;
    }
    turn_until(fleet, plan.quiet, listener, |fleet, _| {
        let answers = fleet.roll().answers;
        Ok(if answers >= goal { Step::Done } else { Step::At(answers as u64) })
    })?;
    Ok(())
}

/// Says good-bye for all clients.
pub(crate) fn disconnect<L: Listener>(fleet: &mut Fleet, listener: &mut L) {
    for client in 0..fleet.len() {
        fleet.disconnect(client, &Goodbye::default());
    }
    fleet.flush(listener);
}

/// Knows how long nothing has moved.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    since: Duration,
    seen: u64,
}

impl Patience {
    pub(crate) fn new(limit: Duration, now: Duration) -> Patience {
        Patience { limit, since: now, seen: 0 }
    }

    /// `seen` is a number that changes when something moves.
    pub(crate) fn look(&mut self, now: Duration, seen: u64) {
        if seen != self.seen {
            (self.seen, self.since) = (seen, now);
        }
    }

    /// Whether nothing has moved for too long.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        self.is_quiet(now, self.limit)
    }

    /// Whether nothing has moved for this long.
    pub(crate) fn is_quiet(&self, now: Duration, quiet: Duration) -> bool {
        now >= self.since + quiet
    }
}

/// Hears nothing that the fleet's roll does not count.
#[derive(Debug)]
pub(crate) struct Deaf;

impl Listener for Deaf {
    fn message(&mut self, _: usize, _: &Delivery<'_>, _: Duration) {}
    fn event(&mut self, _: usize, _: &Event, _: Duration) {}
}
