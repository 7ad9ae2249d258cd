//! Writes the byte cases as seeds, one file each, into a folder per target: `seeds FOLDER`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Result;
use std::path::Path;

use noctule_fuzz::{bridge, broker, client, websocket};
use noctule_proto::cases::Case;
use noctule_proto::{PacketType, Role, Version};

fn main() -> Result<()> {
    let home = std::env::args().nth(1).expect("the folder to write to");
    let home = Path::new(&home);
    let cases = noctule_proto::cases::all();
    for (at, case) in cases.iter().enumerate() {
        for target in decoders(case) {
            write(&home.join(target), at, &case.bytes)?;
        }
        if case.sender == Role::Client && case.bytes.len() < 1024 {
            write(&home.join("broker"), at, &broker::as_script(case))?;
        }
        if case.sender == Role::Server && case.bytes.len() < 1024 {
            write(&home.join("client_session"), at, &client::as_script(case))?;
        }
    }
    write_config(home)?;
    write_files(home)?;
    write_transports(home)?;
    write_topics(home, &cases)
}

/// A mosquitto.db with a session that has one of everything, and an empty SQLite database.
fn write_files(home: &Path) -> Result<()> {
    let chunk =
        |kind: u8, body: &[u8]| [&[0, 0, 0, kind, 0, 0, 0, body.len() as u8], body].concat();
    let store_id = [9, 0, 0, 0, 0, 0, 0, 0];
    let message = [0, 0, 0, 2, 0, 5, 0, 2, 0, 0, 0, 3, 7, 91, 1, 1];
    let client =
        [&[0; 8][..], &[0, 0, 14, 16, 0, 7, 0, 2, 7, 91, 0, 0, 0, 0, 0, 0], b"id"].concat();
    let of_client = [0, 7, 0, 2, 1, 11, 16, 1];
    let db = [
        b"\x00\xB5\x00mosquitto db\0\0\0\0\0\0\0\x06".to_vec(),
        chunk(1, &[&store_id[..], &[1, 8, 0, 0, 0, 0, 0, 0]].concat()),
        chunk(2, &[&store_id[..], &[0; 8], &message, b"ida/bhi\x02\x01\x01"].concat()),
        chunk(6, &client),
        chunk(3, &[&store_id[..], &of_client, b"id\x02\x0B\x07"].concat()),
        chunk(5, b"\0\0\x01\x2C\0\x02\0\x03\x01\x1C\0\0ida/#"),
        chunk(4, &store_id),
    ];
    write(&home.join("import"), 0, &db.concat())?;
    let mut sqlite = vec![0; 512];
    sqlite[..20].copy_from_slice(b"SQLite format 3\0\x02\0\x02\x02");
    (sqlite[59], sqlite[100]) = (1, 13);
    write(&home.join("import"), 1, &sqlite)
}

/// Headers of proxies, requests and frames of WebSockets, and messages through a bridge.
fn write_transports(home: &Path) -> Result<()> {
    let tls = b"\x20\0\x0f\x03\0\0\0\0\x22\0\x07sensor7";
    let v2 = |family: u8, rest: &[u8]| {
        let len = [0, rest.len() as u8];
        [&b"\x01\r\n\r\n\0\r\nQUIT\n\x21"[..], &[family], &len, rest].concat()
    };
    for (at, header) in [
        b"\0PROXY TCP4 192.0.2.1 192.0.2.2 4711 1883\r\n\x10".to_vec(),
        b"\0PROXY TCP6 2001:db8::1 ::1 4711 1883\r\n".to_vec(),
        b"\0PROXY UNKNOWN\r\n".to_vec(),
        v2(0x11, &[&[192, 0, 2, 1, 192, 0, 2, 2, 18, 103, 7, 91], &tls[..]].concat()),
        v2(0x21, &[&[0x20; 36], &tls[..]].concat()),
        v2(0, &[]),
    ]
    .iter()
    .enumerate()
    {
        write(&home.join("proxy"), at, header)?;
    }
    let frame = |first: u8, payload: &[u8]| {
        let masked: Vec<u8> = payload.iter().map(|byte| byte ^ 7).collect();
        [&[first, 0x80 | payload.len() as u8, 7, 7, 7, 7], &masked[..]].concat()
    };
    let parts = [frame(2, b"one"), frame(0x89, b"ping"), frame(0, b"two"), frame(0x80, b"")];
    let end = [frame(0x82, b"data"), frame(0x8a, b"pong"), frame(0x88, &[3, 232])];
    // A mistake behind what is too long anyway.
    let endless = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'x'; 1100], b"\r\r"].concat();
    let long = [&[0x82, 0xfe, 0, 200, 7, 7, 7, 7], &[1; 200][..]].concat();
    for (at, script) in [
        websocket::as_script(&parts.concat()),
        websocket::as_script(&end.concat()),
        websocket::as_script(&long),
        websocket::as_script(&frame(0x81, b"text")),
        websocket::as_request(websocket::request()),
        websocket::as_request(&endless),
        websocket::as_request(b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0"),
    ]
    .iter()
    .enumerate()
    {
        write(&home.join("websocket"), at, script)?;
    }
    for (at, script) in bridge::scripts().iter().enumerate() {
        write(&home.join("bridge"), at, script)?;
    }
    Ok(())
}

