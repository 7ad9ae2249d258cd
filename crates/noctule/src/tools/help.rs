//! `--help`, completions and man pages, from the table of flags.

use super::flags::{self, Flag, Takes};
use super::{Called, Tool};
use clap::builder::{PossibleValuesParser, ValueHint};
use clap::{Arg, ArgAction, Command};

/// mosquitto's version whose tools these are.
const MOSQUITTO: &str = "2.1.2";

/// The command as clap knows it. It does not read command lines: `command_line` does.
pub(super) fn command(tool: Tool) -> Command {
    let program = format!("noctule {}", tool.name());
    let examples = examples(tool, &program);
    Command::new(tool.name())
        .about(about(tool))
        .after_long_help(format!("{examples}\n{}", super::manual::sections(tool)))
        .after_help(examples)
        .override_usage(usage(tool, &program))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(flags::of(tool).map(arg))
}

/// What `--help` prints.
pub(super) fn text(tool: Tool, program: &str) -> String {
    let mut command = command(tool)
        .after_help(examples(tool, program))
        .override_usage(usage(tool, program))
        .display_name(program.to_owned());
    command.render_help().to_string()
}

/// What `--version` prints.
pub(super) fn version(tool: Tool, called: Called) -> String {
    let ours = concat!("noctule ", env!("CARGO_PKG_VERSION"));
    match called {
        Called::Mosquitto => {
            format!("{} version {MOSQUITTO} running on {ours}.\n", tool.mosquitto_name())
        }
        Called::Noctule => format!("{ours}, as {} {MOSQUITTO}\n", tool.mosquitto_name()),
    }
}

fn arg(flag: &'static Flag) -> Arg {
    let long = flag.long.or(flag.own_long);
    let id = long.map_or_else(|| flag.short.unwrap_or_default().to_string(), str::to_owned);
    let mut arg = Arg::new(id).help(flag.help).help_heading(flag.group.heading());
    if let Some(short) = flag.short {
        arg = arg.short(short);
    }
    if let Some(long) = long {
        arg = arg.long(long);
    }
    match flag.takes {
        Takes::Nothing(_) | Takes::Help | Takes::Version => arg.action(ArgAction::SetTrue),
        Takes::Property => {
            arg.action(ArgAction::Append).num_args(3..=4).value_names(["PACKET", "NAME", "VALUE"])
        }
        Takes::OptionsFile => arg.value_name("FILE").value_hint(ValueHint::FilePath),
        Takes::Value { name, .. } => hinted(arg.value_name(name), name).action(ArgAction::Append),
    }
}

/// What a shell can offer for a value of this name.
fn hinted(arg: Arg, name: &str) -> Arg {
    let one_of = |arg: Arg, values: &[&'static str]| {
        arg.value_parser(PossibleValuesParser::new(values.iter().copied()))
            .hide_possible_values(true)
    };
    match name {
        "FILE" | "PATH" => arg.value_hint(ValueHint::FilePath),
        "FOLDER" => arg.value_hint(ValueHint::DirPath),
        "HOST" => arg.value_hint(ValueHint::Hostname),
        "URL" => arg.value_hint(ValueHint::Url),
        "QOS" => one_of(arg, &["0", "1", "2"]),
        "WHEN" => one_of(arg, &["always", "new", "never"]),
        "FORM" => one_of(arg, &["pem", "engine"]),
        "VERSION" if arg.get_long() == Some("tls-version") => one_of(arg, &["tlsv1.2", "tlsv1.3"]),
        "VERSION" => one_of(arg, &["5", "311", "31", "mqttv5", "mqttv311", "mqttv31"]),
        _ => arg,
    }
}

fn about(tool: Tool) -> &'static str {
    match tool {
        Tool::Pub => "Publish messages, as mosquitto_pub does",
        Tool::Sub => "Subscribe to topics and print what comes, as mosquitto_sub does",
        Tool::Rr => "Send a request and print the response, as mosquitto_rr does",
    }
}

fn usage(tool: Tool, program: &str) -> String {
    let rest = match tool {
        Tool::Pub => "-t TOPIC {-m TEXT | -f FILE | -l | -s | -n} [OPTIONS]",
        Tool::Sub => "-t FILTER... [OPTIONS]",
        Tool::Rr => "-t TOPIC -e RESPONSE-TOPIC {-m TEXT | -f FILE | -s | -n} [OPTIONS]",
    };
    format!("{program} {rest}")
}

fn examples(tool: Tool, program: &str) -> String {
    let examples: &[(&str, &str)] = match tool {
        Tool::Pub => &[
            ("One message to the broker of this machine:", "$ -t home/door -m open"),
            (
                "Kept by the broker as the last value, and taken away again:",
                "$ -t home/door -m open -r\n  $ -t home/door -n -r",
            ),
            (
                "A message for each line, acknowledged, on one connection:",
                "tail -f log | $ -t log/web -l -q 1",
            ),
            (
                "A picture every ten seconds, six times:",
                "$ -t cam -f p.jpg --repeat 6 --repeat-delay 10",
            ),
            (
                "Over TLS, as a user, with a property of MQTT 5:",
                "$ -L mqtts://me:secret@broker.example/a -m 1 -D publish content-type text/plain",
            ),
        ],
        Tool::Sub => &[
            ("All of one house, topics before payloads:", "$ -v -t 'home/#'"),
            ("One message, but wait no longer than ten seconds:", "$ -t home/door -C 1 -W 10"),
            ("What the broker has kept, and then end:", "$ -v -t '#' --retained-only -W 1"),
            (
                "Each message as a line of JSON, or in a form of your own:",
                "$ -t 'home/#' -F %j\n  $ -t 'home/#' -F '@Y-@m-@d @H:@M:@S %t %p'",
            ),
            (
                "Miss nothing while away: a session that the broker keeps:",
                "$ -i desk -c -q 1 -t 'home/#'",
            ),
            ("A table of the latest values:", "$ -v -w -t 'home/+/temperature'"),
        ],
        Tool::Rr => &[
            ("Ask, and print the answer:", "$ -t lamp/get -e answers/me -m state -W 5"),
            ("How long does the answer take?", "$ -t lamp/get -e answers/me -n --latency"),
        ],
    };
    let lines = examples.iter().map(|(what, how)| format!("  {what}\n  {how}\n"));
    let text = lines.collect::<Vec<_>>().join("\n").replace('$', program);
    format!("Examples:\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_flag_and_teaches_by_example() {
        for tool in Tool::ALL {
            command(tool).debug_assert();
            let text = text(tool, "noctule x");
            for flag in flags::of(tool) {
                if let Some(short) = flag.short {
                    assert!(text.contains(&format!("  -{short}")), "{tool:?}: -{short}\n{text}");
                }
                if let Some(long) = flag.long {
                    assert!(text.contains(&format!("--{long}")), "{tool:?}: --{long}");
                }
            }
            assert!(text.contains("Examples:\n  "), "{text}");
            assert!(text.contains("\n  noctule x -t "), "{text}");
        }
    }
}
