//! `noctule acl`: ask the rules who may do what, find odd ones, compare two versions.

mod files;

use clap::{Args, Subcommand, ValueEnum};
use files::RuleArgs;
use noctule_core::grant::{Action, Policy, Principal, Ranked, Ruling, Who};
use noctule_proto::{QoS, TopicFilter, TopicName};
use noctule_server::rules;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::print;

/// Ask the rules who may do what, find odd ones, compare two versions.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AclArgs {
    #[command(subcommand)]
    command: AclCommand,
}

const EXAMPLES: &str = "\
Examples:
  noctule acl check -c noctule.toml --user ann --client c1 publish plant/1/state
  noctule acl check --acl-file acl --client c1 subscribe 'plant/#'
  noctule acl lint -c noctule.toml
  noctule acl diff acl.old acl

Exit status:
  0  allowed; nothing odd; no difference
  1  denied; something odd; differences
  2  wrong use, or a file that is wrong";

#[derive(Subcommand, Debug)]
enum AclCommand {
    Check(CheckArgs),
    Lint(LintArgs),
    Diff(DiffArgs),
}

/// Say whether a client may do something, and by which rule.
#[derive(Args, Debug)]
struct CheckArgs {
    #[command(flatten)]
    rules: RuleArgs,
    /// User name; without it: a client that has none.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Client id, for %c.
    #[arg(long, value_name = "ID", default_value = "")]
    client: String,
    /// A role that the login brings along; may be repeated.
    #[arg(long = "role", value_name = "NAME")]
    roles: Vec<String>,
    /// QoS of what is published.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// What is published is to be retained.
    #[arg(long)]
    retain: bool,
    /// What it wants to do.
    action: Wanted,
    /// The topic; for `subscribe` a topic filter.
    topic: String,
}

/// Find rules that do nothing, or something else than they look like.
#[derive(Args, Debug)]
struct LintArgs {
    #[command(flatten)]
    rules: RuleArgs,
}

/// Say who gains and who loses what, from one version of the rules to another.
///
/// Files that end with .toml are configurations, or files of roles; others are ACL files.
#[derive(Args, Debug)]
struct DiffArgs {
    /// The old version.
    old: PathBuf,
    /// The new one.
    new: PathBuf,
    /// The listener whose rules are compared, by its port; without it: the rules of all listeners
    /// that have none of their own.
    #[arg(long, value_name = "PORT")]
    listener: Option<u16>,
}

/// What a client may want to do.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wanted {
    Publish,
    Subscribe,
    Receive,
}

impl AclArgs {
    /// Answers.
    pub(crate) fn run(self) -> ExitCode {
        let done = match self.command {
            AclCommand::Check(args) => args.run(),
            AclCommand::Lint(args) => args.run(),
            AclCommand::Diff(args) => args.run(),
        };
        done.unwrap_or_else(|error| {
            crate::failed(&format!("{error:#}"));
            ExitCode::from(2)
        })
    }
}

impl CheckArgs {
    fn run(self) -> anyhow::Result<ExitCode> {
        let (policy, ranked) = self.rules.rules()?;
        let user_name = self.user.as_deref();
        let whole = ranked.as_ref().is_some_and(|it| it.lists_of(user_name).is_some());
        let asked = self.asked(whole)?;
        let principal = Principal {
            user_name: self.user.as_deref().map(Into::into),
            roles: self.roles.iter().map(|role| role.as_str().into()).collect(),
            ..Principal::default()
        };
        let (allowed, text) = self.answer((&policy, ranked.as_ref()), &principal, asked);
        print(&text);
        Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What is asked for, if it can be asked for at all; filters with their shares, or without.
    fn asked(&self, whole: bool) -> anyhow::Result<(Action, &str)> {
        let topic = &self.topic;
        let qos = match self.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        Ok(match self.action {
            Wanted::Subscribe => {
                let filter = TopicFilter::parse(topic)
                    .map_err(|error| anyhow::anyhow!("{topic:?} is no topic filter: {error}"))?;
                (Action::Subscribe, if whole { filter.as_str() } else { filter.plain() })
            }
            Wanted::Publish | Wanted::Receive => {
                TopicName::parse(topic)
                    .map_err(|error| anyhow::anyhow!("{topic:?} is no topic name: {error}"))?;
                let publish = Action::Publish { qos, retain: self.retain };
                let publishes = matches!(self.action, Wanted::Publish);
                (if publishes { publish } else { Action::Receive }, topic.as_str())
            }
        })
    }

    fn answer(
        &self,
        (policy, ranked): (&Policy, Option<&Ranked>),
        principal: &Principal,
        (action, topic): (Action, &str),
    ) -> (bool, String) {
        let reserved = topic == "$SYS" || topic.starts_with("$SYS/");
        if reserved && matches!(action, Action::Publish { .. }) {
            return (false, "denied: topics under $SYS are the broker's own to publish\n".into());
        }
        if policy.is_open() && ranked.is_none() {
            return (true, "allowed: there are no rules\n".into());
        }
        let who = Who { client_id: &self.client, user_name: self.user.as_deref() };
        let own = match ranked {
            Some(ranked) => policy.rules_below(ranked, principal),
            None => policy.rules_of(principal),
        };
        let ruling = own.ruling((action, topic), who);
        let mut text = match ruling {
            Ruling::Allowed(Some(rule)) => {
                format!("allowed by {}: {}\n", rule.source, rules::words(rule, true))
            }
            Ruling::Allowed(None) => {
                "allowed: no rule is about it, and that is the default\n".into()
            }
            Ruling::Denied(rule) => {
                format!("denied by {}: {}\n", rule.source, rules::words(rule, false))
            }
            Ruling::NoRule => "denied: no rule allows it\n".into(),
        };
        let strict = policy.strict || ranked.is_some();
        if action == Action::Subscribe && !strict && !ruling.is_allowed() {
            text.push_str(
                "but the SUBSCRIBE is taken (strict_subscribe is off): what is denied is not \
                 delivered\n",
            );
        }
        (ruling.is_allowed(), text)
    }
}

impl LintArgs {
    fn run(self) -> anyhow::Result<ExitCode> {
        let findings = rules::lint(&self.rules.config()?);
        let lines = findings.iter().map(|finding| format!("{finding}\n")).collect::<String>();
        print(&lines);
        Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl DiffArgs {
    fn run(self) -> anyhow::Result<ExitCode> {
        let read = |file: &PathBuf| files::of_file(file, self.listener);
        let changes = rules::diff(&read(&self.old)?, &read(&self.new)?);
        let lines = changes.iter().map(|change| format!("{change}\n")).collect::<String>();
        print(&lines);
        Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
