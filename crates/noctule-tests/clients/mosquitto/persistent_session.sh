#!/bin/sh
# What is published while mosquitto_sub -c is away waits for it.
. "$(dirname "$0")/prelude.sh"

keep() {
    if [ "$version" = 5 ]; then
        subscribe -c -x 300 "$@"
    else
        subscribe -c "$@"
    fi
}

for qos in 1 2; do
    id=keep$qos-$run
    topic=$root/away/$qos
    keep -i "$id" -q "$qos" -t "$topic" -E
    seq 1 50 | publish -q "$qos" -t "$topic" -l
    same away "$(keep -i "$id" -q "$qos" -t "$topic" -C 50 -F "%q %p")" \
        "$(seq 1 50 | sed "s/^/$qos /")"
done

# A clean visit ends the session and what waited in it.
id=clean-$run
keep -i "$id" -q 1 -t "$root/clean" -E
publish -q 1 -t "$root/clean" -m lost
subscribe -i "$id" -q 1 -t "$root/clean" -E
listen again -i "$id" -q 1 -t "$root/clean" -C 1 -F 'MSG %p'
publish -q 1 -t "$root/clean" -m new
heard again "MSG new"
