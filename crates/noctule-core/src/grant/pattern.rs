//! The topics a rule is about: a topic filter that may name the client.

use noctule_proto::topic::{TopicError, TopicFilter};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// Who asks, as far as patterns know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Who<'a> {
    /// Its client id, for `%c`.
    pub client_id: &'a str,
    /// Its user name, for `%u`.
    pub user_name: Option<&'a str>,
}

/// Which `%c` (client id) and `%u` (user name) of a filter stand for who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placeholders {
    /// None: they are characters like others.
    Literal,
    /// Those that are a whole level, as in mosquitto's `pattern` lines.
    WholeLevel,
    /// All.
    Anywhere,
}

/// A topic filter in which parts may stand for who asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    text: Box<str>,
    pieces: Box<[Piece]>,
}

/// Pieces are matched one after the other, none twice: what a text does not match, no other way of
/// cutting the topic would.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Piece {
    /// These bytes of the pattern, level separators among them.
    Text(Range<u32>),
    /// The client id.
    Client,
    /// The user name.
    User,
    /// One level: `+`.
    Level,
    /// Everything from here on: `#`, with the separator before it.
    Rest,
    /// Everything: `#` alone.
    All,
    /// The filter that is spelled like the whole pattern, and no other.
    Spelled,
    /// Every filter with wildcards.
    Wild,
}

/// The text is no pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatternError {
    /// No topic filter.
    Filter(TopicError),
    /// It names a share: rules are about the topics behind it.
    Share,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatternError::Filter(error) => error.fmt(f),
            PatternError::Share => f.write_str("rules are about topics: leave $share/NAME/ out"),
        }
    }
}

impl std::error::Error for PatternError {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Pattern {
    /// Parses a filter.
    ///
    /// # Errors
    /// It is no topic filter, or has a share name.
    pub fn parse(text: &str, placeholders: Placeholders) -> Result<Pattern, PatternError> {
        let filter = TopicFilter::parse(text).map_err(PatternError::Filter)?;
        if filter.share().is_some() {
            return Err(PatternError::Share);
        }
        Ok(Pattern::of(text, placeholders))
    }

    /// The same, and a share is a text like others: for rules about filters as they are written.
    ///
    /// # Errors
    /// It is no topic filter.
    pub fn parse_whole(text: &str, placeholders: Placeholders) -> Result<Pattern, PatternError> {
        // A rule may be about any share: `$share/+/a`, which no client can subscribe to.
        let plain = text.strip_prefix('$').filter(|it| it.starts_with("share/")).unwrap_or(text);
        TopicFilter::parse(plain).map_err(PatternError::Filter)?;
        Ok(Pattern::of(text, placeholders))
    }

    fn of(text: &str, placeholders: Placeholders) -> Pattern {
        let mut pieces = Vec::new();
        let mut at = 0;
        for level in text.split('/') {
            match level {
                "#" if pieces.is_empty() => pieces.push(Piece::All),
                "#" => {
                    // The separator before it belongs to it: `a/#` is about `a` too.
                    if let Some(Piece::Text(before)) = pieces.last_mut() {
                        before.end -= 1;
                    }
                    pieces.push(Piece::Rest);
                }
                "+" => pieces.push(Piece::Level),
                level => {
                    let whole = matches!(level, "%c" | "%u");
                    let replaced = match placeholders {
                        Placeholders::Literal => false,
                        Placeholders::WholeLevel => whole,
                        Placeholders::Anywhere => true,
                    };
                    of_level(&mut pieces, (level, at), replaced);
                }
            }
            at += level.len() as u32;
            if (at as usize) < text.len() && level != "#" {
                push_text(&mut pieces, at..at + 1);
            }
            at += 1;
        }
        pieces.retain(|piece| !matches!(piece, Piece::Text(range) if range.is_empty()));
        Pattern { text: text.into(), pieces: pieces.into() }
    }

    /// About the filter that is spelled like this, wildcards and all, and about nothing else.
    #[must_use]
    pub fn spelled(text: &str) -> Pattern {
        Pattern { text: text.into(), pieces: [Piece::Spelled].into() }
    }

