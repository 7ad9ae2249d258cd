//! Every fault of a relay that is at fault on purpose is counted, each as what it is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod relay;

use noctule_bench::{
    Length, MessageShape, Pace, Pattern, Plan, QoS, Run, Scenario, Target, Traffic, Version,
};
use relay::{Faults, Relay, Tally};
use std::time::Duration;

const ALL: Faults = Faults {
    drop: 7,
    duplicate: 11,
    swap: 13,
    forge: 17,
    earlier: 19,
    retained: 23,
    unacknowledged: false,
    stall: None,
};

fn traffic(pattern: Pattern, publishers: u32, subscribers: u32, qos: QoS) -> Traffic {
    Traffic {
        pattern,
        publishers,
        subscribers,
        message: MessageShape { qos, size: 40, user_properties: 0, aliases: false },
        pace: Pace::Window { window: 16, batch: 8 },
        length: Length::Messages(2000),
        in_flight_max: 1000,
    }
}

fn plan(port: u16, version: Version, traffic: Traffic) -> Plan {
    Plan {
        target: Target {
            host: "127.0.0.1".into(),
            port,
            version,
            user_name: None,
            password: None,
            keep_alive_secs: 60,
            tls: None,
        },
        scenario: Scenario::Traffic(traffic),
        pid: None,
        warmup: Duration::ZERO,
        quiet: Duration::from_secs(2),
        patience: Duration::from_secs(60),
        runs: 1,
        concurrent: 10,
    }
}

fn run(port: u16, version: Version, traffic: Traffic) -> Run {
    let report = noctule_bench::run(&plan(port, version, traffic)).unwrap();
    report.runs.into_iter().next().unwrap()
}

/// What the bench found, in the relay's words.
fn found(run: &Run) -> Tally {
    let count = |name| run.value(name).unwrap_or_default() as u64;
    Tally {
        published: count("sent"),
        due: count("received") + count("lost"),
        dropped: count("lost"),
        duplicated: count("duplicated"),
        reordered: count("reordered"),
        forged: count("foreign"),
        earlier: count("of_earlier_runs"),
        retained: count("retained_copies"),
        stalled: Duration::ZERO,
    }
}

fn check(faults: Faults, version: Version, traffic: Traffic) {
    let what = format!("{traffic:?} {version:?}");
    let relay = Relay::start(faults);
    let run = run(relay.port, version, traffic);
    assert_eq!(found(&run), relay.tally(), "{what}");
}

#[test]
fn a_faithful_relay_has_no_faults() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let relay = Relay::start(Faults::default());
        let run = run(relay.port, Version::V311, traffic(Pattern::Pairs, 3, 3, qos));
        let expected = Tally { published: 2000, due: 2000, ..Tally::default() };
        assert_eq!((found(&run), relay.tally()), (expected, expected), "{qos:?}");
    }
}

#[test]
fn every_fault_is_counted_at_every_qos() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for version in [Version::V311, Version::V5] {
            check(ALL, version, traffic(Pattern::Pairs, 3, 3, qos));
        }
    }
}

#[test]
fn each_fault_is_counted_alone() {
    let none = Faults::default();
    for faults in [
        Faults { drop: 5, ..none },
        Faults { duplicate: 5, ..none },
        Faults { swap: 5, ..none },
        Faults { forge: 5, ..none },
        Faults { earlier: 5, ..none },
        Faults { retained: 5, ..none },
    ] {
        check(faults, Version::V311, traffic(Pattern::Pairs, 2, 2, QoS::AtMostOnce));
    }
}

#[test]
fn faults_are_told_apart_by_stream_whoever_hears_whom() {
    check(ALL, Version::V311, traffic(Pattern::FanIn, 5, 1, QoS::AtMostOnce));
    check(ALL, Version::V311, traffic(Pattern::FanIn, 3, 2, QoS::AtLeastOnce));
    check(ALL, Version::V311, traffic(Pattern::FanOut, 2, 4, QoS::AtMostOnce));
    check(ALL, Version::V5, traffic(Pattern::Wildcard, 3, 3, QoS::ExactlyOnce));
}

#[test]
fn a_window_that_is_lost_whole_does_not_stop_the_loop() {
    let mut traffic = traffic(Pattern::Pairs, 1, 1, QoS::AtMostOnce);
    traffic.pace = Pace::Window { window: 1, batch: 1 };
    traffic.length = Length::Messages(3);
    check(Faults { drop: 2, ..Faults::default() }, Version::V311, traffic);
}

#[test]
fn a_broker_that_does_not_acknowledge_is_found_out() {
    let faults = Faults { unacknowledged: true, ..Faults::default() };
    let relay = Relay::start(faults);
    let run = run(relay.port, Version::V5, traffic(Pattern::Pairs, 1, 1, QoS::AtLeastOnce));
    assert_eq!((found(&run).published, found(&run).dropped), (2000, 0));
    assert_eq!(run.value("not_acknowledged"), Some(2000.0));
}

#[test]
fn an_open_loop_counts_the_wait_from_when_a_message_was_due() {
    const STALL: Duration = Duration::from_millis(500);
    let mut traffic = traffic(Pattern::Pairs, 1, 1, QoS::AtMostOnce);
    traffic.pace = Pace::Rate(1000.0);
    traffic.length = Length::Messages(1000);
    let relay = Relay::start(Faults { stall: Some((300, STALL)), ..Faults::default() });
    let run = run(relay.port, Version::V311, traffic);
    let stalled = relay.tally().stalled;
    assert!(stalled >= STALL, "the relay stalled");
    assert_eq!(found(&run).dropped, 0);
    let nanos = |name| Duration::from_nanos(run.value(name).unwrap() as u64);
    // To a thousandth, as the histogram has it. The message that met the stall waited all of it.
    let least = |time: Duration| time - time / 500;
    assert!(nanos("latency_max") >= least(stalled), "{run:?}");
    // Of 1000 messages, 100 were due within the first 100 ms of the stall and waited for the rest
    // of it. A bench that waits for answers before it goes on sees one late message of 1000.
    assert!(nanos("latency_p90") >= least(stalled - Duration::from_millis(101)), "{run:?}");
}
