#!/usr/bin/env bats
# b1ctl dump and replay: what happened on a bus, and again.
bats_require_minimum_version 1.5.0
load common
load bus

setup() {
    bus_setup
    dump=$BATS_TEST_TMPDIR/dump
}

teardown() { bus_teardown; }

# record OPTION…: in the background, until it has begun
record() {
    "$IPCBOX" b1ctl dump --device "$bus" "$@" 2>"$note" 3>&- 7>&- &
    watch_pid=$!
    case " $* " in
    *" calls "*) within 60 attached ;;
    *) within 20 recording ;;
    esac
}

recording() { readlink /proc/"$watch_pid"/fd/* 2>/dev/null | grep -q "$bus.d/record"; }

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
    waiting() { "$IPCBOX" b1ctl -q -J list | jq -e --arg b "$bus.d" '.peers | map(select(.bus == $b).depth) | add == 5'; }
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
    watch_ends 0
    has "$(cat "$note")" "3 messages sent, 0 events lost"
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
    watch_ends 0
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
    watch_ended 0
    is "$(jq -r '.counts | [.send, .message] | join(" ")' <(tail -n 1 "$dump"))" "2 4"
    expect 0 b1ctl replay -J --speed max "$dump"
    is "$(jq -c '[.messages[] | .text]' <<<"$out")" '["1","2","1","2"]'
    expect 0 b1ctl dump --device "$bus" --duration 0.3
    is "$(jq -r .type <<<"$out" | xargs)" "header begin end"
    "$IPCBOX" b1ctl dump --device "$bus" >"$dump" 2>"$note" 3>&- &
    watch_pid=$!
    within 20 recording
    serve_ends
    watch_ended 0
    has "$(cat "$note")" "the server has ended"
    expect 0 mqdump verify "$dump"
}

@test "b1ctl dump, replay: what cannot be" {
    # Whatever else is mounted on the machine.
    expect 3 unshare -m sh -c 'umount -l -a -t fuse.b1ctl; exec "$IPCBOX" b1ctl dump'
    has "$err" "there is no bus: b1ctl serve makes one"
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
    outrun 70
    watch_ends 1
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
    serve_ends
}

# received FILE: the messages that each peer received in a replay. Notifications of a dump of calls are not compared.
received() {
    "$IPCBOX" b1ctl -q replay --jsonl --speed max "$1" |
        jq -sc 'map(select(.type == "message" and (.waited | not))) | group_by(.peer) |
            map(map([.type, .id, .length, .handles, .data_base64]))' | jq -c '.[]' | sort
}

# The calls on the bus against its own record.
both() {
    record "$@" --backend calls -O "$dump.calls"
    first=$watch_pid
    record -O "$dump"
    second=$watch_pid
}

both_end() {
    watch_pid=$first
    watch_ends 0
    watch_pid=$second
    watch_ends 0
}

@test "b1ctl dump --backend calls: what comes again is what the bus itself recorded" {
    serve
    both
    has "$("$HELPERS/b1_abi" "$bus")" " 0 failed"
    run_script 'peer a b; node a.n; give a.n b as h; send b.h "hi" with b.h; recv a; drop b.h; close b; recv a all' >/dev/null
    both_end
    expect 0 mqdump verify "$dump.calls"
    "$SRC/tests/schema/validate" --lines b1ctl-dump <"$dump.calls"
    is "$(jq -r 'select(.type == "header") | .backend' "$dump.calls")" calls
    is "$(jq -r 'select(.type != "header" and .type != "end") | .order' "$dump.calls" | sort -u)" approximate
    is "$(grep -c '"unseen"' "$dump.calls" || true)" 0
    for kind in send recv release; do
        is "$(grep -c "\"type\":\"$kind\"" "$dump.calls")" "$(grep -c "\"type\":\"$kind\"" "$dump")"
    done
    is "$(received "$dump.calls")" "$(received "$dump")"
    [ "$(jq -r 'select(.type == "end") | .counts.recv' "$dump.calls")" -gt 300 ]
    expect 0 b1ctl replay --speed max "$dump.calls"
    has "$err" "all as recorded"
    # Every peer was closed in the end, also those of processes that were killed.
    is "$(jq -r 'select(.type == "close") | .peer' "$dump.calls" | sort)" \
        "$(jq -r 'select(.type == "open") | .peer' "$dump.calls" | sort)"
}

# operations SEED: random ones of four peers
operations() {
    python3 - "$1" <<'EOF'
import random, sys
random.seed(int(sys.argv[1]))
peers = ['a', 'b', 'c', 'd']
print('peer', *peers)
handles = {p: [] for p in peers}
for i in range(400):
    p, q = random.choice(peers), random.choice(peers)
    what = random.random()
    if what < .2 or not handles[p]:
        print(f'node {p}.n{i}; give {p}.n{i} {q} as to{i}')
        handles[q].append(f'{q}.to{i}')
    elif what < .3:
        print(f'give {random.choice(handles[p])} {q} as copy{i}')
        handles[q].append(f'{q}.copy{i}')
    elif what < .65:
        to = random.sample(handles[p], min(len(handles[p]), random.randint(1, 3)))
        along = [f'with {h}' for h in random.sample(handles[p], random.randint(0, 1))]
        print('send', ','.join(to), 'x' * random.randint(0, 40) + str(i), *along)
    elif what < .72:
        print('drop', handles[p].pop(random.randrange(len(handles[p]))))
    else:
        print(f'recv {p} all')
EOF
}

@test "b1ctl dump --backend calls: random operations of one process, and of several" {
    serve
    # One call after the other: the order is the bus's own.
    for seed in 1 2 3; do
        operations $seed >"$BATS_TEST_TMPDIR/ops"
        both
        "$IPCBOX" b1ctl -q --device "$bus" run "$BATS_TEST_TMPDIR/ops" >/dev/null
        both_end
        is "$(grep -c '"unseen"' "$dump.calls" || true)" 0
        [ "$(grep -c '"type":"recv"' "$dump.calls")" -gt 50 ]
        is "$(received "$dump.calls")" "$(received "$dump")"
    done
    # Eight at once.
    both
    for i in 1 2 3 4 5 6 7 8; do
        "$IPCBOX" b1ctl -q --device "$bus" -c "$(
            echo 'peer a b; node a.n; give a.n b as h; node b.m; give b.m a as k'
            for k in $(seq 30); do echo "send b.h,b.m $i.$k with b.h; recv a; recv b; send a.k back; recv b"; done
        )" >/dev/null 3>&- &
        pids[i]=$!
    done
    wait "${pids[@]}"
    both_end
    is "$(received "$dump.calls")" "$(received "$dump")"
    expect 0 b1ctl replay --speed max "$dump.calls"
    has "$err" "720 received, all as recorded"
}

@test "b1ctl dump --backend calls: what was not seen is told, and left out when it comes again" {
    serve
    mkfifo "$BATS_TEST_TMPDIR/in"
    "$IPCBOX" b1ctl -q --device "$bus" run - <"$BATS_TEST_TMPDIR/in" >/dev/null 3>&- &
    shell=$!
    exec 7>"$BATS_TEST_TMPDIR/in"
    echo 'peer a b; node a.n; give a.n b as h; send b.h early' >&7
    waiting() { "$IPCBOX" b1ctl -q -J list | jq -e --arg b "$bus.d" '.peers | map(select(.bus == $b).depth) | add == 1'; }
    within 20 waiting
    record --backend calls -O "$dump"
    printf 'recv a\nsend b.h old; recv a; node a.m; give a.m b as k; send b.k new; recv a; send b.k,b.h half; recv a\n' >&7
    exec 7>&-
    wait "$shell"
    watch_ends 0
    has "$(cat "$note")" "3 messages sent, 0 events lost" "4 events cannot be replayed, or not wholly" \
        "older than the recording"
    is "$(jq -r 'select(.unseen) | [.type, .text] | join(" ")' "$dump")" "recv early
send old
recv old
send half"
    "$SRC/tests/schema/validate" --lines b1ctl-dump <"$dump"
    expect 1 b1ctl replay --jsonl --speed max "$dump"
    has "$err" "4 events could not be done again"
    is "$(jq -r '[.text, .waited] | join(" ")' <<<"$out")" "new false
half false"
}

@test "b1ctl dump --backend calls: -N, --duration, standard output, what is lost, what cannot be" {
    serve
    record --backend calls -N 2 -O "$dump"
    run_script 'peer a; node a.n; send a.n 1; send a.n 2; send a.n 3'
    watch_ended 0
    is "$(jq -r 'select(.type == "send") | .text' "$dump" | xargs)" "1 2"
    expect 0 b1ctl dump --backend calls --device "$bus" --duration 0.3
    is "$(jq -r .type <<<"$out" | xargs)" "header begin end"
    expect 1 bash -c "\"\$IPCBOX\" b1ctl dump --backend calls --device '$bus' --duration 0.2 >/dev/full"
    expect 4 b1ctl dump --backend calls --device /dev/null
    has "$err" "is not a bus1"
    expect 4 b1ctl dump --backend bus --device /dev/null
    has "$err" "--backend calls"
    expect 3 b1ctl dump --backend calls --device "$bus.none"
    record --backend calls -O "$dump"
    outrun 60
    watch_ends 1
    expect 0 mqdump verify "$dump"
    [ "$(jq -s 'map(select(.type == "lost").count) | add' "$dump")" -gt 0 ]
    expect 1 b1ctl replay --speed max "$dump"
    has "$err" "events are missing here"
}

@test "b1ctl dump --backend calls: without privilege it says what it needs" {
    other_dir=$(mktemp -d /tmp/ipcbox.XXXXXX)
    chmod 755 "$other_dir"
    cp "$IPCBOX" "$other_dir/ipcbox"
    bus=$other_dir/bus
    serve
    expect 5 setpriv --reuid 54321 --regid 54321 --clear-groups "$other_dir/ipcbox" b1ctl dump --backend calls --device "$bus" --duration 0.1
    has "$err" "cannot record the calls" "CAP_BPF"
    serve_ends
}

@test "b1ctl dump --backend calls: a bus that is like the RFC's kernel code" {
    serve_rfc
    record --backend calls -O "$dump"
    run_script 'peer a b; node a.n; give a.n b as h; send b.h hello; recv a; give b.h b as g; drop b.g; recv a' >/dev/null
    watch_ends 0
    has "$(cat "$note")" "HANDLE_RELEASE comes for each handle released" "1 messages sent, 0 events lost"
    is "$(jq -c 'select(.type == "recv") | [.message_type, .unseen != null]' "$dump")" '[0,false]
[2,false]'
    is "$(jq -r 'select(.type == "close") | .peer' "$dump" | sort | xargs)" \
        "$(jq -r 'select(.type == "open") | .peer' "$dump" | sort | xargs)"
    # A conforming bus does not tell of a handle that is not the last.
    expect 0 b1ctl replay --jsonl --speed max "$dump"
    has "$err" "1 messages sent, 1 received, all as recorded"
    is "$(jq -r '[.type, .text] | join(" ")' <<<"$out")" "message hello"
}
