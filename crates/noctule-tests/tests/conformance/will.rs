//! Wills.

use noctule_tests::script::prelude::*;

/// A listener for `will`.
fn listener(world: &World) -> Client {
    let client = world.connect("listener");
    client.subscribes("will", 2);
    client
}

/// `[MQTT-3.1.2-7 v5]` `[MQTT-3.1.2-8 v5]` `[MQTT-3.1.2-8 v3.1.1]` `[MQTT-3.1.2-10 v5]`
/// `[MQTT-3.1.2-10 v3.1.1]` `[U5-3.14.4-1]`
/// `[V31-3.1-11]` `[V31-3.1-12]`
#[test]
fn a_lost_connection_publishes_the_will_once() {
    script().run(|world| {
        let listener = listener(world);
        for qos in 0..=2 {
            let a = world.connect_with(&connect("a").will(will("will", "gone").qos(qos)));
            listener.expect_nothing();
            a.hang_up();
            listener.receives(publish("will", "gone").qos(qos, 0));
            // The next connection has none.
            world.connect("a").hang_up();
            listener.expect_nothing();
        }
    });
}

/// `[MQTT-3.14.4-3 v5]` `[MQTT-3.14.4-3 v3.1.1]` `[MQTT-3.1.2-10 v5]` `[MQTT-3.1.2-8 v5]`
/// `[V31-3.14-1]`
#[test]
fn disconnect_drops_the_will() {
    script().run(|world| {
        let listener = listener(world);
        let a = world.connect_with(&connect("a").will(will("will", "gone")));
        a.disconnects();
        listener.expect_nothing();
    });
}

/// `[U5-3.14.4-1]` `[MQTT-3.1.2-8 v5]`
#[test]
fn disconnect_with_any_other_code_than_0_publishes_the_will() {
    script().v5().run(|world| {
        let listener = listener(world);
        for code in [0x04, 0x80, 0x81, 0x98] {
            let a = world.connect_with(&connect("a").will(will("will", "gone")));
            a.send(disconnect(code));
            a.expect_closed();
            listener.expect(publish("will", "gone"));
        }
    });
}

/// `[U5-3.14.4-1]` `[MQTT-3.1.2-8 v5]` `[MQTT-3.1.2-8 v3.1.1]`
/// `[V31-3.1-11]`
#[test]
fn a_protocol_error_publishes_the_will() {
    script().run(|world| {
        let listener = listener(world);
        let a = world.connect_with(&connect("a").will(will("will", "gone")));
        a.send(pingresp());
        a.expect_end(0x82);
        listener.expect(publish("will", "gone"));
    });
}

/// `[MQTT-3.1.2-12 v3.1.1]`
#[test]
fn without_will_flag_nothing_is_published() {
    script().run(|world| {
        let listener = world.connect("listener");
        listener.subscribes("#", 0);
        world.connect("a").hang_up();
        listener.expect_nothing();
    });
}

/// `[MQTT-3.1.2-14 v5]` `[MQTT-3.1.2-15 v5]` `[MQTT-3.1.2-16 v3.1.1]` `[MQTT-3.1.2-17 v3.1.1]`
/// `[V31-3.1-12]`
#[test]
fn will_retain_decides_whether_the_will_is_kept() {
    script().run(|world| {
        let listener = listener(world);
        let passing = world.connect_with(&connect("a").will(will("will", "passing")));
        passing.hang_up();
        listener.expect(publish("will", "passing"));
        let late = world.connect("late");
        late.subscribes("will", 0);
        late.expect_nothing();
        let kept = world.connect_with(&connect("a").will(will("will", "kept").retain()));
        kept.hang_up();
        listener.expect(publish("will", "kept"));
        late.expect(publish("will", "kept"));
        let later = world.connect("later");
        later.subscribes("will", 0);
        later.expect(publish("will", "kept").retain());
    });
}

