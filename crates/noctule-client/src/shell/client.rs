//! The handle that applications hold.

use super::connector::Connector;
use super::driver::{Command, Control, rejected};
use super::gauge::Gauge;
use super::state::State;
use super::subscription::Subscription;
use crate::error::{Error, Invalid};
use crate::message::{Goodbye, Message, Subscribe, Unsubscribe};
use crate::net::Warning;
use crate::options::{Acknowledge, Options};
use crate::session::Connected;
use noctule_proto::{ReasonCode, Version};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::{mpsc, oneshot, watch};

/// A client. Clones are handles of the same one, which ends with [`disconnect`](Self::disconnect),
/// when the last handle is dropped, or when connecting again is given up.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    controls: mpsc::UnboundedSender<Control>,
    shared: Arc<Shared>,
}

/// What handles and driver know in common.
#[derive(Debug)]
pub(super) struct Shared {
    state: watch::Sender<State>,
    end: OnceLock<Error>,
    pub(super) gauge: Arc<Gauge>,
    /// Of the last connection.
    warnings: Mutex<Vec<Warning>>,
    /// The session is kept in a file.
    stored: bool,
    version: Version,
    acknowledge: Acknowledge,
}

impl Shared {
    pub(super) fn new(stored: bool, version: Version, acknowledge: Acknowledge) -> Shared {
        let (state, _) = watch::channel(State::Connecting);
        let (end, gauge) = (OnceLock::new(), Arc::default());
        let warnings = Mutex::default();
        Shared { state, end, gauge, warnings, stored, version, acknowledge }
    }

    pub(super) fn warn(&self, warnings: Vec<Warning>) {
        *self.warnings.lock().unwrap_or_else(PoisonError::into_inner) = warnings;
    }

    pub(super) fn enter(&self, state: State) {
        self.state.send_replace(state);
    }

    /// The end, for the first reason that is told.
    pub(super) fn finish(&self, error: Error) {
        if self.end.set(error.clone()).is_ok() {
            self.enter(State::Ended(error));
        }
    }

    /// Why the client is over.
    fn why(&self) -> Error {
        self.end.get().cloned().unwrap_or(Error::NotConnected)
    }
}

