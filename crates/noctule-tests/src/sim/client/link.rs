//! A connection between a client and the node: bytes on their way in both directions.

use super::super::ledger::{Answer, Place};
use crate::node::LineId;
use noctule_core::Limits;
use noctule_proto::Version;
use noctule_proto::packet::Packet;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A packet on its way to the node; what it means to the ledger once it is handed in.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    Connect,
    Publish { number: usize, id: Option<u16> },
    PubRel { id: u16 },
    Answer { id: u16, answer: Answer, refused: bool },
    Subscribe { id: u16 },
    Unsubscribe { id: u16 },
    Disconnect { will: bool, expiry_secs: Option<u32> },
    Ping,
}

/// A SUBSCRIBE or UNSUBSCRIBE that awaits its acknowledgement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asking {
    pub(crate) id: u16,
    pub(crate) subscribe: bool,
    pub(crate) wanted: Vec<super::super::ledger::Wanted>,
    /// Once handed in: what it concerns, and the code to expect.
    pub(crate) answers: Vec<(Option<Place>, u8)>,
    pub(crate) handed_in: bool,
}

/// What the CONNECT of a link said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) clean_start: bool,
    pub(crate) expiry_secs: u32,
    pub(crate) keep_alive_secs: u16,
    pub(crate) receive_maximum: u16,
    pub(crate) packet_size_max: u32,
    pub(crate) alias_max: u16,
    pub(crate) problem_information: bool,
    pub(crate) will: Option<(usize, u32)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) number: usize,
    pub(crate) line: LineId,
    pub(crate) client: usize,
    pub(crate) version: Version,
    pub(crate) terms: Terms,
    /// From the client, not at the node yet.
    pub(crate) up: VecDeque<u8>,
    /// The packets in `up` and at the node that were not handed in.
    pub(crate) sent: VecDeque<Sent>,
    /// To the client: when it was said, and the bytes.
    pub(crate) down: VecDeque<(u64, Vec<u8>)>,
    pub(crate) down_len: usize,
    /// At the client, and up to where each instant reaches.
    pub(crate) inbox: Vec<u8>,
    pub(crate) marks: VecDeque<(usize, u64)>,
    /// Nothing comes to the client.
    pub(crate) stalled: bool,
    /// The broker was told that it is full.
    pub(crate) high: bool,
    /// The client has turned away: nothing more is sent or read.
    pub(crate) given_up: bool,
    /// The node closed it.
    pub(crate) closed: bool,
    /// Session it serves, once accepted, and whether that was there before.
    pub(crate) session: Option<(usize, bool)>,
    /// Stamp of its acceptance.
    pub(crate) accepted: u32,
    /// CONNACK arrived.
    pub(crate) live: bool,
    /// The transport ended without the node's doing.
    pub(crate) hung_up: bool,
    pub(crate) receive_maximum: u16,
    pub(crate) alias_max: u16,
    pub(crate) aliases_in: BTreeMap<u16, usize>,
    pub(crate) aliases_out: BTreeMap<u16, usize>,
    pub(crate) asking: Vec<Asking>,
    /// Packet ids in the order in which their PUBACK, PUBREC and PUBCOMP have to come.
    pub(crate) pubacks: VecDeque<u16>,
    pub(crate) pubrecs: VecDeque<u16>,
    pub(crate) pubcomps: VecDeque<u16>,
    pub(crate) pings: u32,
    /// What the client has not answered yet.
    pub(crate) answers: VecDeque<(Answer, u16)>,
    /// Messages it has open, of those it was sent by this link.
    pub(crate) open: BTreeSet<u16>,
    /// Place of the last message that was sent again.
    pub(crate) again: Option<u32>,
    /// The node said anything at all.
    pub(crate) spoken_to: bool,
    pub(crate) opened_at: u64,
    pub(crate) last_sent: u64,
    pub(crate) last_handed_in: u64,
    pub(crate) was_paused: bool,
    /// A DISCONNECT was handed in, and whether it keeps the Will.
    pub(crate) goodbye: Option<bool>,
}

impl Link {
    pub(crate) fn new(number: usize, line: LineId, (client, version): (usize, Version)) -> Link {
        Link {
            number,
            line,
            client,
            version,
            terms: Terms::default(),
            up: VecDeque::new(),
            sent: VecDeque::new(),
            down: VecDeque::new(),
            down_len: 0,
            inbox: Vec::new(),
            marks: VecDeque::new(),
            stalled: false,
            high: false,
            given_up: false,
            closed: false,
            session: None,
            accepted: 0,
            live: false,
            hung_up: false,
            receive_maximum: u16::MAX,
            alias_max: 0,
            aliases_in: BTreeMap::new(),
            aliases_out: BTreeMap::new(),
            asking: Vec::new(),
            pubacks: VecDeque::new(),
            pubrecs: VecDeque::new(),
            pubcomps: VecDeque::new(),
            pings: 0,
            answers: VecDeque::new(),
            open: BTreeSet::new(),
            again: None,
            spoken_to: false,
            opened_at: 0,
            last_sent: 0,
            last_handed_in: 0,
            was_paused: false,
            goodbye: None,
        }
    }

    pub(crate) fn is_v5(&self) -> bool {
        self.version == Version::V5
    }

    /// Keep alive in force, seconds. [MQTT-3.2.2-21 v5]
    pub(crate) fn keep_alive_of(&self, limits: &Limits) -> u16 {
        let (asked, max) = (self.terms.keep_alive_secs, limits.keep_alive_secs_max);
        if self.is_v5() && max > 0 && (asked == 0 || asked > max) { max } else { asked }
    }

    /// The client sends a packet.
    pub(crate) fn send(&mut self, now: u64, packet: &Packet<'_>, sent: Sent) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        self.up.extend(bytes);
        self.sent.push_back(sent);
        self.last_sent = now;
    }

    /// The node said something.
    pub(crate) fn said(&mut self, now: u64, bytes: Vec<u8>) {
        self.spoken_to = true;
        if !self.given_up {
            self.down_len += bytes.len();
            self.down.push_back((now, bytes));
        }
    }

    /// Up to `count` bytes reach the client.
    pub(crate) fn carry_down(&mut self, mut count: usize) {
        while count > 0 {
            let Some((time, bytes)) = self.down.front_mut() else { return };
            let part = bytes.len().min(count);
            self.inbox.extend(bytes.drain(..part));
            self.marks.push_back((self.inbox.len(), *time));
            count -= part;
            self.down_len -= part;
            if bytes.is_empty() {
                self.down.pop_front();
            }
        }
    }

    /// Up to `count` bytes leave for the node.
    pub(crate) fn carry_up(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.up.len());
        self.up.drain(..count).collect()
    }
}
