//! What the fuzz targets have to say; `fuzz_targets/` holds only their entry points.
//!
//! Each function takes whatever it is given and panics where something that must hold does not.

pub mod bridge;
pub mod broker;
pub mod client;
pub mod config;
pub mod decode;
pub mod import;
pub mod proxy;
mod script;
pub mod topic;
pub mod websocket;
