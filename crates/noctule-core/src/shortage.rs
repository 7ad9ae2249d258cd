//! Little memory is left: what is shed then, the mildest first. What was acknowledged never is.
//!
//! The server measures and tells the level ([`Memory`]); what a level means for clients is decided
//! here. `near`: what can be made again is given back. `tight`: nobody new, no new retained topics.
//! `full`: nothing that has to wait is taken, and who is furthest behind has to go.

use crate::broker::{Broker, Turn};
use crate::identity::{ConnId, SessionNumber, Tenant, Time};
use crate::index::Receiver;
use crate::input::Memory;
use crate::limits::Durability;
use crate::message::Message;
use crate::peer::{PeerMessage, Target};
use crate::publish::Refused;
use crate::route::LastRoute;
use crate::session::Session;
use crate::spare::Spares;
use crate::store_room::DISK_FULL;
use noctule_proto::packet::Publish;
use noctule_proto::{QoS, ReasonCode, TopicName, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a refusal for want of memory says.
pub(crate) const MEMORY_SHORT: &str = "the broker has little memory left";

/// The same of a message that was delivered.
pub(crate) const NOT_KEPT: &str = "delivered, but not retained: the broker has little memory left";

/// What whoever is furthest behind is told.
const TOO_FAR_BEHIND: &str = "the broker has no memory left for what waits for this client";

/// Bytes that the end of a slow consumer gives back at least.
const CUT_MIN: u64 = 16 * 1024;

/// Slow consumers that have to go at a time.
const CUT_MAX: usize = 32;

/// Milliseconds between two such times: what they held is only free once their sockets are closed.
const CUT_PAUSE_MILLIS: u64 = 500;

/// Milliseconds in which a client that has come for what waits may take it.
const GRACE_MILLIS: u64 = 2000;

/// Milliseconds after which publishers are read for a moment although memory is still full: they
/// are to be heard within their keep alive.
const HELD_MILLIS_MAX: u64 = 5000;

/// Bytes of QoS 2 messages that may wait for the PUBRELs of one client while memory is full.
const UNRELEASED_MAX: u64 = 64 * 1024;

/// Sessions that a search looks at for the price of a delivery.
const LOOKS: u32 = 64;

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shortage {
    level: Memory,
    /// Publishers that are not read while memory is full.
    held: BTreeSet<ConnId>,
    held_until: Time,
    /// Whose shard was told last to hold it, and when.
    told: Option<(SessionNumber, Time)>,
    /// When those who are furthest behind were last looked for.
    searched_at: Time,
}

/// A search for those who are furthest behind, as far as it has come.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Search {
    next: u32,
    /// Each with the bytes that its end gives back.
    found: BTreeSet<(u64, SessionNumber)>,
}

impl Shortage {
    pub(crate) fn is_tight(&self) -> bool {
        self.level >= Memory::Tight
    }

    pub(crate) fn is_full(&self) -> bool {
        self.level == Memory::Full
    }

    /// A connection is gone: it waits for nothing.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.held.remove(&conn);
    }

    /// The connections that are not read for want of memory: for `Broker::check`.
    pub(crate) fn held(&self) -> impl Iterator<Item = ConnId> {
        self.held.iter().copied()
    }

    /// How many bytes of a cache may be used, of so many.
    pub(crate) fn cache_bytes(&self, most: u32) -> usize {
        most as usize >> self.level as u8
    }

    /// How many bytes may wait for PUBRELs, of so many.
    pub(crate) fn unreleased_bytes(&self, most: u64) -> u64 {
        if self.is_full() { most.min(UNRELEASED_MAX) } else { most }
    }
}

impl Session {
    /// Whether a message of QoS 1 or 2 cannot be sent to it at once.
    fn has_to_wait(&self) -> bool {
        self.link.is_none_or(|link| {
            link.congested
                || !self.queue.is_empty()
                || !self.work.resend.is_empty()
                || !self.takes_another(link.window)
        })
    }

