//! Little memory left: what is shed at each level, and that nothing acknowledged is.

use noctule_core::input::{Level, Memory};
use noctule_core::verdict::Verdict;
use noctule_core::{Input, ShardId};
use noctule_tests::node::LineId;
use noctule_tests::script::prelude::*;

/// How much memory there is.
const TOLD: &str = "how much memory there is cannot be said to a server from outside";

/// Longer than what makes a slow consumer one that has to go.
static LONG: [u8; 20_000] = [b'x'; 20_000];

fn pure() -> Script {
    script().pure(TOLD)
}

fn memory(world: &World, level: Memory) {
    world.with_node(|node| {
        for shard in 0..node.shards() {
            node.tell(ShardId(shard), Input::Memory(level));
        }
    });
}

fn count(world: &World, of: impl Fn(&noctule_core::counters::Counters) -> u64) -> u64 {
    let all = world.with_node(|node| {
        (0..node.shards()).map(|shard| of(node.broker(ShardId(shard)).counters())).sum()
    });
    all.expect("the script is pure")
}

fn short(world: &World) -> u64 {
    count(world, |counters| counters.verdicts[Verdict::MemoryShort as usize])
}

/// A client whose socket takes nothing, and one that keeps up, so that publishers are not held for
/// the first: the first lines of the world.
fn behind(world: &World, connect_as: &Connect, filter: &str) -> (Client, Client) {
    let b = world.connect_with(connect_as);
    b.subscribes(filter, 1);
    world.with_node(|node| node.backlog(LineId(0), Level::High));
    let c = world.connect("c");
    c.subscribes(filter, 1);
    (b, c)
}

/// The end of a slow consumer gives back too little.
fn small() -> Script {
    pure().limits(|limits| limits.backlog_high = 4096)
}

fn catches_up(world: &World) {
    world.with_node(|node| node.backlog(LineId(0), Level::Low));
}

/// The next client that is at home where the first line is, or elsewhere.
fn publisher(world: &World, line: &mut usize, near: bool) -> Option<Client> {
    for _ in 0..64 {
        *line += 1;
        let client = world.connect(&format!("p{line}"));
        let at = LineId(*line);
        if world.with_node(|node| node.home(at) == node.home(LineId(0))) == Some(near) {
            return Some(client);
        }
    }
    None
}

#[test]
fn what_can_be_made_again_is_given_back_without_anybody_noticing() {
    pure().run(|world| {
        let b = world.connect("b");
        b.subscribes("#", 2);
        let a = world.connect("a");
        for level in [Memory::Free, Memory::Near, Memory::Near, Memory::Free] {
            memory(world, level);
            for qos in 0..=2 {
                a.publishes(publish("t", "x").qos(qos, 0));
                b.receives(publish("t", "x").qos(qos, 0));
            }
            world.connect("c").disconnects();
        }
        assert_eq!(short(world), 0);
    });
}

/// `[MQTT-3.1.4-2 v5]`
#[test]
fn nobody_new_is_let_in_while_memory_is_tight_but_whoever_has_a_session_is() {
    pure().run(|world| {
        let kept = world.connect_with(&resume("kept"));
        kept.subscribes("t", 1);
        kept.hang_up();
        let there = world.connect("there");
        for level in [Memory::Tight, Memory::Full] {
            memory(world, level);
            for id in ["new", ""] {
                let line = world.line();
                if id.is_empty() && world.version == Version::V31 {
                    continue;
                }
                line.send_connect(&connect(id));
                line.expect_refusal(world.by_version(0x97, 3));
            }
            there.pings();
            let kept = world.resume(&resume("kept"));
            kept.pings();
            kept.hang_up();
        }
        // One that is said to begin anew takes the place of another.
        let there = world.connect("there");
        let refused = count(world, |counters| counters.connects_short);
        assert_eq!(refused, if world.version == Version::V31 { 2 } else { 4 });
        memory(world, Memory::Near);
        world.connect("new").pings();
        there.pings();
    });
}

/// `[U5-4.13.2-1]`
#[test]
fn a_refusal_says_what_is_short() {
    pure().v5().run(|world| {
        memory(world, Memory::Tight);
        let line = world.line();
        line.send_connect(&connect("new"));
        let connack = line.next_raw();
        let why = connack.property(0x1F).expect("a reason string");
        assert!(String::from_utf8_lossy(why).contains("memory"), "{connack:?}");
    });
}

