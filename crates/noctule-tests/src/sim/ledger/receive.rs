//! The receiving end of QoS 1 and 2, by packet id: what the client has, what it has answered, and
//! which of its answers the broker has.

use super::{Arrival, Ledger};
use noctule_proto::QoS;

/// A message the client received under a packet id, the latest under that id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    message: Option<usize>,
    qos: QoS,
    pub(crate) stage: Stage,
    /// The link it last came by.
    link: usize,
    /// Its place in the order of first arrivals.
    pub(super) order: u32,
    /// The share group's arrival it is.
    pub(super) shared: Option<(usize, usize)>,
}

/// How far a hand-shake is, as far as the client can know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// The client has it.
    Received,
    /// The broker has PUBREC.
    Recorded,
    /// The client has PUBREL.
    Released,
    /// The broker has PUBACK, PUBCOMP or a refusal: the id is free.
    Settled,
}

/// What a client says to a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::enum_variant_names, reason = "the names of the standard")]
pub(crate) enum Answer {
    PubAck,
    PubRec,
    PubComp,
}

impl Ledger {
    /// A PUBLISH arrived with a packet id: whether it is the first time.
    pub(super) fn first_time(&mut self, arrival: &Arrival, id: u16) -> bool {
        let session = &mut self.sessions[arrival.session];
        let known = session.out.get(&id).copied();
        let open = known.filter(|out| out.stage != Stage::Settled);
        let fresh = Out {
            message: arrival.message,
            qos: arrival.qos,
            stage: Stage::Received,
            link: arrival.link,
            order: session.received,
            shared: None,
        };
        match open {
            Some(out) => {
                assert!(arrival.dup, "packet id {id} is used again while {out:?} is open");
                assert!(
                    out.stage == Stage::Received,
                    "PUBLISH {id} is sent again after its PUBREC: {out:?}"
                );
                assert_eq!(
                    (out.message, out.qos),
                    (arrival.message, arrival.qos),
                    "packet id {id} came again with another message"
                );
                assert_ne!(out.link, arrival.link, "PUBLISH {id} came twice on a connection");
                session.out.insert(id, Out { link: arrival.link, ..out });
                self.facts.redeliveries += 1;
                false
            }
            None => {
                session.received += 1;
                session.out.insert(id, fresh);
                true
            }
        }
    }

    /// PUBREL arrived.
    pub(crate) fn pubrel(&mut self, session: usize, id: u16) {
        let out = self.sessions[session].out.get_mut(&id);
        let out = out.unwrap_or_else(|| panic!("PUBREL for unknown packet id {id}"));
        assert_eq!(out.qos, QoS::ExactlyOnce, "PUBREL for a QoS 1 message");
        assert!(
            matches!(out.stage, Stage::Recorded | Stage::Released),
            "PUBREL out of place: {out:?}"
        );
        out.stage = Stage::Released;
    }

    /// An answer was handed in.
    pub(crate) fn answered(&mut self, session: usize, id: u16, (answer, refused): (Answer, bool)) {
        let at = self.instant();
        let Some(out) = self.sessions[session].out.get_mut(&id) else { return };
        let stage = match answer {
            Answer::PubRec if !refused => Stage::Recorded,
            Answer::PubRec | Answer::PubAck | Answer::PubComp => Stage::Settled,
        };
        // A late PUBREC says nothing new.
        out.stage = out.stage.max(stage);
        if let Some(shared) = out.shared {
            self.share_settled(shared, at);
        }
    }

    /// In how far what comes again keeps its order, on one connection: `last` is the place of what
    /// came again before. Answers the new `last`.
    pub(crate) fn again_in_order(&self, arrival: &Arrival, last: Option<u32>) -> Option<u32> {
        let Some(id) = arrival.id.filter(|_| arrival.dup) else { return last };
        let out = self.sessions[arrival.session].out.get(&id).expect("it just arrived");
        assert!(
            last.is_none_or(|last| last < out.order),
            "packet id {id} came again out of order ({} after {last:?})",
            out.order
        );
        Some(out.order)
    }
}
