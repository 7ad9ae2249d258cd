"""Tells of events, at the QoS typed before each: "2 opened". Nothing is retained."""
import sys

import paho.mqtt.client as mqtt

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="door-sensor")
client.connect(sys.argv[1], int(sys.argv[2]), 60)
client.loop_start()

for line in sys.stdin:
    qos, event = line.split()
    info = client.publish("home/livingroom/door", event, qos=int(qos))
    info.wait_for_publish()
    print("published", event, flush=True)

client.disconnect()
client.loop_stop()