    /// Whether what waits for it lies in the log, but for a few messages.
    fn waits_in_log(&self, durability: Durability) -> bool {
        self.is_recorded() && durability != Durability::Memory
    }
}

impl Broker {
    /// How much memory is left, told whenever that changes, and now and then while it is full.
    pub(crate) fn memory_is(&mut self, turn: &mut Turn<'_>, level: Memory) {
        let before = std::mem::replace(&mut self.shortage.level, level);
        self.count_short();
        if level > before {
            self.give_back();
        }
        if level != Memory::Full || turn.now >= self.shortage.held_until {
            for conn in std::mem::take(&mut self.shortage.held) {
                self.release(turn, conn);
            }
        }
        let pause = turn.now.millis_since(self.shortage.searched_at);
        if level == Memory::Full && pause >= CUT_PAUSE_MILLIS {
            self.shortage.searched_at = turn.now;
            self.jobs.search_slowest();
        }
    }

    /// Whether anything is short: all that asks further is off the way of messages.
    pub(crate) fn count_short(&mut self) {
        self.short = self.store_room.is_full() || self.shortage.is_tight();
    }

    /// Lets go of what can be made again.
    fn give_back(&mut self) {
        self.routes.let_go();
        self.rights.let_go();
        self.spares = Spares::default();
        self.waits.let_go();
        self.scratch = String::new();
    }

