//! `noctule pub` and `noctule sub` when something goes wrong around them: signals, pipes, wrong
//! use.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
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
fn an_interrupted_pub_is_no_success() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let (broker, port) = Broker::start();
        let mut child = noctule(&["pub", "-p", &port, "-t", "a", "-m", "x", "-q", "1"]);
        let mut child = child.spawn().unwrap();
        let (mut stream, _) = broker.accept();
        assert_eq!(packet(&mut stream)[0], 0x32, "a PUBLISH that is never acknowledged");
        signal(&child, name);
        assert_eq!(packet(&mut stream)[0], 0xE0, "a goodbye");
        drop(stream);
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn a_broker_that_takes_nothing_does_not_hold_an_interrupted_pub() {
    let (broker, port) = Broker::start();
    let mut child = noctule(&["pub", "-p", &port, "-t", "a", "-s"]);
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    // More than the buffers of a connection take.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&vec![0; 32 << 20]).unwrap();
    drop(stdin);
    let (mut stream, _) = broker.accept();
    stream.read_exact(&mut [0; 16]).unwrap();
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
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
fn a_password_without_a_user_name_is_left_out_with_a_warning() {
    for quiet in [false, true] {
        let (broker, port) = Broker::start();
        let mut command = noctule(&["pub", "-p", &port, "-t", "a", "-n", "-P", "secret"]);
        if quiet {
            command.arg("--quiet");
        }
        let child = command.spawn().unwrap();
        let (mut stream, connect) = broker.accept();
        assert_eq!(connect[9] & 0xC0, 0, "neither user name nor password");
        while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        drop(stream);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let said = String::from_utf8_lossy(&output.stderr).contains("Not using password");
        assert_eq!(said, !quiet);
    }
}

#[test]
fn wrong_use_ends_with_the_code_that_is_documented() {
    for name in ["pub", "sub"] {
        let wrong = run(&[name, "--no-such-flag"]);
        assert_eq!(wrong.status.code(), Some(1), "{name}");
        assert!(!wrong.stderr.is_empty());
        let wrong = run(&[name, "-q", "3", "--quiet"]);
        assert_eq!(wrong.status.code(), Some(1), "{name}");
        assert!(wrong.stderr.is_empty(), "told to be quiet");
        let help = run(&[name, "--help"]);
        assert_eq!(help.status.code(), Some(0));
        assert!(!help.stdout.is_empty());
    }
    assert_eq!(run(&["serve", "--no-such-flag"]).status.code(), Some(2));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}
