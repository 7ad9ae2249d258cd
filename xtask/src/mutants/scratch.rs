//! A copy of the tree in which faults are planted and taken out again.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::list::Mutant;
use crate::{process, tree};

/// Tests that are quick enough to be asked fifty times.
struct Suite {
    name: &'static str,
    /// Where a fault has to be for it to be asked.
    of: Of,
    /// What cargo is told to build it.
    build: &'static [&'static str],
    /// What cargo is told to run it, once it is built.
    run: &'static [&'static str],
}

/// What a suite is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Protocol and broker.
    Broker,
    /// The client library.
    Client,
}

impl Of {
    fn file(path: &str) -> Self {
        if path.starts_with("crates/noctule-client/") { Self::Client } else { Self::Broker }
    }
}

/// The quickest first.
const SUITES: [Suite; 7] = [
    Suite {
        name: "proto",
        of: Of::Broker,
        build: &["test", "--no-run", "--package", "noctule-proto", "--all-features"],
        run: &["test", "--package", "noctule-proto", "--all-features"],
    },
    Suite {
        name: "core",
        of: Of::Broker,
        build: &["test", "--no-run", "--package", "noctule-core"],
        run: &["test", "--package", "noctule-core"],
    },
    Suite {
        name: "conformance",
        of: Of::Broker,
        build: &["test", "--no-run", "--package", "noctule-tests", "--test", "conformance"],
        run: &["test", "--package", "noctule-tests", "--test", "conformance"],
    },
    Suite {
        name: "simulation",
        of: Of::Broker,
        build: &["build", "--package", "noctule-tests", "--bin", "simulate"],
        run: &["run", "--package", "noctule-tests", "--bin", "simulate", "--", "--seeds", "200"],
    },
    Suite {
        name: "store",
        of: Of::Broker,
        build: &["test", "--no-run", "--package", "noctule-store"],
        run: &["test", "--package", "noctule-store"],
    },
    Suite {
        name: "client",
        of: Of::Client,
        build: &[
            "test",
            "--no-run",
            "--package",
            "noctule-client",
            "--no-default-features",
            "--lib",
        ],
        run: &["test", "--package", "noctule-client", "--no-default-features", "--lib"],
    },
    Suite {
        name: "client simulation",
        of: Of::Client,
        build: &["build", "--package", "noctule-tests", "--bin", "simulate"],
        run: &[
            "run",
            "--package",
            "noctule-tests",
            "--bin",
            "simulate",
            "--",
            "--client",
            "--seeds",
            "500",
        ],
    },
];

/// A fault that makes a test run for ever is noticed by its not ending.
const PATIENCE: Duration = Duration::from_secs(120);

/// What became of a planted fault.
pub(super) enum Verdict {
    /// This suite failed.
    Caught(&'static str),
    /// This suite ran for longer than anybody waits: noticed, if not by a test that says what is
    /// wrong.
    DidNotEnd(&'static str),
    /// Every suite passed.
    Survived,
    /// It is no fault at all: it does not compile.
    Void,
}

/// The copy. Its builds are kept between runs, apart from those of the tree itself.
pub(super) struct Scratch {
    tree: PathBuf,
    build: PathBuf,
}

impl Scratch {
    /// Copies every file of the tree as it stands now; what has not changed is left alone, so
    /// that it is not built again.
    pub(super) fn new() -> Result<Self> {
        let home = process::target().join("mutants");
        let scratch = Self { tree: home.join("tree"), build: home.join("build") };
        for source in tree::sources()? {
            let path = scratch.tree.join(&source.path);
            if fs::read_to_string(&path).is_ok_and(|text| text == source.text) {
                continue;
            }
            fs::create_dir_all(path.parent().expect("a file of the tree lies in it"))?;
            fs::write(&path, &source.text)?;
        }
        Ok(scratch)
    }

    /// The suites that these faults are for pass on the tree as it is.
    pub(super) fn baseline(&self, mutants: &[Mutant]) -> Result<()> {
        let wanted =
            |suite: &&Suite| mutants.iter().any(|mutant| Of::file(&mutant.file) == suite.of);
        match self.ask(SUITES.iter().filter(wanted))? {
            Verdict::Survived => Ok(()),
            Verdict::Caught(name) => bail!("{name} does not pass"),
            Verdict::DidNotEnd(name) => bail!("{name} does not end"),
            Verdict::Void => bail!("the tree does not compile"),
        }
    }

    /// Plants the fault, runs the suites until one notices, and takes the fault out again.
    pub(super) fn judge(&self, mutant: &Mutant) -> Result<Verdict> {
        let path = self.tree.join(&mutant.file);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", mutant.file))?;
        fs::write(&path, mutant.plant(&text)?)?;
        let of = Of::file(&mutant.file);
        let verdict = self.ask(SUITES.iter().filter(|suite| suite.of == of));
        fs::write(&path, text)?;
        verdict
    }

    fn ask<'a>(&self, suites: impl IntoIterator<Item = &'a Suite>) -> Result<Verdict> {
        for suite in suites {
            if !self.cargo(suite.build).status().context("cannot start cargo")?.success() {
                return Ok(Verdict::Void);
            }
            match self.end_of(suite.run)? {
                None => return Ok(Verdict::DidNotEnd(suite.name)),
                Some(false) => return Ok(Verdict::Caught(suite.name)),
                Some(true) => {}
            }
        }
        Ok(Verdict::Survived)
    }

    /// Runs cargo in the copy and says whether it succeeded; `None` if it had to be stopped.
    fn end_of(&self, args: &[&str]) -> Result<Option<bool>> {
        let mut child = self.cargo(args).spawn().context("cannot start cargo")?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status.success()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        stop(&mut child)?;
        Ok(None)
    }

    /// A cargo that works in the copy, unseen.
    fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command.args(args).current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.build);
        // Built again for every fault, so quick to build; yet the simulation wants some speed.
        command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1").env("CARGO_PROFILE_DEV_DEBUG", "false");
        command.env("NOCTULE_NO_SOCKETS", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Ends a cargo that was waited for long enough, and the test program under it.
fn stop(child: &mut Child) -> Result<()> {
    let parent = child.id().to_string();
    // The test program is cargo's child; it would run on by itself.
    let children = process::output("ps", &["-o", "pid=", "--ppid", &parent]).unwrap_or_default();
    child.kill()?;
    for id in children.split_whitespace() {
        process::run("kill", &["-9", id])?;
    }
    child.wait()?;
    Ok(())
}
