//! PUBLISH: how a message travels from publisher to subscribers.

use noctule_core::limits::Durability;
use noctule_tests::script::prelude::*;

/// `[MQTT-3.3.4-1 v5]` `[MQTT-3.3.4-1 v3.1.1]` `[MQTT-2.2.1-5 v5]` `[MQTT-2.3.1-6 v3.1.1]`
/// `[MQTT-4.3.1-1 v5]` `[MQTT-4.3.1-1 v3.1.1]` `[MQTT-2.2.1-2 v5]` `[MQTT-2.3.1-5 v3.1.1]`
/// `[V31-3.3-1]`
#[test]
fn the_answer_depends_on_the_qos() {
    script().run(|world| {
        let a = world.connect("a");
        let b = world.connect("b");
        b.subscribes("t", 0);
        a.send(publish("t", "0"));
        a.expect_nothing();
        a.send(publish("t", "1").qos(1, 10));
        a.expect_bytes(&[0x40, 2, 0, 10]);
        a.send(publish("t", "2").qos(2, 258));
        a.expect_bytes(&[0x50, 2, 1, 2]);
        a.send(pubrel(258));
        a.expect_bytes(&[0x70, 2, 1, 2]);
        for payload in ["0", "1", "2"] {
            b.expect_bytes(&publish("t", payload).encode(world.version));
        }
    });
}

/// `[MQTT-3.3.4-1 v5]` `[U5-4.13.2-1]`
#[test]
fn a_publisher_is_told_that_there_were_no_subscribers() {
    script().v5().run(|world| {
        let a = world.connect("a");
        a.send(publish("t", "").qos(1, 1));
        a.expect_bytes(&[0x40, 3, 0, 1, 0x10]);
        a.send(publish("t", "").qos(2, 2));
        a.expect(pubrec(2));
        a.send(pubrel(2));
        a.expect(pubcomp(2));
    });
    script().v3().run(|world| {
        let a = world.connect("a");
        a.send(publish("t", "").qos(1, 1));
        a.expect_bytes(&[0x40, 2, 0, 1]);
    });
}

/// `[MQTT-3.8.4-8 v5]` `[MQTT-3.8.4-6 v3.1.1]` `[MQTT-4.5.0-1 v5]` `[MQTT-4.5.0-1 v3.1.1]`
/// `[V31-3.3-4]`
#[test]
fn a_message_is_delivered_at_the_lower_of_published_and_granted_qos() {
    script().run(|world| {
        let a = world.connect("a");
        let subscribers = [0, 1, 2].map(|granted| {
            let subscriber = world.connect(&format!("s{granted}"));
            subscriber.subscribes("t", granted);
            subscriber
        });
        for published in 0..=2 {
            a.publishes(publish("t", "x").qos(published, 0));
            for (granted, subscriber) in subscribers.iter().enumerate() {
                let qos = published.min(granted as u8);
                subscriber.receives(publish("t", "x").qos(qos, 0));
            }
        }
    });
}

/// `[MQTT-3.3.2-4 v5]` `[MQTT-3.3.2-15 v5]` `[MQTT-3.3.2-16 v5]` `[MQTT-3.3.2-17 v5]`
/// `[MQTT-3.3.2-18 v5]` `[MQTT-3.3.2-20 v5]`
#[test]
fn properties_of_a_message_reach_every_subscriber_unchanged_and_in_order() {
    script().v5().run(|world| {
        let a = world.connect("a");
        let b = world.connect("b");
        let old = world.connect_as(Version::V311, "old");
        b.subscribes("t", 2);
        old.subscribes("t", 2);
        let message = publish("t", "grüße")
            .with(payload_format(1))
            .with(content_type("text/plain"))
            .with(response_topic("r/1"))
            .with(correlation_data(&[0, 255, 7]))
            .with(user("z", "1"))
            .with(user("a", "2"))
            .with(user("z", "0"))
            .with(user("", ""));
        for qos in 0..=2 {
            a.publishes(message.clone().qos(qos, 0));
            b.receives(message.clone().qos(qos, 0));
            old.receives(publish("t", "grüße").qos(qos, 0));
        }
        let bytes = publish("t", "").with(payload_format(0));
        a.publishes(bytes.clone());
        b.expect(bytes);
    });
}

