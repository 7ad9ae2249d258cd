//! Bad inputs of every kind, each with its exact answer, told by the programs that people have:
//! openssl, paho-mqtt, mosquitto's client, and ours.

#[allow(dead_code, reason = "shared with tests that need all of it")]
#[path = "../tls/broker.rs"]
mod broker;
#[allow(dead_code, reason = "shared with tests that need all of it")]
#[path = "../tls/pki.rs"]
mod pki;
mod programs;
#[allow(dead_code, reason = "shared with tests that need all of it")]
#[path = "../identity/signer.rs"]
mod signer;

mod certificates;
mod files;
mod tokens;
