//! The handle that applications hold.

use super::driver::{Command, Driver};
use super::gauge::Gauge;
use super::subscription::Subscription;
use crate::error::{Error, Notice};
use crate::message::{Goodbye, Message, Subscribe};
use crate::options::Options;
use crate::session::{Connected, Session};
use noctule_proto::{PacketType, ReasonCode};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait for the driver before their senders do.
const COMMANDS: usize = 64;

/// A connected client. Clones are handles of the same connection, which ends with
/// [`disconnect`](Self::disconnect), or when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

/// What handles and driver know in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) connected: OnceLock<Connected>,
    pub(super) end: OnceLock<Error>,
    pub(super) gauge: Arc<Gauge>,
}

impl Client {
    /// Connects over TCP and waits until the server has let us in.
    ///
    /// The connection is driven by a task on the current tokio runtime, of either kind.
    pub async fn connect(address: impl ToSocketAddrs, options: Options) -> Result<Client, Error> {
        let patience = Duration::from_secs(options.connect_timeout_secs.into());
        let session = Session::new(options)?;
        let connecting = tokio::time::timeout(patience, TcpStream::connect(address));
        let stream = connecting.await.map_err(|_| Error::NoAnswer(PacketType::Connect))??;
        stream.set_nodelay(true)?;
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (welcome, welcomed) = oneshot::channel();
        let shared = Arc::new(Shared::default());
        let driver = Driver::new(session, stream, receiver, Arc::clone(&shared));
        tokio::spawn(driver.run(welcome));
        match welcomed.await {
            Ok(result) => result.map(|()| Client { commands, shared }),
            Err(_) => Err(shared.why()),
        }
    }

    /// The connection as the server granted it.
    pub fn connected(&self) -> &Connected {
        self.shared.connected.get().expect("a client is handed out when it is connected")
    }

    /// Publishes a message and waits until the promise of its QoS is kept: QoS 0, the message is
    /// with the operating system; 1 and 2, the server has taken it over.
    pub async fn publish(&self, message: Message) -> Result<ReasonCode, Error> {
        self.send(message).await?.await
    }

    /// Publishes a message and waits only until it is in line; the receipt tells when the promise
    /// of its QoS is kept. Messages leave in the order of these calls.
    pub async fn send(&self, message: Message) -> Result<Receipt, Error> {
        let (reply, receipt) = oneshot::channel();
        self.command(Command::Publish(message, reply)).await?;
        Ok(Receipt { receipt, shared: Arc::clone(&self.shared) })
    }

    /// Subscribes and waits for the server's answer. It is an error if the server refuses every
    /// filter; see [`Subscription::codes`] for each of them.
    pub async fn subscribe(&self, subscribe: Subscribe) -> Result<Subscription, Error> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Subscribe(subscribe, reply)).await?;
        let (codes, messages) = answer.await.map_err(|_| self.shared.why())??;
        match codes.first() {
            Some(first) if codes.iter().all(|code| code.is_error()) => {
                Err(Error::Rejected(notice(*first)))
            }
            _ => Ok(Subscription::new(codes, messages, &self.shared, self.clone())),
        }
    }

    /// Ends the subscription to this filter and waits for the server's answer.
    pub async fn unsubscribe(&self, filter: impl Into<String>) -> Result<ReasonCode, Error> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Unsubscribe(filter.into(), reply)).await?;
        let code = answer.await.map_err(|_| self.shared.why())??;
        if code.is_error() { Err(Error::Rejected(notice(code))) } else { Ok(code) }
    }

    /// Says good-bye and waits until the connection is closed. The server publishes no Will. What
    /// still waits for its acknowledgement fails with [`Error::Finished`].
    pub async fn disconnect(self) -> Result<(), Error> {
        let (reply, done) = oneshot::channel();
        self.command(Command::Disconnect(Goodbye::default(), reply)).await?;
        done.await.map_err(|_| self.shared.why())
    }

    /// Why the connection is over, if it is.
    pub fn end(&self) -> Option<Error> {
        self.shared.end.get().cloned()
    }

    /// Messages of QoS 0 that were dropped because the application did not take them in time.
    pub fn dropped(&self) -> u64 {
        self.shared.gauge.dropped()
    }

    async fn command(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| self.shared.why())
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

impl Shared {
    /// Why there is no connection any more.
    fn why(&self) -> Error {
        self.end.get().cloned().unwrap_or(Error::NotConnected)
    }
}

fn notice(reason: ReasonCode) -> Notice {
    Notice { reason, code: reason.as_u8(), reason_string: None, server_reference: None }
}
