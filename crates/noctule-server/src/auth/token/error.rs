//! What is wrong with a token, in the words that its bearer and the log are told.

use noctule_proto::ReasonCode;
use std::fmt;

/// Why a token lets nobody in. None of them holds any of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TokenError {
    /// It is not three parts of base64url, the first two JSON.
    Malformed,
    /// It is too long to be looked at.
    TooLong,
    /// It says that it is not signed, or in a way that nobody here has heard of.
    UnknownAlgorithm,
    /// Its issuer, or the key it names, does not sign like this.
    OtherAlgorithm,
    /// It asks for an extension that we do not know.
    Critical,
    /// Nobody whom we trust has that name.
    UnknownIssuer,
    /// It names a key that its issuer does not have.
    UnknownKey,
    /// The keys of its issuer could not be had so far.
    NoKeys,
    /// The signature is wrong.
    BadSignature,
    /// It had its time.
    Expired,
    /// It has not begun.
    NotYetValid,
    /// It has no end, and tokens of its issuer need one.
    NoExpiry,
    /// It is meant for somebody else.
    OtherAudience,
    /// A claim that is needed is missing, or is not what it should be.
    BadClaim,
    /// It is another user's.
    OtherUser,
    /// It is another client's.
    OtherClient,
    /// What it permits cannot be understood.
    BadPermissions,
    /// What it permits depends on a name that cannot be a part of a topic.
    Unnameable,
}

impl TokenError {
    /// The code for CONNACK, or for DISCONNECT after a re-authentication.
    pub(crate) fn reason(self, enhanced: bool) -> ReasonCode {
        match self {
            TokenError::NoKeys => ReasonCode::ServerUnavailable,
            TokenError::Malformed
            | TokenError::TooLong
            | TokenError::UnknownAlgorithm
            | TokenError::OtherAlgorithm
            | TokenError::Critical
            | TokenError::UnknownIssuer
            | TokenError::UnknownKey
            | TokenError::BadSignature
            | TokenError::Expired
            | TokenError::NotYetValid
            | TokenError::NoExpiry
            | TokenError::OtherAudience
            | TokenError::BadClaim
            | TokenError::OtherUser
            | TokenError::OtherClient
            | TokenError::BadPermissions
            | TokenError::Unnameable => match enhanced {
                // 0x86 is for CONNACK only; 0x87 fits a re-authentication as well.
                true => ReasonCode::NotAuthorized,
                false => ReasonCode::BadUserNameOrPassword,
            },
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenError::Malformed => "the token is malformed",
            TokenError::TooLong => "the token is too long",
            TokenError::UnknownAlgorithm => "the token is signed by an algorithm unknown here",
            TokenError::OtherAlgorithm => "the token's algorithm is not one of its key",
            TokenError::Critical => "the token asks for an extension unknown here",
            TokenError::UnknownIssuer => "the token's issuer is unknown here",
            TokenError::UnknownKey => "the token's key is unknown here",
            TokenError::NoKeys => "the keys of the token's issuer cannot be had at the moment",
            TokenError::BadSignature => "the token's signature is wrong",
            TokenError::Expired => "the token has expired",
            TokenError::NotYetValid => "the token is not valid yet",
            TokenError::NoExpiry => "the token has no expiry time",
            TokenError::OtherAudience => "the token is for another audience",
            TokenError::BadClaim => "a claim of the token is missing or of the wrong kind",
            TokenError::OtherUser => "the token is another user's",
            TokenError::OtherClient => "the token is another client's",
            TokenError::BadPermissions => "the permissions of the token cannot be understood",
            TokenError::Unnameable => "the name of this client cannot be a part of a topic",
        })
    }
}
