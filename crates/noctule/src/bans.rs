//! `noctule bans`: who is not let in by a running broker, asked and changed over its admin
//! listener.

use crate::failed;
use anyhow::{Context, Result, bail, ensure};
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

/// How long the broker may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Show and change who is not let in by a running broker.
///
/// It is asked over its admin listener, which takes changes from its own machine only. Bans survive
/// a restart, where the broker keeps anything.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BansArgs {
    /// Admin listener of the broker.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:18831", global = true)]
    admin: SocketAddr,
    #[command(subcommand)]
    command: BansCommand,
}

const EXAMPLES: &str = "\
Examples:
  noctule bans list
  noctule bans add --address 192.0.2.7 --secs 3600 --why 'guesses passwords'
  noctule bans add --client sensor-9
  noctule bans remove --client sensor-9";

#[derive(Subcommand, Debug)]
enum BansCommand {
    /// Print the bans, one a line: kind, name, tenant, end, who banned, why.
    List {
        /// As the broker says it.
        #[arg(long)]
        json: bool,
    },
    /// Ban an address or network, a client or a user; its connections end.
    Add {
        #[command(flatten)]
        whom: Whom,
        /// For so many seconds; without, until the ban is removed.
        #[arg(long, value_name = "N")]
        secs: Option<u32>,
        /// In plain words.
        #[arg(long, value_name = "TEXT", default_value = "by hand")]
        why: String,
    },
    /// Let in again who was banned.
    Remove {
        #[command(flatten)]
        whom: Whom,
    },
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("whom").required(true))]
struct Whom {
    /// Address, or network like 10.0.0.0/8.
    #[arg(long, group = "whom")]
    address: Option<String>,
    /// Client id.
    #[arg(long, group = "whom")]
    client: Option<String>,
    /// User name.
    #[arg(long, group = "whom")]
    user: Option<String>,
    /// Tenant of the client.
    #[arg(long, value_name = "N", default_value_t = 0)]
    tenant: u16,
}

impl Whom {
    fn entry(self) -> Value {
        let Whom { address, client, user, tenant } = self;
        let named = [("address", address), ("client", client), ("user", user)];
        let named = named.into_iter().find_map(|(kind, name)| Some((kind, name?)));
        let (kind, name) = named.expect("the group asks for one of them");
        json!({ "kind": kind, "name": name, "tenant": tenant })
    }
}

impl BansArgs {
    pub(crate) fn run(self) -> ExitCode {
        match self.act() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&format_args!("{error:#}")),
        }
    }

    fn act(self) -> Result<()> {
        match self.command {
            BansCommand::List { json } => {
                let answer = ask(self.admin, "GET", None)?;
                let text = if json { format!("{answer:#}\n") } else { lines(&answer)? };
                Ok(std::io::stdout().write_all(text.as_bytes())?)
            }
            BansCommand::Add { whom, secs, why } => {
                let mut entry = whom.entry();
                entry["secs"] = secs.into();
                entry["why"] = why.into();
                ask(self.admin, "POST", Some(&entry)).map(drop)
            }
            BansCommand::Remove { whom } => {
                ask(self.admin, "DELETE", Some(&whom.entry())).map(drop)
            }
        }
    }
}

/// One line for each ban. Text that clients chose is quoted as JSON has it.
fn lines(answer: &Value) -> Result<String> {
    let bans = answer["bans"].as_array().context("the broker's answer has no bans")?;
    let mut text = String::new();
    for ban in bans {
        let until = match ban["until_millis"].as_i64() {
            Some(millis) => jiff::Timestamp::from_millisecond(millis)?.to_string(),
            None => "for ever".into(),
        };
        let field = |name: &str| &ban[name];
        text.push_str(&format!(
            "{} {} tenant={} until={until:?} by={} why={}\n",
            field("kind").as_str().unwrap_or_default(),
            field("name"),
            field("tenant"),
            field("by"),
            field("why"),
        ));
    }
    Ok(text)
}

/// Asks the admin listener. HTTP of one request needs no library.
fn ask(admin: SocketAddr, method: &str, body: Option<&Value>) -> Result<Value> {
    let no_broker = || format!("no admin listener of a broker on {admin} (--admin ADDRESS)");
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).with_context(no_broker)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} /bans HTTP/1.0\r\nHost: {admin}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("no answer from {admin}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(no_broker)?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(!(status == "404" && body.is_empty()), "what is on {admin} knows no bans");
    let said: Value = serde_json::from_str(body)
        .with_context(|| format!("what is on {admin} is no broker of this version"))?;
    if status != "200" {
        bail!("{}", said["error"].as_str().unwrap_or(status));
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_is_one_line_whatever_its_names_hold() {
        let ban = |name: &str, until: Value| {
            json!({ "kind": "client", "name": name, "tenant": 2, "until_millis": until,
                    "why": "a\nb", "by": "admin" })
        };
        let answer =
            json!({ "version": 1, "bans": [ban("x\ny", Value::Null), ban("z", 1000.into())] });
        let text = lines(&answer).unwrap();
        let all: Vec<&str> = text.lines().collect();
        assert_eq!(
            all,
            [
                r#"client "x\ny" tenant=2 until="for ever" by="admin" why="a\nb""#,
                r#"client "z" tenant=2 until="1970-01-01T00:00:01Z" by="admin" why="a\nb""#,
            ]
        );
        assert!(lines(&json!({})).is_err());
    }
}
