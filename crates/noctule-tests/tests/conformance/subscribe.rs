//! SUBSCRIBE and SUBACK.

use noctule_core::Limits;
use noctule_tests::script::prelude::*;

/// `[MQTT-3.8.4-1 v5]` `[MQTT-3.8.4-2 v5]` `[MQTT-2.2.1-6 v5]` `[MQTT-3.8.4-1 v3.1.1]`
/// `[MQTT-3.8.4-2 v3.1.1]` `[MQTT-2.3.1-7 v3.1.1]`
/// `[V31-3.8-2]`
#[test]
fn every_subscribe_is_answered_by_a_suback_with_its_id() {
    script().run(|world| {
        let a = world.connect("a");
        for id in [1, 255, 256, 65_535] {
            a.send(subscribe(id).filter("t", 1));
            a.expect_bytes(&suback(id, &[1]).encode(world.version));
        }
    });
}

/// `[MQTT-3.8.4-5 v5]` `[MQTT-3.8.4-6 v5]` `[MQTT-3.8.4-7 v5]` `[MQTT-3.9.3-1 v5]`
/// `[MQTT-3.9.3-2 v5]` `[MQTT-3.8.4-4 v3.1.1]` `[MQTT-3.8.4-5 v3.1.1]` `[MQTT-3.9.3-1 v3.1.1]`
/// `[MQTT-3.9.3-2 v3.1.1]`
/// `[V31-3.8-3]` `[V31-3.9-1]`
#[test]
fn suback_has_one_code_for_each_filter_in_their_order() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        let deep = "/".repeat(200);
        a.send(subscribe(1).filter("x", 2).filter(&deep, 1).filter("y", 0).filter("z", 1));
        let refused = match world.version {
            // MQTT 3.1 has no code for failure: what was asked for is said to be granted.
            Version::V31 => 1,
            Version::V311 => 0x80,
            Version::V5 => 0x8F,
        };
        a.expect(suback(1, &[2, refused, 0, 1]));
        for (topic, qos) in [("x", 2), ("y", 0), ("z", 1)] {
            b.publishes(publish(topic, "").qos(2, 0));
            a.receives(publish(topic, "").qos(qos, 0));
        }
    });
}

/// `[MQTT-3.8.4-5 v5]` `[MQTT-3.8.4-4 v3.1.1]`
#[test]
fn filters_of_one_subscribe_act_in_their_order() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.send(subscribe(1).filter("t", 2).filter("t", 0).filter("t", 1));
        a.expect(suback(1, &[2, 0, 1]));
        b.publishes(publish("t", "x").qos(2, 0));
        a.receives(publish("t", "x").qos(1, 0));
        a.expect_nothing();
    });
}

/// `[MQTT-3.8.4-3 v5]` `[MQTT-3.8.4-3 v3.1.1]` `[MQTT-3.8.4-4 v5]`
#[test]
fn a_filter_held_already_is_replaced_and_retained_messages_go_out_anew() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.publishes(publish("t", "kept").qos(2, 0).retain());
        a.subscribes("t", 2);
        a.receives(publish("t", "kept").qos(2, 0).retain());
        a.send(subscribe(2).filter("t", 1));
        a.expect(suback(2, &[1]));
        a.receives(publish("t", "kept").qos(1, 0).retain());
        b.publishes(publish("t", "live").qos(2, 0));
        a.receives(publish("t", "live").qos(1, 0));
        a.expect_nothing();
    });
}

/// The subscription got the message live when it came. It is asked for again all the same, as a
/// client does that subscribes after every reconnect. `[MQTT-3.8.4-4 v5]` `[MQTT-3.8.4-3 v3.1.1]`
#[test]
fn the_same_subscription_again_brings_what_it_got_live_as_retained() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("t/+", 1);
        b.publishes(publish("t/x", "kept").qos(1, 0).retain());
        a.receives(publish("t/x", "kept").qos(1, 0));
        for id in 2..4 {
            a.send(subscribe(id).filter("t/+", 1));
            a.expect(suback(id, &[1]));
            a.receives(publish("t/x", "kept").qos(1, 0).retain());
        }
        a.expect_nothing();
    });
}

