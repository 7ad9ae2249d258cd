//! Messages for persistent sessions whose clients are away: queued, then drained.

use super::traffic::{Mint, report_counts};
use super::{
    Deaf, Step, answered, client_id, connect, disconnect, fleet, fresh_run, settle, turn_until,
    unsubscribe, wait,
};
use crate::accounting::{Arrival, Ledger};
use crate::error::Error;
use crate::fleet::{Fleet, Listener};
use crate::observer::Observer;
use crate::payload::{Header, RunId};
use crate::plan::{Offline, Plan};
use crate::report::{Better, Run};
use noctule_client::{Delivery, Event, Options, Subscribe};
use std::sync::Arc;
use std::time::Duration;

/// How long a broker is asked to keep the sessions, in case that this run does not end them.
const EXPIRY_SECS: u32 = 3600;

/// Runs it once.
pub(super) fn run(plan: &Plan, offline: &Offline, observer: &mut Observer) -> Result<Run, Error> {
    let mut run = Run::default();
    let id = fresh_run();
    // While the sessions are ended, nobody else is connected.
    let mut fleet = fleet(plan, offline.sessions as usize + 1)?;
    let mut ledger = Ledger::new(id, offline.message.size, offline.sessions);
    for session in 0..offline.sessions {
        ledger.subscriber(session..session + 1);
    }
    let mut away = Away { id, plan, offline, post: Post { ledger, arrived: Duration::ZERO } };
    away.open(&mut fleet)?;
    away.queue(&mut fleet, observer, &mut run)?;
    away.drain(&mut fleet, observer, &mut run)?;
    let topics: Vec<Arc<str>> = (0..offline.sessions).map(|session| away.topic(session)).collect();
    let filters = topics.iter().map(|topic| vec![topic.as_ref().to_owned()]).enumerate();
    unsubscribe(&mut fleet, filters, plan, &mut away.post)?;
    report_counts(&away.post.ledger.counts(), fleet.roll().refused, &mut run);
    if let Some(why) = &fleet.roll().refusal {
        run.warn(format!("the broker refused messages: {why}"));
    }
    disconnect(&mut fleet, &mut away.post);
    away.end(&mut fleet)?;
    Ok(run)
}

struct Away<'a> {
    id: RunId,
    plan: &'a Plan,
    offline: &'a Offline,
    post: Post,
}

