//! Attacks of those who know no password.

use super::mallory::{Scene, address, insider, reset};
use super::stage::GOOD;
use crate::script::connect::connect;
use crate::script::line::session;
use crate::script::packet::publish;
use noctule_proto::Version;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

/// Addresses that guess, and how many of them do so as fast as they are answered; the others
/// guess once in five seconds.
const GUESSERS: u64 = 1000;
const EAGER: u64 = 100;
const BREATH: Duration = Duration::from_secs(5);
/// So many guesses of an address are no suspicion yet (`defence.address_failures_max`).
const FORGIVEN: u64 = 10;
/// A machine that has little time for it answers few guesses: the attack goes on until there is
/// something to be found, but not for longer than this.
const LONGEST: Duration = Duration::from_secs(60);

/// Connections a second of a flood, and addresses it comes from.
const CONNECTS: u64 = 2000;
const FLOODERS: u64 = 8;
/// Of a flood that says nothing, so many are open at a time.
const IDLE_MAX: u64 = 6000;

/// Handshakes a second that are begun.
const HANDSHAKES: u64 = 200;
/// Connections that go on a byte at a time, and how often.
const LORISES: u64 = 1000;
const DRIP: Duration = Duration::from_millis(200);
/// Of those who are let in, so many send a message like that.
const INSIDE: u64 = 50;

/// A wrong password, again and again, from each of a thousand addresses.
pub(super) async fn brute_force(scene: &Scene) {
    const MOST: &str = "guesses at most of an address";
    let found = |scene: &Scene| scene.toll().of(MOST) > FORGIVEN;
    let began = Instant::now();
    for number in 0..GUESSERS {
        let scene = scene.clone();
        spawn_local(async move {
            let mut tried = 0;
            while scene.goes_on() || !found(&scene) {
                let password = format!("guess-{number}-{tried}");
                let hello = connect(&format!("mallory-{number}"));
                let hello = hello.user_name(GOOD.as_bytes()).password(password.as_bytes());
                match scene.login(address(number), hello).await {
                    Ok((0, _)) => scene.count("let in", 1),
                    Ok((0x89, _)) => scene.count("told that it is busy", 1),
                    Ok(_) => {
                        tried += 1;
                        scene.count("guesses", 1);
                        scene.most(MOST, tried);
                    }
                    Err(_) => {
                        scene.count("connections turned away", 1);
                        tokio::time::sleep(BREATH).await;
                    }
                }
                let pause = if number < EAGER { Duration::from_millis(20) } else { BREATH };
                tokio::time::sleep(pause).await;
            }
        });
    }
    scene.at_rate(1, |_| {}).await;
    while !found(scene) && began.elapsed() < LONGEST {
        tokio::time::sleep(BREATH / 50).await;
    }
}

/// Every second connection is reset at once, the others stay and say nothing.
pub(super) async fn connect_flood(scene: &Scene) {
    let at = |number| (address(number % FLOODERS), number % 2 == 0);
    scene
        .at_rate(CONNECTS, |number| {
            let (scene, (from, stays)) = (scene.clone(), at(number));
            spawn_local(async move {
                let Ok(mut stream) = scene.dial(from, scene.doors.plain).await else {
                    return scene.count("connections failed", 1);
                };
                scene.count("connections", 1);
                if !stays || number > 2 * IDLE_MAX {
                    return reset(stream);
                }
                if let Ok(0) | Err(_) = stream.read(&mut [0]).await {
                    scene.count("closed by the broker", 1);
                }
            });
        })
        .await;
}

/// In turn: the first bytes of a handshake one by one; the whole first message and then nothing.
pub(super) async fn slow_handshakes(scene: &Scene) {
    scene
        .at_rate(HANDSHAKES, |number| {
            let scene = scene.clone();
            spawn_local(async move {
                let from = address(number % FLOODERS);
                let Ok(mut stream) = scene.dial(from, scene.doors.tls).await else {
                    return scene.count("connections failed", 1);
                };
                let mut hello = Vec::new();
                if session().write_tls(&mut hello).is_err() {
                    return;
                }
                scene.count("handshakes begun", 1);
                if number % 2 == 0 {
                    drip(&scene, &mut stream, &hello).await;
                } else if stream.write_all(&hello).await.is_ok() {
                    let mut bytes = [0; 4096];
                    while stream.read(&mut bytes).await.is_ok_and(|len| len > 0) {}
                    scene.count("closed by the broker", 1);
                }
            });
        })
        .await;
}

/// CONNECTs that never become whole, and messages of those who were let in that never do.
pub(super) async fn slow_loris(scene: &Scene) {
    for number in 0..LORISES {
        let scene = scene.clone();
        spawn_local(async move {
            let hello = insider(&format!("mallory-{number}")).encode(Version::V5);
            while scene.goes_on() {
                match scene.dial(address(number % FLOODERS), scene.doors.plain).await {
                    Ok(mut stream) => {
                        scene.count("CONNECTs begun", 1);
                        drip(&scene, &mut stream, &hello[..hello.len() - 1]).await;
                    }
                    Err(_) => scene.count("connections failed", 1),
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }
    for number in 0..INSIDE {
        let scene = scene.clone();
        spawn_local(async move {
            let from = address(100 + number % FLOODERS);
            let hello = insider(&format!("mallory-in-{number}")).keep_alive(5);
            let Ok((0, mut stream)) = scene.login(from, hello).await else { return };
            scene.count("messages begun", 1);
            let whole = publish("mallory/large", vec![0; 1 << 20]).encode(Version::V5);
            if stream.write_all(&whole[..64 << 10]).await.is_ok() {
                drip(&scene, &mut stream, &whole[64 << 10..]).await;
            }
        });
    }
    scene.at_rate(1, |_| {}).await;
}

/// Sends bytes one at a time, then nothing, until the broker has enough of it.
async fn drip(scene: &Scene, stream: &mut TcpStream, bytes: &[u8]) {
    let mut bytes = bytes.iter();
    while scene.goes_on() {
        let closed = tokio::time::timeout(DRIP, stream.read(&mut [0])).await;
        let sent = match bytes.next() {
            Some(byte) => stream.write_all(&[*byte]).await.is_ok(),
            None => true,
        };
        if !sent || matches!(closed, Ok(Ok(0) | Err(_))) {
            return scene.count("closed by the broker", 1);
        }
    }
}
