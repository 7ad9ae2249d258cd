//! Shared subscriptions.

use noctule_tests::script::prelude::*;

/// `[U5-3.3.4-1]` `[MQTT-4.8.2-3 v5]`
#[test]
fn one_member_of_each_group_receives_a_message_at_its_own_qos_and_identifier() {
    script().v5().run(|world| {
        let publisher = world.connect("publisher");
        let members = [0, 1, 2].map(|granted: u8| {
            let member = world.connect(&format!("m{granted}"));
            let id = u32::from(granted) + 1;
            member.send(subscribe(1).filter("$share/g/t/+", granted).with(subscription_id(id)));
            member.expect(suback(1, &[granted]));
            member
        });
        let (other, plain) = (world.connect("other"), world.connect("plain"));
        other.subscribes("$share/h/t/+", 2);
        plain.subscribes("t/+", 2);
        let mut counts = [0; 3];
        for number in 0..30 {
            let message = || publish("t/x", format!("{number}"));
            publisher.publishes(message().qos(2, 0));
            other.receives(message().qos(2, 0));
            plain.receives(message().qos(2, 0));
            world.settle();
            for (granted, member) in members.iter().enumerate() {
                if let Some(found) = member.poll() {
                    let id = subscription_id(granted as u32 + 1);
                    member.same(&found, message().qos(granted as u8, 0).with(id));
                    member.acknowledges(&found);
                    counts[granted] += 1;
                }
            }
        }
        assert_eq!(counts.iter().sum::<i32>(), 30, "{counts:?}");
        assert!(counts.iter().all(|count| *count > 0), "nobody is left out: {counts:?}");
    });
}

/// `[U5-3.3.1-1]`
#[test]
fn a_shared_subscription_is_sent_no_retained_messages() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.publishes(publish("t", "kept").qos(1, 0).retain());
        a.subscribes("$share/g/t", 1);
        a.expect_nothing();
        b.publishes(publish("t", "live").qos(1, 0).retain());
        a.receives(publish("t", "live").qos(1, 0));
    });
}

/// `[MQTT-4.13.1-1 v5]`: No Local on a shared subscription is a Protocol Error.
/// `[MQTT-3.8.3-4 v5]`
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    script().v5().run(|world| {
        let a = world.connect("a");
        a.send(subscribe(1).filter("$share/g/t", 4));
        a.expect_end(0x82);
    });
}

/// `[U5-4.13.1-1]`
/// `[MQTT-4.8.2-1 v5]` `[MQTT-4.8.2-2 v5]`
#[test]
fn a_share_name_that_is_none_ends_the_connection() {
    script().v5().run(|world| {
        for filter in ["$share/", "$share/g", "$share/g/", "$share//t", "$share/+/t", "$share/g#/t"]
        {
            let a = world.connect("a");
            a.send(subscribe(1).filter(filter, 0));
            a.expect_end(0x82);
        }
    });
}

/// `[U5-4.8.2-3]`
#[test]
fn to_subscribe_twice_counts_once_and_one_unsubscribe_leaves() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("$share/g/t", 1);
        a.subscribes("$share/g/t", 2);
        b.publishes(publish("t", "1").qos(2, 0));
        a.receives(publish("t", "1").qos(2, 0));
        a.expect_nothing();
        a.unsubscribes("$share/g/t");
        b.publishes(publish("t", "2").qos(1, 0));
        a.expect_nothing();
        a.send(unsubscribe(9, &["$share/g/t"]));
        a.expect(unsuback(9, &[0x11]));
    });
}

/// `[MQTT-3.10.4-1 v5]` `[U5-4.8.2-3]`
#[test]
fn groups_and_filters_are_told_apart() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("$share/g/t", 0);
        a.subscribes("$share/h/t", 0);
        a.subscribes("$share/g/+", 0);
        a.subscribes("t", 0);
        b.publishes(publish("t", "1"));
        for _ in 0..4 {
            a.expect(publish("t", "1"));
        }
        a.expect_nothing();
        a.unsubscribes("$share/g/t");
        a.unsubscribes("t");
        b.publishes(publish("t", "2"));
        a.expect(publish("t", "2"));
        a.expect(publish("t", "2"));
        a.expect_nothing();
    });
}

