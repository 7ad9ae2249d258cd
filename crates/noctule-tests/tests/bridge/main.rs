//! Bridges of real broker processes.
#![cfg(unix)]

mod brokers;
mod durable;
mod more;
mod passing;
mod triangle;
