//! Topic permissions as tokens and webhooks write them:
//! `{"publish": [..], "subscribe": [..], "deny": {"publish": [..], "subscribe": [..]}}`.
//!
//! Each list holds topic filters; `%c` stands for the client id and `%u` for the user name. `deny`
//! may be a list too, which then is for both. A single filter needs no list around it.

use super::TokenError;
use crate::auth::identity::{Action, Effect, Permission};
use noctule_core::grant::{Pattern, Placeholders};
use serde_json::Value;

/// Filters that one client may be given.
const FILTERS_MAX: usize = 1024;

/// Reads them for this client. What is not understood is an error: half of a permission may be
/// the half that allows.
pub(in crate::auth) fn read(
    said: &Value,
    client_id: &str,
    user_name: Option<&str>,
) -> Result<Vec<Permission>, TokenError> {
    let mut reader = Reader { client_id, user_name, found: Vec::new() };
    for (name, said) in said.as_object().ok_or(TokenError::BadPermissions)? {
        match name.as_str() {
            "publish" => reader.filters(said, &[Action::Publish], Effect::Allow)?,
            "subscribe" => reader.filters(said, &[Action::Subscribe], Effect::Allow)?,
            "deny" => reader.denied(said)?,
            _ => return Err(TokenError::BadPermissions),
        }
    }
    Ok(reader.found)
}

struct Reader<'a> {
    client_id: &'a str,
    user_name: Option<&'a str>,
    found: Vec<Permission>,
}

impl Reader<'_> {
    fn denied(&mut self, said: &Value) -> Result<(), TokenError> {
        let Some(object) = said.as_object() else {
            return self.filters(said, &[Action::Publish, Action::Subscribe], Effect::Deny);
        };
        for (name, said) in object {
            match name.as_str() {
                "publish" => self.filters(said, &[Action::Publish], Effect::Deny)?,
                "subscribe" => self.filters(said, &[Action::Subscribe], Effect::Deny)?,
                _ => return Err(TokenError::BadPermissions),
            }
        }
        Ok(())
    }

    fn filters(
        &mut self,
        said: &Value,
        actions: &[Action],
        effect: Effect,
    ) -> Result<(), TokenError> {
        let one = std::slice::from_ref(said);
        for filter in said.as_array().map_or(one, Vec::as_slice) {
            let filter = self.filled(filter.as_str().ok_or(TokenError::BadPermissions)?)?;
            // The names are in it already: what looks like a placeholder now is a part of one.
            let filter = Pattern::parse(&filter, Placeholders::Literal);
            let filter = filter.map_err(|_| TokenError::BadPermissions)?;
            if self.found.len() >= FILTERS_MAX {
                return Err(TokenError::BadPermissions);
            }
            for action in actions {
                self.found.push(Permission { action: *action, filter: filter.clone(), effect });
            }
        }
        Ok(())
    }

    /// A filter with the names in it. A name that holds wildcards or levels would be given more
    /// than is its own.
    fn filled(&self, template: &str) -> Result<Box<str>, TokenError> {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some(at) = rest.find('%') {
            filled.push_str(&rest[..at]);
            let (name, after) = match rest.as_bytes().get(at + 1) {
                Some(b'c') => (Some(self.client_id), at + 2),
                Some(b'u') => (self.user_name, at + 2),
                Some(_) | None => (Some("%"), at + 1),
            };
            let name = name.filter(|name| !name.is_empty() && !name.contains(['+', '#', '/']));
            filled.push_str(name.ok_or(TokenError::Unnameable)?);
            rest = &rest[after..];
        }
        filled.push_str(rest);
        Ok(filled.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(said: &Value, client_id: &str, user_name: Option<&str>) -> String {
        match read(said, client_id, user_name) {
            Ok(found) => found.iter().map(|it| format!("{it:?}\n")).collect(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn each_list_becomes_permissions_with_the_names_in_their_places() {
        let said = json!({
            "publish": ["a/%c/#", "100%"],
            "subscribe": "%u/+",
            "deny": ["x"],
        });
        let expected = "Permission { action: Publish, filter: \"x\", effect: Deny }\n\
                        Permission { action: Subscribe, filter: \"x\", effect: Deny }\n\
                        Permission { action: Publish, filter: \"a/dev/#\", effect: Allow }\n\
                        Permission { action: Publish, filter: \"100%\", effect: Allow }\n\
                        Permission { action: Subscribe, filter: \"ann/+\", effect: Allow }\n";
        assert_eq!(shown(&said, "dev", Some("ann")), expected);
        let apart = json!({"deny": {"publish": ["p"], "subscribe": ["s"]}});
        let expected = "Permission { action: Publish, filter: \"p\", effect: Deny }\n\
                        Permission { action: Subscribe, filter: \"s\", effect: Deny }\n";
        assert_eq!(shown(&apart, "dev", None), expected);
    }

    #[test]
    fn names_that_reach_further_than_themselves_get_no_permission_made_of_them() {
        let said = json!({"publish": ["a/%c/%u"]});
        for (client_id, user_name) in
            [("#", Some("u")), ("+", Some("u")), ("a/b", Some("u")), ("c", Some("#")), ("c", None)]
        {
            assert_eq!(shown(&said, client_id, user_name), "Unnameable", "{client_id}");
        }
        assert_eq!(shown(&json!({"publish": ["a"]}), "#", None).lines().count(), 1);
        // What a name holds is not looked through again.
        assert!(shown(&said, "%u", Some("x")).contains("a/%u/x"));
    }

    #[test]
    fn what_is_not_understood_is_not_permitted() {
        for said in [
            json!([]),
            json!({"pub": ["a"]}),
            json!({"publish": [1]}),
            json!({"publish": {"a": 1}}),
            json!({"publish": ["a/#/b"]}),
            json!({"publish": [""]}),
            json!({"subscribe": ["$share/g/a"]}),
            json!({"deny": {"receive": ["a"]}}),
            json!({"publish": vec!["a"; FILTERS_MAX + 1]}),
        ] {
            assert_eq!(shown(&said, "c", None), "BadPermissions", "{said}");
        }
    }
}
