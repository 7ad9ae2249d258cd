//! `noctule bench` against `noctule serve`: every scenario, with accounts that have to be clean.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use noctule_bench::{Report, Run};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const NOCTULE: &str = env!("CARGO_BIN_EXE_noctule");

/// A running broker.
struct Broker {
    child: Child,
    port: u16,
}

impl Broker {
    fn start() -> Broker {
        Broker::start_with(&["--memory", "-p", "0"])
    }

    fn start_with(arguments: &[&str]) -> Broker {
        let mut child = Command::new(NOCTULE)
            .arg("serve")
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut lines = log.lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("listening on 127.0.0.1:")).unwrap();
        let port = line.split("127.0.0.1:").nth(1).unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        // Somebody has to read what else it says.
        std::thread::spawn(move || lines.for_each(drop));
        Broker { child, port: port.parse().unwrap() }
    }

    fn bench(&self, arguments: &[&str]) -> Output {
        let (port, pid) = (self.port.to_string(), self.child.id().to_string());
        Command::new(NOCTULE)
            .arg("bench")
            .args(arguments)
            .args(["-h", "127.0.0.1", "-p", &port, "--pid", &pid])
            .output()
            .unwrap()
    }

    /// The only run of a measurement that has to succeed.
    fn run(&self, arguments: &[&str]) -> Run {
        let output = self.bench(&[arguments, &["--json", "-"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        let report = Report::from_json(&String::from_utf8(output.stdout).unwrap()).unwrap();
        let [run] = &report.runs[..] else { panic!("{arguments:?}: {} runs", report.runs.len()) };
        run.clone()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn assert_clean(run: &Run, what: &[&str]) {
    for name in ["lost", "duplicated", "reordered"] {
        assert!(run.value(name).is_none_or(|count| count == 0.0), "{what:?}: {name}: {run:?}");
    }
    for name in ["foreign", "of_earlier_runs", "retained_copies", "refused", "not_acknowledged"] {
        assert!(run.value(name).is_none_or(|count| count == 0.0), "{what:?}: {name}: {run:?}");
    }
}

#[test]
fn every_pattern_at_every_qos_arrives_whole() {
    let broker = Broker::start();
    for (version, extras) in [("311", &[][..]), ("5", &["--aliases", "--user-properties", "2"])] {
        for pattern in ["pairs", "fan-in", "fan-out", "shared", "wildcard"] {
            for qos in ["0", "1", "2"] {
                let what = ["throughput", "--pattern", pattern, "-q", qos, "-V", version];
                let size = ["--messages", "1000", "--warmup", "0", "--window", "8"];
                let run = broker.run(&[&what, &size[..], extras].concat());
                assert_clean(&run, &what);
                assert_eq!(run.value("sent"), Some(1000.0), "{what:?}");
                let copies = if pattern == "fan-out" { 100.0 } else { 1.0 };
                let copies = if pattern == "wildcard" { 5.0 } else { copies };
                assert_eq!(run.value("received"), Some(1000.0 * copies), "{what:?}");
                assert!(run.value("broker_cpu_per_message").is_some_and(|cost| cost > 0.0));
            }
        }
    }
}

#[test]
fn tls_carries_the_same_with_and_without_certificates_of_clients() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = Command::new(NOCTULE)
        .args(["cert", "--client", "bench", "--dir", &path("certs")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let config = "[[listener]]\nport = 0\n[listener.tls]\ncertificate = \"certs/server.crt\"\n\
                  key = \"certs/server.key\"\nclient_ca = \"certs/ca.crt\"\n\
                  client_certificates = \"optional\"\n";
    std::fs::write(path("noctule.toml"), config).unwrap();
    let broker = Broker::start_with(&["--memory", "--config", &path("noctule.toml")]);
    let (ca, cas) = (path("certs/ca.crt"), path("certs"));
    let (cert, key) = (path("certs/bench.crt"), path("certs/bench.key"));
    let flags: [&[&str]; 3] = [
        &["--cafile", &ca],
        &["--capath", &cas, "--insecure"],
        &["--cafile", &ca, "--cert", &cert, "--key", &key],
    ];
    for tls in flags {
        // Records of TLS end within packets, and packets within records.
        for size in ["64", "100000"] {
            let what = ["throughput", "-q", "1", "--publishers", "3", "--messages", "600"];
            let what = [&what[..], &["--size", size, "--warmup", "0"], tls].concat();
            assert_clean(&broker.run(&what), &what);
        }
    }
    for trusting_the_system in ["--tls", "--insecure"] {
        let refused = broker.bench(&["throughput", "--messages", "10", trusting_the_system]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("certificate"), "{said}");
    }
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let what = ["latency", "--rate", "2000", "--messages", "500", "--warmup", "0", "-q", "1"];
    let run = Broker::start().run(&what);
    assert_clean(&run, &what);
    assert_eq!(run.value("received"), Some(500.0));
    assert!(run.value("latency_p50").is_some() && run.value("schedule_lateness_p99").is_some());
}

#[test]
fn fleets_come_and_go() {
    let broker = Broker::start();
    let storm = broker.run(&["connect", "-n", "300"]);
    assert_eq!((storm.value("connected"), storm.value("failed")), (Some(300.0), Some(0.0)));
    let what = ["connect", "--kind", "idle", "-n", "300", "--seconds", "0.2", "-V", "5"];
    let idle = broker.run(&what);
    assert_eq!(idle.value("lost_while_idle"), Some(0.0));
    assert!(idle.value("memory_per_connection").is_some());
    let devices = ["connect", "--kind", "telemetry", "-n", "200", "--interval", "0.2"];
    let telemetry = broker.run(&[&devices[..], &["--seconds", "0.5"]].concat());
    assert_clean(&telemetry, &devices);
    assert!(telemetry.value("received").is_some_and(|count| count > 0.0));
}

#[test]
fn what_is_kept_comes_back_whole() {
    let broker = Broker::start();
    for (version, qos) in [("311", "1"), ("5", "2")] {
        let what = ["retained", "-n", "2000", "-V", version, "-q", qos];
        let run = broker.run(&what);
        assert_clean(&run, &what);
        assert!(run.value("time_to_all").is_some_and(|time| time > 0.0), "{run:?}");
        let what = ["offline", "-n", "10", "--messages", "100", "-V", version, "-q", qos];
        let run = broker.run(&what);
        assert_clean(&run, &what);
        assert_eq!(run.value("received"), Some(1000.0));
    }
}

#[test]
fn durable_starts_brokers_of_its_own_and_takes_away_what_they_leave() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-durable");
    std::fs::create_dir_all(&folder).unwrap();
    let output = Command::new(NOCTULE)
        .args(["bench", "durable", "--class", "memory", "--part", "publish,fan-out,churn"])
        .args(["--messages", "5000", "--seconds", "0.4", "--warmup", "0.1", "--json", "-"])
        .arg("--directory")
        .arg(&folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = Report::from_json(&String::from_utf8(output.stdout).unwrap()).unwrap();
    let run = &report.runs[0];
    for name in ["bare_syncs_per_second", "publish_acknowledged_per_second"] {
        assert!(run.value(name).is_some_and(|rate| rate > 0.0), "{name}: {run:?}");
    }
    for name in ["fan_out_broker_cpu_per_reference", "churn_broker_cpu_per_message"] {
        assert!(run.value(name).is_some_and(|time| time > 0.0), "{name}: {run:?}");
    }
    assert_eq!(run.value("churn_lost"), Some(0.0));
    assert_eq!(run.value("fan_out_disk_per_reference"), Some(0.0), "memory keeps nothing");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn durable_does_not_ask_the_forgetful_what_they_remember() {
    for part in ["start", "drain"] {
        let output = Command::new(NOCTULE)
            .args(["bench", "durable", "--class", "memory", "--part", part])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&format!("{part} asks whether something survives")), "{said}");
    }
}

#[test]
fn subscriptions_are_taken_and_changed() {
    let what = ["subscriptions", "--clients", "5", "-n", "200", "--seconds", "0.2"];
    let run =
        Broker::start().run(&[&what[..], &["--wildcards", "20", "--per-packet", "30"]].concat());
    assert_clean(&run, &what);
    assert!(run.value("changes_per_second").is_some_and(|rate| rate > 0.0), "{run:?}");
}

#[test]
fn results_are_compared() {
    let broker = Broker::start();
    let folder = std::env::temp_dir().join(format!("noctule-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for name in ["a.json", "b.json"] {
        let output = broker.bench(&[
            "throughput",
            "--messages",
            "500",
            "--warmup",
            "0",
            "--runs",
            "4",
            "--json",
            &file(name),
        ]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("medians of 4 runs"));
    }
    let compare = |a: &str, b: &str| {
        Command::new(NOCTULE).args(["bench", "--compare", a, b]).output().unwrap()
    };
    let both = format!("{},{}", file("a.json"), file("b.json"));
    let output = compare(&both, &file("b.json"));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && table.contains("8 against 4 runs"), "{table}");
    assert!(table.contains("broker cpu per message"), "{table}");
    let output = compare(&file("a.json"), &file("absent.json"));
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("absent.json"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let broker = Broker::start();
    for (arguments, words) in [
        (&["throughput", "--size", "3"][..], "24 bytes"),
        (&["throughput", "--aliases"], "-V 5"),
        (&["throughput", "--window", "0"], "0 window"),
        (&["throughput", "--publishers", "3", "--subscribers", "2"], "pairs"),
        (&["latency", "--rate=-1"], "rate"),
        (&["latency", "--rate", "NaN"], "rate"),
        (&["offline", "-q", "0"], "QoS 0"),
        (&["throughput", "--pattern", "fan-in", "--publishers", "2000"], "--in-flight-max"),
        (&["connect", "--kind", "telemetry", "--interval", "0"], "interval"),
    ] {
        let output = broker.bench(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(words), "{arguments:?}: {said}");
    }
    let output = Command::new(NOCTULE).args(["bench", "throughput", "-p", "1"]).output().unwrap();
    assert!(!output.status.success() && !output.stderr.is_empty());
    let output =
        Command::new(NOCTULE).args(["bench", "connect", "--pid", "4194304"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("4194304"));
}
