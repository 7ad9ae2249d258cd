//! Topic filters and names: parsing never panics, and the matcher agrees with a plain one.

use noctule_proto::topic::matches;
use noctule_proto::{TopicFilter, TopicName};

/// The first line is a filter, the second a name.
pub fn run(text: &str) {
    let (filter, name) = text.split_once('\n').unwrap_or((text, text));
    let filter = TopicFilter::parse(filter);
    let name = TopicName::parse(name);
    let (Ok(filter), Ok(name)) = (filter, name) else { return };
    if name.is_empty() {
        // A name that a topic alias stands for; it is never matched.
        return;
    }
    let plain = filter.plain();
    assert!(!plain.is_empty(), "a filter has one character at least");
    assert!(!name.as_str().contains(['+', '#', '\0']), "a name holds no wildcard");
    if let Some((share, rest)) = filter.share() {
        assert!(!share.as_str().is_empty() && !share.as_str().contains(['/', '+', '#']));
        assert_eq!(filter.as_str(), format!("$share/{}/{rest}", share.as_str()));
    }
    let expected = matches_plainly(plain, name.as_str());
    assert_eq!(matches(plain, name.as_str()), expected, "{plain:?} and {name:?}");
}

/// Level by level, as the standard tells it.
fn matches_plainly(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let levels: Vec<&str> = name.split('/').collect();
    let wanted: Vec<&str> = filter.split('/').collect();
    for (at, want) in wanted.iter().enumerate() {
        match (*want, levels.get(at)) {
            ("#", _) => return true,
            (_, None) => return false,
            ("+", Some(_)) => {}
            (want, Some(level)) if want == *level => {}
            (_, Some(_)) => return false,
        }
    }
    wanted.len() == levels.len()
}
