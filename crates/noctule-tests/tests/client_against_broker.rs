//! The client library against the broker, in one process over loopback.

#[path = "../../noctule-client/tests/scripts/mod.rs"]
mod scripts;

use noctule_client::{Error, Message, QoS, ReasonCode, Subscribe, Version};
use noctule_server::config::Config;
use noctule_server::{Handle, Server};
use scripts::{connect, options};
use std::net::SocketAddr;

/// A broker of two shards on a port that the system chose.
fn start() -> (Handle, SocketAddr) {
    let broker = Server::start(Config::for_tests()).expect("loopback and two threads");
    let address = *broker.addresses().first().expect("a listener");
    (broker, address)
}

#[tokio::test]
async fn messages_of_each_qos_come_back_in_each_version() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::messages_of_each_qos_come_back_in_each_version(address.into()).await
}

/// `[MQTT-4.2-1 v5]` `[MQTT-7.1.2-1 v3.1.1]`
#[tokio::test]
async fn many_messages_at_once_keep_their_order() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::many_messages_at_once_keep_their_order(address.into()).await
}

#[tokio::test]
async fn an_application_that_answers_each_message_is_not_stuck() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::an_application_that_answers_each_message_is_not_stuck(address.into()).await
}

#[tokio::test]
async fn retained_messages_come_with_the_subscription() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::retained_messages_come_with_the_subscription(address.into()).await
}

#[tokio::test]
async fn a_session_that_is_kept_collects_messages() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::a_session_that_is_kept_collects_messages(address.into()).await
}

#[test]
fn a_will_is_published_for_who_vanishes_and_not_for_who_says_good_bye() {
    let (_broker, address) = start();
    scripts::a_will_is_published_for_who_vanishes_and_not_for_who_says_good_bye(address.into());
}

#[tokio::test]
async fn properties_of_a_message_arrive() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::properties_of_a_message_arrive(address.into()).await
}

#[tokio::test]
async fn overlapping_subscriptions_each_get_their_messages() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::overlapping_subscriptions_each_get_their_messages(address.into()).await
}

#[tokio::test]
async fn two_clients_of_one_name_do_not_get_on() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::two_clients_of_one_name_do_not_get_on(address.into()).await
}

#[tokio::test]
async fn what_is_published_over_broken_connections_arrives() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::what_is_published_over_broken_connections_arrives(address.into()).await
}

#[tokio::test]
async fn what_is_received_over_broken_connections_is_whole() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::what_is_received_over_broken_connections_is_whole(address.into()).await
}

#[tokio::test]
async fn requests_find_their_responses() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::requests_find_their_responses(address.into()).await
}

#[tokio::test]
async fn a_shared_subscription_divides_the_work() -> Result<(), Error> {
    let (_broker, address) = start();
    scripts::a_shared_subscription_divides_the_work(address.into()).await
}

#[tokio::test]
async fn who_waits_is_told_when_the_broker_shuts_down() -> Result<(), Error> {
    let (broker, address) = start();
    let client = connect(address, options(Version::V5, "c")).await?;
    let mut all = client.subscribe(Subscribe::to("#", QoS::AtMostOnce)).await?;
    let stopping = std::thread::spawn(|| broker.stop());
    assert!(all.recv().await.is_none());
    let Some(Error::Disconnected(notice)) = client.end() else { panic!("{:?}", client.end()) };
    assert_eq!(notice.reason, ReasonCode::ServerShuttingDown);
    let lost = client.publish(Message::new("a", "x").qos(QoS::AtLeastOnce)).await;
    assert!(matches!(lost, Err(Error::Disconnected(_))), "{lost:?}");
    assert!(stopping.join().expect("no panic"));
    Ok(())
}
