#!/usr/bin/env bats
# b1ctl dump and replay: what happened on a bus, and again.
bats_require_minimum_version 1.5.0
load common

setup() {
    bus=$BATS_TEST_TMPDIR/bus
    dump=$BATS_TEST_TMPDIR/dump
    serve_pid=
    dump_pid=
    other_dir=
}

teardown() {
    for pid in $dump_pid $serve_pid; do
        kill -CONT "$pid" 2>/dev/null || true
        kill "$pid" 2>/dev/null || true
        wait "$pid" || true
    done
    [ -z "$other_dir" ] || rm -rf "$other_dir"
}

serve() {
    "$IPCBOX" b1ctl -q serve "$@" "$bus" 3>&- &
    serve_pid=$!
    within 20 test -e "$bus"
}

# record OPTION…: in the background, until it has begun
record() {
    "$IPCBOX" b1ctl dump --device "$bus" "$@" 2>"$BATS_TEST_TMPDIR/note" 3>&- 7>&- &
    dump_pid=$!
    within 20 recording
}

recording() { readlink /proc/"$dump_pid"/fd/* 2>/dev/null | grep -q "$bus.d/record"; }

# ended STATUS: asks it to end
ended() {
    local got=0
    kill -TERM "$dump_pid" 2>/dev/null || true
    wait "$dump_pid" || got=$?
    dump_pid=
    is "$got" "$1" || {
        cat "$BATS_TEST_TMPDIR/note"
        return 1
    }
}

@test "b1ctl dump, replay: every receiver gets the same messages in the same order" {
    serve
    mkfifo "$BATS_TEST_TMPDIR/in"
    "$IPCBOX" b1ctl -q --jsonl --device "$bus" run - <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/seen" 3>&- &
    shell=$!
    exec 7>"$BATS_TEST_TMPDIR/in"
    # There is much already: waiting messages with handles, nodes that are gone, notifications.
    cat >&7 <<'EOF'
peer a b c; node a.n b.m a.o c.p; give a.n b as h; give b.m a as back; give a.o c as oo; give c.p a as cp
send b.h "waits 1" with b.m; send b.h w2; drop a.o; release a.o; send a.cp late; give a.n c as dead; release c.p
EOF
    waiting() { "$IPCBOX" b1ctl -q -J list | jq -e --arg b "$bus.d" '.peers | map(select(.bus == $b).messages) | add == 5'; }
    within 20 waiting
    record -O "$dump"
    # Transferred handles, multicast, releases, notifications, a peer that comes and goes.
    cat >&7 <<'EOF'
recv a all; recv c all; recv b all; send b.h,b.m both with b.h; recv a as q; recv b all
peer z; give b.h z as zh; send z.zh x; close z; drop b.h; drop a.q; recv a all
release a.n; recv c all; send b.m "left\x00\xff"
EOF
    exec 7>&-
    wait "$shell"
    ended 0
    has "$(cat "$BATS_TEST_TMPDIR/note")" "3 messages sent, 0 events lost"
    expect 0 mqdump verify "$dump"
    "$SRC/tests/schema/validate" --lines b1ctl-dump <"$dump"
    is "$(stat -c %a "$dump")" 600
    # By peer: what the shell received; and in the replay, but for what nobody received.
    names() { jq -r --arg p "$1" 'select(.peer == $p) | [.type, .id, .length, .data_base64] | join(" ")' "$BATS_TEST_TMPDIR/seen"; }
    numbers() { jq -r --argjson p "$1" 'select(.peer == $p and (.waited | not)) | [.type, .id, .length, .data_base64] | join(" ")' <<<"$out"; }
    for speed in max 1; do
        expect 0 b1ctl replay --jsonl --speed "$speed" "$dump"
        has "$err" "3 messages sent, 9 received, all as recorded"
        first=$(jq -r 'select(.type == "peer") | .peer' "$dump" | sort -n | head -n 1)
        is "$(numbers "$first")" "$(names a)"
        is "$(numbers $((first + 1)))" "$(names b)"
        is "$(numbers $((first + 2)))" "$(names c)"
    done
    # On a served bus, whose other peers do not matter.
    alone=$out
    expect 0 b1ctl replay --jsonl --speed max --device "$bus" "$dump"
    is "$out" "$alone"
    "$SRC/tests/schema/validate" --lines b1ctl-replay <"$BATS_TEST_TMPDIR/out"
    expect 0 b1ctl replay --dry-run "$dump"
    is "$out" ""
}

@test "b1ctl replay: a storm of processes" {
    serve
    record -O "$dump"
    "$HELPERS/b1_abi" "$bus" >"$BATS_TEST_TMPDIR/abi1" 3>&- &
    one=$!
    "$HELPERS/b1_abi" "$bus" >"$BATS_TEST_TMPDIR/abi2" 3>&- &
    wait "$!" "$one"
    has "$(cat "$BATS_TEST_TMPDIR/abi1")" " 0 failed"
    ended 0
    expect 0 mqdump verify "$dump"
    expect 0 b1ctl replay --jsonl --speed max "$dump"
    # As many as were received, in all.
    is "$(grep -c '"waited":false' <<<"$out")" "$(grep -c '"type":"recv"' "$dump")"
    "$SRC/tests/schema/validate" --lines b1ctl-dump <"$dump"
}

@test "b1ctl dump: -N, --duration, standard output, the end of the server" {
    serve
    for i in 1 2 3 4 5; do echo "send a.n,b.m $i"; done >"$BATS_TEST_TMPDIR/sends"
    { echo 'peer a b; node a.n; node b.m; give b.m a as m'; sed 's/b\.m/a.m/' "$BATS_TEST_TMPDIR/sends"; } >"$BATS_TEST_TMPDIR/script"
    record -N 2 -O "$dump"
    "$IPCBOX" b1ctl -q --device "$bus" run "$BATS_TEST_TMPDIR/script"
    wait "$dump_pid"
    dump_pid=
    is "$(jq -r '.counts | [.send, .message] | join(" ")' <(tail -n 1 "$dump"))" "2 4"
    expect 0 b1ctl replay -J --speed max "$dump"
    is "$(jq -c '[.messages[] | .text]' <<<"$out")" '["1","2","1","2"]'
    expect 0 b1ctl dump --device "$bus" --duration 0.3
    is "$(jq -r .type <<<"$out" | xargs)" "header begin end"
    "$IPCBOX" b1ctl dump --device "$bus" >"$dump" 2>"$BATS_TEST_TMPDIR/note" 3>&- &
    dump_pid=$!
    within 20 recording
    kill "$serve_pid"
    wait "$serve_pid"
    serve_pid=
    wait "$dump_pid"
    dump_pid=
    has "$(cat "$BATS_TEST_TMPDIR/note")" "the server has ended"
    expect 0 mqdump verify "$dump"
}

@test "b1ctl dump, replay: what cannot be" {
    # Whatever else is mounted on the machine.
    expect 3 unshare -m sh -c 'umount -l -a -t fuse.b1ctl; exec "$IPCBOX" b1ctl dump'
    has "$err" "there is no bus"
    serve
    expect 4 b1ctl dump --device /dev/null
    expect 3 b1ctl dump --device "$bus.none"
    expect 1 bash -c "\"\$IPCBOX\" b1ctl dump --device '$bus' --duration 0.2 >/dev/full"
    "$IPCBOX" b1ctl dump --device "$bus" --duration 0.2 -q >"$dump"
    expect 3 b1ctl replay "$dump.none"
    expect 2 b1ctl replay --speed fast "$dump"
    head -n 1 "$dump" >"$dump.short"
    expect 1 b1ctl replay "$dump.short"
    has "$err" "nothing was sent"
    sed 's/"begin"/"begun"/' "$dump" >"$dump.bad"
    expect 1 b1ctl replay "$dump.bad"
    # Edited, and sealed again: an event that does not fit is told by its line.
    sed 2q "$dump" | jq -c '., if .type == "begin" then {type: "release", peer: 77, ids: [3]} else empty end' |
        "$IPCBOX" mqdump seal >"$dump.edited"
    expect 1 b1ctl replay "$dump.edited"
    has "$err" "line 3" "no peer 77"
    "$HELPERS/dumpmake" >"$dump.queues" 2>/dev/null || "$IPCBOX" mqdump save --all >"$dump.queues" || true
    expect 1 b1ctl replay "$dump.queues"
}

@test "b1ctl dump: what the server cannot keep is counted" {
    serve
    record -O "$dump"
    kill -STOP "$dump_pid"
    { echo 'peer a; node a.n'
        for _ in $(seq 70); do
            printf 'send a.n %s\nrecv a\n' "$(head -c 1000000 /dev/zero | tr '\0' x)"
        done
    } | "$IPCBOX" b1ctl -q --device "$bus" -J run - >/dev/null
    kill -CONT "$dump_pid"
    ended 1
    expect 0 mqdump verify "$dump"
    kept=$(jq -s 'map(select([.type] | inside(["header", "begin", "lost", "end"]) | not)) | length' "$dump")
    lost=$(jq -s 'map(select(.type == "lost").count) | add' "$dump")
    [ "$lost" -gt 0 ]
    # The probe's peer with two nodes, the peer with one, three events a message.
    is $((kept + lost)) $((4 + 3 + 3 * 70))
    expect 1 b1ctl replay --speed max "$dump"
    has "$err" "events are missing here" "nothing was sent"
    # The server has let go of the memory.
    within 20 sh -c "[ \$(awk '/^VmRSS/ {print \$2}' /proc/$serve_pid/status) -lt 60000 ]"
}

@test "b1ctl dump: for root and the server's user alone" {
    other_dir=$(mktemp -d /tmp/ipcbox.XXXXXX)
    chmod 755 "$other_dir"
    bus=$other_dir/bus
    cp "$IPCBOX" "$other_dir/ipcbox"
    serve
    expect 5 setpriv --reuid 54321 --regid 54321 --clear-groups "$other_dir/ipcbox" b1ctl dump --device "$bus" --duration 0.1
    is "$(stat -c %a "$bus.d/record" "$bus.d/traffic" | xargs)" "400 400"
    kill "$serve_pid"
    wait "$serve_pid"
    serve_pid=
}
