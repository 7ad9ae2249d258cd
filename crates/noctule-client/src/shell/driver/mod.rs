//! The task of one client: connects, carries bytes between session and network, connects again.
//!
//! ```text
//! run ─▶ reach (Endpoint) ─▶ converse: turn, turn, ... ─▶ pause ─▶ reach ...
//!          commands are taken meanwhile ─────────────────────┘
//! ```

mod command;
mod converse;
mod events;
mod input;
mod line;
mod requests;

pub(super) use command::{Command, Control};
pub(super) use events::rejected;

use super::backoff::Backoff;
use super::client::Shared;
use super::connector::Way;
use super::routes::Routes;
use super::state::State;
use super::store::Store;
use super::tap::Tap;
use crate::error::{Error, Failure, Layer};
use crate::message::{Goodbye, Message};
use crate::options::Acknowledge;
use crate::session::{Change, Session, Token};
use command::{Kept, Reply, Request, Waiting};
use input::Input;
use line::Line;
use noctule_proto::{PacketType, QoS, ReasonCode};
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

/// Commands, or controls, that one turn takes before it writes.
const TURN_COMMANDS: usize = 256;

/// What a driver is made of.
pub(super) struct Parts {
    pub(super) session: Session,
    pub(super) way: Way,
    pub(super) backoff: Backoff,
    pub(super) store: Option<Store>,
    pub(super) acknowledge: Acknowledge,
    pub(super) connect_timeout: Duration,
    /// How many messages may wait for the server before their publishers do.
    pub(super) queue_max: usize,
    /// Whether subscriptions get identifiers that the application has not chosen.
    pub(super) number_subscriptions: bool,
    pub(super) tap: Tap,
}

pub(super) struct Driver {
    /// The first field, and so the first to go.
    _over: Over,
    parts: Parts,
    commands: mpsc::Receiver<Command>,
    controls: mpsc::UnboundedReceiver<Control>,
    shared: Arc<Shared>,
    routes: Routes,
    waiting: HashMap<Token, Waiting>,
    /// To be asked on the next connection.
    requests: VecDeque<Request>,
    /// Told when what is in line now is stored.
    in_line: Vec<oneshot::Sender<()>>,
    /// Who waits for the re-authentication that is under way.
    renewals: Vec<Reply<()>>,
    farewells: Vec<oneshot::Sender<()>>,
    start: Instant,
    connection: Connection,
}

/// Tells the end also if the task does not come to it: tasks are dropped with their runtime.
struct Over(Arc<Shared>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.finish(Error::Failure(Failure {
            layer: Layer::Runtime,
            what: "the tokio runtime of the client has shut down".to_owned(),
            os_error: None,
            fix: Some("let the runtime live as long as its clients"),
            is_final: true,
        }));
    }
}

/// What belongs to one connection.
#[derive(Default)]
struct Connection {
    input: Input,
    /// Messages of QoS 0, with the position of their last byte in the output.
    leaving: VecDeque<(u64, Reply<ReasonCode>)>,
    /// Bytes that the network has taken.
    written: u64,
    /// The server has answered CONNECT.
    answered: bool,
    ended: Option<Error>,
}

/// What to do once a connection is over.
enum Next {
    Again(Option<(Error, Duration)>),
    End(Error),
}

