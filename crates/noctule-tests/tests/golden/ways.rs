//! Ways to a broker: TLS, WebSocket, Unix sockets, proxies.

use crate::case::{Case, Compare, Places, publish, request, subscribe};
use crate::stage::{Mosquitto, compare_ways};
use noctule_tests::ports;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};

/// A mosquitto with a listener for each way.
pub(crate) struct Ways {
    _broker: Mosquitto,
    /// Certificates and keys.
    pki: PathBuf,
    socket: PathBuf,
    ports: [u16; 5],
}

/// Places in command lines, in the order of the ports.
const PLACES: [&str; 5] = ["{tls}", "{asking}", "{other}", "{ws}", "{wss}"];

impl Ways {
    pub(crate) fn start(mosquitto: &Path, home: &Path) -> Ways {
        let pki = home.join("pki");
        std::fs::create_dir_all(&pki).expect("a writable directory");
        write_certificates(&pki);
        let socket = home.join("socket");
        let mut ports = [0; 5];
        let broker = Mosquitto::start(mosquitto, &home.join("ways.conf"), || {
            ports = ports.map(|_| ports::free());
            configuration(&pki, &socket, ports)
        });
        Ways { _broker: broker, pki, socket, ports }
    }

    /// What to put for `{tls}` and so on.
    pub(crate) fn places(&self) -> Places {
        let ports = PLACES.iter().zip(self.ports);
        let mut places: Places =
            ports.map(|(place, port)| ((*place).to_owned(), port.to_string())).collect();
        places.push(("{pki}".to_owned(), self.pki.display().to_string()));
        places.push(("{socket}".to_owned(), self.socket.display().to_string()));
        places
    }
}

fn configuration(pki: &Path, socket: &Path, [tls, asking, other, ws, wss]: [u16; 5]) -> String {
    let pki = pki.display();
    let secure = |port: u16, name: &str, more: &str| {
        format!(
            "listener {port} 127.0.0.1\n{more}cafile {pki}/ca.crt\ncertfile {pki}/{name}.crt\n\
             keyfile {pki}/{name}.key\n"
        )
    };
    [
        "allow_anonymous true\n".to_owned(),
        secure(tls, "localhost", ""),
        secure(asking, "localhost", "require_certificate true\n"),
        secure(other, "other", ""),
        format!("listener {ws} 127.0.0.1\nprotocol websockets\n"),
        secure(wss, "localhost", "protocol websockets\n"),
        format!("listener 0 {}\n", socket.display()),
    ]
    .concat()
}

/// `ca.crt` and another one, and certificates for `localhost`, `other` and a client.
fn write_certificates(pki: &Path) {
    let key = || KeyPair::generate().expect("random numbers");
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = key();
        let certificate = params.self_signed(&key).expect("a certificate");
        let write = std::fs::write(pki.join(format!("{name}.crt")), certificate.pem());
        write.expect("a writable directory");
        Issuer::new(params, key)
    };
    let ca = authority("ca");
    authority("another");
    for (name, hosts) in [
        ("localhost", &["localhost", "127.0.0.1"][..]),
        ("other", &["other.example"]),
        ("client", &["client.example"]),
    ] {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names of hosts");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = key();
        let certificate = params.signed_by(&key, &ca).expect("a certificate");
        for (end, text) in [("crt", certificate.pem()), ("key", key.serialize_pem())] {
            let written = std::fs::write(pki.join(format!("{name}.{end}")), text);
            written.expect("a writable directory");
        }
    }
}

