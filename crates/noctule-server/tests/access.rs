//! Who is let in, over real sockets; what a reload changes; what the admin listener and `$SYS` say.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod wire;

use noctule_core::grant::{Policies, Policy, Roles};
use noctule_proto::packet::Connect;
use noctule_proto::{Packet, QoS, ReasonCode, Version};
use noctule_server::auth::{HashKind, Verifier};
use noctule_server::{Config, Handle, Server, StartError};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use wire::{Client, broker, broker_with};

fn with_user(config: &mut Config) {
    let verifier = Verifier::from_password("right", 4096, b"a salt of its own");
    config.users.insert("ann".into(), verifier);
}

fn login(broker: &Handle, version: Version, user: &str, password: &str) -> (Client, ReasonCode) {
    let mut client = Client::open(broker.addresses()[0]);
    let mut connect = Connect::new(version, "c");
    connect.user_name = Some(user);
    connect.password = Some(password.as_bytes());
    let reason = client.connect_with(&connect);
    (client, reason)
}

#[test]
fn passwords_decide_for_every_version() {
    let broker = broker_with(2, with_user);
    for version in [Version::V31, Version::V311, Version::V5] {
        let (mut client, reason) = login(&broker, version, "ann", "right");
        assert_eq!(reason, ReasonCode::Success);
        client.ping();
        let (mut client, reason) = login(&broker, version, "ann", "wrong");
        let refused = match version {
            Version::V5 => ReasonCode::BadUserNameOrPassword,
            // Before MQTT 5 that code was for credentials that are malformed.
            Version::V31 | Version::V311 => ReasonCode::NotAuthorized,
        };
        assert_eq!(reason, refused);
        client.expect_end();
    }
}

#[test]
fn each_kind_of_hash_lets_its_user_in() {
    let argon2id = HashKind::Argon2id { memory: 256, passes: 1, lanes: 1 };
    let kinds = [argon2id, HashKind::Pbkdf2 { rounds: 1000 }, HashKind::Sha512];
    let broker = broker_with(2, |config| {
        with_user(config);
        for kind in kinds {
            let secret = kind.hash(b"right").unwrap();
            assert!(config.users.insert(format!("{kind:?}").into(), secret));
        }
    });
    for kind in kinds {
        let user = format!("{kind:?}");
        // The second time it is known.
        for _ in 0..2 {
            assert_eq!(login(&broker, Version::V5, &user, "right").1, ReasonCode::Success);
        }
        let refused = ReasonCode::BadUserNameOrPassword;
        assert_eq!(login(&broker, Version::V5, &user, "wrong").1, refused);
    }
}

#[test]
fn a_closed_listener_refuses_who_does_not_say_who_it_is() {
    let broker = broker_with(1, |config| {
        with_user(config);
        config.listeners[0].allow_anonymous = false;
    });
    let mut client = Client::open(broker.addresses()[0]);
    let reason = client.connect_with(&Connect::new(Version::V5, "c"));
    assert_eq!(reason, ReasonCode::NotAuthorized);
    client.expect_end();
}

#[test]
fn an_unknown_authentication_method_is_refused() {
    let broker = broker(1);
    let mut client = Client::open(broker.addresses()[0]);
    let mut connect = Connect::new(Version::V5, "c");
    connect.properties.authentication_method = Some("SCRAM-SHA-1");
    assert_eq!(client.connect_with(&connect), ReasonCode::BadAuthenticationMethod);
    client.expect_end();
}

#[test]
fn scram_challenges_over_the_wire() {
    let broker = broker_with(2, with_user);
    let mut client = Client::open(broker.addresses()[0]);
    let mut connect = Connect::new(Version::V5, "c");
    connect.properties.authentication_method = Some("SCRAM-SHA-256");
    connect.properties.authentication_data = Some(b"n,,n=ann,r=abc");
    client.send(&Packet::Connect(connect));
    client.next(|packet| {
        let Packet::Auth(auth) = packet else { panic!("an AUTH expected: {packet:?}") };
        assert_eq!(auth.reason, ReasonCode::ContinueAuthentication);
        assert_eq!(auth.method, Some("SCRAM-SHA-256"));
        assert!(auth.data.expect("a challenge").starts_with(b"r=abc"));
    });
}

