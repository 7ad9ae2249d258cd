//! `noctule top`: what a broker says about itself under `$SYS`, on a terminal or in a pipe.
//!
//! ```text
//!   feed ── News ──► model ── Snapshot ──► view (terminal), plain (text, JSON)
//!     ▲                                      │
//!     └────────────── Order ──── screen ◄────┘ keys
//! ```
//!
//! `model` and below it `rounds` (rates over time), `sys` (names of the figures) and `topics` (the
//! busiest) are pure, as are `view`, `plain` and `text`. `feed` holds the connection, `screen` the
//! terminal, `pipe` its absence.

mod access;
mod budget;
mod feed;
mod model;
mod pipe;
mod plain;
mod rounds;
mod screen;
mod signals;
mod sys;
mod text;
mod topics;
mod view;

use access::{Access, AccessArgs};
use clap::Args;
use feed::{Feed, Wish};
use signals::told_to_end;
use std::io::IsTerminal;
use std::num::NonZeroU32;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noctule top                                    the broker on this machine
  noctule top -h broker.example -u admin -P ...  another one
  noctule top mqtts://broker.example             over TLS
  noctule top --topics                           with the busiest topics
  noctule top --topics 'home/#'                  with the busiest of these
  noctule top --once                             one snapshot as text
  noctule top --once --json | jq .clients        one as JSON
  noctule top --json --interval 60 >> log.jsonl  one line a minute";

/// As every command but `pub` and `sub`.
const MISUSED: u8 = 2;

/// Watch a broker: rates, clients, queues, busiest topics.
#[derive(Args, Debug)]
#[command(disable_help_flag = true, disable_version_flag = true, after_help = EXAMPLES)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    access: AccessArgs,
    /// Sample messages to find the busiest topics [all topics, unless a filter is given].
    #[arg(long, value_name = "FILTER", num_args = 0..=1, default_missing_value = "#")]
    topics: Option<String>,
    /// Messages a second that are sampled at most, on the long average.
    #[arg(long, value_name = "MESSAGES", default_value = "2000")]
    sample_rate: NonZeroU32,
    /// Print one snapshot and end.
    #[arg(long)]
    once: bool,
    /// Print a line of JSON for each snapshot.
    #[arg(long)]
    json: bool,
    /// Seconds between snapshots that are printed.
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    interval: NonZeroU32,
}

/// How a snapshot is printed.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Json,
}

impl TopArgs {
    pub(crate) fn run(self) -> ExitCode {
        let access = match self.check() {
            Ok(access) => access,
            Err(words) => {
                let help = "Use 'noctule top --help' to see usage.";
                self.access.complain(&format!("Error: {words}"));
                self.access.complain(help);
                return ExitCode::from(MISUSED);
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the operating system grants an event queue");
        let code = runtime.block_on(self.watch(access));
        // A look-up of a name that nobody answers must not hold the process.
        runtime.shutdown_background();
        code
    }

    fn check(&self) -> Result<Access, String> {
        if let Some(filter) = &self.topics {
            noctule_proto::TopicFilter::parse(filter)
                .map_err(|error| format!("Invalid topic filter '{filter}': {error}"))?;
        }
        self.access.check()
    }

    fn shape(&self) -> Shape {
        if self.json { Shape::Json } else { Shape::Text }
    }

    async fn watch(&self, access: Access) -> ExitCode {
        // What fails before the first connection is told, not shown: it would fail again.
        let connected = tokio::select! {
            connected = access.connect() => connected,
            () = told_to_end() => return ExitCode::SUCCESS,
        };
        let client = match connected {
            Ok(client) => client,
            Err(error) => return self.access.fail(&error),
        };
        let place = access.place();
        let wish = Wish { filter: self.topics.clone(), budget: self.sample_rate.get() };
        let mut feed = Feed::start(access, client, wish);
        let printed = self.once || self.json || !std::io::stdout().is_terminal();
        let code = if printed {
            pipe::run(self, &mut feed, &place).await
        } else {
            match screen::run(&mut feed, &place, self.topics.clone()).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    self.access.complain(&format!("Error: the terminal: {error}"));
                    ExitCode::FAILURE
                }
            }
        };
        feed.end().await;
        code
    }
}
