#!/usr/bin/env bats
# mqctl: queues of both kinds are made, used and removed; what it says, and that others see the same.

load common

setup() {
    q=/$(unique)
    ids=
}

teardown() {
    jobs -p | xargs -r kill 2>/dev/null || true
    mqctl -q rm "$q" 2>/dev/null || true
    ipcs -q | awk '/^0x/ { print $2 }' | xargs -rn 1 ipcrm -q 2>/dev/null || true
}

# sysv ARG…: makes a System V queue; its operand in $s
sysv() { s=$(mqctl create --sysv "$@"); }

# What ipcs tells of $s: MESSAGES BYTES MODE KEY
ipcs_of() { ipcs -q | awk -v id="${s#*:}" '$2 == id { print $6, $5, $4, $1 }'; }

@test "mqctl: create: a POSIX queue with its sizes and mode, whatever the umask" {
    umask 077
    expect 0 mqctl create "$q" --maxmsg 3 --msgsize 20 --mode 640
    is "$out" ""
    expect 0 mqpeek -J list
    is "$(jq -c --arg n "$q" '.queues[] | select(.name == $n) | [.maxmsg, .msgsize, .mode]' <<<"$out")" '[3,20,"0640"]'
    expect 1 mqctl create "$q"
    has "$err" "exists already" "--exist-ok"
    expect 0 mqctl -J create "$q" --exist-ok --maxmsg 9
    is "$out" "{\"queue\":\"$q\",\"created\":false}"
    expect 0 mqpeek -J list
    is "$(jq -c --arg n "$q" '.queues[] | select(.name == $n).maxmsg' <<<"$out")" 3
}

@test "mqctl: create: what the system does not allow is named with its limit" {
    # shellcheck disable=SC2016 # the inner shell's
    expect 1 unshare -i bash -c '
        echo 7 >/proc/sys/fs/mqueue/msg_max
        "$IPCBOX" mqctl create "$0" && mqueue=$("$IPCBOX" mqpeek -J list) && jq -e ".queues[].maxmsg == 7" <<<"$mqueue" >&2 &&
        exec setpriv --reuid 54341 --clear-groups --inh-caps=-all --bounding-set=-all "$IPCBOX" mqctl create "$0-2" --maxmsg 8' "$q"
    has "$err" "msg_max" "7"
    # shellcheck disable=SC2016
    expect 1 unshare -i bash -c 'echo 1 >/proc/sys/kernel/msgmni; "$IPCBOX" mqctl create --sysv && "$IPCBOX" mqctl create --sysv'
    is "$out" "sysv:0"
    has "$err" "msgmni" "1"
    expect 2 mqctl create sysv:5
    has "$err" "the kernel chooses the id"
    expect 2 mqctl create --sysv --key 0
    expect 2 mqctl create --sysv --key x
    expect 2 mqctl create --sysv --maxmsg 3
    expect 2 mqctl create "$q" --limit 3
    expect 2 mqctl create
    expect 2 mqctl create "$q" --sysv
}

@test "mqctl: System V: what one makes the other shows, and removes" {
    sysv --mode 640 --limit 100
    is "$(ipcs_of)" "0 0 640 0x00000000"
    expect 0 mqctl send "$s" 12345 --type 9
    is "$(ipcs_of)" "1 5 640 0x00000000"
    expect 0 mqctl create key:0x4d51
    s=$out
    is "$(ipcs_of)" "0 0 600 0x00004d51"
    expect 0 mqctl send key:0x4d51 hello
    expect 0 mqctl recv "$s"
    is "$out" hello
    expect 0 mqctl create --sysv --key 0x4d51 --exist-ok
    is "$out" "$s"
    ipcrm -Q 0x4d51
    expect 3 mqctl recv "$s" -t 0
    expect 3 mqctl send key:0x4d51 x
    s=sysv:$(ipcmk -Q -p 600 | tr -dc 0-9)
    expect 0 mqctl send "$s" x
    is "$(ipcs_of | cut -d ' ' -f 1-3)" "1 1 600"
    expect 0 mqctl rm "$s"
    is "$(ipcs_of)" ""
}

