//! `sub`: what is asked for, what is printed, and when it ends.

use crate::case::{Case, Compare, subscribe};
use crate::stage::{Kind, compare};

#[test]
fn sub_beside_mosquitto_sub_with_mosquitto() {
    compare(Kind::Mosquitto, cases());
}

#[test]
fn sub_beside_mosquitto_sub_with_noctule() {
    compare(Kind::Noctule, cases());
}

#[test]
fn refusals_and_absence_are_told_in_the_same_words() {
    compare(Kind::Mosquitto, refusals());
}

const ONE: &[&str] = &["-t {t}/a -m one -r -q 2"];
const RETAINED: &[&str] = &["-t {t}/a -m one -r -q 2", "-t {t}/b -m two -r -q 2"];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(printing());
    cases.extend(asking());
    cases.extend(retained());
    cases.extend(sessions());
    cases.extend(ending());
    cases.extend(debugging());
    cases
}

/// How messages are printed without a format.
fn printing() -> Vec<Case> {
    let flags =
        ["", "-v", "-N", "-N -v", "--verbose -q 2", "-q 1 -V 5", "-v -w", "--watch", "-V 31 -v"];
    let messages = [
        "-t {t}/a -m one",
        "-t {t}/b -n",
        "-t {t}/a -m Grüße",
        "-t {t}/c -f {dir}/file -q 1",
        "-t {t}/b -m last -q 2",
    ];
    let printing = flags.map(|flags| {
        subscribe(&format!("-t {{t}}/# -C 5 {flags}"))
            .file("file", "two\nlines\n")
            .during(&messages)
    });
    printing.into_iter().collect()
}

/// What CONNECT and SUBSCRIBE say.
fn asking() -> Vec<Case> {
    let flags = [
        "-q 0",
        "-q 1",
        "-q 2",
        "-t {t}/b -t {t}/c",
        "-c -i {t} -q 1",
        "-c -i {t} -q 1 -V 5",
        "-x 30 -i {t}",
        "-V 31",
        "-V 5",
        "-i {t}",
        "-I {t}-",
        "-k 10",
        "-u user -P password",
        "--will-topic {t}/will --will-payload gone --will-retain",
        "-U {t}/u",
        "-U {t}/u -U {t}/v -V 5",
        "-D connect user-property a b",
        "-D connect receive-maximum 1",
        "-D subscribe user-property a b",
        "-D subscribe subscription-identifier 7",
        "-D unsubscribe user-property a b -U {t}/u",
        "--retain-as-published",
        "--retain-as-published -V 5",
        "--retain-handling always -V 5",
        "--retain-handling new -V 5",
        "--retain-handling never -V 5 -R",
        "-M 5",
        "-T {t}/x",
        "--filter-out {t}/x -T '#/a'",
        "-L mqtt://127.0.0.1:1/{t}/z -h 127.0.0.1",
    ];
    let asking = flags.into_iter().filter(|flags| !flags.contains("#/a") && !flags.contains("-L"));
    let asking = asking.map(|flags| {
        subscribe(&format!("-t {{t}}/a -C 1 {flags}")).during(&["-t {t}/a -m x -q 2"])
    });
    let share = subscribe("-t '$share/g/{t}' -C 1 -V 5").during(&["-t {t} -m x"]);
    let system = subscribe("-t '$SYS/broker/version' -C 1 -v");
    asking.chain([share, system]).collect()
}

/// Flags about retained messages.
fn retained() -> Vec<Case> {
    let all = [
        "-C 2 -v",
        "-C 2 -v -V 5",
        "-C 2 -v -q 2",
        "-W 1 -v -R",
        "-W 1 -v -R -V 5",
        "--retained-only -W 1 -v",
        "-T {t}/a -C 1 -v",
        "-T {t}/# -W 1 -v",
        "-W 1 -v --retain-handling never -V 5",
        "-W 1 -v --retain-handling never",
        "-W 1 -v --retain-handling new -V 5",
        "-C 2 -F %r",
        "--remove-retained -W 1 -v -T {t}/b",
    ];
    let all = all.into_iter().map(|flags| {
        subscribe(&format!("-t {{t}}/# {flags}"))
            .before(RETAINED)
            .stdout(Compare::AnyOrder)
            // Who closes over unread messages takes the goodbye back.
            .no_goodbye()
    });
    let mixed = [
        subscribe("-t {t}/# --retained-only -v").before(RETAINED).during(&["-t {t}/c -m live"]),
        subscribe("-t {t}/# -R -v -C 1").before(RETAINED).during(&["-t {t}/c -m live"]),
        subscribe("-t {t}/# -F '%t %r' -C 3 --retain-as-published -V 5")
            .before(RETAINED)
            .during(&["-t {t}/c -m live -r -q 1"]),
    ];
    let mixed = mixed.map(|case| case.stdout(Compare::AnyOrder));
    all.chain(mixed).collect()
}

