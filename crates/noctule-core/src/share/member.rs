//! The member side of share groups: what a session tells the homes of its groups.

use crate::broker::{Broker, Turn};
use crate::identity::{GroupNumber, SessionNumber, ShardId};
use crate::index::Receiver;
use crate::job::Ending;
use crate::peer::{PeerMessage, ShareJoin};
use crate::record::{Body, Receipt, Receivers, Record};
use crate::session::{Outgoing, Session};
use crate::wait::Wait;
use noctule_proto::delivery::Entry;
use noctule_proto::{PacketId, QoS};
use std::collections::{BTreeMap, BTreeSet};

/// Groups that the end of a session leaves at once; more are a job.
const LEFT_AT_ONCE: usize = 256;

impl Broker {
    /// Asks a group's home to take a session in.
    pub(crate) fn join_group(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        (name, filter): (&str, &str),
        request: u64,
    ) {
        let session = self.sessions.at(slot);
        let whole = format!("$share/{name}/{filter}");
        let Some(held) = session.subscriptions.get(&whole) else { return };
        let join = ShareJoin {
            tenant: session.tenant,
            name: name.into(),
            filter: filter.into(),
            session: session.number,
            options: held.options,
            subscription_id: held.id,
            window: session.link.map_or(0, |link| u32::from(link.window)),
            request,
        };
        let home = self.homes.of_group(session.tenant, name, filter);
        self.tell(turn, home, PeerMessage::ShareJoin(join));
    }

    /// A group's home has taken a session in.
    pub(crate) fn share_joined(
        &mut self,
        turn: &mut Turn<'_>,
        (session, group): (SessionNumber, GroupNumber),
        (request, filter): (u64, &str),
    ) {
        let slot = self.sessions.slot_of(session);
        let held = slot.and_then(|slot| self.sessions.at_mut(slot).subscriptions.get_mut(filter));
        let Some(held) = held else {
            // It ended or unsubscribed while it was joining. Nothing was handed to it before this
            // answer; what comes behind it is refused.
            match slot {
                Some(slot) => {
                    let group = BTreeSet::from([group]);
                    self.leave_groups(turn, slot, &group, &mut Wait::default());
                }
                None => {
                    let (home, keep) = (self.group_home(group), Vec::new());
                    self.tell(turn, home, PeerMessage::ShareLeave { group, session, keep });
                }
            }
            return;
        };
        held.group = Some(group);
        if let Some(slot) = slot {
            // It may have come or gone while it was joining, when nobody knew the group to tell.
            let window = self.sessions.at(slot).link.map_or(0, |link| u32::from(link.window));
            let message = PeerMessage::SharePresence { group, session, window };
            let home = self.group_home(group);
            self.tell(turn, home, message);
        }
        if let Some(conn) = slot.and_then(|slot| self.sessions.at(slot).conn()) {
            self.join_answered(turn, conn, request);
        }
    }

    /// Tells all groups of a session how much it takes now: 0 while it is away.
    pub(crate) fn tell_presence(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let session = self.sessions.at(slot);
        let number = session.number;
        let window = session.link.map_or(0, |link| u32::from(link.window));
        let groups: Vec<GroupNumber> =
            session.subscriptions.iter().filter_map(|held| held.group).collect();
        for group in groups {
            let message = PeerMessage::SharePresence { group, session: number, window };
            let home = self.group_home(group);
            self.tell(turn, home, message);
        }
    }

    /// A session unsubscribes: what it was sent it still settles, what waits for it goes to other
    /// members. Groups of other shards may have picked this session for messages that are on their
    /// way: they are refused here, and go to other members. The UNSUBACK waits until no more can
    /// come. [MQTT-3.10.4-2 v5], [MQTT-3.10.4-2 v3.1.1], [MQTT-3.10.4-3 v5]
    pub(crate) fn leave_groups(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        groups: &BTreeSet<GroupNumber>,
        wait: &mut Wait,
    ) {
        if groups.is_empty() {
            return;
        }
        let session = self.sessions.at_mut(slot);
        let before = (session.queue.len() as u64, session.queue.bytes());
        session.queue.retain(|out| out.group.is_none_or(|group| !groups.contains(&group)));
        let after = (session.queue.len() as u64, session.queue.bytes());
        let number = session.number;
        let mut open = open_by_group(session, |_| true);
        self.counters.queued_now -= before.0 - after.0;
        self.counters.queued_bytes_now -= before.1 - after.1;
        for &group in groups {
            let home = self.group_home(group);
            let keep = open.remove(&group).unwrap_or_default();
            self.keep_of_group(turn, slot, group);
            self.tell(turn, home, PeerMessage::ShareLeave { group, session: number, keep });
            if home != self.me {
                self.fence(turn, home, number, wait);
                self.sessions.at_mut(slot).work.leaving.push((wait.request, group));
            }
        }
    }

