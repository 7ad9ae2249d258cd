//! Acknowledgements that the application gives, sent in the order in which the messages came.

use crate::delivery::AckToken;
use alloc::collections::{BTreeMap, VecDeque};
use noctule_proto::{PacketId, QoS, ReasonCode};

/// Messages that were handed over and are not acknowledged.
///
/// What is known of QoS 1 dies with the connection: the server sends the message again, as a new
/// one. QoS 2 belongs to the session: the identifier stands for the message until it is released.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// Of this connection, in the order of their coming `[MQTT-4.6.0-2 v5]` `[MQTT-4.6.0-3 v5]`
    /// `[MQTT-4.6.0-2 v3.1.1]` `[MQTT-4.6.0-3 v3.1.1]`.
    order: VecDeque<Waiting>,
    /// The arrival that comes first in `order`; each has the number after the one before.
    first: u64,
    /// What arrived before may be of a session that the server has forgotten.
    doubted: u64,
    /// Messages of QoS 2 with the application, or with their PUBREC still in line.
    held: BTreeMap<PacketId, Held>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: PacketId,
    qos: QoS,
    /// The application's word on a message of QoS 1.
    word: Option<ReasonCode>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    /// The arrival that the application knows it by.
    arrival: u64,
    /// Its PUBREC is in line on this connection.
    in_line: bool,
    word: Option<ReasonCode>,
}

impl Acks {
    /// How many messages of this connection wait for their acknowledgement.
    pub(super) fn waiting(&self) -> usize {
        self.order.len()
    }

    /// Whether this message of QoS 2 is with the application, or its PUBREC in line.
    pub(super) fn knows(&self, id: PacketId) -> bool {
        self.held.contains_key(&id)
    }

    /// Whether the PUBREC of this message is in line on this connection.
    pub(super) fn is_in_line(&self, id: PacketId) -> bool {
        self.held.get(&id).is_some_and(|held| held.in_line)
    }

    /// The server may have forgotten all of it.
    pub(super) fn doubt(&mut self) {
        self.doubted = self.first + self.order.len() as u64;
    }

    /// Whether a message that arrived then may be of a session that the server has forgotten.
    pub(super) fn is_doubtful(&self, arrival: u64) -> bool {
        arrival < self.doubted
    }

    /// Its identifier stands for another message now.
    pub(super) fn forget_doubtful(&mut self, id: PacketId) {
        if self.held.get(&id).is_some_and(|held| held.arrival < self.doubted) {
            self.held.remove(&id);
        }
    }

    /// A message came in that the application has to acknowledge. `None`: it has it from an
    /// earlier connection, or from this one.
    pub(super) fn arrive(&mut self, id: PacketId, qos: QoS) -> Option<AckToken> {
        if qos == QoS::AtLeastOnce {
            return Some(AckToken { id, arrival: self.push(id, qos) });
        }
        match self.held.get_mut(&id) {
            None => {
                let arrival = self.push(id, qos);
                self.held.insert(id, Held { arrival, in_line: true, word: None });
                Some(AckToken { id, arrival })
            }
            // One PUBREC answers them all [MQTT-4.3.3-10 v5].
            Some(held) => {
                if !core::mem::replace(&mut held.in_line, true) {
                    self.push(id, qos);
                }
                None
            }
        }
    }

    /// A message of QoS 2 came again that was acknowledged before.
    pub(super) fn repeat(&mut self, id: PacketId) {
        if !self.is_in_line(id) {
            let arrival = self.push(id, QoS::ExactlyOnce);
            let word = Some(ReasonCode::Success);
            self.held.insert(id, Held { arrival, in_line: true, word });
        }
    }

    /// The application's word on a message of this QoS. `None`: nothing waits for it, so it came
    /// twice, or for a message that the server will send again.
    pub(super) fn decide(&mut self, token: AckToken, reason: ReasonCode) -> Option<QoS> {
        if let Some(held) = self.held.get_mut(&token.id).filter(|it| it.arrival == token.arrival) {
            if held.word.replace(reason).is_some() {
                return None;
            }
            // It comes again and is known by then; only that it is refused has to be kept.
            if !held.in_line && !reason.is_error() {
                self.held.remove(&token.id);
            }
            return Some(QoS::ExactlyOnce);
        }
        let at = usize::try_from(token.arrival.checked_sub(self.first)?).ok()?;
        let waiting = self.order.get_mut(at).filter(|it| it.id == token.id)?;
        let decided = waiting.qos == QoS::ExactlyOnce || waiting.word.is_some();
        waiting.word.get_or_insert(reason);
        (!decided).then_some(QoS::AtLeastOnce)
    }

    /// The next acknowledgement that may leave.
    pub(super) fn next(&mut self) -> Option<(PacketId, QoS, ReasonCode)> {
        let Waiting { id, qos, word } = *self.order.front()?;
        let reason = match qos {
            QoS::AtMostOnce | QoS::AtLeastOnce => word?,
            QoS::ExactlyOnce => {
                let word = self.held.get(&id)?.word?;
                self.held.remove(&id);
                word
            }
        };
        self.order.pop_front();
        self.first += 1;
        Some((id, qos, reason))
    }

