#!/usr/bin/env bats
# b1ctl serve: the four ioctls on a file, for good clients and bad ones.
bats_require_minimum_version 1.5.0
load common

setup() {
    bus=$BATS_TEST_TMPDIR/bus
    serve_pid=
}

teardown() {
    [ -z "$serve_pid" ] || kill "$serve_pid" 2>/dev/null || true
    [ -z "$serve_pid" ] || wait "$serve_pid" || true
}

serve() {
    "$IPCBOX" b1ctl serve "$@" "$bus" 2>"$BATS_TEST_TMPDIR/serve.err" 3>&- &
    serve_pid=$!
    within 20 test -e "$bus"
}

# usage KEY: of the whole bus
usage() { sed -n "s/^usage .*\b$1=\([0-9]*\).*/\1/p" "$bus.d/debug"; }

empty() {
    [ "$(usage peers)" = 0 ] && [ "$(usage nodes)" = 0 ] && [ "$(usage handles)" = 0 ] &&
        [ "$(usage messages)" = 0 ] && [ "$(usage bytes)" = 0 ]
}

@test "b1ctl serve: a client written from the ABI alone, and nothing is left behind" {
    serve
    is "$(stat -Lc %a "$bus")" 666
    expect 0 "$HELPERS/b1_abi" "$bus"
    has "$out" " 0 failed"
    within 10 empty
}

@test "b1ctl serve: stops cleanly, and its clients are told" {
    serve
    mkfifo "$BATS_TEST_TMPDIR/in"
    "$HELPERS/b1_hostile" "$bus" gone <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/gone" 3>&- &
    client=$!
    exec 7>"$BATS_TEST_TMPDIR/in"
    within 10 grep open "$BATS_TEST_TMPDIR/gone"
    kill -TERM "$serve_pid"
    wait "$serve_pid"
    serve_pid=
    exec 7>&-
    wait "$client"
    has "$(cat "$BATS_TEST_TMPDIR/gone")" "ioctl: ENOTCONN" "poll: 1 POLLERR"
    [ ! -e "$bus" ]
    [ ! -e "$bus.d" ]
}

@test "b1ctl serve: clears up after a server that was killed, but touches nothing else" {
    serve
    kill -KILL "$serve_pid"
    wait "$serve_pid" || true
    serve
    expect 0 b1ctl --device "$bus" -c 'peer a; node a.n; send a.n x; recv a'
    expect 1 b1ctl serve "$bus"
    has "$err" "exists"
    echo mine >"$BATS_TEST_TMPDIR/file"
    expect 1 b1ctl serve "$BATS_TEST_TMPDIR/file"
    is "$(cat "$BATS_TEST_TMPDIR/file")" mine
    expect 3 b1ctl serve "$BATS_TEST_TMPDIR/none/bus"
}

@test "b1ctl serve: counts and pointers beyond reason" {
    serve
    expect 0 "$HELPERS/b1_hostile" "$bus" counts
    is "$out" "0 wrong"
    expect 0 "$HELPERS/b1_abi" "$bus"
    within 10 empty
}

@test "b1ctl serve: memory that never faults in stalls nobody else, and its owner can be killed" {
    serve
    "$HELPERS/b1_hostile" "$bus" stuck >"$BATS_TEST_TMPDIR/stuck" 3>&- &
    bad=$!
    within 10 grep stuck "$BATS_TEST_TMPDIR/stuck"
    expect 0 timeout 60 "$HELPERS/b1_abi" "$bus"
    kill -KILL "$bad"
    wait "$bad" || true
    within 20 empty
    expect 0 "$HELPERS/b1_abi" "$bus"
}

@test "b1ctl serve: ten thousand peers, and nothing grows from round to round" {
    serve
    rss() { awk '/^VmRSS/ {print $2}' "/proc/$serve_pid/status"; }
    "$HELPERS/b1_hostile" "$bus" peers 10000 < <(within 60 grep -q open "$BATS_TEST_TMPDIR/peers";
        usage peers >"$BATS_TEST_TMPDIR/n"; rss >"$BATS_TEST_TMPDIR/rss") \
        >"$BATS_TEST_TMPDIR/peers" 3>&-
    is "$(cat "$BATS_TEST_TMPDIR/n")" 10000
    within 20 empty
    "$HELPERS/b1_hostile" "$bus" peers 10000 </dev/null 3>&-
    within 20 empty
    # The allocator may keep what one round needed, once for each of the two threads that may lead.
    [ "$(rss)" -le $((2 * $(cat "$BATS_TEST_TMPDIR/rss") + 4096)) ]
}