    /// About all filters with wildcards, wherever they begin.
    #[must_use]
    pub fn wild() -> Pattern {
        Pattern { text: "+, #".into(), pieces: [Piece::Wild].into() }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is about this topic.
    #[inline]
    #[must_use]
    pub fn matches(&self, topic: &str, who: Who<'_>) -> bool {
        self.covers(topic, who)
    }

    /// Whether it is about every topic that this filter matches. A filter it does not include may
    /// match some of its topics.
    #[must_use]
    pub fn includes(&self, filter: &str, who: Who<'_>) -> bool {
        self.covers(filter, who)
    }

    /// Whether the client id is a part of it.
    #[must_use]
    pub fn names_client(&self) -> bool {
        self.pieces.contains(&Piece::Client)
    }

    /// Whether the user name is a part of it.
    #[must_use]
    pub fn names_user(&self) -> bool {
        self.pieces.contains(&Piece::User)
    }

    /// A filter is included as a topic is matched: its `+` is a level that no text equals, and its
    /// `#` is more than one level.
    fn covers(&self, all: &str, who: Who<'_>) -> bool {
        // [MQTT-4.7.2-1 v5]: nothing but a literal begins such a topic.
        if all.starts_with('$') {
            let first = self.pieces.first();
            let literal = first.and_then(|piece| self.literal(piece));
            let begins = literal.is_some_and(|text| text.starts_with('$'));
            if !begins && first != Some(&Piece::Wild) {
                return false;
            }
        }
        let mut rest = all;
        for piece in &self.pieces {
            let expected = match piece {
                Piece::Text(_) => self.literal(piece),
                Piece::Client => named(Some(who.client_id)),
                Piece::User => named(who.user_name),
                Piece::Level => {
                    let end = rest.bytes().position(|byte| byte == b'/').unwrap_or(rest.len());
                    if &rest[..end] == "#" {
                        return false;
                    }
                    rest = &rest[end..];
                    continue;
                }
                Piece::Rest => return rest.is_empty() || rest.starts_with('/'),
                Piece::All => return true,
                Piece::Spelled => return *self.text == *all,
                Piece::Wild => return all.split('/').any(|level| matches!(level, "+" | "#")),
            };
            match expected.and_then(|text| rest.strip_prefix(text)) {
                Some(left) => rest = left,
                None => return false,
            }
        }
        rest.is_empty()
    }

    fn literal(&self, piece: &Piece) -> Option<&str> {
        match piece {
            Piece::Text(range) => self.text.get(range.start as usize..range.end as usize),
            Piece::Spelled => Some(&self.text),
            Piece::Client | Piece::User | Piece::Level | Piece::Rest | Piece::All => None,
            Piece::Wild => None,
        }
    }
}

/// What a placeholder stands for. A name with wildcards in it would be a wildcard in the pattern,
/// and an empty one nobody's: no rule is about them.
fn named(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.is_empty() && !name.bytes().any(|byte| matches!(byte, b'+' | b'#')))
}

/// A level without wildcards, which begins at `at`.
fn of_level(pieces: &mut Vec<Piece>, (level, at): (&str, u32), replaced: bool) {
    let mut from = 0;
    while replaced && let Some(found) = level[from..].find('%') {
        let place = from + found;
        let piece = match level.as_bytes().get(place + 1) {
            Some(b'c') => Piece::Client,
            Some(b'u') => Piece::User,
            _ => {
                push_text(pieces, at + from as u32..at + place as u32 + 1);
                from = place + 1;
                continue;
            }
        };
        push_text(pieces, at + from as u32..at + place as u32);
        pieces.push(piece);
        from = place + 2;
    }
    push_text(pieces, at + from as u32..at + level.len() as u32);
}

/// Neighbouring texts are one.
fn push_text(pieces: &mut Vec<Piece>, range: Range<u32>) {
    match pieces.last_mut() {
        Some(Piece::Text(last)) if last.end == range.start => last.end = range.end,
        _ if range.is_empty() => {}
        _ => pieces.push(Piece::Text(range)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Who<'_> = Who { client_id: "c1", user_name: Some("ann") };

    fn covers(pattern: &str, all: &str) -> bool {
        Pattern::parse(pattern, Placeholders::Anywhere).unwrap().matches(all, ANN)
    }

    #[test]
    fn patterns_match_as_filters_do() {
        for (pattern, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/bc", false),
            ("a/b", "a", false),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("+/x", "/x", true),
            ("+", "a/b", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("+/#", "a", true),
            ("+/+/#", "a", false),
            ("#", "a/b", true),
            ("#", "/", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("/#", "/", true),
            ("/#", "a", false),
            ("/+", "/a", true),
            ("+/+", "/", true),
        ] {
            assert_eq!(covers(pattern, topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn placeholders_stand_for_who_asks() {
        for (pattern, topic, expected) in [
            ("d/%c/x", "d/c1/x", true),
            ("d/%c/x", "d/c2/x", false),
            ("d/%c", "d/c11", false),
            ("d/dev-%c.%u/#", "d/dev-c1.ann", true),
            ("%u/%c", "ann/c1", true),
            ("100%/%u%", "100%/ann%", true),
            ("%%c", "%c1", true),
            ("%x", "%x", true),
        ] {
            assert_eq!(covers(pattern, topic), expected, "{pattern} {topic}");
        }
        let whole = Pattern::parse("%u/dev-%c", Placeholders::WholeLevel).unwrap();
        assert!(whole.matches("ann/dev-%c", ANN) && !whole.matches("ann/dev-c1", ANN));
        let literal = Pattern::parse("%u/%c", Placeholders::Literal).unwrap();
        assert!(literal.matches("%u/%c", ANN) && !literal.matches("ann/c1", ANN));
        assert!(!literal.names_client() && whole.names_user() && !whole.names_client());
    }

    #[test]
    fn names_that_are_empty_or_hold_wildcards_or_begin_with_a_dollar_fit_nothing() {
        let pattern = Pattern::parse("%c/#", Placeholders::Anywhere).unwrap();
        for client_id in ["", "+", "#", "a/+", "$SYS"] {
            let who = Who { client_id, user_name: None };
            let topic = format!("{client_id}/x");
            assert!(!pattern.matches(&topic, who), "{client_id}");
            assert!(!pattern.includes(&topic, who), "{client_id}");
        }
        let with_level = Who { client_id: "a/b", user_name: None };
        assert!(pattern.matches("a/b/x", with_level) && !pattern.matches("a/x", with_level));
    }

    #[test]
    fn a_filter_is_included_if_all_its_topics_are() {
        for (pattern, filter, expected) in [
            ("a/#", "a/#", true),
            ("a/#", "a", true),
            ("a/#", "a/+/b", true),
            ("a/#", "#", false),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/+/c", "a/b/c", true),
            ("a/b/c", "a/+/c", false),
            ("+", "#", false),
            ("#", "#", true),
            ("#", "$SYS/#", false),
            ("$SYS/#", "$SYS/+/x", true),
            ("d/%c/#", "d/c1/+", true),
            ("d/%c/#", "d/+/x", false),
        ] {
            assert_eq!(covers(pattern, filter), expected, "{pattern} {filter}");
        }
    }

    #[test]
    fn what_is_spelled_is_about_its_like_alone_and_the_wild_about_wildcards() {
        for (spelled, filter, same) in [
            ("a/+", "a/+", true),
            ("a/+", "a/b", false),
            ("a/#", "a", false),
            ("$SYS/#", "$SYS/#", true),
            ("%c", "c1", false),
            ("%c", "%c", true),
        ] {
            assert_eq!(Pattern::spelled(spelled).includes(filter, ANN), same, "{spelled} {filter}");
        }
        for (filter, has) in
            [("#", true), ("a/+/b", true), ("$SYS/#", true), ("a/b", false), ("$SYS/x", false)]
        {
            assert_eq!(Pattern::wild().includes(filter, ANN), has, "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let parse = |text| Pattern::parse(text, Placeholders::Anywhere);
        assert_eq!(parse("$share/g/a"), Err(PatternError::Share));
        let any = Pattern::parse_whole("$share/+/a/#", Placeholders::WholeLevel).unwrap();
        assert!(any.includes("$share/g/a/+", ANN) && !any.includes("a/b", ANN));
        assert!(Pattern::parse_whole("$share/+/a#", Placeholders::WholeLevel).is_err());
        for text in ["", "a#", "a/#/b", "a+"] {
            assert!(matches!(parse(text), Err(PatternError::Filter(_))), "{text}");
        }
    }
}
