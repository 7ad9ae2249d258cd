//! Receive Maximum, both ways.

use noctule_core::Limits;
use noctule_tests::script::prelude::*;

/// `[MQTT-3.3.4-9 v5]` `[MQTT-4.9.0-1 v5]` `[MQTT-4.9.0-2 v5]` `[U5-4.9.0-1]`
#[test]
fn no_more_messages_are_open_towards_a_client_than_it_takes() {
    script().v5().run(|world| {
        let a = world.connect("a");
        let b = world.connect_with(&connect("b").with(receive_maximum(2)));
        b.subscribes("t", 2);
        for (number, qos) in [(0, 1), (1, 2), (2, 1), (3, 2), (4, 1)] {
            a.publishes(publish("t", format!("{number}")).qos(qos, 0));
        }
        let zero = b.expect(publish("t", "0").qos(1, 0)).id;
        let one = b.expect(publish("t", "1").qos(2, 0)).id;
        b.expect_nothing();
        // PUBREC is not the end: PUBCOMP is.
        b.send(pubrec(one));
        b.expect(pubrel(one));
        b.expect_nothing();
        b.send(pubcomp(one));
        let two = b.expect(publish("t", "2").qos(1, 0)).id;
        b.expect_nothing();
        b.send(puback(zero));
        let three = b.expect(publish("t", "3").qos(2, 0)).id;
        b.expect_nothing();
        // A refusing PUBREC is the end.
        b.send(pubrec(three).code(0x83));
        let four = b.expect(publish("t", "4").qos(1, 0)).id;
        b.send(puback(two));
        b.send(puback(four));
        // Acknowledgements that nobody waits for do not raise the quota.
        b.send(puback(four));
        b.send(pubcomp(three));
        for number in 5..8 {
            a.publishes(publish("t", format!("{number}")).qos(1, 0));
        }
        let five = b.expect(publish("t", "5").qos(1, 0)).id;
        b.expect(publish("t", "6").qos(1, 0));
        b.expect_nothing();
        b.send(puback(five));
        b.expect(publish("t", "7").qos(1, 0));
    });
}

/// `[MQTT-3.3.4-10 v5]` `[MQTT-4.9.0-3 v5]`
#[test]
fn a_full_window_holds_back_nothing_but_messages_above_qos_0() {
    script().v5().run(|world| {
        let a = world.connect("a");
        let b = world.connect_with(&connect("b").with(receive_maximum(1)));
        b.subscribes("t", 1);
        a.publishes(publish("t", "1").qos(1, 0));
        a.publishes(publish("t", "2").qos(1, 0));
        let id = b.expect(publish("t", "1").qos(1, 0)).id;
        b.subscribes("u", 0);
        b.pings();
        b.send(publish("v", "x").qos(1, 7));
        b.expect(puback(7).code(0x10));
        b.send(publish("v", "x").qos(2, 8));
        b.expect(pubrec(8));
        b.send(pubrel(8));
        b.expect(pubcomp(8));
        a.publishes(publish("u", "0"));
        b.expect(publish("u", "0"));
        b.unsubscribes("u");
        b.send(puback(id));
        b.expect(publish("t", "2").qos(1, 0));
    });
}

/// `[U5-4.9.0-1]` `[MQTT-4.9.0-1 v5]`: the quota starts anew with each connection.
#[test]
fn each_connection_starts_with_its_own_quota() {
    script().v5().run(|world| {
        let a = world.connect("a");
        let b = world.connect_with(&resume("b").with(receive_maximum(3)));
        b.subscribes("t", 1);
        for number in 0..4 {
            a.publishes(publish("t", format!("{number}")).qos(1, 0));
        }
        let ids = [0, 1, 2].map(|number| b.expect(publish("t", format!("{number}")).qos(1, 0)).id);
        b.expect_nothing();
        b.hang_up();
        let b = world.resume(&resume("b").with(receive_maximum(2)));
        b.expect(publish("t", "0").qos(1, ids[0]).dup());
        b.expect(publish("t", "1").qos(1, ids[1]).dup());
        b.expect_nothing();
        b.send(puback(ids[0]));
        b.expect(publish("t", "2").qos(1, ids[2]).dup());
        b.send(puback(ids[1]));
        b.expect(publish("t", "3").qos(1, 0));
    });
}

/// `[MQTT-4.9.0-1 v5]` `[MQTT-4.9.0-2 v5]` `[MQTT-4.13.1-1 v5]`
#[test]
fn a_publisher_that_exceeds_the_receive_maximum_is_ended() {
    let few = |limits: &mut Limits| limits.receive_maximum = 3;
    script().v5().limits(few).run(|world| {
        let a = world.line();
        a.send_connect(&connect("a"));
        a.expect(world.connack());
        for id in 1..=3 {
            a.send(publish("t", "x").qos(2, id));
            a.expect(pubrec(id));
        }
        // What is open already may be repeated, and QoS 0 is free.
        a.send(publish("t", "x").qos(2, 3).dup());
        a.expect(pubrec(3));
        a.send(publish("t", "x"));
        a.send(pubrel(2));
        a.expect(pubcomp(2));
        a.send(publish("t", "x").qos(2, 4));
        a.expect(pubrec(4));
        a.send(publish("t", "x").qos(2, 5));
        a.expect_end(0x93);
    });
    // Clients before v5 were never told a number.
    script().v3().limits(few).run(|world| {
        let a = world.connect("a");
        for id in 1..=10 {
            a.send(publish("t", "x").qos(2, id));
            a.expect(pubrec(id));
        }
    });
}

/// `[MQTT-4.9.0-1 v5]`: 65,535 if the client says nothing, and then the broker's own bound.
#[test]
fn the_broker_bounds_what_it_has_open_towards_any_client() {
    let few = |limits: &mut Limits| limits.inflight_max = 2;
    script().limits(few).run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 1);
        for number in 0..3 {
            a.publishes(publish("t", format!("{number}")).qos(1, 0));
        }
        let id = b.expect(publish("t", "0").qos(1, 0)).id;
        b.expect(publish("t", "1").qos(1, 0));
        b.expect_nothing();
        b.send(puback(id));
        b.expect(publish("t", "2").qos(1, 0));
    });
}

/// A receiver that does not read holds nobody back for ever. `[MQTT-4.9.0-3 v5]`
#[test]
fn a_slow_receiver_loses_qos_0_and_gets_qos_1_later() {
    use noctule_core::input::Level;
    use noctule_tests::node::LineId;
    script().pure("the backlog of a socket is the kernel's to know").run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 1);
        world.with_node(|node| node.backlog(LineId(1), Level::High));
        // Its only publisher is held at first, and what it had sent is kept.
        a.send(publish("t", "kept"));
        a.send(pingreq());
        b.expect_nothing();
        assert_eq!(world.with_node(|node| node.is_paused(LineId(0))), Some(true));
        world.advance(2);
        a.expect(pingresp());
        a.publishes(publish("t", "lost"));
        a.publishes(publish("t", "1").qos(1, 0));
        b.expect_nothing();
        world.with_node(|node| node.backlog(LineId(1), Level::Low));
        b.expect(publish("t", "kept"));
        b.receives(publish("t", "1").qos(1, 0));
        b.expect_nothing();
    });
}
