//! PUBLISH: a message, in either direction.
use crate::property::{
    Context, OtherProperties, PropertyId, PropertyReader, Span, SubscriptionIds,
};
use crate::reader::Reader;
use crate::varint;
use crate::write::{self, PropertyWriter, Sink, property};
use crate::{Cause, DecodeError, Frame, PacketId, PacketType, QoS, Role, TopicName, Version};
use alloc::vec::Vec;
use core::num::NonZeroU16;

/// PUBLISH `[3.3]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Publish<'a> {
    /// Sent before.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Topic Name; empty only together with a topic alias (v5).
    pub topic: TopicName<'a>,
    /// Packet identifier: present exactly when `qos` is above 0.
    pub packet_id: Option<PacketId>,
    /// Properties (default before v5).
    pub properties: PublishProperties<'a>,
    /// Application message.
    pub payload: &'a [u8],
}

/// PUBLISH properties, split by who may change them on the way.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct PublishProperties<'a> {
    /// Message Expiry Interval, seconds: counted down by the server.
    pub message_expiry_secs: Option<u32>,
    /// Topic Alias: of this connection only.
    pub topic_alias: Option<NonZeroU16>,
    /// Subscription Identifiers: server to client only.
    pub subscription_ids: SubscriptionIds<'a>,
    /// All that travels unchanged from publisher to subscriber, in its order.
    pub others: OtherProperties<'a>,
}

/// What a message may have in common with the one after it in the same buffer.
#[derive(Clone, Copy, Debug)]
pub struct LastPublish<'a> {
    topic: TopicName<'a>,
    /// Its properties in encoded form, if they are not empty.
    section: &'a [u8],
    properties: PublishProperties<'a>,
}

impl Default for LastPublish<'_> {
    fn default() -> Self {
        let properties = PublishProperties::default();
        LastPublish { topic: TopicName::EMPTY, section: &[], properties }
    }
}

/// Makes a topic name of its bytes.
trait TopicOf<'a>: FnOnce(&'a [u8]) -> Result<TopicName<'a>, Cause> {}
impl<'a, F: FnOnce(&'a [u8]) -> Result<TopicName<'a>, Cause>> TopicOf<'a> for F {}

