//! What a listener allows its clients, where that is less than the broker allows everybody.

use super::Limits;
use crate::identity::ListenerId;
use noctule_proto::{QoS, Version};
use serde::{Deserialize, Serialize};

/// Bounds of one listener. The stricter of these and those of the broker holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListenerLimits {
    /// Versions of MQTT that are served; others: CONNACK 0x84, before v5 return code 1.
    pub versions: Versions,
    /// Highest QoS accepted (announced).
    pub qos_max: QoS,
    /// Retained messages are supported (announced).
    pub retain_available: bool,
    /// Largest packet accepted, bytes (announced).
    pub packet_size_max: u32,
    /// Topic aliases a client may use (announced).
    pub topic_alias_max: u16,
    /// Topic aliases used towards a client.
    pub topic_alias_out_max: u16,
    /// An empty client id is given a name; otherwise CONNACK 0x85.
    pub assign_client_ids: bool,
    /// Prefix of client ids assigned here, instead of that of the broker.
    pub assigned_id_prefix: Option<Box<str>>,
    /// What client ids have to begin with; others: CONNACK 0x87.
    pub client_id_prefix: Box<str>,
    /// A client's id is the user name that it gives; without one: CONNACK 0x87.
    pub client_id_from_user_name: bool,
    /// What all topics of its clients begin with, unseen by them; ends with `/`, or is empty.
    pub mount_point: Box<str>,
}

/// A set of versions of MQTT.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Versions(u8);

/// What a listener offers its clients: CONNACK tells those of v5.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Offer {
    pub(crate) qos_max: QoS,
    pub(crate) retain_available: bool,
    pub(crate) packet_size_max: u32,
    pub(crate) topic_alias_max: u16,
    pub(crate) topic_alias_out_max: u16,
}

impl Versions {
    /// All there are.
    pub const ALL: Versions = Versions(0b111);

    /// Those.
    #[must_use]
    pub fn of(versions: &[Version]) -> Versions {
        Versions(versions.iter().fold(0, |all, version| all | Versions::bit(*version)))
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(self, version: Version) -> bool {
        self.0 & Versions::bit(version) != 0
    }

    fn bit(version: Version) -> u8 {
        match version {
            Version::V31 => 0b001,
            Version::V311 => 0b010,
            Version::V5 => 0b100,
        }
    }
}

impl Default for ListenerLimits {
    /// No less than the broker allows.
    fn default() -> ListenerLimits {
        ListenerLimits {
            versions: Versions::ALL,
            qos_max: QoS::ExactlyOnce,
            retain_available: true,
            packet_size_max: u32::MAX,
            topic_alias_max: u16::MAX,
            topic_alias_out_max: u16::MAX,
            assign_client_ids: true,
            assigned_id_prefix: None,
            client_id_prefix: Box::default(),
            client_id_from_user_name: false,
            mount_point: Box::default(),
        }
    }
}

impl Limits {
    fn of_listener(&self, listener: ListenerId) -> Option<&ListenerLimits> {
        self.listeners.get(usize::from(listener.0))
    }

    /// Whether a listener serves a version.
    pub(crate) fn serves(&self, listener: ListenerId, version: Version) -> bool {
        self.of_listener(listener).is_none_or(|own| own.versions.contains(version))
    }

    /// What a listener offers.
    pub(crate) fn offer(&self, listener: ListenerId) -> Offer {
        let all = Offer {
            qos_max: self.qos_max,
            retain_available: self.retain_available,
            packet_size_max: self.packet_size_max,
            topic_alias_max: self.topic_alias_max,
            topic_alias_out_max: self.topic_alias_out_max,
        };
        let Some(own) = self.of_listener(listener) else { return all };
        Offer {
            qos_max: all.qos_max.min(own.qos_max),
            retain_available: all.retain_available && own.retain_available,
            packet_size_max: all.packet_size_max.min(own.packet_size_max),
            topic_alias_max: all.topic_alias_max.min(own.topic_alias_max),
            topic_alias_out_max: all.topic_alias_out_max.min(own.topic_alias_out_max),
        }
    }

    /// Whether a listener gives names to clients that have none.
    pub(crate) fn assigns_ids(&self, listener: ListenerId) -> bool {
        let own = self.of_listener(listener);
        self.assign_client_ids && own.is_none_or(|own| own.assign_client_ids)
    }

    /// Whether a listener serves clients of that name.
    pub(crate) fn takes_id(&self, listener: ListenerId, client_id: &str) -> bool {
        let own = self.of_listener(listener);
        own.is_none_or(|own| client_id.starts_with(&*own.client_id_prefix))
    }

    /// Whether clients of a listener are called by their user names.
    pub(crate) fn calls_by_user_name(&self, listener: ListenerId) -> bool {
        self.of_listener(listener).is_some_and(|own| own.client_id_from_user_name)
    }

    /// What the names that a listener gives begin with.
    pub(crate) fn assigned_id_prefix_at(&self, listener: ListenerId) -> &str {
        let own = self.of_listener(listener).and_then(|own| own.assigned_id_prefix.as_deref());
        own.unwrap_or(&self.assigned_id_prefix)
    }

    /// What the topics of a listener's clients begin with; empty: with what the clients say.
    pub(crate) fn mount_point(&self, listener: ListenerId) -> &str {
        self.of_listener(listener).map_or("", |own| &own.mount_point)
    }

    /// Largest packet that a listener accepts, bytes.
    #[must_use]
    pub fn packet_size_max_at(&self, listener: ListenerId) -> u32 {
        self.offer(listener).packet_size_max
    }
}
