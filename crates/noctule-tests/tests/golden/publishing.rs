//! `pub`: what is sent, and what is said.

use crate::case::{Case, Compare, publish};
use crate::stage::{Kind, compare};

#[test]
fn pub_beside_mosquitto_pub_with_mosquitto() {
    compare(Kind::Mosquitto, cases());
}

#[test]
fn pub_beside_mosquitto_pub_with_noctule() {
    compare(Kind::Noctule, cases());
}

#[test]
fn refusals_and_absence_are_told_in_the_same_words() {
    compare(Kind::Mosquitto, refusals());
}

const PLAIN: &[&str] = &[
    "-t {t} -m hello",
    "-t {t} -m hello -q 1",
    "-t {t} -m hello -q 2",
    "--topic {t} --message hello --qos 1 --retain",
    "-t {t} -m ''",
    "-t {t} -n",
    "-t {t} -n -r -q 1",
    "-t {t} -m -5",
    "-t -m -m -t",
    "-t {t} -m hello -V 31 -i {t}",
    "-t {t} -m hello -V 311",
    "-t {t} -m hello -V 5",
    "-t {t} -m hello -V mqttv5 -q 2",
    "-t {t} -m hello --protocol-version mqttv311",
    "-t {t} -m hello -i {t}",
    "-t {t} -m hello --id {t}",
    "-t {t} -m hello -I {t}-",
    "-t {t} -m hello --id-prefix {t}-",
    "-t {t} -m hello -k 5",
    "-t {t} -m hello --keepalive 65535",
    "-t {t} -m hello -c -i {t}",
    "-t {t} -m hello -c -i {t} -V 5",
    "-t {t} -m hello --disable-clean-session -i {t} -q 1",
    "-t {t} -m hello -x 60 -i {t}",
    "-t {t} -m hello -x -1 -i {t}",
    "-t {t} -m hello -x ∞ -i {t}",
    "-t {t} -m hello -x 0x10",
    "-t {t} -m hello -x 0",
    "-t {t} -m hello -u user -P password",
    "-t {t} -m hello --username user --pw password",
    "-t {t} -m hello -u user",
    "-t {t} -m hello -P password -V 5",
    "-t {t} -m hello -M 1 -q 1",
    "-t {t} -m hello -A 127.0.0.1",
    "-t {t} -m hello --nodelay",
    "-t {t} -m hello --quiet",
    "-t {t} -m hello --no-tls",
    "-t {t} -m hello --will-topic {t}/will",
    "-t {t} -m hello --will-topic {t}/will --will-payload gone --will-qos 2 --will-retain",
    "-t {t} -m hello --will-topic {t}/will --will-payload ''",
    "-t {t} -m hello --repeat 3",
    "-t {t} -m hello --repeat 3 -q 2 --repeat-delay 0.01",
    "-t {t} -n --repeat 2 -q 1",
    "-q 1st -t {t} -m hello",
    "-t {t}/x -t {t} -m hello",
];

/// Behind `-D`.
const PROPERTIES: &[&str] = &[
    "publish content-type text/plain",
    "publish payload-format-indicator 1",
    "publish payload-format-indicator 0",
    "publish message-expiry-interval 60",
    "publish response-topic {t}/answer",
    "publish correlation-data 'a b'",
    "publish user-property name value",
    "PUBLISH User-Property name ''",
    "publish topic-alias 1",
    "publish user-property a b -D publish content-type c -D publish user-property d e",
    "connect user-property a b -D connect user-property c d",
    "connect receive-maximum 5",
    "connect maximum-packet-size 1000",
    "connect topic-alias-maximum 5",
    "connect request-response-information 1",
    "connect request-problem-information 0",
    "connect session-expiry-interval 5",
    "disconnect reason-string bye",
    "disconnect user-property a b",
    "disconnect session-expiry-interval 0 -x 60",
    "will will-delay-interval 5 --will-topic {t}/will",
    "will content-type a -D will message-expiry-interval 9 --will-topic {t}/will",
    "will user-property a b -D will correlation-data c --will-topic {t}/will",
    "subscribe user-property a b",
];

fn cases() -> Vec<Case> {
    // From QoS 1 on theirs closes before its goodbye is written.
    let plain = PLAIN.iter().map(|line| publish(line).no_goodbye());
    let properties = PROPERTIES.iter().map(|line| publish(&format!("-t {{t}} -m hello -D {line}")));
    let debug = ["", "-q 1", "-q 2", "-q 2 -V 5", "-q 1 -V 5 -r", "--repeat 2 -q 1", "-V 5", "-n"]
        .map(|flags| {
            let payload = if flags == "-n" { "" } else { "-m hello" };
            publish(&format!("-t {{t}} {payload} -d -i {{t}} {flags}")).no_goodbye()
        });
    let chosen = publish("-t {t} -m hello -d -V 5");
    plain.chain(properties).chain(debug).chain([chosen]).chain(from_elsewhere()).collect()
}

