//! What must hold of all that a client sends and hands over, whatever its server does.

use noctule_client::Connected;
use noctule_proto::packet::{Packet, Publish, Role};
use noctule_proto::{QoS, Version, next_frame};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Looks at both directions of a connection, and at what outlives it.
#[derive(Default)]
pub(super) struct Watch {
    version: Option<Version>,
    /// What the server takes, once it has let the client in.
    terms: Option<Terms>,
    /// How many messages the client may have on the way.
    window: usize,
    /// Bytes that are no whole packet yet.
    sent: Vec<u8>,
    connected: bool,
    said_goodbye: bool,
    /// Requests that wait for their answer.
    requests: BTreeSet<u16>,
    /// Messages of the client on this connection that are not settled.
    here: BTreeSet<u16>,
    /// Messages of QoS 1 that came on this connection and are not acknowledged, in order.
    unacknowledged: VecDeque<u16>,
    /// Messages of QoS 2 that came on this connection.
    came: BTreeSet<u16>,
    aliases: BTreeMap<u16, String>,
    /// Of the session: messages that the client has sent and that are not settled.
    open: BTreeMap<u16, Stage>,
    /// Of the session: messages of QoS 2 that were handed over and are not released.
    handed_over: BTreeSet<u16>,
    /// What of that may be of a session that the server has forgotten.
    doubtful: BTreeSet<u16>,
}

struct Terms {
    qos_max: QoS,
    retain: bool,
    packet_size_max: usize,
    aliases_max: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Sent(QoS),
    Released,
}

impl Watch {
    /// A new connection.
    pub(super) fn open(&mut self, version: Version) {
        *self = Watch {
            version: Some(version),
            open: std::mem::take(&mut self.open),
            handed_over: std::mem::take(&mut self.handed_over),
            doubtful: std::mem::take(&mut self.doubtful),
            ..Watch::default()
        };
    }

    /// The server has let the client in.
    pub(super) fn welcome(&mut self, connected: &Connected, kept: bool, send_maximum: Option<u16>) {
        let v5 = self.version == Some(Version::V5);
        let unless_told = if v5 { u16::MAX } else { noctule_client::SEND_MAXIMUM_V3 };
        let window = connected.receive_maximum.min(send_maximum.unwrap_or(unless_told));
        self.window = usize::from(window);
        self.terms = Some(Terms {
            qos_max: connected.maximum_qos,
            retain: connected.retain_available,
            packet_size_max: connected.maximum_packet_size as usize,
            aliases_max: connected.topic_alias_maximum,
        });
        if !kept {
            self.open.clear();
            self.handed_over.clear();
            self.doubtful.clear();
        }
        if connected.session_in_doubt {
            self.doubtful.clone_from(&self.handed_over);
        }
    }

    /// The process has begun anew; of what was handed over it knows this.
    pub(super) fn restart(&mut self, known: &BTreeSet<u16>) {
        self.handed_over.retain(|id| known.contains(id));
        self.doubtful.retain(|id| known.contains(id));
    }

