//! Three brokers, joined by bridges, two of them killed and one of them stopped at random.

use anyhow::{Result, ensure};
use noctule_tests::driver::Needs;
use noctule_tests::triangle::{Setting, run};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_acknowledged_arrives_everywhere_in_order_and_nothing_loops() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let setting = Setting { duration: Duration::from_secs(20), seed: 20_261_128 };
    let mosquitto = Needs::MosquittoPeers.program();
    let found = run(setting, mosquitto.as_deref(), folder.path()).await?;
    ensure!(found.arrived == 2 * found.acknowledged && found.blows > 5, "{found:?}");
    Ok(())
}
