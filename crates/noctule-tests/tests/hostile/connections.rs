//! Attacks by many connections, slow ones, and such as do not know when to end.

use std::collections::{HashSet, VecDeque};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use noctule_tests::process::BrokerProcess;

use crate::wire::{CONNACK, Connect, DISCONNECT, Level, PUBACK, Wire, publish, subscribe};
use crate::{attack, attack_on};

/// A stream of bytes that is the same in every run (xorshift).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) as u8
    }
}

#[test]
fn connections_that_send_nothing_are_closed() -> Result<()> {
    attack("half-open", 96, |broker| {
        let silent: Result<Vec<_>> = (0..500).map(|_| Wire::open(broker.address())).collect();
        for (number, wire) in silent?.iter_mut().enumerate() {
            let said = wire.closed().with_context(|| format!("connection {number}"))?;
            ensure!(said.is_empty(), "a CONNECT was never sent, and yet {said:02x?}");
        }
        Ok(())
    })
}

/// Whoever begins a CONNECT and comes again instead of ending it, without a pause.
#[test]
fn a_flood_of_half_open_connections_holds_nobody_back() -> Result<()> {
    const FLOODS: usize = 2;
    attack("half-open-flood", 96, |broker| {
        let address = broker.address();
        std::thread::scope(|scope| {
            let floods: Vec<_> = (0..FLOODS).map(|_| scope.spawn(|| begin(address))).collect();
            floods.into_iter().try_for_each(|flood| flood.join().expect("no panic"))
        })
    })
}

/// Opens 5000 connections, each of which gets another part of a CONNECT, with 100 open at a time.
fn begin(address: SocketAddr) -> Result<()> {
    let will = Some(("flood/will".to_owned(), vec![b'x'; 1000]));
    let whole = Connect { will, ..Connect::new("flood") }.bytes();
    let mut open = VecDeque::new();
    for number in 0..5000 {
        let mut stream = TcpStream::connect_timeout(&address, crate::wire::PATIENCE)
            .with_context(|| format!("connection {number} was not taken"))?;
        stream.write_all(&whole[..number % whole.len()])?;
        open.push_back(stream);
        if open.len() > 100 {
            open.pop_front();
        }
    }
    Ok(())
}

/// Each was connected when it vanished, so each will is due, once.
#[test]
fn clients_that_vanish_after_connect_leave_nothing_but_their_wills() -> Result<()> {
    const CLIENTS: usize = 2000;
    attack("vanished", 96, |broker| {
        let address = broker.address();
        let mut watcher = Wire::connect(address, &Connect::new("vanished-watcher"))?;
        watcher.subscribe("vanished/#")?;
        for number in 0..CLIENTS {
            let will = Some((format!("vanished/{number}"), b"gone".to_vec()));
            let level = if number % 2 == 0 { Level::V311 } else { Level::V5 };
            let connect = Connect { will, level, ..Connect::new(&format!("vanished-{number}")) };
            let mut wire = Wire::open(address)?;
            wire.send(&connect.bytes())?;
            wire.vanish()?;
            // Some do not even wait for an answer; what becomes of their wills is a race.
            let hasty = Connect::new(&format!("hasty-{number}"));
            Wire::open(address)?.send(&hasty.bytes())?;
        }
        let mut seen = HashSet::new();
        while seen.len() < CLIENTS {
            let message = watcher.message().with_context(|| format!("after {}", seen.len()))?;
            ensure!(message.payload() == b"gone", "{message:02x?}");
            ensure!(seen.insert(message.topic().to_vec()), "twice: {message:02x?}");
        }
        watcher.ping().context("more wills than clients")
    })
}

