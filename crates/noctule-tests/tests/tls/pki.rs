//! Certificates of every kind, good and bad, as files.

use anyhow::{Context, Result};
use noctule_tests::process::target_directory;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A folder with a CA and what it has issued.
pub(crate) struct Pki {
    folder: PathBuf,
    ca: CertifiedIssuer<'static, KeyPair>,
    issued: u64,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    Expired,
    NotYetValid,
    /// It is for the other side.
    Purpose,
}

impl Pki {
    /// With `ca.crt`, and `server.crt` for localhost and 127.0.0.1.
    pub(crate) fn new(name: &str) -> Result<Pki> {
        let folder = target_directory().join("tmp").join(format!("tls-{name}"));
        // What an earlier run left.
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder)?;
        let ca = CertifiedIssuer::self_signed(ca_params("the CA of a test"), KeyPair::generate()?)?;
        let mut pki = Pki { folder, ca, issued: 0 };
        pki.write("ca.crt", &pki.ca.pem())?;
        pki.server("server", "localhost")?;
        Ok(pki)
    }

    /// The path of a file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.path(name), text).with_context(|| format!("cannot write {name}"))
    }

    /// `NAME.crt` and `NAME.key` for a server.
    pub(crate) fn server(&mut self, name: &str, host: &str) -> Result<()> {
        self.bad_server(name, host, None)
    }

    /// The same with a flaw.
    pub(crate) fn bad_server(&mut self, name: &str, host: &str, flaw: Option<Flaw>) -> Result<()> {
        let params = server_params(host)?;
        self.issue(name, with_flaw(params, flaw, ExtendedKeyUsagePurpose::ClientAuth)).map(drop)
    }

    /// `NAME.crt` and `NAME.key` for a client whose common name is NAME; answers its serial number.
    pub(crate) fn client(&mut self, name: &str, flaw: Option<Flaw>) -> Result<SerialNumber> {
        let params = client_params(name);
        self.issue(name, with_flaw(params, flaw, ExtendedKeyUsagePurpose::ServerAuth))
    }

    fn issue(&mut self, name: &str, mut params: CertificateParams) -> Result<SerialNumber> {
        self.issued += 1;
        let serial = SerialNumber::from(self.issued);
        params.serial_number = Some(serial.clone());
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.ca)?;
        self.write(&format!("{name}.crt"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())?;
        Ok(serial)
    }

    /// The same by another CA, of the same name.
    pub(crate) fn client_of_a_stranger(&self, name: &str) -> Result<()> {
        self.of_a_stranger(name, client_params(name))
    }

    /// A server's by another CA, of the same name.
    pub(crate) fn server_of_a_stranger(&self, name: &str) -> Result<()> {
        self.of_a_stranger(name, server_params("localhost")?)
    }

    fn of_a_stranger(&self, name: &str, params: CertificateParams) -> Result<()> {
        let ca = ca_params("the CA of a test");
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &ca)?;
        self.write(&format!("{name}.crt"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }

    /// A client's by itself.
    pub(crate) fn self_signed(&self, name: &str) -> Result<()> {
        self.by_itself(name, client_params(name))
    }

    /// A server's by itself.
    pub(crate) fn self_signed_server(&self, name: &str) -> Result<()> {
        self.by_itself(name, server_params("localhost")?)
    }

    fn by_itself(&self, name: &str, params: CertificateParams) -> Result<()> {
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        self.write(&format!("{name}.crt"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }

    /// `ca.crl`, with these serial numbers.
    pub(crate) fn revoke(&self, serials: Vec<SerialNumber>) -> Result<()> {
        let revoked = serials.into_iter().map(|serial_number| RevokedCertParams {
            serial_number,
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2040, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        self.write("ca.crl", &list.signed_by(&self.ca)?.pem()?)
    }

    /// `ca.key`, for openssl.
    pub(crate) fn write_ca_key(&self) -> Result<()> {
        self.write("ca.key", &self.ca.key().serialize_pem())
    }

    /// The serial number of a certificate that openssl has made.
    pub(crate) fn serial(&self, name: &str) -> Option<SerialNumber> {
        let text = self.openssl(&format!("x509 -in {name}.crt -noout -serial"))?;
        let digits = text.trim().strip_prefix("serial=")?;
        let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
        Some(SerialNumber::from_slice(&bytes?))
    }

    /// Runs openssl in the folder; `None`, said aloud, where there is none.
    pub(crate) fn openssl(&self, arguments: &str) -> Option<String> {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output();
        let Ok(output) = output else {
            noctule_tests::driver::leave_out("openssl");
            return None;
        };
        let text = [output.stdout, output.stderr].concat();
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_params(host: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(vec![host.to_owned(), "127.0.0.1".to_owned()])?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn client_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn with_flaw(
    mut params: CertificateParams,
    flaw: Option<Flaw>,
    other: ExtendedKeyUsagePurpose,
) -> CertificateParams {
    match flaw {
        Some(Flaw::Expired) => params.not_after = date_time_ymd(2020, 1, 1),
        Some(Flaw::NotYetValid) => params.not_before = date_time_ymd(2090, 1, 1),
        Some(Flaw::Purpose) => params.extended_key_usages = vec![other],
        None => {}
    }
    params
}
