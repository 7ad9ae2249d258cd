//! How `sub` and `rr` get their connection, and what `-d` prints of it.

use super::connect;
use super::debug::{Debug, Entry};
use super::settings::Settings;
use super::trouble::is_lost;
use noctule_client::{Client, Connector, Error, Reconnect, State, Subscription};
use tokio::sync::mpsc;

/// What `-d` has to print, in order.
pub(super) type Packets = mpsc::UnboundedReceiver<Entry>;

/// What `-d` prints is put here.
pub(super) type Lines = mpsc::UnboundedSender<Entry>;

/// A queue for what `-d` prints; the end that is read is there only if anything is printed.
pub(super) fn lines(settings: &Settings) -> (Lines, Option<Packets>) {
    let (lines, packets) = mpsc::unbounded_channel();
    (lines, settings.debug.then_some(packets))
}

/// Has packets looked at, if they are to be printed.
pub(super) fn watched(connector: Connector, settings: &Settings, lines: &Lines) -> Connector {
    if !settings.debug {
        return connector;
    }
    let mut debug = Debug::new(settings.tool, settings.connection.version);
    let lines = lines.clone();
    connector.tap(move |tapped| {
        for entry in debug.see(tapped) {
            // At the end nobody listens any more.
            let _ = lines.send(entry);
        }
    })
}

/// Connects, and takes what comes from the first message on. Where somebody answers, but not as a
/// broker does, it tries again, as after a connection that broke.
pub(super) async fn connect(
    connector: Connector,
    settings: &Settings,
    lines: &Lines,
) -> Result<(Client, Subscription), Error> {
    match open(watched(connector, settings, lines)).await {
        Err(error) if is_lost(&error) => {}
        connected => return connected,
    }
    let reconnect = Reconnect { first: true, ..connect::reconnect() };
    tokio::time::sleep(reconnect.delay_max).await;
    // It was made before.
    let connector = connect::connector(settings).map_err(|_| Error::NotConnected)?;
    open(watched(connector.reconnect(reconnect), settings, lines)).await
}

async fn open(connector: Connector) -> Result<(Client, Subscription), Error> {
    let client = connector.start()?;
    let messages = client.messages().await?;
    let mut states = client.states();
    let refused = states.wait_for(|state| refusal(state).is_some());
    tokio::select! {
        online = client.online() => online.map(|_| ()),
        Ok(state) = refused => Err(refusal(&state).unwrap_or(Error::NotConnected)),
    }?;
    Ok((client, messages))
}

/// The next packet to print; never, if none are.
pub(super) async fn next(packets: &mut Option<Packets>) -> Option<Entry> {
    match packets {
        Some(packets) => packets.recv().await,
        None => std::future::pending().await,
    }
}

/// A broker that does not let us in again: mosquitto_sub takes that for final.
pub(super) fn refusal(state: &State) -> Option<Error> {
    match state {
        State::Waiting { error: error @ Error::Refused(_), .. } => Some(error.clone()),
        _ => None,
    }
}
