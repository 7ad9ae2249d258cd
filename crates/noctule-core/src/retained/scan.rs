//! How a filter walks through topics ordered by their bytes: which one matches, and where the next
//! that might match would lie.
//!
//! A subtree is contiguous: all that begins with `a/b/`. Passing it means going on at `a/b0`, as
//! `0` is the character after `/`. The topic `a/b` itself need not be next to it: `a/b!` lies
//! between.

/// A filter to walk with.
pub(super) struct Pattern<'a> {
    levels: Vec<&'a [u8]>,
    /// The topics below the last level match, and the level above it.
    hash: bool,
    /// The first level is a wildcard.
    wild: bool,
}

/// What to do about a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// It matches. Go on at the next.
    Match,
    /// It does not match. Go on at the next.
    Next,
    /// It does not match, nor does any before the bound given.
    Seek,
    /// Neither it nor any after it matches.
    Done,
}

impl<'a> Pattern<'a> {
    /// `filter` is valid.
    pub(super) fn new(filter: &'a str) -> Pattern<'a> {
        let mut levels: Vec<&[u8]> = filter.as_bytes().split(|&byte| byte == b'/').collect();
        let hash = levels.last() == Some(&b"#".as_slice());
        if hash {
            levels.pop();
        }
        Pattern { levels, hash, wild: filter.starts_with(['+', '#']) }
    }

    /// No topic before this one matches.
    pub(super) fn start(&self) -> Vec<u8> {
        let mut start = Vec::new();
        self.append_literals(0, &mut start);
        start
    }

    /// Judges a topic. The bound of [`Step::Seek`] is left in `seek`; it lies after the topic.
    pub(super) fn judge(&self, topic: &[u8], seek: &mut Vec<u8>) -> Step {
        // A wildcard as first level does not match a topic that begins with `$`
        // [MQTT-4.7.2-1 v5].
        if self.wild && topic.first() == Some(&b'$') {
            seek.clear();
            seek.push(b'$' + 1);
            return Step::Seek;
        }
        let mut start = 0;
        // End of the last level that a `+` took.
        let mut plus_end = None;
        for (at, &level) in self.levels.iter().enumerate() {
            if start > topic.len() {
                // The filter has more levels. What comes next may be the first topic below.
                return Step::Next;
            }
            let len = topic[start..].iter().position(|&byte| byte == b'/');
            let end = start + len.unwrap_or(topic.len() - start);
            if level == b"+" {
                plus_end = Some(end);
            } else if level != &topic[start..end] {
                return self.seek_literal(topic, (at, start), plus_end, seek);
            }
            start = end + 1;
        }
        if self.hash || start > topic.len() {
            return Step::Match;
        }
        // The topic has more levels, and so have all in its subtree.
        pass_subtree(topic, start - 1, seek)
    }

    /// The level `at`, which begins at `start`, is a literal and not that of the topic.
    fn seek_literal(
        &self,
        topic: &[u8],
        (at, start): (usize, usize),
        plus_end: Option<usize>,
        seek: &mut Vec<u8>,
    ) -> Step {
        seek.clear();
        seek.extend_from_slice(&topic[..start]);
        self.append_literals(at, seek);
        if &**seek > topic {
            return Step::Seek;
        }
        // `a` lies before the topic `a!`; if `#` follows, what is below `a` may lie after it.
        if self.hash && !self.levels[at..].contains(&b"+".as_slice()) {
            seek.push(b'/');
            if &**seek > topic {
                return Step::Seek;
            }
        }
        // Nothing more where the `+` is what it is now.
        match plus_end {
            Some(end) => pass_subtree(topic, end, seek),
            None => Step::Done,
        }
    }

    /// Appends the literals from level `at` to the next `+`, and the separators within and, if a
    /// level must follow, behind them: what every match begins with.
    fn append_literals(&self, at: usize, to: &mut Vec<u8>) {
        for (number, &level) in self.levels.iter().enumerate().skip(at) {
            if level == b"+" {
                return;
            }
            to.extend_from_slice(level);
            if number + 1 < self.levels.len() {
                to.push(b'/');
            }
        }
    }
}

/// To the first topic after all those that begin with `topic[..end]` and a separator.
fn pass_subtree(topic: &[u8], end: usize, seek: &mut Vec<u8>) -> Step {
    seek.clear();
    seek.extend_from_slice(&topic[..end]);
    seek.push(b'/' + 1);
    Step::Seek
}
