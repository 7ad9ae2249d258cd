"""What is published arrives: every QoS against every granted QoS, any payload, wildcards."""
import time

from party import ROOT, V5, Party, run

# paho pings after as much silence, and the broker waits half as long again: with two seconds a busy
# machine has one to spare.
KEEP_ALIVE = 2


def every_qos_arrives_at_the_lower_of_both():
    publisher = Party("rt-pub")
    for granted in (0, 1, 2):
        subscriber = Party("rt-sub%d" % granted)
        topic = "%s/qos/%d" % (ROOT, granted)
        assert subscriber.subscribe(topic, granted) == [granted]
        for qos in (0, 1, 2):
            publisher.publish(topic, "at %d" % qos, qos)
            (message,) = subscriber.expect("at %d" % qos)
            assert message.topic == topic
            assert message.qos == min(qos, granted), (message.qos, qos, granted)
            assert not message.retain and not message.dup
        subscriber.leave()
    publisher.leave()


def many_messages_keep_their_order():
    # Two parties: paho 1.6 miscounts its window when one both sends and receives at QoS 2.
    publisher, subscriber = Party("rt-order-pub"), Party("rt-order-sub")
    for qos in (0, 1, 2):
        topic = "%s/order/%d" % (ROOT, qos)
        subscriber.subscribe(topic, qos)
        sent = ["%d" % n for n in range(500)]
        for payload in sent:
            publisher.client.publish(topic, payload, qos)
        subscriber.expect(*sent)
    publisher.leave()
    subscriber.leave()


def payloads_arrive_to_the_last_byte():
    party = Party("rt-bytes")
    topic = ROOT + "/bytes"
    party.subscribe(topic, 2)
    for payload in (b"", b"\0", bytes(range(256)), b"x" * 127, b"x" * 128, bytes(300_000)):
        for qos in (0, 1, 2):
            party.publish(topic, payload, qos)
            got = party.next()
            assert got.payload == payload, (len(got.payload), len(payload), qos)
    party.leave()


def wildcards_choose_by_level():
    party = Party("rt-wild")
    assert party.subscribe([(ROOT + "/w/+/temperature", 1), (ROOT + "/w/deep/#", 0)]) == [1, 0]
    for topic in ("/w/kitchen/temperature", "/w/kitchen/humidity", "/w/a/b/temperature",
                  "/w/deep", "/w/deep/a/b/c", "/w/Deep/a", "/w/cellar/temperature"):
        party.publish(ROOT + topic, topic, 1)
    party.expect("/w/kitchen/temperature", "/w/deep", "/w/deep/a/b/c", "/w/cellar/temperature")
    party.expect_nothing()
    party.leave()


def topics_are_any_text():
    party = Party("rt-text")
    party.subscribe(ROOT + "/text/#", 1)
    for topic in ("/text//", "/text/ with blanks ", "/text/größe/温度/🌡", "/text/$inner"):
        party.publish(ROOT + topic, "x", 1)
        assert party.next().topic == ROOT + topic
    party.leave()


def unsubscribed_means_silent():
    party = Party("rt-unsub")
    party.subscribe([(ROOT + "/u/1", 1), (ROOT + "/u/2", 1)])
    codes = party.unsubscribe(ROOT + "/u/1")
    assert not V5 or codes == [0], codes
    party.publish(ROOT + "/u/1", "unheard", 1)
    party.publish(ROOT + "/u/2", "heard", 1)
    party.expect("heard")
    party.expect_nothing()
    party.leave()


def an_idle_client_pings_and_stays():
    idle = Party("rt-idle", keep_alive=KEEP_ALIVE)
    idle.subscribe(ROOT + "/idle", 1)
    time.sleep(2.5 * KEEP_ALIVE)
    publisher = Party("rt-idle-pub")
    publisher.publish(ROOT + "/idle", "still there", 1)
    # Parties do not connect again, so this came over the first connection.
    idle.expect("still there")
    idle.leave()
    publisher.leave()


run(every_qos_arrives_at_the_lower_of_both, many_messages_keep_their_order,
    payloads_arrive_to_the_last_byte, wildcards_choose_by_level, topics_are_any_text,
    unsubscribed_means_silent, an_idle_client_pings_and_stays)