/// `[U5-4.8.2-1]`
#[test]
fn when_the_last_member_leaves_the_group_is_gone() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("$share/g/t", 1);
        a.disconnects();
        world.settle();
        b.publishes(publish("t", "1").qos(1, 0));
        let a = world.connect("a");
        a.subscribes("$share/g/t", 1);
        a.expect_nothing();
        b.publishes(publish("t", "2").qos(1, 0));
        a.receives(publish("t", "2").qos(1, 0));
    });
    // What waited for a member that was away goes with it.
    script().run(|world| {
        let p = world.connect("p");
        let a = world.connect_with(&resume("a"));
        a.subscribes("$share/g/t", 1);
        a.hang_up();
        p.publishes(publish("t", "waits").qos(1, 0));
        world.connect("a").disconnects();
        world.settle();
        let a = world.connect("a");
        a.subscribes("$share/g/t", 1);
        a.expect_nothing();
        p.publishes(publish("t", "live").qos(1, 0));
        a.receives(publish("t", "live").qos(1, 0));
    });
}

/// `[U5-4.8.2-2]`
#[test]
fn what_an_ended_member_had_not_acknowledged_goes_to_another() {
    script().run(|world| {
        let (a, b, p) = (world.connect("a"), world.connect("b"), world.connect("p"));
        a.subscribes("$share/g/t", 1);
        p.publishes(publish("t", "1").qos(1, 0));
        p.publishes(publish("t", "2").qos(1, 0));
        a.receives(publish("t", "1").qos(1, 0));
        a.expect(publish("t", "2").qos(1, 0));
        b.subscribes("$share/g/t", 1);
        b.expect_nothing();
        a.hang_up();
        b.receives(publish("t", "2").qos(1, 0));
        b.expect_nothing();
    });
}

/// `[MQTT-4.8.2-4 v5]`
#[test]
fn a_qos_2_delivery_cut_off_is_finished_with_the_same_client() {
    script().run(|world| {
        let p = world.connect("p");
        let a = world.connect_with(&resume("a"));
        a.subscribes("$share/g/t", 2);
        p.publishes(publish("t", "1").qos(2, 0));
        let id = a.expect(publish("t", "1").qos(2, 0)).id;
        let b = world.connect("b");
        b.subscribes("$share/g/t", 2);
        a.send(pubrec(id));
        a.expect(pubrel(id));
        a.hang_up();
        b.expect_nothing();
        let a = world.resume(&resume("a"));
        a.expect(pubrel(id));
        a.send(pubcomp(id));
        a.expect_nothing();
        b.expect_nothing();
    });
    script().run(|world| {
        let p = world.connect("p");
        let a = world.connect_with(&resume("a"));
        a.subscribes("$share/g/t", 2);
        p.publishes(publish("t", "1").qos(2, 0));
        let id = a.expect(publish("t", "1").qos(2, 0)).id;
        let b = world.connect("b");
        b.subscribes("$share/g/t", 2);
        a.hang_up();
        b.expect_nothing();
        let a = world.resume(&resume("a"));
        a.receives(publish("t", "1").qos(2, id).dup());
        b.expect_nothing();
    });
}

/// `[MQTT-4.8.2-5 v5]`
#[test]
fn a_qos_2_message_of_an_ended_session_goes_to_nobody_else() {
    for received in [false, true] {
        script().run(|world| {
            let p = world.connect("p");
            let a = world.connect_with(&resume("a"));
            a.subscribes("$share/g/t", 2);
            p.publishes(publish("t", "1").qos(2, 0));
            let id = a.expect(publish("t", "1").qos(2, 0)).id;
            if received {
                a.send(pubrec(id));
                a.expect(pubrel(id));
            }
            let b = world.connect("b");
            b.subscribes("$share/g/t", 2);
            a.hang_up();
            world.connect("a").disconnects();
            world.settle();
            b.expect_nothing();
            p.publishes(publish("t", "2").qos(2, 0));
            b.receives(publish("t", "2").qos(2, 0));
        });
    }
}