    /// The session has looked at these bytes of the server.
    pub(super) fn consumed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Ok(Some(frame)) = next_frame(rest, u32::MAX) {
            rest = &rest[frame.len..];
            let packet = Packet::decode(frame, self.version, Role::Server);
            // Before CONNACK there is nothing to be said but CONNACK.
            if let (Ok(packet), Some(_)) = (packet, &self.terms) {
                self.heard(&packet);
            }
        }
    }

    fn heard(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Publish(publish) => match (publish.packet_id, publish.qos) {
                (Some(id), QoS::AtLeastOnce) => self.unacknowledged.push_back(id.value()),
                (Some(id), _) => drop(self.came.insert(id.value())),
                (None, _) => {}
            },
            Packet::PubAck(ack) => {
                self.settle(ack.packet_id.value(), Stage::Sent(QoS::AtLeastOnce))
            }
            Packet::PubRec(ack) if ack.reason.is_error() => {
                self.settle(ack.packet_id.value(), Stage::Sent(QoS::ExactlyOnce));
            }
            Packet::PubRec(_) => {}
            Packet::PubComp(ack) => self.settle(ack.packet_id.value(), Stage::Released),
            Packet::PubRel(ack) => self.released(ack.packet_id.value()),
            Packet::SubAck(answer) | Packet::UnsubAck(answer) => {
                self.requests.remove(&answer.packet_id.value());
            }
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::PingResp
            | Packet::Disconnect(_)
            | Packet::Auth(_) => {}
        }
    }

    /// The server ends a message that stands like this.
    fn settle(&mut self, id: u16, stage: Stage) {
        if self.open.get(&id) == Some(&stage) {
            self.open.remove(&id);
            self.here.remove(&id);
        }
    }

    /// A message of the server reached the application.
    pub(super) fn handed_over(&mut self, qos: QoS, id: u16, again: bool) {
        if qos != QoS::ExactlyOnce {
            return;
        }
        // A first sending in a session that may be another is another message.
        if !again && self.doubtful.contains(&id) {
            self.released(id);
        }
        let new = self.handed_over.insert(id);
        assert!(new, "message {id} of QoS 2 is handed over twice");
    }

    /// Its identifier means a new message from then on: the server has released it, or the
    /// application has refused it.
    pub(super) fn released(&mut self, id: u16) {
        self.handed_over.remove(&id);
        self.doubtful.remove(&id);
    }

    /// The client has sent these bytes.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        let sent = std::mem::take(&mut self.sent);
        let mut rest = &sent[..];
        while let Some(frame) = next_frame(rest, u32::MAX).expect("what is sent is well formed") {
            rest = &rest[frame.len..];
            let version = self.version.filter(|_| self.connected);
            let packet = Packet::decode(frame, version, Role::Client).expect("a legal packet");
            let fits = |terms: &Terms| frame.len <= terms.packet_size_max;
            let first = !self.connected;
            assert!(first || self.terms.as_ref().is_none_or(fits), "{packet:?} is too large");
            self.said(&packet);
        }
        self.sent = rest.to_vec();
    }

    fn said(&mut self, packet: &Packet<'_>) {
        assert!(!self.said_goodbye, "{packet:?} follows DISCONNECT");
        let first = matches!(packet, Packet::Connect(_));
        assert_eq!(first, !std::mem::replace(&mut self.connected, true), "{packet:?}");
        match packet {
            Packet::Publish(publish) => self.published(publish),
            Packet::Subscribe(subscribe) => self.requested(subscribe.packet_id.value()),
            Packet::Unsubscribe(unsubscribe) => self.requested(unsubscribe.packet_id.value()),
            Packet::PubAck(ack) => {
                let next = self.unacknowledged.pop_front();
                assert_eq!(next, Some(ack.packet_id.value()), "PUBACK out of order");
            }
            Packet::PubRec(ack) => {
                let id = ack.packet_id.value();
                assert!(self.came.contains(&id), "PUBREC for nothing");
            }
            Packet::PubRel(ack) => {
                let id = ack.packet_id.value();
                // Any other one answers a stray PUBREC.
                let twice = |stage: &&mut Stage| **stage != Stage::Sent(QoS::AtLeastOnce);
                if let Some(stage) = self.open.get_mut(&id).filter(twice) {
                    *stage = Stage::Released;
                    self.here.insert(id);
                }
            }
            Packet::Disconnect(_) => self.said_goodbye = true,
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::PubComp(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingReq
            | Packet::PingResp
            | Packet::Auth(_) => {}
        }
    }

    fn published(&mut self, publish: &Publish<'_>) {
        let terms = self.terms.as_ref().expect("nothing is published before CONNACK");
        assert!(publish.qos <= terms.qos_max && (terms.retain || !publish.retain));
        if let Some(alias) = publish.properties.topic_alias {
            assert!(alias.get() <= terms.aliases_max, "{alias} is above the maximum");
            if publish.topic.is_empty() {
                assert!(self.aliases.contains_key(&alias.get()), "{alias} stands for nothing");
            } else {
                self.aliases.insert(alias.get(), publish.topic.as_str().to_owned());
            }
        }
        let Some(id) = publish.packet_id.map(|id| id.value()) else { return };
        self.forget_given_up(id, publish.dup);
        let before = self.open.insert(id, Stage::Sent(publish.qos));
        let legal = before == publish.dup.then_some(Stage::Sent(publish.qos));
        assert!(legal, "{publish:?} after {before:?}");
        let free = self.here.insert(id) && !self.requests.contains(&id);
        assert!(free, "{id} is in use");
        assert!(self.here.len() <= self.window, "{} messages on the way", self.here.len());
    }

    fn requested(&mut self, id: u16) {
        self.forget_given_up(id, false);
        let free = self.requests.insert(id) && !self.open.contains_key(&id);
        assert!(free, "{id} is in use");
    }

    /// A message of QoS 1 that this server no longer takes is given up, and no server keeps
    /// anything of it: its identifier is free.
    fn forget_given_up(&mut self, id: u16, again: bool) {
        let once = self.open.get(&id) == Some(&Stage::Sent(QoS::AtLeastOnce));
        if once && !again && !self.here.contains(&id) {
            self.open.remove(&id);
        }
    }
}