/// Every filter of the byte cases with every topic, good or broken.
fn write_topics(home: &Path, cases: &[Case]) -> Result<()> {
    let mut names = BTreeSet::from(["$SYS/x".to_owned(), "a/b/c".to_owned()]);
    let mut filters = BTreeSet::from(["a/+/c".to_owned(), "+/+".to_owned()]);
    for case in cases {
        let (topics, into) = match PacketType::from_u8(case.bytes[0] >> 4) {
            Some(PacketType::Publish) => (texts(case, 0, 0).into_iter().take(1), &mut names),
            Some(PacketType::Subscribe) => (texts(case, 2, 1).into_iter().take(9), &mut filters),
            Some(PacketType::Unsubscribe) => (texts(case, 2, 0).into_iter().take(9), &mut filters),
            _ => continue,
        };
        into.extend(topics);
    }
    let pairs = filters.iter().flat_map(|filter| names.iter().map(move |name| (filter, name)));
    for (at, (filter, name)) in pairs.enumerate() {
        write(&home.join("topic"), at, format!("{filter}\n{name}").as_bytes())?;
    }
    Ok(())
}

/// The texts in the body of a packet, whose length takes one byte: they begin after `skip` bytes
/// (and, in a v5 packet with an identifier, after the properties), with `between` bytes after each.
fn texts(case: &Case, skip: usize, between: usize) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = case.bytes.get(2 + skip..).unwrap_or_default();
    if skip > 0 && case.version == Some(Version::V5) {
        let properties = rest.first().map_or(0, |len| usize::from(*len));
        rest = rest.get(1 + properties..).unwrap_or_default();
    }
    while let [high, low, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(text) = tail.get(..len).and_then(|text| std::str::from_utf8(text).ok()) else {
            break;
        };
        texts.push(text.to_owned());
        rest = tail.get(len + between..).unwrap_or_default();
    }
    texts
}

/// The sample whole, and each of its lines as if it were set.
fn write_config(home: &Path) -> Result<()> {
    let folder = home.join("config");
    let sample = noctule_server::config::sample();
    write(&folder, 0, sample.as_bytes())?;
    let mut table = String::new();
    for (at, line) in sample.lines().enumerate() {
        if line.starts_with('[') {
            table = format!("{line}\n");
        }
        write(&folder, at + 1, format!("{table}{line}\n").as_bytes())?;
    }
    Ok(())
}

/// The decoders that a case belongs to.
fn decoders(case: &Case) -> &'static [&'static str] {
    match case.version {
        Some(Version::V31) => &["decode_v31"],
        Some(Version::V311) => &["decode_v311"],
        Some(Version::V5) => &["decode_v5"],
        None => &["decode_v31", "decode_v311", "decode_v5"],
    }
}

fn write(folder: &Path, at: usize, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("case-{at}")), bytes)
}
