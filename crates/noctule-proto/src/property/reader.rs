//! Reads the property section of a packet, entry by entry.

use super::id::{Kind, PropertyId};
use crate::reader::Reader;
use crate::{Cause, PacketType, TopicError, TopicName};

/// Where a property section stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Context {
    Packet(PacketType),
    Will,
}

impl Context {
    fn bit(self) -> u16 {
        match self {
            Context::Packet(packet) => 1 << packet as u8,
            Context::Will => 1,
        }
    }
}

/// Reads a property section. Identifier, place and repetition are checked here, the value where
/// it is taken.
pub(crate) struct PropertyReader<'a> {
    section: &'a [u8],
    reader: Reader<'a>,
    packets: u16,
    seen: u64,
    current: PropertyId,
    current_at: usize,
    users: Span,
}

/// The part of a section from the first to the last entry of some kinds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    start: usize,
    end: usize,
    /// How many bytes of the span belong to these kinds.
    filled: usize,
}

impl Span {
    fn add(&mut self, start: usize, end: usize) {
        if self.filled == 0 {
            self.start = start;
        }
        self.end = end;
        self.filled += end - start;
    }

    /// The bytes of the span, and whether nothing else lies between.
    pub(crate) fn of<'a>(&self, section: &'a [u8]) -> (&'a [u8], bool) {
        (&section[self.start..self.end], self.filled == self.end - self.start)
    }
}