/// Takes properties.
trait PropertiesOf<'a>: FnOnce(&mut Reader<'a>) -> Result<PublishProperties<'a>, Cause> {}
impl<'a, F> PropertiesOf<'a> for F where
    F: FnOnce(&mut Reader<'a>) -> Result<PublishProperties<'a>, Cause>
{
}

impl<'a> Publish<'a> {
    /// Decodes a PUBLISH frame, see [`crate::Packet::decode`].
    #[inline]
    pub fn decode(
        frame: Frame<'a>,
        version: Version,
        sender: Role,
    ) -> Result<Publish<'a>, DecodeError> {
        let properties_of = |reader: &mut Reader<'a>| PublishProperties::decode(reader, sender);
        Publish::decode_with((TopicName::decode, properties_of), frame, version)
    }

    /// The same for a stream of messages in one buffer: what repeats the message before, topic or
    /// properties, is not looked into again. `last` becomes this one.
    #[inline]
    pub fn decode_next(
        last: &mut LastPublish<'a>,
        frame: Frame<'a>,
        version: Version,
        sender: Role,
    ) -> Result<Publish<'a>, DecodeError> {
        let LastPublish { topic: last_topic, section, properties } = last;
        let topic_of = |topic: &'a [u8]| {
            if topic == last_topic.0.as_bytes() {
                return Ok(*last_topic);
            }
            let topic = TopicName::decode(topic)?;
            if !topic.is_empty() {
                *last_topic = topic;
            }
            Ok(topic)
        };
        let properties_of = |reader: &mut Reader<'a>| {
            let all = reader.rest();
            if let [len @ 1..0x80, rest @ ..] = all
                && let Some((here, payload)) = rest.split_at_checked(usize::from(*len))
            {
                if here != *section {
                    *properties = PublishProperties::decode_some(reader, sender)?;
                    *section = here;
                }
                *reader = Reader::new(payload);
                return Ok(*properties);
            }
            PublishProperties::decode(reader, sender)
        };
        Publish::decode_with((topic_of, properties_of), frame, version)
    }

    /// The same for a stream of messages whose topics repeat. Where the topic is `last`, the one
    /// of an earlier message, it is not checked again: it comes empty, and with `true`.
    #[inline]
    pub fn decode_after(
        last: TopicName<'_>,
        frame: Frame<'a>,
        version: Version,
        sender: Role,
    ) -> Result<(Publish<'a>, bool), DecodeError> {
        let mut is_last = false;
        let topic_of = |topic: &'a [u8]| {
            is_last = topic == last.0.as_bytes() && !topic.is_empty();
            if is_last { Ok(TopicName::EMPTY) } else { TopicName::decode(topic) }
        };
        let properties_of = |reader: &mut Reader<'a>| PublishProperties::decode(reader, sender);
        let publish = Publish::decode_with((topic_of, properties_of), frame, version)?;
        Ok((publish, is_last))
    }

    #[inline(always)]
    fn decode_with(
        parts_of: (impl TopicOf<'a>, impl PropertiesOf<'a>),
        frame: Frame<'a>,
        version: Version,
    ) -> Result<Publish<'a>, DecodeError> {
        Publish::decode_body(parts_of, frame, version).map_err(|cause| DecodeError {
            cause,
            packet: Some(PacketType::Publish),
            version: Some(version),
        })
    }

    #[inline(always)]
    fn decode_body(
        (topic_of, properties_of): (impl TopicOf<'a>, impl PropertiesOf<'a>),
        frame: Frame<'a>,
        version: Version,
    ) -> Result<Publish<'a>, Cause> {
        let first = frame.first;
        let mut reader = Reader::new(frame.body);
        let qos = QoS::from_u8(first >> 1 & 3).ok_or(Cause::QoS3)?;
        // [MQTT-3.3.2-1 v5], [MQTT-3.3.2-1 v3.1.1]
        let topic = reader.binary()?;
        let is_empty = topic.is_empty();
        let topic = topic_of(topic)?;
        // [MQTT-2.2.1-2 v5], [MQTT-2.3.1-5 v3.1.1]
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_id()?),
        };
        let mut properties = PublishProperties::default();
        if version == Version::V5 {
            properties = properties_of(&mut reader)?;
        }
        // [MQTT-4.7.3-1 v5], [MQTT-4.7.3-1 v3.1.1], [U5-3.3.2-1]
        if is_empty && properties.topic_alias.is_none() {
            return Err(Cause::NoTopic);
        }
        Ok(Publish {
            dup: first & 8 != 0,
            qos,
            retain: first & 1 != 0,
            topic,
            packet_id,
            properties,
            payload: reader.rest(),
        })
    }

    /// Appends the packet.
    #[inline]
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let start = out.len();
        self.encode_head(version, out);
        if out.len() > start {
            out.extend_from_slice(self.payload);
        }
    }

    /// Appends everything but the payload, which the remaining length counts, and returns where
    /// *within the frame* the packet identifier stands (for QoS above 0), so that it can be
    /// patched.
    ///
    /// Nothing is appended for a packet above the 268,435,455 bytes that a remaining length can
    /// say. A QoS above 0 without packet identifier is encoded with the identifier 0, to be
    /// patched.
    #[inline]
    pub fn encode_head(&self, version: Version, out: &mut Vec<u8>) -> Option<usize> {
        let properties_len = match version {
            Version::V31 | Version::V311 => None,
            Version::V5 => Some(self.properties.encoded_len()),
        };
        let len = self.body_len(properties_len);
        if len > varint::MAX as usize {
            return None;
        }
        let topic = self.topic.as_str().as_bytes();
        let [high, low] = (topic.len() as u16).to_be_bytes();
        // One reservation for the whole packet; the extensions below only copy.
        out.reserve(len + 5);
        let id_at = topic.len()
            + if len < 128 {
                out.extend_from_slice(&[self.first(), len as u8, high, low]);
                4
            } else {
                out.push(self.first());
                write::varint(out, len);
                out.extend_from_slice(&[high, low]);
                3 + varint::len(len as u32)
            };
        out.extend_from_slice(topic);
        let has_id = self.qos != QoS::AtMostOnce;
        if has_id {
            let id = self.packet_id.map_or(0, |id| id.0.get());
            out.extend_from_slice(&id.to_be_bytes());
        }
        match properties_len {
            None => {}
            Some(0) => out.push(0),
            Some(len) => {
                write::varint(out, len);
                self.properties.write_properties(out);
            }
        }
        has_id.then_some(id_at)
    }

    /// How many bytes [`encode`](Self::encode) appends.
    #[inline]
    pub fn encoded_len(&self, version: Version) -> usize {
        super::frame_len(self.body_len(match version {
            Version::V31 | Version::V311 => None,
            Version::V5 => Some(self.properties.encoded_len()),
        }))
    }

    #[inline]
    fn body_len(&self, properties_len: Option<usize>) -> usize {
        let id_len = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties_len = properties_len.map_or(0, |len| {
            // A section beyond this is beyond any packet as well.
            varint::len(u32::try_from(len).unwrap_or(u32::MAX)) + len
        });
        2 + self.topic.as_str().len() + id_len + properties_len + self.payload.len()
    }

    #[inline]
    fn first(&self) -> u8 {
        // QoS 0 is never sent with DUP [MQTT-3.3.1-2 v5] [MQTT-3.3.1-2 v3.1.1].
        let dup = self.dup && self.qos != QoS::AtMostOnce;
        PacketType::Publish.first()
            | u8::from(dup) << 3
            | (self.qos as u8) << 1
            | u8::from(self.retain)
    }
}

