//! A message on its way out: encoded once per form, shared by all receivers of that form.

use crate::broker::Turn;
use crate::identity::{ConnId, MessageId, SessionNumber, Tenant, Time};
use crate::limits::Durability;
use crate::message::{Message, Origin, Parts};
use crate::output::Send;
use noctule_proto::packet::{Publish, PublishProperties};
use noctule_proto::property::{OtherProperties, SubscriptionIds};
use noctule_proto::{PacketId, QoS, TopicName, Version};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

/// Payloads above this are shared by reference instead of copied (measured: copying 1 KiB costs
/// what counting a reference and a longer iovec costs).
const SHARE_ABOVE: usize = 1024;

/// A message to route, borrowed from a PUBLISH or from a shared message; shared on first need.
pub(crate) struct Outbound<'a> {
    pub(crate) id: MessageId,
    pub(crate) tenant: Tenant,
    pub(crate) publisher: Option<SessionNumber>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expires_at: Option<Time>,
    pub(crate) routed_at: u64,
    pub(crate) durability: Durability,
    pub(crate) topic: TopicName<'a>,
    pub(crate) others: OtherProperties<'a>,
    pub(crate) payload: &'a [u8],
    /// Hash of the topic, once it was needed.
    pub(crate) topic_hash: Option<u64>,
    shared: Option<Arc<Message>>,
    frames: [Option<Encoded>; 4],
}

/// What makes two PUBLISH frames of one message differ (but for the packet id).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Form {
    pub(crate) v5: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    /// Bytes taken off the topic: the mount point of the receiver.
    pub(crate) cut: u16,
    /// 0 = none.
    pub(crate) subscription_id: u32,
}

impl Form {
    /// The form of a first sending; the version is the receiver's to say.
    pub(crate) fn first((qos, retain, subscription_id): (QoS, bool, u32)) -> Form {
        Form { v5: false, qos, retain, dup: false, cut: 0, subscription_id }
    }
}

/// Where an encoded frame lies in `Outbox::frames`.
#[derive(Clone, Copy)]
struct Encoded {
    form: Form,
    start: u32,
    len: u32,
    id_at: u32,
}

/// Bytes of a PUBLISH beside its topic, its payload and the properties that are passed on: fixed
/// header 5, lengths 2 + 4, packet identifier 2, expiry 5, alias 3, Subscription Identifier 5.
const OVERHEAD_MAX: usize = 26;

/// Why a frame is not for its receiver.
pub(crate) enum Unsent {
    /// It is too large `[MQTT-3.1.2-25 v5]`.
    TooLarge,
    /// Its topic is none that the receiver may see.
    Outside,
}