/// `[MQTT-4.8.2-6 v5]`
#[test]
fn a_message_that_a_member_refuses_is_discarded_for_the_group() {
    script().v5().run(|world| {
        let p = world.connect("p");
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.subscribes("$share/g/t", 2);
        p.publishes(publish("t", "1").qos(1, 0));
        p.publishes(publish("t", "2").qos(2, 0));
        let one = a.expect(publish("t", "1").qos(1, 0)).id;
        let two = a.expect(publish("t", "2").qos(2, 0)).id;
        b.subscribes("$share/g/t", 2);
        a.send(puback(one).code(0x80));
        a.send(pubrec(two).code(0x80));
        a.expect_nothing();
        a.hang_up();
        b.expect_nothing();
    });
}

/// `[U5-3.1.2-5]`
#[test]
fn a_message_too_large_for_one_member_harms_nobody() {
    script().v5().run(|world| {
        let p = world.connect("p");
        let small = world.connect_with(&connect("small").with(maximum_packet_size(50)));
        let large = world.connect("large");
        small.subscribes("$share/g/t", 1);
        large.subscribes("$share/g/t", 1);
        let mut found = 0;
        for _ in 0..10 {
            p.publishes(publish("t", "x".repeat(100)).qos(1, 0));
            world.settle();
            if let Some(message) = large.poll() {
                large.acknowledges(&message);
                found += 1;
            }
        }
        assert!(found > 0, "the other member gets at least its share");
        small.expect_nothing();
        p.publishes(publish("t", "x").qos(1, 0));
        p.publishes(publish("t", "x").qos(1, 0));
        world.settle();
        let both = [small.poll(), large.poll()];
        assert!(both.iter().any(Option::is_some));
    });
}

/// Members that are connected and have room come first. `[U5-4.8.2-2]`
#[test]
fn an_absent_or_busy_member_does_not_hold_up_the_group() {
    script().run(|world| {
        let p = world.connect("p");
        let absent = world.connect_with(&resume("absent"));
        absent.subscribes("$share/g/t", 1);
        absent.hang_up();
        let present = world.connect("present");
        present.subscribes("$share/g/t", 1);
        world.settle();
        for number in 0..10 {
            p.publishes(publish("t", format!("{number}")).qos(1, 0));
            present.receives(publish("t", format!("{number}")).qos(1, 0));
        }
    });
    script().v5().run(|world| {
        let p = world.connect("p");
        let busy = world.connect_with(&connect("busy").with(receive_maximum(1)));
        let idle = world.connect("idle");
        busy.subscribes("$share/g/t", 1);
        idle.subscribes("$share/g/t", 1);
        let mut counts = [0, 0];
        for number in 0..10 {
            p.publishes(publish("t", format!("{number}")).qos(1, 0));
            world.settle();
            counts[0] += usize::from(busy.poll().is_some());
            if let Some(message) = idle.poll() {
                idle.acknowledges(&message);
                counts[1] += 1;
            }
        }
        assert!(counts[0] <= 1 && counts[0] + counts[1] == 10, "{counts:?}");
    });
}

/// Messages wait while no member is there. `[U5-4.8.2-2]` `[U5-4.8.2-1]`
#[test]
fn messages_wait_for_the_first_member_that_returns() {
    script().run(|world| {
        let p = world.connect("p");
        for id in ["a", "b"] {
            let member = world.connect_with(&resume(id));
            member.subscribes("$share/g/t", 1);
            member.hang_up();
        }
        world.settle();
        p.publishes(publish("t", "1").qos(1, 0));
        p.publishes(publish("t", "2").qos(1, 0));
        let b = world.resume(&resume("b"));
        b.receives(publish("t", "1").qos(1, 0));
        b.receives(publish("t", "2").qos(1, 0));
        let a = world.resume(&resume("a"));
        a.expect_nothing();
    });
}
