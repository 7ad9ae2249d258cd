"""A humidity sensor as the tutorials for paho-mqtt 2.x write it; readings are typed in."""
import sys

import paho.mqtt.client as mqtt


def on_connect(client, userdata, flags, reason_code, properties):
    client.publish("home/livingroom/humidity/status", "online", qos=1, retain=True)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="humidity-sensor")
client.on_connect = on_connect
client.will_set("home/livingroom/humidity/status", "offline", qos=1, retain=True)
client.connect(sys.argv[1], int(sys.argv[2]), 60)
client.loop_start()

for reading in sys.stdin:
    info = client.publish("home/livingroom/humidity", reading.strip(), qos=1, retain=True)
    info.wait_for_publish()
    print("published", reading.strip(), flush=True)

client.disconnect()
client.loop_stop()