    /// The connection is over: the server will send again what was not acknowledged.
    pub(super) fn close(&mut self) {
        self.first += self.order.len() as u64;
        self.order.clear();
        self.held.retain(|_, held| {
            held.in_line = false;
            held.word.is_none_or(ReasonCode::is_error)
        });
    }

    /// The server has forgotten all of it.
    pub(super) fn clear(&mut self) {
        self.close();
        self.held.clear();
    }

    fn push(&mut self, id: PacketId, qos: QoS) -> u64 {
        let arrival = self.first + self.order.len() as u64;
        self.order.push_back(Waiting { id, qos, word: None });
        arrival
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).expect("not 0")
    }

    fn arrive(acks: &mut Acks, number: u16, qos: QoS) -> AckToken {
        acks.arrive(id(number), qos).expect("a new message")
    }

    fn leaving(acks: &mut Acks) -> Vec<u16> {
        std::iter::from_fn(|| acks.next()).map(|(id, ..)| id.value()).collect()
    }

    #[test]
    fn acknowledgements_leave_in_the_order_of_the_messages() {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut acks = Acks::default();
            let tokens = [1, 2, 3].map(|number| arrive(&mut acks, number, qos));
            assert_eq!(acks.decide(tokens[2], ReasonCode::Success), Some(qos));
            assert_eq!(acks.decide(tokens[1], ReasonCode::Success), Some(qos));
            assert_eq!(leaving(&mut acks), []);
            assert_eq!(acks.decide(tokens[0], ReasonCode::Success), Some(qos));
            assert_eq!(acks.decide(tokens[0], ReasonCode::Success), None);
            assert_eq!(leaving(&mut acks), [1, 2, 3]);
            assert_eq!(acks.waiting(), 0);
            assert_eq!(acks.decide(tokens[0], ReasonCode::Success), None);
        }
    }

    #[test]
    fn the_word_on_a_qos_1_message_dies_with_its_connection() {
        let mut acks = Acks::default();
        let before = arrive(&mut acks, 1, QoS::AtLeastOnce);
        acks.close();
        let after = arrive(&mut acks, 1, QoS::AtLeastOnce);
        assert_eq!(acks.decide(before, ReasonCode::Success), None);
        assert_eq!(leaving(&mut acks), []);
        assert_eq!(acks.decide(after, ReasonCode::Success), Some(QoS::AtLeastOnce));
        assert_eq!(leaving(&mut acks), [1]);
    }

    #[test]
    fn a_qos_1_message_that_comes_again_meanwhile_is_acknowledged_each_time() {
        let mut acks = Acks::default();
        let tokens = [1, 1, 2].map(|number| arrive(&mut acks, number, QoS::AtLeastOnce));
        for token in tokens {
            assert_eq!(acks.decide(token, ReasonCode::Success), Some(QoS::AtLeastOnce));
        }
        assert_eq!(leaving(&mut acks), [1, 1, 2]);
    }

    #[test]
    fn a_qos_2_message_is_handed_over_once_however_often_the_connection_breaks() {
        let mut acks = Acks::default();
        let first = arrive(&mut acks, 1, QoS::ExactlyOnce);
        let second = arrive(&mut acks, 2, QoS::ExactlyOnce);
        acks.close();
        assert_eq!(acks.arrive(id(1), QoS::ExactlyOnce), None);
        assert_eq!(acks.arrive(id(2), QoS::ExactlyOnce), None);
        assert_eq!(acks.arrive(id(2), QoS::ExactlyOnce), None);
        assert_eq!(acks.decide(second, ReasonCode::Success), Some(QoS::ExactlyOnce));
        assert_eq!(acks.decide(first, ReasonCode::Success), Some(QoS::ExactlyOnce));
        assert_eq!(leaving(&mut acks), [1, 2]);
    }

    #[test]
    fn a_refusal_waits_for_the_message_to_come_again() {
        let mut acks = Acks::default();
        let token = arrive(&mut acks, 1, QoS::ExactlyOnce);
        acks.close();
        assert!(acks.decide(token, ReasonCode::QuotaExceeded).is_some());
        assert_eq!(acks.next(), None);
        assert_eq!(acks.arrive(id(1), QoS::ExactlyOnce), None);
        assert_eq!(acks.next(), Some((id(1), QoS::ExactlyOnce, ReasonCode::QuotaExceeded)));
        // The identifier means a new message from then on [MQTT-4.3.3-9 v5].
        assert!(acks.arrive(id(1), QoS::ExactlyOnce).is_some());
    }

    #[test]
    fn a_repeat_that_found_no_answer_leaves_nothing_behind() {
        let mut acks = Acks::default();
        let blocking = arrive(&mut acks, 1, QoS::AtLeastOnce);
        acks.repeat(id(2));
        acks.repeat(id(2));
        assert_eq!(acks.waiting(), 2);
        acks.close();
        assert_eq!(acks.decide(blocking, ReasonCode::Success), None);
        assert!(acks.arrive(id(2), QoS::ExactlyOnce).is_some());
    }
}
