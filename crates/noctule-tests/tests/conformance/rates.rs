//! Rates of clients: how often one may connect, and how much it may publish.

use noctule_core::limits::{ClientLimits, OverRate};
use noctule_core::{Input, ShardId};
use noctule_tests::script::prelude::*;

/// On virtual time.
const VIRTUAL: &str = "how fast a script runs behind sockets nobody knows";

fn limited(client: ClientLimits) -> Script {
    script().limits(|limits| limits.client = client)
}

/// Five messages at once, and ten a second.
fn ten_a_second(over_rate: OverRate) -> Script {
    let client = ClientLimits {
        publishes_per_sec: 10,
        publishes_burst: 5,
        over_rate,
        ..ClientLimits::default()
    };
    limited(client).pure(VIRTUAL)
}

/// `[MQTT-3.1.4-2 v5]`
#[test]
fn a_client_identifier_that_connects_too_often_is_refused() {
    let client = ClientLimits { connects_per_min: 2, ..ClientLimits::default() };
    limited(client).run(|world| {
        for _ in 0..2 {
            world.connect("a").disconnects();
        }
        let line = world.line();
        line.send_connect(&connect("a"));
        line.expect_refusal(world.by_version(0x9F, 3));
        // Others are not concerned, nor who is given a name.
        world.connect("b").pings();
        if world.is_v5() {
            for _ in 0..4 {
                let line = world.line();
                line.connects(&connect(""));
            }
        }
        if world.with_node(|_| ()).is_some() {
            world.advance(30);
            let a = world.connect("a");
            let line = world.line();
            line.send_connect(&connect("a"));
            line.expect_refusal(world.by_version(0x9F, 3));
            // Who is refused takes nothing over.
            a.pings();
        }
    });
}

/// `[MQTT-3.1.2-22 v5]`
#[test]
fn a_client_that_publishes_too_fast_is_read_at_its_rate() {
    ten_a_second(OverRate::Wait).run(|world| {
        let b = world.connect("b");
        b.subscribes("t", 1);
        let a = world.connect_with(&connect("a").keep_alive(1));
        for id in 1..=25 {
            a.send(publish("t", "x").qos(1, id));
        }
        a.send(pingreq());
        for id in 1..=5 {
            a.expect(puback(id));
            b.receives(publish("t", "x").qos(1, 0));
        }
        for id in 6..=25 {
            a.expect_nothing();
            world.advance_millis(99);
            a.expect_nothing();
            world.advance_millis(1);
            a.expect(puback(id));
            b.receives(publish("t", "x").qos(1, 0));
        }
        // It was silent for longer than its keep alive, and not by its own doing.
        world.advance_millis(100);
        a.expect(pingresp());
    });
}

#[test]
fn a_new_connection_owes_what_the_last_one_did() {
    ten_a_second(OverRate::Wait).run(|world| {
        let a = world.connect("a");
        for id in 1..=5 {
            a.send(publish("t", "x").qos(1, id));
            a.expect_accepted(puback(id));
        }
        a.hang_up();
        let a = world.connect("a");
        for id in 1..=2 {
            a.send(publish("t", "x").qos(1, id));
        }
        a.expect_accepted(puback(1));
        a.expect_nothing();
        // Another connection takes over in the middle.
        let again = world.connect("a");
        again.send(publish("t", "x").qos(1, 1));
        again.send(publish("t", "x").qos(1, 2));
        again.expect_accepted(puback(1));
        again.expect_nothing();
        world.advance_millis(300);
        again.expect_accepted(puback(2));
    });
}

