//! What may follow what: the promises of MQTT, and of the client on top of them.

use super::Arrival;
use super::state::{Care, Heard, Kind, Lenience, Receiver, State, Stream};
use crate::soak::content::Name;
use noctule_client::{Error, QoS, ReasonCode};

/// What is known of the end of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It came before its publisher's word of it.
    Unheard,
    /// Nothing yet.
    Asked,
    /// The client has it in its file.
    Stored,
    /// The promise of its QoS is kept.
    Kept,
    /// The server does not take it, or it could not be sent.
    Refused,
    /// It may have arrived or not, and the publisher was told so.
    Unsure,
}

impl State {
    /// A publisher in another process is about to publish this message.
    pub(super) fn ask_elsewhere(&mut self, name: Name, asked_ms: u32) -> Result<(), String> {
        let messages = &mut self.streams[usize::from(name.stream)].messages;
        let expected = messages.len() as u32;
        match messages.get_mut(name.number as usize) {
            Some(message) if message.fate == Fate::Unheard => message.fate = Fate::Asked,
            None if name.number == expected => {
                self.push(name.stream, asked_ms, Fate::Asked, false);
            }
            Some(_) | None => return Err("it is not the next of its stream".to_owned()),
        }
        Ok(())
    }

    /// A message has come to this point of its life.
    pub(super) fn fate(&mut self, name: Name, fate: Fate) -> Result<(), String> {
        let arrived = self.arrived(name);
        let stream = &mut self.streams[usize::from(name.stream)];
        let kind = stream.kind;
        let message = stream.messages.get_mut(name.number as usize);
        let message = message.ok_or("an end of a message that nobody asked for")?;
        match (message.fate, fate) {
            (Fate::Asked, _) => self.open -= 1,
            (Fate::Stored, Fate::Kept | Fate::Unsure) => {}
            (before, _) => return Err(format!("it was {before:?} before")),
        }
        message.fate = fate;
        let promised = matches!(fate, Fate::Kept | Fate::Stored) && stream.qos > QoS::AtMostOnce;
        let over_a_death = stream.lenience == Lenience::Mortal
            && stream.qos == QoS::ExactlyOnce
            && self.death_ms.is_some_and(|at_ms| message.asked_ms <= at_ms);
        if promised && over_a_death {
            *self.counts.entry("QoS 2 over a death").or_default() += 1;
        } else if promised && message.owed && !message.due {
            message.due = true;
            let owed = self.receivers.iter().filter(|receiver| receiver.kind == kind);
            self.missing += (owed.count() - arrived) as u64;
        }
        if fate == Fate::Refused && arrived > 0 {
            return Err("it was refused, and has arrived".to_owned());
        }
        Ok(())
    }

    /// How many receivers have it.
    fn arrived(&self, name: Name) -> usize {
        self.receivers.iter().filter(|receiver| receiver.has(name) > 0).count()
    }

    /// The client has said how it ended.
    pub(super) fn settle(
        &mut self,
        name: Name,
        result: &Result<ReasonCode, Error>,
    ) -> Result<(), String> {
        let stream = &self.streams[usize::from(name.stream)];
        let message = stream.messages.get(name.number as usize);
        let message = message.ok_or("an end of a message that nobody asked for")?;
        let fate = end(stream, message.owed, result)?;
        let right = match fate {
            Fate::Refused => message.unwelcome,
            Fate::Kept => !message.unwelcome,
            Fate::Unheard | Fate::Asked | Fate::Stored | Fate::Unsure => true,
        };
        if !right {
            return Err(format!("it ended as {result:?}"));
        }
        self.fate(name, fate)
    }

    /// The client has said that it failed, in these words: at QoS 0 it may.
    pub(super) fn lose(&mut self, name: Name, why: &str) -> Result<(), String> {
        match self.streams.get(usize::from(name.stream)).map(|stream| stream.qos) {
            Some(QoS::AtMostOnce) => self.fate(name, Fate::Unsure),
            Some(_) | None => Err(format!("it failed: {why}")),
        }
    }

