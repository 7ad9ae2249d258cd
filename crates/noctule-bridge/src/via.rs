//! Bridges that a message has passed: a user property each (5.0), so that what goes in a circle
//! ends.

use noctule_proto::property::{OtherProperties, PropertiesBuf};

/// The name of the user property.
pub(crate) const NAME: &str = "noctule-via";

/// The number of this run of the broker: no two alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stamp(Box<str>);

impl Stamp {
    /// Of this process.
    pub(crate) fn new() -> Stamp {
        // Without random numbers there is no telling brokers apart; the count still ends circles.
        let number = getrandom::u64().unwrap_or_default();
        Stamp(format!("{number:016x}").into())
    }

    /// The properties of a message that goes on; `None`: it has been here, or passed `hops_max`
    /// bridges already.
    pub(crate) fn put(
        &self,
        properties: OtherProperties<'_>,
        hops_max: u8,
    ) -> Option<PropertiesBuf> {
        let passed = properties.user_properties();
        let passed = passed.iter().filter(|(name, _)| *name == NAME);
        let mut hops = 0;
        for (_, stamp) in passed {
            hops += 1;
            if stamp == &*self.0 || hops >= usize::from(hops_max) {
                return None;
            }
        }
        let mut properties = PropertiesBuf::from(properties);
        // Name and number are short, and clean text.
        properties.user_property(NAME, &self.0).ok()?;
        Some(properties)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_passes_each_broker_once_and_so_many_bridges() {
        let brokers = [(); 4].map(|()| Stamp::new());
        let mut properties = PropertiesBuf::default();
        properties.user_property("shop", "7").unwrap();
        for broker in &brokers[..3] {
            properties = broker.put(properties.as_properties(), 3).unwrap();
        }
        let stamps = properties.as_properties();
        let names: Vec<_> = stamps.user_properties().iter().map(|it| it.0.to_owned()).collect();
        assert_eq!(names, ["shop", NAME, NAME, NAME]);
        assert!(brokers[0].put(stamps, 255).is_none());
        assert!(brokers[3].put(stamps, 3).is_none());
        assert!(brokers[3].put(stamps, 4).is_some());
    }
}
