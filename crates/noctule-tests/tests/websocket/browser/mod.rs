//! A page that uses the broker through MQTT.js, in a real Chromium.
//!
//! The page (`clients/browser/page.mjs`) holds the cases and tells the server that it came from how
//! each has ended.

mod chromium;
mod pages;

use crate::pki::Pki;
use anyhow::{Result, bail, ensure};
use chromium::Chromium;
use noctule_tests::driver::Needs;
use noctule_tests::ports;
use noctule_tests::process::BrokerProcess;
use pages::{Pages, Said};
use std::net::{Ipv4Addr, SocketAddr};

/// A broker for pages of one origin, which keeps what it acknowledges, and may be killed and
/// started again where it was.
struct Site {
    broker: Option<BrokerProcess>,
    pki: Pki,
    data: tempfile::TempDir,
    origin: String,
    /// Of MQTT, WebSocket, WebSocket with TLS, and WebSocket for those with a password.
    ports: [u16; 4],
}

impl Site {
    fn start(name: &str, pages: &Pages) -> Result<Site> {
        let mut site = Site {
            broker: None,
            pki: Pki::new(name)?,
            data: tempfile::tempdir()?,
            origin: pages.origin(),
            ports: std::array::from_fn(|_| ports::free()),
        };
        site.bring_up()?;
        Ok(site)
    }

    fn bring_up(&mut self) -> Result<()> {
        let [mqtt, ws, wss, closed] = self.ports;
        let (certificate, key) = (self.pki.path("server.crt"), self.pki.path("server.key"));
        let open = format!("allow_anonymous = true\nwebsocket_origins = [{:?}]", self.origin);
        let listener = |port: u16, more: &str| {
            format!("[[listener]]\nport = {port}\nprotocol = \"websocket\"\n{more}\n")
        };
        let config = format!(
            "shards = 2\n{}{}{}[listener.tls]\ncertificate = {certificate:?}\nkey = {key:?}\n",
            listener(closed, "allow_anonymous = false"),
            listener(ws, &open),
            listener(wss, &open),
        );
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, mqtt));
        let broker = BrokerProcess::start_keeping(address, &config, self.data.path())?;
        broker.await_log("(WebSocket", 3)?;
        self.broker = Some(broker);
        Ok(())
    }

    /// As a power failure would, and back again.
    fn restart(&mut self) -> Result<()> {
        self.broker.take().map_or(Ok(()), BrokerProcess::kill)?;
        self.bring_up()
    }

    /// The address of the page that runs a list of cases here.
    fn page(&self, pages: &Pages, cases: &str) -> String {
        let [_, ws, wss, closed] = self.ports;
        format!(
            "{}/page.html?cases={cases}&ws=ws://127.0.0.1:{ws}/mqtt&wss=wss://127.0.0.1:{wss}\
             &closed=ws://127.0.0.1:{closed}",
            pages.origin()
        )
    }

    /// Opens the page, and answers how many of its cases went well, which all must.
    fn visit(&mut self, chromium: Chromium, pages: &Pages, cases: &str) -> Result<usize> {
        let chromium = chromium.open(&self.page(pages, cases))?;
        let mut lines = Vec::new();
        let outcome = loop {
            match pages.next() {
                Ok(Said::Line(line)) if line == "end" => break Ok(()),
                Ok(Said::Line(line)) => lines.push(line),
                Ok(Said::Restart(done)) => match self.restart() {
                    Ok(()) => done.send(())?,
                    Err(error) => break Err(error),
                },
                Err(error) => break Err(error.context(chromium.log())),
            }
        };
        let failed = lines.iter().any(|line| !line.starts_with("ok: "));
        let outcome = match outcome {
            Ok(()) if failed => bail!("{lines:#?}"),
            Err(error) => Err(error.context(format!("{lines:#?}"))),
            Ok(()) => Ok(lines.len()),
        };
        match &self.broker {
            Some(broker) => broker.explain(outcome),
            None => outcome,
        }
    }

    fn await_log(&self, text: &str) -> Result<()> {
        self.broker.as_ref().map_or(Ok(()), |broker| broker.await_log(text, 1))
    }
}

#[test]
fn a_page_with_mqttjs_in_chromium() -> Result<()> {
    let Some(program) = Needs::Chromium.program() else { return Ok(()) };
    let pages = Pages::serve()?;
    let mut site = Site::start("browser", &pages)?;
    let chromium = Chromium::new(&program)?.believe(&site.pki.path("server.key"))?;
    let cases = site.visit(chromium, &pages, "all")?;
    ensure!(cases == 30, "the page has run {cases} cases");
    site.await_log("the sub-protocol mqtt is not offered")
}

#[test]
fn a_page_of_another_origin_stays_out() -> Result<()> {
    let Some(program) = Needs::Chromium.program() else { return Ok(()) };
    let (pages, others) = (Pages::serve()?, Pages::serve()?);
    let mut site = Site::start("browser-stranger", &pages)?;
    let cases = site.visit(Chromium::new(&program)?, &others, "stranger")?;
    ensure!(cases == 2, "the page has run {cases} cases");
    site.await_log(&format!("pages of {} may not connect here", others.origin()))
}

#[test]
fn chromium_does_not_talk_to_a_certificate_that_it_does_not_believe() -> Result<()> {
    let Some(program) = Needs::Chromium.program() else { return Ok(()) };
    let pages = Pages::serve()?;
    let mut site = Site::start("browser-unbelieving", &pages)?;
    let cases = site.visit(Chromium::new(&program)?, &pages, "unbelieving")?;
    ensure!(cases == 2, "the page has run {cases} cases");
    Ok(())
}
