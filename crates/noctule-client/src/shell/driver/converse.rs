//! One connection, turn by turn.

use super::line::{FAREWELL, Line, Moved};
use super::{Connection, Driver};
use crate::error::Error;
use crate::session::Received;
use crate::shell::gauge::UNREAD_HIGH;
use crate::shell::tap::packet_len;
use std::time::Duration;
use tokio::time::sleep_until;

/// No more commands are taken while this much waits to be written.
const OUTPUT_HIGH: usize = 64 * 1024;

impl Driver {
    /// From CONNECT to the end, and why it ended.
    pub(super) async fn converse(&mut self, mut line: Line) -> Error {
        let begin = self.now();
        self.connection = Connection::default();
        self.parts.session.open(begin);
        self.parts.tap.begin();
        let error = loop {
            self.take_events();
            self.keep().await;
            if let Some(error) = self.connection.ended.take() {
                break error;
            }
            self.show_sent();
            self.turn(&mut line).await;
        };
        if self.connection.written > 0 && !self.connection.answered {
            self.parts.backoff.unanswered();
        }
        self.close(line, &error).await;
        let lasted = self.now() - begin;
        if self.parts.backoff.lasted(lasted) {
            self.parts.way.lasted();
        }
        error
    }

    /// Sleeps until there is something to do, and does it.
    async fn turn(&mut self, line: &mut Line) {
        let may_read = self.may_read();
        if !may_read {
            // Of the server; it hears our pings all the same.
            self.excuse_silence();
        }
        let deadline = self.parts.session.next_deadline().map(|at| self.start + at);
        let may_command = self.may_command() && self.may_output();
        let crowded = !may_read || self.routes.is_any_due();
        tokio::select! {
            moved = line.carry(self.parts.session.output(), may_read) => match moved {
                Moved::In(len) => self.receive(line.bytes(len)),
                Moved::Out(len) => self.sent(len),
                Moved::Stuck(error) => self.lose(line, error).await,
                Moved::Over(error) => self.parts.session.lose(error),
            },
            control = self.controls.recv() => self.take_controls(control),
            command = self.commands.recv(), if may_command => match command {
                Some(command) => self.take_commands(command),
                None => self.commands.close(),
            },
            () = self.shared.gauge.below_high(), if crowded => self.acknowledge_taken(),
            () = sleep_until(deadline.unwrap_or(self.start)), if deadline.is_some() => {
                let now = self.now();
                self.parts.session.tick(now);
            }
        }
    }

    /// The line takes nothing more; what it still says tells more than how it died.
    async fn lose(&mut self, line: &mut Line, mut error: Error) {
        loop {
            match line.last_words().await {
                Ok(0) => break,
                Ok(len) => self.receive(line.bytes(len)),
                Err(said) => {
                    error = said;
                    break;
                }
            }
        }
        self.parts.session.lose(error);
    }

    /// Whether more output may be made.
    pub(super) fn may_output(&self) -> bool {
        self.parts.session.output().len() < OUTPUT_HIGH
    }

    /// A slow application holds the server back, unless it waits for an answer itself: that lies
    /// behind the messages.
    fn may_read(&self) -> bool {
        self.shared.gauge.unread() < UNREAD_HIGH || self.parts.session.open_requests() > 0
    }

    /// The application has caught up.
    fn acknowledge_taken(&mut self) {
        self.excuse_silence();
        self.acknowledge_all();
    }

    fn excuse_silence(&mut self) {
        let now = self.now();
        self.parts.session.excuse_silence(now);
    }

    fn acknowledge_all(&mut self) {
        for token in self.routes.due() {
            self.parts.session.acknowledge(token);
        }
    }

    /// The network has taken some of the output.
    fn sent(&mut self, len: usize) {
        let now = self.now();
        self.parts.session.written(now, len);
        self.parts.tap.written(len);
        let connection = &mut self.connection;
        connection.written += len as u64;
        while connection.leaving.front().is_some_and(|(end, _)| *end <= connection.written) {
            if let Some((_, reply)) = connection.leaving.pop_front() {
                let _ = reply.send(Ok(noctule_proto::ReasonCode::Success));
            }
        }
    }

    /// Bytes came from the server.
    fn receive(&mut self, bytes: &[u8]) {
        let now = self.now();
        let mut input = std::mem::take(&mut self.connection.input);
        let mut rest = input.with(bytes);
        // Who watches sees each answer right behind its cause.
        while self.parts.tap.is_open()
            && let Some(len) = packet_len(rest)
        {
            let (packet, behind) = rest.split_at(len);
            self.parts.tap.received(packet);
            self.heed(now, &mut { packet });
            self.show_sent();
            rest = behind;
        }
        self.heed(now, &mut rest);
        let left = rest.len();
        input.keep(bytes, left);
        self.connection.input = input;
    }

    /// Shows packets that were made, if anybody wants to see them.
    fn show_sent(&mut self) {
        self.parts.tap.sent(self.parts.session.output());
    }

    /// Does what the packets at the beginning of the input ask for.
    fn heed(&mut self, now: Duration, input: &mut &[u8]) {
        while let Some(received) = self.parts.session.read(now, input) {
            match received {
                Received::Event(event) => self.happened(event),
                Received::Message(delivery) => {
                    self.routes.deliver(delivery.to_message());
                    // What comes while much lies unread is acknowledged later, so that the
                    // server's window bounds the rest.
                    if self.shared.gauge.unread() < UNREAD_HIGH {
                        self.acknowledge_all();
                    }
                }
            }
        }
    }

    /// Sends what is left where that makes sense, and tells those who wait for it.
    async fn close(&mut self, line: Line, error: &Error) {
        // The application has these. The server sends them again; those of QoS 2 are known then,
        // and are to be answered.
        self.acknowledge_all();
        self.routes.disconnected();
        self.show_sent();
        let output = self.parts.session.output();
        // What is in line when the application leaves may take its time. A connection that failed
        // is to be followed by another one.
        let leaving = matches!(error, Error::Finished);
        let patience = if leaving { self.parts.connect_timeout } else { FAREWELL };
        let sent = (leaving || !output.is_empty()) && line.close(output, patience).await;
        for (_, reply) in self.connection.leaving.drain(..) {
            let result =
                if sent { Ok(noctule_proto::ReasonCode::Success) } else { Err(error.clone()) };
            let _ = reply.send(result);
        }
    }
}
