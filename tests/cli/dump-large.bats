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
    sanitized || [ "$peak" -le $((24 * 1024)) ]
}

# What the default run has is larger than what memory it may take; the long one has 1 GiB.
@test "mqdump: verify, show, seal and restore of a large dump take little memory, also from a pipe" {
    mib=48
    [ -z "${IPCBOX_TEST_LONG-}" ] || mib=1024
    "$HELPERS/dumpmake" large.dump $mib
    within_memory 0 "$IPCBOX" mqdump verify large.dump
    within_memory 0 "$IPCBOX" mqdump show large.dump
    for verb in verify show; do
        cat large.dump | within_memory 0 "$IPCBOX" mqdump $verb -
        has "$out" bench
    done
    within_memory 0 "$IPCBOX" mqdump seal large.dump -O sealed.dump
    cmp large.dump sealed.dump
    # One queue of it that there is room for: all is read to check, and again to make it.
    "$HELPERS/mqmake" "$q" 5 20 1:a 9:bb
    mqdump save "$q" -O small.dump
    "$HELPERS/mqmake" -u "$q"
    within_memory 0 sh -c 'cat large.dump small.dump | "$IPCBOX" mqdump seal -O sealed.dump'
    within_memory 0 "$IPCBOX" mqdump restore sealed.dump "$q"
    is "$(mqdump save "$q" | jq -r 'select(.type == "message").text' | paste -sd,)" bb,a
    "$HELPERS/mqmake" -u "$q"
    within_memory 0 sh -c 'cat sealed.dump | exec "$IPCBOX" mqdump restore - "$1"' sh "$q"
    is "$(mqdump save "$q" | jq -r 'select(.type == "message").text' | paste -sd,)" bb,a
    rm sealed.dump
    # All of it is read before the limits are found too low.
    within_memory 1 "$IPCBOX" mqdump restore large.dump
    has "$err" "nothing was restored"
    within_memory 1 sh -c 'cat large.dump | exec "$IPCBOX" mqdump restore -'
    has "$err" "nothing was restored"
}

# 24 MiB and one snapshot, of a queue of about what the limits of this machine allow; and with a
# smaller snapshot only that.
@test "mqdump: save takes little more memory than the queue" {
    size=8192 max=$(cat /proc/sys/fs/mqueue/msg_max)
    bytes=$(prlimit --msgqueue --output SOFT --noheadings --raw)
    [ "$bytes" != unlimited ] && [ "$bytes" -lt $((64 << 20)) ] || bytes=$((64 << 20))
    count=$((bytes / (size + 128) * 3 / 4)) # others may have queues too
    [ "$(id -u)" = 0 ] || [ "$count" -le "$max" ] || count=$max
    if [ "$(id -u)" = 0 ]; then
        # The namespace's own limits may be raised, in one of the test's own.
        cat >big.sh <<'SH'
count=$1 size=$2 q=$3
echo "$count" >/proc/sys/fs/mqueue/msg_max
"$HELPERS/bigqueue" fill "$q" "$count" "$size"
for snapshot in 64M 100K; do
    "$HELPERS/dumpmake" -m "$IPCBOX" mqdump save "$q" --max-snapshot $snapshot -O "$snapshot.dump"
done
"$IPCBOX" mqdump -J verify 64M.dump 100K.dump
"$HELPERS/bigqueue" drain "$q" payloads >order
SH
        expect 0 unshare -i bash -eu big.sh "$count" "$size" "$q"
        jq -e --argjson n "$count" '.dumps | map(.record_count == $n + 1) | all' <<<"$out"
        mapfile -t peaks < <(grep -x '[0-9]*' <<<"$err")
        echo "peaks: ${peaks[*]} KiB of $((count * size / 1024)) KiB"
        if ! sanitized; then
            [ "${peaks[0]}" -le $((24 * 1024 + count * size / 1024)) ]
            [ "${peaks[1]}" -le $((24 * 1024 + 100)) ]
        fi
        # And it is all there, as a receiver gets it.
        jq -r 'select(.type == "message") | "\(.priority) \(.length)"' 64M.dump | cmp - order
        jq -r 'select(.type == "message").data_base64' 64M.dump | base64 -d | cmp - payloads
    else
        "$HELPERS/bigqueue" fill "$q" "$count" "$size"
        within_memory 0 "$IPCBOX" mqdump save "$q" -O big.dump
    fi
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
