//! The byte cases of the protocol crate: the exact answer to each packet, valid or broken.

use noctule_core::grant::Grant;
use noctule_core::input::AuthAnswer;
use noctule_core::output::AuthRequest;
use noctule_proto::cases::{self, Answer, Case, Expect};
use noctule_proto::{ReasonCode, Role};
use noctule_tests::script::prelude::*;

/// Sends the bytes, on a live connection unless they are its first packet.
fn say(world: &World, case: &Case) -> Client {
    let client = world.line();
    if !case.first {
        client.connects(&connect("client"));
    }
    client.send_bytes(&case.bytes);
    client
}

/// What comes is the answer and nothing else: the answer to a PINGREQ is next, or the end.
fn answers(world: &World, case: &Case) {
    let client = say(world, case);
    match case.answer() {
        Answer::Bytes(bytes) => {
            if !bytes.is_empty() {
                client.expect_packet_bytes(&bytes);
            }
            client.pings();
            // The end of the session, so that the next case finds the broker as this one did.
            client.disconnects();
        }
        Answer::ConnAck(0) => {
            let connack = client.next_packet();
            // The CONNECTs that give no client id end with its length.
            let assigned = world.is_v5() && case.bytes.ends_with(&[0, 0]);
            assert_eq!(connack.property(0x12).is_some(), assigned, "Assigned Client Identifier");
            client.same(&connack.without(0x12), world.connack());
            client.pings();
            client.disconnects();
        }
        Answer::Wait => client.expect_nothing(),
        Answer::Close => client.expect_closed(),
        Answer::ConnAck(code) => {
            client.expect_refusal(code);
        }
        Answer::Disconnect(code) => client.expect_end(code),
    }
}

/// Everybody may come in, and no method is known: as a server without authenticators does it.
fn open_to_all(request: &AuthRequest) -> AuthAnswer {
    let methodical = matches!(request, AuthRequest::Connect { method: Some(_), .. });
    match methodical {
        true => AuthAnswer::Deny {
            reason: ReasonCode::BadAuthenticationMethod,
            why: "no such method".into(),
        },
        false => {
            AuthAnswer::Allow { grant: Grant::Full, data: None, user_name: None, expires: None }
        }
    }
}

/// Runs `answers` for every case of a client that `wanted` picks, each on a connection of its own.
fn for_each_case(wanted: impl Fn(&Case) -> bool) -> usize {
    let mut cases = cases::all();
    cases.retain(|case| case.sender == Role::Client && wanted(case));
    script().run(|world| {
        world.with_node(|node| node.set_authenticator(Box::new(open_to_all)));
        let version = |case: &&Case| case.version.unwrap_or(Version::V311) == world.version;
        for case in cases.iter().filter(version) {
            world.note(&case.name);
            answers(world, case);
        }
    });
    cases.len()
}

fn is_valid(case: &Case) -> bool {
    matches!(case.expect, Expect::Packet(_))
}

/// Every packet type and property: duplicated, out of place, truncated, not minimal, out of range.
/// `[MQTT-4.13.1-1 v5]` `[MQTT-4.13.2-1 v5]` `[U5-4.13.1-1]` `[MQTT-4.8.0-1 v3.1.1]`
/// `[MQTT-1.5.4-1 v5]` `[MQTT-1.5.4-2 v5]` `[MQTT-1.5.5-1 v5]` `[MQTT-1.5.7-1 v5]`
/// `[MQTT-2.1.3-1 v5]` `[MQTT-2.2.2-1 v5]` `[MQTT-3.1.4-1 v5]` `[MQTT-3.4.2-1 v5]`
/// `[MQTT-3.5.2-1 v5]` `[MQTT-3.6.1-1 v5]` `[MQTT-3.6.2-1 v5]` `[MQTT-3.7.2-1 v5]`
/// `[MQTT-3.14.1-1 v5]` `[MQTT-3.14.2-1 v5]` `[MQTT-3.15.1-1 v5]` `[MQTT-3.15.2-1 v5]`
/// `[U5-1.5.4-1]` `[U5-1.5.5-1]` `[U5-2.1.2-1]` `[U5-2.2.2-1]` `[U5-2.2.2-2]` `[U5-3.1.2-4]`
/// `[MQTT-1.5.3-1 v3.1.1]` `[MQTT-1.5.3-2 v3.1.1]` `[MQTT-2.2.2-1 v3.1.1]`
/// `[MQTT-2.2.2-2 v3.1.1]` `[MQTT-3.1.4-1 v3.1.1]` `[MQTT-3.6.1-1 v3.1.1]`
/// `[MQTT-3.14.1-1 v3.1.1]`
#[test]
fn each_broken_packet_has_its_exact_answer() {
    let broken = for_each_case(|case| !is_valid(case));
    assert!(broken > 2000, "{broken} cases");
}

