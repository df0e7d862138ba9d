#!/usr/bin/env bats
# Every verb that goes on until it is told to end: which signals end it, and with what status.
bats_require_minimum_version 1.5.0
load common
load bus

setup() {
    bus_setup
    q=$(unique signals)
    pid=
    IPCBOX_CHANNELS=$(mktemp -d /dev/shm/ipcbox-cli.XXXXXX)
    export IPCBOX_CHANNELS
    "$HELPERS/mqmake" "/$q" 8 32
}

teardown() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    "$HELPERS/mqmake" -u "/$q" 2>/dev/null || true
    rm -rf "$IPCBOX_CHANNELS"
    bus_teardown
}

# signal_set KEY: of the process's status
signal_set() { echo "0x$(sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status")"; }

# It catches SIGTERM, or holds it back to wait for it: sigtimedwait(2) hides that; where
# $says is set it then has written something.
minds_signals() {
    kill -0 "$pid"
    [ -z "${says-}" ] || [ ! -s "$BATS_TEST_TMPDIR/stream.out" ] || return 0
    (($(signal_set SigCgt) & 0x4000 || $(signal_set SigBlk) & 0x4000))
}

# start HOW COMMAND…: in the background, with SIGINT and SIGHUP as HOW says, until it minds signals
start() {
    : >"$BATS_TEST_TMPDIR/stream.out"
    env "--$1-signal=INT,HUP" "$IPCBOX" "${@:2}" >"$BATS_TEST_TMPDIR/stream.out" 2>"$BATS_TEST_TMPDIR/stream.err" 3>&- &
    pid=$!
    within 60 minds_signals
}

# ends_with STATUS WHAT
ends_with() {
    local got=0
    wait "$pid" || got=$?
    pid=
    if [ "$got" != "$1" ]; then
        echo "$2: ended with $got, not $1"
        cat "$BATS_TEST_TMPDIR/stream.err"
        return 1
    fi
}

# Without a goal every signal is a usual end, but for one that was ignored from the beginning.
endless() {
    local signal
    for signal in INT TERM HUP; do
        start default "$@"
        kill "-$signal" "$pid"
        ends_with 0 "$* ($signal)"
    done
    start ignore "$@"
    kill -INT "$pid"
    kill -HUP "$pid"
    # Signals that are ignored and not held back are lost.
    is "$(($(signal_set SigIgn) & 3)) $(($(signal_set SigBlk) & 3))" "3 0"
    kill -0 "$pid"
    kill -TERM "$pid"
    ends_with 0 "$* (TERM after two that are ignored)"
}

# A goal that was not reached is told.
with_goal() {
    local signal
    for signal in ${signals-INT TERM HUP}; do
        start default "$@"
        kill "-$signal" "$pid"
        ends_with "$((128 + $(kill -l "$signal")))" "$* ($signal)"
        has "$(tail -n 1 "$BATS_TEST_TMPDIR/stream.err")" interrupted
    done
}

@test "signals: mqpeek follow and top, mqdump record" {
    endless mqpeek follow "/$q"
    endless mqdump record "/$q"
    endless mqpeek top -b --rates sampled -d 60
    signals=INT
    with_goal mqpeek follow -N 2 "/$q"
    has "$(cat "$BATS_TEST_TMPDIR/stream.err")" "interrupted: 0 of 2 messages"
    with_goal mqpeek top -b --rates sampled -d 60 -N 1
    start default mqdump record -N 2 "/$q"
    kill -HUP "$pid"
    ends_with 129 "mqdump record -N 2"
    expect 0 mqdump verify "$BATS_TEST_TMPDIR/stream.out"
}

@test "signals: mqctl recv, wait and send" {
    endless mqctl recv --follow "/$q"
    with_goal mqctl recv "/$q"
    with_goal mqctl wait "/$q"
    for _ in {1..8}; do mqctl send "/$q" x; done
    with_goal mqctl send "/$q" x
}

@test "signals: two at once are one, and a later one ends what is stuck" {
    # timeout signals the process and then its group.
    for _ in {1..10}; do
        expect 0 timeout --preserve-status -s INT 0.3 "$IPCBOX" mqctl recv --follow "/$q"
    done
    "$HELPERS/mqmake" "/$q-large" 10 8192
    for _ in {1..10}; do head -c 8192 /dev/zero | mqctl send "/$q-large" --file -; done
    mkfifo "$BATS_TEST_TMPDIR/fifo"
    exec 7<>"$BATS_TEST_TMPDIR/fifo"
    "$IPCBOX" mqctl recv --follow "/$q-large" >"$BATS_TEST_TMPDIR/fifo" 2>"$BATS_TEST_TMPDIR/stream.err" 3>&- &
    pid=$!
    writes() { grep -q '^1 ' "/proc/$pid/syscall"; }
    within 60 writes
    kill -TERM "$pid"
    sleep 0.4
    kill -TERM "$pid"
    ends_with 143 "mqctl recv --follow that is stuck"
    exec 7>&-
    "$HELPERS/mqmake" -u "/$q-large"
}

@test "signals: fdpeek follow" {
    endless fdpeek follow --path "$BATS_TEST_TMPDIR/no-socket"
    signals=TERM
    with_goal fdpeek follow --path "$BATS_TEST_TMPDIR/no-socket" -N 1
}

@test "signals: b1ctl serve, monitor and dump" {
    endless b1ctl serve "$bus"
    serve
    endless b1ctl monitor --device "$bus"
    endless b1ctl dump --device "$bus"
    signals=HUP
    with_goal b1ctl monitor --device "$bus" -N 1
    start default b1ctl dump --device "$bus" -N 1
    kill -INT "$pid"
    ends_with 130 "b1ctl dump -N 1"
    expect 0 mqdump verify "$BATS_TEST_TMPDIR/stream.out"
}

@test "signals: uringipc recv, monitor, dump and create" {
    u() { uringipc --backend embedded "$@"; }
    u create -d -k a
    endless uringipc --backend embedded recv a --follow
    endless uringipc --backend embedded monitor a
    endless uringipc --backend embedded dump a --follow
    says=id endless uringipc --backend embedded create
    with_goal uringipc --backend embedded recv a -N 2
    with_goal uringipc --backend embedded monitor a -N 2
    start default uringipc --backend embedded dump a --follow -N 2 -O "$BATS_TEST_TMPDIR/a.dump"
    kill -TERM "$pid"
    ends_with 143 "uringipc dump -N 2"
    expect 0 mqdump verify "$BATS_TEST_TMPDIR/a.dump"
    u destroy a
}
