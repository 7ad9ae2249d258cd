//! Cases written by hand, packet by packet.

use super::{ALL_VERSIONS, Case, Expect, bytes, malformed, named, ok, protocol_error};
use crate::Role::{Client, Server};
use crate::Version::{V5, V31, V311};
use crate::{Cause, PacketType, ReasonCode, Role, TopicError, Version};
use alloc::string::String;
use alloc::vec::Vec;

const V3: [Version; 2] = [V31, V311];

pub(super) fn cases() -> Vec<Case> {
    let mut table = Table(Vec::new());
    framing(&mut table);
    connect_openings(&mut table);
    connect_flags(&mut table);
    connect_text(&mut table);
    connack(&mut table);
    publish(&mut table);
    publish_topics(&mut table);
    acks(&mut table);
    subscribe(&mut table);
    subscribe_filters(&mut table);
    unsubscribe(&mut table);
    subacks(&mut table);
    pings(&mut table);
    disconnect(&mut table);
    auth(&mut table);
    table.0
}

struct Table(Vec<Case>);

impl Table {
    /// A packet on a connection, in each of `versions`.
    fn on(&mut self, versions: &[Version], sender: Role, what: (&str, &str), expect: Expect) {
        let (name, text) = what;
        for &version in versions {
            let bytes = bytes(text);
            let packet = bytes.first().and_then(|first| PacketType::from_u8(first >> 4));
            let name = named(version, packet.map_or("type 0", PacketType::name), name);
            let mut case = Case::new(&name, version, sender, bytes, expect);
            case.first = false;
            self.0.push(case);
        }
    }

    /// A valid packet on a connection, in each of `versions`, and a server's reply to it.
    fn good(&mut self, versions: &[Version], sender: Role, what: (&str, &str), reply: &str) {
        for &version in versions {
            let packet = PacketType::from_u8(bytes(what.1)[0] >> 4).expect("it is valid");
            self.on(&[version], sender, what, ok(packet));
            let case = self.0.pop().expect("it was added right above");
            self.0.push(case.replied(reply));
        }
    }

    /// A first packet whose bytes tell this version.
    fn first(&mut self, told: impl Into<Option<Version>>, what: (&str, &str), expect: Expect) {
        let (name, text) = what;
        let told = told.into();
        let name = named(told.unwrap_or(V311), "first packet", name);
        let mut case = Case::new(&name, V311, Client, bytes(text), expect);
        (case.version, case.first) = (told, true);
        self.0.push(case.replied("accepted"));
    }

    /// A valid CONNECT that is refused nonetheless.
    fn refused(&mut self, told: Version, what: (&str, &str), reply: &str) {
        self.first(told, what, ok(PacketType::Connect));
        let case = self.0.pop().expect("it was added right above");
        self.0.push(case.replied(reply));
    }
}

fn framing(t: &mut Table) {
    let all = &ALL_VERSIONS;
    t.on(all, Client, ("forbidden", "00 00"), protocol_error(Cause::ForbiddenType));
    t.on(all, Client, ("forbidden, length missing", "00"), protocol_error(Cause::ForbiddenType));
    let too_long = malformed(Cause::BadRemainingLength);
    t.on(&[V5], Client, ("length 0 in two bytes", "C0 80 00"), too_long);
    t.on(&[V5], Client, ("length 3 in two bytes", "30 83 00 'abc'"), too_long);
    t.on(&[V5], Client, ("length 0 in four bytes", "C0 80 80 80 00"), too_long);
    t.on(all, Client, ("length in five bytes", "30 80 80 80 80 01"), too_long);
    t.on(all, Client, ("length without end", "30 FF FF FF FF FF"), too_long);
    let too_large = Expect::Error(Cause::PacketTooLarge, ReasonCode::PacketTooLarge);
    t.on(all, Client, ("the largest length", "30 FF FF FF 7F"), too_large);
    t.on(all, Client, ("length not told yet", "30 FF FF FF"), Expect::Incomplete);
    for text in ["41 02 00 01", "52 02 00 01", "60 02 00 01", "63 02 00 01", "78 02 00 01"] {
        t.on(all, Client, ("reserved flags", text), malformed(Cause::ReservedFlags));
    }
    for text in ["80 00", "83 00", "A0 00", "A3 00", "C1 00", "E1 00", "E8 00", "F2 00"] {
        t.on(all, Client, ("reserved flags", text), malformed(Cause::ReservedFlags));
    }
    for text in ["21 02 00 00", "92 03 00 01 00", "B2 02 00 01", "D1 00"] {
        t.on(all, Server, ("reserved flags", text), malformed(Cause::ReservedFlags));
    }
    let wrong = protocol_error(Cause::WrongDirection);
    for text in ["20 02 00 00", "90 03 00 01 00", "B0 02 00 01", "D0 00"] {
        t.on(all, Client, ("sent by a client", text), wrong);
    }
    for text in ["10 00", "82| 00 01 'a' 00", "A2| 00 01 'a'", "C0 00"] {
        t.on(all, Server, ("sent by a server", text), wrong);
    }
}

