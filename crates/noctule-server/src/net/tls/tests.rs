//! Both ends in memory: whatever comes in whatever pieces, nobody panics, and no byte is lost.

use super::*;
use noctule_tls::rustls::crypto::CryptoProvider;
use noctule_tls::rustls::pki_types::{PrivateKeyDer, ServerName};
use noctule_tls::rustls::server::WebPkiClientVerifier;
use noctule_tls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion, version,
};
use std::io::{Read, Write};
use std::sync::Arc;

/// Randomness that a seed repeats.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        ((self.0 >> 33) % end.max(1) as u64) as usize
    }
}

/// A client and our end, and what each has been told.
struct Pair {
    client: ClientConnection,
    server: Tls,
    scratch: Scratch,
    /// On its way to the server.
    up: Vec<u8>,
    heard_by_server: Vec<u8>,
    heard_by_client: Vec<u8>,
    failed: bool,
}

impl Pair {
    fn new(configs: &(Arc<ClientConfig>, Arc<ServerConfig>)) -> Pair {
        let name = ServerName::try_from("localhost").expect("a name");
        let session = UnbufferedServerConnection::new(Arc::clone(&configs.1)).expect("good");
        Pair {
            client: ClientConnection::new(Arc::clone(&configs.0), name).expect("good"),
            server: Tls::new(session),
            scratch: Scratch::default(),
            up: Vec::new(),
            heard_by_server: Vec::new(),
            heard_by_client: Vec::new(),
            failed: false,
        }
    }

    /// What the client has to say goes on its way.
    fn collect(&mut self) {
        while self.client.wants_write() {
            self.client.write_tls(&mut self.up).expect("memory takes it");
        }
    }

    /// A piece reaches our end.
    fn deliver(&mut self, count: usize, buffer: usize) {
        let piece: Vec<u8> = self.up.drain(..count).collect();
        let mut room = vec![0; buffer];
        self.scratch.cipher.clear();
        self.scratch.cipher.append(&mut self.server.incoming);
        self.scratch.cipher.extend_from_slice(&piece);
        let (taken, outcome) = self.server.process(&mut room, &mut self.scratch);
        self.heard_by_server.extend_from_slice(&room[..taken]);
        self.heard_by_server.append(&mut self.server.plain);
        self.failed |= outcome.is_err();
        let out = std::mem::take(&mut self.scratch.out);
        self.tell_client(&out);
    }

    fn tell_client(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.client.read_tls(&mut bytes).is_err() {
                return;
            }
            if self.client.process_new_packets().is_err() {
                self.failed = true;
                return;
            }
            let mut heard = Vec::new();
            // It says that nothing more is there.
            drop(self.client.reader().read_to_end(&mut heard));
            self.heard_by_client.extend_from_slice(&heard);
        }
    }

    /// Our end says something, if it can already.
    fn say(&mut self, bytes: &[u8]) -> bool {
        let mut out = Vec::new();
        let said = self.server.encrypt(bytes, &mut out).is_ok();
        self.tell_client(&out);
        said
    }
}

fn configs(
    versions: &[&'static SupportedProtocolVersion],
) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = || PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let certificate = made.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    let roots = Arc::new(roots);
    let provider: Arc<CryptoProvider> = Arc::new(noctule_tls::provider(&[]));
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .expect("there is a root");
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("there are suites")
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate], key())
        .expect("they belong together");
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("there are suites")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(client), Arc::new(server))
}

const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&version::TLS13], &[&version::TLS12]];

#[test]
fn in_whatever_pieces_it_comes_every_byte_is_heard_once() {
    for versions in VERSIONS {
        let configs = configs(versions);
        for seed in 0..150 {
            let (mut pair, mut chance) = (Pair::new(&configs), Chance(seed));
            let (mut said_up, mut said_down) = (Vec::new(), Vec::new());
            for round in 0..60_usize {
                if round > 5 && chance.below(3) == 0 && !pair.client.is_handshaking() {
                    let bytes = vec![round as u8; chance.below(40_000)];
                    pair.client.writer().write_all(&bytes).expect("memory takes it");
                    said_up.extend_from_slice(&bytes);
                }
                if chance.below(3) == 0 {
                    let bytes = vec![!(round as u8); 1 + chance.below(40_000)];
                    if pair.say(&bytes) {
                        said_down.extend_from_slice(&bytes);
                    }
                }
                if chance.below(8) == 0 && !pair.client.is_handshaking() {
                    // What TLS 1.2 does not know is an error, and changes nothing.
                    drop(pair.client.refresh_traffic_keys());
                }
                pair.collect();
                let all = pair.up.len();
                let count = if chance.below(2) == 0 { all } else { chance.below(all + 1) };
                pair.deliver(count, 1 + chance.below(70_000));
            }
            for _ in 0..10 {
                pair.collect();
                pair.deliver(pair.up.len(), 70_000);
            }
            assert!(!pair.failed && !pair.client.is_handshaking(), "seed {seed}");
            assert!(pair.heard_by_server == said_up, "seed {seed}");
            assert!(pair.heard_by_client == said_down, "seed {seed}");
            assert!(!said_up.is_empty() && !said_down.is_empty(), "seed {seed}");
        }
    }
}

#[test]
fn damaged_bytes_end_a_connection_and_nothing_else() {
    let mut failures = 0;
    for versions in VERSIONS {
        let configs = configs(versions);
        for seed in 0..1500 {
            let (mut pair, mut chance) = (Pair::new(&configs), Chance(seed));
            let damaged_at = chance.below(12);
            for round in 0..12 {
                if !pair.client.is_handshaking() {
                    let bytes = vec![7; chance.below(1000)];
                    drop(pair.client.writer().write_all(&bytes));
                }
                pair.collect();
                if round >= damaged_at && !pair.up.is_empty() {
                    match chance.below(4) {
                        0 => {
                            let at = chance.below(pair.up.len());
                            pair.up[at] ^= 1 << chance.below(8);
                        }
                        1 => pair.up.truncate(chance.below(pair.up.len())),
                        2 => {
                            let twice = pair.up.clone();
                            pair.up.extend_from_slice(&twice);
                        }
                        _ => {
                            let at = chance.below(pair.up.len());
                            let noise = (0..chance.below(40)).map(|_| chance.below(256) as u8);
                            let noise: Vec<u8> = noise.collect();
                            pair.up.splice(at..at, noise);
                        }
                    }
                }
                let count = chance.below(pair.up.len() + 1);
                pair.deliver(count, 1 + chance.below(3000));
                pair.say(b"something");
            }
            failures += usize::from(pair.failed);
        }
    }
    assert!(failures > 1000, "damage is noticed: {failures}");
}

#[test]
fn any_bytes_at_all_are_borne() {
    let configs = configs(VERSIONS[0]);
    for seed in 0..3000 {
        let (mut pair, mut chance) = (Pair::new(&configs), Chance(seed));
        for _ in 0..4 {
            // Records of every kind, the handshake's above all.
            let kind = [22, 22, 22, 20, 21, 23, 24][chance.below(7)];
            let len = chance.below(300);
            pair.up.extend_from_slice(&[kind, 3, 3, (len >> 8) as u8, len as u8]);
            let body =
                (0..len).map(|at| if at < 4 { [1, 0, 1, 8][at] } else { chance.below(256) as u8 });
            let body: Vec<u8> = body.collect();
            pair.up.extend_from_slice(&body);
            let count = chance.below(pair.up.len() + 1);
            pair.deliver(count, 100);
            pair.say(b"something");
        }
    }
}
