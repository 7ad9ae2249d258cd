//! Items back to records. Total: whatever the bytes are, the answer is a record or an error, and
//! no memory is reserved on the strength of a number that the bytes behind it do not bear out.

use super::bytes::{Bytes, unzigzag};
use super::encode::{GROUPED, ID, NEAR, PRESENT, RETAINED, WILL_EXPIRES, kind};
use super::frame::FRAME_HEAD;
use super::message::{Item, MESSAGE, item, kept};
use super::position::Position;
use super::receivers::{Delivery, read_receivers, receiver};
use crate::StoreError;
use noctule_core::identity::{GroupNumber, MessageId, Place, SessionNumber, Tenant, Time};
use noctule_core::index::Receiver;
use noctule_core::limits::Durability;
use noctule_core::message::{Kept, MESSAGE_OVERHEAD, Message};
use noctule_core::record::{Body, Receipt, Record, Stored, StoredWill, Waiting};
use noctule_proto::packet::{RetainHandling, SubscribeOptions};
use noctule_proto::{PacketId, QoS};
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

/// Bytes that are no record: what is wrong with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// Why a frame could not be decoded.
#[derive(Debug)]
pub(crate) enum Undecoded {
    /// Its bytes are no records.
    Malformed(Malformed),
    /// A message that it speaks of could not be read.
    Body(StoreError),
}

impl From<Malformed> for Undecoded {
    fn from(error: Malformed) -> Undecoded {
        Undecoded::Malformed(error)
    }
}

/// What decoding needs and where its records go.
pub(crate) struct Context<'c> {
    /// Reads a message of an earlier frame.
    pub(crate) bodies: &'c mut dyn FnMut(Place) -> Result<Arc<Message>, StoreError>,
    /// Takes the records.
    pub(crate) each: &'c mut dyn FnMut(&Record),
    /// Records given.
    pub(crate) records: u64,
    /// The greatest id of a message that a record spoke of.
    pub(crate) message_id_max: MessageId,
    /// Reused from record to record.
    pub(crate) receivers: Vec<Receipt>,
}

impl<'c> Context<'c> {
    pub(crate) fn new(
        bodies: &'c mut dyn FnMut(Place) -> Result<Arc<Message>, StoreError>,
        each: &'c mut dyn FnMut(&Record),
    ) -> Context<'c> {
        Context {
            bodies,
            each,
            records: 0,
            message_id_max: MessageId::default(),
            receivers: Vec::new(),
        }
    }
}

/// Gives the records of a frame, which begins with its head and lies at `at`.
pub(crate) fn decode(
    frame: &[u8],
    at: Position,
    context: &mut Context<'_>,
) -> Result<(), Undecoded> {
    let body = frame.get(FRAME_HEAD..).ok_or(Malformed("ends too early"))?;
    let mut decoder = Decoder { frame, at, context, previous: 0 };
    let mut rest = Bytes(body);
    while !rest.is_empty() {
        let start = frame.len() - rest.0.len();
        let found = item(&mut rest)?;
        if found.kind != MESSAGE {
            decoder.item(start, &found)?;
        }
    }
    Ok(())
}

struct Decoder<'f, 'd, 'c> {
    frame: &'f [u8],
    at: Position,
    context: &'d mut Context<'c>,
    /// The last place that was told.
    previous: u64,
}

/// A message that a record speaks of.
enum Reference<'f> {
    Near(Kept<'f>, Place),
    Far(Stored, Option<MessageId>),
}

impl<'f> Decoder<'f, '_, '_> {
    fn item(&mut self, start: usize, item: &Item<'f>) -> Result<(), Undecoded> {
        let mut from = Bytes(item.content);
        let record = match item.kind {
            kind::PUBLISHED => return self.published(start, from),
            kind::WAITING => self.waiting(&mut from)?,
            kind::SENT => {
                let (_, reference) = self.reference(start, &mut from)?;
                let message = self.stored(reference);
                let id = packet_id(from.u16()?)?;
                let session = SessionNumber(from.varint()?);
                Record::Sent { session, message, manner: Delivery::read(&mut from)?.manner()?, id }
            }
            kind::SETTLED => {
                let (flags, reference) = self.reference(start, &mut from)?;
                let message = self.stored(reference);
                let receiver = receiver(flags & GROUPED != 0, from.varint()?);
                let manner = match receiver {
                    Receiver::Session(_) => Some(Delivery::read(&mut from)?.manner()?),
                    Receiver::Group(_) => None,
                };
                Record::Settled { receiver, message, manner }
            }
            kind::RECEIVED => {
                let (_, reference) = self.reference(start, &mut from)?;
                let message = Body::Here(self.here(reference)?);
                let id = packet_id(from.u16()?)?;
                Record::Received { session: SessionNumber(from.varint()?), id, message }
            }
            kind => plain(kind, &mut from)?,
        };
        if let Record::Given { message, .. } | Record::Cleared { message, .. } = &record {
            self.context.message_id_max = self.context.message_id_max.max(*message);
        }
        self.give(from, &record)
    }

