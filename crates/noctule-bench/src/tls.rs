//! TLS under a connection that never blocks.

use crate::error::Error;
use noctule_client::net::Tls as Settings;
use noctule_tls::rustls::pki_types::ServerName;
use noctule_tls::rustls::{ClientConfig, ClientConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

/// What all connections of a fleet begin with.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl Hello {
    /// Reads the files.
    pub(crate) fn new(settings: &Settings, host: &str) -> Result<Hello, Error> {
        let config = settings.client_config().map_err(|error| Error::Plan(error.to_string()))?;
        let server = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::Plan(format!("{host:?} is no name that a certificate can have")))?;
        Ok(Hello { config, server })
    }

    pub(crate) fn begin(&self) -> Result<Layer, Error> {
        let client = ClientConnection::new(Arc::clone(&self.config), self.server.clone());
        client.map(|it| Layer(Box::new(it))).map_err(|error| Error::Plan(error.to_string()))
    }
}

/// One connection's.
#[derive(Debug)]
pub(crate) struct Layer(Box<ClientConnection>);

impl Layer {
    /// Received and decrypted bytes. `WouldBlock`: none for now; 0: the other side sends no more.
    pub(crate) fn read(
        &mut self,
        stream: &mio::net::TcpStream,
        to: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            match self.0.reader().read(to) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if self.0.read_tls(&mut &*stream)? == 0 {
                return Ok(0);
            }
            if let Err(error) = self.0.process_new_packets() {
                // The other side is told why.
                let _ = self.flush(stream);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            self.flush(stream)?;
        }
    }

    /// Takes bytes to be sent; 0 while the socket is full.
    pub(crate) fn write(
        &mut self,
        stream: &mio::net::TcpStream,
        bytes: &[u8],
    ) -> io::Result<usize> {
        if !self.flush(stream)? {
            return Ok(0);
        }
        let taken = self.0.writer().write(bytes)?;
        self.flush(stream)?;
        Ok(taken)
    }

    /// Sends what was encrypted; whether nothing is left.
    pub(crate) fn flush(&mut self, stream: &mio::net::TcpStream) -> io::Result<bool> {
        while self.0.wants_write() {
            match self.0.write_tls(&mut &*stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says that nothing more comes.
    pub(crate) fn end(&mut self, stream: &mio::net::TcpStream) {
        self.0.send_close_notify();
        // If it does not fit, the broker sees the connection end without it.
        let _ = self.flush(stream);
    }
}
