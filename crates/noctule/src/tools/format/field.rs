//! The letters behind `%`.

use super::json::{self, Json};
use super::{Shown, Spec};
use noctule_client::Message;
use noctule_proto::property::PropertyId;
use std::borrow::Cow;
use std::iter::repeat_n;

/// One letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Percent,
    TopicAlias,
    ContentType,
    CorrelationData,
    Expiry,
    PayloadFormat,
    IsoTime,
    Json,
    JsonOfJson,
    Length,
    PacketId,
    UserProperties,
    Payload,
    QoS,
    ResponseTopic,
    Retain,
    SubscriptionId,
    Topic,
    UnixTime,
    HexLower,
    HexUpper,
    Float,
    Double,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Digits {
    Lower,
    Upper,
}

impl Field {
    pub(super) fn from_letter(letter: u8) -> Option<Field> {
        Some(match letter {
            b'%' => Field::Percent,
            b'A' => Field::TopicAlias,
            b'C' => Field::ContentType,
            b'D' => Field::CorrelationData,
            b'E' => Field::Expiry,
            b'F' => Field::PayloadFormat,
            b'I' => Field::IsoTime,
            b'j' => Field::Json,
            b'J' => Field::JsonOfJson,
            b'l' => Field::Length,
            b'm' => Field::PacketId,
            b'P' => Field::UserProperties,
            b'p' => Field::Payload,
            b'q' => Field::QoS,
            b'R' => Field::ResponseTopic,
            b'r' => Field::Retain,
            b'S' => Field::SubscriptionId,
            b't' => Field::Topic,
            b'U' => Field::UnixTime,
            b'x' => Field::HexLower,
            b'X' => Field::HexUpper,
            b'f' => Field::Float,
            b'd' => Field::Double,
            _ => return None,
        })
    }

    /// Appends the field; the error is what is to be complained about.
    pub(super) fn print(
        self,
        spec: &Spec,
        shown: Shown<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Cow<'static, str>> {
        let message = shown.message;
        let properties = message.properties.as_properties();
        match self {
            Field::Percent => out.push(b'%'),
            // The client has put the topic itself in its place.
            Field::TopicAlias => spec.blank(out),
            Field::ContentType => match properties.content_type() {
                Some(text) => spec.text(text.as_bytes(), out),
                None => spec.blank(out),
            },
            Field::CorrelationData => {
                out.extend_from_slice(properties.correlation_data().unwrap_or_default());
            }
            Field::Expiry => spec.number(message.expiry_secs, out),
            Field::PayloadFormat => spec.number(properties.payload_format().map(u32::from), out),
            Field::IsoTime => spec.text(shown.moment.iso().as_bytes(), out),
            Field::Json => as_json(shown, payload_text(message)).print(shown.pretty, out),
            Field::JsonOfJson => {
                let payload = payload_json(message)?;
                as_json(shown, payload).print(shown.pretty, out);
            }
            Field::Length => spec.number(u32::try_from(message.payload.len()).ok(), out),
            Field::PacketId => spec.number(Some(u32::from(shown.packet_id)), out),
            Field::UserProperties => {
                let pairs = properties.user_properties().iter();
                let pairs: Vec<String> =
                    pairs.map(|(name, value)| format!("{name}:{value}")).collect();
                out.extend_from_slice(pairs.join(" ").as_bytes());
            }
            Field::Payload => spec.payload(&message.payload, None, out),
            Field::QoS => out.push(b'0' + message.qos as u8),
            Field::ResponseTopic => {
                if let Some(topic) = properties.response_topic() {
                    spec.text(topic.as_bytes(), out);
                }
            }
            Field::Retain => out.push(b'0' + u8::from(message.retain)),
            Field::SubscriptionId => spec.number(message.subscription_ids.first().copied(), out),
            Field::Topic => spec.text(message.topic.as_bytes(), out),
            Field::UnixTime => out.extend_from_slice(shown.moment.unix().as_bytes()),
            Field::HexLower => spec.payload(&message.payload, Some(Digits::Lower), out),
            Field::HexUpper => spec.payload(&message.payload, Some(Digits::Upper), out),
            Field::Float => {
                let bytes = <[u8; 4]>::try_from(&message.payload[..]).map_err(|_| {
                    Cow::from("requested float printing, but non-float data received")
                })?;
                spec.fraction(f64::from(f32::from_ne_bytes(bytes)), out);
            }
            Field::Double => {
                let bytes = <[u8; 8]>::try_from(&message.payload[..]).map_err(|_| {
                    Cow::from("requested double printing, but non-double data received")
                })?;
                spec.fraction(f64::from_ne_bytes(bytes), out);
            }
        }
        Ok(())
    }
}

impl Spec {
    /// The place of something that is not there.
    fn blank(&self, out: &mut Vec<u8>) {
        out.extend(repeat_n(self.pad, self.width));
    }

    /// As `%d` of C, which takes the upper half of the numbers for negative ones.
    fn number(&self, number: Option<u32>, out: &mut Vec<u8>) {
        match number {
            Some(number) => self.digits(&number.cast_signed().to_string(), out),
            None => self.blank(out),
        }
    }

    /// As `%f` of C.
    fn fraction(&self, number: f64, out: &mut Vec<u8>) {
        if number.is_finite() {
            let places = self.precision.unwrap_or(6);
            return self.digits(&format!("{number:.places$}"), out);
        }
        let sign = if number.is_sign_negative() { "-" } else { "" };
        let text = format!("{sign}{}", if number.is_nan() { "nan" } else { "inf" });
        Spec { pad: b' ', ..self.clone() }.digits(&text, out);
    }

