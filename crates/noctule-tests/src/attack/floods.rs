//! Attacks by what the broker keeps for clients: retained messages and Wills.

use super::mallory::{Scene, address, insider, reset};
use crate::script::connect::will;
use crate::script::packet::publish;
use crate::script::property;
use noctule_proto::Version;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_local;

/// Clients that flood, messages in a batch of theirs, and bytes of a message: 4,000 messages a
/// second of each, as long as nobody slows it down.
const FLOODERS: u64 = 2;
const BATCH: u64 = 200;
const PERIOD: Duration = Duration::from_millis(50);
const PAYLOAD: usize = 2048;

/// Connections a second that leave a Will.
const WILLS: u64 = 400;
/// Addresses that they come from.
const WILL_ADDRESSES: u64 = 4;
/// Bytes of those that are published at once, and of those that are to be kept for an hour.
const SMALL: usize = 1024;
const LARGE: usize = 60 * 1024;
const HOUR: u32 = 3600;

/// Retained messages to ever new topics.
pub(super) async fn retained(scene: &Scene) {
    for number in 0..FLOODERS {
        let scene = scene.clone();
        spawn_local(async move {
            let hello = insider(&format!("mallory-{number}"));
            let Ok((0, stream)) = scene.login(address(number), hello).await else {
                return scene.count("refused", 1);
            };
            let (mut reads, mut writes) = stream.into_split();
            spawn_local(async move {
                let mut bytes = [0; 4096];
                while reads.read(&mut bytes).await.is_ok_and(|len| len > 0) {}
            });
            let mut sent = 0;
            while scene.goes_on() {
                let message = |at: u64| publish(&format!("mallory/{number}/{at}"), [0; PAYLOAD]);
                let batch: Vec<u8> = (sent..sent + BATCH)
                    .flat_map(|at| message(at).retain().encode(Version::V5))
                    .collect();
                let sending = tokio::time::timeout_at(scene.until.into(), writes.write_all(&batch));
                match sending.await {
                    Ok(Ok(())) => scene.count("retained messages", BATCH),
                    Ok(Err(_)) => return scene.count("cut off", 1),
                    Err(_) => return scene.count("held back", 1),
                }
                sent += BATCH;
                tokio::time::sleep(PERIOD).await;
            }
        });
    }
    scene.at_rate(1, |_| {}).await;
}

/// In turn: a Will that is due as the connection breaks; one that is to wait for an hour.
pub(super) async fn wills(scene: &Scene) {
    scene
        .at_rate(WILLS, |number| {
            let scene = scene.clone();
            spawn_local(async move {
                let hello = insider(&format!("mallory-{number}"));
                let hello = match number % 2 {
                    0 => hello.will(will("mallory/will", "").payload(&[0; SMALL]).qos(1)),
                    _ => {
                        let delayed = will("mallory/will", "").payload(&[0; LARGE]).qos(1);
                        let delay = property::property(0x18, &HOUR.to_be_bytes());
                        hello.with(property::session_expiry(HOUR)).will(delayed.with(delay))
                    }
                };
                match scene.login(address(number % WILL_ADDRESSES), hello).await {
                    Ok((0, stream)) => {
                        scene.count("wills", 1);
                        reset(stream);
                    }
                    Ok(_) => scene.count("refused", 1),
                    Err(_) => scene.count("connections turned away", 1),
                }
            });
        })
        .await;
}
