//! The file, as mosquitto has it: read at the start and on reload, and written as a whole before a
//! change is answered.

use super::first::first;
use super::model::{
    About, Access, Acl, AclType, Client, ENTRIES_MAX, Group, Held, Model, Name, Role, UNSAID,
    in_order, within,
};
use super::rights::{pattern, ranked};
use crate::auth::Secret;
use crate::config::DynamicSecurity;
use noctule_core::grant::Ranked;
use noctule_proto::text::is_clean;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// No file is larger than this.
const SIZE_MAX: u64 = 1 << 30;

/// Faults that are told of at a time.
const FAULTS_MAX: usize = 20;

/// The file is of no use.
#[derive(Debug)]
pub struct DynsecError {
    file: PathBuf,
    why: String,
}

impl fmt::Display for DynsecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.why)
    }
}

impl std::error::Error for DynsecError {}

/// The file, and what it says.
pub(crate) struct Book {
    pub(super) file: PathBuf,
    pub(crate) model: Arc<Model>,
}

impl Book {
    /// Reads the file; where there is none, makes it.
    pub(crate) fn open(options: &DynamicSecurity) -> Result<Book, DynsecError> {
        let file = options.file.clone();
        let fault = |why: String| DynsecError { file: options.file.clone(), why };
        let model = match read(&file)? {
            Some(model) => model,
            None => first(options).map_err(fault)?,
        };
        Ok(Book { file, model: Arc::new(model) })
    }

    /// What the file says by now.
    pub(super) fn reread(&self) -> Result<Arc<Model>, DynsecError> {
        let gone = || DynsecError { file: self.file.clone(), why: "is not there any more".into() };
        read(&self.file)?.map(Arc::new).ok_or_else(gone)
    }

    /// Keeps another model.
    pub(super) fn keep(&mut self, model: Arc<Model>) -> io::Result<()> {
        write(&self.file, &model)?;
        self.model = model;
        Ok(())
    }
}

/// Whether a file, if it is there, can be used.
pub(crate) fn check(options: &DynamicSecurity) -> Result<(), DynsecError> {
    read(&options.file).map(drop)
}

/// What a file permits; `None`: it is not there.
pub(crate) fn permitted(options: &DynamicSecurity) -> Result<Option<Ranked>, DynsecError> {
    let model = read(&options.file)?;
    Ok(model.map(|model| ranked(&model, &options.file)))
}

/// `None`: there is no file.
fn read(file: &Path) -> Result<Option<Model>, DynsecError> {
    let fault = |why: String| DynsecError { file: file.into(), why };
    let text = match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(found) if found.len() > SIZE_MAX => Err(fault("is larger than 1 GiB".into())),
        Ok(_) | Err(_) => fs::read_to_string(file).map_err(|error| fault(error.to_string())),
    }?;
    // As mosquitto does with a file that somebody has only touched.
    if text.is_empty() {
        return Ok(Some(Model::default()));
    }
    // A list would be taken for the fields of one, in their order.
    if !text.trim_start().starts_with('{') {
        return Err(fault("line 1: an object expected, as mosquitto writes it".into()));
    }
    let said: Root = serde_json::from_str(&text).map_err(|error| fault(error.to_string()))?;
    said.finish().map(Some).map_err(|faults| {
        let more = faults.len().saturating_sub(FAULTS_MAX);
        let told: Vec<String> = faults.into_iter().take(FAULTS_MAX).collect();
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        fault(format!("{}{more}", told.join("; ")))
    })
}

/// Puts a file in the place of the old one when it is on the disk.
pub(super) fn write(file: &Path, model: &Model) -> io::Result<()> {
    let text = serde_json::to_string_pretty(&Root::of(model)).map_err(io::Error::from)?;
    write_text(file, &(text + "\n"))
}

/// The same of any text that is not for everybody.
pub(super) fn write_text(file: &Path, text: &str) -> io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // One that an earlier run left may be open to others.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut to = options.open(&new)?;
    to.write_all(text.as_bytes())?;
    to.sync_all()?;
    drop(to);
    fs::rename(&new, file)?;
    #[cfg(unix)]
    if let Some(folder) = file.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// The file. What mosquitto does not know it lets go of when it writes; so does this.
