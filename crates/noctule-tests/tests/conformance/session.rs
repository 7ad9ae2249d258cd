//! Sessions: what outlives a connection, and for how long.

use noctule_core::Limits;
use noctule_core::limits::{Durability, Overflow, QueueLimits, QueueRule};
use noctule_tests::script::prelude::*;

/// `[MQTT-3.1.2-5 v5]` `[MQTT-3.1.2-6 v5]` `[MQTT-3.1.2-23 v5]` `[MQTT-3.1.4-4 v5]`
/// `[MQTT-4.1.0-1 v5]` `[U5-4.1.0-1]` `[MQTT-3.1.2-4 v3.1.1]` `[MQTT-3.1.2-5 v3.1.1]`
/// `[MQTT-3.1.4-3 v3.1.1]` `[MQTT-4.1.0-1 v3.1.1]` `[MQTT-4.1.0-2 v3.1.1]`
/// `[MQTT-4.5.0-1 v3.1.1]` `[MQTT-4.5.0-1 v5]`
/// `[V31-3.1-7]`
#[test]
fn a_session_keeps_its_subscriptions_and_collects_messages_while_its_client_is_away() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.send(subscribe(1).filter("t/#", 2).with(subscription_id(7)));
        b.expect(suback(1, &[2]));
        b.hang_up();
        b.settle();
        a.publishes(publish("t/0", "lost").qos(0, 0));
        a.publishes(publish("t/1", "one").qos(1, 0));
        a.publishes(publish("t/2", "two").qos(2, 0));
        let b = world.resume(&resume("b"));
        b.receives(publish("t/1", "one").qos(1, 0).with(subscription_id(7)));
        b.receives(publish("t/2", "two").qos(2, 0).with(subscription_id(7)));
        a.publishes(publish("t/3", "live"));
        b.expect(publish("t/3", "live").with(subscription_id(7)));
        b.expect_nothing();
    });
}

/// `[MQTT-3.1.2-4 v5]` `[MQTT-3.1.2-6 v3.1.1]` `[MQTT-3.2.2-2 v5]` `[MQTT-3.2.2-1 v3.1.1]`
/// `[V31-3.1-8]`
#[test]
fn a_clean_start_throws_away_what_was_stored() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 2);
        a.publishes(publish("t", "unsettled").qos(1, 0));
        b.expect(publish("t", "unsettled").qos(1, 0));
        b.send(publish("u", "held").qos(2, 5));
        b.expect(pubrec(5));
        b.hang_up();
        b.settle();
        a.publishes(publish("t", "queued").qos(1, 0));
        let b = world.line();
        b.send_connect(&connect("b"));
        assert_eq!(b.next_packet().flags, 0, "Session Present");
        b.expect_nothing();
        a.publishes(publish("t", "live").qos(1, 0));
        b.expect_nothing();
        b.send(pubrel(5));
        b.expect(pubcomp(5).code(0x92));
        b.disconnects();
        let b = world.connect_with(&resume("b"));
        a.publishes(publish("t", "live").qos(1, 0));
        b.expect_nothing();
    });
}

/// `[MQTT-3.1.2-6 v3.1.1]` `[U5-3.1.2-1]` `[MQTT-4.1.0-2 v5]`
/// `[V31-3.1-8]`
#[test]
fn a_session_without_expiry_ends_with_its_connection() {
    script().run(|world| {
        let a = world.connect("a");
        for goodbye in [true, false] {
            let b = world.connect("b");
            b.subscribes("t", 1);
            if goodbye {
                b.disconnects();
            } else {
                b.hang_up();
            }
            a.settle();
            a.publishes(publish("t", "x").qos(1, 0));
            let b = world.line();
            let connack = b.connects(&resume("b"));
            assert_eq!(connack.flags, 0, "Session Present");
            b.expect_nothing();
            world.connect("b").disconnects();
        }
    });
    script().v5().run(|world| {
        // Clean Start 0 without Session Expiry: it goes on, and ends with this connection.
        world.connect_with(&resume("a")).disconnects();
        world.resume(&connect("a").not_clean()).disconnects();
        let a = world.line();
        assert_eq!(a.connects(&resume("a")).flags, 0);
    });
}

/// `[MQTT-3.1.2-23 v5]` `[MQTT-4.1.0-2 v5]` `[U5-3.1.2-1]`
#[test]
fn a_session_ends_when_its_expiry_interval_has_passed() {
    script().v5().pure("minutes are too long").run(|world| {
        let minute = connect("a").not_clean().with(session_expiry(60));
        let a = world.connect_with(&minute);
        a.subscribes("t", 1);
        // The interval counts from the end of the connection.
        world.advance(600);
        a.hang_up();
        world.advance(59);
        let a = world.resume(&minute);
        a.hang_up();
        world.advance(61);
        let a = world.line();
        assert_eq!(a.connects(&minute).flags, 0, "Session Present");
        world.connect("b").publishes(publish("t", "x").qos(1, 0));
        a.expect_nothing();
        let ever = connect("c").not_clean().with(session_expiry(u32::MAX));
        world.connect_with(&ever).hang_up();
        world.advance(100 * 365 * 86_400);
        world.resume(&ever).pings();
    });
    script().v5().run(|world| {
        let second = connect("a").not_clean().with(session_expiry(1));
        world.connect_with(&second).hang_up();
        world.advance_millis(1500);
        let a = world.line();
        assert_eq!(a.connects(&second).flags, 0, "Session Present");
    });
}

