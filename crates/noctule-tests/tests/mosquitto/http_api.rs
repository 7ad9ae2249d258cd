//! `protocol http_api`: both are asked the same, and answer in the same form.

use crate::side::Side;
use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer: its status line, what it says of who may read it, and its body.
struct Answer {
    status: String,
    headers: Vec<String>,
    body: String,
}

fn ask(side: &Side, method: &str, page: &str, login: Option<&str>) -> Result<Answer> {
    let mut stream = TcpStream::connect(side.address(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let login = login.map(|login| STANDARD.encode(login));
    let login = login.map_or(String::new(), |it| format!("Authorization: Basic {it}\r\n"));
    let head = format!("{method} {page} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{login}\r\n");
    stream.write_all(head.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("headers, and what follows")?;
    let mut lines = head.lines();
    let status = lines.next().context("a status")?.to_owned();
    let told = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("access-control") || line.starts_with("www-authenticate")
    };
    let headers = lines.filter(told).map(str::to_ascii_lowercase).collect();
    Ok(Answer { status, headers, body: body.to_owned() })
}

/// What is asked of both, with whom they let in, and who asks.
pub(crate) fn compare(sides: &[Side; 2]) -> Result<()> {
    let file = "user root\nlistener @PORT1@ 127.0.0.1\nallow_anonymous true\n\
                password_file @DIR@/passwords\nlistener 0 @DIR@/socket\n\
                listener @PORT2@ 127.0.0.1\nprotocol http_api\n";
    let rules = "topic read /api/v1/version\n\nuser ann\ntopic read /api/#\n";
    for (more, login) in [
        ("", None),
        ("", Some("ann:secret")),
        ("", Some("ann:wrong")),
        ("", Some("nobody:secret")),
        ("listener_allow_anonymous false\n", None),
        ("listener_allow_anonymous false\n", Some("ann:secret")),
        ("acl_file @DIR@/rules\n", None),
        ("acl_file @DIR@/rules\n", Some("ann:secret")),
    ] {
        let mut told = Vec::new();
        for side in sides {
            side.write("rules", rules)?;
            side.write("this.conf", &format!("{file}{more}"))?;
            let mut running = side.start("this.conf")?;
            side.await_listening(&mut running, 1)?;
            told.push(answers(side, login)?);
            // Not asked to end: mosquitto answers here before it heeds signals.
            drop(running);
        }
        ensure!(told[0] == told[1], "{more:?} {login:?}: {told:#?}");
        ensure!(told[0].len() == 9, "{told:#?}");
    }
    Ok(())
}

fn answers(side: &Side, login: Option<&str>) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for (method, page) in [
        ("GET", "/api/v1/version"),
        ("GET", "/api/v1/version?x"),
        ("GET", "/api/v1/listeners"),
        ("GET", "/api/v1/systree"),
        ("GET", "/api/v1/moon"),
        ("GET", "/API/v1/version"),
        ("GET", "/"),
        ("POST", "/api/v1/version"),
        ("HEAD", "/api/v1/version"),
    ] {
        let Answer { status, headers, body } = ask(side, method, page, login)?;
        let body = if status.contains(" 200 ") { form(side, &body) } else { body };
        told.push(format!("{method} {page}: {status} {headers:?}\n{body}"));
    }
    Ok(told)
}

/// A body without what cannot be the same: digits outside names, and places.
fn form(side: &Side, body: &str) -> String {
    let [first, second] = side.ports.map(|port| port.to_string());
    let body = body.replace(&first, "FIRST").replace(&second, "SECOND");
    let body = body.replace(&*side.folder.to_string_lossy(), "DIR");
    let mut form = String::new();
    for char in body.chars() {
        match char {
            '0'..='9' if form.ends_with('9') => {}
            '0'..='9' => form.push('9'),
            other => form.push(other),
        }
    }
    form
}
