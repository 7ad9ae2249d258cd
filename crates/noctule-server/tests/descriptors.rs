//! What happens when the process has no file descriptors left. It has a process of its own: the
//! limit holds for all of it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod wire;

use noctule_proto::Version;
use noctule_server::Handle;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use wire::{Client, broker};

/// Turns of an idle shard in this time are few; one that spins has many thousands.
const WATCHED: Duration = Duration::from_millis(400);

/// Looks until the broker's counts are as expected.
fn until(broker: &Handle, what: &str, holds: impl Fn(&noctule_server::Snapshot) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds(&broker.counters()) {
        assert!(Instant::now() < end, "{what}: {:?}", broker.counters().net);
        std::thread::yield_now();
    }
}

#[test]
fn a_shard_rests_again_after_descriptors_were_short() {
    let broker = broker(1);
    let address = broker.addresses()[0];
    // The shard runs, and has all the descriptors it needs for itself.
    Client::connect(address, Version::V5, "first").disconnect();
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(256);
    setrlimit(Resource::Nofile, limit).unwrap();
    // The time between the refusal and the new try is short, so a loaded machine may miss it.
    for round in 1..=5_u64 {
        let before = broker.counters();
        let mut fill: Vec<File> = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            fill.push(file);
        }
        fill.pop();
        // It takes the last descriptor on this side, so that the broker has none for it.
        let first = TcpStream::connect(address).unwrap();
        let failed = before.net.accepts_failed;
        until(&broker, "a refused accept", |it| it.net.accepts_failed > failed);
        fill.clear();
        let second = TcpStream::connect(address).unwrap();
        until(&broker, "both taken", |it| it.core.connections_now == 2);
        drop((first, second));
        until(&broker, "both gone", |it| it.core.connections_now == 0);
        // Beyond the moment of the new try.
        std::thread::sleep(WATCHED);
        let turns = broker.counters().net.turns;
        std::thread::sleep(WATCHED);
        let more = broker.counters().net.turns - turns;
        assert!(more < 1000, "round {round}: {more} turns of an idle shard");
    }
    assert!(broker.stop());
}
