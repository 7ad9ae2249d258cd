//! `noctule bench`: reads what is to be measured, and shows what came of it.

mod durable;

use crate::tls::TlsArgs;
use clap::{ArgAction, Args, Subcommand, ValueEnum};
use durable::DurableArgs;
use noctule_bench::{
    Comparison, Connect, Error, FleetKind, Length, MessageShape, Offline, Pace, Pattern, Plan, QoS,
    Report, Retained, Scenario, Subscriptions, Target, Traffic, Version,
};
use noctule_client::net::Tls;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Measure a broker: throughput, latency, connections, memory, CPU time.
///
/// Each message is accounted for: what was lost, duplicated or reordered is told exactly. Give the
/// broker's process with --pid to learn its CPU time for each message and its memory for each
/// connection.
#[derive(Args, Debug)]
#[command(disable_help_flag = true, disable_version_flag = true)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// Compare results that --json wrote. Several files of a side with commas between them.
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"])]
    compare: Option<Vec<String>>,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    #[command(subcommand)]
    scenario: Option<ScenarioArgs>,
}

const EXAMPLES: &str = "\
Examples:
  noctule bench throughput --pid $(pidof noctule)
  noctule bench throughput --pattern fan-out -q 1 --runs 5 --json before.json
  noctule bench latency --rate 10000 --seconds 60
  noctule bench connect --connections 100000 --kind idle --pid $(pidof mosquitto)
  noctule bench durable --directory /srv --mosquitto /usr/sbin/mosquitto
  noctule bench --compare before.json after.json";

#[derive(Subcommand, Debug)]
enum ScenarioArgs {
    /// As many messages as go through: a closed loop, in which no broker has to drop any.
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Throughput(ThroughputArgs),
    /// Messages at a rate, and how long they take: an open loop, whatever the broker does.
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Latency(LatencyArgs),
    /// Many connections: a storm, an idle fleet, or devices that report now and then.
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Connect(ConnectArgs),
    /// Store retained messages, and fetch all of them by a wildcard.
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Retained(RetainedArgs),
    /// Queue messages for persistent sessions whose clients are away, and drain the queues.
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Offline(OfflineArgs),
    /// Many subscriptions, and their change.
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Subscriptions(SubscriptionsArgs),
    /// What it costs to keep what is acknowledged, on a disk: starts brokers of its own.
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Durable(Box<DurableArgs>),
}

/// What every scenario asks for.
#[derive(Args, Debug)]
struct BrokerArgs {
    /// Host of the broker.
    #[arg(short = 'h', long, default_value = "localhost")]
    host: String,
    /// Port of the broker.
    #[arg(short, long, default_value_t = 1883)]
    port: u16,
    /// User name.
    #[arg(short, long, allow_hyphen_values = true)]
    username: Option<String>,
    /// Password.
    #[arg(short = 'P', long = "pw", allow_hyphen_values = true)]
    password: Option<String>,
    /// Protocol version: 31, 311 or 5.
    #[arg(short = 'V', long, default_value = "311", value_parser = version)]
    protocol_version: Version,
    /// Process of the broker: its CPU time and memory are measured, children included.
    #[arg(long)]
    pid: Option<u32>,
    /// Seconds that go by before a measurement begins, and before memory is read.
    #[arg(long, default_value = "1", value_parser = seconds)]
    warmup: Duration,
    /// How often everything is repeated.
    #[arg(long, default_value_t = 1)]
    runs: u32,
    /// Write the results to this file too; - is standard output, without the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep alive of each connection, in seconds.
    #[arg(short, long, default_value_t = 60)]
    keepalive: u16,
    /// Talk TLS, and trust the CAs of the system unless others are named.
    #[arg(long)]
    tls: bool,
    #[command(flatten)]
    tls_args: TlsArgs,
    /// Connections on their way at once.
    #[arg(long, default_value_t = 256)]
    concurrent: u32,
    /// Seconds of silence after which what has not arrived is lost.
    #[arg(long, default_value = "2", value_parser = seconds)]
    quiet: Duration,
    /// Seconds of silence while something is due after which the run is given up.
    #[arg(long, default_value = "30", value_parser = seconds)]
    patience: Duration,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// What messages look like.
#[derive(Args, Debug)]
struct MessageArgs {
    /// QoS of publishing and of subscribing.
    #[arg(short, long, default_value = "0", value_parser = qos)]
    qos: QoS,
    /// Bytes of payload, 24 at least.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// User properties of each message; MQTT 5.
    #[arg(long, default_value_t = 0)]
    user_properties: u32,
    /// Use topic aliases in both directions; MQTT 5.
    #[arg(long)]
    aliases: bool,
}

/// Who publishes to whom.
#[derive(Args, Debug)]
struct PatternArgs {
    /// Who hears whom.
    #[arg(long, value_enum, default_value_t = PatternName::Pairs)]
    pattern: PatternName,
    /// Clients that publish. [default: 50; fan-out: 1]
    #[arg(long)]
    publishers: Option<u32>,
    /// Clients that subscribe. [default: pairs: as many; fan-in: 1; fan-out: 100; shared: 10;
    /// wildcard: 5]
    #[arg(long)]
    subscribers: Option<u32>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum PatternName {
    /// Each publisher has a subscriber of its own.
    Pairs,
    /// All publish to one topic, which each subscriber hears.
    FanIn,
    /// Each publisher is heard by all subscribers.
    FanOut,
    /// The subscribers are one share group.
    Shared,
    /// Each publisher has its topic; each subscriber hears all by a wildcard.
    Wildcard,
}

#[derive(Args, Debug)]
struct LengthArgs {
    /// Seconds to measure.
    #[arg(long, default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// Measure so many published messages instead of a time.
    #[arg(long, conflicts_with = "seconds")]
    messages: Option<u64>,
}

#[derive(Args, Debug)]
struct ThroughputArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    pattern: PatternArgs,
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    length: LengthArgs,
    /// Messages of each publisher on the way, counted until all subscribers have them.
    #[arg(long, default_value_t = 32)]
    window: u32,
    /// Messages that a publisher sends at once. [default: the window]
    #[arg(long)]
    batch: Option<u32>,
    /// Messages on the way to one subscriber at most; the window is lowered to it.
    #[arg(long, default_value_t = 1000)]
    in_flight_max: u32,
    /// Messages a second in all: an open loop instead of the window.
    #[arg(long, conflicts_with_all = ["window", "batch"])]
    rate: Option<f64>,
}

#[derive(Args, Debug)]
struct LatencyArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    pattern: PatternArgs,
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    length: LengthArgs,
    /// Messages a second in all.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum FleetName {
    /// Connect and leave.
    Storm,
    /// Stay and be silent.
    Idle,
    /// Each publishes once an interval; one backend hears them all.
    Telemetry,
}