    fn give(&mut self, rest: Bytes<'_>, record: &Record) -> Result<(), Undecoded> {
        if !rest.is_empty() {
            return Err(Malformed("an item is longer than its record").into());
        }
        self.context.records += 1;
        (self.context.each)(record);
        Ok(())
    }

    fn published(&mut self, start: usize, mut from: Bytes<'f>) -> Result<(), Undecoded> {
        let (flags, reference) = self.reference(start, &mut from)?;
        let retained = flags & RETAINED != 0;
        let mut receivers = std::mem::take(&mut self.context.receivers);
        receivers.clear();
        read_receivers(&mut from, &mut receivers)?;
        // Who keeps messages in memory is given them: retained ones, and share groups.
        let in_memory = |receipt: &Receipt| matches!(receipt.receiver, Receiver::Group(_));
        let message = if retained || receivers.iter().any(in_memory) {
            Body::Here(self.here(reference)?)
        } else {
            self.stored(reference)
        };
        let all = receivers.drain(..).collect();
        self.context.receivers = receivers;
        self.give(from, &Record::Published { message, receivers: all, retained })
    }

    fn waiting(&mut self, from: &mut Bytes<'f>) -> Result<Record, Undecoded> {
        let flags = from.u8()?;
        let grouped = flags & GROUPED != 0;
        let receiver: Receiver = receiver(grouped, from.varint()?);
        let mut messages = Vec::new();
        while !from.is_empty() {
            let delivery = Delivery::read(from)?;
            if !delivery.is_plain() {
                return Err(Malformed("a message waits for more than one").into());
            }
            let (qos, retain, subscription_id) = delivery.parts()?;
            let stored = Stored { place: self.far(from)?, cost: from.small()? };
            let id = if flags & ID != 0 { Some(MessageId(from.u64()?)) } else { None };
            let message = if grouped {
                Body::Here(self.here(Reference::Far(stored, id))?)
            } else {
                Body::Stored(stored)
            };
            messages.push(Waiting { message, qos, retain, subscription_id });
        }
        Ok(Record::Waiting { receiver, messages })
    }

    /// Reads flags and how to find a message.
    fn reference(
        &mut self,
        start: usize,
        from: &mut Bytes<'f>,
    ) -> Result<(u8, Reference<'f>), Malformed> {
        let flags = from.u8()?;
        if flags & NEAR != 0 {
            let offset = start.checked_sub(from.small()?).filter(|offset| *offset >= FRAME_HEAD);
            let offset = offset.ok_or(Malformed("a message lies outside of its frame"))?;
            let found = item(&mut Bytes(&self.frame[offset..]))?;
            if found.kind != MESSAGE {
                return Err(Malformed("there is no message here"));
            }
            let kept = kept(found.content)?;
            self.saw(kept.id);
            let place = self.at.plus(offset as u64).place().ok_or(Malformed("no such place"))?;
            return Ok((flags, Reference::Near(kept, place)));
        }
        let place = self.far(from)?;
        let cost = from.small()?;
        let id = if flags & ID != 0 { Some(MessageId(from.u64()?)) } else { None };
        if let Some(id) = id {
            self.saw(id);
        }
        Ok((flags, Reference::Far(Stored { place, cost }, id)))
    }

    fn saw(&mut self, id: MessageId) {
        self.context.message_id_max = self.context.message_id_max.max(id);
    }

    fn far(&mut self, from: &mut Bytes<'f>) -> Result<Place, Malformed> {
        self.previous = self.previous.wrapping_add(unzigzag(from.varint()?) as u64);
        if Position(self.previous).segment() == 0 {
            return Err(Malformed("no such place"));
        }
        NonZeroU64::new(self.previous).map(Place).ok_or(Malformed("no such place"))
    }

    fn stored(&self, reference: Reference<'_>) -> Body {
        Body::Stored(match reference {
            Reference::Near(kept, place) => Stored { place, cost: cost(&kept) },
            Reference::Far(stored, _) => stored,
        })
    }