/// Payloads from files and standard input, options from files.
fn from_elsewhere() -> Vec<Case> {
    let cases = vec![
        publish("-t {t} -f {dir}/file").file("file", "line one\nline two\n"),
        publish("-t {t} --file {dir}/file -q 1 --repeat 2").file("file", "x"),
        publish("-t {t} -f {dir}/file").file("file", ""),
        publish("-t {t} -s").stdin("all\n\x00of it\n"),
        publish("-t {t} --stdin-file -q 2 -V 5").stdin("x"),
        publish("-t {t} -l").stdin("one\ntwo\n"),
        publish("-t {t} -l -q 1").stdin("one\n\nthree\r\nlast without end"),
        publish("-t {t} --stdin-line -q 2 -V 5 -D publish content-type a").stdin("one\ntwo\n"),
        publish("-t {t} -l").stdin(""),
        publish("-t {t} -l -q 1 -d -i {t}").stdin("one\n"),
        publish("-t {t} -l -q 2").stdin("x".repeat(5000) + "\n"),
        publish("-m hello -o {dir}/options").file("options", "# a comment\n-t {t}\n-q 1\n-r\n"),
        publish("-m hello -q 2 -o {dir}/options").file("options", "-t {t}\n-q 1\n"),
        publish("-t {t} -o {dir}/options").file("options", "-m two words\n"),
        publish("-t {t} -m hello -o {dir}/none"),
        publish("-t {t} -m hello -o {dir}/options").file("options", "--nonsense\n").any_wire(),
        publish("-t {t} -m hello -o {dir}/options").file("options", "-q\n").any_wire(),
        publish("-t {t} -o {dir}/options").file("options", "-D publish content-type a\n"),
        publish("-m hello")
            .file("config/mosquitto_pub", "-t {t}\n--will-topic {t}/will\n")
            .variable("XDG_CONFIG_HOME", "{dir}/config"),
        publish("-m hello")
            .file(".config/mosquitto_pub", "-t {t}\n-i {t}\n")
            .variable("HOME", "{dir}"),
        publish("-m hello -t {t} -o {dir}/options")
            .file("options", "-q 1\n")
            .file("config/mosquitto_pub", "-q 2\n")
            .variable("XDG_CONFIG_HOME", "{dir}/config"),
    ];
    cases.into_iter().map(Case::no_goodbye).collect()
}

fn refusals() -> Vec<Case> {
    let refused = [
        "-t {t} -m a",
        "-t {t} -m a -V 31",
        "-t {t} -m a -V 5",
        "-t {t} -m a -V 5 --quiet",
        "-t {t} -m a -u user -P wrong -q 1",
        "-t {t} -m a -d -i {t}",
        "-t {t} -m a -d -i {t} -V 5",
    ];
    let refused = refused.map(publish);
    let lines = [publish("-t {t} -l").stdin("a\n"), publish("-t {t} -l -V 5")];
    // Theirs says goodbye to a broker of MQTT 5 that has not let it in.
    let refused = refused.into_iter().chain(lines).map(|case| case.locked().no_goodbye());
    // Theirs says "Bad file descriptor": it forgets the error of the system before it prints it.
    let absent = ["-t {t} -m a", "-t {t} -m a -V 5", "-t {t} -m a --unix {dir}/none"];
    let absent = absent.map(|line| publish(line).offline().stderr(Compare::Something));
    let unknown = publish("-t {t} -m a -h nobody.invalid").offline();
    let unfit = [
        "-t {t} -m a -x 5 -c",
        "-t {t} -m a -i ''",
        "-t {t} -m a -i '' -V 5",
        "-t {t} -m a -D connect receive-maximum 1 -D connect receive-maximum 2",
        "-t {t} -m a -D connect session-expiry-interval 5 -x 6",
        "-t {t} -m a -D connect receive-maximum 0",
        "-t {t} -m a -D connect maximum-packet-size 0",
        "-t {t} -m a -D connect user-property a b -V 311",
        "-t {t} -m a -D will user-property a b --will-topic {t} -V 311",
        "-t {t} -m a -D will content-type a -D will content-type b --will-topic {t}",
        "-L mqtt://127.0.0.1:70000/{t} -m a",
        "-t {t} -m a --tls-engine none",
        "-t {t} -m a --cert a --key b --keyform none",
    ];
    let unfit = unfit.map(|line| publish(line).offline());
    let unsent = [
        "-t {t} -m a -D publish content-type a -D publish content-type b",
        "-t {t} -m a -D publish content-type a -V 311",
        "-t {t} -m a -D publish payload-format-indicator 2",
        "-t {t} -m a -D publish topic-alias 0",
    ];
    let unsent = unsent.map(|line| publish(line).any_wire());
    refused.chain(absent).chain([unknown]).chain(unfit).chain(unsent).collect()
}
