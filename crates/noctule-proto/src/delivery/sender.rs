//! The sending end of QoS 1 and 2.

use crate::{PacketId, QoS, ReasonCode};
use alloc::boxed::Box;
use core::fmt;

/// Messages sent with QoS 1 or 2 and not yet settled, in the order of their first sending, under
/// packet identifiers that are assigned one after the other.
///
/// Identifiers lie in a ring indexed by their lower bits, so that every lookup is one access. The
/// ring spans from the oldest open identifier to the newest; it is freed when nothing is open.
#[derive(Clone)]
pub struct Sender<M> {
    /// Empty, or a power of two of slots; identifier `id` lies at `id & (len - 1)`.
    slots: Box<[Option<Entry<M>>]>,
    /// The oldest identifier that may be in use.
    front: u16,
    /// How many identifiers there are from `front` to the newest in use; 0 when none is.
    span: u32,
    /// The next identifier to assign.
    next: u16,
    /// Messages not settled; reservations are not counted.
    open: u16,
    /// Size of the last ring, as a power of two: the first guess for the next one.
    last_size: u8,
}

/// What an identifier in use stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Entry<M> {
    /// A QoS 1 PUBLISH that waits for its PUBACK `[MQTT-4.3.2-3 v5]`.
    AtLeastOnce(M),
    /// A QoS 2 PUBLISH that waits for its PUBREC `[MQTT-4.3.3-3 v5]`.
    ExactlyOnce(M),
    /// A PUBREL that waits for its PUBCOMP `[MQTT-4.3.3-5 v5]`.
    Released,
    /// Taken for a SUBSCRIBE or UNSUBSCRIBE, until [`Sender::release`].
    Reserved,
}

/// What has to be sent again on a new connection `[MQTT-4.4.0-1 v5]` `[MQTT-4.4.0-1 v3.1.1]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resend<'a, M> {
    /// A PUBLISH, with DUP if it had been sent.
    Publish {
        /// Its packet identifier.
        id: PacketId,
        /// Its QoS.
        qos: QoS,
        /// What was kept of it.
        message: &'a M,
    },
    /// A PUBREL.
    PubRel {
        /// Its packet identifier.
        id: PacketId,
    },
}

/// An acknowledgement that belongs to nothing that is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// Nothing is open under this identifier.
    NotOpen,
    /// What is open under this identifier waits for another packet.
    OtherKind,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unknown::NotOpen => "nothing is open under this packet identifier",
            Unknown::OtherKind => "this packet identifier waits for another acknowledgement",
        })
    }
}

impl core::error::Error for Unknown {}

/// What a PUBREC brings about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PubRecOutcome<M> {
    /// The peer owns the message, which is handed out; PUBREL is due `[MQTT-4.3.3-4 v5]`.
    Release(M),
    /// The peer refused the message; the hand-shake is over `[MQTT-4.4.0-2 v5]`.
    Settled(M),
    /// The PUBREC came before; PUBREL is due again.
    AlreadyReleased,
    /// Nothing is open under this identifier; in v5 PUBREL 0x92 is due.
    Unknown,
    /// A QoS 1 message or a reservation is open under this identifier.
    OtherKind,
}

const SIZE_MIN: u8 = 2;
/// A guess is not larger than this; a ring that needs more doubles.
const GUESS_MAX: u8 = 6;

impl<M> Default for Sender<M> {
    fn default() -> Sender<M> {
        Sender::new()
    }
}

impl<M> Sender<M> {
    /// Nothing sent; the first identifier will be 1. Allocates nothing.
    pub fn new() -> Sender<M> {
        let slots = Box::default();
        Sender { slots, front: 1, span: 0, next: 1, open: 0, last_size: SIZE_MIN }
    }

    /// Opens a hand-shake for a message of this QoS under the next identifier
    /// `[MQTT-4.3.2-1 v5]` `[MQTT-4.3.3-1 v5]` `[MQTT-4.3.2-1 v3.1.1]` `[MQTT-4.3.3-1 v3.1.1]`.
    ///
    /// `None`, and `message` is dropped: QoS 0 has no hand-shake, or the identifiers from the
    /// oldest open one on are used up (see [`is_full`](Self::is_full)).
    #[inline]
    pub fn start(&mut self, qos: QoS, message: M) -> Option<PacketId> {
        let entry = match qos {
            QoS::AtMostOnce => return None,
            QoS::AtLeastOnce => Entry::AtLeastOnce(message),
            QoS::ExactlyOnce => Entry::ExactlyOnce(message),
        };
        self.assign(entry)
    }

    /// Takes the next identifier for a SUBSCRIBE or UNSUBSCRIBE `[U5-2.2.1-1]`.
    pub fn reserve(&mut self) -> Option<PacketId> {
        self.assign(Entry::Reserved)
    }

    /// Frees an identifier that [`reserve`](Self::reserve) took, for SUBACK or UNSUBACK
    /// `[U5-2.2.1-2]`.
    pub fn release(&mut self, id: PacketId) -> Result<(), Unknown> {
        match self.entry(id) {
            Some(Entry::Reserved) => {
                self.remove(id);
                Ok(())
            }
            other => Err(Unknown::because(other.is_some())),
        }
    }

