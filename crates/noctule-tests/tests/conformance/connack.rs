//! CONNACK: what the server announces, and how it refuses.

use noctule_core::Limits;
use noctule_core::limits::Durability;
use noctule_proto::QoS;
use noctule_tests::script::prelude::*;

/// `[MQTT-3.2.2-1 v5]` `[MQTT-3.2.2-2 v5]` `[MQTT-3.2.2-3 v5]` `[MQTT-3.2.2-1 v3.1.1]`
/// `[MQTT-3.2.2-2 v3.1.1]` `[MQTT-3.2.2-3 v3.1.1]`
/// `[V31-3.2-1]`
#[test]
fn session_present_says_whether_a_session_was_found() {
    script().versions(&[Version::V311, Version::V5]).run(|world| {
        let answer = |connect: &Connect| {
            let client = world.connect_with(&connect.clone());
            client.disconnects();
        };
        let present = |connect: &Connect| {
            let client = world.line();
            client.send_connect(connect);
            let flags = client.next_packet().flags;
            client.disconnects();
            flags
        };
        answer(&connect("a"));
        assert_eq!(present(&resume("a")), 0, "no session yet");
        assert_eq!(present(&resume("a")), 1, "there was one");
        assert_eq!(present(&connect("a")), 0, "a clean start");
        assert_eq!(present(&resume("a")), 0, "the clean session left nothing");
    });
    // MQTT 3.1 has no such flag: the byte is reserved.
    script().versions(&[Version::V31]).run(|world| {
        world.connect_with(&resume("a")).disconnects();
        let a = world.line();
        a.send_connect(&resume("a"));
        a.expect_bytes(&[0x20, 2, 0, 0]);
    });
}

/// `[MQTT-3.2.2-9 v5]` `[MQTT-3.2.2-10 v5]` `[MQTT-3.2.2-12 v5]`
#[test]
fn a_lower_maximum_qos_is_announced_and_kept() {
    for (qos, ceiling) in [(QoS::AtMostOnce, 0), (QoS::AtLeastOnce, 1)] {
        let lower = |limits: &mut Limits| limits.qos_max = qos;
        script().v5().limits(lower).run(|world| {
            let a = world.line();
            a.send_connect(&connect("a"));
            a.expect(world.connack().with(maximum_qos(ceiling)));
            a.send(subscribe(1).filter("x", 0).filter("y", 1).filter("z", 2));
            a.expect(suback(1, &[0, 1.min(ceiling), ceiling]));
            a.send(publish("x", "").qos(ceiling + 1, 2));
            a.expect_end(0x9B);
            let line = world.line();
            line.send_connect(&connect("b").will(will("t", "x").qos(ceiling + 1)));
            line.expect(connack(0x9B));
            line.expect_closed();
            let _ = world.connect_with(&connect("c").will(will("t", "x").qos(ceiling)));
        });
    }
}

/// `[MQTT-3.2.2-13 v5]`
#[test]
fn without_retain_support_a_retained_will_or_message_is_refused() {
    let off = |limits: &mut Limits| limits.retain_available = false;
    script().v5().limits(off).run(|world| {
        let a = world.line();
        a.send_connect(&connect("a"));
        a.expect(world.connack().with(retain_available(0)));
        a.send(publish("t", "x").retain());
        a.expect_end(0x9A);
        let line = world.line();
        line.send_connect(&connect("b").will(will("t", "x").retain()));
        line.expect(connack(0x9A));
        line.expect_closed();
    });
}

/// A Will that cannot be kept as asked for: no return code says so. `[MQTT-3.2.2-6 v3.1.1]`
#[test]
fn a_refusal_that_no_return_code_fits_is_a_close_without_connack() {
    let closed = |world: &World, refused: Will, accepted: Will| {
        let line = world.line();
        line.send_connect(&connect("a").will(refused));
        line.expect_closed();
        let _ = world.connect_with(&connect("a").will(accepted));
    };
    let once = |limits: &mut Limits| limits.qos_max = QoS::AtMostOnce;
    script().versions(&[Version::V311]).limits(once).run(|world| {
        closed(world, will("t", "x").qos(1), will("t", "x"));
    });
    let off = |limits: &mut Limits| limits.retain_available = false;
    script().versions(&[Version::V311]).limits(off).run(|world| {
        closed(world, will("t", "x").retain(), will("t", "x"));
    });
}

