"""A temperature sensor as the tutorials for paho-mqtt 1.6 write it; readings are typed in."""
import sys

import paho.mqtt.client as mqtt

client = mqtt.Client("temperature-sensor")
client.will_set("home/livingroom/temperature/status", "offline", qos=1, retain=True)
client.connect(sys.argv[1], int(sys.argv[2]))
client.loop_start()

client.publish("home/livingroom/temperature/status", "online", qos=1, retain=True)
for reading in sys.stdin:
    info = client.publish("home/livingroom/temperature", reading.strip(), qos=1, retain=True)
    info.wait_for_publish()
    print("published", reading.strip(), flush=True)

client.publish("home/livingroom/temperature/status", "asleep", qos=1, retain=True).wait_for_publish()
client.disconnect()
client.loop_stop()
