//! Topic names, topic filters, shared subscriptions: a value that exists is valid.

use crate::{Cause, ReasonCode, text};
use core::fmt;

/// A valid topic name: UTF-8 without control and non-characters, `+` and `#`, at most 65,535
/// bytes. It may be empty only in a v5 PUBLISH with a topic alias.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct TopicName<'a>(pub(crate) &'a str);

/// A valid topic filter as sent by a client, with its `$share/NAME/` prefix if it has one.
///
/// The share syntax is one of v5; before v5 it is read the same way, as other brokers do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct TopicFilter<'a>(pub(crate) &'a str);

/// The group name of a shared subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct ShareName<'a>(pub(crate) &'a str);

/// Why a text is no topic name or no topic filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum TopicError {
    /// No character at all.
    Empty,
    /// More than 65,535 bytes.
    TooLong,
    /// `+` or `#` in a topic name.
    Wildcard,
    /// U+0000, another control character or a non-character.
    ForbiddenCharacter,
    /// `#` that is not the whole last level.
    Hash,
    /// `+` that is not a whole level.
    Plus,
    /// `$share/` without a name, or with a name that holds a wildcard.
    ShareName,
    /// `$share/NAME` without a filter.
    ShareFilter,
}

impl TopicError {
    /// Topic Name Invalid and Topic Filter Invalid are for what is well formed and not accepted.
    pub(crate) fn reason_code(self) -> ReasonCode {
        match self {
            TopicError::ForbiddenCharacter | TopicError::TooLong => ReasonCode::MalformedPacket,
            TopicError::Wildcard
            | TopicError::Empty
            | TopicError::Hash
            | TopicError::Plus
            | TopicError::ShareName
            | TopicError::ShareFilter => ReasonCode::ProtocolError,
        }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TopicError::Empty => "is empty",
            TopicError::TooLong => "is longer than 65,535 bytes",
            TopicError::Wildcard => "holds a wildcard",
            TopicError::ForbiddenCharacter => "holds a control or non-character",
            TopicError::Hash => "has a # that is not the whole last level",
            TopicError::Plus => "has a + that is not a whole level",
            TopicError::ShareName => "has no valid share name",
            TopicError::ShareFilter => "has nothing after the share name",
        })
    }
}

impl core::error::Error for TopicError {}

impl<'a> TopicName<'a> {
    /// The empty topic name of a v5 PUBLISH that has a topic alias instead.
    pub const EMPTY: TopicName<'static> = TopicName("");

    /// Takes text that was a topic name before, without looking at it again.
    #[inline]
    #[must_use]
    pub fn trusted(text: &'a str) -> TopicName<'a> {
        debug_assert!(text.is_empty() || TopicName::parse(text).is_ok(), "not a topic name");
        TopicName(text)
    }

    /// Checks `text` against the rules of topic names `[MQTT-3.3.2-2 v5]` `[MQTT-4.7.3-1 v5]`
    /// `[MQTT-4.7.3-2 v5]` `[MQTT-4.7.3-3 v5]` `[MQTT-4.7.3-2 v3.1.1]` `[MQTT-4.7.3-3 v3.1.1]`. It
    /// is taken as it is, without normalizing `[MQTT-4.7.3-4 v5]` `[MQTT-4.7.3-4 v3.1.1]`.
    pub fn parse(text: &'a str) -> Result<TopicName<'a>, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        if text.len() > text::LEN_MAX {
            return Err(TopicError::TooLong);
        }
        match text::check_topic(text) {
            Ok(()) => Ok(TopicName(text)),
            Err(error) => Err(error),
        }
    }

    /// A topic name from the bytes of a packet; may be empty.
    #[inline]
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<TopicName<'a>, Cause> {
        text::topic(bytes).map(TopicName)
    }

    /// The name as text.
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether the topic alias has to say which topic is meant.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The levels between the slashes; some may be empty.
    pub fn levels(self) -> impl DoubleEndedIterator<Item = &'a str> + Clone {
        self.0.split('/')
    }
}

impl<'a> TopicFilter<'a> {
    /// Checks `text` against the rules of topic filters and, behind `$share/`, of share names
    /// `[MQTT-4.7.1-1 v5]` `[MQTT-4.7.1-2 v5]` `[MQTT-4.8.2-1 v5]` `[MQTT-4.8.2-2 v5]`.
    pub fn parse(text: &'a str) -> Result<TopicFilter<'a>, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        if text.len() > text::LEN_MAX {
            return Err(TopicError::TooLong);
        }
        if !text::is_clean(text) {
            return Err(TopicError::ForbiddenCharacter);
        }
        let filter = match text.strip_prefix("$share/") {
            None => text,
            Some(rest) => {
                let Some((name, filter)) = rest.split_once('/') else {
                    return Err(if rest.is_empty() || rest.contains(['+', '#']) {
                        TopicError::ShareName
                    } else {
                        TopicError::ShareFilter
                    });
                };
                if name.is_empty() || name.contains(['+', '#']) {
                    return Err(TopicError::ShareName);
                }
                if filter.is_empty() {
                    return Err(TopicError::ShareFilter);
                }
                filter
            }
        };
        check_wildcards(filter)?;
        Ok(TopicFilter(text))
    }

    /// The filter as text, share prefix included.
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Share name and the filter behind it, if this is a shared subscription.
    pub fn share(self) -> Option<(ShareName<'a>, &'a str)> {
        let (name, filter) = self.0.strip_prefix("$share/")?.split_once('/')?;
        Some((ShareName(name), filter))
    }

