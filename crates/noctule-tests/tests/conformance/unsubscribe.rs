//! UNSUBSCRIBE and UNSUBACK.

use noctule_tests::script::prelude::*;

/// `[MQTT-3.10.4-4 v5]` `[MQTT-3.10.4-5 v5]` `[MQTT-2.2.1-6 v5]` `[MQTT-3.10.4-4 v3.1.1]`
/// `[MQTT-3.10.4-5 v3.1.1]` `[MQTT-2.3.1-7 v3.1.1]`
/// `[V31-3.10-2]`
#[test]
fn every_unsubscribe_is_answered_by_an_unsuback_even_if_nothing_was_removed() {
    script().run(|world| {
        let a = world.connect("a");
        a.send(unsubscribe(300, &["none"]));
        let bytes = [0xB0, 4, 1, 44, 0, 0x11];
        if world.is_v5() {
            a.expect_bytes(&bytes);
        } else {
            a.expect_bytes(&[0xB0, 2, 1, 44]);
        }
    });
}

/// `[MQTT-3.10.4-6 v5]` `[MQTT-3.11.3-1 v5]` `[MQTT-3.11.3-2 v5]` `[MQTT-3.10.4-6 v3.1.1]`
#[test]
fn filters_of_one_unsubscribe_act_in_their_order() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("x", 0);
        a.subscribes("y", 0);
        a.subscribes("z", 0);
        a.send(unsubscribe(1, &["x", "none", "z", "x"]));
        a.expect(unsuback(1, &[0, 0x11, 0, 0x11]));
        for topic in ["x", "y", "z"] {
            b.publishes(publish(topic, ""));
        }
        a.expect(publish("y", ""));
        a.expect_nothing();
    });
}

/// `[MQTT-3.10.4-1 v5]` `[MQTT-3.10.4-1 v3.1.1]`
#[test]
fn filters_are_compared_character_by_character() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("t/+", 0);
        for other in ["t/x", "#", "t/#", "T/+", "t/+/", "/t/+", "+/+"] {
            a.send(unsubscribe(1, &[other]));
            a.expect(unsuback(1, &[0x11]));
        }
        b.publishes(publish("t/x", "1"));
        a.expect(publish("t/x", "1"));
        a.unsubscribes("t/+");
        b.publishes(publish("t/x", "2"));
        a.expect_nothing();
    });
}

/// `[MQTT-3.10.4-2 v5]` `[MQTT-3.10.4-2 v3.1.1]` `[U5-3.10.4-1]`
#[test]
fn nothing_new_comes_after_unsuback() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("t", 2);
        b.publishes(publish("t", "1").qos(2, 0));
        a.receives(publish("t", "1").qos(2, 0));
        a.unsubscribes("t");
        for qos in 0..=2 {
            b.publishes(publish("t", "2").qos(qos, 0));
        }
        a.expect_nothing();
    });
}

/// `[MQTT-3.10.4-3 v5]` `[MQTT-3.10.4-3 v3.1.1]`
#[test]
fn deliveries_begun_are_brought_to_their_end() {
    script().run(|world| {
        let (a, b) = (world.connect_with(&resume("a")), world.connect("b"));
        a.subscribes("t", 2);
        b.publishes(publish("t", "1").qos(1, 0));
        b.publishes(publish("t", "2").qos(2, 0));
        let one = a.expect(publish("t", "1").qos(1, 0)).id;
        let two = a.expect(publish("t", "2").qos(2, 0)).id;
        a.unsubscribes("t");
        a.hang_up();
        let a = world.resume(&resume("a"));
        a.expect(publish("t", "1").qos(1, one).dup());
        a.expect(publish("t", "2").qos(2, two).dup());
        a.send(puback(one));
        a.send(pubrec(two));
        a.expect(pubrel(two));
        a.send(pubcomp(two));
        a.expect_nothing();
    });
}

/// `[MQTT-3.10.4-1 v5]`
#[test]
fn other_subscriptions_that_match_the_same_topic_stay() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("t/x", 1);
        a.subscribes("t/+", 1);
        a.unsubscribes("t/x");
        b.publishes(publish("t/x", "").qos(1, 0));
        a.receives(publish("t/x", "").qos(1, 0));
        a.expect_nothing();
    });
}
