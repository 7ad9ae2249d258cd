//! Tests of the format.

use super::*;
use noctule_core::identity::{GroupNumber, MessageId, Place, SessionNumber, Tenant, Time};
use noctule_core::index::Receiver;
use noctule_core::limits::Durability;
use noctule_core::message::{Kept, Message};
use noctule_core::record::{Body, Manner, Receipt, Record, Stored, StoredWill, Waiting};
use noctule_proto::packet::{RetainHandling, SubscribeOptions};
use noctule_proto::{PacketId, QoS};
use proptest::prelude::*;
use std::sync::Arc;

const AT: Position = Position(5 << 32 | 4096);

fn message(kept: &Kept<'_>) -> Arc<Message> {
    // A message that was never kept: a place is given and taken for none by the copy.
    let place = Position::new(9, 9).place().unwrap();
    let message = Message::restored(kept, place);
    let json = serde_json::to_string(&message).unwrap();
    let json = json.replace(&place.0.get().to_string(), "0");
    Arc::new(serde_json::from_str(&json).unwrap())
}

/// Encodes records as one frame that lies at [`AT`].
fn frame(records: &[Record]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    records.iter().for_each(|record| encoder.record(record));
    let mut encoded = encoder.finish();
    let head = FrameHead {
        body_len: encoded.body_len,
        at: AT,
        durable_before: Position::new(1, 64),
        time: 1_234_567,
        epoch: 3,
        previous_end: 4096,
        body_crc: encoded.body_crc,
    };
    encoder.seal(&mut encoded, &head, 7);
    assert_eq!(encoded.bytes.len() as u64, head.frame_len());
    encoded.bytes.truncate(FRAME_HEAD + encoded.body_len as usize);
    encoded.bytes
}

fn decoded(frame: &[u8]) -> Result<Vec<Record>, Undecoded> {
    let mut records = Vec::new();
    let mut bodies = |place: Place| {
        // Messages of earlier frames all say where they lie.
        let topic = place.0.get().to_string();
        Ok(Arc::new(Message::restored(&Kept { topic: &topic, ..plain() }, place)))
    };
    let mut each = |record: &Record| records.push(record.clone());
    let mut context = Context::new(&mut bodies, &mut each);
    decode(frame, AT, &mut context)?;
    Ok(records)
}

fn plain<'a>() -> Kept<'a> {
    Kept {
        id: MessageId(1),
        tenant: Tenant(0),
        publisher: None,
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at: None,
        topic: "t",
        properties: &[],
        payload: b"payload",
    }
}

fn stored(body: &Body) -> Body {
    let place = body.place().expect("it was kept");
    Body::Stored(Stored { place, cost: body.cost() as u32 })
}

/// A message of an earlier frame, with an id of its own.
fn elsewhere(stored: Stored, id: u64) -> Body {
    let topic = stored.place.0.get().to_string();
    let kept = Kept { id: MessageId(id), topic: &topic, ..plain() };
    Body::Here(Arc::new(Message::restored(&kept, stored.place)))
}

/// What a record that was kept comes back as, or nothing.
fn kept_as(record: &Record) -> Option<Record> {
    let mut record = record.clone();
    match &mut record {
        Record::Published { message, receivers, retained } => {
            let mut sorted = receivers.to_vec();
            sorted.sort_by_key(|receipt| {
                let group = matches!(receipt.receiver, Receiver::Group(_));
                let named = receipt.subscription_id != 0;
                let key = (named, group, receipt.retain, receipt.qos, receipt.subscription_id);
                (key, receipt.receiver)
            });
            *receivers = sorted.into();
            let in_memory = |receipt: &Receipt| matches!(receipt.receiver, Receiver::Group(_));
            if !*retained && !receivers.iter().any(in_memory) {
                *message = stored(message);
            }
        }
        Record::Sent { message, .. } | Record::Settled { message, .. } => {
            message.place()?;
            *message = stored(message);
        }
        _ => {}
    }
    Some(record)
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

/// Numbers of all lengths.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64u32).prop_map(|(number, shift)| number >> shift)
}

