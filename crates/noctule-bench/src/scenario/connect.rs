//! Many connections: how fast they come, what they cost, and what they cost when they are idle.

use super::{HOUSEKEEPING, client_id, disconnect, fleet, fresh_run, settle, traffic};
use crate::error::Error;
use crate::fleet::{Fleet, Listener};
use crate::histogram::Latencies;
use crate::observer::Observer;
use crate::payload::RunId;
use crate::plan::{Connect, FleetKind, Length, Pace, Pattern, Plan, Traffic};
use crate::report::{Better, Run, Unit};
use noctule_client::{Delivery, Event};
use std::time::Duration;

/// Runs it once.
pub(super) fn run(plan: &Plan, connect: &Connect, observer: &mut Observer) -> Result<Run, Error> {
    let hold = match &connect.fleet {
        FleetKind::Storm => None,
        FleetKind::Idle(hold) => Some(*hold),
        FleetKind::Telemetry { interval, message, hold } => {
            let traffic = Traffic {
                pattern: Pattern::Wildcard,
                publishers: connect.connections,
                subscribers: 1,
                message: *message,
                pace: Pace::Rate(f64::from(connect.connections) / interval.as_secs_f64()),
                length: Length::Time(*hold),
                in_flight_max: u32::MAX,
            };
            return traffic::run(plan, &traffic, observer);
        }
    };
    let mut run = Run::default();
    let memory = observer.memory(&mut run)?;
    let mut fleet = fleet(plan, connect.connections as usize)?;
    let mut arrivals = Arrivals::new(fresh_run(), connect.connections as usize);
    let clocks = observer.clocks(fleet.look_at_clock())?;
    arrivals.connect_all(&mut fleet, plan, observer)?;
    let cost = observer.since(clocks, fleet.look_at_clock())?;
    let online = arrivals.online as u64;
    run.rate("connections_per_second", online, cost.time);
    run.percentiles("connect", &arrivals.took.total());
    cost.report(&mut run, "", "connection", online);
    arrivals.report_failures(&fleet, &mut run);
    settle(&mut fleet, plan, &mut arrivals)?;
    if let (Some(before), Some(after)) = (memory, observer.memory(&mut run)?) {
        run.memory_each("connection", before, after, online);
    }
    if let Some(hold) = hold {
        arrivals.stay(hold, &mut fleet, observer, &mut run)?;
    }
    disconnect(&mut fleet, &mut arrivals);
    Ok(run)
}

/// Where a client stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Begun at this time.
    Dialling(Duration),
    Online,
    Ended,
}

/// Hears who has come, and who has gone.
struct Arrivals {
    run: RunId,
    goal: usize,
    states: Vec<State>,
    online: usize,
    /// Never came online.
    failed: u64,
    /// Came online, and ended.
    lost: u64,
    /// From the first packet of TCP to CONNACK.
    took: Latencies,
}

impl Arrivals {
    fn new(run: RunId, goal: usize) -> Arrivals {
        Arrivals {
            run,
            goal,
            states: Vec::with_capacity(goal),
            online: 0,
            failed: 0,
            lost: 0,
            took: Latencies::default(),
        }
    }

    /// Connects all; those that fail are counted.
    fn connect_all(
        &mut self,
        fleet: &mut Fleet,
        plan: &Plan,
        observer: &mut Observer,
    ) -> Result<(), Error> {
        let mut patience = super::Patience::new(plan.patience, fleet.look_at_clock());
        loop {
            let done = self.online + (self.failed + self.lost) as usize;
            if done == self.goal {
                return Ok(());
            }
            while self.states.len() < self.goal
                && self.states.len() - done < plan.concurrent as usize
            {
                self.states.push(State::Dialling(fleet.look_at_clock()));
                let id = client_id(self.run, self.states.len() - 1);
                fleet.add(plan.target.options(id))?;
            }
            let until = fleet.now() + HOUSEKEEPING;
            fleet.turn(until, self)?;
            patience.look(fleet.now(), done as u64);
            if patience.is_over(fleet.now()) {
                return Err(Error::Silent(plan.patience));
            }
            observer.show(fleet.now(), self.online as u64, "connected");
        }
    }

    /// Idles for a while.
    fn stay(
        &mut self,
        hold: Duration,
        fleet: &mut Fleet,
        observer: &mut Observer,
        run: &mut Run,
    ) -> Result<(), Error> {
        let online = self.online as u64;
        let start = fleet.look_at_clock();
        let clocks = observer.clocks(start)?;
        while fleet.now() < start + hold {
            let until = (fleet.now() + HOUSEKEEPING).min(start + hold);
            fleet.turn(until, self)?;
            observer.show(fleet.now(), self.online as u64, "connected");
        }
        let cost = observer.since(clocks, fleet.look_at_clock())?;
        let seconds = (online as f64 * cost.time.as_secs_f64()).round() as u64;
        cost.report(run, "idle_", "connection_second", seconds);
        run.count("lost_while_idle", self.lost, Better::Lower);
        if let Some(memory) = observer.memory(run)? {
            run.bytes("broker_memory", memory);
        }
        Ok(())
    }

    fn report_failures(&self, fleet: &Fleet, run: &mut Run) {
        run.add("connected", self.online as f64, Unit::Count, Better::Neither);
        run.count("failed", self.failed + self.lost, Better::Lower);
        if let Some(why) = &fleet.roll().reason {
            run.warn(format!("connections failed, the last one because: {why}"));
        }
    }
}

impl Listener for Arrivals {
    fn message(&mut self, _: usize, _: &Delivery<'_>, _: Duration) {}

    fn event(&mut self, client: usize, event: &Event, now: Duration) {
        let state = &mut self.states[client];
        match (event, *state) {
            (Event::Connected(_), State::Dialling(since)) => {
                *state = State::Online;
                self.online += 1;
                self.took.record(now.saturating_sub(since));
            }
            (Event::Ended(_), State::Dialling(_)) => {
                *state = State::Ended;
                self.failed += 1;
            }
            (Event::Ended(_), State::Online) => {
                *state = State::Ended;
                self.online -= 1;
                self.lost += 1;
            }
            // Nothing else changes where it stands.
            _ => {}
        }
    }
}
