//! The client against a broker that others wrote.

mod broker;
mod scripts;

use broker::Mosquitto;
use noctule_client::{Error, Message, Options, QoS, Subscribe, Version};
use scripts::{connect, options};

const OPEN: &str = "allow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0";

#[tokio::test]
async fn messages_of_each_qos_come_back_in_each_version() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::messages_of_each_qos_come_back_in_each_version(broker.address().into()).await
}

#[tokio::test]
async fn many_messages_at_once_keep_their_order() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::many_messages_at_once_keep_their_order(broker.address().into()).await
}

#[tokio::test]
async fn an_application_that_answers_each_message_is_not_stuck() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::an_application_that_answers_each_message_is_not_stuck(broker.address().into()).await
}

#[tokio::test]
async fn retained_messages_come_with_the_subscription() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::retained_messages_come_with_the_subscription(broker.address().into()).await
}

#[tokio::test]
async fn a_session_that_is_kept_collects_messages() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::a_session_that_is_kept_collects_messages(broker.address().into()).await
}

#[test]
fn a_will_is_published_for_who_vanishes_and_not_for_who_says_good_bye() {
    let Some(broker) = Mosquitto::start(OPEN) else { return };
    scripts::a_will_is_published_for_who_vanishes_and_not_for_who_says_good_bye(
        broker.address().into(),
    );
}

#[tokio::test]
async fn properties_of_a_message_arrive() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::properties_of_a_message_arrive(broker.address().into()).await
}

#[tokio::test]
async fn overlapping_subscriptions_each_get_their_messages() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::overlapping_subscriptions_each_get_their_messages(broker.address().into()).await
}

#[tokio::test]
async fn two_clients_of_one_name_do_not_get_on() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::two_clients_of_one_name_do_not_get_on(broker.address().into()).await
}

#[tokio::test]
async fn what_is_published_over_broken_connections_arrives() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::what_is_published_over_broken_connections_arrives(broker.address().into()).await
}

#[tokio::test]
async fn what_is_received_over_broken_connections_is_whole() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::what_is_received_over_broken_connections_is_whole(broker.address().into()).await
}

#[tokio::test]
async fn requests_find_their_responses() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::requests_find_their_responses(broker.address().into()).await
}

#[tokio::test]
async fn a_shared_subscription_divides_the_work() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    scripts::a_shared_subscription_divides_the_work(broker.address().into()).await
}

#[tokio::test]
async fn a_refusal_is_told_in_plain_words() {
    let Some(broker) = Mosquitto::start("allow_anonymous false") else { return };
    for (version, code) in [(Version::V31, 5), (Version::V311, 5), (Version::V5, 135)] {
        let mut options = options(version, "c");
        options.user_name = Some("nobody".into());
        options.password = Some(b"wrong".to_vec());
        let Err(Error::Refused(notice)) = connect(broker.address(), options).await else {
            panic!("refused")
        };
        assert_eq!(notice.code, code);
        assert!(notice.to_string().starts_with("not authorized"), "{notice}");
    }
}

#[tokio::test]
async fn who_waits_is_told_when_the_broker_dies() -> Result<(), Error> {
    let Some(mut broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    let client = connect(broker.address(), options(Version::V5, "c")).await?;
    let mut all = client.subscribe(Subscribe::to("#", QoS::AtMostOnce)).await?;
    assert!(client.end().is_none());
    broker.kill();
    assert!(all.recv().await.is_none());
    assert!(all.end().is_some() && client.end().is_some());
    let lost = client.publish(Message::new("a", "x").qos(QoS::AtLeastOnce)).await;
    assert!(matches!(lost, Err(Error::Closed | Error::Failure(_))), "{lost:?}");
    assert!(matches!(connect(broker.address(), Options::default()).await, Err(Error::Failure(_))));
    Ok(())
}
