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

    /// Accepts a client of MQTT 3.1.1; answers its socket and CONNECT.
    fn accept(&self) -> (TcpStream, Vec<u8>) {
        let (mut stream, _) = self.0.accept().unwrap();
        let connect = packet(&mut stream);
        stream.write_all(&[0x20, 2, 0, 0]).unwrap();
        (stream, connect)
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
        let mut child = noctule(&["pub", "-p", &port, "-t", "a", "-m", "x", "-q", "1"]);
        let mut child = child.spawn().unwrap();
        let (mut stream, _) = broker.accept();
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
    let (mut stream, _) = broker.accept();
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
    let (mut stream, _) = broker.accept();
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
