//! `rr`: the request that is sent, and what is printed of the response.

use crate::case::{Case, Compare, request};
use crate::stage::{Kind, compare};

#[test]
fn rr_beside_mosquitto_rr_with_mosquitto() {
    compare(Kind::Mosquitto, cases());
}

#[test]
fn rr_beside_mosquitto_rr_with_noctule() {
    compare(Kind::Noctule, cases());
}

#[test]
fn refusals_and_absence_are_told_in_the_same_words() {
    compare(Kind::Mosquitto, refusals());
}

const ANSWER: &[&str] = &["-t {t}/answer -m answer -q 2"];

fn cases() -> Vec<Case> {
    let flags = [
        "-m hello",
        "-m hello -q 1",
        "-m hello -q 2 -v",
        "-m hello -V 311",
        "-m hello -V 31 -i {t}",
        "-m hello -N",
        "-m hello -F '%t %p %x %q'",
        "-n",
        "-m hello -i {t}",
        "-m hello -u user -P password",
        "-m hello --will-topic {t}/will --will-payload gone",
        "-m hello -D publish user-property a b",
        "-m hello -D publish correlation-data x -D connect receive-maximum 7",
        "-m hello -D subscribe user-property a b",
        "-m hello -x 30 -i {t}",
        "-m hello --retain-as-published --retain-handling new",
    ];
    let answered = flags.map(|flags| {
        // Ours says goodbye, theirs just goes.
        request(&format!("-t {{t}} -e {{t}}/answer {flags}")).during(ANSWER).no_goodbye()
    });
    let others = [
        request("-t {t} -e {t}/answer -s").stdin("hello").during(ANSWER).no_goodbye(),
        request("-t {t} -e {t}/answer -f {dir}/file")
            .file("file", "hello")
            .during(ANSWER)
            .no_goodbye(),
        request("-t {t} -e {t}/answer -m x --latency")
            .during(ANSWER)
            .stdout(Compare::Digits)
            .no_goodbye(),
        request("-t {t} -e {t}/answer -m x -R -v")
            .before(&["-t {t}/answer -m old -r -q 1"])
            .during(ANSWER)
            .no_goodbye(),
        request("-t {t} -e {t}/answer -m x -W 1"),
        request("-t {t} -e {t}/answer -m x -W 1 -q 1 -V 311"),
        request("-t {t} -e {t}/answer -m x -W 1 -d -i {t}"),
        request("-t {t} -e {t}/answer -m x -W 1 -d -i {t} -V 311 -q 2"),
        request("-t {t} -e {t}/answer -m x")
            .file("config/mosquitto_rr", "-v\n-q 1\n")
            .variable("XDG_CONFIG_HOME", "{dir}/config")
            .during(ANSWER)
            .no_goodbye(),
    ];
    answered.into_iter().chain(others).collect()
}

fn refusals() -> Vec<Case> {
    let refused = ["", "-V 311", "--quiet", "-d -i {t}", "-d -i {t} -V 311"];
    let refused = refused
        .map(|flags| request(&format!("-t {{t}} -e {{t}}/a -m x {flags}")).locked().no_goodbye());
    let unfit = [
        request("-t {t} -e {t}/a -m x -D publish response-topic b").offline(),
        // Theirs says "Bad file descriptor": it forgets the error before it prints it.
        request("-t {t} -e {t}/a -m x").offline().stderr(Compare::Something),
    ];
    refused.into_iter().chain(unfit).collect()
}