/// Garbage that comes along with a valid CONNECT: the CONNECT is answered, and the rest ends it.
#[test]
fn garbage_behind_a_connect_ends_what_was_connected() -> Result<()> {
    const PROTOCOL_ERROR: u8 = 0x82;
    attack("garbage-behind", 96, |broker| {
        let mut noise = Noise(0xD1B5_4A32_D192_ED03);
        for number in 0..400 {
            let level = if number % 2 == 0 { Level::V311 } else { Level::V5 };
            let connect = Connect { level, ..Connect::new("garbage-behind") };
            let mut bytes = connect.bytes();
            // The packet type that is forbidden. [U5-2.1.2-1]
            bytes.push(noise.next() & 0x0F);
            bytes.extend(noise.bytes(1 << (number % 14)));
            let mut wire = Wire::open(broker.address())?;
            wire.send(&bytes)?;
            let connack = wire.expect(CONNACK)?;
            ensure!(connack.body[..2] == [0, 0], "{connack:02x?}");
            let said = wire.closed()?;
            match level {
                Level::V311 => ensure!(said.is_empty(), "{said:02x?}"),
                Level::V5 => ensure!(
                    said.len() >= 3 && said[0] == DISCONNECT && said[2] == PROTOCOL_ERROR,
                    "{said:02x?}"
                ),
            }
        }
        Ok(())
    })
}

/// Beyond that, newcomers wait until somebody leaves; those who are there notice nothing.
#[test]
fn more_connections_than_may_be_open_wait() -> Result<()> {
    const OPEN_FILES: u32 = 200;
    let broker = BrokerProcess::start_with_open_files_max(OPEN_FILES)?;
    attack_on(broker, "open-files", 96, |broker| {
        let silent: Result<Vec<_>> =
            (0..2 * OPEN_FILES).map(|_| Wire::open(broker.address())).collect();
        let mut last = Wire::open(broker.address())?;
        drop(silent?);
        last.send(&Connect::new("last").bytes())?;
        ensure!(last.expect(CONNACK)?.body == [0, 0]);
        Ok(())
    })
}

