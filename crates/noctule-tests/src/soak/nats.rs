//! nats-server, killed and started again: it keeps sessions and messages on disk, so promises
//! hold over its deaths, as far as it keeps its own. Seen of 2.15.1 with `sync_interval: always`:
//!
//! * a QoS 2 message whose PUBREL has left when it dies may be gone, though it answers the PUBREL
//!   of the next connection with PUBCOMP: what is under way then is not counted upon;
//! * it forgets what subscribers have acknowledged of late, and sends it again under another
//!   identifier: messages of QoS 2 may come twice;
//! * what it had sent and nobody has acknowledged comes again after `ack_wait`, behind later ones:
//!   there is no order over a death.

use super::Setting;
use super::course::{Course, Memory, Phase, joined};
use super::ledger::{Care, Lenience};
use super::phoenix::{Bird, Phoenix, find_nats, nats};
use super::publish::{Publisher, publish};
use super::receive::{Subscriber, subscribe};
use super::weather::{Sky, Weather};
use anyhow::Result;
use noctule_client::{Acknowledge, QoS, Version};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// It speaks 3.1.1 only, and knows no shared subscriptions.
const SUBSCRIBERS: [Subscriber; 3] = [
    Subscriber {
        version: Version::V311,
        acknowledge: Acknowledge::Automatically,
        qos: QoS::ExactlyOnce,
    },
    Subscriber {
        version: Version::V311,
        acknowledge: Acknowledge::Automatically,
        qos: QoS::AtLeastOnce,
    },
    Subscriber {
        version: Version::V311,
        acknowledge: Acknowledge::ByApplication,
        qos: QoS::AtLeastOnce,
    },
];

pub(super) async fn run(setting: Setting) -> Result<String> {
    let Some(program) = find_nats() else {
        return Ok("  left out: no nats-server here (NOCTULE_NATS_SERVER would name one)".into());
    };
    let bird = nats(program)?;
    let Bird::Nats { home, .. } = bird.clone() else { return Ok(String::new()) };
    let mut broker = Phoenix::rise(bird).await?;
    let course = Course::new(broker.address, Weather::new(Sky::Calm), setting.seed);
    let account = setting.watch(&course, mindful(&course, &mut broker, setting.time)).await;
    drop(broker);
    // What is left of a run that failed is worth a look.
    if account.is_ok() {
        std::fs::remove_dir_all(&home)?;
    }
    account
}

async fn mindful(course: &Arc<Course>, broker: &mut Phoenix, time: Duration) -> Result<()> {
    let (mut receivers, mut publishers) = (JoinSet::new(), JoinSet::new());
    subscribe(course, &SUBSCRIBERS, Care::Repeated, &mut receivers).await?;
    for (memory, lenience) in
        [(Memory::Kept, Lenience::Mortal), (Memory::Forgotten, Lenience::Forgetful)]
    {
        let version = Version::V311;
        let publisher = Publisher { version, memory, lenience, unwelcome: false };
        publish(course, publisher, &mut publishers).await?;
    }
    let mut chance = course.chance();
    let (party, end) = (course.broker(), Instant::now() + time);
    while Instant::now() < end {
        sleep(Duration::from_millis(chance.between(500, 3000))).await;
        broker.die()?;
        course.ledger.death();
        course.ledger.note(party, "is killed");
        course.ledger.count("broker killed");
        sleep(Duration::from_millis(chance.between(0, 400))).await;
        broker.again().await?;
        course.ledger.note(party, "is back");
    }
    course.enter(Phase::End);
    joined(publishers).await?;
    course.until(|ledger| ledger.backlog() == 0).await;
    course.part().await
}