/// `[U5-3.2.2-3]` `[U5-3.2.2-4]` `[U5-3.2.2-5]` `[MQTT-3.8.3-2 v3.1.1]`
#[test]
fn what_is_not_available_is_announced_and_refused() {
    let off = |limits: &mut Limits| {
        limits.wildcard_available = false;
        limits.subscription_ids_available = false;
        limits.shared_available = false;
    };
    script().v5().limits(off).run(|world| {
        let connected = |client_id| {
            let client = world.line();
            client.send_connect(&connect(client_id));
            client.expect(
                world
                    .connack()
                    .with(wildcard_available(0))
                    .with(subscription_ids_available(0))
                    .with(shared_available(0)),
            );
            client
        };
        let refused = [
            (subscribe(1).filter("a/+", 1), 0xA2),
            (subscribe(1).filter("a", 1).filter("#", 1), 0xA2),
            (subscribe(1).filter("$share/g/a", 1), 0x9E),
            (subscribe(1).filter("a", 1).filter("$share/g/a", 1), 0x9E),
            (subscribe(1).filter("a", 1).with(subscription_id(5)), 0xA1),
        ];
        for (subscribe, code) in refused {
            let a = connected("a");
            a.send(subscribe);
            a.expect_end(code);
        }
        let (a, b) = (connected("a"), connected("b"));
        a.subscribes("a", 1);
        b.publishes(publish("a", "x").qos(1, 0));
        a.receives(publish("a", "x").qos(1, 0));
    });
    script().versions(&[Version::V311]).limits(off).run(|world| {
        let a = world.connect("a");
        a.send(subscribe(1).filter("#", 1).filter("a", 1).filter("$share/g/a", 1));
        a.expect(suback(1, &[0x80, 1, 0x80]));
    });
}

/// `[U5-3.2.2-2]`
#[test]
fn a_shorter_session_expiry_is_told_and_an_accepted_one_is_not() {
    let short = |limits: &mut Limits| limits.session_expiry_secs_max = 100;
    script().v5().limits(short).run(|world| {
        let a = world.line();
        a.send_connect(&connect("a").with(session_expiry(101)));
        a.expect(world.connack().with(session_expiry(100)));
        let b = world.line();
        b.send_connect(&connect("b").with(session_expiry(100)));
        b.expect(world.connack());
    });
}

/// `[MQTT-3.1.2-28 v5]`
#[test]
fn response_information_is_given_to_those_who_ask() {
    let told = |limits: &mut Limits| limits.response_information = "answers/%c".into();
    script().v5().limits(told).run(|world| {
        let connacks = [
            (connect("a"), world.connack()),
            (connect("b").with(request_response_information(0)), world.connack()),
            (
                connect("c").with(request_response_information(1)),
                world.connack().with(response_information("answers/c")),
            ),
        ];
        for (connect, connack) in connacks {
            let client = world.line();
            client.send_connect(&connect);
            client.expect(connack);
        }
    });
}

/// `[MQTT-3.1.2-29 v5]` `[U5-4.13.1-1]`
#[test]
fn a_refusal_says_why_unless_the_client_does_not_want_to_know() {
    script().v5().run(|world| {
        let curious = world.connect("a");
        curious.send(publish("$SYS/x", "").qos(1, 1));
        let puback = curious.next_packet();
        assert!(puback.property(0x1F).is_some_and(|reason| reason.len() > 2), "{puback:?}");
        let quiet = world.connect_with(&connect("b").with(request_problem_information(0)));
        quiet.send(publish("$SYS/x", "").qos(1, 1));
        quiet.expect_bytes(&[0x40, 3, 0, 1, 0x87]);
        quiet.send(publish("$SYS/x", "").qos(2, 1));
        quiet.expect_bytes(&[0x50, 3, 0, 1, 0x87]);
        quiet.send(pubrel(9));
        quiet.expect_bytes(&[0x70, 3, 0, 9, 0x92]);
        quiet.send(pubrec(9));
        quiet.expect_bytes(&[0x62, 3, 0, 9, 0x92]);
        quiet.send(unsubscribe(2, &["none"]));
        quiet.expect_bytes(&[0xB0, 4, 0, 2, 0, 0x11]);
        let deep = "/".repeat(300);
        quiet.send(subscribe(1).filter(&deep, 0));
        quiet.expect_bytes(&[0x90, 4, 0, 1, 0, 0x8F]);
    });
}

