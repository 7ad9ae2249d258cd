//! What of a frame is as it was written, where not all of it is.

use super::bytes::Bytes;
use super::message::{MESSAGE, item};
use std::ops::Range;

/// What is left of the items of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Judged {
    /// All is as it was written.
    Whole,
    /// All but the contents of some messages: where they lie in the body.
    But(Vec<Range<usize>>),
    /// Not even the records; how many there are, if the items can still be told apart.
    Lost(Option<u64>),
}

/// Looks at the items of a frame whose head is whole.
pub(crate) fn judge(body: &[u8], body_crc: u32) -> Judged {
    let (mut crc, mut from, mut records) = (0, 0, 0);
    let mut bad = Vec::new();
    let mut rest = Bytes(body);
    while !rest.is_empty() {
        let Ok(found) = item(&mut rest) else { return Judged::Lost(None) };
        if found.kind != MESSAGE {
            records += 1;
            continue;
        }
        let end = body.len() - rest.0.len();
        let content = end - found.content.len();
        crc = crc32c::crc32c_append(crc, &body[from..content]);
        from = end;
        if found.crc != crc32c::crc32c(found.content) {
            bad.push(content..end);
        }
    }
    match (crc32c::crc32c_append(crc, &body[from..]) == body_crc, bad.is_empty()) {
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
    use super::super::frame::FRAME_HEAD;
    use super::super::message::kept;
    use super::super::{Encoder, verify_body};
    use super::*;
    use noctule_core::SessionNumber;
    use noctule_core::message::{Message, Origin, Parts};
    use noctule_core::record::{Body, Record};
    use noctule_proto::QoS;
    use std::sync::Arc;

    fn frame() -> (Vec<u8>, u32, usize) {
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
        let frame = encoder.finish();
        (frame.bytes[FRAME_HEAD..].to_vec(), frame.body_crc, frame.body_len as usize)
    }

    #[test]
    fn a_frame_is_judged_by_what_is_damaged_of_it() {
        let (body, crc, len) = frame();
        let body = &body[..len];
        assert_eq!(judge(body, crc), Judged::Whole);
        let mut kinds = [0; 3];
        for at in 0..body.len() {
            let mut bad = body.to_vec();
            bad[at] ^= 1;
            assert!(!verify_body(&bad, crc), "byte {at}");
            match judge(&bad, crc) {
                Judged::Whole => panic!("damage of byte {at} goes unnoticed"),
                Judged::But(ranges) => {
                    assert!(ranges.len() == 1 && ranges[0].contains(&at), "byte {at}: {ranges:?}");
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
