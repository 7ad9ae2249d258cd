//! Records as items.

use super::bytes::{put_bytes, put_varint, varint_len, zigzag};
use super::frame::{FRAME_HEAD, FrameHead, align};
use super::message::{CRC, put_message, salt};
use super::receivers::{Delivery, Scratch, put_receivers};
use noctule_core::identity::{MessageId, Place, SessionNumber};
use noctule_core::index::Receiver;
use noctule_core::message::Message;
use noctule_core::record::{Body, Record, StoredWill, Waiting};
use noctule_proto::packet::SubscribeOptions;
use std::num::NonZeroU64;
use std::sync::Arc;

/// Kinds of items, besides the message.
pub(super) mod kind {
    pub(crate) const SESSION: u8 = 2;
    pub(crate) const SESSION_ENDED: u8 = 3;
    pub(crate) const SUBSCRIBED: u8 = 4;
    pub(crate) const UNSUBSCRIBED: u8 = 5;
    pub(crate) const GROUP: u8 = 6;
    pub(crate) const GROUP_ENDED: u8 = 7;
    pub(crate) const PUBLISHED: u8 = 8;
    pub(crate) const WAITING: u8 = 9;
    pub(crate) const SENT: u8 = 10;
    pub(crate) const RELEASED: u8 = 11;
    pub(crate) const COMPLETED: u8 = 12;
    pub(crate) const SETTLED: u8 = 13;
    pub(crate) const RECEIVED: u8 = 14;
    pub(crate) const RECEIVED_RELEASED: u8 = 15;
    pub(crate) const WILL: u8 = 16;
    pub(crate) const GIVEN: u8 = 17;
    pub(crate) const CLEARED: u8 = 18;
}

/// Flag of an item that speaks of a message: it lies in the same frame.
pub(super) const NEAR: u8 = 1;
/// The message is told with an id, which differs from that of the stored one.
pub(super) const ID: u8 = 1 << 1;
/// The message became the retained one.
pub(super) const RETAINED: u8 = 1 << 2;
/// The receiver is a share group.
pub(super) const GROUPED: u8 = 1 << 3;
/// There is a time, or a value at all.
pub(super) const PRESENT: u8 = 1 << 4;

/// Encodes the records of one frame.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// Room for the head of the frame, then items.
    out: Vec<u8>,
    /// What lies before `gathered` without contents of messages and their checksums: summed up in
    /// one go, which costs less than many short ones.
    others: Vec<u8>,
    gathered: usize,
    /// Messages that this frame keeps.
    placed: Vec<Placed>,
    /// The last place that was told.
    previous: u64,
    scratch: Scratch,
}

/// A frame but for its head.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Room for the head, items, padding.
    pub(crate) bytes: Vec<u8>,
    pub(crate) body_len: u32,
    pub(crate) body_crc: u32,
}

/// A message in a frame.
#[derive(Debug)]
struct Placed {
    message: Arc<Message>,
    /// Where it lies in the frame.
    offset: u32,
    /// And its content.
    content: u32,
}

/// How a record speaks of a message.
enum Reference {
    Near(u32),
    Far { place: Place, cost: u64, id: Option<MessageId> },
}

impl Encoder {
    pub(crate) fn new() -> Encoder {
        Encoder {
            out: vec![0; FRAME_HEAD],
            others: Vec::new(),
            gathered: FRAME_HEAD,
            placed: Vec::new(),
            previous: 0,
            scratch: Scratch::default(),
        }
    }

    /// Bytes of items so far.
    pub(crate) fn len(&self) -> usize {
        self.out.len() - FRAME_HEAD
    }

    /// Whether the frame keeps messages.
    pub(crate) fn has_messages(&self) -> bool {
        !self.placed.is_empty()
    }

    /// Ends the frame. It is sealed by [`Encoder::seal`] before the next one begins.
    pub(crate) fn finish(&mut self) -> Encoded {
        let body_len = self.len() as u32;
        let before = crc32c::crc32c(&self.others);
        let body_crc = crc32c::crc32c_append(before, &self.out[self.gathered..]);
        self.out.resize(align(self.out.len() as u64) as usize, 0);
        let next = Vec::with_capacity(self.out.len().clamp(256, 64 * 1024));
        let bytes = std::mem::replace(&mut self.out, next);
        self.out.resize(FRAME_HEAD, 0);
        self.others.clear();
        (self.gathered, self.previous) = (FRAME_HEAD, 0);
        Encoded { bytes, body_len, body_crc }
    }

    /// The finished frame has its head, and its messages have their places.
    pub(crate) fn seal(&mut self, frame: &mut Encoded, head: &FrameHead, seed: u32) {
        head.write(seed, &mut frame.bytes);
        for Placed { message, offset, content } in self.placed.drain(..) {
            let at = head.at.plus(u64::from(offset));
            message.set_place(at.place().expect("segments count from 1"));
            let crc = &mut frame.bytes[content as usize - CRC..content as usize];
            for (byte, salt) in crc.iter_mut().zip(salt(seed, at).to_le_bytes()) {
                *byte ^= salt;
            }
        }
    }

