//! The client against nats-server, which speaks MQTT 3.1.1 only and keeps sessions, retained
//! messages and everything of QoS 1 and 2 in streams.

mod broker;
mod scripts;

use broker::Nats;
use noctule_client::{Error, Message, QoS, ReasonCode, Subscribe, Version};
use scripts::{Broker, Resumes, connect, options};

/// The process, and what the scripts want to know of it.
fn start() -> Option<(Nats, Broker)> {
    let nats = Nats::start()?;
    // Its streams deliver again when their time has come, not when a client is back.
    let resumes = Resumes::OutOfOrder;
    let broker = Broker { address: nats.address(), versions: &[Version::V311], resumes };
    Some((nats, broker))
}

#[tokio::test]
async fn messages_of_each_qos_come_back() -> Result<(), Error> {
    let Some((_nats, broker)) = start() else { return Ok(()) };
    scripts::messages_of_each_qos_come_back_in_each_version(broker).await
}

#[tokio::test]
async fn many_messages_at_once_keep_their_order() -> Result<(), Error> {
    let Some((_nats, broker)) = start() else { return Ok(()) };
    scripts::many_messages_at_once_keep_their_order(broker).await
}

#[tokio::test]
async fn an_application_that_answers_each_message_is_not_stuck() -> Result<(), Error> {
    let Some((_nats, broker)) = start() else { return Ok(()) };
    scripts::an_application_that_answers_each_message_is_not_stuck(broker).await
}

#[tokio::test]
async fn retained_messages_come_with_the_subscription() -> Result<(), Error> {
    let Some((_nats, broker)) = start() else { return Ok(()) };
    scripts::retained_messages_come_with_the_subscription(broker).await
}

#[tokio::test]
async fn a_session_that_is_kept_collects_messages() -> Result<(), Error> {
    let Some((_nats, broker)) = start() else { return Ok(()) };
    scripts::a_session_that_is_kept_collects_messages(broker).await
}

#[test]
fn a_will_is_published_for_who_vanishes_and_not_for_who_says_good_bye() {
    let Some((_nats, broker)) = start() else { return };
    scripts::a_will_is_published_for_who_vanishes_and_not_for_who_says_good_bye(broker);
}

#[tokio::test]
async fn two_clients_of_one_name_do_not_get_on() -> Result<(), Error> {
    let Some((_nats, broker)) = start() else { return Ok(()) };
    scripts::two_clients_of_one_name_do_not_get_on(broker).await
}

#[tokio::test]
async fn what_is_published_over_broken_connections_arrives() -> Result<(), Error> {
    let Some((_nats, broker)) = start() else { return Ok(()) };
    scripts::what_is_published_over_broken_connections_arrives(broker).await
}

#[tokio::test]
async fn what_is_received_over_broken_connections_is_whole() -> Result<(), Error> {
    let Some((_nats, broker)) = start() else { return Ok(()) };
    scripts::what_is_received_over_broken_connections_is_whole(broker).await
}

#[tokio::test]
async fn a_version_it_does_not_speak_is_refused_in_plain_words() {
    let Some((_nats, broker)) = start() else { return };
    // It answers in its own version's words.
    let refused = connect(broker, options(Version::V5, "c")).await;
    let Err(Error::Refused(notice)) = refused else { panic!("{refused:?}") };
    assert_eq!(notice.reason, ReasonCode::UnsupportedProtocolVersion);
    let refused = connect(broker, options(Version::V31, "c")).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
}

#[tokio::test]
async fn who_waits_is_told_when_the_broker_dies() -> Result<(), Error> {
    let Some((mut nats, broker)) = start() else { return Ok(()) };
    let client = connect(broker, options(Version::V311, "c")).await?;
    let mut all = client.subscribe(Subscribe::to("#", QoS::AtMostOnce)).await?;
    nats.kill();
    assert!(all.recv().await.is_none());
    let lost = client.publish(Message::new("a", "x").qos(QoS::AtLeastOnce)).await;
    assert!(matches!(lost, Err(Error::Closed | Error::Failure(_))), "{lost:?}");
    Ok(())
}
