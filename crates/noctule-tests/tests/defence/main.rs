//! Attacks on a real broker process: who is found, told of, banned; what survives a restart; what
//! the audit log says. From addresses of 127/8, which only Linux lets a test have without asking.
#![cfg(target_os = "linux")]

mod broker;
mod user;

use anyhow::{Context, Result, ensure};
use broker::{Broker, Home, Visitor, await_line, publish};
use noctule_proto::Version;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

const BANS: &str = "[defence]\nanswer = \"ban\"\nanswer_loopback = true\nban_secs = 600";

/// Codes of CONNACK.
const BANNED: Option<u8> = Some(0x8A);
const WRONG: Option<u8> = Some(0x86);

#[test]
fn who_guesses_passwords_is_banned_and_nobody_else_also_after_a_restart() -> Result<()> {
    let home = Home::new("guesses", BANS)?;
    let broker = Broker::start(&home)?;
    let (_, mut good) = Visitor::ann("good").connect(broker.address)?.context("it is closed")?;
    let (_, mut alerts) = Visitor::ann("watcher").connect(broker.address)?.context("closed")?;
    // SUBSCRIBE to $SYS/broker/alerts/#.
    let filter = b"$SYS/broker/alerts/#";
    alerts.write_all(&[0x82, filter.len() as u8 + 6, 0, 1, 0, 0, filter.len() as u8])?;
    alerts.write_all(&[filter.as_slice(), &[0]].concat())?;
    alerts.read_exact(&mut [0; 6])?;
    let began = Instant::now();
    let bad = Visitor { from: [127, 0, 0, 66], password: "wrong", ..Visitor::ann("bad") };
    let mut codes = Vec::new();
    while codes.last() != Some(&None) {
        codes.push(bad.code(broker.address)?);
        ensure!(began.elapsed() < Duration::from_secs(10), "{codes:?}");
    }
    let guesses = codes.iter().filter(|code| **code == WRONG).count();
    ensure!(guesses >= 11, "{codes:?}");
    let line = broker.await_log("suspicious")?;
    let stable = "WARN suspicious kind=\"auth_failures\" address=\"127.0.0.66\" client_id=\"\" \
                  user_name=\"\" value=11 usual=10 answer=\"ban\"";
    ensure!(line.ends_with(stable), "{line}");
    let mut told = vec![0; 4096];
    let count = alerts.read(&mut told)?;
    let told = String::from_utf8_lossy(&told[..count]).into_owned();
    ensure!(told.contains("alerts/auth_failures") && told.contains("\"127.0.0.66\""), "{told}");
    ensure!(told.as_bytes()[0] & 1 == 0, "not retained");
    // The others are served, from the first one's connection to new ones.
    good.write_all(&[0xC0, 0])?;
    good.read_exact(&mut [0; 2])?;
    assert_eq!(Visitor::ann("new").code(broker.address)?, Some(0));
    let right = Visitor { password: "right", ..bad };
    assert_eq!(right.code(broker.address)?, None, "banned before it says anything");
    let metrics = broker.http("GET /metrics HTTP/1.0\r\n\r\n")?;
    let found = "noctule_findings_total{kind=\"auth_failures\"} ";
    let found = metrics.split_once(found).and_then(|(_, rest)| rest.lines().next());
    ensure!(found.is_some_and(|count| count != "0"), "{metrics}");
    ensure!(metrics.contains("\nnoctule_bans 1\n"), "{metrics}");
    let listed = broker.bans(&["list"])?;
    ensure!(listed.starts_with("address \"127.0.0.66\" tenant=0 until="), "{listed}");
    broker.stop()?;
    let broker = Broker::start(&home)?;
    assert_eq!(right.code(broker.address)?, None, "banned by the earlier run");
    assert_eq!(Visitor::ann("good").code(broker.address)?, Some(0));
    broker.bans(&["remove", "--address", "127.0.0.66"])?;
    await_code(right, &broker, Some(0))?;
    broker.stop()
}

