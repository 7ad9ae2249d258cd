#!/bin/sh
# A will is published when mosquitto_sub is killed, and not when it ends by itself.
. "$(dirname "$0")/prelude.sh"

for qos in 0 1 2; do
    topic=$root/status/$qos
    listen watcher -q 2 -t "$topic" -C 1 -F 'MSG %t %q %r %p'
    listen mortal -t "$root/nothing" --will-topic "$topic" --will-payload offline \
        --will-qos "$qos" --will-retain
    kill -KILL "$pid_mortal"
    wait "$pid_mortal" 2>/dev/null || true
    heard watcher "MSG $topic $qos 0 offline"
    same late "$(subscribe -q 2 -t "$topic" -C 1 -F '%q %r %p')" "$qos 1 offline"
done

listen watcher -q 2 -t "$root/polite" -C 1 -F 'MSG %p'
listen polite -q 1 -t "$root/go" -C 1 --will-topic "$root/polite" --will-payload died
publish -q 1 -t "$root/go" -m go
wait "$pid_polite"
publish -q 1 -t "$root/polite" -m alive
heard watcher "MSG alive"

if [ "$version" = 5 ]; then
    topic=$root/v5
    listen watcher -q 2 -t "$topic" -C 1 -F 'MSG %C %R %D %P %p'
    listen mortal -t "$root/nothing" --will-topic "$topic" --will-payload offline --will-qos 1 \
        -D will content-type text/plain -D will response-topic answer -D will correlation-data 42 \
        -D will user-property why test -D will will-delay-interval 1 -x 60
    kill -KILL "$pid_mortal"
    wait "$pid_mortal" 2>/dev/null || true
    heard watcher "MSG text/plain answer 42 why:test offline"
fi
