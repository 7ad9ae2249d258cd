//! What is taken, what is left, and why.

use super::super::persisted::{Content, Will};
use super::*;

const NOW: Time = Time(1_700_000_000_000);
const SECS: u64 = 1_700_000_000;

fn content<'a>(topic: &'a str, qos: u8) -> Content<'a> {
    let [properties, payload] = [&b""[..], b"x"].map(Into::into);
    Content { topic: topic.as_bytes().into(), properties, payload, qos, retain: false }
}

fn message<'a>(store_id: u64, topic: &'a str) -> BaseMessage<'a> {
    let source_id = b"a"[..].into();
    BaseMessage { store_id, source_id, expires_at_secs: None, content: content(topic, 2) }
}

fn client(id: &str) -> Client<'_> {
    Client {
        id: id.as_bytes().into(),
        has_user_name: false,
        expiry_interval_secs: NEVER,
        expires_at_secs: None,
        will_at_secs: None,
        will_delay_secs: 0,
    }
}

fn delivery(store_id: u64, state: u8, packet_id: u16) -> Delivery<'static> {
    Delivery {
        client_id: b"a"[..].into(),
        store_id,
        packet_id,
        qos: 2,
        retain: false,
        outgoing: true,
        state,
        subscription_id: 0,
    }
}

fn planned(persisted: &Persisted<'_>) -> Plan {
    make(persisted, NOW, Given::default())
}

/// Each reason, with how often and the first of whom.
fn left(plan: &Plan) -> Vec<(Left, u64, &str)> {
    plan.report.left.iter().map(|(left, (count, of))| (*left, *count, of.as_str())).collect()
}

#[test]
fn sessions_end_when_they_would_have_ended() {
    let with = |expiry_interval_secs, expires_at_secs| Client {
        expiry_interval_secs,
        expires_at_secs,
        ..client("a")
    };
    let waits = Client { will_at_secs: Some(SECS + 20), will_delay_secs: 60, ..client("a") };
    for (client, wanted) in [
        (with(NEVER, None), (NOW, NEVER)),
        (with(100, None), (NOW, 100)),
        (with(100, Some(SECS + 40)), (Time(NOW.0 - 60_000), 100)),
        // A clock that was set back since: never in the future.
        (with(100, Some(SECS + 400)), (NOW, 100)),
        (with(NEVER, Some(SECS + 40)), (NOW, 40)),
        (with(NEVER, Some(SECS + (1 << 33))), (NOW, NEVER - 1)),
        (waits, (Time(NOW.0 - 40_000), NEVER)),
    ] {
        assert_eq!(lifetime(&client, NOW), wanted, "{client:?}");
    }
}

#[test]
fn sessions_that_are_over_or_that_nobody_could_have_are_left() {
    let ended = Client { expires_at_secs: Some(SECS), expiry_interval_secs: 9, ..client("ended") };
    let brief = Client { expiry_interval_secs: 0, ..client("brief") };
    let broken = Client { id: b"\xFF"[..].into(), ..client("") };
    let clients = vec![client("a"), ended, brief, client(""), client("a\tb"), broken, client("a")];
    let plan = planned(&Persisted { clients, ..Persisted::default() });
    assert_eq!(plan.report.sessions, 1);
    assert_eq!(
        left(&plan),
        [
            (Left::ClientId, 3, ""),
            (Left::ClientTwice, 1, "a"),
            (Left::SessionExpired, 1, "ended"),
            (Left::SessionEnds, 1, "brief"),
        ]
    );
}

#[test]
fn numbers_go_on_behind_those_that_were_given() {
    let given = Given { session: SessionNumber(41), message: MessageId((NOW.0 + 9) << 22) };
    let persisted = Persisted {
        clients: vec![client("a"), client("b")],
        messages: vec![message(1, "t"), message(2, "t")],
        retained: vec![1, 2],
        ..Persisted::default()
    };
    let plan = make(&persisted, NOW, given);
    let (mut sessions, mut ids) = (Vec::new(), Vec::new());
    for record in &plan.records {
        match record {
            Record::Session { session, .. } => sessions.push(session.0),
            Record::Published { message: Body::Here(message), .. } => ids.push(message.id),
            other => panic!("{other:?}"),
        }
    }
    assert!(sessions.iter().all(|number| *number > 41 && number & 1 == 1), "{sessions:?}");
    assert!(sessions[0] < sessions[1] && ids[0] > given.message && ids[0] < ids[1]);
    let earlier = planned(&persisted);
    let before = |record: &Record| match record {
        Record::Published { message: Body::Here(message), .. } => message.id.made_at() < NOW,
        _ => true,
    };
    assert!(earlier.records.iter().all(before), "what is published from now on is later");
}

