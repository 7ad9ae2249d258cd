//! Databases that are made here, whole and spoiled.

use super::super::spoil::Chance;
use super::wal::of_pages;
use super::*;
use crate::import;
use noctule_core::Time;
use std::collections::BTreeMap;

/// Small, so that tables and rows need many of them.
const PAGE: usize = 512;

/// A value of a row to be written.
enum Put<'a> {
    None,
    Number(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}
use Put::{Blob, None as Null, Number, Text};

fn varint(number: u64) -> Vec<u8> {
    let mut bytes = vec![number as u8 & 0x7F];
    let mut rest = number >> 7;
    while rest > 0 {
        bytes.insert(0, rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes
}

fn record(row: &[Put<'_>]) -> Vec<u8> {
    let (mut kinds, mut body) = (Vec::new(), Vec::new());
    for put in row {
        let (kind, bytes) = match put {
            Put::None => (0, Vec::new()),
            Number(number) => (6, number.to_be_bytes().to_vec()),
            Text(text) => (13 + 2 * text.len() as u64, text.as_bytes().to_vec()),
            Blob(blob) => (12 + 2 * blob.len() as u64, blob.to_vec()),
        };
        kinds.extend(varint(kind));
        body.extend(bytes);
    }
    assert!(kinds.len() < 0x7F, "a head of one byte more");
    [vec![kinds.len() as u8 + 1], kinds, body].concat()
}

/// Writes databases, as SQLite does.
#[derive(Default)]
struct Writer {
    pages: Vec<Vec<u8>>,
}

impl Writer {
    fn page(&mut self) -> u32 {
        self.pages.push(vec![0; PAGE]);
        self.pages.len() as u32
    }

    fn cell(&mut self, row_id: u64, record: &[u8]) -> Vec<u8> {
        let head = [varint(record.len() as u64), varint(row_id)].concat();
        if record.len() <= PAGE - 35 {
            return [&head, record].concat();
        }
        let least = (PAGE - 12) * 32 / 255 - 23;
        let fits = least + (record.len() - least) % (PAGE - 4);
        let local = if fits <= PAGE - 35 { fits } else { least };
        let pages: Vec<u32> = record[local..].chunks(PAGE - 4).map(|_| self.page()).collect();
        for (at, part) in record[local..].chunks(PAGE - 4).enumerate() {
            let next = pages.get(at + 1).copied().unwrap_or(0);
            let page = &mut self.pages[pages[at] as usize - 1];
            page[..4].copy_from_slice(&next.to_be_bytes());
            page[4..4 + part.len()].copy_from_slice(part);
        }
        [&head, &record[..local], &pages[0].to_be_bytes()].concat()
    }

    /// Fills a page with cells that fit.
    fn fill(&mut self, number: u32, kind: u8, cells: &[Vec<u8>], right: u32) {
        let start = if number == 1 { pages::HEAD } else { 0 };
        let page = &mut self.pages[number as usize - 1];
        page[start] = kind;
        page[start + 3..start + 5].copy_from_slice(&(cells.len() as u16).to_be_bytes());
        let mut pointer = start + if kind == 5 { 12 } else { 8 };
        if kind == 5 {
            page[start + 8..start + 12].copy_from_slice(&right.to_be_bytes());
        }
        let mut end = PAGE;
        for cell in cells {
            end -= cell.len();
            page[end..end + cell.len()].copy_from_slice(cell);
            page[pointer..pointer + 2].copy_from_slice(&(end as u16).to_be_bytes());
            pointer += 2;
        }
        assert!(pointer <= end, "page {number} overflows");
    }

    /// A table with its root there: leaves, and above them one page at most.
    fn table(&mut self, root: u32, rows: &[Vec<u8>]) {
        let mut leaves: Vec<Vec<(u64, Vec<u8>)>> = vec![Vec::new()];
        let room = PAGE - pages::HEAD - 12;
        for (at, record) in rows.iter().enumerate() {
            let row_id = at as u64 + 1;
            let cell = self.cell(row_id, record);
            let last = leaves.last_mut().unwrap();
            let used: usize = last.iter().map(|(_, cell)| cell.len() + 2).sum();
            match used + cell.len() + 2 <= room || last.is_empty() {
                true => last.push((row_id, cell)),
                false => leaves.push(vec![(row_id, cell)]),
            }
        }
        let cells =
            |leaf: &[(u64, Vec<u8>)]| leaf.iter().map(|it| it.1.clone()).collect::<Vec<_>>();
        if leaves.len() == 1 && root != 1 {
            return self.fill(root, 13, &cells(&leaves[0]), 0);
        }
        let mut above = Vec::new();
        for leaf in &leaves {
            let number = self.page();
            self.fill(number, 13, &cells(leaf), 0);
            let last = leaf.last().map_or(0, |it| it.0);
            above.push((number, [&number.to_be_bytes()[..], &varint(last)].concat()));
        }
        let (right, _) = above.pop().unwrap();
        let above: Vec<_> = above.into_iter().map(|it| it.1).collect();
        self.fill(root, 5, &above, right);
    }

    fn database(tables: &[(&str, &str, Vec<Vec<u8>>)]) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.page();
        let mut schema = vec![record(&[Text("index"), Text("i"), Text("t"), Number(2), Null])];
        for (name, columns, rows) in tables {
            let root = writer.page();
            writer.table(root, rows);
            let sql = format!("CREATE TABLE {name} ({columns})");
            let parts = [Text("table"), Text(name), Text(name), Number(root.into()), Text(&sql)];
            schema.push(record(&parts));
        }
        writer.table(1, &schema);
        let mut bytes = writer.pages.concat();
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..18].copy_from_slice(&(PAGE as u16).to_be_bytes());
        bytes[18..20].fill(2);
        bytes[59] = 1;
        bytes
    }
}

const JSON: &str = r#"[{"identifier":"content-type","value":"t"}]"#;

/// Messages on many leaves, one of them long, so that it lies on many pages.
fn messages() -> Vec<Vec<u8>> {
    let plain = |id| {
        let [expiry, qos, retain] = [Number(0), Number(1), Number(0)];
        let (topic, payload) = (Text("a/b"), Blob(b"hi"));
        record(&[Number(id), expiry, topic, payload, Text("p"), qos, retain, Null])
    };
    let mut messages: Vec<Vec<u8>> = (1..=40).map(plain).collect();
    let long = [b'L'; 3000];
    let [id, at, topic] = [Number(41), Number(4_000_000_000), Text("long")];
    let [source, qos, retain] = [Text("p"), Number(1), Number(1)];
    messages.push(record(&[id, at, topic, Blob(&long), source, qos, retain, Text(JSON)]));
    let [id, topic, source] = [Number(42), Number(7), Text("p")];
    messages.push(record(&[id, Number(0), topic, Null, source, Number(0), Number(1), Text("[7]")]));
    messages
}

/// Rows from before the last column was added: they are shorter.
fn deliveries() -> Vec<Vec<u8>> {
    let row = |id| {
        let [dup, direction, packet_id, qos] = [Number(0), Number(1), Number(id), Number(1)];
        let (retain, state) = (Number(0), Number(11));
        let ids = [Text("c"), Number(id), Number(id)];
        let rest = [dup, direction, packet_id, qos, retain, state];
        record(&ids.into_iter().chain(rest).collect::<Vec<_>>())
    };
    (1..=41).map(row).collect()
}

/// A session whose Will waits.
fn client() -> Vec<u8> {
    let [will_at, expires_at] = [Number(4_000_000_010), Number(4_000_000_100)];
    let names = [Text("c"), Text("ann"), Number(0)];
    let times = [will_at, expires_at, Number(-1), Number(10)];
    record(&names.into_iter().chain(times).collect::<Vec<_>>())
}

/// A database of the plugin.
fn whole() -> Vec<u8> {
    Writer::database(&[
        (
            "base_msgs",
            "store_id INT64 PRIMARY KEY,expiry_time INT64,topic STRING NOT NULL,payload BLOB,\
             source_id STRING,qos INTEGER,retain INTEGER,properties STRING",
            messages(),
        ),
        (
            "retains",
            "topic STRING PRIMARY KEY,store_id INT64",
            vec![record(&[Text("long"), Number(41)])],
        ),
        (
            "clients",
            "client_id TEXT PRIMARY KEY,username TEXT,connection_time INT64,will_delay_time \
             INT64,session_expiry_time INT64,session_expiry_interval INT,will_delay_interval INT",
            vec![client()],
        ),
        (
            "subscriptions",
            "client_id TEXT NOT NULL,topic TEXT NOT NULL,subscription_options \
             INTEGER,subscription_identifier INTEGER,PRIMARY KEY (client_id, topic) ",
            vec![record(&[Text("c"), Text("$share/g/#"), Number(0x2A), Number(5)])],
        ),
        (
            "client_msgs",
            "client_id TEXT NOT NULL,cmsg_id INT64,store_id INT64,dup INTEGER,direction \
             INTEGER,mid INTEGER,qos INTEGER,retain INTEGER,state INTEGER,subscription_identifier \
             INT",
            deliveries(),
        ),
        (
            "version_info",
            "component TEXT NOT NULL,major INTEGER NOT NULL,minor INTEGER NOT NULL",
            vec![record(&[Text("database_schema"), Number(1), Number(1)])],
        ),
        (
            "wills",
            "client_id TEXT PRIMARY KEY,payload BLOB,topic STRING NOT NULL,qos INTEGER,retain \
             INTEGER,properties STRING",
            vec![record(&[Text("c"), Blob(b"w"), Text("w/c"), Number(1), Number(0), Null])],
        ),
    ])
}

#[test]
fn every_table_is_read_in_the_order_of_its_rows() {
    let file = whole();
    let found = parse(&file, None).unwrap();
    assert_eq!(found.messages.len(), 42);
    assert!(found.messages.iter().map(|it| it.store_id).eq(1..=42));
    let long = &found.messages[40];
    assert_eq!(
        (&*long.content.payload, long.expires_at_secs),
        (&[b'L'; 3000][..], Some(4_000_000_000))
    );
    assert_eq!(&*long.content.properties, b"\x03\0\x01t");
    assert_eq!(&*found.messages[41].content.topic, b"7");
    assert!(
        found
            .deliveries
            .iter()
            .map(|it| (it.store_id, it.packet_id))
            .eq((1..=41).map(|id| (id, id as u16)))
    );
    assert_eq!(found.deliveries[0].subscription_id, 0);
    assert_eq!((found.retained.as_slice(), found.wills.len()), (&[41][..], 1));
    let client = &found.clients[0];
    assert_eq!((client.expiry_interval_secs, client.will_delay_secs), (u32::MAX, 10));
    assert_eq!(found.subscriptions[0].options, 0x2A);
    assert_eq!(found.remarks.len(), 2, "{:?}", found.remarks);
}

#[test]
fn pages_of_the_wal_are_newer_than_those_of_the_file() {
    let file = whole();
    let pages: Vec<(u32, Vec<u8>)> =
        (1..).zip(file.chunks(PAGE)).map(|(number, page)| (number, page.to_vec())).collect();
    let count = pages.len() as u32;
    // As a database begins: one page, and all the others in the -wal.
    let wal = of_pages(&pages, count);
    let mut first = file[..PAGE].to_vec();
    first[56..60].fill(0);
    let found = parse(&first, Some(&wal)).unwrap();
    assert_eq!(found.messages.len(), 42);
    assert!(found.remarks[0].contains(&format!("{count} pages taken")), "{:?}", found.remarks);
    // What was not ended, or is damaged, is not there.
    let unended = of_pages(&pages, 0);
    let without = parse(&file, Some(&unended)).unwrap();
    assert!(without.remarks[0].contains("nothing in it is valid"), "{:?}", without.remarks);
    let mut spoiled = wal.clone();
    spoiled[32 + 24 + 9] ^= 1;
    assert!(parse(&first, Some(&spoiled)).is_err());
    assert_eq!(parse(&file, Some(&spoiled)).unwrap().messages, found.messages);
    // It is not looked at where the database does not say that there is one.
    let mut old = file.clone();
    old[18..20].fill(1);
    assert_eq!(parse(&old, Some(&wal)).unwrap().remarks, parse(&old, None).unwrap().remarks);
}

#[test]
fn other_databases_are_refused() {
    let says = |file: &[u8]| parse(file, None).unwrap_err().to_string();
    let other = Writer::database(&[("notes", "id INTEGER", vec![record(&[Number(1)])])]);
    assert!(says(&other).contains("there is no table base_msgs"), "{}", says(&other));
    let mut utf16 = other;
    utf16[59] = 2;
    assert!(says(&utf16).contains("not UTF-8"), "{}", says(&utf16));
    let empty = |name| (name, "id INTEGER", Vec::new());
    let mut tables =
        ["base_msgs", "clients", "client_msgs", "retains", "subscriptions"].map(empty).to_vec();
    assert_eq!(
        says(&Writer::database(&tables)),
        "is damaged: table base_msgs has no column store_id"
    );
    let rows = vec![record(&[Number(2), Number(0)])];
    tables.push(("version_info", "major INTEGER,minor INTEGER", rows));
    assert!(says(&Writer::database(&tables)).starts_with("has version 2.0 of the"));
}

#[test]
fn a_tree_that_meets_itself_ends() {
    let mut file = whole();
    // The root of the table of tables has itself as its last child.
    file[pages::HEAD + 8..pages::HEAD + 12].copy_from_slice(&1_u32.to_be_bytes());
    let error = parse(&file, None).unwrap_err().to_string();
    assert_eq!(error, "is damaged: page 1: met twice");
}

#[test]
fn twenty_thousand_spoiled_databases_are_read_or_refused() {
    let whole = whole();
    let pages: Vec<(u32, Vec<u8>)> =
        (1..).zip(whole.chunks(PAGE)).map(|(number, page)| (number, page.to_vec())).collect();
    let wal = of_pages(&pages, pages.len() as u32);
    let mut chance = Chance(0x5EED_0002);
    let mut outcomes = BTreeMap::new();
    for round in 0..20_000 {
        let (main, wal) = match round % 4 {
            0 => (whole.clone(), Some(chance.spoil(&wal))),
            1 => {
                // One page, and heads of cells: where most is said.
                let mut main = whole.clone();
                let page = chance.below(main.len() / PAGE) * PAGE;
                let spoiled = chance.spoil(&main[page..page + PAGE]);
                main[page..].iter_mut().zip(spoiled).for_each(|(byte, new)| *byte = new);
                (main, None)
            }
            _ => (chance.spoil(&whole), None),
        };
        match import::parse(&main, wal.as_deref()) {
            Ok(persisted) => {
                *outcomes.entry("read").or_insert(0) += 1;
                let plan = import::plan(&persisted, Time(1_700_000_000_000));
                assert!(plan.records.len() < 200, "{} records", plan.records.len());
            }
            Err(error) => {
                assert!(!error.what.is_empty());
                *outcomes.entry("refused").or_insert(0) += 1;
            }
        }
    }
    assert!(outcomes.len() == 2 && outcomes.values().all(|it| *it > 1000), "{outcomes:?}");
}
