//! The home side of share groups.

use crate::apply::GroupKey;
use crate::broker::{Broker, TimerKey, Turn};
use crate::identity::{GroupNumber, Homes, SessionNumber, ShardId, Tenant};
use crate::index::{IndexChange, Match, Receiver};
use crate::limits::Overflow;
use crate::message::Message;
use crate::outbound::Outbound;
use crate::peer::{Delivery, PeerMessage, ShareJoin, Target};
use crate::record::{Body, Record};
use crate::timer::Deadline;
use crate::verdict::Verdict;
use noctule_proto::QoS;
use noctule_proto::packet::SubscribeOptions;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The groups at home on a shard.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Groups {
    me: ShardId,
    shards: u16,
    next: u64,
    groups: BTreeMap<GroupNumber, Group>,
    by_name: BTreeMap<(Tenant, Box<str>, Box<str>), GroupNumber>,
    /// Members whose answer waits for the group's index change.
    joining: VecDeque<Joining>,
    /// When groups that nobody came back to end.
    orphans: Deadline,
}

/// Seconds after a restart in which the members of a group have to come back.
const ORPHAN_SECS: u64 = 60;

/// One group: a name and a filter.
#[derive(Debug, Serialize, Deserialize)]
struct Group {
    tenant: Tenant,
    name: Box<str>,
    filter: Box<str>,
    members: Vec<Member>,
    /// Whose turn it is.
    turn: usize,
    /// Messages that wait for a member with room.
    queue: VecDeque<Arc<Message>>,
    queue_bytes: u64,
    /// Number of the index change that made it known.
    change: u64,
    /// It comes from an earlier run, and its members may still come back, one by one.
    orphan: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Member {
    session: SessionNumber,
    shard: ShardId,
    options: SubscribeOptions,
    subscription_id: u32,
    /// Messages it takes unsettled; 0 while it is away.
    window: u32,
    /// It has been told that it is in. Nothing is handed to it before: what comes after its
    /// answer is for a member that knows, or that has left and says so.
    joined: bool,
    /// Messages it was given and has not settled, oldest first.
    open: VecDeque<Arc<Message>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Joining {
    change: u64,
    shard: ShardId,
    session: SessionNumber,
    group: GroupNumber,
    request: u64,
}

impl Groups {
    pub(crate) fn new(me: ShardId, homes: &Homes) -> Groups {
        Groups {
            me,
            shards: homes.shards,
            next: 0,
            groups: BTreeMap::new(),
            by_name: BTreeMap::new(),
            joining: VecDeque::new(),
            orphans: Deadline::NONE,
        }
    }

    /// Numbers up to this one are taken (by groups of an earlier run).
    pub(crate) fn number_taken(&mut self, number: GroupNumber) {
        self.next = self.next.max(number.0 / u64::from(self.shards) + 1);
    }

    /// The greatest number that may have been given.
    pub(crate) fn given(&self) -> GroupNumber {
        GroupNumber((self.next + 1) * u64::from(self.shards))
    }

    /// Whether a message would wait in a group at home here.
    pub(crate) fn has_to_wait(&self, number: GroupNumber, qos: QoS) -> bool {
        let group = self.groups.get(&number).filter(|_| qos != QoS::AtMostOnce);
        group.is_some_and(|group| {
            !group.queue.is_empty() || !group.members.iter().any(|member| member.has_room(qos))
        })
    }

    fn number(&mut self) -> GroupNumber {
        self.next += 1;
        GroupNumber(self.next * u64::from(self.shards) + u64::from(self.me.0))
    }

    pub(crate) fn check(&self) {
        for (number, group) in &self.groups {
            assert!(!group.members.is_empty() || group.orphan, "group {number:?} without members");
            let bytes: u64 = group.queue.iter().map(|message| message.cost() as u64).sum();
            assert_eq!(bytes, group.queue_bytes, "group {number:?} miscounts its queue");
            for member in &group.members {
                let ids = member.open.iter().map(|message| message.id);
                assert!(ids.is_sorted(), "group {number:?} lost the order of open messages");
            }
        }
        assert_eq!(self.groups.len(), self.by_name.len(), "groups and their names differ");
    }
}

impl Member {
    fn has_room(&self, qos: QoS) -> bool {
        self.joined
            && match qos.min(self.options.qos) {
                QoS::AtMostOnce => self.window > 0,
                QoS::AtLeastOnce | QoS::ExactlyOnce => (self.open.len() as u32) < self.window,
            }
    }
}

impl Group {
    /// The next member that has room, in turn; `tracked` messages need room, others a connection.
    fn pick(&mut self, tracked: QoS) -> Option<usize> {
        let count = self.members.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            if self.members[at].has_room(tracked) {
                self.turn = at + 1;
                return Some(at);
            }
        }
        None
    }

    fn member(&mut self, session: SessionNumber) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.session == session)
    }
}

