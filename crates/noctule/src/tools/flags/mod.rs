//! The flags of `pub`, `sub` and `rr`, in one table.
//!
//! The parser of the command line, `--help`, shell completions and man pages are all made from
//! it. Flags, their values and the words about wrong ones are those of `mosquitto_pub`,
//! `mosquitto_sub` and `mosquitto_rr` 2.1.

mod connection;
mod payload;
mod receive;
mod security;
mod will;

pub(super) use payload::{PAYLOAD_MAX, only_one as only_one_payload};

use super::settings::Settings;
use super::{Called, Tool};

/// What is wrong with a command line, as it is printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Misuse(pub(super) Vec<u8>);

/// What a flag leads to.
pub(super) type Outcome = Result<(), Misuse>;

/// One flag.
pub(super) struct Flag {
    /// `-t`.
    pub(super) short: Option<char>,
    /// `--topic`.
    pub(super) long: Option<&'static str>,
    /// A long name that mosquitto's tools do not have; only known where ours is called by its own
    /// name.
    pub(super) own_long: Option<&'static str>,
    /// Which tools know it.
    pub(super) tools: &'static [Tool],
    /// Where `--help` lists it.
    pub(super) group: Group,
    /// What follows it, and what it does.
    pub(super) takes: Takes,
    /// One or two sentences.
    pub(super) help: &'static str,
}

/// What follows a flag, and what it does.
pub(super) enum Takes {
    /// Nothing follows.
    Nothing(fn(&mut Settings) -> Outcome),
    /// One word.
    Value {
        /// What it stands for, in capitals.
        name: &'static str,
        /// What is said when it is missing.
        missing: &'static str,
        set: fn(&mut Settings, &[u8]) -> Outcome,
    },
    /// Packet, property and value: two to four words.
    Property,
    /// A word that was heard before: the file with more options.
    OptionsFile,
    Help,
    Version,
}

/// Headings of `--help`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Group {
    Topics,
    /// Where payloads come from: one of these.
    Payload,
    Messages,
    Printing,
    Ending,
    Connection,
    Session,
    Tls,
    Will,
    General,
}

impl Group {
    /// The heading.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Group::Topics => "Topics",
            Group::Payload => "Payload (one of these)",
            Group::Messages => "Messages",
            Group::Printing => "Printing",
            Group::Ending => "When to end",
            Group::Connection => "Connection",
            Group::Session => "Client and session",
            Group::Tls => "TLS",
            Group::Will => "Will",
            Group::General => "General",
        }
    }
}

const ALL: &[Tool] = &[Tool::Pub, Tool::Sub, Tool::Rr];
const SENDERS: &[Tool] = &[Tool::Pub, Tool::Rr];
const RECEIVERS: &[Tool] = &[Tool::Sub, Tool::Rr];
const PUB: &[Tool] = &[Tool::Pub];
const SUB: &[Tool] = &[Tool::Sub];
const RR: &[Tool] = &[Tool::Rr];

/// The table, in the order of `--help`.
pub(super) fn all() -> impl Iterator<Item = &'static Flag> {
    let tables: [&[Flag]; 7] = [
        receive::TOPICS,
        payload::TABLE,
        receive::TABLE,
        connection::TABLE,
        security::TABLE,
        will::TABLE,
        GENERAL,
    ];
    tables.into_iter().flatten()
}

/// The flags of one tool.
pub(super) fn of(tool: Tool) -> impl Iterator<Item = &'static Flag> {
    all().filter(move |flag| flag.tools.contains(&tool))
}

/// The flag that is written exactly like this.
pub(super) fn find(tool: Tool, called: Called, word: &[u8]) -> Option<&'static Flag> {
    let word = std::str::from_utf8(word).ok()?;
    of(tool).find(|flag| flag.is_written(called, word))
}

impl Flag {
    fn is_written(&self, called: Called, word: &str) -> bool {
        if let Some(name) = word.strip_prefix("--") {
            let own = self.own_long.filter(|_| called == Called::Noctule);
            return self.long == Some(name) || own == Some(name);
        }
        let mut letters = word.strip_prefix('-').unwrap_or_default().chars();
        letters.next().is_some_and(|letter| self.short == Some(letter)) && letters.next().is_none()
    }
}

