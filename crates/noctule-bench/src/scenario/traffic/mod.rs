//! Messages from publishers to subscribers: closed loop or at a rate, every one accounted for.

mod cast;
mod exchange;
mod load;
mod window;

pub(super) use load::Mint;

use super::{
    HOUSEKEEPING, Patience, answered, client_id, connect, disconnect, fleet, fresh_run, unsubscribe,
};
use crate::accounting::Counts;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::observer::Observer;
use crate::payload::RunId;
use crate::plan::{Length, MessageShape, Plan, Traffic};
use crate::report::{Better, Run, grouped, show_nanos};
use cast::Cast;
use exchange::Exchange;
use load::Load;
use std::time::Duration;
use window::Window;

/// An open loop whose messages leave later than this, one in a hundred, is not the load it is said
/// to be.
const LATENESS_MAX: Duration = Duration::from_millis(5);

/// All that takes part in one run.
struct Stage<'a> {
    plan: &'a Plan,
    fleet: Fleet,
    exchange: Exchange,
    load: Load,
    observer: &'a mut Observer,
    patience: Patience,
    tidied: Duration,
}

/// When to go on to something else.
#[derive(Clone, Copy)]
enum Goal {
    /// At this time.
    Time(Duration),
    /// When the load has reached its limit and everything has arrived, or nothing does any more.
    Quiet,
}

/// Runs it once.
pub(super) fn run(plan: &Plan, traffic: &Traffic, observer: &mut Observer) -> Result<Run, Error> {
    let mut run = Run::default();
    let id = fresh_run();
    let cast = Cast::new(id, traffic);
    let mut stage = set(plan, (id, &cast), observer, &mut run)?;
    stage.measure(traffic, &mut run)?;
    stage.go_on(Goal::Quiet)?;
    unsubscribe(&mut stage.fleet, cast.all_filters(), plan, &mut stage.exchange)?;
    report_counts(&stage.exchange.ledger.counts(), stage.fleet.roll().refused, &mut run);
    if let Some(why) = &stage.fleet.roll().refusal {
        run.warn(format!("the broker refused messages: {why}"));
    }
    let unsettled = stage.exchange.ledger.sent() - stage.fleet.roll().settled;
    if unsettled > 0 {
        run.count("not_acknowledged", unsettled, Better::Lower);
    }
    disconnect(&mut stage.fleet, &mut stage.exchange);
    Ok(run)
}

/// Connects and subscribes.
fn set<'a>(
    plan: &'a Plan,
    (id, cast): (RunId, &Cast<'_>),
    observer: &'a mut Observer,
    run: &mut Run,
) -> Result<Stage<'a>, Error> {
    let traffic = cast.traffic;
    let memory = observer.memory(run)?;
    let connections = traffic.publishers as usize + traffic.subscribers as usize;
    let mut fleet = fleet(plan, connections)?;
    let mut exchange = Exchange::new(cast.ledger(id), traffic.subscribers);
    let (subscribers, all) = (traffic.subscribers as usize, connections);
    let tune = |number| options(plan, &traffic.message, client_id(id, number));
    connect(&mut fleet, (0..subscribers).map(tune), plan, &mut exchange)?;
    let mut packets = 0;
    for (subscriber, filters) in cast.all_filters() {
        fleet.subscribe(subscriber, &cast.subscribe(filters))?;
        packets += 1;
    }
    answered(&mut fleet, packets, plan, &mut exchange)?;
    connect(&mut fleet, (subscribers..all).map(tune), plan, &mut exchange)?;
    // Nothing settles here: connections that have been idle send at another price from then on.
    if let (Some(before), Some(after)) = (memory, observer.memory(run)?) {
        run.memory_each("connection", before, after, all as u64);
    }
    if let Some((size, batch)) = traffic.window() {
        let windows = (0..traffic.publishers).map(|_| Window::new(size, cast.fan_out()));
        exchange.open_windows(windows.collect(), batch);
        warn_of_window(traffic, size, run);
    }
    let load = Load::new(id, traffic, cast)?;
    let now = fleet.look_at_clock();
    let patience = Patience::new(plan.patience, now);
    Ok(Stage { plan, fleet, exchange, load, observer, patience, tidied: now })
}

fn options(plan: &Plan, message: &MessageShape, client_id: String) -> noctule_client::Options {
    message.tune(plan.target.options(client_id))
}

