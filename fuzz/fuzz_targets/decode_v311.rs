//! Bytes of an MQTT 3.1.1 connection, as the other end might send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use noctule_proto::Version;

fuzz_target!(|bytes: &[u8]| noctule_fuzz::decode::run(Version::V311, bytes));