impl Broker {
    /// A session joins, or subscribes again with other options.
    pub(crate) fn share_join(&mut self, turn: &mut Turn<'_>, from: ShardId, join: ShareJoin) {
        let ShareJoin { tenant, name, filter, session, request, .. } = join;
        let key = (tenant, name, filter);
        let number = match self.groups.by_name.get(&key) {
            Some(number) => *number,
            None => self.new_group(turn, key),
        };
        let Some(group) = self.groups.groups.get_mut(&number) else { return };
        match group.member(session) {
            // [U5-4.8.2-3]
            Some(member) => {
                member.options = join.options;
                member.subscription_id = join.subscription_id;
                member.window = join.window;
            }
            None => group.members.push(Member {
                session,
                shard: from,
                options: join.options,
                subscription_id: join.subscription_id,
                window: join.window,
                joined: false,
                open: VecDeque::new(),
            }),
        }
        let change = group.change;
        self.groups.joining.push_back(Joining {
            change,
            shard: from,
            session,
            group: number,
            request,
        });
        self.groups_visible(turn);
    }

    fn new_group(&mut self, turn: &mut Turn<'_>, key: (Tenant, Box<str>, Box<str>)) -> GroupNumber {
        let number = self.groups.number();
        let (tenant, name, filter) = key.clone();
        let entry = Match {
            shard: self.me,
            receiver: Receiver::Group(number),
            // The greatest; each member's own applies when it is picked. [MQTT-4.8.2-3 v5]
            options: SubscribeOptions { qos: QoS::ExactlyOnce, ..SubscribeOptions::default() },
            subscription_id: 0,
        };
        let change =
            self.change_index(turn, IndexChange::Insert { tenant, filter: filter.clone(), entry });
        let group = Group {
            tenant,
            name,
            filter,
            members: Vec::new(),
            turn: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            change,
            orphan: false,
        };
        self.groups.groups.insert(number, group);
        let (tenant, name, filter) = key.clone();
        self.groups.by_name.insert(key, number);
        self.note(turn, Record::Group { group: number, tenant, name, filter });
        number
    }

    /// Groups of an earlier run, with what waits in them. Members come back one by one; a group
    /// that nobody comes back to ends after a while.
    pub(crate) fn restore_groups(
        &mut self,
        turn: &mut Turn<'_>,
        restored: BTreeMap<GroupKey, VecDeque<Arc<Message>>>,
    ) {
        if restored.is_empty() {
            return;
        }
        for (key, queue) in restored {
            let number = self.new_group(turn, key);
            let Some(group) = self.groups.groups.get_mut(&number) else { continue };
            group.orphan = true;
            group.queue_bytes = queue.iter().map(|message| message.cost() as u64).sum();
            group.queue = queue;
        }
        let due = turn.now.plus_secs(ORPHAN_SECS);
        self.timers.set(TimerKey::Orphans, &mut self.groups.orphans, due);
    }

    /// Nobody has come back to these groups.
    pub(crate) fn orphans_due(&mut self, turn: &mut Turn<'_>) {
        self.groups.orphans.clear();
        let restored = self.groups.groups.iter_mut();
        let orphans: Vec<(GroupNumber, usize)> = restored
            .filter_map(|(number, group)| {
                let waited = std::mem::replace(&mut group.orphan, false);
                (waited && group.members.is_empty()).then_some((*number, group.queue.len()))
            })
            .collect();
        for (number, lost) in orphans {
            (0..lost).for_each(|_| self.counters.verdict(Verdict::GroupEnded));
            self.end_group(turn, number);
        }
    }

