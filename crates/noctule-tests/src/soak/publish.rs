//! Those who publish, and those who ask.

use super::content::{Name, payload};
use super::course::{Course, Memory, options, text_of};
use super::ledger::Lenience;
use crate::sim::chance::Chance;
use anyhow::Result;
use noctule_client::{Client, Error, Message, QoS, ReasonCode, Requester, Version};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Bytes of a packet that the broker does not take.
pub(crate) const PACKET_MAX: usize = 64 * 1024;
/// Levels of a topic that the broker takes.
pub(crate) const LEVELS_MAX: usize = 8;

/// How long to wait for an answer that is owed. What hangs is found by the ledger.
const PATIENCE: Duration = Duration::from_secs(3600);

/// How publishers wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// For the promise of each message.
    Publish,
    /// Until each message is in line.
    Send,
}

/// Who publishes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publisher {
    pub(crate) version: Version,
    pub(crate) memory: Memory,
    pub(crate) lenience: Lenience,
    /// Whether to publish what the broker has to refuse, too.
    pub(crate) unwelcome: bool,
}

/// One stream at work.
struct Source {
    course: Arc<Course>,
    client: Client,
    stream: u16,
    qos: QoS,
    way: Way,
    /// What the broker has to refuse.
    unwelcome: &'static [Unwelcome],
    chance: Chance,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug)]
enum Unwelcome {
    /// No client sends it.
    Wildcard,
    /// This server does not take it, and has said so.
    TooLarge,
    /// This server does not take it, and says so when it comes.
    TooDeep,
}

/// Starts a publisher with a stream for each QoS and way.
pub(crate) async fn publish(
    course: &Arc<Course>,
    publisher: Publisher,
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    let Publisher { version, memory, lenience, unwelcome } = publisher;
    let name = match memory {
        Memory::Kept => format!("publisher {}", text_of(version)),
        Memory::Forgotten => format!("stranger {}", text_of(version)),
    };
    let party = course.ledger.party(&name);
    let mut options = options(version, &name.replace([' ', '.'], "-"), memory);
    if memory == Memory::Forgotten {
        options.send_maximum = Some(4);
    }
    let client = course.client(party, options, 50).await?;
    for way in [Way::Publish, Way::Send] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let stream = course.ledger.stream(party, &format!("{way:?}"), qos, lenience);
            let unwelcome: &[Unwelcome] = match (unwelcome, version, qos) {
                (false, ..) => &[],
                (true, Version::V5, QoS::AtLeastOnce | QoS::ExactlyOnce) => {
                    &[Unwelcome::Wildcard, Unwelcome::TooLarge, Unwelcome::TooDeep]
                }
                (true, ..) => &[Unwelcome::Wildcard],
            };
            let (course, client) = (Arc::clone(course), client.clone());
            let chance = course.chance();
            tasks.spawn(Source { course, client, stream, qos, way, unwelcome, chance }.run());
        }
    }
    Ok(())
}

impl Source {
    async fn run(mut self) {
        let mut receipts = JoinSet::new();
        while self.course.goes_on().await {
            for _ in 0..self.chance.between(1, 12) {
                self.course.room().await;
                self.message(&mut receipts).await;
            }
            sleep(Duration::from_millis(self.chance.between(1, 120))).await;
        }
        receipts.join_all().await;
    }

    async fn message(&mut self, receipts: &mut JoinSet<()>) {
        let wrong = match self.unwelcome {
            [] => None,
            kinds => self.chance.percent(3).then(|| self.chance.pick(kinds)),
        };
        let name = self.course.ledger.ask(self.stream, wrong.is_some());
        let message = self.draw(name, wrong);
        match self.way {
            Way::Publish => {
                let result = self.client.publish(message).await;
                self.course.ledger.settle(name, &result);
            }
            Way::Send => match self.client.send(message).await {
                Ok(receipt) => {
                    let course = Arc::clone(&self.course);
                    receipts.spawn(async move { course.ledger.settle(name, &receipt.await) });
                }
                Err(error) => self.course.ledger.settle(name, &Err(error)),
            },
        }
    }

    fn draw(&self, name: Name, wrong: Option<Unwelcome>) -> Message {
        let topic = topic_of(name.stream);
        let (topic, payload) = match wrong {
            None => (topic, payload(name)),
            Some(Unwelcome::Wildcard) => (format!("{topic}/+"), payload(name)),
            Some(Unwelcome::TooLarge) => (topic, vec![0; PACKET_MAX]),
            Some(Unwelcome::TooDeep) => (topic + &"/deeper".repeat(LEVELS_MAX), payload(name)),
        };
        Message::new(topic, payload).qos(self.qos)
    }
}

/// The topic of a stream.
pub(crate) fn topic_of(stream: u16) -> String {
    format!("news/{stream}")
}

/// Starts a requester with two streams of requests.
pub(crate) async fn request(
    course: &Arc<Course>,
    lenience: Lenience,
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    let party = course.ledger.party("requester");
    let options = options(Version::V5, "requester", Memory::Kept);
    let client = course.client(party, options, 50).await?;
    let streams = [QoS::AtLeastOnce, QoS::ExactlyOnce]
        .map(|qos| (qos, course.ledger.requests(party, "requests", qos, lenience)));
    let (course, chances) = (Arc::clone(course), [course.chance(), course.chance()]);
    tasks.spawn(async move {
        let requester = match client.requester().await {
            Ok(requester) => requester,
            Err(error) => return course.ledger.fail(&format!("cannot subscribe: {error}"), party),
        };
        let asking = streams
            .into_iter()
            .zip(chances)
            .map(|((qos, stream), chance)| ask(&course, &requester, (stream, qos), chance));
        let mut asking = asking.collect::<Vec<_>>().into_iter();
        if let (Some(one), Some(two)) = (asking.next(), asking.next()) {
            tokio::join!(one, two);
        }
    });
    Ok(())
}

async fn ask(
    course: &Course,
    requester: &Requester,
    (stream, qos): (u16, QoS),
    mut chance: Chance,
) {
    while course.goes_on().await {
        course.room().await;
        let name = course.ledger.ask(stream, false);
        let question = payload(name);
        let message = Message::new(format!("questions/{stream}"), question.clone()).qos(qos);
        let patience = if course.ledger.owes(name) { PATIENCE } else { Duration::from_secs(1) };
        let result = match requester.request(message, patience).await {
            Ok(answer) if answer.payload[..] == answer_to(&question) => Ok(ReasonCode::Success),
            Ok(_) => {
                let fault = format!("question {} got the answer to another", name.number);
                return course.ledger.fail(&fault, 0);
            }
            Err(error) => Err::<_, Error>(error),
        };
        course.ledger.settle(name, &result);
        sleep(Duration::from_millis(chance.between(1, 100))).await;
    }
}

/// What is answered to a question.
pub(crate) fn answer_to(question: &[u8]) -> Vec<u8> {
    question.iter().rev().copied().collect()
}