/// `[MQTT-3.1.3-10 v5]` `[MQTT-3.3.2-4 v5]`
#[test]
fn a_will_keeps_its_properties_and_their_order() {
    script().v5().run(|world| {
        let listener = listener(world);
        let properties = [
            payload_format(1),
            message_expiry(60),
            content_type("c"),
            response_topic("r"),
            correlation_data(&[1, 2]),
            user("z", "1"),
            user("a", "2"),
            user("z", "1"),
        ];
        let (mut last, mut expected) =
            (will("will", "gone").qos(1), publish("will", "gone").qos(1, 0));
        for property in properties {
            last = last.with(property.clone());
            expected = expected.with(property);
        }
        let a = world.connect_with(&connect("a").will(last));
        a.hang_up();
        listener.receives(expected);
    });
}

/// `[MQTT-3.1.2-8 v5]` `[MQTT-3.1.3-9 v5]` `[MQTT-3.1.2-10 v5]`
#[test]
fn a_delayed_will_is_published_when_its_delay_is_over_unless_the_client_returns() {
    let waits = resume("a").will(will("will", "gone").with(will_delay(10)));
    script().v5().pure("ten seconds are too long").run(|world| {
        let listener = listener(world);
        let a = world.connect_with(&waits);
        a.hang_up();
        world.advance_millis(9900);
        listener.expect_nothing();
        world.advance_millis(100);
        listener.expect(publish("will", "gone"));
        // Published: it does not come again.
        world.advance(60);
        listener.expect_nothing();
        let a = world.resume(&waits);
        a.hang_up();
        world.advance(5);
        let a = world.resume(&resume("a"));
        world.advance(60);
        listener.expect_nothing();
        a.pings();
    });
    let soon = resume("a").will(will("will", "gone").with(will_delay(1)));
    script().v5().run(|world| {
        let listener = listener(world);
        let a = world.connect_with(&soon);
        a.hang_up();
        listener.expect_nothing();
        world.advance_millis(1100);
        listener.expect(publish("will", "gone"));
    });
}

/// `[MQTT-3.1.2-8 v5]` `[MQTT-4.1.0-2 v5]`
#[test]
fn a_delayed_will_is_published_at_the_latest_when_the_session_ends() {
    let delayed = will("will", "gone").with(will_delay(1000));
    script().v5().pure("ten seconds are too long").run(|world| {
        let listener = listener(world);
        // Without session expiry: at once.
        let a = world.connect_with(&connect("a").will(delayed.clone()));
        a.hang_up();
        listener.expect(publish("will", "gone"));
        let a = world.connect_with(&connect("a").with(session_expiry(10)).will(delayed.clone()));
        a.hang_up();
        world.advance(9);
        listener.expect_nothing();
        world.advance(2);
        listener.expect(publish("will", "gone"));
        // A clean start ends the session that was.
        let a = world.connect_with(&connect("a").with(session_expiry(100)).will(delayed.clone()));
        a.hang_up();
        listener.expect_nothing();
        let _a = world.connect("a");
        listener.expect(publish("will", "gone"));
        world.advance(2000);
        listener.expect_nothing();
    });
}

/// `[U5-3.1.3-1]`
#[test]
fn takeover_publishes_the_old_will_unless_it_is_delayed_and_the_session_goes_on() {
    let (now, delayed) = (will("will", "now"), will("will", "delayed").with(will_delay(60)));
    script().v5().run(|world| {
        let listener = listener(world);
        let first = world.connect_with(&resume("a").will(now.clone()));
        let second = world.resume(&resume("a").will(delayed.clone()));
        first.expect_end(0x8E);
        listener.expect(publish("will", "now"));
        let third = world.resume(&resume("a").will(delayed.clone()));
        second.expect_end(0x8E);
        listener.expect_nothing();
        // A clean start ends the session: its Will is due.
        let fourth = world.connect_with(&connect("a").will(delayed.clone()));
        third.expect_end(0x8E);
        listener.expect(publish("will", "delayed"));
        // No session expiry: the session ended with its connection.
        let _fifth = world.connect_with(&resume("a"));
        fourth.expect_end(0x8E);
        listener.expect(publish("will", "delayed"));
        listener.expect_nothing();
    });
    script().v3().run(|world| {
        let listener = listener(world);
        let first = world.connect_with(&resume("a").will(now.clone()));
        let _second = world.connect_with(&resume("a"));
        first.expect_closed();
        listener.expect(publish("will", "now"));
    });
}

