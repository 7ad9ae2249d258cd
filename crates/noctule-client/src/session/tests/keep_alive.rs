//! Silence.

use super::*;

/// `[MQTT-3.1.2-20 v5]` `[MQTT-3.1.2-21 v5]` `[MQTT-3.2.2-21 v5]` `[U5-3.1.2-3]`
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

/// What is left of the input is no new sign of life, however often it is looked at.
#[test]
fn half_a_packet_shows_life_once() {
    let mut session = online(Version::V5);
    let mut half: &[u8] = &[0x30, 5, 0];
    assert!(session.read(NOW + secs(50), &mut half).is_none());
    session.written(NOW + secs(50), 1);
    for second in 51..100 {
        assert!(session.read(NOW + secs(second), &mut half).is_none());
    }
    // Seven eighths of 60 seconds after the last.
    let deadline = NOW + secs(50) + Duration::from_millis(52_500);
    assert_eq!(session.next_deadline(), Some(deadline));
}

/// `[MQTT-3.1.2-20 v5]` `[MQTT-3.1.2-23 v3.1.1]` `[U5-3.1.2-2]` `[V31-3.1-10]`
#[test]
fn the_application_chooses_how_long_silence_may_last() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let brief = Options { keep_alive_secs: 8, ..options(version) };
        let mut session = online_with(brief, ConnAckProperties::default());
        session.tick(NOW + secs(6));
        assert_eq!(session.output(), b"");
        session.tick(NOW + secs(7));
        assert_eq!(session.output(), [0xC0, 0]);
        let silent = Options { keep_alive_secs: 0, ..options(version) };
        let mut session = online_with(silent, ConnAckProperties::default());
        assert_eq!(session.next_deadline(), None);
        session.tick(NOW + secs(1_000_000));
        assert!(session.is_online() && session.output().is_empty());
    }
}
