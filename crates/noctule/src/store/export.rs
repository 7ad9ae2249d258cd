//! `noctule store export`: every message that is owed, one JSON object a line.

use super::salvage::json_of;
use super::stats::moment;
use super::{DAMAGED, PlaceArgs, none, refused};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use noctule_proto::property::OtherProperties;
use noctule_store::log::Owed;
use noctule_store::{Owing, StoreError, Time, now};
use serde_json::{Map, Value, json};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

/// Print every message that is owed, one JSON object a line; change nothing.
///
/// Retained messages come first, then those of share groups, then each session's, in the order in
/// which it would be sent them. A message that is owed to several is printed for each.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

const EXAMPLES: &str = "\
Members:
  state       waiting, sent (QoS 2, on its way), unreleased (QoS 2, from the client), retained, will
  client_id   whose it is; `share` and `filter` for a share group, none for retained messages
  tst         when the broker took it
  topic, qos, retain, payloadlen, mid, properties
              as `noctule sub -F %j` has them
  payload     if it is UTF-8, else payload_base64
  expires     when it expires; expired: whether it has
  will_delay  seconds
  damaged     true in place of all that is not known

Examples:
  noctule store export > owed.jsonl
  noctule store export /srv/noctule | jq -r 'select(.client_id == \"meter-7\").payload'

Exit status:
  0  well
  1  it could not be done
  2  wrong use
  3  some messages are damaged (noctule store salvage)";

impl ExportArgs {
    /// Does it.
    pub(super) fn run(&self) -> ExitCode {
        self.place.run(export)
    }
}

fn export(directory: &Path) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let now = now();
    let mut damaged = false;
    let exported = noctule_store::export(directory, &mut |owing| {
        damaged |= owing.message.is_none();
        serde_json::to_writer(&mut out, &to_json(owing, now))?;
        out.write_all(b"\n")
    });
    let exported = exported.and_then(|found| Ok(out.flush().map(|()| found)?));
    match exported {
        Ok(true) if damaged => ExitCode::from(DAMAGED),
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => none(directory),
        // `| head` is no error.
        Err(StoreError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => refused(directory, &error),
    }
}

fn to_json(owing: &Owing<'_>, now: Time) -> Value {
    let mut line = Map::new();
    line.insert("state".to_owned(), json!(state_of(owing)));
    if let Value::Object(whose) = json_of(owing.owed) {
        let named = whose.into_iter().filter(|(_, value)| !value.is_boolean());
        line.extend(named);
    }
    let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
    if let Some(id) = owing.packet_id {
        put("mid", json!(id.value()));
    }
    if let Some(secs) = owing.will_delay_secs {
        put("will_delay", json!(secs));
    }
    let Some(message) = owing.message else {
        put("damaged", json!(true));
        return Value::Object(line);
    };
    if let Some(taken) = moment(message.id.made_at()) {
        put("tst", json!(taken));
    }
    put("topic", json!(message.topic()));
    put("qos", json!(owing.qos as u8));
    put("retain", json!(owing.retain));
    put("payloadlen", json!(message.payload().len()));
    if let Some(at) = message.expires_at {
        put("expires", json!(moment(at)));
        put("expired", json!(message.expired(now)));
    }
    let properties = properties(message.properties(), owing.subscription_id);
    if !properties.is_empty() {
        put("properties", Value::Object(properties));
    }
    let (name, payload) = bytes("payload", "payload_base64", message.payload());
    put(name, payload);
    Value::Object(line)
}

fn state_of(owing: &Owing<'_>) -> &'static str {
    match owing.owed {
        _ if owing.will_delay_secs.is_some() => "will",
        Owed::Retained => "retained",
        Owed::Unreleased(_) => "unreleased",
        Owed::Session(_) | Owed::Unknown(_) | Owed::Group(..) if owing.packet_id.is_some() => {
            "sent"
        }
        Owed::Session(_) | Owed::Unknown(_) | Owed::Group(..) => "waiting",
    }
}

/// Bytes under one name if they are text, under another one if not.
fn bytes<'n>(text: &'n str, base64: &'n str, bytes: &[u8]) -> (&'n str, Value) {
    match std::str::from_utf8(bytes) {
        Ok(read) => (text, json!(read)),
        Err(_) => (base64, json!(STANDARD.encode(bytes))),
    }
}

/// Properties of MQTT 5, by the names that `noctule sub` gives them.
fn properties(encoded: &[u8], subscription_id: u32) -> Map<String, Value> {
    let sent = OtherProperties::from_clean(encoded);
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    if let Some(utf8) = sent.payload_format() {
        put("payload-format-indicator", json!(u8::from(utf8)));
    }
    if let Some(text) = sent.content_type() {
        put("content-type", json!(text));
    }
    if let Some(text) = sent.response_topic() {
        put("response-topic", json!(text));
    }
    if let Some(data) = sent.correlation_data() {
        let (name, data) = bytes("correlation-data", "correlation-data-base64", data);
        put(name, data);
    }
    let users: Vec<Value> =
        sent.user_properties().iter().map(|(name, value)| json!({(name): value})).collect();
    if !users.is_empty() {
        put("user-properties", json!(users));
    }
    if subscription_id != 0 {
        put("subscription-identifier", json!(subscription_id));
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_proto::property::PropertiesBuf;

    #[test]
    fn payloads_and_correlation_data_are_text_or_base64() {
        assert_eq!(bytes("a", "b", b"x\0y"), ("a", json!("x\0y")));
        assert_eq!(bytes("a", "b", &[0xff, 0]), ("b", json!("/wA=")));
        let mut sent = PropertiesBuf::default();
        sent.payload_format(true).content_type("t").unwrap();
        sent.correlation_data(&[0xff]).unwrap();
        sent.user_property("k", "1").unwrap().user_property("k", "2").unwrap();
        let mut encoded = Vec::new();
        sent.as_properties().copy_to(&mut encoded);
        let expected = json!({
            "payload-format-indicator": 1,
            "content-type": "t",
            "correlation-data-base64": "/w==",
            "user-properties": [{"k": "1"}, {"k": "2"}],
            "subscription-identifier": 7,
        });
        assert_eq!(Value::Object(properties(&encoded, 7)), expected);
    }
}
