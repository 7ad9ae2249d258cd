//! CONNECT: what is accepted, what is refused, and how.

use noctule_tests::script::prelude::*;

/// `[MQTT-3.1.4-5 v5]` `[MQTT-3.1.4-4 v3.1.1]` `[MQTT-3.1.2-1 v5]` `[MQTT-3.2.0-1 v5]`
/// `[MQTT-3.2.0-1 v3.1.1]` `[MQTT-3.1.4-1 v5]` `[MQTT-4.2-1 v5]` `[MQTT-7.1.1-1 v3.1.1]`
/// `[MQTT-7.0.0-2 v3.1.1]`
#[test]
fn a_valid_connect_is_answered_by_connack_0() {
    script().run(|world| {
        let a = world.line();
        a.send_connect(&connect("a"));
        a.expect(world.connack());
        a.pings();
    });
    script().v3().run(|world| {
        let a = world.line();
        a.send_connect(&connect("a"));
        a.expect_bytes(&[0x20, 2, 0, 0]);
    });
}

/// Clients begin with CONNECT; who begins with something else is not known to speak MQTT.
/// `[MQTT-4.8.0-1 v3.1.1]` `[MQTT-3.14.0-1 v5]`
/// `[MQTT-3.1.0-1 v5]` `[MQTT-3.1.0-1 v3.1.1]`
/// `[V31-3.1-4]`
#[test]
fn a_connection_that_begins_without_connect_is_closed_without_a_word() {
    script().run(|world| {
        let packets = [
            pingreq(),
            publish("t", "x"),
            subscribe(1).filter("t", 0),
            disconnect(0),
            auth(0x18).with(auth_method("m")),
            puback(1),
        ];
        for packet in packets {
            let line = world.line();
            line.send(packet);
            line.expect_closed();
        }
    });
}

/// `[MQTT-3.1.0-2 v5]` `[MQTT-3.1.0-2 v3.1.1]` `[MQTT-3.2.0-2 v5]` `[MQTT-4.13.1-1 v5]`
#[test]
fn a_second_connect_ends_the_connection() {
    script().run(|world| {
        let a = world.connect("a");
        a.send_bytes(&connect("a").encode(world.version));
        a.expect_end(0x82);
    });
}

/// `[MQTT-3.1.2-1 v5]` `[MQTT-3.1.2-1 v3.1.1]`
#[test]
fn an_unknown_protocol_name_is_closed_without_a_word() {
    script().run(|world| {
        for name in ["mqtt", "MQTTX", "HTTP", "MQIsdP", ""] {
            let line = world.line();
            line.send_bytes(&connect("a").protocol(name.as_bytes(), 4).encode(world.version));
            line.expect_closed();
        }
    });
}

/// `[MQTT-3.1.2-2 v5]` `[MQTT-3.1.2-2 v3.1.1]` `[MQTT-3.2.2-7 v5]` `[MQTT-3.2.2-5 v3.1.1]`
#[test]
fn an_unknown_protocol_level_is_told_so() {
    script().versions(&[Version::V311]).run(|world| {
        for (name, level) in [("MQTT", 0), ("MQTT", 3), ("MQIsdp", 4), ("MQIsdp", 5)] {
            let line = world.line();
            line.send_bytes(&connect("a").protocol(name.as_bytes(), level).encode(world.version));
            line.expect_bytes(&[0x20, 2, 0, 1]);
            line.expect_closed();
        }
    });
    script().v5().run(|world| {
        let line = world.line();
        line.send_bytes(&connect("a").protocol(b"MQTT", 6).encode(world.version));
        let connack = line.next_packet();
        assert_eq!((connack.flags, connack.code), (0, 0x84));
        line.expect_closed();
    });
}

/// `[MQTT-3.1.2-3 v5]` `[MQTT-3.1.2-3 v3.1.1]` `[MQTT-3.1.4-1 v5]` `[MQTT-3.1.4-1 v3.1.1]`
/// MQTT 3.1 does not use the bit and does not look at it.
/// `[V31-2.6-1]`
#[test]
fn the_reserved_connect_flag_must_be_0() {
    script().run(|world| {
        let line = world.line();
        line.send_connect(&connect("a").set_flags(1));
        match world.version {
            Version::V31 => {
                line.expect(connack(0));
            }
            Version::V311 => line.expect_closed(),
            Version::V5 => {
                line.expect(connack(0x81));
                line.expect_closed();
            }
        }
    });
}

