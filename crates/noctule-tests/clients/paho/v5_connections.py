"""What a connection of MQTT 5 agrees on: ids, limits, reason codes, shared subscriptions."""
from paho.mqtt import reasoncodes
from paho.mqtt.packettypes import PacketTypes

from party import PAHO_2, PATIENCE, ROOT, Party, cannot, run

ReasonCode = reasoncodes.ReasonCode if PAHO_2 else reasoncodes.ReasonCodes

NO_SUBSCRIPTION_EXISTED = 0x11


def an_empty_client_id_is_assigned_one():
    first, second = Party(""), Party("")
    names = [first.connack.AssignedClientIdentifier, second.connack.AssignedClientIdentifier]
    assert names[0] and names[1] and names[0] != names[1], names
    first.leave()
    second.leave()


def a_second_connection_takes_the_session_over():
    first = Party("vc-take", expiry=60)
    first.subscribe(ROOT + "/take", 1)
    second = Party("vc-take", clean=False, expiry=60)
    assert second.session_present
    assert first.closed.wait(PATIENCE), "the first connection is still there"
    # paho drops a reason code without properties after it; MQTT.js and rumqttc look at it.
    second.publish(ROOT + "/take", "still subscribed", 1)
    second.expect("still subscribed")
    second.leave()


def reason_codes_say_what_happened():
    party = Party("vc-codes")
    assert party.subscribe(ROOT + "/codes", 2) == [2]
    assert party.unsubscribe(ROOT + "/codes") == [0]
    assert party.unsubscribe(ROOT + "/codes") == [NO_SUBSCRIPTION_EXISTED]
    party.leave()


def receive_maximum_bounds_what_is_in_flight():
    party = Party("vc-window", connect={"ReceiveMaximum": 2}, manual_ack=True)
    publisher = Party("vc-window-pub")
    party.subscribe(ROOT + "/window", 1)
    for n in range(6):
        publisher.publish(ROOT + "/window", str(n), 1)
    publisher.publish(ROOT + "/window", "free", 0)
    held = [party.next(), party.next()]
    # QoS 0 is not counted, so it may or may not pass; a third QoS 1 message may not.
    overtaking = party.drain()
    assert all(m.qos == 0 for m in overtaking), overtaking
    assert [m.payload for m in held] == [b"0", b"1"]
    for n in range(2, 6):
        party.client.ack(held.pop(0).mid, 1)
        message = party.next()
        while message.qos == 0:
            message = party.next()
        assert message.payload == str(n).encode(), message.payload
        held.append(message)
    party.leave()
    publisher.leave()


def a_receive_maximum_of_one_lets_all_through():
    party = Party("vc-one", connect={"ReceiveMaximum": 1})
    publisher = Party("vc-one-pub")
    party.subscribe(ROOT + "/one", 2)
    sent = ["%d" % n for n in range(20)]
    for qos in (1, 2):
        for payload in sent:
            publisher.publish(ROOT + "/one", payload, qos)
        party.expect(*sent)
    party.leave()
    publisher.leave()


def packets_larger_than_the_client_takes_are_left_out():
    party = Party("vc-size", connect={"MaximumPacketSize": 200})
    publisher = Party("vc-size-pub")
    party.subscribe(ROOT + "/size", 1)
    for payload in ("small", "x" * 1000, "small again"):
        publisher.publish(ROOT + "/size", payload, 1)
    party.expect("small", "small again")
    party.expect_nothing()
    party.leave()
    publisher.leave()


def a_share_group_gives_each_message_to_one_member():
    members = [Party("vc-share%d" % n) for n in range(3)]
    alone = Party("vc-alone")
    for member in members:
        assert member.subscribe("$share/group/%s/share/#" % ROOT, 1) == [1]
    alone.subscribe(ROOT + "/share/#", 1)
    publisher = Party("vc-share-pub")
    sent = ["%d" % n for n in range(60)]
    for payload in sent:
        publisher.publish(ROOT + "/share/x", payload, 1)
    alone.expect(*sent)
    got = [m.payload.decode() for member in members for m in member.drain()]
    assert sorted(got, key=int) == sent, got
    # A member that leaves takes nothing with it.
    members.pop().leave()
    for payload in sent:
        publisher.publish(ROOT + "/share/x", payload, 1)
    got = [m.payload.decode() for member in members for m in member.drain()]
    assert sorted(got, key=int) == sent, got
    for party in members + [alone, publisher]:
        party.leave()


def shared_subscriptions_are_sent_no_retained_messages():
    party = Party("vc-share-keep")
    party.publish(ROOT + "/share-keep", "kept", 1, retain=True)
    party.subscribe("$share/group/%s/share-keep" % ROOT, 1)
    party.expect_nothing()
    party.leave()


def a_member_that_dies_gives_back_what_it_had_not_acknowledged():
    dying = Party("vc-back-dies", stuck=True)
    topic = ROOT + "/back"
    dying.subscribe("$share/back/" + topic, 1)
    publisher = Party("vc-back-pub")
    publisher.publish(topic, "unfinished", 1)
    dying.expect("unfinished")
    heir = Party("vc-back-heir")
    heir.subscribe("$share/back/" + topic, 1)
    dying.die()
    heir.expect("unfinished")
    heir.leave()
    publisher.leave()


def a_disconnect_may_ask_for_the_will():
    watcher = Party("vc-will-see")
    watcher.subscribe(ROOT + "/will", 1)
    party = Party("vc-will", will={"topic": ROOT + "/will", "payload": "asked for", "qos": 1})
    party.client.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
    watcher.expect("asked for")
    watcher.leave()


if not PAHO_2:
    cannot("takes the next message only when the last is acknowledged, so that it cannot see how "
           "many the receive maximum lets through at once; only that they flow")
run(an_empty_client_id_is_assigned_one, a_second_connection_takes_the_session_over,
    reason_codes_say_what_happened, a_receive_maximum_of_one_lets_all_through,
    *([receive_maximum_bounds_what_is_in_flight] if PAHO_2 else []),
    packets_larger_than_the_client_takes_are_left_out,
    a_share_group_gives_each_message_to_one_member,
    shared_subscriptions_are_sent_no_retained_messages,
    a_member_that_dies_gives_back_what_it_had_not_acknowledged,
    a_disconnect_may_ask_for_the_will)
