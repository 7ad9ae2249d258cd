//! Messages and subscriptions, as the application sees them.

use crate::delivery::AckToken;
use crate::error::Invalid;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use noctule_proto::packet::{PublishProperties, SubscribeOptions};
use noctule_proto::property::{PropertiesBuf, UserPropertiesBuf};
use noctule_proto::{QoS, REMAINING_LENGTH_MAX, ReasonCode, TopicFilter, TopicName};

/// What PUBLISH holds at most beside topic, payload, and the properties that have no field: two
/// lengths, packet identifier, expiry, topic alias.
const OVERHEAD_MAX: usize = 2 + 4 + 2 + 5 + 3;

/// A message: published by the application, or received from the server.
///
/// ```
/// use noctule_client::{Message, QoS};
/// let reading = Message::new("home/kitchen/temperature", "21.5").qos(QoS::AtLeastOnce).retained();
/// assert_eq!(&reading.payload[..], b"21.5");
/// let order = Message::new("orders/new", "{}")
///     .expires_in_secs(3600)
///     .content_type("application/json")?
///     .user_property("shop", "7")?;
/// assert_eq!(order.properties.as_properties().content_type(), Some("application/json"));
/// # Ok::<(), noctule_client::Invalid>(())
/// ```
///
/// A clone shares topic and payload.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Message {
    /// Topic Name.
    pub topic: Arc<str>,
    /// The content: any bytes.
    pub payload: Bytes,
    /// Quality of service of the transfer between this client and the server.
    pub qos: QoS,
    /// Published: keep as the last known value of the topic. Received: it is such a value (or, with
    /// retain as published, it was published with the flag).
    pub retain: bool,
    /// How many seconds the message is of interest to anybody (5.0).
    pub expiry_secs: Option<u32>,
    /// Payload format, content type, response topic, correlation data, user properties (5.0).
    pub properties: PropertiesBuf,
    /// Received: it may have been received before.
    pub duplicate: bool,
    /// Received: the packet identifier of the transfer from the server; 0 at QoS 0.
    pub packet_id: u16,
    /// Received: there if the application has to acknowledge it.
    pub ack: Option<AckToken>,
    /// Received: identifiers of the subscriptions it came through (5.0).
    pub subscription_ids: Vec<u32>,
}

impl Message {
    /// A message at QoS 0, not retained.
    pub fn new(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Message {
        // Spelt out: the default topic is an `Arc` that all threads share, and to count it up and
        // down costs more than the rest.
        Message {
            topic: topic.into(),
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            expiry_secs: None,
            properties: PropertiesBuf::new(),
            duplicate: false,
            packet_id: 0,
            subscription_ids: Vec::new(),
            ack: None,
        }
    }

    /// The same at this quality of service.
    #[must_use]
    pub fn qos(self, qos: QoS) -> Message {
        Message { qos, ..self }
    }

    /// The same, kept by the server as the last value of the topic.
    #[must_use]
    pub fn retained(self) -> Message {
        Message { retain: true, ..self }
    }

    /// The same, of interest to nobody after so many seconds (5.0).
    #[must_use]
    pub fn expires_in_secs(self, secs: u32) -> Message {
        Message { expiry_secs: Some(secs), ..self }
    }

    /// The same, with a word on what the payload is (5.0), such as a MIME type.
    pub fn content_type(mut self, content_type: &str) -> Result<Message, Invalid> {
        self.properties.content_type(content_type)?;
        Ok(self)
    }

    /// The same, telling receivers where to respond (5.0);
    /// [`Requester`](crate::Requester) does that, and awaits the response.
    pub fn response_topic(mut self, topic: &str) -> Result<Message, Invalid> {
        let topic = TopicName::parse(topic).map_err(Invalid::TopicName)?;
        self.properties.response_topic(topic)?;
        Ok(self)
    }

    /// The same, with data that a response brings back (5.0).
    pub fn correlation_data(mut self, data: &[u8]) -> Result<Message, Invalid> {
        self.properties.correlation_data(data)?;
        Ok(self)
    }

    /// The same, with a user property more (5.0).
    pub fn user_property(mut self, name: &str, value: &str) -> Result<Message, Invalid> {
        self.properties.user_property(name, value)?;
        Ok(self)
    }

    /// Whether a packet can hold it, of any version.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        TopicName::parse(&self.topic).map_err(Invalid::TopicName)?;
        self.check_size()
    }