#[derive(Serialize, Deserialize)]
struct Root {
    #[serde(rename = "changeIndex", default)]
    change_index: i64,
    #[serde(rename = "defaultACLAccess", default)]
    access: RootAccess,
    #[serde(default)]
    clients: Vec<OneClient>,
    #[serde(default)]
    groups: Vec<OneGroup>,
    #[serde(rename = "anonymousGroup", default, skip_serializing_if = "Option::is_none")]
    anonymous: Option<Name>,
    #[serde(default)]
    roles: Vec<OneRole>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RootAccess {
    publish_client_send: bool,
    publish_client_receive: bool,
    subscribe: bool,
    unsubscribe: bool,
}

#[derive(Serialize, Deserialize)]
struct OneClient {
    username: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clientid: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    textname: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    textdescription: Option<Name>,
    #[serde(default, skip_serializing_if = "is_false")]
    disabled: bool,
    #[serde(default)]
    roles: Vec<OneHeld>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoded_password: Option<Box<str>>,
    /// As mosquitto 2.0 wrote it.
    #[serde(default, skip_serializing)]
    password: Option<Box<str>>,
    #[serde(default, skip_serializing)]
    salt: Option<Box<str>>,
    #[serde(default, skip_serializing)]
    iterations: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct OneGroup {
    groupname: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    textname: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    textdescription: Option<Name>,
    #[serde(default)]
    roles: Vec<OneHeld>,
    #[serde(default)]
    clients: Vec<OneMember>,
}

#[derive(Serialize, Deserialize)]
struct OneHeld {
    rolename: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
}

#[derive(Serialize, Deserialize)]
struct OneMember {
    username: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
}

#[derive(Serialize, Deserialize)]
struct OneRole {
    rolename: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    textname: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    textdescription: Option<Name>,
    #[serde(default = "yes")]
    allowwildcardsubs: bool,
    #[serde(default)]
    acls: Vec<OneAcl>,
}

#[derive(Serialize, Deserialize)]
struct OneAcl {
    acltype: Box<str>,
    topic: Name,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    allow: bool,
}

/// Any number, as mosquitto takes it.
#[derive(Clone, Copy, Default)]
struct Priority(i32);

impl Serialize for Priority {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(self.0)
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Priority, D::Error> {
        f64::deserialize(from).map(|number| Priority(within(number as i32)))
    }
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(it: &bool) -> bool {
    !it
}

/// `None` is what mosquitto leaves out.
fn shown(priority: i32) -> Option<Priority> {
    (priority != UNSAID).then_some(Priority(priority))
}

fn held_of(held: &Held) -> Vec<OneHeld> {
    let one = |(name, priority): (&Name, i32)| OneHeld {
        rolename: name.clone(),
        priority: shown(priority),
    };
    in_order(held).into_iter().map(one).collect()
}

impl Root {
    fn of(model: &Model) -> Root {
        let Access { publish_client_send, publish_client_receive, subscribe, unsubscribe } =
            model.access;
        let client = |(name, client): (&Name, &Client)| OneClient {
            username: name.clone(),
            clientid: client.client_id.clone(),
            textname: client.about.name.clone(),
            textdescription: client.about.description.clone(),
            disabled: client.disabled,
            roles: held_of(&client.roles),
            encoded_password: client.secret.as_ref().map(|it| it.to_string().into()),
            password: None,
            salt: None,
            iterations: None,
        };
        let member = |(name, priority): (&Name, &i32)| OneMember {
            username: name.clone(),
            priority: shown(*priority),
        };
        let group = |(name, group): (&Name, &Group)| OneGroup {
            groupname: name.clone(),
            textname: group.about.name.clone(),
            textdescription: group.about.description.clone(),
            roles: held_of(&group.roles),
            clients: group.clients.iter().map(member).collect(),
        };
        let acl = |(kind, acl): (AclType, &Acl)| OneAcl {
            acltype: kind.name().into(),
            topic: acl.topic.clone(),
            priority: Priority(acl.priority),
            allow: acl.allow,
        };
        let role = |(name, role): (&Name, &Role)| OneRole {
            rolename: name.clone(),
            textname: role.about.name.clone(),
            textdescription: role.about.description.clone(),
            allowwildcardsubs: role.allow_wildcard_subs,
            acls: role.all().map(acl).collect(),
        };
        Root {
            change_index: model.changes,
            access: RootAccess {
                publish_client_send,
                publish_client_receive,
                subscribe,
                unsubscribe,
            },
            clients: model.clients.iter().map(client).collect(),
            groups: model.groups.iter().map(group).collect(),
            anonymous: model.anonymous.clone(),
            roles: model.roles.iter().map(role).collect(),
        }
    }

