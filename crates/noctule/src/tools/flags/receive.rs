//! Flags: topics, what comes of them, how it is printed, and when to end.

use super::{ALL, Flag, Group, Misuse, Outcome, PUB, RECEIVERS, RR, SUB, Takes, flag};
use crate::tools::Tool;
use crate::tools::format::Format;
use crate::tools::number::{atof, atoi};
use crate::tools::settings::Settings;
use crate::tools::topic;
use noctule_client::{QoS, RetainHandling};

pub(super) const TOPICS: &[Flag] = &[
    flag(PUB, Group::Topics, TOPIC, "Topic to publish to.").short('t').long("topic"),
    flag(RR, Group::Topics, TOPIC, "Topic to send the request to.").short('t').long("topic"),
    flag(
        RR,
        Group::Topics,
        Takes::Value {
            name: "TOPIC",
            missing: "-e argument given but no response topic specified.",
            set: topic::response,
        },
        "Topic on which the response comes; it is subscribed to, and told to the responder.",
    )
    .short('e'),
    flag(
        SUB,
        Group::Topics,
        TOPIC,
        "Topic filter to subscribe to; may be repeated. + is any one level, # all the rest.",
    )
    .short('t')
    .long("topic"),
    flag(
        SUB,
        Group::Topics,
        Takes::Value {
            name: "FILTER",
            missing: "-T argument given but no topic filter specified.",
            set: topic::filter_out,
        },
        "Leave out messages of these topics; may be repeated.",
    )
    .short('T')
    .long("filter-out"),
    flag(
        SUB,
        Group::Topics,
        Takes::Value {
            name: "FILTER",
            missing: "-U argument given but no unsubscribe topic specified.",
            set: topic::unsubscribe,
        },
        "End a subscription of a session that was kept (-c); may be repeated.",
    )
    .short('U')
    .long("unsubscribe"),
];

const TOPIC: Takes = Takes::Value {
    name: "TOPIC",
    missing: "-t argument given but no topic specified.",
    set: topic::topic,
};

pub(super) const TABLE: &[Flag] = &[
    value(
        ALL,
        Group::Messages,
        ("QOS", "-q argument given but no QoS specified."),
        qos,
        "Quality of service: 0 at most once, 1 at least once, 2 exactly once.",
    )
    .short('q')
    .long("qos"),
    switch(RECEIVERS, Group::Messages, skip_retained, "Leave out retained messages.").short('R'),
    switch(
        SUB,
        Group::Messages,
        retained_only,
        "Take retained messages only, and end when the first other one comes.",
    )
    .long("retained-only"),
    switch(
        SUB,
        Group::Messages,
        remove_retained,
        "Have the broker forget the retained messages that come.",
    )
    .long("remove-retained"),
    switch(
        RECEIVERS,
        Group::Messages,
        as_published,
        "Show the retain flag as it was published (MQTT 5).",
    )
    .long("retain-as-published"),
    value(
        RECEIVERS,
        Group::Messages,
        ("WHEN", "--retain-handling argument given but no option specified."),
        retain_handling,
        "Have retained messages sent always, for a new subscription only, or never (MQTT 5).",
    )
    .long("retain-handling"),
    value(
        SUB,
        Group::Messages,
        ("PERCENT", "--random-filter argument given but no chance specified."),
        random_filter,
        "Print a random choice of the messages: 100 is all of them.",
    )
    .long("random-filter"),
    switch(RECEIVERS, Group::Printing, verbose, "Print topics before payloads.")
        .short('v')
        .long("verbose"),
    value(
        RECEIVERS,
        Group::Printing,
        ("FORMAT", "-F argument given but no format specified."),
        format,
        "Print messages like this: %t topic, %p payload, %x in hexadecimal, %j all as JSON; the \
         manual has the rest.",
    )
    .short('F'),
    switch(RECEIVERS, Group::Printing, no_end_of_line, "Print no end of line behind a message.")
        .short('N'),
    switch(RECEIVERS, Group::Printing, pretty, "Spread %j and %J over lines.").long("pretty"),
    switch(
        SUB,
        Group::Printing,
        watch,
        "Keep a line of the screen for each topic, with its latest message.",
    )
    .short('w')
    .long("watch"),
    switch(SUB, Group::Printing, message_rate, "Print how many messages come each second.")
        .long("message-rate"),
    switch(RR, Group::Printing, latency, "Print how long the response took.").long("latency"),
    value(
        SUB,
        Group::Ending,
        ("N", "-C argument given but no count specified."),
        count,
        "End after N messages.",
    )
    .short('C')
    .own_long("count"),
    value(
        RECEIVERS,
        Group::Ending,
        ("SECS", "-W argument given but no timeout specified."),
        timeout,
        "End after this many seconds, with exit code 27.",
    )
    .short('W')
    .own_long("timeout"),
    switch(SUB, Group::Ending, exit_after, "End when the broker has answered the subscription.")
        .short('E'),
];

