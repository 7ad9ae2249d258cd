//! Who may do what: publishing, subscribing, receiving, wills; and what a reload and a restart
//! change.

use noctule_core::Event;
use noctule_core::grant::Policies;
use noctule_core::limits::Durability;
use noctule_tests::node::Node;
use noctule_tests::script::prelude::*;

/// Everybody may talk below `all`, users below their name, and receive all but secrets.
const RULES: &str = r##"
[[role]]
name = "everybody"
everyone = true
anonymous = true
[[role.rule]]
allow = "all"
topics = ["all/#", "own/%u/%c/#"]
[[role.rule]]
deny = "receive"
topics = "all/secret/#"
[[role.rule]]
allow = "publish"
topics = "low/#"
qos_max = 1
retain = false
[[role.rule]]
allow = "subscribe"
topics = "few/#"
qos_max = 1
[[role]]
name = "watcher"
users = ["eve"]
[[role.rule]]
allow = "all"
topics = "watched/#"
"##;

/// The same, and a SUBSCRIBE may ask for anything: what is not allowed does not come.
fn lenient() -> Policies {
    rules(&format!("strict_subscribe = false\n{RULES}"))
}

fn set(world: &World, policies: &Policies) {
    world.with_node(|node| node.set_policies(policies.clone()));
    world.settle();
}

/// `[MQTT-3.3.5-2 v3.1.1]` `[V31-3.3-2]` `[U5-4.13.2-1]`
#[test]
fn what_may_not_be_published_is_refused_and_reaches_nobody() {
    script().rules(RULES).run(|world| {
        let a = world.connect_with(&connect("a").user_name(b"ann"));
        let eve = world.connect_with(&connect("e").user_name(b"eve"));
        eve.subscribes("watched/#", 2);
        let refused = world.by_version(0x87, 0);
        for round in 1..4 {
            a.send(publish("watched/x", "no").qos(1, round));
            a.expect(puback(round).code(refused));
            a.send(publish("watched/x", "no").qos(2, round));
            a.expect(pubrec(round).code(refused));
            if !world.is_v5() {
                a.send(pubrel(round));
                a.expect(pubcomp(round));
            }
            a.send(publish("watched/x", "no"));
            a.pings();
        }
        eve.expect_nothing();
        let b = world.connect_with(&connect("b").user_name(b"eve"));
        for _ in 0..3 {
            b.publishes(publish("watched/x", "yes").qos(1, 0));
            eve.receives(publish("watched/x", "yes").qos(1, 0));
        }
    });
}

/// Each way of publishing is looked at for itself, whatever the topic before was.
#[test]
fn a_rule_may_bound_qos_and_retain() {
    script().rules(RULES).v5().run(|world| {
        let a = world.connect("a");
        for round in [10, 20, 30] {
            a.send(publish("low/x", "").qos(1, round));
            a.expect(puback(round).code(0x10));
            a.send(publish("low/x", "").qos(2, round));
            a.expect(pubrec(round).code(0x87));
            a.send(publish("low/x", "x").qos(1, round + 1).retain());
            a.expect(puback(round + 1).code(0x87));
            a.send(publish("low/y", "").qos(1, round + 2));
            a.expect(puback(round + 2).code(0x10));
        }
        a.send(subscribe(1).filter("few/x", 2));
        a.expect(suback(1, &[1]));
    });
}

/// `[MQTT-3.9.3-1 v5]` `[MQTT-3.9.3-1 v3.1.1]`
#[test]
fn a_filter_is_refused_unless_all_of_it_is_allowed() {
    script().rules(RULES).versions(&[Version::V311, Version::V5]).run(|world| {
        let a = world.connect_with(&connect("a").user_name(b"ann"));
        let no = world.by_version(0x87, 0x80);
        let asked = ["all/#", "#", "+/x", "own/ann/a/+", "own/+/a", "own/bob/a", "watched/x"];
        let mut packet = subscribe(1);
        for filter in asked {
            packet = packet.filter(filter, 1);
        }
        a.send(packet);
        a.expect(suback(1, &[1, no, no, 1, no, no, no]));
        a.send(subscribe(2).filter("$share/g/#", 1).filter("$share/g/all/+", 1));
        a.expect(suback(2, &[no, 1]));
    });
}

#[test]
fn what_may_not_be_received_is_withheld_live_retained_and_shared() {
    script().rules(RULES).run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        a.publishes(publish("all/secret/1", "kept").qos(1, 0).retain());
        a.publishes(publish("all/open", "kept").qos(1, 0).retain());
        world.settle();
        b.subscribes("all/#", 2);
        b.receives(publish("all/open", "kept").qos(1, 0).retain());
        for qos in [0, 1, 2] {
            a.publishes(publish("all/secret/2", "no").qos(qos, 0));
            a.publishes(publish("all/x", "yes").qos(qos, 0));
            b.receives(publish("all/x", "yes").qos(qos, 0));
        }
        b.expect_nothing();
        b.unsubscribes("all/#");
        b.subscribes("$share/g/all/#", 1);
        world.settle();
        a.publishes(publish("all/secret/3", "no").qos(1, 0));
        a.publishes(publish("all/y", "yes").qos(1, 0));
        b.receives(publish("all/y", "yes").qos(1, 0));
        b.expect_nothing();
    });
}