/// `[MQTT-3.8.4-4 v5]` `[MQTT-3.8.4-3 v3.1.1]`
#[test]
fn replacing_a_subscription_loses_nothing() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("t", 1);
        for number in 0..5 {
            b.publishes(publish("t", format!("{number}")).qos(1, 0));
            a.send(subscribe(1 + number).filter("t", 1));
            b.publishes(publish("t", format!("{number} again")).qos(1, 0));
        }
        let mut payloads = Vec::new();
        for _ in 0..15 {
            let packet = a.next_packet();
            if packet.kind() == kind::PUBLISH {
                a.acknowledges(&packet);
                payloads.push(String::from_utf8(packet.payload).expect("text"));
            }
        }
        let all: Vec<String> =
            (0..5).flat_map(|number| [format!("{number}"), format!("{number} again")]).collect();
        assert_eq!(payloads, all);
    });
}

/// `[MQTT-3.3.4-2 v5]` `[MQTT-3.3.5-1 v3.1.1]` `[MQTT-3.3.4-3 v5]` `[MQTT-3.3.4-5 v5]`
/// `[U5-3.3.2-4]` `[U5-3.8.2-1]`
#[test]
fn overlapping_subscriptions_bring_one_copy_each_at_its_qos_with_its_identifier() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.send(subscribe(1).filter("t/#", 0).with(subscription_id(1)));
        a.expect(suback(1, &[0]));
        a.send(subscribe(2).filter("t/+", 1).with(subscription_id(268_435_455)));
        a.expect(suback(2, &[1]));
        a.send(subscribe(3).filter("t/x", 2));
        a.expect(suback(3, &[2]));
        b.publishes(publish("t/x", "m").qos(2, 0));
        let copies = [
            publish("t/x", "m").with(subscription_id(1)),
            publish("t/x", "m").qos(1, 0).with(subscription_id(268_435_455)),
            publish("t/x", "m").qos(2, 0),
        ];
        for copy in a.expect_all(&copies) {
            a.acknowledges(&copy);
        }
        a.expect_nothing();
    });
}

/// `[U5-3.8.4-2]`
#[test]
fn what_is_sent_again_carries_one_identifier_and_never_an_older_one_again() {
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.send(subscribe(1).filter("t", 1).with(subscription_id(5)));
        b.expect(suback(1, &[1]));
        a.publishes(publish("t", "x").qos(1, 0));
        let id = b.expect(publish("t", "x").qos(1, 0).with(subscription_id(5))).id;
        b.send(subscribe(2).filter("t", 0x20 | 1).with(subscription_id(6)));
        b.expect(suback(2, &[1]));
        b.hang_up();
        let mut seen = vec![5];
        for _ in 0..3 {
            let b = world.resume(&resume("b"));
            let again = b.next_packet();
            let identifiers = again.properties.iter().filter(|property| property.id == 0x0B);
            let identifiers: Vec<&[u8]> = identifiers.map(|found| &found.value[..]).collect();
            assert_eq!((again.first, again.id), (0x3A, id), "DUP, QoS 1: {again:?}");
            assert!(identifiers == [[5]] || identifiers == [[6]], "{identifiers:?}");
            seen.push(identifiers[0][0]);
            b.expect_nothing();
            b.hang_up();
        }
        assert!(seen.is_sorted(), "an older identifier came back: {seen:?}");
        let b = world.resume(&resume("b"));
        b.acknowledges(&b.next_packet());
        a.publishes(publish("t", "y").qos(1, 0));
        b.receives(publish("t", "y").qos(1, 0).with(subscription_id(6)));
    });
}

/// `[U5-3.8.2-1]` `[MQTT-3.3.4-3 v5]`
#[test]
fn a_subscription_identifier_is_renewed_when_its_subscription_is_replaced() {
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        let deliveries = [
            (subscribe(1).filter("t", 0).with(subscription_id(5)), Some(5)),
            (subscribe(2).filter("t", 0).with(subscription_id(128)), Some(128)),
            (subscribe(3).filter("t", 0), None),
            (subscribe(4).filter("t", 0).with(subscription_id(2_097_152)), Some(2_097_152)),
        ];
        for (subscribe, expected) in deliveries {
            let id = subscribe.id;
            a.send(subscribe);
            a.expect(suback(id, &[0]));
            b.publishes(publish("t", "x"));
            let message = publish("t", "x");
            a.expect(match expected {
                Some(expected) => message.with(subscription_id(expected)),
                None => message,
            });
        }
    });
}

