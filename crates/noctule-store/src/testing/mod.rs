//! Disks for tests and the simulator, whose bad days are scripted.

mod chance;
mod disk;

pub use chance::Chance;
pub use disk::{Fault, SimDisk};
