//! Everything that tests more than one crate.
