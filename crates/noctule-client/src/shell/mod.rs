//! The pure session on a tokio runtime: one task for each connection, and handles to it.
//!
//! ```text
//! Client ──Command──▶ Driver (Session + socket) ──Message──▶ Subscription
//!        ◀──reply────                            Gauge: how many messages lie unread
//! ```
//!
//! A driver writes once per turn. It stops reading when too many messages lie unread, so that a
//! slow application slows the server instead of filling memory; but it reads on while requests
//! wait for their answers, because these come behind the messages.

mod client;
mod driver;
mod failure;
mod gauge;
mod routes;
mod subscription;

pub use client::{Client, Receipt};
pub use subscription::Subscription;
