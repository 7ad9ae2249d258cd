//! The broker as a process: its first words, signals, exit codes, and the commands around it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};

/// Tests leave no state behind.
const KEEP_NOTHING: &str = "[durability]\nclass = \"memory\"\n";

/// A running `noctule serve`.
struct Broker {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Broker {
    fn start(arguments: &[&str]) -> Broker {
        let mut child = Command::new(env!("CARGO_BIN_EXE_noctule"))
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built for this test");
        let log = BufReader::new(child.stderr.take().expect("it was asked for"));
        Broker { child, log }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.log.read_line(&mut line).unwrap();
        line
    }

    /// The first line from here on that contains `text`.
    fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the log ended without {text:?}");
            if line.contains(text) {
                return line;
            }
        }
    }

    fn port(&mut self) -> u16 {
        let line = self.line_with("listening on 127.0.0.1:");
        let rest = line.split("127.0.0.1:").nth(1).unwrap();
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

fn noctule(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_noctule"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built for this test");
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A file of its own for one test.
fn file(name: &str, content: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn the_first_line_says_that_nothing_is_kept_and_the_last_what_to_try() {
    let mut broker = Broker::start(&["-p", "0", "--memory"]);
    assert!(broker.line().contains("keeps nothing"));
    let port = broker.port();
    let next = broker.line_with("try: ");
    assert!(next.contains(&format!("noctule sub -p {port} -t '#' -v")), "{next}");
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    broker.signal("-INT");
    assert_eq!(broker.end().code(), Some(0));
}

#[test]
fn sigterm_says_goodbye_and_ends_with_status_0() {
    let mut broker = Broker::start(&["serve", "--memory", "--shards", "2", "-p", "0"]);
    let port = broker.port();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // CONNECT of MQTT 5, client id "a".
    client.write_all(b"\x10\x0e\0\x04MQTT\x05\x02\0\x0a\0\0\x01a").unwrap();
    let mut first = [0; 4];
    client.read_exact(&mut first).unwrap();
    broker.signal("-TERM");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    // The last packet is DISCONNECT 0x8B, server shutting down.
    let at = rest.iter().rposition(|byte| *byte == 0xE0).unwrap();
    assert_eq!(rest[at + 2], 0x8B);
    drop(client);
    broker.line_with("stopped");
    assert_eq!(broker.end().code(), Some(0));
}

#[test]
fn sighup_reads_the_file_again_and_a_broken_file_changes_nothing() {
    let head = format!("{KEEP_NOTHING}[[listener]]\nport = 0\n[admin]\nenabled = false\n");
    let path = file("sighup.toml", &head);
    let mut broker = Broker::start(&["serve", "-c", path.to_str().unwrap()]);
    broker.line_with("try: ");
    std::fs::write(&path, format!("{head}[limits]\nqos_max = 7\n")).unwrap();
    broker.signal("-HUP");
    let line = broker.line_with("stays as it was");
    assert!(line.contains("sighup.toml:8: limits.qos_max: 7 is wrong"), "{line}");
    std::fs::write(&path, format!("shards = 7\n{head}[limits]\nqos_max = 1\n")).unwrap();
    broker.signal("-HUP");
    let line = broker.line_with("needs a restart");
    assert!(line.trim_end().ends_with(": shards"), "{line}");
    std::fs::write(&path, format!("{head}[log]\nlevel = \"error\"\n")).unwrap();
    broker.signal("-HUP");
    broker.signal("-TERM");
    assert_eq!(broker.end().code(), Some(0));
}

#[test]
fn a_port_in_use_is_an_error_with_the_way_out() {
    let mut first = Broker::start(&["-p", "0", "--memory"]);
    let port = first.port().to_string();
    let mut second = Broker::start(&["-p", &port, "--memory"]);
    let line = second.line_with("in use");
    assert!(line.contains("noctule serve -p PORT"), "{line}");
    assert_ne!(second.end().code(), Some(0));
    first.signal("-TERM");
    assert_eq!(first.end().code(), Some(0));
}

#[test]
fn what_is_kept_is_said_before_anything_else_and_where() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("kept");
    let mut broker = Broker::start(&["-p", "0", "--data", folder.to_str().unwrap()]);
    let line = broker.line();
    let expected = format!("keeps what it acknowledges in {} (fsync)", folder.display());
    assert!(line.contains(&expected), "{line}");
    broker.signal("-TERM");
    broker.end();
}

/// The configuration in force for these variables and arguments, or the error.
fn config(variables: &[(&str, &str)], arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_noctule"))
        .arg("config")
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = |bytes: &[u8]| text(bytes).to_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

#[test]
fn the_configuration_in_force_names_class_and_directory() {
    let home = [("HOME", "/home/me")];
    let shown = config(&home, &[]).unwrap();
    let first = "# noctule keeps what it acknowledges in /home/me/.local/state/noctule (fsync)\n";
    assert!(shown.starts_with(first), "{shown}");
    assert!(shown.contains("data = \"/home/me/.local/state/noctule\""), "{shown}");
    let systemd = [("STATE_DIRECTORY", "/var/lib/a:/b"), ("HOME", "/home/me")];
    assert!(config(&systemd, &[]).unwrap().contains("data = \"/var/lib/a\""));
    assert!(config(&home, &["--data", "/d"]).unwrap().contains("data = \"/d\""));
    let memory = config(&home, &["--memory"]).unwrap();
    assert!(memory.starts_with("# noctule keeps nothing") && memory.contains("class = \"memory\""));
    let path = file("memory.toml", KEEP_NOTHING);
    let path = path.to_str().unwrap();
    assert!(config(&[], &["-c", path]).unwrap().starts_with("# noctule keeps nothing"));
    let odd = config(&home, &["-c", path, "--data", "/d"]).unwrap_err();
    assert!(odd.contains("change `durability.class`"), "{odd}");
    assert!(config(&home, &["--memory", "--data", "/d"]).is_err());
}

#[test]
fn a_relative_directory_on_the_command_line_is_found_from_here() {
    let shown = config(&[], &["--data", "kept"]).unwrap();
    let here = std::env::current_dir().unwrap().join("kept");
    assert!(shown.contains(&format!("data = \"{}\"", here.display())), "{shown}");
}

#[test]
fn the_sample_is_checked_and_a_wrong_file_is_explained() {
    let sample = noctule(&["config", "sample"], "");
    assert!(sample.status.success());
    let path = file("sample.toml", text(&sample.stdout));
    let path = path.to_str().unwrap();
    assert!(noctule(&["config", "check", path], "").status.success());
    std::fs::write(path, "[limits]\nqos_maxx = 1\n").unwrap();
    let wrong = noctule(&["config", "check", path], "");
    assert!(!wrong.status.success());
    let expected =
        format!("noctule: {path}:2: limits.qos_maxx: unknown option; did you mean `qos_max`?\n");
    assert_eq!(text(&wrong.stderr), expected);
    let started = noctule(&["-c", path], "");
    assert_eq!(text(&started.stderr), expected);
    assert!(!started.status.success());
}

#[test]
fn a_password_entry_lets_its_user_in() {
    let entry = noctule(&["passwd", "an \"odd\" name"], "secret\n");
    assert!(entry.status.success());
    let entry = text(&entry.stdout);
    assert!(entry.starts_with("[[users]]\nname = \"an \\\"odd\\\" name\"\nverifier = \"SCRAM-"));
    assert!(!entry.contains("secret"));
    let path = file("users.toml", entry);
    assert!(noctule(&["config", "check", path.to_str().unwrap()], "").status.success());
    assert!(!noctule(&["passwd", "x"], "\n").status.success());
}

#[test]
fn the_first_line_is_said_at_every_level() {
    let text = "[[listener]]\nport = 0\n[admin]\nenabled = false\n[log]\nlevel = \"error\"\n";
    let path = file("quiet.toml", text);
    let mut broker = Broker::start(&["serve", "--memory", "-c", path.to_str().unwrap()]);
    assert!(broker.line().contains("keeps nothing"));
    broker.signal("-TERM");
    assert_eq!(broker.line(), "", "nothing else is an error");
    assert_eq!(broker.end().code(), Some(0));
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_the_end() {
    let mut broker = Broker::start(&["serve", "--memory", "-p", "0", "--shards", "1"]);
    let port = broker.port();
    // More lines than a pipe takes.
    for _ in 0..1500 {
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // A CONNECT that is refused, with a line.
        client.write_all(b"\x10\x0c\0\x04MQTT\x09\x02\0\x0a\0\0").unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
    }
    broker.signal("-TERM");
    assert_eq!(broker.child.wait().unwrap().code(), Some(0));
}

#[test]
fn who_asks_twice_does_not_wait_for_goodbyes() {
    let mut broker = Broker::start(&["serve", "--memory", "-p", "0", "--shards", "1"]);
    let port = broker.port();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"\x10\x0e\0\x04MQTT\x05\x02\0\x0a\0\0\x01a").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    // Both wait while the process is stopped, so that they come at once when it goes on. The
    // client does not close, which is what it would wait for.
    for signal in ["-STOP", "-TERM", "-INT", "-CONT"] {
        broker.signal(signal);
    }
    assert_eq!(broker.end().code(), Some(1));
    drop(client);
}

#[test]
fn a_log_of_json_holds_plain_strings() {
    let text = "[[listener]]\nport = 0\n[admin]\nenabled = false\n[log]\nformat = \"json\"\n";
    let path = file("json.toml", text);
    let mut broker = Broker::start(&["serve", "--memory", "-c", path.to_str().unwrap()]);
    let port = broker.port();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"\x10\x0e\0\x04MQTT\x05\x02\0\x0a\0\0\x01a").unwrap();
    let line = broker.line_with("client connected");
    assert!(line.contains("\"client_id\":\"a\""), "{line}");
    assert!(line.contains("\"remote\":\"127.0.0.1:"), "{line}");
    broker.signal("-TERM");
    assert_eq!(broker.end().code(), Some(0));
}
