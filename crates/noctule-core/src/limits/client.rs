//! How much one client may do.

use crate::rate::Rate;
use serde::{Deserialize, Serialize};

/// Bounds of one client. Rates of 0 are no bounds, bursts of 0 what the rate gives at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientLimits {
    /// CONNECTs of a client id that are accepted in a minute; beyond: CONNACK 0x9F.
    pub connects_per_min: u32,
    /// Of those, the ones at once.
    pub connects_burst: u32,
    /// Messages that it publishes in a second; beyond, `over_rate` decides.
    pub publishes_per_sec: u32,
    /// Of those, the ones at once.
    pub publishes_burst: u32,
    /// Payload bytes that it publishes in a second; beyond, `over_rate` decides.
    pub publish_bytes_per_sec: u64,
    /// Of those, the ones at once.
    pub publish_bytes_burst: u64,
    /// What becomes of messages beyond these rates.
    pub over_rate: OverRate,
    /// Bytes of its Will, topic and properties included; beyond: CONNACK 0x97.
    pub will_bytes_max: u32,
}

/// The answer to messages beyond a rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum OverRate {
    /// The client is not read until its rate allows the next one.
    #[default]
    Wait,
    /// They are refused: PUBACK or PUBREC 0x97; QoS 0 is dropped; before v5 QoS 1 and 2 end the
    /// connection, because nothing else says no.
    Refuse,
    /// The connection ends with 0x96.
    Disconnect,
}

/// The rates of a client that publishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PublishRates {
    pub(crate) messages: Option<Rate>,
    pub(crate) bytes: Option<Rate>,
    pub(crate) over: OverRate,
}

impl Default for ClientLimits {
    fn default() -> ClientLimits {
        ClientLimits {
            connects_per_min: 0,
            connects_burst: 0,
            publishes_per_sec: 0,
            publishes_burst: 0,
            publish_bytes_per_sec: 0,
            publish_bytes_burst: 0,
            over_rate: OverRate::Wait,
            will_bytes_max: 128 * 1024,
        }
    }
}

impl ClientLimits {
    /// How often it may connect, if that is bounded.
    pub(crate) fn connect_rate(&self) -> Option<Rate> {
        Rate::new(self.connects_per_min.into(), 60, self.connects_burst.into())
    }

    /// How much it may publish, if that is bounded.
    pub(crate) fn publish_rates(&self) -> Option<PublishRates> {
        let rates = PublishRates {
            messages: Rate::new(self.publishes_per_sec.into(), 1, self.publishes_burst.into()),
            bytes: Rate::new(self.publish_bytes_per_sec, 1, self.publish_bytes_burst),
            over: self.over_rate,
        };
        (rates.messages.is_some() || rates.bytes.is_some()).then_some(rates)
    }
}
