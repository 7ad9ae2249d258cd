//! What the broker still knows after it died: all that was acknowledged, and nothing else.

use noctule_core::Limits;
use noctule_core::limits::Durability;
use noctule_tests::node::Node;
use noctule_tests::script::prelude::*;

fn durable() -> Script {
    script().limits(|limits| limits.durability = Durability::Fsync).pure("it dies in here")
}

fn restart(world: &World) {
    world.with_node(Node::restart);
}

/// `[U5-4.1.0-1]` `[MQTT-4.1.0-1 v5]` `[MQTT-4.1.0-1 v3.1.1]` `[MQTT-4.1.0-2 v3.1.1]`
/// `[MQTT-3.1.2-5 v5]` `[MQTT-3.1.2-4 v3.1.1]` `[MQTT-4.5.0-1 v5]`
#[test]
fn sessions_with_their_subscriptions_and_messages_survive() {
    durable().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.send(subscribe(1).filter("t/+", 2).with(subscription_id(9)));
        b.expect(suback(1, &[2]));
        b.subscribes("u", 1);
        b.unsubscribes("u");
        b.hang_up();
        for qos in [1, 2] {
            a.publishes(publish("t/x", format!("{qos}")).qos(qos, 0).with(user("k", "v")));
        }
        restart(world);
        let b = world.resume(&resume("b"));
        let id = || subscription_id(9);
        for qos in [1, 2] {
            let message = publish("t/x", format!("{qos}")).qos(qos, 0);
            b.receives(message.with(user("k", "v")).with(id()));
        }
        let a = world.connect("a");
        a.publishes(publish("u", "gone").qos(1, 0));
        a.publishes(publish("t/y", "live").qos(1, 0));
        b.receives(publish("t/y", "live").qos(1, 0).with(id()));
        restart(world);
        world.resume(&resume("b")).expect_nothing();
        let a = world.line();
        assert_eq!(a.connects(&resume("a")).flags, 0, "a clean session leaves nothing");
    });
}

/// `[MQTT-4.4.0-1 v5]` `[MQTT-4.4.0-1 v3.1.1]` `[MQTT-4.3.3-6 v5]` `[MQTT-4.3.3-10 v5]`
#[test]
fn hand_shakes_of_qos_2_go_on_where_they_stood() {
    durable().run(|world| {
        let (a, b) = (world.connect_with(&resume("a")), world.connect_with(&resume("b")));
        b.subscribes("t", 2);
        a.publishes(publish("t", "1").qos(2, 0));
        a.publishes(publish("t", "2").qos(2, 0));
        let one = b.expect(publish("t", "1").qos(2, 0)).id;
        let two = b.expect(publish("t", "2").qos(2, 0)).id;
        b.send(pubrec(two));
        b.expect(pubrel(two));
        a.send(publish("t", "3").qos(2, 7));
        a.expect(pubrec(7));
        restart(world);
        let b = world.resume(&resume("b"));
        b.expect_all(&[publish("t", "1").qos(2, one).dup(), pubrel(two)]);
        b.send(pubcomp(two));
        b.send(pubrec(one));
        b.expect(pubrel(one));
        b.send(pubcomp(one));
        let a = world.resume(&resume("a"));
        a.send(publish("t", "3").qos(2, 7).dup());
        a.expect(pubrec(7));
        b.expect_nothing();
        a.send(pubrel(7));
        a.expect(pubcomp(7));
        b.receives(publish("t", "3").qos(2, 0));
        restart(world);
        world.resume(&resume("b")).expect_nothing();
        let a = world.resume(&resume("a"));
        a.send(pubrel(7));
        a.expect(pubcomp(7).code(0x92));
    });
}

/// `[MQTT-4.3.3-6 v5]` `[MQTT-4.4.0-1 v5]` `[MQTT-4.4.0-1 v3.1.1]`
#[test]
fn copies_of_one_message_are_settled_each_by_its_packet_identifier() {
    durable().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        for filter in ["t", "+", "#"] {
            b.subscribes(filter, 2);
        }
        a.publishes(publish("t", "1").qos(2, 0));
        let ids = [(); 3].map(|()| b.expect(publish("t", "1").qos(2, 0)).id);
        b.send(pubrec(ids[1]));
        b.expect(pubrel(ids[1]));
        if b.version() == Version::V5 {
            b.send(pubrec(ids[2]).code(0x83));
        } else {
            b.send(pubrec(ids[2]));
            b.expect(pubrel(ids[2]));
            b.send(pubcomp(ids[2]));
        }
        b.settle();
        restart(world);
        let b = world.resume(&resume("b"));
        b.expect_all(&[publish("t", "1").qos(2, ids[0]).dup(), pubrel(ids[1])]);
        b.expect_nothing();
    });
}

