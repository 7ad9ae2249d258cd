//! A request for a WebSocket and its frames, however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| noctule_fuzz::websocket::run(bytes));
