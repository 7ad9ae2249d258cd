//! Why there is no TLS, in plain words.

use noctule_tls::{Refusal, TlsFileError};
use std::fmt;
use std::io::{self, ErrorKind};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible,
};

/// Why TLS cannot be set up, or has ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The connection broke.
    Io(io::Error),
    /// The server closed the connection amid the handshake.
    Closed,
    /// What the server sends is no TLS.
    NotTls,
    /// Nobody whom we trust has issued the server's certificate.
    UnknownIssuer,
    /// The server's certificate stands for other hosts.
    WrongName {
        /// The host we connect to.
        expected: String,
        /// Those that the certificate names.
        presented: Vec<String>,
    },
    /// The server's certificate was valid until this time (seconds since 1970), if it is known.
    Expired(Option<u64>),
    /// The server's certificate will be valid from this time on (seconds since 1970), if it is
    /// known.
    NotYetValid(Option<u64>),
    /// The server's certificate is that of a CA, and not itself among those we trust.
    CaCertificate,
    /// The host stands only in the common name of the server's certificate, and a CA above it may
    /// issue for some names only: nobody checks common names for that.
    ConstrainedCommonName,
    /// The server's certificate is signed by an algorithm that is too weak, or unknown.
    WeakSignature,
    /// A signature of the server's certificate, or by its key, is wrong. Those of RSA keys below
    /// 2048 bits are always.
    BadSignature,
    /// The server's certificate is no good for another reason.
    Certificate(String),
    /// The server refuses our certificate, or that we have none.
    CertificateRefused(String),
    /// The server shares no version, cipher suite or protocol with us.
    NoCommonGround(String),
    /// Anything else that rustls finds wrong.
    Other(Error),
    /// A file, or a name of a cipher suite, is of no use.
    File(TlsFileError),
    /// The system has no roots; why, if it says.
    NoSystemRoots(String),
    /// The server has no name that its certificate could hold.
    NoName,
    /// This is neither a host name nor an address.
    BadName(String),
}