impl<'a> Outbound<'a> {
    /// From a PUBLISH that was just received; `topic` with aliases resolved.
    pub(crate) fn of_publish(
        now: Time,
        origin: Origin,
        topic: TopicName<'a>,
        publish: &Publish<'a>,
    ) -> Outbound<'a> {
        let expiry = publish.properties.message_expiry_secs;
        Outbound {
            id: origin.id,
            tenant: origin.tenant,
            publisher: origin.publisher,
            routed_at: origin.routed_at,
            durability: origin.durability,
            qos: publish.qos,
            retain: publish.retain,
            expires_at: expiry.map(|secs| now.plus_secs(u64::from(secs))),
            topic,
            // [MQTT-3.3.2-4 v5], [MQTT-3.3.2-15 v5], [MQTT-3.3.2-16 v5], [MQTT-3.3.2-20 v5]:
            // these travel as they came.
            others: publish.properties.others,
            payload: publish.payload,
            shared: None,
            topic_hash: None,
            frames: [None; 4],
        }
    }

    /// From the parts of a message of the broker's own.
    pub(crate) fn of_parts(now: Time, origin: Origin, parts: &Parts<'a>) -> Outbound<'a> {
        Outbound {
            id: origin.id,
            tenant: origin.tenant,
            publisher: origin.publisher,
            routed_at: origin.routed_at,
            durability: origin.durability,
            qos: parts.qos,
            retain: parts.retain,
            expires_at: parts.expiry_secs.map(|secs| now.plus_secs(u64::from(secs))),
            topic: TopicName::trusted(parts.topic),
            others: OtherProperties::from_clean(parts.properties),
            payload: parts.payload,
            shared: None,
            topic_hash: None,
            frames: [None; 4],
        }
    }

    /// From a message that is shared already.
    pub(crate) fn of_message(message: &'a Arc<Message>) -> Outbound<'a> {
        Outbound {
            id: message.id,
            tenant: message.tenant,
            publisher: message.publisher,
            qos: message.qos,
            retain: message.retain,
            expires_at: message.expires_at,
            routed_at: message.routed_at,
            durability: message.durability,
            topic: TopicName::trusted(message.topic()),
            others: OtherProperties::from_clean(message.properties()),
            payload: message.payload(),
            shared: Some(Arc::clone(message)),
            topic_hash: None,
            frames: [None; 4],
        }
    }

    /// The message itself, made on first need.
    pub(crate) fn shared(&mut self) -> Arc<Message> {
        Arc::clone(self.message())
    }

    /// The same, borrowed.
    pub(crate) fn message(&mut self) -> &Arc<Message> {
        if self.shared.is_none() {
            self.shared = Some(Arc::new(Message::of_outbound(self)));
        }
        self.shared.as_ref().expect("it was made")
    }

    /// The topic without so many of its first bytes, which are a whole mount point.
    pub(crate) fn topic_without(&self, cut: u16) -> TopicName<'a> {
        match cut {
            0 => self.topic,
            cut => TopicName::trusted(&self.topic.as_str()[usize::from(cut)..]),
        }
    }

    /// Bytes that it takes at most, in whatever form.
    pub(crate) fn size_bound(&self) -> usize {
        OVERHEAD_MAX + self.topic.as_str().len() + self.others.encoded_len() + self.payload.len()
    }

    /// Sends it in a form; the encoded bytes are kept for the next receiver of the same form.
    pub(crate) fn send(
        &mut self,
        turn: &mut Turn<'_>,
        (conn, size_max): (ConnId, u32),
        form: Form,
        id: Option<PacketId>,
    ) -> Result<u32, Unsent> {
        let at = match self.frames.iter().position(|kept| kept.is_some_and(|k| k.form == form)) {
            Some(at) => at,
            None => self.encode(turn, form),
        };
        let encoded = self.frames[at].expect("a position that holds a frame");
        let body = (self.payload.len() > SHARE_ABOVE).then(|| self.shared());
        let size = encoded.len + body.as_ref().map_or(0, |_| self.payload.len() as u32);
        if size > size_max {
            return Err(Unsent::TooLarge);
        }
        turn.out.sends.push(Send {
            conn,
            start: encoded.start,
            len: encoded.len,
            id: id.map(|id| (encoded.id_at, id)),
            body,
        });
        Ok(size)
    }

    /// Sends it with a topic alias of the receiver's own; nothing is kept.
    pub(crate) fn send_aliased(
        &mut self,
        turn: &mut Turn<'_>,
        (conn, size_max): (ConnId, u32),
        (form, alias, known): (Form, NonZeroU16, bool),
        id: Option<PacketId>,
    ) -> Result<u32, Unsent> {
        let mark = turn.out.frames.len();
        let topic = if known { TopicName::EMPTY } else { self.topic_without(form.cut) };
        let (encoded, inline) = self.write(turn, form, topic, Some(alias));
        let size = encoded.len + if inline { 0 } else { self.payload.len() as u32 };
        if size > size_max {
            turn.out.frames.truncate(mark);
            return Err(Unsent::TooLarge);
        }
        turn.out.sends.push(Send {
            conn,
            start: encoded.start,
            len: encoded.len,
            id: id.map(|id| (encoded.id_at, id)),
            body: (!inline).then(|| self.shared()),
        });
        Ok(size)
    }

    fn encode(&mut self, turn: &mut Turn<'_>, form: Form) -> usize {
        let (encoded, _) = self.write(turn, form, self.topic_without(form.cut), None);
        let at = self.frames.iter().position(Option::is_none).unwrap_or(0);
        self.frames[at] = Some(encoded);
        at
    }

    /// Writes the frame, with the payload if it is small; says whether it is in.
    fn write(
        &self,
        turn: &mut Turn<'_>,
        form: Form,
        topic: TopicName<'_>,
        alias: Option<NonZeroU16>,
    ) -> (Encoded, bool) {
        let mut buffer = [0; 5];
        let subscription_ids = match NonZeroU32::new(form.subscription_id) {
            Some(id) if form.v5 => SubscriptionIds::encode(id.get(), &mut buffer),
            _ => SubscriptionIds::default(),
        };
        let version = if form.v5 { Version::V5 } else { Version::V311 };
        let publish = Publish {
            dup: form.dup,
            qos: form.qos,
            retain: form.retain,
            topic,
            // Each receiver's own is written over this one.
            packet_id: (form.qos != QoS::AtMostOnce).then_some(PacketId(NonZeroU16::MIN)),
            properties: PublishProperties {
                message_expiry_secs: self.expiry_secs_left(turn.now),
                topic_alias: alias,
                subscription_ids,
                others: self.others,
            },
            payload: self.payload,
        };
        let start = turn.out.frames.len();
        let id_at = publish.encode_head(version, &mut turn.out.frames).unwrap_or(0);
        let inline = self.payload.len() <= SHARE_ABOVE;
        if inline {
            turn.out.frames.extend_from_slice(self.payload);
        }
        let len = (turn.out.frames.len() - start) as u32;
        (Encoded { form, start: start as u32, len, id_at: id_at as u32 }, inline)
    }

    /// [MQTT-3.3.2-6 v5]
    fn expiry_secs_left(&self, now: Time) -> Option<u32> {
        let left = self.expires_at?.millis_since(now).div_ceil(1000);
        Some(u32::try_from(left).unwrap_or(u32::MAX))
    }
}
