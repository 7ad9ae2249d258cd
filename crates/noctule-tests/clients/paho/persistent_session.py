"""A session outlives its connection: what came while its client was away is delivered in order."""
from party import ROOT, V5, VERSION, Party, cannot, run

KEPT = {"clean": False, "expiry": 300}
# MQTT 3.1 has no flag for it.
SAYS_PRESENT = VERSION != "3.1"


def what_came_while_away_is_delivered_in_order():
    for granted in (1, 2):
        name = "ps-away%d" % granted
        topic = "%s/away/%d" % (ROOT, granted)
        party = Party(name, **KEPT)
        assert not party.session_present
        party.subscribe(topic, granted)
        party.leave()
        publisher = Party("ps-pub")
        sent = [("message %d" % n, 1 + n % 2) for n in range(60)]
        for payload, qos in sent:
            publisher.publish(topic, payload, qos)
        publisher.leave()
        party = Party(name, **KEPT)
        assert party.session_present or not SAYS_PRESENT
        got = [party.next() for _ in sent]
        for qos in (1, 2):
            # The order is kept within a QoS: paho hands on a QoS 2 message after its PUBREL only.
            mine = [m.payload.decode() for m in got if m.qos == qos]
            assert mine == [payload for payload, at in sent if min(at, granted) == qos], mine
        party.expect_nothing()
        # What was acknowledged is gone.
        party.leave()
        party = Party(name, **KEPT)
        party.expect_nothing()
        party.leave()
        Party(name).leave()


def a_death_keeps_the_session_too():
    party = Party("ps-dead", **KEPT)
    party.subscribe(ROOT + "/dead", 1)
    party.die()
    publisher = Party("ps-dead-pub")
    publisher.publish(ROOT + "/dead", "kept", 1)
    publisher.leave()
    party = Party("ps-dead", **KEPT)
    party.expect("kept")
    party.leave()


def what_was_not_acknowledged_comes_again_marked_as_such():
    topic = ROOT + "/again"
    party = Party("ps-again", stuck=True, **KEPT)
    party.subscribe(topic, 1)
    publisher = Party("ps-again-pub")
    publisher.publish(topic, "again", 1)
    (message,) = party.expect("again")
    assert not message.dup
    party.die()
    party = Party("ps-again", **KEPT)
    (message,) = party.expect("again")
    assert message.dup and message.qos == 1, (message.dup, message.qos)
    # The client acknowledges behind our back, but before it takes the next message.
    publisher.publish(topic, "later", 0)
    party.expect("later")
    party.leave()
    party = Party("ps-again", **KEPT)
    party.expect_nothing()
    party.leave()
    publisher.leave()


def a_clean_start_ends_the_session():
    party = Party("ps-clean", **KEPT)
    party.subscribe(ROOT + "/clean", 1)
    party.leave()
    publisher = Party("ps-clean-pub")
    publisher.publish(ROOT + "/clean", "lost", 1)
    party = Party("ps-clean", clean=True)
    assert not party.session_present
    publisher.publish(ROOT + "/clean", "lost as well", 1)
    party.expect_nothing()
    party.leave()
    party = Party("ps-clean", **KEPT)
    assert not party.session_present, "a clean session left something behind"
    party.leave()
    publisher.leave()


def without_clean_the_subscriptions_are_still_there():
    party = Party("ps-subs", **KEPT)
    party.subscribe([(ROOT + "/subs/1", 1), (ROOT + "/subs/2", 1)])
    party.unsubscribe(ROOT + "/subs/2")
    party.leave()
    party = Party("ps-subs", **KEPT)
    party.publish(ROOT + "/subs/2", "given back", 1)
    party.publish(ROOT + "/subs/1", "still held", 1)
    party.expect("still held")
    party.expect_nothing()
    party.leave()


def a_session_ends_when_its_expiry_is_over():
    party = Party("ps-expiry", clean=True, expiry=1)
    party.subscribe(ROOT + "/expiry", 1)
    party.leave()
    other = Party("ps-expiry-other")
    for _ in range(6):
        other.expect_nothing()
    party = Party("ps-expiry", clean=False, expiry=0)
    assert not party.session_present, "expiry 1 outlived 2 seconds"
    party.leave()
    party = Party("ps-expiry", clean=False, expiry=60)
    assert not party.session_present, "expiry 0 outlived its connection"
    party.leave()
    party = Party("ps-expiry", clean=False, expiry=60)
    assert party.session_present, "expiry 60 did not outlive its connection"
    party.leave()
    other.leave()


cannot("answers QoS 2 with PUBREC by itself, so that none is sent to it again")
run(what_came_while_away_is_delivered_in_order, a_death_keeps_the_session_too,
    what_was_not_acknowledged_comes_again_marked_as_such, a_clean_start_ends_the_session,
    without_clean_the_subscriptions_are_still_there,
    *([a_session_ends_when_its_expiry_is_over] if V5 else []))