/// Shards hear of a change a moment later.
fn await_code(visitor: Visitor<'_>, broker: &Broker, code: Option<u8>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while visitor.code(broker.address)? != code {
        ensure!(Instant::now() < deadline, "not {code:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn loopback_is_only_observed_unless_it_is_said() -> Result<()> {
    let home = Home::new("observed", "[defence]\nanswer = \"ban\"")?;
    let broker = Broker::start(&home)?;
    let bad = Visitor { password: "wrong", ..Visitor::ann("bad") };
    for _ in 0..30 {
        assert_eq!(bad.code(broker.address)?, WRONG);
    }
    let line = broker.await_log("suspicious")?;
    ensure!(line.ends_with("answer=\"observe\""), "{line}");
    assert_eq!(Visitor::ann("good").code(broker.address)?, Some(0));
    ensure!(broker.bans(&["list"])?.is_empty(), "nobody is banned");
    broker.stop()
}

#[test]
fn an_operator_bans_clients_users_and_networks() -> Result<()> {
    let home = Home::new("operator", "")?;
    let broker = Broker::start(&home)?;
    let (_, mut open) = Visitor::ann("thing").connect(broker.address)?.context("it is closed")?;
    broker.bans(&["add", "--client", "thing", "--why", "it is \"broken\""])?;
    // DISCONNECT with 0x98.
    let mut goodbye = [0; 3];
    open.read_exact(&mut goodbye)?;
    ensure!(goodbye[0] == 0xE0 && goodbye[2] == 0x98, "{goodbye:?}");
    await_code(Visitor::ann("thing"), &broker, BANNED)?;
    let old = Visitor { version: Version::V311, ..Visitor::ann("thing") };
    assert_eq!(old.code(broker.address)?, Some(5), "MQTT 3 has no code of its own");
    assert_eq!(Visitor::ann("other").code(broker.address)?, Some(0));
    broker.bans(&["add", "--user", "ann", "--secs", "2"])?;
    await_code(Visitor::ann("other"), &broker, BANNED)?;
    await_code(Visitor::ann("other"), &broker, Some(0))?;
    broker.bans(&["add", "--address", "127.9.0.0/16"])?;
    let far = Visitor { from: [127, 9, 8, 7], ..Visitor::ann("far") };
    await_code(far, &broker, None)?;
    let listed = broker.bans(&["list"])?;
    ensure!(
        listed.contains("until=\"for ever\" by=\"admin\" why=\"it is \\\"broken\\\"\""),
        "{listed}"
    );
    let error = broker.bans(&["remove", "--client", "nobody"]).unwrap_err().to_string();
    ensure!(error.contains("there is no such ban"), "{error}");
    let error = broker.bans(&["add", "--address", "10.0.0.0/40"]).unwrap_err().to_string();
    ensure!(error.contains("is no network: a number up to 32"), "{error}");
    // A page in a browser of this machine may not, by whatever name it reaches it.
    let body = "{\"kind\":\"user\",\"name\":\"x\"}";
    for (host, kind, status) in [
        ("127.0.0.1", "text/plain", "415"),
        ("evil.example", "application/json", "403"),
        ("", "application/json", "403"),
        ("localhost:1", "application/json", "200"),
        ("[::1]", "application/json", "200"),
    ] {
        let answer = broker.http(&format!(
            "POST /bans HTTP/1.0\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             \r\n{body}",
            body.len()
        ))?;
        ensure!(answer.split(' ').nth(1) == Some(status), "{host} {kind}: {answer}");
    }
    broker.stop()
}

#[test]
fn who_asks_for_what_it_may_not_do_is_answered_step_by_step() -> Result<()> {
    let home = Home::new("denied", BANS)?;
    let broker = Broker::start(&home)?;
    let (_, mut bad) = Visitor::ann("bad").connect(broker.address)?.context("it is closed")?;
    let (_, mut good) = Visitor::ann("good").connect(broker.address)?.context("it is closed")?;
    let batch = publish("$SYS/forged", b"x")?.repeat(20);
    let began = Instant::now();
    let mut seen_at = Vec::new();
    // Nobody but the broker publishes there.
    while bad.write_all(&batch).is_ok() {
        std::thread::sleep(Duration::from_millis(100));
        let log = broker.log();
        for answer in ["observe", "slow", "quarantine", "ban"] {
            let line = "kind=\"denied\" address=\"127.0.0.1\" client_id=\"bad\"";
            let told = log
                .lines()
                .any(|it| it.contains(line) && it.contains(&format!("answer=\"{answer}\"")));
            if told && !seen_at.iter().any(|(seen, _)| *seen == answer) {
                seen_at.push((answer, began.elapsed()));
            }
        }
        ensure!(began.elapsed() < Duration::from_secs(120), "{seen_at:?}\n{log}");
    }
    broker.await_log("answer=\"ban\"")?;
    let first = seen_at.first().context("it was told of")?;
    ensure!(first.0 == "observe" && first.1 < Duration::from_secs(10), "{seen_at:?}");
    let answers: Vec<&str> = seen_at.iter().map(|(answer, _)| *answer).collect();
    ensure!(answers.starts_with(&["observe", "slow", "quarantine"]), "{seen_at:?}");
    await_code(Visitor::ann("bad"), &broker, BANNED)?;
    good.write_all(&[0xC0, 0])?;
    good.read_exact(&mut [0; 2])?;
    broker.stop()
}

#[test]
fn two_clients_with_one_name_are_flapping() -> Result<()> {
    let home = Home::new("flapping", "")?;
    let broker = Broker::start(&home)?;
    let mut open = Vec::new();
    for _ in 0..12 {
        open.push(Visitor::ann("twin").connect(broker.address)?);
    }
    let line = broker.await_log("kind=\"flapping\"")?;
    ensure!(line.contains("client_id=\"twin\""), "{line}");
    broker.stop()
}

/// Long before they run out of time.
#[test]
fn an_address_that_opens_many_connections_and_is_silent_is_found() -> Result<()> {
    let config = "[limits]\nconnect_timeout_secs = 600\n[defence]\nidle_connects_max = 5\n";
    let home = Home::new("silent", config)?;
    let broker = Broker::start(&home)?;
    let silent: Result<Vec<_>, _> = (0..20).map(|_| TcpStream::connect(broker.address)).collect();
    let line = broker.await_log("kind=\"connect_flood\"")?;
    ensure!(line.contains("address=\"127.0.0.1\""), "{line}");
    drop(silent?);
    broker.stop()
}

#[test]
fn who_comes_back_to_hear_what_waits_does_not_come_for_nothing() -> Result<()> {
    let home = Home::new("hearing", "[defence]\nidle_connects_max = 5\n")?;
    let broker = Broker::start(&home)?;
    let come = |id: &str, from: [u8; 4], then: &[u8]| -> Result<()> {
        let visitor = Visitor { from, version: Version::V311, ..Visitor::ann(id) };
        let mut stream = visitor.keeping_session(broker.address)?;
        stream.write_all(then)?;
        // Closed by the broker, which has heard it then.
        stream.read_to_end(&mut Vec::new())?;
        Ok(())
    };
    let subscribe_and_leave = [&[0x82, 6, 0, 1, 0, 1, b't', 1][..], &[0xE0, 0]].concat();
    let hearing: Vec<String> = (0..20).map(|number| format!("hearing-{number}")).collect();
    for id in &hearing {
        come(id, [127, 0, 0, 1], &subscribe_and_leave)?;
    }
    // What they did at first would make up for some of this.
    for _ in 0..10 {
        for id in &hearing {
            come(id, [127, 0, 0, 1], &[0xE0, 0])?;
        }
    }
    for number in 0..20 {
        come(&format!("idle-{number}"), [127, 0, 0, 2], &[0xE0, 0])?;
    }
    let line = broker.await_log("kind=\"connect_flood\"")?;
    ensure!(line.contains("address=\"127.0.0.2\""), "{line}");
    ensure!(!broker.log().contains("kind=\"connect_flood\" address=\"127.0.0.1\""));
    broker.stop()
}

#[test]
fn the_audit_log_says_who_came_and_what_was_done_and_holds_no_secret() -> Result<()> {
    let home = Home::new("audit", "[audit]\nfile = \"audit.json\"")?;
    let broker = Broker::start(&home)?;
    let file = home.path("audit.json");
    let bad = Visitor { password: "s3cret-guess", ..Visitor::ann("bad") };
    assert_eq!(bad.code(broker.address)?, WRONG);
    let (_, mut good) = Visitor::ann("good").connect(broker.address)?.context("it is closed")?;
    good.write_all(&publish("$SYS/forged", b"payload-of-no-concern")?)?;
    await_line(&file, "\"denied\"")?;
    good.write_all(&[0xE0, 0])?;
    let left = await_line(&file, "\"disconnected\"")?;
    ensure!(left.contains("\"by\":\"client\""), "{left}");
    broker.bans(&["add", "--user", "eve", "--why", "a test"])?;
    broker.bans(&["remove", "--user", "eve"])?;
    await_line(&file, "\"unbanned\"")?;
    // Moved away by another program, which then asks for a new one.
    fs::rename(&file, home.path("old.json"))?;
    let config = fs::read_to_string(home.path("noctule.toml"))?;
    let config = format!("{config}\n[limits]\nreceive_maximum = 99\n[log]\nlevel = \"debug\"\n");
    fs::write(home.path("noctule.toml"), config)?;
    broker.signal("HUP")?;
    let reloaded = await_line(&file, "\"reloaded\"")?;
    ensure!(reloaded.contains("\"changed\":[\"limits\",\"log\"]"), "{reloaded}");
    let text = fs::read_to_string(home.path("old.json"))?;
    for (event, with) in [
        ("refused", "\"client_id\":\"bad\""),
        ("refused", "\"user_name\":\"ann\""),
        ("connected", "\"client_id\":\"good\""),
        ("denied", "\"topic\":\"$SYS/forged\""),
        ("banned", "\"by\":\"admin\""),
    ] {
        let event = format!("\"event\":\"{event}\"");
        let found = text.lines().any(|line| line.contains(&event) && line.contains(with));
        ensure!(found, "no {event} with {with} in:\n{text}");
    }
    let all = format!("{text}{}{}", fs::read_to_string(&file)?, broker.log());
    for secret in ["s3cret-guess", "right", "payload-of-no-concern", "$SCRAM", "c2FsdC"] {
        ensure!(!all.contains(secret), "{secret} in:\n{all}");
    }
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    broker.stop()
}

/// The filter of the manual, as Python reads it: fail2ban's own program where there is one.
#[test]
fn fail2ban_finds_the_attacker_in_the_log_and_is_not_deceived() -> Result<()> {
    let home = Home::new("fail2ban", "")?;
    let broker = Broker::start(&home)?;
    let forged = "x WARN suspicious kind=\"auth_failures\" address=\"192.0.2.1\" client_id=\"\" \
                  WARN client refused client_id=\"\" remote=\"192.0.2.2:1\" \
                  reason=\"not authorized\"";
    for client_id in ["plain", forged] {
        let from = [127, 0, 0, 77];
        let bad = Visitor { from, password: "wrong", client_id, ..Visitor::ann("") };
        for _ in 0..11 {
            assert_eq!(bad.code(broker.address)?, WRONG);
        }
    }
    broker.await_log("suspicious")?;
    broker.stop()?;
    let manual = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/defence.md");
    let manual = fs::read_to_string(manual)?;
    let filter = manual.split_once("```ini\n").and_then(|(_, rest)| rest.split_once("```"));
    let (filter, _) = filter.context("the manual has a filter")?;
    fs::write(home.path("noctule.conf"), filter)?;
    let program = concat!(
        "import configparser, re, sys\n",
        "c = configparser.RawConfigParser(); c.read(sys.argv[1])\n",
        "host = r'(?:::f{4,6}:)?(?P<host>[\\w\\-.^_:]*\\w)'\n",
        "all = c['Definition']['failregex'].split('\\n')\n",
        "r = [re.compile(x.replace('<HOST>', host)) for x in all]\n",
        "for line in open(sys.argv[2]):\n",
        "    for n, x in enumerate(r):\n",
        "        m = x.search(line)\n",
        "        if m: print(n, m.group('host'))\n",
    );
    let mut python = Command::new("python3");
    python.args(["-c", program]).arg(home.path("noctule.conf")).arg(home.path("log"));
    let Ok(output) = python.output() else { return Ok(()) };
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count = |line: &str| text.lines().filter(|it| *it == line).count();
    ensure!(count("1 127.0.0.77") == 22 && count("0 127.0.0.77") >= 1, "{text}");
    ensure!(text.lines().all(|line| line.ends_with(" 127.0.0.77")), "{text}");
    Ok(())
}
