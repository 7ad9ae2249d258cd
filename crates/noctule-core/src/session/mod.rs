//! Sessions: state that outlives a connection.

mod acks;
#[cfg(test)]
mod bounds_tests;
mod cold;
mod deliver;
mod end;
mod fetch;
mod pending;
mod queue;
mod stale;
mod subscriptions;
#[cfg(test)]
mod tests;

pub(crate) use pending::Pending;
pub(crate) use queue::{Next, Outgoing, Queue};
pub(crate) use subscriptions::{Held as HeldSubscription, Subscriptions};

use crate::grant::Permit;
use crate::identity::{ConnId, GroupNumber, SessionNumber, ShardId, Tenant, Time};
use crate::lazy::{Empty, Lazy};
use crate::limits::{Durability, QueueChoice};
use crate::message::Message;
use crate::record::StoredWill;
use crate::retained::Awaited;
use crate::seed::Seed;
use crate::slab::Slab;
use crate::timer::Deadline;
use crate::wait::Wait;
use hashbrown::HashTable;
use noctule_proto::PacketId;
use noctule_proto::delivery::{Receiver, Sender};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, LazyLock};

/// One client's session on its home shard. `[U5-4.1.0-1]`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) number: SessionNumber,
    pub(crate) tenant: Tenant,
    pub(crate) client_id: Box<str>,
    /// Connection it belongs to, from before CONNACK on.
    tied_to: Tie,
    /// How to reach the client: set while the connection is live.
    pub(crate) link: Option<Link>,
    pub(crate) expiry_secs: u32,
    /// What its acknowledgements wait for.
    pub(crate) durability: Durability,
    /// Since when it is away, or when the connection began.
    pub(crate) since: Time,
    pub(crate) timer: Deadline,
    pub(crate) subscriptions: Subscriptions,
    /// Messages that wait for room.
    pub(crate) queue: Queue,
    /// Bounds of those.
    pub(crate) queue_choice: QueueChoice,
    pub(crate) will: Option<Box<PendingWill>>,
    /// What its client may do, where anybody has rules.
    pub(crate) permit: Option<Box<Permit>>,
    /// What is under way. A session that is away has nothing of it as a rule.
    pub(crate) work: Lazy<Work>,
    /// The next packet identifier, while nothing is under way.
    next_id: Option<PacketId>,
}

/// What is under way between a session and its client.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Messages to the client that are sent and not settled; `None` of one that nobody can ask for
    /// again.
    pub(crate) sender: Sender<Option<Outgoing>>,
    /// Of those, the ones this connection has not been sent yet.
    pub(crate) resend: VecDeque<Again>,
    /// Of those, the ones that wait until it is stored that they are sent, in order: of QoS 2, and
    /// of QoS 1 behind them.
    pub(crate) unsent: VecDeque<(PacketId, Wait)>,
    /// The log was asked for messages and has not answered.
    pub(crate) fetching: bool,
    /// QoS 2 messages from the client that wait for PUBREL.
    pub(crate) receiver: Receiver<Arc<Message>>,
    /// Bytes of those.
    pub(crate) received_bytes: u64,
    /// Share groups that it unsubscribed from and whose home may not have heard of it, with the
    /// number of the fence that tells.
    pub(crate) leaving: Vec<(u64, GroupNumber)>,
    /// When the client last took or acknowledged something.
    pub(crate) last_progress: Time,
    /// Publishers not read because of this session, and their shards.
    pub(crate) holding: BTreeSet<(ShardId, SessionNumber)>,
    /// Since when it holds any.
    pub(crate) holding_since: Time,
    /// Retained messages that it is owed and was not sent yet.
    pub(crate) awaited: Option<Box<Awaited>>,
}

impl Empty for Work {
    fn empty() -> &'static Work {
        static EMPTY: LazyLock<Work> = LazyLock::new(Work::default);
        &EMPTY
    }
}

impl Work {
    /// Whether nothing of it is needed once the connection is gone.
    fn is_done(&self) -> bool {
        self.sender.is_empty()
            && self.unsent.is_empty()
            && self.receiver.is_empty()
            && self.leaving.is_empty()
            && self.holding.is_empty()
            && self.awaited.is_none()
    }
}

