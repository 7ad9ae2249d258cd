//! The same scripts for both: queues that overflow, rules of an ACL file, what a restart keeps.

use crate::side::{Running, Side};
use crate::talk::{ANYBODY, Talk, Who};
use anyhow::{Result, ensure};
use std::net::SocketAddr;

/// With a bound of all connections noctule has one thread for them, as mosquitto has.
const HEAD: &str = "user root\nlistener @PORT1@ 127.0.0.1\nglobal_max_connections 1000\n";

/// A script; what clients are told, in order.
type Script = fn(&Side, Running) -> Result<Vec<String>>;

/// Plays a script to both, with the same file.
fn play(sides: &[Side; 2], file: &str, script: Script) -> Result<()> {
    for side in sides {
        side.write("this.conf", &format!("{HEAD}{file}"))?;
    }
    let run = |side: &Side| script(side, side.start("this.conf")?);
    // Beside one another: most of the time is spent waiting for what does not come.
    let told = std::thread::scope(|scope| {
        let both = [scope.spawn(|| run(&sides[0])), scope.spawn(|| run(&sides[1]))];
        both.map(|one| one.join().expect("a script does not panic"))
    });
    let [theirs, ours] = told;
    let told = [theirs?, ours?];
    let pairs = told[0].iter().zip(&told[1]);
    let differ: Vec<_> = pairs.filter(|(theirs, ours)| theirs != ours).collect();
    ensure!(told[0] == told[1], "{file}: {differ:#?}\nof {told:#?}");
    ensure!(!told[0].is_empty(), "{file}: nothing is told");
    Ok(())
}

const SLEEPER: Who<'static> = Who { id: "sleeper", clean: false, ..ANYBODY };

/// Messages for a client that is away, and those that it gets when it comes again.
fn overflow(side: &Side, _running: Running) -> Result<Vec<String>> {
    let address = side.address(0);
    let mut told = Vec::new();
    for level in [4, 5] {
        let sleeper = Who { level, ..SLEEPER };
        for (qos, flags) in [(1, &[1][..]), (2, &[2]), (2, &[1, 2]), (2, &[0, 1]), (1, &[0])] {
            Who { clean: true, ..sleeper }.enter(address)?.leave()?;
            let mut talk = sleeper.enter(address)?;
            told.extend(talk.subscribe("q/#", qos)?);
            talk.leave()?;
            let mut publisher = ANYBODY.enter(address)?;
            for number in 0..60_usize {
                let flags = flags[number % flags.len()];
                told.push(publisher.deliver("q/a", &format!("{number:08}"), flags)?);
            }
            publisher.hear()?;
            let (talk, answer) = sleeper.connect(address)?;
            told.push(answer);
            let got = talk.map_or(Ok(Vec::new()), |mut talk| talk.hear())?;
            told.push(format!("{level} {qos} {flags:?}: {got:?}"));
        }
    }
    Ok(told)
}

pub(crate) fn queues(sides: &[Side; 2]) -> Result<()> {
    for file in [
        "",
        "max_queued_messages 10\n",
        "max_queued_messages 10\nmax_inflight_messages 4\n",
        "max_queued_messages 10\nmax_inflight_messages 1\n",
    ] {
        play(sides, &format!("allow_anonymous true\n{file}"), overflow)?;
    }
    Ok(())
}

const RULES: &str = "topic read open/#\ntopic write drop/+\n\nuser ann\ntopic readwrite home/#\n\
    topic deny home/secret\ntopic read open/#\ntopic write only/write\n\
    pattern readwrite own/%u/#\npattern read id/%c\npattern write id/%c/up\n";

/// What who may do.
fn ruled(side: &Side, _running: Running) -> Result<Vec<String>> {
    let address = side.address(0);
    let mut told = Vec::new();
    for level in [4, 5] {
        for user in [Some("ann"), Some("bob"), None] {
            let who = Who { level, user, id: "dev", ..ANYBODY };
            told.push(format!("level {level} {user:?}"));
            told.extend(subscriptions(&who, address)?);
            told.extend(publications(&who, address)?);
            told.extend(wills(&who, address)?);
        }
    }
    Ok(told)
}

fn all_of(address: SocketAddr) -> Result<Talk> {
    Who { id: "all", user: Some("root"), ..ANYBODY }.enter(address)
}

fn subscriptions(who: &Who<'_>, address: SocketAddr) -> Result<Vec<String>> {
    let mut told = Vec::new();
    let mut root = all_of(address)?;
    let mut talk = who.enter(address)?;
    for filter in ["#", "home/secret", "+/+", "own/bob/#", "id/dev", "$SYS/broker/version"] {
        told.push(format!("{filter}: {:?}", talk.subscribe(filter, 1)?));
    }
    for topic in ["open/a", "home/a", "home/secret", "own/ann/a", "own/bob/a", "id/dev", "id/x"] {
        root.publish(topic, topic, 1)?;
        root.hear()?;
        let mut got = talk.hear()?;
        // Overlapping subscriptions may be answered once or once each.
        got.dedup();
        told.push(format!("to {topic}: {got:?}"));
    }
    Ok(told)
}

