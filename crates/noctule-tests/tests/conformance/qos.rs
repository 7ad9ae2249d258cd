//! QoS 1 and 2: both hand-shakes, seen from publishers and from subscribers.

use noctule_tests::script::prelude::*;

/// `[MQTT-4.3.2-4 v5]` `[MQTT-4.3.2-5 v5]` `[MQTT-4.3.2-2 v3.1.1]` `[U5-2.2.1-2]`
/// `[V31-2.1-1]`
#[test]
fn after_puback_the_same_id_means_a_new_message_whatever_dup_says() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 1);
        for (payload, dup) in [("1", false), ("2", false), ("3", true)] {
            let message = publish("t", payload).qos(1, 7);
            a.send(if dup { message.dup() } else { message });
            a.expect(puback(7));
            b.receives(publish("t", payload).qos(1, 0));
        }
    });
}

/// `[MQTT-4.3.3-8 v5]` `[MQTT-4.3.3-10 v5]` `[MQTT-4.3.3-11 v5]` `[MQTT-4.3.3-12 v5]`
/// `[MQTT-4.3.3-2 v3.1.1]`
/// `[V31-3.6-1]` `[V31-4.2-2]`
#[test]
fn a_qos_2_message_is_delivered_once_however_often_it_is_repeated() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 2);
        a.send(publish("t", "1").qos(2, 7));
        a.expect(pubrec(7));
        a.send(publish("t", "1").qos(2, 7).dup());
        a.expect(pubrec(7));
        // Without DUP it is a repeat all the same: the id is not free.
        a.send(publish("t", "1").qos(2, 7));
        a.expect(pubrec(7));
        // It is routed when PUBREL arrives.
        b.expect_nothing();
        a.send(pubrel(7));
        a.expect(pubcomp(7));
        b.receives(publish("t", "1").qos(2, 0));
        b.expect_nothing();
        // PUBREL again: the id is not known any more.
        a.send(pubrel(7));
        a.expect(pubcomp(7).code(0x92));
        b.expect_nothing();
        // Then the id means a new message.
        a.send(publish("t", "2").qos(2, 7).dup());
        a.expect(pubrec(7));
        a.send(pubrel(7));
        a.expect(pubcomp(7));
        b.receives(publish("t", "2").qos(2, 0));
    });
}

/// `[MQTT-4.3.3-9 v5]` `[U5-2.2.1-2]` `[U5-4.13.2-1]`
#[test]
fn after_a_refusing_pubrec_the_id_means_a_new_message() {
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 2);
        a.send(publish("$SYS/x", "").qos(2, 7));
        a.expect(pubrec(7).code(0x87));
        a.send(publish("t", "x").qos(2, 7));
        a.expect(pubrec(7));
        a.send(pubrel(7));
        a.expect(pubcomp(7));
        b.receives(publish("t", "x").qos(2, 0));
    });
}

/// `[MQTT-4.3.3-11 v5]` `[MQTT-2.2.1-5 v5]` `[MQTT-2.3.1-6 v3.1.1]`
/// `[V31-3.6-1]`
#[test]
fn pubrel_of_an_unknown_id_is_answered_by_pubcomp() {
    script().v5().run(|world| {
        let a = world.connect("a");
        a.send(pubrel(300));
        a.expect(pubcomp(300).code(0x92));
    });
    script().v3().run(|world| {
        let a = world.connect("a");
        a.send_bytes(&[0x62, 2, 1, 44]);
        a.expect_bytes(&[0x70, 2, 1, 44]);
    });
}

/// `[MQTT-2.2.1-5 v5]` `[MQTT-2.3.1-6 v3.1.1]`
/// `[V31-3.5-1]`
#[test]
fn pubrec_of_an_unknown_id_is_answered_by_pubrel() {
    script().run(|world| {
        let a = world.connect("a");
        a.send(pubrec(300));
        a.expect(pubrel(300).code(0x92));
    });
    script().v3().run(|world| {
        let a = world.connect("a");
        a.send(pubrec(300));
        a.expect_bytes(&[0x62, 2, 1, 44]);
    });
}