/// `[MQTT-3.1.4-1 v5]` `[MQTT-3.1.4-1 v3.1.1]` `[MQTT-3.14.0-1 v5]` `[U5-4.13.1-1]`
/// `[MQTT-3.1.2-9 v5]` `[MQTT-3.1.2-11 v5]` `[MQTT-3.1.2-12 v5]` `[MQTT-3.1.2-13 v5]`
/// `[MQTT-3.1.2-16 v5]` `[MQTT-3.1.2-17 v5]` `[MQTT-3.1.2-18 v5]` `[MQTT-3.1.2-19 v5]`
/// `[MQTT-3.1.3-3 v5]` `[MQTT-3.1.3-4 v5]` `[MQTT-3.1.3-11 v5]` `[MQTT-3.1.3-12 v5]`
/// `[MQTT-3.1.2-9 v3.1.1]` `[MQTT-3.1.2-11 v3.1.1]` `[MQTT-3.1.2-13 v3.1.1]`
/// `[MQTT-3.1.2-14 v3.1.1]` `[MQTT-3.1.2-15 v3.1.1]` `[MQTT-3.1.2-18 v3.1.1]`
/// `[MQTT-3.1.2-19 v3.1.1]` `[MQTT-3.1.2-20 v3.1.1]` `[MQTT-3.1.2-21 v3.1.1]`
/// `[MQTT-3.1.3-3 v3.1.1]` `[MQTT-3.1.3-4 v3.1.1]` `[MQTT-3.1.3-10 v3.1.1]`
/// `[MQTT-3.1.3-11 v3.1.1]`
#[test]
fn a_malformed_connect_is_refused() {
    let malformed = [
        connect("a").set_flags(4 | 3 << 3).will(will("t", "x")),
        connect("a").set_flags(1 << 3),
        connect("a").set_flags(1 << 5),
        connect("a").client_id(b"\xFF"),
        connect("a").will(will("", "x").topic(b"\xC0\x80")),
        connect("a").user_name(b"a\x00b"),
        connect("a").set_flags(4),
        connect("a").set_flags(0x80),
        connect("a").set_flags(0x40 | 0x80),
        connect("a").user_name(b"u").set_flags(0x40),
        connect("a").user_name(b"u").clear_flags(0x80),
        connect("a").user_name(b"u").password(b"p").clear_flags(0x40),
    ];
    script().versions(&[Version::V311, Version::V5]).run(|world| {
        for connect in &malformed {
            let line = world.line();
            line.send_connect(connect);
            if world.is_v5() {
                line.expect(connack(0x81));
            }
            line.expect_closed();
        }
        // No client identifier at all.
        let (level, rest): (u8, &[u8]) = world.by_version((5, &[0, 0, 0]), (4, &[0, 0]));
        let line = world.line();
        line.send_bytes(&raw_connect("MQTT", level, 2, rest));
        if world.is_v5() {
            line.expect(connack(0x81));
        }
        line.expect_closed();
    });
}

/// `[MQTT-3.1.3-1 v5]` `[MQTT-3.1.3-1 v3.1.1]`
/// `[V31-3.1-15]`
#[test]
fn the_fields_of_connect_are_read_in_their_order() {
    let fields = || [text("id"), text("will"), text("gone"), text("user"), text("pass")];
    script().run(|world| {
        let listener = world.connect("listener");
        listener.subscribes("will", 0);
        let [id, topic, payload, user_name, password] = fields();
        let none: &[u8] = world.by_version(&[0], &[]);
        let rest = [&[0, 0], none, &id, none, &topic, &payload, &user_name, &password].concat();
        let line = world.line();
        let (name, level) = match world.version {
            Version::V31 => ("MQIsdp", 3),
            Version::V311 => ("MQTT", 4),
            Version::V5 => ("MQTT", 5),
        };
        line.send_bytes(&raw_connect(name, level, 0xC6, &rest));
        line.expect(world.connack());
        // The first field is the client identifier, the next are the Will.
        let _thief = world.connect("id");
        line.expect_end(0x8E);
        listener.expect(publish("will", "gone"));
    });
}

/// A password without user name is what v5 added.
/// `[MQTT-3.1.4-1 v3.1.1]`
/// `[MQTT-3.1.2-22 v3.1.1]`
#[test]
fn a_password_without_user_name_needs_v5() {
    script().versions(&[Version::V311, Version::V5]).run(|world| {
        let line = world.line();
        line.send_connect(&connect("a").password(b"p"));
        if world.is_v5() {
            line.expect(world.connack());
        } else {
            line.expect_closed();
        }
    });
}