/// `[MQTT-3.1.2-8 v5]` `[MQTT-3.3.2-6 v5]`: the expiry of a Will counts from its publication.
#[test]
fn the_expiry_interval_of_a_will_counts_from_its_publication() {
    let connect = resume("a").will(will("will", "x").with(will_delay(20)).with(message_expiry(10)));
    script().v5().pure("twenty seconds are too long").run(|world| {
        let listener = listener(world);
        world.connect_with(&connect).hang_up();
        world.advance(20);
        listener.expect(publish("will", "x").with(message_expiry(10)));
    });
}

/// `[U5-3.1.3-2]`
#[test]
fn a_will_that_contradicts_its_format_indicator_is_refused() {
    script().v5().run(|world| {
        let line = world.line();
        let bad = will("will", "").payload(b"\xFF").with(payload_format(1));
        line.send_connect(&connect("a").will(bad));
        line.expect(connack(0x99));
        line.expect_closed();
    });
}

/// `[MQTT-4.7.3-1 v5]` `[MQTT-4.7.0-1 v5]` `[MQTT-4.7.1-1 v3.1.1]` `[MQTT-3.1.4-1 v3.1.1]`
#[test]
fn a_will_topic_that_is_none_is_refused() {
    script().versions(&[Version::V311, Version::V5]).run(|world| {
        for topic in ["", "a/#", "+"] {
            let line = world.line();
            line.send_connect(&connect("a").will(will(topic, "x")));
            if world.is_v5() {
                line.expect(connack(0x82));
            }
            line.expect_closed();
        }
    });
}

/// `[U5-4.7.2-1]` `[MQTT-3.1.4-2 v5]`
#[test]
fn a_will_that_its_client_may_not_publish_is_refused() {
    script().run(|world| {
        let line = world.line();
        line.send_connect(&connect("a").will(will("$SYS/x", "x")));
        line.expect(connack(world.by_version(0x87, 5)));
        line.expect_closed();
    });
}

/// `[U5-3.14.4-1]`: the broker's own end is an end without DISCONNECT 0x00. One shard ends while
/// the others go on: who lives there hears of everybody who was told goodbye.
#[test]
fn the_shutdown_of_a_shard_publishes_the_wills_of_its_clients() {
    use noctule_core::{Input, ShardId};
    script().v5().pure("shards of a server end together").run(|world| {
        let listener = |number| {
            let client = world.connect(&format!("listener-{number}"));
            client.subscribes("will", 1);
            client
        };
        let listeners: Vec<Client> = (0..10).map(listener).collect();
        let dying = |number| {
            let id = format!("client-{number}");
            world.connect_with(&connect(&id).will(will("will", &id).qos(1)))
        };
        let clients: Vec<Client> = (0..10).map(dying).collect();
        world.with_node(|node| node.tell(ShardId(0), Input::Shutdown));
        let mut told = Vec::new();
        for (number, client) in clients.iter().enumerate() {
            match client.poll() {
                Some(goodbye) => {
                    client.same(&goodbye, disconnect(0x8B));
                    told.push(publish("will", format!("client-{number}")).qos(1, 0));
                }
                None => client.pings(),
            }
        }
        assert!(!told.is_empty(), "somebody lives on shard 0");
        let mut heard = 0;
        for listener in &listeners {
            let packets: Vec<Packet> = std::iter::from_fn(|| listener.poll()).collect();
            if packets.iter().all(|packet| packet.kind() == kind::PUBLISH) {
                assert_eq!(packets.len(), told.len(), "{packets:?}");
                packets
                    .iter()
                    .zip(&told)
                    .for_each(|(found, will)| listener.same(found, will.clone()));
                heard += 1;
            }
        }
        let alone = world.with_node(|node| node.shards()) == Some(1);
        assert!(alone || heard > 0, "somebody listens on another shard");
    });
}