#[test]
fn new_retained_topics_are_refused_while_memory_is_tight() {
    pure().run(|world| {
        let a = world.connect("a");
        let watcher = world.connect("w");
        let reader = world.connect("r");
        watcher.subscribes("+", 1);
        a.publishes(publish("old", "1").qos(1, 0).retain());
        watcher.receives(publish("old", "1").qos(1, 0));
        memory(world, Memory::Tight);
        // What is there may change, and go.
        a.publishes(publish("old", "2").qos(1, 0).retain());
        watcher.receives(publish("old", "2").qos(1, 0));
        // With QoS 0 nobody can be told: it is delivered, and not kept.
        a.publishes(publish("zero", "x").retain());
        watcher.receives(publish("zero", "x"));
        assert_eq!(short(world), 1);
        let mut lines = vec![a];
        for topic in ["n1", "n2", "n3", "n4"] {
            let a = lines.pop().unwrap();
            a.send(publish(topic, "x").qos(1, 7).retain());
            if world.is_v5() {
                a.expect(puback(7).code(0x97));
                lines.push(a);
            } else {
                a.expect_closed();
                memory(world, Memory::Free);
                lines.push(world.connect("a"));
                memory(world, Memory::Tight);
            }
        }
        while watcher.poll().is_some() {}
        reader.subscribes("+", 1);
        reader.receives(publish("old", "2").qos(1, 0).retain());
        reader.expect_nothing();
        let a = lines.pop().unwrap();
        a.publishes(publish("old", "").retain());
        memory(world, Memory::Free);
        a.publishes(publish("n1", "x").qos(1, 0).retain());
        reader.receives(publish("old", ""));
        reader.receives(publish("n1", "x").qos(1, 0));
        assert!(count(world, |counters| counters.publishes_short) >= 4);
    });
}

/// `[MQTT-4.3.3-8 v5]`
#[test]
fn what_was_acknowledged_is_retained_whatever_the_level() {
    pure().v5().run(|world| {
        let a = world.connect("a");
        a.send(publish("before", "x").qos(2, 1).retain());
        a.expect(pubrec(1).code(0));
        memory(world, Memory::Full);
        a.send(pubrel(1));
        a.expect(pubcomp(1));
        let reader = world.connect_as(Version::V5, "a");
        memory(world, Memory::Tight);
        reader.subscribes("before", 2);
        reader.receives(publish("before", "x").qos(2, 0).retain());
        // Whether the home of a topic is here decides at this level, and the answer is the truth.
        for number in 0..6 {
            let topic = format!("t{number}");
            reader.send(publish(&topic, "x").qos(2, 9).retain());
            let taken = reader.next_packet().code != 0x97;
            if taken {
                reader.send(pubrel(9));
                reader.expect(pubcomp(9));
            }
            reader.subscribes(&topic, 0);
            assert_eq!(reader.poll().is_some(), taken, "{topic}");
        }
        memory(world, Memory::Full);
        reader.send(publish("full", "x").qos(2, 9).retain());
        reader.expect(pubrec(9).code(0x97));
    });
}

/// `[MQTT-4.3.2-4 v5]`
#[test]
fn nothing_that_has_to_wait_is_taken_while_memory_is_full() {
    small().v5().run(|world| {
        let (b, _) = behind(world, &connect("b"), "slow/#");
        let mut line = 1;
        let a = publisher(world, &mut line, true).expect("one is near");
        a.publishes(publish("slow/1", "taken").qos(1, 0));
        memory(world, Memory::Full);
        for qos in 1..=2 {
            let refused = if qos == 1 { puback(5) } else { pubrec(5) };
            a.send(publish("slow/2", "refused").qos(qos, 5));
            a.expect(refused.code(0x97));
        }
        a.publishes(publish("slow/3", "dropped"));
        // What need not wait goes on.
        a.publishes(publish("nobody", "x").qos(1, 0));
        a.publishes(publish("nobody", "x").qos(2, 0));
        assert_eq!((short(world), count(world, |it| it.publishes_short)), (3, 2));
        memory(world, Memory::Tight);
        a.publishes(publish("slow/4", "taken").qos(1, 0));
        catches_up(world);
        b.receives(publish("slow/1", "taken").qos(1, 0));
        b.receives(publish("slow/4", "taken").qos(1, 0));
        b.expect_nothing();
    });
}

/// `[MQTT-3.1.2-22 v5]`
#[test]
fn who_cannot_be_refused_is_not_read_while_memory_is_full() {
    small().run(|world| {
        let (b, _) = behind(world, &connect("b"), "slow");
        let mut line = 1;
        let mut taken = 0;
        for near in [true, false] {
            let Some(a) = publisher(world, &mut line, near) else { continue };
            if near && world.is_v5() {
                continue;
            }
            memory(world, Memory::Full);
            a.send(publish("slow", "1").qos(1, 1));
            a.send(publish("slow", "2").qos(1, 2));
            a.expect(puback(1));
            a.expect_nothing();
            // It is heard within its keep alive, and held again.
            world.advance_millis(5000);
            memory(world, Memory::Full);
            a.expect(puback(2));
            a.send(publish("slow", "3").qos(1, 3));
            a.send(pingreq());
            a.expect_nothing();
            memory(world, Memory::Tight);
            a.expect(puback(3));
            a.expect(pingresp());
            taken += 1;
            memory(world, Memory::Free);
        }
        assert_eq!(count(world, |it| it.publishers_held_back), 2 * taken);
        catches_up(world);
        for _ in 0..taken {
            for payload in ["1", "2", "3"] {
                b.receives(publish("slow", payload).qos(1, 0));
            }
        }
        b.expect_nothing();
    });
}

