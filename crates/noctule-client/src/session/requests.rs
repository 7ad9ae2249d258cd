//! SUBSCRIBEs and UNSUBSCRIBEs that wait for their answers.

use super::event::{Event, Token};
use crate::error::{Error, Violation};
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use noctule_proto::packet::SubAck;
use noctule_proto::{PacketId, PacketType, ReasonCode, Version};

#[derive(Debug, Default)]
pub(super) struct Requests {
    pending: BTreeMap<PacketId, Request>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) token: Token,
    /// SUBACK or UNSUBACK.
    pub(super) answer: PacketType,
    pub(super) filters: usize,
}

impl Request {
    fn event(self, result: Result<Vec<ReasonCode>, Error>) -> Event {
        let token = self.token;
        if self.answer == PacketType::SubAck {
            Event::Subscribed { token, result }
        } else {
            Event::Unsubscribed { token, result }
        }
    }
}

impl Requests {
    pub(super) fn push(&mut self, id: PacketId, request: Request) {
        self.pending.insert(id, request);
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// An answer came in.
    pub(super) fn answer(
        &mut self,
        answer: PacketType,
        suback: &SubAck<'_>,
        version: Version,
    ) -> Result<Event, Violation> {
        // One that does not fit ends the connection, and the request with it.
        let Some(request) = self.pending.get(&suback.packet_id).copied() else {
            return Err(Violation::UnknownPacketId(answer));
        };
        let mut codes: Vec<ReasonCode> =
            suback.codes.iter().filter_map(|code| ReasonCode::from_u8(*code)).collect();
        if answer == PacketType::UnsubAck && version != Version::V5 {
            codes = vec![ReasonCode::Success; request.filters];
        }
        // One code for each filter, in order (3.9.3, 3.11.3).
        if request.answer != answer || codes.len() != request.filters {
            return Err(Violation::AnswerCount);
        }
        self.pending.remove(&suback.packet_id);
        Ok(request.event(Ok(codes)))
    }

    /// The connection is over; requests are not part of the session and die with it.
    pub(super) fn close(&mut self, error: &Error) -> Vec<(PacketId, Event)> {
        let pending = core::mem::take(&mut self.pending);
        pending.into_iter().map(|(id, request)| (id, request.event(Err(error.clone())))).collect()
    }
}
