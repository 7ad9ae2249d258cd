"""What a message of MQTT 5 carries: properties, expiry, aliases, subscription options."""
import time

from paho.mqtt.subscribeoptions import SubscribeOptions

from party import ROOT, Party, properties, run


def properties_arrive_as_they_were_sent():
    party = Party("vm-props")
    party.subscribe(ROOT + "/props", 2)
    pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("größe", "温度")]
    for qos in (0, 1, 2):
        party.publish(ROOT + "/props", "x", qos, UserProperty=pairs, ContentType="text/plain",
                      ResponseTopic=ROOT + "/answer", CorrelationData=bytes(range(256)),
                      PayloadFormatIndicator=1)
        got = party.next().properties
        assert got.UserProperty == pairs, got.UserProperty
        assert got.ContentType == "text/plain"
        assert got.ResponseTopic == ROOT + "/answer"
        assert got.CorrelationData == bytes(range(256))
        assert got.PayloadFormatIndicator == 1
    party.leave()


def a_request_is_answered_on_its_response_topic():
    server, asker = Party("vm-server"), Party("vm-asker")
    server.subscribe(ROOT + "/request", 1)
    asker.subscribe(ROOT + "/response", 1)
    asker.publish(ROOT + "/request", "how warm?", 1, ResponseTopic=ROOT + "/response",
                  CorrelationData=b"42")
    (request,) = server.expect("how warm?")
    server.publish(request.properties.ResponseTopic, "21.5", 1,
                   CorrelationData=request.properties.CorrelationData)
    (response,) = asker.expect("21.5")
    assert response.properties.CorrelationData == b"42"
    server.leave()
    asker.leave()


def expiry_counts_down_and_ends_messages():
    kept = {"clean": False, "expiry": 300}
    sleeper = Party("vm-sleep", **kept)
    sleeper.subscribe(ROOT + "/expiry/#", 1)
    sleeper.leave()
    party = Party("vm-expiry")
    start = time.monotonic()
    party.publish(ROOT + "/expiry/long", "long", 1, retain=True, MessageExpiryInterval=100)
    party.publish(ROOT + "/expiry/short", "short", 1, retain=True, MessageExpiryInterval=1)
    party.publish(ROOT + "/expiry/ever", "ever", 1, retain=True)
    while time.monotonic() < start + 2.5:
        party.expect_nothing()
    sleeper = Party("vm-sleep", **kept)
    party.subscribe(ROOT + "/expiry/#", 1)
    for reader in (sleeper, party):
        got = {m.payload: m.properties for m in (reader.next(), reader.next())}
        assert sorted(got) == [b"ever", b"long"], sorted(got)
        assert not hasattr(got[b"ever"], "MessageExpiryInterval")
        left = got[b"long"].MessageExpiryInterval
        assert 100 - (time.monotonic() - start) - 1 <= left <= 98, left
        reader.expect_nothing()
        reader.leave()


def an_alias_stands_for_its_topic():
    party, reader = Party("vm-alias"), Party("vm-alias-read")
    allowed = getattr(party.connack, "TopicAliasMaximum", 0)
    assert allowed >= 2, "the broker takes no aliases"
    reader.subscribe(ROOT + "/alias/#", 1)
    for alias, topic in ((1, "/alias/one"), (allowed, "/alias/two")):
        party.publish(ROOT + topic, "by name", 1, TopicAlias=alias)
    party.publish("", "by alias", 1, TopicAlias=1)
    party.publish("", "by alias", 1, TopicAlias=allowed)
    party.publish(ROOT + "/alias/three", "given anew", 1, TopicAlias=1)
    party.publish("", "by alias", 1, TopicAlias=1)
    topics = [reader.next().topic[len(ROOT):] for _ in range(6)]
    assert topics == ["/alias/one", "/alias/two", "/alias/one", "/alias/two", "/alias/three",
                      "/alias/three"], topics
    reader.leave()
    party.leave()


def aliases_of_the_broker_are_within_what_was_allowed():
    party = Party("vm-alias-in", connect={"TopicAliasMaximum": 3})
    party.subscribe(ROOT + "/in/#", 1)
    names = {}
    for n in range(60):
        wanted = "%s/in/%d" % (ROOT, n % 6)
        party.publish(wanted, "x", n % 2)
        message = party.next()
        alias = getattr(message.properties, "TopicAlias", None)
        assert alias is None or 1 <= alias <= 3, alias
        if alias and message.topic:
            names[alias] = message.topic
        assert (message.topic or names[alias]) == wanted
    party.leave()


def each_subscription_delivers_with_its_identifier():
    party = Party("vm-ids")
    for topic, identifier in (("/ids/+", 1), ("/ids/a", 268_435_455)):
        party.subscribe(ROOT + topic, options=SubscribeOptions(qos=1), properties=properties(
            "SUBSCRIBE", SubscriptionIdentifier=identifier))
    party.publish(ROOT + "/ids/a", "both", 1)
    got = [m.properties.SubscriptionIdentifier for m in party.expect("both", "both")]
    assert sorted(got) == [[1], [268_435_455]], got
    party.publish(ROOT + "/ids/b", "one", 1)
    (message,) = party.expect("one")
    assert message.properties.SubscriptionIdentifier == [1]
    party.expect_nothing()
    party.leave()


def no_local_spares_the_sender():
    party, other = Party("vm-local"), Party("vm-local-other")
    party.subscribe(ROOT + "/local", options=SubscribeOptions(qos=1, noLocal=True))
    party.publish(ROOT + "/local", "mine", 1)
    other.publish(ROOT + "/local", "of another", 1)
    party.expect("of another")
    party.expect_nothing()
    party.leave()
    other.leave()


def retain_as_published_keeps_the_flag():
    party = Party("vm-rap")
    party.subscribe([(ROOT + "/rap/1", SubscribeOptions(qos=1, retainAsPublished=True)),
                     (ROOT + "/rap/2", SubscribeOptions(qos=1, retainAsPublished=False))])
    for topic, retain, seen in (("/rap/1", True, True), ("/rap/1", False, False),
                                ("/rap/2", True, False)):
        party.publish(ROOT + topic, "x", 1, retain=retain)
        assert bool(party.next().retain) == seen, topic
    party.leave()


def retain_handling_says_when_retained_messages_are_sent():
    party = Party("vm-handling")
    topic = ROOT + "/handling"
    party.publish(topic, "kept", 1, retain=True)
    for handling, new, sent in ((2, True, False), (1, True, True), (1, False, False),
                                (0, False, True), (2, False, False)):
        if new:
            party.unsubscribe(topic)
        party.subscribe(topic, options=SubscribeOptions(qos=1, retainHandling=handling))
        if sent:
            party.expect("kept")
        party.expect_nothing()
    party.leave()


run(properties_arrive_as_they_were_sent, a_request_is_answered_on_its_response_topic,
    expiry_counts_down_and_ends_messages, an_alias_stands_for_its_topic,
    aliases_of_the_broker_are_within_what_was_allowed,
    each_subscription_delivers_with_its_identifier, no_local_spares_the_sender,
    retain_as_published_keeps_the_flag, retain_handling_says_when_retained_messages_are_sent)
