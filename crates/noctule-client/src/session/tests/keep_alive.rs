//! Silence.

use super::*;

#[test]
fn silence_is_pinged_and_an_unanswered_ping_ends_the_connection() {
    let quicker = ConnAckProperties { server_keep_alive_secs: Some(16), ..Default::default() };
    let mut session = online_with(options(Version::V5), quicker);
    assert_eq!(session.next_deadline(), Some(NOW + secs(14)));
    session.tick(NOW + secs(14));
    assert_eq!(session.output(), [0xC0, 0]);
    session.written(NOW + secs(14), 2);
    session.receive(NOW + secs(15), &[0xD0, 0]);
    assert_eq!(session.next_deadline(), Some(NOW + secs(28)));
    session.tick(NOW + secs(28));
    let patience = session.next_deadline().expect("waits for PINGRESP");
    assert_eq!(patience, NOW + secs(44));
    session.tick(patience);
    assert_eq!(events(&mut session), ["ended NoAnswer(PingReq)"]);
}
