//! Connections that are cut, delayed, stalled and half closed, while the broker lives on: every
//! promise holds.

use super::course::{Course, Memory, Phase, joined};
use super::ledger::{Care, Lenience};
use super::publish::{LEVELS_MAX, PACKET_MAX, Publisher, publish, request};
use super::receive::{Subscriber, answer, share, subscribe};
use super::weather::{Sky, Weather};
use super::{Setting, log};
use crate::process::BrokerProcess;
use anyhow::Result;
use noctule_client::{Acknowledge, QoS, Version};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What all brokers of the soak are started with: queues are long enough for everything that may
/// be on its way, windows short.
pub(super) fn config() -> String {
    format!(
        "shards = 2\n[admin]\nenabled = false\n[limits]\npacket_size_max = {PACKET_MAX}\n\
         topic_levels_max = {LEVELS_MAX}\nreceive_maximum = 40\ninflight_max = 30\n\
         topic_alias_max = 8\n"
    )
}

/// Subscribers of every kind.
pub(super) const SUBSCRIBERS: [Subscriber; 4] = [
    subscriber(Version::V5, Acknowledge::Automatically, QoS::ExactlyOnce),
    subscriber(Version::V311, Acknowledge::Automatically, QoS::ExactlyOnce),
    subscriber(Version::V5, Acknowledge::ByApplication, QoS::ExactlyOnce),
    subscriber(Version::V311, Acknowledge::ByApplication, QoS::AtLeastOnce),
];

pub(super) const MEMBERS: [Subscriber; 3] = [
    subscriber(Version::V5, Acknowledge::Automatically, QoS::ExactlyOnce),
    subscriber(Version::V311, Acknowledge::Automatically, QoS::ExactlyOnce),
    subscriber(Version::V5, Acknowledge::ByApplication, QoS::ExactlyOnce),
];

const fn subscriber(version: Version, acknowledge: Acknowledge, qos: QoS) -> Subscriber {
    Subscriber { version, acknowledge, qos }
}

pub(super) async fn run(setting: Setting) -> Result<String> {
    let broker = BrokerProcess::start_with(&config())?;
    let course = Course::new(broker.address(), Weather::new(Sky::Storm), setting.seed);
    let account = setting.watch(&course, broker_lives(&course, setting.time)).await;
    log::check(&broker.log()).and(account)
}

async fn broker_lives(course: &Arc<Course>, time: Duration) -> Result<()> {
    let (mut receivers, mut publishers) = (JoinSet::new(), JoinSet::new());
    subscribe(course, &SUBSCRIBERS, Care::Strict, &mut receivers).await?;
    share(course, &MEMBERS, &mut receivers).await?;
    answer(course, &mut receivers).await?;
    for version in [Version::V5, Version::V311] {
        for (memory, lenience) in
            [(Memory::Kept, Lenience::None), (Memory::Forgotten, Lenience::Forgetful)]
        {
            let publisher = Publisher { version, memory, lenience, unwelcome: true };
            publish(course, publisher, &mut publishers).await?;
        }
    }
    request(course, Lenience::None, &mut publishers).await?;
    sleep(time).await;
    course.enter(Phase::End);
    // What is on its way meets the storm too; then nothing is in the way of anything any more.
    sleep(time / 20).await;
    course.weather.change(Sky::Calm);
    joined(publishers).await?;
    course.until(|ledger| ledger.backlog() == 0).await;
    course.part().await
}
