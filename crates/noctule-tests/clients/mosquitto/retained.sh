#!/bin/sh
# A retained value is set, read by whoever comes later, and cleared.
. "$(dirname "$0")/prelude.sh"

for qos in 0 1 2; do
    topic=$root/$qos
    listen witness -q 2 -t "$topic" -C 2 -F 'MSG %r %p'
    publish -q "$qos" -r -t "$topic" -m first
    publish -q "$qos" -r -t "$topic" -m last
    heard witness "MSG 0 first" "MSG 0 last"
    same late "$(subscribe -q 2 -t "$topic" -C 1 -F '%t %q %r %p')" "$topic $qos 1 last"
done

# A wildcard finds them all.
for topic in a b c; do
    publish -q 1 -r -t "$root/many/$topic" -m "$topic"
done
same many "$(subscribe -q 1 -t "$root/many/+" -C 3 -F '%p' | sort)" a b c

publish -q 1 -r -t "$root/many/b" -n
listen cleared -q 1 -t "$root/many/+" -C 3 -F 'MSG %r %p'
publish -q 1 -t "$root/many/end" -m end
wait "$pid_cleared" || fail "cleared: $(cat "$work/cleared")"
same cleared "$(grep '^MSG ' "$work/cleared" | sort)" "MSG 0 end" "MSG 1 a" "MSG 1 c"

# mosquitto_sub can clear by itself.
same removed "$(subscribe -q 1 -t "$root/many/#" --remove-retained -C 2 -F '%p' | sort)" a c
listen gone -q 1 -t "$root/many/#" -C 1 -F 'MSG %r %p'
publish -q 1 -t "$root/many/end" -m end
heard gone "MSG 0 end"
