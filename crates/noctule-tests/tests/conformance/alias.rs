//! Topic aliases, both ways.

use noctule_core::Limits;
use noctule_tests::script::prelude::*;

/// `[MQTT-3.3.2-12 v5]` `[U5-3.3.2-2]`
#[test]
fn a_client_may_use_every_alias_up_to_the_maximum() {
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("#", 2);
        let max = world.limits().topic_alias_max;
        assert_eq!(max, 64, "what CONNACK said");
        for alias in 1..=max {
            let topic = format!("t/{alias}");
            a.send(publish(&topic, "with").with(topic_alias(alias)));
            b.expect(publish(&topic, "with"));
        }
        for alias in (1..=max).rev() {
            let (topic, qos) = (format!("t/{alias}"), (alias % 3) as u8);
            a.publishes(publish("", "by").qos(qos, 0).with(topic_alias(alias)));
            b.receives(publish(&topic, "by").qos(qos, 0));
        }
        // A name with a known alias changes the mapping.
        a.publishes(publish("new", "1").with(topic_alias(64)));
        a.publishes(publish("", "2").with(topic_alias(64)));
        b.expect(publish("new", "1"));
        b.expect(publish("new", "2"));
    });
}

/// `[U5-3.3.2-2]` `[U5-3.3.2-1]`
#[test]
fn an_alias_that_was_never_given_a_topic_is_a_protocol_error() {
    script().v5().run(|world| {
        for qos in 0..=2 {
            let a = world.connect("a");
            a.send(publish("", "x").qos(qos, 1).with(topic_alias(1)));
            a.expect_end(0x82);
        }
    });
}

/// `[MQTT-3.3.2-7 v5]`
#[test]
fn aliases_end_with_their_connection() {
    script().v5().run(|world| {
        let a = world.connect_with(&resume("a"));
        a.publishes(publish("t", "x").with(topic_alias(1)));
        a.hang_up();
        let a = world.resume(&resume("a"));
        a.send(publish("", "x").with(topic_alias(1)));
        a.expect_end(0x82);
        // Nor does one connection know another's.
        let (b, c) = (world.connect("b"), world.connect("c"));
        b.publishes(publish("t", "x").with(topic_alias(1)));
        c.send(publish("", "x").with(topic_alias(1)));
        c.expect_end(0x82);
    });
}

/// `[MQTT-3.3.2-8 v5]`
#[test]
fn alias_0_and_aliases_above_the_maximum_are_invalid() {
    script().v5().run(|world| {
        for alias in [0, 65, u16::MAX] {
            let a = world.connect("a");
            a.send(publish("t", "x").with(topic_alias(alias)));
            a.expect_end(0x94);
        }
    });
    let none = |limits: &mut Limits| limits.topic_alias_max = 0;
    script().v5().limits(none).run(|world| {
        let a = world.connect("a");
        a.send(publish("t", "x").with(topic_alias(1)));
        a.expect_end(0x94);
    });
}

/// `[MQTT-3.1.2-26 v5]` `[MQTT-3.1.2-27 v5]` `[MQTT-3.3.2-11 v5]` `[MQTT-3.3.2-8 v5]`
#[test]
fn the_broker_uses_no_more_aliases_than_the_client_takes() {
    script().v5().run(|world| {
        let a = world.connect("a");
        let b = world.connect_with(&connect("b").with(topic_alias_maximum(2)));
        let c = world.connect("c");
        b.subscribes("#", 1);
        c.subscribes("#", 1);
        let (mut aliased, mut shortened) = (0, 0);
        for number in 0..40 {
            // Some topics come often, some seldom.
            let topic = format!("topic/with/a/long/name/{}", u32::from(number).pow(2) % 5);
            a.publishes(publish(&topic, "x").qos(number % 2, 0));
            let raw = b.next_raw();
            aliased += usize::from(raw.property(0x23).is_some());
            shortened += usize::from(raw.topic.is_empty());
            b.acknowledges(&raw);
            let plain = c.receives(publish(&topic, "x").qos(number % 2, 0));
            assert_eq!(plain.property(0x23), None, "an alias nobody asked for");
        }
        assert!(aliased > 0 && shortened > 0, "{aliased} with an alias, {shortened} without name");
    });
}

/// `[MQTT-3.3.2-7 v5]` `[MQTT-3.3.2-3 v5]`: what is sent again has its name with it.
#[test]
fn outgoing_aliases_end_with_their_connection() {
    script().v5().run(|world| {
        let a = world.connect("a");
        let with_aliases = resume("b").with(topic_alias_maximum(10));
        let b = world.connect_with(&with_aliases);
        b.subscribes("#", 1);
        for _ in 0..3 {
            a.publishes(publish("t", "x").qos(1, 0));
        }
        let ids = [0, 1, 2].map(|_| b.expect(publish("t", "x").qos(1, 0)).id);
        b.hang_up();
        let b = world.resume(&with_aliases);
        for id in ids {
            b.receives(publish("t", "x").qos(1, id).dup());
        }
    });
}
