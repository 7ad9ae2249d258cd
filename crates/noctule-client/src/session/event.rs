//! What a session has to tell its owner.

use super::connected::Connected;
use crate::delivery::Delivery;
use crate::error::Error;
use alloc::boxed::Box;
use alloc::vec::Vec;
use noctule_proto::ReasonCode;

/// Names one request; unique within a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Token(pub(super) u64);

/// What the bytes of the server bring.
#[derive(Clone, Debug)]
pub enum Received<'a> {
    /// A message.
    Message(Delivery<'a>),
    /// Anything else.
    Event(Event),
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The server has let us in.
    Connected(Box<Connected>),
    /// What the QoS of a message promises is kept (QoS 0: it is in the output), or cannot be.
    Published {
        /// Of [`Session::publish`](crate::Session::publish).
        token: Token,
        /// A reason code below 0x80, or what went wrong.
        result: Result<ReasonCode, Error>,
    },
    /// The server has answered a SUBSCRIBE.
    Subscribed {
        /// Of [`Session::subscribe`](crate::Session::subscribe).
        token: Token,
        /// One code for each filter; those from 0x80 are refusals.
        result: Result<Vec<ReasonCode>, Error>,
    },
    /// The server has answered an UNSUBSCRIBE.
    Unsubscribed {
        /// Of [`Session::unsubscribe`](crate::Session::unsubscribe).
        token: Token,
        /// One code for each filter; before 5.0 all are success.
        result: Result<Vec<ReasonCode>, Error>,
    },
    /// The server has accepted a re-authentication.
    Reauthenticated,
    /// The connection is over: send what is left of the output, then close the transport.
    Ended(Error),
}