    /// What a session has in flight of a group that it leaves is its own from here on, after a
    /// restart as well.
    fn keep_of_group(&mut self, turn: &mut Turn<'_>, slot: u32, group: GroupNumber) {
        let session = self.sessions.at_mut(slot);
        if !session.is_recorded() {
            return;
        }
        let number = session.number;
        let sent: Vec<PacketId> = session.work.sender.iter().map(|(id, _)| id).collect();
        for id in sent {
            let sender = &mut self.sessions.at_mut(slot).work.sender;
            let out = sender.message_mut(id).and_then(Option::as_mut);
            let Some(out) = out.filter(|out| out.group == Some(group)) else { continue };
            out.group = None;
            let out = out.clone();
            // What is sent with QoS 2 was recorded as the session's when it was sent.
            if out.qos == QoS::AtLeastOnce {
                self.take_from_group(turn, (number, group), &out);
            }
        }
    }

    /// A message of a group is recorded as that of a session, and of nobody else.
    pub(crate) fn take_from_group(
        &mut self,
        turn: &mut Turn<'_>,
        (session, group): (SessionNumber, GroupNumber),
        out: &Outgoing,
    ) {
        if out.message.is_recorded() {
            let receiver = Receiver::Session(session);
            let Outgoing { qos, retain, subscription_id, .. } = *out;
            let receivers = Receivers::One(Receipt { receiver, qos, retain, subscription_id });
            let message = out.message.clone();
            self.note(turn, Record::Published { message, receivers, retained: false });
            self.note_settled(turn, Receiver::Group(group), &out.message, None);
        }
    }

    /// Nothing more comes from a group that a session left.
    pub(crate) fn left_group(&mut self, slot: u32, home: ShardId, request: u64) {
        let homes = u64::from(self.homes.shards);
        let leaving = &mut self.sessions.at_mut(slot).work.leaving;
        let is_it = |(asked, group): &(u64, GroupNumber)| {
            *asked == request && group.0 % homes == u64::from(home.0)
        };
        if let Some(at) = leaving.iter().position(is_it) {
            leaving.remove(at);
        }
    }

    /// A session ends: other members get what it had not settled, but for QoS 2 messages it may
    /// have seen. [MQTT-4.8.2-5 v5]
    pub(crate) fn leave_all_groups(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let session = self.sessions.at(slot);
        let number = session.number;
        if session.subscriptions.iter().all(|held| held.group.is_none()) {
            return;
        }
        let mut open = open_by_group(session, |out| out.qos == QoS::ExactlyOnce);
        let groups = session.subscriptions.iter().filter_map(|held| held.group);
        let mut groups: Vec<(GroupNumber, Vec<Body>)> =
            groups.map(|group| (group, open.remove(&group).unwrap_or_default())).collect();
        let rest = groups.split_off(groups.len().min(LEFT_AT_ONCE));
        for (group, keep) in groups {
            let home = self.group_home(group);
            self.tell(turn, home, PeerMessage::ShareLeave { group, session: number, keep });
        }
        if !rest.is_empty() {
            self.jobs.end(Ending::Leave { number, rest });
        }
    }
}

/// Messages of each group that a session was sent and has not settled.
fn open_by_group(
    session: &Session,
    wanted: impl Fn(&Outgoing) -> bool,
) -> BTreeMap<GroupNumber, Vec<Body>> {
    let mut open: BTreeMap<GroupNumber, Vec<Body>> = BTreeMap::new();
    for (_, entry) in session.work.sender.iter() {
        match entry {
            Entry::AtLeastOnce(Some(out)) | Entry::ExactlyOnce(Some(out)) => {
                if let Some(group) = out.group.filter(|_| wanted(out)) {
                    open.entry(group).or_default().push(out.message.clone());
                }
            }
            Entry::AtLeastOnce(None) | Entry::ExactlyOnce(None) => {}
            Entry::Released | Entry::Reserved => {}
        }
    }
    open
}
