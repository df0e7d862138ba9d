#!/usr/bin/env bats
# b1ctl monitor: every ioctl with what was passed and what came back.
bats_require_minimum_version 1.5.0
load common
load bus

setup() {
    bus_setup
    events=$BATS_TEST_TMPDIR/events
    messages=$BATS_TEST_TMPDIR/messages
}

teardown() { bus_teardown; }

# monitor OPTION…: in the background, until it has begun
monitor() {
    "$IPCBOX" b1ctl monitor -J "$@" >"$events" 2>"$note" 3>&- 7>&- &
    watch_pid=$!
    within 60 attached
}

# ended STATUS: asks it to end
ended() {
    kill -TERM "$watch_pid" 2>/dev/null || true
    finished "$1"
}

# finished STATUS: it ends by itself. $events has the calls, $messages what the bus itself says
finished() {
    watch_ended "$1"
    divide
}

divide() {
    grep '"event":"message"' "$events" >"$messages" || true
    grep -v '"event":"message"' "$events" >"$events.calls" || true
    mv "$events.calls" "$events"
}

@test "b1ctl monitor -- CMD: all four calls, with their contents before and after" {
    serve
    expect 1 b1ctl monitor -J -- "$IPCBOX" b1ctl -q --device "$bus" -o peer -c '
        peer a b; node a.n; give a.n b as h; send b.h "hi" with b.h; recv a as g
        release a.n; recv b; send a.g x'
    has "$err" "ended with status 1" "8 calls, 0 lost"
    grep '^{' <<<"$out" >"$events"
    # A message is told before the call that has sent it.
    is "$(jq -r .event "$events" | xargs)" \
        "transfer transfer transfer message send recv message message release recv send"
    divide
    jq -se '.[0].from != .[0].to and .[0].to == .[2].from and .[2].to == .[0].from and .[1].to == .[1].from' "$messages"
    is "$(jq -c '[.type, .id, .length, .handles, .from_pid == .to_pid]' "$messages")" '["message",3,2,[{"id":7}],true]
["node-release",7,0,[],true]
["node-release",3,0,[],true]'
    # The probe on a peer of its own, then what the script says.
    is "$(jq -r .event "$events" | xargs)" "transfer transfer transfer send recv release recv send"
    is "$(jq -c 'select(.event == "transfer") | [.flags, .to == null, .count, .transfers]' "$events" | sed -n 1,2p)" '[0,true,2,[{"flags":1,"id":null,"flags_after":0,"id_after":3,"handle":5},{"flags":1,"id":null,"flags_after":0,"id_after":7,"handle":9}]]
[0,true,1,[{"flags":1,"id":null,"flags_after":0,"id_after":3,"handle":5}]]'
    is "$(jq -sc '.[2] | [.to > 2, .to_peer > 0, .transfers]' "$events")" \
        '[true,true,[{"flags":0,"id":5,"flags_after":0,"id_after":5,"handle":3}]]'
    is "$(jq -sc '.[3] | [.destinations, .transfers, .length, .text, .message_type, .result, .error]' "$events")" \
        '[[{"id":3,"error":0}],[{"flags":0,"id":3}],2,"hi",0,0,null]'
    is "$(jq -sc '.[4] | [.type, .id, .account, .transfers, .length, .text, .room_bytes > 2, .fd > 2, .peer]' "$events")" \
        "$(jq -sc '["message",3,0,[{"flags":0,"id":7}],2,"hi",true,true,.[2].peer]' "$events")"
    is "$(jq -sc '.[5] | [.count, .ids]' "$events")" '[2,[{"id":5},{"id":3}]]'
    is "$(jq -r '[.comm, .bus, .duration > 0, .pid == .tid] | join(" ")' "$events" | sort -u)" \
        "ipcbox $bus.d true true"
    is "$(jq -sc '.[6] | [.type, .id]' "$events")" '["node-release",3]'
    is "$(jq -sc '.[7] | [.result, .error, .destinations]' "$events")" '[-56,"EBADRQC",[{"id":7,"error":-56}]]'
    is "$(jq -s 'map(.time) | . == sort' "$events")" true
}

@test "b1ctl monitor: times are those of the wall clock, in a time namespace too" {
    serve
    before=$EPOCHREALTIME
    expect 0 elsewhen "$IPCBOX" b1ctl monitor -J -- "$IPCBOX" b1ctl -q --device "$bus" -c 'peer a'
    lately "$before" "$(grep -m 1 '"event":"transfer"' <<<"$out" | jq -r .time)"
}

