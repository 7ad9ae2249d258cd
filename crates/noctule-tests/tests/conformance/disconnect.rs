//! DISCONNECT, from either side.

use noctule_tests::script::prelude::*;

/// `[MQTT-3.14.4-1 v5]` `[MQTT-3.14.4-2 v5]` `[U5-3.14.4-2]` `[MQTT-3.14.4-3 v3.1.1]`
/// `[V31-3.14-1]`
#[test]
fn the_broker_closes_after_disconnect_and_hears_nothing_that_follows() {
    script().run(|world| {
        let (a, b) = (world.connect("a"), world.connect("b"));
        b.subscribes("t", 0);
        let bytes = [
            disconnect(0).encode(world.version),
            publish("t", "late").encode(world.version),
            pingreq().encode(world.version),
        ];
        a.send_bytes(&bytes.concat());
        a.expect_closed();
        b.expect_nothing();
    });
}

/// `[U5-3.14.2-2]`
#[test]
fn short_forms_of_disconnect_are_understood() {
    script().v5().run(|world| {
        let forms: [&[u8]; 4] = [
            &[0xE0, 0],
            &[0xE0, 1, 0],
            &[0xE0, 2, 0, 0],
            &[0xE0, 9, 4, 7, 0x26, 0, 1, b'a', 0, 1, b'b'],
        ];
        for form in forms {
            let a = world.connect("a");
            a.send_bytes(form);
            a.expect_closed();
        }
    });
}

/// `[MQTT-3.14.1-1 v5]` `[MQTT-3.14.1-1 v3.1.1]`
#[test]
fn a_disconnect_with_reserved_flags_is_malformed_and_the_will_applies() {
    script().run(|world| {
        let listener = world.connect("listener");
        listener.subscribes("will", 0);
        let a = world.connect_with(&connect("a").will(will("will", "gone")));
        a.send_bytes(&[0xE1, 0]);
        a.expect_end(0x81);
        listener.expect(publish("will", "gone"));
    });
}

/// `[MQTT-3.14.2-1 v5]`
#[test]
fn codes_that_only_servers_use_are_protocol_errors() {
    script().v5().run(|world| {
        for code in [0x01, 0x02, 0x05, 0x10, 0x87, 0x8B, 0x8D, 0x8E, 0x9C, 0x9D, 0xFF] {
            let a = world.connect("a");
            a.send(disconnect(code));
            a.expect_end(0x82);
        }
    });
}

/// `[MQTT-3.14.2-2 v5]` `[MQTT-3.14.4-2 v5]` `[MQTT-3.1.2-8 v5]` `[MQTT-4.13.2-1 v5]`
/// `[V31-3.2-2]`
#[test]
fn at_shutdown_clients_are_told_and_new_ones_are_refused() {
    script().pure("the broker is needed by nobody afterwards").run(|world| {
        let clients = ["a", "b", "c", "d"].map(|id| world.connect(id));
        world.with_node(noctule_tests::node::Node::shut_down);
        for client in &clients {
            client.expect_end(0x8B);
        }
        let late = world.line();
        late.send_connect(&connect("late"));
        late.expect(connack(world.by_version(0x88, 3)));
        late.expect_closed();
        assert_eq!(world.with_node(|node| node.stopped()), Some(true));
    });
}

/// An operator may end a client with any code. `[MQTT-4.13.2-1 v5]`
#[test]
fn an_operator_may_end_a_client() {
    use noctule_core::{Input, ShardId, Tenant};
    use noctule_proto::ReasonCode;
    script().pure("operators do not talk MQTT").run(|world| {
        let a = world.connect("a");
        world.with_node(|node| {
            for shard in 0..node.shards() {
                let reason = ReasonCode::AdministrativeAction;
                let kick = Input::Kick { tenant: Tenant(0), client_id: "a", reason };
                node.tell(ShardId(shard), kick);
            }
        });
        a.expect_end(0x98);
    });
}