fn connect_openings(t: &mut Table) {
    let connect = ok(PacketType::Connect);
    t.first(V311, ("plain", r#"10| "MQTT" 04 02 00 3C "a""#), connect);
    t.first(V31, ("plain", r#"10| "MQIsdp" 03 02 00 3C "a""#), connect);
    t.first(V5, ("plain", r#"10| "MQTT" 05 02 00 3C 00 "a""#), connect);
    t.first(V311, ("empty client id", r#"10| "MQTT" 04 02 00 00 """#), connect);
    t.first(V5, ("empty client id", r#"10| "MQTT" 05 02 00 00 00 """#), connect);
    t.refused(V31, ("empty client id", r#"10| "MQIsdp" 03 02 00 00 """#), "refused 02");
    t.refused(V311, ("empty id, session kept", r#"10| "MQTT" 04 00 00 00 """#), "refused 02");
    t.first(V311, ("bridge", r#"10| "MQTT" 84 02 00 3C "a""#), connect);
    t.first(V31, ("bridge", r#"10| "MQIsdp" 83 02 00 3C "a""#), connect);
    t.first(V31, ("all", r#"10| "MQIsdp" 03 F6 00 3C "a" "w" "bye" "u" "p""#), connect);
    t.first(V311, ("all", r#"10| "MQTT" 04 F6 00 3C "a" "w" "bye" "u" "p""#), connect);
    t.first(V5, ("all", r#"10| "MQTT" 05 F6 00 3C 00 "a" 00 "w" "bye" "u" "p""#), connect);
    // Who is older than 3.1.1 or newer than 5.
    let level =
        |n| Expect::Error(Cause::UnsupportedLevel(n), ReasonCode::UnsupportedProtocolVersion);
    t.first(V311, ("level 0", r#"10| "MQTT" 00 02 00 3C "a""#), level(0));
    t.first(V311, ("level 3", r#"10| "MQTT" 03 02 00 3C "a""#), level(3));
    t.first(V311, ("level 4 of 3.1", r#"10| "MQIsdp" 04 02 00 3C "a""#), level(4));
    t.first(V311, ("level 5 of 3.1", r#"10| "MQIsdp" 05 02 00 3C "a""#), level(5));
    t.first(V5, ("level 6", r#"10| "MQTT" 06 02 00 3C 00 "a""#), level(6));
    t.first(V5, ("level 5 with bridge bit", r#"10| "MQTT" 85 02 00 3C 00 "a""#), level(0x85));
    t.first(V5, ("level 255, nothing behind", r#"10| "MQTT" FF"#), level(255));
    let name = Expect::Error(Cause::WrongProtocolName, ReasonCode::UnsupportedProtocolVersion);
    t.first(None, ("name MQTt", r#"10| "MQTt" 04 02 00 3C "a""#), name);
    t.first(None, ("name mqtt", r#"10| "mqtt" 04 02 00 3C "a""#), name);
    t.first(None, ("no name", r#"10| "" 04 02 00 3C "a""#), name);
    t.first(None, ("name MQTTT", r#"10| "MQTTT" 04 02 00 3C "a""#), name);
    t.first(None, ("empty", "10 00"), malformed(Cause::Truncated));
    t.first(None, ("reserved flags", r#"11| "MQTT" 04 02 00 3C "a""#), {
        malformed(Cause::ReservedFlags)
    });
    for text in ["20 02 00 00", "30| 'a'", "82 00", "90 00", "B0 00", "D0 00", "F0 00"] {
        t.first(None, ("no CONNECT", text), protocol_error(Cause::NotConnect));
    }
    t.on(&ALL_VERSIONS, Client, ("second", r#"10| "MQTT" 04 02 00 3C "a""#), {
        protocol_error(Cause::SecondConnect)
    });
    t.on(&ALL_VERSIONS, Client, ("second, broken", "10 00"), protocol_error(Cause::SecondConnect));
}

fn connect_flags(t: &mut Table) {
    let connect = ok(PacketType::Connect);
    let reserved = malformed(Cause::ReservedConnectFlags);
    t.first(V311, ("flag 0", r#"10| "MQTT" 04 03 00 3C "a""#), reserved);
    t.first(V5, ("flag 0", r#"10| "MQTT" 05 03 00 3C 00 "a""#), reserved);
    t.first(V31, ("flag 0 is not looked at", r#"10| "MQIsdp" 03 03 00 3C "a""#), connect);
    let no_will = malformed(Cause::WillFlagsWithoutWill);
    t.first(V311, ("will QoS 1, no will", r#"10| "MQTT" 04 0A 00 3C "a""#), no_will);
    t.first(V311, ("will QoS 3, no will", r#"10| "MQTT" 04 1A 00 3C "a""#), no_will);
    t.first(V5, ("will QoS 2, no will", r#"10| "MQTT" 05 12 00 3C 00 "a""#), no_will);
    t.first(V5, ("will retain, no will", r#"10| "MQTT" 05 22 00 3C 00 "a""#), no_will);
    t.first(V31, ("will QoS, no will", r#"10| "MQIsdp" 03 3A 00 3C "a""#), connect);
    let qos3 = malformed(Cause::WillQoS3);
    t.first(V31, ("will QoS 3", r#"10| "MQIsdp" 03 1E 00 3C "a" "w" "x""#), qos3);
    t.first(V311, ("will QoS 3", r#"10| "MQTT" 04 1E 00 3C "a" "w" "x""#), qos3);
    t.first(V5, ("will QoS 3", r#"10| "MQTT" 05 1E 00 3C 00 "a" 00 "w" "x""#), qos3);
    let password = protocol_error(Cause::PasswordWithoutUserName);
    t.first(V31, ("password alone", r#"10| "MQIsdp" 03 42 00 3C "a" "p""#), password);
    t.first(V311, ("password alone", r#"10| "MQTT" 04 42 00 3C "a" "p""#), password);
    t.first(V5, ("password alone", r#"10| "MQTT" 05 42 00 3C 00 "a" "p""#), connect);
    t.first(V31, ("user name missing", r#"10| "MQIsdp" 03 C2 00 3C "a""#), connect);
    t.first(V31, ("password missing", r#"10| "MQIsdp" 03 C2 00 3C "a" "u""#), connect);
    let short = malformed(Cause::Truncated);
    t.first(V311, ("user name missing", r#"10| "MQTT" 04 82 00 3C "a""#), short);
    t.first(V5, ("password missing", r#"10| "MQTT" 05 C2 00 3C 00 "a" "u""#), short);
    t.first(V5, ("will missing", r#"10| "MQTT" 05 06 00 3C 00 "a""#), short);
    t.first(V5, ("properties missing", r#"10| "MQTT" 05 02 00 3C"#), short);
    t.first(V5, ("client id missing", r#"10| "MQTT" 05 02 00 3C 00"#), short);
    let long = malformed(Cause::TrailingBytes);
    t.first(V31, ("user name without flag", r#"10| "MQIsdp" 03 02 00 3C "a" "u""#), long);
    t.first(V311, ("user name without flag", r#"10| "MQTT" 04 02 00 3C "a" "u""#), long);
    t.first(V5, ("one byte too many", r#"10| "MQTT" 05 02 00 3C 00 "a" 00"#), long);
}

fn connect_text(t: &mut Table) {
    let ill = malformed(Cause::IllFormedText);
    let forbidden = malformed(Cause::ForbiddenCharacter);
    for (what, id, expect) in [
        ("client id is no UTF-8", "00 01 FF", ill),
        ("client id holds a surrogate", "00 03 ED A0 80", ill),
        ("client id in a long form", "00 02 C1 81", ill),
        ("client id beyond U+10FFFF", "00 04 F4 90 80 80", ill),
        ("client id holds U+0000", "00 02 61 00", forbidden),
        ("client id holds U+001F", "00 01 1F", forbidden),
        ("client id holds U+007F", "00 01 7F", forbidden),
        ("client id holds U+0080", "00 02 C2 80", forbidden),
        ("client id holds U+FFFF", "00 03 EF BF BF", forbidden),
        ("client id begins with U+FEFF", "00 04 EF BB BF 61", ok(PacketType::Connect)),
        ("client id is longer than the packet", "00 02 61", malformed(Cause::Truncated)),
    ] {
        let v311 = alloc::format!(r#"10| "MQTT" 04 02 00 3C {id}"#);
        t.first(V311, (what, &v311), expect);
        let v5 = alloc::format!(r#"10| "MQTT" 05 02 00 3C 00 {id}"#);
        t.first(V5, (what, &v5), expect);
    }
    t.first(V311, ("user name is no UTF-8", r#"10| "MQTT" 04 82 00 3C "a" 00 01 80"#), ill);
    t.first(V5, ("user name holds NUL", r#"10| "MQTT" 05 82 00 3C 00 "a" 00 01 00"#), forbidden);
    t.first(V5, ("password is binary", r#"10| "MQTT" 05 C2 00 3C 00 "a" "u" 00 02 00 FF"#), {
        ok(PacketType::Connect)
    });
    t.first(V5, ("will payload is binary", r#"10| "MQTT" 05 06 00 3C 00 "a" 00 "w" 00 01 00"#), {
        ok(PacketType::Connect)
    });
    t.first(
        V5,
        ("will topic is no UTF-8", r#"10| "MQTT" 05 06 00 3C 00 "a" 00 00 01 FE "x""#),
        ill,
    );
    let wild = Cause::WillTopic(TopicError::Wildcard);
    t.first(V5, ("will topic holds #", r##"10| "MQTT" 05 06 00 3C 00 "a" 00 "w/#" "x""##), {
        protocol_error(wild)
    });
    t.first(V311, ("will topic holds +", r#"10| "MQTT" 04 06 00 3C "a" "+" "x""#), {
        protocol_error(wild)
    });
    let empty = protocol_error(Cause::WillTopic(TopicError::Empty));
    t.first(V5, ("will topic is empty", r#"10| "MQTT" 05 06 00 3C 00 "a" 00 "" "x""#), empty);
    t.first(V311, ("will topic is empty", r#"10| "MQTT" 04 06 00 3C "a" "" "x""#), empty);
}

fn connack(t: &mut Table) {
    let connack = ok(PacketType::ConnAck);
    t.on(&V3, Server, ("accepted", "20 02 00 00"), connack);
    t.on(&[V5], Server, ("accepted", "20 03 00 00 00"), connack);
    t.on(&[V311], Server, ("session present", "20 02 01 00"), connack);
    t.on(&[V5], Server, ("session present", "20 03 01 00 00"), connack);
    for code in ["20 02 00 01", "20 02 00 02", "20 02 00 03", "20 02 00 04", "20 02 00 05"] {
        t.on(&V3, Server, ("refused", code), connack);
    }
    t.on(&V3, Server, ("return code 6", "20 02 00 06"), protocol_error(Cause::ReasonCode(6)));
    t.on(&[V5], Server, ("refused", "20 03 00 87 00"), connack);
    let code = |code| protocol_error(Cause::ReasonCode(code));
    t.on(&[V5], Server, ("code 1", "20 03 00 01 00"), code(1));
    t.on(&[V5], Server, ("code 0x8D", "20 03 00 8D 00"), code(0x8D));
    t.on(&[V5], Server, ("code 0xA3", "20 03 00 A3 00"), code(0xA3));
    let flags = malformed(Cause::ReservedConnectFlags);
    t.on(&[V311], Server, ("reserved flag", "20 02 02 00"), flags);
    t.on(&[V5], Server, ("reserved flag", "20 03 80 00 00"), flags);
    t.on(&[V31], Server, ("the reserved byte", "20 02 FF 00"), connack);
    let present = protocol_error(Cause::SessionPresentOnFailure);
    t.on(&[V311], Server, ("session present, refused", "20 02 01 05"), present);
    t.on(&[V5], Server, ("session present, refused", "20 03 01 87 00"), present);
    t.on(&V3, Server, ("one byte", "20 01 00"), malformed(Cause::Truncated));
    t.on(&V3, Server, ("three bytes", "20 03 00 00 00"), malformed(Cause::TrailingBytes));
    t.on(&[V5], Server, ("no properties", "20 02 00 00"), malformed(Cause::Truncated));
    t.on(&[V5], Server, ("one byte too many", "20 04 00 00 00 00"), {
        malformed(Cause::TrailingBytes)
    });
}

fn publish(t: &mut Table) {
    for sender in [Client, Server] {
        t.good(&V3, sender, ("QoS 0", r#"30| "a/b" 'hello'"#), "");
        t.good(&V3, sender, ("retained, QoS 0, no payload", r#"31| "a/b""#), "");
        t.good(&V3, sender, ("QoS 1", r#"32| "a/b" 00 0A 'hello'"#), "40 02 00 0A");
        t.good(&V3, sender, ("QoS 1, DUP", r#"3A| "a/b" FF FF 'hello'"#), "40 02 FF FF");
        let row = ("QoS 2, DUP, retained", r#"3D| "a/b" 00 01 'hello'"#);
        t.good(&V3, sender, row, "50 02 00 01");
        t.good(&[V5], sender, ("QoS 0", r#"30| "a/b" 00 'hello'"#), "");
        t.good(&[V5], sender, ("QoS 1, no payload", r#"32| "a/b" 00 0A 00"#), "40 03 00 0A 10");
        let row = ("QoS 2, DUP, retained", r#"3D| "a/b" 00 01 00 FF"#);
        t.good(&[V5], sender, row, "50 02 00 01");
        let all = &ALL_VERSIONS;
        t.on(all, sender, ("QoS 3", r#"36| "a/b" 00 01 00"#), malformed(Cause::QoS3));
        t.on(all, sender, ("QoS 3, DUP", "3E 00"), malformed(Cause::QoS3));
        t.on(all, sender, ("QoS 0, DUP", r#"38| "a/b" 00"#), malformed(Cause::DupWithQoS0));
        t.on(all, sender, ("QoS 0, DUP, retained", "39"), malformed(Cause::DupWithQoS0));
        let zero = protocol_error(Cause::PacketIdZero);
        t.on(all, sender, ("QoS 1, packet id 0", r#"32| "a/b" 00 00 00"#), zero);
        t.on(all, sender, ("QoS 2, packet id 0", r#"34| "a/b" 00 00 00"#), zero);
        let short = malformed(Cause::Truncated);
        t.on(all, sender, ("empty", "30 00"), short);
        t.on(all, sender, ("half a topic", "30 03 00 02 61"), short);
        t.on(all, sender, ("half a packet id", r#"32| "a/b" 00"#), short);
        t.on(&[V5], sender, ("no properties", r#"30| "a/b""#), short);
        t.on(&[V5], sender, ("properties beyond the packet", r#"30| "a/b" 02 01"#), short);
        t.on(&[V5], sender, ("property length in two bytes", r#"30| "a/b" 80 00"#), {
            malformed(Cause::BadVarint)
        });
        t.on(&[V5], sender, ("property length in five", r#"30| "a/b" FF FF FF FF 01"#), {
            malformed(Cause::BadVarint)
        });
    }
}

fn publish_topics(t: &mut Table) {
    let no_topic = protocol_error(Cause::NoTopic);
    t.on(&V3, Client, ("empty topic", r#"30| "" 'x'"#), no_topic);
    t.on(&[V5], Client, ("empty topic", r#"30| "" 00 'x'"#), no_topic);
    t.good(&[V5], Client, ("alias for no topic", r#"30| "" 03 23 00 01 'x'"#), "ends 82");
    t.good(&[V5], Client, ("topic and alias", r#"30| "a" 03 23 00 40 'x'"#), "");
    t.good(&[V5], Client, ("alias above the maximum", r#"30| "a" 03 23 00 41 'x'"#), "ends 94");
    t.good(&[V5], Client, ("the highest alias", r#"30| "a" 03 23 FF FF 'x'"#), "ends 94");
    let alias = Expect::Error(Cause::TopicAliasZero, ReasonCode::TopicAliasInvalid);
    t.on(&[V5], Client, ("alias 0", r#"30| "a" 03 23 00 00 'x'"#), alias);
    t.on(&[V5], Client, ("alias 0 for topic", r#"30| "" 03 23 00 00 'x'"#), alias);
    let all = &ALL_VERSIONS;
    let wildcard = Cause::TopicName(TopicError::Wildcard);
    for text in [r#"30| "+" 00"#, r#"30| "a/+/b" 00"#, r##"30| "#" 00"##, r##"30| "ü#" 00"##] {
        let refused = protocol_error(wildcard);
        t.on(all, Client, ("wildcard in the topic", text), refused);
    }
    let forbidden = malformed(Cause::TopicName(TopicError::ForbiddenCharacter));
    for text in [
        "30| 00 01 00 00",
        "30| 00 03 61 00 62 00",
        "30| 00 01 0A 00",
        "30| 00 01 7F 00",
        "30| 00 02 C2 85 00",
        "30| 00 03 EF BF BE 00",
        "30| 00 03 EF B7 90 00",
        "30| 00 04 F0 9F BF BE 00",
        "30| 00 02 2B 00 00",
    ] {
        t.on(all, Client, ("forbidden character in the topic", text), forbidden);
    }
    for text in ["30| 00 01 80 00", "30| 00 02 C0 80 00", "30| 00 03 ED BF BF 00"] {
        t.on(all, Client, ("topic is no UTF-8", text), malformed(Cause::IllFormedText));
    }
    for text in [r#"30| "/" 00"#, r#"30| "$SYS/x" 00"#, r#"30| "Zürich/ 温度" 00"#] {
        t.good(all, Client, ("unusual topic", text), "");
    }
}

/// Acknowledgements of nothing: an unknown identifier is told where a packet must follow.
fn acks(t: &mut Table) {
    // First byte; first bytes of the packet that must follow in 3.x and in v5, and its code there.
    let heads = [
        ("40", ["", "", ""]),
        ("50", ["62 02", "62 03", "92"]),
        ("62", ["70 02", "70 03", "92"]),
        ("70", ["", "", ""]),
    ];
    for sender in [Client, Server] {
        for (head, [next_v3, next_v5, unknown]) in heads {
            let row = |body: &str| alloc::format!("{head}| {body}");
            let reply = |start: &str, id: &str, end: &str| match start {
                "" => String::new(),
                _ => alloc::format!("{start} {id} {end}"),
            };
            let (one, highest) = ("00 01", "FF FF");
            for (name, id) in [("plain", one), ("highest id", highest)] {
                t.good(&V3, sender, (name, &row(id)), &reply(next_v3, id, ""));
                t.good(&[V5], sender, (name, &row(id)), &reply(next_v5, id, unknown));
            }
            let all = &ALL_VERSIONS;
            t.on(all, sender, ("packet id 0", &row("00 00")), protocol_error(Cause::PacketIdZero));
            t.on(all, sender, ("empty", &row("")), malformed(Cause::Truncated));
            t.on(all, sender, ("half an id", &row("01")), malformed(Cause::Truncated));
            t.on(&V3, sender, ("with code", &row("00 01 00")), malformed(Cause::TrailingBytes));
            let told = reply(next_v5, one, unknown);
            t.good(&[V5], sender, ("with code", &row("00 01 00")), &told);
            t.good(&[V5], sender, ("with code and properties", &row("00 01 00 00")), &told);
            t.on(&[V5], sender, ("one byte too many", &row("00 01 00 00 00")), {
                malformed(Cause::TrailingBytes)
            });
        }
    }
    t.good(&[V31], Client, ("DUP", "6A 02 00 01"), "70 02 00 01");
    t.on(&[V311, V5], Client, ("DUP", "6A 02 00 01"), malformed(Cause::ReservedFlags));
}

fn subscribe(t: &mut Table) {
    t.good(&V3, Client, ("plain", r#"82| 00 01 "a/b" 01"#), "90 03 00 01 01");
    let two = r##"82| 00 01 "a/+" 02 "#" 00"##;
    t.good(&V3, Client, ("two filters", two), "90 04 00 01 02 00");
    t.good(&[V5], Client, ("plain", r#"82| 00 01 00 "a/b" 00"#), "90 04 00 01 00 00");
    t.good(&[V5], Client, ("all options", r#"82| 00 01 00 "a/b" 2E"#), "90 04 00 01 00 02");
    let two = r##"82| 00 01 00 "a/+" 02 "#" 11"##;
    t.good(&[V5], Client, ("two filters", two), "90 05 00 01 00 02 01");
    let zero = protocol_error(Cause::PacketIdZero);
    t.on(&V3, Client, ("packet id 0", r#"82| 00 00 "a" 00"#), zero);
    t.on(&[V5], Client, ("packet id 0", r#"82| 00 00 00 "a" 00"#), zero);
    let empty = protocol_error(Cause::EmptyPayload);
    t.on(&V3, Client, ("no filter", "82 02 00 01"), empty);
    t.on(&[V5], Client, ("no filter", "82 03 00 01 00"), empty);
    t.on(&[V5], Client, ("no properties", "82 02 00 01"), malformed(Cause::Truncated));
    t.on(&V3, Client, ("no options", r#"82| 00 01 "a""#), malformed(Cause::Truncated));
    t.on(&[V5], Client, ("no options", r#"82| 00 01 00 "a""#), malformed(Cause::Truncated));
    let reserved = malformed(Cause::ReservedOptions);
    t.on(&[V311], Client, ("reserved option 2", r#"82| 00 01 "a" 05"#), reserved);
    t.on(&[V311], Client, ("reserved option 7", r#"82| 00 01 "a" 80"#), reserved);
    let unseen = ("options not looked at", r#"82| 00 01 "a" FD"#);
    t.good(&[V31], Client, unseen, "90 03 00 01 01");
    t.on(&[V5], Client, ("reserved option 6", r#"82| 00 01 00 "a" 40"#), reserved);
    t.on(&[V5], Client, ("reserved option 7", r#"82| 00 01 00 "a" 80"#), reserved);
    t.on(&V3, Client, ("QoS 3", r#"82| 00 01 "a" 03"#), malformed(Cause::OptionsQoS3));
    t.on(&[V5], Client, ("QoS 3", r#"82| 00 01 00 "a" 03"#), protocol_error(Cause::OptionsQoS3));
    t.on(&[V5], Client, ("retain handling 3", r#"82| 00 01 00 "a" 30"#), {
        protocol_error(Cause::RetainHandling3)
    });
    t.on(&[V5], Client, ("no local, shared", r#"82| 00 01 00 "$share/g/a" 04"#), {
        protocol_error(Cause::NoLocalOnShared)
    });
    t.good(&V3, Client, ("shared", r#"82| 00 01 "$share/g/a" 02"#), "90 03 00 01 02");
    t.good(&[V5], Client, ("shared", r#"82| 00 01 00 "$share/g/a" 01"#), "90 04 00 01 00 01");
    t.on(&[V5], Client, ("broken after a good one", r#"82| 00 01 00 "a" 00 "b" 40"#), reserved);
    t.good(&[V31], Client, ("DUP", r#"8A| 00 01 "a/b" 01"#), "90 03 00 01 01");
    t.on(&[V311], Client, ("DUP", r#"8A| 00 01 "a/b" 01"#), malformed(Cause::ReservedFlags));
    t.on(&[V5], Client, ("DUP", r#"8A| 00 01 00 "a/b" 01"#), malformed(Cause::ReservedFlags));
}

/// Broken filters: name, bytes, outcome. The same in SUBSCRIBE and UNSUBSCRIBE.
fn broken_filters() -> [(&'static str, &'static str, Expect); 17] {
    let filter = |error| protocol_error(Cause::TopicFilter(error));
    let forbidden = malformed(Cause::TopicFilter(TopicError::ForbiddenCharacter));
    [
        ("empty filter", r#""""#, filter(TopicError::Empty)),
        ("# before the end", r##""a/#/b""##, filter(TopicError::Hash)),
        ("# in a level", r##""a#""##, filter(TopicError::Hash)),
        ("two #", r###""##""###, filter(TopicError::Hash)),
        ("+ after text", r#""a+""#, filter(TopicError::Plus)),
        ("+ before text", r#""+a/b""#, filter(TopicError::Plus)),
        ("no share name", r#""$share//a""#, filter(TopicError::ShareName)),
        ("nothing behind $share/", r#""$share/""#, filter(TopicError::ShareName)),
        ("+ in the share name", r#""$share/+/a""#, filter(TopicError::ShareName)),
        ("# in the share name", r##""$share/g#/a""##, filter(TopicError::ShareName)),
        ("share without slash", r#""$share/g""#, filter(TopicError::ShareFilter)),
        ("share without filter", r#""$share/g/""#, filter(TopicError::ShareFilter)),
        ("+ in a shared filter", r#""$share/g/a+""#, filter(TopicError::Plus)),
        ("U+0000", "00 02 61 00", forbidden),
        ("U+0007", "00 01 07", forbidden),
        ("no UTF-8", "00 01 C3", malformed(Cause::IllFormedText)),
        ("surrogate", "00 03 ED A0 80", malformed(Cause::IllFormedText)),
    ]
}

fn subscribe_filters(t: &mut Table) {
    for (name, filter, expect) in broken_filters() {
        t.on(&V3, Client, (name, &alloc::format!("82| 00 01 {filter} 00")), expect);
        t.on(&[V5], Client, (name, &alloc::format!("82| 00 01 00 {filter} 00")), expect);
    }
    for filter in [r##""#""##, r#""+""#, r#""/""#, r##""+/+/#""##, r#""$share""#, r#""a//b""#] {
        let (v3, v5) = ("90 03 00 01 00", "90 04 00 01 00 00");
        t.good(&V3, Client, ("good filter", &alloc::format!("82| 00 01 {filter} 00")), v3);
        t.good(&[V5], Client, ("good filter", &alloc::format!("82| 00 01 00 {filter} 00")), v5);
    }
}

fn unsubscribe(t: &mut Table) {
    t.good(&V3, Client, ("plain", r#"A2| 00 01 "a/b""#), "B0 02 00 01");
    t.good(&[V5], Client, ("plain", r#"A2| 00 01 00 "a/b""#), "B0 04 00 01 00 11");
    let two = r##"A2| 00 01 00 "a/b" "$share/g/#""##;
    t.good(&[V5], Client, ("two filters", two), "B0 05 00 01 00 11 11");
    let zero = protocol_error(Cause::PacketIdZero);
    t.on(&V3, Client, ("packet id 0", r#"A2| 00 00 "a""#), zero);
    t.on(&[V5], Client, ("packet id 0", r#"A2| 00 00 00 "a""#), zero);
    let empty = protocol_error(Cause::EmptyPayload);
    t.on(&V3, Client, ("no filter", "A2 02 00 01"), empty);
    t.on(&[V5], Client, ("no filter", "A2 03 00 01 00"), empty);
    t.on(&[V5], Client, ("no properties", "A2 02 00 01"), malformed(Cause::Truncated));
    t.on(&V3, Client, ("half a filter", r#"A2| 00 01 "a" 00"#), malformed(Cause::Truncated));
    for (name, filter, expect) in broken_filters() {
        t.on(&V3, Client, (name, &alloc::format!("A2| 00 01 {filter}")), expect);
        t.on(&[V5], Client, (name, &alloc::format!("A2| 00 01 00 {filter}")), expect);
    }
    t.good(&[V31], Client, ("DUP", r#"AA| 00 01 "a/b""#), "B0 02 00 01");
    t.on(&[V311], Client, ("DUP", r#"AA| 00 01 "a/b""#), malformed(Cause::ReservedFlags));
    t.on(&[V5], Client, ("DUP", r#"AA| 00 01 00 "a/b""#), malformed(Cause::ReservedFlags));
}

fn subacks(t: &mut Table) {
    let (suback, unsuback) = (ok(PacketType::SubAck), ok(PacketType::UnsubAck));
    t.on(&V3, Server, ("all codes", "90 06 00 01 00 01 02 80"), suback);
    t.on(&[V5], Server, ("granted", "90 06 00 01 00 00 01 02"), suback);
    t.on(&[V5], Server, ("refused", "90 06 00 01 00 87 8F A2"), suback);
    let code = |code| protocol_error(Cause::ReasonCode(code));
    t.on(&V3, Server, ("code 3", "90 03 00 01 03"), code(3));
    t.on(&V3, Server, ("code 0x87", "90 03 00 01 87"), code(0x87));
    t.on(&[V5], Server, ("code 0x11", "90 04 00 01 00 11"), code(0x11));
    t.on(&[V5], Server, ("code 3", "90 04 00 01 00 03"), code(3));
    let empty = protocol_error(Cause::EmptyPayload);
    t.on(&V3, Server, ("no code", "90 02 00 01"), empty);
    t.on(&[V5], Server, ("no code", "90 03 00 01 00"), empty);
    let zero = protocol_error(Cause::PacketIdZero);
    t.on(&ALL_VERSIONS, Server, ("packet id 0", "90 04 00 00 00 00"), zero);
    t.on(&V3, Server, ("plain", "B0 02 00 01"), unsuback);
    t.on(&V3, Server, ("with code", "B0 03 00 01 00"), malformed(Cause::TrailingBytes));
    t.on(&[V5], Server, ("all codes", "B0 05 00 01 00 00 11"), unsuback);
    t.on(&[V5], Server, ("no code", "B0 03 00 01 00"), empty);
    t.on(&[V5], Server, ("no properties", "B0 02 00 01"), malformed(Cause::Truncated));
    t.on(&[V5], Server, ("code 1", "B0 04 00 01 00 01"), code(1));
    t.on(&ALL_VERSIONS, Server, ("packet id 0", "B0 04 00 00 00 00"), zero);
}

fn pings(t: &mut Table) {
    let all = &ALL_VERSIONS;
    t.good(all, Client, ("plain", "C0 00"), "D0 00");
    t.on(all, Server, ("plain", "D0 00"), ok(PacketType::PingResp));
    t.on(all, Client, ("with content", "C0 01 00"), malformed(Cause::TrailingBytes));
    t.on(all, Server, ("with content", "D0 01 00"), malformed(Cause::TrailingBytes));
}

fn disconnect(t: &mut Table) {
    t.good(&V3, Client, ("plain", "E0 00"), "closed");
    t.on(&V3, Client, ("with code", "E0 01 00"), malformed(Cause::TrailingBytes));
    t.on(&V3, Server, ("sent by a server", "E0 00"), protocol_error(Cause::WrongDirection));
    for sender in [Client, Server] {
        t.good(&[V5], sender, ("empty", "E0 00"), "closed");
        t.good(&[V5], sender, ("with code", "E0 01 80"), "closed");
        t.good(&[V5], sender, ("with code and properties", "E0 02 00 00"), "closed");
        t.on(&[V5], sender, ("one byte too many", "E0 03 00 00 00"), {
            malformed(Cause::TrailingBytes)
        });
    }
}

/// A server answers AUTH with 0x82 after a CONNECT that named no method.
fn auth(t: &mut Table) {
    for sender in [Client, Server] {
        t.on(&V3, sender, ("before v5", "F0 00"), protocol_error(Cause::ForbiddenType));
        t.good(&[V5], sender, ("continue", r#"F0| 18 04 15 "x""#), "ends 82");
        t.good(&[V5], sender, ("no properties", "F0 02 18 00"), "ends 82");
        t.on(&[V5], sender, ("no property length", "F0 01 18"), malformed(Cause::Truncated));
        t.on(&[V5], sender, ("one byte too many", "F0 03 18 00 00"), {
            malformed(Cause::TrailingBytes)
        });
    }
    t.good(&[V5], Client, ("re-authenticate", r#"F0| 19 04 15 "x""#), "ends 82");
    t.on(&[V5], Server, ("empty: success", "F0 00"), ok(PacketType::Auth));
    t.on(&[V5], Client, ("empty: success", "F0 00"), protocol_error(Cause::ReasonCode(0)));
}
