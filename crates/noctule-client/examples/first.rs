//! Connects, subscribes, publishes, and prints what comes back.
//!
//! ```text
//! noctule &                          # or any other broker on port 1883
//! cargo run -p noctule-client --example first [ADDRESS]
//! ```
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use noctule_client::{Client, Error, Message, Options, QoS, Subscribe};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:1883".to_owned());
    let client = Client::connect(&address, Options::new("first-example")).await?;
    let mut rooms = client.subscribe(Subscribe::to("home/+/temperature", QoS::AtLeastOnce)).await?;

    for (room, celsius) in [("kitchen", "21.5"), ("bath", "23.0")] {
        let topic = format!("home/{room}/temperature");
        // Comes back when the server has taken the message over.
        client.publish(Message::new(topic, celsius).qos(QoS::AtLeastOnce)).await?;
    }

    for _ in 0..2 {
        let Some(message) = rooms.recv().await else { break };
        println!("{} {}", message.topic, String::from_utf8_lossy(&message.payload));
    }
    client.disconnect().await
}
