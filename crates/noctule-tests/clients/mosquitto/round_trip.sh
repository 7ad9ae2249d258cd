#!/bin/sh
# What mosquitto_pub sends at QoS 0, 1 and 2 arrives at mosquitto_sub.
. "$(dirname "$0")/prelude.sh"

for qos in 0 1 2; do
    listen all -q 2 -t "$root/$qos/#" -C 3 -F 'MSG %t %q %r %l %p'
    publish -q "$qos" -t "$root/$qos/a" -m "one"
    publish -q "$qos" -t "$root/$qos" -m "two  words"
    publish -q "$qos" -t "$root/$qos/b/c" -n
    heard all "MSG $root/$qos/a $qos 0 3 one" "MSG $root/$qos $qos 0 10 two  words" \
        "MSG $root/$qos/b/c $qos 0 0 "
done

# A file arrives to the last byte.
head -c 200000 /dev/urandom >"$work/input"
listen file -q 1 -t "$root/file" -C 1 -F 'MSG %x'
publish -q 1 -t "$root/file" -f "$work/input"
heard file "MSG $(od -An -v -tx1 "$work/input" | tr -d ' \n')"

# A thousand lines over one connection keep their order.
seq 1 1000 >"$work/input"
for qos in 0 1 2; do
    listen lines -q "$qos" -t "$root/lines" -C 1000 -F 'MSG %p'
    publish -q "$qos" -t "$root/lines" -l <"$work/input"
    heard lines "$(sed 's/^/MSG /' "$work/input")"
done
