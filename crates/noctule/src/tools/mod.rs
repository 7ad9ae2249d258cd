//! `noctule pub`, `noctule sub` and `noctule rr`: the flags, output and exit codes of mosquitto's
//! tools 2.1. Started by the name of one of them (through a link), the binary is that program.
//!
//! ```text
//!   words ─▶ command_line (flags: one table) ─▶ Settings ─▶ publish | subscribe | request
//!                └▶ help: --help, completions, man pages        │ Client
//!                                                format ◀───────┘ messages
//! ```

mod address;
mod command_line;
mod connect;
mod debug;
mod flags;
mod format;
mod help;
mod manual;
mod number;
mod opening;
mod option_file;
mod output;
mod property;
mod publish;
mod request;
mod security;
mod settings;
mod subscribe;
mod topic;
mod trouble;

use command_line::Stop;
use settings::Settings;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use trouble::{Trouble, Voice};

/// One of the three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    Pub,
    Sub,
    Rr,
}

/// By which name a tool was started: it decides about words, not about deeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Called {
    /// `mosquitto_pub` and so on: every word is that of mosquitto's tool.
    Mosquitto,
    /// `noctule pub` and so on: errors say more, a terminal gets colours.
    Noctule,
}

/// A command line that starts one of the tools.
pub(crate) struct Invocation {
    tool: Tool,
    called: Called,
    words: Vec<Vec<u8>>,
}

impl Tool {
    /// All of them.
    pub(crate) const ALL: [Tool; 3] = [Tool::Pub, Tool::Sub, Tool::Rr];

    /// The command as clap knows it, for help, completions and man pages.
    pub(crate) fn command(self) -> clap::Command {
        help::command(self)
    }

    /// The name of the subcommand.
    fn name(self) -> &'static str {
        match self {
            Tool::Pub => "pub",
            Tool::Sub => "sub",
            Tool::Rr => "rr",
        }
    }

    /// The name of mosquitto's program.
    fn mosquitto_name(self) -> &'static str {
        match self {
            Tool::Pub => "mosquitto_pub",
            Tool::Sub => "mosquitto_sub",
            Tool::Rr => "mosquitto_rr",
        }
    }
}

impl Invocation {
    /// Whether these arguments, of which the first is the program, start a tool.
    pub(crate) fn of(arguments: impl IntoIterator<Item = OsString>) -> Option<Invocation> {
        let mut arguments = arguments.into_iter();
        let program = arguments.next()?;
        let program = Path::new(&program).file_stem()?.to_owned();
        let by_link = Tool::ALL.into_iter().find(|tool| program == tool.mosquitto_name());
        let (tool, called) = match by_link {
            Some(tool) => (tool, Called::Mosquitto),
            None => {
                let name = arguments.next()?;
                (Tool::ALL.into_iter().find(|tool| name == tool.name())?, Called::Noctule)
            }
        };
        let words = arguments.map(OsString::into_encoded_bytes).collect();
        Some(Invocation { tool, called, words })
    }

    /// The name to call the program by.
    fn program(&self) -> String {
        match self.called {
            Called::Mosquitto => self.tool.mosquitto_name().to_owned(),
            Called::Noctule => format!("noctule {}", self.tool.name()),
        }
    }

    /// Does what is asked.
    pub(crate) fn run(self) -> ExitCode {
        match command_line::read(self.tool, self.called, &self.words) {
            Ok(settings) => {
                let voice = Voice { called: self.called, quiet: settings.quiet };
                self.work(settings, voice).unwrap_or_else(|trouble| voice.report(&trouble))
            }
            Err(stop) => self.stop(stop),
        }
    }

    fn work(&self, mut settings: Settings, voice: Voice) -> Result<ExitCode, Trouble> {
        match self.tool {
            Tool::Pub => {
                let payload = publish::load(&settings, voice)?;
                let publish = &settings.publish;
                if publish.topic.is_none() || publish.content.is_none() {
                    return Ok(self.incomplete("Error: Both topic and message must be supplied.\n"));
                }
                block_on(publish::run(&settings, voice, payload))
            }
            Tool::Sub => {
                subscribe::check(&settings)?;
                block_on(subscribe::run(&settings, voice))
            }
            Tool::Rr => {
                let payload = publish::load(&settings, voice)?;
                let publish = &settings.publish;
                let (Some(payload), Some(_), Some(_)) =
                    (payload, &publish.topic, &publish.response_topic)
                else {
                    return Ok(self.incomplete(
                        "Error: All of topic, message, and response topic must be supplied.\n",
                    ));
                };
                request::prepare(&mut settings)?;
                block_on(request::run(&settings, voice, payload))
            }
        }
    }

    /// Something without which there is nothing to do is missing.
    fn incomplete(&self, words: &str) -> ExitCode {
        complain(words.as_bytes());
        match (self.tool, self.called) {
            // mosquitto_pub prints all of its help here.
            (Tool::Pub, Called::Mosquitto) => print(&help::text(self.tool, &self.program())),
            _ => self.point_to_help(),
        }
        ExitCode::FAILURE
    }

    fn point_to_help(&self) {
        complain(format!("\nUse '{} --help' to see usage.\n", self.program()).as_bytes());
    }

    /// mosquitto's tools end with 1 even where help was asked for.
    fn stop(&self, stop: Stop) -> ExitCode {
        let asked_for = match self.called {
            Called::Mosquitto => ExitCode::FAILURE,
            Called::Noctule => ExitCode::SUCCESS,
        };
        match stop {
            Stop::Help => {
                print(&help::text(self.tool, &self.program()));
                asked_for
            }
            Stop::Version => {
                print(&help::version(self.tool, self.called));
                asked_for
            }
            Stop::Misuse(misuse) => {
                complain(&misuse.0);
                self.point_to_help();
                ExitCode::FAILURE
            }
        }
    }
}

/// Runs a tool on this thread until it is done.
fn block_on(work: impl Future<Output = Result<ExitCode, Trouble>>) -> Result<ExitCode, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the operating system grants an event queue");
    let result = runtime.block_on(work);
    // A thread that waits for standard input must not hold the process.
    runtime.shutdown_background();
    result
}

/// Prints; that nobody reads is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Says something on the standard error stream; nobody is left to be told if that fails.
fn complain(text: &[u8]) {
    let _ = std::io::stderr().write_all(text);
}