// A million of them are away at a time.
const _: () = assert!(size_of::<Session>() <= 120);

/// A message in flight that a connection has not been sent yet.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Again {
    pub(crate) id: PacketId,
    /// An earlier connection was sent it.
    pub(crate) dup: bool,
}

/// How to reach a live client, all that delivery needs to know.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) conn: ConnId,
    pub(crate) v5: bool,
    /// Topics are written in a way of the connection's own: by aliases, or without its mount point.
    pub(crate) own_topics: bool,
    /// Its socket takes no more.
    pub(crate) congested: bool,
    /// QoS 1 and 2 messages it takes unsettled.
    pub(crate) window: u16,
    /// Largest packet it takes, bytes.
    pub(crate) packet_size_max: u32,
}

/// A connection, or none, in the room of one: no connection has the greatest number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Tie(u32);

impl Tie {
    const NONE: Tie = Tie(u32::MAX);
}

/// The Will, armed while connected, pending afterwards.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PendingWill {
    pub(crate) will: StoredWill,
    /// When it is published, once the connection has ended.
    pub(crate) due: Option<Time>,
}

impl Session {
    /// Connection it belongs to, from before CONNACK on.
    pub(crate) fn conn(&self) -> Option<ConnId> {
        (self.tied_to != Tie::NONE).then_some(ConnId(self.tied_to.0))
    }

    pub(crate) fn is_persistent(&self) -> bool {
        self.expiry_secs > 0
    }

    /// Whether changes of it are recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.is_persistent() && self.number.is_recorded()
    }

    /// Whether a message of its own has to be kept once it is sent: it may be sent again, on
    /// another connection. A session that ends with its connection has no other.
    fn keeps_sent(&self) -> bool {
        self.is_persistent() || !self.work.unsent.is_empty()
    }

    /// Something is under way again: packet identifiers go on where they were, so that what was
    /// sent last is not mixed up with what is sent first.
    fn wake(&mut self) {
        if let Some(id) = self.next_id.take() {
            self.work.sender.go_on_from(id);
        }
    }

    /// Lets go of what a session that is away does not need.
    pub(crate) fn rest(&mut self) {
        self.queue.tidy();
        if self.work.is_done() {
            self.next_id = self.next_id.or(self.work.sender.next_id());
            self.work.drop_if(|_| true);
        }
    }

    /// Unsettled messages the client has been sent on this connection.
    pub(crate) fn in_window(&self) -> usize {
        self.work.sender.open() - self.work.resend.len()
    }

    /// Whether something waits for the client to take more.
    pub(crate) fn has_more(&self) -> bool {
        let work = &*self.work;
        !(self.queue.is_empty()
            && work.resend.is_empty()
            && work.unsent.is_empty()
            && work.holding.is_empty()
            && work.awaited.is_none())
    }

    /// Whether one more may be sent: there is room in the window, and a packet identifier. A
    /// client that settles all but one runs out of these: they lie in a ring behind the oldest.
    pub(crate) fn takes_another(&self, window: u16) -> bool {
        self.in_window() < usize::from(window) && !self.work.sender.is_full()
    }

    /// A message was settled; if it was still to be sent again, it is not.
    pub(crate) fn forget_resend(&mut self, id: PacketId) {
        if let Some(at) = self.work.resend.iter().position(|again| again.id == id) {
            self.work.resend.remove(at);
        }
    }
}

/// The sessions of a shard, by slot, by client id and by number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sessions {
    slots: Slab<Session>,
    seed: Seed,
    next: u64,
    #[serde(skip)]
    by_client: HashTable<u32>,
    #[serde(skip)]
    by_number: HashTable<u32>,
}

impl Sessions {
    pub(crate) fn new(seed: Seed) -> Sessions {
        Sessions {
            slots: Slab::new(),
            seed,
            next: 0,
            by_client: HashTable::new(),
            by_number: HashTable::new(),
        }
    }

    /// A number no session of this node ever had.
    pub(crate) fn next_number(
        &mut self,
        (me, shards): (ShardId, u16),
        recorded: bool,
    ) -> SessionNumber {
        self.next += 1;
        let number = self.next * u64::from(shards) + u64::from(me.0);
        SessionNumber(number << 1 | u64::from(recorded))
    }