/// `[MQTT-3.3.2-6 v5]` `[MQTT-3.3.2-5 v5]`
#[test]
fn message_expiry_is_counted_down_while_a_message_waits() {
    script().v5().pure("it waits for a minute").run(|world| {
        let a = world.connect("a");
        let b = world.connect_with(&resume("b"));
        b.subscribes("t", 1);
        b.disconnects();
        a.publishes(publish("t", "long").qos(1, 0).with(message_expiry(100)));
        a.publishes(publish("t", "short").qos(1, 0).with(message_expiry(60)));
        a.publishes(publish("t", "ever").qos(1, 0));
        world.advance(60);
        let b = world.resume(&resume("b"));
        b.receives(publish("t", "long").qos(1, 0).with(message_expiry(40)));
        b.receives(publish("t", "ever").qos(1, 0));
        b.expect_nothing();
    });
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 0);
        a.publishes(publish("t", "x").with(message_expiry(100)));
        // A server that stands still for a while may have counted.
        let expiry = b.next_packet().expiry();
        assert!(expiry.is_some_and(|secs| (1..=100).contains(&secs)), "{expiry:?}");
    });
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 1);
        b.hang_up();
        b.settle();
        a.publishes(publish("t", "short").qos(1, 0).with(message_expiry(1)));
        a.publishes(publish("t", "long").qos(1, 0).with(message_expiry(100)));
        world.advance_millis(1500);
        let b = world.resume(&resume("b"));
        let long = b.next_packet();
        let expiry = long.expiry();
        assert!(expiry.is_some_and(|secs| (1..=99).contains(&secs)), "{expiry:?}");
        b.same(&long.clone().without(0x02), publish("t", "long").qos(1, 0));
        b.acknowledges(&long);
        b.expect_nothing();
    });
}

/// `[MQTT-3.3.1-3 v5]` `[MQTT-3.3.1-3 v3.1.1]`
#[test]
fn dup_of_the_publisher_is_not_passed_on() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 2);
        a.publishes(publish("t", "1").qos(1, 0).dup());
        b.receives(publish("t", "1").qos(1, 0));
        a.publishes(publish("t", "2").qos(2, 0).dup());
        b.receives(publish("t", "2").qos(2, 0));
    });
}

/// `[MQTT-3.3.2-3 v5]` `[MQTT-3.3.2-3 v3.1.1]` `[MQTT-4.7.3-4 v5]` `[MQTT-4.7.3-4 v3.1.1]`
#[test]
fn a_subscriber_receives_the_topic_name_and_not_its_filter() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("+/#", 0);
        a.publishes(publish("x/y/z", ""));
        b.expect(publish("x/y/z", ""));
    });
}

/// `[U5-4.7.2-1]` `[MQTT-3.3.5-2 v3.1.1]` `[U5-4.3.3-1]` `[U5-4.13.2-1]`
#[test]
fn topics_of_the_broker_are_not_for_clients_to_publish() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("$SYS/forged", 2);
        a.send(publish("$SYS/forged", "0").retain());
        a.send(publish("$SYS/forged", "1").qos(1, 1).retain());
        a.expect(puback(1).code(0x87));
        a.send(publish("$SYS/forged", "2").qos(2, 2).retain());
        a.expect(pubrec(2).code(0x87));
        if !world.is_v5() {
            a.send(pubrel(2));
            a.expect(pubcomp(2));
        }
        a.pings();
        b.expect_nothing();
        let late = world.connect("late");
        late.subscribes("$SYS/forged", 0);
        late.expect_nothing();
    });
}

/// `[MQTT-4.7.0-1 v5]` `[MQTT-3.3.2-2 v5]` `[MQTT-3.3.2-2 v3.1.1]` `[MQTT-4.7.1-1 v3.1.1]`
/// `[V31-3.3-3]`
#[test]
fn a_topic_name_with_a_wildcard_ends_the_connection() {
    script().run(|world| {
        for topic in ["+", "#", "a/#", "a/+/b", "a+"] {
            for qos in 0..=2 {
                let a = world.connect("a");
                a.send(publish(topic, "x").qos(qos, 1));
                a.expect_end(0x82);
            }
        }
    });
}