    /// A message has come to a receiver.
    pub(super) fn arrive(
        &mut self,
        at: u16,
        name: Name,
        arrival: &Arrival<'_>,
        at_ms: u32,
    ) -> Result<(), String> {
        self.hear_of(name, at_ms);
        let receiver = &mut self.receivers[usize::from(at)];
        let who = &self.parties[usize::from(receiver.party)];
        let stream = self.streams.get_mut(usize::from(name.stream));
        let stream = stream.filter(|stream| stream.kind == receiver.kind);
        let stream = stream.ok_or_else(|| format!("{who} got what is not for it"))?;
        let message = stream.messages.get(name.number as usize);
        let message = message.ok_or_else(|| format!("{who} got what nobody has published"))?;
        let granted = stream.qos.min(receiver.qos);
        if arrival.qos != granted {
            return Err(format!("{who} got it at {:?} instead of {granted:?}", arrival.qos));
        }
        if message.fate == Fate::Refused {
            return Err(format!("it was refused, and came to {who}"));
        }
        // A server that forgets may meet a subscriber in the middle of what is sent to it twice.
        let in_order = message.owed || stream.lenience != Lenience::Amnesia;
        let (first, order_kept) = receiver.take(name, in_order || granted != QoS::AtLeastOnce);
        if first {
            receiver.newest_ms = receiver.newest_ms.max(message.asked_ms);
            self.missing -= u64::from(message.due);
        } else {
            let repeat = match (granted, receiver.care) {
                (QoS::AtLeastOnce, _) => "came twice at QoS 1",
                (QoS::ExactlyOnce, Care::Repeated) => "came twice at QoS 2",
                (..) => return Err(format!("it came to {who} twice")),
            };
            *self.counts.entry(repeat).or_default() += 1;
        }
        if first && !order_kept && receiver.care == Care::Strict {
            return Err(format!("it came to {who} after a later one of its stream"));
        }
        Ok(())
    }

    /// The word of a message may come later than it.
    fn hear_of(&mut self, name: Name, at_ms: u32) {
        let Some(stream) = self.streams.get(usize::from(name.stream)) else { return };
        // A line in a pipe is not long behind.
        let ahead = (name.number as usize + 1).saturating_sub(stream.messages.len());
        if stream.lenience == Lenience::Elsewhere && ahead < 100 {
            for _ in 0..ahead {
                self.push(name.stream, at_ms, Fate::Unheard, false);
            }
        }
    }
}

impl Receiver {
    /// How often this message has come.
    pub(super) fn has(&self, name: Name) -> u8 {
        let heard = self.heard.get(usize::from(name.stream));
        heard.and_then(|heard| heard.counts.get(name.number as usize)).copied().unwrap_or(0)
    }

    /// Counts it: whether it came for the first time, and whether none came before that should
    /// come later. Only `in_order` has a place in the order.
    fn take(&mut self, name: Name, in_order: bool) -> (bool, bool) {
        let (stream, number) = (usize::from(name.stream), name.number as usize);
        if self.heard.len() <= stream {
            self.heard.resize_with(stream + 1, Heard::default);
        }
        let heard = &mut self.heard[stream];
        if number >= heard.counts.len() {
            heard.counts.resize(number + 1, 0);
        }
        let count = &mut heard.counts[number];
        *count = count.saturating_add(1);
        let first = *count == 1;
        let order_kept = !in_order || heard.latest.is_none_or(|latest| latest <= name.number);
        if in_order {
            heard.latest = heard.latest.max(Some(name.number));
        }
        (first, order_kept)
    }
}

/// What an end means, if the stream may end like this.
fn end(stream: &Stream, owed: bool, result: &Result<ReasonCode, Error>) -> Result<Fate, String> {
    let error = match result {
        Ok(ReasonCode::Success) => return Ok(Fate::Kept),
        Ok(ReasonCode::NoMatchingSubscribers) if !owed => return Ok(Fate::Kept),
        Ok(other) => return Err(format!("it ended as {other:?}")),
        Err(error) => error,
    };
    let lossy = match stream.lenience {
        Lenience::None | Lenience::Elsewhere | Lenience::Mortal => false,
        Lenience::Forgetful => true,
        Lenience::Amnesia => !owed,
    };
    let excused = match error {
        Error::Invalid(_) | Error::Rejected(_) => return Ok(Fate::Refused),
        Error::SessionLost => lossy && stream.qos == QoS::ExactlyOnce,
        Error::NoResponse => lossy && stream.kind == Kind::Request,
        // It left with a connection that broke.
        Error::Closed | Error::Disconnected(_) | Error::NoAnswer(_) | Error::Failure(_) => {
            stream.qos == QoS::AtMostOnce
        }
        _ => false,
    };
    if excused { Ok(Fate::Unsure) } else { Err(format!("it failed: {error}")) }
}
