//! The plugin's tables.

use super::super::persisted::{
    BaseMessage, Client, Content, Delivery, FormatError, Persisted, SECONDS_MAX, Subscription, Will,
};
use super::pages::Pages;
use super::row::{Value, values};
use super::{properties, tree};
use std::collections::HashMap;

/// Columns of the table of tables that matter: its kind, name, root and text.
const SCHEMA: usize = 5;

type Parsed<T> = Result<T, FormatError>;

/// Tables by their names.
type Tables = HashMap<String, Table>;

/// Where a table begins, and its columns in order.
struct Table {
    root: u32,
    columns: Vec<String>,
}

/// Reads all tables.
pub(super) fn read<'a>(pages: &Pages<'a>) -> Parsed<Persisted<'a>> {
    let tables = tables(pages)?;
    for name in ["base_msgs", "clients", "client_msgs", "retains", "subscriptions"] {
        if !tables.contains_key(name) {
            return Err(FormatError::whole(format!(
                "is a SQLite database, but not that of mosquitto's persist-sqlite plugin: there \
                 is no table {name}"
            )));
        }
    }
    let mut persisted = Persisted::default();
    let mut version = [1, 0];
    each(pages, &tables, ("version_info", &["major", "minor"]), &mut |[major, minor]| {
        version = [major.as_number(), minor.as_number()];
    })?;
    let [major, minor] = version;
    if major != 1 {
        return Err(FormatError::whole(format!(
            "has version {major}.{minor} of the persist-sqlite plugin's tables, and noctule knows \
             1.x"
        )));
    }
    persisted.kind =
        format!("SQLite file of mosquitto's plugin, tables of version {major}.{minor}");
    persisted.remarks.extend(pages.remark.clone());
    messages(pages, &tables, &mut persisted)?;
    sessions(pages, &tables, &mut persisted)?;
    Ok(persisted)
}

fn messages<'a>(pages: &Pages<'a>, tables: &Tables, into: &mut Persisted<'a>) -> Parsed<()> {
    let (mut spoiled, mut numeric) = (0, 0);
    let columns = (
        "base_msgs",
        &[
            "store_id",
            "expiry_time",
            "topic",
            "payload",
            "source_id",
            "qos",
            "retain",
            "properties",
        ],
    );
    each(pages, tables, columns, &mut |row| {
        let [store_id, expires_at, topic, payload, source_id, qos, retain, json] = row;
        numeric += u32::from(matches!(topic, Value::Number(_) | Value::Real(_)));
        let (properties, whole) = properties::encode(&json.into_text());
        spoiled += u32::from(!whole);
        into.messages.push(BaseMessage {
            store_id: store_id.as_number() as u64,
            source_id: source_id.into_text(),
            expires_at_secs: instant(&expires_at),
            content: Content {
                topic: topic.into_text(),
                properties: properties.into(),
                payload: payload.into_text(),
                qos: byte(&qos),
                retain: retain.as_number() != 0,
            },
        });
    })?;
    each(pages, tables, ("retains", &["store_id"]), &mut |[store_id]| {
        into.retained.push(store_id.as_number() as u64);
    })?;
    if spoiled > 0 {
        into.remarks.push(format!(
            "messages with properties that are none, taken without those: {spoiled}"
        ));
    }
    if numeric > 0 {
        into.remarks.push(format!(
            "messages whose topic is a number in the file, where 007 has become 7 (mosquitto reads \
             it so too): {numeric}"
        ));
    }
    Ok(())
}

fn sessions<'a>(pages: &Pages<'a>, tables: &Tables, into: &mut Persisted<'a>) -> Parsed<()> {
    let columns = &[
        "client_id",
        "username",
        "will_delay_time",
        "session_expiry_time",
        "session_expiry_interval",
        "will_delay_interval",
    ];
    each(pages, tables, ("clients", columns), &mut |row| {
        let [id, user_name, will_at, expires_at, interval, will_delay] = row;
        into.clients.push(Client {
            id: id.into_text(),
            has_user_name: !user_name.into_text().is_empty(),
            // SQLite's column holds -1 for what never expires.
            expiry_interval_secs: interval.as_number() as u32,
            expires_at_secs: instant(&expires_at),
            will_at_secs: instant(&will_at),
            will_delay_secs: will_delay.as_number() as u32,
        });
    })?;
    let columns = &["client_id", "topic", "subscription_options", "subscription_identifier"];
    each(pages, tables, ("subscriptions", columns), &mut |[id, filter, options, identifier]| {
        into.subscriptions.push(Subscription {
            client_id: id.into_text(),
            filter: filter.into_text(),
            options: byte(&options),
            identifier: identifier.as_number() as u32,
        });
    })?;
    deliveries(pages, tables, into)?;
    let columns = &["client_id", "payload", "topic", "qos", "retain", "properties"];
    each(pages, tables, ("wills", columns), &mut |[id, payload, topic, qos, retain, json]| {
        into.wills.push(Will {
            client_id: id.into_text(),
            content: Content {
                topic: topic.into_text(),
                properties: properties::encode(&json.into_text()).0.into(),
                payload: payload.into_text(),
                qos: byte(&qos),
                retain: retain.as_number() != 0,
            },
        });
    })
}