#[test]
fn a_reload_changes_users_and_limits_and_names_what_it_cannot_change() {
    let mut broker = broker(2);
    let (_, reason) = login(&broker, Version::V5, "ann", "wrong");
    assert_eq!(reason, ReasonCode::Success, "without users everybody may come");
    let mut new = Config::for_tests();
    new.shards = std::num::NonZeroU16::new(2);
    with_user(&mut new);
    new.limits.packet_size_max = 1000;
    assert!(broker.reload(&new).is_empty());
    // The reload reaches a shard between two of its turns.
    while login(&broker, Version::V5, "ann", "wrong").1 == ReasonCode::Success {}
    assert_eq!(login(&broker, Version::V5, "ann", "right").1, ReasonCode::Success);
    new.listeners[0].connections_max = 5;
    assert!(broker.reload(&new).is_empty());
    new.listeners[0].limits.mount_point = "site/".into();
    new.shards = None;
    assert_eq!(broker.reload(&new), ["shards", "listener"]);
    let mut before = Client::connect(broker.addresses()[0], Version::V5, "other");
    let bytes = before.publish_bytes("t", &[0; 2000], QoS::AtMostOnce);
    before.write(&bytes);
    assert_eq!(before.farewell(), ReasonCode::PacketTooLarge);
}

/// Other listeners begin with a restart, and what holds for each of them does too: it is by their
/// order that rules are theirs.
#[test]
fn rules_of_listeners_stay_with_them_when_a_reload_finds_others() {
    let open = Arc::new(Policy::default());
    let closed = Arc::new(Policy { roles: Some(Roles::default()), acl: None, strict: true });
    let policies = |by_listener: [&Arc<Policy>; 2]| Policies {
        beyond_ranks: None,
        by_listener: by_listener.map(Arc::clone).into(),
        otherwise: Arc::clone(&open),
    };
    let two = |config: &mut Config, by_listener| {
        config.listeners.push(config.listeners[0].clone());
        config.policies = policies(by_listener);
    };
    let mut broker = broker_with(1, |config| two(config, [&open, &closed]));
    let publish = |client: &mut Client| {
        let bytes = client.publish_bytes("t", b"x", QoS::AtLeastOnce);
        client.write(&bytes);
        client.next(|packet| match packet {
            Packet::PubAck(ack) => ack.reason,
            other => panic!("{other:?}"),
        })
    };
    let mut new = Config::for_tests();
    new.shards = std::num::NonZeroU16::new(1);
    two(&mut new, [&closed, &open]);
    new.listeners[0].limits.mount_point = "site/".into();
    with_user(&mut new);
    let [first, second] = [0, 1].map(|at| broker.addresses()[at]);
    let mut clients = [first, second].map(|it| Client::connect(it, Version::V5, &it.to_string()));
    assert_eq!(broker.reload(&new), ["listener"]);
    while login(&broker, Version::V5, "ann", "wrong").1 == ReasonCode::Success {}
    let reasons = clients.each_mut().map(publish);
    assert_eq!(reasons, [ReasonCode::NoMatchingSubscribers, ReasonCode::NotAuthorized]);
}

#[test]
fn an_address_in_use_is_named_with_the_way_out() {
    let first = broker(2);
    let mut config = Config::for_tests();
    config.listeners[0].address = first.addresses()[0];
    let error = Server::start(config.clone()).expect_err("the port is taken");
    assert!(matches!(error, StartError::Listen { .. }));
    let text = error.to_string();
    assert!(text.contains("in use") && text.contains("noctule serve -p PORT"), "{text}");
    config.listeners[0].presence = noctule_server::config::Presence::IfPossible;
    let error = Server::start(config.clone()).expect_err("no listener is left");
    assert!(matches!(error, StartError::NoListener));
    config.listeners[0].address.set_port(0);
    config.admin.address = first.admin_address().expect("it has one");
    config.admin.presence = noctule_server::config::Presence::IfPossible;
    let second = Server::start(config).expect("the admin listener is not required");
    assert_eq!(second.admin_address(), None);
}

