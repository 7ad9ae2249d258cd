//! Keep alive and PINGREQ.

use noctule_core::Limits;
use noctule_tests::script::prelude::*;

/// `[MQTT-3.12.4-1 v5]` `[MQTT-3.12.4-1 v3.1.1]`
/// `[V31-3.12-1]`
#[test]
fn every_pingreq_is_answered() {
    script().run(|world| {
        let a = world.connect("a");
        a.send_bytes(&[0xC0, 0, 0xC0, 0]);
        a.expect_bytes(&[0xD0, 0]);
        a.expect_bytes(&[0xD0, 0]);
    });
}

/// `[MQTT-3.1.2-22 v5]` `[MQTT-3.1.2-24 v3.1.1]` `[MQTT-3.2.2-22 v5]`
/// `[V31-3.1-9]`
#[test]
fn silence_for_one_and_a_half_keep_alives_ends_the_connection() {
    script().pure("fifteen seconds are too long").run(|world| {
        let b = world.connect("b");
        b.subscribes("will", 0);
        let a = world.connect_with(&connect("a").keep_alive(10).will(will("will", "a")));
        world.advance(14);
        a.pings();
        world.advance_millis(14_900);
        a.expect_nothing();
        b.expect_nothing();
        world.advance_millis(200);
        a.expect_end(0x8D);
        b.expect(publish("will", "a"));
    });
    script().run(|world| {
        let a = world.connect_with(&connect("a").keep_alive(1));
        world.advance_millis(2000);
        a.expect_end(0x8D);
    });
}

/// `[MQTT-3.1.2-22 v5]` `[MQTT-3.1.2-24 v3.1.1]`
#[test]
fn any_packet_of_the_client_counts_and_none_of_the_server_does() {
    script().pure("half a minute is too long").run(|world| {
        let talker = world.connect_with(&connect("a").keep_alive(10));
        let listener = world.connect_with(&connect("b").keep_alive(10));
        listener.subscribes("t", 0);
        for _ in 0..3 {
            world.advance(6);
            talker.publishes(publish("t", "x"));
        }
        talker.pings();
        listener.expect(publish("t", "x"));
        listener.expect(publish("t", "x"));
        listener.expect_end(0x8D);
    });
}

/// `[U5-3.1.2-2]`
/// `[V31-3.1-10]`
#[test]
fn keep_alive_0_switches_the_timer_off() {
    script().pure("a day is too long").run(|world| {
        let a = world.connect("a");
        world.advance(86_400);
        a.pings();
    });
}

/// `[MQTT-3.2.2-22 v5]`
#[test]
fn a_server_keep_alive_is_told_and_used() {
    let short = |limits: &mut Limits| limits.keep_alive_secs_max = 20;
    script().v5().limits(short).pure("half a minute is too long").run(|world| {
        let a = world.line();
        a.send_connect(&connect("a").keep_alive(60));
        a.expect(world.connack().with(server_keep_alive(20)));
        let never = world.line();
        never.send_connect(&connect("b").keep_alive(0));
        never.expect(world.connack().with(server_keep_alive(20)));
        let shorter = world.line();
        shorter.send_connect(&connect("c").keep_alive(10));
        shorter.expect(world.connack());
        world.advance(16);
        shorter.expect_end(0x8D);
        world.advance(13);
        a.expect_nothing();
        world.advance(2);
        a.expect_end(0x8D);
        never.expect_end(0x8D);
    });
}
