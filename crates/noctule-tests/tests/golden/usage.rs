//! Wrong command lines: nothing is sent, and what is said is the same to the byte.

use crate::case::{Case, Compare, publish, request, subscribe};
use crate::stage::{Kind, compare};

#[test]
fn what_is_wrong_with_a_command_line_is_said_in_the_same_words() {
    let lines = values().into_iter().chain(combinations()).chain(topics()).chain(properties());
    let cases = lines.map(Case::offline).map(Case::any_wire);
    compare(Kind::Mosquitto, cases.collect());
}

/// Flags without their values.
const MISSING: &[&str] = &[
    "-A",
    "--cafile",
    "--capath",
    "--cert",
    "--ciphers",
    "-D",
    "-D connect",
    "-D connect receive-maximum",
    "-D publish user-property a",
    "-f",
    "--file",
    "-h",
    "--host",
    "-i",
    "--id",
    "-I",
    "--id-prefix",
    "-k",
    "--keepalive",
    "--key",
    "--keyform",
    "-L",
    "--url",
    "-m",
    "--message",
    "-M",
    "-o",
    "-p",
    "--port",
    "-P",
    "--pw",
    "--proxy",
    "--psk",
    "--psk-identity",
    "-q",
    "--qos",
    "--repeat",
    "--repeat-delay",
    "-t",
    "--topic",
    "--tls-alpn",
    "--tls-engine",
    "--tls-engine-kpass-sha1",
    "--tls-version",
    "--tls-keylog",
    "-u",
    "--username",
    "--unix",
    "-V",
    "--protocol-version",
    "--will-payload",
    "--will-qos",
    "--will-topic",
    "-x",
];
const MISSING_OF_SUB: &[&str] = &[
    "-C",
    "-F",
    "-T",
    "--filter-out",
    "-U",
    "--unsubscribe",
    "-W",
    "--random-filter",
    "--retain-handling",
];
/// Values and words that are wrong.
const WRONG: &[&str] = &[
    "-q 3",
    "-q -1",
    "-k 4",
    "-k 65536",
    "-k x",
    "-p 70000",
    "-p -1",
    "-M 0",
    "-M x",
    "-V 4",
    "-V mqttv4",
    "-V mqttv",
    "--repeat 0",
    "--repeat-delay -1",
    "--will-qos 3",
    "-x 5x",
    "-x -2",
    "-x ''",
    "-x 4294967296",
    "-L foo://x/y",
    "-L mqtt://x",
    "-L mqtt://x/",
    "-L mqtt://x/#",
    "--proxy http://x",
    "--proxy socks5h://",
    "--proxy socks5h://a:b:c@x",
    "--proxy socks5h://x:99999",
    "--proxy socks5h://x:0",
    "--proxy socks5h://:x@y",
    "--quiet --proxy http://x",
    "--nonsense",
    "nonsense",
    "-",
    "--",
    "''",
    "-tt",
    "--topic=a",
    "-W 1",
    "-C 1",
    "-F x",
    "-v",
    "-R",
    "-N",
    "-E",
    "-e a",
    "--pretty",
    "-w",
    "--latency",
    "--message-rate",
];
const WRONG_OF_SUB: &[&str] = &[
    "-C 0",
    "-C -1",
    "-C x",
    "-W 0",
    "-W x",
    "--random-filter 0",
    "--random-filter 1001",
    "--random-filter x",
    "--retain-handling x",
    "--retain-handling ''",
    "-F %",
    "-F %z",
    "-F %5",
    "-F %5.",
    "-F %-",
    "-F %:",
    "-F '%5.2:'",
    "-F @",
    "-F '\\'",
    "-F '\\q'",
    "-F '%0-5p'",
    "-m x",
    "-l",
    "-s",
    "-n",
    "-f x",
    "-r",
    "-e x",
    "--repeat 2",
    "--latency",
];
const WRONG_OF_RR: &[&str] =
    &["-l", "-r", "-C 1", "-E", "-T a", "-U a", "-w", "--random-filter 5", "-W 0"];

/// Values that are missing or out of range.
fn values() -> Vec<Case> {
    let pubs = MISSING.iter().chain(WRONG).map(|line| publish(line));
    let subs =
        MISSING.iter().filter(|flag| !"-f--file-m--message--repeat--repeat-delay".contains(*flag));
    let subs = subs.chain(MISSING_OF_SUB).chain(WRONG_OF_SUB).map(|line| subscribe(line));
    let rrs = WRONG_OF_RR.iter().chain(&["-e", "-W", "-t"]).map(|line| request(line));
    pubs.chain(subs).chain(rrs).collect()
}

