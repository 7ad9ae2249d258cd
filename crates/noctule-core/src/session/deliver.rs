//! A message reaches a session: sent at once, queued, or withheld for a stated reason.

use super::{Again, Next, Outgoing, Session};
use crate::broker::{Broker, Turn};
use crate::identity::{ConnId, GroupNumber};
use crate::index::Receiver;
use crate::limits::Durability;
use crate::message::Message;
use crate::mount;
use crate::outbound::{Form, Outbound, Unsent};
use crate::output::Event;
use crate::peer::{PeerMessage, Target};
use crate::record::{Body, Manner, Record};
use crate::rights::Asked;
use crate::verdict::Verdict;
use crate::wait::Wait;
use noctule_proto::delivery::Entry;
use noctule_proto::{PacketId, QoS};
use std::sync::Arc;

/// What became of a message for one receiver, and whether that one is behind.
pub(crate) struct Given {
    fate: Fate,
    behind: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Sent,
    Queued,
    Withheld,
}

/// What became of an attempt to send.
enum Sent {
    Yes,
    /// Too large for the client: counted as delivered `[MQTT-3.1.2-25 v5]`, for a share group as
    /// well `[U5-3.1.2-5]`. The same for what lies outside of its mount point: its session has
    /// subscribed to it, or was owed it, at another listener.
    Never,
}