/// `[MQTT-4.7.3-1 v5]` `[MQTT-4.7.3-1 v3.1.1]` `[U5-3.3.2-1]`
#[test]
fn an_empty_topic_name_ends_the_connection() {
    script().run(|world| {
        let a = world.connect("a");
        a.send(publish("", "x"));
        a.expect_end(0x82);
    });
}

/// `[MQTT-3.3.2-14 v5]` `[MQTT-3.3.2-13 v5]` `[MQTT-3.3.2-19 v5]`
#[test]
fn a_response_topic_or_content_type_that_is_none_ends_the_connection() {
    script().v5().run(|world| {
        let property_of = |id, value: &[u8]| property(id, &binary(value));
        let cases = [
            (property_of(0x08, b"a/+"), 0x82),
            (property_of(0x08, b"#"), 0x82),
            (property_of(0x08, b"\xFF"), 0x81),
            (property_of(0x03, b"\xFF"), 0x81),
            (property_of(0x03, b"a\0"), 0x81),
        ];
        for (property, code) in cases {
            let a = world.connect("a");
            a.send(publish("t", "x").with(property));
            a.expect_end(code);
        }
    });
}

/// `[MQTT-3.1.2-24 v5]` `[MQTT-3.1.2-25 v5]`
#[test]
fn a_message_too_large_for_a_client_counts_as_delivered() {
    script().v5().run(|world| {
        let a = world.connect("a");
        let b = world.connect_with(&resume("b").with(maximum_packet_size(100)));
        let c = world.connect("c");
        b.subscribes("t", 2);
        c.subscribes("t", 2);
        for qos in 0..=2 {
            a.publishes(publish("t", "x".repeat(100)).qos(qos, 0));
            c.receives(publish("t", "x".repeat(100)).qos(qos, 0));
            b.expect_nothing();
            a.publishes(publish("t", "small").qos(qos, 0));
            b.receives(publish("t", "small").qos(qos, 0));
            c.receives(publish("t", "small").qos(qos, 0));
        }
        // Exactly as large as it may be: 2 + 2 + 1 + 2 + 1 + 92 bytes.
        a.publishes(publish("t", "x".repeat(92)).qos(1, 0));
        b.receives(publish("t", "x".repeat(92)).qos(1, 0));
        a.publishes(publish("t", "x".repeat(93)).qos(1, 0));
        b.expect_nothing();
        b.disconnects();
        // It is not kept for later either.
        let b = world.resume(&resume("b"));
        b.expect_nothing();
    });
    // What waited is measured by the connection that it goes out on.
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 2);
        b.hang_up();
        b.settle();
        for qos in [1, 2] {
            a.publishes(publish("t", "x".repeat(100)).qos(qos, 0));
            a.publishes(publish("t", "small").qos(qos, 0));
        }
        let b = world.resume(&resume("b").with(maximum_packet_size(100)));
        b.receives(publish("t", "small").qos(1, 0));
        b.receives(publish("t", "small").qos(2, 0));
        b.expect_nothing();
        b.hang_up();
        world.resume(&resume("b")).expect_nothing();
    });
}

/// `[MQTT-4.6.0-5 v5]` `[MQTT-4.6.0-6 v5]` `[MQTT-4.6.0-5 v3.1.1]` `[MQTT-4.6.0-6 v3.1.1]`
/// `[V31-4.3-1]`
#[test]
fn messages_of_one_publisher_topic_and_qos_keep_their_order() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t/#", 2);
        for qos in 0..=2 {
            let numbers = || (0..50).map(|number| publish("t/x", format!("{number}")));
            numbers().for_each(|message| a.publishes(message.qos(qos, 0)));
            let found: Vec<Packet> =
                numbers().map(|message| b.expect(message.qos(qos, 0))).collect();
            found.iter().for_each(|message| b.acknowledges(message));
        }
    });
}