    /// Whether another session may be made; one that exists is always carried on.
    pub(crate) fn room_for_session(
        &mut self,
        (tenant, client_id): (Tenant, &str),
    ) -> Result<(), &'static str> {
        let all_taken = self.sessions.len() >= self.limits.sessions_max;
        if !(all_taken || self.shortage.is_tight())
            || self.sessions.find(tenant, client_id).is_some()
        {
            return Ok(());
        }
        if all_taken {
            return Err("too many sessions");
        }
        self.counters.connects_short += 1;
        Err(MEMORY_SHORT)
    }

    /// Why a message is not taken while something is short, if it is not.
    #[cold]
    #[inline(never)]
    pub(crate) fn short_of_room(
        &mut self,
        turn: &Turn<'_>,
        conn: ConnId,
        (topic, publish): (TopicName<'_>, &Publish<'_>),
        durability: Durability,
    ) -> Option<Refused> {
        let connection = self.connections.get(conn)?;
        let (slot, v5) = (connection.session, connection.version == Version::V5);
        if self.is_full_for(durability) && self.is_to_be_kept(turn, slot, (topic, publish)) {
            return Some(Refused::Message(ReasonCode::QuotaExceeded, DISK_FULL));
        }
        if publish.qos == QoS::AtMostOnce || !self.shortage.is_tight() {
            return None;
        }
        let tenant = self.sessions.at(slot).tenant;
        if publish.retain && !publish.payload.is_empty() {
            let home = self.homes.of_topic(tenant, topic.as_str());
            let new = match home == self.me {
                true => self.retention.store.get(tenant, topic.as_str()).is_none(),
                // Its home says it of QoS 1 with the acknowledgement. A message of QoS 2 is kept
                // by then.
                false => self.shortage.is_full() && publish.qos == QoS::ExactlyOnce,
            };
            if new {
                return Some(Refused::Memory);
            }
        }
        // Before v5 nothing says no: the message is taken, and its publisher not read afterwards.
        let waits = v5
            && self.shortage.is_full()
            && self.would_wait(turn, (tenant, topic), (publish.qos, durability));
        waits.then_some(Refused::Memory)
    }

    /// Whether a message would take memory until a receiver at home here has it.
    fn would_wait(
        &mut self,
        turn: &Turn<'_>,
        (tenant, topic): (Tenant, TopicName<'_>),
        manner: (QoS, Durability),
    ) -> bool {
        let lent = self.route(turn, (tenant, topic.as_str()), &mut LastRoute::default());
        let waits = lent.route.here.iter().any(|target| self.would_wait_for(target, manner));
        self.route_back(lent);
        waits
    }

    fn would_wait_for(&self, target: &Target, (qos, durability): (QoS, Durability)) -> bool {
        match target.receiver {
            Receiver::Session(number) => {
                let tracked = qos.min(target.options.qos) != QoS::AtMostOnce;
                let slot = self.sessions.slot_of(number).filter(|_| tracked);
                slot.map(|slot| self.sessions.at(slot)).is_some_and(|session| {
                    session.has_to_wait() && !session.waits_in_log(durability)
                })
            }
            Receiver::Group(number) => self.groups.has_to_wait(number, qos),
        }
    }

    /// A message had to be put in a queue, in memory, while that is full: whoever published it is
    /// not read until there is room.
    #[cold]
    #[inline(never)]
    pub(crate) fn hold_back(&mut self, turn: &mut Turn<'_>, message: &Message) {
        let Some(publisher) = message.publisher else { return };
        // One message may have many such receivers.
        let told = Some((publisher, turn.now));
        if std::mem::replace(&mut self.shortage.told, told) != told {
            // Not by the number of its session, which may be of a run with other shards. A message
            // of such a run has nobody to be held.
            let home = message.id.arrived_at();
            if home.0 < self.homes.shards {
                self.tell(turn, home, PeerMessage::HoldBack { publisher });
            }
        }
    }

    /// The same for a session that is connected and waits for a message of this durability.
    pub(crate) fn hold_back_for(&mut self, turn: &mut Turn<'_>, slot: u32, message: &Message) {
        if !self.sessions.at(slot).waits_in_log(message.durability) {
            self.hold_back(turn, message);
        }
    }

    /// A publisher of this shard is to be held. One that is behind itself goes on being read: its
    /// acknowledgements make room, and if they do not, it has to go.
    pub(crate) fn held_back(&mut self, turn: &mut Turn<'_>, publisher: SessionNumber) {
        let Some(slot) = self.sessions.slot_of(publisher) else { return };
        let session = self.sessions.at(slot);
        let Some(conn) = session.conn().filter(|_| !session.has_to_wait()) else { return };
        if !self.shortage.is_full() || !self.shortage.held.insert(conn) {
            return;
        }
        if self.shortage.held.len() == 1 {
            self.shortage.held_until = turn.now.plus_millis(HELD_MILLIS_MAX);
        }
        self.counters.publishers_held_back += 1;
        self.hold(turn, conn);
    }

    /// Goes on with the search for those who are furthest behind; whether it is done.
    pub(crate) fn run_search(&mut self, turn: &mut Turn<'_>, search: &mut Search) -> bool {
        let end = self.sessions.slots_end().min(search.next.saturating_add(LOOKS));
        for slot in search.next..end {
            let Some(session) = self.sessions.get(slot) else { continue };
            let bytes = self.gives_back(turn, session);
            if bytes < CUT_MIN {
                continue;
            }
            search.found.insert((bytes, session.number));
            if search.found.len() > CUT_MAX {
                search.found.pop_first();
            }
        }
        search.next = end;
        if end < self.sessions.slots_end() {
            return false;
        }
        for (_, number) in std::mem::take(&mut search.found) {
            let slot = self.sessions.slot_of(number).filter(|_| self.shortage.is_full());
            if let Some(conn) = slot.and_then(|slot| self.sessions.at(slot).conn()) {
                self.counters.slow_consumers_ended += 1;
                self.end(turn, conn, ReasonCode::QuotaExceeded, TOO_FAR_BEHIND);
            }
        }
        true
    }

    /// Bytes, about, that the end of a session's connection gives back: what waits for its socket,
    /// and its queue, if that ends with it.
    fn gives_back(&self, turn: &Turn<'_>, session: &Session) -> u64 {
        let Some(link) = session.link else { return 0 };
        if turn.now.millis_since(session.since) < GRACE_MILLIS {
            return 0;
        }
        let socket = if link.congested { u64::from(self.limits.backlog_high) } else { 0 };
        let queue = if session.is_persistent() { 0 } else { session.queue.bytes() };
        socket + queue
    }
}
