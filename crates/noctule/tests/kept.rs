//! What a killed broker leaves on the disk, and what the commands say of it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

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
