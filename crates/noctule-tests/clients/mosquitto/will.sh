#!/bin/sh
# A will is published when mosquitto_sub is killed, and not when it ends by itself.
. "$(dirname "$0")/prelude.sh"

for qos in 0 1 2; do
    topic=$root/status/$qos
    listen watcher -q 2 -t "$topic" -C 1 -F 'MSG %t %q %r %p'
    listen mortal -t "$root/nothing" --will-topic "$topic" --will-payload offline \
        --will-qos "$qos" --will-retain
    kill_hard mortal
    heard watcher "MSG $topic $qos 0 offline"
    same late "$(subscribe -q 2 -t "$topic" -C 1 -F '%q %r %p')" "$qos 1 offline"
done

listen watcher -q 2 -t "$root/polite" -C 1 -F 'MSG %p'
listen polite -q 1 -t "$root/go" -C 1 --will-topic "$root/polite" --will-payload died
publish -q 1 -t "$root/go" -m go
wait "$pid_polite"
publish -q 1 -t "$root/polite" -m alive
heard watcher "MSG alive"

# A will may wait, and whoever comes back in time has none.
if [ "$version" = 5 ]; then
    topic=$root/v5
    mortal() {
        listen mortal -c -x 60 -i "$1" -t "$root/nothing" --will-topic "$topic" \
            --will-payload "$2" --will-qos 1 -D will will-delay-interval "$3" \
            -D will content-type text/plain -D will response-topic answer \
            -D will correlation-data 42 -D will user-property why test
    }
    listen watcher -q 2 -t "$topic" -C 2 -F 'MSG %C %R %D %P %p'
    mortal "back-$run" "of one who came back" 4
    kill_hard mortal
    subscribe -c -x 60 -i "back-$run" -t "$root/nothing" -E
    mortal "late-$run" offline 5
    death=$(date +%s%N)
    kill_hard mortal
    # The first will was due before this one.
    await_line watcher '^MSG .*offline'
    waited=$((($(date +%s%N) - death) / 1000000))
    [ "$waited" -ge 5000 ] || fail "the will came after $waited ms"
    publish -q 1 -t "$topic" -m end
    heard watcher "MSG text/plain answer 42 why:test offline" "MSG     end"
fi
