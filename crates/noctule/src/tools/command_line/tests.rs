//! Command lines, right and wrong.

use super::*;
use crate::tools::settings::Content;
use noctule_client::QoS;

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
}

/// Reads words without looking for option files.
fn read(tool: Tool, line: &str) -> Result<Settings, Stop> {
    let mut settings = Settings::new(tool);
    take(&mut settings, Called::Mosquitto, &words(line))?;
    settings.check()?;
    Ok(settings)
}

fn said(tool: Tool, line: &str) -> String {
    match read(tool, line) {
        Err(Stop::Misuse(Misuse(text))) => String::from_utf8(text).expect("text"),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_later_flag_has_the_last_word() {
    let settings = read(Tool::Pub, "-h a -t x -q 1 -m text --host b --topic y -q 2 -p 1 -p 2");
    let settings = settings.expect("a command line");
    assert_eq!(settings.connection.host.as_deref(), Some(&b"b"[..]));
    assert_eq!(settings.connection.port, Some(2));
    assert_eq!(settings.publish.topic.as_deref(), Some("y"));
    assert_eq!(settings.publish.content, Some(Content::Text(b"text".to_vec())));
    assert_eq!(settings.qos, QoS::ExactlyOnce);
}

#[test]
fn topics_of_sub_add_up() {
    let settings = read(Tool::Sub, "-t a -t b/# -T c -T d -U e -L mqtt://h/f").expect("words");
    assert_eq!(settings.receive.topics, ["a", "b/#", "f"]);
    assert_eq!(settings.receive.filter_out, ["c", "d"]);
    assert_eq!(settings.receive.unsubscribe, ["e"]);
}

#[test]
fn a_value_may_look_like_a_flag() {
    let settings = read(Tool::Pub, "-t -m -m -t").expect("a command line");
    assert_eq!(settings.publish.topic.as_deref(), Some("-m"));
    assert_eq!(settings.publish.content, Some(Content::Text(b"-t".to_vec())));
}

#[test]
fn properties_and_session_expiry_imply_version_5() {
    for line in ["-t a -D connect receive-maximum 1", "-t a -x 5"] {
        assert_eq!(read(Tool::Sub, line).expect(line).connection.version, Version::V5);
    }
    assert_eq!(read(Tool::Sub, "-t a").expect("words").connection.version, Version::V311);
    assert_eq!(read(Tool::Rr, "-t a").expect("words").connection.version, Version::V5);
}

#[test]
fn a_kept_session_needs_a_name() {
    assert!(said(Tool::Sub, "-t a -c").contains("client id if you are using the -c option"));
    assert!(said(Tool::Sub, "-t a -c -I x").contains("-c option"));
    assert!(said(Tool::Sub, "-t a -x -1").contains("infinite session expiry"));
    assert!(said(Tool::Sub, "-t a -c -V 5").contains("infinite session expiry"));
    let kept = read(Tool::Sub, "-t a -c -V 5 -i x").expect("words");
    assert_eq!(kept.connection.session_expiry_secs, Some(u32::MAX));
    let kept = read(Tool::Sub, "-t a -c -x 0x10").expect("words");
    assert_eq!(kept.connection.session_expiry_secs, Some(16));
}

#[test]
fn each_tool_knows_its_flags_only() {
    for (tool, flag) in
        [(Tool::Pub, "-W"), (Tool::Sub, "-m"), (Tool::Rr, "-l"), (Tool::Rr, "-r"), (Tool::Pub, "x")]
    {
        assert_eq!(said(tool, flag), format!("Error: Unknown option '{flag}'.\n"));
    }
}

#[test]
fn help_comes_before_what_stands_behind_it() {
    assert_eq!(read(Tool::Pub, "-t a --help --nonsense").err(), Some(Stop::Help));
    assert_eq!(read(Tool::Pub, "--version --help").err(), Some(Stop::Version));
    assert!(said(Tool::Pub, "--nonsense --help").contains("Unknown option"));
}

#[test]
fn two_kinds_of_payload_are_one_too_many() {
    for line in ["-m a -f b", "-n -s", "-l -m", "-m a -m b"] {
        let expected = "Error: Only one type of message can be sent at once.\n\n";
        assert_eq!(said(Tool::Pub, line), expected, "{line}");
    }
}

#[test]
fn a_missing_value_is_said_with_the_short_name() {
    let expected = "Error: -t argument given but no topic specified.\n\n";
    assert_eq!(said(Tool::Pub, "--topic"), expected);
    assert!(said(Tool::Pub, "-D publish").contains("not enough arguments"));
}

#[test]
fn our_own_name_says_what_was_probably_meant() {
    let hint = |word: &str| hint(Tool::Pub, word.as_bytes());
    let value = |value: &str| Some(format!("A value is a word of its own: {value}\n"));
    assert_eq!(hint("--topic=a"), value("--topic a"));
    assert_eq!(hint("-ta"), value("-t a"));
    assert_eq!(hint("--nonsense"), None);
    assert_eq!(hint("nonsense"), None);
}

#[test]
fn chance_is_what_mosquitto_promises() {
    for (percent, chance) in [("100", 10_000), ("50.0", 5_000), ("0.1", 10), ("1000", 10_000)] {
        let line = format!("-t a --random-filter {percent}");
        assert_eq!(read(Tool::Sub, &line).expect("words").output.chance, chance);
    }
    for percent in ["0", "0.01", "1001", "-1", "x"] {
        assert!(said(Tool::Sub, &format!("-t a --random-filter {percent}")).contains("0.1-100.0"));
    }
}