fn session() -> impl Strategy<Value = SessionNumber> {
    number().prop_map(SessionNumber)
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).unwrap())
}

fn text() -> impl Strategy<Value = Box<str>> {
    "[a-zA-Z/é]{1,40}".prop_map(String::into_boxed_str)
}

fn bytes() -> impl Strategy<Value = Box<[u8]>> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Vec::into_boxed_slice)
}

fn receiver() -> impl Strategy<Value = Receiver> {
    prop_oneof![
        session().prop_map(Receiver::Session),
        number().prop_map(|number| Receiver::Group(GroupNumber(number))),
    ]
}

fn some_message() -> impl Strategy<Value = Arc<Message>> {
    let who = (number(), any::<u16>(), prop::option::of(number()), qos());
    let what = (any::<bool>(), prop::option::of(number()), text(), bytes(), bytes());
    (who, what).prop_map(|((id, tenant, publisher, qos), what)| {
        let (retain, expires_at, topic, properties, payload) = what;
        message(&Kept {
            id: MessageId(id),
            tenant: Tenant(tenant),
            publisher: publisher.map(SessionNumber),
            qos,
            retain,
            expires_at: expires_at.map(Time),
            topic: &topic,
            properties: &properties,
            payload: &payload,
        })
    })
}

fn place() -> impl Strategy<Value = Place> {
    (1..1000u32, any::<u32>())
        .prop_map(|(segment, offset)| Position::new(segment, offset).place().unwrap())
}

fn somewhere() -> impl Strategy<Value = Stored> {
    (place(), any::<u32>()).prop_map(|(place, cost)| Stored { place, cost })
}

fn receipt() -> impl Strategy<Value = Receipt> {
    (receiver(), qos(), any::<bool>(), prop_oneof![Just(0), any::<u32>()]).prop_map(
        |(receiver, qos, retain, subscription_id)| Receipt {
            receiver,
            qos,
            retain,
            subscription_id,
        },
    )
}

/// A record that speaks of no message.
fn unspoken() -> impl Strategy<Value = Record> {
    let options =
        (qos(), any::<bool>(), any::<bool>(), 0..3u8).prop_map(|(qos, a, b, handling)| {
            let retain_handling = match handling {
                0 => RetainHandling::Always,
                1 => RetainHandling::IfNew,
                _ => RetainHandling::Never,
            };
            SubscribeOptions { qos, no_local: a, retain_as_published: b, retain_handling }
        });
    let will = (text(), bytes(), bytes(), qos(), any::<bool>(), any::<Option<u32>>(), any::<u32>())
        .prop_map(|(topic, properties, payload, qos, retain, message_expiry_secs, delay_secs)| {
            Box::new(StoredWill {
                topic,
                properties,
                payload,
                qos,
                retain,
                message_expiry_secs,
                delay_secs,
            })
        });
    let waiting = (somewhere(), number(), qos(), any::<bool>(), any::<u32>());
    let waiting = (receiver(), prop::collection::vec(waiting, 0..20));
    prop_oneof![
        (session(), any::<u16>(), text(), any::<u32>(), prop::option::of(number())).prop_map(
            |(session, tenant, client_id, expiry_secs, since)| Record::Session {
                session,
                tenant: Tenant(tenant),
                client_id,
                expiry_secs,
                durability: [Durability::Memory, Durability::Os, Durability::Fsync]
                    [expiry_secs as usize % 3],
                away_since: since.map(Time),
            }
        ),
        session().prop_map(Record::SessionEnded),
        (session(), text(), options, any::<u32>()).prop_map(
            |(session, filter, options, subscription_id)| Record::Subscribed {
                session,
                filter,
                options,
                subscription_id,
            }
        ),
        (session(), text()).prop_map(|(session, filter)| Record::Unsubscribed { session, filter }),
        (number(), any::<u16>(), text(), text()).prop_map(|(group, tenant, name, filter)| {
            Record::Group { group: GroupNumber(group), tenant: Tenant(tenant), name, filter }
        }),
        told_by_snapshots(),
        number().prop_map(|group| Record::GroupEnded(GroupNumber(group))),
        waiting.prop_map(|(receiver, all)| {
            let grouped = matches!(receiver, Receiver::Group(_));
            let one = |(stored, id, qos, retain, subscription_id)| Waiting {
                message: if grouped { elsewhere(stored, id) } else { Body::Stored(stored) },
                qos,
                retain,
                subscription_id,
            };
            Record::Waiting { receiver, messages: all.into_iter().map(one).collect() }
        }),
        (session(), packet_id()).prop_map(|(session, id)| Record::Released { session, id }),
        (session(), packet_id()).prop_map(|(session, id)| Record::Completed { session, id }),
        (session(), packet_id()).prop_map(|(session, id)| Record::ReceivedReleased { session, id }),
        (session(), prop::option::of(will))
            .prop_map(|(session, will)| Record::Will { session, will }),
    ]
}

