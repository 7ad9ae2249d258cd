//! Formats beside what mosquitto_sub prints for them.

use super::*;
use noctule_client::{PropertiesBuf, QoS};
use noctule_proto::TopicName;

fn message() -> Message {
    let mut properties = PropertiesBuf::new();
    properties.content_type("text/plain").expect("short");
    properties.user_property("k", "v").expect("short");
    properties.response_topic(TopicName::parse("re/sp").expect("a topic")).expect("short");
    properties.user_property("k2", "v2").expect("short");
    properties.correlation_data(b"c\"d").expect("short");
    properties.payload_format(true);
    let mut message = Message::new("f/a", "He\"y").qos(QoS::AtLeastOnce).retained();
    message.properties = properties;
    message.expiry_secs = Some(4000);
    message.subscription_ids = vec![9, 10];
    message
}

fn print_all(format: &str, message: &Message) -> (String, String) {
    let moment = Moment::at(1_795_723_314_072_751_443, 0);
    let packet_id = if message.qos == QoS::AtMostOnce { 0 } else { 7 };
    let shown = Shown { message, packet_id, moment: &moment, pretty: false };
    let format = Format::parse(format.as_bytes()).expect("a format");
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    format.print(shown, &mut out, &mut complaints);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(out), text(complaints))
}

fn print(format: &str) -> String {
    print_all(format, &message()).0
}

/// What mosquitto_sub 2.1.2 prints.
#[test]
fn every_letter_prints_its_field() {
    assert_eq!(print("%A|%C|%D|%E|%F|%P|%R|%S"), "|text/plain|c\"d|4000|1|k:v k2:v2|re/sp|9");
    assert_eq!(print("%l|%m|%p|%q|%r|%t|%x|%X|%%"), "4|7|He\"y|1|1|f/a|48652279|48652279|%");
    assert_eq!(print("%I|%U"), "2026-11-26T20:01:54+0000|1795723314.072751443");
    assert_eq!(
        print("%j"),
        "{\"tst\":\"2026-11-26T20:01:54.072751+0000\",\"topic\":\"f/a\",\"qos\":1,\"retain\":true,\
         \"payloadlen\":4,\"mid\":7,\"properties\":{\"content-type\":\"text/plain\",\
         \"user-properties\":[{\"k\":\"v\"},{\"k2\":\"v2\"}],\"response-topic\":\"re/sp\",\
         \"correlation-data\":\"c\\\"d\",\"payload-format-indicator\":1,\
         \"message-expiry-interval\":4000,\"subscription-identifier\":9,\
         \"subscription-identifier\":10},\"payload\":\"He\\\"y\"}"
    );
}

#[test]
fn what_is_not_there_leaves_its_place_blank() {
    let plain = Message::new("a", "");
    let print = |format: &str| print_all(format, &plain).0;
    assert_eq!(print("%C|%D|%E|%F|%P|%R|%S|%m|%p|%x"), "||||||||0||".replacen("||", "|", 1));
    assert_eq!(print("%3C|%03E|%-3F|%3D|%3R|%3S"), "   |000|   |||   ");
    assert_eq!(
        print("%j"),
        "{\"tst\":\"2026-11-26T20:01:54.072751+0000\",\"topic\":\"a\",\"qos\":0,\"retain\":false,\
         \"payloadlen\":0,\"payload\":null}"
    );
    assert_eq!(print_all("%J", &plain), (print("%j"), String::new()));
}

#[test]
fn widths_and_precision_are_those_of_c() {
    assert_eq!(print("%5A|%05E|%-5E|%5F|%2E"), "     |04000|4000 |    1|4000");
    assert_eq!(
        print("%12C|%-12C|%.2C|%10.2C|%-4.2C|"),
        "  text/plain|text/plain  |te|        te|te  |"
    );
    assert_eq!(
        print("%6t|%-6t|%06t|%3D|%20P|%9R"),
        "   f/a|f/a   |   f/a|c\"d|k:v k2:v2|    re/sp"
    );
    assert_eq!(print("%9r|%9q|%3%"), "1|1|%");
    assert_eq!(
        print("%30I|%-30I|%.5I"),
        "      2026-11-26T20:01:54+0000|2026-11-26T20:01:54+0000      |2026-"
    );
}