/// `[U5-3.3.2-4]` `[MQTT-4.13.1-1 v5]`
/// `[MQTT-3.3.4-6 v5]`
#[test]
fn subscription_identifier_0_and_one_in_a_clients_publish_are_protocol_errors() {
    script().v5().run(|world| {
        let a = world.connect("a");
        a.send(subscribe(1).filter("t", 0).with(subscription_id(0)));
        a.expect_end(0x82);
        let b = world.connect("b");
        b.send(publish("t", "x").with(subscription_id(1)));
        b.expect_end(0x82);
    });
}

/// With one copy for each match no copy carries the identifier of another subscription.
/// `[MQTT-3.3.4-3 v5]` `[MQTT-3.3.4-5 v5]`
#[test]
fn identifiers_of_subscriptions_that_do_not_match_stay_away() {
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.send(subscribe(1).filter("x", 0).with(subscription_id(1)));
        a.expect(suback(1, &[0]));
        a.send(subscribe(2).filter("y", 0).with(subscription_id(2)));
        a.expect(suback(2, &[0]));
        b.publishes(publish("y", ""));
        a.expect(publish("y", "").with(subscription_id(2)));
        a.expect_nothing();
    });
}

/// `[MQTT-3.8.3-3 v5]`
#[test]
fn with_no_local_a_client_does_not_hear_itself() {
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("t", 1 | 4);
        b.subscribes("t", 1);
        a.publishes(publish("t", "mine").qos(1, 0));
        b.receives(publish("t", "mine").qos(1, 0));
        a.expect_nothing();
        let c = world.connect("c");
        c.publishes(publish("t", "theirs").qos(1, 0));
        a.receives(publish("t", "theirs").qos(1, 0));
        b.receives(publish("t", "theirs").qos(1, 0));
        a.publishes(publish("t", "kept").qos(1, 0).retain());
        b.receives(publish("t", "kept").qos(1, 0));
        a.expect_nothing();
    });
    // It is the ClientID that counts, not the connection.
    script().v5().run(|world| {
        let (a, b) = (world.connect_with(&resume("a")), world.connect("b"));
        a.subscribes("t", 2 | 4);
        b.subscribes("t", 2);
        a.send(publish("t", "mine").qos(2, 7));
        a.expect(pubrec(7));
        a.hang_up();
        let a = world.resume(&resume("a"));
        a.send(pubrel(7));
        a.expect(pubcomp(7));
        b.receives(publish("t", "mine").qos(2, 0));
        a.expect_nothing();
        a.publishes(publish("t", "mine too").qos(1, 0));
        b.receives(publish("t", "mine too").qos(1, 0));
        a.expect_nothing();
    });
}

/// `[MQTT-3.8.3-5 v5]` `[MQTT-3.8.3-4 v3.1.1]`
/// `[V31-2.6-1]`
#[test]
fn reserved_bits_of_the_options_end_the_connection() {
    script().v5().run(|world| {
        for (options, code) in [(0x40, 0x81), (0x80, 0x81), (0x03, 0x82), (0x30, 0x82)] {
            let a = world.connect("a");
            a.send(subscribe(1).filter("t", options));
            a.expect_end(code);
        }
    });
    script().versions(&[Version::V311]).run(|world| {
        for options in [3, 4, 8, 0x10, 0x20, 0x40, 0x80] {
            let a = world.connect("a");
            a.send(subscribe(1).filter("t", options));
            a.expect_closed();
        }
    });
    // MQTT 3.1 does not use the upper bits and does not look at them.
    script().versions(&[Version::V31]).run(|world| {
        let a = world.connect("a");
        a.send(subscribe(1).filter("t", 0xFC | 1));
        a.expect(suback(1, &[1]));
    });
}

