//! The task of one connection: carries bytes between the session and the socket.

use super::client::Shared;
use super::gauge::UNREAD_HIGH;
use super::routes::Routes;
use crate::error::Error;
use crate::message::{Goodbye, Message, Subscribe, Unsubscribe};
use crate::session::{Event, Received, Session, Token};
use noctule_proto::{QoS, ReasonCode};
use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

/// No more commands are taken while this much waits to be written.
const OUTPUT_HIGH: usize = 64 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// Commands that one turn takes before it writes.
const TURN_COMMANDS: usize = 256;
/// How long the end of a connection may take.
const FAREWELL: Duration = Duration::from_secs(2);

type PublishReply = oneshot::Sender<Result<ReasonCode, Error>>;
type Granted = (Vec<ReasonCode>, mpsc::UnboundedReceiver<Message>);

/// What a handle asks for.
#[derive(Debug)]
pub(super) enum Command {
    Publish(Message, PublishReply),
    Subscribe(Subscribe, oneshot::Sender<Result<Granted, Error>>),
    Unsubscribe(String, oneshot::Sender<Result<ReasonCode, Error>>),
    Disconnect(Goodbye, oneshot::Sender<()>),
}

/// Who waits for the end of a request.
enum Waiting {
    Publish {
        reply: PublishReply,
        when: Kept,
    },
    Subscribe {
        reply: oneshot::Sender<Result<Granted, Error>>,
        key: u64,
        messages: mpsc::UnboundedReceiver<Message>,
    },
    Unsubscribe {
        reply: oneshot::Sender<Result<ReasonCode, Error>>,
        filter: String,
    },
}

/// When the promise of a message is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// QoS 0: when the socket has its last byte.
    Written,
    /// When the server has acknowledged it.
    Acknowledged,
}

pub(super) struct Driver {
    session: Session,
    stream: TcpStream,
    /// Bytes from the server that make no whole packet yet.
    input: Vec<u8>,
    commands: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    routes: Routes,
    waiting: HashMap<Token, Waiting>,
    /// Messages of QoS 0, with the position of their last byte in the output of the connection.
    leaving: VecDeque<(u64, PublishReply)>,
    /// Bytes that the socket has taken.
    written: u64,
    subscription_ids: u32,
    start: Instant,
    welcome: Option<oneshot::Sender<Result<(), Error>>>,
    farewells: Vec<oneshot::Sender<()>>,
    ended: bool,
}

