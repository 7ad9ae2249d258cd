//! The backend of a dashboard: takes in all there is of some topics, shows how it stands with the
//! server, and survives both that server's restarts and its own lagging behind.
//!
//! ```text
//! noctule &                          # or any other broker
//! cargo run -p noctule-client --example dashboard [ADDRESS] &
//! cargo run -p noctule-client --example sensor [ADDRESS]
//! ```
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use noctule_client::{Connector, Error, Options, QoS, Reconnect, State, Subscribe};
use std::collections::BTreeMap;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:1883".to_owned());
    let mut options = Options::new("dashboard");
    // The server keeps what comes while we are away for a minute.
    options.clean_start = false;
    options.session_expiry_secs = 60;
    // Patient from the start: the server may come up after us.
    let connector = Connector::to(&address, options)?.reconnect(Reconnect::always());
    let client = connector.start()?;

    let mut states = client.states();
    tokio::spawn(async move {
        while states.changed().await.is_ok() {
            match &*states.borrow_and_update() {
                State::Waiting { error, delay } => println!("[again in {delay:.1?}: {error}]"),
                State::Online(server) => println!("[online as {}]", server.client_id),
                State::Ended(error) => println!("[over: {error}]"),
                _ => {}
            }
        }
    });

    let mut sensors = client.subscribe(Subscribe::to("sensors/+/+", QoS::AtLeastOnce)).await?;
    let mut board = BTreeMap::new();
    while let Some(message) = sensors.recv().await {
        let value = String::from_utf8_lossy(&message.payload).into_owned();
        println!("{} = {value}", message.topic);
        let asleep = message.topic.ends_with("/status") && value == "asleep";
        board.insert(message.topic.to_string(), value);
        if asleep {
            break;
        }
    }
    println!("{} topics on the board", board.len());
    client.disconnect().await
}
