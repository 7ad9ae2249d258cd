//! The pure session on a tokio runtime: one task for each client, and handles to it.
//!
//! ```text
//! Connector ──start──▶ Client ──Command──▶ Driver (Session + Line) ──Message──▶ Subscription
//!                             ◀──reply────   │  Store, Backoff       Gauge: how many lie unread
//!                             ◀──State───────┘
//! ```
//!
//! A driver writes once per turn. It stops reading when too many messages lie unread, so that a
//! slow application slows the server instead of filling memory; but it reads on while requests
//! wait for their answers, because these come behind the messages. What it reads then it does not
//! acknowledge before the application has caught up, so that the server's window is the bound.

mod backoff;
mod client;
mod connector;
mod driver;
mod failure;
mod gauge;
mod request;
mod routes;
mod state;
mod store;
mod subscription;
mod tap;

pub use backoff::Reconnect;
pub use client::{Client, Receipt};
pub use connector::Connector;
pub use request::Requester;
pub use state::State;
pub use subscription::Subscription;
pub use tap::Tapped;
