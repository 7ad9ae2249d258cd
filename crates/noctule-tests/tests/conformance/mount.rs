//! Mount points: what the clients of a listener publish and subscribe to lies below a topic that
//! they never see.

use noctule_core::limits::ListenerLimits;
use noctule_tests::script::prelude::*;

/// Listener 0 has no mount point, 1 has `site/a/`, 2 has `site/b/`.
fn mounted() -> Script {
    let at = |mount_point: &str| ListenerLimits {
        mount_point: mount_point.into(),
        ..ListenerLimits::default()
    };
    script().limits(|limits| limits.listeners = vec![at(""), at("site/a/"), at("site/b/")])
}

/// A client of the broker as a whole, and one of each site.
fn three(world: &World) -> (Client, Client, Client) {
    let all = world.connect("all");
    (all, world.connect_at(1, &connect("a")), world.connect_at(2, &connect("b")))
}

#[test]
fn topics_get_and_lose_the_mount_point_at_every_qos() {
    mounted().run(|world| {
        let (all, a, b) = three(world);
        let a2 = world.connect_at(1, &connect("a2"));
        all.subscribes("#", 2);
        a2.subscribes("#", 2);
        b.subscribes("#", 2);
        let other = world.connect("other");
        for qos in 0..=2 {
            for payload in ["short".to_owned(), "long ".repeat(1000)] {
                a.publishes(publish("t/x", &payload).qos(qos, 0));
                all.receives(publish("site/a/t/x", &payload).qos(qos, 0));
                a2.receives(publish("t/x", &payload).qos(qos, 0));
                other.publishes(publish("site/b/t", &payload).qos(qos, 0));
                all.receives(publish("site/b/t", &payload).qos(qos, 0));
                b.receives(publish("t", &payload).qos(qos, 0));
            }
        }
        for outside in ["site", "site/a", "site/", "t", "site/ab/c", "other/x"] {
            other.publishes(publish(outside, "x").qos(1, 0));
            all.receives(publish(outside, "x").qos(1, 0));
        }
        // `site/a/#` matches this too, but there is nothing left of it to be seen.
        for client in [&a, &a2, &b] {
            client.expect_nothing();
        }
        a2.unsubscribes("#");
        a.publishes(publish("t/x", "last").qos(1, 0));
        all.receives(publish("site/a/t/x", "last").qos(1, 0));
        a2.expect_nothing();
    });
}

/// One message goes to receivers of all kinds at once: each is sent the topic that it knows.
#[test]
fn the_forms_of_one_message_are_kept_apart() {
    mounted().run(|world| {
        let (all, a, b) = three(world);
        let others = [0, 1, 2].map(|n| world.connect_at(1, &connect(&format!("other{n}"))));
        for client in others.iter().chain([&a]) {
            client.subscribes("+/t", 1);
        }
        all.subscribes("site/+/+/t", 1);
        let other = world.connect("other");
        b.subscribes("+/t", 1);
        for n in 0..3 {
            let payload = format!("{n}");
            other.publishes(publish("site/a/s/t", &payload).qos(1, 0));
            for client in others.iter().chain([&a]) {
                client.receives(publish("s/t", &payload).qos(1, 0));
            }
            all.receives(publish("site/a/s/t", &payload).qos(1, 0));
        }
        b.expect_nothing();
    });
}

#[test]
fn retained_messages_and_wills_lie_below_the_mount_point() {
    mounted().run(|world| {
        let (all, a, b) = three(world);
        a.publishes(publish("t", "kept").qos(1, 0).retain());
        for (client, seen) in [(&all, "site/a/t"), (&a, "t")] {
            client.subscribes("#", 1);
            client.receives(publish(seen, "kept").qos(1, 0).retain());
            client.unsubscribes("#");
            client.subscribes(seen, 1);
            client.receives(publish(seen, "kept").qos(1, 0).retain());
        }
        b.subscribes("#", 1);
        b.expect_nothing();
        let gone = connect("gone").will(will("will", "bye").qos(1).retain());
        let client = world.connect_at(2, &gone);
        client.hang_up();
        b.receives(publish("will", "bye").qos(1, 0));
        all.expect_nothing();
        all.subscribes("site/b/will", 1);
        all.receives(publish("site/b/will", "bye").qos(1, 0).retain());
        // An empty one ends it, by whatever name. What is said within one millisecond at two shards
        // has no order.
        world.advance_millis(1);
        world.connect_at(2, &connect("c")).publishes(publish("will", "").qos(1, 0).retain());
        all.receives(publish("site/b/will", "").qos(1, 0));
        b.receives(publish("will", "").qos(1, 0));
        let late = world.connect("late");
        late.subscribes("site/b/#", 1);
        late.expect_nothing();
    });
}

#[test]
fn shared_subscriptions_are_below_the_mount_point_behind_their_name() {
    mounted().run(|world| {
        let (all, a, b) = three(world);
        a.subscribes("$share/g/t", 1);
        b.subscribes("$share/g/t", 1);
        all.publishes(publish("site/a/t", "1").qos(1, 0));
        a.receives(publish("t", "1").qos(1, 0));
        // The same group, by the name that it has for the broker.
        all.subscribes("$share/g/site/a/t", 1);
        a.unsubscribes("$share/g/t");
        world.connect_at(2, &connect("c")).publishes(publish("t", "2").qos(1, 0));
        b.receives(publish("t", "2").qos(1, 0));
        world.connect("d").publishes(publish("site/a/t", "3").qos(1, 0));
        all.receives(publish("site/a/t", "3").qos(1, 0));
        a.expect_nothing();
        b.expect_nothing();
    });
}