const fn switch(
    tools: &'static [Tool],
    group: Group,
    set: fn(&mut Settings) -> Outcome,
    help: &'static str,
) -> Flag {
    flag(tools, group, Takes::Nothing(set), help)
}

const fn value(
    tools: &'static [Tool],
    group: Group,
    (name, missing): (&'static str, &'static str),
    set: fn(&mut Settings, &[u8]) -> Outcome,
    help: &'static str,
) -> Flag {
    flag(tools, group, Takes::Value { name, missing, set }, help)
}

/// The QoS of a number, if there is one.
pub(super) fn quality(number: i32) -> Option<QoS> {
    u8::try_from(number).ok().and_then(QoS::from_u8)
}

fn qos(settings: &mut Settings, value: &[u8]) -> Outcome {
    let number = atoi(value);
    let wrong = || Misuse::line(format!("Invalid QoS given: {number}"));
    settings.qos = quality(number).ok_or_else(wrong)?;
    Ok(())
}

fn skip_retained(settings: &mut Settings) -> Outcome {
    settings.receive.skip_retained = true;
    settings.receive.retain_handling = RetainHandling::Never;
    Ok(())
}

fn retained_only(settings: &mut Settings) -> Outcome {
    settings.receive.retained_only = true;
    Ok(())
}

fn remove_retained(settings: &mut Settings) -> Outcome {
    settings.receive.remove_retained = true;
    Ok(())
}

fn as_published(settings: &mut Settings) -> Outcome {
    settings.receive.retain_as_published = true;
    Ok(())
}

fn retain_handling(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.receive.retain_handling = match value {
        b"always" => RetainHandling::Always,
        b"new" => RetainHandling::IfNew,
        b"never" => RetainHandling::Never,
        _ => {
            let words = [b"Unknown value '", value, b"' for --retain-handling."].concat();
            return Err(Misuse::paragraph(words));
        }
    };
    Ok(())
}

/// mosquitto_sub takes up to 1000 and prints a tenth of what it says; that 100 prints all is what
/// it promises.
fn random_filter(settings: &mut Settings, value: &[u8]) -> Outcome {
    let percent = atof(value);
    let tenths = (percent * 10.0) as i32;
    if !(1..=10_000).contains(&tenths) {
        return Err(Misuse::paragraph("--random-filter chance must be between 0.1-100.0"));
    }
    settings.output.chance = (percent * 100.0).min(10_000.0) as u16;
    Ok(())
}

fn verbose(settings: &mut Settings) -> Outcome {
    settings.output.verbose = true;
    Ok(())
}

fn format(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.output.format = Some(Format::parse(value)?);
    Ok(())
}

fn no_end_of_line(settings: &mut Settings) -> Outcome {
    settings.output.end_of_line = false;
    Ok(())
}

fn pretty(settings: &mut Settings) -> Outcome {
    settings.output.pretty = true;
    Ok(())
}

fn watch(settings: &mut Settings) -> Outcome {
    settings.output.watch = true;
    Ok(())
}

fn message_rate(settings: &mut Settings) -> Outcome {
    settings.receive.message_rate = true;
    Ok(())
}

fn latency(settings: &mut Settings) -> Outcome {
    settings.receive.latency = true;
    settings.connection.no_delay = true;
    Ok(())
}

fn count(settings: &mut Settings, value: &[u8]) -> Outcome {
    let number = atoi(value);
    let wrong = || Misuse::paragraph(format!("Invalid message count \"{number}\"."));
    settings.receive.count = Some(positive(number).ok_or_else(wrong)?);
    Ok(())
}

fn timeout(settings: &mut Settings, value: &[u8]) -> Outcome {
    let number = atoi(value);
    let wrong = || Misuse::paragraph(format!("Invalid timeout \"{number}\"."));
    settings.receive.timeout_secs = Some(positive(number).ok_or_else(wrong)?);
    Ok(())
}

fn positive(number: i32) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}

fn exit_after(settings: &mut Settings) -> Outcome {
    settings.receive.exit_after_subscribing = true;
    Ok(())
}
