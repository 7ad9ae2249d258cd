//! Broken packets: the exact answer to each byte case of the protocol crate.

use noctule_proto::Role;
use noctule_proto::cases::{self, Answer, Case};
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

fn answers(world: &World, case: &Case) {
    let client = say(world, case);
    match case.answer() {
        Answer::Packet => {}
        Answer::Wait => client.expect_nothing(),
        Answer::Close => client.expect_closed(),
        Answer::ConnAck(code) => {
            client.expect_refusal(code);
        }
        Answer::Disconnect(code) => client.expect_end(code),
    }
}

/// Runs `check` for every case of a client that `wanted` picks, each on a connection of its own.
fn for_each_case(wanted: impl Fn(&Case) -> bool, check: impl Fn(&World, &Case)) -> usize {
    let mut cases = cases::all();
    cases.retain(|case| case.sender == Role::Client && wanted(case));
    script().run(|world| {
        let version = |case: &&Case| case.version.unwrap_or(Version::V311) == world.version;
        for case in cases.iter().filter(version) {
            world.note(&case.name);
            check(world, case);
        }
    });
    cases.len()
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
    let broken = for_each_case(|case| !matches!(case.answer(), Answer::Packet), answers);
    assert!(broken > 200, "{broken} cases");
}

/// What is valid is never refused for its form.
#[test]
fn no_valid_packet_is_taken_for_a_malformed_one() {
    let valid = |case: &Case| matches!(case.answer(), Answer::Packet);
    for_each_case(valid, |world, case| {
        let code = say(world, case).end_code();
        assert_ne!(code, Some(0x81), "refused as malformed");
    });
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

/// `[MQTT-4.8.0-2 v3.1.1]`: no transient error is known to the pure broker but a full quota; the
/// connection that met it is closed, others go on.
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
