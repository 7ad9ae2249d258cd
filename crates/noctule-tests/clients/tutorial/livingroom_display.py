"""Shows all that comes from the living room.

Called with HOST PORT, and with "keep" when its session is to outlive it. It ends when its input
does.
"""
import sys

import paho.mqtt.client as mqtt

keep = "keep" in sys.argv[3:]


def on_connect(client, userdata, flags, reason_code, properties):
    client.subscribe("home/livingroom/#", qos=2)


def on_subscribe(client, userdata, mid, reason_codes, properties):
    print("watching", flush=True)


def on_message(client, userdata, message):
    how = " (retained)" if message.retain else ""
    print(message.topic, message.payload.decode() + how, flush=True)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="livingroom-display",
                     clean_session=not keep)
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.connect(sys.argv[1], int(sys.argv[2]), 60)
client.loop_start()
sys.stdin.read()
client.disconnect()
client.loop_stop()