    /// Appends a record. One that speaks of a message that was never kept says nothing.
    pub(crate) fn record(&mut self, record: &Record) {
        match record {
            Record::Session { .. } => self.session(record),
            Record::SessionEnded(session) => self.numbers(kind::SESSION_ENDED, &[session.0]),
            Record::Subscribed { .. } => self.subscribed(record),
            Record::Unsubscribed { session, filter } => {
                self.named(kind::UNSUBSCRIBED, &[session.0], &[filter]);
            }
            Record::Group { group, tenant, name, filter } => {
                let numbers = [group.0, u64::from(tenant.0)];
                self.named(kind::GROUP, &numbers, &[name, filter]);
            }
            Record::GroupEnded(group) => self.numbers(kind::GROUP_ENDED, &[group.0]),
            Record::Published { message, receivers, retained } => {
                let flags = if *retained { RETAINED } else { 0 };
                let reference = self.keep(message);
                let start = self.begin(kind::PUBLISHED);
                self.reference(start, flags, &reference);
                put_receivers(&mut self.out, receivers, &mut self.scratch);
                self.end(start);
            }
            Record::Waiting { receiver, messages } => self.waiting(*receiver, messages),
            Record::Sent { session, message, manner, id } => {
                let Some(reference) = self.find(message) else { return };
                let start = self.begin(kind::SENT);
                self.reference(start, 0, &reference);
                self.out.extend_from_slice(&id.value().to_le_bytes());
                put_varint(&mut self.out, session.0);
                Delivery::of(*manner).put(&mut self.out);
                self.end(start);
            }
            Record::Released { session, id } => {
                self.numbers(kind::RELEASED, &[session.0, u64::from(id.value())]);
            }
            Record::Completed { session, id } => {
                self.numbers(kind::COMPLETED, &[session.0, u64::from(id.value())]);
            }
            Record::Settled { receiver, message, manner } => {
                let Some(reference) = self.find(message) else { return };
                let (flags, number) = receiver_parts(*receiver);
                let start = self.begin(kind::SETTLED);
                self.reference(start, flags, &reference);
                put_varint(&mut self.out, number);
                if let Some(manner) = manner {
                    Delivery::of(*manner).put(&mut self.out);
                }
                self.end(start);
            }
            Record::Received { session, id, message } => {
                let reference = self.keep(message);
                let start = self.begin(kind::RECEIVED);
                self.reference(start, 0, &reference);
                self.out.extend_from_slice(&id.value().to_le_bytes());
                put_varint(&mut self.out, session.0);
                self.end(start);
            }
            Record::ReceivedReleased { session, id } => {
                self.numbers(kind::RECEIVED_RELEASED, &[session.0, u64::from(id.value())]);
            }
            Record::Will { session, will } => self.will(*session, will.as_deref()),
            Record::Cleared { tenant, topic, message } => {
                self.named(kind::CLEARED, &[u64::from(tenant.0), message.0], &[topic]);
            }
            Record::Given { session, group, message } => {
                self.numbers(kind::GIVEN, &[session.0, group.0, message.0]);
            }
        }
    }

    fn session(&mut self, record: &Record) {
        let Record::Session { session, tenant, client_id, expiry_secs, durability, away_since } =
            record
        else {
            return;
        };
        let start = self.begin(kind::SESSION);
        self.out.push(*durability as u8 | if away_since.is_some() { PRESENT } else { 0 });
        put_varint(&mut self.out, session.0);
        put_varint(&mut self.out, u64::from(tenant.0));
        put_varint(&mut self.out, u64::from(*expiry_secs));
        if let Some(since) = away_since {
            put_varint(&mut self.out, since.0);
        }
        put_bytes(&mut self.out, client_id.as_bytes());
        self.end(start);
    }

    fn subscribed(&mut self, record: &Record) {
        let Record::Subscribed { session, filter, options, subscription_id } = record else {
            return;
        };
        let start = self.begin(kind::SUBSCRIBED);
        put_varint(&mut self.out, session.0);
        self.out.push(options_byte(*options));
        put_varint(&mut self.out, u64::from(*subscription_id));
        put_bytes(&mut self.out, filter.as_bytes());
        self.end(start);
    }

    /// Messages are told by place, and by id if all are here: those of a share group.
    fn waiting(&mut self, receiver: Receiver, messages: &[Waiting]) {
        let (mut flags, number) = receiver_parts(receiver);
        let here = |waiting: &Waiting| matches!(waiting.message, Body::Here(_));
        flags |= if messages.iter().all(here) { ID } else { 0 };
        let start = self.begin(kind::WAITING);
        self.out.push(flags);
        put_varint(&mut self.out, number);
        for waiting in messages {
            // What was never kept does not wait after a restart either.
            let Some(Reference::Far { place, cost, .. }) = self.find(&waiting.message) else {
                continue;
            };
            Delivery::new(waiting.qos, waiting.retain, waiting.subscription_id).put(&mut self.out);
            self.far(place);
            put_varint(&mut self.out, cost);
            if let Body::Here(message) = &waiting.message
                && flags & ID != 0
            {
                self.out.extend_from_slice(&message.id.0.to_le_bytes());
            }
        }
        self.end(start);
    }

