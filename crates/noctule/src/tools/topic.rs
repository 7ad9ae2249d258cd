//! Flags whose value is a topic or a topic filter.

use super::Tool;
use super::flags::{Misuse, Outcome};
use super::settings::Settings;
use noctule_proto::{TopicFilter, TopicName, text};

/// `-t`.
pub(super) fn topic(settings: &mut Settings, value: &[u8]) -> Outcome {
    add(settings, value, "-t")
}

/// The topic of `-t`, or the one in a URL: `flag` says which.
pub(super) fn add(settings: &mut Settings, value: &[u8], flag: &str) -> Outcome {
    match settings.tool {
        Tool::Pub | Tool::Rr => settings.publish.topic = Some(name(value, flag, "publish")?),
        Tool::Sub => settings.receive.topics.push(filter(value, flag, "subscription")?),
    }
    Ok(())
}

/// `-e`.
pub(super) fn response(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.publish.response_topic = Some(name(value, "-e", "response")?);
    Ok(())
}

/// `-T`.
pub(super) fn filter_out(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.receive.filter_out.push(filter(value, "-T", "filter")?);
    Ok(())
}

/// `-U`.
pub(super) fn unsubscribe(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.receive.unsubscribe.push(filter(value, "-U", "unsubscribe")?);
    Ok(())
}

/// `--will-topic`.
pub(super) fn will(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.will.topic = Some(name(value, "--will-topic", "will")?);
    Ok(())
}

fn name(value: &[u8], flag: &str, kind: &str) -> Result<String, Misuse> {
    let topic = clean(value, flag)?;
    match TopicName::parse(topic) {
        Ok(_) => Ok(topic.to_owned()),
        Err(_) => Err(Misuse::line(format!(
            "Invalid {kind} topic '{topic}', does it contain '+' or '#'?"
        ))),
    }
}

fn filter(value: &[u8], flag: &str, kind: &str) -> Result<String, Misuse> {
    let topic = clean(value, flag)?;
    match TopicFilter::parse(topic) {
        Ok(_) => Ok(topic.to_owned()),
        Err(_) => Err(Misuse::line(format!(
            "Invalid {kind} topic '{topic}', are all '+' and '#' wildcards correct?"
        ))),
    }
}

fn clean<'a>(value: &'a [u8], flag: &str) -> Result<&'a str, Misuse> {
    let topic = std::str::from_utf8(value).ok().filter(|topic| text::is_clean(topic));
    topic.ok_or_else(|| Misuse::paragraph(format!("Malformed UTF-8 in {flag} argument.")))
}