#[test]
fn one_byte_a_second_is_served_or_closed() -> Result<()> {
    attack("slow", 96, |broker| {
        let address = broker.address();
        let connect = Connect::new("slow").bytes();
        let mut connecting: Vec<Wire> =
            (0..50).map(|_| Wire::open(address)).collect::<Result<_>>()?;
        let message = publish(Level::V311, "slow", Some(1), b"worth it");
        let mut publishing: Vec<Wire> = (0..50)
            .map(|number| Wire::connect(address, &Connect::new(&format!("slow-{number}"))))
            .collect::<Result<_>>()?;
        for second in 0..connect.len().max(message.len()) {
            if let Some(byte) = connect.get(second) {
                // A CONNECT that takes too long may be cut short.
                connecting.iter_mut().for_each(|wire| drop(wire.send(&[*byte])));
            }
            if let Some(byte) = message.get(second) {
                for wire in &mut publishing {
                    wire.send(&[*byte]).context("well within the keep alive")?;
                }
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        for wire in &mut publishing {
            ensure!(wire.expect(PUBACK)?.body == [0, 1]);
        }
        for wire in &mut connecting {
            wire.end_sending();
            let said = wire.closed()?;
            ensure!(said.is_empty() || said.starts_with(&[0x20, 2, 0, 0]), "{said:02x?}");
        }
        Ok(())
    })
}

#[test]
fn garbage_is_closed() -> Result<()> {
    attack("garbage", 96, |broker| {
        let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
        for number in 0..300 {
            let mut wire = match number % 3 {
                0 => Wire::open(broker.address())?,
                1 => Wire::connect(broker.address(), &Connect::new("garbage"))?,
                _ => Wire::connect(broker.address(), &Connect::v5("garbage"))?,
            };
            // The first bytes decide most, so there are many short streams and some long.
            let count = if number % 10 == 0 { 1 << 20 } else { 1 << (number % 14) };
            // It may be closed long before the end of the stream.
            let _ = wire.send(&noise.bytes(count));
            wire.end_sending();
            wire.closed().with_context(|| format!("stream {number}"))?;
        }
        Ok(())
    })
}

/// Every packet type and flag with a body of noise, in place of a CONNECT and after it.
#[test]
fn malformed_packets_are_closed() -> Result<()> {
    attack("malformed", 96, |broker| {
        let mut noise = Noise(0x2545_F491_4F6C_DD1D);
        for first in 0..=255 {
            for connect in [None, Some(Connect::new("bad")), Some(Connect::v5("bad"))] {
                let mut wire = match connect {
                    Some(connect) => Wire::connect(broker.address(), &connect)?,
                    None => Wire::open(broker.address())?,
                };
                let count = usize::from(noise.next());
                let body = noise.bytes(count);
                let _ = wire.send(&crate::wire::packet(first, &body));
                wire.end_sending();
                wire.closed().with_context(|| format!("first byte {first:#04x}"))?;
            }
        }
        Ok(())
    })
}

#[test]
fn a_flood_of_connects_with_one_client_id_leaves_one() -> Result<()> {
    attack("same-id", 96, |broker| {
        let address = broker.address();
        std::thread::scope(|scope| {
            let floods: Vec<_> = (0..4).map(|_| scope.spawn(|| flood(address))).collect();
            floods.into_iter().try_for_each(|flood| flood.join().expect("no panic"))
        })?;
        let mut last = Wire::connect(address, &Connect::new("victim"))?;
        last.subscribe("victim")?;
        last.send(&publish(Level::V311, "victim", None, b"alive"))?;
        ensure!(last.message()?.payload() == b"alive");
        Ok(())
    })
}

/// Connects 500 times as the same client; each connection but the last is taken over.
fn flood(address: SocketAddr) -> Result<()> {
    let mut open = Vec::new();
    for number in 0..500 {
        let will = Some(("victim/will".to_owned(), vec![b'x'; 1000]));
        let mut connect = Connect { will, clean: number % 3 == 0, ..Connect::new("victim") };
        if number % 2 == 0 {
            connect.level = Level::V5;
        }
        let mut wire = Wire::open(address)?;
        // Another thread may have taken it over before the CONNECT was whole.
        let _ = wire.send(&connect.bytes());
        if number % 5 == 0 {
            let _ = wire.send(&subscribe(connect.level, 1, &["victim/#"]));
        }
        open.push(wire);
        if open.len() == 50 {
            for mut wire in open.drain(..) {
                wire.end_sending();
                wire.closed()?;
            }
        }
    }
    Ok(())
}

#[test]
fn nothing_counts_after_disconnect() -> Result<()> {
    attack("afterwards", 96, |broker| {
        let address = broker.address();
        let mut watcher = Wire::connect(address, &Connect::new("watcher"))?;
        watcher.subscribe("afterwards/#")?;
        for number in 0..200 {
            let level = if number % 2 == 0 { Level::V311 } else { Level::V5 };
            let will = Some(("afterwards/will".to_owned(), b"must not come".to_vec()));
            let connect = Connect { will, level, ..Connect::new("afterwards") };
            let mut wire = Wire::connect(address, &connect)?;
            let mut bytes = vec![DISCONNECT, 0];
            bytes.extend(publish(level, "afterwards/publish", None, b"must not come"));
            bytes.extend(publish(level, "afterwards/publish", Some(1), b"must not come"));
            bytes.extend(subscribe(level, 2, &["afterwards/#"]));
            wire.send(&bytes)?;
            let said = wire.closed()?;
            ensure!(said.is_empty(), "after DISCONNECT came {said:02x?}");
        }
        watcher.send(&publish(Level::V311, "afterwards/end", None, b"end"))?;
        let message = watcher.message()?;
        ensure!(message.topic() == b"afterwards/end", "{message:02x?}");
        Ok(())
    })
}

#[test]
fn sessions_that_nobody_returns_to_stay_small() -> Result<()> {
    attack("sessions", 128, |broker| {
        for number in 0..10_000 {
            let id = format!("a-client-that-never-returns-{number}");
            let connect = Connect { clean: false, ..Connect::new(&id) };
            let mut wire = Wire::connect(broker.address(), &connect)?;
            wire.send(&subscribe(Level::V311, 1, &[&format!("sessions/{number}/#")]))?;
        }
        Ok(())
    })
}
