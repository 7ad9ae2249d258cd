//! A device that measures first and connects when it can. What it has measured is on disk before
//! `send` returns, and reaches the server exactly once, over breaks of the connection, restarts of
//! the server, and restarts of the device.
//!
//! ```text
//! cargo run -p noctule-client --example offline_first -- measure   # no server needed
//! cargo run -p noctule-client --example offline_first -- measure
//! noctule --port 1883 &
//! cargo run -p noctule-client --example offline_first -- deliver [ADDRESS]
//! ```
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use noctule_client::{Connector, Error, Message, Options, QoS, Reconnect};
use std::time::{SystemTime, UNIX_EPOCH};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let deliver = args.next().is_some_and(|word| word == "deliver");
    let address = args.next().unwrap_or_else(|| "localhost:1883".to_owned());

    let mut options = Options::new("truck-7");
    // The server has its part of the session for as long as it takes.
    options.clean_start = false;
    options.session_expiry_secs = u32::MAX;
    let client = Connector::to(&address, options)?
        .reconnect(Reconnect::always())
        .store(std::env::temp_dir().join("truck-7.session"))
        .start()?;

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let reading = Message::new("trucks/7/odometer", format!("{now}")).qos(QoS::ExactlyOnce);
    let receipt = client.send(reading).await?;
    println!("stored {now}");
    if deliver {
        // Those before it went first: messages leave in the order of their storing.
        receipt.await?;
        println!("delivered");
        client.disconnect().await?;
    }
    Ok(())
}