    /// The filter without its share prefix.
    pub fn plain(self) -> &'a str {
        self.share().map_or(self.0, |(_, filter)| filter)
    }

    /// Whether the filter can match more than one topic.
    pub fn has_wildcard(self) -> bool {
        memchr::memchr2(b'+', b'#', self.0.as_bytes()).is_some()
    }

    /// The levels of the filter without its share prefix; some may be empty.
    pub fn levels(self) -> impl DoubleEndedIterator<Item = &'a str> + Clone {
        self.plain().split('/')
    }
}

impl<'a> ShareName<'a> {
    /// The name as text.
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for ShareName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Wildcards stand alone in their level, `#` in the last one.
fn check_wildcards(filter: &str) -> Result<(), TopicError> {
    let bytes = filter.as_bytes();
    for at in memchr::memchr2_iter(b'+', b'#', bytes) {
        let opens = at == 0 || bytes[at - 1] == b'/';
        let ends = at + 1 == bytes.len();
        let closes = ends || bytes[at + 1] == b'/';
        // [V31-5-1], [MQTT-4.7.1-1 v5], [MQTT-4.7.1-2 v3.1.1]
        if bytes[at] == b'#' && !(opens && ends) {
            return Err(TopicError::Hash);
        }
        // [MQTT-4.7.1-2 v5], [MQTT-4.7.1-3 v3.1.1]
        if bytes[at] == b'+' && !(opens && closes) {
            return Err(TopicError::Plus);
        }
    }
    Ok(())
}

/// Whether `filter` (valid, without share prefix) matches `topic`: the plain reading of the
/// standard, for tests and rare checks; a broker asks its index.
pub fn matches(filter: &str, topic: &str) -> bool {
    // A wildcard in front never reaches $-topics [MQTT-4.7.2-1 v5] [MQTT-4.7.2-1 v3.1.1].
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic_levels = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match topic_levels.next() {
            Some(name) if level == "+" || level == name => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_no_wildcards_and_at_least_one_character() {
        assert!(TopicName::parse("a/b").is_ok());
        assert!(TopicName::parse("/").is_ok());
        assert!(TopicName::parse("Zürich/温度").is_ok());
        assert_eq!(TopicName::parse(""), Err(TopicError::Empty));
        assert_eq!(TopicName::parse("a/+"), Err(TopicError::Wildcard));
        assert_eq!(TopicName::parse("ü/#"), Err(TopicError::Wildcard));
        assert_eq!(TopicName::parse("a\u{1}"), Err(TopicError::ForbiddenCharacter));
        assert_eq!(TopicName::parse("+\u{0}"), Err(TopicError::ForbiddenCharacter));
        let long = "x".repeat(65_536);
        assert_eq!(TopicName::parse(&long), Err(TopicError::TooLong));
        assert!(TopicName::parse(&long[1..]).is_ok());
    }

    #[test]
    fn filters_hold_wildcards_in_their_places_only() {
        for ok in ["#", "+", "a/#", "+/+/#", "/", "/+", "a//b", "$SYS/#", "$share", "$shared/x"] {
            assert!(TopicFilter::parse(ok).is_ok(), "{ok}");
        }
        for bad in ["a#", "#/a", "a/#/b", "a/b#", "##"] {
            assert_eq!(TopicFilter::parse(bad), Err(TopicError::Hash), "{bad}");
        }
        for bad in ["a+", "+a", "a/b+/c", "++"] {
            assert_eq!(TopicFilter::parse(bad), Err(TopicError::Plus), "{bad}");
        }
        assert_eq!(TopicFilter::parse(""), Err(TopicError::Empty));
        assert_eq!(TopicFilter::parse("a\u{7f}"), Err(TopicError::ForbiddenCharacter));
    }

    #[test]
    fn a_share_has_a_name_and_a_filter() {
        let filter = TopicFilter::parse("$share/g/a/+").expect("valid");
        assert_eq!(filter.share(), Some((ShareName("g"), "a/+")));
        assert_eq!(filter.levels().collect::<alloc::vec::Vec<_>>(), ["a", "+"]);
        assert_eq!(TopicFilter::parse("$share/g//").map(TopicFilter::plain), Ok("/"));
        assert_eq!(TopicFilter::parse("$share").map(TopicFilter::share), Ok(None));
        for bad in ["$share/", "$share//a", "$share/+/a", "$share/g#/a", "$share/a+"] {
            assert_eq!(TopicFilter::parse(bad), Err(TopicError::ShareName), "{bad}");
        }
        for bad in ["$share/g", "$share/g/"] {
            assert_eq!(TopicFilter::parse(bad), Err(TopicError::ShareFilter), "{bad}");
        }
        assert_eq!(TopicFilter::parse("$share/g/a#"), Err(TopicError::Hash));
    }

    #[test]
    fn matching_reads_as_the_standard_says() {
        for (filter, topic) in [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("#", "a"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("$SYS/#", "$SYS/"),
            ("$SYS/monitor/+", "$SYS/monitor/Clients"),
            ("+", ""),
        ] {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        // [MQTT-4.7.2-1 v5], [MQTT-4.7.2-1 v3.1.1]
        for (filter, topic) in [
            ("sport/tennis/+", "sport/tennis/player1/ranking"),
            ("sport/+", "sport"),
            ("+", "/finance"),
            ("#", "$SYS/x"),
            ("+/monitor/Clients", "$SYS/monitor/Clients"),
            ("a/b", "a"),
            ("A", "a"),
        ] {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
    }
}
