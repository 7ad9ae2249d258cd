//! Messages whose places in the log are not known yet, named by number until then.
//!
//! A message for a thousand sessions that are away is in memory once, for the turn that it takes to
//! log it, and each queue has an entry of 16 bytes from the start.

use crate::identity::Place;
use crate::message::Message;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;

/// Marks a number that stands for a place. No message lies in a checkpoint, whose places have it.
const NUMBERED: u64 = 1 << 63;

/// Whether it is a number.
#[inline]
pub(super) fn is_numbered(place: Place) -> bool {
    place.0.get() & NUMBERED != 0
}

/// The messages, and how many entries name each.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Pending {
    messages: VecDeque<(Arc<Message>, u32)>,
    /// Number of the first of them.
    first: u64,
}

impl Pending {
    /// What stands for the place of a message in one more entry.
    #[inline]
    pub(super) fn name(&mut self, message: &Arc<Message>) -> Place {
        match self.messages.back_mut() {
            // Its receivers come one after the other.
            Some((last, entries)) if Arc::ptr_eq(last, message) => *entries += 1,
            Some(_) | None => self.messages.push_back((Arc::clone(message), 1)),
        }
        let number = self.first + self.messages.len() as u64 - 1;
        Place(NonZeroU64::new(NUMBERED | number).expect("the mark is set"))
    }

    /// The message that a number stands for.
    #[inline]
    pub(super) fn message(&self, place: Place) -> &Arc<Message> {
        let index = (place.0.get() & !NUMBERED) - self.first;
        &self.messages[index as usize].0
    }

    /// The number below which all messages have places by now.
    pub(crate) fn placed(&self) -> Place {
        let placed = self.messages.iter().take_while(|(message, _)| message.place().is_some());
        let number = self.first + placed.count() as u64;
        Place(NonZeroU64::new(NUMBERED | number).expect("the mark is set"))
    }

    /// The place that a number below that one stands for; an entry names it no more.
    #[inline]
    pub(super) fn settle(&mut self, number: Place) -> Place {
        let place = self.message(number).place().unwrap_or(number);
        self.forget(number);
        place
    }

    /// An entry names it no more.
    #[inline]
    pub(super) fn forget(&mut self, place: Place) {
        let index = (place.0.get() & !NUMBERED) - self.first;
        self.messages[index as usize].1 -= 1;
        while self.messages.front().is_some_and(|(_, entries)| *entries == 0) {
            self.messages.pop_front();
            self.first += 1;
        }
    }

    /// How many entries name any.
    pub(crate) fn entries(&self) -> u64 {
        self.messages.iter().map(|(_, entries)| u64::from(*entries)).sum()
    }
}
