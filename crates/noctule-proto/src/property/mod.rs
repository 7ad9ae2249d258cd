//! Properties of MQTT 5.0.
//!
//! A packet decodes its own properties into fields; what travels through a broker unchanged stays
//! in its encoded form and is copied, never parsed into values ([`OtherProperties`],
//! [`UserProperties`], [`SubscriptionIds`]).

mod builder;
mod id;
mod reader;
mod section;

pub use builder::{PropertiesBuf, UserPropertiesBuf, ValueError};
pub use id::PropertyId;
pub(crate) use reader::{Context, PropertyReader, Span};
pub use section::{OtherProperties, SubscriptionIds, UserProperties, Users};
