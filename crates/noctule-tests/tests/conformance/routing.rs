//! Many receivers and large messages: the paths a broker takes to be fast change nothing that
//! clients can see.

use noctule_core::Limits;
use noctule_tests::script::prelude::*;

/// `[MQTT-2.2.1-4 v5]` `[MQTT-3.3.2-4 v5]` `[MQTT-2.3.1-4 v3.1.1]` `[MQTT-2.2.1-2 v5]`
/// `[MQTT-2.3.1-5 v3.1.1]`
#[test]
fn messages_of_any_size_reach_all_subscribers_whole() {
    script().run(|world| {
        let a = world.connect("a");
        let old = world.connect_as(Version::V311, "old");
        let new = world.connect_as(Version::V5, "new");
        let subscribers = [0, 1, 2].map(|qos| {
            let subscriber = world.connect(&format!("s{qos}"));
            subscriber.subscribes("t", qos);
            subscriber
        });
        old.subscribes("t", 1);
        new.send(subscribe(1).filter("t", 1).with(subscription_id(300)));
        new.expect(suback(1, &[1]));
        for size in [0, 1, 100, 127, 128, 1000, 1024, 1025, 16_383, 16_384, 70_000, 300_000] {
            let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            for qos in [0, 1, 2] {
                let message = || publish("t", &payload);
                a.publishes(message().qos(qos, 0));
                for (granted, subscriber) in subscribers.iter().enumerate() {
                    subscriber.receives(message().qos(qos.min(granted as u8), 0));
                }
                old.receives(message().qos(qos.min(1), 0));
                new.receives(message().qos(qos.min(1), 0).with(subscription_id(300)));
            }
        }
    });
}

/// `[MQTT-4.6.0-5 v5]` `[MQTT-4.6.0-6 v3.1.1]`: a message to more receivers than a turn allows is
/// long work, resumed turn by turn, and its publisher waits for it.
#[test]
fn a_message_to_many_keeps_its_place_in_the_order() {
    let slow = |limits: &mut Limits| limits.turn_budget = 7;
    script().limits(slow).run(|world| {
        let a = world.connect("a");
        let subscribers: Vec<Client> = (0..60)
            .map(|number| {
                let subscriber = world.connect(&format!("s{number}"));
                subscriber.subscribes("t", (number % 3) as u8);
                subscriber
            })
            .collect();
        let bytes: Vec<u8> = (0..6u16)
            .flat_map(|number| {
                let message = publish("t", format!("{number}"));
                message.qos(u8::from(number % 2 == 0), number + 1).encode(world.version)
            })
            .collect();
        a.send_bytes(&bytes);
        for id in [1, 3, 5] {
            a.expect(puback(id));
        }
        for (granted, subscriber) in subscribers.iter().enumerate() {
            let found: Vec<Packet> = (0..6).map(|_| subscriber.next_packet()).collect();
            let payloads = |qos: u8| -> Vec<u8> {
                let of_qos = found.iter().filter(|packet| packet.first >> 1 & 3 == qos);
                of_qos.map(|packet| packet.payload[0] - b'0').collect()
            };
            match granted % 3 {
                0 => assert_eq!(payloads(0), [0, 1, 2, 3, 4, 5]),
                _ => assert_eq!((payloads(1), payloads(0)), (vec![0, 2, 4], vec![1, 3, 5])),
            }
        }
    });
}

/// `[MQTT-3.3.1-9 v5]` `[MQTT-3.3.1-6 v3.1.1]`: so are many retained messages.
#[test]
fn many_retained_messages_come_whole_and_live_ones_in_between() {
    let slow = |limits: &mut Limits| limits.turn_budget = 7;
    script().limits(slow).run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        for number in 0..100 {
            a.send(publish(&format!("t/{number}"), "kept").retain());
        }
        a.settle();
        b.send(subscribe(1).filter("t/#", 1));
        b.expect(suback(1, &[1]));
        a.publishes(publish("t/live", "live").qos(1, 0));
        let mut topics = Vec::new();
        for _ in 0..101 {
            let packet = b.next_packet();
            b.acknowledges(&packet);
            topics.push(packet.topic);
        }
        topics.sort_unstable();
        topics.dedup();
        assert_eq!(topics.len(), 101);
        b.expect_nothing();
    });
}

/// `[U5-3.3.2-3]`
#[test]
fn a_payload_that_contradicts_its_format_indicator_is_refused() {
    script().v5().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 2);
        let bad = || publish("t", b"\xFF").with(payload_format(1));
        a.send(bad().qos(1, 1));
        a.expect(puback(1).code(0x99));
        a.send(bad().qos(2, 2));
        a.expect(pubrec(2).code(0x99));
        a.send(bad());
        a.expect_end(0x99);
        b.expect_nothing();
    });
}

/// `[MQTT-3.8.4-5 v5]` `[MQTT-3.8.4-4 v3.1.1]`
#[test]
fn a_subscribe_may_hold_thousands_of_filters() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        let packet = (0..2000).fold(subscribe(1), |packet, number| {
            packet.filter(&format!("t/{number}/+"), (number % 3) as u8)
        });
        a.send(packet);
        let codes: Vec<u8> = (0..2000).map(|number| (number % 3) as u8).collect();
        a.expect(suback(1, &codes));
        b.publishes(publish("t/1999/x", "m").qos(2, 0));
        a.receives(publish("t/1999/x", "m").qos(1, 0));
        let filters: Vec<String> = (0..2000).map(|number| format!("t/{number}/+")).collect();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        a.send(unsubscribe(2, &filters));
        a.expect(unsuback(2, &[0; 2000]));
        b.publishes(publish("t/1999/x", "m").qos(2, 0));
        a.expect_nothing();
    });
}
