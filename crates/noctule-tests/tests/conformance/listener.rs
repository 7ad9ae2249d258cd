//! What a listener allows less than the broker: versions, QoS, RETAIN, the size of packets.

use noctule_core::limits::{ListenerLimits, Versions};
use noctule_proto::QoS;
use noctule_tests::script::prelude::*;

/// Two listeners: the second as it is said.
fn second(own: ListenerLimits) -> Script {
    script().limits(|limits| limits.listeners = vec![ListenerLimits::default(), own])
}

/// `[MQTT-3.1.2-2 v5]` `[MQTT-3.1.2-2 v3.1.1]`
#[test]
fn a_listener_refuses_the_versions_that_it_does_not_serve() {
    for served in [Version::V31, Version::V311, Version::V5] {
        let own = ListenerLimits { versions: Versions::of(&[served]), ..Default::default() };
        second(own).called(&format!("{served:?} alone")).run(|world| {
            let line = world.line_at(1);
            line.send_connect(&connect("a"));
            if world.version == served {
                line.expect(world.connack());
            } else {
                line.expect_refusal(world.by_version(0x84, 1));
            }
            // Elsewhere it is served.
            world.connect("b").pings();
        });
    }
}

/// `[MQTT-3.2.2-9 v5]` `[MQTT-3.2.2-10 v5]` `[MQTT-3.2.2-11 v5]` `[MQTT-3.2.2-12 v5]`
#[test]
fn a_listener_has_a_maximum_qos_of_its_own() {
    let own = ListenerLimits { qos_max: QoS::AtLeastOnce, ..Default::default() };
    second(own).run(|world| {
        let line = world.line_at(1);
        line.send_connect(&connect("w").will(will("will", "x").qos(2)));
        // Before v5 no return code says it.
        if world.is_v5() {
            line.expect_refusal(0x9B);
        } else {
            line.expect_closed();
        }
        let a = world.line_at(1);
        let connack = a.connects(&connect("a"));
        if world.is_v5() {
            assert_eq!(connack.property(0x24), Some(&[1][..]), "Maximum QoS");
        }
        a.send(subscribe(1).filter("t", 2));
        a.expect(suback(1, &[1]));
        let b = world.connect("b");
        b.subscribes("t", 2);
        let c = world.connect_at(1, &connect("c"));
        c.publishes(publish("t", "from c").qos(1, 0));
        b.receives(publish("t", "from c").qos(1, 0));
        a.receives(publish("t", "from c").qos(1, 0));
        world.connect("d").publishes(publish("t", "from d").qos(2, 0));
        b.receives(publish("t", "from d").qos(2, 0));
        a.receives(publish("t", "from d").qos(1, 0));
        a.send(publish("t", "more").qos(2, 9));
        if world.is_v5() {
            a.expect_end(0x9B);
        } else {
            a.expect_closed();
        }
        b.expect_nothing();
    });
}

/// `[MQTT-3.2.2-13 v5]` `[MQTT-3.2.2-14 v5]`
#[test]
fn a_listener_may_do_without_retained_messages() {
    let own = ListenerLimits { retain_available: false, ..Default::default() };
    second(own).run(|world| {
        let b = world.connect("b");
        b.publishes(publish("t", "kept").qos(1, 0).retain());
        let a = world.line_at(1);
        let connack = a.connects(&connect("a"));
        if world.is_v5() {
            assert_eq!(connack.property(0x25), Some(&[0][..]), "Retain Available");
        }
        a.subscribes("t", 1);
        a.expect_nothing();
        b.publishes(publish("t", "live").qos(1, 0));
        a.receives(publish("t", "live").qos(1, 0));
        a.send(publish("t", "x").retain());
        if world.is_v5() {
            a.expect_end(0x9A);
        } else {
            a.expect_closed();
        }
        b.subscribes("t", 1);
        b.receives(publish("t", "kept").qos(1, 0).retain());
    });
}

/// `[MQTT-3.2.2-15 v5]`
#[test]
fn a_listener_announces_its_packet_size() {
    let own = ListenerLimits { packet_size_max: 500, ..Default::default() };
    second(own).v5().run(|world| {
        let a = world.line_at(1);
        let connack = a.connects(&connect("a"));
        assert_eq!(connack.property(0x27), Some(&500_u32.to_be_bytes()[..]));
        let b = world.connect("b");
        b.publishes(publish("t", [b'x'; 1000]).qos(1, 0));
    });
}

/// What CONNACK said holds when another reload says less.
#[test]
fn what_a_listener_announced_holds_for_the_connection() {
    second(ListenerLimits::default()).v5().pure("a reload is told to the node").run(|world| {
        let a = world.connect_at(1, &connect("a"));
        let mut lower = world.limits().clone();
        lower.listeners[1] = ListenerLimits {
            qos_max: QoS::AtMostOnce,
            retain_available: false,
            versions: Versions::of(&[Version::V31]),
            ..Default::default()
        };
        world.with_node(|node| {
            for shard in 0..node.shards() {
                let limits = Box::new(lower.clone());
                node.tell(noctule_core::ShardId(shard), noctule_core::Input::Reconfigured(limits));
            }
        });
        let b = world.connect("b");
        b.subscribes("t", 2);
        a.publishes(publish("t", "x").qos(2, 0).retain());
        b.receives(publish("t", "x").qos(2, 0));
        let c = world.line_at(1);
        c.send_connect(&connect("c"));
        c.expect_refusal(0x84);
    });
}

/// Whatever it calls itself, a client is called what its user name says, on every shard.
#[test]
fn a_listener_calls_its_clients_by_their_user_names() {
    let own = ListenerLimits { client_id_from_user_name: true, ..Default::default() };
    second(own).run(|world| {
        for (said, user) in [("x", "ann"), ("y", "bob"), ("cid", "cid")] {
            let first = world.line_at(1);
            first.connects(&connect(said).user_name(user.as_bytes()));
            // It is that client: who comes by the name elsewhere takes it over.
            let other = world.connect_with(&connect(user));
            if world.is_v5() {
                first.expect_end(0x8E);
            } else {
                first.expect_closed();
            }
            other.pings();
        }
        for nameless in [connect("x"), connect("x").user_name(b"")] {
            let line = world.line_at(1);
            line.send_connect(&nameless);
            line.expect_refusal(world.by_version(0x87, 5));
        }
        // Elsewhere clients are called what they call themselves.
        world.connect_with(&connect("x").user_name(b"ann")).pings();
        world.connect_with(&connect("ann")).pings();
    });
}