#[derive(Args, Debug)]
struct ConnectArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    message: MessageArgs,
    /// What the connections do.
    #[arg(long, value_enum, default_value_t = FleetName::Storm)]
    kind: FleetName,
    /// How many.
    #[arg(short = 'n', long, default_value_t = 10_000)]
    connections: u32,
    /// Seconds that a fleet stays.
    #[arg(long, default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// Seconds between two messages of one device.
    #[arg(long, default_value = "10", value_parser = seconds)]
    interval: Duration,
}

/// What messages look like that the broker has to keep.
#[derive(Args, Debug)]
struct KeptArgs {
    /// QoS of publishing and of subscribing, 1 or 2.
    #[arg(short, long, default_value = "1", value_parser = qos)]
    qos: QoS,
    /// Bytes of payload, 24 at least.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Messages on the way to the broker at once.
    #[arg(long, default_value_t = 100)]
    window: u32,
}

#[derive(Args, Debug)]
struct RetainedArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    message: KeptArgs,
    /// Topics with a retained message each.
    #[arg(short = 'n', long, default_value_t = 100_000)]
    topics: u32,
    /// Subscribers that fetch all, one after the other.
    #[arg(long, default_value_t = 3)]
    subscribers: u32,
}

#[derive(Args, Debug)]
struct OfflineArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    message: KeptArgs,
    /// Persistent sessions.
    #[arg(short = 'n', long, default_value_t = 100)]
    sessions: u32,
    /// Messages for each of them.
    #[arg(long, default_value_t = 1000)]
    messages: u32,
}

#[derive(Args, Debug)]
struct SubscriptionsArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    /// Clients that subscribe.
    #[arg(long, default_value_t = 50)]
    clients: u32,
    /// Filters of each.
    #[arg(short = 'n', long, default_value_t = 20_000)]
    filters: u32,
    /// Filters in one SUBSCRIBE.
    #[arg(long, default_value_t = 100)]
    per_packet: u32,
    /// Of a hundred filters, those with a `+`.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    wildcards: u32,
    /// Seconds in which filters are given up and taken again.
    #[arg(long, default_value = "5", value_parser = seconds)]
    seconds: Duration,
}

impl BenchArgs {
    pub(crate) fn run(self) -> ExitCode {
        let done = match (self.compare, self.scenario) {
            (Some(sides), _) => compare(&sides),
            (None, Some(scenario)) => scenario.run(),
            // clap asks for one of them.
            (None, None) => Ok(()),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => crate::failed(&error),
        }
    }
}

