//! CONNECT, right or wrong.

use super::packet::{binary, frame, kind, text};
use super::property::{self, Property};
use noctule_proto::Version;
use std::fmt;

/// A CONNECT under construction.
#[derive(Clone)]
pub struct Connect {
    client_id: Vec<u8>,
    clean: bool,
    keep_alive: u16,
    properties: Vec<Property>,
    will: Option<Will>,
    user_name: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
    /// Bits that are set although the rest does not ask for them.
    more_flags: u8,
    /// Bits that are not set although the rest asks for them.
    fewer_flags: u8,
    name: Option<(Vec<u8>, u8)>,
}

/// A Will under construction.
#[derive(Clone, Debug)]
pub struct Will {
    topic: Vec<u8>,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
    properties: Vec<Property>,
}

/// A CONNECT with Clean Start 1 (Clean Session 1), no keep alive, and nothing else.
#[must_use]
pub fn connect(client_id: &str) -> Connect {
    Connect {
        client_id: client_id.as_bytes().to_vec(),
        clean: true,
        keep_alive: 0,
        properties: Vec::new(),
        will: None,
        user_name: None,
        password: None,
        more_flags: 0,
        fewer_flags: 0,
        name: None,
    }
}

/// A CONNECT that continues a session and keeps it: Clean Session 0, or Clean Start 0 and a
/// Session Expiry Interval of an hour.
#[must_use]
pub fn resume(client_id: &str) -> Connect {
    connect(client_id).not_clean().with(property::session_expiry(3600))
}

/// A Will at QoS 0.
#[must_use]
pub fn will(topic: &str, payload: &str) -> Will {
    Will {
        topic: topic.as_bytes().to_vec(),
        payload: payload.as_bytes().to_vec(),
        qos: 0,
        retain: false,
        properties: Vec::new(),
    }
}

impl Will {
    /// At this QoS.
    #[must_use]
    pub fn qos(self, qos: u8) -> Will {
        Will { qos, ..self }
    }

    /// With Will Retain.
    #[must_use]
    pub fn retain(self) -> Will {
        Will { retain: true, ..self }
    }

    /// With one Will Property more.
    #[must_use]
    pub fn with(mut self, property: Property) -> Will {
        self.properties.push(property);
        self
    }

    /// With this topic, which may be no text.
    #[must_use]
    pub fn topic(self, topic: &[u8]) -> Will {
        Will { topic: topic.to_vec(), ..self }
    }

    /// With this payload, which may be no text.
    #[must_use]
    pub fn payload(self, payload: &[u8]) -> Will {
        Will { payload: payload.to_vec(), ..self }
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.client_id[..self.client_id.len().min(60)];
        write!(f, "CONNECT {:?} flags {:#04x}", String::from_utf8_lossy(id), self.flags())?;
        write!(f, " keep alive {} {:?} {:?}", self.keep_alive, self.properties, self.will)
    }
}

impl Connect {
    /// Clean Start 0 (Clean Session 0).
    #[must_use]
    pub fn not_clean(self) -> Connect {
        Connect { clean: false, ..self }
    }

    /// With this keep alive.
    #[must_use]
    pub fn keep_alive(self, secs: u16) -> Connect {
        Connect { keep_alive: secs, ..self }
    }

    /// With one property more; left out before v5.
    #[must_use]
    pub fn with(mut self, property: Property) -> Connect {
        self.properties.push(property);
        self
    }

    /// With this Will.
    #[must_use]
    pub fn will(self, will: Will) -> Connect {
        Connect { will: Some(will), ..self }
    }

    /// With this client identifier, which may be no text.
    #[must_use]
    pub fn client_id(self, client_id: &[u8]) -> Connect {
        Connect { client_id: client_id.to_vec(), ..self }
    }

    /// With this user name, which may be no text.
    #[must_use]
    pub fn user_name(self, user_name: &[u8]) -> Connect {
        Connect { user_name: Some(user_name.to_vec()), ..self }
    }

    /// With this password.
    #[must_use]
    pub fn password(self, password: &[u8]) -> Connect {
        Connect { password: Some(password.to_vec()), ..self }
    }

    /// With these connect flags set as well.
    #[must_use]
    pub fn set_flags(self, flags: u8) -> Connect {
        Connect { more_flags: flags, ..self }
    }

    /// With these connect flags cleared, whatever follows.
    #[must_use]
    pub fn clear_flags(self, flags: u8) -> Connect {
        Connect { fewer_flags: flags, ..self }
    }

    /// With this protocol name and level; the rest has the form of the connection's version.
    #[must_use]
    pub fn protocol(self, name: &[u8], level: u8) -> Connect {
        Connect { name: Some((name.to_vec(), level)), ..self }
    }

    /// The value of a property, if it is there.
    #[must_use]
    pub fn property(&self, id: u8) -> Option<&[u8]> {
        let found = self.properties.iter().find(|property| property.id == id)?;
        Some(&found.value)
    }

    fn flags(&self) -> u8 {
        let will = self.will.as_ref();
        let will = will.map_or(0, |will| 4 | will.qos << 3 | u8::from(will.retain) << 5);
        let flags = will
            | u8::from(self.clean) << 1
            | u8::from(self.password.is_some()) << 6
            | u8::from(self.user_name.is_some()) << 7;
        (flags | self.more_flags) & !self.fewer_flags
    }

    /// The bytes it is in this version.
    #[must_use]
    pub fn encode(&self, version: Version) -> Vec<u8> {
        let v5 = version == Version::V5;
        let section = |properties| if v5 { property::section(properties) } else { Vec::new() };
        let (name, level) = match (&self.name, version) {
            (Some((name, level)), _) => (name.clone(), *level),
            (None, Version::V31) => (b"MQIsdp".to_vec(), 3),
            (None, Version::V311) => (b"MQTT".to_vec(), 4),
            (None, Version::V5) => (b"MQTT".to_vec(), 5),
        };
        let mut body = binary(&name);
        body.extend_from_slice(&[level, self.flags()]);
        body.extend_from_slice(&self.keep_alive.to_be_bytes());
        body.extend(section(&self.properties));
        body.extend(binary(&self.client_id));
        if let Some(will) = &self.will {
            body.extend(section(&will.properties));
            body.extend(binary(&will.topic));
            body.extend(binary(&will.payload));
        }
        body.extend(self.user_name.iter().chain(&self.password).flat_map(|field| binary(field)));
        frame(kind::CONNECT << 4, &body)
    }
}

/// A CONNECT written field by field, for what the builder cannot break.
#[must_use]
pub fn raw_connect(name: &str, level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let head = [&text(name)[..], &[level, flags]].concat();
    frame(kind::CONNECT << 4, &[head, rest.to_vec()].concat())
}
