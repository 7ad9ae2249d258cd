//! `noctule pub`, `sub` and `rr` when something goes wrong around them: signals, pipes, wrong
//! use.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};

fn noctule(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noctule"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The same with the signal's usual effect, also where this test was started in the background of a
/// shell, which has its children ignore interrupts.
fn interruptible(arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_noctule")]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    noctule(arguments).output().unwrap()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// A broker that lets in whoever comes, and then says what it is told to.
struct Broker(TcpListener);

impl Broker {
    fn start() -> (Broker, String) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port().to_string();
        (Broker(socket), port)
    }

    /// Accepts a client of MQTT 3.1.1.
    fn accept(&self) -> TcpStream {
        self.accept_with(&[0x20, 2, 0, 0])
    }

    /// Accepts a client with this CONNACK.
    fn accept_with(&self, connack: &[u8]) -> TcpStream {
        let (mut stream, _) = self.0.accept().unwrap();
        assert_eq!(packet(&mut stream)[0], 0x10, "CONNECT");
        stream.write_all(connack).unwrap();
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

#[test]
fn an_interrupted_pub_ends_as_any_program_does_and_its_will_is_published() {
    for (name, number) in [("-INT", 2), ("-TERM", 15)] {
        let (broker, port) = Broker::start();
        let mut child = interruptible(&["pub", "-p", &port, "-t", "a", "-m", "x", "-q", "1"]);
        let mut child = child.spawn().unwrap();
        let mut stream = broker.accept();
        assert_eq!(packet(&mut stream)[0], 0x32, "a PUBLISH that is never acknowledged");
        signal(&child, name);
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        assert_eq!(stream.read(&mut [0; 64]).unwrap(), 0, "no goodbye: it has not done its work");
    }
}

#[test]
fn an_interrupted_sub_does_not_wait_for_a_broker_that_says_nothing() {
    let (broker, port) = Broker::start();
    let mut child = noctule(&["sub", "-p", &port, "-t", "a"]).spawn().unwrap();
    let mut stream = broker.accept();
    assert_eq!(packet(&mut stream)[0], 0x82, "SUBSCRIBE");
    signal(&child, "-INT");
    assert_eq!(packet(&mut stream)[0], 0xE0, "a goodbye");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn sub_ends_quietly_when_nobody_reads_its_output_any_more() {
    let (broker, port) = Broker::start();
    let mut child = noctule(&["sub", "-p", &port, "-t", "#"]).spawn().unwrap();
    let mut stream = broker.accept();
    let subscribe = packet(&mut stream);
    stream.write_all(&[0x90, 3, subscribe[2], subscribe[3], 0]).unwrap();
    // PUBLISH to "a", more at a time than one buffer holds.
    let mut messages = Vec::new();
    for _ in 0..1000 {
        messages.extend_from_slice(&[0x30, 103, 0, 1, b'a']);
        messages.extend_from_slice(&[b'x'; 100]);
    }
    stream.write_all(&messages).unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line.len(), 101);
    drop(out);
    // It learns of it with its next writes, which are many: the stream goes on until it leaves.
    while stream.write_all(&messages).is_ok() {}
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn who_reads_slowly_keeps_sub_from_nothing_but_printing() {
    let (broker, port) = Broker::start();
    let mut child = noctule(&["sub", "-p", &port, "-t", "a", "-V", "5"]).spawn().unwrap();
    // The server wants to hear something each second.
    let mut stream = broker.accept_with(&[0x20, 6, 0, 0, 3, 0x13, 0, 1]);
    let subscribe = packet(&mut stream);
    stream.write_all(&[0x90, 4, subscribe[2], subscribe[3], 0, 0]).unwrap();
    let mut sender = stream.try_clone().unwrap();
    let mut message = vec![0x30, 104, 0, 1, b'a', 0];
    message.extend_from_slice(&[b'x'; 100]);
    let sending = std::thread::spawn(move || {
        // Several times what pipes and buffers hold; it is over when all is taken.
        for _ in 0..100_000 {
            sender.write_all(&message).unwrap();
        }
    });
    for _ in 0..2 {
        // An answer would be behind all the messages.
        assert_eq!(packet(&mut stream), [0xC0, 0], "PINGREQ, though nobody reads");
    }
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..100_000 {
        line.clear();
        out.read_line(&mut line).unwrap();
        assert_eq!(line.len(), 101);
    }
    sending.join().unwrap();
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn lines_go_on_over_the_next_connection() {
    let (broker, port) = Broker::start();
    let line = ["pub", "-p", &port, "-t", "a", "-l", "-q", "1"];
    let mut child = noctule(&line).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stream = broker.accept();
    stdin.write_all(b"one\n").unwrap();
    let first = packet(&mut stream);
    assert_eq!(&first[7..], b"one");
    drop(stream);
    stdin.write_all(b"two\n").unwrap();
    drop(stdin);
    let mut stream = broker.accept();
    let mut payloads = Vec::new();
    for _ in 0..2 {
        let publish = packet(&mut stream);
        stream.write_all(&[0x40, 2, publish[5], publish[6]]).unwrap();
        payloads.push(publish[7..].to_vec());
    }
    assert_eq!(payloads, [b"one", b"two"]);
    assert_eq!(packet(&mut stream)[0], 0xE0, "a goodbye");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn wrong_use_ends_with_the_code_that_is_documented() {
    for name in ["pub", "sub", "rr"] {
        let wrong = run(&[name, "--no-such-flag"]);
        assert_eq!(wrong.status.code(), Some(1), "{name}");
        assert!(!wrong.stderr.is_empty());
        let pointed = format!("Use 'noctule {name} --help' to see usage.");
        assert!(String::from_utf8_lossy(&wrong.stderr).contains(&pointed));
        let help = run(&[name, "--help"]);
        assert_eq!(help.status.code(), Some(0));
        assert!(!help.stdout.is_empty());
    }
    assert_eq!(run(&["serve", "--no-such-flag"]).status.code(), Some(2));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}
