//! Properties as the plugin writes them: JSON.

use noctule_proto::TopicName;
use noctule_proto::property::PropertiesBuf;
use serde_json::Value;

/// Properties in their encoded form, and whether all of them could be read.
pub(super) fn encode(json: &[u8]) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    if json.is_empty() {
        return (bytes, true);
    }
    let Ok(Value::Array(all)) = serde_json::from_slice(json) else { return (bytes, false) };
    let mut properties = PropertiesBuf::new();
    let mut whole = true;
    for property in &all {
        whole &= add(property, &mut properties).is_some();
    }
    properties.as_properties().copy_to(&mut bytes);
    (bytes, whole)
}

/// Adds one; `None` if it says nothing that a message can have.
fn add(property: &Value, properties: &mut PropertiesBuf) -> Option<()> {
    let value = &property["value"];
    match property["identifier"].as_str()? {
        "payload-format-indicator" => {
            let format = value.as_u64().filter(|format| *format <= 1)?;
            properties.payload_format(format == 1);
        }
        "content-type" => drop(properties.content_type(value.as_str()?).ok()?),
        "response-topic" => {
            let topic = TopicName::parse(value.as_str()?).ok()?;
            properties.response_topic(topic).ok()?;
        }
        "correlation-data" => drop(properties.correlation_data(&hex(value.as_str()?)?).ok()?),
        "user-property" => {
            properties.user_property(property["name"].as_str()?, value.as_str()?).ok()?;
        }
        // When the message expires is a column.
        "message-expiry-interval" => {}
        _ => return None,
    }
    Some(())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(pair.first()?)? << 4 | digit(pair.get(1)?)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_property_is_encoded_in_its_order() {
        let json = r#"[{"identifier":"payload-format-indicator","value":1},
            {"identifier":"content-type","value":"t"},{"identifier":"response-topic","value":"r"},
            {"identifier":"correlation-data","value":"00fF"},
            {"identifier":"user-property","name":"k","value":"v"},
            {"identifier":"user-property","name":"k","value":"w"}]"#;
        let wanted = b"\x01\x01\x03\x00\x01t\x08\x00\x01r\x09\x00\x02\x00\xFF\
                       \x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w";
        assert_eq!(encode(json.as_bytes()), (wanted.to_vec(), true));
        assert_eq!(encode(b""), (Vec::new(), true));
    }

    #[test]
    fn what_is_no_property_is_left_out_and_told() {
        for json in [
            "{",
            "{}",
            "[7]",
            r#"[{"identifier":"moon","value":1}]"#,
            r#"[{"identifier":"content-type","value":1}]"#,
            r#"[{"identifier":"correlation-data","value":"0"}]"#,
            r#"[{"identifier":"correlation-data","value":"0g"}]"#,
            r#"[{"identifier":"response-topic","value":"a/+"}]"#,
            r#"[{"identifier":"payload-format-indicator","value":2}]"#,
            r#"[{"identifier":"user-property","value":"v"}]"#,
        ] {
            assert_eq!(encode(json.as_bytes()), (Vec::new(), false), "{json}");
        }
    }
}