/// `[MQTT-2.2.1-5 v5]` `[MQTT-2.3.1-6 v3.1.1]`
#[test]
fn puback_and_pubcomp_of_an_unknown_id_are_ignored() {
    script().run(|world| {
        let a = world.connect("a");
        a.send(puback(300));
        a.send(pubcomp(301));
        a.pings();
        a.expect_nothing();
    });
    script().v5().run(|world| {
        let a = world.connect("a");
        a.send(pubrec(9).code(0x80));
        a.pings();
        a.expect_nothing();
    });
}

/// `[MQTT-4.3.2-2 v5]` `[MQTT-4.3.2-3 v5]` `[MQTT-4.3.2-1 v5]` `[MQTT-4.3.2-1 v3.1.1]`
/// `[MQTT-2.2.1-4 v5]` `[MQTT-2.3.1-4 v3.1.1]` `[MQTT-2.3.1-1 v3.1.1]`
/// `[V31-4.2-1]`
#[test]
fn the_broker_sends_qos_1_under_a_free_id_until_puback() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 1);
        for payload in ["1", "2", "3"] {
            a.publishes(publish("t", payload).qos(1, 0));
        }
        let ids = ["1", "2", "3"].map(|payload| b.expect(publish("t", payload).qos(1, 0)).id);
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
        b.send(puback(ids[1]));
        b.expect_nothing();
        b.hang_up();
        let b = world.resume(&resume("b"));
        b.expect(publish("t", "1").qos(1, ids[0]).dup());
        b.expect(publish("t", "3").qos(1, ids[2]).dup());
        b.expect_nothing();
    });
}

/// `[MQTT-4.3.3-1 v5]` `[MQTT-4.3.3-2 v5]` `[MQTT-4.3.3-3 v5]` `[MQTT-4.3.3-4 v5]`
/// `[MQTT-4.3.3-5 v5]` `[MQTT-4.3.3-6 v5]` `[MQTT-4.3.3-1 v3.1.1]` `[MQTT-4.4.0-1 v5]`
/// `[MQTT-4.4.0-1 v3.1.1]` `[MQTT-3.3.1-1 v5]` `[MQTT-3.3.1-1 v3.1.1]`
/// `[V31-3.5-1]` `[V31-4.2-1]`
#[test]
fn a_qos_2_delivery_goes_on_where_it_stood_when_the_connection_was_lost() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 2);
        a.publishes(publish("t", "x").qos(2, 0));
        let id = b.expect(publish("t", "x").qos(2, 0)).id;
        b.hang_up();
        let b = world.resume(&resume("b"));
        b.expect(publish("t", "x").qos(2, id).dup());
        b.send(pubrec(id));
        b.expect_bytes(&[&[0x62, 2][..], &id.to_be_bytes()].concat());
        b.hang_up();
        // PUBREL is out: the PUBLISH is never sent again.
        let b = world.resume(&resume("b"));
        b.expect(pubrel(id));
        b.expect_nothing();
        b.hang_up();
        let b = world.resume(&resume("b"));
        b.expect(pubrel(id));
        b.send(pubcomp(id));
        b.hang_up();
        let b = world.resume(&resume("b"));
        b.expect_nothing();
    });
}

/// `[MQTT-4.4.0-1 v5]`
#[test]
fn nothing_is_sent_again_while_the_connection_lives() {
    script().v5().pure("an hour is too long").run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 2);
        a.publishes(publish("t", "1").qos(1, 0));
        a.publishes(publish("t", "2").qos(2, 0));
        b.expect(publish("t", "1").qos(1, 0));
        let id = b.expect(publish("t", "2").qos(2, 0)).id;
        b.send(pubrec(id));
        b.expect(pubrel(id));
        world.advance(3600);
        b.expect_nothing();
    });
}

