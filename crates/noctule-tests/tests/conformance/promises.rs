//! What was said holds: limits that CONNACK announced, names that were given, what was
//! acknowledged.

use noctule_core::limits::Durability;
use noctule_core::{Input, Limits, ShardId};
use noctule_tests::script::prelude::*;

/// `[MQTT-3.3.2-12 v5]` `[MQTT-3.3.4-7 v5]` `[MQTT-3.2.2-11 v5]` `[MQTT-3.2.2-14 v5]`
#[test]
fn a_reload_takes_nothing_back_that_connack_announced() {
    script().v5().pure("a reload is told to the node").run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 2);
        let lower = Limits {
            receive_maximum: 1,
            topic_alias_max: 0,
            qos_max: noctule_proto::QoS::AtMostOnce,
            retain_available: false,
            ..world.limits().clone()
        };
        world.with_node(|node| {
            for shard in 0..node.shards() {
                node.tell(ShardId(shard), Input::Reconfigured(Box::new(lower.clone())));
            }
        });
        for id in 1..=3 {
            let message = publish("t", "kept").qos(2, id).retain();
            a.send(message.with(topic_alias(9)));
            a.expect(pubrec(id));
        }
        for id in 1..=3 {
            a.send(pubrel(id));
            a.expect(pubcomp(id));
            b.receives(publish("t", "kept").qos(2, 0));
        }
        // Who comes now is told the new ones, and held to them.
        let c = world.line();
        let connack = c.connects(&connect("c"));
        assert_eq!(connack.property(0x24), Some(&[0][..]), "Maximum QoS");
        c.send(publish("t", "x").qos(1, 1));
        c.expect_end(0x9B);
    });
}

/// `[MQTT-3.8.3-3 v5]`
#[test]
fn no_local_holds_for_retained_messages_too() {
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.publishes(publish("t/a", "own").qos(1, 0).retain());
        b.publishes(publish("t/b", "other").qos(1, 0).retain());
        a.subscribes("t/+", 1 | 0x04);
        a.receives(publish("t/b", "other").qos(1, 0).retain());
        a.expect_nothing();
    });
}

/// A bridge says that it is one in the highest bit of the protocol level; what it subscribes to it
/// must not get back, and it has to see what is to be retained.
#[test]
fn a_bridge_does_not_get_back_what_it_sends() {
    script().v3().run(|world| {
        let (name, level) = match world.version {
            Version::V31 => (&b"MQIsdp"[..], 0x83),
            _ => (&b"MQTT"[..], 0x84),
        };
        let bridge = world.line();
        bridge.connects(&connect("bridge").protocol(name, level));
        let other = world.connect("other");
        bridge.subscribes("#", 1);
        bridge.publishes(publish("t", "own").qos(1, 0));
        other.publishes(publish("t", "kept").qos(1, 0).retain());
        bridge.receives(publish("t", "kept").qos(1, 0).retain());
        bridge.expect_nothing();
    });
}

/// `[MQTT-3.1.3-6 v5]` `[MQTT-3.2.2-16 v5]`
#[test]
fn names_that_are_given_cannot_be_guessed_from_others() {
    script().v5().run(|world| {
        let given = || {
            let connack = world.line().connects(&connect(""));
            let name = connack.property(0x12).expect("a name is assigned")[2..].to_vec();
            String::from_utf8(name).expect("text")
        };
        let names: Vec<String> = (0..8).map(|_| given()).collect();
        for (at, name) in names.iter().enumerate() {
            let parts: Vec<&str> = name["auto-".len()..].split('-').collect();
            let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{name}");
            assert!(!names[..at].contains(name));
        }
    });
}

/// `[MQTT-3.1.2-25 v5]`
#[test]
fn a_message_that_only_an_alias_makes_too_large_is_sent_without() {
    script().v5().run(|world| {
        // 2 for the header, 2 + 1 for the topic, 1 for the properties, 20 of payload.
        let terms = connect("a").with(topic_alias_maximum(5)).with(maximum_packet_size(26));
        let (a, b) = (world.connect_with(&terms), world.connect("b"));
        a.subscribes("t", 0);
        for _ in 0..2 {
            b.publishes(publish("t", [b'x'; 20]));
            a.expect(publish("t", [b'x'; 20]));
        }
    });
}

/// `[U5-4.9.0-1]` `[MQTT-4.3.3-10 v5]`
#[test]
fn messages_left_open_by_an_earlier_connection_take_nothing_from_the_quota() {
    script().v5().limits(|limits| limits.receive_maximum = 2).run(|world| {
        let a = world.connect_with(&resume("a"));
        for id in [1, 2] {
            a.send(publish("t", "x").qos(2, id));
            a.expect(pubrec(id));
        }
        a.hang_up();
        let a = world.resume(&resume("a"));
        for id in [3, 4] {
            a.send(publish("t", "x").qos(2, id));
            a.expect(pubrec(id));
        }
        // Repeated ones are known, and cost nothing either.
        a.send(publish("t", "x").qos(2, 1).dup());
        a.expect(pubrec(1));
        for id in 1..=4 {
            a.send(pubrel(id));
            a.expect(pubcomp(id));
        }
        for id in [5, 6] {
            a.send(publish("t", "x").qos(2, id));
            a.expect(pubrec(id));
        }
        a.send(publish("t", "x").qos(2, 7));
        a.expect_end(0x93);
    });
}

/// `[MQTT-3.3.1-6 v5]` `[MQTT-3.3.1-5 v5]`
#[test]
fn what_a_qos_0_message_did_to_a_retained_one_survives() {
    let durable = script().limits(|limits| limits.durability = Durability::Fsync);
    durable.pure("it dies in here").run(|world| {
        let a = world.connect("a");
        for topic in ["cleared", "replaced"] {
            a.publishes(publish(topic, "old").qos(1, 0).retain());
        }
        a.publishes(publish("cleared", "").retain());
        a.publishes(publish("replaced", "new").retain());
        world.with_node(noctule_tests::node::Node::restart);
        let b = world.connect("b");
        b.subscribes("+", 1);
        b.expect(publish("replaced", "new").retain());
        b.expect_nothing();
    });
}

/// `[MQTT-3.8.3-3 v5]`
#[test]
fn no_local_holds_after_a_restart() {
    let durable = script().v5().limits(|limits| limits.durability = Durability::Fsync);
    durable.pure("it dies in here").run(|world| {
        let (a, b) = (world.connect_with(&resume("a")), world.connect("b"));
        a.subscribes("t", 1 | 0x04);
        a.publishes(publish("t", "own").qos(1, 0));
        b.publishes(publish("t", "other").qos(1, 0));
        a.expect(publish("t", "other").qos(1, 0));
        world.with_node(noctule_tests::node::Node::restart);
        let a = world.resume(&resume("a"));
        a.receives(publish("t", "other").qos(1, 0));
        a.expect_nothing();
    });
}

/// `[MQTT-4.12.0-3 v5]`
#[test]
fn auth_out_of_turn_ends_a_live_connection() {
    use noctule_core::grant::Grant;
    use noctule_core::input::AuthAnswer;
    script().v5().pure("its authenticator is a script").run(|world| {
        world.with_node(|node| {
            let allow = || AuthAnswer::Allow {
                grant: Grant::default(),
                data: None,
                user_name: None,
                expires: None,
            };
            node.set_authenticator(Box::new(move |_| allow()));
        });
        let a = world.connect_with(&connect("a").with(auth_method("X")));
        // Asked for nothing, it has nothing to continue.
        a.send(auth(0x18).with(auth_method("X")));
        a.expect_end(0x82);
    });
}
