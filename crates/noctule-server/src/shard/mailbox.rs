//! What a shard is told from outside the message path, and how a sleeping shard is woken.

use crate::auth::{Trust, Verdict};
use crate::config::{AddressLimits, Admission};
use crate::defence::{Allowed, Bans, Subject, Thresholds};
use crate::dynsec::Order;
use mio::Waker;
use noctule_core::grant::Policies;
use noctule_core::input::Memory;
use noctule_core::{ConnId, Holdings, Limits, Tenant, Time};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::mpsc::Sender;

/// Something a shard is told, seldom.
#[derive(Debug)]
pub(crate) enum Command {
    /// A password was checked.
    PasswordChecked {
        /// Whose.
        conn: ConnId,
        /// Which check.
        ticket: u64,
        /// Right or wrong.
        accepted: bool,
    },
    /// Somebody beside the shard found out who a client is.
    Identified {
        /// Whose.
        conn: ConnId,
        /// Which question.
        ticket: u64,
        /// Who it is, or why it is nobody.
        verdict: Verdict,
    },
    /// Who is banned from here on.
    Banned {
        /// All bans.
        bans: Arc<Bans>,
        /// Those among them whose connections are to end.
        cut: Arc<[Subject]>,
    },
    /// A finding, or a line of the log, is to be published.
    Publish {
        /// In these namespaces.
        tenants: Vec<Tenant>,
        /// To this topic.
        topic: String,
        /// What it says.
        payload: String,
        /// Kept as the last value of the topic.
        retain: bool,
    },
    /// A connection that begins within this process.
    Join(mio::net::TcpStream),
    /// Whether this client id of the first namespace is for the inside alone.
    Reserve(Box<str>, bool),
    /// What a session of this shard holds; answered at once.
    Holdings {
        /// Client id, in the first namespace.
        client_id: Box<str>,
        /// For the answer.
        answer: Sender<Option<Holdings>>,
    },
    /// What the desk of dynamic security says.
    Dynsec(Order),
    /// How much memory is left.
    Memory(Memory),
    /// What a reload can change.
    Reconfigure(Arc<Reconfiguration>),
    /// End; by `deadline` at the latest.
    Shutdown {
        /// Connections still open then are cut.
        deadline: Time,
    },
}

/// What a reload can change without a restart.
#[derive(Debug)]
pub(crate) struct Reconfiguration {
    /// Who may do what, if that has changed.
    pub(crate) policies: Option<Policies>,
    pub(crate) limits: Limits,
    pub(crate) trust: Arc<Trust>,
    pub(crate) sys_interval_secs: u32,
    pub(crate) thresholds: Thresholds,
    pub(crate) allowed: Arc<Allowed>,
    pub(crate) address_limits: AddressLimits,
    /// Of each listener, in order of the configuration.
    pub(crate) doors: Vec<Door>,
}

/// Whom a listener lets in, which a reload can change.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) admission: Arc<Admission>,
    pub(crate) connections_max: u32,
    pub(crate) allow_anonymous: bool,
}

/// Where commands for a shard are posted.
#[derive(Clone)]
pub(crate) struct Mailbox {
    pub(crate) commands: Sender<Command>,
    pub(crate) wake: Arc<Wake>,
}

impl Mailbox {
    /// Posts a command and wakes the shard. A shard that has ended takes no notice.
    pub(crate) fn post(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.wake.now();
        }
    }
}

/// Wakes a shard from its sleep: once per sleep, however many have something for it.
pub(crate) struct Wake {
    waker: Waker,
    asleep: AtomicBool,
}

impl Wake {
    pub(crate) fn new(waker: Waker) -> Wake {
        Wake { waker, asleep: AtomicBool::new(false) }
    }

    /// Wakes the shard if it sleeps. Call it after what it is to find was put where it looks.
    #[inline]
    pub(crate) fn if_asleep(&self) {
        // Pairs with the fence of `fall_asleep`: either we see it asleep, or it sees our message.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.now();
        }
    }

    /// The shard is about to sleep; it has to look once more for messages after this.
    pub(crate) fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The shard is awake.
    pub(crate) fn wake_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Wakes the shard, asleep or not.
    pub(crate) fn now(&self) {
        // It fails only if the shard's poll is gone; then there is nobody to wake.
        let _ = self.waker.wake();
    }
}

/// A mailbox without a shard.
#[cfg(test)]
pub(crate) fn for_tests() -> (Mailbox, std::sync::mpsc::Receiver<Command>) {
    let poll = mio::Poll::new().expect("tests may open files");
    let waker = Waker::new(poll.registry(), mio::Token(0)).expect("tests may open files");
    let (commands, inbox) = std::sync::mpsc::channel();
    // The waker needs its poll as long as it lives, which is until the test ends.
    std::mem::forget(poll);
    (Mailbox { commands, wake: Arc::new(Wake::new(waker)) }, inbox)
}