/// `[MQTT-4.4.0-2 v5]` `[U5-2.2.1-2]` `[U5-4.13.2-1]`
#[test]
fn an_acknowledgement_that_reports_an_error_settles_the_message() {
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 2);
        a.publishes(publish("t", "1").qos(1, 0));
        let id = b.expect(publish("t", "1").qos(1, 0)).id;
        b.send(puback(id).code(0x80));
        a.publishes(publish("t", "2").qos(2, 0));
        let id = b.expect(publish("t", "2").qos(2, 0)).id;
        b.send(pubrec(id).code(0x83));
        b.expect_nothing();
        b.hang_up();
        let b = world.resume(&resume("b"));
        b.expect_nothing();
    });
}

/// A PUBREL that reports an error ends the hand-shake like any other. `[MQTT-4.3.3-11 v5]`
#[test]
fn a_pubrel_that_reports_an_error_is_answered_by_pubcomp() {
    script().v5().run(|world| {
        let a = world.connect("a");
        a.send(pubrel(5).code(0x92));
        a.expect(pubcomp(5).code(0x92));
    });
}

/// `[MQTT-4.3.3-7 v5]` `[MQTT-4.3.3-13 v5]` `[MQTT-3.3.2-5 v5]`
#[test]
fn a_qos_2_hand_shake_runs_to_its_end_even_if_the_message_has_expired() {
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 2);
        // Towards the subscriber: it was sent, so it no longer expires.
        a.publishes(publish("t", "x").qos(2, 0).with(message_expiry(2)));
        let first = b.next_packet();
        let id = first.id;
        b.same(&first.without(0x02), publish("t", "x").qos(2, 0));
        b.hang_up();
        world.advance_millis(2500);
        let b = world.resume(&resume("b"));
        let again = b.next_packet();
        assert_eq!((again.first, again.id), (0x3C, id), "DUP, QoS 2: {again:?}");
        b.send(pubrec(id));
        b.expect(pubrel(id));
        b.send(pubcomp(id));
        // From the publisher: it expires before its PUBREL, which is answered all the same.
        a.send(publish("t", "late").qos(2, 9).with(message_expiry(1)));
        a.expect(pubrec(9));
        world.advance_millis(1500);
        a.send(pubrel(9));
        a.expect(pubcomp(9));
        b.expect_nothing();
    });
}

/// `[MQTT-2.3.1-1 v3.1.1]` `[MQTT-4.13.1-1 v5]`
/// `[MQTT-2.2.1-3 v5]`
/// `[V31-2.4-1]`
#[test]
fn packet_id_0_ends_the_connection() {
    script().run(|world| {
        let packets = [
            publish("t", "x").qos(1, 0),
            publish("t", "x").qos(2, 0),
            subscribe(0).filter("t", 0),
            unsubscribe(0, &["t"]),
        ];
        for packet in packets {
            let a = world.connect("a");
            a.send(packet);
            a.expect_end(0x82);
        }
    });
}

/// `[U5-2.2.1-1]`
#[test]
fn client_and_broker_number_independently() {
    script().run(|world| {
        let a = world.connect("a");
        a.subscribes("t", 1);
        a.send(publish("t", "x").qos(1, 1));
        let id = a.expect_all(&[publish("t", "x").qos(1, 0), puback(1)])[0].id;
        // The client uses the very id that the broker has open.
        a.send(publish("u", "y").qos(2, id));
        a.expect(pubrec(id));
        a.send(puback(id));
        a.send(pubrel(id));
        a.expect(pubcomp(id));
    });
    // A request under an id that the same client has open for a message breaks neither.
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 2);
        a.send(publish("t", "x").qos(2, 7));
        a.expect(pubrec(7));
        a.send(subscribe(7).filter("u", 1));
        a.expect(suback(7, &[1]));
        a.send(unsubscribe(7, &["u"]));
        a.expect(unsuback(7, &[0]));
        a.send(pubrel(7));
        a.expect(pubcomp(7));
        b.receives(publish("t", "x").qos(2, 0));
        b.expect_nothing();
    });
}

