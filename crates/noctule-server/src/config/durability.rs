//! What an acknowledgement promises, and where what it promises is kept.
//!
//! The most specific rule decides: the first topic filter that matches, else the listener the
//! client came by, else the broker's class.

use super::Config;
use noctule_core::limits;
use noctule_proto::TopicFilter;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// What an acknowledgement promises; a greater one promises more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Nothing: what was acknowledged lasts as long as the process.
    Memory,
    /// The operating system has it: it survives the end of the process, not a power cut.
    Os,
    /// The disk has it: it survives a power cut.
    Fsync,
}

/// What survives a restart, and where it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Durability {
    /// What an acknowledgement promises where no listener and no topic says otherwise.
    pub class: Class,
    /// Directory of the store; `None`: nobody has chosen one. A process then takes the one that
    /// [`state_directory`] finds, and an embedded broker has to be given one.
    pub data: Option<PathBuf>,
    /// Topics that have a class of their own; the first filter that matches decides.
    pub topics: Vec<TopicClass>,
}

/// The class of the topics that a filter matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicClass {
    filter: Box<str>,
    class: Class,
}

impl Class {
    /// As the configuration says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Class::Memory => "memory",
            Class::Os => "os",
            Class::Fsync => "fsync",
        }
    }
}

impl From<Class> for limits::Durability {
    fn from(class: Class) -> limits::Durability {
        match class {
            Class::Memory => limits::Durability::Memory,
            Class::Os => limits::Durability::Os,
            Class::Fsync => limits::Durability::Fsync,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl TopicClass {
    /// For the topics that this filter matches, in every tenant.
    #[must_use]
    pub fn new(filter: TopicFilter<'_>, class: Class) -> TopicClass {
        // Who shares a subscription says nothing about the topics.
        TopicClass { filter: filter.plain().into(), class }
    }

    /// The filter: valid, and without a share name.
    #[must_use]
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// The class.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// Whether every topic that `other` matches is matched by this one too.
    pub(super) fn covers(&self, other: &str) -> bool {
        if other.starts_with('$') && self.filter.starts_with(['+', '#']) {
            return false;
        }
        let mut others = other.split('/');
        for mine in self.filter.split('/') {
            if mine == "#" {
                return true;
            }
            match others.next() {
                Some("#") | None => return false,
                Some(theirs) if mine == "+" || mine == theirs => {}
                Some(_) => return false,
            }
        }
        others.next().is_none()
    }
}

impl Durability {
    /// Nothing survives, whatever the topics are.
    #[must_use]
    pub fn memory() -> Durability {
        Durability { class: Class::Memory, data: None, topics: Vec::new() }
    }

    /// Everything survives a power cut, by what is kept in this directory.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Durability {
        Durability { data: Some(directory.into()), ..Durability::default() }
    }
}

impl Default for Durability {
    /// Who says nothing gets the strongest promise.
    fn default() -> Durability {
        Durability { class: Class::Fsync, data: None, topics: Vec::new() }
    }
}

impl Config {
    /// Every class that is in force somewhere, the broker's own first.
    fn classes(&self) -> impl Iterator<Item = Class> {
        let listeners = self.listeners.iter().filter_map(|it| it.durability);
        let topics = self.durability.topics.iter().map(TopicClass::class);
        [self.durability.class].into_iter().chain(listeners).chain(topics)
    }

    /// Whether anything is kept at all, so that there has to be a store.
    #[must_use]
    pub fn keeps_something(&self) -> bool {
        self.classes().any(|class| class != Class::Memory)
    }

    /// Nothing is kept, whatever was configured for listeners and topics.
    pub fn keep_nothing(&mut self) {
        self.durability = Durability::memory();
        for listener in &mut self.listeners {
            listener.durability = None;
        }
    }

    /// What this configuration promises, in a sentence.
    #[must_use]
    pub fn promise(&self) -> String {
        let class = self.durability.class;
        let Some(data) = self.durability.data.as_ref().filter(|_| self.keeps_something()) else {
            return "keeps nothing: a restart forgets sessions, queued and retained messages"
                .into();
        };
        let place = data.display();
        let others = self.classes().any(|other| other != class);
        match (class, others) {
            (_, true) => format!(
                "keeps what it acknowledges in {place} ({class}, unless its listener or topic says \
                 otherwise)"
            ),
            (Class::Os, false) => format!(
                "keeps what it acknowledges in {place} (os: a crash of the broker loses nothing, a \
                 power cut may)"
            ),
            (Class::Fsync | Class::Memory, false) => {
                format!("keeps what it acknowledges in {place} ({class})")
            }
        }
    }
}

/// The directory for what a process keeps, where nobody has chosen one: what systemd made for it,
/// else what the user's environment says. `None` if it says nothing.
#[must_use]
pub fn state_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // The XDG specification has relative paths ignored, and for all of them it is safer: a broker
    // that is started from elsewhere must not begin with an empty store.
    let absolute = |path: &Path| path.is_absolute().then(|| path.to_owned());
    let named = |name: &str| absolute(Path::new(&variable(name)?));
    let systemd = || {
        let paths = variable("STATE_DIRECTORY")?;
        absolute(&std::env::split_paths(&paths).next()?)
    };
    systemd()
        .or_else(|| named("XDG_STATE_HOME").map(|path| path.join("noctule")))
        .or_else(|| named("HOME").map(|path| path.join(".local/state/noctule")))
        .or_else(|| crate::privileges::is_root().then(|| PathBuf::from("/var/lib/noctule")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(filter: &str, class: Class) -> TopicClass {
        TopicClass::new(TopicFilter::parse(filter).unwrap(), class)
    }

    fn state(variables: &[(&str, &str)]) -> Option<PathBuf> {
        state_directory(|name| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_state_directory_is_systemds_then_xdgs_then_under_home() {
        let all = [("STATE_DIRECTORY", "/s"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(state(&all), Some("/s".into()));
        assert_eq!(state(&all[1..]), Some("/x/noctule".into()));
        assert_eq!(state(&all[2..]), Some("/h/.local/state/noctule".into()));
        assert_eq!(state(&[]), crate::privileges::is_root().then(|| "/var/lib/noctule".into()));
    }

    #[test]
    fn of_several_directories_of_systemd_the_first_is_taken() {
        assert_eq!(state(&[("STATE_DIRECTORY", "/one:/two")]), Some("/one".into()));
    }

    #[test]
    fn empty_and_relative_directories_are_passed_over() {
        let odd = [("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "here"), ("HOME", "/h")];
        assert_eq!(state(&odd), Some("/h/.local/state/noctule".into()));
    }

    #[test]
    fn a_filter_covers_those_that_match_less() {
        for (wide, narrow) in [
            ("#", "a/b"),
            ("#", "+/b"),
            ("#", "#"),
            ("a/#", "a"),
            ("a/#", "a/+/c"),
            ("a/#", "a/b/#"),
            ("+/b", "a/b"),
            ("+/b", "+/b"),
            ("a", "a"),
            ("$SYS/#", "$SYS/broker"),
        ] {
            assert!(rule(wide, Class::Os).covers(narrow), "{wide} covers {narrow}");
        }
        for (one, other) in [
            ("a", "b"),
            ("a/b", "+/b"),
            ("+", "#"),
            ("a/+", "a/#"),
            ("a/+", "a"),
            ("a", "a/b"),
            ("#", "$SYS/#"),
            ("+/x", "$SYS/x"),
        ] {
            assert!(!rule(one, Class::Os).covers(other), "{one} does not cover {other}");
        }
    }

    #[test]
    fn a_share_name_says_nothing_about_topics() {
        assert_eq!(rule("$share/g/a/#", Class::Os).filter(), "a/#");
    }

    #[test]
    fn a_store_is_needed_as_soon_as_one_class_keeps_something() {
        let mut config = Config::for_tests();
        assert!(!config.keeps_something());
        config.durability.topics.push(rule("a", Class::Os));
        assert!(config.keeps_something());
        config.durability.topics.clear();
        config.listeners[0].durability = Some(Class::Fsync);
        assert!(config.keeps_something());
        config.keep_nothing();
        assert!(!config.keeps_something());
        assert!(Config::default().keeps_something(), "durable unless told otherwise");
    }

    #[test]
    fn the_promise_names_directory_class_and_exceptions() {
        let mut config = Config::for_tests();
        assert!(config.promise().starts_with("keeps nothing: "));
        config.durability = Durability::at("/d");
        assert_eq!(config.promise(), "keeps what it acknowledges in /d (fsync)");
        config.durability.class = Class::Os;
        assert!(
            config
                .promise()
                .ends_with("in /d (os: a crash of the broker loses nothing, a power cut may)")
        );
        config.listeners[0].durability = Some(Class::Memory);
        let told = "in /d (os, unless its listener or topic says otherwise)";
        assert!(config.promise().ends_with(told), "{}", config.promise());
        config.durability = Durability { class: Class::Memory, ..Durability::at("/d") };
        assert!(config.promise().starts_with("keeps nothing: "), "a directory alone keeps nothing");
    }
}
