//! Wills: published when a connection ends without a proper DISCONNECT, after their delay or at
//! the end of the session, whichever comes first.

use crate::broker::{Broker, Turn};
use crate::identity::Tenant;
use crate::message::Origin;
use crate::outbound::Outbound;
use crate::record::{Record, StoredWill};
use crate::session::PendingWill;
use crate::verdict::Verdict;
use noctule_proto::TopicName;

impl Broker {
    /// Gives a session another Will, or none; answers the one that it had.
    pub(crate) fn set_will(
        &mut self,
        slot: u32,
        will: Option<Box<StoredWill>>,
    ) -> Option<Box<PendingWill>> {
        let new = will.map(|will| Box::new(PendingWill { will: *will, due: None }));
        let cost = |will: &Option<Box<PendingWill>>| will.as_ref().map_or(0, |it| it.will.cost());
        self.counters.wills_bytes_now += cost(&new);
        let old = std::mem::replace(&mut self.sessions.at_mut(slot).will, new);
        self.counters.wills_bytes_now -= cost(&old);
        old
    }

    /// Whether one more Will has room beside all others, or in place of the client's own.
    pub(crate) fn has_room_for_will(&self, client: (Tenant, &str), will: &StoredWill) -> bool {
        let own = self.sessions.find(client.0, client.1).map(|slot| self.sessions.at(slot));
        let own = own.and_then(|it| it.will.as_ref()).map_or(0, |it| it.will.cost());
        self.counters.wills_bytes_now - own + will.cost() <= self.limits.wills_bytes_max
    }

    /// Publishes and erases the Will of a session, if it has one. [MQTT-3.1.2-8 v5],
    /// [MQTT-3.1.2-10 v5], [MQTT-3.1.2-14 v5], [MQTT-3.1.2-15 v5], [MQTT-3.1.3-10 v5],
    /// [V31-3.1-11], [MQTT-3.1.2-8 v3.1.1], [MQTT-3.1.2-10 v3.1.1]
    /// [V31-3.1-12], [MQTT-3.1.2-12 v3.1.1], [MQTT-3.1.2-16 v3.1.1], [MQTT-3.1.2-17 v3.1.1].
    pub(crate) fn publish_will(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let Some(pending) = self.set_will(slot, None) else { return };
        let will = &pending.will;
        let session = self.sessions.at(slot);
        let (number, tenant) = (session.number, session.tenant);
        let (recorded, promised) = (session.is_recorded(), session.durability);
        if recorded {
            self.note(turn, Record::Will { session: number, will: None });
        }
        if !self.may_publish_will(slot, (&will.topic, will.qos, will.retain)) {
            self.counters.verdict(Verdict::NotAuthorized);
            return;
        }
        self.counters.wills_published += 1;
        let id = self.next_message_id(turn.now);
        let routed_at = turn.index.version();
        let topic = TopicName::trusted(&will.topic);
        let durability = self.limits.durability_of(topic, promised);
        let origin = Origin { id, tenant, publisher: Some(number), routed_at, durability };
        self.publish_own(turn, &mut Outbound::of_parts(turn.now, origin, &will.parts()));
    }
}
