//! Whom a listener takes connections from, and how many of them, over real sockets. All of
//! 127.0.0.0/8 is this machine on Linux, so a test has as many addresses as it wants.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod wire;

use noctule_proto::packet::Connect;
use noctule_proto::{QoS, ReasonCode, Version};
use noctule_server::config::AddressLimits;
use noctule_server::{Config, Handle, NetCounters};
use socket2::{Domain, Socket, Type};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};
use wire::{Client, broker_with};

/// A connection from an address of this machine.
fn from(source: &str, broker: &Handle) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&broker.addresses()[0].into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Whether a client from there is let in.
fn is_let_in(source: &str, broker: &Handle) -> Option<Client> {
    let mut client = Client::over(from(source, broker));
    client.try_connect(&Connect::new(Version::V311, &format!("of {source}")))?;
    Some(client)
}

/// The other side closes without a word.
fn expect_closed(mut stream: &TcpStream) {
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(0) => {}
        Ok(_) => panic!("something was said"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

/// Counts are a tenth of a second old at most.
fn until(broker: &Handle, holds: impl Fn(&NetCounters) -> bool) {
    let begun = Instant::now();
    while !holds(&broker.counters().net) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", broker.counters().net);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// So many connections are there.
fn until_open(broker: &Handle, count: u64) {
    let begun = Instant::now();
    while broker.counters().core.connections_now < count {
        assert!(begun.elapsed() < Duration::from_secs(20), "not taken in");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn networks_decide_before_anything_is_said() {
    let door = |config: &mut Config| {
        config.listeners[0].admission.allow = vec!["127.0.0.0/29".parse().unwrap()];
        config.listeners[0].admission.deny = vec!["127.0.0.3".parse().unwrap()];
    };
    let mut broker = broker_with(2, door);
    let mut inside = is_let_in("127.0.0.2", &broker).unwrap();
    for outside in ["127.0.0.3", "127.0.0.8", "127.1.0.1"] {
        expect_closed(&from(outside, &broker));
    }
    until(&broker, |net| net.connections_denied == 3);
    // A reload changes it for those who come; those who are in stay.
    let mut new = Config::for_tests();
    new.shards = NonZeroU16::new(2);
    new.listeners[0].admission.deny = vec!["127.0.0.2".parse().unwrap()];
    assert!(broker.reload(&new).is_empty());
    while is_let_in("127.0.0.3", &broker).is_none() {}
    while is_let_in("127.0.0.2", &broker).is_some() {}
    inside.ping();
}

#[test]
fn an_address_has_so_many_connections_on_all_shards() {
    let broker = broker_with(2, |config| {
        config.address_limits = AddressLimits { connections_max: 3, ..AddressLimits::default() };
    });
    let mut held: Vec<Client> = (0..3)
        .map(|n| {
            let mut client = Client::over(from("127.0.0.2", &broker));
            client.try_connect(&Connect::new(Version::V5, &format!("c{n}"))).unwrap();
            client
        })
        .collect();
    expect_closed(&from("127.0.0.2", &broker));
    until(&broker, |net| net.addresses_refused == 1);
    is_let_in("127.0.0.3", &broker).unwrap().ping();
    // One that leaves makes room for another one.
    drop(held.pop());
    let begun = Instant::now();
    while is_let_in("127.0.0.2", &broker).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(20), "its place is not given back");
    }
    held.iter_mut().for_each(Client::ping);
}

#[test]
fn an_address_may_come_so_often_and_no_oftener() {
    let broker = broker_with(2, |config| {
        config.address_limits =
            AddressLimits { connects_per_min: 1, connects_burst: 5, ..AddressLimits::default() };
    });
    for _ in 0..5 {
        drop(is_let_in("127.0.0.2", &broker).unwrap());
    }
    expect_closed(&from("127.0.0.2", &broker));
    is_let_in("127.0.0.3", &broker).unwrap().ping();
}

#[test]
fn who_does_not_connect_gives_way_to_who_does() {
    let broker = broker_with(1, |config| config.limits.half_open_max = 3);
    let mut connected = is_let_in("127.0.0.2", &broker).unwrap();
    let silent: Vec<TcpStream> = (0..3).map(|_| from("127.0.0.3", &broker)).collect();
    is_let_in("127.0.0.4", &broker).unwrap().ping();
    // The fourth that was awaited sent the first away; the others are still welcome.
    expect_closed(&silent[0]);
    until(&broker, |net| net.half_open_cut == 1);
    for (n, stream) in silent.into_iter().enumerate().skip(1) {
        let mut late = Client::over(stream);
        late.try_connect(&Connect::new(Version::V5, &format!("late{n}"))).unwrap();
    }
    connected.ping();
}

#[test]
fn an_address_awaits_so_many_connects() {
    let broker = broker_with(2, |config| {
        config.address_limits = AddressLimits { half_open_max: 2, ..AddressLimits::default() };
    });
    // Two shards accept: one after the other, or the third might be before the second.
    let silent = [1, 2].map(|open| {
        let stream = from("127.0.0.2", &broker);
        until_open(&broker, open);
        stream
    });
    expect_closed(&from("127.0.0.2", &broker));
    for (n, stream) in silent.into_iter().enumerate() {
        let mut client = Client::over(stream);
        client.try_connect(&Connect::new(Version::V5, &format!("c{n}"))).unwrap();
    }
    is_let_in("127.0.0.2", &broker).unwrap().ping();
}

#[test]
fn a_listener_takes_packets_of_its_own_size() {
    let broker = broker_with(2, |config| {
        let small = config.listeners[0].clone();
        config.listeners.push(small);
        config.listeners[1].limits.packet_size_max = 1000;
    });
    let [all, small] = [0, 1].map(|at| broker.addresses()[at]);
    for (address, fits) in [(all, true), (small, false)] {
        let mut client = Client::connect(address, Version::V5, "c");
        let bytes = client.publish_bytes("t", &[0; 2000], QoS::AtMostOnce);
        client.write(&bytes);
        if fits {
            client.ping();
        } else {
            assert_eq!(client.farewell(), ReasonCode::PacketTooLarge);
        }
    }
}
