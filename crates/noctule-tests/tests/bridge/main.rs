//! Bridges of real broker processes.
#![cfg(unix)]

mod allowed;
mod beside_mosquitto;
mod brokers;
mod connecting;
mod durable;
mod manual;
mod passing;
mod telling;
mod triangle;
