//! Flags of TLS.

use super::{ALL, Flag, Group, Outcome, Takes, flag};
use crate::tools::settings::Settings;

pub(super) const TABLE: &[Flag] = &[
    value(
        "FILE",
        "--cafile argument given but no file specified.",
        |settings, value| keep(&mut settings.security.ca_file, value),
        "Certificates (PEM) of the authorities to trust; switches TLS on.",
    )
    .long("cafile"),
    value(
        "FOLDER",
        "--capath argument given but no directory specified.",
        |settings, value| keep(&mut settings.security.ca_path, value),
        "A folder of such files; switches TLS on.",
    )
    .long("capath"),
    flag(
        ALL,
        Group::Tls,
        Takes::Nothing(|settings| on(&mut settings.security.system_roots)),
        "Trust the authorities that the system trusts; switches TLS on.",
    )
    .long("tls-use-os-certs"),
    value(
        "FILE",
        "--cert argument given but no file specified.",
        |settings, value| keep(&mut settings.security.certificate, value),
        "Certificate (PEM) of this client, where the broker asks for one.",
    )
    .long("cert"),
    value(
        "FILE",
        "--key argument given but no file specified.",
        |settings, value| keep(&mut settings.security.key, value),
        "Private key (PEM) of this client.",
    )
    .long("key"),
    value(
        "FORM",
        "--keyform argument given but no keyform specified.",
        |settings, value| keep(&mut settings.security.key_form, value),
        "Kind of the key: pem. (engine is a word of OpenSSL, which is not used here.)",
    )
    .long("keyform"),
    value(
        "LIST",
        "--ciphers argument given but no ciphers specified.",
        |settings, value| keep(&mut settings.security.ciphers, value),
        "Cipher suites to allow, a : between them.",
    )
    .long("ciphers"),
    value(
        "VERSION",
        "--tls-version argument given but no version specified.",
        |settings, value| keep(&mut settings.security.version, value),
        "Oldest version of TLS to accept: tlsv1.2 or tlsv1.3.",
    )
    .long("tls-version"),
    value(
        "PROTOCOL",
        "--tls-alpn argument given but no protocol specified.",
        |settings, value| keep(&mut settings.security.alpn, value),
        "Protocol to ask for in the handshake (ALPN).",
    )
    .long("tls-alpn"),
    flag(
        ALL,
        Group::Tls,
        Takes::Nothing(|settings| on(&mut settings.security.insecure)),
        "Do not check that the certificate of the broker is for this host: whoever has any of the \
         same authorities is believed.",
    )
    .long("insecure"),
    flag(
        ALL,
        Group::Tls,
        Takes::Nothing(|settings| on(&mut settings.security.off)),
        "No TLS, not even where another flag or port 8883 asks for it.",
    )
    .long("no-tls"),
    value(
        "FILE",
        "--tls-keylog argument given but no file specified.",
        |settings, value| keep(&mut settings.security.key_log, value),
        "Append the secrets of each connection to a file, for Wireshark.",
    )
    .long("tls-keylog"),
    value(
        "KEY",
        "--psk argument given but no key specified.",
        |settings, value| keep(&mut settings.security.shared_key, value),
        "A key in hexadecimal that broker and client share. (Not available in this program.)",
    )
    .long("psk"),
    value(
        "NAME",
        "--psk-identity argument given but no identity specified.",
        |settings, value| keep(&mut settings.security.shared_key_identity, value),
        "The name that goes with --psk.",
    )
    .long("psk-identity"),
    value(
        "ENGINE",
        "--tls-engine argument given but no engine_id specified.",
        |settings, value| keep(&mut settings.security.engine, value),
        "An engine of OpenSSL. (Not available in this program.)",
    )
    .long("tls-engine"),
    value(
        "SHA1",
        "--tls-engine-kpass-sha1 argument given but no kpass sha1 specified.",
        |settings, value| keep(&mut settings.security.engine_password_sha1, value),
        "Checksum of the engine's password. (Not available in this program.)",
    )
    .long("tls-engine-kpass-sha1"),
];

const fn value(
    name: &'static str,
    missing: &'static str,
    set: fn(&mut Settings, &[u8]) -> Outcome,
    help: &'static str,
) -> Flag {
    flag(ALL, Group::Tls, Takes::Value { name, missing, set }, help)
}

fn keep(place: &mut Option<Vec<u8>>, value: &[u8]) -> Outcome {
    *place = Some(value.to_vec());
    Ok(())
}

fn on(place: &mut bool) -> Outcome {
    *place = true;
    Ok(())
}