impl TlsError {
    /// The error of rustls in the words of this crate.
    pub(super) fn of(error: Error) -> TlsError {
        match error {
            Error::InvalidCertificate(error) => TlsError::of_certificate(error),
            Error::AlertReceived(alert) => TlsError::of_alert(alert),
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload
                | InvalidMessage::UnexpectedMessage(_),
            )
            | Error::InappropriateMessage { .. } => TlsError::NotTls,
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => TlsError::NoCommonGround("no version of TLS".to_owned()),
            other => TlsError::Other(other),
        }
    }

    #[allow(deprecated, reason = "rustls may still use them")]
    fn of_certificate(error: CertificateError) -> TlsError {
        use CertificateError as C;
        match error {
            C::UnknownIssuer => TlsError::UnknownIssuer,
            C::NotValidForName => {
                TlsError::WrongName { expected: "this host".to_owned(), presented: Vec::new() }
            }
            C::NotValidForNameContext { expected, presented } => {
                let presented = presented.iter().map(|name| plain(name).to_owned()).collect();
                TlsError::WrongName { expected: expected.to_str().into_owned(), presented }
            }
            C::Expired => TlsError::Expired(None),
            C::ExpiredContext { not_after, .. } => TlsError::Expired(Some(not_after.as_secs())),
            C::NotValidYet => TlsError::NotYetValid(None),
            C::NotValidYetContext { not_before, .. } => {
                TlsError::NotYetValid(Some(not_before.as_secs()))
            }
            C::UnsupportedSignatureAlgorithm
            | C::UnsupportedSignatureAlgorithmContext { .. }
            | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => TlsError::WeakSignature,
            C::Other(other) => match (other.0.downcast_ref(), other.0.downcast_ref()) {
                (Some(Refusal::CaCertificate), _) => TlsError::CaCertificate,
                (Some(Refusal::WeakSignature), _) => TlsError::WeakSignature,
                (_, Some(TlsError::ConstrainedCommonName)) => TlsError::ConstrainedCommonName,
                _ => TlsError::Certificate(other.to_string()),
            },
            C::BadSignature => TlsError::BadSignature,
            C::BadEncoding => TlsError::Certificate("it cannot be understood".to_owned()),
            C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
                TlsError::Certificate("it is not for servers".to_owned())
            }
            other => TlsError::Certificate(other.to_string()),
        }
    }

    fn of_alert(alert: AlertDescription) -> TlsError {
        use AlertDescription as A;
        let words = |text: &str| text.to_owned();
        match alert {
            A::CertificateRequired | A::NoCertificate => {
                TlsError::CertificateRefused(words("it wants one, and got none"))
            }
            A::BadCertificate => TlsError::CertificateRefused(words("it is bad, or missing")),
            A::UnsupportedCertificate => TlsError::CertificateRefused(words("unsupported")),
            A::CertificateRevoked => TlsError::CertificateRefused(words("revoked")),
            A::CertificateExpired => {
                TlsError::CertificateRefused(words("expired, or not valid yet"))
            }
            A::DecryptError => TlsError::CertificateRefused(words("a signature of it is wrong")),
            A::CertificateUnknown => TlsError::CertificateRefused(words("not acceptable")),
            A::UnknownCA => TlsError::CertificateRefused(words("it does not know the issuer")),
            A::AccessDenied => TlsError::CertificateRefused(words("access denied")),
            A::ProtocolVersion => TlsError::NoCommonGround(words("no version of TLS")),
            A::HandshakeFailure | A::InsufficientSecurity => {
                TlsError::NoCommonGround(words("no cipher suite or kind of key"))
            }
            A::NoApplicationProtocol => {
                TlsError::NoCommonGround(words("none of the protocols that we offer (ALPN)"))
            }
            other => TlsError::Other(Error::AlertReceived(other)),
        }
    }

    /// Why a handshake failed.
    pub(super) fn of_handshake(error: io::Error) -> TlsError {
        if let Some(tls) = TlsError::inside(&error) {
            return tls;
        }
        match error.kind() {
            ErrorKind::UnexpectedEof => TlsError::Closed,
            _ => TlsError::Io(error),
        }
    }

    /// The error of rustls inside of one of the operating system, if that is what it is.
    pub(in crate::net) fn inside(error: &io::Error) -> Option<TlsError> {
        let inside = error.get_ref()?.downcast_ref::<Error>()?;
        Some(TlsError::of(inside.clone()))
    }

    pub(in crate::net) fn os_error(&self) -> Option<i32> {
        match self {
            TlsError::Io(error) => error.raw_os_error(),
            TlsError::File(error) => error.os_error(),
            _ => None,
        }
    }

    pub(in crate::net) fn likely_fix(&self) -> Option<&'static str> {
        Some(match self {
            TlsError::Closed => {
                "check that the server expects TLS at this port; see its log for the reason"
            }
            TlsError::NotTls => "check the port: plain MQTT (1883) has another than TLS (8883)",
            TlsError::UnknownIssuer => {
                "trust the CA that has issued it, or the certificate itself if it is self-signed"
            }
            TlsError::WrongName { .. } => {
                "connect by a name that it holds, or have it issued for this one"
            }
            TlsError::Expired(_) => "have it renewed, or correct the clock of this machine",
            TlsError::NotYetValid(_) => "correct the clock of this machine",
            TlsError::CaCertificate => {
                "trust this very certificate, or give the server one of its own (CA:FALSE)"
            }
            TlsError::ConstrainedCommonName => "have it issued with a subject alternative name",
            TlsError::WeakSignature => {
                "have it issued anew with SHA-256, and a key of RSA 2048 bits, P-256 or more"
            }
            TlsError::CertificateRefused(_) => {
                "show a client certificate that the server's CA has issued"
            }
            TlsError::NoCommonGround(_) => {
                "allow what the server offers, or have it offer TLS 1.2 or 1.3 with a key of RSA, \
                 P-256, P-384 or Ed25519"
            }
            TlsError::BadSignature => "have it issued anew, with a key of 2048 bits if it is RSA",
            TlsError::NoSystemRoots(_) => {
                "install the package of CA certificates (ca-certificates), or name a CA file"
            }
            TlsError::NoName => "say which name its certificate holds",
            TlsError::File(error) => return error.likely_fix(),
            TlsError::Io(_)
            | TlsError::Certificate(_)
            | TlsError::Other(_)
            | TlsError::BadName(_) => return None,
        })
    }
}