/// `[MQTT-3.1.3-5 v5]` `[MQTT-3.1.3-5 v3.1.1]` `[MQTT-3.1.3-2 v5]` `[MQTT-3.1.3-2 v3.1.1]`
#[test]
fn client_ids_of_23_letters_and_digits_are_accepted_and_longer_ones_too() {
    script().run(|world| {
        for client_id in ["a", "0123456789abcdefghijklm", "ABCDEFGHIJKLMNOPQRSTUVW", "ü/+ #"] {
            let client = world.line();
            client.send_connect(&connect(client_id));
            client.expect(world.connack());
        }
        let long = world.line();
        long.send_connect(&connect(&"x".repeat(300)));
        if world.version == Version::V31 {
            // MQTT 3.1, 3.1: more than 23 characters are rejected.
            long.expect_bytes(&[0x20, 2, 0, 2]);
            long.expect_closed();
        } else {
            long.expect(world.connack());
        }
    });
}

/// `[MQTT-3.1.3-6 v5]` `[MQTT-3.1.3-7 v5]` `[MQTT-3.2.2-16 v5]` `[MQTT-3.1.3-6 v3.1.1]`
#[test]
fn an_empty_client_id_is_given_a_unique_one() {
    script().v5().run(|world| {
        let assigned = |connect: &Connect| {
            let client = world.line();
            client.send_connect(connect);
            let connack = client.next_packet();
            assert_eq!((connack.flags, connack.code), (0, 0));
            let id = connack.property(0x12).expect("an assigned client identifier")[2..].to_vec();
            assert!(id.len() >= 8, "an id of its own");
            (client, id)
        };
        let (first, id) = assigned(&connect(""));
        let (second, other) = assigned(&resume(""));
        assert_ne!(id, other);
        first.pings();
        second.hang_up();
        // It is used as if the client had sent it: whoever sends it gets the session.
        let other = String::from_utf8(other).expect("an id is text");
        let third = world.resume(&resume(&other));
        third.pings();
    });
    script().versions(&[Version::V311]).run(|world| {
        let (first, second) = (world.connect(""), world.connect(""));
        first.pings();
        second.pings();
    });
}

/// `[MQTT-3.1.3-8 v3.1.1]` `[MQTT-3.2.2-4 v3.1.1]` `[MQTT-3.2.2-5 v3.1.1]`
#[test]
fn an_empty_client_id_needs_a_clean_session_before_v5() {
    script().versions(&[Version::V311]).run(|world| {
        let line = world.line();
        line.send_connect(&resume(""));
        line.expect_bytes(&[0x20, 2, 0, 2]);
        line.expect_closed();
    });
}

/// `[MQTT-3.1.3-8 v5]` `[MQTT-3.1.3-9 v3.1.1]` `[MQTT-3.2.2-6 v5]` `[MQTT-3.2.2-7 v5]`
#[test]
fn a_client_id_that_is_not_acceptable_is_refused() {
    let short = |limits: &mut noctule_core::Limits| limits.client_id_len_max = 23;
    script().limits(short).run(|world| {
        let line = world.line();
        line.send_connect(&connect(&"x".repeat(24)));
        line.expect(connack(world.by_version(0x85, 2)));
        line.expect_closed();
        let _ = world.connect(&"x".repeat(23));
    });
    let strict = |limits: &mut noctule_core::Limits| limits.assign_client_ids = false;
    script().limits(strict).run(|world| {
        let line = world.line();
        line.send_connect(&connect(""));
        line.expect(connack(world.by_version(0x85, 2)));
        line.expect_closed();
    });
}

/// `[MQTT-3.1.4-3 v5]` `[MQTT-3.1.4-2 v3.1.1]` `[MQTT-4.13.2-1 v5]`
/// `[V31-3.1-5]`
#[test]
fn a_client_that_connects_again_ends_its_older_connection() {
    script().run(|world| {
        let older = world.connect("a");
        let newer = world.connect("a");
        older.expect_end(0x8E);
        newer.pings();
        // It is the newer connection that a third one ends.
        let newest = world.connect("a");
        newer.expect_end(0x8E);
        newest.pings();
    });
}

