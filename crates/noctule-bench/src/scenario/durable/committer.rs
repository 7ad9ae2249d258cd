//! A client that publishes one message at a time, and how long each acknowledgement takes: what a
//! commit takes, whatever else the broker does. Between two of them it appends to a file of its own
//! and syncs that: what the disk takes at the same time for anybody.

use super::super::traffic::Mint;
use super::super::{Deaf, client_id, connect, disconnect, fresh_run};
use super::bare::Bare;
use crate::error::Error;
use crate::histogram::{Latencies, Percentiles};
use crate::payload::Header;
use crate::plan::{MessageShape, Plan};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// From the one acknowledgement to the next message.
const PAUSE: Duration = Duration::from_millis(1);

/// A thread with its connection.
#[derive(Debug)]
pub(super) struct Committer {
    end: Sender<()>,
    acknowledged: Arc<AtomicU64>,
    thread: JoinHandle<Result<Took, Error>>,
}

/// How long it took.
#[derive(Debug)]
pub(super) struct Took {
    /// From a message to its acknowledgement.
    pub(super) commits: Percentiles,
    /// To append the same bytes to a file, and to sync it.
    pub(super) bare: Percentiles,
}

impl Committer {
    /// Starts publishing to a topic that somebody is away for.
    pub(super) fn start(
        plan: Plan,
        message: MessageShape,
        topic: Arc<str>,
        bare: Bare,
    ) -> Result<Committer, Error> {
        let (end, ends) = channel();
        let acknowledged = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&acknowledged);
        let thread = std::thread::Builder::new()
            .name("committer".into())
            .spawn(move || commit((&plan, bare), (&message, &topic), &ends, &count))
            .map_err(Error::io("a thread"))?;
        Ok(Committer { end, acknowledged, thread })
    }

    /// Messages that were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends it; answers how long it all took.
    pub(super) fn end(self) -> Result<Took, Error> {
        drop(self.end);
        match self.thread.join() {
            Ok(took) => took,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn commit(
    (plan, mut bare): (&Plan, Bare),
    (message, topic): (&MessageShape, &Arc<str>),
    ends: &Receiver<()>,
    acknowledged: &AtomicU64,
) -> Result<Took, Error> {
    let run = fresh_run();
    let mut fleet = super::super::fleet(plan, 1)?;
    let options = message.tune(plan.target.options(client_id(run, 0)));
    connect(&mut fleet, [options].into_iter(), plan, &mut Deaf)?;
    let mut mint = Mint::new(message)?;
    let (mut commits, mut syncs, mut sequence) = (Latencies::default(), Latencies::default(), 0);
    while ends.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        let sent = fleet.look_at_clock();
        let header = Header { run, publisher: 0, sequence, sent };
        mint.publish(topic, &header, (&mut fleet, 0))?;
        sequence += 1;
        while fleet.open_requests(0) > 0 {
            fleet.turn(fleet.now() + plan.patience, &mut Deaf)?;
            fleet.roll().check()?;
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
        let acknowledged_at = fleet.look_at_clock();
        commits.record(acknowledged_at.saturating_sub(sent));
        bare.step()?;
        syncs.record(fleet.look_at_clock().saturating_sub(acknowledged_at));
    }
    disconnect(&mut fleet, &mut Deaf);
    Ok(Took { commits: commits.turn(), bare: syncs.turn() })
}
