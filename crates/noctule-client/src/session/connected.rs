//! What the server said in CONNACK, and whether a request keeps to it.

use crate::error::Invalid;
use crate::options::Options;
use alloc::borrow::ToOwned;
use alloc::string::String;
use noctule_proto::packet::{ConnAck, SubscribeOptions};
use noctule_proto::property::UserPropertiesBuf;
use noctule_proto::{QoS, REMAINING_LENGTH_MAX, TopicFilter, Version};

/// The longest packet that a remaining length can say, header included.
pub(super) const PACKET_MAX: u32 = REMAINING_LENGTH_MAX + 5;

/// The connection as the server granted it, with the defaults of the standard filled in.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Connected {
    /// The server had kept the session.
    pub session_present: bool,
    /// It had kept one, but maybe not the one we know: a CONNECT before this one was never
    /// answered, and may have begun it anew. Subscriptions are to be asked for again.
    pub session_in_doubt: bool,
    /// The client identifier in use: the server's choice if we left it to the server.
    pub client_id: String,
    /// How long the server keeps the session; `u32::MAX` for ever.
    pub session_expiry_secs: u32,
    /// The keep alive that counts.
    pub keep_alive_secs: u16,
    /// How many QoS 1 and 2 messages the server takes at once.
    pub receive_maximum: u16,
    /// The largest packet that it takes.
    pub maximum_packet_size: u32,
    /// The highest QoS at which it takes messages.
    pub maximum_qos: QoS,
    /// Whether it retains messages.
    pub retain_available: bool,
    /// Whether it knows wildcards.
    pub wildcards_available: bool,
    /// Whether it knows shared subscriptions.
    pub shared_available: bool,
    /// Whether it knows subscription identifiers.
    pub subscription_ids_available: bool,
    /// How many topic aliases it takes.
    pub topic_alias_maximum: u16,
    /// Where responses may be expected, if it was asked.
    pub response_information: Option<String>,
    /// What else it had to say.
    pub reason_string: Option<String>,
    /// User properties of CONNACK.
    pub user_properties: UserPropertiesBuf,
}

impl Connected {
    /// What the answer to a CONNECT under this client identifier grants.
    pub(super) fn new(connack: &ConnAck<'_>, client_id: &str, options: &Options) -> Connected {
        let granted = &connack.properties;
        // A server names only who has no name (3.2.2.3.7 v5).
        let assigned = granted.assigned_client_id.filter(|_| client_id.is_empty());
        let v5 = options.version == Version::V5;
        let forever = if options.clean_start { 0 } else { u32::MAX };
        let asked = if v5 { options.session_expiry_secs } else { forever };
        Connected {
            session_present: connack.session_present,
            session_in_doubt: false,
            client_id: assigned.unwrap_or(client_id).to_owned(),
            session_expiry_secs: granted.session_expiry_secs.unwrap_or(asked),
            // [MQTT-3.1.2-21 v5], [MQTT-3.2.2-21 v5]
            keep_alive_secs: granted.server_keep_alive_secs.unwrap_or(options.keep_alive_secs),
            receive_maximum: granted.receive_maximum.map_or(u16::MAX, |max| max.get()),
            maximum_packet_size: granted.maximum_packet_size.map_or(u32::MAX, |max| max.get()),
            maximum_qos: granted.maximum_qos.unwrap_or(QoS::ExactlyOnce),
            retain_available: granted.retain_available.unwrap_or(true),
            wildcards_available: granted.wildcard_subscription_available.unwrap_or(true),
            shared_available: granted.shared_subscription_available.unwrap_or(true),
            subscription_ids_available: v5
                && granted.subscription_identifiers_available.unwrap_or(true),
            topic_alias_maximum: granted.topic_alias_maximum.unwrap_or(0),
            response_information: granted.response_information.map(str::to_owned),
            reason_string: granted.reason_string.map(str::to_owned),
            user_properties: granted.user_properties.into(),
        }
    }

    /// Whether the server takes a packet of this size `[MQTT-3.2.2-15 v5]`. A packet that cannot
    /// be encoded at all has a length of 0.
    pub(super) fn check_size(&self, encoded_len: usize) -> Result<(), Invalid> {
        let size = if encoded_len == 0 { u64::MAX } else { encoded_len as u64 };
        let max = self.maximum_packet_size.min(PACKET_MAX);
        if size > u64::from(self.maximum_packet_size) || encoded_len == 0 {
            return Err(Invalid::PacketTooLarge { size, max });
        }
        Ok(())
    }

    /// Whether the server takes messages of this kind.
    pub(super) fn check_publish(&self, qos: QoS, retain: bool) -> Result<(), Invalid> {
        // [MQTT-3.2.2-11 v5]
        if qos > self.maximum_qos {
            return Err(Invalid::QoSNotSupported { max: self.maximum_qos });
        }
        // [MQTT-3.2.2-14 v5]
        if retain && !self.retain_available {
            return Err(Invalid::RetainNotSupported);
        }
        Ok(())
    }

    /// Whether the server takes this filter with these options.
    pub(super) fn check_filter(
        &self,
        filter: TopicFilter<'_>,
        options: SubscribeOptions,
    ) -> Result<(), Invalid> {
        let shared = filter.share().is_some();
        // [MQTT-3.8.3-4 v5]
        if shared && options.no_local {
            return Err(Invalid::NoLocalOnShared);
        }
        // [U5-3.2.2-5]
        if shared && !self.shared_available {
            return Err(Invalid::SharedNotSupported);
        }
        // [U5-3.2.2-3]
        if filter.has_wildcard() && !self.wildcards_available {
            return Err(Invalid::WildcardsNotSupported);
        }
        Ok(())
    }

    /// Whether the server takes this subscription identifier.
    pub(super) fn check_subscription_id(&self, id: u32) -> Result<(), Invalid> {
        // [U5-3.2.2-4]
        if !self.subscription_ids_available {
            return Err(Invalid::SubscriptionIdsNotSupported);
        }
        if id == 0 || id > REMAINING_LENGTH_MAX {
            return Err(Invalid::SubscriptionId);
        }
        Ok(())
    }
}