#[test]
fn a_message_is_as_far_as_mosquitto_had_it() {
    let incoming = |state| Delivery { outgoing: false, ..delivery(1, state, 9) };
    let of_qos = |qos, state, id| Delivery { qos, ..delivery(1, state, id) };
    for (delivery, wanted) in [
        (delivery(1, 11, 0), "waits"),
        (delivery(1, 11, 5), "waits"),
        (delivery(1, 4, 5), "sent"),
        (delivery(1, 5, 5), "sent"),
        (delivery(1, 5, 0), "waits"),
        (delivery(1, 6, 5), "released"),
        (delivery(1, 9, 5), "released"),
        (delivery(1, 9, 0), "Delivery"),
        (of_qos(1, 2, 5), "waits"),
        (of_qos(1, 3, 5), "waits"),
        (of_qos(0, 11, 0), "DeliveryQos0"),
        (of_qos(3, 11, 0), "Delivery"),
        (incoming(7), "unreleased"),
        (incoming(10), "unreleased"),
        (incoming(8), "DeliveryDone"),
        (incoming(5), "Delivery"),
        (Delivery { subscription_id: u32::MAX, ..delivery(1, 11, 5) }, "Delivery"),
        (Delivery { client_id: b"b"[..].into(), ..delivery(1, 11, 5) }, "DeliveryAlone"),
        (delivery(7, 11, 5), "DeliveryLost"),
    ] {
        let persisted = Persisted {
            clients: vec![client("a")],
            messages: vec![message(1, "t")],
            deliveries: vec![delivery],
            ..Persisted::default()
        };
        let plan = planned(&persisted);
        let Report { queued, sent, released, unreleased, .. } = plan.report;
        let found = match (queued, sent, released, unreleased) {
            (1, 0, 0, 0) => "waits".to_owned(),
            (0, 1, 0, 0) => "sent".to_owned(),
            (0, 0, 1, 0) => "released".to_owned(),
            (0, 0, 0, 1) => "unreleased".to_owned(),
            _ => format!("{:?}", left(&plan)[0].0),
        };
        assert_eq!(found, wanted, "{:?}", persisted.deliveries);
    }
}

#[test]
fn a_packet_identifier_is_of_one_message_in_each_direction() {
    let persisted = Persisted {
        clients: vec![client("a")],
        messages: vec![message(1, "t"), message(2, "t")],
        deliveries: vec![
            delivery(1, 5, 7),
            delivery(2, 5, 7),
            Delivery { outgoing: false, ..delivery(1, 7, 7) },
        ],
        ..Persisted::default()
    };
    let plan = planned(&persisted);
    assert_eq!((plan.report.sent, plan.report.unreleased), (1, 1));
    assert_eq!(left(&plan), [(Left::DeliveryTwice, 1, "a")]);
}

#[test]
fn retained_messages_that_are_none_are_left() {
    let base = |id, topic| message(id, topic);
    let expired = BaseMessage { expires_at_secs: Some(SECS), ..base(2, "expired") };
    let empty = Content { payload: b""[..].into(), ..content("empty", 1) };
    let bad = Content { properties: b"\x01\x02"[..].into(), ..content("properties", 1) };
    let persisted = Persisted {
        messages: vec![
            base(1, "t"),
            expired,
            base(3, "a/+"),
            base(4, "$SYS/broker/x"),
            BaseMessage { content: empty, ..base(5, "") },
            BaseMessage { content: bad, ..base(6, "") },
        ],
        retained: vec![1, 2, 3, 4, 5, 6, 7],
        ..Persisted::default()
    };
    let plan = planned(&persisted);
    assert_eq!(plan.report.retained, 1);
    assert_eq!(
        left(&plan),
        [
            (Left::RetainedExpired, 1, "expired"),
            (Left::RetainedInvalid, 2, "a/+"),
            (Left::RetainedAlone, 1, ""),
            (Left::RetainedSys, 1, "$SYS/broker/x"),
            (Left::RetainedEmpty, 1, "empty"),
        ]
    );
}

#[test]
fn a_will_is_taken_while_it_waits_for_its_delay() {
    let will = |id: &'static str, topic: &'static str| Will {
        client_id: id.as_bytes().into(),
        content: content(topic, 1),
    };
    let waits = |id| Client { will_at_secs: Some(SECS + 9), will_delay_secs: 30, ..client(id) };
    let persisted = Persisted {
        clients: vec![waits("a"), client("b"), waits("c")],
        wills: vec![will("a", "w"), will("b", "w"), will("c", "#"), will("d", "w")],
        ..Persisted::default()
    };
    let plan = planned(&persisted);
    let found = plan.records.iter().find_map(|record| match record {
        Record::Will { will, .. } => will.as_ref(),
        _ => None,
    });
    let found = found.unwrap();
    assert_eq!((&*found.topic, found.delay_secs, found.qos), ("w", 30, QoS::AtLeastOnce));
    assert_eq!(left(&plan), [(Left::Will, 1, "#"), (Left::WillNotWaiting, 2, "b")]);
}

#[test]
fn subscriptions_keep_their_options_and_have_to_be_some() {
    let held = |filter: &'static str, options, identifier| Subscription {
        client_id: b"a"[..].into(),
        filter: filter.as_bytes().into(),
        options,
        identifier,
    };
    let (filter, options) = {
        let held = held("$share/g/a/+", 0x2E, 300);
        let (filter, options) = subscription(&held).unwrap();
        (filter.as_str().to_owned(), options)
    };
    assert_eq!(filter, "$share/g/a/+");
    assert_eq!((options.qos, options.retain_handling), (QoS::ExactlyOnce, RetainHandling::Never));
    // A shared subscription has no No Local.
    assert!(options.retain_as_published && !options.no_local);
    assert!(subscription(&held("a", 4, 0)).unwrap().1.no_local);
    let deep: &'static str = "a/".repeat(200).leak();
    for bad in [
        held("a/#/b", 0, 0),
        held("", 0, 0),
        held("a", 3, 0),
        held("a", 0, u32::MAX),
        held(deep, 0, 0),
    ] {
        assert!(subscription(&bad).is_none(), "{bad:?}");
    }
}