impl<'a> PublishProperties<'a> {
    #[inline]
    fn decode(reader: &mut Reader<'a>, sender: Role) -> Result<PublishProperties<'a>, Cause> {
        if let Some((0, rest)) = reader.rest().split_first() {
            *reader = Reader::new(rest);
            return Ok(PublishProperties::default());
        }
        PublishProperties::decode_some(reader, sender)
    }

    fn decode_some(reader: &mut Reader<'a>, sender: Role) -> Result<PublishProperties<'a>, Cause> {
        let mut all = PublishProperties::default();
        let context = Context::Packet(PacketType::Publish);
        let mut properties = PropertyReader::open(reader, context)?;
        let (mut others, mut ids) = (Span::default(), Span::default());
        while let Some(id) = properties.next()? {
            match id {
                PropertyId::MessageExpiryInterval => {
                    all.message_expiry_secs = Some(properties.u32()?);
                }
                PropertyId::TopicAlias => {
                    // [MQTT-3.3.2-8 v5]
                    let alias = NonZeroU16::new(properties.u16()?).ok_or(Cause::TopicAliasZero)?;
                    all.topic_alias = Some(alias);
                }
                PropertyId::SubscriptionIdentifier => {
                    // [MQTT-3.3.4-6 v5]
                    if sender == Role::Client {
                        return Err(Cause::ForbiddenProperty(id));
                    }
                    // [U5-3.3.2-4]
                    properties.nonzero_varint()?;
                    properties.mark(&mut ids);
                }
                _ => properties.travelling(id, &mut others)?,
            }
        }
        let section = properties.section();
        all.subscription_ids = SubscriptionIds { raw: ids.of(section).0 };
        all.others = OtherProperties::from_span(&others, section);
        Ok(all)
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        if self.subscription_ids.is_empty()
            && self.message_expiry_secs.is_none()
            && self.topic_alias.is_none()
        {
            return self.others.encoded_len();
        }
        write::count(|out| self.write_properties(out))
    }
}

impl PropertyWriter for PublishProperties<'_> {
    #[inline]
    fn write_properties(&self, out: &mut impl Sink) {
        self.others.write(out);
        property::u32(out, PropertyId::MessageExpiryInterval, self.message_expiry_secs);
        property::u16(out, PropertyId::TopicAlias, self.topic_alias.map(NonZeroU16::get));
        self.subscription_ids.write(out);
    }
}
