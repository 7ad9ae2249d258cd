//! A broker that is killed and started again, and forgets everything each time: clients come back
//! by themselves, publishes end as promised or with an error that says so, and what is promised
//! while nothing happens arrives.
//!
//! ```text
//! storm: broker killed, links cut ─▶ calm: everybody hears something ─▶ promises count
//!    ▲                                                                      │
//!    └──────────────── nothing is open, everything promised is there ◀──────┘
//! ```

use super::Setting;
use super::course::{Course, Memory, Phase, joined};
use super::cut::{MEMBERS, SUBSCRIBERS, config};
use super::ledger::{Care, Lenience};
use super::phoenix::{Bird, Phoenix};
use super::publish::{Publisher, publish, request};
use super::receive::{answer, share, subscribe};
use super::weather::{Sky, Weather};
use crate::sim::chance::Chance;
use anyhow::Result;
use noctule_client::Version;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

pub(super) async fn run(setting: Setting) -> Result<String> {
    let mut broker = Phoenix::rise(Bird::Noctule { config: config() }).await?;
    let course = Course::new(broker.address, Weather::new(Sky::Calm), setting.seed);
    setting.watch(&course, forgetful(&course, &mut broker, setting.time)).await
}

async fn forgetful(course: &Arc<Course>, broker: &mut Phoenix, time: Duration) -> Result<()> {
    // Nothing is promised before the first calm.
    course.ledger.forgive();
    let (mut receivers, mut publishers) = (JoinSet::new(), JoinSet::new());
    subscribe(course, &SUBSCRIBERS, Care::Strict, &mut receivers).await?;
    share(course, &MEMBERS, &mut receivers).await?;
    answer(course, &mut receivers).await?;
    for version in [Version::V5, Version::V311] {
        for memory in [Memory::Kept, Memory::Forgotten] {
            let lenience = Lenience::Amnesia;
            let publisher = Publisher { version, memory, lenience, unwelcome: false };
            publish(course, publisher, &mut publishers).await?;
        }
    }
    request(course, Lenience::Amnesia, &mut publishers).await?;
    let mut chance = course.chance();
    let end = Instant::now() + time;
    loop {
        storm(course, broker, &mut chance).await?;
        calm(course, &mut chance).await;
        if Instant::now() >= end {
            break;
        }
        course.enter(Phase::Publish);
    }
    course.enter(Phase::End);
    joined(publishers).await?;
    course.until(|ledger| ledger.backlog() == 0).await;
    course.part().await?;
    broker.retire().await
}

/// The broker goes down a few times, most of them without a word.
async fn storm(course: &Course, broker: &mut Phoenix, chance: &mut Chance) -> Result<()> {
    let party = course.broker();
    course.weather.change(Sky::Storm);
    for _ in 0..chance.between(1, 3) {
        sleep(Duration::from_millis(chance.between(200, 2500))).await;
        if chance.percent(20) {
            broker.retire().await?;
            course.ledger.note(party, "has ended");
            course.ledger.count("broker ended");
        } else {
            broker.die()?;
            course.ledger.note(party, "is killed");
            course.ledger.count("broker killed");
        }
        sleep(Duration::from_millis(chance.between(0, 400))).await;
        broker.again().await?;
        course.ledger.note(party, "is back");
    }
    sleep(Duration::from_millis(chance.between(0, 300))).await;
    course.weather.change(Sky::Calm);
    Ok(())
}

/// Everybody comes back, then promises count; in the end nothing is open, and publishers pause.
async fn calm(course: &Course, chance: &mut Chance) {
    let since = course.ledger.now_ms();
    course.until(|ledger| ledger.all_have_heard_since(since)).await;
    course.ledger.note(course.broker(), "promises count");
    course.ledger.owe();
    sleep(Duration::from_millis(chance.between(300, 1000))).await;
    course.enter(Phase::Pause);
    course.until(|ledger| ledger.forgive()).await;
    course.ledger.count("calms");
}
