//! Retained messages.

use noctule_core::Limits;
use noctule_tests::script::prelude::*;

/// `[MQTT-3.3.1-5 v5]` `[MQTT-3.3.1-9 v5]` `[U5-3.3.1-1]` `[MQTT-3.3.1-5 v3.1.1]`
/// `[MQTT-3.3.1-6 v3.1.1]` `[MQTT-3.3.1-8 v3.1.1]`
/// `[V31-2.1-3]` `[V31-2.1-4]`
#[test]
fn a_new_subscription_is_sent_the_last_retained_message_of_every_matching_topic() {
    script().run(|world| {
        let a = world.connect("a");
        a.publishes(publish("t/x", "old").qos(1, 0).retain());
        a.publishes(publish("t/x", "x").qos(1, 0).retain());
        a.publishes(publish("t/y", "y").qos(2, 0).retain());
        a.publishes(publish("u", "u").qos(1, 0).retain());
        let b = world.connect("b");
        b.subscribes("t/+", 2);
        let kept = [publish("t/x", "x").qos(1, 0).retain(), publish("t/y", "y").qos(2, 0).retain()];
        for message in b.expect_all(&kept) {
            b.acknowledges(&message);
        }
        b.expect_nothing();
        b.subscribes("u", 0);
        b.expect(publish("u", "u").retain());
    });
}

/// `[U5-3.3.1-2]` `[MQTT-3.3.1-7 v3.1.1]`
#[test]
fn a_retained_message_of_qos_0_is_kept_too_and_ousts_the_older_one() {
    script().run(|world| {
        let a = world.connect("a");
        a.publishes(publish("t", "1").qos(1, 0).retain());
        a.publishes(publish("t", "0").retain());
        let b = world.connect("b");
        b.subscribes("t", 2);
        b.expect(publish("t", "0").retain());
    });
}

/// `[MQTT-3.3.1-6 v5]` `[MQTT-3.3.1-7 v5]` `[MQTT-3.3.1-10 v3.1.1]` `[MQTT-3.3.1-11 v3.1.1]`
/// `[V31-2.1-5]`
#[test]
fn an_empty_retained_message_is_forwarded_and_deletes_what_was_kept() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        for qos in 0..=2 {
            a.publishes(publish("t", "kept").qos(1, 0).retain());
            b.subscribes("t", 2);
            b.receives(publish("t", "kept").qos(1, 0).retain());
            a.publishes(publish("t", "").qos(qos, 0).retain());
            b.receives(publish("t", "").qos(qos, 0));
            b.unsubscribes("t");
            b.subscribes("t", 2);
            b.expect_nothing();
            b.unsubscribes("t");
        }
    });
}

/// `[MQTT-3.3.1-8 v5]` `[MQTT-3.3.1-12 v3.1.1]`
#[test]
fn a_message_without_retain_leaves_what_is_kept_untouched() {
    script().run(|world| {
        let a = world.connect("a");
        a.publishes(publish("t", "kept").qos(1, 0).retain());
        a.publishes(publish("t", "passing").qos(1, 0));
        a.publishes(publish("t", "").qos(1, 0));
        let b = world.connect("b");
        b.subscribes("t", 1);
        b.receives(publish("t", "kept").qos(1, 0).retain());
        b.expect_nothing();
    });
}

/// `[MQTT-3.3.1-12 v5]` `[MQTT-3.3.1-13 v5]` `[MQTT-3.3.1-9 v3.1.1]`
/// `[V31-2.1-3]`
#[test]
fn retain_is_passed_on_only_to_those_who_asked_for_it_as_published() {
    script().run(|world| {
        let (a, plain) = (world.connect("a"), world.connect("plain"));
        plain.subscribes("t", 1);
        let published = world.is_v5().then(|| {
            let client = world.connect("published");
            client.subscribes("t", 1 | 8);
            client
        });
        a.publishes(publish("t", "1").qos(1, 0).retain());
        a.publishes(publish("t", "0").qos(1, 0));
        plain.receives(publish("t", "1").qos(1, 0));
        plain.receives(publish("t", "0").qos(1, 0));
        if let Some(client) = published {
            client.receives(publish("t", "1").qos(1, 0).retain());
            client.receives(publish("t", "0").qos(1, 0));
        }
    });
}

/// `[MQTT-3.3.1-9 v5]` `[MQTT-3.3.1-10 v5]` `[MQTT-3.3.1-11 v5]` `[MQTT-3.8.4-4 v5]`
#[test]
fn retain_handling_decides_when_retained_messages_are_sent() {
    const ALWAYS: u8 = 0x00;
    const IF_NEW: u8 = 0x10;
    const NEVER: u8 = 0x20;
    script().v5().run(|world| {
        let a = world.connect("a");
        a.publishes(publish("t", "kept").qos(1, 0).retain());
        let b = world.connect("b");
        let subscriptions =
            [(NEVER, false), (IF_NEW, false), (ALWAYS, true), (IF_NEW, false), (ALWAYS, true)];
        for (handling, sent) in subscriptions {
            b.subscribes("t", handling);
            if sent {
                b.expect(publish("t", "kept").retain());
            }
            b.expect_nothing();
        }
        b.unsubscribes("t");
        b.subscribes("t", IF_NEW);
        b.expect(publish("t", "kept").retain());
        b.expect_nothing();
    });
}