/// What is valid is answered byte for byte, be it with nothing, and the connection goes on; unless
/// the packet ends it, or does not fit what was said before it.
#[test]
fn each_valid_packet_has_its_exact_answer() {
    let valid = for_each_case(is_valid);
    assert!(valid > 400, "{valid} cases");
}

/// `[U5-2.1.2-1]`
#[test]
fn packets_that_only_servers_send_end_the_connection() {
    script().run(|world| {
        let packets = [connack(0), suback(1, &[0]), unsuback(1, &[0]), pingresp()];
        for packet in packets {
            let a = world.connect("a");
            a.send(packet);
            a.expect_end(0x82);
        }
    });
}

/// `[MQTT-2.1.3-1 v5]` `[MQTT-2.2.2-1 v3.1.1]` `[MQTT-2.2.2-2 v3.1.1]` `[MQTT-3.6.1-1 v5]`
/// `[MQTT-3.6.1-1 v3.1.1]` `[MQTT-3.14.1-1 v5]` `[MQTT-3.14.1-1 v3.1.1]` `[MQTT-3.15.1-1 v5]`
/// `[MQTT-3.8.1-1 v5]` `[MQTT-3.10.1-1 v5]` `[MQTT-3.8.1-1 v3.1.1]` `[MQTT-3.10.1-1 v3.1.1]`
/// `[V31-3.8-1]` `[V31-3.10-1]`
#[test]
fn reserved_flags_of_the_fixed_header_end_the_connection() {
    script().run(|world| {
        let packets = [
            puback(1),
            pubrec(1),
            pubrel(1),
            pubcomp(1),
            subscribe(1).filter("t", 0),
            unsubscribe(1, &["t"]),
            pingreq(),
            disconnect(0),
        ];
        for packet in packets {
            let legal = packet.first & 0x0F;
            // MQTT 3.1 lets PUBREL, SUBSCRIBE and UNSUBSCRIBE be sent again with DUP.
            let dup = world.version == Version::V31 && legal == 2;
            for flags in (0..16).filter(|flags| *flags != legal && !(dup && *flags == 10)) {
                let a = world.connect("a");
                a.send(packet.clone().first_flags(flags));
                a.expect_end(0x81);
            }
        }
    });
}

/// What is full now may have room later: the connection that met it is closed, others go on, and
/// the same succeeds on the next. v5 can refuse the one message. `[MQTT-4.8.0-2 v3.1.1]`
/// `[U5-4.13.2-1]`
#[test]
fn a_passing_want_of_room_ends_a_connection_that_cannot_be_told() {
    let little = |limits: &mut noctule_core::Limits| limits.queue.bytes_max = 100;
    script().limits(little).run(|world| {
        let (a, b) = (world.connect_with(&resume("a")), world.connect("b"));
        b.subscribes("t", 2);
        let message = |id: u16| publish("t", format!("{id}").repeat(60)).qos(2, id);
        a.send(message(1));
        a.expect(pubrec(1));
        a.send(message(2));
        let a = if world.is_v5() {
            a.expect(pubrec(2).code(0x97));
            a
        } else {
            a.expect_closed();
            world.resume(&resume("a"))
        };
        b.pings();
        for id in [1, 2] {
            if id == 2 {
                a.send(message(2));
                a.expect(pubrec(2));
            }
            a.send(pubrel(id));
            a.expect(pubcomp(id));
            b.receives(message(id).qos(2, 0));
        }
    });
}

/// `[MQTT-4.8.0-1 v3.1.1]` `[MQTT-4.13.1-1 v5]`
/// `[V31-2.1-6]`
#[test]
fn an_error_of_one_connection_leaves_the_others_alone() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("t", 1);
        b.send_bytes(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        b.expect_end(0x81);
        let c = world.connect("c");
        c.publishes(publish("t", "x").qos(1, 0));
        a.receives(publish("t", "x").qos(1, 0));
    });
}