#[test]
fn what_waits_for_a_client_that_is_away_is_mounted_too() {
    mounted().run(|world| {
        let all = world.connect("all");
        let a = world.connect_at(1, &resume("a"));
        a.subscribes("t/#", 2);
        a.hang_up();
        for (qos, payload) in [(1, "one"), (1, "two"), (2, "three")] {
            all.publishes(publish("site/a/t/x", payload).qos(qos, 0));
        }
        let a = world.line_at(1);
        a.connects(&resume("a"));
        for (qos, payload) in [(1, "one"), (1, "two"), (2, "three")] {
            a.receives(publish("t/x", payload).qos(qos, 0));
        }
        // By another listener it sees what is below that, and nothing of the first.
        a.hang_up();
        all.publishes(publish("site/a/t/x", "secret").qos(1, 0));
        let b = world.line_at(2);
        b.connects(&resume("a"));
        b.expect_nothing();
        b.send(subscribe(1).filter("t/x", 1));
        b.expect(suback(1, &[1]));
        all.publishes(publish("site/a/t/x", "secret").qos(0, 0));
        all.publishes(publish("site/b/t/x", "seen").qos(1, 0));
        b.receives(publish("t/x", "seen").qos(1, 0));
        b.expect_nothing();
    });
}

/// `[MQTT-3.3.2-12 v5]`
#[test]
fn aliases_of_both_ways_stand_for_what_the_client_sees() {
    mounted().v5().run(|world| {
        let all = world.connect("all");
        let a = world.connect_at(1, &connect("a").with(topic_alias_maximum(3)));
        let b = world.connect_at(2, &connect("b").with(topic_alias_maximum(3)));
        all.subscribes("#", 1);
        let a2 = world.connect_at(1, &connect("a2").with(topic_alias_maximum(3)));
        a2.subscribes("#", 1);
        b.subscribes("#", 1);
        for n in 0..8 {
            let topic = format!("t/{}", n % 4);
            let sent = if n < 4 { topic.as_str() } else { "" };
            a.publishes(publish(sent, "x").qos(1, 0).with(topic_alias(n % 4 + 1)));
            all.receives(publish(&format!("site/a/{topic}"), "x").qos(1, 0));
            a2.receives(publish(&topic, "x").qos(1, 0));
        }
        world.connect("c").publishes(publish("site/b/t/0", "y").qos(1, 0));
        b.receives(publish("t/0", "y").qos(1, 0));
        a2.expect_nothing();
    });
}

/// `$SYS` lies outside of a mount point, whoever asks for it, and so does `$share` as a topic.
#[test]
fn what_begins_with_a_dollar_is_below_the_mount_point_as_well() {
    mounted().run(|world| {
        let (all, a, _) = three(world);
        a.subscribes("$SYS/#", 1);
        all.subscribes("site/a/$SYS/#", 1);
        let c = world.connect_at(1, &connect("c"));
        c.publishes(publish("$SYS/broker/uptime", "mine").qos(1, 0));
        all.receives(publish("site/a/$SYS/broker/uptime", "mine").qos(1, 0));
        a.receives(publish("$SYS/broker/uptime", "mine").qos(1, 0));
    });
}

/// `[MQTT-4.7.3-3 v5]`
#[test]
fn topics_that_become_too_long_or_too_deep_are_refused() {
    let longest = "x".repeat(65_535);
    mounted().v5().run(|world| {
        let a = world.connect_at(1, &connect("a"));
        a.send(publish(&longest, "x").qos(1, 1));
        a.expect(puback(1).code(0x90));
        a.send(subscribe(2).filter(&longest, 1).filter("t", 1));
        a.expect(suback(2, &[0x8F, 1]));
        a.send(unsubscribe(3, &[&longest]));
        a.expect(unsuback(3, &[0x11]));
        let fits = &longest["site/a/".len()..];
        a.subscribes(fits, 1);
        let c = world.connect_at(1, &connect("c"));
        c.publishes(publish(fits, "x").qos(1, 0));
        a.receives(publish(fits, "x").qos(1, 0));
        let line = world.line_at(1);
        line.send_connect(&connect("w").will(will("", "x").topic(longest.as_bytes())));
        line.expect_refusal(0x90);
        let deep = vec!["x"; 199].join("/");
        a.send(publish(&deep, "x").qos(1, 4));
        a.expect(puback(4).code(0x90));
    });
}

/// `[MQTT-3.8.3-3 v5]`
#[test]
fn no_local_and_subscription_identifiers_work_below_a_mount_point() {
    mounted().v5().run(|world| {
        let (all, a, _) = three(world);
        a.send(subscribe(1).filter("t/+", 1 | 0x04).with(subscription_id(7)));
        a.expect(suback(1, &[1]));
        a.publishes(publish("t/x", "own").qos(1, 0));
        a.expect_nothing();
        all.publishes(publish("site/a/t/x", "other").qos(1, 0));
        a.receives(publish("t/x", "other").qos(1, 0).with(subscription_id(7)));
    });
}