    /// A PUBACK came in: the message is settled, whatever its reason code says.
    #[inline]
    pub fn puback(&mut self, id: PacketId) -> Result<M, Unknown> {
        match self.entry(id) {
            Some(Entry::AtLeastOnce(_)) => match self.remove(id) {
                Some(Entry::AtLeastOnce(message)) => Ok(message),
                _ => Err(Unknown::NotOpen),
            },
            other => Err(Unknown::because(other.is_some())),
        }
    }

    /// A PUBREC with this reason came in.
    pub fn pubrec(&mut self, id: PacketId, reason: ReasonCode) -> PubRecOutcome<M> {
        match self.entry(id) {
            Some(Entry::ExactlyOnce(_)) => {}
            Some(Entry::Released) => return PubRecOutcome::AlreadyReleased,
            Some(Entry::AtLeastOnce(_) | Entry::Reserved) => return PubRecOutcome::OtherKind,
            None => return PubRecOutcome::Unknown,
        }
        let settled = reason.is_error();
        let entry = if settled {
            self.remove(id)
        } else {
            let index = self.index(id);
            self.slots[index].replace(Entry::Released)
        };
        match entry {
            Some(Entry::ExactlyOnce(message)) if settled => PubRecOutcome::Settled(message),
            Some(Entry::ExactlyOnce(message)) => PubRecOutcome::Release(message),
            _ => PubRecOutcome::Unknown,
        }
    }

    /// A PUBCOMP came in: the hand-shake is over, whatever its reason code says.
    pub fn pubcomp(&mut self, id: PacketId) -> Result<(), Unknown> {
        match self.entry(id) {
            Some(Entry::Released) => {
                self.remove(id);
                Ok(())
            }
            other => Err(Unknown::because(other.is_some())),
        }
    }

    /// How many messages are not settled.
    #[inline]
    pub fn open(&self) -> usize {
        usize::from(self.open)
    }

