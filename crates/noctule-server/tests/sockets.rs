//! What only a real socket shows: partial packets, full sockets, closing, moving between shards.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod wire;

use noctule_proto::packet::{Ack, Connect, Disconnect};
use noctule_proto::{Packet, QoS, ReasonCode, Version};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;
use wire::{Client, broker, broker_with, id};

#[test]
fn messages_of_every_qos_cross_shards_in_order() {
    let broker = broker(3);
    let address = broker.addresses()[0];
    for version in [Version::V31, Version::V311, Version::V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut subscribers: Vec<Client> =
                (0..6).map(|n| Client::connect(address, version, &format!("s{n}"))).collect();
            for it in &mut subscribers {
                it.subscribe("a/+", qos);
            }
            for p in 0..3 {
                let mut publisher = Client::connect(address, version, &format!("p{p}"));
                for n in 0..20_u8 {
                    publisher.publish("a/b", &[p, n], qos);
                    match qos {
                        QoS::AtMostOnce => {}
                        QoS::AtLeastOnce => publisher
                            .next(|it| assert_eq!(*it, Packet::PubAck(Ack::new(id(7), ok())))),
                        QoS::ExactlyOnce => {
                            publisher
                                .next(|it| assert_eq!(*it, Packet::PubRec(Ack::new(id(7), ok()))));
                            publisher.send(&Packet::PubRel(Ack::new(id(7), ok())));
                            publisher
                                .next(|it| assert_eq!(*it, Packet::PubComp(Ack::new(id(7), ok()))));
                        }
                    }
                }
                publisher.ping();
                for it in &mut subscribers {
                    for n in 0..20 {
                        assert_eq!(take(it), [p, n], "{version:?} {qos:?}");
                    }
                }
            }
        }
    }
    assert!(broker.stop());
}

fn ok() -> ReasonCode {
    ReasonCode::Success
}

/// The next message; hand-shakes are gone on with as they come.
fn take(client: &mut Client) -> Vec<u8> {
    loop {
        let (message, answer) = client.next(|packet| match packet {
            Packet::Publish(it) => {
                let answer = it.packet_id.map(|id| match it.qos {
                    QoS::ExactlyOnce => Packet::PubRec(Ack::new(id, ok())),
                    QoS::AtLeastOnce | QoS::AtMostOnce => Packet::PubAck(Ack::new(id, ok())),
                });
                (Some(it.payload.to_vec()), answer)
            }
            Packet::PubRel(it) => (None, Some(Packet::PubComp(Ack::new(it.packet_id, ok())))),
            other => panic!("a PUBLISH or PUBREL expected: {other:?}"),
        });
        if let Some(answer) = answer {
            client.send(&answer);
        }
        if let Some(message) = message {
            return message;
        }
    }
}

#[test]
fn packets_may_come_byte_by_byte() {
    let broker = broker(2);
    let mut client = Client::open(broker.addresses()[0]);
    let mut bytes = Vec::new();
    Packet::Connect(Connect::new(Version::V5, "slow")).encode(Version::V5, &mut bytes);
    for byte in bytes {
        client.write(&[byte]);
    }
    client.next(|packet| assert!(matches!(packet, Packet::ConnAck(_))));
    client.subscribe("t", QoS::AtMostOnce);
    for byte in client.publish_bytes("t", b"one by one", QoS::AtMostOnce) {
        client.write(&[byte]);
    }
    assert_eq!(client.message().1, b"one by one");
}

#[test]
fn what_follows_a_connect_at_once_is_not_lost_on_the_way_home() {
    let broker = broker(4);
    for n in 0..20 {
        let mut client = Client::open(broker.addresses()[0]);
        let mut bytes = Vec::new();
        let id = format!("client-{n}");
        Packet::Connect(Connect::new(Version::V5, &id)).encode(Version::V5, &mut bytes);
        for _ in 0..3 {
            Packet::PingReq.encode(Version::V5, &mut bytes);
        }
        // Half a packet, whose other half comes when the connection has moved.
        bytes.push(0xC0);
        client.write(&bytes);
        client.next(|packet| assert!(matches!(packet, Packet::ConnAck(_))));
        client.write(&[0]);
        for _ in 0..4 {
            client.next(|packet| assert_eq!(*packet, Packet::PingResp));
        }
    }
}