/// `[MQTT-3.3.1-10 v5]` `[MQTT-3.3.1-9 v5]`
#[test]
fn a_subscription_of_a_resumed_session_is_not_new() {
    script().v5().run(|world| {
        let a = world.connect("a");
        a.publishes(publish("t", "kept").qos(1, 0).retain());
        let b = world.connect_with(&resume("b"));
        b.subscribes("t", 0x10);
        b.expect(publish("t", "kept").retain());
        b.disconnects();
        let b = world.resume(&resume("b"));
        b.subscribes("t", 0x10);
        b.expect_nothing();
    });
}

/// `[MQTT-3.3.2-6 v5]` `[U5-3.3.1-2]`
#[test]
fn a_retained_message_expires() {
    script().v5().pure("it waits for expiry").run(|world| {
        let a = world.connect("a");
        a.publishes(publish("t", "kept").qos(1, 0).retain().with(message_expiry(30)));
        world.advance(20);
        let b = world.connect("b");
        b.subscribes("t", 0);
        b.expect(publish("t", "kept").retain().with(message_expiry(10)));
        world.advance(10);
        let c = world.connect("c");
        c.subscribes("t", 0);
        c.expect_nothing();
    });
    script().v5().run(|world| {
        let a = world.connect("a");
        a.publishes(publish("t/1", "short").qos(1, 0).retain().with(message_expiry(1)));
        a.publishes(publish("t/2", "long").qos(1, 0).retain().with(message_expiry(100)));
        world.advance_millis(1100);
        a.subscribes("t/+", 0);
        let long = a.next_packet();
        let expiry = long.expiry();
        assert!(expiry.is_some_and(|secs| (1..=99).contains(&secs)), "{expiry:?}");
        a.same(&long.without(0x02), publish("t/2", "long").retain());
        a.expect_nothing();
    });
}

/// `[MQTT-3.3.2-4 v5]` `[MQTT-3.3.2-18 v5]` `[MQTT-3.3.4-3 v5]`
#[test]
fn a_retained_message_keeps_its_properties() {
    script().v5().run(|world| {
        let a = world.connect("a");
        let message = publish("t", "x")
            .qos(1, 0)
            .retain()
            .with(payload_format(1))
            .with(content_type("c"))
            .with(response_topic("r"))
            .with(correlation_data(b"d"))
            .with(user("b", "1"))
            .with(user("a", "2"));
        a.publishes(message.clone());
        let b = world.connect("b");
        b.send(subscribe(1).filter("t", 1).with(subscription_id(9)));
        b.expect(suback(1, &[1]));
        b.receives(message.with(subscription_id(9)));
    });
}

/// `[MQTT-3.1.2-7 v3.1.1]`
#[test]
fn retained_messages_outlive_the_session_of_their_publisher() {
    script().run(|world| {
        let a = world.connect("a");
        a.publishes(publish("t", "kept").qos(1, 0).retain());
        a.disconnects();
        world.connect("a").disconnects();
        let b = world.connect("b");
        b.subscribes("t", 0);
        b.expect(publish("t", "kept").retain());
    });
}

/// `[MQTT-4.7.2-1 v5]` `[MQTT-4.7.2-1 v3.1.1]`
#[test]
fn wildcards_find_retained_messages_by_the_rules_of_matching() {
    script().run(|world| {
        let a = world.connect("a");
        for topic in ["t", "t/x", "t/x/y", "t/", "$t/x", "u/x"] {
            a.publishes(publish(topic, topic).qos(1, 0).retain());
        }
        let found: [(&str, &[&str]); 8] = [
            ("t/#", &["t", "t/x", "t/x/y", "t/"]),
            ("t/+", &["t/x", "t/"]),
            ("+/x", &["t/x", "u/x"]),
            ("#", &["t", "t/x", "t/x/y", "t/", "u/x"]),
            ("+", &["t"]),
            ("$t/#", &["$t/x"]),
            ("t/+/y", &["t/x/y"]),
            ("+/+/+", &["t/x/y"]),
        ];
        for (filter, topics) in found {
            let b = world.connect("b");
            b.subscribes(filter, 0);
            let expected: Vec<Packet> =
                topics.iter().map(|topic| publish(topic, topic).retain()).collect();
            b.expect_all(&expected);
            b.expect_nothing();
        }
    });
}

/// `[MQTT-3.3.1-9 v5]` for many: the answer comes in portions and is whole.
#[test]
fn a_wildcard_subscription_is_sent_thousands_of_retained_messages() {
    script().v5().run(|world| {
        let a = world.connect("a");
        for number in 0..3000 {
            a.send(publish(&format!("t/{number}"), "x").retain());
        }
        a.settle();
        let b = world.connect("b");
        b.subscribes("t/#", 0);
        let mut topics: Vec<Vec<u8>> = (0..3000).map(|_| b.next_packet().topic).collect();
        topics.sort_unstable();
        topics.dedup();
        assert_eq!(topics.len(), 3000);
        b.expect_nothing();
    });
}

/// `[MQTT-3.3.1-5 v5]`: what exceeds the limit is delivered but not kept.
#[test]
fn beyond_the_limit_of_retained_messages_nothing_is_kept() {
    let few = |limits: &mut Limits| limits.retained_max = 1;
    script().limits(few).pure("the limit counts for each shard").run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t/#", 0);
        for number in 0..20 {
            a.publishes(publish(&format!("t/{number}"), "x").qos(1, 0).retain());
            b.expect(publish(&format!("t/{number}"), "x"));
        }
        let shards = world.with_node(|node| node.shards()).unwrap_or(1);
        let c = world.connect("c");
        c.subscribes("t/#", 0);
        for _ in 0..shards {
            assert_eq!(c.next_packet().first, 0x31);
        }
        c.expect_nothing();
    });
}
