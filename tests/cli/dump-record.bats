#!/usr/bin/env bats
# mqdump: record and replay.

load common

setup() {
    export IPCBOX_STATE_DIR=$BATS_TEST_TMPDIR/state TMPDIR=$BATS_TEST_TMPDIR
    cd "$BATS_TEST_TMPDIR"
    q=/$(unique rec)
    "$HELPERS/mqmake" "$q" 8 64
    "$HELPERS/mqmake" "$q-to" 8 64
    job=
}

teardown() {
    [ -z "$job" ] || kill -KILL "$job" 2>/dev/null || true
    for name in "$q" "$q-to"; do "$HELPERS/mqmake" -u "$name" 2>/dev/null || true; done
}

root() { [ "$(id -u)" = 0 ] || skip "needs root"; }

# send PRIO:TEXT…: to $q
send() {
    local m
    {
        echo '{"type":"header","format":"ipcbox-dump","version":1,"kind":"queues"}'
        echo "{\"type\":\"queue\",\"name\":\"$q\",\"maxmsg\":8,\"msgsize\":64,\"mode\":\"0600\",\"uid\":0,\"gid\":0}"
        for m; do
            echo "{\"type\":\"message\",\"queue\":\"$q\",\"priority\":${m%%:*},\"text\":\"${m#*:}\"}"
        done
    } | mqdump seal | mqdump restore --append - >/dev/null
}

# traffic TIME:EVENT:PRIO:TEXT…: a recording, times in decimal seconds
traffic() {
    local t
    {
        echo '{"type":"header","format":"ipcbox-dump","version":1,"kind":"traffic"}'
        for t; do
            IFS=: read -r time event prio text <<<"$t"
            printf '{"type":"event","event":"%s","time":"2026-01-01T00:00:%06.3fZ","queue":"%s","priority":%s,"text":"%s"}\n' \
                "$event" "$time" "$q" "$prio" "$text"
        done
    } | mqdump seal >t.traffic
}

texts() { mqdump save "$1" | jq -r 'select(.type == "message") | "\(.priority):\(.text)"' | paste -sd,; }

# Runs in the background until the recorder is attached: a first message proves it.
record() {
    # A shell lets what it runs in the background ignore SIGINT.
    env --default-signal=INT "$IPCBOX" mqdump record "$q" -O r.traffic "$@" 2>record.err 3>&- &
    job=$!
    within 30 attached
}
recorded() { jq -r 'select(.type == "event").text' "$2" | grep -qx "$1"; }
attached() { grep -q anon_inode:bpf /proc/$job/fd/ 2>/dev/null || find "/proc/$job/fd" -lname '*bpf*link*' -o -lname '*perf_event*' | grep -q .; }

@test "mqdump record: what is sent is in the file, and replay sends it again" {
    root
    record -N 3
    send 3:one 1:two 9:three
    wait "$job"
    is "$(jq -r 'select(.type == "event") | "\(.event) \(.queue) \(.priority):\(.text)"' r.traffic | paste -sd,)" \
        "send $q 3:one,send $q 1:two,send $q 9:three"
    expect 0 mqdump verify r.traffic
    expect 0 mqdump -J replay r.traffic --to "$q-to"
    jq -e '.sent == 3 and .bytes == 11 and .late_worst >= .late_p99 * 0.98 and .late_p99 >= .late_median' <<<"$out"
    is "$(texts "$q-to")" 9:three,3:one,1:two
    expect 0 mqdump -J show --messages r.traffic
    jq -e '[.events[] | .event, .text] == ["send", "one", "send", "two", "send", "three"] and (.events | all(.pid > 0))' <<<"$out"
    is "$(jq -r 'select(.type == "event").order' r.traffic | sort -u | grep -cxE 'exact|approximate')" 1
}

@test "mqdump record: sends and receives, for a while, to standard output too" {
    root
    "$IPCBOX" mqdump record "$q" "$q-to" --duration 6 >r.traffic 2>record.err 3>&- &
    job=$!
    within 30 attached
    send 5:first
    traffic 0:recv:0:
    mqdump replay --only all t.traffic >/dev/null
    wait "$job"
    expect 0 mqdump verify r.traffic
    is "$(jq -r 'select(.type == "event") | "\(.event) \(.priority):\(.text)"' r.traffic | paste -sd,)" "send 5:first,recv 5:first"
    has "$(cat record.err)" "2 events recorded"
}

