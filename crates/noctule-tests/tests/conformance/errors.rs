//! Broken packets: the exact answer to each byte case of the protocol crate.

use noctule_proto::cases::{self, Answer, Case};
use noctule_proto::{PacketType, Role};
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
        Answer::Packet => {
            let ends = case.expect == cases::Expect::Packet(PacketType::Disconnect);
            // What a valid packet means is for other scripts to say; here it is that none of them
            // breaks the connection by its format.
            if !ends && case.expect != cases::Expect::Packet(PacketType::Auth) {
                client.settle();
            }
        }
        Answer::Wait => client.expect_nothing(),
        Answer::Close => client.expect_closed(),
        Answer::ConnAck(code) => {
            client.expect_refusal(code);
        }
        Answer::Disconnect(code) => client.expect_end(code),
    }
}

fn versions_of(case: &Case) -> Vec<Version> {
    match case.version {
        Some(version) => vec![version],
        None => vec![Version::V311],
    }
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
    let all = cases::all();
    let broken: Vec<&Case> = all
        .iter()
        .filter(|case| case.sender == Role::Client && !matches!(case.answer(), Answer::Packet))
        .collect();
    assert!(broken.len() > 200, "{} cases", broken.len());
    for case in broken {
        for version in versions_of(case) {
            script().versions(&[version]).called(&case.name).run(|world| answers(world, case));
        }
    }
}

/// What is valid is never refused for its form.
#[test]
fn no_valid_packet_is_taken_for_a_malformed_one() {
    let all = cases::all();
    let valid = all
        .iter()
        .filter(|case| case.sender == Role::Client && matches!(case.answer(), Answer::Packet));
    for case in valid {
        for version in versions_of(case) {
            script().versions(&[version]).called(&case.name).run(|world| {
                let client = say(world, case);
                if let Some(code) = client.end_code() {
                    assert!(code != 0x81, "refused as malformed");
                }
            });
        }
    }
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
