//! What `noctule pub`, `sub` and `rr` do better under their own name than under mosquitto's:
//! errors with a way out, and colours and readable JSON on a terminal.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broker;
mod terminal;

use broker::Broker;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use terminal::Terminal;

const NOCTULE: &str = env!("CARGO_BIN_EXE_noctule");

/// A folder that is of one test only, and empty.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    // It is not there the first time.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A socket for a broker that says what a test wants, and its port.
fn fake() -> (TcpListener, String) {
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = broker.local_addr().unwrap().port().to_string();
    (broker, port)
}

/// The next packet, of fewer than 128 bytes.
fn packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body).unwrap();
    [head.as_slice(), &body].concat()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn ours(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(Path::new(NOCTULE), arguments);
    (output.status.code(), text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
}

#[test]
fn a_refused_connection_is_told_with_its_code_its_meaning_and_a_way_out() {
    let (broker, port) = fake();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = broker.accept() {
            packet(&mut stream);
            stream.write_all(&[0x20, 3, 0, 135, 0]).unwrap();
        }
    });
    for (tool, last) in [("pub", "-m"), ("sub", "-F"), ("rr", "-m")] {
        let mut arguments = vec![tool, "-p", &port, "-t", "a", last, "x", "-V", "5"];
        if tool == "rr" {
            arguments.extend(["-e", "b"]);
        }
        let (code, stdout, stderr) = ours(&arguments);
        assert_eq!((code, stdout.as_str()), (Some(135), ""), "{tool}");
        assert_eq!(
            stderr,
            "Error: the server refused the connection: not authorized (code 135) \
             (likely fix: use a user name with the right to do this, or have it granted)\n"
        );
        arguments.push("--quiet");
        assert_eq!(ours(&arguments), (Some(135), String::new(), String::new()));
    }
}

#[test]
fn a_broker_that_is_not_there_is_told_with_a_way_out() {
    let broker = Broker::start("own-absent", "");
    let port = broker.port.to_string();
    drop(broker);
    for arguments in [["pub", "-m"], ["sub", "-F"]] {
        let [tool, last] = arguments;
        let (code, _, stderr) = ours(&[tool, "-p", &port, "-t", "a", last, "x"]);
        assert_eq!(code, Some(1));
        let told = format!("Error: cannot connect to 127.0.0.1:{port}: Connection refused");
        assert!(stderr.starts_with(&told), "{stderr}");
        assert!(stderr.ends_with("(likely fix: start the server, or check host and port)\n"));
    }
}

#[test]
fn a_message_that_is_not_allowed_is_told_with_its_code() {
    let (broker, port) = fake();
    let refusing = std::thread::spawn(move || {
        let (mut stream, _) = broker.accept().unwrap();
        packet(&mut stream);
        stream.write_all(&[0x20, 3, 0, 0, 0]).unwrap();
        let publish = packet(&mut stream);
        // Behind the topic "bad" comes the identifier of the packet.
        stream.write_all(&[0x40, 3, publish[7], publish[8], 135]).unwrap();
        packet(&mut stream)
    });
    let line = ["pub", "-p", &port, "-t", "bad", "-m", "x", "-q", "1", "-V", "5"];
    let (code, _, stderr) = ours(&line);
    assert_eq!(code, Some(0), "as mosquitto_pub ends");
    assert!(stderr.starts_with("Warning: Publish 1 failed: "), "{stderr}");
    assert!(stderr.contains("not authorized (code 135)"), "{stderr}");
    assert_eq!(refusing.join().unwrap()[0], 0xE0, "a goodbye");
}

#[test]
fn a_terminal_gets_colours_and_readable_json_and_a_pipe_does_not() {
    let broker = Broker::start("own-terminal", "");
    let port = broker.port.to_string();
    for (topic, payload) in [("own/json", r#"{"a":1}"#), ("own/none", "")] {
        let published = ours(&["pub", "-p", &port, "-t", topic, "-m", payload, "-r"]);
        assert_eq!(published, (Some(0), String::new(), String::new()));
    }
    let plain = ["sub", "-p", &port, "-t", "own/json", "-C", "1", "-v"];
    let json = ["sub", "-p", &port, "-t", "own/json", "-C", "1", "-F", "%J"];
    let on_terminal = |program: &Path, arguments: &[&str], bare: bool| {
        let mut command = Command::new(program);
        command.args(arguments);
        let terminal = if bare {
            command.env("NO_COLOR", "1");
            Terminal::start_as_is(command)
        } else {
            Terminal::start(command)
        };
        let (status, printed) = terminal.end();
        assert_eq!(status.code(), Some(0));
        printed.replace("\r\n", "\n")
    };
    let own = Path::new(NOCTULE);
    assert_eq!(on_terminal(own, &plain, false), "\x1b[36mown/json\x1b[0m {\"a\":1}\n");
    assert_eq!(on_terminal(own, &plain, true), "own/json {\"a\":1}\n");
    let pretty = on_terminal(own, &json, false);
    assert!(pretty.contains("\n\t\"topic\":\t\"own/json\",\n"), "{pretty}");

    let link = folder("own-terminal-links").join("mosquitto_sub");
    std::os::unix::fs::symlink(NOCTULE, &link).unwrap();
    assert_eq!(on_terminal(&link, &plain[1..], false), "own/json {\"a\":1}\n");
    assert_eq!(on_terminal(&link, &json[1..], false).lines().count(), 1);

    assert_eq!(ours(&plain).1, "own/json {\"a\":1}\n");
    assert_eq!(ours(&json).1.lines().count(), 1);
}
