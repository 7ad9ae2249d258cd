//! Everything a broker can be told, in any order.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| noctule_fuzz::broker::run(bytes));
