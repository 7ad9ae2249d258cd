//! Request and response (MQTT 5): one client asks, another answers.
//!
//! ```text
//! noctule &                          # or any other broker that speaks MQTT 5
//! cargo run -p noctule-client --example requests [ADDRESS]
//! ```
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use noctule_client::{Client, Error, Message, Options, QoS, Subscribe};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:1883".to_owned());

    let calculator = Client::connect(&address, Options::new("calculator")).await?;
    let mut tasks = calculator.subscribe(Subscribe::to("calc/square", QoS::AtLeastOnce)).await?;
    let answering = tokio::spawn(async move {
        while let Some(task) = tasks.recv().await {
            let text = String::from_utf8_lossy(&task.payload);
            let answer = match text.parse::<i64>() {
                Ok(number) => (number * number).to_string(),
                Err(error) => format!("{text:?} is no number: {error}"),
            };
            // Goes to the topic that the request names, with its correlation data.
            calculator.respond(&task, Message::new("", answer)).await?;
        }
        Ok::<(), Error>(())
    });

    let client = Client::connect(&address, Options::new("asker")).await?;
    let requester = client.requester().await?;
    for question in ["12", "many"] {
        let request = Message::new("calc/square", question).qos(QoS::AtLeastOnce);
        let response = requester.request(request, Duration::from_secs(5)).await?;
        println!("{question} -> {}", String::from_utf8_lossy(&response.payload));
    }
    drop(requester);
    client.disconnect().await?;
    answering.abort();
    Ok(())
}
