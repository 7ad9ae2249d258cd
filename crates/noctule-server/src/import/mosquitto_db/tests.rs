//! Files that are made by hand, whole and spoiled.

use super::super::spoil::Chance;
use super::*;
use crate::import;
use noctule_core::Time;

/// The head of a file.
fn head(version: u8) -> Vec<u8> {
    [MAGIC, &[0, 0, 0, 0, 0, 0, 0, version]].concat()
}

fn chunk(kind: u32, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&kind.to_be_bytes()[..], &(body.len() as u32).to_be_bytes(), &body].concat()
}

const CLIENT: &[u8] = b"\x00\xCA\x9A\x3B\0\0\0\0\0\0\x0E\x10\0\x07\0\x02\x07\x5B\0\x03";

/// One of everything.
fn whole() -> Vec<u8> {
    let message =
        b"\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\x05\0\x03\0\x03\0\x03\x07\x5B\x01\x01";
    [
        head(6),
        chunk(kind::CONFIG, &[&[9, 0, 0, 0, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0, 0]]),
        chunk(kind::MESSAGE, &[message, b"pubanna/bhi", b"\x05\x03\0\x02xy"]),
        chunk(kind::CLIENT, &[CLIENT, &[0; 4], b"idann"]),
        chunk(
            kind::DELIVERY,
            &[b"\x09\0\0\0\0\0\0\0\0\x07\0\x02\x01\x0B\x10\x01id\x03\x0B\xAC\x02"],
        ),
        chunk(kind::SUBSCRIPTION, &[b"\0\0\x01\x2C\0\x02\0\x03\x01\x1C\0\0ida/#"]),
        chunk(kind::RETAINED, &[b"\x09\0\0\0\0\0\0\0"]),
    ]
    .concat()
}

#[test]
fn one_of_everything_is_read() {
    let file = whole();
    let found = parse(&file).unwrap();
    let id = Bytes::from(&b"id"[..]);
    let content = Content {
        topic: b"a/b"[..].into(),
        properties: b"\x03\0\x02xy"[..].into(),
        payload: b"hi"[..].into(),
        qos: 1,
        retain: true,
    };
    let (store_id, expires_at_secs) = (9, None);
    let source_id = b"pub"[..].into();
    assert_eq!(found.messages, [BaseMessage { store_id, source_id, expires_at_secs, content }]);
    let client = Client {
        id: id.clone(),
        has_user_name: true,
        expiry_interval_secs: 3600,
        expires_at_secs: Some(1_000_000_000),
        will_at_secs: None,
        will_delay_secs: 0,
    };
    assert_eq!(found.clients, [client]);
    let delivery = Delivery {
        client_id: id.clone(),
        store_id: 9,
        packet_id: 7,
        qos: 1,
        retain: true,
        outgoing: true,
        state: 11,
        subscription_id: 300,
    };
    assert_eq!(found.deliveries, [delivery]);
    let filter = b"a/#"[..].into();
    let subscription = Subscription { client_id: id, filter, options: 0x1D, identifier: 300 };
    assert_eq!(found.subscriptions, [subscription]);
    assert_eq!(found.retained, [9]);
}

#[test]
fn files_of_other_machines_and_of_version_5_are_read() {
    // Not padded: C on 32 bits of Intel.
    let file = [head(6), chunk(kind::CLIENT, &[CLIENT, b"idann"])].concat();
    assert_eq!(parse(&file).unwrap().clients[0].expires_at_secs, Some(1_000_000_000));
    // The bytes of instants the other way round.
    let mut other = CLIENT.to_vec();
    other[..8].reverse();
    let file = [head(6), chunk(kind::CLIENT, &[&other, &[0; 4], b"idann"])].concat();
    assert_eq!(parse(&file).unwrap().clients[0].expires_at_secs, Some(1_000_000_000));
    let file = [head(5), chunk(kind::CLIENT, &[&CLIENT[..16], b"id"])].concat();
    let found = parse(&file).unwrap();
    assert_eq!((&*found.clients[0].id, found.clients[0].has_user_name), (&b"id"[..], false));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let says = |file: &[u8]| parse(file).unwrap_err().to_string();
    let after = |more: Vec<u8>| says(&[head(6), more].concat());
    assert_eq!(says(b""), "is empty");
    assert!(says(b"[]").starts_with("is neither a mosquitto.db nor"));
    assert!(says(b" {}").starts_with("is JSON: a file of dynamic security need not be imported"));
    assert_eq!(
        after(chunk(kind::CONFIG, &[&[0, 0, 0, 0, 0, 0, 0, 0, 1, 4]])),
        "at byte 41: the chunk of the broker: names of messages have 4 bytes, not 8"
    );
    assert_eq!(
        after(chunk(kind::RETAINED, &[&[0; 9]])),
        "at byte 39: a chunk of a retained message: has 1 bytes too many"
    );
    assert_eq!(
        after(b"\0\0\0\x06\0\0\0\x09".to_vec()),
        "at byte 31: a chunk of a client: needs 9 bytes, and 0 are left"
    );
    let mut never = CLIENT.to_vec();
    never[..8].fill(0xEE);
    assert_eq!(
        after(chunk(kind::CLIENT, &[&never, b"idann"])),
        "at byte 39: a chunk of a client: an instant that is none"
    );
    let delivery = b"\x09\0\0\0\0\0\0\0\0\x07\0\x02\x01\x0B\x10\x01id\x04\x0B\xAC\x02";
    let told = after(chunk(kind::DELIVERY, &[delivery]));
    assert!(told.ends_with("properties that are not as long as they say"), "{told}");
}

#[test]
fn a_chunk_of_a_kind_from_the_future_is_passed_over_and_told() {
    let file = [head(6), chunk(99, &[b"?"]), chunk(kind::RETAINED, &[&[1; 8]])].concat();
    let found = parse(&file).unwrap();
    assert_eq!(found.retained.len(), 1);
    assert!(found.remarks[0].contains("unknown kind 99"), "{:?}", found.remarks);
}

#[test]
fn twenty_thousand_spoiled_files_are_read_or_refused() {
    let whole = whole();
    let mut chance = Chance(0x5EED_0001);
    let mut read = 0;
    for _ in 0..20_000 {
        let file = chance.spoil(&whole);
        match import::parse(&file, None) {
            Ok(persisted) => {
                read += 1;
                let plan = import::plan(&persisted, Time(1_700_000_000_000));
                assert!(plan.records.len() <= 9, "{} records", plan.records.len());
            }
            Err(error) => {
                let inside = error.offset.is_none_or(|at| at <= file.len() as u64);
                assert!(inside && !error.what.is_empty(), "{error:?}");
            }
        }
    }
    assert!(read > 500, "damage that is not seen is tried too: {read}");
}
