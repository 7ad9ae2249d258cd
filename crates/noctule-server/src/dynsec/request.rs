//! A message of commands, and the answer to it: one response for each, in order. They are done to a
//! copy, which takes the place of the model if it can be kept.

use super::model::{Model, Name};
use super::said::{Said, Told};
use super::{access, clients, groups, roles};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

/// Bytes of a response, about: what would make it longer is refused.
const RESPONSE_MAX: usize = 16 * 1024 * 1024;

/// Users, one of whom may be those without a name, whose connections end.
pub(crate) type Users = BTreeSet<Option<Name>>;

/// Who has a connection: its address, by user name and client id.
pub(super) type FindConnections<'a> = &'a dyn Fn(BTreeSet<Name>) -> Vec<super::Connected>;

/// What a command comes to: data of its own, or that it is done.
pub(super) type Answer = Result<Option<Value>, Told>;

/// A model on its way to another one.
pub(super) struct Draft<'a> {
    pub(super) model: Arc<Model>,
    pub(super) changed: bool,
    /// Who is to come again.
    pub(super) ended: Users,
    pub(super) find: FindConnections<'a>,
}

impl Draft<'_> {
    /// The model, to be changed by one command that nothing can go wrong with any more.
    pub(super) fn edit(&mut self) -> &mut Model {
        self.changed = true;
        let model = Arc::make_mut(&mut self.model);
        model.changes = model.changes.saturating_add(1);
        model
    }

    /// The connections of a user end.
    pub(super) fn end(&mut self, user_name: &str) {
        self.ended.insert(Some(user_name.into()));
    }
}

/// A message that was gone through.
pub(super) struct Done {
    responses: Vec<Value>,
    /// Those of commands that have changed something.
    changing: Vec<usize>,
}

impl Done {
    /// The text of the response. `kept`: what came of keeping the changes.
    pub(super) fn text(mut self, kept: Result<(), String>) -> String {
        if let Err(why) = kept {
            for at in self.changing {
                self.responses[at]["error"] = format!("Nothing is changed: {why}").into();
            }
        }
        json!({ "responses": self.responses }).to_string()
    }
}

/// Does what a message asks for, as far as it can be done.
pub(super) fn perform(payload: &[u8], draft: &mut Draft<'_>, who: &str) -> Done {
    let (mut changing, mut size, mut at) = (Vec::new(), 0, 0);
    let responses = each(payload, |said| {
        let before = draft.model.changes;
        let (response, more) = one(said, draft, who);
        if draft.model.changes != before {
            changing.push(at);
        }
        at += 1;
        (bounded(response, &mut size), more)
    });
    Done { responses, changing }
}