/// `[MQTT-3.1.2-4 v3.1.1]`: how long is the broker's choice.
#[test]
fn a_session_of_a_3_x_client_may_be_given_an_end() {
    let hour = |limits: &mut Limits| limits.session_expiry_secs_v3 = 3600;
    script().versions(&[Version::V311]).limits(hour).pure("an hour is too long").run(|world| {
        world.connect_with(&resume("a")).hang_up();
        world.advance(3599);
        world.resume(&resume("a")).hang_up();
        world.advance(3601);
        let a = world.line();
        assert_eq!(a.connects(&resume("a")).flags, 0);
    });
}

/// `[MQTT-3.1.3-2 v5]` `[MQTT-3.1.3-2 v3.1.1]`
#[test]
fn the_client_id_is_the_key_of_the_session_whatever_the_version() {
    script().versions(&[Version::V311, Version::V5]).run(|world| {
        let a = world.connect_with(&resume("a"));
        a.subscribes("t", 1);
        a.disconnects();
        let other = world.by_version(Version::V311, Version::V5);
        let again = world.line_of(other);
        assert_eq!(again.connects(&resume("a")).flags, 1);
        world.connect("b").publishes(publish("t", "x").qos(1, 0));
        again.receives(publish("t", "x").qos(1, 0));
        // Ids differ by case and by every character.
        for id in ["A", "a ", "aa", "ä"] {
            let line = world.line();
            assert_eq!(line.connects(&resume(id)).flags, 0, "{id}");
        }
    });
}

/// `[MQTT-4.1.0-1 v5]` `[MQTT-3.1.4-3 v5]` `[MQTT-3.1.4-2 v3.1.1]`
#[test]
fn takeover_hands_the_session_on() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 2);
        a.publishes(publish("t", "1").qos(1, 0));
        let id = b.expect(publish("t", "1").qos(1, 0)).id;
        let newer = world.resume(&resume("b"));
        b.expect_end(0x8E);
        newer.receives(publish("t", "1").qos(1, id).dup());
        a.publishes(publish("t", "2").qos(2, 0));
        newer.receives(publish("t", "2").qos(2, 0));
        newer.expect_nothing();
    });
}

/// `[U5-3.14.2-1]` `[MQTT-3.1.2-23 v5]`
#[test]
fn disconnect_may_change_the_session_expiry_interval() {
    script().v5().pure("a minute is too long").run(|world| {
        let a = world.connect_with(&connect("a").with(session_expiry(10)));
        a.send(disconnect(0).with(session_expiry(100)));
        a.expect_closed();
        world.advance(99);
        let a = world.resume(&resume("a"));
        a.send(disconnect(0).with(session_expiry(0)));
        a.expect_closed();
        let a = world.line();
        assert_eq!(a.connects(&resume("a")).flags, 0);
    });
}

/// `[U5-3.14.2-1]`
#[test]
fn disconnect_may_not_raise_a_session_expiry_of_0() {
    script().v5().run(|world| {
        let listener = world.connect("listener");
        listener.subscribes("will", 0);
        let a = world.connect_with(&connect("a").will(will("will", "gone")));
        a.send(disconnect(0).with(session_expiry(10)));
        a.expect_end(0x82);
        // It was no orderly end: the Will applies.
        listener.expect(publish("will", "gone"));
        let a = world.line();
        assert_eq!(a.connects(&resume("a")).flags, 0);
    });
}

/// `[U5-4.1.0-1]`: what exceeds the bounds of a queue is dropped, never more than that.
#[test]
fn the_queue_of_an_absent_client_is_bounded() {
    let few = |limits: &mut Limits| limits.queue.messages_max = 3;
    script().limits(few).run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 1);
        b.hang_up();
        b.settle();
        for number in 0..5 {
            a.publishes(publish("t", format!("{number}")).qos(1, 0));
        }
        let b = world.resume(&resume("b"));
        for number in 0..3 {
            b.receives(publish("t", format!("{number}")).qos(1, 0));
        }
        b.expect_nothing();
    });
    let oldest = |limits: &mut Limits| {
        limits.queue.messages_max = 3;
        limits.queue.overflow = Overflow::DropOldest;
    };
    script().limits(oldest).run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 1);
        b.hang_up();
        b.settle();
        for number in 0..5 {
            a.publishes(publish("t", format!("{number}")).qos(1, 0));
        }
        let b = world.resume(&resume("b"));
        for number in 2..5 {
            b.receives(publish("t", format!("{number}")).qos(1, 0));
        }
        b.expect_nothing();
    });
}

