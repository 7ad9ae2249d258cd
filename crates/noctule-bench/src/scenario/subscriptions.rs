//! Many subscriptions: taken, then given up and taken again for a while.

use super::{
    Deaf, HOUSEKEEPING, Step, client_id, connect, disconnect, fleet, fresh_run, settle, wait,
};
use crate::error::Error;
use crate::fleet::{Fleet, Listener};
use crate::histogram::Latencies;
use crate::observer::Observer;
use crate::payload::RunId;
use crate::plan::{Plan, Subscriptions};
use crate::report::{Better, Run};
use noctule_client::{Delivery, Event, QoS, Subscribe, SubscribeOptions, Unsubscribe};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// SUBSCRIBEs of one client that wait for their answers.
const OPEN_MAX: usize = 4;

/// Runs it once.
pub(super) fn run(
    plan: &Plan,
    what: &Subscriptions,
    observer: &mut Observer,
) -> Result<Run, Error> {
    let mut run = Run::default();
    let id = fresh_run();
    let mut fleet = fleet(plan, what.clients as usize)?;
    let clients = what.clients as usize;
    let options = (0..clients).map(|one| plan.target.options(client_id(id, one)));
    connect(&mut fleet, options, plan, &mut Deaf)?;
    let asked = vec![VecDeque::new(); clients];
    let mut asker = Asker { id, plan, what, asked, took: Latencies::default() };
    asker.subscribe_all(&mut fleet, observer, &mut run)?;
    asker.churn(&mut fleet, observer, &mut run)?;
    run.count("refused", fleet.roll().refused, Better::Lower);
    if let Some(why) = &fleet.roll().refusal {
        run.warn(format!("the broker refused filters: {why}"));
    }
    disconnect(&mut fleet, &mut asker);
    Ok(run)
}

/// Asks, and hears the answers; a broker gives them in order.
struct Asker<'a> {
    id: RunId,
    plan: &'a Plan,
    what: &'a Subscriptions,
    /// When each request of each client was made that is not answered yet.
    asked: Vec<VecDeque<Duration>>,
    took: Latencies,
}

impl Asker<'_> {
    fn filter(&self, client: usize, number: u32) -> String {
        let root = self.id.0;
        if number % 100 < self.what.wildcard_percent {
            return format!("bench/{root:08x}/{client}/+/{number}/state");
        }
        format!("bench/{root:08x}/{client}/device/{number}/state")
    }

    /// The filters of the packet that begins with this one.
    fn packet(&self, first: u32) -> Range<u32> {
        first..self.what.filters.min(first.saturating_add(self.what.per_packet))
    }

    fn subscribe(
        &mut self,
        client: usize,
        filters: Range<u32>,
        fleet: &mut Fleet,
    ) -> Result<(), Error> {
        let options = SubscribeOptions { qos: QoS::AtLeastOnce, ..Default::default() };
        let packet = filters.fold(Subscribe::default(), |packet, number| {
            packet.and(self.filter(client, number), options)
        });
        self.asked[client].push_back(fleet.look_at_clock());
        fleet.subscribe(client, &packet)
    }

    fn unsubscribe(
        &mut self,
        client: usize,
        filters: Range<u32>,
        fleet: &mut Fleet,
    ) -> Result<(), Error> {
        let mut packet = Unsubscribe::default();
        packet.filters = filters.map(|number| self.filter(client, number)).collect();
        self.asked[client].push_back(fleet.look_at_clock());
        fleet.unsubscribe(client, &packet)
    }

    /// Takes all subscriptions.
    fn subscribe_all(
        &mut self,
        fleet: &mut Fleet,
        observer: &mut Observer,
        run: &mut Run,
    ) -> Result<(), Error> {
        let memory = observer.memory(run)?;
        let clocks = observer.clocks(fleet.look_at_clock())?;
        let goal = u64::from(self.what.filters) * u64::from(self.what.clients);
        let mut next = vec![0; self.what.clients as usize];
        wait(fleet, self.plan, self, |fleet, asker| {
            for (client, next) in next.iter_mut().enumerate() {
                while *next < asker.what.filters && asker.asked[client].len() < OPEN_MAX {
                    let packet = asker.packet(*next);
                    *next = packet.end;
                    asker.subscribe(client, packet, fleet)?;
                }
            }
            let done = fleet.roll().granted + fleet.roll().refused;
            observer.show(fleet.now(), done, "subscriptions");
            Ok(if done >= goal { Step::Done } else { Step::At(done) })
        })?;
        let cost = observer.since(clocks, fleet.look_at_clock())?;
        run.rate("subscriptions_per_second", goal, cost.time);
        run.percentiles("subscribe", &self.took.total());
        cost.report(run, "", "subscription", goal);
        settle(fleet, self.plan, self)?;
        if let (Some(before), Some(after)) = (memory, observer.memory(run)?) {
            run.memory_each("subscription", before, after, goal);
        }
        Ok(())
    }

    /// Gives up filters and takes them again, one packet of each client at a time.
    fn churn(
        &mut self,
        fleet: &mut Fleet,
        observer: &mut Observer,
        run: &mut Run,
    ) -> Result<(), Error> {
        if self.what.churn.is_zero() {
            return Ok(());
        }
        self.took.clear();
        let start = fleet.look_at_clock();
        let clocks = observer.clocks(start)?;
        let before = fleet.roll().granted;
        let mut next = vec![0; self.what.clients as usize];
        while fleet.now() < start + self.what.churn {
            for (client, next) in next.iter_mut().enumerate() {
                if !self.asked[client].is_empty() {
                    continue;
                }
                // Both go out together; the next two when both are answered.
                let packet = self.packet(*next);
                *next = if packet.end == self.what.filters { 0 } else { packet.end };
                self.unsubscribe(client, packet.clone(), fleet)?;
                self.subscribe(client, packet, fleet)?;
            }
            let until = (fleet.now() + HOUSEKEEPING).min(start + self.what.churn);
            fleet.turn(until, self)?;
            fleet.roll().check()?;
            observer.show(fleet.now(), fleet.roll().granted - before, "changes");
        }
        let cost = observer.since(clocks, fleet.look_at_clock())?;
        let changes = fleet.roll().granted - before;
        run.rate("changes_per_second", changes, cost.time);
        run.percentiles("change", &self.took.total());
        cost.report(run, "churn_", "change", changes);
        Ok(())
    }
}

impl Listener for Asker<'_> {
    fn message(&mut self, _: usize, _: &Delivery<'_>, _: Duration) {}

    fn event(&mut self, client: usize, event: &Event, now: Duration) {
        if let Event::Subscribed { .. } | Event::Unsubscribed { .. } = event
            && let Some(asked) = self.asked[client].pop_front()
        {
            self.took.record(now.saturating_sub(asked));
        }
    }
}
