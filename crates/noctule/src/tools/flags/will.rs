//! Flags of the Will.

use super::receive::quality;
use super::{ALL, Flag, Group, Misuse, Outcome, Takes, flag};
use crate::tools::number::atoi;
use crate::tools::settings::Settings;
use crate::tools::topic;

pub(super) const TABLE: &[Flag] = &[
    value(
        "TOPIC",
        "--will-topic argument given but no will topic specified.",
        topic::will,
        "Where the broker publishes the Will if this client goes without saying goodbye.",
    )
    .long("will-topic"),
    value(
        "TEXT",
        "--will-payload argument given but no will payload specified.",
        payload,
        "Payload of the Will; empty unless given.",
    )
    .long("will-payload"),
    value(
        "QOS",
        "--will-qos argument given but no will QoS specified.",
        qos,
        "Quality of service of the Will.",
    )
    .long("will-qos"),
    flag(ALL, Group::Will, Takes::Nothing(retain), "Have the broker retain the Will.")
        .long("will-retain"),
];

const fn value(
    name: &'static str,
    missing: &'static str,
    set: fn(&mut Settings, &[u8]) -> Outcome,
    help: &'static str,
) -> Flag {
    flag(ALL, Group::Will, Takes::Value { name, missing, set }, help)
}

fn payload(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.will.payload = Some(value.to_vec());
    Ok(())
}

fn qos(settings: &mut Settings, value: &[u8]) -> Outcome {
    let number = atoi(value);
    let wrong = || Misuse::paragraph(format!("Invalid will QoS {number}."));
    settings.will.qos = quality(number).ok_or_else(wrong)?;
    Ok(())
}

fn retain(settings: &mut Settings) -> Outcome {
    settings.will.retain = true;
    Ok(())
}