impl Away<'_> {
    fn topic(&self, session: u32) -> Arc<str> {
        format!("bench/{:08x}/{session:05}/queue", self.id.0).into()
    }

    fn sessions(&self) -> usize {
        self.offline.sessions as usize
    }

    fn options(&self, number: usize) -> Options {
        self.offline.message.tune(self.plan.target.options(client_id(self.id, number)))
    }

    /// Lets the sessions subscribe and go away.
    fn open(&mut self, fleet: &mut Fleet) -> Result<(), Error> {
        let kept: Vec<Options> = (0..self.sessions()).map(|session| self.kept(session)).collect();
        connect(fleet, kept.into_iter(), self.plan, &mut Deaf)?;
        for session in 0..self.offline.sessions {
            let filter = self.topic(session);
            let subscribe = Subscribe::to(filter.as_ref(), self.offline.message.qos);
            fleet.subscribe(session as usize, &subscribe)?;
        }
        answered(fleet, self.sessions(), self.plan, &mut Deaf)?;
        disconnect(fleet, &mut Deaf);
        fleet.call_roll();
        Ok(())
    }

    /// Options of a session that outlives its connections.
    fn kept(&self, number: usize) -> Options {
        let mut options = self.options(number);
        options.session_expiry_secs = EXPIRY_SECS;
        // Nobody has used this client identifier before.
        options.clean_start = false;
        options
    }

    /// Publishes to each of the sessions in turn.
    fn queue(
        &mut self,
        fleet: &mut Fleet,
        observer: &mut Observer,
        run: &mut Run,
    ) -> Result<(), Error> {
        let publisher = self.sessions();
        connect(fleet, [self.options(publisher)].into_iter(), self.plan, &mut Deaf)?;
        let memory = observer.memory(run)?;
        let clocks = observer.clocks(fleet.look_at_clock())?;
        let topics: Vec<Arc<str>> = (0..self.offline.sessions).map(|one| self.topic(one)).collect();
        let mut mint = Mint::new(&self.offline.message)?;
        let all = u64::from(self.offline.messages) * topics.len() as u64;
        let (ledger, mut next) = (&mut self.post.ledger, 0);
        wait(fleet, self.plan, &mut Deaf, |fleet, _| {
            while next < all && fleet.open_requests(publisher) < self.offline.window as usize {
                let session = (next % topics.len() as u64) as u32;
                let header = Header {
                    run: self.id,
                    publisher: session,
                    sequence: ledger.publish(session),
                    sent: fleet.now(),
                };
                let topic = &topics[session as usize];
                mint.publish(topic, &header, (fleet, publisher))?;
                next += 1;
            }
            let settled = fleet.roll().settled;
            observer.show(fleet.now(), settled, "messages queued");
            Ok(if settled == all { Step::Done } else { Step::At(settled) })
        })?;
        let cost = observer.since(clocks, fleet.look_at_clock())?;
        run.rate("queued_per_second", all, cost.time);
        cost.report(run, "queue_", "message", all);
        settle(fleet, self.plan, &mut Deaf)?;
        if let (Some(before), Some(after)) = (memory, observer.memory(run)?) {
            run.memory_each("queued_message", before, after, all);
        }
        Ok(())
    }

    /// Lets the clients come back, all at once, and take what waits for them.
    fn drain(
        &mut self,
        fleet: &mut Fleet,
        observer: &mut Observer,
        run: &mut Run,
    ) -> Result<(), Error> {
        let start = fleet.look_at_clock();
        let clocks = observer.clocks(start)?;
        let (sessions, concurrent) = (self.sessions(), self.plan.concurrent as usize);
        // The publisher is online already.
        let mut dialled = 0;
        let drained = turn_until(fleet, self.plan.quiet, &mut self.post, |fleet, post| {
            while dialled < sessions && dialled + 1 - fleet.roll().online < concurrent {
                fleet.dial(dialled)?;
                dialled += 1;
            }
            let received = post.ledger.received();
            observer.show(fleet.now(), received, "messages drained");
            let done = post.ledger.outstanding() == 0;
            Ok(if done { Step::Done } else { Step::At(received + fleet.roll().online as u64) })
        })?;
        let end = if drained { fleet.now() } else { self.post.arrived };
        let cost = observer.since(clocks, end)?;
        let received = self.post.ledger.received();
        run.rate("drained_per_second", received, cost.time);
        run.time("time_to_drain", end.saturating_sub(start), Better::Lower);
        cost.report(run, "drain_", "message", received);
        Ok(())
    }

    /// Ends the sessions: a clean start, which is not to be kept.
    fn end(&self, fleet: &mut Fleet) -> Result<(), Error> {
        // The connections of the other fleet close, and leave their descriptors.
        *fleet = super::fleet(self.plan, self.sessions())?;
        let options: Vec<Options> = (0..self.sessions()).map(|one| self.options(one)).collect();
        connect(fleet, options.into_iter(), self.plan, &mut Deaf)?;
        disconnect(fleet, &mut Deaf);
        Ok(())
    }
}

/// What comes out of the queues.
struct Post {
    ledger: Ledger,
    arrived: Duration,
}

impl Listener for Post {
    fn message(&mut self, client: usize, delivery: &Delivery<'_>, now: Duration) {
        match self.ledger.arrive(client, delivery.payload, delivery.retain) {
            Arrival::Fresh { .. } | Arrival::Late { .. } => self.arrived = now,
            Arrival::Duplicate(_) | Arrival::Retained | Arrival::Earlier | Arrival::Foreign => {}
        }
    }

    fn event(&mut self, _: usize, _: &Event, _: Duration) {}
}
