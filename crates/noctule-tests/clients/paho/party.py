"""One MQTT party over paho-mqtt: the same calls for 1.6 and 2.x, and for MQTT 3.1, 3.1.1 and 5.

Every script of this folder is called with HOST PORT VERSION and asserts what it sees. With
NOCTULE_TEST_WEBSOCKET set it goes through a WebSocket, with NOCTULE_TEST_CA through TLS.
"""
import os
import queue
import random
import socket
import sys
import threading
import traceback

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, PORT, VERSION = sys.argv[1], int(sys.argv[2]), sys.argv[3]
PROTOCOL = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}[VERSION]
V5 = VERSION == "5"
PAHO_2 = hasattr(mqtt, "CallbackAPIVersion")
# Every wait ends: a broker that does not answer fails the test instead of hanging it.
PATIENCE = 20
# Long enough that a message which must not come would have come.
QUIET = 0.4
# Apart from everything else that may use the same broker.
RUN = "%06x" % random.randrange(1 << 24)
ROOT = "paho/" + RUN


def properties(packet, **values):
    """Properties for the packet named; a list of pairs repeats the property."""
    result = Properties(getattr(PacketTypes, packet))
    for name, value in values.items():
        if name == "UserProperty":
            for pair in value:
                result.UserProperty = pair
        else:
            setattr(result, name, value)
    return result


def code(reason):
    return getattr(reason, "value", reason)


class Party:
    """A connected client; what it receives waits in a queue."""

    def __init__(self, name, clean=True, expiry=None, will=None, connect=None, keep_alive=60,
                 manual_ack=False, stuck=False):
        self.client_id = name + RUN if name else ""
        self.messages = queue.Queue()
        self.answers = queue.Queue()
        self.closed = threading.Event()
        self.unstuck = threading.Event()
        if not stuck:
            self.unstuck.set()
        self.close_reason = None
        more = {} if V5 else {"clean_session": clean}
        if manual_ack:
            more["manual_ack"] = True
        if "NOCTULE_TEST_WEBSOCKET" in os.environ:
            more["transport"] = "websockets"
        if PAHO_2:
            more["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION2
        self.client = mqtt.Client(client_id=self.client_id, protocol=PROTOCOL,
                                  reconnect_on_failure=False, **more)
        if "NOCTULE_TEST_CA" in os.environ:
            self.client.tls_set(os.environ["NOCTULE_TEST_CA"])
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_unsubscribe = self._on_unsubscribe
        self.client.on_message = self._on_message
        if will:
            self.client.will_set(**will)
        self._connect(clean, expiry, dict(connect or {}), keep_alive)

    def _connect(self, clean, expiry, connect, keep_alive):
        if V5:
            if expiry is not None:
                connect["SessionExpiryInterval"] = expiry
            self.client.connect(HOST, PORT, keep_alive, clean_start=clean,
                                properties=properties("CONNECT", **connect))
        else:
            self.client.connect(HOST, PORT, keep_alive)
        self.client.loop_start()
        self.session_present, reason, self.connack = self._answer("connack")
        assert code(reason) == 0, "CONNACK: %s" % reason

    def _answer(self, kind):
        got = self.answers.get(timeout=PATIENCE)
        assert got[0] == kind, "waited for %s, got %r" % (kind, got)
        return got[1:]

    def _on_connect(self, _client, _data, flags, reason, props=None):
        present = flags["session present"] if isinstance(flags, dict) else flags.session_present
        self.answers.put(("connack", bool(present), reason, props))

    def _on_message(self, _client, _data, message):
        self.messages.put(message)
        # paho acknowledges QoS 1 after this: who is stuck here never does.
        self.unstuck.wait()

    def _on_disconnect(self, _client, _data, *rest):
        # 1.6: (code[, properties]); 2.x: (flags, code, properties)
        self.close_reason = code(rest[1] if PAHO_2 else rest[0])
        self.closed.set()

    def _on_subscribe(self, _client, _data, _mid, codes, props=None):
        self.answers.put(("suback", [code(each) for each in codes], props))

    def _on_unsubscribe(self, _client, _data, _mid, *rest):
        # 1.6: (), or (properties, codes) for v5; 2.x: (codes, properties)
        codes = [] if not rest else (rest[0] if PAHO_2 else rest[1])
        codes = codes if isinstance(codes, list) else [codes]
        self.answers.put(("unsuback", [code(each) for each in codes]))

    def subscribe(self, *what, **more):
        """Subscribes, waits for the SUBACK, and returns its codes."""
        self.client.subscribe(*what, **more)
        return self._answer("suback")[0]

    def unsubscribe(self, topic):
        self.client.unsubscribe(topic)
        return self._answer("unsuback")[0]

    def publish(self, topic, payload=None, qos=0, retain=False, **props):
        """Publishes and waits until the hand-shake of its QoS is complete."""
        more = {"properties": properties("PUBLISH", **props)} if props else {}
        info = self.client.publish(topic, payload, qos, retain, **more)
        info.wait_for_publish(PATIENCE)
        assert info.is_published(), "QoS %d to %s was never complete" % (qos, topic)

    def next(self):
        try:
            return self.messages.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError("%s waited for a message in vain" % self.client_id)

    def expect(self, *payloads):
        """The next messages, which must carry exactly these payloads in this order."""
        got = [self.next() for _ in payloads]
        assert [m.payload.decode() for m in got] == list(payloads), [m.payload for m in got]
        return got

    def expect_nothing(self):
        try:
            message = self.messages.get(timeout=QUIET)
        except queue.Empty:
            return
        raise AssertionError("unexpected %s: %r" % (message.topic, message.payload[:80]))

    def drain(self):
        """Every message until it is quiet."""
        got = []
        while True:
            try:
                got.append(self.messages.get(timeout=QUIET))
            except queue.Empty:
                return got

    def leave(self):
        """Ends as a client should: with DISCONNECT."""
        self.client.disconnect()
        self._wait_closed()

    def die(self):
        """Ends as a crash does: the connection closes and no DISCONNECT was sent."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.unstuck.set()
        self._wait_closed()

    def _wait_closed(self):
        assert self.closed.wait(PATIENCE), "the connection did not end"
        self.client.loop_stop()


def cannot(what):
    """Says what the client cannot do; the driver passes such lines on even when all goes well."""
    print("cannot: paho-mqtt %s %s" % ("2" if PAHO_2 else "1", what), flush=True)


def run(*cases):
    """Runs every case, names it, and says at the end which failed."""
    failed = []
    for case in cases:
        print("%s (MQTT %s)" % (case.__name__, VERSION), flush=True)
        try:
            case()
        except Exception:
            traceback.print_exc(file=sys.stdout)
            failed.append(case.__name__)
    if failed:
        sys.exit("FAILED: " + ", ".join(failed))
