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
    is "$(cat "$BATS_TEST_TMPDIR/gone")" "open
TRANSFER: ENOTCONN
RELEASE: ENOTCONN
SEND: ENOTCONN
RECV: ENOTCONN
poll: 1 POLLERR"
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

@test "b1ctl serve: an edge-triggered client is woken for each message" {
    serve
    expect 0 "$HELPERS/b1_hostile" "$bus" edge 3000
    is "$out" "woken for 3000 of 3000"
}

@test "b1ctl serve: a thread that cannot be made is an error, and leaves nothing behind" {
    for n in 1 2; do
        expect 1 env LD_PRELOAD="$HELPERS/libfailthread.so" FAIL_THREAD=$n "$IPCBOX" b1ctl serve "$bus"
        has "$err" "$bus: cannot serve a bus: Resource temporarily unavailable"
        [ ! -e "$bus" ]
        [ ! -e "$bus.d" ]
    done
}

@test "b1ctl serve: ten thousand peers, and nothing grows from round to round" {
    serve
    rss() { awk '/^VmRSS/ {print $2}' "/proc/$serve_pid/status"; }
    "$HELPERS/b1_hostile" "$bus" peers 10000 < <(within 600 grep -q open "$BATS_TEST_TMPDIR/peers";
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

@test "b1ctl serve: limits are kept, and nothing is sent or lost beyond them" {
    serve --max-peers 2 --max-nodes 2 --max-handles 3 --max-messages 2 --max-message 10
    expect 0 "$HELPERS/b1_hostile" "$bus" quota
    is "$out" "a third peer: EDQUOT
a third node: EDQUOT
a third handle: 0
a fourth handle: EDQUOT
a long message: EDQUOT
a message: 0
a message: 0
a third message: EDQUOT
many ids: EDQUOT
room for 2 bytes: EMSGSIZE
one: 0
two: 0
no more: EAGAIN
room again: 0"
}

# says STATUS TEXT COMMAND…: it fails, and in one line says why
says() {
    local status=$1 text=$2
    shift 2
    expect "$status" "$@"
    has "$err" "$text"
    is "$(wc -l <<<"$err")" 1
}

@test "b1ctl: what an error of the bus means, in one line" {
    serve --max-peers 2 --max-nodes 2 --max-handles 3 --max-messages 2 --max-message 10
    c() { "$IPCBOX" b1ctl -q --device "$bus" -c "$1"; }
    # EDQUOT, of each kind
    says 1 "line 1: cannot open a peer: over a quota" c 'peer a b c'
    says 1 "line 2: cannot make a node: over a quota" c $'peer a\nnode a.n a.m a.o'
    says 1 "line 1: cannot give: over a quota" c 'peer a; node a.n; give a.n a as b; give a.n a as c; give a.n a as d'
    says 1 "line 1: cannot send: over a quota" c 'peer a; node a.n; send a.n 1; send a.n 2; send a.n 3'
    says 1 "line 1: cannot send: over a quota" c 'peer a; node a.n; send a.n 12345678901'
    # EBADRQC: a handle whose node has gone, one that never was
    says 1 "cannot send: this peer has no such handle" c 'peer a b; node a.n; give a.n b as h; drop a.n; release a.n; send b.h x'
    exec 8<>"$bus"
    says 1 "cannot send: this peer has no such handle" "$IPCBOX" b1ctl send --fd 8 4711 x
    # EAGAIN, and in time
    says 1 "nothing waits for a" c 'peer a; recv a'
    says 1 "cannot receive: nothing came in time" "$IPCBOX" b1ctl recv --fd 8 --timeout 0.1
    # ENOTTY, EBADF
    says 1 "/dev/null is not a bus1" "$IPCBOX" b1ctl -q --device /dev/null -c 'peer a'
    says 1 "descriptor 0: it is not a bus1 peer" "$IPCBOX" b1ctl send --fd 0 3 x
    says 1 "descriptor 250: it is not open here" "$IPCBOX" b1ctl recv --fd 250
    # ENOTCONN
    mkfifo "$BATS_TEST_TMPDIR/in"
    "$IPCBOX" b1ctl -q --device "$bus" run - <"$BATS_TEST_TMPDIR/in" 2>"$BATS_TEST_TMPDIR/said" 3>&- 8>&- &
    shell=$!
    exec 7>"$BATS_TEST_TMPDIR/in"
    echo 'peer a; node a.n' >&7
    has_node() { [ "$(usage nodes)" = 1 ]; }
    within 10 has_node
    kill "$serve_pid"
    wait "$serve_pid"
    serve_pid=
    echo 'send a.n x' >&7
    exec 7>&-
    expect 1 wait "$shell"
    is "$(cat "$BATS_TEST_TMPDIR/said")" "b1ctl: standard input: line 2: cannot send: the bus has ended"
    says 1 "cannot send: the bus has ended" "$IPCBOX" b1ctl send --fd 8 3 x
    says 1 "cannot receive: the bus has ended" "$IPCBOX" b1ctl recv --fd 8 --timeout 1
    exec 8>&-
    says 3 "$bus: No such file or directory" "$IPCBOX" b1ctl -q --device "$bus" -c 'peer a'
}

@test "b1ctl serve: a client copes with a bus that misbehaves as the RFC's code does" {
    "$HELPERS/rfcbus" "$bus" 2>"$BATS_TEST_TMPDIR/serve.err" 3>&- &
    serve_pid=$!
    within 20 test -e "$bus"
    expect 0 b1ctl --device "$bus" --jsonl -c 'peer a b; node a.n; give a.n b as h
        send b.h hello with b.h; recv a; drop a.n; recv a'
    is "$(jq -r .type <<<"$out" | xargs)" "message handle-release"
    is "$(jq -c .account <<<"$out" | xargs)" "null null"
    has "$err" "arrays are garbled" "destroys the node"
    expect 4 b1ctl --device "$bus" -c 'peer a; node a.n a.m; send a.n,a.m x'
    has "$err" "one transaction"
    expect 4 b1ctl --device "$bus" -c 'peer a; node a.n a.m; release a.n a.m'
    has "$err" "one transaction"
    # A node and its own handle have one name.
    expect 0 b1ctl --device "$bus" --jsonl -c 'peer a; node a.n; release a.n; recv a'
    is "$(jq -r .type <<<"$out")" handle-release
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