/// A record that only snapshots tell.
fn told_by_snapshots() -> impl Strategy<Value = Record> {
    prop_oneof![
        (any::<u16>(), text(), number()).prop_map(|(tenant, topic, message)| Record::Cleared {
            tenant: Tenant(tenant),
            topic,
            message: MessageId(message),
        }),
        (session(), number(), number()).prop_map(|(session, group, message)| Record::Given {
            session,
            group: GroupNumber(group),
            message: MessageId(message),
        }),
    ]
}

fn manner() -> impl Strategy<Value = Manner> {
    receipt().prop_map(|Receipt { qos, retain, subscription_id, .. }| Manner {
        qos,
        retain,
        subscription_id,
    })
}

/// A record that speaks of a message: of this one, if it is there.
fn spoken(message: Body) -> impl Strategy<Value = Record> {
    let (published, sent, settled, received) =
        (message.clone(), message.clone(), message.clone(), message);
    let here = matches!(received, Body::Here(_));
    prop_oneof![
        (prop::collection::vec(receipt(), 0..30), any::<bool>()).prop_map(
            move |(mut receivers, retained)| {
                if !here {
                    // Messages of groups are in memory.
                    receivers.retain(|receipt| matches!(receipt.receiver, Receiver::Session(_)));
                }
                let retained = retained && here;
                Record::Published {
                    message: published.clone(),
                    receivers: receivers.into(),
                    retained,
                }
            }
        ),
        (session(), packet_id(), manner()).prop_map(move |(session, id, manner)| Record::Sent {
            session,
            message: sent.clone(),
            manner,
            id
        }),
        (receiver(), manner()).prop_map(move |(receiver, manner)| Record::Settled {
            receiver,
            message: settled.clone(),
            manner: matches!(receiver, Receiver::Session(_)).then_some(manner),
        }),
        (session(), packet_id(), manner()).prop_map(move |(session, id, manner)| {
            let (message, receiver) = (received.clone(), Receiver::Session(session));
            if here {
                Record::Received { session, id, message }
            } else {
                Record::Settled { receiver, message, manner: Some(manner) }
            }
        }),
    ]
}