impl<'a> PropertyReader<'a> {
    /// Takes the property length and the section from `reader` `[MQTT-2.2.2-1 v5]`.
    #[inline]
    pub(crate) fn open(
        reader: &mut Reader<'a>,
        context: Context,
    ) -> Result<PropertyReader<'a>, Cause> {
        let len = reader.varint()?;
        let section = reader.take(len as usize)?;
        Ok(PropertyReader {
            section,
            reader: Reader::new(section),
            packets: context.bit(),
            seen: 0,
            current: PropertyId::UserProperty,
            current_at: 0,
            users: Span::default(),
        })
    }

    /// The next property; its value has to be taken before the one after it.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<PropertyId>, Cause> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        self.current_at = self.at();
        // Identifiers are variable byte integers; all that exist take one byte.
        let raw = self.reader.varint()?;
        let id = u8::try_from(raw).ok().and_then(PropertyId::from_u8);
        let Some(id) = id else { return Err(Cause::UnknownProperty(raw.min(0xFF) as u8)) };
        // [U5-2.2.2-1]
        if !id.in_packets(self.packets) {
            return Err(Cause::MisplacedProperty(id));
        }
        // [U5-2.2.2-2]
        let bit = 1 << id as u8;
        let may_repeat = id == PropertyId::UserProperty
            || id == PropertyId::SubscriptionIdentifier
                && self.packets == Context::Packet(PacketType::Publish).bit();
        if self.seen & bit != 0 && !may_repeat {
            return Err(Cause::RepeatedProperty(id));
        }
        self.seen |= bit;
        self.current = id;
        Ok(Some(id))
    }

    fn at(&self) -> usize {
        self.section.len() - self.reader.rest().len()
    }

    /// The whole section.
    pub(crate) fn section(&self) -> &'a [u8] {
        self.section
    }

    /// Adds the entry whose value has just been taken to `span`.
    #[inline]
    pub(crate) fn mark(&self, span: &mut Span) {
        span.add(self.current_at, self.at());
    }

    /// A User Property, checked and remembered for [`PropertyReader::users`].
    pub(crate) fn user(&mut self) -> Result<(), Cause> {
        self.pair()?;
        let (start, end) = (self.current_at, self.at());
        self.users.add(start, end);
        Ok(())
    }

    /// The User Properties read by [`PropertyReader::user`].
    pub(crate) fn users(&self) -> super::UserProperties<'a> {
        super::UserProperties { raw: self.users.of(self.section).0 }
    }

    /// The two texts of a User Property `[MQTT-1.5.7-1 v5]`.
    pub(crate) fn pair(&mut self) -> Result<(&'a str, &'a str), Cause> {
        Ok((self.reader.text()?, self.reader.text()?))
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, Cause> {
        match self.reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Cause::PropertyValue(self.current)),
        }
    }

    /// A property that travels with its message unchanged, added to `span`.
    pub(crate) fn travelling(&mut self, id: PropertyId, span: &mut Span) -> Result<(), Cause> {
        match id {
            PropertyId::PayloadFormatIndicator => self.flag().map(|_| ())?,
            // [MQTT-3.3.2-19 v5]
            PropertyId::ContentType => self.text().map(|_| ())?,
            PropertyId::ResponseTopic => {
                // [MQTT-3.3.2-13 v5], [MQTT-3.3.2-14 v5]
                let topic = TopicName::decode(self.binary()?).map_err(|cause| match cause {
                    Cause::TopicName(error) => Cause::ResponseTopic(error),
                    other => other,
                })?;
                // [MQTT-4.7.3-1 v5]
                if topic.is_empty() {
                    return Err(Cause::ResponseTopic(TopicError::Empty));
                }
            }
            PropertyId::CorrelationData => self.binary().map(|_| ())?,
            PropertyId::UserProperty => self.pair().map(|_| ())?,
            _ => return self.misplaced(),
        }
        self.mark(span);
        Ok(())
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Cause> {
        self.reader.u16()
    }

    /// A two byte integer that is not 0.
    pub(crate) fn nonzero_u16(&mut self) -> Result<core::num::NonZeroU16, Cause> {
        core::num::NonZeroU16::new(self.reader.u16()?).ok_or(Cause::PropertyValue(self.current))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Cause> {
        self.reader.u32()
    }

    /// A four byte integer that is not 0.
    pub(crate) fn nonzero_u32(&mut self) -> Result<core::num::NonZeroU32, Cause> {
        core::num::NonZeroU32::new(self.reader.u32()?).ok_or(Cause::PropertyValue(self.current))
    }

    /// A variable byte integer that is not 0.
    pub(crate) fn nonzero_varint(&mut self) -> Result<u32, Cause> {
        match self.reader.varint()? {
            0 => Err(Cause::PropertyValue(self.current)),
            value => Ok(value),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Cause> {
        self.reader.text()
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Cause> {
        self.reader.binary()
    }

    /// For a property that [`next`](Self::next) let through and the packet has no field for.
    pub(crate) fn misplaced<T>(&self) -> Result<T, Cause> {
        Err(Cause::MisplacedProperty(self.current))
    }
}

/// One entry of a section that has been checked before.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) id: PropertyId,
    /// Identifier and value as encoded.
    pub(crate) raw: &'a [u8],
    pub(crate) value: Value<'a>,
}

/// The value of an entry, as far as sections that travel unparsed need it.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Byte(u8),
    Varint(u32),
    Binary(&'a [u8]),
    Pair(&'a [u8], &'a [u8]),
    /// Two and four byte integers, which no such section reads.
    Number,
}

/// The entries of a section that has been checked before; ends early if it had not.
#[derive(Clone)]
pub(crate) struct Entries<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (id, value) = self.0.split_first()?;
        let id = PropertyId::from_u8(*id)?;
        let mut reader = Reader::new(value);
        let value = match id.kind() {
            Kind::Byte => Value::Byte(reader.u8().ok()?),
            Kind::TwoBytes => reader.u16().map(|_| Value::Number).ok()?,
            Kind::FourBytes => reader.u32().map(|_| Value::Number).ok()?,
            Kind::Varint => Value::Varint(reader.varint().ok()?),
            Kind::Text | Kind::Binary => Value::Binary(reader.binary().ok()?),
            Kind::Pair => Value::Pair(reader.binary().ok()?, reader.binary().ok()?),
        };
        let (raw, rest) = self.0.split_at(self.0.len() - reader.rest().len());
        self.0 = rest;
        Some(Entry { id, raw, value })
    }
}
