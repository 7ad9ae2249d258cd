//! The CPU meter against `/usr/bin/time`, and the memory meter against memory that is known.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use noctule_bench::meter::{Meter, own_cpu};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TIME: &str = "/usr/bin/time";
/// Burns CPU time in the shell itself.
const BURN: &str = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";
/// Both count in hundredths of a second, and each child that ends rounds once more.
const TOLERANCE: Duration = Duration::from_millis(60);

/// A shell under `time` that does its work, says that it is done, and waits for a line.
struct Watched {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Watched {
    fn start(script: &str) -> Watched {
        let mut child = Command::new(TIME)
            .args(["-f", "%U %S", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Watched { child, output }
    }

    fn wait_until_done(&mut self) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    }

    /// Lets it end; the CPU time that `time` tells.
    fn end(mut self) -> Duration {
        self.child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert!(self.child.wait().unwrap().success());
        let seconds: f64 = told.split_whitespace().map(|part| part.parse::<f64>().unwrap()).sum();
        Duration::from_secs_f64(seconds)
    }
}

/// Whether the program is there; if not, that is said where the whole run hears it, and fails where
/// nothing may be left out.
#[expect(clippy::print_stderr, reason = "it is to be seen")]
fn time_is_there() -> bool {
    if std::path::Path::new(TIME).exists() {
        return true;
    }
    let required = std::env::var_os("NOCTULE_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "nothing may be left out here: {TIME} is not installed");
    eprintln!("left out: {TIME} is not installed");
    if let Some(file) = std::env::var_os("NOCTULE_LEFT_OUT") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "{TIME} is not installed").unwrap();
    }
    false
}

fn check(script: &str) {
    if !time_is_there() {
        return;
    }
    let mut watched = Watched::start(script);
    let mut meter = Meter::new(watched.child.id()).unwrap();
    watched.wait_until_done();
    let metered = meter.cpu().unwrap();
    let told = watched.end();
    assert!(told > Duration::from_millis(100), "{told:?} is too little to compare");
    assert!(metered.abs_diff(told) <= TOLERANCE, "metered {metered:?}, told {told:?}");
}

#[test]
fn cpu_time_is_what_time_tells() {
    // The shell is a child of `time`, which the meter watches.
    check(&format!("{BURN}; echo done; read line"));
}

#[test]
fn children_that_have_ended_count() {
    check(&format!("( {BURN} ) & ( {BURN} ) & wait; echo done; read line"));
}

#[test]
fn children_that_live_count() {
    // What comes after it keeps the outer shell from becoming the inner one.
    check(&format!("sh -c '{BURN}; echo done; read line'; :"));
}

#[test]
fn the_bench_knows_its_own_cpu_time() {
    let before = own_cpu();
    let mut sum = 0_u64;
    while own_cpu() - before < Duration::from_millis(20) {
        sum = std::hint::black_box(sum.wrapping_add(1));
    }
    assert!(own_cpu() > before);
}

#[test]
fn memory_grows_by_what_is_taken() {
    const TAKEN: u64 = 64 * 1024 * 1024;
    let script = "echo done; read line; \
                  x=$(head -c 67108864 /dev/zero | tr '\\0' x); echo done; read line";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut input = child.stdin.take().unwrap();
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let mut meter = Meter::new(child.id()).unwrap();
    let before = meter.memory().unwrap().bytes;
    input.write_all(b"\n").unwrap();
    output.read_line(&mut line).unwrap();
    let grown = meter.memory().unwrap().bytes - before;
    input.write_all(b"\n").unwrap();
    child.wait().unwrap();
    // A shell may keep the text more than once, but not less.
    assert!((TAKEN..4 * TAKEN).contains(&grown), "{grown} bytes");
}
