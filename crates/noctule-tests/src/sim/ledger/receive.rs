//! The receiving end of QoS 1 and 2, by packet id: what the client has, what it has answered, and
//! which of its answers the broker has.

use super::{Arrival, At, Ledger};
use noctule_proto::QoS;

/// A message the client received under a packet id, the latest under that id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    pub(super) message: Option<usize>,
    pub(super) topic: usize,
    pub(super) qos: QoS,
    pub(crate) stage: Stage,
    /// When the broker was told PUBREC.
    pub(super) recorded: Option<At>,
    /// When the broker was told the last answer.
    pub(super) settled: Option<At>,
    /// A later connection may take packets too small for it: then it is not sent again, and its
    /// packet id is free. [MQTT-3.1.2-25 v5]
    pub(super) too_large: bool,
    /// Its place among those of QoS 1.
    pub(super) once: Option<usize>,
    /// The link it last came by.
    link: usize,
    /// Its place in the order of first arrivals.
    pub(super) order: u32,
    /// The share group's arrival it is.
    pub(super) shared: Option<(usize, usize)>,
}

/// A message of QoS 1 that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Once {
    /// The subscription it came by, and the message.
    pub(super) by: Option<(usize, usize)>,
    pub(super) settled: Option<At>,
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
        let freed = |out: &Out| out.too_large && !arrival.dup;
        let open = known.filter(|out| out.stage != Stage::Settled && !freed(out));
        let fresh = Out {
            message: arrival.message,
            topic: arrival.topic,
            qos: arrival.qos,
            stage: Stage::Received,
            recorded: None,
            settled: None,
            too_large: false,
            once: (arrival.qos == QoS::AtLeastOnce).then_some(session.once.len()),
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
                if fresh.once.is_some() {
                    session.once.push(Once { by: None, settled: None });
                }
                if let Some(old) = session.out.insert(id, fresh)
                    && old.stage == Stage::Settled
                {
                    session.replaced.push((id, old));
                }
                true
            }
        }
    }

    /// PUBREL arrived.
    pub(crate) fn pubrel(&mut self, session: usize, id: u16) {
        let forgetful = self.crashed > At::default();
        let Some(out) = self.sessions[session].out.get_mut(&id) else {
            // After a crash it may be for a message in memory alone that never left.
            assert!(forgetful, "PUBREL for unknown packet id {id}");
            return;
        };
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
        let session = &mut self.sessions[session];
        let Some(out) = session.out.get_mut(&id) else { return };
        match answer {
            Answer::PubRec if !refused => out.recorded = out.recorded.or(Some(at)),
            Answer::PubRec | Answer::PubAck | Answer::PubComp => out.settled = Some(at),
        }
        let stage = match answer {
            Answer::PubRec if !refused => Stage::Recorded,
            Answer::PubRec | Answer::PubAck | Answer::PubComp => Stage::Settled,
        };
        // A late PUBREC says nothing new.
        out.stage = out.stage.max(stage);
        if let (Some(once), Some(settled)) = (out.once, out.settled) {
            session.once[once].settled.get_or_insert(settled);
        }
        if let Some(shared) = out.shared {
            self.share_settled(shared, at);
        }
    }

    /// In how far what comes again keeps its order, on one connection: `last` is the place of what
    /// came again before. Answers the new `last`.
    pub(crate) fn again_in_order(&self, arrival: &Arrival, last: Option<u32>) -> Option<u32> {
        let Some(id) = arrival.id.filter(|_| arrival.dup) else { return last };
        let session = &self.sessions[arrival.session];
        let out = session.out.get(&id).expect("it just arrived");
        // A broker that died may not know that it never left.
        if out.order + 1 == session.received {
            return last;
        }
        assert!(
            last.is_none_or(|last| last < out.order),
            "packet id {id} came again out of order ({} after {last:?})",
            out.order
        );
        Some(out.order)
    }
}