impl Broker {
    /// Gives a message to a session by one matching subscription; says whether the session is
    /// behind. `sole`: it goes to nobody else, or to nobody who keeps up.
    /// [MQTT-3.3.4-2 v5], [MQTT-3.3.4-3 v5], [MQTT-3.3.4-4 v5], [MQTT-3.3.4-5 v5],
    /// [MQTT-3.3.5-1 v3.1.1].
    pub(crate) fn deliver(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        (outbound, sole): (&mut Outbound<'_>, bool),
        target: &Target,
    ) -> bool {
        self.deliver_if(turn, slot, (outbound, sole), (target, false))
    }

    /// The same for a session that is known to be allowed to receive the topic.
    pub(crate) fn deliver_permitted(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        (outbound, sole): (&mut Outbound<'_>, bool),
        target: &Target,
    ) -> bool {
        self.deliver_if(turn, slot, (outbound, sole), (target, true))
    }

    #[inline(always)]
    fn deliver_if(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        (outbound, sole): (&mut Outbound<'_>, bool),
        (target, permitted): (&Target, bool),
    ) -> bool {
        let session = self.sessions.at(slot);
        let left = |group| session.work.leaving.iter().any(|(_, left)| Some(*left) == group);
        if !session.work.leaving.is_empty() && left(target.group) {
            return false;
        }
        // [MQTT-3.8.3-3 v5]
        if target.options.no_local && outbound.publisher == Some(session.number) {
            self.counters.verdict(Verdict::NoLocal);
            return false;
        }
        let awaits_retained = session.work.awaited.is_some();
        // Not before: what came for a member that left is the group's still.
        let asked = Asked { topic: outbound.topic.as_str(), hash: &mut outbound.topic_hash };
        if !permitted && !self.may_receive(slot, asked) {
            self.withhold(turn, slot, outbound, target);
            return false;
        }
        // [V31-2.1-3], [MQTT-3.3.1-12 v5], [MQTT-3.3.1-13 v5], [MQTT-3.3.1-9 v3.1.1]
        let retain = outbound.retain && target.options.retain_as_published;
        // [V31-3.3-4], [MQTT-3.8.4-8 v5], [MQTT-3.8.4-6 v3.1.1]
        let qos = outbound.qos.min(target.options.qos);
        let form = (qos, retain, target.subscription_id);
        let given = self.deliver_as(turn, slot, (outbound, sole), (form, target.group));
        // What waits and may yet turn out too late, or too large, does not stand in for a retained
        // message.
        let certain = match given.fate {
            Fate::Sent => true,
            Fate::Queued => outbound.expires_at.is_none() && self.fits(slot, outbound),
            Fate::Withheld => false,
        };
        if awaits_retained && certain {
            self.seen_live(slot, outbound.topic.as_str(), outbound.id);
        }
        given.behind
    }

    /// A message is not for this session: it is as if it had not been given to it.
    fn withhold(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        outbound: &mut Outbound<'_>,
        target: &Target,
    ) {
        self.counters.verdict(Verdict::ReceiverNotAuthorized);
        let qos = outbound.qos.min(target.options.qos);
        if qos != QoS::AtMostOnce {
            let retain = outbound.retain && target.options.retain_as_published;
            let (message, subscription_id) = (outbound.shared().into(), target.subscription_id);
            let out = Outgoing { message, subscription_id, qos, retain, group: target.group };
            self.settled(turn, slot, &out);
        }
    }

    /// Whether a message is certainly not too large for the client.
    fn fits(&self, slot: u32, outbound: &Outbound<'_>) -> bool {
        let link = self.sessions.at(slot).link;
        link.is_none_or(|link| outbound.size_bound() <= link.packet_size_max as usize)
    }

    /// The same with everything about the delivery decided.
    pub(crate) fn deliver_as(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        (outbound, sole): (&mut Outbound<'_>, bool),
        ((qos, retain, subscription_id), group): ((QoS, bool, u32), Option<GroupNumber>),
    ) -> Given {
        // [MQTT-3.3.2-5 v5]
        if outbound.expires_at.is_some_and(|at| at <= turn.now) {
            self.counters.verdict(Verdict::Expired);
            if qos != QoS::AtMostOnce {
                let message = outbound.shared().into();
                let out = Outgoing { message, subscription_id, qos, retain, group };
                self.settled(turn, slot, &out);
            }
            return Given { fate: Fate::Withheld, behind: false };
        }
        let session = self.sessions.at(slot);
        let behind = session.link.is_some_and(|link| link.congested) || !session.queue.is_empty();
        if qos == QoS::AtMostOnce {
            let waiting = session.queue.has_qos0();
            let form = Form::first((qos, retain, subscription_id));
            let out = |outbound: &mut Outbound<'_>| {
                let message = outbound.shared().into();
                Outgoing { message, subscription_id, qos, retain, group }
            };
            let fate = match session.link {
                // What waits goes first: order.
                Some(link) if !link.congested && !waiting => {
                    match self.send_publish(turn, slot, outbound, (form, None)) {
                        Sent::Yes => Fate::Sent,
                        Sent::Never => Fate::Withheld,
                    }
                }
                // While its publisher is being held, what was under way is not lost.
                _ if self.has_no_memory_for_qos0(session) => {
                    self.counters.verdict(Verdict::MemoryShort);
                    Fate::Withheld
                }
                Some(link) if !link.congested || (sole && !self.stalled(slot, turn)) => {
                    let out = out(outbound);
                    self.enqueue(turn, slot, out)
                }
                None if self.limits.queue_of(session.queue_choice).qos0 => {
                    let out = out(outbound);
                    self.enqueue(turn, slot, out)
                }
                Some(_) => {
                    self.counters.verdict(Verdict::SlowReceiver);
                    Fate::Withheld
                }
                None => {
                    self.counters.verdict(Verdict::Offline);
                    Fate::Withheld
                }
            };
            return Given { fate, behind };
        }
        let room =
            session.link.is_some_and(|link| !link.congested && session.takes_another(link.window));
        let first = room && session.queue.is_empty() && session.work.resend.is_empty();
        let keeps_sent = group.is_some() || session.keeps_sent();
        let manner = Manner { qos, retain, subscription_id };
        if group.is_none() && self.leave_at_once(slot, outbound, manner) {
            return Given { fate: Fate::Queued, behind };
        }
        if first && !keeps_sent {
            let fate = self.start_and_forget(turn, slot, outbound, manner);
            return Given { fate, behind };
        }
        let message = outbound.shared().into();
        let out = Outgoing { message, subscription_id, qos, retain, group };
        let fate = if first {
            self.start(turn, slot, outbound, out)
        } else {
            self.enqueue(turn, slot, out)
        };
        Given { fate, behind }
    }

    /// Sends a QoS 1 or 2 message for the first and only time: its receiver keeps up, and no other
    /// connection will go on where this one ends. Nothing is kept but the packet identifier.
    fn start_and_forget(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        outbound: &mut Outbound<'_>,
        Manner { qos, retain, subscription_id }: Manner,
    ) -> Fate {
        let Some(id) = self.sessions.at_mut(slot).work.sender.start(qos, None) else {
            // The caller has asked `takes_another`; should one not, the message waits.
            let message = outbound.shared().into();
            let out = Outgoing { message, subscription_id, qos, retain, group: None };
            return self.enqueue(turn, slot, out);
        };
        self.counters.inflight_now += 1;
        let form = Form::first((qos, retain, subscription_id));
        match self.send_publish(turn, slot, outbound, (form, Some(id))) {
            Sent::Yes => Fate::Sent,
            Sent::Never => {
                self.sessions.at_mut(slot).work.sender.remove(id);
                self.counters.inflight_now -= 1;
                Fate::Withheld
            }
        }
    }

    /// Sends a QoS 1 or 2 message for the first time.
    /// [MQTT-2.2.1-4 v5], [MQTT-4.3.2-2 v5],
    /// [MQTT-4.3.3-2 v5], [MQTT-3.3.4-9 v5]
    /// [MQTT-2.3.1-4 v3.1.1].
    fn start(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        outbound: &mut Outbound<'_>,
        out: Outgoing,
    ) -> Fate {
        let form = Form::first((out.qos, out.retain, out.subscription_id));
        let session = self.sessions.at_mut(slot);
        let Some(id) = session.work.sender.start(out.qos, Some(out.clone())) else {
            // The callers have asked `takes_another`; should one not, the message waits.
            return self.enqueue(turn, slot, out);
        };
        self.counters.inflight_now += 1;
        if self.is_recorded_as_sent(slot, &out) {
            self.send_once_stored(turn, slot, (out, id));
            return Fate::Queued;
        }
        // What is sent again keeps the order of the first sending. [MQTT-4.6.0-1 v5]
        let unsent = &mut self.sessions.at_mut(slot).work.unsent;
        if !unsent.is_empty() {
            unsent.push_back((id, Wait::default()));
            return Fate::Queued;
        }
        match self.send_publish(turn, slot, outbound, (form, Some(id))) {
            Sent::Yes => Fate::Sent,
            Sent::Never => {
                self.never_sent(turn, slot, (id, &out));
                Fate::Withheld
            }
        }
    }

    /// A message of QoS 2 leaves once it is stored under which packet identifier: were that
    /// forgotten, the client would take the same message under another one for a new one.
    /// `[MQTT-4.3.3-2 v5]`
    fn send_once_stored(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        (out, id): (Outgoing, PacketId),
    ) {
        let session = self.sessions.at(slot);
        let (session, durability) = (session.number, session.durability);
        if let Some(group) = out.group {
            self.take_from_group(turn, (session, group), &out);
        }
        let record = match out.message.is_recorded() {
            true => Record::Sent { session, manner: out.manner(), message: out.message, id },
            // If the message is forgotten, the client may have it.
            false => Record::Released { session, id },
        };
        let wait = self.record(turn, record, durability);
        self.sessions.at_mut(slot).work.unsent.push_back((id, wait));
        self.waits.unsent(slot);
    }

    /// Sends what waited until it was stored that it is sent.
    fn send_unsent(&mut self, turn: &mut Turn<'_>, slot: u32) {
        loop {
            let Some(session) = self.sessions.get_mut(slot) else { return };
            let Some((id, wait)) = session.work.unsent.front() else { return };
            let Some(link) = session.link else { return };
            if link.congested || !session.work.resend.is_empty() {
                return;
            }
            if !self.waits.over(wait) {
                self.waits.unsent(slot);
                return;
            }
            let id = *id;
            session.work.unsent.pop_front();
            let entry = session.work.sender.entry(id);
            let Some(Entry::AtLeastOnce(Some(out)) | Entry::ExactlyOnce(Some(out))) = entry else {
                continue;
            };
            let out = out.clone();
            let Body::Here(message) = &out.message else { continue };
            if let Some(verdict) = self.too_late(turn, slot, message) {
                self.counters.verdict(verdict);
                self.never_sent(turn, slot, (id, &out));
                continue;
            }
            let mut outbound = Outbound::of_message(message);
            let form = Form::first((out.qos, out.retain, out.subscription_id));
            if let Sent::Never = self.send_publish(turn, slot, &mut outbound, (form, Some(id))) {
                self.never_sent(turn, slot, (id, &out));
            }
        }
    }

    /// A message in flight is too large for the client, or too late.
    fn never_sent(&mut self, turn: &mut Turn<'_>, slot: u32, (id, out): (PacketId, &Outgoing)) {
        self.sessions.at_mut(slot).work.sender.remove(id);
        self.counters.inflight_now -= 1;
        self.ended_in_flight(turn, slot, (id, out));
    }

    /// Writes a PUBLISH for a session that is connected; `form` is for its version to complete.
    /// [MQTT-3.3.1-3 v5], [MQTT-3.3.2-3 v5], [MQTT-3.3.1-3 v3.1.1], [MQTT-3.3.2-3 v3.1.1].
    fn send_publish(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        outbound: &mut Outbound<'_>,
        (form, id): (Form, Option<PacketId>),
    ) -> Sent {
        let session = self.sessions.at(slot);
        let Some(link) = session.link else { return Sent::Yes };
        let to = (link.conn, link.packet_size_max);
        let subscription_id = if link.v5 { form.subscription_id } else { 0 };
        let form = Form { v5: link.v5, subscription_id, ..form };
        let sent = match link.own_topics {
            false => outbound.send(turn, to, form, id),
            true => self.send_in_own_words(turn, outbound, to, (form, id)),
        };
        match sent {
            Ok(size) => {
                self.counters.packets_sent += 1;
                self.counters.publishes_sent += 1;
                self.counters.bytes_sent += u64::from(size);
                self.counters.publish_bytes_sent += outbound.payload.len() as u64;
                Sent::Yes
            }
            Err(unsent) => {
                self.counters.verdict(match unsent {
                    Unsent::TooLarge => Verdict::TooLarge,
                    Unsent::Outside => Verdict::OutsideMount,
                });
                Sent::Never
            }
        }
    }

    /// The same for a connection with topic aliases, or with a mount point.
    fn send_in_own_words(
        &mut self,
        turn: &mut Turn<'_>,
        outbound: &mut Outbound<'_>,
        to: (ConnId, u32),
        (form, id): (Form, Option<PacketId>),
    ) -> Result<u32, Unsent> {
        let connection = self.connections.get_mut(to.0);
        let Some(connection) = connection else { return outbound.send(turn, to, form, id) };
        let cut = mount::cut(connection.mount_point(), outbound.topic).ok_or(Unsent::Outside)?;
        let form = Form { cut, ..form };
        let Some(extras) = &mut connection.v5 else { return outbound.send(turn, to, form, id) };
        let Some(chosen) = extras.aliases.choose(outbound.topic_without(cut).as_str()) else {
            return outbound.send(turn, to, form, id);
        };
        let sent = outbound.send_aliased(turn, to, (form, chosen.alias, chosen.known), id);
        self.counters.aliases_replaced += u64::from(chosen.replaced);
        if sent.is_err() && !chosen.known {
            // Perhaps it was the alias that made it too large. [MQTT-3.1.2-25 v5]
            extras.aliases.unlearn(chosen.alias);
            return outbound.send(turn, to, form, id);
        }
        sent
    }

    /// Leaves a message for a session that is away to the log, where it is by the end of the turn.
    /// `false`: it will not be there, or has to wait for others, or for room.
    fn leave_at_once(&mut self, slot: u32, outbound: &mut Outbound<'_>, manner: Manner) -> bool {
        let session = self.sessions.at_mut(slot);
        if session.link.is_some()
            || !session.is_recorded()
            || outbound.durability == Durability::Memory
        {
            return false;
        }
        let message = outbound.message();
        let cost = message.cost() as u64;
        let limits = self.limits.queue_of(session.queue_choice);
        if self.counters.queues_full(cost, &self.limits)
            || !session.queue.push_cold(message, manner, (limits, &mut self.pending))
        {
            return false;
        }
        self.counters.queued_now += 1;
        self.counters.queued_bytes_now += cost;
        if session.queue.list() {
            self.relieved_next.push(slot);
        }
        true
    }

    /// Whether a message of QoS 0 that would wait, if it has to, is dropped for want of memory.
    fn has_no_memory_for_qos0(&self, session: &Session) -> bool {
        let queues = || self.limits.queue_of(session.queue_choice).qos0;
        self.shortage.is_full() && (session.link.is_some() || queues())
    }

    /// Puts a message in the queue; what the queue cannot hold is dropped as configured.
    /// [V31-3.1-7], [MQTT-3.1.2-5 v3.1.1].
    fn enqueue(&mut self, turn: &mut Turn<'_>, slot: u32, out: Outgoing) -> Fate {
        let mut fate = Fate::Queued;
        self.drop_stale(turn, slot, out.message.cost());
        let session = self.sessions.at_mut(slot);
        let before = (session.queue.len() as u64, session.queue.bytes());
        if session.link.is_some() && session.queue.is_empty() {
            // Something waits from now on: before, there was nothing to be slow with.
            session.work.last_progress = turn.now;
        }
        if self.counters.queues_full(out.message.cost(), &self.limits) {
            self.counters.verdict(Verdict::QueuesFull);
            self.settled(turn, slot, &out);
            return Fate::Withheld;
        }
        if self.shortage.is_full()
            && let Body::Here(message) = &out.message
        {
            let message = Arc::clone(message);
            self.hold_back_for(turn, slot, &message);
        }
        let session = self.sessions.at_mut(slot);
        session.queue.recall(&mut self.pending);
        let limits = self.limits.queue_of(session.queue_choice);
        let dropped = session.queue.push(out, limits, &mut self.spares);
        let after = (session.queue.len() as u64, session.queue.bytes());
        self.counters.queued_now = self.counters.queued_now + after.0 - before.0;
        self.counters.queued_bytes_now = self.counters.queued_bytes_now + after.1 - before.1;
        for lost in dropped {
            if lost.verdict == Verdict::QueueFullNewest {
                fate = Fate::Withheld;
            }
            self.counters.verdict(lost.verdict);
            if lost.first {
                turn.out.events.push(Event::QueueOverflow {
                    client_id: self.sessions.at(slot).client_id.clone(),
                    messages: after.0,
                });
            }
            self.settled(turn, slot, &lost.outgoing);
        }
        self.relieve(slot);
        fate
    }

    /// Sends what waits, as far as there is room: first what an earlier connection left open, then
    /// the queue, in order. [MQTT-4.6.0-5 v5], [MQTT-4.9.0-2 v5]
    /// [V31-4.3-1],
    /// [MQTT-3.3.4-10 v5], [MQTT-4.6.0-6 v5], [MQTT-4.9.0-3 v5], [MQTT-4.6.0-5 v3.1.1],
    /// [MQTT-4.6.0-6 v3.1.1].
    pub(crate) fn pump(&mut self, turn: &mut Turn<'_>, slot: u32) {
        // A client that keeps up has nothing here, and comes with every acknowledgement.
        if !self.sessions.at(slot).has_more() {
            return;
        }
        self.pump_resend(turn, slot);
        self.send_unsent(turn, slot);
        loop {
            let session = self.sessions.at_mut(slot);
            let Some(link) = session.link else { break };
            let Some(Next::Here(front)) = session.queue.front() else { break };
            let tracked = front.is_tracked();
            let Body::Here(message) = &front.message else { break };
            let message = Arc::clone(message);
            let full = !session.takes_another(link.window);
            if link.congested || !session.work.resend.is_empty() || (tracked && full) {
                break;
            }
            let Some(out) = session.queue.pop() else { break };
            self.counters.queued_now -= 1;
            self.counters.queued_bytes_now -= out.message.cost();
            if let Some(verdict) = self.too_late(turn, slot, &message) {
                self.counters.verdict(verdict);
                self.settled(turn, slot, &out);
                continue;
            }
            let mut outbound = Outbound::of_message(&message);
            if tracked {
                self.start(turn, slot, &mut outbound, out);
            } else {
                let form = Form::first((out.qos, out.retain, out.subscription_id));
                self.send_publish(turn, slot, &mut outbound, (form, None));
            }
        }
        self.fetch(turn, slot);
        self.release_if_caught_up(turn, slot);
        self.ask_on(turn, slot);
    }

    /// Why a message that waited is not sent any more. `[MQTT-3.3.2-5 v5]`
    pub(super) fn too_late(
        &mut self,
        turn: &Turn<'_>,
        slot: u32,
        message: &Message,
    ) -> Option<Verdict> {
        if message.expired(turn.now) {
            return Some(Verdict::Expired);
        }
        // It may have lost the right since, or nobody knew who it is.
        if !self.may_receive(slot, Asked { topic: message.topic(), hash: &mut None }) {
            return Some(Verdict::ReceiverNotAuthorized);
        }
        let age_max =
            u64::from(self.limits.queue_of(self.sessions.at(slot).queue_choice).age_secs_max);
        let old = age_max > 0 && turn.now > message.id.made_at().plus_secs(age_max);
        old.then_some(Verdict::TooOld)
    }

    /// [V31-4.2-1], [MQTT-4.4.0-1 v5], [MQTT-4.4.0-1 v3.1.1], [MQTT-3.3.1-1 v5], [MQTT-4.3.3-6 v5]
    /// [MQTT-4.3.3-7 v5], [MQTT-4.8.2-4 v5], [MQTT-3.3.1-1 v3.1.1], [U5-3.8.4-2].
    fn pump_resend(&mut self, turn: &mut Turn<'_>, slot: u32) {
        loop {
            let session = self.sessions.at_mut(slot);
            let Some(link) = session.link else { return };
            if link.congested || session.in_window() >= usize::from(link.window) {
                return;
            }
            let Some(Again { id, dup }) = session.work.resend.front().copied() else { return };
            let again = match session.work.sender.entry(id) {
                Some(Entry::AtLeastOnce(Some(out)) | Entry::ExactlyOnce(Some(out))) => {
                    match &out.message {
                        Body::Here(message) => Some((Arc::clone(message), out.clone())),
                        Body::Stored(_) => return,
                    }
                }
                Some(Entry::Released) => None,
                // Acknowledged although this connection had not been sent it: settled.
                Some(_) | None => {
                    session.work.resend.pop_front();
                    continue;
                }
            };
            session.work.resend.pop_front();
            let Some((message, out)) = again else {
                let why = (id, noctule_proto::ReasonCode::Success, None);
                self.send_ack(turn, link.conn, crate::wait::AckKind::PubRel, why);
                continue;
            };
            let first = Form::first((out.qos, out.retain, out.subscription_id));
            let form = Form { dup, ..first };
            if !dup && let Some(verdict) = self.too_late(turn, slot, &message) {
                self.counters.verdict(verdict);
                self.never_sent(turn, slot, (id, &out));
                continue;
            }
            self.counters.publishes_resent += u64::from(dup);
            let mut outbound = Outbound::of_message(&message);
            if let Sent::Never = self.send_publish(turn, slot, &mut outbound, (form, Some(id))) {
                self.never_sent(turn, slot, (id, &out));
            }
        }
    }

    /// A session's connection is live again (or for the first time).
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let now = turn.now;
        let session = self.sessions.at_mut(slot);
        session.work.last_progress = now;
        let unsent = std::mem::take(&mut session.work.unsent);
        let dup = |id| unsent.iter().all(|(fresh, _)| *fresh != id);
        session.work.resend =
            session.work.sender.iter().map(|(id, _)| Again { id, dup: dup(id) }).collect();
        self.tell_presence(turn, slot);
        self.pump(turn, slot);
    }

    /// A message is off the session's books, in flight with QoS 1 or never sent: tell the record
    /// and the share group, whose it is until it is recorded as sent.
    pub(crate) fn settled(&mut self, turn: &mut Turn<'_>, slot: u32, out: &Outgoing) {
        let session = self.sessions.at(slot);
        let own = session.is_recorded().then_some(Receiver::Session(session.number));
        let receiver = out.group.map(Receiver::Group).or(own);
        if let Some(receiver) = receiver.filter(|_| out.is_tracked()) {
            let manner = out.group.is_none().then(|| out.manner());
            self.note_settled(turn, receiver, &out.message, manner);
        }
        self.settle_group(turn, slot, out.group, &out.message);
    }

    /// A message in flight is off the session's books. One that is recorded as sent is known by its
    /// packet identifier: several copies of a message may be in flight.
    pub(crate) fn ended_in_flight(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        (id, out): (PacketId, &Outgoing),
    ) {
        if self.is_recorded_as_sent(slot, out) {
            self.note_completed(turn, slot, id);
            self.settle_group(turn, slot, out.group, &out.message);
        } else {
            self.settled(turn, slot, out);
        }
    }

    /// The client has taken a message of QoS 2 over: only its packet identifier is left.
    pub(crate) fn taken_over(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        (id, out): (PacketId, &Outgoing),
    ) -> Wait {
        let wait = self.note_released(turn, slot, id);
        if self.is_recorded_as_sent(slot, out) {
            self.settle_group(turn, slot, out.group, &out.message);
        } else {
            self.settled(turn, slot, out);
        }
        wait
    }

    fn is_recorded_as_sent(&self, slot: u32, out: &Outgoing) -> bool {
        self.sessions.at(slot).is_recorded() && out.qos == QoS::ExactlyOnce
    }

    /// A message is nobody's business any more.
    pub(crate) fn note_settled(
        &mut self,
        turn: &mut Turn<'_>,
        receiver: Receiver,
        body: &Body,
        manner: Option<Manner>,
    ) {
        if body.is_recorded() {
            self.note(turn, Record::Settled { receiver, message: body.clone(), manner });
        }
    }

    fn settle_group(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        group: Option<GroupNumber>,
        message: &Body,
    ) {
        if let Some(group) = group {
            let session = self.sessions.at(slot).number;
            let home = self.group_home(group);
            let message = message.clone();
            self.tell(turn, home, PeerMessage::ShareSettled { group, session, message });
        }
    }
}