    fn finish(self) -> Result<Model, Vec<String>> {
        let mut faults = Vec::new();
        let mut model = Model { changes: self.change_index, ..Model::default() };
        model.access = Access {
            publish_client_send: self.access.publish_client_send,
            publish_client_receive: self.access.publish_client_receive,
            subscribe: self.access.subscribe,
            unsubscribe: self.access.unsubscribe,
        };
        for said in self.roles {
            let name = said.rolename.clone();
            let role = said.finish(&mut faults);
            insert(&mut model.roles, ("role", name), role, &mut faults);
        }
        for said in self.clients {
            let name = said.username.clone();
            let client = said.finish(&model, &mut faults);
            insert(&mut model.clients, ("client", name), client, &mut faults);
        }
        for said in self.groups {
            let name = said.groupname.clone();
            let group = said.finish(&model, &mut faults);
            insert(&mut model.groups, ("group", name), group, &mut faults);
        }
        if let Some(name) = &self.anonymous
            && !model.groups.contains_key(name)
        {
            faults.push(format!("anonymousGroup: there is no group {name:?}"));
        }
        model.anonymous = self.anonymous;
        if faults.is_empty() { Ok(model) } else { Err(faults) }
    }
}

fn insert<T>(
    into: &mut BTreeMap<Name, T>,
    (what, name): (&str, Name),
    one: T,
    faults: &mut Vec<String>,
) {
    if name.is_empty() || !is_clean(&name) {
        faults.push(format!("{what} {name:?}: a name without control characters expected"));
    } else if into.contains_key(&name) {
        faults.push(format!("{what} {name:?}: is there twice"));
    } else if into.len() >= ENTRIES_MAX {
        faults.push(format!("{what} {name:?}: there are too many"));
    } else {
        into.insert(name, one);
    }
}

/// Roles that somebody holds.
fn held(said: Vec<OneHeld>, (of, model): (&str, &Model), faults: &mut Vec<String>) -> Held {
    let mut held = Held::new();
    for OneHeld { rolename, priority } in said {
        if !model.roles.contains_key(&rolename) {
            faults.push(format!("{of}: there is no role {rolename:?}"));
        }
        held.entry(rolename).or_insert(priority.map_or(UNSAID, |it| it.0));
    }
    held
}

impl OneClient {
    fn finish(self, model: &Model, faults: &mut Vec<String>) -> Client {
        let of = format!("client {:?}", self.username);
        let old = || {
            let (salt, password) = (self.salt.as_ref()?, self.password.as_ref()?);
            let iterations = self.iterations.unwrap_or(0.0) as u32;
            Some(format!("$7${iterations}${salt}${password}").into())
        };
        let encoded: Option<Box<str>> = self.encoded_password.clone().or_else(old);
        let secret = encoded.and_then(|text| {
            let parsed = text.parse::<Secret>();
            parsed.map_err(|error| faults.push(format!("{of}: its password: {error}"))).ok()
        });
        Client {
            about: About { name: self.textname, description: self.textdescription },
            client_id: self.clientid.filter(|id| !id.is_empty()),
            disabled: self.disabled,
            secret: secret.map(Arc::new),
            roles: held(self.roles, (&of, model), faults),
        }
    }
}

impl OneGroup {
    fn finish(self, model: &Model, faults: &mut Vec<String>) -> Group {
        let of = format!("group {:?}", self.groupname);
        let mut clients = Held::new();
        for OneMember { username, priority } in self.clients {
            if !model.clients.contains_key(&username) {
                faults.push(format!("{of}: there is no client {username:?}"));
            }
            clients.entry(username).or_insert(priority.map_or(UNSAID, |it| it.0));
        }
        let roles = held(self.roles, (&of, model), faults);
        Group {
            about: About { name: self.textname, description: self.textdescription },
            roles,
            clients,
        }
    }
}

impl OneRole {
    fn finish(self, faults: &mut Vec<String>) -> Role {
        let of = format!("role {:?}", self.rolename);
        let allow_wildcard_subs = self.allowwildcardsubs;
        let about = About { name: self.textname, description: self.textdescription };
        let mut role = Role::new(about, allow_wildcard_subs);
        for OneAcl { acltype, topic, priority, allow } in self.acls {
            let Some(kind) = AclType::parse(&acltype) else {
                faults.push(format!("{of}: there is no acltype {acltype:?}"));
                continue;
            };
            if let Err(error) = pattern(kind, &topic) {
                faults.push(format!("{of}: {topic:?} is no topic filter: {error}"));
            }
            // Of two for one topic the first counts, as with mosquitto.
            role.add(kind, Acl { topic, priority: priority.0, allow });
        }
        role
    }
}
