//! The ledger: what was done to the node, what its clients saw, and whether the two agree.
//!
//! It knows nothing of the broker's inside. It is told which packet was handed in at which instant
//! and what each client received, keeps its own idea of sessions, subscriptions and Wills, and
//! panics with the first disagreement:
//!
//! * [`deliver`]: everything a client receives was published, matches a subscription, comes no
//!   more often than it may, in order, with the right flags and the rest of its life
//! * [`owed`]: everything acknowledged reaches every session that was certainly subscribed
//! * [`retained`], [`will`], [`share`]: their rules
//! * [`crash`]: what a broker that died may have forgotten, and what it may not

mod crash;
mod deliver;
mod message;
mod owed;
mod receive;
mod retained;
mod session;
mod share;
mod subscription;
mod will;

pub(crate) use deliver::Arrival;
pub(crate) use message::Message;
pub(crate) use receive::Answer;
pub(crate) use session::{Asked, LineEnd, Session};
pub(crate) use subscription::{Place, Slot, Wanted};

use super::universe::Universe;
use noctule_core::Limits;
use noctule_core::limits::Durability;
use share::Group;
use std::rc::Rc;

/// An instant: the ledger's own order of events, and the virtual time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct At {
    pub(crate) stamp: u32,
    /// Milliseconds.
    pub(crate) time: u64,
}

/// What the run came across, beyond what brokers count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) deliveries: u64,
    pub(crate) redeliveries: u64,
    pub(crate) wills_cancelled: u64,
    pub(crate) wills_after_delay: u64,
    pub(crate) retained_deliveries: u64,
    pub(crate) retained_owed: u64,
    pub(crate) owed: u64,
    pub(crate) missing: u64,
    pub(crate) shares_owed: u64,
    pub(crate) share_moves: u64,
    pub(crate) resumed: u64,
    pub(crate) crash: Crashes,
}

/// What crashes brought about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crashes {
    /// Sessions that were there again.
    pub(crate) sessions_kept: u64,
    pub(crate) sessions_back: u64,
    pub(crate) sessions_void: u64,
    pub(crate) unsubscribed_kept: u64,
    pub(crate) unsubscribed_undone: u64,
    pub(crate) subscribed_undone: u64,
    pub(crate) routings_undone: u64,
    pub(crate) received_kept: u64,
    pub(crate) received_undone: u64,
    pub(crate) released_undone: u64,
    pub(crate) answers_undone: u64,
    pub(crate) clears_kept: u64,
    pub(crate) wills_pending: u64,
    pub(crate) wills_undone: u64,
    pub(crate) wills_stay_cancelled: u64,
    /// Messages that arrived for the first time after a crash, owed since before.
    pub(crate) waited: u64,
    /// Messages that the broker did not know to be settled.
    pub(crate) again: u64,
    /// Acknowledged messages that were lost, as promised.
    pub(crate) lost_of_os: u64,
    pub(crate) lost_of_memory: u64,
}

/// See the module.
pub(crate) struct Ledger {
    pub(crate) universe: Rc<Universe>,
    pub(crate) limits: Limits,
    pub(crate) facts: Facts,
    pub(crate) messages: Vec<Message>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) slots: Vec<Slot>,
    /// Session that lives under each client's id.
    pub(crate) current: Vec<Option<usize>>,
    groups: Vec<Group>,
    /// Retained publishes of each topic, in the order they were handed in.
    retained: Vec<Vec<usize>>,
    /// Wills that are armed, pending or due and not seen yet.
    wills: Vec<usize>,
    /// Slots that see messages the instant they are routed.
    witness: Vec<usize>,
    owed_retained: Vec<retained::Owed>,
    /// When the broker died last.
    crashed: At,
    now: At,
    /// Everything happens at once.
    at_once: bool,
}

impl Ledger {
    pub(crate) fn new(universe: Rc<Universe>, clients: usize, limits: Limits) -> Ledger {
        let topics = universe.topics.len();
        Ledger {
            groups: universe.groups.iter().map(|_| Group::default()).collect(),
            universe,
            limits,
            facts: Facts::default(),
            messages: Vec::new(),
            sessions: Vec::new(),
            slots: Vec::new(),
            current: vec![None; clients],
            retained: vec![Vec::new(); topics],
            wills: Vec::new(),
            witness: Vec::new(),
            owed_retained: Vec::new(),
            crashed: At::default(),
            now: At::default(),
            at_once: false,
        }
    }

    /// The next instant: later than all before.
    pub(crate) fn instant(&mut self) -> At {
        if !self.at_once {
            self.now.stamp += 1;
        }
        self.now
    }

    /// Whether anything survives a restart of the broker.
    pub(super) fn is_durable(&self) -> bool {
        self.limits.durability != Durability::Memory
    }

    /// The present instant.
    pub(crate) fn stamp(&self) -> u32 {
        self.now.stamp
    }

    /// What is promised of messages of a topic.
    pub(super) fn class_of(&self, topic: usize) -> Durability {
        let topic = &self.universe.topics[topic];
        let mut rules = self.limits.durability_of_topics.iter();
        let rule = rules.find(|(name, _)| **name == **topic);
        rule.map_or(self.limits.durability, |(_, class)| *class)
    }

    /// What is done from here on happened within one turn of a broker, in an order of its own:
    /// to the ledger it happens at the same instant, until `false`.
    pub(crate) fn at_once(&mut self, at_once: bool) {
        self.instant();
        self.at_once = at_once;
    }

    /// Virtual time goes on: sessions expire.
    pub(crate) fn time_is(&mut self, time: u64) {
        self.now.time = time;
        self.instant();
        self.expire_sessions();
    }

    /// The node has nothing left to do: what was due is done, and the witness has seen it.
    pub(crate) fn node_at_rest(&mut self) {
        self.instant();
        self.wills_overdue(|_| true);
        self.wills_at_rest();
        self.witness_at_rest();
    }
}
