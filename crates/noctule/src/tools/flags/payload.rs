//! Flags: what is published.

use super::{Flag, Group, Misuse, Outcome, PUB, SENDERS, Takes, flag};
use crate::tools::number::{atof, atoi};
use crate::tools::settings::{Content, Settings};
use std::time::Duration;

/// The longest payload, in bytes.
pub(in crate::tools) const PAYLOAD_MAX: usize = 268_435_455;

pub(super) const TABLE: &[Flag] = &[
    flag(
        SENDERS,
        Group::Payload,
        Takes::Value {
            name: "TEXT",
            missing: "-m argument given but no message specified.",
            set: message,
        },
        "This text.",
    )
    .short('m')
    .long("message"),
    flag(
        SENDERS,
        Group::Payload,
        Takes::Value {
            name: "FILE",
            missing: "-f argument given but no file specified.",
            set: file,
        },
        "All of a file.",
    )
    .short('f')
    .long("file"),
    flag(
        PUB,
        Group::Payload,
        Takes::Nothing(|settings| content(settings, Content::StdinLines)),
        "Each line of standard input, a message each.",
    )
    .short('l')
    .long("stdin-line"),
    flag(
        SENDERS,
        Group::Payload,
        Takes::Nothing(|settings| content(settings, Content::StdinWhole)),
        "All of standard input, one message.",
    )
    .short('s')
    .long("stdin-file"),
    flag(
        SENDERS,
        Group::Payload,
        Takes::Nothing(|settings| content(settings, Content::Nothing)),
        "Nothing at all; with -r this takes a retained message away.",
    )
    .short('n')
    .long("null-message"),
    flag(
        PUB,
        Group::Messages,
        Takes::Nothing(retain),
        "Have the broker keep the message as the last value of its topic.",
    )
    .short('r')
    .long("retain"),
    flag(
        PUB,
        Group::Messages,
        Takes::Value {
            name: "N",
            missing: "--repeat argument given but no count specified.",
            set: repeat,
        },
        "Publish the message N times, each when the one before is done with; not with -l.",
    )
    .long("repeat"),
    flag(
        PUB,
        Group::Messages,
        Takes::Value {
            name: "SECS",
            missing: "--repeat-delay argument given but no time specified.",
            set: repeat_delay,
        },
        "Wait between two of --repeat; fractions are fine.",
    )
    .long("repeat-delay"),
];

/// There may be one kind of payload only.
pub(in crate::tools) fn only_one(settings: &Settings) -> Outcome {
    match settings.publish.content {
        Some(_) => Err(Misuse::paragraph("Only one type of message can be sent at once.")),
        None => Ok(()),
    }
}

fn content(settings: &mut Settings, content: Content) -> Outcome {
    settings.publish.content = Some(content);
    Ok(())
}

fn message(settings: &mut Settings, value: &[u8]) -> Outcome {
    if value.len() > PAYLOAD_MAX {
        let wrong = format!("Message length must be less than {PAYLOAD_MAX} bytes.");
        return Err(Misuse::paragraph(wrong));
    }
    content(settings, Content::Text(value.to_vec()))
}

fn file(settings: &mut Settings, value: &[u8]) -> Outcome {
    content(settings, Content::File(value.to_vec()))
}

fn retain(settings: &mut Settings) -> Outcome {
    settings.publish.retain = true;
    Ok(())
}

fn repeat(settings: &mut Settings, value: &[u8]) -> Outcome {
    let count = u32::try_from(atoi(value)).ok().filter(|count| *count > 0);
    settings.publish.repeat =
        count.ok_or_else(|| Misuse::paragraph("--repeat argument must be >0."))?;
    Ok(())
}

fn repeat_delay(settings: &mut Settings, value: &[u8]) -> Outcome {
    let secs = atof(value);
    if secs < 0.0 {
        return Err(Misuse::paragraph("--repeat-delay argument must be >=0.0."));
    }
    settings.publish.repeat_delay = Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX);
    Ok(())
}
