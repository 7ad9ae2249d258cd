//! Headers of the PROXY protocol: however much of one has come, it says the same.

use crate::script::Script;
use noctule_server::config::ProxyVersion;
use noctule_server::fuzz::proxy_header;

/// Every beginning as long as this is looked at, and some longer ones.
const PREFIX_MAX: usize = 160;
const STEP: usize = 61;

/// Takes the first byte for the version, and the others for what a proxy sends.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let version = [ProxyVersion::V1, ProxyVersion::V2][script.below(2)];
    let bytes = script.rest();
    let whole = proxy_header(bytes, version);
    if let Ok(Some((_, len))) = &whole {
        assert!((1..=bytes.len()).contains(len), "its length is that of what is there");
    }
    let lengths = (0..bytes.len()).filter(|len| *len < PREFIX_MAX || len % STEP == 0);
    for len in lengths {
        match proxy_header(&bytes[..len], version) {
            Ok(None) => {}
            Ok(Some(found)) => {
                assert!(found.1 <= len, "its length is that of what is there");
                assert_eq!(whole.as_ref(), Ok(&Some(found)), "what follows says nothing of it");
            }
            Err(_) => assert!(whole.is_err(), "a header does not become good by more bytes"),
        }
        if let Ok(Some((_, end))) = &whole {
            let found = proxy_header(&bytes[..len], version);
            assert_eq!(len >= *end, matches!(found, Ok(Some(_))), "it is there once it is whole");
        }
    }
}
