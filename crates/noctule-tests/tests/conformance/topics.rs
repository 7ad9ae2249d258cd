//! Topic names and filters: what matches what.

use noctule_tests::script::prelude::*;

/// Filter, topics that it matches, topics that it does not.
const MATCHES: [(&str, &[&str], &[&str]); 17] = [
    ("a", &["a"], &["A", "a/", "/a", "a/b", "b"]),
    ("a/b", &["a/b"], &["a", "a/b/", "a/b/c", "a//b"]),
    ("#", &["a", "/", "a/b/c", "//"], &["$SYS/x", "$a", "$/a"]),
    ("+", &["a", "ab"], &["a/b", "/", "/a", "$a"]),
    ("a/#", &["a", "a/", "a/b", "a/b/c"], &["ab", "b/a", "/a"]),
    ("a/+", &["a/b", "a/"], &["a", "a/b/c", "a/b/"]),
    ("+/a", &["b/a", "/a"], &["a", "$b/a", "b/b/a"]),
    ("/+", &["/a", "/"], &["a", "//a"]),
    ("+/+", &["/a", "a/b", "/"], &["a", "a/b/c", "$a/b"]),
    ("+/#", &["a", "a/b", "/"], &["$a", "$a/b"]),
    ("a/+/c", &["a/b/c", "a//c"], &["a/c", "a/b/b/c"]),
    ("a/+/#", &["a/b", "a/b/c", "a/"], &["a"]),
    ("a//b", &["a//b"], &["a/b", "a///b"]),
    ("/", &["/"], &["", "//", "a"]),
    ("$a/#", &["$a", "$a/b"], &["a", "$b"]),
    ("$a/+", &["$a/b", "$a/"], &["$a", "$a/b/c"]),
    ("a b/ü", &["a b/ü"], &["a b/u\u{308}", "a b/U"]),
];

/// `[MQTT-4.7.2-1 v5]` `[MQTT-4.7.2-1 v3.1.1]` `[MQTT-4.7.3-4 v5]` `[MQTT-4.7.3-4 v3.1.1]`
/// `[MQTT-3.3.2-3 v5]` `[MQTT-3.3.2-3 v3.1.1]`
/// `[V31-5-1]`
#[test]
fn filters_match_by_the_rules() {
    script().run(|world| {
        let a = world.connect("a");
        for (filter, matching, others) in MATCHES {
            let b = world.connect("b");
            b.subscribes(filter, 0);
            for topic in
                others.iter().filter(|topic| !topic.is_empty() && !topic.starts_with("$SYS"))
            {
                a.publishes(publish(topic, "no"));
            }
            for topic in matching {
                a.publishes(publish(topic, "yes"));
                b.expect(publish(topic, "yes"));
            }
            b.expect_nothing();
        }
    });
}

/// `[U5-4.7.2-1]`: topics that begin with `$` are clients' to use, but for those of the broker.
#[test]
fn topics_that_begin_with_a_dollar_sign_need_a_filter_that_does() {
    script().run(|world| {
        let (a, b, c) = (world.connect("a"), world.connect("b"), world.connect("c"));
        b.subscribes("#", 1);
        b.subscribes("+/x", 1);
        c.subscribes("$dollar/#", 1);
        a.publishes(publish("$dollar/x", "m").qos(1, 0));
        c.receives(publish("$dollar/x", "m").qos(1, 0));
        b.expect_nothing();
    });
}

/// `[MQTT-4.7.3-1 v5]` `[MQTT-4.7.3-1 v3.1.1]`
#[test]
fn a_topic_of_slashes_is_a_topic() {
    script().run(|world| {
        let a = world.connect("a");
        a.subscribes("//", 0);
        a.publishes(publish("//", "x"));
        a.expect(publish("//", "x"));
        a.publishes(publish("/", "y"));
        a.expect_nothing();
    });
}

/// The broker's own messages. `[MQTT-4.7.2-1 v5]` `[MQTT-4.7.2-1 v3.1.1]`
#[test]
fn messages_of_the_broker_reach_those_who_subscribe_to_them() {
    use noctule_core::Tenant;
    use noctule_core::input::SystemPublish;
    script().pure("the server has numbers of its own").run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("$SYS/#", 0);
        b.subscribes("#", 0);
        let uptime = SystemPublish {
            tenant: Tenant(0),
            topic: "$SYS/broker/uptime",
            payload: b"1",
            qos: noctule_proto::QoS::AtMostOnce,
            retain: true,
        };
        world.with_node(|node| node.publish(uptime));
        a.expect(publish("$SYS/broker/uptime", "1"));
        b.expect_nothing();
        let late = world.connect("late");
        late.subscribes("$SYS/broker/+", 0);
        late.expect(publish("$SYS/broker/uptime", "1").retain());
    });
}