@test "mqdump record: an interrupt ends it with a whole file, a kill leaves what was there beside it" {
    root
    record
    send 1:a
    within 30 recorded a r.traffic.partial
    kill -INT "$job"
    wait "$job"
    expect 0 mqdump verify r.traffic
    is "$(jq -r 'select(.type == "event").text' r.traffic)" a
    rm r.traffic
    record
    send 1:b
    within 30 recorded b r.traffic.partial
    kill -KILL "$job"
    wait "$job" || true
    [ ! -e r.traffic ]
    mqdump seal --partial r.traffic.partial -O killed.traffic
    is "$(jq -r 'select(.type == "event").text' killed.traffic)" b
    # What a killed one left is not written over.
    record
    send 1:c
    within 30 recorded c r.traffic.partial.1
    kill -KILL "$job"
    wait "$job" || true
    is "$(jq -r 'select(.type == "event").text' r.traffic.partial) $(ls r.traffic.partial*)" "b r.traffic.partial
r.traffic.partial.1"
}

@test "mqdump record: each signal is a usual end, unless so many events were asked for" {
    root
    for signal in INT TERM HUP; do
        record
        kill "-$signal" "$job"
        wait "$job"
        expect 0 mqdump verify r.traffic
        record -N 5
        kill "-$signal" "$job"
        status=0
        wait "$job" || status=$?
        is "$status" "$((128 + $(kill -l "$signal")))"
        expect 0 mqdump verify r.traffic
    done
}

@test "mqdump replay: keeps the spacing, faster when told" {
    traffic 0:send:1:a 0.25:send:2:b 0.5:send:3:c
    expect 0 mqdump -J replay t.traffic
    jq -e '.span >= 0.5 and .sent == 3' <<<"$out"
    is "$(texts "$q")" 3:c,2:b,1:a
    expect 0 mqdump -J replay t.traffic --to "$q-to" --speed 5
    jq -e '.span >= 0.1' <<<"$out"
    expect 0 mqdump -J replay t.traffic --to "$q-to" --speed max
    jq -e '.late_worst == null' <<<"$out"
    is "$(texts "$q-to")" 3:c,3:c,2:b,2:b,1:a,1:a
    expect 2 mqdump replay t.traffic --speed fast
    expect 2 mqdump replay t.traffic --speed 0
}

# Of every size, more in all than is read at once.
@test "mqdump record: times are those of the wall clock, in a time namespace too" {
    root
    before=$EPOCHREALTIME
    elsewhen "$IPCBOX" mqdump record "$q" -O r.traffic -N 1 2>record.err 3>&- &
    child() { job=$(pgrep -f "mqdump record $q -O" -n) && attached; }
    within 30 child
    send 3:one
    wait $!
    job=
    lately "$before" "$(jq -r 'select(.type == "event").time' r.traffic)"
}

@test "mqdump replay: at full speed every byte arrives, every time" {
    root
    {
        echo '{"type":"header","format":"ipcbox-dump","version":1,"kind":"traffic"}'
        jq -nc 'range(40) | {type: "event", event: "send", time: "2026-01-01T00:00:00Z", queue: "/whole",
            priority: 1, text: ("\(. + 10)" * (. * 105))} | if .text then . else .text = "" end'
    } | mqdump seal >whole.traffic
    cat >whole.sh <<'SH'
echo 80 >/proc/sys/fs/mqueue/msg_max
"$HELPERS/mqmake" /whole 80 8192
"$IPCBOX" mqdump -q replay --speed max --loop 2 whole.traffic >replayed
"$IPCBOX" mqdump -q save /whole | jq -r 'select(.type == "message").data_base64' >arrived
SH
    expect 0 unshare -i bash -eu whole.sh
    jq -r 'select(.type == "event").text | @base64' whole.traffic >sent
    is "$(wc -l <sent)" 40
    is "$(wc -c <sent | awk '{ print ($1 > 200000) }')" 1
    cat sent sent | cmp - arrived
}

