#!/bin/sh
# Sessions of mosquitto_sub that end in other ways than by DISCONNECT: killed, taken over, expired.
. "$(dirname "$0")/prelude.sh"

# Killed (SIGKILL), its session waits for it. MQTT 5 ends it with the connection but for -x.
for qos in 1 2; do
    id=killed$qos-$run
    topic=$root/killed/$qos
    listen killed -c -x 300 -i "$id" -q "$qos" -t "$topic" -F 'MSG %p'
    publish -q "$qos" -t "$topic" -m before
    await_line killed '^MSG before'
    kill_hard killed
    seq 1 20 | publish -q "$qos" -t "$topic" -l
    same resumed "$(subscribe -c -x 300 -i "$id" -q "$qos" -t "$topic" -C 20 -F '%q %p')" \
        "$(seq 1 20 | sed "s/^/$qos /")"
done

# A second connection of the same name takes over; the first is stopped, so that it can neither
# notice nor come back until the second has heard its message.
id=take-$run
listen first -c -x 300 -i "$id" -q 1 -t "$root/take" -F 'MSG %p'
kill -STOP "$pid_first"
listen second -c -x 300 -i "$id" -q 1 -t "$root/take" -C 1 -F 'MSG %p'
publish -q 1 -t "$root/take" -m "for the second"
heard second "MSG for the second"
kill -CONT "$pid_first"
if [ "$version" = 5 ]; then
    # It says why, 142 is 0x8E (session taken over), and ends.
    await_line first 'Received DISCONNECT (142)'
    wait "$pid_first" || true
else
    # It connects again by itself, so it had lost its connection.
    await_lines first 2 'sending CONNECT'
    kill_hard first
fi
same first "$(grep '^MSG ' "$work/first" || echo none)" none

# An idle client pings and stays; it would connect again if it had been closed. Five seconds is the
# least keep alive that it takes.
listen idle -k 5 -q 1 -t "$root/idle" -C 1 -F 'MSG %p'
sleep 9
publish -q 1 -t "$root/idle" -m "still there"
heard idle "MSG still there"
await_line idle 'received PINGRESP'
[ "$(grep -c 'sending CONNECT' "$work/idle")" = 1 ] || fail "it was closed: $(cat "$work/idle")"

# -x says how long a session lives after its connection.
if [ "$version" = 5 ]; then
    for seconds in 1 60; do
        subscribe -c -x "$seconds" -i "expiry$seconds-$run" -q 1 -t "$root/expiry" -E
    done
    sleep 2.2
    publish -q 1 -t "$root/expiry" -m waited
    listen over -c -x 1 -i "expiry1-$run" -q 1 -t "$root/expiry" -C 1 -F 'MSG %p'
    listen kept -c -x 60 -i "expiry60-$run" -q 1 -t "$root/expiry" -C 2 -F 'MSG %p'
    publish -q 1 -t "$root/expiry" -m new
    heard over "MSG new"
    heard kept "MSG waited" "MSG new"
fi
