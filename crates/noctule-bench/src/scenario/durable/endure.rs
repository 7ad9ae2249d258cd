//! One session that stays away among many that take their messages at once: whether the commits
//! stay short while what it waits for is moved out of the way, and what that takes of disk and
//! memory. To be run for minutes.

use super::super::{Step, answered, connect, wait};
use super::bare::Bare;
use super::committer::{Committer, Took};
use super::program::{Broker, Home, Kind};
use super::pump::{PUBLISHERS, Pump};
use super::{Stage, away, disk};
use crate::error::Error;
use crate::observer::Observer;
use crate::report::{Better, Run, Unit};
use noctule_client::{Options, Subscribe};
use std::sync::Arc;
use std::time::Duration;

/// Of the sessions that other parts leave away, one in so many is here, and busy.
const BUSY: u32 = 10;

/// One message in so many is for the session that is away.
const KEPT: usize = 50;

/// Bytes of a segment.
const SEGMENT: u64 = 64 * 1024 * 1024;

/// How often is looked how much room is taken.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Runs the part.
pub(super) fn run(stage: &Stage<'_>, observer: &mut Observer, run: &mut Run) -> Result<(), Error> {
    let durable = stage.durable;
    let broker = Broker::start(Kind::Noctule(durable), durable, ("endure", stage.plan.patience))?;
    let plan = stage.plan_for(broker.port);
    let (id, message) = (super::super::fresh_run(), &durable.message);
    let kept: Arc<str> = format!("bench/{:08x}/kept", id.0).into();
    away::sessions(&plan, (id, message), 1, &|_| Arc::clone(&kept))?;
    let busy = (durable.sessions / BUSY).max(1) as usize;
    let mut fleet = super::super::fleet(&plan, busy + PUBLISHERS as usize)?;
    let topics: Vec<Arc<str>> =
        (1..=busy).map(|number| format!("bench/{:08x}/{number:06}", id.0).into()).collect();
    let options: Vec<Options> =
        (1..=busy).map(|number| away::client(&plan, message, id, number)).collect();
    let turns = turns(&topics, &kept);
    let each = turns.len() as u64;
    let kept_each = each - busy as u64;
    let mut pump = Pump::connect((id, message), turns, &mut fleet, &plan)?;
    pump.ledger.subscriber(0..PUBLISHERS);
    let first = fleet.len();
    connect(&mut fleet, options.into_iter(), &plan, &mut pump)?;
    for (nth, topic) in topics.iter().enumerate() {
        fleet.subscribe(first + nth, &Subscribe::to(topic.as_ref(), message.qos))?;
    }
    answered(&mut fleet, busy, &plan, &mut pump)?;

    let mut watch = broker.observer()?;
    let content = stage.content(&kept) as u64;
    let home = Home::new(&durable.directory, "bare")?;
    let bare = Bare::new(home.path(), content as usize)?;
    let committer = Committer::start(plan.clone(), *message, Arc::clone(&kept), bare)?;
    let (data, begin) = (broker.data(), fleet.look_at_clock());
    let (mut look, mut over_max, mut disk_max, mut quarter) = (begin, 0.0_f64, 0, None);
    let clocks = watch.clocks(begin)?;
    pump.limit = u64::MAX;
    wait(&mut fleet, &plan, &mut pump, |fleet, pump| {
        let past = fleet.now() - begin;
        if fleet.now() >= look {
            look = fleet.now() + LOOK_AGAIN;
            let kept = pump.published / each * kept_each + committer.acknowledged();
            let live = kept * content;
            let bytes = disk::size(&data);
            disk_max = disk_max.max(bytes);
            over_max = over_max.max(bytes as f64 / (2 * live + 4 * SEGMENT) as f64);
            observer.show(fleet.now(), pump.ledger.received(), "messages taken");
        }
        if quarter.is_none() && past >= durable.time / 4 {
            quarter = Some((pump.published, committer.acknowledged(), watch.memory(run)?));
        }
        if past >= durable.time {
            return Ok(Step::Done);
        }
        pump.fill(fleet)?;
        Ok(Step::At(pump.ledger.received()))
    })?;
    let cost = watch.since(clocks, fleet.look_at_clock())?;
    let acknowledged = committer.acknowledged();
    let took = committer.end()?;
    run.rate("endure_per_second", pump.published, cost.time);
    cost.report(run, "endure_", "message", pump.published);
    tell(took, run);
    run.bytes("endure_disk_max", disk_max);
    run.add("endure_disk_by_bound", over_max, Unit::Ratio, Better::Lower);
    if let (Some((published, beside, Some(then))), Some(now)) = (quarter, watch.memory(run)?) {
        let queued = (pump.published - published) / each * kept_each + (acknowledged - beside);
        let grown = (now as f64 - then as f64) / queued.max(1) as f64;
        run.add("endure_memory_per_kept_message", grown, Unit::Bytes, Better::Lower);
    }
    Ok(())
}

/// The topics in the order in which they are published to: one in so many is what is kept.
fn turns(topics: &[Arc<str>], kept: &Arc<str>) -> Vec<Arc<str>> {
    let mut turns = Vec::new();
    for some in topics.chunks(KEPT - 1) {
        turns.push(Arc::clone(kept));
        turns.extend(some.iter().map(Arc::clone));
    }
    turns
}

/// A disk that shares its host with others has moments in which nobody gets on: what is worse than
/// the worst of those is the broker's. That is told beside what the target is about.
fn tell(Took { commits, bare }: Took, run: &mut Run) {
    run.time("endure_commit_median", commits.p50, Better::Lower);
    run.time("endure_commit_p999", commits.p999, Better::Lower);
    run.time("endure_commit_worst", commits.max, Better::Lower);
    run.time("endure_bare_median", bare.p50, Better::Neither);
    run.time("endure_bare_p999", bare.p999, Better::Neither);
    run.time("endure_bare_worst", bare.max, Better::Neither);
    let by_median = |time: Duration| time.as_secs_f64() / commits.p50.as_secs_f64().max(1e-9);
    let worst = by_median(commits.max);
    run.add("endure_commit_worst_by_median", worst, Unit::Ratio, Better::Lower);
    let own = by_median(commits.max.saturating_sub(bare.max));
    run.add("endure_commit_worst_over_bare_by_median", own, Unit::Ratio, Better::Lower);
}
