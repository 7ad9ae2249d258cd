//! Requests that expect a response (4.10 v5).

use super::client::Client;
use super::subscription::Subscription;
use crate::error::{Error, Invalid};
use crate::message::{Message, Subscribe};
use noctule_proto::{PacketType, QoS, ReasonCode, TopicName, Version};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Makes requests and awaits their responses; made by [`Client::requester`].
///
/// All responses come through one subscription, and find their requests by correlation data.
#[derive(Debug)]
pub struct Requester {
    client: Client,
    response_topic: String,
    pending: Arc<Pending>,
    next: AtomicU64,
    dispatch: JoinHandle<()>,
}

/// Requests without a response yet, by their correlation data.
#[derive(Debug, Default)]
struct Pending(Mutex<HashMap<Vec<u8>, oneshot::Sender<Message>>>);

impl Pending {
    fn insert(&self, key: Vec<u8>, reply: oneshot::Sender<Message>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, reply);
    }

    fn remove(&self, key: &[u8]) -> Option<oneshot::Sender<Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
    }
}

/// Forgets a request however its future ends.
struct Forget<'a>(&'a Pending, &'a [u8]);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.remove(self.1);
    }
}

impl Requester {
    pub(super) async fn new(client: Client, response_topic: String) -> Result<Requester, Error> {
        let subscribe = Subscribe::to(response_topic.as_str(), QoS::AtLeastOnce);
        let responses = client.subscribe(subscribe).await?;
        let pending = Arc::<Pending>::default();
        let dispatch = tokio::spawn(dispatch(responses, Arc::clone(&pending)));
        let next = AtomicU64::new(1);
        Ok(Requester { client, response_topic, pending, next, dispatch })
    }

    /// Publishes a request and waits for its response. Response topic and correlation data are
    /// added; a response topic of the message's own is an error.
    pub async fn request(
        &self,
        mut message: Message,
        patience: Duration,
    ) -> Result<Message, Error> {
        let key = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec();
        let topic = TopicName::parse(&self.response_topic).map_err(Invalid::TopicName)?;
        let properties = message.properties.as_properties();
        if properties.response_topic().is_some() || properties.correlation_data().is_some() {
            return Err(Invalid::PropertyTwice.into());
        }
        message.properties.response_topic(topic).map_err(|_| Invalid::PropertyTooLong)?;
        message.properties.correlation_data(&key).map_err(|_| Invalid::PropertyTooLong)?;
        let (reply, response) = oneshot::channel();
        self.pending.insert(key.clone(), reply);
        let _forget = Forget(&self.pending, &key);
        let work = async {
            self.client.publish(message).await?;
            response.await.map_err(|_| self.client.why())
        };
        match tokio::time::timeout(patience, work).await {
            Ok(response) => response,
            Err(_) => Err(Error::NoAnswer(PacketType::Publish)),
        }
    }

    /// Where responses are expected.
    pub fn response_topic(&self) -> &str {
        &self.response_topic
    }
}

impl Drop for Requester {
    fn drop(&mut self) {
        self.dispatch.abort();
    }
}

async fn dispatch(mut responses: Subscription, pending: Arc<Pending>) {
    while let Some(response) = responses.recv().await {
        let key = response.properties.as_properties().correlation_data();
        // A response that comes too late, or to nobody, is dropped.
        if let Some(reply) = key.and_then(|key| pending.remove(key)) {
            let _ = reply.send(response);
        }
    }
    // The client is over: who still waits hears of it.
    pending.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

impl Client {
    /// Subscribes to a topic for responses (5.0): the one that the server proposes, if it was asked
    /// ([`Options::request_response_information`](crate::Options)), else one made of the client
    /// identifier.
    pub async fn requester(&self) -> Result<Requester, Error> {
        let connected = self.online().await?;
        if self.version() != Version::V5 {
            return Err(Invalid::NotInThisVersion.into());
        }
        let own = || format!("responses/{}", connected.client_id);
        let topic = connected.response_information.clone().unwrap_or_else(own);
        Requester::new(self.clone(), topic).await
    }

    /// Answers a request: publishes to its response topic, with its correlation data and QoS.
    pub async fn respond(
        &self,
        request: &Message,
        mut response: Message,
    ) -> Result<ReasonCode, Error> {
        let properties = request.properties.as_properties();
        let topic = properties.response_topic().ok_or(Invalid::NoResponseTopic)?;
        if let Some(data) = properties.correlation_data() {
            response.properties.correlation_data(data).map_err(|_| Invalid::PropertyTooLong)?;
        }
        response.topic = Arc::from(topic);
        response.qos = request.qos;
        self.publish(response).await
    }
}
