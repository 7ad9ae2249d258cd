//! Sessions whose clients are away.

use super::super::{Deaf, answered, client_id, connect, disconnect, fleet};
use crate::error::Error;
use crate::payload::RunId;
use crate::plan::{MessageShape, Plan};
use noctule_client::{Options, Subscribe};
use std::sync::Arc;

/// How long brokers are asked to keep the sessions.
const EXPIRY_SECS: u32 = 24 * 3600;

/// Connections at a time, which is what a process may always open.
const AT_A_TIME: usize = 500;

/// The client of a session that outlives its connections.
pub(super) fn client(plan: &Plan, message: &MessageShape, id: RunId, number: usize) -> Options {
    let mut options = message.tune(plan.target.options(client_id(id, number)));
    options.session_expiry_secs = EXPIRY_SECS;
    // Nobody has used this client identifier before this run.
    options.clean_start = false;
    options
}

/// Has so many sessions subscribe, each to its topic, and leave.
pub(super) fn sessions(
    plan: &Plan,
    (id, message): (RunId, &MessageShape),
    count: usize,
    topic: &dyn Fn(usize) -> Arc<str>,
) -> Result<(), Error> {
    let mut first = 0;
    while first < count {
        let these = first..count.min(first + AT_A_TIME);
        let mut fleet = fleet(plan, these.len())?;
        let options: Vec<Options> =
            these.clone().map(|number| client(plan, message, id, number)).collect();
        connect(&mut fleet, options.into_iter(), plan, &mut Deaf)?;
        for (client, number) in these.clone().enumerate() {
            let filter = topic(number);
            fleet.subscribe(client, &Subscribe::to(filter.as_ref(), message.qos))?;
        }
        answered(&mut fleet, these.len(), plan, &mut Deaf)?;
        disconnect(&mut fleet, &mut Deaf);
        first = these.end;
    }
    Ok(())
}
