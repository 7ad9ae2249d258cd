//! Certificates that their issuers have taken back, for those that webpki does not look at.

use crate::Certificate;
use rustls::pki_types::CertificateRevocationListDer;
use webpki::{CertRevocationList, OwnedCertRevocationList};

/// Certificate revocation lists.
#[derive(Debug, Default)]
pub struct Revoked(Vec<CertRevocationList<'static>>);

impl Revoked {
    /// What these lists say. Their signatures are not checked: they come from a file of ours.
    ///
    /// # Errors
    /// One of them is none.
    pub fn of(lists: &[CertificateRevocationListDer<'_>]) -> Result<Revoked, webpki::Error> {
        let lists = lists.iter().map(|der| OwnedCertRevocationList::from_der(der.as_ref()));
        lists.map(|list| list.map(Into::into)).collect::<Result<_, _>>().map(Revoked)
    }

    /// Whether a list of its issuer has this certificate. What cannot be read counts as taken back.
    #[must_use]
    pub fn holds(&self, certificate: &Certificate<'_>) -> bool {
        let of_issuer = self.0.iter().filter(|list| list.issuer() == certificate.issuer);
        of_issuer
            .map(|list| list.find_serial(certificate.serial))
            .any(|found| !matches!(found, Ok(None)))
    }
}