/// `[MQTT-4.3.3-10 v5]`
#[test]
fn messages_beyond_a_rate_are_refused_if_so_configured() {
    ten_a_second(OverRate::Refuse).run(|world| {
        let b = world.connect("b");
        b.subscribes("#", 2);
        let a = world.connect("a");
        a.send(publish("t", "first").qos(2, 1));
        a.expect(pubrec(1));
        for n in 2..=5 {
            a.publishes(publish("t", format!("{n}")).qos(1, n));
            b.receives(publish("t", format!("{n}")).qos(1, 0));
        }
        // QoS 0 is dropped; what was taken before is confirmed again.
        a.publishes(publish("t", "dropped"));
        a.send(publish("t", "first").qos(2, 1).dup());
        a.expect(pubrec(1));
        a.send(pubrel(1));
        a.expect(pubcomp(1));
        b.receives(publish("t", "first").qos(2, 0));
        if !world.is_v5() {
            a.send(publish("t", "refused").qos(1, 6));
            a.expect_closed();
            b.expect_nothing();
            return;
        }
        // What an alias stands for is learnt all the same.
        a.send(publish("t/alias", "refused").qos(1, 6).with(topic_alias(1)));
        a.expect(puback(6).code(0x97));
        a.send(publish("t", "refused").qos(2, 7));
        a.expect(pubrec(7).code(0x97));
        b.expect_nothing();
        world.advance_millis(200);
        a.publishes(publish("", "on").qos(1, 8).with(topic_alias(1)));
        b.receives(publish("t/alias", "on").qos(1, 0));
    });
}

/// `[MQTT-4.13.2-1 v5]`
#[test]
fn a_client_beyond_its_rate_is_disconnected_if_so_configured() {
    ten_a_second(OverRate::Disconnect).run(|world| {
        for qos in 0..=2 {
            let a = world.connect(&format!("a{qos}"));
            for n in 1..=5 {
                a.publishes(publish("t", "x").qos(qos, n));
            }
            a.send(publish("t", "x").qos(qos, 6));
            if world.is_v5() {
                a.expect_end(0x96);
            } else {
                a.expect_closed();
            }
        }
    });
}

#[test]
fn bytes_that_were_too_many_are_waited_for() {
    let client = ClientLimits {
        publish_bytes_per_sec: 1000,
        publish_bytes_burst: 2000,
        ..ClientLimits::default()
    };
    limited(client).pure(VIRTUAL).run(|world| {
        let a = world.connect("a");
        // More than a burst: it is owed.
        a.send(publish("t", [0; 4000]).qos(1, 1));
        a.expect_accepted(puback(1));
        a.send(publish("t", "x").qos(1, 2));
        world.advance_millis(1990);
        a.expect_nothing();
        world.advance_millis(100);
        a.expect_accepted(puback(2));
    });
}

#[test]
fn a_reload_changes_the_rates_of_those_who_are_connected() {
    ten_a_second(OverRate::Wait).run(|world| {
        let a = world.connect("a");
        let reload = |per_sec, over_rate| {
            let mut limits = world.limits().clone();
            limits.client.publishes_per_sec = per_sec;
            limits.client.over_rate = over_rate;
            world.with_node(|node| {
                for shard in 0..node.shards() {
                    let limits = Box::new(limits.clone());
                    node.tell(ShardId(shard), Input::Reconfigured(limits));
                }
            });
        };
        for _ in 0..6 {
            a.send(publish("t", "x"));
        }
        a.send(pingreq());
        a.expect_nothing();
        reload(0, OverRate::Wait);
        world.advance_millis(100);
        a.expect(pingresp());
        for _ in 0..100 {
            a.publishes(publish("t", "x").qos(1, 0));
        }
        reload(1, OverRate::Disconnect);
        for _ in 0..5 {
            a.send(publish("t", "x"));
        }
        a.send(publish("t", "x"));
        a.expect_end(0x96);
    });
}

#[test]
fn a_will_may_be_so_large() {
    let client = ClientLimits { will_bytes_max: 1024, ..ClientLimits::default() };
    limited(client).run(|world| {
        let fits = "x".repeat(1024 - 4);
        let watcher = world.connect("watcher");
        watcher.subscribes("will", 1);
        world.connect_with(&connect("a").will(will("will", &fits).qos(1))).hang_up();
        watcher.receives(publish("will", &fits).qos(1, 0));
        let line = world.line();
        line.send_connect(&connect("a").will(will("will", &format!("{fits}x"))));
        line.expect_refusal(world.by_version(0x97, 3));
    });
}

