#!/bin/sh
# The properties of MQTT 5 that mosquitto_pub can set and mosquitto_sub can show.
. "$(dirname "$0")/prelude.sh"

listen all -q 1 -t "$root/all" -C 1 -F 'MSG %C|%R|%D|%F|%P|%p'
publish -q 1 -t "$root/all" -m x -D publish content-type text/plain \
    -D publish response-topic "$root/answer" -D publish correlation-data 4711 \
    -D publish payload-format-indicator 1 -D publish user-property b 1 \
    -D publish user-property a 2 -D publish user-property b 3
heard all "MSG text/plain|$root/answer|4711|1|b:1 a:2 b:3|x"

# Subscription identifiers come back with what they chose.
listen ids -q 1 -t "$root/ids/#" -D subscribe subscription-identifier 77 -C 1 -F 'MSG %S %p'
publish -q 1 -t "$root/ids/x" -m x
heard ids "MSG 77 x"

# The expiry counts down while a message waits; one that is over is not sent.
publish -q 1 -r -t "$root/expiry/long" -m long -D publish message-expiry-interval 100
publish -q 1 -r -t "$root/expiry/short" -m short -D publish message-expiry-interval 1
sleep 2.2
listen expiry -q 1 -t "$root/expiry/#" -C 2 -F 'MSG %E %p'
publish -q 1 -t "$root/expiry/end" -m end
wait "$pid_expiry" || fail "expiry: $(cat "$work/expiry")"
grep '^MSG ' "$work/expiry" | grep -Eq '^MSG (9[0-8]|8[0-9]) long$' || fail "$(cat "$work/expiry")"
grep -q 'short' "$work/expiry" && fail "what had expired was sent"

# A topic alias by mosquitto_pub; the subscriber sees the topic.
listen alias -q 1 -t "$root/alias" -C 5 -F 'MSG %t %p'
seq 1 5 | publish -q 1 -t "$root/alias" -l -D publish topic-alias 3
heard alias "$(seq 1 5 | sed "s|^|MSG $root/alias |")"

# A receive maximum of one lets one through at a time, and all in the end.
listen window -q 2 -t "$root/window" -D connect receive-maximum 1 -C 100 -F 'MSG %p'
seq 1 100 | publish -q 2 -t "$root/window" -l -D connect receive-maximum 1
heard window "$(seq 1 100 | sed 's/^/MSG /')"

# Two members of a share group receive each message once, and together all of them.
listen one -q 1 -t "\$share/g/$root/share" -F 'MSG %p' 
listen two -q 1 -t "\$share/g/$root/share" -F 'MSG %p'
listen alone -q 1 -t "$root/share" -C 40 -F 'MSG %p'
seq 1 40 | publish -q 1 -t "$root/share" -l
heard alone "$(seq 1 40 | sed 's/^/MSG /')"
tries=0
until [ "$(cat "$work/one" "$work/two" | grep -c '^MSG ')" -ge 40 ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || fail "the group received too little"
    sleep 0.05
done
kill "$pid_one" "$pid_two"
same group "$(cat "$work/one" "$work/two" | grep '^MSG ' | sort -k 2 -n)" \
    "$(seq 1 40 | sed 's/^/MSG /')"

# A message larger than the client takes is left out.
listen size -q 1 -t "$root/size" -D connect maximum-packet-size 100 -C 2 -F 'MSG %p'
publish -q 1 -t "$root/size" -m small
publish -q 1 -t "$root/size" -m "$(head -c 500 /dev/zero | tr '\0' x)"
publish -q 1 -t "$root/size" -m end
heard size "MSG small" "MSG end"

# The RETAIN flag is kept where that is asked for, and else only says that a message was stored.
listen as_published -q 1 -t "$root/rap" --retain-as-published -C 2 -F 'MSG %r %p'
listen as_usual -q 1 -t "$root/rap" -C 2 -F 'MSG %r %p'
publish -q 1 -r -t "$root/rap" -m kept
publish -q 1 -t "$root/rap" -m passing
heard as_published "MSG 1 kept" "MSG 0 passing"
heard as_usual "MSG 0 kept" "MSG 0 passing"
echo "cannot: mosquitto_sub 2.0 asks neither for No Local nor for Retain Handling"
