//! How a client gets to its server, and what it does when that fails.

use super::backoff::{Backoff, Reconnect};
use super::client::{Client, Shared};
use super::driver::{Driver, Parts};
use super::store::Store;
use super::tap::{Tap, Tapped};
use crate::authenticator::Authenticator;
use crate::error::{Error, Failure, Layer};
use crate::net::{Address, Endpoint, Host};
use crate::options::{Acknowledge, Options};
use crate::session::Session;
use noctule_proto::ReasonCode;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Commands that may wait for the driver before their senders do.
const COMMANDS: usize = 64;
/// Messages that may wait for the server before their publishers do.
const QUEUE_MAX: usize = 1000;
/// Servers that may name another server in a row.
const REDIRECTS_MAX: usize = 5;

/// Sets up a [`Client`] that needs more than [`Client::connect`] takes.
///
/// ```no_run
/// use noctule_client::{Connector, Options, Reconnect};
///
/// # async fn example() -> Result<(), noctule_client::Error> {
/// let client = Connector::to("mqtts://broker.example:8883", Options::new("truck-7"))?
///     .reconnect(Reconnect::always())
///     .store("/var/lib/truck/session")
///     .start()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Connector {
    endpoint: Endpoint,
    options: Options,
    reconnect: Reconnect,
    authenticator: Option<Box<dyn Authenticator>>,
    follow_redirects: bool,
    store: Option<PathBuf>,
    queue_max: usize,
    number_subscriptions: bool,
    tap: Tap,
}

impl Connector {
    /// To this endpoint.
    pub fn new(endpoint: Endpoint, options: Options) -> Connector {
        Connector {
            endpoint,
            options,
            reconnect: Reconnect::default(),
            authenticator: None,
            follow_redirects: false,
            store: None,
            queue_max: QUEUE_MAX,
            number_subscriptions: true,
            tap: Tap::default(),
        }
    }

    /// To an address such as `host`, `host:port`, `mqtts://user:password@host` or
    /// `ws://host/path`. Its user name and password count where the options have none.
    pub fn to(address: &str, mut options: Options) -> Result<Connector, Error> {
        let address = Address::parse(address)?;
        if options.user_name.is_none() && options.password.is_none() {
            options.user_name = address.user_name;
            options.password = address.password;
        }
        Ok(Connector::new(address.endpoint, options))
    }

    /// Whether and when to connect again. Unless set, a client that has been connected once
    /// connects again until it is told to end.
    #[must_use]
    pub fn reconnect(self, reconnect: Reconnect) -> Connector {
        Connector { reconnect, ..self }
    }

    /// Authenticates by this method (5.0).
    #[must_use]
    pub fn authenticator(self, method: Box<dyn Authenticator>) -> Connector {
        Connector { authenticator: Some(method), ..self }
    }

    /// Whether to go to another server if this one says so (5.0): for one connection
    /// ([`ReasonCode::UseAnotherServer`]), or for good ([`ReasonCode::ServerMoved`]).
    ///
    /// The other server gets the same credentials, headers and Will, so this is for servers that
    /// are trusted with the choice. It is reached by the same transport: after TLS it is TLS, and
    /// its certificate must hold its own name, unless the endpoint has a
    /// [`server_name`](crate::net::Tls::server_name), which stays. Without TLS, whoever is on the
    /// way can name any server. Five servers in a row that send us on, none of them for longer
    /// than [`Reconnect::delay_max`], are the end of the client.
    #[must_use]
    pub fn follow_redirects(self, follow: bool) -> Connector {
        Connector { follow_redirects: follow, ..self }
    }

    /// Keeps the session in this file, so that messages of QoS 1 and 2 survive the process: in line
    /// (see [`Client::send`]) means stored then, and the next client with this file goes on. One
    /// client at a time can have it. If it cannot be written any more, the client is over: nothing
    /// is sent, or told to be safe, that is not stored.
    ///
    /// The options should keep the session on the server too (`session_expiry_secs`, or no
    /// `clean_start` before 5.0).
    #[must_use]
    pub fn store(self, path: impl Into<PathBuf>) -> Connector {
        Connector { store: Some(path.into()), ..self }
    }

    /// How many messages and requests may wait for the server, sent or not, before their senders
    /// wait too; at least 1, and 1,000 unless set.
    #[must_use]
    pub fn queue_max(self, messages: usize) -> Connector {
        Connector { queue_max: messages.max(1), ..self }
    }

    /// Whether subscriptions get an identifier each where the application has chosen none and the
    /// server knows them (5.0). Unless switched off, they do: so each message finds the streams it
    /// is for. Without, it goes to all whose filters match it.
    #[must_use]
    pub fn number_subscriptions(self, number: bool) -> Connector {
        Connector { number_subscriptions: number, ..self }
    }

