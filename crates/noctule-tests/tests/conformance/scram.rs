//! The server's own authenticators: passwords, and SCRAM-SHA-256 (RFC 7677) with a client's side
//! written for the purpose.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use noctule_tests::script::prelude::*;
use sha2::{Digest, Sha256};

fn guarded() -> Script {
    script().account("user", "secret")
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The client's side of an exchange.
struct Scram {
    first: String,
    password: String,
}

impl Scram {
    fn new(user_name: &str, password: &str) -> Scram {
        Scram { first: format!("n={user_name},r=rOprNGfwEbeRWgbNEkqO"), password: password.into() }
    }

    fn client_first(&self) -> Vec<u8> {
        format!("n,,{}", self.first).into_bytes()
    }

    /// The proof, and the signature that the server must answer with.
    fn client_final(&self, server_first: &str) -> (Vec<u8>, Vec<u8>) {
        let field = |name: &str| {
            let mut fields = server_first.split(',').filter_map(|field| field.strip_prefix(name));
            fields.next().expect("the field is there").to_owned()
        };
        let salt = STANDARD.decode(field("s=")).expect("base64");
        let iterations = field("i=").parse().expect("a number");
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(self.password.as_bytes(), &salt, iterations, &mut salted);
        let bare = format!("c=biws,r={}", field("r="));
        let message = format!("{},{server_first},{bare}", self.first);
        let client_key = hmac(&salted, b"Client Key");
        let signature = hmac(&Sha256::digest(client_key), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, sig)| key ^ sig).collect();
        let server = hmac(&hmac(&salted, b"Server Key"), message.as_bytes());
        let last = format!("{bare},p={}", STANDARD.encode(proof));
        (last.into_bytes(), format!("v={}", STANDARD.encode(server)).into_bytes())
    }
}

fn say(code: u8, data: &[u8]) -> Packet {
    auth(code).with(auth_method("SCRAM-SHA-256")).with(auth_data(data))
}

fn begin(client_id: &str, data: &[u8]) -> Connect {
    connect(client_id).with(auth_method("SCRAM-SHA-256")).with(auth_data(data))
}

/// The server's first message, out of its AUTH packet.
fn challenge(packet: &Packet) -> String {
    let (method, data) = (packet.property(0x15), packet.property(0x16));
    assert_eq!((packet.kind(), packet.code), (kind::AUTH, 0x18));
    assert_eq!(method, Some(&text("SCRAM-SHA-256")[..]));
    String::from_utf8(data.expect("a challenge")[2..].to_vec()).expect("SCRAM is text")
}

/// `[MQTT-3.1.4-2 v5]` `[MQTT-3.2.2-7 v5]` `[MQTT-3.2.2-5 v3.1.1]`
#[test]
fn a_password_lets_its_user_in_and_nobody_else() {
    guarded().run(|world| {
        let refused = [
            (connect("a").user_name(b"user").password(b"wrong"), world.by_version(0x86, 5)),
            (connect("a").user_name(b"user"), world.by_version(0x86, 5)),
            (connect("a").user_name(b"nobody").password(b"secret"), world.by_version(0x86, 5)),
            (connect("a"), world.by_version(0x87, 5)),
        ];
        for (connect, code) in refused {
            let line = world.line();
            line.send_connect(&connect);
            line.expect(connack(code));
            line.expect_closed();
        }
        let a = world.line();
        a.send_connect(&connect("a").user_name(b"user").password(b"secret"));
        a.expect(world.connack());
        a.pings();
    });
}

/// `[MQTT-4.12.0-2 v5]` `[MQTT-4.12.0-5 v5]` `[U5-4.12.1-1]`
#[test]
fn scram_lets_a_user_in_and_proves_the_server_too() {
    guarded().v5().run(|world| {
        let scram = Scram::new("user", "secret");
        let a = world.line();
        a.send_connect(&begin("a", &scram.client_first()));
        let (last, signature) = scram.client_final(&challenge(&a.next_packet()));
        a.send(say(0x18, &last));
        let method = auth_method("SCRAM-SHA-256");
        a.expect(world.connack().with(method).with(auth_data(&signature)));
        a.pings();
        a.send(say(0x19, &scram.client_first()));
        let (last, signature) = scram.client_final(&challenge(&a.next_packet()));
        a.pings();
        a.send(say(0x18, &last));
        a.expect(say(0x00, &signature));
        a.pings();
    });
}

/// `[MQTT-4.12.0-1 v5]` `[MQTT-4.12.0-4 v5]` `[MQTT-4.12.1-2 v5]`
#[test]
fn scram_refuses_wrong_passwords_unknown_users_and_other_methods() {
    guarded().v5().run(|world| {
        for scram in [Scram::new("user", "wrong"), Scram::new("nobody", "secret")] {
            let a = world.line();
            a.send_connect(&begin("a", &scram.client_first()));
            let (last, _) = scram.client_final(&challenge(&a.next_packet()));
            a.send(say(0x18, &last));
            a.expect(connack(0x87));
            a.expect_closed();
        }
        let b = world.line();
        b.send_connect(&begin("b", b"what?"));
        b.expect(connack(0x87));
        b.expect_closed();
        let c = world.line();
        c.send_connect(&connect("c").with(auth_method("GS2-KRB5")));
        c.expect(connack(0x8C));
        c.expect_closed();
        let right = Scram::new("user", "secret");
        let d = world.line();
        d.send_connect(&begin("d", &right.client_first()));
        let (last, _) = right.client_final(&challenge(&d.next_packet()));
        d.send(say(0x18, &last));
        assert_eq!(d.next_packet().code, 0);
        d.send(say(0x19, &right.client_first()));
        let wrong = Scram::new("user", "wrong");
        let (last, _) = wrong.client_final(&challenge(&d.next_packet()));
        d.send(say(0x18, &last));
        d.expect_end(0x87);
    });
}
