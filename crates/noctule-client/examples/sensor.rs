//! A sensor that says whether it is there, publishes readings, and keeps its last one for who
//! comes later.
//!
//! ```text
//! noctule &                          # or any other broker
//! noctule sub -v -t 'sensors/#' &
//! cargo run -p noctule-client --example sensor [ADDRESS]
//! ```
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use noctule_client::{Client, Error, Message, Options, QoS};
use std::time::Duration;

const STATUS: &str = "sensors/cellar/status";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:1883".to_owned());
    let mut options = Options::new("sensor-cellar");
    options.keep_alive_secs = 30;
    // If the sensor vanishes, the server says so on its behalf.
    options.will = Some(Message::new(STATUS, "gone").qos(QoS::AtLeastOnce).retained().into());
    let client = Client::connect(&address, options).await?;
    client.publish(Message::new(STATUS, "here").qos(QoS::AtLeastOnce).retained()).await?;

    for celsius in ["11.4", "11.5", "11.3"] {
        let reading = Message::new("sensors/cellar/temperature", celsius);
        // Old readings are of no interest to anybody.
        let reading = reading.qos(QoS::AtLeastOnce).retained().expires_in_secs(3600);
        // Returns when the server has taken the message over, however often the connection breaks.
        client.publish(reading).await?;
        println!("published {celsius}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // Who says good-bye publishes no Will, so the status has to be said.
    client.publish(Message::new(STATUS, "asleep").qos(QoS::AtLeastOnce).retained()).await?;
    client.disconnect().await
}
