//! The file that is made where there is none: mosquitto's, with its names. The password of `admin`
//! comes from a file, from the environment, or from chance; then it is written beside the file.

use super::clients::hash;
use super::file::{write, write_text};
use super::model::{About, Access, Acl, AclType, Client, Group, Held, Model, Role, UNSAID};
use crate::config::DynamicSecurity;
use std::path::{Path, PathBuf};

/// Where the first password may stand.
const VARIABLE: &str = "MOSQUITTO_DYNSEC_PASSWORD";

/// Characters that one from there has at least.
const LEN_MIN: usize = 12;

/// Characters of one from chance: 127 bits.
const LEN: usize = 20;

/// Of these.
const LETTERS: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-=_+[]{}@#~,./<>?";

/// Makes the file.
pub(super) fn first(options: &DynamicSecurity) -> Result<Model, String> {
    let said = match &options.password_init_file {
        Some(file) => Some(of_file(file)?),
        None => of_environment()?,
    };
    let file = &options.file;
    let mut model = Model { access: ACCESS, ..Model::default() };
    model.roles = roles();
    let group = Group { about: about(GROUP_NAME, Some(GROUP)), ..Group::default() };
    model.groups.insert("unauthenticated".into(), group);
    model.anonymous = Some("unauthenticated".into());
    tracing::info!("dynamic security: {} is not there, and is made", file.display());
    let admin = ["super-admin", "sys-observe", "topic-observe"];
    match said {
        Some(password) => add(&mut model, ("admin", "Admin user"), &admin, &password)?,
        None => {
            let (one, other) = (chance()?, chance()?);
            add(&mut model, ("admin", "Admin user"), &admin, &one)?;
            add(&mut model, ("democlient", DEMO), &["client"], &other)?;
            let passwords = beside(file);
            let text = format!("admin {one}\ndemoclient {other}\n");
            write_text(&passwords, &text).map_err(|error| unwritable(&passwords, &error))?;
            tracing::info!("dynamic security: the first passwords are in {}", passwords.display());
        }
    }
    write(file, &model).map_err(|error| format!("cannot be made: {error}"))?;
    Ok(model)
}

const ACCESS: Access = Access {
    publish_client_send: false,
    publish_client_receive: true,
    subscribe: false,
    unsubscribe: true,
};

const GROUP_NAME: &str = "Unauthenticated group";
const GROUP: &str = "If unauthenticated access is allowed, this group can be used to define roles \
                     for clients that connect without a password.";
const DEMO: &str = "Demonstration client with full read/write access to the '#' topic hierarchy.";

fn about(name: &str, description: Option<&str>) -> About {
    About { name: Some(name.into()), description: description.map(Into::into) }
}

fn add(
    model: &mut Model,
    (name, text_name): (&str, &str),
    roles: &[&str],
    password: &str,
) -> Result<(), String> {
    let client = Client {
        about: about(text_name, None),
        secret: Some(hash(password).map_err(|_| "the system gives no random numbers")?),
        roles: roles.iter().map(|role| ((*role).into(), UNSAID)).collect::<Held>(),
        ..Client::default()
    };
    model.clients.insert(name.into(), client);
    Ok(())
}

/// The roles that there are at first.
fn roles() -> std::collections::BTreeMap<super::model::Name, Role> {
    use AclType::{PublishClientReceive, PublishClientSend, SubscribePattern, UnsubscribePattern};
    let all = &[PublishClientSend, PublishClientReceive, SubscribePattern, UnsubscribePattern];
    let read = &[PublishClientReceive, SubscribePattern];
    let leave = &[PublishClientReceive, SubscribePattern, UnsubscribePattern];
    let send = &[PublishClientSend];
    let those: [(&str, &str, &str, &[AclType]); 7] = [
        ("client", "Read/write access to the full application topic hierarchy.", "#", all),
        (
            "broker-admin",
            "Grants access to administer general broker configuration.",
            "$CONTROL/broker/#",
            all,
        ),
        (
            "dynsec-admin",
            "Grants access to administer clients/groups/roles.",
            "$CONTROL/dynamic-security/#",
            all,
        ),
        (
            "super-admin",
            "Grants access to administer all kind of broker controls",
            "$CONTROL/#",
            all,
        ),
        (
            "sys-notify",
            "Allow bridges to publish connection state messages.",
            "$SYS/broker/connection/%c/state",
            send,
        ),
        ("sys-observe", "Observe the $SYS topic hierarchy.", "$SYS/#", read),
        ("topic-observe", "Read only access to the full application topic hierarchy.", "#", leave),
    ];
    let role = |(name, description, topic, kinds): (&str, &str, &str, &[AclType])| {
        let about = About { name: None, description: Some(description.into()) };
        let mut role = Role::new(about, true);
        for kind in kinds {
            role.add(*kind, Acl { topic: topic.into(), priority: 0, allow: true });
        }
        (name.into(), role)
    };
    those.map(role).into()
}

fn of_file(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("no first password: {}: {error}", file.display()))?;
    let password = text.lines().next().unwrap_or_default().trim_end();
    if password.is_empty() {
        return Err(format!("no first password: {} begins with an empty line", file.display()));
    }
    Ok(password.into())
}

fn of_environment() -> Result<Option<String>, String> {
    match std::env::var(VARIABLE) {
        Ok(password) if password.len() < LEN_MIN => {
            Err(format!("{VARIABLE} must have {LEN_MIN} characters at least"))
        }
        Ok(password) => Ok(Some(password)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{VARIABLE} is no UTF-8")),
    }
}

fn chance() -> Result<String, String> {
    let mut password = String::new();
    // Bytes beyond the last whole round would favour some letters.
    let whole = 256 - 256 % LETTERS.len();
    while password.len() < LEN {
        let mut bytes = [0; LEN];
        getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
        let fair = bytes.into_iter().map(usize::from).filter(|byte| *byte < whole);
        let left = LEN - password.len();
        password.extend(fair.map(|byte| char::from(LETTERS[byte % LETTERS.len()])).take(left));
    }
    Ok(password)
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".pw");
    name.into()
}

fn unwritable(file: &Path, error: &std::io::Error) -> String {
    format!("the first passwords cannot be written to {}: {error}", file.display())
}
