//! Attacks by subscriptions, of clients that are let in.

use super::mallory::{Scene, address, insider};
use crate::script::packet::{Packet, frame_len, kind, publish, subscribe};
use noctule_proto::Version;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

/// Clients, and filters in a packet of theirs.
const BOMBERS: u64 = 4;
const FILTERS: u64 = 200;
/// Between two packets: 40,000 filters a second of all.
const PERIOD: Duration = Duration::from_millis(20);

/// Retained messages that are scanned again and again, and scans a second.
const RETAINED: u64 = 5000;
const SCANS: u64 = 100;
/// Attempts a second at what is not allowed.
const ATTEMPTS: u64 = 100;
/// Who waits for an answer looks up again after as long.
const ANSWERED: Duration = Duration::from_secs(1);

/// Ever new filters with wildcards in the middle.
pub(super) async fn subscription_bomb(scene: &Scene) {
    for number in 0..BOMBERS {
        let scene = scene.clone();
        spawn_local(async move {
            let hello = insider(&format!("mallory-{number}"));
            let Ok((0, mut stream)) = scene.login(address(number), hello).await else {
                return scene.count("refused", 1);
            };
            let mut round = 0;
            while scene.goes_on() {
                let packet = (0..FILTERS).fold(subscribe(1), |packet, at| {
                    packet.filter(&format!("mallory/+/{round}/+/{at}/{number}/#"), 1)
                });
                let Ok(answer) = ask(&mut stream, &packet).await else {
                    return scene.count("cut off", 1);
                };
                let taken = answer.payload.iter().filter(|code| **code < 0x80).count();
                scene.count("subscriptions", taken as u64);
                scene.count("subscriptions refused", FILTERS - taken as u64);
                round += 1;
                tokio::time::sleep(PERIOD).await;
            }
        });
    }
    scene.at_rate(1, |_| {}).await;
}

/// One asks for what it may not have; another for all that it may, and reads all of it.
pub(super) async fn wildcard_scan(scene: &Scene) {
    let (one, other) = (scene.clone(), scene.clone());
    spawn_local(async move {
        let filters = ["#", "+/#", "$SYS/#", "good/#", "+/+", "$share/x/#"];
        let Ok((0, mut stream)) = one.login(address(0), insider("mallory-0")).await else {
            return one.count("refused", 1);
        };
        for filter in filters.iter().cycle() {
            if !one.goes_on() {
                return;
            }
            let answer = ask(&mut stream, &subscribe(1).filter(filter, 0)).await;
            let Ok(answer) = answer else { return one.count("cut off", 1) };
            let refused = answer.is_refusal();
            one.count(if refused { "wildcards refused" } else { "wildcards granted" }, 1);
            tokio::time::sleep(Duration::from_millis(1000 / ATTEMPTS)).await;
        }
    });
    spawn_local(async move {
        let Ok((0, mut stream)) = other.login(address(1), insider("mallory-1")).await else {
            return other.count("refused", 1);
        };
        let retained = |at| publish(&format!("mallory/{at}"), [0; 64]).retain();
        let flood: Vec<u8> =
            (0..RETAINED).flat_map(|at| retained(at).encode(Version::V5)).collect();
        if stream.write_all(&flood).await.is_err() {
            return other.count("cut off", 1);
        }
        let scan = subscribe(1).filter("mallory/#", 0).encode(Version::V5);
        let mut bytes = vec![0; 64 << 10];
        let mut due = tokio::time::interval(Duration::from_millis(1000 / SCANS));
        while other.goes_on() {
            let done = tokio::select! {
                _ = due.tick() => {
                    other.count("scans", 1);
                    stream.write_all(&scan).await.map(|()| 1)
                }
                read = stream.read(&mut bytes) => read,
            };
            if let Ok(0) | Err(_) = done {
                return other.count("cut off", 1);
            }
        }
    });
    scene.at_rate(1, |_| {}).await;
}

/// Sends a packet and waits for a SUBACK.
async fn ask(stream: &mut TcpStream, packet: &Packet) -> io::Result<Packet> {
    stream.write_all(&packet.encode(Version::V5)).await?;
    let mut arrived = Vec::new();
    loop {
        let frame = frame_len(&arrived).map_err(io::Error::other)?;
        if let Some((len, _)) = frame
            && arrived.len() >= len
        {
            let rest = arrived.split_off(len);
            let packet = Packet::parse(&arrived, Version::V5).map_err(io::Error::other)?;
            arrived = rest;
            if packet.kind() == kind::SUBACK {
                return Ok(packet);
            }
            continue;
        }
        // Slowed by the broker it waits longer, and asks no more meanwhile.
        let len = match tokio::time::timeout(ANSWERED, stream.read_buf(&mut arrived)).await {
            Ok(read) => read?,
            Err(_) => continue,
        };
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
