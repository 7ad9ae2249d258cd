"""TLS: whoever shows a good certificate gets in and is heard, and nobody else does."""
import queue
import ssl
import sys
import time

import paho.mqtt.client as paho

HOST, PORT, VERSION, CA, GOOD, BAD = sys.argv[1:7]
PROTOCOL = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}[VERSION]
PATIENCE = 20


def client():
    if hasattr(paho, "CallbackAPIVersion"):
        return paho.Client(paho.CallbackAPIVersion.VERSION1, "tls-" + VERSION, protocol=PROTOCOL)
    return paho.Client("tls-" + VERSION, protocol=PROTOCOL)


def party(ca, name):
    it = client()
    it.tls_set(ca, name + ".crt", name + ".key", tls_version=ssl.PROTOCOL_TLS_CLIENT)
    return it


def one_that_is_let_in_is_heard():
    it, heard = party(CA, GOOD), queue.Queue()
    it.on_connect = lambda *_: it.subscribe("tls/#", 2)
    it.on_subscribe = lambda *_: it.publish("tls/a", bytes(200_000), 2)
    it.on_message = lambda _client, _data, message: heard.put(message.payload)
    it.connect(HOST, int(PORT))
    it.loop_start()
    assert heard.get(timeout=PATIENCE) == bytes(200_000)
    it.disconnect()
    it.loop_stop()


def one_of_another_ca_is_not_let_in():
    it, connected, deadline = party(CA, BAD), [], time.monotonic() + PATIENCE
    it.on_connect = lambda *_: connected.append(True)
    try:
        # With TLS 1.3 the client is told only after its own side of the handshake is over.
        it.connect(HOST, int(PORT))
        while it.loop(1) == paho.MQTT_ERR_SUCCESS:
            assert time.monotonic() < deadline, "nothing is said"
    except ssl.SSLError as error:
        assert "ALERT" in str(error), error
    assert not connected


def a_server_of_another_ca_is_not_believed():
    it = party(BAD + ".crt", GOOD)
    try:
        it.connect(HOST, int(PORT))
    except ssl.SSLError as error:
        assert "CERTIFICATE_VERIFY_FAILED" in str(error), error
        return
    raise AssertionError("it was believed")


one_that_is_let_in_is_heard()
one_of_another_ca_is_not_let_in()
a_server_of_another_ca_is_not_believed()
