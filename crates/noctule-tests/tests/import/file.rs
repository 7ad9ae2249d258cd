//! The story as a mosquitto.db of version 6, with more that is to be left.

use super::client::varint;
use super::story::properties;
use anyhow::Result;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file that grows by chunks.
struct File(Vec<u8>);

impl File {
    fn chunk(&mut self, kind: u32, parts: &[&[u8]]) {
        let body = parts.concat();
        self.0.extend(kind.to_be_bytes());
        self.0.extend((body.len() as u32).to_be_bytes());
        self.0.extend(body);
    }
}

/// The file.
pub(crate) fn file() -> Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut file = File(b"\x00\xB5\x00mosquitto db\x00\x00\x00\x00\x00\x00\x00\x06".to_vec());
    file.chunk(1, &[&9_u64.to_le_bytes(), &[1, 8, 0, 0, 0, 0, 0, 0]]);
    messages(&mut file, now);
    clients(&mut file, now);
    deliveries(&mut file);
    subscriptions(&mut file);
    for id in [4_u64, 10, 11] {
        file.chunk(4, &[&id.to_le_bytes()]);
    }
    Ok(file.0)
}

fn messages(file: &mut File, now: u64) {
    let properties = properties();
    let encoded = [&varint(properties.len()), &properties[..]].concat();
    let big = "B".repeat(20_000);
    // When it expires; QoS; RETAIN.
    for (id, topic, payload, (expires, qos, retain)) in [
        (1_u64, "q2", "one", (0, 2, 0)),
        (2, "q2", "two", (0, 2, 0)),
        (3, "n/x", "unreleased", (0, 2, 0)),
        (4, "a/b", "props", (now + 4000, 1, 1)),
        (5, "a/c", "c", (0, 2, 0)),
        (6, "a/b", "m0", (0, 1, 0)),
        (7, "a/b", "m1", (0, 1, 0)),
        (8, "a/b", "m2", (0, 1, 0)),
        (9, "a/b", "m3", (0, 1, 0)),
        (10, "r/gone", "soon", (now - 1, 1, 1)),
        (11, "r/big", &*big, (0, 1, 1)),
        (12, "s/1", "shared", (0, 1, 0)),
    ] {
        let source = if id == 3 { "three" } else { "publisher" };
        let head = [
            &id.to_le_bytes()[..],
            &u64::to_le_bytes(expires),
            &(payload.len() as u32).to_be_bytes(),
            &[0, 1, 0, source.len() as u8, 0, 0, 0, topic.len() as u8, 7, 91, qos, retain],
        ];
        let names = [source.as_bytes(), topic.as_bytes(), payload.as_bytes()];
        let properties = if id == 4 { &encoded[..] } else { &[] };
        file.chunk(2, &[&head.concat(), &names.concat(), properties]);
    }
}

fn clients(file: &mut File, now: u64) {
    for (id, expires, interval, user) in [
        ("three", 0, u32::MAX, "ann"),
        ("five", now + 3600, 3600, ""),
        ("ever", 0, u32::MAX, ""),
        ("over", now - 5, 60, ""),
    ] {
        let lens = [[0, id.len() as u8], [7, 91], [0, user.len() as u8]].concat();
        let head = [&expires.to_le_bytes()[..], &interval.to_be_bytes(), &[0, 9], &lens].concat();
        file.chunk(6, &[&head, &[0; 4], id.as_bytes(), user.as_bytes()]);
    }
}

fn deliveries(file: &mut File) {
    // Store id, packet id, QoS, state, RETAIN, direction.
    let of_three = [
        (3, 77, 2, 7, 0, 0),
        (1, 1, 2, 9, 0, 1),
        (2, 2, 2, 5, 0, 1),
        (4, 3, 1, 11, 0, 1),
        (5, 4, 1, 11, 0, 1),
        (6, 5, 1, 11, 0, 1),
        (7, 6, 1, 11, 0, 1),
        (8, 7, 1, 11, 0, 1),
        (9, 8, 1, 11, 0, 1),
    ];
    let of_five = [4, 6, 7, 8, 9, 12].map(|id| (id, id as u8, 1, 11, u8::from(id == 4) << 4, 1));
    let of = |client, all: &[_]| all.iter().map(|it| (client, *it)).collect::<Vec<_>>();
    let all = [of("three", &of_three), of("five", &of_five)].concat();
    for (client, (id, packet, qos, state, retain, direction)) in all {
        let head = [&u64::to_le_bytes(id)[..], &[0, packet, 0, client.len() as u8]].concat();
        let has_identifier = client == "five" && id != 12;
        let identifier: &[u8] = if has_identifier { &[3, 0x0B, 0xAC, 2] } else { &[] };
        let state = [qos, state, retain, direction];
        file.chunk(3, &[&head, &state, client.as_bytes(), identifier]);
    }
}

fn subscriptions(file: &mut File) {
    for (client, filter, (qos, options, identifier)) in [
        ("three", "a/#", (1, 0, 0)),
        ("five", "a/b", (2, 0x1C, 300)),
        ("three", "q2", (2, 0, 0)),
        ("ever", "n/+", (1, 0, 0)),
        ("three", "a/#/b", (1, 0, 0)),
        ("over", "a/#", (1, 0, 0)),
    ] {
        let lens = [0, client.len() as u8, 0, filter.len() as u8, qos, options, 0, 0];
        let names = [client.as_bytes(), filter.as_bytes()].concat();
        file.chunk(5, &[&u32::to_be_bytes(identifier), &lens, &names]);
    }
}