/// `[MQTT-3.3.1-5 v5]` `[MQTT-3.3.1-6 v5]` `[MQTT-3.3.1-7 v5]` `[MQTT-3.1.2-7 v3.1.1]`
#[test]
fn retained_messages_survive_and_deleted_ones_stay_deleted() {
    durable().run(|world| {
        let a = world.connect("a");
        for topic in ["t/1", "t/2", "t/3"] {
            a.publishes(publish(topic, "old").qos(1, 0).retain());
        }
        a.publishes(publish("t/1", "new").qos(2, 0).retain());
        a.publishes(publish("t/2", "").qos(1, 0).retain());
        restart(world);
        let b = world.connect("b");
        b.subscribes("t/+", 1);
        let kept =
            [publish("t/1", "new").qos(1, 0).retain(), publish("t/3", "old").qos(1, 0).retain()];
        b.expect_all(&kept).iter().for_each(|message| b.acknowledges(message));
        b.expect_nothing();
    });
}

/// `[U5-3.1.3-3]` `[MQTT-3.1.2-8 v5]` `[MQTT-3.14.4-3 v5]` `[MQTT-3.14.4-3 v3.1.1]`
/// `[MQTT-3.1.2-10 v5]` `[MQTT-3.1.2-10 v3.1.1]`
#[test]
fn wills_survive_unless_their_client_said_goodbye() {
    durable().run(|world| {
        let listener = world.connect_with(&resume("listener"));
        listener.subscribes("will/+", 1);
        let a = world.connect_with(&resume("a").will(will("will/a", "gone").qos(1)));
        let b = world.connect_with(&resume("b").will(will("will/b", "gone").qos(1)));
        b.disconnects();
        a.settle();
        restart(world);
        let listener = world.resume(&resume("listener"));
        world.advance(1);
        listener.receives(publish("will/a", "gone").qos(1, 0));
        listener.expect_nothing();
        restart(world);
        world.advance(1);
        world.resume(&resume("listener")).expect_nothing();
    });
}

/// `[U5-3.1.3-3]` `[U5-3.14.4-1]` `[MQTT-3.1.2-8 v5]` `[MQTT-3.1.2-8 v3.1.1]`
#[test]
fn wills_that_a_shutdown_brought_about_are_found_after_the_restart() {
    durable().run(|world| {
        let listener = world.connect_with(&resume("listener"));
        listener.subscribes("will/+", 1);
        let clients = ["a", "b", "c", "d"].map(|id| {
            let last = will(&format!("will/{id}"), id).qos(1).retain();
            world.connect_with(&connect(id).will(last))
        });
        world.with_node(Node::shut_down);
        clients.iter().for_each(|client| client.expect_end(0x8B));
        restart(world);
        let wills = ["a", "b", "c", "d"].map(|id| publish(&format!("will/{id}"), id).qos(1, 0));
        let listener = world.resume(&resume("listener"));
        for packet in wills.iter().map(|_| listener.next_packet()).collect::<Vec<_>>() {
            // What was on its way when the listener was told goodbye comes again.
            let will = wills.iter().find(|will| will.topic == packet.topic).cloned();
            let again = packet.first & 8 != 0;
            let expected = will.map(|will| if again { will.dup() } else { will });
            listener.same(&packet, expected.expect("a will"));
            listener.acknowledges(&packet);
        }
        listener.expect_nothing();
        let late = world.connect("late");
        late.subscribes("will/+", 0);
        late.expect_all(
            &["a", "b", "c", "d"].map(|id| publish(&format!("will/{id}"), id).retain()),
        );
        // The next restart publishes nothing again.
        restart(world);
        world.advance(1);
        world.resume(&resume("listener")).expect_nothing();
    });
}

/// `[MQTT-4.1.0-2 v5]` `[U5-3.14.2-1]` `[MQTT-3.1.2-4 v5]` `[MQTT-3.1.2-6 v3.1.1]`
#[test]
fn sessions_that_ended_stay_ended() {
    durable().run(|world| {
        let present = |connect: &Connect| {
            let client = world.line();
            client.send_connect(connect);
            client.next_packet().flags
        };
        let cleaned = world.connect_with(&resume("cleaned"));
        cleaned.subscribes("t", 1);
        cleaned.hang_up();
        world.connect("cleaned").disconnects();
        let goodbye = world.connect_with(&resume("goodbye"));
        goodbye.subscribes("t", 1);
        goodbye.send(disconnect(0).with(session_expiry(0)));
        goodbye.expect_closed();
        restart(world);
        assert_eq!(present(&resume("cleaned")), 0);
        if world.is_v5() {
            assert_eq!(present(&resume("goodbye")), 0);
            let minute = connect("short").not_clean().with(session_expiry(60));
            world.connect_with(&minute).disconnects();
            restart(world);
            world.advance(61);
            restart(world);
            assert_eq!(present(&resume("short")), 0);
        }
    });
}

