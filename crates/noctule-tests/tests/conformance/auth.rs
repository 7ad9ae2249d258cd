//! Authentication: user names, and the AUTH exchange.

use noctule_core::grant::Principal;
use noctule_core::input::AuthAnswer;
use noctule_core::output::AuthRequest;
use noctule_proto::ReasonCode;
use noctule_tests::script::prelude::*;

const ALONE: &str = "the server has authenticators of its own, tested with it";

/// One step of a method "twice": the client says its name, then the secret. Once more to
/// authenticate again.
fn twice(request: &AuthRequest) -> AuthAnswer {
    let allow = |data: &[u8]| AuthAnswer::Allow {
        principal: Principal::default(),
        data: Some(data.into()),
    };
    let deny = |reason| AuthAnswer::Deny { reason, why: "no".into() };
    match request {
        AuthRequest::Connect { method: None, user_name, password, .. } => {
            match (user_name.as_deref(), password.as_deref()) {
                (Some("user"), Some(b"secret")) => {
                    AuthAnswer::Allow { principal: Principal::default(), data: None }
                }
                (Some(_), _) => deny(ReasonCode::BadUserNameOrPassword),
                (None, _) => deny(ReasonCode::NotAuthorized),
            }
        }
        AuthRequest::Connect { method: Some(method), .. } if &**method != "twice" => {
            deny(ReasonCode::BadAuthenticationMethod)
        }
        AuthRequest::Connect { data, .. } | AuthRequest::Again { data, .. } => {
            match data.as_deref() {
                Some(b"name") => AuthAnswer::Continue { data: b"secret?"[..].into() },
                Some(b"known") => allow(b"hello"),
                _ => deny(ReasonCode::NotAuthorized),
            }
        }
        AuthRequest::Step { data } => match data.as_deref() {
            Some(b"secret") => allow(b"welcome"),
            Some(b"more") => AuthAnswer::Continue { data: b"again?"[..].into() },
            _ => deny(ReasonCode::NotAuthorized),
        },
    }
}

fn guarded(world: &World) {
    world.with_node(|node| node.set_authenticator(Box::new(twice)));
}

fn step(code: u8, data: &[u8]) -> Packet {
    auth(code).with(auth_method("twice")).with(auth_data(data))
}

/// `[MQTT-3.1.4-2 v5]` `[MQTT-3.2.2-6 v5]` `[MQTT-3.2.2-7 v5]` `[MQTT-3.2.2-8 v5]`
/// `[MQTT-3.2.2-4 v3.1.1]` `[MQTT-3.2.2-5 v3.1.1]`
/// `[V31-3.2-3]`
#[test]
fn a_client_that_is_not_who_it_says_is_refused() {
    script().pure(ALONE).run(|world| {
        guarded(world);
        let refused = [
            (connect("a").user_name(b"user").password(b"wrong"), world.by_version(0x86, 5)),
            (connect("a").user_name(b"user"), world.by_version(0x86, 5)),
            (connect("a"), world.by_version(0x87, 5)),
        ];
        for (connect, code) in refused {
            let line = world.line();
            line.send_connect(&connect);
            line.expect(connack(code));
            line.expect_closed();
        }
        let a = world.connect_with(&connect("a").user_name(b"user").password(b"secret"));
        a.pings();
    });
}

/// `[MQTT-3.1.4-6 v5]` `[MQTT-3.1.4-5 v3.1.1]` `[MQTT-3.1.4-3 v5]`
#[test]
fn who_is_refused_takes_no_session_over_and_publishes_no_will() {
    script().pure(ALONE).run(|world| {
        guarded(world);
        let valid = |id: &str| resume(id).user_name(b"user").password(b"secret");
        let (a, b) = (world.connect_with(&valid("a")), world.connect_with(&valid("b")));
        b.subscribes("#", 0);
        let thief = world.line();
        thief.send_connect(&resume("a").user_name(b"user").will(will("will", "x")));
        thief.expect(connack(world.by_version(0x86, 5)));
        thief.expect_closed();
        a.pings();
        b.expect_nothing();
    });
}

/// `[MQTT-4.12.0-2 v5]` `[MQTT-4.12.0-5 v5]` `[MQTT-3.2.0-1 v5]` `[MQTT-3.15.2-1 v5]`
#[test]
fn an_exchange_of_auth_packets_ends_in_connack() {
    script().v5().pure(ALONE).run(|world| {
        guarded(world);
        let a = world.line();
        a.send_connect(&connect("a").with(auth_method("twice")).with(auth_data(b"name")));
        a.expect(step(0x18, b"secret?"));
        a.send(step(0x18, b"more"));
        a.expect(step(0x18, b"again?"));
        a.send(step(0x18, b"secret"));
        a.expect(world.connack().with(auth_method("twice")).with(auth_data(b"welcome")));
        a.pings();
        // An exchange may be over with its first word.
        let b = world.line();
        b.send_connect(&connect("b").with(auth_method("twice")).with(auth_data(b"known")));
        b.expect(world.connack().with(auth_method("twice")).with(auth_data(b"hello")));
    });
}