    /// Digits, with the padding between them and their sign if it is zeros.
    fn digits(&self, digits: &str, out: &mut Vec<u8>) {
        let padding = self.width.saturating_sub(digits.len());
        if self.left {
            out.extend_from_slice(digits.as_bytes());
            out.extend(repeat_n(b' ', padding));
        } else if self.pad == b'0' {
            let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
            out.extend_from_slice(sign.as_bytes());
            out.extend(repeat_n(b'0', padding));
            out.extend_from_slice(digits.as_bytes());
        } else {
            out.extend(repeat_n(b' ', padding));
            out.extend_from_slice(digits.as_bytes());
        }
    }

    /// Text; the precision is how much of it is printed at most, in bytes.
    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        let text = &text[..text.len().min(self.precision.unwrap_or(usize::MAX))];
        let padding = self.width.saturating_sub(text.len());
        if self.left {
            out.extend_from_slice(text);
        }
        out.extend(repeat_n(b' ', padding));
        if !self.left {
            out.extend_from_slice(text);
        }
    }

    /// The payload, of which no more bytes than the width are printed.
    fn payload(&self, payload: &[u8], hex: Option<Digits>, out: &mut Vec<u8>) {
        let shown = if self.width > 0 { payload.len().min(self.width) } else { payload.len() };
        let payload = &payload[..shown];
        let columns = if hex.is_some() && self.width > 0 { shown * 2 } else { shown };
        let padding = self.width.saturating_sub(columns);
        let mut place = 0;
        if !self.left {
            for _ in 0..padding {
                out.push(self.pad);
                if hex.is_some() {
                    self.separate(place, out);
                }
                place += 1;
            }
        }
        match hex {
            None => out.extend_from_slice(payload),
            Some(digits) => self.hex(payload, digits, place, out),
        }
        if self.left {
            // C pads by the absolute value, also where the field is too long.
            out.extend(repeat_n(b' ', self.width.abs_diff(columns)));
        }
    }

    fn hex(&self, payload: &[u8], digits: Digits, mut place: usize, out: &mut Vec<u8>) {
        let table: &[u8; 16] = match digits {
            Digits::Lower => b"0123456789abcdef",
            Digits::Upper => b"0123456789ABCDEF",
        };
        for (at, byte) in payload.iter().enumerate() {
            out.push(table[usize::from(byte >> 4)]);
            self.separate(place, out);
            out.push(table[usize::from(byte & 15)]);
            if at + 1 < payload.len() {
                self.separate(place + 1, out);
            }
            place += 2;
        }
    }

    fn separate(&self, place: usize, out: &mut Vec<u8>) {
        if let Some(group @ 1..) = self.precision
            && place % group == group - 1
        {
            out.push(self.separator);
        }
    }
}

/// The payload as text; C ends a text where a zero byte is.
fn payload_text(message: &Message) -> Json {
    if message.payload.is_empty() {
        return Json::Null;
    }
    Json::Text(json::until_zero(&message.payload).to_vec())
}

fn payload_json(message: &Message) -> Result<Json, Cow<'static, str>> {
    if message.payload.is_empty() {
        return Ok(Json::Null);
    }
    json::parse(&message.payload).ok_or_else(|| {
        let topic = &message.topic;
        Cow::from(format!("Error: Message payload is not valid JSON on topic {topic}.\n"))
    })
}

/// All that is known of a message, with its payload as given.
fn as_json(shown: Shown<'_>, payload: Json) -> Json {
    let message = shown.message;
    let number = |number: usize| Json::Number(number as f64);
    let mut members = vec![
        ("tst", Json::text(&shown.moment.iso_micros())),
        ("topic", Json::text(&message.topic)),
        ("qos", number(usize::from(message.qos as u8))),
        ("retain", Json::Bool(message.retain)),
        ("payloadlen", number(message.payload.len())),
    ];
    if shown.packet_id > 0 {
        members.push(("mid", number(usize::from(shown.packet_id))));
    }
    let properties = properties(message);
    if !properties.is_empty() {
        members.push(("properties", Json::object(properties)));
    }
    members.push(("payload", payload));
    Json::object(members)
}

/// The properties in the order in which they were sent; what belongs to the transfer comes last.
fn properties(message: &Message) -> Vec<(&'static str, Json)> {
    let sent = message.properties.as_properties();
    let bytes = |bytes: &[u8]| Json::Text(json::until_zero(bytes).to_vec());
    let mut members: Vec<(&'static str, Json)> = Vec::new();
    for id in sent.ids() {
        let member = match id {
            PropertyId::PayloadFormatIndicator => sent
                .payload_format()
                .map(|utf8| ("payload-format-indicator", Json::Number(f64::from(u8::from(utf8))))),
            PropertyId::ContentType => {
                sent.content_type().map(|text| ("content-type", Json::text(text)))
            }
            PropertyId::ResponseTopic => {
                sent.response_topic().map(|text| ("response-topic", Json::text(text)))
            }
            PropertyId::CorrelationData => {
                sent.correlation_data().map(|data| ("correlation-data", bytes(data)))
            }
            // All of them stand where the first is.
            PropertyId::UserProperty if members.iter().all(|(name, _)| *name != USER) => {
                let pairs = sent.user_properties().iter();
                let pairs = pairs.map(|(name, value)| Json::object([(name, Json::text(value))]));
                Some((USER, Json::Array(pairs.collect())))
            }
            // No other property travels with a message.
            _ => None,
        };
        members.extend(member);
    }
    if let Some(secs) = message.expiry_secs {
        members.push(("message-expiry-interval", Json::Number(f64::from(secs))));
    }
    for id in &message.subscription_ids {
        members.push(("subscription-identifier", Json::Number(f64::from(*id))));
    }
    members
}

const USER: &str = "user-properties";