/// `[MQTT-4.3.2-1 v5]` `[MQTT-4.3.3-1 v5]`: what clients have to keep to; the broker says so.
#[test]
fn a_qos_1_message_under_an_id_that_is_open_for_qos_2_is_refused() {
    script().v5().run(|world| {
        let a = world.connect("a");
        a.send(publish("t", "x").qos(2, 7));
        a.expect(pubrec(7));
        a.send(publish("t", "y").qos(1, 7));
        a.expect(puback(7).code(0x91));
        a.send(pubrel(7));
        a.expect(pubcomp(7));
    });
}

/// `[MQTT-4.3.3-10 v5]` `[MQTT-4.3.3-2 v3.1.1]` `[U5-4.1.0-1]`
/// `[V31-4.2-2]`
#[test]
fn a_qos_2_message_that_was_received_is_remembered_by_the_session() {
    script().run(|world| {
        let (a, b) = (world.connect_with(&resume("a")), world.connect("b"));
        b.subscribes("t", 2);
        a.send(publish("t", "x").qos(2, 7));
        a.expect(pubrec(7));
        a.hang_up();
        let a = world.resume(&resume("a"));
        a.send(publish("t", "x").qos(2, 7).dup());
        a.expect(pubrec(7));
        b.expect_nothing();
        a.send(pubrel(7));
        a.expect(pubcomp(7));
        b.receives(publish("t", "x").qos(2, 0));
        b.expect_nothing();
    });
}

/// `[MQTT-4.6.0-5 v5]` `[MQTT-4.6.0-6 v3.1.1]` `[MQTT-4.4.0-1 v5]` `[MQTT-4.4.0-1 v3.1.1]`
/// `[V31-4.3-1]`
#[test]
fn what_is_sent_again_keeps_its_order_and_comes_before_what_is_new() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 1);
        for payload in ["1", "2"] {
            a.publishes(publish("t", payload).qos(1, 0));
            b.expect(publish("t", payload).qos(1, 0));
        }
        b.hang_up();
        b.settle();
        for payload in ["3", "4"] {
            a.publishes(publish("t", payload).qos(1, 0));
        }
        let b = world.resume(&resume("b"));
        b.receives(publish("t", "1").qos(1, 0).dup());
        b.receives(publish("t", "2").qos(1, 0).dup());
        b.receives(publish("t", "3").qos(1, 0));
        b.receives(publish("t", "4").qos(1, 0));
    });
}

/// `[U5-3.4.2-1]`
#[test]
fn short_forms_of_acknowledgements_are_understood() {
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect_with(&resume("b")));
        b.subscribes("t", 2);
        let acks = |id: u16, kind: u8| -> Vec<Vec<u8>> {
            let [high, low] = id.to_be_bytes();
            vec![
                frame(kind, &[high, low]),
                frame(kind, &[high, low, 0]),
                frame(kind, &[high, low, 0, 0]),
                frame(kind, &[high, low, 0, 7, 0x26, 0, 1, b'a', 0, 1, b'b']),
            ]
        };
        for form in 0..4 {
            a.publishes(publish("t", "1").qos(1, 0));
            let id = b.expect(publish("t", "1").qos(1, 0)).id;
            b.send_bytes(&acks(id, 0x40)[form]);
            a.publishes(publish("t", "2").qos(2, 0));
            let id = b.expect(publish("t", "2").qos(2, 0)).id;
            b.send_bytes(&acks(id, 0x50)[form]);
            b.expect(pubrel(id));
            b.send_bytes(&acks(id, 0x70)[form]);
            a.send(publish("t", "3").qos(2, 9));
            a.expect(pubrec(9));
            a.send_bytes(&acks(9, 0x62)[form]);
            a.expect(pubcomp(9));
            let id = b.expect(publish("t", "3").qos(2, 0)).id;
            b.send_bytes(&acks(id, 0x50)[form]);
            b.expect(pubrel(id));
            b.send_bytes(&acks(id, 0x70)[form]);
        }
        b.hang_up();
        world.resume(&resume("b")).expect_nothing();
    });
}
