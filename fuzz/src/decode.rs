//! Whatever comes in, the decoder answers with a packet or an error; and what it decoded, it can
//! encode so that it decodes to the same again.

use noctule_proto::packet::{LastPublish, Packet, Role};
use noctule_proto::{Frame, Version, next_frame};

/// Large enough for every field, small enough to run often.
const PACKET_SIZE_MAX: u32 = 1 << 20;

/// Reads the bytes as a stream: of a client that says CONNECT first, of one that is connected
/// with this version, and of a server.
pub fn run(version: Version, bytes: &[u8]) {
    if let Ok(Some(frame)) = next_frame(bytes, PACKET_SIZE_MAX) {
        check(frame, None, Role::Client);
    }
    for sender in [Role::Client, Role::Server] {
        let (mut rest, mut last) = (bytes, LastPublish::default());
        while let Ok(Some(frame)) = next_frame(rest, PACKET_SIZE_MAX) {
            assert!(frame.len <= rest.len(), "a whole frame lies in the bytes");
            check(frame, Some(version), sender);
            // What came before makes no difference but to the time it takes.
            let next = Packet::decode_next(&mut last, frame, Some(version), sender);
            assert_eq!(next, Packet::decode(frame, Some(version), sender), "behind others");
            rest = &rest[frame.len..];
        }
    }
}

fn check(frame: Frame<'_>, version: Option<Version>, sender: Role) {
    let Ok(packet) = Packet::decode(frame, version, sender) else { return };
    let encoded_as = match &packet {
        Packet::Connect(connect) => connect.version,
        _ => version.expect("without a version only CONNECT decodes"),
    };
    let mut encoded = Vec::new();
    packet.encode(encoded_as, &mut encoded);
    assert_eq!(encoded.len(), packet.encoded_len(encoded_as), "the length is told right");
    let again = next_frame(&encoded, u32::MAX).expect("our own frame is legal");
    let again = again.expect("our own frame is whole");
    assert_eq!(again.len, encoded.len(), "one packet is one frame");
    let again = Packet::decode(again, version, sender).expect("our own packet decodes");
    assert_eq!(again, packet, "encoding changes nothing");
}
