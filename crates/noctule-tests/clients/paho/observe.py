"""Does what clients do and prints what a broker lets it see: brokers are the same if the text is.

Arguments: host port version (3.1.1 or 5), then a user name and a password, or nothing.
"""
import queue
import sys
import time

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

HOST, PORT, VERSION = sys.argv[1:4]
LOGIN = sys.argv[4:6]
NEW = VERSION == "5"
PROTOCOL = paho.MQTTv5 if NEW else paho.MQTTv311
PATIENCE = 20


def properties(kind, **values):
    made = Properties(kind)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def seen(of):
    """Properties in words."""
    values = {name: value for name, value in (of.json() if of else {}).items() if value != []}
    return sorted(values.items())


class Party:
    def __init__(self, name, clean=True, will=None):
        if hasattr(paho, "CallbackAPIVersion"):
            api = paho.CallbackAPIVersion.VERSION1
            how = {} if NEW else {"clean_session": clean}
            self.client = paho.Client(api, name, protocol=PROTOCOL, **how)
        else:
            how = {} if NEW else {"clean_session": clean}
            self.client = paho.Client(name, protocol=PROTOCOL, **how)
        self.name, self.clean, self.events = name, clean, queue.Queue()
        if LOGIN:
            self.client.username_pw_set(*LOGIN)
        if will:
            self.client.will_set(*will)
        self.client.on_connect = self.on_connect
        self.client.on_disconnect = self.on_disconnect
        self.client.on_subscribe = self.on_subscribe
        self.client.on_unsubscribe = self.on_unsubscribe
        self.client.on_publish = lambda *_: self.events.put("published")
        self.client.on_message = self.on_message
        self.messages = []

    def on_connect(self, _client, _data, flags, code, of=None):
        value = code if isinstance(code, int) else code.value
        self.events.put(f"connected {value} {flags['session present']} {seen(of)}")

    def on_disconnect(self, _client, _data, code, of=None):
        value = code if isinstance(code, int) else code.value
        self.events.put(f"gone {value}" if NEW else "gone")

    def on_subscribe(self, _client, _data, _id, codes, of=None):
        codes = [code if isinstance(code, int) else code.value for code in codes]
        self.events.put(f"subscribed {codes} {seen(of)}")

    def on_unsubscribe(self, *rest):
        codes = rest[4] if NEW and len(rest) > 4 else []
        codes = codes if isinstance(codes, list) else [codes]
        self.events.put(f"unsubscribed {[code.value for code in codes]}")

    def on_message(self, _client, _data, it):
        flag = "retained " if it.retain else ""
        text = it.payload.decode() if len(it.payload) < 100 else f"{len(it.payload)} bytes"
        of = seen(it.properties) if NEW else []
        self.messages.append(f"{it.topic} {flag}{it.qos} {text} {of}")
        if text == "end":
            self.events.put("end")

    def next(self, what):
        event = self.events.get(timeout=PATIENCE)
        print(f"{self.name}: {event}")
        assert event.startswith(what), f"{event}, not {what}"
        return self

    def connect(self, **how):
        if NEW:
            of = properties(PacketTypes.CONNECT, **how) if how else None
            self.client.connect(HOST, int(PORT), 60, clean_start=self.clean, properties=of)
        else:
            self.client.connect(HOST, int(PORT), 60)
        self.client.loop_start()
        return self.next("connected")

    def subscribe(self, *filters, **how):
        if NEW:
            wanted = [(name, SubscribeOptions(qos, **how)) for name, qos in filters]
        else:
            wanted = list(filters)
        self.client.subscribe(wanted)
        return self.next("subscribed")

    def publish(self, topic, text, qos, retain=False, **how):
        of = properties(PacketTypes.PUBLISH, **how) if NEW and how else None
        self.client.publish(topic, text, qos, retain, **({"properties": of} if of else {}))
        self.events.get(timeout=PATIENCE)

    def told(self, by, ordered=False):
        """All that has come until this party gets what another sends last."""
        by.publish(f"see/end/{self.name}", "end", 2)
        self.next("end")
        for line in self.messages if ordered else sorted(self.messages):
            print(f"{self.name}:   {line}")
        self.messages.clear()

    def leave(self):
        self.client.disconnect()
        self.next("gone")
        self.client.loop_stop()

    def die(self):
        """The line is cut."""
        self.client.loop_stop()
        self.client._sock_close()


sender = Party("sender").connect()
print("-- every QoS, and what is kept")
for at, qos in enumerate([0, 1, 2]):
    sender.publish(f"see/kept/{at}", f"kept {qos}", qos, True)
sender.publish("see/kept/9", "", 1, True)
hearer = Party("hearer").connect()
hearer.subscribe(("see/end/hearer", 2))
hearer.subscribe(("see/kept/+", 1), ("see/live/#", 2), ("see/+/none", 0), ("$SYS/none/#", 1))
for qos in [0, 1, 2]:
    sender.publish("see/live/a", f"live {qos}", qos)
    sender.publish("see/kept/0", f"changed {qos}", qos, True)
sender.publish("see/live/long", bytes(100_000), 1)
sender.publish("see/live/empty", "", 1)
sender.publish("$SYS/none/a", "nobody hears this", 1)
hearer.told(sender)
hearer.client.unsubscribe(["see/live/#", "see/never"])
hearer.next("unsubscribed")
sender.publish("see/live/a", "not heard", 1)
hearer.subscribe(("see/kept/#", 2))
hearer.told(sender)
for at in range(3):
    sender.publish(f"see/kept/{at}", "", 1, True)

print("-- a session that waits")
more = {"SessionExpiryInterval": 600} if NEW else {}
waits = Party("waits", clean=False).connect(**more)
waits.subscribe(("see/wait/1", 1), ("see/wait/2", 2), ("see/wait/0", 0), ("see/end/waits", 2))
waits.leave()
for at in range(5):
    sender.publish(f"see/wait/{at % 3}", f"number {at}", at % 3)
waits = Party("waits", clean=False).connect(**more)
waits.told(sender, ordered=True)
print("-- taken over by another of its name")
other = Party("waits", clean=True).connect()
waits.next("gone")
waits.client.loop_stop()
other.leave()

print("-- a will")
hearer.subscribe(("see/will/#", 2))
for name, retain in [("dies", False), ("falls", True)]:
    Party(name, will=(f"see/will/{name}", "gone", 1, retain)).connect().die()
    while not any(line.startswith(f"see/will/{name} ") for line in hearer.messages):
        time.sleep(0.01)
Party("goes", will=("see/will/goes", "gone", 1)).connect().leave()
hearer.told(sender)
sender.publish("see/will/falls", "", 1, True)

if NEW:
    print("-- what MQTT 5 brings")
    hearer.subscribe(("see/five/#", 2), noLocal=True, retainAsPublished=True)
    hearer.publish("see/five/a", "not heard: no local", 1)
    sender.publish("see/five/b", "all of it", 1, ContentType="text/plain", ResponseTopic="see/back",
                   CorrelationData=b"12", PayloadFormatIndicator=1, UserProperty=("a", "b"))
    sender.publish("see/five/c", "it ends", 1, True, MessageExpiryInterval=100)
    hearer.told(sender)
    sender.publish("see/five/c", "", 1, True)
    hearer.client.subscribe("$share/group/see/shared", 1)
    hearer.next("subscribed")
    for at in range(3):
        sender.publish("see/shared", f"shared {at}", 1)
    hearer.told(sender)
hearer.leave()
sender.leave()
