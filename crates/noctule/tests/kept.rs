//! What a killed broker leaves on the disk, and what the commands say of it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn noctule(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_noctule")).args(arguments).output().unwrap()
}

/// A broker on a directory, and its port.
fn serve(data: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_noctule"))
        .args(["serve", "-p", "0", "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let port = loop {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
        if let Some(rest) = line.split("listening on 127.0.0.1:").nth(1) {
            break rest.chars().take_while(char::is_ascii_digit).collect();
        }
    };
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    (child, port)
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_a_killed_broker_kept_is_there_and_damage_of_it_is_told() {
    let data = folder("kept-and-killed");
    let shown = data.to_str().unwrap();
    let none = noctule(&["store", "check", "--data", shown]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("there is no store"), "{none:?}");

    let (mut broker, port) = serve(&data);
    for number in ["1", "2", "3"] {
        let topic = format!("kept/{number}");
        let sent = noctule(&["pub", "-p", &port, "-t", &topic, "-m", number, "-q", "1", "-r"]);
        assert!(sent.status.success(), "{sent:?}");
    }
    let pid = broker.id().to_string();
    for second in [&["serve", "-p", "0", "--data", shown][..], &["store", "check", "--data", shown]]
    {
        let refused = noctule(second);
        assert!(!refused.status.success());
        assert!(text(&refused.stderr).contains(&format!("process {pid}")), "{refused:?}");
    }
    broker.kill().unwrap();
    broker.wait().unwrap();

    let whole = noctule(&["store", "check", "--data", shown]);
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    assert!(text(&whole.stdout).contains("nothing is damaged"), "{whole:?}");
    let (mut broker, port) = serve(&data);
    let got = noctule(&["sub", "-p", &port, "-t", "kept/+", "-C", "3", "-W", "20"]);
    let mut got: Vec<String> = text(&got.stdout).lines().map(Into::into).collect();
    got.sort();
    assert_eq!(got, ["1", "2", "3"]);
    broker.kill().unwrap();
    broker.wait().unwrap();

    // The first message, which others follow.
    let file = data.join("log-00000001");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(6).position(|part| part == b"kept/1").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let damaged = noctule(&["store", "check", "--data", shown, "--json"]);
    assert_eq!(damaged.status.code(), Some(3), "{damaged:?}");
    assert!(text(&damaged.stdout).contains("log-00000001"), "{damaged:?}");
    let refused = noctule(&["serve", "-p", "0", "--data", shown]);
    assert!(!refused.status.success(), "{refused:?}");
    let why = text(&refused.stderr);
    assert!(why.contains("log-00000001 at byte") && why.contains("Nothing was changed"), "{why}");
}

/// A session that is away, and what it is owed.
fn owe(port: &str, client_id: &str, topics: &[String]) {
    let away = ["sub", "-p", port, "-i", client_id, "-c", "-q", "1", "-t", "owed/#", "-E"];
    let away = noctule(&away);
    assert!(away.status.success(), "{away:?}");
    for topic in topics {
        let sent = noctule(&["pub", "-p", port, "-t", topic, "-m", topic, "-q", "1"]);
        assert!(sent.status.success(), "{sent:?}");
    }
}

/// What a session that comes back is sent.
fn owed(port: &str, client_id: &str, count: usize) -> Vec<String> {
    let count = count.to_string();
    let back = ["sub", "-p", port, "-i", client_id, "-c", "-q", "1", "-t", "owed/#"];
    let back = noctule(&[&back[..], &["-C", &count, "-W", "20"]].concat());
    assert!(back.status.success(), "{back:?}");
    text(&back.stdout).lines().map(Into::into).collect()
}

/// Changes a bit of the first file that has these bytes; answers its name.
fn damage(data: &Path, bytes: &[u8]) -> String {
    let mut files: Vec<_> = std::fs::read_dir(data).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    for file in files.into_iter().filter(|file| file.is_file()) {
        let mut content = std::fs::read(&file).unwrap();
        if let Some(at) = content.windows(bytes.len()).position(|part| part == bytes) {
            content[at] ^= 1;
            std::fs::write(&file, content).unwrap();
            return file.file_name().unwrap().to_str().unwrap().to_owned();
        }
    }
    panic!("no file has it");
}

#[test]
fn a_damaged_store_is_salvaged_and_a_broker_starts_from_the_rest() {
    let data = folder("salvaged");
    let shown = data.to_str().unwrap();
    let (mut broker, port) = serve(&data);
    let mut topics: Vec<String> = (10..30).map(|number| format!("owed/{number}")).collect();
    owe(&port, "near", &topics);
    let refused = noctule(&["store", "salvage", shown]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains(&format!("process {}", broker.id())), "{refused:?}");
    broker.kill().unwrap();
    broker.wait().unwrap();
    let whole = noctule(&["store", "salvage", shown]);
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    assert!(text(&whole.stdout).contains("nothing is damaged"), "{whole:?}");

    let file = damage(&data, b"owed/15owed/15");
    let refused = noctule(&["serve", "-p", "0", "--data", shown]);
    assert!(text(&refused.stderr).contains(&format!("{file} at byte")), "{refused:?}");
    let dry = noctule(&["store", "salvage", shown, "--dry-run"]);
    assert_eq!(dry.status.code(), Some(3), "{dry:?}");
    assert!(text(&dry.stdout).contains("lost: 1 message for client \"near\""), "{dry:?}");
    assert_eq!(noctule(&["store", "check", shown]).status.code(), Some(3), "it changed nothing");
    let done = noctule(&["store", "salvage", shown, "--json"]);
    assert_eq!(done.status.code(), Some(3), "{done:?}");
    let found: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(found["missing"], serde_json::json!([{"client_id": "near", "messages": 1}]));
    assert_eq!(found["aside"][0]["file"], *file);
    assert!(data.join(format!("{file}.damaged")).is_file());
    for command in ["check", "salvage"] {
        let whole = noctule(&["store", command, shown]);
        assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    }
    topics.retain(|topic| topic != "owed/15");
    let lines = exported(&data);
    let of = |name: &str| lines.iter().map(|line| line[name].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        (of("topic"), of("payload")),
        (topics.iter().map(|it| &**it).collect(), of("topic"))
    );
    assert!(of("client_id").iter().all(|client_id| *client_id == "near"));

    let (mut broker, port) = serve(&data);
    assert_eq!(owed(&port, "near", topics.len()), topics);
    broker.kill().unwrap();
    broker.wait().unwrap();
}

/// A publisher that is acknowledged one message after the other, until it is told to stop; what was
/// acknowledged can be seen meanwhile.
fn publish_on(port: &str, acknowledged: &AtomicUsize, stop: &AtomicBool) {
    for number in 0.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let number = number.to_string();
        let sent = noctule(&["pub", "-p", port, "-t", "owed/load", "-m", &number, "-q", "1"]);
        assert!(sent.status.success(), "{sent:?}");
        acknowledged.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn a_snapshot_of_a_busy_broker_has_all_that_was_acknowledged() {
    let (data, to) = (folder("busy"), folder("busy-copy"));
    let (shown, copy) = (data.to_str().unwrap(), to.to_str().unwrap());
    let (mut broker, port) = serve(&data);
    owe(&port, "near", &[]);
    let (acknowledged, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (before, made) = std::thread::scope(|scope| {
        scope.spawn(|| publish_on(&port, &acknowledged, &stop));
        while acknowledged.load(Ordering::Acquire) < 20 {
            std::thread::yield_now();
        }
        let before = acknowledged.load(Ordering::Acquire);
        let made = noctule(&["store", "snapshot", "--from", shown, copy]);
        stop.store(true, Ordering::Release);
        (before, made)
    });
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert!(text(&made.stdout).starts_with(&format!("{copy}: a copy of {shown}\n")), "{made:?}");
    let again = noctule(&["store", "snapshot", "--data", shown, copy, "--json"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(text(&again.stderr).contains("is not empty"), "{again:?}");

    // Both go on, each by itself.
    let (mut second, second_port) = serve(&to);
    for (port, count) in [(&second_port, before), (&port, acknowledged.into_inner())] {
        let expected: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        assert_eq!(owed(port, "near", count), expected);
    }
    for broker in [&mut broker, &mut second] {
        broker.kill().unwrap();
        broker.wait().unwrap();
    }
    // A store that nobody has open is copied the same way.
    let third = folder("busy-copy-of-copy");
    let made = noctule(&["store", "snapshot", "--from", copy, third.to_str().unwrap(), "--json"]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let found: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert!(found["frames"].as_u64() > Some(before as u64), "{found}");
    let none = noctule(&["store", "snapshot", "--from", "/nowhere", "/nowhere-else"]);
    assert!(text(&none.stderr).contains("there is no store"), "{none:?}");
    assert!(!Path::new("/nowhere-else").exists());
}

/// What is owed, line by line.
fn exported(data: &Path) -> Vec<serde_json::Value> {
    let exported = noctule(&["store", "export", data.to_str().unwrap()]);
    assert_eq!(exported.status.code(), Some(0), "{exported:?}");
    text(&exported.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_is_kept_is_counted_and_exported() {
    let data = folder("counted");
    let shown = data.to_str().unwrap();
    for command in ["stats", "export"] {
        let none = noctule(&["store", command, shown]);
        assert_eq!(none.status.code(), Some(1));
        assert!(text(&none.stderr).contains("there is no store"), "{none:?}");
    }
    let (mut broker, port) = serve(&data);
    owe(&port, "near", &["owed/1".to_owned()]);
    let sent = [
        &["-t", "owed/5", "-m", "five", "-q", "2", "-V", "5"][..],
        &["-D", "publish", "user-property", "k", "v", "-D", "publish", "content-type", "t"],
        &["-D", "publish", "message-expiry-interval", "3600"],
    ];
    let sent = noctule(&[&["pub", "-p", &port][..], &sent.concat()].concat());
    assert!(sent.status.success(), "{sent:?}");
    let binary = data.join("binary");
    std::fs::write(&binary, [0xff, 0x00]).unwrap();
    let file = binary.to_str().unwrap();
    let kept = noctule(&["pub", "-p", &port, "-t", "kept", "-f", file, "-q", "1", "-r"]);
    assert!(kept.status.success(), "{kept:?}");
    let running = noctule(&["store", "stats", shown]);
    assert!(text(&running.stderr).contains(&format!("process {}", broker.id())), "{running:?}");
    broker.kill().unwrap();
    broker.wait().unwrap();

    let stats = noctule(&["store", "stats", shown, "--json"]);
    assert_eq!(stats.status.code(), Some(0), "{stats:?}");
    let stats: serde_json::Value = serde_json::from_slice(&stats.stdout).unwrap();
    assert_eq!(stats["sessions"]["offline"], 1, "{stats}");
    assert_eq!(stats["subscriptions"], 1);
    assert_eq!(stats["queued"]["messages"], 2);
    assert_eq!(stats["retained"], serde_json::json!({"messages": 1, "bytes": 6}));
    assert_eq!(stats["queues"][0]["client_id"], "near");
    let people = noctule(&["store", "stats", shown, "--queues", "0"]);
    assert!(text(&people.stdout).starts_with(&format!("{shown}\n")), "{people:?}");
    assert!(!text(&people.stdout).contains("near"), "{people:?}");

    let lines = exported(&data);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0]["state"], "retained");
    assert_eq!((&lines[0]["payload_base64"], &lines[0]["payloadlen"]), (&"/wA=".into(), &2.into()));
    assert!(lines[0]["tst"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&lines[1]["topic"], &lines[1]["qos"]), (&"owed/1".into(), &1.into()));
    // It waits with the QoS that its receiver asked for.
    assert_eq!((&lines[2]["state"], &lines[2]["qos"]), (&"waiting".into(), &1.into()));
    let properties = serde_json::json!({"content-type": "t", "user-properties": [{"k": "v"}]});
    assert_eq!((&lines[2]["properties"], &lines[2]["expired"]), (&properties, &false.into()));

    // Whatever a broker would not start from is not exported in part.
    let file = damage(&data, b"owed/5");
    let refused = noctule(&["store", "export", shown]);
    assert!(text(&refused.stderr).contains(&file), "{refused:?}");
}
