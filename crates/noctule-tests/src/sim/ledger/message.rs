//! A message somebody published, or will.

use super::will::WillState;
use super::{At, Ledger};
use noctule_proto::QoS;
use noctule_proto::property::PropertiesBuf;

/// One application message; its payload says its number.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Publishing client.
    pub(crate) client: usize,
    /// Its session, once handed in.
    pub(crate) session: Option<usize>,
    pub(crate) topic: usize,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// An empty payload: it clears the retained message and cannot be told from others.
    pub(crate) clear: bool,
    pub(crate) padding: usize,
    pub(crate) expiry_secs: Option<u32>,
    pub(crate) others: PropertiesBuf,
    /// When PUBLISH was handed in: expiry counts from there.
    pub(crate) born: Vec<u64>,
    /// When it was routed: at PUBLISH, or at PUBREL for QoS 2.
    pub(crate) routed: Vec<At>,
    /// Routings that a crash took back: they may have shown, and bind nobody.
    pub(crate) undone: Vec<At>,
    /// The publisher has PUBREC.
    pub(crate) recorded: bool,
    /// The publisher was told that it is taken.
    pub(crate) acknowledged: bool,
    pub(crate) will: Option<WillState>,
}

impl Message {
    /// The bytes that stand for it.
    pub(crate) fn payload(&self, number: usize) -> Vec<u8> {
        if self.clear {
            return Vec::new();
        }
        let mut payload = format!("{number}:").into_bytes();
        payload.resize(payload.len() + self.padding, b'.');
        payload
    }

    /// A size that no PUBLISH of it exceeds.
    pub(crate) fn size_bound(&self) -> u32 {
        let mut others = Vec::new();
        self.others.as_properties().copy_to(&mut others);
        (60 + self.padding + others.len()) as u32
    }

    /// When it may have been routed.
    pub(crate) fn ways(&self) -> impl Iterator<Item = &At> {
        self.routed.iter().chain(&self.undone)
    }

    /// Whether it is past its life at `time`, for a life counted from the latest birth.
    pub(crate) fn expired(&self, time: u64) -> bool {
        match (self.expiry_secs, self.born.last()) {
            (Some(secs), Some(born)) => born + u64::from(secs) * 1000 <= time,
            _ => false,
        }
    }

    /// Whether it may be alive at `time`, for one of its births.
    pub(crate) fn has_left_any(&self, time: u64) -> bool {
        let Some(secs) = self.expiry_secs else { return true };
        self.born.iter().any(|born| born + u64::from(secs) * 1000 > time)
    }

    /// Whether `left` is the rest of its life at `time`, for one of its births.
    pub(crate) fn has_left(&self, left: Option<u32>, time: u64) -> bool {
        let Some(secs) = self.expiry_secs else { return left.is_none() };
        let end = u64::from(secs) * 1000;
        self.born.iter().any(|born| {
            let rest = (born + end).saturating_sub(time).div_ceil(1000);
            rest > 0 && left == Some(rest as u32)
        })
    }
}

impl Ledger {
    /// A number for a message about to be published.
    pub(crate) fn write(&mut self, message: Message) -> usize {
        self.messages.push(message);
        self.messages.len() - 1
    }

    /// The number a payload says.
    pub(crate) fn number_of(&self, payload: &[u8]) -> Option<usize> {
        if payload.is_empty() {
            return None;
        }
        let text = payload.split(|byte| *byte == b':').next().unwrap_or_default();
        let number: usize =
            std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("a number");
        let message = self.messages.get(number).expect("a message that was never published");
        let rest = &payload[(text.len() + 1).min(payload.len())..];
        let whole = rest.len() == message.padding && rest.iter().all(|byte| *byte == b'.');
        assert!(whole && !message.clear, "message {number} arrived changed");
        Some(number)
    }

    /// PUBLISH was handed in.
    pub(crate) fn published(&mut self, session: usize, number: usize, id: Option<u16>) {
        let at = self.instant();
        let message = &mut self.messages[number];
        message.session = Some(session);
        match id {
            Some(id) if message.qos == QoS::ExactlyOnce => {
                let session = &mut self.sessions[session];
                let before = session.incoming.insert(id, number);
                session.incoming_was.push((at.stamp, id, before));
                if before.is_none() {
                    self.messages[number].born.push(at.time);
                }
            }
            _ => {
                message.born.push(at.time);
                self.routed(number);
            }
        }
    }

    /// PUBREL was handed in.
    pub(crate) fn released(&mut self, session: usize, id: u16) {
        let at = self.instant();
        let session = &mut self.sessions[session];
        let Some(number) = session.incoming.remove(&id) else { return };
        session.incoming_was.push((at.stamp, id, Some(number)));
        if !self.messages[number].expired(at.time) {
            self.routed(number);
        }
    }

    pub(crate) fn routed(&mut self, number: usize) {
        let at = self.instant();
        let message = &mut self.messages[number];
        message.routed.push(at);
        if message.retain {
            self.retained[message.topic].push(number);
        }
    }
}