fn get(broker: &Handle, path: &str) -> (String, String) {
    let address = broker.admin_address().expect("it has one");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn the_admin_listener_answers() {
    let broker = broker(2);
    assert_eq!(get(&broker, "/healthz").1, "ok\n");
    assert_eq!(get(&broker, "/readyz").1, "ready\n");
    assert!(get(&broker, "/nothing").0.starts_with("HTTP/1.1 404"));
    let mut client = Client::connect(broker.addresses()[0], Version::V5, "c");
    client.ping();
    loop {
        let (head, body) = get(&broker, "/metrics");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        if body.lines().any(|line| line == "noctule_clients 1") {
            break;
        }
    }
}

#[test]
fn an_unfinished_request_does_not_hold_the_stop() {
    let broker = broker(1);
    let mut stream = TcpStream::connect(broker.admin_address().expect("it has one")).unwrap();
    write!(stream, "GET /met").unwrap();
    assert!(broker.stop());
}

#[test]
fn sys_topics_are_retained_and_true() {
    let broker = broker_with(3, |config| config.sys_interval_secs = 1);
    let mut client = Client::connect(broker.addresses()[0], Version::V5, "c");
    client.subscribe("$SYS/broker/clients/connected", QoS::AtMostOnce);
    while client.message() != ("$SYS/broker/clients/connected".into(), b"1".to_vec()) {}
    client.subscribe("$SYS/broker/version", QoS::AtMostOnce);
    let (topic, payload) = client.message();
    assert_eq!(topic, "$SYS/broker/version");
    assert!(payload.starts_with(b"noctule version "));
}

#[test]
fn tenants_share_nothing() {
    let broker = broker_with(2, |config| {
        let mut other = config.listeners[0].clone();
        other.tenant = noctule_core::Tenant(1);
        config.listeners.push(other);
    });
    let addresses = broker.addresses();
    let mut one = Client::connect(addresses[0], Version::V5, "same");
    let mut two = Client::connect(addresses[1], Version::V5, "same");
    one.subscribe("t", QoS::AtMostOnce);
    two.publish("t", b"not for one", QoS::AtMostOnce);
    two.ping();
    one.publish("t", b"for one", QoS::AtMostOnce);
    assert_eq!(one.message().1, b"for one");
}

#[test]
fn a_reload_ends_who_is_logged_in_as_a_user_that_is_gone() {
    let with_both = |config: &mut Config| {
        with_user(config);
        let verifier = Verifier::from_password("right", 4096, b"another salt");
        config.users.insert("bob".into(), verifier);
    };
    let mut broker = broker_with(2, with_both);
    let log_in = |broker: &Handle, user: &str| {
        let mut client = Client::open(broker.addresses()[0]);
        let mut connect = Connect::new(Version::V5, user);
        connect.user_name = Some(user);
        connect.password = Some(b"right");
        connect.properties.session_expiry_secs = Some(600);
        connect.clean_start = false;
        let present = client.answer(&connect);
        (client, present)
    };
    let (mut ann, _) = log_in(&broker, "ann");
    let (mut bob, present) = log_in(&broker, "bob");
    assert_eq!(present, Some(false));
    let mut new = Config::for_tests();
    new.shards = std::num::NonZeroU16::new(2);
    with_user(&mut new);
    assert!(broker.reload(&new).is_empty());
    assert_eq!(bob.farewell(), ReasonCode::NotAuthorized);
    bob.expect_end();
    ann.ping();
    // Only the connection has ended: when the user is back, so is the session.
    with_both(&mut new);
    assert!(broker.reload(&new).is_empty());
    // The reload reaches a shard between two of its turns.
    let back = loop {
        if let (_, Some(present)) = log_in(&broker, "bob") {
            break present;
        }
    };
    assert!(back, "the session goes on");
    ann.ping();
}

#[test]
fn switching_sys_topics_off_takes_them_away() {
    let mut broker = broker_with(2, |config| config.sys_interval_secs = 1);
    let mut client = Client::connect(broker.addresses()[0], Version::V5, "c");
    client.subscribe("$SYS/broker/version", QoS::AtMostOnce);
    assert!(client.message().1.starts_with(b"noctule"));
    let mut new = Config::for_tests();
    new.shards = std::num::NonZeroU16::new(2);
    new.sys_interval_secs = 0;
    assert!(broker.reload(&new).is_empty());
    assert_eq!(client.message(), ("$SYS/broker/version".into(), Vec::new()));
    let mut late = Client::connect(broker.addresses()[0], Version::V5, "late");
    late.subscribe("$SYS/broker/version", QoS::AtMostOnce);
    late.ping();
}