    /// Answers members whose group can be seen by all shards.
    pub(crate) fn groups_visible(&mut self, turn: &mut Turn<'_>) {
        let visible = self.waits.visible();
        while let Some(first) = self.groups.joining.front() {
            if first.change > visible {
                return;
            }
            let Some(joining) = self.groups.joining.pop_front() else { return };
            let Joining { shard, session, group, request, .. } = joining;
            let Some(found) = self.groups.groups.get_mut(&group) else { continue };
            let filter = format!("$share/{}/{}", found.name, found.filter).into();
            let window = found.member(session).map_or(0, |member| {
                member.joined = true;
                member.window
            });
            self.tell(turn, shard, PeerMessage::ShareJoined { session, group, request, filter });
            // What waits for it is handed out behind that answer, on this shard as well.
            self.tell(turn, self.me, PeerMessage::SharePresence { group, session, window });
        }
    }

    /// A message for a group: to a member with room, or it waits.
    pub(crate) fn share_out(
        &mut self,
        turn: &mut Turn<'_>,
        number: GroupNumber,
        outbound: &mut Outbound<'_>,
    ) {
        let Some(group) = self.groups.groups.get_mut(&number) else {
            self.counters.verdict(Verdict::GroupEnded);
            return;
        };
        if outbound.qos == QoS::AtMostOnce {
            match group.pick(QoS::AtMostOnce) {
                Some(at) => self.hand_to(turn, number, at, outbound),
                None => self.counters.verdict(Verdict::Offline),
            }
            return;
        }
        // Those that wait already go first.
        let member = if group.queue.is_empty() { group.pick(outbound.qos) } else { None };
        match member {
            Some(at) => self.hand_to(turn, number, at, outbound),
            None => self.wait_in_group(turn, number, outbound.shared()),
        }
    }

    fn wait_in_group(&mut self, turn: &mut Turn<'_>, number: GroupNumber, message: Arc<Message>) {
        if self.shortage.is_full() {
            self.hold_back(turn, &message);
        }
        let limits = &self.limits;
        let Some(group) = self.groups.groups.get_mut(&number) else { return };
        let mut dropped = Vec::new();
        let cost = message.cost() as u64;
        let mut newest = Some(message);
        while group.queue.len() >= limits.share_queue_max as usize
            || group.queue_bytes + cost > limits.queue.bytes_max
        {
            let oldest = match limits.queue.overflow {
                Overflow::DropOldest => group.queue.pop_front(),
                Overflow::DropNewest => None,
            };
            let Some(oldest) = oldest else {
                dropped.extend(newest.take());
                break;
            };
            group.queue_bytes -= oldest.cost() as u64;
            dropped.push(oldest);
        }
        if let Some(message) = newest {
            group.queue_bytes += cost;
            group.queue.push_back(message);
        }
        for message in dropped {
            self.counters.verdict(Verdict::GroupFull);
            self.note_settled(turn, Receiver::Group(number), &message.into(), None);
        }
    }

    /// Gives a message to one member, through its shard.
    fn hand_to(
        &mut self,
        turn: &mut Turn<'_>,
        number: GroupNumber,
        at: usize,
        outbound: &mut Outbound<'_>,
    ) {
        let Some(group) = self.groups.groups.get_mut(&number) else { return };
        let member = &mut group.members[at];
        let tracked = outbound.qos.min(member.options.qos) != QoS::AtMostOnce;
        if tracked {
            let message = outbound.shared();
            // Taken-back messages are older than what a member was given meanwhile.
            let place = member.open.partition_point(|open| open.id < message.id);
            member.open.insert(place, message);
        }
        let target = Target {
            receiver: Receiver::Session(member.session),
            options: member.options,
            // [U5-3.3.4-1]
            subscription_id: member.subscription_id,
            group: tracked.then_some(number),
        };
        let shard = member.shard;
        if !tracked && outbound.qos != QoS::AtMostOnce {
            let message = outbound.shared().into();
            self.note_settled(turn, Receiver::Group(number), &message, None);
        }
        if shard == self.me {
            self.deliver_to(turn, &target, outbound, false);
        } else {
            let targets: Arc<[Target]> = Arc::new([target]);
            let delivery = Delivery { message: outbound.shared(), targets, sole: false };
            turn.out.peers.push((shard, PeerMessage::Deliver(delivery)));
        }
    }