    fn here(&mut self, reference: Reference<'_>) -> Result<Arc<Message>, Undecoded> {
        match reference {
            Reference::Near(kept, place) => Ok(Arc::new(Message::restored(&kept, place))),
            Reference::Far(stored, id) => {
                let mut message = (self.context.bodies)(stored.place).map_err(Undecoded::Body)?;
                if let Some(id) = id.filter(|id| *id != message.id) {
                    Arc::make_mut(&mut message).id = id;
                }
                Ok(message)
            }
        }
    }
}

/// [`Message::cost`], without the message.
fn cost(kept: &Kept<'_>) -> u32 {
    let bytes = kept.topic.len() + kept.properties.len() + kept.payload.len() + MESSAGE_OVERHEAD;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Records that speak of no message.
fn plain(kind: u8, from: &mut Bytes<'_>) -> Result<Record, Malformed> {
    Ok(match kind {
        kind::SESSION => {
            let flags = from.u8()?;
            Record::Session {
                session: SessionNumber(from.varint()?),
                tenant: Tenant(from.small()?),
                expiry_secs: from.small()?,
                durability: durability(flags & 3)?,
                away_since: if flags & PRESENT != 0 { Some(Time(from.varint()?)) } else { None },
                client_id: from.text()?.into(),
            }
        }
        kind::SESSION_ENDED => Record::SessionEnded(SessionNumber(from.varint()?)),
        kind::SUBSCRIBED => Record::Subscribed {
            session: SessionNumber(from.varint()?),
            options: options(from.u8()?)?,
            subscription_id: from.small()?,
            filter: from.text()?.into(),
        },
        kind::UNSUBSCRIBED => Record::Unsubscribed {
            session: SessionNumber(from.varint()?),
            filter: from.text()?.into(),
        },
        kind::GROUP => Record::Group {
            group: GroupNumber(from.varint()?),
            tenant: Tenant(from.small()?),
            name: from.text()?.into(),
            filter: from.text()?.into(),
        },
        kind::GROUP_ENDED => Record::GroupEnded(GroupNumber(from.varint()?)),
        kind::RELEASED => {
            let (session, id) = numbered(from)?;
            Record::Released { session, id }
        }
        kind::COMPLETED => {
            let (session, id) = numbered(from)?;
            Record::Completed { session, id }
        }
        kind::RECEIVED_RELEASED => {
            let (session, id) = numbered(from)?;
            Record::ReceivedReleased { session, id }
        }
        kind::WILL => will(from)?,
        kind::CLEARED => Record::Cleared {
            tenant: Tenant(from.small()?),
            message: MessageId(from.varint()?),
            topic: from.text()?.into(),
        },
        kind::GIVEN => Record::Given {
            session: SessionNumber(from.varint()?),
            group: GroupNumber(from.varint()?),
            message: MessageId(from.varint()?),
        },
        _ => return Err(Malformed("no such kind of record")),
    })
}

fn numbered(from: &mut Bytes<'_>) -> Result<(SessionNumber, PacketId), Malformed> {
    Ok((SessionNumber(from.varint()?), packet_id(from.small()?)?))
}

fn packet_id(number: u16) -> Result<PacketId, Malformed> {
    PacketId::new(number).ok_or(Malformed("no packet has the identifier 0"))
}

fn will(from: &mut Bytes<'_>) -> Result<Record, Malformed> {
    let flags = from.u8()?;
    let session = SessionNumber(from.varint()?);
    if flags & PRESENT == 0 {
        return Ok(Record::Will { session, will: None });
    }
    let will = StoredWill {
        qos: QoS::from_u8(flags & 3).ok_or(Malformed("no such QoS"))?,
        retain: flags & RETAINED != 0,
        delay_secs: from.small()?,
        message_expiry_secs: if flags & WILL_EXPIRES != 0 { Some(from.small()?) } else { None },
        topic: from.text()?.into(),
        properties: from.bytes()?.into(),
        payload: from.bytes()?.into(),
    };
    Ok(Record::Will { session, will: Some(Box::new(will)) })
}

fn durability(number: u8) -> Result<Durability, Malformed> {
    match number {
        0 => Ok(Durability::Memory),
        1 => Ok(Durability::Os),
        2 => Ok(Durability::Fsync),
        _ => Err(Malformed("no such durability")),
    }
}

fn options(byte: u8) -> Result<SubscribeOptions, Malformed> {
    let retain_handling = match byte >> 4 {
        0 => RetainHandling::Always,
        1 => RetainHandling::IfNew,
        2 => RetainHandling::Never,
        _ => return Err(Malformed("no such retain handling")),
    };
    Ok(SubscribeOptions {
        qos: QoS::from_u8(byte & 3).ok_or(Malformed("no such QoS"))?,
        no_local: byte & 1 << 2 != 0,
        retain_as_published: byte & 1 << 3 != 0,
        retain_handling,
    })
}