/// A message with more payload is dropped, and MQTT 5 can say so; one of as much is not.
#[test]
fn a_payload_may_be_so_large() {
    script().limits(|limits| limits.payload_size_max = 4).run(|world| {
        let watcher = world.connect("watcher");
        watcher.subscribes("t", 2);
        let a = world.connect("a");
        let refused = world.by_version(0x97, 0);
        a.send(publish("t", "12345"));
        a.send(publish("t", "12345").qos(1, 1));
        a.expect(puback(1).code(refused));
        a.send(publish("t", "12345").qos(2, 2));
        a.expect(pubrec(2).code(refused));
        a.send(publish("t", "1234").qos(1, 3));
        a.expect(puback(3));
        watcher.receives(publish("t", "1234").qos(1, 0));
    });
}

/// All wills together have a bound, and each comes back to it when its connection is over.
#[test]
fn wills_together_have_a_bound() {
    let large = "x".repeat(1000);
    let script = script().limits(|limits| {
        limits.wills_bytes_max = 2500;
    });
    script.pure(VIRTUAL).run(|world| {
        if world.with_node(|node| node.shards()) != Some(1) {
            // The bound is a shard's.
            return;
        }
        let with_will = |id: &'static str| connect(id).will(will("will", &large).qos(1));
        let first = world.connect_with(&with_will("a"));
        let second = world.connect_with(&with_will("b"));
        let line = world.line();
        line.send_connect(&with_will("c"));
        line.expect_refusal(world.by_version(0x97, 3));
        // Who comes again has its own will's room.
        let again = world.connect_with(&with_will("a"));
        drop(first);
        second.hang_up();
        world.connect_with(&with_will("c")).hang_up();
        again.hang_up();
    });
}

/// The better one of a client's roles holds, instead of what holds for all; and from a reload on
/// the new one.
#[test]
fn a_role_may_give_another_rate() {
    let role = |name: &str, users: &str, rate: u32| {
        format!(
            "[[role]]\nname = {name:?}\nusers = {users}\npublishes_per_sec = {rate}\n\
             [[role.rule]]\nallow = \"all\"\ntopics = \"#\"\n"
        )
    };
    let few = role("few", "[\"ann\", \"eve\"]", 2);
    let client = ClientLimits {
        publishes_per_sec: 4,
        over_rate: OverRate::Refuse,
        ..ClientLimits::default()
    };
    let all = "[[role]]\nname = \"all\"\neveryone = true\n[[role.rule]]\nallow = \"all\"\n\
               topics = \"#\"\n";
    let rules = format!("{all}{few}{}", role("many", "[\"eve\"]", 6));
    limited(client).rules(&rules).pure(VIRTUAL).run(|world| {
        if !world.is_v5() {
            return;
        }
        let taken = |line: &Client| {
            (1..=10)
                .filter(|id| {
                    line.send(publish("t", "x").qos(1, *id));
                    line.next_packet().code < 0x80
                })
                .count()
        };
        let enter = |name: &str| world.connect_with(&connect(name).user_name(name.as_bytes()));
        let (ann, eve, bob) = (enter("ann"), enter("eve"), enter("bob"));
        assert_eq!((taken(&ann), taken(&eve), taken(&bob)), (2, 6, 4));
        let less = format!("{all}{few}");
        world.with_node(|node| node.set_policies(noctule_tests::script::prelude::rules(&less)));
        world.advance(10);
        assert_eq!((taken(&ann), taken(&eve), taken(&bob)), (2, 2, 4));
        world.with_node(|node| node.set_policies(noctule_core::grant::Policies::default()));
        world.advance(10);
        assert_eq!((taken(&ann), taken(&eve), taken(&bob)), (4, 4, 4));
    });
}
