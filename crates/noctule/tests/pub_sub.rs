//! `noctule pub` and `noctule sub` beside mosquitto's own tools, against mosquitto: same flags,
//! same output, same exit code.

#[path = "../../noctule-client/tests/broker/mod.rs"]
mod broker;

use broker::{Mosquitto, find, leave_out};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

const OPEN: &str = "allow_anonymous true\nset_tcp_nodelay true";

/// Whose tool is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Ours,
    Theirs,
}

#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    stdout: Vec<u8>,
    code: Option<i32>,
}

impl Whose {
    fn tool(self, name: &str, port: u16, args: &[&str]) -> Command {
        let mut command = match self {
            Whose::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_noctule"));
                command.arg(name);
                command
            }
            Whose::Theirs => Command::new(format!("mosquitto_{name}")),
        };
        command.args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    fn run(self, name: &str, port: u16, args: &[&str], stdin: &[u8]) -> Outcome {
        let mut command = self.tool(name, port, args);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("an executable file");
        let mut input = child.stdin.take().expect("asked for");
        // A tool that does not read has closed its end.
        let _ = input.write_all(stdin);
        drop(input);
        let output = child.wait_with_output().expect("a process of ours");
        Outcome { stdout: output.stdout, code: output.status.code() }
    }
}

/// A broker, if it and its tools are on this machine.
fn start(settings: &str) -> Option<Mosquitto> {
    if find("mosquitto_sub").is_none() || find("mosquitto_pub").is_none() {
        leave_out("tests beside mosquitto's tools: none here (apt-get install mosquitto-clients)");
        return None;
    }
    Mosquitto::start(settings)
}

/// Runs both tools and compares.
fn same(name: &str, port: u16, args: &[&str]) -> Outcome {
    let theirs = Whose::Theirs.run(name, port, args, b"");
    let ours = Whose::Ours.run(name, port, args, b"");
    assert_eq!(ours, theirs, "{name} {args:?}");
    ours
}

#[test]
fn sub_prints_what_mosquitto_sub_prints() {
    let Some(broker) = start(OPEN) else { return };
    let messages = [
        ("r/a", &b"one"[..]),
        ("r/b", b"two\nlines"),
        ("r/c", b"\x00\xff\xfe binary"),
        ("r/d", "Grüße".as_bytes()),
    ];
    for (topic, payload) in messages {
        let published = Whose::Ours.run("pub", broker.port, &["-t", topic, "-s", "-r"], payload);
        assert_eq!(published, Outcome { stdout: vec![], code: Some(0) });
    }
    for version in ["31", "311", "5", "mqttv31", "mqttv311", "mqttv5"] {
        let args = ["-t", "r/#", "-C", "4", "-v", "-V", version];
        // mosquitto's tools of before 2.1 know the long names only.
        let theirs = if version.starts_with("mqtt") {
            same("sub", broker.port, &args)
        } else {
            Whose::Ours.run("sub", broker.port, &args, b"")
        };
        assert!(theirs.stdout.starts_with(b"r/a one\nr/b two\nlines\n"));
        assert_eq!(theirs.code, Some(0));
    }
    same("sub", broker.port, &["-t", "r/#", "-C", "4"]);
    same("sub", broker.port, &["-t", "r/a", "-t", "r/b", "-C", "2", "-q", "2"]);
    same("sub", broker.port, &["-t", "r/#", "-C", "4", "-N", "-i", "me", "-k", "5"]);
    let timed_out = same("sub", broker.port, &["-t", "r/a", "-W", "1"]);
    assert_eq!(timed_out, Outcome { stdout: b"one\n".to_vec(), code: Some(27) });
}

#[test]
fn pub_publishes_what_mosquitto_pub_publishes() {
    let Some(broker) = start(OPEN) else { return };
    let cases: [(&[&str], &[u8]); 8] = [
        (&["-m", "text"], b""),
        (&["-m", "-5", "-q", "1"], b""),
        (&["-m", "", "-q", "2"], b""),
        (&["-n", "-q", "1", "-V", "mqttv5"], b""),
        (&["-l", "-q", "2"], b"one\n\ntwo\r\nthree"),
        (&["-l"], b""),
        (&["-s", "-q", "1", "-V", "mqttv31"], b"all\n\x00of it\n"),
        (&["-m", "kept", "-i", "p", "-c", "-q", "1"], b""),
    ];
    for (args, stdin) in cases {
        let mut seen = Vec::new();
        for whose in [Whose::Theirs, Whose::Ours] {
            let mut watch = Watch::start(broker.port);
            let args = [&["-t", "p"], args].concat();
            assert_eq!(whose.run("pub", broker.port, &args, stdin).code, Some(0), "{args:?}");
            seen.push(watch.until_end(broker.port));
        }
        assert_eq!(seen[1], seen[0], "{args:?}");
    }
}

