"""The last value of a topic waits for late subscribers until it is cleared."""
from party import ROOT, Party, run


def a_late_subscriber_finds_the_last_value():
    publisher = Party("re-pub")
    for qos in (0, 1, 2):
        topic = "%s/last/%d" % (ROOT, qos)
        publisher.publish(topic, "first", qos, retain=True)
        publisher.publish(topic, "last", qos, retain=True)
        publisher.publish(topic, "passing", qos)
        # QoS 0 is not acknowledged: what follows on the same connection says that it was taken.
        publisher.subscribe(topic, 0)
        publisher.expect("last")
        publisher.unsubscribe(topic)
        late = Party("re-late%d" % qos)
        late.subscribe(topic, 2)
        (message,) = late.expect("last")
        assert message.retain and message.qos == qos, (message.retain, message.qos)
        # To a subscription that exists already it is a message like any other.
        publisher.publish(topic, "newer", qos, retain=True)
        (message,) = late.expect("newer")
        assert not message.retain
        late.expect_nothing()
        late.leave()
    publisher.leave()


def an_empty_payload_clears():
    party = Party("re-clear")
    topic = ROOT + "/clear"
    party.publish(topic, "value", 1, retain=True)
    party.subscribe(topic, 1)
    party.expect("value")
    party.publish(topic, None, 1, retain=True)
    assert party.next().payload == b""
    late = Party("re-clear-late")
    late.subscribe(topic, 1)
    late.expect_nothing()
    late.leave()
    party.leave()


def a_wildcard_finds_all_and_a_second_subscribe_finds_them_again():
    party = Party("re-wild")
    topics = ["%s/many/%d/x" % (ROOT, n) for n in range(50)]
    for topic in topics:
        party.publish(topic, topic, 1, retain=True)
    for _ in range(2):
        party.subscribe(ROOT + "/many/+/x", 1)
        assert sorted(party.next().topic for _ in topics) == sorted(topics)
    party.expect_nothing()
    party.leave()


run(a_late_subscriber_finds_the_last_value, an_empty_payload_clears,
    a_wildcard_finds_all_and_a_second_subscribe_finds_them_again)
