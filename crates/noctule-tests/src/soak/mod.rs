//! The soak of the client library: real clients, a real broker, real sockets, and everything that
//! can happen to them, against a ledger of what was promised and what arrived.
//!
//! ```text
//! publishers ──▶ link ──▶ broker ──▶ link ──▶ subscribers, groups, responders
//!     │           └──── weather ──────┘             │
//!     └─ asked, promised ─▶ Ledger ◀── arrived ─────┘
//! ```
//!
//! * cut: links cut, delay, stall and half close; the broker lives on
//! * store: the same, with publishers in processes of their own that are killed
//! * restart: the broker itself is killed; noctule keeps nothing, so promises count in calms only
//! * nats: nats-server is killed; it keeps everything on disk
//!
//! What is drawn comes from one seed. When it happens is up to the machine: a seed makes a fault
//! likely again, not certain.

mod child;
mod content;
mod course;
mod cut;
mod ledger;
mod link;
mod log;
mod nats;
mod phoenix;
mod publish;
mod receive;
mod restart;
mod store;
mod weather;

pub use child::child;

use anyhow::{Result, anyhow};
use course::Course;
use std::time::Duration;

/// One scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    /// Connections are cut, the broker lives on.
    Cut,
    /// Publishers with their session in a file are killed.
    Store,
    /// The broker is killed, and forgets everything.
    Restart,
    /// nats-server is killed, and forgets nothing.
    Nats,
}

/// All of them.
pub const SCENARIOS: [Scenario; 4] =
    [Scenario::Cut, Scenario::Store, Scenario::Restart, Scenario::Nats];

/// How to run a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// What all is drawn from.
    pub seed: u64,
    /// How long to publish.
    pub time: Duration,
}

impl Scenario {
    /// As it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Cut => "cut",
            Scenario::Store => "store",
            Scenario::Restart => "restart",
            Scenario::Nats => "nats",
        }
    }

    /// Its share of the time, as parts of the shares of all that run.
    #[must_use]
    pub fn share(self) -> u32 {
        match self {
            Scenario::Cut => 40,
            Scenario::Store => 25,
            Scenario::Restart => 20,
            Scenario::Nats => 15,
        }
    }

    /// Runs it, and answers what it amounts to.
    ///
    /// # Errors
    /// If a promise was broken.
    pub async fn run(self, setting: Setting) -> Result<String> {
        match self {
            Scenario::Cut => cut::run(setting).await,
            Scenario::Store => store::run(setting).await,
            Scenario::Restart => restart::run(setting).await,
            Scenario::Nats => nats::run(setting).await,
        }
    }
}

impl Setting {
    /// Runs a scenario to its end, or to its first fault.
    async fn watch(
        self,
        course: &Course,
        scenario: impl Future<Output = Result<()>>,
    ) -> Result<String> {
        let watched = async {
            course.watchdog().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            fault = course.ledger.broken() => return Err(anyhow!("{fault}")),
            () = watched => {}
            ended = scenario => ended?,
        }
        let account = course.ledger.account().map_err(|fault| anyhow!(fault))?;
        Ok(account.to_string())
    }
}
