//! A client, a hostile server, time and crashes, in any order.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| noctule_fuzz::client::run(bytes));
