//! A work queue on a shared subscription: the server gives each task to one of the workers, and a
//! task is acknowledged when it is done, so that none is lost with a worker.
//!
//! ```text
//! noctule &                          # or any other broker that speaks MQTT 5
//! cargo run -p noctule-client --example work_queue [ADDRESS]
//! ```
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use noctule_client::{Acknowledge, Client, Error, Message, Options, QoS, Subscribe};
use tokio::sync::mpsc;

const TASKS: usize = 6;

/// Does the tasks that the server gives it, one at a time.
async fn work(
    address: String,
    name: &'static str,
    done: mpsc::Sender<String>,
) -> Result<(), Error> {
    let mut options = Options::new(name);
    options.acknowledge = Acknowledge::ByApplication;
    // One task at a time: the server gives the next to whoever is free.
    options.receive_maximum = 1;
    let client = Client::connect(&address, options).await?;
    let mut tasks =
        client.subscribe(Subscribe::to("$share/workers/tasks", QoS::AtLeastOnce)).await?;
    let _ = done.send(format!("{name} is ready")).await;
    while let Some(task) = tasks.recv().await {
        tokio::task::yield_now().await;
        let result = format!("{name} did {}", String::from_utf8_lossy(&task.payload));
        // Only now may the server forget it.
        client.acknowledge(&task)?;
        let _ = done.send(result).await;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:1883".to_owned());
    let (done, mut results) = mpsc::channel(16);
    let workers = ["worker-1", "worker-2"]
        .map(|name| tokio::spawn(work(address.clone(), name, done.clone())));
    for _ in &workers {
        println!("{}", results.recv().await.unwrap_or_default());
    }

    let client = Client::connect(&address, Options::new("foreman")).await?;
    for task in 1..=TASKS {
        client.publish(Message::new("tasks", format!("task {task}")).qos(QoS::AtLeastOnce)).await?;
    }
    for _ in 0..TASKS {
        println!("{}", results.recv().await.unwrap_or_default());
    }
    client.disconnect().await?;
    workers.iter().for_each(|worker| worker.abort());
    Ok(())
}