@test "mqctl: send and recv: priorities, types, lines, files, objects" {
    mqctl create "$q" --maxmsg 10 --msgsize 64
    expect 0 mqctl send "$q" low
    expect 0 mqctl send "$q" high -p 7
    expect 0 mqctl send "$q" -p 3 < <(printf 'a\0b')
    expect 0 mqctl -J send "$q" --lines < <(printf 'one\n\ntwo')
    is "$out" '{"message_count":3,"bytes":6}'
    expect 0 mqctl recv "$q" -N 6 --jsonl
    is "$(jq -c '[.priority, .text, .data_base64]' <<<"$out" | tr '\n' ' ')" \
        '[7,"high","aGlnaA=="] [3,null,"YQBi"] [0,"low","bG93"] [0,"one","b25l"] [0,"",""] [0,"two","dHdv"] '
    # They go back as they came, into a queue of the other kind too.
    expect 0 mqctl send "$q" --jsonl <<<"$out"
    sysv
    expect 0 mqpeek --jsonl "$q"
    expect 0 mqctl send "$s" --jsonl --type 4 <<<"$out"
    expect 0 mqctl recv "$s" -N 6 --jsonl
    is "$(jq -c '[.mtype, .length]' <<<"$out" | tr '\n' ' ')" '[4,4] [4,3] [4,3] [4,3] [4,0] [4,3] '
    expect 0 mqctl recv "$q" -N 6 --lines
    expect 0 mqctl send "$q" --jsonl <<<'{"queue":"/x","length":null,"priority":null}'
    expect 1 mqctl send "$q" --jsonl <<<'{"priority":32768,"text":"x"}'
    expect 1 mqctl send "$s" --jsonl <<<'{"mtype":0,"text":"x"}'
    has "$err" "line 1" "mtype"
    expect 1 mqctl send "$q" -f /nowhere
    has "$err" "/nowhere: No such file"
    expect 1 mqctl recv "$q" -t 0
}

@test "mqctl: recv --type: one, the lowest up to one, all but one" {
    sysv
    for type in 5 3 8; do mqctl send "$s" "t$type" --type $type; done
    is "$(mqctl recv "$s" --type -6)" t3
    is "$(mqctl recv "$s" --type '!5')" t8
    expect 1 mqctl recv "$s" --type 9 -t 0.1
    has "$err" "0 of 1 messages came in time"
    is "$(mqctl recv "$s" --type 5)" t5
    for bad in x '!0' 9223372036854775808 ''; do expect 2 mqctl recv "$s" --type "$bad"; done
    expect 2 mqctl send "$s" --type 0 x
    expect 2 mqctl send "$s" --type -3 x
    expect 2 mqctl send "$s" -p 3 x
    mqctl create "$q"
    expect 2 mqctl send "$q" --type 3 x
    expect 2 mqctl recv "$q" --type 3
}

@test "mqctl: what never fits is refused, what does not fit now waits" {
    sysv --limit 10
    expect 1 mqctl send "$s" 12345678901
    has "$err" "11 bytes" "never fits" "10"
    expect 1 mqctl send "$s" --file <(head -c 9000 /dev/zero)
    has "$err" "8192"
    expect 0 mqctl send "$s" 1234567890
    expect 1 mqctl send "$s" x -t 0.1
    has "$err" "stayed full"
    expect 1 mqctl send "$s" x -t 0
    # A limit that is below what waits takes nothing away.
    expect 0 mqctl set "$s" --limit 4
    is "$(ipcs_of | cut -d ' ' -f 1-2)" "1 10"
    expect 0 mqctl recv "$s"
    mqctl create "$q" --maxmsg 1 --msgsize 4
    expect 1 mqctl send "$q" 12345
    has "$err" "5 bytes" "at most 4"
    expect 1 mqctl send "$q" --lines -t 0.1 < <(seq 3)
    has "$err" "line 2 is not sent"
    (sleep 0.3 && mqctl recv "$q") >"$BATS_TEST_TMPDIR/first" &
    expect 0 mqctl send "$q" next
    expect 0 mqctl recv "$q"
    is "$out" next
}