impl Driver {
    pub(super) fn new(
        session: Session,
        stream: TcpStream,
        commands: mpsc::Receiver<Command>,
        shared: Arc<Shared>,
    ) -> Driver {
        Driver {
            session,
            stream,
            input: Vec::new(),
            commands,
            routes: Routes::new(Arc::clone(&shared.gauge)),
            shared,
            waiting: HashMap::new(),
            leaving: VecDeque::new(),
            written: 0,
            subscription_ids: 0,
            start: Instant::now(),
            welcome: None,
            farewells: Vec::new(),
            ended: false,
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Drives the connection from CONNECT to its end.
    pub(super) async fn run(mut self, welcome: oneshot::Sender<Result<(), Error>>) {
        self.welcome = Some(welcome);
        self.session.open(self.now());
        let mut buffer = vec![0; READ_BYTES];
        loop {
            self.write();
            self.take_events();
            if self.ended {
                break;
            }
            self.turn(&mut buffer).await;
        }
        self.say_farewell(&mut buffer).await;
    }

    /// Sleeps until there is something to do, and does it.
    async fn turn(&mut self, buffer: &mut [u8]) {
        let deadline = self.session.next_deadline().map(|at| self.start + at);
        let may_read = self.may_read();
        let may_command = self.session.is_online() && self.session.output().len() < OUTPUT_HIGH;
        let must_write = !self.session.output().is_empty();
        tokio::select! {
            ready = self.stream.readable(), if may_read => match ready {
                Ok(()) => self.read(buffer),
                Err(error) => self.session.lose(error.into()),
            },
            ready = self.stream.writable(), if must_write => {
                if let Err(error) = ready {
                    self.session.lose(error.into());
                }
            }
            command = self.commands.recv(), if may_command => self.take_commands(command),
            () = self.shared.gauge.below_high(), if !may_read => {
                self.session.excuse_silence(self.now());
            }
            () = sleep_until(deadline.unwrap_or(self.start)), if deadline.is_some() => {
                if !may_read {
                    self.session.excuse_silence(self.now());
                }
                self.session.tick(self.now());
            }
        }
    }

    /// A slow application holds the server back, unless it waits for an answer itself.
    fn may_read(&self) -> bool {
        self.shared.gauge.unread() < UNREAD_HIGH || self.session.open_requests() > 0
    }

    fn read(&mut self, buffer: &mut [u8]) {
        match self.stream.try_read(buffer) {
            Ok(0) => self.session.lose(Error::Closed),
            Ok(len) => self.receive(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.session.lose(error.into()),
        }
    }

    /// Bytes came from the server.
    fn receive(&mut self, bytes: &[u8]) {
        let now = self.now();
        let mut input = std::mem::take(&mut self.input);
        let mut rest = bytes;
        if !input.is_empty() {
            input.extend_from_slice(bytes);
            rest = &input;
        }
        while let Some(received) = self.session.read(now, &mut rest) {
            match received {
                Received::Message(delivery) => self.routes.deliver(delivery.to_message()),
                Received::Event(event) => self.happened(event),
            }
        }
        self.input = rest.to_vec();
    }

    /// Writes what the socket takes.
    fn write(&mut self) {
        while !self.session.output().is_empty() {
            match self.stream.try_write(self.session.output()) {
                Ok(len) => {
                    self.session.written(self.now(), len);
                    self.written += len as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.read_last_words();
                    self.session.lose(error.into());
                    break;
                }
            }
        }
        while self.leaving.front().is_some_and(|(end, _)| *end <= self.written) {
            if let Some((_, reply)) = self.leaving.pop_front() {
                let _ = reply.send(Ok(ReasonCode::Success));
            }
        }
    }

    /// The server has closed; a DISCONNECT that says why may lie unread.
    fn read_last_words(&mut self) {
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(len @ 1..) = self.stream.try_read(&mut buffer) {
            self.receive(&buffer[..len]);
        }
    }

    /// Takes this command, or the news that no handle is left, and what else is there.
    fn take_commands(&mut self, first: Option<Command>) {
        let Some(first) = first else {
            return self.session.disconnect(&Goodbye::default());
        };
        self.command(first);
        for _ in 1..TURN_COMMANDS {
            if self.session.output().len() >= OUTPUT_HIGH || !self.session.is_online() {
                break;
            }
            let Ok(command) = self.commands.try_recv() else { break };
            self.command(command);
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Publish(message, reply) => self.publish(message, reply),
            Command::Subscribe(subscribe, reply) => self.subscribe(subscribe, reply),
            Command::Unsubscribe(filter, reply) => {
                match self.session.unsubscribe(&Unsubscribe::from(&filter)) {
                    Ok(token) => self.wait(token, Waiting::Unsubscribe { reply, filter }),
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Command::Disconnect(goodbye, reply) => {
                self.farewells.push(reply);
                self.session.disconnect(&goodbye);
            }
        }
        // In time with the output: the place of a QoS 0 message is its end as it stands now.
        self.take_events();
    }

    fn publish(&mut self, message: Message, reply: PublishReply) {
        let when = match message.qos {
            QoS::AtMostOnce => Kept::Written,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Kept::Acknowledged,
        };
        match self.session.publish(message) {
            Ok(token) => self.wait(token, Waiting::Publish { reply, when }),
            Err(invalid) => drop(reply.send(Err(invalid.into()))),
        }
    }

    fn subscribe(
        &mut self,
        mut subscribe: Subscribe,
        reply: oneshot::Sender<Result<Granted, Error>>,
    ) {
        let known = self.session.server();
        if subscribe.id.is_none() && known.is_some_and(|server| server.subscription_ids_available) {
            self.subscription_ids += 1;
            subscribe.id = Some(self.subscription_ids);
        }
        match self.session.subscribe(&subscribe) {
            Ok(token) => {
                let (key, messages) = self.routes.add(&subscribe);
                self.wait(token, Waiting::Subscribe { reply, key, messages });
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn wait(&mut self, token: Token, waiting: Waiting) {
        self.waiting.insert(token, waiting);
    }

    fn take_events(&mut self) {
        while let Some(event) = self.session.next_event() {
            self.happened(event);
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Connected(connected) => {
                self.routes.resumed(connected.session_present);
                let _ = self.shared.connected.set(*connected);
                if let Some(welcome) = self.welcome.take() {
                    let _ = welcome.send(Ok(()));
                }
            }
            Event::Published { token, result } => self.published(token, result),
            Event::Subscribed { token, result } => self.subscribed(token, result),
            Event::Unsubscribed { token, result } => self.unsubscribed(token, result),
            Event::Reauthenticated => {}
            Event::Ended(error) => {
                let _ = self.shared.end.set(error.clone());
                self.ended = true;
                if let Some(welcome) = self.welcome.take() {
                    let _ = welcome.send(Err(error));
                }
            }
        }
    }

    // A reply that nobody waits for any more is dropped.

    fn published(&mut self, token: Token, result: Result<ReasonCode, Error>) {
        let Some(Waiting::Publish { reply, when }) = self.waiting.remove(&token) else { return };
        if when == Kept::Written && result.is_ok() {
            let end = self.written + self.session.output().len() as u64;
            self.leaving.push_back((end, reply));
        } else {
            let _ = reply.send(result);
        }
    }

    fn subscribed(&mut self, token: Token, result: Result<Vec<ReasonCode>, Error>) {
        let waiting = self.waiting.remove(&token);
        let Some(Waiting::Subscribe { reply, key, messages }) = waiting else { return };
        match result {
            Ok(codes) => {
                self.routes.granted(key, &codes);
                let _ = reply.send(Ok((codes, messages)));
            }
            Err(error) => {
                self.routes.remove(key);
                let _ = reply.send(Err(error));
            }
        }
    }

    fn unsubscribed(&mut self, token: Token, result: Result<Vec<ReasonCode>, Error>) {
        let waiting = self.waiting.remove(&token);
        let Some(Waiting::Unsubscribe { reply, filter }) = waiting else { return };
        let code = result.map(|codes| codes.first().copied().unwrap_or(ReasonCode::Success));
        if code.as_ref().is_ok_and(|code| !code.is_error()) {
            self.routes.unsubscribed(&filter);
        }
        let _ = reply.send(code);
    }

    /// Sends what is left, and closes so that the server gets it all: a socket closed over unread
    /// bytes would take back what is still on the way.
    async fn say_farewell(mut self, buffer: &mut [u8]) {
        // Nobody waits for more: streams end, and what is not answered never will be.
        self.waiting.clear();
        self.routes = Routes::new(Arc::clone(&self.shared.gauge));
        self.commands.close();
        while self.commands.try_recv().is_ok() {}
        let leaving = async {
            self.stream.write_all(self.session.output()).await?;
            self.stream.shutdown().await?;
            while self.stream.read(buffer).await? > 0 {}
            Ok::<(), std::io::Error>(())
        };
        // The connection is over either way.
        let sent = matches!(timeout(FAREWELL, leaving).await, Ok(Ok(())));
        let end = self.shared.end.get().cloned().unwrap_or(Error::Closed);
        for (_, reply) in self.leaving {
            let _ = reply.send(if sent { Ok(ReasonCode::Success) } else { Err(end.clone()) });
        }
        for farewell in self.farewells {
            let _ = farewell.send(());
        }
    }
}