fn publications(who: &Who<'_>, address: SocketAddr) -> Result<Vec<String>> {
    let mut told = Vec::new();
    let mut root = all_of(address)?;
    root.subscribe("#", 2)?;
    let mut talk = who.enter(address)?;
    for topic in
        ["home/a", "home/secret", "own/ann/x", "own/bob/x", "id/dev", "id/dev/up", "drop/a", "x"]
    {
        for flags in [0, 1, 2, 5] {
            talk.publish(topic, "p", flags)?;
            told.push(format!("{topic} {flags}: {:?} {:?}", talk.hear()?, root.hear()?));
        }
        root.publish(topic, "", 5)?;
        root.hear()?;
    }
    Ok(told)
}

fn wills(who: &Who<'_>, address: SocketAddr) -> Result<Vec<String>> {
    let mut told = Vec::new();
    let mut root = all_of(address)?;
    root.subscribe("#", 2)?;
    for topic in ["home/a", "home/secret", "own/ann/will", "drop/a", "x"] {
        let (talk, answer) = Who { will: Some(topic), ..*who }.connect(address)?;
        talk.map_or(Ok(()), Talk::break_off)?;
        told.push(format!("will {topic}: {answer} {:?}", root.hear()?));
    }
    Ok(told)
}

pub(crate) fn rules(sides: &[Side; 2]) -> Result<()> {
    for side in sides {
        side.write("rules", &format!("{RULES}\nuser root\ntopic readwrite #\n"))?;
        side.write_users("who", &["ann", "bob", "root"])?;
    }
    let file = "allow_anonymous true\npassword_file @DIR@/who\nacl_file @DIR@/rules\n";
    play(sides, file, ruled)
}

/// What SIGTERM and a new start keep.
fn restarted(side: &Side, running: Running) -> Result<Vec<String>> {
    let address = side.address(0);
    let mut told = Vec::new();
    let mut publisher = ANYBODY.enter(address)?;
    for level in [4, 5] {
        let id = format!("sleeper-{level}");
        let sleeper = Who { level, id: &id, ..SLEEPER };
        let mut talk = sleeper.enter(address)?;
        for (filter, qos) in [("q/1", 1), ("q/2", 2), ("q/+", 0), ("r/#", 1)] {
            told.extend(talk.subscribe(filter, qos)?);
        }
        talk.leave()?;
    }
    drop(Who { id: "gone", ..ANYBODY }.enter(address)?.subscribe("q/#", 2)?);
    for (topic, payload, flags) in [
        ("q/1", "one", 1),
        ("q/2", "two", 2),
        ("q/1", "zero", 0),
        ("q/2", "three", 1),
        ("r/kept", "first", 5),
        ("r/kept", "last", 6),
        ("r/zero", "zero", 4),
        ("r/cleared", "gone", 5),
        ("r/cleared", "", 5),
    ] {
        publisher.publish(topic, payload, flags)?;
        told.extend(publisher.hear()?);
    }
    ensure!(running.end()?.success(), "ends well");
    let _running = side.start("this.conf")?;
    for (level, id) in [(4, "sleeper-4"), (5, "sleeper-5"), (5, "gone")] {
        let (talk, answer) = Who { level, id, ..SLEEPER }.connect(address)?;
        let mut got = Vec::new();
        if let Some(mut talk) = talk {
            let kept = answer.starts_with("connack 1");
            got = if kept { talk.hear_until("r/cleared  q1")? } else { talk.hear()? };
        }
        told.push(format!("{id}: {answer} {got:?}"));
    }
    let mut fresh = Who { id: "fresh", ..ANYBODY }.enter(address)?;
    let mut retained = fresh.subscribe("r/#", 2)?;
    retained.sort();
    told.push(format!("{retained:?}"));
    // Subscriptions are there again, too.
    let mut talk = Who { level: 4, id: "sleeper-4", ..SLEEPER }.enter(address)?;
    fresh.publish("q/2", "again", 2)?;
    fresh.hear()?;
    // Once for each subscription, in no order.
    let mut again = talk.hear()?;
    again.sort();
    told.extend(again);
    Ok(told)
}

pub(crate) fn restarts(sides: &[Side; 2]) -> Result<()> {
    for persistence in [true, false] {
        let file = format!(
            "allow_anonymous true\npersistence {persistence}\n\
             persistence_location @DIR@/state/\n"
        );
        play(sides, &file, restarted)?;
    }
    Ok(())
}
