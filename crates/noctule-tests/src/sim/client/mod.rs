//! A model client: small, and strict about what the broker may send.
//!
//! Its memory of what it received is the ledger's session; its own is what it sent and how far
//! that is.

mod link;
mod receive;
mod send;

pub(crate) use link::{Link, Sent, Terms};
pub(crate) use receive::Ear;

use noctule_proto::{QoS, Version};
use std::collections::VecDeque;

/// A client with its client id; it speaks one version for life.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) version: Version,
    /// The link it uses.
    pub(crate) link: Option<usize>,
    /// It does not acknowledge.
    pub(crate) asleep: bool,
    /// What it sent and has not seen through, in order.
    pub(crate) sending: VecDeque<Sending>,
    next_id: u16,
    next_subscription: u32,
}

/// A message the client sends with QoS 1 or 2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    pub(crate) id: u16,
    pub(crate) number: usize,
    pub(crate) qos: QoS,
    /// PUBREC came: PUBREL is what is sent.
    pub(crate) released: bool,
}

impl Client {
    pub(crate) fn new(number: usize, version: Version) -> Client {
        Client {
            id: format!("c{number}"),
            version,
            link: None,
            asleep: false,
            sending: VecDeque::new(),
            next_id: 0,
            next_subscription: 0,
        }
    }

    /// A packet id that is not in use.
    fn packet_id(&mut self, link: &Link) -> u16 {
        loop {
            self.next_id = self.next_id % 40 + 1;
            let id = self.next_id;
            let sending = self.sending.iter().any(|sending| sending.id == id);
            if !sending && !link.asking.iter().any(|asking| asking.id == id) {
                return id;
            }
        }
    }

    /// Messages it may still send.
    pub(crate) fn room(&self, link: &Link) -> usize {
        usize::from(link.receive_maximum).min(12).saturating_sub(self.sending.len())
    }
}
