//! `noctule top` in a pipe: against the broker itself, against mosquitto, and against brokers that
//! refuse, are old, or mean harm.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broker;
#[path = "../../noctule-client/tests/broker/mod.rs"]
mod other;

use broker::Broker;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const FAST: &str = "sys_interval_secs = 1";

fn top(port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noctule"));
    command.args(["top", "-h", "127.0.0.1", "-p", &port.to_string()]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(port: u16, arguments: &[&str]) -> Output {
    top(port, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A `noctule top` that goes on, read line by line.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
    errors: BufReader<ChildStderr>,
}

impl Watch {
    fn start(port: u16, arguments: &[&str]) -> Watch {
        let mut child = top(port, arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let errors = BufReader::new(child.stderr.take().unwrap());
        Watch { child, lines, errors }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "it has ended");
        line
    }

    /// The first snapshot that is as wanted.
    fn snapshot(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let value = serde_json::from_str(&self.line()).unwrap();
            if wanted(&value) {
                return value;
            }
        }
    }

    fn complaint(&mut self) -> String {
        let mut line = String::new();
        self.errors.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Publishes to a topic, steadily, until the value is dropped.
struct Publisher {
    child: Child,
    ends: Arc<AtomicBool>,
}

impl Publisher {
    fn start(port: u16, topic: &str) -> Publisher {
        let mut child = Command::new(env!("CARGO_BIN_EXE_noctule"))
            .args(["pub", "-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-l", "-t", topic])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) && stdin.write_all(b"0123456789\n").is_ok() {
                // A pace that no budget and no machine has trouble with.
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        Publisher { child, ends }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn one_snapshot_as_text_and_as_json() {
    let broker = Broker::start("top-once", FAST);
    let output = run(broker.port, &["--once"]);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    let place = format!("127.0.0.1:{}, noctule version ", broker.port);
    assert!(lines[0].starts_with(&place), "{lines:#?}");
    for name in ["messages in", "dropped", "clients connected", "retained", "heap"] {
        assert!(lines.iter().any(|line| line.starts_with(name)), "{name} in {lines:#?}");
    }
    let output = run(broker.port, &["--once", "--json"]);
    assert!(output.status.success());
    let line = text(&output.stdout);
    assert_eq!(line.lines().count(), 1);
    let value: Value = serde_json::from_str(line).unwrap();
    assert!(value["broker"]["version"].as_str().unwrap().starts_with("noctule version"));
    assert!(value["clients"]["connected"].is_u64() && value["retained"]["messages"].is_u64());
    assert!(value["topics"].is_null());
}

fn rates_and_busiest_topics(port: u16) {
    let _publisher = Publisher::start(port, "home/kitchen");
    let mut watch = Watch::start(port, &["--json", "--interval", "1", "--topics"]);
    let value = watch.snapshot(|value| {
        value["rates"]["publish_received"]["now"].as_f64().is_some_and(|rate| rate > 0.0)
            && value["topics"]["published"].as_u64().is_some_and(|count| count > 0)
    });
    let topics = &value["topics"];
    assert_eq!(topics["filter"], "#");
    assert_eq!(topics["busiest"][0]["topic"], "home/kitchen");
    assert_eq!(topics["busiest"][0]["share"], 1.0);
    // Each payload is ten bytes.
    let rate = |name: &str| topics["busiest"][0][name].as_f64().unwrap();
    assert!(rate("messages") > 0.0 && (rate("bytes") / rate("messages") - 10.0).abs() < 1e-6);
    assert!(topics["heard"].as_u64().unwrap() > 0);
    assert!(topics["listening"].as_f64().unwrap() > 0.9);
}

#[test]
fn noctule_tells_rates_and_a_sample_the_busiest_topics() {
    let broker = Broker::start("top-rates", FAST);
    rates_and_busiest_topics(broker.port);
}

#[test]
fn mosquitto_tells_rates_and_a_sample_the_busiest_topics() {
    let settings = "allow_anonymous true\nsys_interval 1";
    let Some(broker) = other::Mosquitto::start(settings) else { return };
    rates_and_busiest_topics(broker.port);
    let output = run(broker.port, &["--once", "-V", "311"]);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("mosquitto version"));
}

#[test]
fn an_address_may_name_another_way_to_the_broker() {
    let folder = std::env::temp_dir().join(format!("noctule-top-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("broker.sock").display().to_string();
    // Started by root, it would become somebody who may not write there.
    let settings = format!("allow_anonymous true\nsys_interval 1\nuser root\nlistener 0 {socket}");
    if let Some(_broker) = other::Mosquitto::start(&settings) {
        // The process may still be at work on its second listener.
        while !std::fs::exists(&socket).unwrap() {
            std::thread::yield_now();
        }
        let address = format!("unix://{socket}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_noctule"));
        let output = command.args(["top", &address, "--once"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(text(&output.stdout).contains("mosquitto version"));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_sample_keeps_to_its_budget_and_says_how_much_it_heard() {
    let broker = Broker::start("top-budget", FAST);
    let _publisher = Publisher::start(broker.port, "busy");
    let arguments = ["--json", "--interval", "1", "--topics", "--sample-rate", "20"];
    let mut watch = Watch::start(broker.port, &arguments);
    let value = watch.snapshot(|value| {
        value["topics"]["listening"].as_f64().is_some_and(|part| part < 0.9)
            && value["topics"]["published"].as_u64().is_some_and(|count| count > 0)
    });
    let topics = &value["topics"];
    assert!(topics["heard"].as_u64().unwrap() < topics["published"].as_u64().unwrap());
    assert_eq!(topics["busiest"][0]["topic"], "busy");
}

#[test]
fn a_broker_that_goes_and_comes_is_watched_on() {
    let broker = Broker::start("top-again", FAST);
    let port = broker.port;
    let mut watch = Watch::start(port, &["--json", "--interval", "1"]);
    watch.snapshot(|value| value["broker"]["connected"] == true);
    drop(broker);
    assert!(watch.complaint().starts_with("Connection lost: "));
    let lost = watch.snapshot(|value| value["broker"]["connected"] == false);
    assert!(!lost["broker"]["lost"].as_str().unwrap().is_empty());
    let _broker = Broker::start_at("top-again", port, FAST);
    let value = watch.snapshot(|value| value["broker"]["connected"] == true);
    assert!(value["broker"]["lost"].is_null());
    assert!(std::iter::from_fn(|| Some(watch.complaint())).any(|line| line == "Connected again\n"));
}

#[test]
fn a_broker_without_sys_is_an_error_that_says_what_to_do() {
    let broker = Broker::start("top-silent", "sys_interval_secs = 0");
    let output = run(broker.port, &["--once"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("sys_interval_secs"), "{}", text(&output.stderr));
    // Topics can be had all the same.
    let _publisher = Publisher::start(broker.port, "there");
    let output = run(broker.port, &["--once", "--json", "--topics", "there/#"]);
    assert_eq!(output.status.code(), Some(0));
    let value: Value = serde_json::from_str(text(&output.stdout)).unwrap();
    assert_eq!(value["topics"]["busiest"][0]["topic"], "there");
    assert!(text(&output.stderr).contains("sys_interval_secs"));
}

#[test]
fn wrong_use_and_no_broker_are_errors() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = run(free, &["--once"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("start the server"), "{}", text(&output.stderr));
    let output = run(free, &["--topics", "a/#/b"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("a/#/b"));
    assert_eq!(run(free, &["--interval", "0"]).status.code(), Some(2));
}

/// A broker whose every byte is the test's.
struct Scripted(TcpListener);

impl Scripted {
    fn start() -> (Scripted, u16) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        (Scripted(socket), port)
    }

    /// A connection with its CONNECT, and the version in it.
    fn accept(&self) -> (TcpStream, u8) {
        let (mut stream, _) = self.0.accept().unwrap();
        let connect = packet(&mut stream);
        (stream, connect[8])
    }

    /// A connection of MQTT 3.1.1 that is let in, and its SUBSCRIBE, granted with this code.
    fn subscribed(&self, code: u8) -> TcpStream {
        let (mut stream, _) = self.accept();
        stream.write_all(&[0x20, 2, 0, 0]).unwrap();
        let subscribe = packet(&mut stream);
        stream.write_all(&[0x90, 3, subscribe[2], subscribe[3], code]).unwrap();
        stream
    }
}

/// The next packet, of fewer than 128 bytes.
fn packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body).unwrap();
    [head.as_slice(), &body].concat()
}

/// PUBLISH of QoS 0, retained.
fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let size = u8::try_from(2 + topic.len() + payload.len()).unwrap();
    assert!(size < 128);
    let mut bytes = vec![0x31, size, 0, u8::try_from(topic.len()).unwrap()];
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn a_refused_subscription_is_told_with_the_way_out() {
    let (broker, port) = Scripted::start();
    let child = top(port, &["-V", "311"]).spawn().unwrap();
    let stream = broker.subscribed(0x80);
    let output = child.wait_with_output().unwrap();
    drop(stream);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("$SYS/#") && said.contains("acl_file"), "{said}");
}

#[test]
fn a_broker_that_knows_no_mqtt_5_is_asked_again_in_3_1_1() {
    let (broker, port) = Scripted::start();
    let mut child = top(port, &["--once"]).spawn().unwrap();
    let (mut stream, version) = broker.accept();
    assert_eq!(version, 5);
    // What such a broker says: unacceptable protocol version, in its own version's form.
    stream.write_all(&[0x20, 2, 0, 1]).unwrap();
    let (stream, version) = broker.accept();
    assert_eq!(version, 4);
    drop(stream);
    child.wait().unwrap();
}

#[test]
fn what_a_hostile_broker_says_does_not_reach_the_terminal_as_it_is() {
    for shape in [&["--once", "-V", "311"][..], &["--once", "--json", "-V", "311"]] {
        let (broker, port) = Scripted::start();
        let child = top(port, shape).spawn().unwrap();
        let mut stream = broker.subscribed(0);
        for (topic, payload) in [
            ("$SYS/broker/version", "\x1b]0;owned\x07\u{9b}2J\r\n".as_bytes()),
            ("$SYS/broker/uptime", b"18446744073709551615 seconds"),
            ("$SYS/broker/clients/connected", b"18446744073709551615"),
            ("$SYS/broker/load/connections/1min", b"1e308"),
            ("$SYS/broker/heap/current", b"\xff\xfe"),
            ("$SYS/broker/clients/total", b""),
        ] {
            stream.write_all(&publish(topic, payload)).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = text(&output.stdout);
        assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
        assert!(said.contains("owned"), "{said}");
    }
}

#[test]
fn a_broker_with_another_layout_is_an_error_that_names_what_it_has() {
    let (broker, port) = Scripted::start();
    let child = top(port, &["--once", "-V", "311"]).spawn().unwrap();
    let mut stream = broker.subscribed(0);
    stream.write_all(&publish("$SYS/brokers/\u{202e}node/uptime", b"1")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("$SYS/brokers/\\u{202e}node/uptime"), "{said}");
}

#[test]
fn nobody_reading_any_more_is_a_quiet_end() {
    let broker = Broker::start("top-head", FAST);
    let mut watch = Watch::start(broker.port, &["--json", "--interval", "1"]);
    watch.line();
    let Watch { child, lines, errors } = &mut watch;
    // A reader of another pipe takes its place, so that this one is closed.
    let mut idle = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    drop(std::mem::replace(lines, BufReader::new(idle.stdout.take().unwrap())));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    errors.read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    idle.wait().unwrap();
}
