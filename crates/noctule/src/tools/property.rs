//! Properties of MQTT 5 on the command line: `-D PACKET NAME VALUE`.

use super::flags::Misuse;
use super::number::atol;
use noctule_proto::property::PropertyId;
use noctule_proto::{PacketType, text};

/// What was given, by the packet it is for, in order.
#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) connect: Vec<Property>,
    pub(super) publish: Vec<Property>,
    pub(super) subscribe: Vec<Property>,
    pub(super) unsubscribe: Vec<Property>,
    pub(super) disconnect: Vec<Property>,
    pub(super) will: Vec<Property>,
}

/// A property and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Property {
    pub(super) id: PropertyId,
    pub(super) value: Value,
}

/// The value of a property.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Number(u32),
    Text(String),
    Binary(Vec<u8>),
    Pair(String, String),
}

/// How a value is written, and the number of mosquitto's library for that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Byte = 1,
    TwoBytes = 2,
    FourBytes = 3,
    Varint = 4,
    Binary = 5,
    Text = 6,
    Pair = 7,
}

/// The packets that have properties, by the names of the command line.
const PACKETS: [(&str, Target); 14] = [
    ("connect", Target::Packet(PacketType::Connect)),
    ("connack", Target::Packet(PacketType::ConnAck)),
    ("publish", Target::Packet(PacketType::Publish)),
    ("puback", Target::Packet(PacketType::PubAck)),
    ("pubrec", Target::Packet(PacketType::PubRec)),
    ("pubrel", Target::Packet(PacketType::PubRel)),
    ("pubcomp", Target::Packet(PacketType::PubComp)),
    ("subscribe", Target::Packet(PacketType::Subscribe)),
    ("suback", Target::Packet(PacketType::SubAck)),
    ("unsubscribe", Target::Packet(PacketType::Unsubscribe)),
    ("unsuback", Target::Packet(PacketType::UnsubAck)),
    ("disconnect", Target::Packet(PacketType::Disconnect)),
    ("auth", Target::Packet(PacketType::Auth)),
    ("will", Target::Will),
];

#[derive(Clone, Copy)]
enum Target {
    Packet(PacketType),
    Will,
}

impl Properties {
    /// Takes a property from the words behind `-D`; answers how many of them it took.
    pub(super) fn take(&mut self, words: &[Vec<u8>]) -> Result<usize, Misuse> {
        let few = "--property argument given but not enough arguments specified.";
        let [packet, name, given, ..] = words else { return Err(Misuse::paragraph(few)) };
        let target = target(packet)?;
        let id = named(name).ok_or_else(|| about("Invalid property name ", name))?;
        let allowed = match target {
            Target::Packet(packet) => id.belongs_in(packet),
            Target::Will => id.belongs_in_will(),
        };
        if !allowed {
            return Err(wrong_packet(name, "allowed", packet));
        }
        let kind = kind(id);
        let second = match (kind, words.get(3)) {
            (Kind::Pair, None) => return Err(Misuse::paragraph(few)),
            (Kind::Pair, Some(second)) => Some(second.as_slice()),
            _ => None,
        };
        let place = self.place(target, id).ok_or_else(|| match target {
            // mosquitto's tools have no words for this one.
            Target::Packet(PacketType::ConnAck) => Misuse(Vec::new()),
            Target::Packet(_) | Target::Will => wrong_packet(name, "supported", packet),
        })?;
        place.push(Property { id, value: value(kind, name, given, second)? });
        Ok(if second.is_some() { 4 } else { 3 })
    }

    fn place(&mut self, target: Target, id: PropertyId) -> Option<&mut Vec<Property>> {
        Some(match target {
            Target::Will => &mut self.will,
            Target::Packet(PacketType::Connect) => &mut self.connect,
            // It comes from the broker only.
            Target::Packet(PacketType::Publish) if id == PropertyId::SubscriptionIdentifier => {
                return None;
            }
            Target::Packet(PacketType::Publish) => &mut self.publish,
            Target::Packet(PacketType::Subscribe) => &mut self.subscribe,
            Target::Packet(PacketType::Unsubscribe) => &mut self.unsubscribe,
            Target::Packet(PacketType::Disconnect) => &mut self.disconnect,
            Target::Packet(_) => return None,
        })
    }
}

/// Whether a property that may be there once is there twice.
pub(super) fn has_duplicate(properties: &[Property]) -> bool {
    let once = |property: &&Property| property.id != PropertyId::UserProperty;
    let mut seen: Vec<PropertyId> = properties.iter().filter(once).map(|one| one.id).collect();
    let count = seen.len();
    seen.sort();
    seen.dedup();
    seen.len() < count
}

fn target(packet: &[u8]) -> Result<Target, Misuse> {
    let found = PACKETS.iter().find(|(name, _)| packet.eq_ignore_ascii_case(name.as_bytes()));
    found.map(|(_, target)| *target).ok_or_else(|| about("Invalid command ", packet))
}

/// Names are those of the standard with dashes for spaces, in any case.
fn named(name: &[u8]) -> Option<PropertyId> {
    PropertyId::all()
        .find(|id| id.to_string().replace(' ', "-").as_bytes().eq_ignore_ascii_case(name))
}