@test "b1ctl serve: clients that are killed in the middle" {
    serve
    expect 0 "$HELPERS/b1_hostile" "$bus" killed "${IPCBOX_TEST_LONG:+10}00"
    within 20 empty
    expect 0 "$HELPERS/b1_abi" "$bus"
}

@test "b1ctl serve: limits are kept" {
    serve --max-messages 2 --max-message 10 --max-nodes 2
    expect 1 b1ctl --device "$bus" -c 'peer a; node a.n; send a.n 1; send a.n 2; send a.n 3'
    has "$err" "line 1" "quota"
    expect 1 b1ctl --device "$bus" -c 'peer a; node a.n; send a.n 12345678901'
    expect 1 b1ctl --device "$bus" -c 'peer a; node a.n a.m a.o'
}

@test "b1ctl serve: a client copes with a bus that misbehaves as the RFC's code does" {
    serve --like-rfc
    expect 0 b1ctl --device "$bus" --jsonl -c 'peer a b; node a.n; give a.n b as h
        send b.h hello with b.h; recv a; drop a.n; recv a'
    is "$(jq -r .type <<<"$out" | xargs)" "message handle-release"
    is "$(jq -c .account <<<"$out" | xargs)" "null null"
    has "$err" "arrays are garbled" "destroys the node"
    expect 4 b1ctl --device "$bus" -c 'peer a; node a.n a.m; send a.n,a.m x'
    has "$err" "one transaction"
    [ ! -s "$BATS_TEST_TMPDIR/serve.err" ] || ! grep crashed "$BATS_TEST_TMPDIR/serve.err"
}

@test "b1ctl serve: a user in a user namespace" {
    cat >"$BATS_TEST_TMPDIR/inner" <<'EOF'
set -e
mount -t tmpfs none "$1"
"$IPCBOX" b1ctl serve "$1/bus" &
for i in $(seq 200); do [ -e "$1/bus" ] && break; sleep 0.05; done
"$HELPERS/b1_abi" "$1/bus"
kill $!
wait $!
EOF
    mkdir "$BATS_TEST_TMPDIR/m"
    expect 0 unshare -Urm sh "$BATS_TEST_TMPDIR/inner" "$BATS_TEST_TMPDIR/m"
    has "$out" " 0 failed"
}

@test "b1ctl serve: other users, with no more capabilities than the systemd unit leaves" {
    caps=$(sed -n 's/^CapabilityBoundingSet=//p' "$SRC/systemd/b1ctl.service.in" |
        sed 's/CAP_/+/g; s/ /,/g' | tr A-Z a-z)
    dir=$(mktemp -d) # bats keeps its own directories to itself
    chmod 755 "$dir"
    bus=$dir/bus
    cp "$HELPERS/b1_abi" "$dir/abi"
    setpriv --bounding-set "-all,$caps" --no-new-privs "$IPCBOX" b1ctl -q serve "$bus" 3>&- &
    serve_pid=$!
    within 20 test -e "$bus"
    expect 0 setpriv --reuid 65534 --clear-groups "$dir/abi" "$bus"
    has "$out" " 0 failed"
    within 10 empty
    kill "$serve_pid"
    wait "$serve_pid"
    serve_pid=
    rm -r "$dir"
}

@test "b1ctl serve: system-wide, as /dev/bus1, and what uses it then" {
    cat >"$BATS_TEST_TMPDIR/inner" <<'EOF'
set -e
mkdir "$1"
mount -t tmpfs none "$1"
mknod "$1/fuse" c 10 229
mknod "$1/null" c 1 3
mount --bind "$1" /dev
"$IPCBOX" b1ctl serve &
for i in $(seq 200); do [ -e /dev/bus1 ] && break; sleep 0.05; done
readlink /dev/bus1
"$HELPERS/b1_abi" /dev/bus1
"$IPCBOX" b1ctl -J -c 'peer a; node a.n; send a.n x; recv a' | jq -c '.messages | length'
"$IPCBOX" b1ctl monitor --timeout 0.1 >/dev/null
kill $!
wait $!
[ ! -e /dev/bus1 ]
EOF
    expect 0 unshare -m --propagation private sh "$BATS_TEST_TMPDIR/inner" "$BATS_TEST_TMPDIR/dev"
    is "$(sed -n 1p <<<"$out")" bus1.d/bus1
    has "$out" " 0 failed" $'\n1'
    run ! grep -q "a bus of this process alone" <<<"$err"
}
