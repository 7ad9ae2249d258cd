//! Enhanced authentication.

use super::*;
use crate::authenticator::{AuthError, Authenticator};
use noctule_proto::text::LEN_MAX;

/// A method in which each side says what the other expects: the client `1`, `2`, ..., the server
/// the same after it, and `end` at the end.
struct Counting {
    name: &'static str,
    said: u8,
}

impl Authenticator for Counting {
    fn method(&self) -> &str {
        self.name
    }

    fn start(&mut self) -> Option<Vec<u8>> {
        self.said = b'1';
        Some(vec![self.said])
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, AuthError> {
        if challenge == b"long" {
            return Ok(vec![0; LEN_MAX + 1]);
        }
        if challenge != [self.said] {
            return Err(AuthError("a wrong challenge".into()));
        }
        self.said += 1;
        Ok(vec![self.said])
    }

    fn finish(&mut self, data: &[u8]) -> Result<(), AuthError> {
        if data == b"end" { Ok(()) } else { Err(AuthError("a wrong end".into())) }
    }
}

fn counting(name: &'static str) -> Box<Counting> {
    Box::new(Counting { name, said: 0 })
}

fn auth<'a>(method: &'a str, reason: ReasonCode, data: &'a [u8]) -> Packet<'a> {
    Packet::Auth(Auth {
        reason,
        method: Some(method),
        data: Some(data),
        reason_string: None,
        user_properties: UserProperties::EMPTY,
    })
}

fn challenge(data: &[u8]) -> Packet<'_> {
    auth("count", ReasonCode::ContinueAuthentication, data)
}

fn let_in(session: &mut Owner, method: Option<&str>, data: &[u8]) {
    let properties = ConnAckProperties {
        authentication_method: method,
        authentication_data: method.map(|_| data),
        ..ConnAckProperties::default()
    };
    welcome_with(session, false, properties);
}

fn opened() -> Owner {
    let mut session = Owner::new(options(Version::V5));
    session.authenticate_by(counting("count"));
    session.open(NOW);
    session
}

fn authenticated() -> Owner {
    let mut session = opened();
    sent(&mut session);
    let_in(&mut session, Some("count"), b"end");
    assert_eq!(events(&mut session), ["connected false"]);
    session
}

/// `[MQTT-3.1.2-30 v5]` `[MQTT-4.12.0-3 v5]` `[MQTT-4.12.0-5 v5]`
#[test]
fn the_client_answers_until_the_server_is_content() {
    let mut session = opened();
    // Nothing else leaves before CONNACK.
    publish(&mut session, "a", QoS::AtMostOnce);
    assert_eq!(sent(&mut session), ["CONNECT c clean=true keep=60 auth=count/1"]);
    give(&mut session, &challenge(b"1"));
    assert_eq!(sent(&mut session), ["AUTH 0x18 auth=count/2"]);
    give(&mut session, &challenge(b"2"));
    assert_eq!(sent(&mut session), ["AUTH 0x18 auth=count/3"]);
    let_in(&mut session, Some("count"), b"end");
    assert_eq!(events(&mut session), ["connected false", "published 1 Success"]);
    assert_eq!(sent(&mut session), ["PUBLISH q0 a x"]);
}

#[test]
fn a_server_that_does_not_prove_who_it_is_is_left() {
    for broken in [
        |session: &mut Owner| give(session, &challenge(b"9")),
        |session: &mut Owner| let_in(session, Some("count"), b"wrong"),
    ] {
        let mut session = opened();
        sent(&mut session);
        broken(&mut session);
        assert_eq!(sent(&mut session), ["DISCONNECT 0x80"]);
        let told = events(&mut session);
        assert!(told[0].starts_with("ended Authentication"), "{told:?}");
    }
}

/// `[MQTT-4.12.0-5 v5]` `[U5-3.15.0-1]`
#[test]
fn another_method_or_none_is_a_protocol_error() {
    for broken in [
        |session: &mut Owner| {
            give(session, &auth("other", ReasonCode::ContinueAuthentication, b"1"));
        },
        |session: &mut Owner| let_in(session, Some("other"), b"end"),
        |session: &mut Owner| let_in(session, None, b""),
    ] {
        let mut session = opened();
        sent(&mut session);
        broken(&mut session);
        assert_eq!(sent(&mut session), ["DISCONNECT 0x82"]);
        assert_eq!(events(&mut session), ["ended Protocol(AuthenticationMethod)"]);
    }
    // Named where CONNECT named none.
    let mut session = Owner::new(options(Version::V5));
    session.open(NOW);
    sent(&mut session);
    let_in(&mut session, Some("count"), b"end");
    assert_eq!(events(&mut session), ["ended Protocol(AuthenticationMethod)"]);
}