impl Driver {
    pub(super) fn new(
        parts: Parts,
        commands: mpsc::Receiver<Command>,
        controls: mpsc::UnboundedReceiver<Control>,
        shared: Arc<Shared>,
    ) -> Driver {
        Driver {
            _over: Over(Arc::clone(&shared)),
            commands,
            controls,
            routes: Routes::new(Arc::clone(&shared.gauge), parts.acknowledge),
            parts,
            shared,
            waiting: HashMap::new(),
            requests: VecDeque::new(),
            in_line: Vec::new(),
            renewals: Vec::new(),
            farewells: Vec::new(),
            start: Instant::now(),
            connection: Connection::default(),
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Drives the client to its end.
    pub(super) async fn run(mut self) {
        let end = loop {
            self.shared.enter(State::Connecting);
            let ended = match self.reach().await {
                Ok(line) => self.converse(line).await,
                Err(error) => error,
            };
            match self.next(ended) {
                Next::End(error) => break error,
                Next::Again(None) => {}
                Next::Again(Some((error, delay))) => {
                    self.shared.enter(State::Waiting { error, delay });
                    if let Err(error) = self.meanwhile(sleep(delay)).await {
                        break error;
                    }
                }
            }
        };
        self.finish(end);
    }

    /// Makes a connection.
    async fn reach(&mut self) -> Result<Line, Error> {
        let endpoint = self.parts.way.endpoint().clone();
        let patience = self.parts.connect_timeout;
        let connecting = self.meanwhile(timeout(patience, async move { endpoint.connect().await }));
        match connecting.await? {
            Ok(Ok(stream)) => {
                let line = Line::new(stream);
                self.shared.warn(line.warnings());
                Ok(line)
            }
            Ok(Err(error)) => {
                self.parts.way.failed();
                Err(error.into())
            }
            Err(_) => {
                self.parts.way.failed();
                Err(Error::NoAnswer(PacketType::Connect))
            }
        }
    }

    /// Does something that takes time, and takes commands while it does. It is an error if one of
    /// them is to end.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut work = pin!(work);
        loop {
            let may_command = self.may_command();
            tokio::select! {
                done = &mut work => return Ok(done),
                control = self.controls.recv() => self.take_controls(control),
                command = self.commands.recv(), if may_command => match command {
                    Some(command) => self.take_commands(command),
                    // The other channel says the same, and is always heard.
                    None => self.commands.close(),
                },
            }
            self.take_events();
            self.keep().await;
            if let Some(error) = self.connection.ended.take() {
                return Err(error);
            }
        }
    }

    /// Whether there is room for more to do.
    fn may_command(&self) -> bool {
        let open = self.parts.session.open_requests() + self.requests.len();
        open < self.parts.queue_max && !self.commands.is_closed()
    }

    /// Whether to connect again, and when.
    fn next(&mut self, ended: Error) -> Next {
        if self.parts.way.follow(&ended) {
            return Next::Again(None);
        }
        match self.parts.backoff.delay(&ended) {
            Some(delay) => Next::Again(Some((ended, delay))),
            None => Next::End(ended),
        }
    }

    /// Stores what has to survive before anything of it can be seen outside.
    async fn keep(&mut self) {
        let changes = self.parts.session.take_changes();
        if !changes.is_empty() && !self.store(changes).await {
            // Who waits in line hears of the end.
            return;
        }
        for in_line in self.in_line.drain(..) {
            let _ = in_line.send(());
        }
    }

    /// `false`: the client is over. Nothing may be sent, or told to be safe, that is not stored.
    async fn store(&mut self, changes: Vec<Change>) -> bool {
        let Some(mut store) = self.parts.store.take() else { return true };
        let snapshot = store.wants_rewrite().then(|| self.parts.session.snapshot());
        let stored = tokio::task::spawn_blocking(move || {
            let stored = match snapshot {
                Some(snapshot) => store.rewrite(&snapshot),
                None => store.append(&changes),
            };
            (store, stored)
        });
        let failure = match stored.await {
            Ok((store, Ok(()))) => {
                self.parts.store = Some(store);
                return true;
            }
            Ok((_, Err(failure))) => failure,
            Err(error) => Failure {
                layer: Layer::Store,
                what: format!("the session was not stored: {error}"),
                os_error: None,
                fix: None,
                is_final: true,
            },
        };
        self.parts.session.lose(Error::Failure(failure.clone()));
        self.connection.ended = Some(Error::Failure(failure));
        false
    }

    /// Takes this command and what else is there.
    fn take_commands(&mut self, first: Command) {
        self.command(first);
        for _ in 1..TURN_COMMANDS {
            if !self.may_command() || !self.may_output() {
                break;
            }
            let Ok(command) = self.commands.try_recv() else { break };
            self.command(command);
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Publish { message, reply, in_line } => {
                self.publish(message, reply);
                self.in_line.extend(in_line);
            }
            Command::Subscribe(subscribe, acknowledge, reply) => {
                let (key, inbox) = self.routes.add(subscribe, acknowledge);
                self.ask(Request::Subscribe { key, reply: Some((reply, inbox)) });
            }
            Command::Unsubscribe(unsubscribe, reply) => {
                let newest = self.routes.newest();
                self.ask(Request::Unsubscribe { unsubscribe, newest, reply });
            }
        }
        // In time with the output: the place of a QoS 0 message is its end as it stands now.
        self.take_events();
    }

    /// Takes this word and what else was said.
    fn take_controls(&mut self, first: Option<Control>) {
        self.control(first);
        for _ in 1..TURN_COMMANDS {
            let Ok(control) = self.controls.try_recv() else { break };
            self.control(Some(control));
        }
    }

    fn control(&mut self, control: Option<Control>) {
        match control {
            Some(Control::Acknowledge(token, reason)) => self.parts.session.reject(token, reason),
            Some(Control::Everything(reply)) => drop(reply.send(self.routes.everything())),
            Some(Control::Reauthenticate(reply)) => self.reauthenticate(reply),
            Some(Control::Disconnect(goodbye, reply)) => {
                self.farewells.push(reply);
                self.leave(&goodbye);
            }
            None => self.leave(&Goodbye::default()),
        }
    }

    /// One at a time: who asks meanwhile gets the same answer.
    fn reauthenticate(&mut self, reply: Reply<()>) {
        if self.renewals.is_empty()
            && let Err(error) = self.parts.session.reauthenticate()
        {
            let _ = reply.send(Err(error));
            return;
        }
        self.renewals.retain(|waiting| !waiting.is_closed());
        self.renewals.push(reply);
    }

    /// For good. What was in line before goes first, as far as the server lets it.
    fn leave(&mut self, goodbye: &Goodbye) {
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            self.command(command);
        }
        self.parts.session.disconnect(goodbye);
        self.connection.ended = Some(Error::Finished);
    }

    fn publish(&mut self, message: Message, reply: Reply<ReasonCode>) {
        let when = match message.qos {
            QoS::AtMostOnce => Kept::Written,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Kept::Acknowledged,
        };
        match self.parts.session.publish(message) {
            Ok(token) => drop(self.waiting.insert(token, Waiting::Publish { reply, when })),
            Err(invalid) => drop(reply.send(Err(invalid.into()))),
        }
    }

    /// It is over: streams end, and what is not answered never will be.
    fn finish(mut self, end: Error) {
        // A file is free for another process before anybody hears of the end.
        drop(self.parts);
        self.shared.finish(end.clone());
        self.commands.close();
        self.controls.close();
        while self.commands.try_recv().is_ok() {}
        for (_, reply) in self.connection.leaving.drain(..) {
            let _ = reply.send(Err(end.clone()));
        }
        drop((self.waiting, self.requests, self.in_line, self.routes, self.renewals));
        for farewell in self.farewells {
            let _ = farewell.send(());
        }
    }
}
