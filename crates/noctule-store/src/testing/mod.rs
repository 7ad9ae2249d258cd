//! Stores and disks for tests and the simulator, whose bad days are scripted.

mod chance;
mod disk;
mod faulty;

pub use chance::Chance;
pub use disk::{Fault, SimDisk};
pub use faulty::FaultyStore;
