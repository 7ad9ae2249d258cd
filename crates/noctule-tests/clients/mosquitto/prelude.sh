# Sourced by the scripts of this folder, each of which is called with HOST PORT VERSION
# (3.1, 3.1.1 or 5) and speaks to the broker there through mosquitto_pub and mosquitto_sub.
# shellcheck shell=sh
set -eu

host=$1
port=$2
version=$3
case $version in
3.1) protocol=mqttv31 ;;
3.1.1) protocol=mqttv311 ;;
5) protocol=mqttv5 ;;
esac
run=$$
root=mosquitto/$run
work=$(mktemp -d)
# Every wait ends: a broker that does not answer fails the test instead of hanging it.
patience=20
trap 'kill -KILL $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

fail() {
    echo "FAILED (MQTT $version): $*"
    exit 1
}

publish() {
    mosquitto_pub -h "$host" -p "$port" -V "$protocol" "$@"
}

subscribe() {
    mosquitto_sub -h "$host" -p "$port" -V "$protocol" -W "$patience" "$@"
}

# listen NAME ARGUMENTS...: starts a subscriber and returns once its SUBACK is there.
listen() {
    name=$1
    shift
    : >"$work/$name"
    # Lines must not wait in a buffer, and the process to kill must be mosquitto_sub itself.
    (exec stdbuf -oL mosquitto_sub -h "$host" -p "$port" -V "$protocol" -W "$patience" -d "$@") \
        >>"$work/$name" 2>&1 &
    eval "pid_$name=$!"
    tries=0
    until grep -q '^Subscribed (mid' "$work/$name"; do
        tries=$((tries + 1))
        [ "$tries" -lt $((patience * 20)) ] || fail "$name: no SUBACK: $(cat "$work/$name")"
        sleep 0.05
    done
}

# await_lines NAME COUNT PATTERN: waits until the subscriber has said as many lines of that kind.
await_lines() {
    tries=0
    until [ "$(grep -c "$3" "$work/$1")" -ge "$2" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt $((patience * 20)) ] || fail "$1: no $2 times '$3': $(cat "$work/$1")"
        sleep 0.05
    done
}

await_line() {
    await_lines "$1" 1 "$2"
}

# kill_hard NAME: ends a subscriber as a crash does.
kill_hard() {
    eval "pid=\$pid_$1"
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || true
}

# heard NAME LINE...: waits until the subscriber has ended by itself (-C); its messages must be
# exactly these lines, each begun by "MSG " in its format.
heard() {
    name=$1
    shift
    eval "pid=\$pid_$name"
    wait "$pid" || fail "$name ended with status $?: $(cat "$work/$name")"
    same "$name" "$(grep '^MSG ' "$work/$name")" "$@"
}

# same WHAT TEXT LINE...: the text must consist of exactly these lines.
same() {
    what=$1
    text=$2
    shift 2
    wanted=$(printf '%s\n' "$@")
    [ "$text" = "$wanted" ] || fail "$what
wanted:
$wanted
got:
$text"
}
