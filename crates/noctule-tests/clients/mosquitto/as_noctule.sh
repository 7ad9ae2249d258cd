#!/bin/sh
# Runs mosquitto as if it were noctule (serve -p PORT), to prove these tests on another broker:
#   NOCTULE_BIN=crates/noctule-tests/clients/mosquitto/as_noctule.sh cargo test -p noctule-tests ...
set -eu
[ "$1" = serve ] && [ "$2" = -p ]
cat >mosquitto.conf <<END
listener $3 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
END
exec mosquitto -c mosquitto.conf