@test "b1ctl monitor: what strace sees, no more and no less" {
    serve
    monitor --device "$bus"
    strace -ff -qq -e trace=ioctl -o "$BATS_TEST_TMPDIR/strace" "$HELPERS/b1_abi" "$bus" >"$BATS_TEST_TMPDIR/abi"
    has "$(cat "$BATS_TEST_TMPDIR/abi")" " 0 failed"
    ended 0
    # Each thread's calls in their order: number and result.
    for file in "$BATS_TEST_TMPDIR"/strace.*; do
        is "$(jq -r --argjson tid "${file##*.}" 'select(.tid == $tid) |
            [{transfer: "0 0x28", release: "0x1 0x18", send: "0x2 0x28", recv: "0x3 0x18"}[.event] // "-",
            .error // .result] | join(" ")' "$events")" \
            "$(sed -nE '/, 0x97, /{
                s/.*_IOC\((.*), 0x97, (.*), (.*)\), .* = (-1 )?([A-Z0-9]+).*/\1 \2 \3 \5/
                s/^_IOC_READ\|_IOC_WRITE (0 0x28|0x1 0x18|0x2 0x28|0x3 0x18) /\1 /; s/^_IOC.* /- /; p }' "$file")"
    done
    has "$(cat "$note")" "$(wc -l <"$events") calls, 0 lost"
    # What failed, and why.
    is "$(jq -c 'select(.error == "EMSGSIZE" and .event == "recv") | [.length, .transfer_count, .room_bytes, .room_transfers]' "$events" | head -n 1)" '[4,1,2,4]'
    is "$(jq -c 'select(.error == "EBADRQC" and .event == "send" and (.destinations | length) == 2) | [.destinations[].error]' "$events" | head -n 1)" '[0,-56]'
    is "$(jq -r 'select(.event == "ioctl") | .cmd' "$events" | xargs)" \
        "0xc0189704 0xc0289703 0x80189703 0x9703"
    is "$(jq -r 'select(.unreadable) | .unreadable' "$events" | sort -u | xargs)" "data errors ids message transfers"
    # A mebibyte comes whole.
    is "$(jq -c 'select(.length == 1048576) | .data_base64 | length' "$events" | xargs)" "1398104 1398104"
    "$SRC/tests/schema/validate" --lines b1ctl-monitor <"$events"
}

@test "b1ctl monitor: --pid, -N, --timeout, -m; usage" {
    serve
    mkfifo "$BATS_TEST_TMPDIR/in"
    "$IPCBOX" b1ctl -q --device "$bus" run - <"$BATS_TEST_TMPDIR/in" >/dev/null 3>&- &
    client=$!
    exec 7>"$BATS_TEST_TMPDIR/in"
    echo 'peer a; node a.n' >&7
    monitor --pid "$client" -N 2 -m 3
    run_script 'peer a; node a.n; send a.n other; recv a' >/dev/null
    printf 'send a.n 12345\nrecv a\nsend a.n more\n' >&7
    finished 0
    is "$(jq -c '[.event, .length, .text]' "$events")" '["send",5,"123"]
["recv",5,"123"]'
    # It ends with the process.
    monitor --pid "$client"
    echo 'send a.n last' >&7
    exec 7>&-
    finished 0
    is "$(jq -r .text "$events")" last
    wait "$client"
    expect 0 b1ctl monitor --device "$bus" --timeout 0.2
    expect 1 b1ctl monitor --device "$bus" --timeout 0.2 -N 1
    expect 3 b1ctl monitor --pid 4194000
    expect 2 b1ctl monitor --pid 1 -- true
    expect 3 b1ctl monitor --device "$bus.none"
    expect 3 b1ctl monitor -- /no/such/program
    expect 1 b1ctl monitor -- false
    has "$err" "false ended with status 1"
    expect 1 bash -c "\"\$IPCBOX\" b1ctl monitor -- \"\$IPCBOX\" b1ctl --device \"$bus\" -c 'peer a' >/dev/full"
}

@test "b1ctl monitor -- CMD: also what it starts, and nobody else" {
    serve
    mkfifo "$BATS_TEST_TMPDIR/go"
    monitor --timeout 60 -- sh -c "'$IPCBOX' b1ctl -q --device '$bus' -c 'peer a; node a.n; send a.n child; recv a' >/dev/null; read -r x <'$BATS_TEST_TMPDIR/go'; exit 3"
    within 20 grep -q child "$events"
    run_script 'peer a; node a.n; send a.n stranger; recv a' >/dev/null
    echo >"$BATS_TEST_TMPDIR/go"
    finished 1
    has "$(cat "$note")" "ended with status 3"
    run ! grep -q stranger "$events"
    # Of the bus's own view, too, only what concerns it.
    is "$(jq -c '[.from == .to, .length, .type]' "$messages")" '[true,5,"message"]'
}

@test "b1ctl monitor -- CMD: a command that makes no call on a bus: why that may be" {
    expect 0 b1ctl monitor -- "$IPCBOX" b1ctl -q -c 'peer a; node a.n; send a.n x; recv a'
    has "$err" "0 calls, 0 lost" "uses a bus inside its own process" "b1ctl serve"
}

@test "b1ctl monitor: a bus that is like the RFC's kernel code: what that means" {
    serve_rfc
    expect 0 b1ctl monitor --device "$bus" -- "$IPCBOX" b1ctl -q --device "$bus" -c 'peer a; node a.n; send a.n x; recv a; drop a.n; recv a'
    has "$err" "$bus: " "HANDLE_RELEASE comes for each handle released" "destroys the node"
    has "$out" "handle-release at node" "EINVAL"
    expect 0 b1ctl monitor -q --device "$bus" --timeout 0.1
    is "$err" ""
}

@test "b1ctl monitor: as text; a reader that goes away ends it" {
    serve
    expect 0 b1ctl monitor -- "$IPCBOX" b1ctl -q --device "$bus" -c 'peer a; node a.n; send a.n "two
lines"; recv a'
    has "$out" "to 5: 9 bytes \"two\\nlines\"" "message at node 3 from uid 0: 9 bytes" "new node 3 -> handle 5"
    has "$err" "4 calls, 0 lost"
    (timeout 60 "$IPCBOX" b1ctl monitor -J --device "$bus" 2>/dev/null | head -n 1 >"$events") 3>&- &
    reader=$!
    calls() { run_script 'peer a' && ! kill -0 "$reader" 2>/dev/null; }
    within 60 calls
    is "$(wc -l <"$events")" 1
}

@test "b1ctl monitor: what does not fit is counted and shown" {
    serve
    monitor --device "$bus"
    outrun 60
    ended 1
    seen=$(jq -s 'map(select(.event != "lost")) | length' "$events")
    lost=$(jq -s 'map(select(.event == "lost" and .bus == null).count) | add' "$events")
    is $((seen + lost)) 123 # the first reception needs a second call, with more room
    [ "$lost" -gt 0 ]
    is "$(jq -c 'select(.event == "send") | .text | length' "$events" | sort -u)" 1000000
    "$SRC/tests/schema/validate" --lines b1ctl-monitor <"$events"
}

@test "b1ctl monitor: a call that hangs, and a client that is killed in it" {
    serve
    monitor --device "$bus"
    "$HELPERS/b1_hostile" "$bus" stuck >"$BATS_TEST_TMPDIR/stuck" 3>&- &
    bad=$!
    within 20 grep stuck "$BATS_TEST_TMPDIR/stuck"
    ended 0
    jq -se 'map(select(.error == "unfinished")) | length > 0 and all(.result == null and .duration == null)' "$events"
    monitor --device "$bus" --timeout 60
    kill -KILL "$bad"
    wait "$bad" || true
    # Those calls had begun before.
    run_script 'peer a'
    ended 0
    is "$(jq -r .event "$events" | xargs)" transfer
}

@test "b1ctl monitor: a device of the kernel, by name or by number" {
    other_dir=$(mktemp -d /tmp/ipcbox.XXXXXX)
    mknod "$other_dir/bus1" c 10 "$(awk '$2 == "fuse" {print $1}' /proc/misc)"
    release='
import fcntl, os, sys
f = os.open(sys.argv[1], os.O_RDONLY)
try: fcntl.ioctl(f, 0xc0189701, bytes(24))
except OSError: pass'
    expect 0 b1ctl monitor -J -- python3 -c "$release" "$other_dir/bus1"
    is "$(jq -c '[.event, .bus, .peer, .count, .result < 0]' <<<"$out")" '["release","/dev/bus1",null,0,true]'
    mv "$other_dir/bus1" "$other_dir/other"
    expect 0 b1ctl monitor -J --device "$other_dir/other" -- python3 -c "$release" "$other_dir/other"
    is "$(jq -r .event <<<"$out")" release
}

@test "b1ctl monitor: without root only one's own processes, whatever the binary is allowed" {
    other_dir=$(mktemp -d /tmp/ipcbox.XXXXXX)
    chmod 755 "$other_dir"
    bus=$other_dir/bus
    serve
    cp "$IPCBOX" "$other_dir/monitor"
    cp "$IPCBOX" "$other_dir/suid"
    cp "$IPCBOX" "$other_dir/caps"
    cp "$IPCBOX" "$other_dir/plain"
    setcap cap_bpf,cap_perfmon,cap_sys_admin,cap_dac_override,cap_sys_ptrace+ep "$other_dir/monitor"
    setcap cap_net_raw+ep "$other_dir/caps"
    chmod 4755 "$other_dir/suid"
    user() { setpriv --reuid 54321 --regid 54321 --clear-groups "$@"; }
    calls() { "$1" b1ctl -q --device "$bus" -c "peer a; node a.n; send a.n $2; recv a" >/dev/null; }
    setpriv --reuid 54321 --regid 54321 --clear-groups "$other_dir/monitor" b1ctl monitor -J --device "$bus" >"$events" 2>"$note" 3>&- &
    watch_pid=$!
    both() {
        calls "$IPCBOX" of-root
        setpriv --reuid 54322 --regid 54321 --clear-groups "$other_dir/plain" b1ctl -q --device "$bus" -c "peer a; node a.n; send a.n of-another; recv a"
        user "$other_dir/suid" b1ctl -q --device "$bus" -c "peer a; node a.n; send a.n of-suid; recv a"
        user "$other_dir/caps" b1ctl -q --device "$bus" -c "peer a; node a.n; send a.n of-caps; recv a"
        user "$other_dir/plain" b1ctl -q --device "$bus" -c "peer a; node a.n; send a.n mine; recv a"
        grep -q mine "$events"
    }
    within 60 both
    both
    ended 0
    is "$(jq -r 'select(.event == "send") | .text' "$events" | sort -u)" mine
    # Another's process: not permitted. One's own, and one's own in a user namespace: shown.
    expect 5 user "$other_dir/monitor" b1ctl monitor --pid $$ --timeout 1
    expect 0 user "$other_dir/monitor" b1ctl monitor -J -- "$other_dir/plain" b1ctl -q --device "$bus" -c "peer a; node a.n"
    is "$(jq -r .event <<<"$out" | xargs)" "transfer transfer"
    expect 0 user "$other_dir/monitor" b1ctl monitor -J -- unshare -Ur "$other_dir/plain" b1ctl -q --device "$bus" -c "peer a; node a.n"
    is "$(jq -r .event <<<"$out" | xargs)" "transfer transfer"
    # What the bus itself says is for its server's user.
    [ ! -s "$messages" ]
    # Without capabilities: why not, and what would help.
    expect 5 user "$other_dir/plain" b1ctl monitor --timeout 1
    has "$err" "cannot monitor" "("
    serve_ends
}

@test "b1ctl monitor: what the bus itself says, of every bus that comes" {
    monitor
    serve
    run_script 'peer a b c; node a.n; node b.m; give b.m a as m; send a.n,a.m both; close b; send a.n "to dead"' || true
    seen() { [ "$(grep '"event":"message"' "$events" | grep -c "$bus.d")" -ge 4 ]; }
    within 20 seen
    ended 0
    # Other buses of the machine do not matter.
    jq -c 'select(.bus == $b)' --arg b "$bus.d" "$messages" >"$messages.here"
    mv "$messages.here" "$messages"
    is "$(jq -r '[.type, .length] | join(" ")' "$messages")" 'message 4
message 4
node-release 0
message 7'
    jq -se 'all(.bus == $b) and (map(.to) | unique | length) == 2 and .[2].from == .[1].to' --arg b "$bus.d" "$messages"
    "$SRC/tests/schema/validate" --lines b1ctl-monitor <"$messages"
    # The text says the same.
    expect 0 b1ctl monitor -- "$IPCBOX" b1ctl -q --device "$bus" -c 'peer a; node a.n; send a.n x'
    has "$out" "message at node 3: 1 bytes" "-> peer"
}

@test "b1ctl monitor: the calls of a 32-bit program, too" {
    serve
    "$HELPERS/b1_call32" "$bus" >"$BATS_TEST_TMPDIR/results" || skip "this kernel has no 32-bit system calls"
    # A served bus does not take them.
    is "$(sort -k 2 -u "$BATS_TEST_TMPDIR/results" | sed 's/^[a-z]* //')" ENOTTY
    expect 0 b1ctl monitor -J -- "$HELPERS/b1_call32" "$bus"
    has "$err" "4 calls, 0 lost"
    out=$(grep '^{' <<<"$out")
    is "$(jq -c '[.event, .error, .comm]' <<<"$out")" '["transfer","ENOTTY","b1_call32"]
["send","ENOTTY","b1_call32"]
["recv","ENOTTY","b1_call32"]
["release","ENOTTY","b1_call32"]'
    # Its iovecs are of another size.
    is "$(jq -c 'select(.event == "send") | [.text, .length, .destinations[0].id, .unreadable]' <<<"$out")" '["of 32 bits",10,5,null]'
    is "$(jq -c 'select(.event == "recv") | [.room_bytes, .unreadable]' <<<"$out")" '[16,null]'
    is "$(jq -c 'select(.event == "transfer") | .transfers[0].flags' <<<"$out")" 1
    is "$(jq -c 'select(.event == "release") | .ids' <<<"$out")" '[{"id":5}]'
}