    /// The same for one whose topic has been checked.
    #[inline]
    pub(crate) fn check_size(&self) -> Result<(), Invalid> {
        let others = self.properties.as_properties().encoded_len();
        let size = OVERHEAD_MAX + self.topic.len() + others + self.payload.len();
        if size > REMAINING_LENGTH_MAX as usize {
            return Err(Invalid::PacketTooLarge { size: size as u64, max: REMAINING_LENGTH_MAX });
        }
        Ok(())
    }

    pub(crate) fn publish_properties(&self) -> PublishProperties<'_> {
        PublishProperties {
            message_expiry_secs: self.expiry_secs,
            others: self.properties.as_properties(),
            ..PublishProperties::default()
        }
    }
}

/// A request to receive messages.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Subscribe {
    /// Topic filters (or `$share/group/filter`) with their options.
    pub filters: Vec<(String, SubscribeOptions)>,
    /// Subscription Identifier (5.0), 1 to 268,435,455. [`Client`](crate::Client) chooses one
    /// where there is none.
    pub id: Option<u32>,
    /// User properties (5.0).
    pub user_properties: UserPropertiesBuf,
}

impl Subscribe {
    /// One filter at this quality of service.
    pub fn to(filter: impl Into<String>, qos: QoS) -> Subscribe {
        Subscribe::default().and(filter, SubscribeOptions { qos, ..SubscribeOptions::default() })
    }

    /// One filter more.
    #[must_use]
    pub fn and(mut self, filter: impl Into<String>, options: SubscribeOptions) -> Subscribe {
        self.filters.push((filter.into(), options));
        self
    }

    /// Whether it can be asked of any server.
    pub fn check(&self) -> Result<(), Invalid> {
        check_filters(self.filters.iter().map(|(filter, _)| filter.as_str()))
    }
}

/// A request to receive messages no more.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Unsubscribe {
    /// Topic filters, each as it was subscribed.
    pub filters: Vec<String>,
    /// User properties (5.0).
    pub user_properties: UserPropertiesBuf,
}

impl Unsubscribe {
    /// Whether it can be asked of any server.
    pub fn check(&self) -> Result<(), Invalid> {
        check_filters(self.filters.iter().map(String::as_str))
    }

    /// One filter.
    pub fn from(filter: impl Into<String>) -> Unsubscribe {
        Unsubscribe { filters: Vec::from([filter.into()]), ..Unsubscribe::default() }
    }

    /// One filter more.
    #[must_use]
    pub fn and(mut self, filter: impl Into<String>) -> Unsubscribe {
        self.filters.push(filter.into());
        self
    }
}

/// At least one filter, and each of them one.
fn check_filters<'a>(filters: impl ExactSizeIterator<Item = &'a str>) -> Result<(), Invalid> {
    if filters.len() == 0 {
        return Err(Invalid::NoFilter);
    }
    for filter in filters {
        TopicFilter::parse(filter).map_err(Invalid::TopicFilter)?;
    }
    Ok(())
}

/// What DISCONNECT says; before 5.0 it says nothing.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Goodbye {
    /// Why; [`ReasonCode::DisconnectWithWill`] has the server publish the Will.
    pub reason: ReasonCode,
    /// How long the server keeps the session from now on, if not what CONNECT said; a session that
    /// CONNECT had end with the connection cannot be kept any more `[MQTT-3.1.2-23 v5]`.
    pub session_expiry_secs: Option<u32>,
    /// Words for the server's log.
    pub reason_string: Option<String>,
    /// User properties.
    pub user_properties: UserPropertiesBuf,
}

impl Default for Goodbye {
    fn default() -> Goodbye {
        Goodbye::because(ReasonCode::Success)
    }
}

impl Goodbye {
    /// For this reason.
    pub fn because(reason: ReasonCode) -> Goodbye {
        Goodbye {
            reason,
            session_expiry_secs: None,
            reason_string: None,
            user_properties: UserPropertiesBuf::new(),
        }
    }
}
