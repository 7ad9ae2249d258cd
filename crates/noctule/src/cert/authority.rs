//! The development CA: made, or taken from its files if they belong together and still hold.

use super::files;
use super::leaf::{BACKDATED, Pair};
use anyhow::{Context, Result, anyhow, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use std::path::Path;
use time::{Duration, OffsetDateTime};
use x509_parser::asn1_rs::Tag;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;
use x509_parser::x509::X509Name;

/// Stem of the CA's files.
pub(super) const STEM: &str = "ca";

const VALID: Duration = Duration::days(3653);

/// Parts of a name that are read and written without loss, by their encoded identifiers: those of
/// X.520 (2.5.4.x), an e-mail address, a domain component.
const X520: [u8; 2] = [0x55, 4];
const EMAIL: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
const DOMAIN: [u8; 10] = [9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];

/// A CA that can sign.
pub(super) struct Authority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    /// Its name, encoded.
    pub(super) subject: Vec<u8>,
    pub(super) until: OffsetDateTime,
    /// Its files, if they have to be written.
    pub(super) made: Option<Pair>,
}

impl Authority {
    /// The CA of a directory; a new one, if there is none.
    pub(super) fn of(dir: &Path, now: OffsetDateTime) -> Result<Authority> {
        let [certificate, key] = files::pair(dir, STEM);
        match (files::is_there(&certificate)?, files::is_there(&key)?) {
            (false, false) => Authority::make(now),
            (true, true) => Authority::load(&certificate, &key, now),
            (true, false) => Err(alone(&certificate, &key)),
            (false, true) => Err(alone(&key, &certificate)),
        }
    }

    fn make(now: OffsetDateTime) -> Result<Authority> {
        let key = KeyPair::generate().context("cannot make the key of the CA")?;
        let mut params = CertificateParams::default();
        // Two CAs in one list of those that are trusted are told apart.
        let mark = params.key_identifier(&key);
        let mark: String = mark.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("noctule development CA {mark}"));
        params.not_before = now.saturating_sub(BACKDATED);
        params.not_after = now.saturating_add(VALID);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).context("cannot make the CA")?;
        let made = Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            until: params.not_after,
        };
        let parsed = x509_parser::parse_x509_certificate(certificate.der());
        let (_, parsed) = parsed.context("the CA that was just made cannot be read")?;
        let subject = parsed.subject().as_raw().to_vec();
        let until = params.not_after;
        Ok(Authority { issuer: Issuer::new(params, key), subject, until, made: Some(made) })
    }

    fn load(certificate: &Path, key: &Path, now: OffsetDateTime) -> Result<Authority> {
        let key_pair = read_key(key)?;
        let text = read(certificate)?;
        let (certificate, key) = (certificate.display(), key.display());
        let unreadable = || {
            anyhow!(
                "{certificate} holds no certificate in PEM that can be read: put the right one \
                 there, or choose another directory with --dir"
            )
        };
        let (_, pem) = parse_x509_pem(text.as_bytes()).map_err(|_| unreadable())?;
        let parsed = pem.parse_x509().map_err(|_| unreadable())?;
        check(&parsed, now).map_err(|why| {
            anyhow!(
                "{certificate} is of no use: {why:#}; choose another directory with --dir, or \
                 remove this CA, its key and what was made by it"
            )
        })?;
        if key_pair.subject_public_key_info() != parsed.public_key().raw {
            bail!(
                "{key} is not the key of {certificate}: put the right one there, or choose another \
                 directory with --dir"
            );
        }
        let issuer = Issuer::from_ca_cert_der(&pem.contents.as_slice().into(), key_pair);
        Ok(Authority {
            issuer: issuer.map_err(|_| unreadable())?,
            subject: parsed.subject().as_raw().to_vec(),
            until: parsed.validity().not_after.to_datetime(),
            made: None,
        })
    }
}

fn alone(there: &Path, missing: &Path) -> anyhow::Error {
    let (there, missing) = (there.display(), missing.display());
    anyhow!(
        "{there} is there, but {missing} is not: put it back, or choose another directory with \
         --dir"
    )
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn read_key(path: &Path) -> Result<KeyPair> {
    KeyPair::from_pem(&read(path)?).map_err(|_| {
        let path = path.display();
        anyhow!(
            "{path} holds no private key that can be read: put the right one there, or rewrite it \
             in PEM as PKCS #8 without a pass phrase: openssl pkcs8 -topk8 -nocrypt -in {path}"
        )
    })
}

/// Whether a certificate may sign others today.
fn check(certificate: &X509Certificate<'_>, now: OffsetDateTime) -> Result<()> {
    let validity = certificate.validity();
    let until = validity.not_after.to_datetime();
    if until <= now {
        bail!("it expired on {}", until.date());
    }
    let since = validity.not_before.to_datetime();
    if since > now {
        bail!("it is valid only from {} on", since.date());
    }
    let constraints = certificate.basic_constraints().context("its constraints are broken")?;
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        bail!("it is not the certificate of a CA");
    }
    let usage = certificate.key_usage().context("its key usage is broken")?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        bail!("its key may not sign certificates");
    }
    if !can_be_repeated(certificate.subject()) {
        bail!("its name has parts that cannot be repeated in other certificates");
    }
    Ok(())
}

