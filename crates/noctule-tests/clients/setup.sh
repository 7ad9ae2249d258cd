#!/bin/sh
# Sets up the MQTT clients of other projects that the tests drive:
#   paho-mqtt 1.6 and 2.x   a virtual environment each, under target/clients/
#   mosquitto_pub and _sub  the Debian package mosquitto-clients (installed only as root)
#   MQTT.js                 npm ci in clients/mqttjs/
#   chromium                the Debian package chromium (installed only as root); it runs MQTT.js too
#   /usr/bin/time           the Debian package time (installed only as root); the bench's meter is held
#                           against it
#   openssl                 the Debian package openssl (installed only as root); it looks at the
#                           certificates of noctule cert
#   valgrind                the Debian package valgrind (installed only as root); the gate counts
#                           instructions with it
# It may be run again at any time; what is there already is kept. What it cannot set up it names, and the
# tests that need it then say "skipped". With NOCTULE_REQUIRE_ALL=1 anything left out is an error.
set -u

here=$(cd "$(dirname "$0")" && pwd)
workspace=$(cd "$here/../../.." && pwd)
clients=${CARGO_TARGET_DIR:-$workspace/target}/clients
left_out=0

leave_out() {
    left_out=$((left_out + 1))
    echo "left out: $1" >&2
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# Installs Debian packages where that is allowed; the caller looks whether it helped.
debian_install() {
    have apt-get && [ "$(id -u)" = 0 ] || return 1
    echo "installing: $*"
    {
        apt-get install -y -qq --no-install-recommends "$@" ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; }
    } >"$clients/apt.log" 2>&1 || tail -n 5 "$clients/apt.log" >&2
}

# A virtual environment that holds exactly what its requirements file says.
python_environment() {
    name=$1
    requirements=$2
    home=$clients/$name
    if cmp -s "$requirements" "$home/installed.txt" && "$home/bin/python" -c 'import paho.mqtt'; then
        return 0
    fi
    rm -rf "$home"
    if ! python3 -m venv "$home" >"$clients/$name.log" 2>&1; then
        rm -rf "$home"
        debian_install python3 python3-venv
        python3 -m venv "$home" >"$clients/$name.log" 2>&1 || return 1
    fi
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" \
        >>"$clients/$name.log" 2>&1 && cp "$requirements" "$home/installed.txt"
}

paho() {
    if python_environment "$1" "$2"; then
        echo "ready: $1 ($(cat "$2"))"
    else
        rm -rf "${clients:?}/$1"
        tail -n 5 "$clients/$1.log" >&2
        leave_out "$1 (needs python3 with venv and pip, and a package index)"
    fi
}

mosquitto_clients() {
    have mosquitto_sub && have mosquitto_pub || debian_install mosquitto-clients
    if have mosquitto_sub && have mosquitto_pub; then
        echo "ready: mosquitto_pub and mosquitto_sub"
    else
        leave_out "mosquitto_pub and mosquitto_sub (install the Debian package mosquitto-clients)"
    fi
}

time_program() {
    [ -x /usr/bin/time ] || debian_install time
    if [ -x /usr/bin/time ]; then
        echo "ready: /usr/bin/time"
    else
        leave_out "/usr/bin/time (install the Debian package time)"
    fi
}

valgrind_program() {
    have valgrind || debian_install valgrind
    if have valgrind; then
        echo "ready: valgrind"
    else
        leave_out "valgrind (install the Debian package valgrind)"
    fi
}

openssl_program() {
    have openssl || debian_install openssl
    if have openssl; then
        echo "ready: openssl"
    else
        leave_out "openssl (install the Debian package openssl)"
    fi
}

browser() {
    have chromium || debian_install chromium
    if have chromium; then
        echo "ready: chromium"
    else
        leave_out "chromium (install the Debian package chromium)"
    fi
}

mqttjs() {
    have node && have npm || debian_install nodejs npm
    wanted=$here/mqttjs/package-lock.json
    stamp=$here/mqttjs/node_modules/.installed-from
    if have node && cmp -s "$wanted" "$stamp"; then
        echo "ready: MQTT.js"
    elif have npm && (cd "$here/mqttjs" && npm ci >"$clients/mqttjs.log" 2>&1); then
        cp "$wanted" "$stamp"
        echo "ready: MQTT.js"
    else
        [ -f "$clients/mqttjs.log" ] && tail -n 5 "$clients/mqttjs.log" >&2
        leave_out "MQTT.js (needs node 18 or later with npm, and a package registry)"
    fi
}

mkdir -p "$clients" || exit 1
paho paho1 "$here/paho/requirements-1.txt"
paho paho2 "$here/paho/requirements-2.txt"
mosquitto_clients
time_program
openssl_program
valgrind_program
mqttjs
browser

if [ "$left_out" -gt 0 ]; then
    echo "$left_out left out; the tests that need them will say \"skipped\"" >&2
    [ "${NOCTULE_REQUIRE_ALL:-0}" = 1 ] && exit 1
fi
exit 0