/// Flags that do not go together, or miss another one.
fn combinations() -> Vec<Case> {
    let pubs = [
        "-t {t} -m a -m b",
        "-t {t} -m a -n",
        "-l -s",
        "-n -f",
        "-t {t} -m a -c",
        "-t {t} -m a -c -I x",
        "-t {t} -m a -x -1",
        "-t {t} -m a -x ∞",
        "-t {t} -m a -c -V 5",
        "-t {t} -m a -x 5 -c",
        "-i a -I b",
        "-I a -i b",
        "-t {t} -m a --will-payload x",
        "-t {t} -m a --will-retain",
        "-t {t} -m a --cert x",
        "-t {t} -m a --key x",
        "-t {t} -m a --keyform pem",
        "-t {t} -m a --tls-engine-kpass-sha1 x",
        "-t {t} -m a --psk aa",
        "-t {t} -m a --psk aa --psk-identity x --cafile x",
        "-t {t} -m a -P x",
        "-t {t} -m a --cafile /nonexistent",
        "-t {t} -m a --tls-version x",
        "-o a -o b",
        "-t {t} -m a -o",
        "-t {t} -f {dir}/nonexistent",
        "-t {t} -s",
        "-t {t} --quiet -s",
        "-t {t} --quiet -f {dir}/nonexistent",
        "-t {t} -m a --quiet -P x",
    ];
    let subs =
        ["", "-v", "-t {t} -R --retained-only", "-t {t} -c", "-T {t}", "-t {t} -P x", "-c -i x"];
    let rrs = ["", "-t {t}", "-t {t} -e {t}", "-t {t} -m a", "-e {t} -m a", "-t {t} -e {t} -s"];
    // Our help is our own.
    let help = ["", "-t {t}", "-m a"].map(|line| publish(line).stdout(Compare::Something));
    let asked = ["--help", "-t a --help -x", "--version", "-m --help --version"];
    let asked = asked.map(|line| publish(line).stdout(Compare::Something));
    let pubs = pubs.iter().map(|line| publish(line));
    let subs = subs.iter().map(|line| subscribe(line));
    let rrs = rrs.iter().map(|line| request(line));
    let asked_others = [
        subscribe("--help").stdout(Compare::Something),
        request("--help").stdout(Compare::Something),
        request("--version").stdout(Compare::Something),
    ];
    pubs.chain(subs).chain(rrs).chain(help).chain(asked).chain(asked_others).collect()
}

/// Topics and filters that are none.
fn topics() -> Vec<Case> {
    let wrong = ["''", "#", "a/#", "+", "a/+/b", "a+", "'a\u{1}b'", "'\u{7f}'", "'\u{fffe}'"];
    let filters = ["''", "a#", "#/a", "a+", "a/b+/c", "a/#/b", "'a\u{1}b'"];
    let pubs = wrong.iter().flat_map(|topic| {
        [
            publish(&format!("-t {topic} -m a")),
            publish(&format!("-t {{t}} -m a --will-topic {topic}")),
            request(&format!("-t {topic} -m a -e {{t}}")),
            request(&format!("-t {{t}} -m a -e {topic}")),
        ]
    });
    let subs = filters
        .iter()
        .flat_map(|filter| ["-t", "-T", "-U"].map(|flag| subscribe(&format!("{flag} {filter}"))));
    pubs.chain(subs).collect()
}

/// `-D`.
fn properties() -> Vec<Case> {
    [
        "conn user-property a b",
        "connect user-prop a b",
        "CONNECT topic-alias 1",
        "connect will-delay-interval 1",
        "publish subscription-identifier 1",
        "publish reason-string a",
        "subscribe content-type a",
        "unsubscribe receive-maximum 1",
        "disconnect receive-maximum 1",
        "connack reason-string a",
        "puback reason-string a",
        "suback reason-string a",
        "unsuback reason-string a",
        "auth reason-string a",
        "auth content-type a",
        "pingreq user-property a b",
        "connect receive-maximum -1",
        "connect receive-maximum 65536",
        "connect session-expiry-interval -1",
        "connect session-expiry-interval 4294967296",
        "publish payload-format-indicator 256",
        "publish content-type '\u{1}'",
        "publish user-property '\u{1}' a",
        "subscribe subscription-identifier 268435456",
        "subscribe subscription-identifier 4294967296",
    ]
    .into_iter()
    .map(|line| publish(&format!("-t {{t}} -m a -D {line}")))
    .collect()
}
