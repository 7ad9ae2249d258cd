//! Acknowledgements that the application gives, sent in the order in which the messages came.

use crate::delivery::AckToken;
use alloc::collections::{BTreeMap, VecDeque};
use noctule_proto::{PacketId, QoS, ReasonCode};

/// Messages that were handed over and are not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// Waiting for the application. Those of QoS 1 belong to the connection, those of QoS 2 to the
    /// session: their identifier stands for the message until it is released.
    open: BTreeMap<PacketId, Open>,
    /// The application's word, where the acknowledgement could not leave yet.
    decided: BTreeMap<PacketId, ReasonCode>,
    /// In the order in which they came on this connection `[MQTT-4.6.0-2 v5]`
    /// `[MQTT-4.6.0-3 v5]`.
    order: VecDeque<(PacketId, QoS)>,
    arrivals: u64,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    arrival: u64,
    qos: QoS,
}

/// Whether a message is handed to the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrived {
    New(AckToken),
    /// The application has it, from an earlier connection.
    Known,
}

impl Acks {
    /// How many messages of this connection wait for their acknowledgement.
    pub(super) fn waiting(&self) -> usize {
        self.order.len()
    }

    /// Whether this message of QoS 2 is with the application.
    pub(super) fn knows(&self, id: PacketId) -> bool {
        self.open.get(&id).is_some_and(|open| open.qos == QoS::ExactlyOnce)
            || self.decided.contains_key(&id)
    }

    /// A message came in that the application has to acknowledge.
    pub(super) fn arrive(&mut self, id: PacketId, qos: QoS) -> Arrived {
        self.order.push_back((id, qos));
        if qos == QoS::ExactlyOnce && self.knows(id) {
            return Arrived::Known;
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.open.insert(id, Open { arrival, qos });
        Arrived::New(AckToken { id, arrival })
    }

    /// A message came again that was acknowledged before.
    pub(super) fn repeat(&mut self, id: PacketId) {
        self.order.push_back((id, QoS::ExactlyOnce));
        self.decided.insert(id, ReasonCode::Success);
    }

    /// The application's word. `false`: nothing waits for it, so it came twice, or for a message of
    /// an earlier connection that the server will send again.
    pub(super) fn decide(&mut self, token: AckToken, reason: ReasonCode) -> bool {
        let current = self.open.get(&token.id).is_some_and(|open| open.arrival == token.arrival);
        if current {
            self.open.remove(&token.id);
            self.decided.insert(token.id, reason);
        }
        current
    }

    /// The next acknowledgement that may leave.
    pub(super) fn next(&mut self) -> Option<(PacketId, QoS, ReasonCode)> {
        let (id, qos) = *self.order.front()?;
        let reason = self.decided.remove(&id)?;
        self.order.pop_front();
        Some((id, qos, reason))
    }

    /// The connection is over: the server will send again what was not acknowledged.
    pub(super) fn close(&mut self) {
        for (id, qos) in self.order.drain(..) {
            if qos == QoS::AtLeastOnce {
                self.open.remove(&id);
                self.decided.remove(&id);
            }
        }
    }

    /// The server has forgotten all of it.
    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.open.clear();
        self.decided.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).expect("not 0")
    }

    fn new(arrived: Arrived) -> AckToken {
        match arrived {
            Arrived::New(token) => token,
            Arrived::Known => panic!("a new message"),
        }
    }

    fn leaving(acks: &mut Acks) -> Vec<u16> {
        std::iter::from_fn(|| acks.next()).map(|(id, ..)| id.value()).collect()
    }

    #[test]
    fn acknowledgements_leave_in_the_order_of_the_messages() {
        let mut acks = Acks::default();
        let tokens: Vec<AckToken> =
            (1..=3).map(|number| new(acks.arrive(id(number), QoS::AtLeastOnce))).collect();
        assert!(acks.decide(tokens[2], ReasonCode::Success));
        assert!(acks.decide(tokens[1], ReasonCode::Success));
        assert_eq!(leaving(&mut acks), []);
        assert!(acks.decide(tokens[0], ReasonCode::Success));
        assert!(!acks.decide(tokens[0], ReasonCode::Success));
        assert_eq!(leaving(&mut acks), [1, 2, 3]);
        assert_eq!(acks.waiting(), 0);
    }

    #[test]
    fn the_word_on_a_qos_1_message_dies_with_its_connection() {
        let mut acks = Acks::default();
        let before = new(acks.arrive(id(1), QoS::AtLeastOnce));
        acks.close();
        let after = new(acks.arrive(id(1), QoS::AtLeastOnce));
        assert!(!acks.decide(before, ReasonCode::Success));
        assert_eq!(leaving(&mut acks), []);
        assert!(acks.decide(after, ReasonCode::Success));
        assert_eq!(leaving(&mut acks), [1]);
    }

    #[test]
    fn a_qos_2_message_is_handed_over_once_however_often_the_connection_breaks() {
        let mut acks = Acks::default();
        let first = new(acks.arrive(id(1), QoS::ExactlyOnce));
        let second = new(acks.arrive(id(2), QoS::ExactlyOnce));
        acks.close();
        assert!(acks.decide(first, ReasonCode::Success));
        assert_eq!(acks.arrive(id(1), QoS::ExactlyOnce), Arrived::Known);
        assert_eq!(acks.arrive(id(2), QoS::ExactlyOnce), Arrived::Known);
        assert_eq!(leaving(&mut acks), [1]);
        assert!(acks.decide(second, ReasonCode::Success));
        assert_eq!(leaving(&mut acks), [2]);
    }
}