/// `[U5-4.1.0-1]`: clients may have bounds of their own.
#[test]
fn queues_of_some_clients_have_other_bounds() {
    let rules = |limits: &mut Limits| {
        let queue = QueueLimits { messages_max: 2, overflow: Overflow::DropOldest, ..limits.queue };
        limits.queue_rules = vec![QueueRule { clients: "b*".into(), queue }];
        limits.queue.messages_max = 3;
    };
    script().limits(rules).run(|world| {
        let a = world.connect("a");
        for id in ["b1", "c1"] {
            let client = world.connect_with(&resume(id));
            client.subscribes("t", 1);
            client.hang_up();
            client.settle();
        }
        for number in 0..5 {
            a.publishes(publish("t", format!("{number}")).qos(1, 0));
        }
        for (id, kept) in [("b1", 3..5), ("c1", 0..3)] {
            let client = world.resume(&resume(id));
            for number in kept {
                client.receives(publish("t", format!("{number}")).qos(1, 0));
            }
            client.expect_nothing();
        }
    });
}

/// `[MQTT-3.3.2-5 v5]`: messages that will not be sent any more take nobody's room. In memory they
/// go at once; if the log has to be asked first, what comes meanwhile finds the queue full.
#[test]
fn what_has_waited_for_too_long_makes_room_for_what_comes() {
    let aging = |limits: &mut Limits| {
        limits.queue.messages_max = 300;
        limits.queue.age_secs_max = 60;
    };
    script().limits(aging).pure("a minute passes").run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 1);
        b.hang_up();
        b.settle();
        for number in 0..290 {
            a.publishes(publish("t", format!("old {number}")).qos(1, 0));
        }
        world.advance(40);
        for number in 0..12 {
            a.publishes(publish("t", format!("young {number}")).qos(1, 0));
        }
        world.advance(30);
        a.publishes(publish("t", "meanwhile").qos(1, 0));
        world.settle();
        for number in 0..20 {
            a.publishes(publish("t", format!("new {number}")).qos(1, 0));
        }
        let b = world.resume(&resume("b"));
        for number in 0..10 {
            b.receives(publish("t", format!("young {number}")).qos(1, 0));
        }
        if world.limits().durability == Durability::Memory {
            b.receives(publish("t", "meanwhile").qos(1, 0));
        }
        for number in 0..20 {
            b.receives(publish("t", format!("new {number}")).qos(1, 0));
        }
        b.expect_nothing();
    });
}

/// `[U5-4.1.0-1]`: all queues of a shard together are bounded in messages and in bytes; what just
/// came is dropped, because nobody has less right to be there.
#[test]
fn all_queues_together_are_bounded() {
    let messages = |limits: &mut Limits| limits.queues_messages_max = 3;
    let bytes = |limits: &mut Limits| limits.queues_bytes_max = 3500;
    for bounds in [&messages as &dyn Fn(&mut Limits), &bytes] {
        let oldest = |limits: &mut Limits| {
            bounds(limits);
            limits.queue.overflow = Overflow::DropOldest;
        };
        script().limits(oldest).run(|world| {
            let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
            b.subscribes("t", 1);
            b.hang_up();
            b.settle();
            let payload = |number: i32| format!("{number:01000}");
            for number in 0..5 {
                a.publishes(publish("t", payload(number)).qos(1, 0));
            }
            let b = world.resume(&resume("b"));
            for number in 0..3 {
                b.receives(publish("t", payload(number)).qos(1, 0));
            }
            b.expect_nothing();
        });
    }
}

/// `[MQTT-3.1.2-5 v3.1.1]` asks for QoS 1 and 2; QoS 0 too if so configured.
#[test]
fn messages_of_qos_0_wait_for_an_absent_client_if_configured() {
    let all = |limits: &mut Limits| limits.queue.qos0 = true;
    script().limits(all).run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 1);
        b.hang_up();
        b.settle();
        a.publishes(publish("t", "0"));
        let b = world.resume(&resume("b"));
        b.expect(publish("t", "0"));
    });
}

/// `[U5-3.10.4-1]` `[MQTT-3.10.4-2 v5]`: what a filter brought before it was removed may still
/// come.
#[test]
fn what_waited_before_unsubscribe_is_still_delivered() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 1);
        b.hang_up();
        b.settle();
        a.publishes(publish("t", "1").qos(1, 0));
        let b = world.resume(&resume("b"));
        let id = b.expect(publish("t", "1").qos(1, 0)).id;
        b.unsubscribes("t");
        b.send(puback(id));
        b.expect_nothing();
    });
}
