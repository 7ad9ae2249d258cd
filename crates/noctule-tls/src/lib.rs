//! What both ends of TLS need: certificates and keys out of files, cipher suites by the names that
//! people know them by, and whom to trust.
//!
//! ```text
//!  files --Pem--> certificates, keys --certified_key--> what we show
//!                 CAs --Issuers--> whether a certificate was issued by one of them
//! ```
//!
//! * `certificate`  the fields of a certificate that rustls does not show
//! * `issuers`      which certificates are believed, beside what webpki believes
//! * `pem`          text in PEM form
//! * `revoked`      certificates that were taken back
//! * `subject`      the name of whom a certificate is for, as text
//! * `suites`       names of cipher suites
//! * `error`        what is wrong with files and names
//!
//! Deliberately absent: cryptography, which is ring's; the verification of chains, which is
//! webpki's; and connections, which have their own shape in the server and in the client.
#![forbid(unsafe_code)]

mod certificate;
mod error;
mod issuers;
mod pem;
mod revoked;
mod subject;
mod suites;

pub use certificate::{Age, Certificate};
pub use error::TlsFileError;
pub use issuers::{Issuers, Refusal, check_dates};
pub use pem::{Pem, certified_key};
pub use revoked::Revoked;
pub use rustls;
pub use suites::{CipherSuite, offered};

use rustls::crypto::{CryptoProvider, ring};

/// What the cryptography of both ends is done by, with these cipher suites; none: all.
#[must_use]
pub fn provider(suites: &[CipherSuite]) -> CryptoProvider {
    CryptoProvider { cipher_suites: offered(suites), ..ring::default_provider() }
}