fn kind(id: PropertyId) -> Kind {
    use PropertyId as P;
    match id {
        P::PayloadFormatIndicator
        | P::RequestProblemInformation
        | P::RequestResponseInformation
        | P::MaximumQoS
        | P::RetainAvailable
        | P::WildcardSubscriptionAvailable
        | P::SubscriptionIdentifierAvailable
        | P::SharedSubscriptionAvailable => Kind::Byte,
        P::ServerKeepAlive | P::ReceiveMaximum | P::TopicAliasMaximum | P::TopicAlias => {
            Kind::TwoBytes
        }
        P::MessageExpiryInterval
        | P::SessionExpiryInterval
        | P::WillDelayInterval
        | P::MaximumPacketSize => Kind::FourBytes,
        P::SubscriptionIdentifier => Kind::Varint,
        P::CorrelationData | P::AuthenticationData => Kind::Binary,
        P::ContentType
        | P::ResponseTopic
        | P::AssignedClientIdentifier
        | P::AuthenticationMethod
        | P::ResponseInformation
        | P::ServerReference
        | P::ReasonString => Kind::Text,
        P::UserProperty => Kind::Pair,
    }
}

fn value(kind: Kind, name: &[u8], given: &[u8], second: Option<&[u8]>) -> Result<Value, Misuse> {
    let unfit = || {
        let kind = format!(" {}", kind as u8);
        Misuse([b"Error adding property ", name, kind.as_bytes(), b"\n"].concat())
    };
    let clean = |given: &[u8]| {
        let clean = std::str::from_utf8(given).ok().filter(|given| text::is_clean(given));
        clean.filter(|given| given.len() <= text::LEN_MAX).map(str::to_owned).ok_or_else(unfit)
    };
    Ok(match kind {
        Kind::Byte => Value::Number(number(name, given, u32::from(u8::MAX))?),
        Kind::TwoBytes => Value::Number(number(name, given, u32::from(u16::MAX))?),
        Kind::FourBytes => Value::Number(number(name, given, u32::MAX)?),
        Kind::Varint => match number(name, given, u32::MAX)? {
            number if number <= noctule_proto::REMAINING_LENGTH_MAX => Value::Number(number),
            _ => return Err(unfit()),
        },
        Kind::Binary if given.len() > text::LEN_MAX => {
            return Err(Misuse::paragraph(
                [b"Property value too long for property ", name, b"."].concat(),
            ));
        }
        Kind::Binary => Value::Binary(given.to_vec()),
        Kind::Text => Value::Text(clean(given)?),
        Kind::Pair => Value::Pair(clean(given)?, clean(second.unwrap_or_default())?),
    })
}

fn number(name: &[u8], given: &[u8], max: u32) -> Result<u32, Misuse> {
    let number = atol(given);
    let fitting = u32::try_from(number).ok().filter(|number| *number <= max);
    fitting.ok_or_else(|| {
        let start = format!("Property value ({number}) out of range for property ");
        Misuse::paragraph([start.as_bytes(), name, b"."].concat())
    })
}

fn about(before: &str, given: &[u8]) -> Misuse {
    Misuse::paragraph([before.as_bytes(), given, b" given in --property argument."].concat())
}

fn wrong_packet(name: &[u8], verb: &str, packet: &[u8]) -> Misuse {
    let middle = format!(" property not {verb} for ");
    Misuse::paragraph([name, middle.as_bytes(), packet, b" in --property argument."].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(words: &[&str]) -> Result<(usize, Properties), Misuse> {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let mut properties = Properties::default();
        properties.take(&words).map(|count| (count, properties))
    }

    #[test]
    fn a_property_goes_to_its_packet() {
        let (count, properties) =
            take(&["Connect", "Receive-Maximum", "10", "-t"]).expect("a property");
        assert_eq!(count, 3);
        let expected = Property { id: PropertyId::ReceiveMaximum, value: Value::Number(10) };
        assert_eq!(properties.connect, [expected]);
        let (count, properties) =
            take(&["will", "user-property", "a", "b", "c"]).expect("a property");
        assert_eq!(count, 4);
        let value = Value::Pair("a".into(), "b".into());
        assert_eq!(properties.will, [Property { id: PropertyId::UserProperty, value }]);
        let (_, properties) =
            take(&["subscribe", "subscription-identifier", "7x"]).expect("a property");
        assert_eq!(properties.subscribe[0].value, Value::Number(7));
        let (_, properties) = take(&["publish", "correlation-data", ""]).expect("a property");
        assert_eq!(properties.publish[0].value, Value::Binary(vec![]));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (words, said) in [
            (&["connect", "user-property", "a"][..], "not enough arguments"),
            (&["connect"], "not enough arguments"),
            (&["conn", "user-property", "a", "b"], "Invalid command conn given"),
            (&["publish", "topic", "a"], "Invalid property name topic given"),
            (&["connect", "topic-alias", "1"], "topic-alias property not allowed for connect"),
            (
                &["publish", "subscription-identifier", "1"],
                "subscription-identifier property not supported for publish",
            ),
            (&["auth", "reason-string", "a"], "reason-string property not supported for auth"),
            (&["connect", "receive-maximum", "-1"], "Property value (-1) out of range"),
            (&["connect", "receive-maximum", "65536"], "Property value (65536) out of range"),
            (&["publish", "content-type", "a\u{1}"], "Error adding property content-type 6\n"),
            (
                &["subscribe", "subscription-identifier", "268435456"],
                "Error adding property subscription-identifier 4\n",
            ),
        ] {
            let Misuse(text) = take(words).expect_err(said);
            let text = String::from_utf8(text).expect("text");
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn only_user_properties_may_be_there_twice() {
        let property = |id| Property { id, value: Value::Number(0) };
        let twice =
            |id| has_duplicate(&[property(id), property(PropertyId::TopicAlias), property(id)]);
        assert!(twice(PropertyId::ContentType));
        assert!(!twice(PropertyId::UserProperty));
    }
}
