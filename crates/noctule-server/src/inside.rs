//! Connections that begin within this process: bridges are clients like all others, but for what
//! they have to prove.

use crate::config::{Config, Listener};
use crate::listeners::{door, named_by};
use crate::net::{Entrance, HERE};
use crate::shard::{Command, ListenerPart, Mailbox};
use noctule_core::grant::{Policies, Policy};
use noctule_core::{Holdings, Homes, ListenerId, Tenant};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long a shard may take to answer. Turns take a millisecond.
const PATIENCE: Duration = Duration::from_secs(5);

/// A way into a running broker, for parts of its process. Its clients are in the first namespace,
/// and may do everything.
#[derive(Clone)]
pub struct Inside {
    mailboxes: Vec<Mailbox>,
    homes: Homes,
    packet_size_max: u32,
}

impl Inside {
    pub(crate) fn new(mailboxes: Vec<Mailbox>, homes: Homes, packet_size_max: u32) -> Inside {
        Inside { mailboxes, homes, packet_size_max }
    }

    /// The largest packet that the broker took as it began, bytes.
    #[must_use]
    pub fn packet_size_max(&self) -> u32 {
        self.packet_size_max
    }

    fn home_of(&self, client_id: &str) -> Option<&Mailbox> {
        self.mailboxes.get(usize::from(self.homes.of_client(Tenant(0), client_id).0))
    }

    /// A connection for a client, of which nothing has been said yet: MQTT goes over it as over
    /// any other.
    ///
    /// # Errors
    /// The system refuses.
    #[cfg(unix)]
    pub fn connect(&self, client_id: &str) -> io::Result<std::os::unix::net::UnixStream> {
        let (mine, theirs) = std::os::unix::net::UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        // Connected, it is a stream as any.
        let theirs: std::net::TcpStream = std::os::fd::OwnedFd::from(theirs).into();
        if let Some(home) = self.home_of(client_id) {
            home.post(Command::Join(mio::net::TcpStream::from_std(theirs)));
        }
        Ok(mine)
    }

    /// Whether a client id is for the inside alone: nobody from outside is to take its session
    /// over.
    pub fn reserve(&self, client_id: &str, reserved: bool) {
        if let Some(home) = self.home_of(client_id) {
            home.post(Command::Reserve(client_id.into(), reserved));
        }
    }

    /// Publishes what the last value of a topic is, as the broker itself.
    pub fn publish_retained(&self, topic: &str, payload: &str) {
        if let Some(first) = self.mailboxes.first() {
            let (topic, payload) = (topic.to_owned(), payload.to_owned());
            let tenants = vec![Tenant(0)];
            first.post(Command::Publish { tenants, topic, payload, retain: true });
        }
    }

    /// What the session of a client holds; `None`: there is none. Waits for the answer, a few
    /// milliseconds.
    ///
    /// # Errors
    /// The broker has ended, or does not answer.
    pub fn holdings(&self, client_id: &str) -> io::Result<Option<Holdings>> {
        let (answer, told) = channel();
        if let Some(home) = self.home_of(client_id) {
            home.post(Command::Holdings { client_id: client_id.into(), answer });
        }
        told.recv_timeout(PATIENCE).map_err(io::Error::other)
    }
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inside").finish_non_exhaustive()
    }
}

/// The listener behind all those of a configuration.
pub(crate) fn listener() -> ListenerPart {
    let listener = Listener::at(HERE);
    ListenerPart {
        socket: None,
        tenant: Tenant(0),
        address: HERE,
        door: door(&listener),
        durability: None,
        entrance: Entrance::default(),
        named_by: named_by(&listener),
    }
}

/// The rules of a configuration, of which there are none for that listener.
pub(crate) fn policies(config: &Config) -> Policies {
    let policies = &config.policies;
    let count = u16::try_from(config.listeners.len()).unwrap_or(u16::MAX);
    let beyond_ranks = Some(ListenerId(count));
    if policies.are_open() {
        return Policies { beyond_ranks, ..policies.clone() };
    }
    let of = |at| match policies.by_listener.get(usize::from(at)) {
        Some(policy) => Arc::clone(policy),
        None => Arc::clone(&policies.otherwise),
    };
    let inside = Arc::new(Policy::default());
    let by_listener = (0..count).map(of).chain([inside]).collect();
    Policies { by_listener, otherwise: Arc::clone(&policies.otherwise), beyond_ranks }
}
