//! Files of mosquitto: whatever the bytes, they are refused, or become records of a store.

use noctule_core::Time;
use noctule_server::import;

/// Bytes that a record and its message need in a file, at least.
const RECORD_BYTES: usize = 2;

/// Reads them as a file, and, if they are SQLite's, as the `-wal` beside itself.
pub fn run(bytes: &[u8]) {
    for wal in [None, Some(bytes)] {
        match import::parse(bytes, wal) {
            Ok(persisted) => {
                let plan = import::plan(&persisted, Time(1_700_000_000_000));
                let most = bytes.len() / RECORD_BYTES;
                assert!(plan.records.len() <= most, "records of what there is");
            }
            Err(error) => {
                let inside = error.offset.is_none_or(|at| at <= bytes.len() as u64);
                assert!(inside, "a fault lies in the file: {error:?}");
            }
        }
    }
}