    /// The greatest number that may have been given.
    pub(crate) fn given(&self, shards: u16) -> SessionNumber {
        SessionNumber(((self.next + 1) * u64::from(shards)) << 1)
    }

    /// Numbers up to this one are taken (by sessions of an earlier run).
    pub(crate) fn number_taken(&mut self, number: SessionNumber, shards: u16) {
        self.next = self.next.max((number.0 >> 1) / u64::from(shards) + 1);
    }

    pub(crate) fn insert(&mut self, session: Session) -> u32 {
        let (by_client, by_number) =
            (self.hash_client(session.tenant, &session.client_id), hash_number(session.number));
        let slot = self.slots.insert(session);
        self.link(slot, by_client, by_number);
        slot
    }

    fn link(&mut self, slot: u32, client: u64, number: u64) {
        let slots = &self.slots;
        let of = |slot: &u32| slots.get(*slot).expect("tables name live slots");
        self.by_client.insert_unique(client, slot, |slot| {
            let session = of(slot);
            self.seed.of((session.tenant, &*session.client_id))
        });
        self.by_number.insert_unique(number, slot, |slot| hash_number(of(slot).number));
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Session> {
        let session = self.slots.get(slot)?;
        let client = self.hash_client(session.tenant, &session.client_id);
        let number = hash_number(session.number);
        if let Ok(entry) = self.by_client.find_entry(client, |at| *at == slot) {
            entry.remove();
        }
        if let Ok(entry) = self.by_number.find_entry(number, |at| *at == slot) {
            entry.remove();
        }
        self.slots.remove(slot)
    }

    pub(crate) fn find(&self, tenant: Tenant, client_id: &str) -> Option<u32> {
        let hash = self.hash_client(tenant, client_id);
        self.by_client
            .find(hash, |slot| {
                let session = self.at(*slot);
                session.tenant == tenant && *session.client_id == *client_id
            })
            .copied()
    }

    /// Slot of a session; `None` if it ended: its number is void.
    pub(crate) fn slot_of(&self, number: SessionNumber) -> Option<u32> {
        self.by_number.find(hash_number(number), |slot| self.at(*slot).number == number).copied()
    }

    /// Whether a guessed slot is that of the session.
    pub(crate) fn is_at(&self, slot: u32, number: SessionNumber) -> bool {
        self.slots.get(slot).is_some_and(|session| session.number == number)
    }

    /// The session of a slot that a live connection, timer or table names.
    pub(crate) fn at(&self, slot: u32) -> &Session {
        self.slots.get(slot).expect("the slot is named by something alive")
    }

    /// The session of a slot, if one is there.
    pub(crate) fn get(&self, slot: u32) -> Option<&Session> {
        self.slots.get(slot)
    }

    /// The session of a slot, if one is still there.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.slots.get_mut(slot)
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Session {
        self.slots.get_mut(slot).expect("the slot is named by something alive")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Session)> {
        self.slots.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Session)> {
        self.slots.iter_mut()
    }

    /// One past the greatest slot ever used.
    pub(crate) fn slots_end(&self) -> u32 {
        self.slots.keys_end()
    }

    pub(crate) fn len(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Builds the tables anew after a thaw.
    pub(crate) fn relink(&mut self) {
        let all: Vec<(u32, u64, u64)> = self
            .slots
            .iter()
            .map(|(slot, session)| {
                let client = self.hash_client(session.tenant, &session.client_id);
                (slot, client, hash_number(session.number))
            })
            .collect();
        for (slot, client, number) in all {
            self.link(slot, client, number);
            let seed = self.seed.clone();
            self.at_mut(slot).subscriptions.relink(&seed);
        }
    }

    fn hash_client(&self, tenant: Tenant, client_id: &str) -> u64 {
        self.seed.of((tenant, client_id))
    }
}

/// Numbers are given by us, one after the other: spreading their bits is all they need.
fn hash_number(number: SessionNumber) -> u64 {
    let wide = u128::from(number.0).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    (wide >> 64) as u64 ^ wide as u64
}