/// The responses to the commands of a message; one of them may be the last that is looked at.
pub(super) fn each(payload: &[u8], mut one: impl FnMut(Said<'_>) -> (Value, bool)) -> Vec<Value> {
    let mut responses = Vec::new();
    // What comes behind it is not looked at, as with mosquitto.
    let root = Value::deserialize(&mut serde_json::Deserializer::from_slice(payload));
    let Ok(root) = root else {
        return vec![response("Unknown command", None, Err("Payload not valid JSON"))];
    };
    let commands = root.as_object().and_then(|root| Said(root).get("commands")?.as_array());
    let Some(commands) = commands else {
        return vec![response("Unknown command", None, Err("Invalid/missing commands"))];
    };
    for command in commands {
        let (response, more) = match command.as_object() {
            Some(command) => one(Said(command)),
            None => (response("Unknown command", None, Err("Command not an object")), false),
        };
        responses.push(response);
        if !more {
            break;
        }
    }
    responses
}

/// What would make the answer too long is left out.
fn bounded(mut response: Value, size: &mut usize) -> Value {
    let has_data = response.get("data").is_some();
    // All others are as short as the command.
    let bytes = if has_data { response.to_string().len() } else { 0 };
    if *size + bytes > RESPONSE_MAX
        && let Some(fields) = response.as_object_mut()
    {
        fields.remove("data");
        fields.insert("error".into(), "Response too long: ask with count and offset".into());
    } else {
        *size += bytes;
    }
    response
}

/// One command, and whether the next one is looked at.
fn one(said: Said<'_>, draft: &mut Draft<'_>, who: &str) -> (Value, bool) {
    let (name, correlation) = match named(said) {
        Ok(named) => named,
        Err(response) => return (response, false),
    };
    let found = COMMANDS.iter().find(|(it, _)| it.eq_ignore_ascii_case(name));
    let Some((known, command)) = found else {
        return (response(name, correlation, Err("Unknown command")), true);
    };
    let answer = command(draft, said);
    if answer.is_ok() {
        tracing::info!("dynsec: {who} | {known}{}", words(said));
    }
    // With data it is called by its name, without by the name that it was given.
    let name = if matches!(answer, Ok(Some(_))) { known } else { name };
    (response(name, correlation, answer), true)
}

/// The name of a command, and what its response is to be known by; or the response to one that has
/// none.
pub(super) fn named(said: Said<'_>) -> Result<(&str, Option<&str>), Value> {
    let Some(name) = said.loose("command") else {
        return Err(response("Unknown command", None, Err("Missing command")));
    };
    match said.optional("correlationData", "Invalid correlationData data type.") {
        Ok(correlation) => Ok((name, correlation)),
        Err(error) => Err(response(name, None, Err(error))),
    }
}

type Command = fn(&mut Draft<'_>, Said<'_>) -> Answer;

const COMMANDS: [(&str, Command); 32] = [
    ("setDefaultACLAccess", access::set),
    ("getDefaultACLAccess", access::get),
    ("getDetails", access::details),
    ("createClient", clients::create),
    ("deleteClient", clients::delete),
    ("getClient", clients::get),
    ("listClients", clients::list),
    ("modifyClient", clients::modify),
    ("setClientPassword", clients::set_password),
    ("setClientId", clients::set_id),
    ("enableClient", clients::enable),
    ("disableClient", clients::disable),
    ("addClientRole", clients::add_role),
    ("removeClientRole", clients::remove_role),
    ("addGroupClient", groups::add_client),
    ("createGroup", groups::create),
    ("deleteGroup", groups::delete),
    ("getGroup", groups::get),
    ("listGroups", groups::list),
    ("modifyGroup", groups::modify),
    ("removeGroupClient", groups::remove_client),
    ("addGroupRole", groups::add_role),
    ("removeGroupRole", groups::remove_role),
    ("setAnonymousGroup", groups::set_anonymous),
    ("getAnonymousGroup", groups::get_anonymous),
    ("createRole", roles::create),
    ("getRole", roles::get),
    ("listRoles", roles::list),
    ("modifyRole", roles::modify),
    ("deleteRole", roles::delete),
    ("addRoleACL", roles::add_acl),
    ("removeRoleACL", roles::remove_acl),
];

/// A response.
pub(super) fn response(command: &str, correlation: Option<&str>, answer: Answer) -> Value {
    let mut fields = Map::new();
    fields.insert("command".into(), command.into());
    match answer {
        Ok(None) => {}
        Ok(Some(data)) => drop(fields.insert("data".into(), data)),
        Err(error) => drop(fields.insert("error".into(), error.into())),
    }
    if let Some(correlation) = correlation {
        fields.insert("correlationData".into(), correlation.into());
    }
    Value::Object(fields)
}

/// What a command is about, for the log.
fn words(said: Said<'_>) -> String {
    let mut text = String::new();
    let names = ["groupname", "username", "rolename", "acltype", "topic", "clientid"];
    for name in names {
        if let Some(value) = said.loose(name) {
            let value = value.replace(char::is_control, "?");
            // A String takes all that is written to it.
            let _ = write!(text, " | {name}={value}");
        }
    }
    if said.get("password").is_some() {
        text.push_str(" | password=*****");
    }
    for name in ["priority", "allow", "verbose", "count", "offset"] {
        if let Some(value) = said.get(name).filter(|it| it.is_number() || it.is_boolean()) {
            let _ = write!(text, " | {name}={value}");
        }
    }
    text
}

/// Some of many, as `count` and `offset` ask for, and how many there are.
pub(super) fn page<'m, T>(
    said: Said<'_>,
    all: &'m std::collections::BTreeMap<Name, T>,
) -> impl Iterator<Item = (&'m Name, &'m T)> {
    let offset = said.number("offset").unwrap_or(0).max(0) as usize;
    let count = match said.number("count").unwrap_or(-1) {
        // As mosquitto has it, none is one.
        0 => 1,
        count => usize::try_from(count).unwrap_or(usize::MAX),
    };
    all.iter().skip(offset).take(count)
}
