//! MQTT over WebSocket: what the frames of a client mean to a server. That packets mean the same in
//! frames as without them is shown by all scripts, which run over WebSocket too.

#[allow(dead_code, reason = "shared with tests that need all of it")]
#[path = "../websocket/peer.rs"]
mod peer;

use noctule_server::config::Protocol;
use noctule_server::{Config, Handle, Server};
use peer::{CONNECT, Heard, Peer, frame};
use std::net::SocketAddr;

const CONNACK: &[u8] = &[0x20, 2, 0, 0];

fn server() -> (Handle, SocketAddr) {
    let mut config = Config::for_tests();
    config.admin.enabled = false;
    config.listeners[0].transport.protocol = Protocol::WebSocket;
    let server = Server::start(config).expect("a loopback port can be had");
    let address = server.addresses()[0];
    (server, address)
}

/// `[MQTT-6.0.0-1 v5]` `[MQTT-6.0.0-1 v3.1.1]`
#[test]
fn packets_come_in_binary_frames_and_a_frame_of_text_ends_the_connection() {
    let (_server, address) = server();
    let mut peer = Peer::connect(address).expect("a binary frame is answered by one");
    peer.write(&frame(0x81, &[0xc0, 0])).unwrap();
    assert_eq!(peer.hear().unwrap(), Heard::Close(Some(1003)));
    assert_eq!(peer.hear().unwrap(), Heard::End);
}

/// `[MQTT-6.0.0-2 v5]` `[MQTT-6.0.0-2 v3.1.1]`
#[test]
fn packets_span_frames_and_share_them() {
    let (_server, address) = server();
    let (mut peer, _) = Peer::ask(address, "").unwrap();
    let bytes = [CONNECT, &[0xc0, 0], &[0xc0, 0]].concat();
    for piece in [&bytes[..1], &bytes[1..5], &bytes[5..15], &bytes[15..]] {
        peer.write(&frame(0x82, piece)).unwrap();
    }
    let answers = [CONNACK, &[0xd0, 0], &[0xd0, 0]].concat();
    assert_eq!(peer.hear_until(&answers).unwrap(), [Heard::Data(answers)]);
}

/// `[MQTT-6.0.0-4 v5]` `[MQTT-6.0.0-4 v3.1.1]`
#[test]
fn the_sub_protocol_mqtt_is_chosen() {
    let (_server, address) = server();
    let more = "Sec-WebSocket-Protocol: chat, mqttv3.1\r\n";
    for (more, chosen) in [("", "mqtt"), (more, "mqtt")] {
        let (_, answer) = Peer::ask(address, more).unwrap();
        assert!(answer.contains(&format!("Sec-WebSocket-Protocol: {chosen}\r\n")), "{answer}");
    }
}