/// `[MQTT-4.3.3-2 v5]` `[MQTT-4.3.3-2 v3.1.1]` `[MQTT-4.4.0-2 v5]`
#[test]
fn copies_of_one_message_with_other_qos_are_not_mistaken_for_each_other() {
    durable().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        // Whichever of them comes first.
        for (filter, qos) in [("t", 1), ("+", 2), ("#", 1)] {
            b.subscribes(filter, qos);
        }
        a.publishes(publish("t", "1").qos(2, 0));
        let copies = [(); 3].map(|()| b.next_packet());
        let (exactly, once): (Vec<_>, Vec<_>) =
            copies.iter().partition(|copy| copy.first & 0b110 == 0b100);
        let id = exactly[0].id;
        once.into_iter().for_each(|copy| b.acknowledges(copy));
        b.settle();
        restart(world);
        let b = world.resume(&resume("b"));
        b.expect(publish("t", "1").qos(2, id).dup());
        b.expect_nothing();
        b.send(pubrec(id));
        b.expect(pubrel(id));
        b.send(pubcomp(id));
        b.settle();
        restart(world);
        world.resume(&resume("b")).expect_nothing();
    });
}

/// `[MQTT-3.3.2-5 v5]` `[MQTT-4.3.3-13 v5]` `[MQTT-3.3.1-5 v5]`
#[test]
fn a_retained_message_that_expired_before_its_pubrel_replaces_nothing() {
    durable().v5().run(|world| {
        let a = world.connect_with(&resume("a"));
        a.publishes(publish("t", "kept").qos(1, 0).retain());
        a.send(publish("t", "late").qos(2, 7).retain().with(message_expiry(1)));
        a.expect(pubrec(7));
        world.advance(2);
        a.send(pubrel(7));
        a.expect(pubcomp(7));
        restart(world);
        let b = world.connect("b");
        b.subscribes("t", 0);
        b.expect(publish("t", "kept").retain());
        b.expect_nothing();
    });
}

/// `[MQTT-4.5.0-1 v5]` `[MQTT-3.1.2-5 v3.1.1]`
#[test]
fn a_copy_in_flight_stays_there_although_another_was_dropped() {
    let limits = |limits: &mut Limits| {
        limits.durability = Durability::Fsync;
        limits.queue.messages_max = 1;
    };
    script().limits(limits).pure("it dies in here").run(|world| {
        // Whichever of them comes first.
        for (name, qos) in [("b", [1, 2]), ("c", [2, 1])] {
            let a = world.connect("a");
            let b = world.connect_with(&resume(name));
            b.subscribes("t", qos[0]);
            b.subscribes("+", qos[1]);
            b.hang_up();
            a.publishes(publish("t", "1").qos(2, 0));
            let b = world.resume(&resume(name));
            let first = b.next_packet();
            b.expect_nothing();
            b.hang_up();
            restart(world);
            let b = world.resume(&resume(name));
            let again = b.next_packet();
            b.expect_nothing();
            if first.first & 0b110 == 0b100 {
                assert_eq!((again.id, again.first), (first.id, first.first | 8));
            }
            b.send(disconnect(0));
            b.settle();
        }
    });
}

/// `[MQTT-4.3.3-2 v5]` `[MQTT-4.3.3-2 v3.1.1]` `[MQTT-2.2.1-4 v5]`
#[test]
fn a_packet_identifier_is_remembered_where_its_message_is_not() {
    let limits = |limits: &mut Limits| {
        limits.durability = Durability::Fsync;
        limits.durability_of_topics = vec![("m".into(), Durability::Memory)];
    };
    script().limits(limits).pure("it dies in here").run(|world| {
        let b = world.connect_with(&resume("b"));
        b.subscribes("+", 2);
        world.connect("a").publishes(publish("m", "forgotten").qos(2, 0));
        let id = b.expect(publish("m", "forgotten").qos(2, 0)).id;
        restart(world);
        let b = world.resume(&resume("b"));
        // The client has the message, and is told to settle it.
        b.expect(pubrel(id));
        world.connect("a").publishes(publish("t", "kept").qos(2, 0));
        let kept = b.expect(publish("t", "kept").qos(2, 0)).id;
        assert_ne!(kept, id, "it would pass for the message that is open");
    });
}
