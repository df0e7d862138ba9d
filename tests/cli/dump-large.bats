#!/usr/bin/env bats
# mqdump: memory stays the same however large a dump is; records are as their schema says.

load common

setup() {
    export IPCBOX_STATE_DIR=$BATS_TEST_TMPDIR/state TMPDIR=$BATS_TEST_TMPDIR
    cd "$BATS_TEST_TMPDIR"
    q=/$(unique large)
}

teardown() { "$HELPERS/mqmake" -u "$q" 2>/dev/null || true; }

# within_memory STATUS COMMAND…: peak at most 24 MiB. Sanitizers take memory of their own.
within_memory() {
    local want=$1
    shift
    expect "$want" "$HELPERS/dumpmake" -m "$@"
    peak=$(tail -n 1 <<<"$err")
    echo "peak: $peak KiB"
    grep -q __asan_init "$IPCBOX" || [ "$peak" -le $((24 * 1024)) ]
}

@test "mqdump: verify, show, seal and restore of a large dump take little memory, also from a pipe" {
    mib=48
    [ -z "${IPCBOX_TEST_LONG-}" ] || mib=1024
    "$HELPERS/dumpmake" large.dump $mib
    within_memory 0 "$IPCBOX" mqdump verify large.dump
    within_memory 0 "$IPCBOX" mqdump show large.dump
    within_memory 0 "$IPCBOX" mqdump seal large.dump -O sealed.dump
    cmp large.dump sealed.dump
    rm sealed.dump
    # All of it is read before the limits are found too low.
    within_memory 1 "$IPCBOX" mqdump restore large.dump
    has "$err" "nothing was restored"
    within_memory 1 sh -c 'cat large.dump | exec "$IPCBOX" mqdump restore -'
    has "$err" "nothing was restored"
}

@test "mqdump: each record is as tests/schema/dump.schema.json says" {
    "$HELPERS/mqmake" "$q" 5 20 1:a 9:bb 0:
    mqdump save "$q" -O a.dump
    if [ "$(id -u)" = 0 ]; then
        "$IPCBOX" mqdump record "$q" -O r.dump --duration 0.5 2>/dev/null &
        sleep 0.2
        jq -c 'select(.type != "message" or .priority == 1)' a.dump | mqdump seal | mqdump restore --append -
        wait
    fi
    cat >check.py <<'PY'
import json, sys, jsonschema
check = jsonschema.Draft7Validator(json.load(open(sys.argv[1])))
lines = 0
for path in sys.argv[2:]:
    for line in open(path):
        check.validate(json.loads(line))
        lines += 1
try:
    check.validate({"type": "queue", "name": 5})
except jsonschema.ValidationError:
    print(lines)
PY
    expect 0 python3 check.py "$SRC/tests/schema/dump.schema.json" *.dump
    [ "$out" -ge 6 ]
}