    /// Shows each packet that passes, in order; also CONNECT, with its password. The task that
    /// drives the client calls it, and waits until it returns.
    #[must_use]
    pub fn tap(self, look: impl FnMut(Tapped<'_>) + Send + 'static) -> Connector {
        Connector { tap: Tap::new(look), ..self }
    }

    /// Connects, and waits until the server has let us in or there is no hope.
    pub async fn connect(self) -> Result<Client, Error> {
        let client = self.start()?;
        client.online().await?;
        Ok(client)
    }

    /// Connects in the background, by a task on the current tokio runtime, and answers at once. It
    /// is an error if there is no runtime, the options are wrong, or the file of the session is.
    pub fn start(mut self) -> Result<Client, Error> {
        let runtime = Handle::try_current().map_err(|error| Failure {
            layer: Layer::Runtime,
            what: error.to_string(),
            os_error: None,
            fix: Some("start the client from within a tokio runtime"),
            is_final: true,
        })?;
        let acknowledge = self.options.acknowledge;
        // The driver acknowledges itself, as the application takes what has come.
        self.options.acknowledge = Acknowledge::ByApplication;
        let connect_timeout = Duration::from_secs(self.options.connect_timeout_secs.into());
        let version = self.options.version;
        let mut backoff = Backoff::new(self.reconnect);
        let (store, session) = match &self.store {
            Some(path) => {
                let (store, changes) = Store::open(path)?;
                if !changes.is_empty() {
                    // The process before may have left one behind.
                    backoff.unanswered();
                }
                (Some(store), Session::restore(self.options, changes)?)
            }
            None => (None, Session::new(self.options)?),
        };
        let mut parts = Parts {
            session,
            way: Way::new(self.endpoint, self.follow_redirects),
            backoff,
            store,
            acknowledge,
            connect_timeout,
            queue_max: self.queue_max,
            number_subscriptions: self.number_subscriptions,
            tap: self.tap,
        };
        if let Some(method) = self.authenticator {
            parts.session.authenticate_by(method);
        }
        let (commands, command_queue) = mpsc::channel(COMMANDS);
        let (controls, control_queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(parts.store.is_some(), version, acknowledge));
        let driver = Driver::new(parts, command_queue, control_queue, Arc::clone(&shared));
        runtime.spawn(driver.run());
        Ok(Client::new(commands, controls, shared))
    }
}

/// Where to connect to.
#[derive(Debug)]
pub(super) struct Way {
    home: Endpoint,
    /// Where the server has sent us.
    detour: Option<Endpoint>,
    follow: bool,
    redirects: usize,
}

impl Way {
    fn new(home: Endpoint, follow: bool) -> Way {
        Way { home, detour: None, follow, redirects: 0 }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        self.detour.as_ref().unwrap_or(&self.home)
    }

    /// A connection has lasted: servers do not send us to and fro.
    pub(super) fn lasted(&mut self) {
        self.redirects = 0;
    }

    /// Nobody is there: back to where we began.
    pub(super) fn failed(&mut self) {
        self.detour = None;
    }

    /// Whether a connection ended because we shall go elsewhere, and we do `[U5-4.11.0-1]`.
    pub(super) fn follow(&mut self, ended: &Error) -> bool {
        let detour = std::mem::take(&mut self.detour);
        let (Error::Refused(notice) | Error::Disconnected(notice)) = ended else { return false };
        let for_good = match notice.reason {
            ReasonCode::UseAnotherServer => false,
            ReasonCode::ServerMoved => true,
            _ => return false,
        };
        let from = detour.unwrap_or_else(|| self.home.clone());
        let named = notice.server_reference.as_deref().and_then(|text| named(text, &from));
        let Some(to) = named.filter(|_| self.follow && self.redirects < REDIRECTS_MAX) else {
            return false;
        };
        self.redirects += 1;
        if for_good {
            self.home = to;
        } else {
            self.detour = Some(to);
        }
        true
    }
}

/// The first server of a reference, such as `host:port other-host [::1]:1883` (4.11 v5), reached as
/// the one before.
fn named(reference: &str, from: &Endpoint) -> Option<Endpoint> {
    let first = reference.split_whitespace().next()?;
    let address = Address::parse(first).ok()?;
    let Host::Tcp { name, port } = address.endpoint.host else { return None };
    let same_port = match &from.host {
        Host::Tcp { port, .. } => *port,
        Host::Unix(_) | Host::Srv(_) => port,
    };
    let says_port = first.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if says_port { port } else { same_port };
    Some(Endpoint { host: Host::Tcp { name, port }, ..from.clone() })
}