/// `[MQTT-3.3.1-4 v5]` `[MQTT-3.3.1-4 v3.1.1]` `[MQTT-3.3.1-2 v5]` `[MQTT-3.3.1-2 v3.1.1]`
/// `[V31-2.1-2]`
#[test]
fn flags_that_a_publish_may_not_have_end_the_connection() {
    script().run(|world| {
        for flags in [6, 7, 14, 8, 9] {
            let a = world.connect("a");
            a.send_bytes(&frame(0x30 | flags, &[0, 1, b't', 0, 1, 0]));
            a.expect_end(0x81);
        }
    });
}

/// `[MQTT-3.3.2-1 v5]` `[MQTT-3.3.2-1 v3.1.1]` `[MQTT-1.5.4-1 v5]` `[MQTT-1.5.4-2 v5]`
/// `[MQTT-1.5.3-1 v3.1.1]` `[MQTT-1.5.3-2 v3.1.1]` `[MQTT-4.7.3-2 v5]` `[MQTT-4.7.3-2 v3.1.1]`
/// `[U5-1.5.4-1]`
/// `[V31-2.5-1]`
#[test]
fn a_topic_name_that_is_no_text_ends_the_connection() {
    script().run(|world| {
        let ill: [&[u8]; 7] = [
            b"\xFF",
            b"a\0b",
            b"\xED\xA0\x80",
            b"\xC0\x80",
            b"a\x01",
            b"\xC2\x80",
            b"\xEF\xBF\xBF",
        ];
        for topic in ill {
            let a = world.connect("a");
            let mut publish = publish("", "x");
            publish.topic = topic.to_vec();
            a.send(publish);
            a.expect_end(0x81);
        }
    });
}

/// `[MQTT-1.5.4-3 v5]` `[MQTT-1.5.3-3 v3.1.1]` `[MQTT-4.7.3-4 v5]` `[MQTT-4.7.3-4 v3.1.1]`
#[test]
fn a_zero_width_no_break_space_is_a_character_like_others() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("\u{feff}t", 0);
        a.publishes(publish("t", "without"));
        a.publishes(publish("\u{feff}t", "with"));
        b.expect(publish("\u{feff}t", "with"));
        b.expect_nothing();
    });
}

/// `[MQTT-4.7.3-3 v5]` `[MQTT-4.7.3-3 v3.1.1]`
#[test]
fn topic_names_and_filters_may_be_65535_bytes_long() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        let long = "x".repeat(65_535);
        b.subscribes(&long, 1);
        a.publishes(publish(&long, "1").qos(1, 0));
        b.receives(publish(&long, "1").qos(1, 0));
    });
}

/// What is deeper than the broker goes is refused before it is taken over. `[U5-4.3.3-1]`
/// `[MQTT-3.3.5-2 v3.1.1]`
#[test]
fn a_topic_of_more_than_200_levels_is_refused() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("#", 2);
        let (fits, deep) = ("/".repeat(199), "/".repeat(200));
        a.publishes(publish(&fits, "").qos(1, 0));
        b.receives(publish(&fits, "").qos(1, 0));
        a.send(publish(&deep, "").qos(1, 1));
        a.expect(puback(1).code(0x90));
        a.send(publish(&deep, "").qos(2, 2));
        a.expect(pubrec(2).code(0x90));
        a.pings();
        a.send(publish(&deep, ""));
        if world.is_v5() {
            a.expect_end(0x90);
        } else {
            // Acknowledged or not, it is dropped: before v5 there is no error reply.
            a.pings();
        }
        b.expect_nothing();
    });
}

/// The acknowledgement comes first, unless it has to wait for the store. `[MQTT-4.3.2-4 v5]`
/// `[MQTT-4.5.0-1 v5]`
#[test]
fn a_client_receives_its_own_messages() {
    script().run(|world| {
        let a = world.connect("a");
        a.subscribes("t", 2);
        a.send(publish("t", "x").qos(1, 3));
        if world.limits().durability == Durability::Memory {
            a.expect(puback(3));
            a.receives(publish("t", "x").qos(1, 0));
        } else {
            a.expect_all(&[puback(3), publish("t", "x").qos(1, 0)]);
        }
        a.send(publish("t", "x").qos(2, 4));
        a.expect(pubrec(4));
        a.send(pubrel(4));
        a.expect_all(&[pubcomp(4), publish("t", "x").qos(2, 0)]);
    });
}
