//! What the parties of a run have in common, and its phases.

use super::ledger::Ledger;
use super::link::open_link;
use super::weather::Weather;
use crate::sim::chance::Chance;
use anyhow::{Context, Result};
use noctule_client::{Acknowledge, Client, Connector, Error, Options, ReasonCode, Reconnect};
use noctule_client::{State, Version};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;

/// Between two looks at the ledger.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Publishers wait while more than this is not done.
const BACKLOG_MAX: u64 = 3000;
/// What does not move for so long hangs: far longer than any client's or broker's patience.
const PATIENCE: Duration = Duration::from_secs(90);
/// Seconds of silence until clients ask whether anybody is there.
pub(crate) const KEEP_ALIVE_SECS: u16 = 2;

/// One run of one scenario.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) weather: Weather,
    /// Where the broker listens.
    pub(crate) server: SocketAddr,
    phase: watch::Sender<Phase>,
    chance: Mutex<Chance>,
    clients: Mutex<Vec<Client>>,
    /// The broker, as one of the parties.
    broker: u16,
}

/// What publishers do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Publish,
    Pause,
    /// Publishers end; clients must last.
    End,
    /// Clients may end.
    Over,
}

/// How the server knows a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Memory {
    /// It keeps the session.
    Kept,
    /// The session ends with each connection.
    Forgotten,
}

impl Course {
    pub(crate) fn new(server: SocketAddr, weather: Weather, seed: u64) -> Arc<Course> {
        let (phase, _) = watch::channel(Phase::Publish);
        let (chance, clients) = (Mutex::new(Chance::new(seed)), Mutex::default());
        let ledger = Ledger::new();
        let broker = ledger.party("broker");
        Arc::new(Course { ledger, weather, server, phase, chance, clients, broker })
    }

    /// The broker, as one of the parties.
    pub(crate) fn broker(&self) -> u16 {
        self.broker
    }

    /// Chance for a part of the run.
    pub(crate) fn chance(&self) -> Chance {
        Chance::new(self.chance.lock().expect("nobody panics with it").next())
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Whether clients may end.
    pub(crate) fn is_over(&self) -> bool {
        *self.phase.borrow() == Phase::Over
    }

    /// Whether publishers are to end.
    pub(crate) fn ends(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::End | Phase::Over)
    }

    /// Whether publishers go on, as soon as they may.
    pub(crate) async fn goes_on(&self) -> bool {
        let mut phases = self.phase.subscribe();
        let phase = phases.wait_for(|phase| *phase != Phase::Pause).await;
        phase.is_ok_and(|phase| *phase == Phase::Publish)
    }

    /// Waits until so little is on its way that one message more does not fill a queue.
    pub(crate) async fn room(&self) {
        while self.ledger.backlog() > BACKLOG_MAX {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until this holds.
    pub(crate) async fn until(&self, holds: impl Fn(&Ledger) -> bool) {
        while !holds(&self.ledger) {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Calls it a fault when nothing moves any more.
    pub(crate) async fn watchdog(&self) {
        let mut moves = 0;
        let mut moved = Instant::now();
        while moved.elapsed() < PATIENCE {
            sleep(LOOK_AGAIN).await;
            if self.ledger.moves() != moves {
                (moves, moved) = (self.ledger.moves(), Instant::now());
            }
        }
        self.ledger.stuck();
    }

    /// Starts a client behind a link of its own, and writes down how it fares.
    pub(crate) async fn client(
        self: &Arc<Course>,
        party: u16,
        options: Options,
        queue_max: usize,
    ) -> Result<Client> {
        let (weather, ledger) = (&self.weather, &self.ledger);
        let address = open_link(self.server, party, weather, ledger, self.chance()).await?;
        let version = options.version;
        let connector = Connector::to(&address.to_string(), options)?;
        let seen = Arc::clone(ledger);
        let connector = connector.tap(move |packet| seen.packet(party, version, packet));
        let client = connector.reconnect(at_once()).queue_max(queue_max).start()?;
        let states = client.states();
        self.clients.lock().expect("nobody panics with it").push(client.clone());
        tokio::spawn(Arc::clone(self).write_down(party, states));
        Ok(client)
    }

    /// Ends all clients.
    pub(crate) async fn part(&self) -> Result<()> {
        self.enter(Phase::Over);
        let clients = std::mem::take(&mut *self.clients.lock().expect("nobody panics with it"));
        for client in clients {
            client.disconnect().await?;
        }
        Ok(())
    }

    async fn write_down(self: Arc<Course>, party: u16, mut states: watch::Receiver<State>) {
        loop {
            let state = states.borrow_and_update().clone();
            match &state {
                State::Connecting => {}
                State::Online(connected) if connected.session_present => {
                    self.ledger.note(party, "is online, session present");
                }
                State::Online(_) => self.ledger.note(party, "is online, with a new session"),
                State::Waiting { error, .. } => {
                    self.ledger.note(party, format!("is offline: {}", plain(error)));
                    self.judge(party, error);
                }
                State::Ended(error) if !self.is_over() => {
                    self.ledger.fail(&format!("is over: {error}"), party);
                }
                _ => {}
            }
            if states.changed().await.is_err() {
                return;
            }
        }
    }

    /// Links lose bytes, and change none: a side that accuses the other of breaking the rules is
    /// right, or wrong itself.
    fn judge(&self, party: u16, error: &Error) {
        let accused = match error {
            Error::Protocol(_) => true,
            Error::Refused(_) => true,
            Error::Disconnected(notice) => !matches!(
                notice.reason,
                ReasonCode::ServerShuttingDown
                    | ReasonCode::KeepAliveTimeout
                    | ReasonCode::SessionTakenOver
            ),
            _ => false,
        };
        if accused {
            self.ledger.fail(&format!("is offline: {}", plain(error)), party);
        }
    }
}

/// Options of a client with this name.
pub(crate) fn options(version: Version, client_id: &str, memory: Memory) -> Options {
    let mut options = Options::new(client_id);
    options.version = version;
    options.keep_alive_secs = KEEP_ALIVE_SECS;
    options.connect_timeout_secs = 3;
    match (version, memory) {
        (Version::V31 | Version::V311, Memory::Kept) => options.clean_start = false,
        (Version::V5, Memory::Kept) => options.session_expiry_secs = u32::MAX,
        (_, Memory::Forgotten) => {}
    }
    options
}

/// The same, for a client whose application acknowledges.
pub(crate) fn by_application(options: Options) -> Options {
    let mut options = options;
    options.acknowledge = Acknowledge::ByApplication;
    options
}

/// Connections are made again so soon that most of the time there is one.
pub(crate) fn at_once() -> Reconnect {
    Reconnect {
        first: true,
        delay_min: Duration::from_millis(5),
        delay_max: Duration::from_millis(100),
        failures_max: None,
    }
}

/// An error without advice.
pub(crate) fn plain(error: &Error) -> String {
    let text = error.to_string();
    text.split(" (likely fix").next().unwrap_or_default().to_owned()
}

/// How a version is written.
pub(crate) fn text_of(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}

/// Waits for a part of the run that must not be over before the run is.
pub(crate) async fn joined(mut tasks: tokio::task::JoinSet<()>) -> Result<()> {
    while let Some(joined) = tasks.join_next().await {
        joined.context("a part of the run broke down")?;
    }
    Ok(())
}
