//! What of a frame is as it was written, where not all of it is.

use super::bytes::Bytes;
use super::frame::FrameHead;
use super::message::{CRC, MESSAGE, item};
use std::ops::Range;

/// What is left of the items of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Judged {
    /// All is as it was written.
    Whole,
    /// All but some messages.
    But(Vec<Bad>),
    /// Not even the records; how many there are, if the items can still be told apart.
    Lost(Option<u64>),
}

/// A message that is not the one that was written, and where it lies in the body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bad {
    pub(crate) offset: usize,
    pub(crate) content: Range<usize>,
}

/// Looks at the items of a frame whose head is whole.
pub(crate) fn judge(head: &FrameHead, body: &[u8], seed: u32) -> Judged {
    let (mut crc, mut from, mut records) = (0, 0, 0);
    let mut bad = Vec::new();
    let mut rest = Bytes(body);
    while !rest.is_empty() {
        let start = body.len() - rest.0.len();
        let Ok(found) = item(&mut rest) else { return Judged::Lost(None) };
        if found.kind != MESSAGE {
            records += 1;
            continue;
        }
        let end = body.len() - rest.0.len();
        let content = end - found.content.len();
        crc = crc32c::crc32c_append(crc, &body[from..content - CRC]);
        from = end;
        if !found.is_message_of(head.place(start), seed) {
            bad.push(Bad { offset: start, content: content..end });
        }
    }
    match (crc32c::crc32c_append(crc, &body[from..]) == head.body_crc, bad.is_empty()) {
        (true, true) => Judged::Whole,
        (true, false) => Judged::But(bad),
        (false, _) => Judged::Lost(Some(records)),
    }
}

/// Puts a message that says nothing in the place of a content that is lost, so that the records
/// that speak of it can be read. It is never delivered: whoever does this drops what is owed of it.
pub(crate) fn blank(content: &mut [u8]) {
    // No id, no flags, no topic: what is left is payload.
    content.fill(0);
}

#[cfg(test)]
mod tests {
    use super::super::Encoder;
    use super::super::frame::FRAME_HEAD;
    use super::super::message::kept;
    use super::super::position::Position;
    use super::*;
    use noctule_core::SessionNumber;
    use noctule_core::message::{Message, Origin, Parts};
    use noctule_core::record::{Body, Record};
    use noctule_proto::QoS;
    use std::sync::Arc;

    /// A frame: its head, and its items.
    fn frame() -> (FrameHead, Vec<u8>) {
        let parts = Parts {
            topic: "t",
            properties: &[],
            payload: b"",
            qos: QoS::AtLeastOnce,
            retain: false,
            expiry_secs: None,
        };
        let message = Message::new(noctule_core::Time(0), Origin::default(), &parts);
        let mut encoder = Encoder::new();
        encoder.record(&Record::SessionEnded(SessionNumber(3)));
        let message = Body::Here(Arc::new(message));
        encoder.record(&Record::Published {
            message,
            receivers: Vec::new().into(),
            retained: true,
        });
        let mut frame = encoder.finish();
        let head = FrameHead {
            body_len: frame.body_len,
            at: Position::new(2, 64),
            durable_before: Position::default(),
            time: 0,
            epoch: 1,
            previous_end: 64,
            body_crc: frame.body_crc,
        };
        encoder.seal(&mut frame, &head, 7);
        (head, frame.bytes[FRAME_HEAD..][..frame.body_len as usize].to_vec())
    }

    #[test]
    fn a_frame_is_judged_by_what_is_damaged_of_it() {
        let (head, body) = frame();
        assert_eq!(judge(&head, &body, 7), Judged::Whole);
        let mut kinds = [0; 3];
        for at in 0..body.len() {
            let mut bad = body.clone();
            bad[at] ^= 1;
            assert!(!head.verify(&bad, 7), "byte {at}");
            match judge(&head, &bad, 7) {
                Judged::Whole => panic!("damage of byte {at} goes unnoticed"),
                Judged::But(bad) => {
                    let checked = bad[0].content.start - CRC..bad[0].content.end;
                    assert!(bad.len() == 1 && checked.contains(&at), "byte {at}: {bad:?}");
                    kinds[0] += 1;
                }
                Judged::Lost(Some(_)) => kinds[1] += 1,
                Judged::Lost(None) => kinds[2] += 1,
            }
        }
        assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
    }

    #[test]
    fn a_blank_message_can_be_read_however_short_it_is() {
        let mut content = vec![0xff; 10];
        blank(&mut content);
        assert_eq!(kept(&content).unwrap().topic, "");
    }
}