#[test]
fn without_strict_subscribe_anything_is_taken_and_only_what_is_allowed_comes() {
    script().rules(&format!("strict_subscribe = false\n{RULES}")).run(|world| {
        let ann = world.connect_with(&connect("a").user_name(b"ann"));
        let eve = world.connect_with(&connect("e").user_name(b"eve"));
        ann.subscribes("#", 1);
        eve.subscribes("#", 1);
        let other = world.connect_with(&connect("o").user_name(b"eve"));
        other.publishes(publish("watched/x", "1").qos(1, 0));
        eve.receives(publish("watched/x", "1").qos(1, 0));
        eve.send(publish("own/eve/e/x", "2"));
        eve.receives(publish("own/eve/e/x", "2"));
        other.publishes(publish("all/x", "3").qos(1, 0));
        eve.receives(publish("all/x", "3").qos(1, 0));
        ann.receives(publish("all/x", "3").qos(1, 0));
        ann.expect_nothing();
    });
}

/// What a session is given depends on who holds it, while a publisher goes on to the same topic.
#[test]
fn a_session_that_another_user_resumes_is_given_what_that_user_may_have() {
    script().rules(&format!("strict_subscribe = false\n{RULES}")).run(|world| {
        let other = world.connect_with(&connect("o").user_name(b"eve"));
        let may = world.connect_with(&connect("m").user_name(b"eve"));
        may.subscribes("watched/#", 0);
        let eve = world.connect_with(&resume("s").user_name(b"eve"));
        eve.subscribes("watched/#", 0);
        for (user, given) in [("eve", true), ("ann", false), ("eve", true)] {
            let held = world.connect_with(&resume("s").user_name(user.as_bytes()));
            for _ in 0..2 {
                other.send(publish("watched/x", user));
                may.receives(publish("watched/x", user));
            }
            if given {
                held.receives(publish("watched/x", user));
                held.receives(publish("watched/x", user));
            }
            held.expect_nothing();
        }
    });
}

/// `[MQTT-3.1.4-2 v5]`
#[test]
fn a_will_that_may_not_be_published_is_refused_at_connect() {
    script().rules(RULES).run(|world| {
        let line = world.line();
        line.send_connect(&connect("a").will(will("watched/x", "gone")));
        line.expect_refusal(world.by_version(0x87, 5));
        let a = world.connect_with(&connect("a").will(will("all/x", "gone")));
        let b = world.connect("b");
        b.subscribes("all/#", 0);
        a.hang_up();
        b.receives(publish("all/x", "gone"));
    });
}

/// A reload holds for those who are there: what they publish, what they are given, what waits for
/// them, and what they have subscribed to.
#[test]
fn a_reload_holds_at_once() {
    let pure = "rules change here without a file";
    script().rules(RULES).pure(pure).run(|world| {
        let a = world.connect_with(&connect("a").user_name(b"ann"));
        let eve = world.connect_with(&resume("e").user_name(b"eve"));
        eve.subscribes("watched/#", 1);
        eve.subscribes("all/#", 1);
        a.publishes(publish("all/x", "1").qos(1, 0));
        eve.receives(publish("all/x", "1").qos(1, 0));
        let other = world.connect_with(&connect("o").user_name(b"eve"));
        other.publishes(publish("watched/x", "1").qos(1, 0));
        eve.receives(publish("watched/x", "1").qos(1, 0));
        eve.hang_up();
        other.publishes(publish("watched/x", "waits").qos(1, 0));
        a.publishes(publish("all/x", "waits").qos(1, 0));
        // Nobody is a watcher any more.
        set(world, &rules(&RULES.replace("\"eve\"", "\"nobody\"")));
        other.send(publish("watched/x", "2").qos(1, 9));
        other.expect(puback(9).code(world.by_version(0x87, 0)));
        let eve = world.resume(&resume("e").user_name(b"eve"));
        eve.receives(publish("all/x", "waits").qos(1, 0));
        eve.expect_nothing();
        // She is one again, but her subscription is gone.
        set(world, &rules(RULES));
        other.publishes(publish("watched/x", "3").qos(1, 0));
        a.publishes(publish("all/x", "3").qos(1, 0));
        eve.receives(publish("all/x", "3").qos(1, 0));
        eve.expect_nothing();
        // Without rules, everything is allowed.
        set(world, &Policies::default());
        a.publishes(publish("anything", "").qos(1, 0));
        eve.subscribes("#", 0);
        a.publishes(publish("all/secret/x", "5"));
        eve.receives(publish("all/secret/x", "5"));
    });
}

