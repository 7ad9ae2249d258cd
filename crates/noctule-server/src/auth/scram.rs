//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
//!
//! ```text
//! client-first --begin--> server-first + Exchange --finish--> server-final, or a refusal
//! ```

use super::verifier::{Verifier, hmac, prepared_name};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Name of the method in CONNECT and AUTH.
pub(super) const METHOD: &str = "SCRAM-SHA-256";

/// Longest message of a client we look at: names and nonces are short.
const MESSAGE_MAX: usize = 4096;

/// Why an exchange failed. Told to the client only as "not authorised".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ScramError {
    /// The message is not what the RFC says.
    Malformed,
    /// It asks for channel binding or an extension we do not have.
    Unsupported,
    /// The proof is not that of the user's password, or there is no such user.
    WrongProof,
}

/// The first message of a client, taken apart.
pub(super) struct ClientFirst<'a> {
    /// User name, decoded.
    pub(super) user_name: String,
    gs2_header: &'a str,
    bare: &'a str,
    nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    /// Takes `client-first-message` apart.
    pub(super) fn parse(message: &'a [u8]) -> Result<ClientFirst<'a>, ScramError> {
        let text = text(message)?;
        // gs2-header: channel binding flag, authorisation identity, each ended by a comma.
        let flag_end = text.find(',').ok_or(ScramError::Malformed)?;
        match &text[..flag_end] {
            "n" | "y" => {}
            flag if flag.starts_with("p=") => return Err(ScramError::Unsupported),
            _ => return Err(ScramError::Malformed),
        }
        let rest = &text[flag_end + 1..];
        let identity_end = rest.find(',').ok_or(ScramError::Malformed)?;
        // Acting for another user is not offered.
        if identity_end > 0 {
            return Err(ScramError::Unsupported);
        }
        let bare = &rest[identity_end + 1..];
        let mut attributes = bare.split(',');
        let name = attribute(attributes.next(), "n=")?;
        let nonce = attribute(attributes.next(), "r=")?;
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ScramError::Malformed);
        }
        let gs2_header = &text[..text.len() - bare.len()];
        Ok(ClientFirst { user_name: user_name(name)?, gs2_header, bare, nonce })
    }

    /// The answer, and what has to be remembered until the client's proof comes.
    pub(super) fn begin(&self, verifier: Verifier, our_nonce: &str) -> (String, Exchange) {
        let nonce = format!("{}{our_nonce}", self.nonce);
        let salt = STANDARD.encode(&verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        let exchange = Exchange {
            begun: format!("{},{server_first}", self.bare),
            binding: STANDARD.encode(self.gs2_header),
            nonce,
            verifier,
        };
        (server_first, exchange)
    }
}

/// An exchange between our challenge and the client's proof.
pub(super) struct Exchange {
    /// `client-first-message-bare,server-first-message`.
    begun: String,
    binding: String,
    nonce: String,
    verifier: Verifier,
}

impl Exchange {
    /// Checks `client-final-message`; answers `server-final-message`.
    pub(super) fn finish(&self, message: &[u8]) -> Result<String, ScramError> {
        let text = text(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attribute(attributes.next(), "c=")?;
        let nonce = attribute(attributes.next(), "r=")?;
        if binding != self.binding || nonce != self.nonce {
            return Err(ScramError::Malformed);
        }
        let proof = STANDARD.decode(proof).map_err(|_| ScramError::Malformed)?;
        let proof: [u8; 32] = proof.try_into().map_err(|_| ScramError::Malformed)?;
        let auth_message = format!("{},{without_proof}", self.begun);
        let signature = hmac(&self.verifier.stored_key, auth_message.as_bytes());
        let mut client_key = proof;
        client_key.iter_mut().zip(signature).for_each(|(byte, mask)| *byte ^= mask);
        let stored_key: [u8; 32] = Sha256::digest(client_key).into();
        if !bool::from(stored_key.ct_eq(&self.verifier.stored_key)) {
            return Err(ScramError::WrongProof);
        }
        let server = hmac(&self.verifier.server_key, auth_message.as_bytes());
        Ok(format!("v={}", STANDARD.encode(server)))
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_MAX {
        return Err(ScramError::Malformed);
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed)
}

fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, ScramError> {
    match part {
        // A mandatory extension we do not know has to be refused.
        Some(part) if part.starts_with("m=") => Err(ScramError::Unsupported),
        Some(part) => part.strip_prefix(name).ok_or(ScramError::Malformed),
        None => Err(ScramError::Malformed),
    }
}

/// `=2C` is a comma, `=3D` an equals sign, any other `=` an error; then SASLprep.
fn user_name(escaped: &str) -> Result<String, ScramError> {
    let mut name = String::new();
    let mut parts = escaped.split('=');
    name.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (decoded, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            (None, None) => return Err(ScramError::Malformed),
        };
        name.push(decoded);
        name.push_str(rest);
    }
    if name.is_empty() {
        return Err(ScramError::Malformed);
    }
    Ok(prepared_name(&name).ok_or(ScramError::Malformed)?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example exchange of RFC 7677, section 3.
    const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &[u8] = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn begun() -> Exchange {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::from_password("pencil", 4096, &salt);
        let first = ClientFirst::parse(CLIENT_FIRST).unwrap();
        assert_eq!(first.user_name, "user");
        let (server_first, exchange) = first.begin(verifier, SERVER_NONCE);
        assert_eq!(server_first, SERVER_FIRST);
        exchange
    }

    #[test]
    fn the_exchange_of_rfc_7677_is_accepted() {
        assert_eq!(begun().finish(CLIENT_FINAL).unwrap(), SERVER_FINAL);
    }

    #[test]
    fn a_changed_final_message_is_refused() {
        let refused = |from: &str, to: &str| {
            let message = String::from_utf8(CLIENT_FINAL.to_vec()).unwrap().replace(from, to);
            begun().finish(message.as_bytes()).unwrap_err()
        };
        assert_eq!(refused("p=dH", "p=eH"), ScramError::WrongProof);
        assert_eq!(refused("c=biws", "c=eSws"), ScramError::Malformed);
        assert_eq!(refused("k0,p", "k1,p"), ScramError::Malformed);
        assert_eq!(refused(",p=", ",q="), ScramError::Malformed);
        assert_eq!(refused("ndVQ=", "ndVQ"), ScramError::Malformed);
        assert_eq!(begun().finish(b"").unwrap_err(), ScramError::Malformed);
        assert_eq!(begun().finish(&[0xff]).unwrap_err(), ScramError::Malformed);
    }

    #[test]
    fn a_first_message_is_taken_apart_or_refused() {
        let name = |text: &str| ClientFirst::parse(text.as_bytes()).map(|it| it.user_name);
        assert_eq!(name("y,,n=a=2Cb=3Dc,r=x").unwrap(), "a,b=c");
        assert_eq!(name("n,,n=a,r=x,ext=1").unwrap(), "a");
        assert_eq!(name("p=tls-unique,,n=a,r=x").unwrap_err(), ScramError::Unsupported);
        assert_eq!(name("n,a=other,n=a,r=x").unwrap_err(), ScramError::Unsupported);
        assert_eq!(name("n,,m=1,n=a,r=x").unwrap_err(), ScramError::Unsupported);
        for bad in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=a",
            "n,,n=,r=x",
            "n,,n=a=41,r=x",
            "n,,n=a,r=",
            "x,,n=a,r=x",
        ] {
            assert_eq!(name(bad).unwrap_err(), ScramError::Malformed, "{bad}");
        }
    }
}
