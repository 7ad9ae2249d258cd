//! Both ends of a bridge, in any order.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| noctule_fuzz::bridge::run(bytes));
