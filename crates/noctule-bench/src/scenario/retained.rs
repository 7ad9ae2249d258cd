//! Retained messages: stored on many topics, then fetched all by a wildcard.

use super::traffic::Mint;
use super::{
    Step, answered, client_id, connect, disconnect, fleet, fresh_run, settle, turn_until,
    unsubscribe, wait,
};
use crate::accounting::Seen;
use crate::error::Error;
use crate::fleet::{Fleet, Listener};
use crate::histogram::Latencies;
use crate::observer::Observer;
use crate::payload::{Header, RunId};
use crate::plan::{Plan, Retained};
use crate::report::{Better, Run};
use noctule_client::{Delivery, Event, Message, Subscribe};
use std::sync::Arc;
use std::time::Duration;

/// The client that stores.
const PUBLISHER: usize = 0;

/// Runs it once.
pub(super) fn run(plan: &Plan, retained: &Retained, observer: &mut Observer) -> Result<Run, Error> {
    let mut run = Run::default();
    let id = fresh_run();
    let mut fleet = fleet(plan, 1 + retained.subscribers as usize)?;
    let mut catch = Catch::new(id, retained);
    let options = retained.message.tune(plan.target.options(client_id(id, PUBLISHER)));
    connect(&mut fleet, [options].into_iter(), plan, &mut catch)?;
    let store = Store { id, plan, retained };
    let memory = observer.memory(&mut run)?;
    let clocks = observer.clocks(fleet.look_at_clock())?;
    let mut mint = Mint::new(&retained.message)?.retained();
    store.publish(&mut fleet, &mut catch, observer, |fleet, topic, number| {
        let header =
            Header { run: id, publisher: 0, sequence: number.into(), sent: Duration::ZERO };
        mint.publish(&topic, &header, (fleet, PUBLISHER))
    })?;
    let cost = observer.since(clocks, fleet.look_at_clock())?;
    run.rate("stored_per_second", retained.topics.into(), cost.time);
    cost.report(&mut run, "store_", "message", retained.topics.into());
    settle(&mut fleet, plan, &mut catch)?;
    if let (Some(before), Some(after)) = (memory, observer.memory(&mut run)?) {
        run.memory_each("retained_message", before, after, retained.topics.into());
    }
    store.fetch(&mut fleet, &mut catch, observer, &mut run)?;
    // What was stored is taken away again.
    store.publish(&mut fleet, &mut catch, observer, |fleet, topic, _| {
        let nothing = Message::new(topic, &b""[..]).qos(retained.message.qos).retained();
        fleet.publish(PUBLISHER, nothing)
    })?;
    if let Some(why) = &fleet.roll().refusal {
        run.warn(format!("the broker refused messages: {why}"));
    }
    disconnect(&mut fleet, &mut catch);
    Ok(run)
}

/// What stays the same all along.
struct Store<'a> {
    id: RunId,
    plan: &'a Plan,
    retained: &'a Retained,
}