/// `[MQTT-3.1.4-6 v5]` `[MQTT-3.1.4-5 v3.1.1]` `[MQTT-3.2.2-6 v5]`
#[test]
fn nothing_that_follows_a_refused_connect_is_processed() {
    let strict = |limits: &mut noctule_core::Limits| limits.assign_client_ids = false;
    script().limits(strict).run(|world| {
        let b = world.connect("b");
        b.subscribes("t", 0);
        let line = world.line();
        let refused = connect("").encode(world.version);
        let after = publish("t", "x").retain().encode(world.version);
        line.send_bytes(&[refused, after].concat());
        line.expect(connack(world.by_version(0x85, 2)));
        line.expect_closed();
        b.expect_nothing();
    });
}

/// `[U5-3.1.4-2]` `[MQTT-3.1.4-5 v5]`
#[test]
fn packets_sent_before_connack_arrives_are_processed_in_order() {
    script().run(|world| {
        let line = world.line();
        let version = world.version;
        let packets = [
            connect("a").encode(version),
            subscribe(1).filter("t", 1).encode(version),
            publish("u", "x").qos(1, 2).encode(version),
            pingreq().encode(version),
            publish("u", "x").qos(2, 3).encode(version),
            unsubscribe(4, &["t"]).encode(version),
            publish("t", "not mine any more").encode(version),
            pingreq().encode(version),
        ];
        line.send_bytes(&packets.concat());
        line.expect(world.connack());
        line.expect(suback(1, &[1]));
        line.expect(puback(2).code(world.by_version(0x10, 0)));
        line.expect(pingresp());
        line.expect(pubrec(3));
        line.expect(unsuback(4, &[0]));
        line.expect(pingresp());
    });
}

/// Neither subscribers nor publishers need to wait for an answer. `[U5-3.1.4-2]`
/// `[MQTT-4.5.0-1 v5]` `[MQTT-4.5.0-1 v3.1.1]` `[MQTT-3.3.1-9 v5]` `[MQTT-3.3.1-6 v3.1.1]`
#[test]
fn a_message_right_behind_its_subscribe_is_delivered() {
    script().run(|world| {
        let version = world.version;
        for filter in ["t", "t/#", "$share/group/t"] {
            let line = world.line();
            let packets = [
                connect("a").encode(version),
                publish("r", "kept").retain().encode(version),
                subscribe(1).filter(filter, 1).filter("r", 0).encode(version),
                publish("t", "live").encode(version),
            ];
            line.send_bytes(&packets.concat());
            line.expect(world.connack());
            line.expect(suback(1, &[1, 0]));
            line.expect_all(&[publish("r", "kept").retain(), publish("t", "live")]);
            line.disconnects();
        }
    });
}

/// `[U5-3.1.4-1]`
/// `[V31-3.1-3]`
#[test]
fn a_connection_without_connect_is_closed_in_reasonable_time() {
    script().pure("ten seconds are too long").run(|world| {
        let silent = world.line();
        let slow = world.line();
        slow.send_bytes(&connect("a").encode(world.version)[..5]);
        world.advance(9);
        silent.expect_nothing();
        slow.expect_nothing();
        world.advance(2);
        silent.expect_closed();
        slow.expect_closed();
    });
    let impatient = |limits: &mut noctule_core::Limits| limits.connect_timeout_secs = 1;
    script().limits(impatient).run(|world| {
        let silent = world.line();
        world.advance_millis(1500);
        silent.expect_closed();
    });
}

/// `[MQTT-6.0.0-2 v5]` holds for every transport: how the bytes are cut means nothing.
#[test]
fn packets_may_arrive_byte_by_byte() {
    script().run(|world| {
        let line = world.line();
        for byte in connect("a").encode(world.version) {
            line.send_bytes(&[byte]);
        }
        line.expect(world.connack());
        for byte in subscribe(7).filter("a/b", 2).encode(world.version) {
            line.send_bytes(&[byte]);
        }
        line.expect(suback(7, &[2]));
    });
}

/// `[MQTT-4.13.2-1 v5]` `[MQTT-4.8.0-1 v3.1.1]`
#[test]
fn a_packet_above_the_maximum_size_is_refused_by_its_header_alone() {
    let small = |limits: &mut noctule_core::Limits| limits.packet_size_max = 1000;
    script().limits(small).run(|world| {
        let a = world.connect("a");
        a.send_bytes(&[&[0x30][..], &varint(998)].concat());
        a.expect_end(0x95);
        let b = world.connect("b");
        b.publishes(publish("t", "x".repeat(world.by_version(993, 994))));
        b.pings();
    });
}
