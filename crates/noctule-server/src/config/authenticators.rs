//! Who is asked about a client, in which order.

use super::value::Value;
use toml::de::DeValue;

/// One of those who are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthenticatorKind {
    /// The certificate that it has shown.
    Certificate,
    /// Tokens.
    Jwt,
    /// Passwords, and SCRAM.
    Password,
    /// Clients of dynamic security.
    Dynsec,
    /// A service of the operator's.
    Webhook,
}

impl AuthenticatorKind {
    const NAMES: [(&str, AuthenticatorKind); 5] = [
        ("certificate", AuthenticatorKind::Certificate),
        ("jwt", AuthenticatorKind::Jwt),
        ("dynamic_security", AuthenticatorKind::Dynsec),
        ("password", AuthenticatorKind::Password),
        ("webhook", AuthenticatorKind::Webhook),
    ];

    /// All, in the order in which they are asked unless another one is configured.
    #[must_use]
    pub fn all() -> Vec<AuthenticatorKind> {
        AuthenticatorKind::NAMES.iter().map(|(_, it)| *it).collect()
    }
}

impl Value for &mut Vec<AuthenticatorKind> {
    fn show(&self) -> Option<String> {
        Some(show(self))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        **self = read(value)?;
        Ok(())
    }
}

impl Value for &mut Option<Vec<AuthenticatorKind>> {
    fn show(&self) -> Option<String> {
        self.as_deref().map(show)
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        **self = Some(read(value)?);
        Ok(())
    }
}

fn show(kinds: &[AuthenticatorKind]) -> String {
    let name = |kind: &AuthenticatorKind| {
        let found = AuthenticatorKind::NAMES.iter().find(|(_, it)| it == kind);
        found.map(|(name, _)| format!("\"{name}\""))
    };
    let names: Vec<String> = kinds.iter().filter_map(name).collect();
    format!("[{}]", names.join(", "))
}

fn read(value: &DeValue<'_>) -> Result<Vec<AuthenticatorKind>, String> {
    let wanted = "a list of \"certificate\", \"jwt\", \"dynamic_security\", \"password\" and \
                  \"webhook\" expected, each once at most, in the order in which they are asked";
    let mut kinds = Vec::new();
    for said in value.as_array().ok_or(wanted)? {
        let said = said.get_ref().as_str();
        let found = AuthenticatorKind::NAMES.iter().find(|(name, _)| Some(*name) == said);
        let (_, kind) = found.ok_or(wanted)?;
        if kinds.contains(kind) {
            return Err(wanted.into());
        }
        kinds.push(*kind);
    }
    Ok(kinds)
}
