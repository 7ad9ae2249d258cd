//! What a client tells the server about itself in CONNECT.

use crate::error::{Field, Invalid};
use crate::message::Message;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use noctule_proto::property::UserPropertiesBuf;
use noctule_proto::text::{LEN_MAX, is_clean};
use noctule_proto::{TopicName, Version};

/// Before 5.0 a server cannot say how many messages it takes at once. mosquitto closes the
/// connection of a client that has more than 20 of QoS 2 on the way.
pub const SEND_MAXIMUM_V3: u16 = 20;

/// How to connect. Made by [`Options::new`] or [`Options::default`]; every field may be changed.
///
/// What a protocol version does not know is left out of its CONNECT.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Protocol version; MQTT 5.0 unless changed.
    pub version: Version,
    /// Client identifier. Empty: the server chooses one (not in MQTT 3.1, and before 5.0 only
    /// together with `clean_start`).
    pub client_id: String,
    /// Forget an earlier session of this client identifier at the first connection. Later
    /// connections of the same [`Session`](crate::Session) resume it if it is kept
    /// (`session_expiry_secs`). `false` says that the application takes up a session whose
    /// hand-shakes on this side are all done.
    ///
    /// Before 5.0 this is Clean Session: at every connection, and nothing outlives it.
    pub clean_start: bool,
    /// Longest silence towards the server before the client pings; 0 switches pings off.
    pub keep_alive_secs: u16,
    /// User name.
    pub user_name: Option<String>,
    /// Password.
    pub password: Option<Vec<u8>>,
    /// The message that the server publishes if this client vanishes.
    pub will: Option<Will>,
    /// How long the server keeps the session after the connection has ended; `u32::MAX` for
    /// ever (5.0).
    pub session_expiry_secs: u32,
    /// How many QoS 1 and 2 messages the server may have on the way to us (5.0); at least 1.
    pub receive_maximum: u16,
    /// How many QoS 1 and 2 messages to have on the way to the server at most. `None`: what the
    /// server's receive maximum allows, and [20](SEND_MAXIMUM_V3) before 5.0.
    pub send_maximum: Option<u16>,
    /// The largest packet that is accepted; the server is told in 5.0.
    pub maximum_packet_size: Option<u32>,
    /// How many topic aliases the server may use (5.0).
    pub topic_alias_maximum: u16,
    /// Use topic aliases towards a server that takes some (5.0): a topic that comes up again is
    /// then sent as two bytes.
    pub use_topic_aliases: bool,
    /// Ask the server where responses may be expected (5.0), see
    /// [`Connected::response_information`](crate::Connected).
    pub request_response_information: bool,
    /// Let the server add reason strings and user properties to any packet (5.0).
    pub request_problem_information: bool,
    /// User properties of CONNECT (5.0).
    pub user_properties: UserPropertiesBuf,
    /// How long it may take to reach the server, and then how long it may take to answer CONNECT;
    /// at least 1.
    pub connect_timeout_secs: u16,
    /// Who acknowledges received messages of QoS 1 and 2.
    pub acknowledge: Acknowledge,
}

/// Who acknowledges received messages of QoS 1 and 2.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Acknowledge {
    /// The library, when it hands the message over.
    #[default]
    Automatically,
    /// The application, when it has done what it has to do with the message. Until then the server
    /// keeps it, and sends it again if the connection breaks. Acknowledgements leave in the order
    /// in which the messages came `[MQTT-4.6.0-2 v5]` `[MQTT-4.6.0-3 v5]`: one that is
    /// forgotten holds up those behind it.
    ByApplication,
}

/// The Will: published by the server if the client goes without saying good-bye.
#[derive(Clone, PartialEq, Debug)]
pub struct Will {
    /// What is published.
    pub message: Message,
    /// How long the server waits before it does (5.0).
    pub delay_secs: u32,
}

impl From<Message> for Will {
    fn from(message: Message) -> Will {
        Will { message, delay_secs: 0 }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            version: Version::V5,
            client_id: String::new(),
            clean_start: true,
            keep_alive_secs: 60,
            user_name: None,
            password: None,
            will: None,
            session_expiry_secs: 0,
            receive_maximum: u16::MAX,
            send_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            use_topic_aliases: true,
            request_response_information: false,
            request_problem_information: true,
            user_properties: UserPropertiesBuf::new(),
            connect_timeout_secs: 30,
            acknowledge: Acknowledge::default(),
        }
    }
}

impl Options {
    /// The usual options under this client identifier.
    pub fn new(client_id: impl Into<String>) -> Options {
        Options { client_id: client_id.into(), ..Options::default() }
    }

