//! Cipher suites and what people call them.

use crate::TlsFileError;
use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite as ring;

/// A cipher suite with the name of IANA and that of OpenSSL.
#[derive(Clone, Copy, Debug)]
pub struct CipherSuite {
    suite: SupportedCipherSuite,
    names: [&'static str; 2],
}

/// All that there are, the best first.
const ALL: [CipherSuite; 9] = [
    of(ring::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384", "TLS13_AES_256_GCM_SHA384"),
    of(ring::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256", "TLS13_AES_128_GCM_SHA256"),
    of(
        ring::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS13_CHACHA20_POLY1305_SHA256",
    ),
    of(
        ring::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    of(
        ring::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ),
    of(
        ring::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ),
    of(
        ring::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    of(
        ring::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
    ),
    of(
        ring::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
    ),
];

const fn of(suite: SupportedCipherSuite, iana: &'static str, other: &'static str) -> CipherSuite {
    CipherSuite { suite, names: [iana, other] }
}

impl CipherSuite {
    /// The suite of this name, OpenSSL's or IANA's, in any case of letters.
    ///
    /// # Errors
    /// There is none; the error lists those there are.
    pub fn by_name(name: &str) -> Result<CipherSuite, TlsFileError> {
        let named = |suite: &&CipherSuite| suite.names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let found = ALL.iter().find(named).copied();
        found.ok_or_else(|| TlsFileError::UnknownCipherSuite {
            name: name.to_owned(),
            known: ALL.iter().map(CipherSuite::short_name).collect(),
        })
    }

    fn is_tls13(&self) -> bool {
        matches!(self.suite, SupportedCipherSuite::Tls13(_))
    }

    /// What people write most: IANA's name for TLS 1.3, that of OpenSSL for TLS 1.2.
    fn short_name(&self) -> &'static str {
        self.names[usize::from(!self.is_tls13())]
    }
}

/// The suites to offer: those chosen, and all of a version of which none is chosen.
#[must_use]
pub fn offered(chosen: &[CipherSuite]) -> Vec<SupportedCipherSuite> {
    let chosen_of = |tls13| chosen.iter().filter(move |suite| suite.is_tls13() == tls13);
    let mut offered = Vec::new();
    for tls13 in [true, false] {
        if chosen_of(tls13).next().is_some() {
            offered.extend(chosen_of(tls13).map(|suite| suite.suite));
        } else {
            let all = ALL.iter().filter(|suite| suite.is_tls13() == tls13);
            offered.extend(all.map(|suite| suite.suite));
        }
    }
    offered
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring::ALL_CIPHER_SUITES;

    #[test]
    fn every_suite_of_rustls_has_its_names() {
        assert_eq!(offered(&[]), ALL_CIPHER_SUITES);
        for suite in ALL {
            let code = format!("{:?}", suite.suite.suite());
            assert!(suite.names.contains(&code.as_str()), "{code}");
            for name in suite.names {
                let found = CipherSuite::by_name(&name.to_lowercase()).expect("a name of ours");
                assert_eq!(found.suite, suite.suite);
            }
        }
    }

    #[test]
    fn what_is_not_chosen_stays_only_in_the_other_version() {
        let rsa = CipherSuite::by_name("ECDHE-RSA-AES128-GCM-SHA256").expect("a name of ours");
        let both = offered(&[rsa]);
        assert_eq!(both.len(), 4);
        assert_eq!(both[3], rsa.suite);
        let new = CipherSuite::by_name("TLS_AES_128_GCM_SHA256").expect("a name of ours");
        assert_eq!(offered(&[new, rsa]), [new.suite, rsa.suite]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_list() {
        let error = CipherSuite::by_name("RC4-MD5").expect_err("an old one").to_string();
        assert!(error.contains("RC4-MD5") && error.contains("ECDHE-RSA-AES256-GCM-SHA384"));
        assert!(error.contains("TLS_CHACHA20_POLY1305_SHA256"), "{error}");
    }
}
