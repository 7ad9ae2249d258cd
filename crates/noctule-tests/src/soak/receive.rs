//! Those who receive, and those who answer.

use super::content::Name;
use super::course::{Course, Memory, by_application, options, text_of};
use super::ledger::{Arrival, Care, Kind};
use super::publish::answer_to;
use crate::sim::chance::Chance;
use anyhow::Result;
use noctule_client::{Acknowledge, Client, Message, QoS, Subscribe, Subscription, Version};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Messages that an application has before it acknowledges any of them, at most.
const HELD_MAX: u64 = 12;
/// What any client of these takes at once: more than an application holds.
const RECEIVE_MAXIMUM: u16 = 15;

/// Who receives the news.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscriber {
    pub(crate) version: Version,
    pub(crate) acknowledge: Acknowledge,
    pub(crate) qos: QoS,
}

/// A subscription at work.
struct Ear {
    course: Arc<Course>,
    client: Client,
    party: u16,
    receiver: u16,
    acknowledge: Acknowledge,
    chance: Chance,
    /// Received, and not acknowledged by the application.
    held: Vec<(Name, Message)>,
}

/// Starts subscribers, each on its own.
pub(crate) async fn subscribe(
    course: &Arc<Course>,
    subscribers: &[Subscriber],
    care: Care,
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    for subscriber in subscribers {
        let name = name_of(*subscriber);
        let party = course.ledger.party(&name);
        let receiver = course.ledger.receiver(party, Kind::News, subscriber.qos, care);
        let options = options_of(*subscriber, &name);
        listen(course, *subscriber, (party, receiver), (options, "news/#"), tasks).await?;
    }
    Ok(())
}

/// Starts subscribers that share a subscription: one receiver.
pub(crate) async fn share(
    course: &Arc<Course>,
    members: &[Subscriber],
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    let party = course.ledger.party("group");
    let receiver = course.ledger.receiver(party, Kind::News, QoS::ExactlyOnce, Care::Shared);
    for (number, member) in members.iter().enumerate() {
        let name = format!("member {number}, {}", name_of(*member));
        let party = course.ledger.party(&name);
        let options = options_of(*member, &name);
        listen(course, *member, (party, receiver), (options, "$share/group/news/#"), tasks).await?;
    }
    Ok(())
}

fn name_of(subscriber: Subscriber) -> String {
    let who = match subscriber.acknowledge {
        Acknowledge::Automatically => "auto",
        Acknowledge::ByApplication => "manual",
    };
    format!("{who} {} {:?}", text_of(subscriber.version), subscriber.qos)
}

fn options_of(subscriber: Subscriber, name: &str) -> noctule_client::Options {
    let client_id = name.replace([' ', ',', '.'], "-");
    let mut options = options(subscriber.version, &client_id, Memory::Kept);
    options.receive_maximum = RECEIVE_MAXIMUM;
    options.topic_alias_maximum = 5;
    match subscriber.acknowledge {
        Acknowledge::Automatically => options,
        Acknowledge::ByApplication => by_application(options),
    }
}

async fn listen(
    course: &Arc<Course>,
    subscriber: Subscriber,
    (party, receiver): (u16, u16),
    (options, filter): (noctule_client::Options, &str),
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    let client = course.client(party, options, 50).await?;
    let messages = client.subscribe(Subscribe::to(filter, subscriber.qos)).await?;
    let (course, chance) = (Arc::clone(course), course.chance());
    let acknowledge = subscriber.acknowledge;
    let held = Vec::new();
    tasks.spawn(Ear { course, client, party, receiver, acknowledge, chance, held }.run(messages));
    Ok(())
}

impl Ear {
    async fn run(mut self, mut messages: Subscription) {
        let mut most = self.chance.between(1, HELD_MAX);
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.hear(message),
                    None if self.course.is_over() => return,
                    None => {
                        let fault = format!("its stream ends: {:?}", messages.end());
                        return self.course.ledger.fail(&fault, self.party);
                    }
                },
                () = sleep(Duration::from_millis(30)), if !self.held.is_empty() => {
                    most = 0;
                }
            }
            if self.held.len() as u64 >= most {
                self.acknowledge();
                most = self.chance.between(1, HELD_MAX);
            }
        }
    }

    fn hear(&mut self, message: Message) {
        let arrival = arrival(&message);
        let Some(name) = self.course.ledger.arrive(self.receiver, &arrival) else { return };
        if self.acknowledge == Acknowledge::ByApplication && message.qos > QoS::AtMostOnce {
            self.held.push((name, message));
        }
    }

    /// In any order.
    fn acknowledge(&mut self) {
        while !self.held.is_empty() {
            let (name, message) = self.held.swap_remove(self.chance.below(self.held.len()));
            self.course.ledger.acknowledged(self.receiver, name);
            if let Err(error) = self.client.acknowledge(&message) {
                self.course.ledger.fail(&format!("cannot acknowledge: {error}"), self.party);
            }
        }
    }
}

fn arrival(message: &Message) -> Arrival<'_> {
    let Message { topic, payload, qos, .. } = message;
    Arrival { topic, payload, qos: *qos }
}

/// Starts a client that answers questions, and acknowledges each when its answer is there.
pub(crate) async fn answer(course: &Arc<Course>, tasks: &mut JoinSet<()>) -> Result<()> {
    let party = course.ledger.party("responder");
    let receiver = course.ledger.receiver(party, Kind::Request, QoS::ExactlyOnce, Care::Strict);
    let options = by_application(options(Version::V5, "responder", Memory::Kept));
    let client = course.client(party, options, 50).await?;
    let subscribe = Subscribe::to("questions/#", QoS::ExactlyOnce);
    let mut questions = client.subscribe(subscribe).await?;
    let course = Arc::clone(course);
    tasks.spawn(async move {
        while let Some(question) = questions.recv().await {
            let Some(name) = course.ledger.arrive(receiver, &arrival(&question)) else { return };
            let answer = Message::new("", answer_to(&question.payload));
            if let Err(error) = client.respond(&question, answer).await {
                course.ledger.note(party, format!("has no answer to {}: {error}", name.number));
            }
            course.ledger.acknowledged(receiver, name);
            if let Err(error) = client.acknowledge(&question) {
                course.ledger.fail(&format!("cannot acknowledge: {error}"), party);
            }
        }
        if !course.is_over() {
            course.ledger.fail("its stream ends", party);
        }
    });
    Ok(())
}