/// `[MQTT-3.4.2-2 v5]` `[MQTT-3.4.2-3 v5]` `[MQTT-3.5.2-2 v5]` `[MQTT-3.5.2-3 v5]`
/// `[MQTT-3.6.2-2 v5]` `[MQTT-3.6.2-3 v5]` `[MQTT-3.7.2-2 v5]` `[MQTT-3.7.2-3 v5]`
/// `[MQTT-3.14.2-3 v5]` `[MQTT-3.14.2-4 v5]`
#[test]
fn acknowledgements_and_disconnect_may_not_be_larger_than_the_broker_takes() {
    let small = |limits: &mut Limits| limits.packet_size_max = 100;
    script().v5().limits(small).run(|world| {
        let packets = [puback(9), pubrec(9).code(0x80), pubrel(9), pubcomp(9), disconnect(0)];
        for packet in packets {
            let head = if packet.kind() == kind::DISCONNECT { 4 } else { 6 };
            let reason = |len: usize| reason_string(&"x".repeat(len - head - 3));
            let pair = |len: usize| user("k", &"x".repeat(len - head - 6));
            for property in [reason(101), pair(101)] {
                let a = world.connect("a");
                let packet = packet.clone().with(property);
                assert_eq!(packet.encode(world.version).len(), 101);
                a.send(packet);
                a.expect_end(0x95);
            }
            for property in [reason(100), pair(100)] {
                let a = world.connect("a");
                a.send(packet.clone().with(property));
                match packet.kind() {
                    kind::DISCONNECT => a.expect_closed(),
                    kind::PUBREL => drop(a.expect(pubcomp(9).code(0x92))),
                    _ => a.pings(),
                }
            }
        }
    });
}

/// `[MQTT-3.2.2-19 v5]` `[MQTT-3.2.2-20 v5]` `[MQTT-3.4.2-2 v5]` `[MQTT-3.4.2-3 v5]`
/// `[MQTT-3.5.2-2 v5]` `[MQTT-3.5.2-3 v5]` `[MQTT-3.6.2-2 v5]` `[MQTT-3.6.2-3 v5]`
/// `[MQTT-3.7.2-2 v5]` `[MQTT-3.7.2-3 v5]` `[MQTT-3.9.2-1 v5]` `[MQTT-3.9.2-2 v5]`
/// `[MQTT-3.11.2-1 v5]` `[MQTT-3.11.2-2 v5]` `[MQTT-3.14.2-3 v5]` `[MQTT-3.14.2-4 v5]`
/// `[MQTT-3.1.2-24 v5]`
#[test]
fn no_answer_is_larger_than_the_client_takes() {
    let short = |limits: &mut Limits| limits.client_id_len_max = 23;
    script().v5().limits(short).run(|world| {
        let small = |client_id| connect(client_id).with(maximum_packet_size(24));
        let a = world.connect_with(&small("a"));
        a.send(publish("$SYS/x", "").qos(1, 1));
        a.expect_bytes(&[0x40, 3, 0, 1, 0x87]);
        a.send(publish("$SYS/x", "").qos(2, 2));
        a.expect_bytes(&[0x50, 3, 0, 2, 0x87]);
        a.send(pubrec(9));
        a.expect_bytes(&[0x62, 3, 0, 9, 0x92]);
        a.send(pubrel(9));
        a.expect_bytes(&[0x70, 3, 0, 9, 0x92]);
        a.send(subscribe(1).filter(&"/".repeat(300), 0));
        a.expect_bytes(&[0x90, 4, 0, 1, 0, 0x8F]);
        a.send(unsubscribe(2, &["none"]));
        a.expect_bytes(&[0xB0, 4, 0, 2, 0, 0x11]);
        a.send(pingresp());
        a.expect_bytes(&[0xE0, 1, 0x82]);
        a.expect_closed();
        let line = world.line();
        line.send_connect(&small(&"x".repeat(24)));
        line.expect_bytes(&[0x20, 3, 0, 0x85, 0]);
        line.expect_closed();
    });
}

#[test]
fn a_client_that_asks_is_told_what_acknowledgements_promise_it() {
    for durability in [Durability::Memory, Durability::Os] {
        let broker = script().v5().limits(move |limits| limits.durability = durability);
        broker.pure("a broker behind sockets is given its class otherwise").run(|world| {
            let name = world.limits().durability.name();
            let line = world.line();
            line.send_connect(&connect("a").with(user("noctule-durability", "?")));
            line.expect(world.connack().with(user("noctule-durability", name)));
            let other = world.line();
            other.send_connect(&connect("b").with(user("something", "else")));
            other.expect(world.connack());
        });
    }
}