impl Store<'_> {
    fn topic(&self, number: u32) -> Arc<str> {
        let (site, device) = (number / 1000, number % 1000);
        format!("bench/{:08x}/{site:03}/{device:03}/state", self.id.0).into()
    }

    fn filter(&self) -> String {
        format!("bench/{:08x}/#", self.id.0)
    }

    /// Publishes to each topic, and waits for the acknowledgements.
    fn publish(
        &self,
        fleet: &mut Fleet,
        catch: &mut Catch,
        observer: &mut Observer,
        mut publish: impl FnMut(&mut Fleet, Arc<str>, u32) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let goal = fleet.roll().settled + u64::from(self.retained.topics);
        let mut next = 0;
        wait(fleet, self.plan, catch, |fleet, _| {
            while next < self.retained.topics
                && fleet.open_requests(PUBLISHER) < self.retained.window as usize
            {
                publish(fleet, self.topic(next), next)?;
                next += 1;
            }
            let settled = fleet.roll().settled;
            observer.show(fleet.now(), next.into(), "retained messages sent");
            Ok(if settled == goal { Step::Done } else { Step::At(settled) })
        })
    }

    /// Lets one subscriber after the other fetch everything.
    fn fetch(
        &self,
        fleet: &mut Fleet,
        catch: &mut Catch,
        observer: &mut Observer,
        run: &mut Run,
    ) -> Result<(), Error> {
        let topics = u64::from(self.retained.topics);
        let (mut first, mut all) = (Latencies::default(), Latencies::default());
        let clocks = observer.clocks(fleet.look_at_clock())?;
        let mut lost = 0;
        for _ in 0..self.retained.subscribers {
            let client = fleet.len();
            let options = self.plan.target.options(client_id(self.id, client));
            let options = self.retained.message.tune(options);
            connect(fleet, [options].into_iter(), self.plan, catch)?;
            catch.begin(client, topics);
            let answers = fleet.roll().answers;
            let asked = fleet.look_at_clock();
            fleet.subscribe(client, &Subscribe::to(self.filter(), self.retained.message.qos))?;
            answered(fleet, answers + 1, self.plan, catch)?;
            turn_until(fleet, self.plan.quiet, catch, |fleet, catch| {
                observer.show(fleet.now(), catch.seen.count(), "retained messages fetched");
                let seen = catch.seen.count();
                Ok(if seen == topics { Step::Done } else { Step::At(seen) })
            })?;
            let filters = [(client, vec![self.filter()])];
            unsubscribe(fleet, filters.into_iter(), self.plan, catch)?;
            lost += topics - catch.seen.count();
            if let Some((came, last)) = catch.times {
                first.record(came.saturating_sub(asked));
                all.record(last.saturating_sub(asked));
            }
        }
        let cost = observer.since(clocks, fleet.look_at_clock())?;
        let fetched = topics * u64::from(self.retained.subscribers) - lost;
        run.time("time_to_first", first.total().p50, Better::Lower);
        run.time("time_to_all", all.total().p50, Better::Lower);
        cost.report(run, "fetch_", "message", fetched);
        run.count("lost", lost, Better::Lower);
        run.count("duplicated", catch.duplicated, Better::Lower);
        run.count("foreign", catch.foreign, Better::Lower);
        Ok(())
    }
}

/// Hears what the present subscriber fetches.
struct Catch {
    id: RunId,
    size: usize,
    client: usize,
    seen: Seen,
    /// When the first and the last message came.
    times: Option<(Duration, Duration)>,
    duplicated: u64,
    foreign: u64,
}

impl Catch {
    fn new(id: RunId, retained: &Retained) -> Catch {
        Catch {
            id,
            size: retained.message.size,
            client: PUBLISHER,
            seen: Seen::new(0),
            times: None,
            duplicated: 0,
            foreign: 0,
        }
    }

    /// The next subscriber.
    fn begin(&mut self, client: usize, topics: u64) {
        self.client = client;
        self.seen = Seen::new(topics);
        self.times = None;
    }

    /// Which message of ours it is.
    fn number(&self, delivery: &Delivery<'_>) -> Option<u64> {
        let header = Header::read(delivery.payload)?;
        let ours = header.run == self.id && delivery.payload.len() == self.size && delivery.retain;
        ours.then_some(header.sequence).filter(|number| self.seen.knows(*number))
    }
}

impl Listener for Catch {
    fn message(&mut self, client: usize, delivery: &Delivery<'_>, now: Duration) {
        if client != self.client {
            return;
        }
        match self.number(delivery) {
            None => self.foreign += 1,
            Some(number) if self.seen.insert(number) => {
                let (first, _) = self.times.unwrap_or((now, now));
                self.times = Some((first, now));
            }
            Some(_) => self.duplicated += 1,
        }
    }

    fn event(&mut self, _: usize, _: &Event, _: Duration) {}
}
