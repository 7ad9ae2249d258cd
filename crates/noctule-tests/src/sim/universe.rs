//! The topics, filters and groups of the simulated world.

/// Names, and what matches what by the plain reading of the standard.
#[derive(Debug)]
pub(crate) struct Universe {
    pub(crate) topics: Vec<String>,
    pub(crate) filters: Vec<Filter>,
    /// Name and filter of each share group.
    pub(crate) groups: Vec<(&'static str, &'static str)>,
    /// Somebody replays this seed and wants to read along.
    pub(crate) traced: bool,
    matching: Vec<Vec<bool>>,
}

/// A filter that clients may use.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) text: String,
    /// The share group.
    pub(crate) group: Option<usize>,
    /// Deliveries by it can be told from others without a subscription identifier.
    pub(crate) plain: bool,
}

/// Topics of ordinary messages.
const ORDINARY: [&str; 5] = ["t/0", "t/1", "t/2", "t/0/x", "t/1/x"];
/// Topics of retained messages.
const RETAINED: [&str; 4] = ["r/0", "r/1", "r/0/x", "$r/2"];
/// Topics that share groups receive.
const SHARED: [&str; 2] = ["s/0", "s/1"];
const FILTERS: [&str; 14] = [
    "t/0", "t/1", "t/+", "t/#", "t/0/#", "t/+/x", "r/#", "r/+", "r/0", "$r/#", "w/#", "w/+", "#",
    "+/0",
];
const GROUPS: [(&str, &str); 3] = [("g", "s/#"), ("g", "s/0"), ("h", "s/+")];

impl Universe {
    pub(crate) fn new(clients: usize, traced: bool) -> Universe {
        let fixed = ORDINARY.iter().chain(&RETAINED).chain(&SHARED);
        let mut topics: Vec<String> = fixed.map(|topic| (*topic).to_owned()).collect();
        topics.extend((0..clients).map(|client| format!("w/{client}")));
        let mut filters: Vec<Filter> = FILTERS
            .iter()
            .map(|text| Filter {
                text: (*text).to_owned(),
                group: None,
                plain: !text.starts_with(['#', '+']),
            })
            .collect();
        filters.extend(GROUPS.iter().enumerate().map(|(group, (name, filter))| Filter {
            text: format!("$share/{name}/{filter}"),
            group: Some(group),
            plain: false,
        }));
        let plain = |filter: &Filter| {
            filter.group.map_or_else(|| filter.text.clone(), |group| GROUPS[group].1.to_owned())
        };
        let matching = filters
            .iter()
            .map(|filter| topics.iter().map(|topic| matches(&plain(filter), topic)).collect())
            .collect();
        let groups = GROUPS.to_vec();
        Universe { topics, filters, groups, traced, matching }
    }

    pub(crate) fn matches(&self, filter: usize, topic: usize) -> bool {
        self.matching[filter][topic]
    }

    pub(crate) fn ordinary(&self) -> std::ops::Range<usize> {
        0..ORDINARY.len()
    }

    pub(crate) fn retained(&self) -> std::ops::Range<usize> {
        ORDINARY.len()..ORDINARY.len() + RETAINED.len()
    }

    pub(crate) fn shared(&self) -> std::ops::Range<usize> {
        let start = ORDINARY.len() + RETAINED.len();
        start..start + SHARED.len()
    }

    pub(crate) fn will_of(&self, client: usize) -> usize {
        self.shared().end + client
    }

    /// A filter by its text.
    pub(crate) fn filter(&self, text: &str) -> usize {
        self.filters.iter().position(|filter| filter.text == text).expect("one of the filters")
    }
}

/// [MQTT-4.7.1-1 v5] to [MQTT-4.7.3-4 v5], written anew so that it can disagree.
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['#', '+']) {
        return false;
    }
    let (filter, topic): (Vec<&str>, Vec<&str>) =
        (filter.split('/').collect(), topic.split('/').collect());
    for (at, level) in filter.iter().enumerate() {
        match *level {
            "#" => return true,
            "+" if at < topic.len() => {}
            name if topic.get(at) == Some(&name) => {}
            _ => return false,
        }
    }
    filter.len() == topic.len()
}
