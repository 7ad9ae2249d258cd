//! Requests that expect a response (4.10 v5).

use super::client::Client;
use super::subscription::Subscription;
use crate::error::{Error, Invalid};
use crate::message::{Message, Subscribe};
use crate::options::Acknowledge;
use noctule_proto::{QoS, ReasonCode, TopicName, Version};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Makes requests and awaits their responses; made by [`Client::requester`].
///
/// All responses come through one subscription, are acknowledged by the library, and find their
/// requests by correlation data. Dropped, it leaves the subscription as it is: another requester
/// of this client may share it. While it lives the client does not end by itself, as with a
/// [`Subscription`].
#[derive(Debug)]
pub struct Requester {
    client: Client,
    response_topic: String,
    pending: Arc<Pending>,
    /// What no other requester has, of this process or an earlier one whose responses still come.
    salt: u64,
    next: AtomicU64,
    dispatch: JoinHandle<()>,
}

type Key = [u8; 16];
type Waiting = HashMap<Key, oneshot::Sender<Message>>;

/// Requests without a response yet, by their correlation data; or why no response can come.
#[derive(Debug)]
struct Pending(Mutex<Result<Waiting, Error>>);

impl Pending {
    fn lock(&self) -> MutexGuard<'_, Result<Waiting, Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, key: Key, reply: oneshot::Sender<Message>) -> Result<(), Error> {
        match &mut *self.lock() {
            Ok(pending) => drop(pending.insert(key, reply)),
            Err(error) => return Err(error.clone()),
        }
        Ok(())
    }

    fn remove(&self, key: &[u8]) -> Option<oneshot::Sender<Message>> {
        self.lock().as_mut().ok()?.remove(key)
    }

    fn why(&self) -> Error {
        self.lock().as_ref().err().cloned().unwrap_or(Error::NotConnected)
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
        let responses = client.subscribe_and(subscribe, Acknowledge::Automatically).await?;
        let pending = Arc::new(Pending(Mutex::new(Ok(Waiting::new()))));
        let dispatch = tokio::spawn(dispatch(responses, Arc::clone(&pending)));
        // Each state of this kind has keys of its own.
        let salt = RandomState::new().hash_one(0_u8);
        let next = AtomicU64::new(1);
        Ok(Requester { client, response_topic, pending, salt, next, dispatch })
    }

    /// Publishes a request and waits for its response; [`Error::NoResponse`] if none comes in time.
    /// Response topic and correlation data are added; if the message has its own, that is an error.
    pub async fn request(
        &self,
        mut message: Message,
        patience: Duration,
    ) -> Result<Message, Error> {
        let key = self.next_key();
        let topic = TopicName::parse(&self.response_topic).map_err(Invalid::TopicName)?;
        let properties = message.properties.as_properties();
        if properties.response_topic().is_some() || properties.correlation_data().is_some() {
            return Err(Invalid::PropertyTwice.into());
        }
        message.properties.response_topic(topic).map_err(Invalid::from)?;
        message.properties.correlation_data(&key).map_err(Invalid::from)?;
        let (reply, response) = oneshot::channel();
        self.pending.insert(key, reply)?;
        let _forget = Forget(&self.pending, &key);
        let work = async {
            self.client.publish(message).await?;
            response.await.map_err(|_| self.pending.why())
        };
        match tokio::time::timeout(patience, work).await {
            Ok(response) => response,
            Err(_) => Err(Error::NoResponse),
        }
    }

    fn next_key(&self) -> Key {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        ((u128::from(self.salt) << 64) | u128::from(number)).to_be_bytes()
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
    // The client is over, or the server has refused to renew the subscription: who waits, and who
    // asks from now on, hears of it.
    *pending.lock() = Err(responses.end().unwrap_or(Error::NotConnected));
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
        // A client identifier may hold what a topic name may not.
        let own = || format!("responses/{}", connected.client_id.replace(['+', '#'], "_"));
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
        if response.properties.as_properties().correlation_data().is_some() {
            return Err(Invalid::PropertyTwice.into());
        }
        if let Some(data) = properties.correlation_data() {
            response.properties.correlation_data(data).map_err(Invalid::from)?;
        }
        response.topic = Arc::from(topic);
        response.qos = request.qos;
        self.publish(response).await
    }
}
