//! The options of a listener that speaks TLS.

use super::super::tls::{ClientCertificates, TlsDraft, TlsVersion, UserNameFrom};
use super::super::value::{Choice, ChoiceOrNone, Text};
use super::{Opt, text};

/// What may be taken for a user name.
const USER_NAMES: &[(&str, UserNameFrom)] = &[
    ("nothing", UserNameFrom::Nothing),
    ("common_name", UserNameFrom::CommonName),
    ("subject", UserNameFrom::Subject),
    ("alternative_name", UserNameFrom::AlternativeName),
];

/// The options of `[listener.tls]`.
pub(in crate::config) const TLS: &[Opt<TlsDraft>] = &[
    opt!(
        "certificate",
        "The server's certificate (PEM), followed by those between it and the CA. A relative path \
         begins at the folder of this file. Changed files are read again within seconds.",
        |t| text(&mut t.certificate)
    ),
    opt!("key", "Its private key (PEM: PKCS#8, PKCS#1 or SEC1, not encrypted).", |t| text(
        &mut t.key
    )),
    opt!(
        "client_ca",
        "CAs of the clients' certificates: a file (PEM), or a folder of files. A certificate that \
         is in there itself is trusted too.",
        |t| text(&mut t.client_ca)
    ),
    opt!(
        "client_certificates",
        "Whether clients show certificates: \"none\", \"optional\" or \"required\". With a \
         `client_ca`: \"required\"; without: \"none\".",
        |t| Box::new(ChoiceOrNone {
            slot: &mut t.client_certificates,
            words: &[
                ("none", ClientCertificates::None),
                ("optional", ClientCertificates::Optional),
                ("required", ClientCertificates::Required),
            ],
        })
    ),
    opt!(
        "user_name_from",
        "What a client's certificate says about it: \"nothing\" (it logs in as others do), or \
         \"common_name\", \"subject\" (like \"CN=ann,O=Acme\") or \"alternative_name\" (the first \
         host, mailbox or URI): that is its user name, and it needs no password.",
        |t| Box::new(Choice { slot: &mut t.user_name_from, words: USER_NAMES })
    ),
    opt!(
        "bind_client_id",
        "Whether a client's id has to be the name that its certificate gives it.",
        |t| Box::new(&mut t.bind_client_id)
    ),
    opt!(
        "crl",
        "Certificates of clients that were taken back: revocation lists (PEM), one for each CA \
         that has any.",
        |t| text(&mut t.crl)
    ),
    opt!(
        "minimum_version",
        "The oldest version that is spoken: \"1.2\" or \"1.3\".",
        |t| Box::new(Choice {
            slot: &mut t.minimum_version,
            words: &[("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)],
        })
    ),
    opt!(
        "ciphers",
        "Cipher suites, separated by colons, by the names of OpenSSL or IANA. Empty: all that \
         rustls has. A version of which none is named keeps its own.",
        |t| Box::new(Text {
            slot: &mut t.ciphers,
            check: |text| {
                let names = text.split([':', ',', ' ']).filter(|name| !name.is_empty());
                let unknown = names.map(noctule_tls::CipherSuite::by_name).find_map(Result::err);
                unknown.map_or(Ok(()), |error| Err(error.to_string()))
            },
        })
    ),
];
