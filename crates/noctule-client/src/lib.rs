//! An MQTT client for 3.1, 3.1.1 and 5.0: a pure state machine, and a thin async shell around it.
//!
//! ```text
//!   application
//!    │ Client: publish, subscribe, ...      ▲ Subscription: messages
//!    ▼                                      │
//!   shell      one tokio task a connection: socket, clock, who waits for what
//!    │ commands, bytes in, time             ▲ events, bytes out
//!    ▼                                      │
//!   Session    the protocol: no I/O, no clock; shares packets and hand-shakes with the broker
//! ```
//!
//! * [`Options`]  what CONNECT says; [`Message`], [`Subscribe`] what is asked
//! * [`Client`]   connects over TCP; [`Subscription`] receives; [`Receipt`] tells the end of a QoS
//! * [`Session`]  the same without a socket, for other runtimes, simulators, load generators
//! * [`Error`]    every failure in plain words, with what probably helps
//!
//! ```no_run
//! use noctule_client::{Client, Message, Options, QoS, Subscribe};
//!
//! # async fn example() -> Result<(), noctule_client::Error> {
//! let client = Client::connect("localhost:1883", Options::new("kitchen")).await?;
//! let mut all = client.subscribe(Subscribe::to("home/#", QoS::AtLeastOnce)).await?;
//! client.publish(Message::new("home/kitchen", "21.5").qos(QoS::AtLeastOnce)).await?;
//! if let Some(message) = all.recv().await {
//!     println!("{}: {:?}", message.topic, message.payload);
//! }
//! client.disconnect().await
//! # }
//! ```
//!
//! Without its default features the crate is the `Session` alone: `no_std` with `alloc`.
//!
//! Deliberately absent: anything of the broker.
#![cfg_attr(not(any(test, feature = "tokio")), no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

mod authenticator;
mod delivery;
mod error;
mod message;
#[cfg(feature = "tokio")]
pub mod net;
mod options;
#[cfg(feature = "scram")]
mod scram;
mod session;
#[cfg(feature = "tokio")]
mod shell;

pub use authenticator::{AuthError, Authenticator};
pub use delivery::{AckToken, Delivery};
pub use error::{Error, Failure, Field, Invalid, Layer, Notice, Violation};
pub use message::{Goodbye, Message, Subscribe, Unsubscribe};
pub use noctule_proto::packet::{PublishProperties, RetainHandling, SubscribeOptions};
pub use noctule_proto::property::{
    OtherProperties, PropertiesBuf, SubscriptionIds, UserProperties, UserPropertiesBuf, ValueError,
};
pub use noctule_proto::{
    DecodeError, PacketId, PacketType, QoS, ReasonCode, TopicError, TopicName, Version,
};
pub use options::{Acknowledge, Options, SEND_MAXIMUM_V3, Will};
#[cfg(feature = "scram")]
pub use scram::Scram;
pub use session::{Change, Connected, Event, Received, Session, Token};
#[cfg(feature = "tokio")]
pub use shell::{Client, Connector, Receipt, Reconnect, Requester, State, Subscription, Tapped};