/// `[MQTT-4.12.0-1 v5]`
#[test]
fn an_unknown_method_is_refused() {
    script().v5().pure(ALONE).run(|world| {
        guarded(world);
        let a = world.line();
        a.send_connect(&connect("a").with(auth_method("other")));
        a.expect(connack(0x8C));
        a.expect_closed();
    });
}

/// `[MQTT-4.12.0-4 v5]`
#[test]
fn the_broker_may_refuse_at_any_step() {
    script().v5().pure(ALONE).run(|world| {
        guarded(world);
        let a = world.line();
        a.send_connect(&connect("a").with(auth_method("twice")).with(auth_data(b"nobody")));
        a.expect(connack(0x87));
        a.expect_closed();
        let b = world.line();
        b.send_connect(&connect("b").with(auth_method("twice")).with(auth_data(b"name")));
        b.expect(step(0x18, b"secret?"));
        b.send(step(0x18, b"wrong"));
        b.expect(connack(0x87));
        b.expect_closed();
    });
}

/// Whatever the authenticators say. `[MQTT-4.12.0-6 v5]`
#[test]
fn a_client_that_named_no_method_hears_of_none() {
    script().pure(ALONE).run(|world| {
        let talkative = |request: &AuthRequest| match request {
            AuthRequest::Connect { client_id, .. } if &**client_id == "more" => {
                AuthAnswer::Continue { data: b"secret?"[..].into() }
            }
            _ => AuthAnswer::Allow {
                principal: Principal::default(),
                data: Some(b"welcome"[..].into()),
            },
        };
        world.with_node(|node| node.set_authenticator(Box::new(talkative)));
        let a = world.line();
        a.send_connect(&connect("a").user_name(b"user"));
        a.expect(world.connack());
        a.pings();
        let b = world.line();
        b.send_connect(&connect("more"));
        b.expect(connack(world.by_version(0x87, 5)));
        b.expect_closed();
    });
}

/// `[U5-3.15.0-1]`
#[test]
fn without_a_method_in_connect_auth_is_a_protocol_error() {
    script().v5().run(|world| {
        for code in [0x18, 0x19] {
            let a = world.connect("a");
            a.send(auth(code).with(auth_method("twice")));
            a.expect_end(0x82);
        }
    });
}

/// `[U5-3.1.2-4]`
#[test]
fn authentication_data_without_a_method_is_a_protocol_error() {
    script().v5().run(|world| {
        let a = world.line();
        a.send_connect(&connect("a").with(auth_data(b"x")));
        a.expect(connack(0x82));
        a.expect_closed();
    });
}

/// `[U5-3.15.0-1]` `[MQTT-4.12.0-5 v5]` `[MQTT-3.15.2-1 v5]`
#[test]
fn an_auth_packet_that_does_not_fit_the_exchange_is_refused() {
    script().v5().pure(ALONE).run(|world| {
        guarded(world);
        let wrong = [
            auth(0x18),
            auth(0x18).with(auth_data(b"secret")),
            auth(0x18).with(auth_method("other")).with(auth_data(b"secret")),
            step(0x19, b"secret"),
            step(0x00, b"secret"),
        ];
        for packet in wrong {
            let a = world.line();
            a.send_connect(&connect("a").with(auth_method("twice")).with(auth_data(b"name")));
            a.expect(step(0x18, b"secret?"));
            a.send(packet);
            a.expect(connack(0x82));
            a.expect_closed();
        }
    });
}

/// A client that named a method sends nothing but AUTH and DISCONNECT before CONNACK.
/// `[MQTT-4.13.1-1 v5]`
#[test]
fn other_packets_during_the_exchange_are_protocol_errors() {
    script().v5().pure(ALONE).run(|world| {
        guarded(world);
        for packet in [pingreq(), publish("t", "x"), subscribe(1).filter("t", 0)] {
            let a = world.line();
            a.send_connect(&connect("a").with(auth_method("twice")).with(auth_data(b"name")));
            a.expect(step(0x18, b"secret?"));
            a.send(packet);
            a.expect(connack(0x82));
            a.expect_closed();
        }
        let a = world.line();
        a.send_connect(&connect("a").with(auth_method("twice")).with(auth_data(b"name")));
        a.expect(step(0x18, b"secret?"));
        a.send(disconnect(0));
        a.expect_closed();
    });
}

