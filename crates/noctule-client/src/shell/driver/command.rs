//! What handles ask of the driver, and who waits for which answer.

use crate::delivery::AckToken;
use crate::error::Error;
use crate::message::{Goodbye, Message, Subscribe, Unsubscribe};
use crate::options::Acknowledge;
use crate::shell::routes::Inbox;
use noctule_proto::ReasonCode;
use tokio::sync::oneshot;

pub(in crate::shell) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What a subscription gets.
pub(in crate::shell) type Granted = (Vec<ReasonCode>, Inbox);

/// What may have to wait until there is room or a connection.
#[derive(Debug)]
pub(in crate::shell) enum Command {
    Publish {
        message: Message,
        reply: Reply<ReasonCode>,
        /// Told when the message is in line, and safe if the session is kept in a file.
        in_line: Option<oneshot::Sender<()>>,
    },
    /// And who acknowledges what comes.
    Subscribe(Subscribe, Acknowledge, Reply<Granted>),
    Unsubscribe(Unsubscribe, Reply<Vec<ReasonCode>>),
}

/// What never waits behind the others.
#[derive(Debug)]
pub(in crate::shell) enum Control {
    Acknowledge(AckToken, ReasonCode),
    Everything(oneshot::Sender<Inbox>),
    Reauthenticate(Reply<()>),
    Disconnect(Goodbye, oneshot::Sender<()>),
}

/// A request to the server that is asked again on the next connection if this one breaks.
#[derive(Debug)]
pub(super) enum Request {
    Subscribe {
        /// Which route it is for.
        key: u64,
        /// `None`: a subscription that the server has forgotten is renewed.
        reply: Option<(Reply<Granted>, Inbox)>,
    },
    Unsubscribe {
        unsubscribe: Unsubscribe,
        /// The newest route when it was asked: later ones subscribe anew.
        newest: u64,
        reply: Reply<Vec<ReasonCode>>,
    },
}

impl Request {
    /// The route of a subscription.
    pub(super) fn key(&self) -> Option<u64> {
        match self {
            Request::Subscribe { key, .. } => Some(*key),
            Request::Unsubscribe { .. } => None,
        }
    }

    /// Requests with a lower one were made before. Those with the same one end subscriptions, and
    /// may change places.
    pub(super) fn place(&self) -> (u64, bool) {
        match self {
            Request::Subscribe { key, .. } => (*key, false),
            Request::Unsubscribe { newest, .. } => (*newest, true),
        }
    }

    /// Nobody waits for the answer of a subscription, so nobody could take its messages. What is
    /// unsubscribed is so in any case.
    pub(super) fn is_given_up(&self) -> bool {
        match self {
            Request::Subscribe { reply, .. } => {
                reply.as_ref().is_some_and(|(reply, _)| reply.is_closed())
            }
            Request::Unsubscribe { .. } => false,
        }
    }

    /// Whether the server was asked before, and has granted it.
    pub(super) fn is_renewal(&self) -> bool {
        matches!(self, Request::Subscribe { reply: None, .. })
    }
}

/// Who waits for the end of something that was sent.
#[derive(Debug)]
pub(super) enum Waiting {
    Publish { reply: Reply<ReasonCode>, when: Kept },
    Request(Request),
}

/// When the promise of a message is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    /// QoS 0: when the socket has its last byte.
    Written,
    /// When the server has acknowledged it.
    Acknowledged,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsubscribe(newest: u64) -> Request {
        let reply = oneshot::channel().0;
        Request::Unsubscribe { unsubscribe: Unsubscribe::from("a"), newest, reply }
    }

    #[test]
    fn requests_have_places_in_the_order_of_asking() {
        let subscribe = |key| Request::Subscribe { key, reply: None };
        let asked = [unsubscribe(0), subscribe(1), subscribe(2), unsubscribe(2), subscribe(3)];
        assert!(asked.iter().map(Request::place).is_sorted_by(|one, next| one < next));
    }
}