impl From<TlsFileError> for TlsError {
    fn from(error: TlsFileError) -> TlsError {
        TlsError::File(error)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SUBJECT: &str = "the server's certificate";
        match self {
            TlsError::Io(error) => write!(f, "TLS: {error}"),
            TlsError::Closed => f.write_str("the server closed the connection amid TLS"),
            TlsError::NotTls => f.write_str("the server does not speak TLS"),
            TlsError::UnknownIssuer => write!(f, "{SUBJECT} was issued by nobody we trust"),
            TlsError::WrongName { expected, presented } if presented.is_empty() => {
                write!(f, "{SUBJECT} does not stand for {expected}")
            }
            TlsError::WrongName { expected, presented } => {
                write!(f, "{SUBJECT} stands for {}, not for {expected}", presented.join(", "))
            }
            TlsError::Expired(until) => {
                write!(f, "{SUBJECT} has expired")?;
                until.map_or(Ok(()), |at| write!(f, " on {}", date(at)))
            }
            TlsError::NotYetValid(from) => {
                write!(f, "{SUBJECT} is not valid yet")?;
                from.map_or(Ok(()), |at| write!(f, ", but from {}", date(at)))
            }
            TlsError::CaCertificate => write!(f, "{SUBJECT} is a CA's, not a server's"),
            TlsError::ConstrainedCommonName => write!(
                f,
                "{SUBJECT} has its host only in the common name, and its CA may issue for some \
                 names only"
            ),
            TlsError::WeakSignature => {
                write!(f, "{SUBJECT} is signed by an algorithm that is weak or unknown")
            }
            TlsError::BadSignature => {
                write!(f, "{SUBJECT} has a wrong signature, or a key that is too short")
            }
            TlsError::Certificate(why) => write!(f, "{SUBJECT} is no good: {why}"),
            TlsError::CertificateRefused(why) => {
                write!(f, "the server refuses our certificate: {why}")
            }
            TlsError::NoCommonGround(what) => write!(f, "the server shares {what} with us"),
            TlsError::Other(error) => write!(f, "TLS: {error}"),
            TlsError::File(error) => error.fmt(f),
            TlsError::NoSystemRoots(why) if why.is_empty() => {
                f.write_str("this system trusts no CA")
            }
            TlsError::NoSystemRoots(why) => write!(f, "this system trusts no CA: {why}"),
            TlsError::NoName => f.write_str("TLS needs to know the server's name"),
            TlsError::BadName(name) => write!(f, "{name:?} is no name of a server"),
        }
    }
}

impl std::error::Error for TlsError {}

/// A name of a certificate, which rustls gives as `DnsName("example.com")`.
fn plain(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}

/// The day, in UTC, of a time in seconds since 1970.
fn date(secs: u64) -> String {
    // Eras of 400 years begin on 1 March, so that the leap day is the last of its year.
    let days = secs / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (day * 5 + 2) / 153;
    let day = day - (month * 153 + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + carry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_without_their_kind() {
        assert_eq!(plain("DnsName(\"example.com\")"), "example.com");
        assert_eq!(plain("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(plain("example.com"), "example.com");
    }

    #[test]
    fn days_have_their_dates() {
        for (days, text) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (19_782, "2024-02-29"),
            (20_088, "2024-12-31"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
            (2_932_896, "9999-12-31"),
        ] {
            assert_eq!(date(days * 86_400 + 86_399), text);
        }
        let error = TlsError::of(CertificateError::Expired.into());
        assert_eq!(error.to_string(), "the server's certificate has expired");
        let error = TlsError::Expired(Some(0)).to_string();
        assert_eq!(error, "the server's certificate has expired on 1970-01-01");
    }
}
