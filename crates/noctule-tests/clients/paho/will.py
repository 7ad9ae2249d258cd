"""A will is published when its client dies, and only then."""
import time

from party import ROOT, V5, Party, properties, run


def a_death_publishes_the_will():
    watcher = Party("wi-watch")
    watcher.subscribe(ROOT + "/will/#", 2)
    for qos in (0, 1, 2):
        topic = "%s/will/%d" % (ROOT, qos)
        mortal = Party("wi-mortal", will={"topic": topic, "payload": "died", "qos": qos})
        watcher.expect_nothing()
        mortal.die()
        (message,) = watcher.expect("died")
        assert (message.topic, message.qos, message.retain) == (topic, qos, False)
    watcher.leave()


def a_disconnect_takes_the_will_back():
    watcher = Party("wi-calm")
    watcher.subscribe(ROOT + "/calm", 1)
    Party("wi-polite", will={"topic": ROOT + "/calm", "payload": "died", "qos": 1}).leave()
    watcher.expect_nothing()
    watcher.leave()


def a_retained_will_waits_for_late_subscribers():
    topic = ROOT + "/status"
    mortal = Party("wi-keep", will={"topic": topic, "payload": "off", "qos": 1, "retain": True})
    watcher = Party("wi-keep-see")
    watcher.subscribe(topic, 1)
    mortal.die()
    watcher.expect("off")
    late = Party("wi-keep-late")
    late.subscribe(topic, 1)
    (message,) = late.expect("off")
    assert message.retain
    late.leave()
    watcher.leave()


def a_takeover_publishes_the_will_of_the_first():
    watcher = Party("wi-take-see")
    watcher.subscribe(ROOT + "/taken", 1)
    will = {"topic": ROOT + "/taken", "payload": "taken over", "qos": 1}
    first = Party("wi-take", will=will)
    second = Party("wi-take")
    assert first.closed.wait(20), "the first connection is still there"
    watcher.expect("taken over")
    second.leave()
    watcher.leave()


def a_will_may_wait_and_a_return_cancels_it():
    topic = ROOT + "/delayed"
    watcher = Party("wi-late-see")
    watcher.subscribe(topic, 1)

    def will(payload, delay):
        return {"topic": topic, "payload": payload, "qos": 1,
                "properties": properties("WILLMESSAGE", WillDelayInterval=delay,
                                         ContentType="text/plain",
                                         UserProperty=[("why", "test"), ("why", "again")])}

    Party("wi-back", expiry=60, will=will("of one who came back", 4)).die()
    Party("wi-back", clean=False, expiry=60).leave()
    death = time.monotonic()
    Party("wi-late", expiry=60, will=will("late", 5)).die()
    # The first will was due before this one.
    (message,) = watcher.expect("late")
    waited = time.monotonic() - death
    assert waited >= 5, "the will came after %f s" % waited
    assert message.properties.ContentType == "text/plain"
    assert message.properties.UserProperty == [("why", "test"), ("why", "again")]
    watcher.expect_nothing()
    watcher.leave()


run(a_death_publishes_the_will, a_disconnect_takes_the_will_back,
    a_retained_will_waits_for_late_subscribers, a_takeover_publishes_the_will_of_the_first,
    *([a_will_may_wait_and_a_return_cancels_it] if V5 else []))