    fn will(&mut self, session: SessionNumber, will: Option<&StoredWill>) {
        let start = self.begin(kind::WILL);
        let Some(will) = will else {
            self.out.push(0);
            put_varint(&mut self.out, session.0);
            return self.end(start);
        };
        let mut flags = PRESENT | will.qos as u8;
        flags |= if will.retain { RETAINED } else { 0 };
        flags |= if will.message_expiry_secs.is_some() { WILL_EXPIRES } else { 0 };
        self.out.push(flags);
        put_varint(&mut self.out, session.0);
        put_varint(&mut self.out, u64::from(will.delay_secs));
        if let Some(secs) = will.message_expiry_secs {
            put_varint(&mut self.out, u64::from(secs));
        }
        put_bytes(&mut self.out, will.topic.as_bytes());
        put_bytes(&mut self.out, &will.properties);
        put_bytes(&mut self.out, &will.payload);
        self.end(start);
    }

    fn numbers(&mut self, kind: u8, numbers: &[u64]) {
        self.named(kind, numbers, &[]);
    }

    fn named(&mut self, kind: u8, numbers: &[u64], texts: &[&str]) {
        let start = self.begin(kind);
        for number in numbers {
            put_varint(&mut self.out, *number);
        }
        for text in texts {
            put_bytes(&mut self.out, text.as_bytes());
        }
        self.end(start);
    }

    /// Keeps a message in this frame unless the log has it already.
    fn keep(&mut self, message: &Body) -> Reference {
        if let Some(found) = self.find(message) {
            return match (found, message) {
                // The id of what is kept may be another: that of an earlier record.
                (Reference::Far { place, cost, .. }, Body::Here(message)) => {
                    Reference::Far { place, cost, id: Some(message.id) }
                }
                (found, _) => found,
            };
        }
        let Body::Here(message) = message else { unreachable!("what is stored has a place") };
        let offset = self.out.len() as u32;
        let content = put_message(&mut self.out, message);
        self.others.extend_from_slice(&self.out[self.gathered..content - CRC]);
        self.gathered = self.out.len();
        // Until the frame has a position: no segment is numbered 0, so this is no place.
        message.set_place(near(offset));
        let content = content as u32;
        self.placed.push(Placed { message: Arc::clone(message), offset, content });
        Reference::Near(offset)
    }

    /// Where the log keeps a message, if it does.
    fn find(&self, message: &Body) -> Option<Reference> {
        let place = message.place()?;
        Some(match u32::try_from(place.0.get()) {
            Ok(offset) => Reference::Near(offset),
            Err(_) => Reference::Far { place, cost: message.cost(), id: None },
        })
    }

    /// Appends flags and how to find a message.
    fn reference(&mut self, start: usize, flags: u8, reference: &Reference) {
        match *reference {
            Reference::Near(offset) => {
                self.out.push(flags | NEAR);
                put_varint(&mut self.out, start as u64 - u64::from(offset));
            }
            Reference::Far { place, cost, id } => {
                self.out.push(flags | if id.is_some() { ID } else { 0 });
                self.far(place);
                put_varint(&mut self.out, cost);
                if let Some(id) = id {
                    self.out.extend_from_slice(&id.0.to_le_bytes());
                }
            }
        }
    }

    fn far(&mut self, place: Place) {
        let place = place.0.get();
        put_varint(&mut self.out, zigzag(place.wrapping_sub(self.previous) as i64));
        self.previous = place;
    }

    fn begin(&mut self, kind: u8) -> usize {
        let start = self.out.len();
        self.out.extend_from_slice(&[kind, 0]);
        start
    }

    /// Fills in the length of the item that began at `start`.
    fn end(&mut self, start: usize) {
        let content = start + 2;
        let len = self.out.len() - content;
        let width = varint_len(len as u64);
        if width > 1 {
            let end = self.out.len();
            self.out.resize(end + width - 1, 0);
            self.out.copy_within(content..end, content + width - 1);
        }
        let mut rest = len;
        for (at, byte) in self.out[start + 1..=start + width].iter_mut().enumerate() {
            *byte = rest as u8 & 0x7f | if at + 1 < width { 0x80 } else { 0 };
            rest >>= 7;
        }
    }
}

/// Flag of a Will that has a message expiry interval.
pub(super) const WILL_EXPIRES: u8 = 1 << 5;

fn near(offset: u32) -> Place {
    Place(NonZeroU64::new(u64::from(offset)).expect("the head of the frame lies before"))
}

fn receiver_parts(receiver: Receiver) -> (u8, u64) {
    match receiver {
        Receiver::Session(number) => (0, number.0),
        Receiver::Group(number) => (GROUPED, number.0),
    }
}

fn options_byte(options: SubscribeOptions) -> u8 {
    options.qos as u8
        | u8::from(options.no_local) << 2
        | u8::from(options.retain_as_published) << 3
        | (options.retain_handling as u8) << 4
}
