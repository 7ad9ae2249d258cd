//! Unfinished packets that take more memory than there is for them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod wire;

use noctule_proto::packet::{Ack, Connect};
use noctule_proto::{Packet, QoS, ReasonCode, Version};
use noctule_server::{Handle, Snapshot};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use wire::{Client, broker, id};

const MIB: usize = 1024 * 1024;

/// Memory for unfinished packets beyond which large ones have to wait.
const LARGE_MAX: usize = 256 * MIB;

/// What those who have not sent a whole CONNECT may hold.
const STRANGERS_MAX: usize = 32 * MIB;

/// Looks until the broker's counts are as expected.
fn until(broker: &Handle, what: &str, holds: impl Fn(&Snapshot) -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds(&broker.counters()) {
        assert!(Instant::now() < end, "{what}: {:?}", broker.counters().net);
        std::thread::yield_now();
    }
}

/// A client that stops in the middle of a large packet.
fn stop_in_the_middle(address: SocketAddr, name: String) -> std::thread::JoinHandle<TcpStream> {
    std::thread::spawn(move || {
        let client = Client::connect(address, Version::V5, &name);
        // PUBLISH, 15 MiB; a MiB of it never comes.
        let mut bytes = vec![0x30, 0x80, 0x80, 0xC0, 0x07, 0, 1, b't', 0];
        bytes.resize(14 * MIB, 0);
        let mut stream = client.stream;
        // It may have to wait, and be cut.
        let _ = stream.write_all(&bytes);
        stream
    })
}

#[test]
fn a_large_packet_comes_through_though_others_stop_in_the_middle_of_theirs() {
    let broker = broker(1);
    let address = broker.addresses()[0];
    let hostile: Vec<_> =
        (0..20).map(|n| stop_in_the_middle(address, format!("hostile-{n}"))).collect();
    let full = |it: &Snapshot| it.net.bytes_unfinished_now as usize > LARGE_MAX;
    until(&broker, "memory is not full", full);
    let mut client = Client::open(address);
    let mut connect = Connect::new(Version::V5, "friend");
    // Its keep alive would end it, if it were blamed for what is not read.
    connect.keep_alive_secs = 1;
    assert_eq!(client.connect_with(&connect), ReasonCode::Success);
    client.publish("t", &vec![7; 300 * 1024], QoS::AtLeastOnce);
    client.next(|it| {
        assert_eq!(*it, Packet::PubAck(Ack::new(id(7), ReasonCode::NoMatchingSubscribers)));
    });
    assert!(broker.stop());
    drop(hostile.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>());
}

/// The other side has ended the connection.
fn is_cut(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(0) => true,
        Ok(_) => panic!("nothing can be answered to half a CONNECT"),
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn halves_of_connects_cannot_fill_the_memory() {
    let broker = broker(1);
    let address = broker.addresses()[0];
    // CONNECT, 100 KiB; 60 KiB of it come.
    let mut half = vec![0x10, 0x80, 0xA0, 0x06, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0];
    half.extend([0xFF, 0xFF]);
    half.resize(60 * 1024, b'x');
    let mut strangers = Vec::new();
    while broker.counters().net.connections_cut == 0 {
        for _ in 0..64 {
            let mut stream = TcpStream::connect(address).unwrap();
            let _ = stream.write_all(&half);
            strangers.push(stream);
        }
        let sent = strangers.len() * half.len();
        assert!(sent < 4 * STRANGERS_MAX, "{:?}", broker.counters().net);
        // No faster than it reads.
        until(&broker, "they are neither held nor cut", |it| {
            it.net.connections_cut > 0 || it.net.bytes_unfinished_now as usize >= sent
        });
    }
    assert!(broker.counters().net.bytes_unfinished_now as usize <= STRANGERS_MAX);
    // Who says what it wants at once is let in all the same.
    Client::connect(address, Version::V5, "friend").ping();
    let mut cut = 0;
    for stream in &mut strangers {
        stream.set_nonblocking(true).unwrap();
        cut += u64::from(is_cut(stream));
    }
    assert!(cut > 0);
}