#[test]
fn payloads_of_all_sizes_arrive_whole() {
    let broker = broker(2);
    let address = broker.addresses()[0];
    let mut subscribers: Vec<Client> =
        (0..4).map(|n| Client::connect(address, Version::V5, &format!("s{n}"))).collect();
    subscribers.iter_mut().for_each(|it| it.subscribe("big", QoS::AtMostOnce));
    let mut publisher = Client::connect(address, Version::V5, "p");
    for size in [0, 1, 1000, 1024, 1025, 65_000, 65_536, 131_072, 200_000, 1_000_000, 9_000_000] {
        let payload: Vec<u8> = (0..size).map(|n| (n * 31 % 251) as u8).collect();
        publisher.publish("big", &payload, QoS::AtMostOnce);
        for it in &mut subscribers {
            assert!(it.message().1 == payload, "{size} bytes");
        }
    }
}

#[test]
fn many_small_packets_in_one_write_are_all_answered() {
    let broker = broker(1);
    let mut client = Client::connect(broker.addresses()[0], Version::V311, "many");
    client.subscribe("t", QoS::AtMostOnce);
    let one = client.publish_bytes("t", b"0123456789", QoS::AtMostOnce);
    let count = 10_000;
    let all = one.repeat(count);
    let mut writer = client.stream.try_clone().unwrap();
    let thread = std::thread::spawn(move || Write::write_all(&mut writer, &all));
    for _ in 0..count {
        assert_eq!(client.message().1, b"0123456789");
    }
    thread.join().unwrap().unwrap();
    client.ping();
}

#[test]
fn a_refusal_can_be_read_though_the_client_sent_much_more() {
    let broker = broker_with(1, |config| config.limits.packet_size_max = 1000);
    for _ in 0..20 {
        let mut client = Client::connect(broker.addresses()[0], Version::V5, "big");
        let bytes = client.publish_bytes("t", &[0; 60_000], QoS::AtMostOnce);
        client.write(&bytes);
        assert_eq!(client.farewell(), ReasonCode::PacketTooLarge);
        client.expect_end();
    }
}