@test "mqdump replay: sends only, unless told to receive too; loops; only checks" {
    traffic 0:send:1:a 0.01:recv:1:a
    expect 0 mqdump -J replay t.traffic
    jq -e '.sent == 1 and .received == 0 and .skipped == 1' <<<"$out"
    expect 0 mqdump -J replay t.traffic --only all
    jq -e '.sent == 1 and .received == 1' <<<"$out"
    is "$(texts "$q")" 1:a
    expect 0 mqdump replay t.traffic --only send --loop 4 --to "$q-to"
    is "$(texts "$q-to")" 1:a,1:a,1:a,1:a
    expect 0 mqdump -J replay t.traffic --dry-run
    jq -e '.sent == 1 and .bytes == 1 and .skipped == 1 and .late_worst == null' <<<"$out"
    is "$(texts "$q")" 1:a
    expect 0 mqdump replay t.traffic --to "${q#/}-to"
    is "$(texts "$q-to")" 1:a,1:a,1:a,1:a,1:a
    expect 1 mqdump replay t.traffic --to pid:1:3
    has "$err" "is no queue to send to"
}

@test "mqdump replay: a full queue makes it wait, say so, go on; or give up" {
    traffic 0:send:1:a
    expect 1 mqdump replay t.traffic --loop 9 --timeout 0.2
    has "$err" "$q is full: waiting" "stopped after 8 messages" "stayed full"
    "$IPCBOX" mqdump replay t.traffic >job.out 2>job.err 3>&- &
    job=$!
    within 30 grep -q "is full: waiting" job.err
    # Room comes from a replay of one receive.
    jq -c 'if .event then .event = "recv" else . end' t.traffic | mqdump seal >recv.traffic
    expect 0 mqdump replay --only all recv.traffic
    wait "$job"
    has "$(cat job.err)" "$q: going on"
}

# Nobody may assert a time, but these are apart by far: the queue stays full until the second of
# ten messages, a millisecond apart, has waited for 0.3 s, and so have the eight behind it.
@test "mqdump replay: what a full queue delays is late, as it reports" {
    traffic 0:send:1:a 0.001:send:1:b 0.002:send:1:c 0.003:send:1:d 0.004:send:1:e 0.005:send:1:f \
        0.006:send:1:g 0.007:send:1:h 0.008:send:1:i 0.009:send:1:j
    "$HELPERS/mqmake" -u "$q-to"
    "$HELPERS/mqmake" "$q-to" 1 64
    "$IPCBOX" mqdump -J replay t.traffic --to "$q-to" >job.out 2>job.err 3>&- &
    job=$!
    within 30 grep -q "is full: waiting" job.err
    sleep 0.3
    sed "s/\"event\":\"send\"/\"event\":\"recv\"/" t.traffic | mqdump seal >recv.traffic
    expect 0 mqdump replay recv.traffic --only all --to "$q-to"
    wait "$job"
    jq -e '.sent == 10 and .late_median >= 0.25 and .late_p99 >= .late_median and .late_worst >= .late_p99 * 0.98' job.out
    has "$(cat job.err)" "$q-to: going on"
}

@test "mqdump replay: what cannot be replayed is refused before the first message" {
    traffic 0:send:1:a 0:send:1:b
    sed 's/"text":"b"/"text":"b","length":7/' t.traffic | mqdump seal >cut.traffic
    expect 1 mqdump replay cut.traffic
    has "$err" "line 3: only 1 of the message's 7 bytes were recorded" "nothing was sent"
    "$HELPERS/mqmake" -u "$q-to"
    "$HELPERS/mqmake" "$q-to" 4 3
    traffic 0:send:1:a 0:send:1:long
    expect 1 mqdump replay t.traffic --to "$q-to"
    has "$err" "line 3: the message has 4 bytes, $q-to takes 3" "nothing was sent"
    is "$(texts "$q-to")" ""
    mqdump save "$q" >q.dump
    expect 1 mqdump replay q.dump
    has "$err" "not of traffic" "mqdump restore"
    expect 1 mqdump restore t.traffic
    has "$err" "not of queues"
    expect 3 mqdump replay t.traffic --to /ipcbox-none-such
    head -n 2 t.traffic >half.traffic
    expect 1 mqdump replay half.traffic
    is "$(texts "$q")" ""
}