    /// Whether no identifier is in use.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.span == 0
    }

    /// Whether [`start`](Self::start) would find no identifier.
    pub fn is_full(&self) -> bool {
        self.spans(self.next)
    }

    /// What is open under an identifier.
    #[inline]
    pub fn entry(&self, id: PacketId) -> Option<&Entry<M>> {
        if !self.spans(id.value()) {
            return None;
        }
        self.slots[self.index(id)].as_ref()
    }

    /// The message that is open under an identifier.
    pub fn message_mut(&mut self, id: PacketId) -> Option<&mut M> {
        if !self.spans(id.value()) {
            return None;
        }
        match self.slots[self.index(id)].as_mut()? {
            Entry::AtLeastOnce(message) | Entry::ExactlyOnce(message) => Some(message),
            Entry::Released | Entry::Reserved => None,
        }
    }

    /// All identifiers in use, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (PacketId, &Entry<M>)> {
        (0..self.span).filter_map(move |i| {
            let id = PacketId::new(self.front.wrapping_add(i as u16))?;
            self.entry(id).map(|entry| (id, entry))
        })
    }

    /// What has to be sent again on a new connection, in the order of the first sending
    /// `[MQTT-4.4.0-1 v5]` `[MQTT-4.6.0-1 v5]` `[MQTT-4.6.0-1 v3.1.1]`.
    pub fn iter_resend(&self) -> impl DoubleEndedIterator<Item = Resend<'_, M>> {
        self.iter().filter_map(|(id, entry)| match entry {
            Entry::AtLeastOnce(message) => {
                Some(Resend::Publish { id, qos: QoS::AtLeastOnce, message })
            }
            Entry::ExactlyOnce(message) => {
                Some(Resend::Publish { id, qos: QoS::ExactlyOnce, message })
            }
            // [MQTT-4.3.3-6 v5]
            Entry::Released => Some(Resend::PubRel { id }),
            Entry::Reserved => None,
        })
    }

    /// Puts an entry under an identifier of the past, to rebuild the state from records: the next
    /// one in the order of the first sending, or one in the place of an earlier one. The next
    /// identifier assigned comes after the newest one. Returns what was there before.
    pub fn place(&mut self, id: PacketId, entry: Entry<M>) -> Option<Entry<M>> {
        let number = id.value();
        if self.is_empty() {
            self.front = number;
        }
        if !self.spans(number) {
            // Newer than what is there, however far that may be.
            self.widen(self.front, number);
            self.next = after(number);
        }
        let index = self.index(id);
        let counts = entry.is_message();
        let before = self.slots[index].replace(entry);
        let counted = before.as_ref().is_some_and(Entry::is_message);
        self.open = (self.open + u16::from(counts)).saturating_sub(u16::from(counted));
        before
    }

    /// Frees an identifier and hands out what was open under it, to rebuild the state from
    /// records and to give up a message.
    pub fn remove(&mut self, id: PacketId) -> Option<Entry<M>> {
        if !self.spans(id.value()) {
            return None;
        }
        let index = self.index(id);
        let entry = self.slots[index].take()?;
        self.open -= u16::from(entry.is_message());
        self.close_front();
        Some(entry)
    }

    /// The identifier that [`start`](Self::start) would assign.
    pub fn next_id(&self) -> Option<PacketId> {
        if self.is_full() { None } else { PacketId::new(self.next) }
    }

    /// The next identifier will be this one, if nothing is open: where an earlier sender of the
    /// same session left off.
    pub fn go_on_from(&mut self, id: PacketId) {
        if self.is_empty() {
            self.next = id.value();
        }
    }

    /// Forgets all and hands out what was open, oldest first.
    pub fn clear(&mut self) -> impl Iterator<Item = (PacketId, Entry<M>)> + use<M> {
        let next = self.next;
        let mut old = core::mem::take(self);
        self.next = next;
        let (front, mask) = (old.front, old.slots.len().wrapping_sub(1));
        (0..old.span).filter_map(move |i| {
            let number = front.wrapping_add(i as u16);
            let entry = old.slots[usize::from(number) & mask].take()?;
            Some((PacketId::new(number)?, entry))
        })
    }

    fn assign(&mut self, entry: Entry<M>) -> Option<PacketId> {
        let id = self.next_id()?;
        if self.is_empty() {
            self.front = self.next;
        }
        self.widen(self.front, self.next);
        self.next = after(self.next);
        let index = self.index(id);
        self.open += u16::from(entry.is_message());
        self.slots[index] = Some(entry);
        Some(id)
    }

    /// Whether `id` lies between the oldest identifier in use and the newest.
    #[inline]
    fn spans(&self, number: u16) -> bool {
        u32::from(number.wrapping_sub(self.front)) < self.span
    }

    #[inline]
    fn index(&self, id: PacketId) -> usize {
        usize::from(id.value()) & self.slots.len().wrapping_sub(1)
    }

    /// Lets the ring span from `front` to `newest`, which may only be wider than before.
    #[inline]
    fn widen(&mut self, front: u16, newest: u16) {
        let span = u32::from(newest.wrapping_sub(front)) + 1;
        if span as usize > self.slots.len() {
            self.grow(span as usize);
        }
        (self.front, self.span) = (front, span);
    }

    #[cold]
    fn grow(&mut self, span: usize) {
        let size = span.next_power_of_two().max(1 << self.last_size);
        let mut old = core::mem::take(&mut self.slots);
        let old_mask = old.len().wrapping_sub(1);
        self.slots = (0..size).map(|_| None).collect();
        for i in 0..self.span {
            let number = usize::from(self.front.wrapping_add(i as u16));
            self.slots[number & (size - 1)] = old[number & old_mask].take();
        }
        self.last_size = (size.trailing_zeros() as u8).clamp(SIZE_MIN, GUESS_MAX);
    }

    /// Moves the front past what is settled; frees the ring when nothing is left.
    #[inline]
    fn close_front(&mut self) {
        let mask = self.slots.len().wrapping_sub(1);
        while self.span > 0 && self.slots[usize::from(self.front) & mask].is_none() {
            self.front = self.front.wrapping_add(1);
            self.span -= 1;
        }
        if self.span == 0 {
            self.slots = Box::default();
        }
    }
}

impl<M> Entry<M> {
    fn is_message(&self) -> bool {
        !matches!(self, Entry::Reserved)
    }
}

impl Unknown {
    fn because(open: bool) -> Unknown {
        if open { Unknown::OtherKind } else { Unknown::NotOpen }
    }
}

/// The identifier after this one; 0 is none.
#[inline]
fn after(number: u16) -> u16 {
    if number == u16::MAX { 1 } else { number + 1 }
}

/// What is open decides, not how the ring lies.
impl<M: PartialEq> PartialEq for Sender<M> {
    fn eq(&self, other: &Self) -> bool {
        self.next == other.next && self.iter().eq(other.iter())
    }
}

impl<M: Eq> Eq for Sender<M> {}

impl<M: fmt::Debug> fmt::Debug for Sender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender ")?;
        f.debug_map().entries(self.iter()).finish()
    }
}

/// As the next identifier and the list of entries.
#[cfg(feature = "serde")]
mod frozen {
    use super::{Entry, Sender};
    use crate::PacketId;
    use alloc::vec::Vec;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    impl<M: Serialize> Serialize for Sender<M> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let entries: Vec<(PacketId, &Entry<M>)> = self.iter().collect();
            (self.next, entries).serialize(serializer)
        }
    }

    impl<'de, M: Deserialize<'de>> Deserialize<'de> for Sender<M> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let (next, entries): (u16, Vec<(PacketId, Entry<M>)>) =
                Deserialize::deserialize(deserializer)?;
            let mut sender = Sender::new();
            for (id, entry) in entries {
                sender.place(id, entry);
            }
            sender.thaw_next(next);
            Ok(sender)
        }
    }

    impl<M> Sender<M> {
        /// The next identifier, where it lies outside the span in use.
        fn thaw_next(&mut self, next: u16) {
            let Some(next) = PacketId::new(next) else { return };
            if !self.spans(next.value()) {
                self.next = next.value();
            }
        }
    }
}
