//! What mosquitto kept, whichever of its files it was in.

use std::borrow::Cow;
use std::fmt;

/// The latest instant that there is, in seconds: a little past the year 36000.
pub(super) const SECONDS_MAX: u64 = 1 << 40;

/// Bytes of a file, or made of some.
pub(super) type Bytes<'a> = Cow<'a, [u8]>;

/// All that a file of mosquitto holds, in its order; nothing of it is checked yet.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Persisted<'a> {
    /// What kind of file it was.
    pub(super) kind: String,
    pub(super) messages: Vec<BaseMessage<'a>>,
    /// Messages that are retained.
    pub(super) retained: Vec<u64>,
    pub(super) clients: Vec<Client<'a>>,
    pub(super) subscriptions: Vec<Subscription<'a>>,
    pub(super) deliveries: Vec<Delivery<'a>>,
    pub(super) wills: Vec<Will<'a>>,
    /// What is to be known of the file.
    pub(super) remarks: Vec<String>,
}

/// A message, once for all that wait for it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct BaseMessage<'a> {
    /// Its name in the file.
    pub(super) store_id: u64,
    /// Client id of the publisher.
    pub(super) source_id: Bytes<'a>,
    pub(super) expires_at_secs: Option<u64>,
    pub(super) content: Content<'a>,
}

/// What a PUBLISH says.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Content<'a> {
    pub(super) topic: Bytes<'a>,
    /// Encoded, without the length before them.
    pub(super) properties: Bytes<'a>,
    pub(super) payload: Bytes<'a>,
    pub(super) qos: u8,
    pub(super) retain: bool,
}

/// A session.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Client<'a> {
    pub(super) id: Bytes<'a>,
    pub(super) has_user_name: bool,
    pub(super) expiry_interval_secs: u32,
    /// When it expires, if its client was away.
    pub(super) expires_at_secs: Option<u64>,
    /// When its Will is due, if its client was away.
    pub(super) will_at_secs: Option<u64>,
    pub(super) will_delay_secs: u32,
}

/// A subscription.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Subscription<'a> {
    pub(super) client_id: Bytes<'a>,
    pub(super) filter: Bytes<'a>,
    /// As SUBSCRIBE has them.
    pub(super) options: u8,
    /// 0: none.
    pub(super) identifier: u32,
}

/// A message on its way to, or from, a client.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Delivery<'a> {
    pub(super) client_id: Bytes<'a>,
    pub(super) store_id: u64,
    pub(super) packet_id: u16,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) outgoing: bool,
    /// See [`State`].
    pub(super) state: u8,
    /// 0: none.
    pub(super) subscription_id: u32,
}

/// The Will of a session.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Will<'a> {
    pub(super) client_id: Bytes<'a>,
    pub(super) content: Content<'a>,
}

/// How far a message is, by mosquitto's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// It waits, or was sent with QoS 1: it is sent, if need be again.
    Waits,
    /// It was sent with QoS 2, or is about to be.
    Sent,
    /// PUBREC came: PUBREL is sent again.
    Released,
    /// It came with QoS 2, and its PUBREL did not.
    Unreleased,
    /// Nothing of it is left but an answer.
    Done,
}

impl State {
    /// That of a delivery; `None`: mosquitto knows no such number.
    pub(super) fn of(delivery: &Delivery<'_>) -> Option<State> {
        if !delivery.outgoing {
            return match delivery.state {
                7 | 10 | 11 => Some(State::Unreleased),
                8 => Some(State::Done),
                _ => None,
            };
        }
        match (delivery.state, delivery.packet_id) {
            (4 | 5, 1..) => Some(State::Sent),
            (6 | 9, 1..) => Some(State::Released),
            (1..=5 | 11, _) => Some(State::Waits),
            _ => None,
        }
    }
}

/// Why bytes are no file of mosquitto.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormatError {
    /// Where in the file; `None`: it is about the whole of it.
    pub offset: Option<u64>,
    /// What is wrong there.
    pub what: String,
}

impl FormatError {
    pub(super) fn at(offset: usize, what: impl Into<String>) -> FormatError {
        FormatError { offset: Some(offset as u64), what: what.into() }
    }

    pub(super) fn whole(what: impl Into<String>) -> FormatError {
        FormatError { offset: None, what: what.into() }
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(offset) = self.offset {
            write!(f, "at byte {offset}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for FormatError {}