/// `[U5-3.8.3-1]` `[U5-3.8.3-2]`
#[test]
fn qos_3_and_retain_handling_3_are_protocol_errors() {
    script().v5().run(|world| {
        for options in [0x03, 0x30, 0x33] {
            let a = world.connect("a");
            a.send(subscribe(1).filter("t", options));
            a.expect_end(0x82);
        }
    });
}

/// `[MQTT-4.8.0-1 v3.1.1]` `[MQTT-4.13.1-1 v5]`
/// `[MQTT-3.8.3-2 v5]` `[MQTT-3.10.3-2 v5]` `[MQTT-3.8.3-3 v3.1.1]` `[MQTT-3.10.3-2 v3.1.1]`
#[test]
fn a_subscribe_or_unsubscribe_without_filters_ends_the_connection() {
    script().run(|world| {
        let a = world.connect("a");
        a.send(subscribe(1));
        a.expect_end(0x82);
        let a = world.connect("a");
        a.send(unsubscribe(1, &[]));
        a.expect_end(0x82);
    });
}

/// `[MQTT-4.7.3-1 v5]` `[MQTT-4.7.3-1 v3.1.1]` `[MQTT-4.7.1-1 v3.1.1]`
/// `[MQTT-4.7.1-1 v5]` `[MQTT-4.7.1-2 v5]` `[MQTT-4.7.1-2 v3.1.1]` `[MQTT-4.7.1-3 v3.1.1]`
/// `[V31-5-1]`
#[test]
fn an_invalid_filter_ends_the_connection() {
    script().run(|world| {
        for filter in ["", "a#", "#/a", "a/#/b", "a+", "a/b+/c", "++", "##"] {
            let a = world.connect("a");
            a.send(subscribe(1).filter(filter, 0));
            a.expect_end(0x82);
            let a = world.connect("a");
            a.send(unsubscribe(1, &[filter]));
            a.expect_end(0x82);
        }
    });
}

/// `[MQTT-4.7.3-2 v5]` `[MQTT-4.7.3-2 v3.1.1]` `[MQTT-1.5.4-1 v5]` `[MQTT-1.5.3-1 v3.1.1]`
/// `[MQTT-3.8.3-1 v5]` `[MQTT-3.10.3-1 v5]` `[MQTT-3.8.3-1 v3.1.1]` `[MQTT-3.10.3-1 v3.1.1]`
#[test]
fn a_filter_that_is_no_text_ends_the_connection() {
    script().run(|world| {
        let ill: [&[u8]; 3] = [b"a\0", b"\xFF", b"\xED\xA0\x80"];
        for filter in ill {
            let a = world.connect("a");
            let mut packet = subscribe(1);
            packet.filters.push((filter.to_vec(), 0));
            a.send(packet);
            a.expect_end(0x81);
            let a = world.connect("a");
            let mut packet = unsubscribe(1, &[]);
            packet.filters.push((filter.to_vec(), 0));
            a.send(packet);
            a.expect_end(0x81);
        }
    });
}

/// `[MQTT-3.9.3-2 v5]` `[MQTT-3.8.4-7 v5]`
#[test]
fn more_subscriptions_than_allowed_are_refused_one_by_one() {
    let few = |limits: &mut Limits| limits.subscriptions_max = 2;
    script().versions(&[Version::V311, Version::V5]).limits(few).run(|world| {
        let a = world.connect("a");
        let full = world.by_version(0x97, 0x80);
        a.send(subscribe(1).filter("x", 0).filter("y", 0).filter("z", 0));
        a.expect(suback(1, &[0, 0, full]));
        // To replace one is no subscription more.
        a.send(subscribe(2).filter("x", 1).filter("z", 0));
        a.expect(suback(2, &[1, full]));
        a.unsubscribes("y");
        a.subscribes("z", 0);
    });
}

/// `[U5-3.8.4-1]`: they may; here the SUBACK comes first, as most clients expect.
#[test]
fn suback_comes_before_messages_it_makes_possible() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.publishes(publish("t", "kept").qos(1, 0).retain());
        a.send(subscribe(1).filter("#", 1));
        a.expect(suback(1, &[1]));
        a.receives(publish("t", "kept").qos(1, 0).retain());
    });
}