impl ScenarioArgs {
    fn run(self) -> Result<(), Error> {
        let (broker, scenario) = match self {
            ScenarioArgs::Throughput(args) => {
                let batch = args.batch.unwrap_or(args.window);
                let window = Pace::Window { window: args.window, batch };
                let pace = args.rate.map_or(window, Pace::Rate);
                let mut traffic = traffic(&args.pattern, &args.message, &args.length, pace);
                traffic.in_flight_max = args.in_flight_max;
                (args.broker, Scenario::Traffic(traffic))
            }
            ScenarioArgs::Latency(args) => {
                let pace = Pace::Rate(args.rate);
                let traffic = traffic(&args.pattern, &args.message, &args.length, pace);
                (args.broker, Scenario::Traffic(traffic))
            }
            ScenarioArgs::Connect(args) => {
                let connect = args.connect();
                (args.broker, Scenario::Connect(connect))
            }
            ScenarioArgs::Retained(args) => {
                let retained = Retained {
                    topics: args.topics,
                    message: args.message.shape(),
                    subscribers: args.subscribers,
                    window: args.message.window,
                };
                (args.broker, Scenario::Retained(retained))
            }
            ScenarioArgs::Offline(args) => {
                let offline = Offline {
                    sessions: args.sessions,
                    messages: args.messages,
                    message: args.message.shape(),
                    window: args.message.window,
                };
                (args.broker, Scenario::Offline(offline))
            }
            ScenarioArgs::Subscriptions(args) => {
                let subscriptions = Subscriptions {
                    clients: args.clients,
                    filters: args.filters,
                    per_packet: args.per_packet,
                    wildcard_percent: args.wildcards,
                    churn: args.seconds,
                };
                (args.broker, Scenario::Subscriptions(subscriptions))
            }
            ScenarioArgs::Durable(args) => {
                let json = args.json.clone();
                return show(&noctule_bench::run(&args.plan()?)?, json);
            }
        };
        let json = broker.json.clone();
        let report = noctule_bench::run(&broker.plan(scenario))?;
        show(&report, json)
    }
}

impl BrokerArgs {
    fn plan(self, scenario: Scenario) -> Plan {
        Plan {
            target: Target {
                host: self.host,
                port: self.port,
                version: self.protocol_version,
                user_name: self.username,
                password: self.password,
                keep_alive_secs: self.keepalive,
                tls: self.tls_args.tls(self.tls.then(Tls::new)),
            },
            scenario,
            pid: self.pid,
            warmup: self.warmup,
            quiet: self.quiet,
            patience: self.patience,
            runs: self.runs,
            concurrent: self.concurrent,
        }
    }
}

impl MessageArgs {
    fn shape(&self) -> MessageShape {
        MessageShape {
            qos: self.qos,
            size: self.size,
            user_properties: self.user_properties,
            aliases: self.aliases,
        }
    }
}

impl KeptArgs {
    fn shape(&self) -> MessageShape {
        MessageShape { qos: self.qos, size: self.size, user_properties: 0, aliases: false }
    }
}

impl ConnectArgs {
    fn connect(&self) -> Connect {
        let fleet = match self.kind {
            FleetName::Storm => FleetKind::Storm,
            FleetName::Idle => FleetKind::Idle(self.seconds),
            FleetName::Telemetry => FleetKind::Telemetry {
                interval: self.interval,
                message: self.message.shape(),
                hold: self.seconds,
            },
        };
        Connect { connections: self.connections, fleet }
    }
}

fn traffic(
    pattern: &PatternArgs,
    message: &MessageArgs,
    length: &LengthArgs,
    pace: Pace,
) -> Traffic {
    let (name, publishers, subscribers) = match pattern.pattern {
        PatternName::Pairs => (Pattern::Pairs, 50, pattern.publishers.unwrap_or(50)),
        PatternName::FanIn => (Pattern::FanIn, 50, 1),
        PatternName::FanOut => (Pattern::FanOut, 1, 100),
        PatternName::Shared => (Pattern::Shared, 50, 10),
        PatternName::Wildcard => (Pattern::Wildcard, 50, 5),
    };
    Traffic {
        pattern: name,
        publishers: pattern.publishers.unwrap_or(publishers),
        subscribers: pattern.subscribers.unwrap_or(subscribers),
        message: message.shape(),
        pace,
        length: length.messages.map_or(Length::Time(length.seconds), Length::Messages),
        in_flight_max: u32::MAX,
    }
}

#[expect(clippy::print_stdout, reason = "results go there")]
fn show(report: &Report, json: Option<PathBuf>) -> Result<(), Error> {
    match json {
        Some(file) if file.as_os_str() == "-" => print!("{}", report.to_json()),
        Some(file) => {
            print!("{}", report.to_table());
            std::fs::write(&file, report.to_json())
                .map_err(|error| Error::Results(format!("{}: {error}", file.display())))?;
        }
        None => print!("{}", report.to_table()),
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "results go there")]
fn compare(sides: &[String]) -> Result<(), Error> {
    let [first, second] = sides else {
        return Err(Error::Results("two sides are compared".into()));
    };
    print!("{}", Comparison::new(read(first)?, read(second)?)?.to_table());
    Ok(())
}

/// The results of one side.
fn read(files: &str) -> Result<Vec<Report>, Error> {
    let read = |file: &str| {
        let named = |error: &dyn std::fmt::Display| Error::Results(format!("{file}: {error}"));
        let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
        Report::from_json(&text).map_err(|error| named(&error))
    };
    files.split(',').map(read).collect()
}

fn qos(text: &str) -> Result<QoS, String> {
    let number = text.parse().ok().and_then(QoS::from_u8);
    number.ok_or_else(|| "QoS is 0, 1 or 2".into())
}

fn version(text: &str) -> Result<Version, String> {
    match text.strip_prefix("mqttv").unwrap_or(text) {
        "31" => Ok(Version::V31),
        "311" => Ok(Version::V311),
        "5" => Ok(Version::V5),
        _ => Err("versions are 31, 311 and 5".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}