    /// Gives waiting messages to members with room.
    fn serve_group(&mut self, turn: &mut Turn<'_>, number: GroupNumber) {
        loop {
            let Some(group) = self.groups.groups.get_mut(&number) else { return };
            let Some(message) = group.queue.front() else { return };
            if message.expired(turn.now) {
                self.counters.verdict(Verdict::Expired);
                group.queue_bytes -= message.cost() as u64;
                if let Some(message) = group.queue.pop_front() {
                    self.note_settled(turn, Receiver::Group(number), &message.into(), None);
                }
                continue;
            }
            let Some(at) = group.pick(message.qos) else { return };
            let Some(message) = group.queue.pop_front() else { return };
            group.queue_bytes -= message.cost() as u64;
            self.hand_to(turn, number, at, &mut Outbound::of_message(&message));
        }
    }

    /// A member settled a message, or came or went.
    pub(crate) fn share_settled(
        &mut self,
        turn: &mut Turn<'_>,
        number: GroupNumber,
        session: SessionNumber,
        message: &Body,
    ) {
        let Some(group) = self.groups.groups.get_mut(&number) else { return };
        let Some(member) = group.member(session) else { return };
        if let Some(at) = member.open.iter().position(|open| message.is(open)) {
            member.open.remove(at);
        }
        self.serve_group(turn, number);
    }

    pub(crate) fn share_presence(
        &mut self,
        turn: &mut Turn<'_>,
        number: GroupNumber,
        session: SessionNumber,
        window: u32,
    ) {
        let Some(group) = self.groups.groups.get_mut(&number) else { return };
        let Some(member) = group.member(session) else { return };
        member.window = window;
        self.serve_group(turn, number);
    }

    /// A member left or its session ended: what it had open goes to others, except what `keep`
    /// names. [U5-4.8.2-2], [MQTT-4.8.2-5 v5], [U5-4.8.2-1]
    pub(crate) fn share_leave(
        &mut self,
        turn: &mut Turn<'_>,
        number: GroupNumber,
        session: SessionNumber,
        keep: &[Body],
    ) {
        let Some(group) = self.groups.groups.get_mut(&number) else { return };
        let Some(at) = group.members.iter().position(|member| member.session == session) else {
            return;
        };
        let member = group.members.remove(at);
        if group.turn > at {
            group.turn -= 1;
        }
        let (kept, back): (Vec<_>, Vec<_>) =
            member.open.into_iter().partition(|open| keep.iter().any(|kept| kept.is(open)));
        for message in kept {
            // Others do not get it after a restart either.
            if message.qos.min(member.options.qos) == QoS::ExactlyOnce {
                self.note_settled(turn, Receiver::Group(number), &message.into(), None);
            }
        }
        let Some(group) = self.groups.groups.get_mut(&number) else { return };
        let back = back.into_iter();
        // The first to come back may be the first to go: others are still on their way.
        if group.members.is_empty() && !group.orphan {
            let lost = back.count() + group.queue.len();
            for _ in 0..lost {
                self.counters.verdict(Verdict::GroupEnded);
            }
            self.end_group(turn, number);
            return;
        }
        for message in back.rev() {
            self.counters.share_redelivered += 1;
            group.queue_bytes += message.cost() as u64;
            group.queue.push_front(message);
        }
        self.serve_group(turn, number);
    }

    fn end_group(&mut self, turn: &mut Turn<'_>, number: GroupNumber) {
        let Some(group) = self.groups.groups.remove(&number) else { return };
        let key = (group.tenant, group.name, group.filter);
        self.groups.by_name.remove(&key);
        self.note(turn, Record::GroupEnded(number));
        let (tenant, _, filter) = key;
        let receiver = Receiver::Group(number);
        self.change_index(turn, IndexChange::Remove { tenant, filter, receiver });
    }
}