fn deliveries<'a>(pages: &Pages<'a>, tables: &Tables, into: &mut Persisted<'a>) -> Parsed<()> {
    let columns = &[
        "client_id",
        "store_id",
        "direction",
        "mid",
        "qos",
        "retain",
        "state",
        "subscription_identifier",
    ];
    each(pages, tables, ("client_msgs", columns), &mut |row| {
        let [id, store_id, direction, packet_id, qos, retain, state, subscription_id] = row;
        into.deliveries.push(Delivery {
            client_id: id.into_text(),
            store_id: store_id.as_number() as u64,
            packet_id: u16::try_from(packet_id.as_number()).unwrap_or(0),
            qos: byte(&qos),
            retain: retain.as_number() != 0,
            outgoing: direction.as_number() != 0,
            state: byte(&state),
            subscription_id: subscription_id.as_number() as u32,
        });
    })
}

/// An instant; 0: none.
fn instant(value: &Value<'_>) -> Option<u64> {
    let secs = u64::try_from(value.as_number()).ok().filter(|secs| *secs > 0)?;
    Some(secs.min(SECONDS_MAX))
}

/// A small number; what is none is refused later.
fn byte(value: &Value<'_>) -> u8 {
    u8::try_from(value.as_number()).unwrap_or(u8::MAX)
}

/// The tables of the database.
fn tables(pages: &Pages<'_>) -> Parsed<Tables> {
    let mut tables = Tables::new();
    tree::rows(pages, 1, &mut |page, record| {
        let values = values(record, SCHEMA).ok_or_else(|| page.wrong("a row that is none"))?;
        let Ok([kind, name, _, root, sql]) = <[Value<'_>; SCHEMA]>::try_from(values) else {
            return Ok(());
        };
        if *kind.into_text() != *b"table" {
            return Ok(());
        }
        let name = String::from_utf8_lossy(&name.into_text()).into_owned();
        let columns = columns(&String::from_utf8_lossy(&sql.into_text()));
        let root = u32::try_from(root.as_number()).unwrap_or(0);
        tables.insert(name, Table { root, columns });
        Ok(())
    })?;
    Ok(tables)
}

/// The names of the columns that a CREATE TABLE makes.
fn columns(sql: &str) -> Vec<String> {
    let Some((_, inner)) = sql.split_once('(') else { return Vec::new() };
    let (mut columns, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (at, char) in inner.char_indices() {
        match char {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ',' | ')' if depth == 0 => {
                columns.extend(inner[start..at].split_whitespace().next().map(str::to_owned));
                start = at + 1;
                if char == ')' {
                    break;
                }
            }
            _ => {}
        }
    }
    columns
}

/// Calls `tell` with the named columns of each row; a table that there is not has none.
fn each<'a, const N: usize>(
    pages: &Pages<'a>,
    tables: &Tables,
    (name, wanted): (&str, &[&str; N]),
    tell: &mut dyn FnMut([Value<'a>; N]),
) -> Parsed<()> {
    let Some(table) = tables.get(name) else { return Ok(()) };
    let mut places = [0; N];
    for (place, wanted) in places.iter_mut().zip(wanted) {
        let found = table.columns.iter().position(|column| column == wanted);
        *place = found.ok_or_else(|| {
            FormatError::whole(format!("is damaged: table {name} has no column {wanted}"))
        })?;
    }
    tree::rows(pages, table.root, &mut |page, record| {
        let values = values(record, table.columns.len());
        let mut values = values.ok_or_else(|| page.wrong(format!("a row of {name} is none")))?;
        // Rows from before a column was added are shorter.
        tell(places.map(|place| {
            values.get_mut(place).map_or(Value::Null, |it| std::mem::replace(it, Value::Null))
        }));
        Ok(())
    })
}