@test "mqctl: a queue that is removed under who waits" {
    for verb in "recv" "wait" "recv -N 2"; do
        sysv
        # shellcheck disable=SC2086 # words
        (sleep 0.3 && ipcrm -q "${s#*:}") &
        expect 3 mqctl $verb "$s"
        has "$err" "$s" "removed"
    done
    sysv
    (sleep 0.3 && ipcrm -q "${s#*:}") &
    expect 0 mqctl recv --follow "$s"
    has "$err" "removed"
    sysv --limit 1
    mqctl send "$s" x
    (sleep 0.3 && ipcrm -q "${s#*:}") &
    expect 3 mqctl send "$s" y
    has "$err" "removed"
}

@test "mqctl: wait tells what is so, and changes nothing" {
    mqctl create "$q" --maxmsg 1
    sysv --limit 1
    for name in "$q" "$s"; do
        expect 1 mqctl wait "$name" -t 0.1
        expect 0 mqctl wait --room "$name"
        expect 0 mqctl wait --empty "$name"
        (sleep 0.3 && mqctl send "$name" x) &
        expect 0 mqctl -J wait "$name"
        is "$out" "{\"queue\":\"$name\",\"depth\":1}"
        expect 1 mqctl wait --room "$name" -t 0.1
        expect 1 mqctl wait --empty "$name" -t 0
        (sleep 0.3 && mqctl recv "$name") >/dev/null &
        expect 0 mqctl wait --empty "$name"
    done
    before=$(ipcs -q -i "${s#*:}")
    expect 1 mqctl wait "$s" -t 0.1
    is "$(ipcs -q -i "${s#*:}")" "$before"
    expect 2 mqctl wait --room --empty "$s"
    expect 130 timeout --preserve-status -s INT 0.5 "$IPCBOX" mqctl wait "$s"
}

@test "mqctl: recv ends when it is told to, and takes nothing when nobody reads" {
    mqctl create "$q" --maxmsg 10
    sysv
    for name in "$q" "$s"; do
        mqctl send "$name" x
        expect 0 timeout --preserve-status -s INT 0.5 "$IPCBOX" mqctl recv --follow "$name"
        is "$out" x
        expect 143 timeout --preserve-status -s TERM 0.5 "$IPCBOX" mqctl recv -N 2 "$name"
        has "$err" "interrupted: 0 of 2"
        # head takes one and goes; the second message stays.
        mqctl send "$name" one
        (sleep 0.5 && mqctl send "$name" two) &
        timeout 20 "$IPCBOX" mqctl recv --follow "$name" | head -n 1
        wait $!
        expect 0 mqctl recv "$name"
        is "$out" two
    done
}

@test "mqctl: recv that is killed at any point loses one message at most, and never one that it had not taken" {
    mqctl create "$q" --maxmsg 10
    sysv
    for name in "$q" "$s"; do
        seq 3000 | mqctl send "$name" --lines -t 60 &
        sender=$!
        : >"$BATS_TEST_TMPDIR/got"
        for i in $(seq 25); do
            timeout -s KILL "0.0$((10 + RANDOM % 60))" "$IPCBOX" mqctl recv --follow "$name" >>"$BATS_TEST_TMPDIR/got" || true
        done
        mqctl recv --follow -t 3 "$name" >>"$BATS_TEST_TMPDIR/got"
        wait "$sender"
        # Each kill may have cost one; what came is in order and whole.
        n=$(sort -un "$BATS_TEST_TMPDIR/got" | wc -l)
        is "$(wc -l <"$BATS_TEST_TMPDIR/got")" "$n"
        sort -n "$BATS_TEST_TMPDIR/got" | cmp - "$BATS_TEST_TMPDIR/got"
        [ "$n" -ge 2975 ]
        [ "$n" -gt 0 ]
    done
}

@test "mqctl: recv with a full disk says that a message is lost, and takes no other" {
    mqctl create "$q" --maxmsg 10
    mqctl send "$q" one
    mqctl send "$q" two
    expect 1 bash -c '"$IPCBOX" mqctl recv -N 2 "$1" >/dev/full' - "$q"
    has "$err" "No space left" "lost"
    expect 0 mqctl recv "$q"
    is "$out" two
}

@test "mqctl: set: owner, mode and limit, of both kinds; all or nothing" {
    mqctl create "$q"
    sysv
    expect 0 mqctl set "$q" --mode 622 --owner 54341 --group 54342
    expect 0 mqpeek -J list
    is "$(jq -c --arg n "$q" '.queues[] | select(.name == $n) | [.uid, .gid, .mode]' <<<"$out")" '[54341,54342,"0622"]'
    expect 0 mqctl set "$s" --mode 622 --limit 1K
    is "$(ipcs_of | cut -d ' ' -f 3)" 622
    has "$(ipcs -q -i "${s#*:}")" "qbytes=1024"
    as_other() { setpriv --reuid 54341 --regid 54341 --clear-groups --inh-caps=-all --bounding-set=-all "$IPCBOX" mqctl "$@"; }
    expect 5 as_other set "$s" --mode 666
    expect 5 as_other rm "$s"
    expect 5 as_other recv "$s"
    expect 0 as_other send "$s" hello
    is "$(ipcs_of | cut -d ' ' -f 1,3)" "1 622"
    expect 0 mqctl set "$s" --owner 54341
    expect 5 as_other set "$s" --mode 600 --limit 99M
    has "$err" "msgmnb"
    is "$(ipcs_of | cut -d ' ' -f 3)" 622
    expect 5 as_other set "$q" --mode 600 --owner 0
    expect 0 mqpeek -J list
    is "$(jq -c --arg n "$q" '.queues[] | select(.name == $n) | [.uid, .mode]' <<<"$out")" '[54341,"0622"]'
    expect 2 mqctl set "$q"
    expect 2 mqctl set "$q" --limit 3
    expect 2 mqctl set "$q" --owner no-such-user
}

@test "mqctl: rm says who still has it open" {
    mqctl create "$q"
    "$IPCBOX" mqctl recv "$q" 3>&- &
    holder=$!
    within 10 sh -c "readlink /proc/$holder/fd/* | grep -q '$q'"
    expect 0 mqctl rm "$q"
    has "$err" "still open in" "[$holder]"
    expect 3 mqctl rm "$q"
    kill "$holder"
    mqctl create "$q"
    "$IPCBOX" mqctl recv "$q" 3>&- &
    holder=$!
    within 10 sh -c "readlink /proc/$holder/fd/* | grep -q '$q'"
    sysv
    expect 3 mqctl -J rm "$q" "$s" /no-such
    is "$(jq -c --argjson p "$holder" '[.queues[] | [.queue, ([.holders[].pid] | contains([$p]))]]' <<<"$out")" "[[\"$q\",true],[\"$s\",false]]"
    expect 2 mqctl rm "pid:$holder:3"
    kill "$holder"
}

@test "mqctl: queues of another IPC namespace" {
    mkfifo "$BATS_TEST_TMPDIR/hold"
    # shellcheck disable=SC2016 # the inner shell's
    unshare -i bash -c '
        "$IPCBOX" mqctl create --sysv --key 0x77 >"$1/id" && "$IPCBOX" mqctl create /inside && exec cat "$1/hold"' \
        - "$BATS_TEST_TMPDIR" 3>&- &
    other=$!
    exec 9>"$BATS_TEST_TMPDIR/hold"
    within 10 test -s "$BATS_TEST_TMPDIR/id"
    id=$(cat "$BATS_TEST_TMPDIR/id")
    expect 0 mqctl send "pid:$other:$id" hello
    expect 0 mqctl send "pid:$other:/inside" hi
    expect 0 mqctl recv "pid:$other:key:0x77"
    is "$out" hello
    expect 3 mqctl send key:0x77 x
    expect 0 mqctl set "pid:$other:$id" --mode 644
    expect 0 mqctl rm "pid:$other:$id" "pid:$other:/inside"
    expect 3 mqctl rm "pid:$other:$id" "pid:$other:/inside"
    expect 3 mqctl send "pid:999999999:$id" x
    exec 9>&-
}

@test "mqctl: each output keeps its schema" {
    valid() { "$SRC/tests/schema/validate" "$@" <"$BATS_TEST_TMPDIR/out"; }
    expect 0 mqctl -J create "$q"
    valid mqctl-create
    expect 0 mqctl -J send "$q" x
    valid mqctl-send
    expect 0 mqctl -J wait "$q"
    valid mqctl-wait
    expect 0 mqctl -J recv "$q"
    valid mqctl-recv
    expect 0 mqctl -J rm "$q"
    valid mqctl-rm
    sysv
    mqctl send "$s" "$(printf '\377')"
    expect 0 mqctl -J recv "$s"
    valid mqctl-recv
}
