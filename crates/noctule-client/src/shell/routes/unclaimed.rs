//! Messages of a resumed session that came before the application has said who wants them.

use crate::message::Message;
use crate::shell::gauge::{UNREAD_HIGH, weight};
use noctule_proto::QoS;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct Unclaimed {
    messages: VecDeque<Message>,
    bytes: usize,
    expected: bool,
}

impl Unclaimed {
    /// There may be such messages.
    pub(super) fn expect(&mut self) {
        self.expected = true;
    }

    pub(super) fn are_expected(&self) -> bool {
        self.expected
    }

    /// `false`: there is no place for it.
    pub(super) fn push(&mut self, message: Message) -> bool {
        let bytes = weight(&message);
        if !self.expected || self.bytes + bytes > UNREAD_HIGH {
            return false;
        }
        self.bytes += bytes;
        self.messages.push_back(message);
        true
    }

    pub(super) fn take(&mut self) -> VecDeque<Message> {
        self.bytes = 0;
        std::mem::take(&mut self.messages)
    }

    /// The server will send again what waits for its acknowledgement; what has QoS 2 is known then.
    pub(super) fn disconnected(&mut self) {
        self.messages.retain(|message| message.ack.is_none() || message.qos == QoS::ExactlyOnce);
        self.bytes = self.messages.iter().map(weight).sum();
    }
}