#[test]
fn every_way_to_a_broker_leads_there() {
    let ca = "-h localhost --cafile {pki}/ca.crt";
    let own = "--cert {pki}/client.crt --key {pki}/client.key";
    let lines = [
        format!("{ca} -p {{tls}}"),
        format!("{ca} -p {{tls}} -V 5 -q 1"),
        format!("{ca} -h 127.0.0.1 -p {{tls}}"),
        format!("{ca} -p {{tls}} --insecure"),
        format!("{ca} -p {{other}} --insecure"),
        format!("{ca} -p {{tls}} --tls-version tlsv1.2"),
        format!("{ca} -p {{tls}} --tls-version tlsv1.3"),
        format!("{ca} -p {{tls}} --ciphers ECDHE-ECDSA-AES256-GCM-SHA384"),
        format!("{ca} -p {{tls}} --tls-version tlsv1.3 --ciphers TLS_AES_128_GCM_SHA256"),
        format!("{ca} -p {{tls}} --tls-alpn mqtt"),
        format!("{ca} -p {{tls}} --tls-keylog {{dir}}/keys"),
        format!("{ca} -p {{tls}} {own}"),
        format!("{ca} -p {{asking}} {own}"),
        format!("{ca} -p {{tls}} --tls-use-os-certs"),
        "--cafile {pki}/ca.crt -L mqtts://localhost:{tls}/{t}/x".to_owned(),
        "--cafile {pki}/ca.crt -L wss://localhost:{wss}/{t}/x".to_owned(),
        "-L ws://localhost:{ws}/{t}/x".to_owned(),
        "-L WS://user:password@127.0.0.1:{ws}/{t}/x -V 5".to_owned(),
        "-p {ws} --ws".to_owned(),
        format!("{ca} -p {{wss}} --ws -q 2"),
        "--unix {socket}".to_owned(),
        "-h {socket} -p 0 -q 1 -V 5".to_owned(),
        "--cafile {pki}/ca.crt --no-tls --unix {socket}".to_owned(),
    ];
    let cases = lines.iter().flat_map(|line| {
        let message = format!("-t {{t}}/r -m kept -r -q 1 {line} -t {{t}}/r");
        [
            publish(&format!("{line} -t {{t}}/p -m text -d -i {{t}}")),
            publish(&format!("-t {{t}}/p {line} -l")).stdin("one\ntwo\n"),
            subscribe(&format!("-t {{t}}/r {line} -C 1 -v")).before(&[&message]),
            request(&format!("-t {{t}}/q -e {{t}}/r {line} -m text -F %p")).before(&[&message]),
        ]
    });
    compare_ways(cases.map(Case::any_wire).collect());
}

#[test]
fn what_is_wrong_with_a_way_is_said_in_the_same_words() {
    let lines = [
        "-h localhost -p {tls}",
        "-h localhost -p {tls} --no-tls --cafile {pki}/ca.crt",
        "-h localhost -p {asking} --cafile {pki}/ca.crt --cert {pki}/client.crt \
         --key {pki}/localhost.key",
        "-h localhost -p {tls} --cafile {pki}/client.key",
        "-h localhost -p {tls} --cafile {pki}/none",
        "-h localhost -p {tls} --cafile {pki}/ca.crt --cert {pki}/none --key {pki}/client.key",
        "-h localhost -p {tls} --cafile {pki}/ca.crt --ciphers NONE",
        "-h localhost -p {tls} --cafile {pki}/ca.crt --tls-version tlsv1.1",
        "-h localhost -p {ws}",
        "-p {ws} --proxy socks5h://127.0.0.1:{ws}",
    ];
    let said = lines.iter().flat_map(|line| {
        [
            publish(&format!("{line} -t {{t}} -m a")),
            request(&format!("{line} -t {{t}} -e {{t}}/e -m a -W 2")),
        ]
    });
    // Theirs ends with one of three codes here, as the dice fall.
    let untrusted = [
        "-h localhost -p {tls} --cafile {pki}/another.crt",
        "-h localhost -p {tls} --cafile {pki}/another.crt --insecure",
        "-h localhost -p {other} --cafile {pki}/ca.crt",
    ];
    let untrusted = untrusted.map(|line| publish(&format!("{line} -t {{t}} -m a")).any_code());
    // It tries again until its time is up.
    let patient = ["-h localhost -p {tls} -W 2", "-h localhost -p {ws} -W 2 --quiet"];
    let patient = patient.map(|line| subscribe(&format!("{line} -t {{t}}")));
    let untrusted = untrusted.map(|case| case.stderr(Compare::Something));
    compare_ways(said.chain(untrusted).chain(patient).map(Case::any_wire).collect());
}
