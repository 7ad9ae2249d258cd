//! Enhanced authentication as seen by a session: who answers the server's challenges (4.12 v5).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// One authentication method, on the client's side.
///
/// A session asks it for the first data at each CONNECT and each re-authentication, for an answer
/// to each challenge, and lastly whether the server's final word is good.
pub trait Authenticator: Send + Sync {
    /// The name of the method, as servers know it.
    fn method(&self) -> &str;

    /// Begins anew: the data of CONNECT, or of the first AUTH of a re-authentication.
    fn start(&mut self) -> Option<Vec<u8>>;

    /// The answer to a challenge of the server.
    fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, AuthError>;

    /// The server says that we are in. This is where a method that proves the server too refuses
    /// one that does not know our secret.
    fn finish(&mut self, data: &[u8]) -> Result<(), AuthError>;
}

/// Shows the method alone.
impl fmt::Debug for dyn Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authenticator").field(&self.method()).finish()
    }
}

/// Why an authentication cannot go on, in plain words; never with a secret in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthError(pub String);

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for AuthError {}
