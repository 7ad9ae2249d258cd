//! A load generator for MQTT brokers that people can trust.
//!
//! ```text
//!  Plan ──▶ scenario ──▶ Fleet: one thread, one poll ──▶ Connection: Session, socket ──▶ broker
//!              │              │ what arrives                                                 │
//!              │              ▼                                                              │
//!              │     Ledger, windows, histograms             Meter: /proc of the broker ◀────┘
//!              ▼
//!           Report ──▶ table, JSON ──▶ Comparison
//! ```
//!
//! * [`Plan`]        what is done to which broker, for how long
//! * [`run`]         does it, and answers with a [`Report`]
//! * [`accounting`]  lost, duplicated, reordered: exactly, for each stream
//! * [`histogram`]   latencies, in an open loop from the time at which a message was to be sent
//! * [`meter`]       CPU time and memory of the broker, its children included
//! * [`Comparison`]  two sets of results: medians, spread, and whether the difference is noise
//!
//! The protocol is the pure session of `noctule-client`; there is none in here. Deliberately
//! absent: more than one thread (two benches do that, and the numbers of each stay clear), and
//! any opinion on how a broker should do what it promises.
#![forbid(unsafe_code)]

pub mod accounting;
mod alarm;
mod compare;
mod connection;
mod descriptors;
mod error;
mod fleet;
pub mod histogram;
pub mod meter;
mod observer;
pub mod payload;
mod plan;
mod progress;
mod report;
mod scenario;
mod socket;
mod tls;

pub use compare::{Comparison, Judgement};
pub use error::Error;
pub use noctule_client::{QoS, Version};
pub use plan::{
    Connect, Durable, DurablePart, FleetKind, Length, MessageShape, Mosquitto, Offline, Pace,
    Pattern, Plan, Retained, Scenario, Subscriptions, Target, Traffic,
};
pub use report::{Better, Metric, Report, Run, Unit};

/// Does what the plan says, as often as it says.
pub fn run(plan: &Plan) -> Result<Report, Error> {
    plan.check()?;
    let mut observer = observer::Observer::new(plan.pid)?;
    let mut report = Report::new(plan.scenario.name(), plan.settings());
    for _ in 0..plan.runs {
        let run = scenario::run(plan, &mut observer);
        observer.rest();
        report.runs.push(run?);
    }
    Ok(report)
}
