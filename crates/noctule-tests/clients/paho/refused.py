"""Connects once and prints what it is told: `accepted`, a CONNACK's code, or what TLS says.

Arguments: host port version, then any of user=, password=, ca=, own= (NAME.crt and NAME.key).
"""
import queue
import ssl
import sys
import time

import paho.mqtt.client as paho

HOST, PORT, VERSION = sys.argv[1:4]
GIVEN = dict(word.split("=", 1) for word in sys.argv[4:])
PROTOCOL = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}[VERSION]
PATIENCE = 20

if hasattr(paho, "CallbackAPIVersion"):
    it = paho.Client(paho.CallbackAPIVersion.VERSION1, "refused", protocol=PROTOCOL)
else:
    it = paho.Client("refused", protocol=PROTOCOL)
if "user" in GIVEN:
    it.username_pw_set(GIVEN["user"], GIVEN.get("password"))
if "ca" in GIVEN:
    own = GIVEN.get("own")
    files = (own + ".crt", own + ".key") if own else (None, None)
    it.tls_set(GIVEN["ca"], *files, tls_version=ssl.PROTOCOL_TLS_CLIENT)
told = queue.Queue()


def on_connect(_client, _data, _flags, code, properties=None):
    value = code if isinstance(code, int) else code.value
    text = getattr(properties, "ReasonString", "") if properties else ""
    told.put("accepted" if value == 0 else f"{value} {text}".rstrip())


def said_by_tls(error):
    verified = getattr(error, "verify_message", None)
    return f"{error.reason}: {verified}" if verified else error.reason


it.on_connect = on_connect
try:
    it.connect(HOST, int(PORT))
    deadline = time.monotonic() + PATIENCE
    while told.empty() and it.loop(1) == paho.MQTT_ERR_SUCCESS:
        assert time.monotonic() < deadline, "nothing is said"
    print(told.get_nowait() if not told.empty() else "closed")
except ssl.SSLError as error:
    print(said_by_tls(error))