/// Whether the name can be written again. rcgen panics over a part without attributes, an
/// identifier that cannot be, or a `?` in a `PrintableString`, and forgets the first of two parts
/// of one kind.
fn can_be_repeated(name: &X509Name<'_>) -> bool {
    let mut kinds: Vec<&[u8]> = Vec::new();
    name.iter().all(|part| {
        let mut attributes = part.iter();
        let (Some(attribute), None) = (attributes.next(), attributes.next()) else {
            return false;
        };
        let kind = attribute.attr_type().as_bytes();
        let first = !kinds.contains(&kind);
        kinds.push(kind);
        let x520 = kind.strip_prefix(&X520).is_some_and(|rest| matches!(rest, [0..128]));
        let value = attribute.attr_value();
        let printable = value.tag() != Tag::PrintableString || !value.data.contains(&b'?');
        first && printable && (x520 || kind == EMAIL || kind == DOMAIN)
    })
}

#[cfg(test)]
mod tests {
    use super::super::leaf::{Leaf, Lifetime};
    use super::*;
    use rcgen::{DnValue, date_time_ymd};

    type Change = fn(&mut CertificateParams);

    /// Files of a CA, in a directory that goes with them.
    struct Filed(tempfile::TempDir);

    impl Filed {
        fn new(certificate: &str, key: &str) -> Filed {
            let filed = Filed(tempfile::tempdir().unwrap());
            let [at, of_key] = files::pair(filed.0.path(), STEM);
            std::fs::write(at, certificate).unwrap();
            std::fs::write(of_key, key).unwrap();
            filed
        }

        /// Loads the CA and signs by it.
        fn used(&self) -> Result<Authority> {
            let lifetime = Lifetime::of_days(10);
            let authority = Authority::of(self.0.path(), lifetime.now)?;
            Leaf::Server(super::super::name::of_this_machine()).issue(&authority, &lifetime)?;
            Ok(authority)
        }

        fn refusal(&self) -> String {
            format!("{:#}", self.used().err().unwrap())
        }
    }

    fn ca(change: Change) -> Filed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        Filed::new(&params.self_signed(&key).unwrap().pem(), &key.serialize_pem())
    }

    #[test]
    fn another_ca_is_used_if_it_may_sign() {
        assert!(ca(|_| {}).used().unwrap().made.is_none());
        let named: Change = |params| {
            let name = &mut params.distinguished_name;
            name.push(DnType::CountryName, DnValue::PrintableString("DE".try_into().unwrap()));
            name.push(DnType::OrganizationName, "Bücher");
        };
        assert!(ca(named).used().is_ok());
    }

    #[test]
    fn a_ca_that_may_not_sign_is_refused_with_its_file_and_the_reason() {
        let cases: [(Change, &str); 6] = [
            (|params| params.not_after = date_time_ymd(2020, 2, 3), "it expired on 2020-02-03"),
            (|params| params.not_before = date_time_ymd(4000, 1, 1), "only from 4000-01-01 on"),
            (|params| params.is_ca = IsCa::ExplicitNoCa, "not the certificate of a CA"),
            (|params| params.is_ca = IsCa::NoCa, "not the certificate of a CA"),
            (|params| params.key_usages = vec![KeyUsagePurpose::CrlSign], "may not sign"),
            (
                |params| params.distinguished_name.push(DnType::CustomDnType(vec![1, 2, 3]), "x"),
                "cannot be repeated",
            ),
        ];
        for (change, why) in cases {
            let refusal = ca(change).refusal();
            assert!(refusal.contains("ca.crt is of no use: "), "{refusal}");
            assert!(refusal.contains(why) && refusal.contains("--dir"), "{refusal}");
        }
    }

    #[test]
    fn files_that_are_broken_or_do_not_belong_together_are_named() {
        let made = Authority::make(OffsetDateTime::now_utc()).unwrap().made.unwrap();
        let other = Authority::make(OffsetDateTime::now_utc()).unwrap().made.unwrap();
        for (certificate, key, told) in [
            (made.certificate.as_str(), other.key.as_str(), "ca.key is not the key of "),
            (&made.certificate, "", "ca.key holds no private key"),
            (&made.certificate, &made.certificate, "ca.key holds no private key"),
            ("", &made.key, "ca.crt holds no certificate"),
            (&made.certificate[..300], &made.key, "ca.crt holds no certificate"),
            (&made.key, &made.key, "ca.crt holds no certificate"),
        ] {
            let refusal = Filed::new(certificate, key).refusal();
            assert!(refusal.contains(told), "{refusal}");
        }
        for missing in files::pair(Path::new(""), STEM) {
            let filed = Filed::new(&made.certificate, &made.key);
            std::fs::remove_file(filed.0.path().join(&missing)).unwrap();
            let told = format!("{} is not: put it back", missing.display());
            assert!(filed.refusal().contains(&told));
        }
    }

    #[test]
    fn no_damage_to_a_ca_makes_it_panic() {
        let named: Change = |params| {
            let value = DnValue::PrintableString("DE".try_into().unwrap());
            params.distinguished_name.push(DnType::CountryName, value);
        };
        let filed = ca(named);
        for file in files::pair(filed.0.path(), STEM) {
            let text = std::fs::read_to_string(&file).unwrap();
            let (_, whole) = parse_x509_pem(text.as_bytes()).unwrap();
            for at in 0..whole.contents.len() {
                for damage in [0, 0x3f, 0x80, 0xff] {
                    let mut der = whole.contents.clone();
                    der[at] = damage;
                    std::fs::write(&file, pem(&whole.label, &der)).unwrap();
                    // It may be used all the same, or not; 0x3f is a `?`.
                    let _ = filed.used();
                }
            }
            std::fs::write(&file, text).unwrap();
        }
        assert!(filed.used().is_ok());
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der);
        format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
    }
}