#[test]
fn garbage_ends_the_connection_and_nothing_else() {
    let broker = broker(2);
    let address = broker.addresses()[0];
    let mut other = Client::connect(address, Version::V5, "other");
    let garbage: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 100],
        &[0xff; 100],
        &[0x10, 0xff, 0xff, 0xff, 0xff],
        &[0xC0, 0],
    ];
    for bytes in garbage {
        let mut client = Client::open(address);
        client.write(bytes);
        // A first packet that is no CONNECT may be answered with a CONNACK or with nothing.
        while client.stream.set_nodelay(true).is_ok() {
            let mut chunk = [0; 100];
            match Read::read(&mut client.stream, &mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        other.ping();
    }
}

#[test]
fn a_client_that_only_writes_is_answered_before_the_end() {
    let broker = broker(2);
    let mut client = Client::open(broker.addresses()[0]);
    let mut bytes = Vec::new();
    Packet::Connect(Connect::new(Version::V5, "half")).encode(Version::V5, &mut bytes);
    Packet::PingReq.encode(Version::V5, &mut bytes);
    client.write(&bytes);
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.next(|packet| assert!(matches!(packet, Packet::ConnAck(_))));
    client.next(|packet| assert_eq!(*packet, Packet::PingResp));
    client.expect_end();
}

#[test]
fn a_subscriber_that_never_reads_holds_nobody_else_back() {
    let broker = broker_with(2, |config| config.limits.backlog_high = 64 * 1024);
    let address = broker.addresses()[0];
    let mut deaf = Client::connect(address, Version::V311, "deaf");
    deaf.subscribe("t", QoS::AtMostOnce);
    let mut good = Client::connect(address, Version::V311, "good");
    good.subscribe("t", QoS::AtMostOnce);
    let mut publisher = Client::connect(address, Version::V311, "publisher");
    let payload = vec![1; 10_000];
    for _ in 0..3000 {
        publisher.publish("t", &payload, QoS::AtMostOnce);
        assert_eq!(good.message().1.len(), 10_000);
    }
    // What had no room was dropped; what had comes in order, and the connection lives.
    let before = deaf.message().1.len();
    assert_eq!(before, 10_000);
    drop(publisher);
}

#[test]
fn a_client_that_asks_and_never_reads_is_not_read_either() {
    let broker = broker_with(1, |config| config.limits.backlog_high = 64 * 1024);
    let address = broker.addresses()[0];
    let mut deaf = Client::connect(address, Version::V311, "deaf");
    deaf.stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let pings = [0xC0, 0].repeat(32 * 1024);
    let mut written = 0;
    let limit = 256 * 1024 * 1024;
    while written < limit {
        // A write that times out may have ended within a packet.
        match deaf.stream.write(&pings[written % 2..]) {
            Ok(count) => written += count,
            Err(_) => break,
        }
    }
    assert!(written < limit, "everything was read though no answer was");
    let mut good = Client::connect(address, Version::V311, "good");
    good.subscribe("t", QoS::AtMostOnce);
    // It is read again once it has taken the answers.
    let mut answers = vec![0; written / 2 * 2];
    deaf.stream.read_exact(&mut answers).unwrap();
    assert!(answers.chunks_exact(2).all(|answer| answer == [0xD0, 0]));
}

#[test]
fn a_listener_that_is_full_closes_what_comes() {
    let broker = broker_with(2, |config| config.listeners[0].connections_max = 3);
    let address = broker.addresses()[0];
    let mut clients: Vec<Client> =
        (0..3).map(|n| Client::connect(address, Version::V5, &format!("c{n}"))).collect();
    Client::open(address).expect_end();
    clients.pop().expect("three clients").disconnect();
    // The place is free once the broker has seen the end.
    let next = loop {
        let mut client = Client::open(address);
        let mut bytes = Vec::new();
        Packet::Connect(Connect::new(Version::V5, "next")).encode(Version::V5, &mut bytes);
        client.write(&bytes);
        let mut first = [0];
        if Read::read(&mut client.stream, &mut first).is_ok_and(|count| count == 1) {
            break client;
        }
    };
    next.stream.shutdown(Shutdown::Both).unwrap();
    clients.iter_mut().for_each(Client::ping);
}

#[test]
fn a_stop_says_goodbye_to_all_and_waits_for_nobody_beyond_the_grace_time() {
    let broker = broker_with(3, |config| config.shutdown_grace_secs = 1);
    let address = broker.addresses()[0];
    let mut clients: Vec<Client> =
        (0..10).map(|n| Client::connect(address, Version::V5, &format!("c{n}"))).collect();
    // One that takes nothing, with much waiting for it, and one that never said a word.
    let mut deaf = Client::connect(address, Version::V5, "deaf");
    deaf.subscribe("t", QoS::AtMostOnce);
    for _ in 0..200 {
        clients[0].publish("t", &[0; 100_000], QoS::AtMostOnce);
    }
    clients[0].ping();
    let silent = Client::open(address);
    let stopping = std::thread::spawn(move || broker.stop());
    for client in &mut clients {
        assert_eq!(client.farewell(), ReasonCode::ServerShuttingDown);
        client.expect_end();
    }
    drop(clients);
    assert!(stopping.join().unwrap());
    drop((deaf, silent));
}

#[test]
fn a_takeover_closes_the_old_connection_of_a_session() {
    let broker = broker(4);
    let address = broker.addresses()[0];
    let mut old = Client::connect(address, Version::V5, "same");
    let mut new = Client::connect(address, Version::V5, "same");
    assert_eq!(old.farewell(), ReasonCode::SessionTakenOver);
    old.expect_end();
    new.ping();
}

#[test]
fn a_connection_without_connect_is_closed_in_time() {
    let broker = broker_with(1, |config| config.limits.connect_timeout_secs = 1);
    Client::open(broker.addresses()[0]).expect_end();
    let mut partial = Client::open(broker.addresses()[0]);
    partial.write(&[0x10]);
    partial.expect_end();
}

#[test]
fn counters_tell_what_happened() {
    let broker = broker(2);
    let address = broker.addresses()[0];
    let mut client = Client::connect(address, Version::V5, "counted");
    client.subscribe("t", QoS::AtMostOnce);
    client.publish("t", b"12345", QoS::AtMostOnce);
    client.message();
    let wanted = |broker: &noctule_server::Handle| {
        let core = broker.counters().core;
        (core.clients_now, core.publishes_received, core.publish_bytes_sent) == (1, 1, 5)
    };
    while !wanted(&broker) {
        std::thread::yield_now();
    }
    client.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
    client.expect_end();
    while broker.counters().core.connections_now > 0 {
        std::thread::yield_now();
    }
}