#[test]
fn whoever_is_furthest_behind_has_to_go_when_memory_is_full() {
    pure().run(|world| {
        let (b, c) = behind(world, &connect("b"), "t");
        let a = world.connect("a");
        for _ in 0..3 {
            a.publishes(publish("t", LONG).qos(1, 0));
            c.receives(publish("t", LONG).qos(1, 0));
        }
        // Who has just come may take what waits.
        memory(world, Memory::Full);
        b.pings();
        for level in [Memory::Tight, Memory::Near] {
            world.advance_millis(3000);
            memory(world, level);
            b.pings();
        }
        memory(world, Memory::Full);
        world.settle();
        b.expect_end(0x97);
        c.pings();
        a.pings();
        assert_eq!(count(world, |counters| counters.slow_consumers_ended), 1);
        assert_eq!(count(world, |counters| counters.queued_now), 0);
    });
}

#[test]
fn what_waits_for_a_session_outlives_the_end_of_its_connection() {
    pure().run(|world| {
        let (b, _) = behind(world, &resume("b"), "t");
        let a = world.connect("a");
        for number in 0..3 {
            a.publishes(publish("t", format!("{number}")).qos(1, 0));
        }
        world.advance_millis(3000);
        memory(world, Memory::Full);
        world.settle();
        b.expect_end(0x97);
        let b = world.resume(&resume("b"));
        for number in 0..3 {
            b.receives(publish("t", format!("{number}")).qos(1, 0));
        }
        // It is not behind any more.
        world.advance_millis(3000);
        memory(world, Memory::Full);
        b.pings();
    });
}

#[test]
fn subscriptions_and_open_messages_are_bounded_while_memory_is_full() {
    pure().run(|world| {
        let a = world.connect("a");
        a.subscribes("had", 1);
        memory(world, Memory::Tight);
        a.subscribes("more", 1);
        memory(world, Memory::Full);
        a.subscribes("had", 0);
        a.send(subscribe(9).filter("new", 1).filter("more", 0));
        let refused = match world.version {
            Version::V5 => 0x97,
            Version::V311 => 0x80,
            // It has no code for it.
            Version::V31 => 1,
        };
        a.expect(suback(9, &[refused, 0]));
        assert_eq!(count(world, |counters| counters.subscribes_short), 1);
        for id in 1..=3 {
            a.send(publish("t", LONG).qos(2, id));
            a.expect(pubrec(id));
        }
        a.send(publish("t", LONG).qos(2, 4));
        if world.is_v5() {
            a.expect(pubrec(4).code(0x97));
            a.send(pubrel(1));
            a.expect(pubcomp(1));
            a.send(publish("t", LONG).qos(2, 4));
            a.expect(pubrec(4));
        } else {
            a.expect_closed();
        }
    });
}

#[test]
fn messages_of_qos_0_are_queued_for_nobody_while_memory_is_full() {
    pure().limits(|limits| limits.queue.qos0 = true).run(|world| {
        world.connect_with(&resume("b")).subscribes("t", 0);
        let gone = world.resume(&resume("b"));
        gone.hang_up();
        let a = world.connect("a");
        a.publishes(publish("t", "kept"));
        memory(world, Memory::Full);
        a.publishes(publish("t", "dropped"));
        assert_eq!(short(world), 1);
        let b = world.resume(&resume("b"));
        b.receives(publish("t", "kept"));
        b.expect_nothing();
    });
}

/// `[MQTT-4.8.2-3 v5]`
#[test]
fn a_share_group_without_room_takes_nothing_while_memory_is_full() {
    pure().v5().run(|world| {
        let b = world.connect_with(&connect("b").with(receive_maximum(1)));
        b.subscribes("$share/g/t", 1);
        let a = world.connect("a");
        a.publishes(publish("t", "1").qos(1, 0));
        let first = b.expect(publish("t", "1").qos(1, 0));
        memory(world, Memory::Full);
        a.send(publish("t", "2").qos(1, 2));
        // The home of the group may be elsewhere: then it is taken, and its publisher held.
        let taken = a.next_packet().code == 0;
        a.send(pingreq());
        if taken {
            a.expect_nothing();
            memory(world, Memory::Tight);
        }
        a.expect(pingresp());
        b.send(puback(first.id));
        if taken {
            b.receives(publish("t", "2").qos(1, 0));
        } else {
            b.expect_nothing();
        }
        assert_eq!(count(world, |it| it.publishes_short), u64::from(!taken));
    });
}
