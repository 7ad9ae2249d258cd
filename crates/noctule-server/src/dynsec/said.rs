//! The fields of a command. Names are found however they are written, as mosquitto finds them.

use super::model::{Name, UNSAID, within};
use noctule_proto::text::is_clean;
use serde_json::{Map, Value};

/// An error, as the client is told.
pub(super) type Told = &'static str;

/// One command.
#[derive(Clone, Copy)]
pub(super) struct Said<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Said<'a> {
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).or_else(|| {
            self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        })
    }

    /// A text that has to be there.
    pub(super) fn text(self, name: &str, error: Told) -> Result<&'a str, Told> {
        self.get(name).and_then(Value::as_str).ok_or(error)
    }

    /// A text that may be left out, but not be something else.
    pub(super) fn optional(self, name: &str, error: Told) -> Result<Option<&'a str>, Told> {
        self.get(name).map(|value| value.as_str().ok_or(error)).transpose()
    }

    /// A text that is not minded if it is something else.
    pub(super) fn loose(self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }

    pub(super) fn flag(self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }

    /// A number; one that is too great is the greatest.
    pub(super) fn number(self, name: &str) -> Option<i32> {
        self.get(name).and_then(Value::as_f64).map(|number| number as i32)
    }

    pub(super) fn priority(self) -> i32 {
        within(self.number("priority").unwrap_or(UNSAID))
    }

    /// The objects of a list; `None` if there is no list.
    pub(super) fn list(self, name: &str) -> Option<impl Iterator<Item = Said<'a>> + Clone> {
        let list = self.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_object).map(Said))
    }

    pub(super) fn user_name(self) -> Result<&'a str, Told> {
        let name = self.text("username", "Invalid/missing username")?;
        clean(name, "Username not valid UTF-8")
    }

    pub(super) fn group_name(self) -> Result<&'a str, Told> {
        let name = self.text("groupname", "Invalid/missing groupname")?;
        clean(name, "Group name not valid UTF-8")
    }

    pub(super) fn role_name(self) -> Result<&'a str, Told> {
        let name = self.text("rolename", "Invalid/missing rolename")?;
        clean(name, "Role name not valid UTF-8")
    }

    /// `textname` and `textdescription`.
    pub(super) fn words(self) -> Result<(Option<Name>, Option<Name>), Told> {
        let name = self.optional("textname", "Invalid/missing textname")?;
        let description = self.optional("textdescription", "Invalid/missing textdescription")?;
        Ok((name.map(Into::into), description.map(Into::into)))
    }
}

/// What MQTT takes for text: JSON can say more.
pub(super) fn clean(text: &str, error: Told) -> Result<&str, Told> {
    if is_clean(text) { Ok(text) } else { Err(error) }
}
