//! A filter and a name as text, a newline between them, against a matcher that is plain and slow.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| noctule_fuzz::topic::run(text));