    /// Whether a CONNECT can be made of them.
    pub fn check(&self) -> Result<(), Invalid> {
        let texts =
            [(Field::ClientId, Some(&self.client_id)), (Field::UserName, self.user_name.as_ref())];
        for (field, text) in texts {
            let Some(text) = text else { continue };
            if text.len() > LEN_MAX {
                return Err(Invalid::TooLong(field));
            }
            // [MQTT-3.1.3-4 v5], [MQTT-3.1.3-12 v5]
            if !is_clean(text) {
                return Err(Invalid::Characters(field));
            }
        }
        if self.password.as_ref().is_some_and(|password| password.len() > LEN_MAX) {
            return Err(Invalid::TooLong(Field::Password));
        }
        // [MQTT-3.1.2-22 v3.1.1]
        if self.version != Version::V5 && self.password.is_some() && self.user_name.is_none() {
            return Err(Invalid::PasswordWithoutUserName);
        }
        self.check_client_id()?;
        if self.receive_maximum == 0
            || self.send_maximum == Some(0)
            || self.maximum_packet_size == Some(0)
            || self.connect_timeout_secs == 0
        {
            return Err(Invalid::ZeroLimit);
        }
        self.will.as_ref().map_or(Ok(()), Will::check)
    }

    fn check_client_id(&self) -> Result<(), Invalid> {
        let needed = match self.version {
            Version::V31 => true,
            // [MQTT-3.1.3-7 v3.1.1]
            Version::V311 => !self.clean_start,
            Version::V5 => false,
        };
        if needed && self.client_id.is_empty() {
            return Err(Invalid::ClientIdMissing);
        }
        Ok(())
    }

    /// How many messages may be on the way to a server with this receive maximum.
    pub(crate) fn send_quota(&self, receive_maximum: u16) -> u16 {
        let unless_told = match self.version {
            Version::V31 | Version::V311 => SEND_MAXIMUM_V3,
            Version::V5 => u16::MAX,
        };
        receive_maximum.min(self.send_maximum.unwrap_or(unless_told))
    }

    /// Whether the server is asked to keep the session when the connection ends.
    pub(crate) fn keeps_session(&self) -> bool {
        match self.version {
            Version::V31 | Version::V311 => !self.clean_start,
            Version::V5 => self.session_expiry_secs > 0,
        }
    }
}

impl Will {
    fn check(&self) -> Result<(), Invalid> {
        TopicName::parse(&self.message.topic).map_err(Invalid::TopicName)?;
        // The Will's payload is a field with a length of two bytes [3.1.3.4 v5].
        if self.message.payload.len() > LEN_MAX {
            return Err(Invalid::TooLong(Field::WillPayload));
        }
        Ok(())
    }
}

/// Passwords stay out of logs.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_secs", &self.keep_alive_secs)
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "..."))
            .field("will", &self.will)
            .field("session_expiry_secs", &self.session_expiry_secs)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_connect_can_say_is_refused_before_it_is_sent() {
        let mut options = Options::default();
        assert_eq!(options.check(), Ok(()));
        options.version = Version::V31;
        assert_eq!(options.check(), Err(Invalid::ClientIdMissing));
        options.version = Version::V311;
        assert_eq!(options.check(), Ok(()));
        options.clean_start = false;
        assert_eq!(options.check(), Err(Invalid::ClientIdMissing));
        options.client_id = "a\0b".into();
        assert_eq!(options.check(), Err(Invalid::Characters(Field::ClientId)));
        options.client_id = "a".into();
        options.password = Some(b"secret".to_vec());
        assert_eq!(options.check(), Err(Invalid::PasswordWithoutUserName));
        options.user_name = Some("u".repeat(65_536));
        assert_eq!(options.check(), Err(Invalid::TooLong(Field::UserName)));
        options.user_name = Some("u".into());
        options.will = Some(Message::new("a/#", "x").into());
        assert!(matches!(options.check(), Err(Invalid::TopicName(_))));
        options.will = None;
        options.receive_maximum = 0;
        assert_eq!(options.check(), Err(Invalid::ZeroLimit));
        options.receive_maximum = 1;
        options.connect_timeout_secs = 0;
        assert_eq!(options.check(), Err(Invalid::ZeroLimit));
    }

    #[test]
    fn a_password_does_not_show() {
        let mut options = Options::new("a");
        options.password = Some(b"secret".to_vec());
        assert!(!format!("{options:?}").contains("secret"));
        assert!(!format!("{options:?}").contains("115"));
    }
}