/// Some records, several of which may speak of one message.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let body = prop_oneof![some_message().prop_map(Body::Here), somewhere().prop_map(Body::Stored)];
    let about = body.prop_flat_map(|body| prop::collection::vec(spoken(body), 1..4));
    let some = prop_oneof![unspoken().prop_map(|record| vec![record]), about];
    prop::collection::vec(some, 0..6).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn records_come_back_as_they_were(records in records()) {
        let frame = frame(&records);
        let head = FrameHead::read(&frame, 7, AT).expect("a head was written");
        prop_assert!(head.verify(&frame[FRAME_HEAD..], 7));
        let mut kept = std::collections::BTreeSet::new();
        // What speaks of a message before it is kept says nothing.
        let expected: Vec<Record> = records.iter().filter(|record| match record {
            Record::Sent { message: Body::Here(message), .. }
            | Record::Settled { message: Body::Here(message), .. } => {
                kept.contains(&Arc::as_ptr(message))
            }
            Record::Published { message: Body::Here(message), .. }
            | Record::Received { message: Body::Here(message), .. } => {
                kept.insert(Arc::as_ptr(message));
                true
            }
            _ => true,
        }).filter_map(kept_as).collect();
        prop_assert_eq!(decoded(&frame).expect("it was encoded"), expected);
    }

    #[test]
    fn no_bytes_make_decoding_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decoded(&bytes);
        let _ = message_of(&bytes, AT, 7);
        let _ = message_len(&bytes);
        bytes.splice(0..0, [0; FRAME_HEAD]);
        let _ = decoded(&bytes);
        let head = FrameHead::read(&frame(&[]), 7, AT).expect("a head was written");
        let _ = head.verify(&bytes[FRAME_HEAD..], 7);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_flipped_or_missing_byte_of_a_frame_is_noticed(records in records()) {
        let whole = frame(&records);
        let good = |frame: &[u8]| FrameHead::read(frame, 7, AT).is_some_and(|head| {
            frame.len() == FRAME_HEAD + head.body_len as usize
                && head.verify(&frame[FRAME_HEAD..], 7)
        });
        prop_assert!(good(&whole));
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1 << (at % 8);
            prop_assert!(!good(&bad), "byte {} is not covered", at);
            // Damage that nobody noticed must do no harm either.
            let _ = decoded(&bad);
            let _ = decoded(&whole[..at]);
            prop_assert!(!good(&whole[..at]));
        }
    }
}

#[test]
fn a_frame_that_lies_elsewhere_or_belongs_to_another_store_is_none() {
    let frame = frame(&[Record::SessionEnded(SessionNumber(1))]);
    assert!(FrameHead::read(&frame, 7, AT).is_some());
    assert!(FrameHead::read(&frame, 7, AT.plus(8)).is_none());
    assert!(FrameHead::read(&frame, 8, AT).is_none());
}

#[test]
fn a_message_is_read_alone_by_its_place_and_nowhere_else() {
    let kept = Kept { publisher: Some(SessionNumber(300)), properties: &[1, 0], ..plain() };
    let message = message(&kept);
    let receivers = Vec::new();
    let body = Body::Here(Arc::clone(&message));
    let frame =
        frame(&[Record::Published { message: body, receivers: receivers.into(), retained: false }]);
    let at = Position::of_place(message.place().unwrap());
    let offset = (at.0 - AT.0) as usize;
    assert_eq!(message_of(&frame[offset..], at, 7), Ok(kept));
    for elsewhere in [at.plus(8), Position::new(at.segment() + 1, at.offset())] {
        assert!(message_of(&frame[offset..], elsewhere, 7).is_err());
    }
    assert!(message_of(&frame[offset..], at, 8).is_err(), "it is of another store");
    let len = message_len(&frame[offset..offset + MESSAGE_HEAD_MAX]).unwrap() as usize;
    assert!(message_of(&frame[offset..offset + len], at, 7).is_ok());
    assert!(message_of(&frame[offset..offset + len - 1], at, 7).is_err());
}

#[test]
fn a_message_with_another_id_than_the_kept_one_comes_back_with_its_own() {
    let place = Position::new(2, 640).place().unwrap();
    let mut again = Message::restored(&Kept { topic: "8589935232", ..plain() }, place);
    again.id = MessageId(77);
    let record = Record::Published {
        message: Body::Here(Arc::new(again)),
        receivers: Vec::new().into(),
        retained: true,
    };
    assert_eq!(decoded(&frame(std::slice::from_ref(&record))).unwrap(), [record]);
}

#[test]
fn a_thousand_neighbours_cost_at_most_four_bytes_each() {
    for stride in [1, 7, 1000] {
        let receivers = (0..1000).map(|number| Receipt {
            receiver: Receiver::Session(SessionNumber((1 << 40) + number * stride)),
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_id: 0,
        });
        let message = Body::Here(message(&plain()));
        let receivers = receivers.collect();
        let record = Record::Published { message, receivers, retained: false };
        assert!(frame(&[record]).len() <= 4 * 1000, "stride {stride}");
    }
}
