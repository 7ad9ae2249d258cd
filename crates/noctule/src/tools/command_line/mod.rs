//! From the words of a command line to settings, as mosquitto's tools read them: each flag is a
//! word of its own, its value is the next one, and a later flag has the last word.

use super::flags::{self, Flag, Group, Misuse, Outcome, Takes};
use super::option_file;
use super::settings::{ClientId, Settings};
use super::{Called, Tool};
use noctule_client::Version;

/// Why there is nothing to do.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// Something is wrong.
    Misuse(Misuse),
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

impl From<Misuse> for Stop {
    fn from(misuse: Misuse) -> Stop {
        Stop::Misuse(misuse)
    }
}

/// Reads option files and command line.
pub(super) fn read(tool: Tool, called: Called, words: &[Vec<u8>]) -> Result<Settings, Stop> {
    let mut settings = Settings::new(tool);
    for line in option_file::lines(tool, called, words)? {
        take(&mut settings, called, &line)?;
    }
    take(&mut settings, called, words)?;
    settings.check()?;
    Ok(settings)
}

fn take(settings: &mut Settings, called: Called, words: &[Vec<u8>]) -> Result<(), Stop> {
    let mut rest = words;
    while let [word, behind @ ..] = rest {
        let found = flags::find(settings.tool, called, word);
        let flag = found.ok_or_else(|| unknown(settings.tool, called, word))?;
        rest = take_flag(settings, flag, behind)?;
    }
    Ok(())
}

/// Takes a flag, and answers the words behind it and its value.
fn take_flag<'a>(
    settings: &mut Settings,
    flag: &Flag,
    behind: &'a [Vec<u8>],
) -> Result<&'a [Vec<u8>], Stop> {
    if flag.group == Group::Payload {
        flags::only_one_payload(settings)?;
    }
    match flag.takes {
        Takes::Nothing(set) => set(settings)?,
        Takes::Value { missing, set, .. } => {
            let Some((value, behind)) = behind.split_first() else {
                return Err(Misuse::paragraph(missing).into());
            };
            set(settings, value)?;
            return Ok(behind);
        }
        Takes::Property => {
            let count = settings.properties.take(behind)?;
            settings.connection.version = Version::V5;
            return Ok(&behind[count..]);
        }
        Takes::OptionsFile => return Ok(behind.get(1..).unwrap_or_default()),
        Takes::Help => return Err(Stop::Help),
        Takes::Version => return Err(Stop::Version),
    }
    Ok(behind)
}

fn unknown(tool: Tool, called: Called, word: &[u8]) -> Misuse {
    let mut misuse = Misuse::line([b"Unknown option '", word, b"'."].concat());
    if called == Called::Noctule
        && let Some(hint) = hint(tool, word)
    {
        misuse.0.extend_from_slice(hint.as_bytes());
    }
    misuse
}

/// What was probably meant: flags written together with their values.
fn hint(tool: Tool, word: &[u8]) -> Option<String> {
    let word = std::str::from_utf8(word).ok()?;
    let known = |flag: &str| flags::find(tool, Called::Noctule, flag.as_bytes()).is_some();
    if let Some((flag, value)) = word.split_once('=')
        && flag.starts_with("--")
        && known(flag)
    {
        return Some(format!("A value is a word of its own: {flag} {value}\n"));
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let flag = format!("-{}", letters.next()?);
    let value = letters.as_str();
    known(&flag).then(|| format!("A value is a word of its own: {flag} {value}\n"))
}

impl Settings {
    /// What can be told only when everything is read.
    fn check(&mut self) -> Outcome {
        self.check_will()?;
        self.check_security()?;
        self.check_session()?;
        if self.tool == Tool::Sub
            && self.receive.topics.is_empty()
            && self.receive.unsubscribe.is_empty()
        {
            return Err(Misuse::line(
                "You must specify a topic to subscribe to (-t) or unsubscribe from (-U).",
            ));
        }
        Ok(())
    }

    fn check_will(&self) -> Outcome {
        if self.will.topic.is_some() {
            return Ok(());
        }
        if self.will.payload.is_some() {
            return Err(Misuse::line("Will payload given, but no will topic given."));
        }
        if self.will.retain {
            return Err(Misuse::line("Will retain given, but no will topic given."));
        }
        Ok(())
    }

    fn check_security(&self) -> Outcome {
        let tls = &self.security;
        if tls.certificate.is_some() != tls.key.is_some() {
            return Err(Misuse::line(
                "Both certfile and keyfile must be provided if one of them is set.",
            ));
        }
        if tls.key_form.is_some() && tls.key.is_none() {
            return Err(Misuse::line("If keyform is set, keyfile must be also specified."));
        }
        if tls.engine_password_sha1.is_some() && (tls.key_form.is_none() || tls.engine.is_none()) {
            return Err(Misuse::line(
                "when using tls-engine-kpass-sha1, both tls-engine and keyform must also be \
                 provided.",
            ));
        }
        if tls.shared_key.is_some() && (tls.ca_file.is_some() || tls.ca_path.is_some()) {
            return Err(Misuse::line(
                "Only one of --psk or --cafile/--capath may be used at once.",
            ));
        }
        if tls.shared_key.is_some() && tls.shared_key_identity.is_none() {
            return Err(Misuse::line("--psk-identity required if --psk used."));
        }
        Ok(())
    }

    fn check_session(&mut self) -> Outcome {
        let connection = &mut self.connection;
        let named = matches!(connection.client_id, Some(ClientId::Whole(_)));
        match connection.version {
            Version::V5 => {
                if !connection.clean_session && connection.session_expiry_secs.is_none() {
                    connection.session_expiry_secs = Some(u32::MAX);
                }
                if connection.session_expiry_secs == Some(u32::MAX) && !named {
                    return Err(Misuse::line(
                        "You must provide a client id if you are using an infinite session \
                         expiry interval.",
                    ));
                }
            }
            Version::V31 | Version::V311 => {
                if !connection.clean_session && !named {
                    return Err(Misuse::line(
                        "You must provide a client id if you are using the -c option.",
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