impl Stage<'_> {
    /// Warms up, and measures.
    fn measure(&mut self, traffic: &Traffic, run: &mut Run) -> Result<(), Error> {
        let start = self.fleet.look_at_clock();
        self.load.start(start);
        self.go_on(Goal::Time(start + self.plan.warmup))?;
        let begin = self.fleet.look_at_clock();
        self.exchange.latencies.clear();
        if let Some(late) = self.load.lateness() {
            late.clear();
        }
        let (published, received) = (self.load.published, self.exchange.ledger.received());
        let clocks = self.observer.clocks(begin)?;
        let goal = match traffic.length {
            Length::Time(time) => Goal::Time(begin + time),
            Length::Messages(count) => {
                self.load.limit = published + count;
                Goal::Quiet
            }
        };
        self.go_on(goal)?;
        let end = match goal {
            Goal::Time(_) => self.fleet.look_at_clock(),
            // Without the time that was waited for what has not come.
            Goal::Quiet => self.exchange.arrived,
        };
        let cost = self.observer.since(clocks, end)?;
        self.load.limit = self.load.published;
        let published = self.load.published - published;
        let received = self.exchange.ledger.received() - received;
        run.rate("messages_per_second", received, cost.time);
        run.rate("published_per_second", published, cost.time);
        run.percentiles("latency", &self.exchange.latencies.total());
        self.report_lateness(run);
        cost.report(run, "", "message", received);
        if let Some(memory) = self.observer.memory(run)? {
            run.bytes("broker_memory", memory);
        }
        Ok(())
    }

    fn report_lateness(&mut self, run: &mut Run) {
        let Some(late) = self.load.lateness().map(|late| late.total()) else { return };
        run.time("schedule_lateness_p99", late.p99, Better::Neither);
        if late.p99 > LATENESS_MAX {
            run.warn(format!(
                "messages left up to {} after their time (99 of 100): this machine is busy, or the \
                 rate is more than bench or connections can do. Latencies count from the time at \
                 which a message was to leave",
                show_nanos(late.p99.as_nanos() as f64)
            ));
        }
    }

    /// Publishes and receives.
    fn go_on(&mut self, goal: Goal) -> Result<(), Error> {
        self.patience = Patience::new(self.plan.patience, self.fleet.look_at_clock());
        loop {
            let now = self.fleet.now();
            let is_done = match goal {
                Goal::Time(end) => now >= end,
                Goal::Quiet => self.is_over(now),
            };
            if is_done {
                return Ok(());
            }
            let due = self.load.pump(&mut self.fleet, &mut self.exchange)?;
            self.fleet.roll().check()?;
            self.tidy(now)?;
            let mut until = due.unwrap_or(Duration::MAX).min(self.tidied + HOUSEKEEPING);
            if let Goal::Time(end) = goal {
                until = until.min(end);
            }
            self.fleet.turn(until, &mut self.exchange)?;
        }
    }

    /// Whether nothing is on its way any more, or will not come.
    fn is_over(&self, now: Duration) -> bool {
        if self.load.published < self.load.limit {
            return false;
        }
        self.is_idle() || self.patience.is_quiet(now, self.plan.quiet)
    }

    /// Whether nothing is on its way.
    fn is_idle(&self) -> bool {
        let ledger = &self.exchange.ledger;
        ledger.outstanding() == 0 && self.fleet.roll().settled == ledger.sent()
    }

    fn tidy(&mut self, now: Duration) -> Result<(), Error> {
        if now < self.tidied + HOUSEKEEPING {
            return Ok(());
        }
        self.tidied = now;
        self.exchange.write_off(now, self.plan.quiet);
        if self.is_idle() {
            // An idle moment of an open loop is not the broker's silence.
            self.patience = Patience::new(self.plan.patience, now);
        }
        let moved = self.exchange.ledger.received() + self.fleet.roll().settled;
        self.patience.look(now, moved);
        if self.patience.is_over(now) {
            return Err(Error::Silent(self.plan.patience));
        }
        if now >= self.observer.progress.due() {
            self.show(now);
        }
        Ok(())
    }

    fn show(&mut self, now: Duration) {
        let received = self.exchange.ledger.received();
        let recent = self.exchange.latencies.turn();
        let words = self.observer.glance(now, received);
        let nanos = |time: Duration| show_nanos(time.as_nanos() as f64);
        let line = format!(
            "{:>4} s  {words}  p50 {} p99 {}  {} received",
            now.as_secs(),
            nanos(recent.p50),
            nanos(recent.p99),
            grouped(received as f64),
        );
        self.observer.progress.show(now, &line);
    }
}

/// The fate of all messages.
pub(super) fn report_counts(counts: &Counts, refused: u64, run: &mut Run) {
    run.count("sent", counts.sent, Better::Neither);
    run.count("received", counts.received, Better::Neither);
    run.count("lost", counts.lost, Better::Lower);
    run.count("duplicated", counts.duplicated, Better::Lower);
    run.count("reordered", counts.reordered, Better::Lower);
    for (name, count) in [
        ("retained_copies", counts.retained),
        ("of_earlier_runs", counts.earlier),
        ("foreign", counts.foreign),
        ("refused", refused),
    ] {
        if count > 0 {
            run.count(name, count, Better::Lower);
        }
    }
}

fn warn_of_window(traffic: &Traffic, size: u32, run: &mut Run) {
    if let crate::plan::Pace::Window { window, .. } = traffic.pace
        && window > size
    {
        run.warn(format!(
            "the window is {size} instead of {window}, so that no more than {} messages are on the \
             way to one subscriber (--in-flight-max)",
            traffic.in_flight_max
        ));
    }
}