/// A flag with neither names nor effect, to be filled by the tables.
const fn flag(tools: &'static [Tool], group: Group, takes: Takes, help: &'static str) -> Flag {
    Flag { short: None, long: None, own_long: None, tools, group, takes, help }
}

impl Flag {
    const fn short(mut self, letter: char) -> Flag {
        self.short = Some(letter);
        self
    }

    const fn long(mut self, name: &'static str) -> Flag {
        self.long = Some(name);
        self
    }

    const fn own_long(mut self, name: &'static str) -> Flag {
        self.own_long = Some(name);
        self
    }
}

impl Misuse {
    /// One line, `Error: ` before it.
    pub(super) fn line(words: impl AsRef<[u8]>) -> Misuse {
        Misuse([b"Error: ", words.as_ref(), b"\n"].concat())
    }

    /// One line with an empty one behind it, as mosquitto's tools print most of them.
    pub(super) fn paragraph(words: impl AsRef<[u8]>) -> Misuse {
        Misuse([b"Error: ", words.as_ref(), b"\n\n"].concat())
    }
}

const GENERAL: &[Flag] = &[
    flag(
        ALL,
        Group::General,
        Takes::OptionsFile,
        "Read more options from FILE: one a line, a value behind the first space, # before a \
         comment. Without -o, $XDG_CONFIG_HOME/mosquitto_pub (or _sub, _rr) is read, or the same \
         name in ~/.config. The command line has the last word.",
    )
    .short('o'),
    flag(
        ALL,
        Group::General,
        Takes::Property,
        "Set a property of MQTT 5 on a packet: connect, publish, subscribe, unsubscribe, \
         disconnect or will; implies -V 5. A user-property takes a name and a value.",
    )
    .short('D')
    .long("property"),
    flag(
        ALL,
        Group::General,
        Takes::Nothing(|settings| {
            settings.debug = true;
            Ok(())
        }),
        "Print the packets that are sent and received.",
    )
    .short('d')
    .long("debug"),
    flag(
        ALL,
        Group::General,
        Takes::Nothing(|settings| {
            settings.quiet = true;
            Ok(())
        }),
        "Print no error messages.",
    )
    .long("quiet"),
    flag(ALL, Group::General, Takes::Help, "Print this.").long("help"),
    flag(ALL, Group::General, Takes::Version, "Print the version.").long("version"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_tool_has_two_flags_of_one_name() {
        for tool in [Tool::Pub, Tool::Sub, Tool::Rr] {
            let mut names = BTreeSet::new();
            for flag in of(tool) {
                let short = flag.short.map(String::from);
                let long = flag.long.into_iter().chain(flag.own_long).map(str::to_owned);
                for name in short.into_iter().chain(long) {
                    assert!(names.insert(name.clone()), "{tool:?}: {name}");
                }
                assert!(flag.short.is_some() || flag.long.is_some());
            }
        }
    }

    #[test]
    fn a_word_has_to_match_exactly() {
        let find = |word: &str| find(Tool::Sub, Called::Mosquitto, word.as_bytes()).is_some();
        for word in ["-t", "--topic", "-C", "--help"] {
            assert!(find(word), "{word}");
        }
        for word in ["t", "-", "", "--", "-tt", "--t", "-topic", "--count", "-m", "--topic=a"] {
            assert!(!find(word), "{word}");
        }
    }

    #[test]
    fn names_that_mosquitto_lacks_are_known_under_our_name_only() {
        assert!(find(Tool::Sub, Called::Noctule, b"--count").is_some());
        assert!(find(Tool::Sub, Called::Mosquitto, b"--count").is_none());
    }

    #[test]
    fn a_missing_value_is_named_after_its_flag() {
        for flag in all() {
            let Takes::Value { missing, .. } = flag.takes else { continue };
            let name = missing.split(' ').next().unwrap_or_default();
            let short = flag.short.map(|letter| format!("-{letter}"));
            let long = flag.long.map(|long| format!("--{long}"));
            assert!(short.as_deref() == Some(name) || long.as_deref() == Some(name), "{missing}");
        }
    }
}