#[test]
fn payloads_are_cut_and_padded() {
    assert_eq!(
        print("%10p|%-6p|%-p|%06p|%-06p|%2p|%.2p"),
        "      He\"y|He\"y  |He\"y    |00He\"y|He\"y  |He|He\"y"
    );
    assert_eq!(
        print("%10x|%-10x|%010x|%3x|%-3x|"),
        "  48652279|48652279  |0048652279|486522|486522   |"
    );
    assert_eq!(print("%.1x|%.2:x|%.2-X|%.0x"), "4 8 6 5 2 2 7 9|48:65:22:79|48-65-22-79|48652279");
    assert_eq!(print("%9.3 x|%-9.3 x|%012.4_X"), " 48 652 279|486 522 79 |0000_4865_2279");
}

#[test]
fn floats_are_read_from_four_or_eight_bytes() {
    let float = Message::new("a", 1.5f32.to_ne_bytes().to_vec());
    let print = |format: &str| print_all(format, &float);
    assert_eq!(print("%f|%.2f|%8.1f|%-8.1f|%08.1f").0, "1.500000|1.50|     1.5|1.5     |000001.5");
    assert_eq!(print("%d").1, "requested double printing, but non-double data received");
    let double = Message::new("a", (-2.25f64).to_ne_bytes().to_vec());
    assert_eq!(print_all("%d|%09.1d|%.0d", &double).0, "-2.250000|-000002.2|-2");
    assert_eq!(print_all("%f", &double).1, "requested float printing, but non-float data received");
    let none = Message::new("a", f64::NEG_INFINITY.to_ne_bytes().to_vec());
    assert_eq!(print_all("%06d", &none).0, "  -inf");
}

#[test]
fn escapes_and_times() {
    assert_eq!(print("\\\\|\\0|\\a|\\e|\\n|\\r|\\t|\\v"), "\\|\0|\x07|\x1b|\n|\r|\t|\x0b");
    assert_eq!(print("@Y-@m-@d @H:@M:@S.@N @@ @q"), "2026-11-26 20:01:54.072751443 @ %q");
    assert_eq!(print("grün"), "grün");
}

#[test]
fn a_payload_that_is_no_json_is_complained_about() {
    let (out, complaints) = print_all("<%J>", &message());
    assert_eq!(out, "<>");
    assert_eq!(complaints, "Error: Message payload is not valid JSON on topic f/a.\n");
    let json = Message::new("a", "{\"a\": [1.0]}");
    assert!(print_all("%J", &json).0.ends_with("\"payload\":{\"a\":[1]}}"));
    let zero = Message::new("a", "a\0b");
    assert!(print_all("%j", &zero).0.ends_with("\"payloadlen\":3,\"payload\":\"a\"}"));
}

#[test]
fn what_is_no_format_is_named() {
    for (format, said) in [
        ("%", "Incomplete format specifier."),
        ("a%-", "Incomplete format specifier."),
        ("%010", "Incomplete format specifier."),
        ("%5.", "Incomplete format specifier."),
        ("%z", "Invalid format specifier 'z'."),
        ("%:", "Invalid format specifier '\0'."),
        ("%0-5p", "Invalid format specifier '5'."),
        ("@", "Incomplete format specifier."),
        ("\\", "Incomplete escape specifier."),
        ("\\q", "Invalid escape specifier 'q'."),
    ] {
        let Misuse(text) = Format::parse(format.as_bytes()).expect_err(format);
        assert_eq!(String::from_utf8_lossy(&text), format!("Error: {said}\n"), "{format}");
    }
}

#[test]
fn a_width_beyond_reason_is_cut() {
    assert_eq!(print("%99999999999999999999t").len(), WIDTH_MAX);
}