/// `[MQTT-4.12.1-1 v5]` `[MQTT-4.12.1-2 v5]` `[U5-4.12.1-1]`
#[test]
fn the_client_may_authenticate_again_while_messages_flow() {
    let mut session = authenticated();
    session.reauthenticate().expect("online");
    assert_eq!(sent(&mut session), ["AUTH 0x19 auth=count/1"]);
    assert!(session.reauthenticate().is_err());
    publish(&mut session, "a", QoS::AtMostOnce);
    give(&mut session, &Packet::Publish(incoming("in", QoS::AtLeastOnce, 1)));
    assert_eq!(sent(&mut session), ["PUBLISH q0 a x", "PUBACK #1 0x00"]);
    assert_eq!(events(&mut session), ["published 1 Success", "message q1 in x"]);
    give(&mut session, &challenge(b"1"));
    assert_eq!(sent(&mut session), ["AUTH 0x18 auth=count/2"]);
    give(&mut session, &auth("count", ReasonCode::Success, b"end"));
    assert_eq!(events(&mut session), ["reauthenticated"]);
    assert!(session.is_online());
    session.reauthenticate().expect("the last one is over");
    assert_eq!(sent(&mut session), ["AUTH 0x19 auth=count/1"]);
    give(&mut session, &auth("count", ReasonCode::Success, b"wrong"));
    assert_eq!(sent(&mut session), ["DISCONNECT 0x80"]);
    let told = events(&mut session);
    assert!(told[0].starts_with("ended Authentication"), "{told:?}");
}

/// `[U5-3.15.0-1]`
#[test]
fn auth_unasked_is_a_protocol_error() {
    let mut session = authenticated();
    give(&mut session, &challenge(b"1"));
    assert_eq!(events(&mut session), ["ended Protocol(Unexpected(Auth))"]);
    assert_eq!(sent(&mut session), ["DISCONNECT 0x82"]);
    // So is its end before CONNACK.
    let mut session = opened();
    sent(&mut session);
    give(&mut session, &auth("count", ReasonCode::Success, b"end"));
    assert_eq!(events(&mut session), ["ended Protocol(Unexpected(Auth))"]);
}

/// `[MQTT-4.12.0-7 v5]`
#[test]
fn without_a_method_in_connect_there_is_no_auth() {
    let mut session = online(Version::V5);
    assert!(matches!(session.reauthenticate(), Err(Error::Authentication(_))));
    // Nor with one that comes after CONNECT.
    session.authenticate_by(counting("count"));
    assert!(matches!(session.reauthenticate(), Err(Error::Authentication(_))));
    assert_eq!(session.output(), b"");
    session.lose(Error::Closed);
    session.open(NOW);
    assert_eq!(sent(&mut session), ["CONNECT c clean=true keep=60 auth=count/1"]);
}

/// `[MQTT-4.12.1-1 v5]`
#[test]
fn a_method_is_that_of_connect_until_the_next_connection() {
    let mut session = authenticated();
    session.authenticate_by(counting("other"));
    session.reauthenticate().expect("online");
    assert_eq!(sent(&mut session), ["AUTH 0x19 auth=count/1"]);
    session.lose(Error::Closed);
    session.open(NOW);
    assert_eq!(sent(&mut session), ["CONNECT c clean=true keep=60 auth=other/1"]);
}

#[test]
fn before_5_0_there_are_no_methods() {
    let mut session = Owner::new(options(Version::V311));
    session.authenticate_by(counting("count"));
    session.open(NOW);
    sent(&mut session);
    welcome(&mut session, false);
    let told = events(&mut session);
    assert!(told[0].starts_with("ended Authentication"), "{told:?}");
}

/// `[MQTT-3.15.2-2 v5]` `[MQTT-3.15.2-3 v5]` `[MQTT-3.2.2-15 v5]`
#[test]
fn an_answer_that_no_packet_or_server_takes_ends_the_connection() {
    let mut session = opened();
    sent(&mut session);
    give(&mut session, &challenge(b"long"));
    assert_eq!(events(&mut session), ["ended Invalid(TooLong(AuthenticationData))"]);
    let mut session = opened();
    sent(&mut session);
    let tight = ConnAckProperties {
        authentication_method: Some("count"),
        authentication_data: Some(b"end"),
        maximum_packet_size: NonZeroU32::new(10),
        ..ConnAckProperties::default()
    };
    welcome_with(&mut session, false, tight);
    assert!(matches!(
        session.reauthenticate(),
        Err(Error::Invalid(Invalid::PacketTooLarge { size: 16, max: 10 }))
    ));
    assert_eq!(session.output(), b"");
}
