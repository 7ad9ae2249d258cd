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

mod budget;
mod feed;
mod model;
mod pipe;
mod plain;
mod rounds;
mod screen;
mod sys;
mod text;
mod topics;
mod view;

use crate::connection::{Connection, block_on};
use clap::Args;
use feed::{Feed, Wish};
use std::io::IsTerminal;
use std::num::NonZeroU32;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noctule top                                    the broker on this machine
  noctule top -h broker.example -u admin -P ...  another one
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
    connection: Connection,
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
        if let Err(words) = self.check() {
            self.connection.misuse(&words, "top");
            return ExitCode::from(MISUSED);
        }
        block_on(self.watch())
    }

    fn check(&self) -> Result<(), String> {
        if let Some(filter) = &self.topics {
            noctule_proto::TopicFilter::parse(filter)
                .map_err(|error| format!("Invalid topic filter '{filter}': {error}"))?;
        }
        self.connection.check()
    }

    fn shape(&self) -> Shape {
        if self.json { Shape::Json } else { Shape::Text }
    }

    async fn watch(self) -> ExitCode {
        // What fails before the first connection is told, not shown: it would fail again.
        let client = match self.connection.connect_newest().await {
            Ok(client) => client,
            Err(error) => return self.connection.fail(&error),
        };
        let place = self.connection.place();
        let wish = Wish { filter: self.topics.clone(), budget: self.sample_rate.get() };
        let mut feed = Feed::start(self.connection.clone(), client, wish);
        let printed = self.once || self.json || !std::io::stdout().is_terminal();
        let code = if printed {
            pipe::run(&self, &mut feed, &place).await
        } else {
            match screen::run(&mut feed, &place, self.topics.clone()).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    self.connection.complain(&format!("Error: the terminal: {error}"));
                    ExitCode::FAILURE
                }
            }
        };
        feed.end().await;
        code
    }
}