/// When it ends, and with which code.
fn ending() -> Vec<Case> {
    vec![
        subscribe("-t {t} -W 1"),
        subscribe("-t {t} -W 1 --quiet"),
        subscribe("-t {t} -W 1 -V 5"),
        subscribe("-t {t} -C 3 -W 9").during(&["-t {t} -m 1", "-t {t} -m 2", "-t {t} -m 3"]),
        subscribe("-t {t} -C 2 -q 2 -V 5").during(&["-t {t} -m 1 -q 2", "-t {t} -m 2 -q 2"]),
        subscribe("-t {t} -E"),
        subscribe("-t {t} -E -V 5 -q 2"),
        subscribe("-t {t} -E -c -i {t}"),
        subscribe("-U {t} -W 1 -c -i {t}"),
        subscribe("-t {t} --message-rate -W 1").stdout(Compare::Something).no_goodbye(),
        subscribe("-t {t} -C 1 --random-filter 1000").during(&["-t {t} -m x"]),
        subscribe("-t {t}/# -v")
            .before(RETAINED)
            .signal("TERM", "/b two")
            .stdout(Compare::AnyOrder),
        subscribe("-t {t}/# -v").before(RETAINED).signal("INT", "/b two").stdout(Compare::AnyOrder),
        subscribe("-t {t}/# -v -V 5 --will-topic will").before(ONE).signal("INT", "/a one"),
        subscribe("-t {t} -C 1 -D disconnect reason-string bye").during(&["-t {t} -m x"]),
        subscribe("-t {t} -C 1").cuts(1).during(&["-t {t} -m again"]),
        subscribe("-t {t} -i {t} -C 1 -q 1 -V 5").cuts(2).during(&["-t {t} -m again -q 1"]),
        subscribe("-t {t} -C 1 -V 5 -q 1 -c -i {t}")
            .cuts(1)
            .any_wire()
            .during(&["-t {t} -m again -q 1"]),
    ]
}

/// Sessions of an earlier time, with messages that have been kept for them.
fn sessions() -> Vec<Case> {
    let kept = ["-t {t}/a -m one -q 1", "-t {t}/a -m two -q 2"];
    let v311 = "-t {t}/a -c -i {t} -q 2 -E";
    let v5 = "-t {t}/a -c -i {t} -q 2 -E -V 5";
    let cases = [
        (v311, "-t {t}/a -c -i {t} -q 2 -C 2 -v"),
        (v311, "-t {t}/b -c -i {t} -q 2 -C 2 -v"),
        (v311, "-t {t}/b -c -i {t} -q 2 -C 2 -F '%t %q %m %p'"),
        (v311, "-t {t}/b -c -i {t} -q 2 -T {t}/a -W 1 -v"),
        (v311, "-t {t}/b -i {t} -W 1 -v"),
        (v5, "-t {t}/b -c -i {t} -q 2 -C 2 -v -V 5"),
        (v5, "-t {t}/b -x 60 -i {t} -q 1 -W 1 -v"),
        (v5, "-t {t}/b -c -i {t} -q 2 -C 1 -v -V 5 -D connect receive-maximum 1"),
        (v5, "-U {t}/a -c -i {t} -V 5 -W 1 -v"),
    ];
    let cases = cases.map(|(session, line)| subscribe(line).session(session).before(&kept));
    cases.into_iter().collect()
}

/// `-d`.
fn debugging() -> Vec<Case> {
    let messages = ["-t {t} -m one -q 1", "-t {t} -m two -q 1"];
    let flags = [
        "",
        "-q 1",
        "-V 5",
        "-V 5 -q 1",
        "-V 5 -q 1 --retain-as-published --retain-handling new",
        "-t {t}/b -t {t}/c -q 1",
        "--quiet",
        "-v",
    ];
    let with_messages = flags
        .into_iter()
        .map(|flags| subscribe(&format!("-t {{t}} -d -i {{t}} -C 2 {flags}")).during(&messages));
    let others = [
        subscribe("-t {t} -d -i {t} -C 1 -q 2").during(&["-t {t} -m one -q 2"]),
        subscribe("-t {t} -d -i {t} -C 1 -q 2 -V 5").during(&["-t {t} -m one -q 2"]),
        subscribe("-t {t} -d -W 1"),
        subscribe("-t {t} -d -E -V 5"),
        subscribe("-t {t} -d -E -V 31 -i {t}"),
        subscribe("-t {t} -d -i {t} -C 1").cuts(1).during(&["-t {t} -m again"]),
        subscribe("-t {t} -d -i {t}").during(&["-t {t} -m now"]).signal("INT", "now\n"),
    ];
    with_messages.chain(others).collect()
}

fn refusals() -> Vec<Case> {
    let refused = ["", "-V 31", "-V 5", "-V 5 --quiet", "-d -i {t}", "-d -i {t} -V 5", "-u a -P b"];
    let refused =
        refused.map(|flags| subscribe(&format!("-t {{t}} {flags}")).locked().no_goodbye());
    // Theirs says "Bad file descriptor": it forgets the error of the system before it prints it.
    let absent = ["-t {t}", "-t {t} -V 5 -v", "-t {t} --unix {dir}/none", "-t {t} -w"];
    let absent = absent.map(|line| subscribe(line).offline().stderr(Compare::Something));
    let unfit = [
        "-t {t} -x 5 -c",
        "-t {t} -i ''",
        "-t {t} -D connect receive-maximum 1 -D connect receive-maximum 2",
        "-t {t} -D connect user-property a b -V 311",
    ];
    let unfit = unfit.map(|line| subscribe(line).offline());
    refused.into_iter().chain(absent).chain(unfit).collect()
}
