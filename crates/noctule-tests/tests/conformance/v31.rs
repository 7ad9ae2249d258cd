//! MQTT 3.1: where it differs from 3.1.1. It has no numbered statements: the ids are our own, by
//! section, in `spec/mqtt31.tsv`. Scripts of other chapters that run for every version cite the
//! rest.

use noctule_tests::script::prelude::*;

fn v31() -> Script {
    script().versions(&[Version::V31])
}

/// 3.1: protocol name "MQIsdp", version 3; CONNACK has a reserved byte and a return code.
/// `[V31-3.1-1]` `[V31-3.2-1]`
#[test]
fn mqisdp_3_is_accepted() {
    v31().run(|world| {
        let a = world.line();
        a.send_bytes(b"\x10\x0f\0\x06MQIsdp\x03\x02\0\0\0\x01a");
        a.expect_bytes(&[0x20, 2, 0, 0]);
        a.pings();
    });
}

/// 3.1: another version under that name is not acceptable.
/// `[V31-3.1-2]`
#[test]
fn another_version_under_the_old_name_gets_return_code_1() {
    v31().run(|world| {
        for level in [0, 2, 4, 5, 0x84] {
            let line = world.line();
            line.send_connect(&connect("a").protocol(b"MQIsdp", level));
            line.expect_bytes(&[0x20, 2, 0, 1]);
            line.expect_closed();
        }
    });
}

/// 3.1: the client identifier is between 1 and 23 characters long, else return code 2.
/// `[V31-3.1-6]`
#[test]
fn client_ids_have_1_to_23_characters() {
    v31().run(|world| {
        for id in ["", &"x".repeat(24)] {
            let line = world.line();
            line.send_connect(&connect(id));
            line.expect_bytes(&[0x20, 2, 0, 2]);
            line.expect_closed();
        }
        let _ = world.connect(&"x".repeat(23));
        let _ = world.connect(&"ü".repeat(23));
    });
}

/// 3.1: the remaining length overrules the flags, so user name and password may be missing.
/// `[V31-3.1-13]`
#[test]
fn user_name_and_password_may_be_missing_although_the_flags_announce_them() {
    v31().run(|world| {
        let a = world.line();
        a.send_connect(&connect("a").set_flags(0xC0));
        a.expect_bytes(&[0x20, 2, 0, 0]);
        let b = world.line();
        b.send_connect(&connect("b").user_name(b"user").set_flags(0x40));
        b.expect_bytes(&[0x20, 2, 0, 0]);
    });
}

/// 3.1: there is no password without a user name.
/// `[V31-3.1-14]`
#[test]
fn a_password_without_user_name_is_not_valid() {
    v31().run(|world| {
        let line = world.line();
        line.send_connect(&connect("a").password(b"p"));
        line.expect_closed();
    });
}

/// 2.1: PUBREL, SUBSCRIBE and UNSUBSCRIBE may be sent again with DUP.
/// `[V31-2.1-1]` `[V31-3.6-1]`
#[test]
fn requests_sent_again_with_dup_are_answered_again() {
    v31().run(|world| {
        let a = world.connect("a");
        a.send(subscribe(1).filter("t", 1));
        a.expect(suback(1, &[1]));
        a.send(subscribe(1).filter("t", 1).dup());
        a.expect(suback(1, &[1]));
        a.send(publish("t", "x").qos(2, 2));
        a.expect(pubrec(2));
        a.send(pubrel(2));
        a.expect_all(&[pubcomp(2), publish("t", "x").qos(1, 0)]);
        a.send(pubrel(2).dup());
        a.expect(pubcomp(2));
        a.send(unsubscribe(3, &["t"]).dup());
        a.expect(unsuback(3, &[]));
    });
}

/// 3.8, 3.10: QoS 1 requests; 3.9: granted QoS, which has no value for failure.
/// `[V31-3.8-2]`
#[test]
fn subscribe_publish_and_unsubscribe_work_as_in_3_1_1() {
    v31().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.send_bytes(b"\x82\x06\0\x0a\0\x01t\x02");
        a.expect_bytes(&[0x90, 3, 0, 10, 2]);
        b.send_bytes(b"\x32\x06\0\x01t\0\x05x");
        b.expect_bytes(&[0x40, 2, 0, 5]);
        let id = a.expect(publish("t", "x").qos(1, 0)).id;
        a.send(puback(id));
        a.send_bytes(b"\xa2\x05\0\x0b\0\x01t");
        a.expect_bytes(&[0xB0, 2, 0, 11]);
    });
}

/// 3.3: an unauthorized PUBLISH is acknowledged and dropped.
/// `[V31-3.3-2]`
#[test]
fn an_unauthorized_publish_is_acknowledged() {
    v31().run(|world| {
        let a = world.connect("a");
        a.send(publish("$SYS/x", "x").qos(1, 1));
        a.expect_bytes(&[0x40, 2, 0, 1]);
    });
}

/// Bit 7 of the protocol level marks a bridge, as other brokers set it.
#[test]
fn the_bridge_bit_of_the_protocol_level_is_understood() {
    script().versions(&[Version::V31, Version::V311]).run(|world| {
        let (name, level): (&[u8], u8) = match world.version {
            Version::V31 => (b"MQIsdp", 0x83),
            Version::V311 | Version::V5 => (b"MQTT", 0x84),
        };
        let a = world.line();
        a.send_connect(&connect("a").protocol(name, level));
        a.expect_bytes(&[0x20, 2, 0, 0]);
        a.pings();
    });
}