impl Client {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        controls: mpsc::UnboundedSender<Control>,
        shared: Arc<Shared>,
    ) -> Client {
        Client { commands, controls, shared }
    }

    /// Connects to an address such as `host`, `host:port`, `mqtts://host` or `ws://host/path`, and
    /// waits until the server has let us in. A connection that breaks later is made again;
    /// [`Connector`] can do otherwise.
    ///
    /// The client is driven by a task on the current tokio runtime, of either kind.
    pub async fn connect(address: &str, options: Options) -> Result<Client, Error> {
        Connector::to(address, options)?.connect().await
    }

    /// Waits until the server has let us in, and tells what it granted. It is an error if the
    /// client is over.
    pub async fn online(&self) -> Result<Arc<Connected>, Error> {
        let mut states = self.states();
        loop {
            match &*states.borrow_and_update() {
                State::Online(connected) => return Ok(Arc::clone(connected)),
                State::Ended(error) => return Err(error.clone()),
                State::Connecting | State::Waiting { .. } => {}
            }
            if states.changed().await.is_err() {
                return Err(self.why());
            }
        }
    }

    /// How the client stands with its server, and how that changes. A state that lasts no longer
    /// than it takes to look may be missed; the newest never is.
    pub fn states(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Publishes a message and waits until the promise of its QoS is kept: QoS 0, the message is
    /// with the operating system; 1 and 2, the server has taken it over. Breaks of the connection
    /// only make it take longer. A call that is dropped is not called off, unless the line was full
    /// and it still waited for its place there.
    ///
    /// It is an error if the message cannot be sent, the server refuses it, or the client is over.
    /// A message of QoS 0 that leaves with a connection that breaks may arrive or not, and is an
    /// error too.
    pub async fn publish(&self, message: Message) -> Result<ReasonCode, Error> {
        self.send(message).await?.await
    }

    /// Publishes a message and waits only until it is in line (and, with
    /// [`Connector::store`], on disk); the receipt tells when the promise of its QoS is kept.
    /// Messages leave in the order of these calls. While the line is full, the call waits.
    pub async fn send(&self, message: Message) -> Result<Receipt, Error> {
        let (reply, receipt) = oneshot::channel();
        let (told, in_line) = oneshot::channel();
        let told = self.shared.stored.then_some(told);
        self.command(Command::Publish { message, reply, in_line: told }).await?;
        if self.shared.stored {
            in_line.await.map_err(|_| self.why())?;
        }
        Ok(Receipt { receipt, shared: Arc::clone(&self.shared) })
    }

    /// Subscribes and waits for the server's answer. It is an error if the server refuses every
    /// filter; see [`Subscription::codes`] for each of them. A call that is dropped may leave the
    /// server's side of it standing.
    ///
    /// A server that has lost the session is asked again by itself, just as the first time: it
    /// sends its retained messages again, unless the filter's
    /// [`RetainHandling`](crate::RetainHandling) says not to at all. They are what makes up for
    /// messages that were missed meanwhile; an application that knows them already sees
    /// [`Message::retain`] on them.
    ///
    /// The server has one subscription for each filter. Two streams for the same one get the same
    /// messages, by the options of the later; unsubscribing ends both.
    pub async fn subscribe(&self, subscribe: Subscribe) -> Result<Subscription, Error> {
        self.subscribe_and(subscribe, self.shared.acknowledge).await
    }

    /// The same, telling who acknowledges what comes.
    pub(super) async fn subscribe_and(
        &self,
        subscribe: Subscribe,
        acknowledge: Acknowledge,
    ) -> Result<Subscription, Error> {
        subscribe.check()?;
        let filters = subscribe.filters.iter().map(|(filter, _)| filter.clone()).collect();
        let (reply, answer) = oneshot::channel();
        self.command(Command::Subscribe(subscribe, acknowledge, reply)).await?;
        let (codes, inbox) = answer.await.map_err(|_| self.why())??;
        match codes.first() {
            Some(first) if codes.iter().all(|code| code.is_error()) => Err(rejected(*first)),
            _ => Ok(Subscription::new(filters, codes, inbox, self.clone())),
        }
    }

    /// A stream of every message that comes, whatever it is for: also of an earlier session's
    /// subscriptions, which nobody has asked for anew. Who takes messages from here drops the
    /// [`Subscription`]s, or takes from those too: what lies unread holds the server back.
    pub async fn messages(&self) -> Result<Subscription, Error> {
        let (reply, answer) = oneshot::channel();
        self.control(Control::Everything(reply))?;
        let inbox = answer.await.map_err(|_| self.why())?;
        Ok(Subscription::new(Vec::new(), Vec::new(), inbox, self.clone()))
    }

    /// Ends subscriptions and waits for the server's answer: a code for each filter. It is an error
    /// if the server refuses all of them.
    pub async fn unsubscribe(&self, unsubscribe: Unsubscribe) -> Result<Vec<ReasonCode>, Error> {
        unsubscribe.check()?;
        let (reply, answer) = oneshot::channel();
        self.command(Command::Unsubscribe(unsubscribe, reply)).await?;
        let codes = answer.await.map_err(|_| self.why())??;
        match codes.first() {
            Some(first) if codes.iter().all(|code| code.is_error()) => Err(rejected(*first)),
            _ => Ok(codes),
        }
    }

    /// The application has done what it has to do with a message
    /// ([`Acknowledge::ByApplication`](crate::Acknowledge)); nothing happens for any other. If the
    /// connection has broken meanwhile, the server sends the message again. Where a message came
    /// through several streams, the first word on it counts.
    pub fn acknowledge(&self, message: &Message) -> Result<(), Error> {
        self.reject(message, ReasonCode::Success)
    }

    /// The same with a reason from 0x80: the application does not want the message (5.0). The
    /// server does not send it again.
    pub fn reject(&self, message: &Message, reason: ReasonCode) -> Result<(), Error> {
        match message.ack {
            Some(token) => self.control(Control::Acknowledge(token, reason)),
            None => Ok(()),
        }
    }

    /// Authenticates again by the method of [`Connector::authenticator`], for a server that lets a
    /// connection live no longer than a token (5.0).
    pub async fn reauthenticate(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.control(Control::Reauthenticate(reply))?;
        answer.await.map_err(|_| self.why())?
    }

    /// Says good-bye, behind what is in line and may be sent, and waits until the connection is
    /// closed. The server publishes no Will. What still waits for its acknowledgement fails with
    /// [`Error::Finished`]: await receipts first.
    pub async fn disconnect(self) -> Result<(), Error> {
        self.disconnect_with(Goodbye::default()).await
    }

    /// The same with other words.
    pub async fn disconnect_with(self, goodbye: Goodbye) -> Result<(), Error> {
        if goodbye.reason.is_error() && self.version() != Version::V5 {
            return Err(Invalid::NotInThisVersion.into());
        }
        let (reply, done) = oneshot::channel();
        if self.control(Control::Disconnect(goodbye, reply)).is_ok() && done.await.is_ok() {
            return Ok(());
        }
        match self.why() {
            // Another handle was faster.
            Error::Finished => Ok(()),
            error => Err(error),
        }
    }

    /// Why the client is over, if it is.
    pub fn end(&self) -> Option<Error> {
        self.shared.end.get().cloned()
    }

    /// How many messages were dropped because the application did not take them in time: those of
    /// QoS 0 beyond 65,536 (or 256 MiB) that lie unread, where the client had to read on; and those
    /// of a resumed session beyond 4,096 (or 16 MiB) that no stream was there for.
    pub fn dropped(&self) -> u64 {
        self.shared.gauge.dropped()
    }

    /// What a stricter client would not have put up with on the way to the server: a certificate
    /// that names the host in its common name alone, one that was not checked at all. Of the
    /// present connection, or the last.
    pub fn warnings(&self) -> Vec<Warning> {
        self.shared.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The protocol version it speaks.
    pub fn version(&self) -> Version {
        self.shared.version
    }

    pub(super) fn why(&self) -> Error {
        self.shared.why()
    }

    async fn command(&self, command: Command) -> Result<(), Error> {
        let Err(_) = self.commands.send(command).await else { return Ok(()) };
        // The line is closed a little before the end.
        let mut states = self.states();
        let _ = states.wait_for(|state| matches!(state, State::Ended(_))).await;
        Err(self.why())
    }

    fn control(&self, control: Control) -> Result<(), Error> {
        self.controls.send(control).map_err(|_| self.why())
    }
}

/// Becomes ready when the promise of a message's QoS is kept, or cannot be.
#[derive(Debug)]
pub struct Receipt {
    receipt: oneshot::Receiver<Result<ReasonCode, Error>>,
    shared: Arc<Shared>,
}

impl Future for Receipt {
    type Output = Result<ReasonCode, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let received = ready!(Pin::new(&mut self.receipt).poll(cx));
        Poll::Ready(received.unwrap_or_else(|_| Err(self.shared.why())))
    }
}
