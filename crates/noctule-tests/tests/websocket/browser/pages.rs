//! The HTTP server that a page comes from, and that it tells how it fares.

use anyhow::{Context, Result};
use noctule_tests::driver::clients_directory;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Far beyond what a case needs, so that a page that hangs fails and says so.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a page tells.
pub(super) enum Said {
    /// How a case has ended, or that all have.
    Line(String),
    /// The broker is to be killed and started again; the page waits for the answer.
    Restart(Sender<()>),
}

/// The server.
pub(super) struct Pages {
    address: SocketAddr,
    said: Receiver<Said>,
}

impl Pages {
    /// On a port of its own, so that its pages have an origin of their own.
    pub(super) fn serve() -> Result<Pages> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(std::io::Result::ok) {
                let tell = tell.clone();
                // A browser that ends amid a request has no use for an answer.
                std::thread::spawn(move || drop(answer(stream, &tell)));
            }
        });
        Ok(Pages { address, said })
    }

    /// As browsers say it.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next that a page tells.
    pub(super) fn next(&self) -> Result<Said> {
        self.said.recv_timeout(PATIENCE).context("the page does not say how it went on")
    }
}

fn answer(mut stream: TcpStream, tell: &Sender<Said>) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut request, mut line, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut request)?;
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
        line.clear();
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    let mut words = request.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, kind, content) = match (method, path) {
        (Some("POST"), "/report") => {
            tell.send(Said::Line(String::from_utf8(body)?))?;
            ("200 OK", "text/plain", Vec::new())
        }
        (Some("POST"), "/restart") => {
            let (done, wait) = channel();
            tell.send(Said::Restart(done))?;
            wait.recv()?;
            ("200 OK", "text/plain", Vec::new())
        }
        _ => match file(path) {
            Some((path, kind)) => ("200 OK", kind, std::fs::read(path)?),
            None => ("404 Not Found", "text/plain", Vec::new()),
        },
    };
    let length = content.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )?;
    stream.write_all(&content)?;
    Ok(())
}

/// What there is besides, and what it is.
fn file(path: &str) -> Option<(PathBuf, &'static str)> {
    const SCRIPT: &str = "text/javascript";
    let clients = clients_directory();
    match path {
        "/page.html" => Some((clients.join("browser/page.html"), "text/html")),
        "/tab.html" => Some((clients.join("browser/tab.html"), "text/html")),
        "/page.mjs" => Some((clients.join("browser/page.mjs"), SCRIPT)),
        "/party.mjs" => Some((clients.join("browser/party.mjs"), SCRIPT)),
        "/mqtt.min.js" => Some((clients.join("mqttjs/node_modules/mqtt/dist/mqtt.min.js"), SCRIPT)),
        _ => None,
    }
}