/// Who connected while there were no rules is nobody known, until it connects again.
#[test]
fn rules_that_come_later_hold_for_who_is_there() {
    script().pure("rules come later here").run(|world| {
        let a = world.connect_with(&connect("a").user_name(b"ann"));
        let eve = world.connect_with(&connect("e").user_name(b"eve"));
        eve.subscribes("watched/#", 1);
        set(world, &lenient());
        a.send(publish("watched/x", "1").qos(1, 9));
        a.expect(puback(9).code(world.by_version(0x87, 0)));
        eve.send(publish("watched/x", "1").qos(1, 9));
        eve.expect(puback(9).code(world.by_version(0x87, 0)));
        let again = world.connect_with(&connect("again").user_name(b"eve"));
        again.publishes(publish("watched/x", "2").qos(1, 0));
        eve.expect_nothing();
    });
}

/// A session of an earlier run is nobody's until its client returns: what waits is kept, and looked
/// at before it is sent.
#[test]
fn what_waits_for_a_session_of_an_earlier_run_is_looked_at_when_its_client_returns() {
    let durable = script().limits(|limits| limits.durability = Durability::Fsync);
    let lenient = format!("strict_subscribe = false\n{RULES}");
    durable.rules(&lenient).pure("it dies in here").run(|world| {
        let b = world.connect_with(&resume("b").user_name(b"eve"));
        b.subscribes("#", 1);
        b.hang_up();
        let eve = world.connect_with(&connect("e").user_name(b"eve"));
        eve.publishes(publish("watched/x", "1").qos(1, 0));
        eve.publishes(publish("own/eve/e/x", "1").qos(1, 0));
        world.with_node(Node::restart);
        let eve = world.connect_with(&connect("e").user_name(b"eve"));
        eve.publishes(publish("watched/x", "2").qos(1, 0));
        eve.publishes(publish("all/secret/x", "2").qos(1, 0));
        let b = world.resume(&resume("b").user_name(b"eve"));
        b.receives(publish("watched/x", "1").qos(1, 0));
        b.receives(publish("watched/x", "2").qos(1, 0));
        b.expect_nothing();
        b.hang_up();
        eve.publishes(publish("watched/x", "3").qos(1, 0));
        world.with_node(Node::restart);
        // The same client id, by somebody else.
        let b = world.resume(&resume("b").user_name(b"ann"));
        b.expect_nothing();
    });
}

/// The log says who was denied what, and by which rule; once, however often, until somebody looks.
#[test]
fn denials_are_told_with_the_rule() {
    let denying = format!("{RULES}[[role.rule]]\ndeny = \"publish\"\ntopics = \"all/read-only\"\n");
    script().rules(&denying).v5().pure("events are looked at").run(|world| {
        let a = world.connect_with(&connect("a").user_name(b"ann"));
        let eve = world.connect_with(&connect("e").user_name(b"eve"));
        for id in 1..=9 {
            a.send(publish("watched/x", "").qos(1, id));
            a.expect(puback(id).code(0x87));
        }
        a.send(subscribe(1).filter("all/#", 0).filter("watched/#", 0));
        a.expect(suback(1, &[0, 0x87]));
        eve.send(publish("all/read-only", "").qos(1, 1));
        eve.expect(puback(1).code(0x87));
        let events = world.with_node(Node::take_events).unwrap_or_default();
        let told = events.iter().filter_map(|event| match event {
            Event::Denied { client_id, user_name, action, topic, rule, .. } => {
                let rule = rule.as_ref().map(ToString::to_string).unwrap_or_default();
                let user_name = user_name.as_deref().unwrap_or_default();
                Some(format!("{client_id} {user_name} {action} {topic} {rule}"))
            }
            _ => None,
        });
        let told = told.collect::<Vec<_>>();
        assert_eq!(told, ["a ann publish watched/x ", "e eve publish all/read-only rules:27"]);
    });
}

/// What a connection was found to be allowed is remembered beside its route. Another topic may come
/// to lie where that route lay.
#[test]
fn a_right_to_one_topic_is_none_to_another_that_takes_its_place() {
    let tight = script().limits(|limits| limits.route_cache_bytes = 0);
    tight.rules(RULES).v5().run(|world| {
        let a = world.connect_with(&connect("a").user_name(b"ann"));
        let eve = world.connect_with(&connect("e").user_name(b"eve"));
        eve.subscribes("watched/#", 1);
        for round in 1..4 {
            for _ in 0..3 {
                a.send(publish("all/x", "").qos(1, 1));
                a.expect(puback(1).code(0x10));
            }
            // It has the only place there is.
            eve.send(publish("all/y", "").qos(1, 1));
            eve.expect(puback(1).code(0x10));
            let other = world.connect_with(&connect(&format!("o{round}")).user_name(b"eve"));
            other.publishes(publish("watched/x", "yes").qos(1, 0));
            eve.receives(publish("watched/x", "yes").qos(1, 0));
            a.send(publish("watched/x", "no").qos(1, 2));
            a.expect(puback(2).code(0x87));
            eve.expect_nothing();
        }
    });
}