#[test]
fn refusals_end_with_the_code_of_the_broker() {
    let Some(broker) = start("allow_anonymous false") else { return };
    for (version, code) in [("mqttv31", 5), ("mqttv311", 5), ("mqttv5", 135)] {
        let refused = same("pub", broker.port, &["-t", "a", "-m", "b", "-V", version]);
        assert_eq!(refused.code, Some(code));
        same("sub", broker.port, &["-t", "a", "-u", "nobody", "-P", "x", "-V", version]);
    }
}

#[test]
fn wrong_use_ends_with_1() {
    let Some(mut broker) = start(OPEN) else { return };
    let port = broker.port;
    let wrong: [(&str, &[&str]); 7] = [
        ("sub", &[]),
        ("sub", &["-t", "a/#/b"]),
        ("sub", &["-t", "a", "-c"]),
        ("pub", &["-m", "b"]),
        ("pub", &["-t", "a"]),
        ("pub", &["-t", "a/#", "-m", "b"]),
        ("pub", &["-t", "a", "-m", "b", "-n"]),
    ];
    for (name, args) in wrong {
        // mosquitto's tools print their usage; we name the one thing that is wrong.
        assert_eq!(Whose::Theirs.run(name, port, args, b"").code, Some(1), "{name} {args:?}");
        let ours = Whose::Ours.run(name, port, args, b"");
        assert_eq!(ours, Outcome { stdout: vec![], code: Some(1) }, "{name} {args:?}");
    }
    broker.kill();
    assert_eq!(same("pub", port, &["-t", "a", "-m", "b"]).code, Some(1));
    assert_eq!(same("sub", port, &["-t", "a"]).code, Some(1));
}

#[test]
fn a_session_is_kept_with_c_and_collects_messages() {
    let Some(broker) = start(OPEN) else { return };
    for version in ["mqttv311", "mqttv5"] {
        for whose in [Whose::Theirs, Whose::Ours] {
            let kept = ["-c", "-i", "sleeper", "-t", "s", "-q", "1", "-W", "1", "-V", version];
            assert_eq!(whose.run("sub", broker.port, &kept, b"").code, Some(27));
            let word = format!("while {whose:?} was away");
            whose.run("pub", broker.port, &["-t", "s", "-q", "1", "-m", &word], b"");
            let woken = whose.run("sub", broker.port, &kept, b"");
            assert_eq!(String::from_utf8_lossy(&woken.stdout), word + "\n");
        }
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_sub_politely() {
    let Some(broker) = start(OPEN) else { return };
    let mut watch = Watch::start(broker.port);
    let args = ["-t", "ready", "-v", "--will-topic", "p", "--will-payload", "dead"];
    let mut child = Whose::Ours.tool("sub", broker.port, &args).spawn().expect("our program");
    let mut lines = BufReader::new(child.stdout.take().expect("asked for")).lines();
    Whose::Ours.run("pub", broker.port, &["-t", "ready", "-m", "x", "-r"], b"");
    assert_eq!(lines.next().expect("a line").expect("text"), "ready x");
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
    assert_eq!(child.wait().expect("a process of ours").code(), Some(0));
    // No Will: the client has said good-bye.
    assert_eq!(watch.until_end(broker.port), Vec::<String>::new());
}

/// mosquitto_sub on the topics `p` and `end`, subscribed when `start` returns.
struct Watch {
    process: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Watch {
    fn start(port: u16) -> Watch {
        let args = ["-t", "p", "-t", "begin", "-t", "end", "-q", "2", "-F", "%t %q %l %x"];
        let mut process = Whose::Theirs.tool("sub", port, &args).spawn().expect("mosquitto_sub");
        let mut lines = BufReader::new(process.stdout.take().expect("asked for")).lines();
        // A retained message comes when the subscription stands.
        Whose::Theirs.run("pub", port, &["-t", "begin", "-m", "x", "-r", "-q", "2"], b"");
        let begin = lines.next().expect("a line").expect("text");
        assert!(begin.starts_with("begin"), "{begin}");
        Watch { process, lines }
    }

    /// What has come until now.
    fn until_end(&mut self, port: u16) -> Vec<String> {
        Whose::Theirs.run("pub", port, &["-t", "end", "-m", "x", "-q", "2"], b"");
        let lines = self.lines.by_ref().map(|line| line.expect("text"));
        let seen = lines.take_while(|line| !line.starts_with("end"));
        seen.filter(|line| !line.starts_with("begin")).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