/// `[U5-4.12.1-1]` `[MQTT-4.12.0-5 v5]` `[MQTT-4.12.0-2 v5]`
#[test]
fn a_client_may_authenticate_again_while_packets_flow_on() {
    script().v5().pure(ALONE).run(|world| {
        guarded(world);
        let a =
            world.connect_with(&connect("a").with(auth_method("twice")).with(auth_data(b"known")));
        a.subscribes("t", 1);
        a.send(step(0x19, b"name"));
        a.expect(step(0x18, b"secret?"));
        a.publishes(publish("t", "x"));
        a.expect(publish("t", "x"));
        a.pings();
        a.send(step(0x18, b"secret"));
        a.expect(step(0x00, b"welcome"));
        a.send(step(0x19, b"known"));
        a.expect(step(0x00, b"hello"));
        a.pings();
    });
}

/// `[MQTT-4.12.1-2 v5]`
#[test]
fn failed_re_authentication_ends_the_connection() {
    script().v5().pure(ALONE).run(|world| {
        guarded(world);
        let known = |id: &str| connect(id).with(auth_method("twice")).with(auth_data(b"known"));
        let a = world.connect_with(&known("a"));
        a.send(step(0x19, b"nobody"));
        a.expect_end(0x87);
        let b = world.connect_with(&known("b"));
        b.send(step(0x19, b"name"));
        b.expect(step(0x18, b"secret?"));
        b.send(step(0x18, b"wrong"));
        b.expect_end(0x87);
        let c = world.connect_with(&known("c"));
        c.send(auth(0x19).with(auth_method("other")));
        c.expect_end(0x82);
        let d = world.connect_with(&known("d"));
        d.send(step(0x18, b"secret"));
        d.expect_end(0x82);
    });
}

/// `[MQTT-3.15.2-2 v5]` `[MQTT-3.15.2-3 v5]` `[MQTT-3.14.2-3 v5]`
#[test]
fn an_auth_packet_is_no_larger_than_the_client_takes() {
    script().v5().pure(ALONE).run(|world| {
        guarded(world);
        let a = world.line();
        let small = connect("a").with(maximum_packet_size(40)).with(auth_method("twice"));
        a.send_connect(&small.with(auth_data(b"name")));
        // 2 + 1 + 1 + 8 + 10 bytes, and no reason string.
        let asked = a.expect(step(0x18, b"secret?"));
        assert_eq!(asked.property(0x1F), None);
        a.send(step(0x18, b"secret"));
        a.expect(world.connack().with(auth_method("twice")).with(auth_data(b"welcome")));
        a.send(step(0x19, b"nobody"));
        a.expect_end(0x87);
    });
}

/// Without authenticators nobody is asked for a password, and none is refused for giving one.
/// `[MQTT-3.1.4-5 v5]`
#[test]
fn user_name_and_password_are_accepted_where_nobody_asks_for_them() {
    script().pure(ALONE).run(|world| {
        let a = world.connect_with(&connect("a").user_name(b"anybody").password(b"anything"));
        a.pings();
    });
}

/// Lets everybody in for ten seconds, and whoever sends data that says "longer" for twenty.
fn for_a_while(world: &World) {
    world.with_node(|node| {
        let now = node.now();
        let allow = move |request: &AuthRequest| {
            let secs = match request {
                AuthRequest::Again { data, .. } if data.as_deref() == Some(b"longer") => 20,
                AuthRequest::Again { .. } => {
                    return AuthAnswer::Deny {
                        reason: ReasonCode::NotAuthorized,
                        why: "no".into(),
                    };
                }
                AuthRequest::Connect { .. } | AuthRequest::Step { .. } => 10,
            };
            let expires = Some(now.plus_secs(secs));
            AuthAnswer::Allow {
                principal: Principal { expires, ..Principal::default() },
                data: None,
            }
        };
        node.set_authenticator(Box::new(allow));
    });
}

/// What proves who a client is may be good for a while. `[MQTT-4.13.2-1 v5]`
#[test]
fn a_client_is_gone_when_what_proved_it_expires_unless_it_proves_it_again() {
    script().pure(ALONE).run(|world| {
        for_a_while(world);
        let a = world.connect_with(&connect("a").keep_alive(0));
        world.connect_with(&connect("b").keep_alive(0)).disconnects();
        world.advance_millis(9_900);
        a.pings();
        world.advance_millis(200);
        a.expect_end(0xA0);
    });
    script().v5().pure(ALONE).run(|world| {
        for_a_while(world);
        let a = world.connect_with(&connect("a").keep_alive(0).with(auth_method("twice")));
        let b = world.connect_with(&connect("b").keep_alive(0).with(auth_method("twice")));
        a.send(step(0x19, b"longer"));
        a.expect(auth(0).with(auth_method("twice")));
        world.advance_millis(10_100);
        b.expect_end(0xA0);
        a.pings();
        world.advance_millis(9_800);
        a.pings();
        world.advance_millis(200);
        a.expect_end(0xA0);
        let c = world.connect_with(&connect("c").with(auth_method("twice")));
        c.expect_end(0xA0);
    });
}
