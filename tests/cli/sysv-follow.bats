#!/usr/bin/env bats
# mqpeek follow, mqdump record and replay of System V queues: what real callers of all kinds do is
# what is shown, and nothing that they only looked at.

load common

setup() { q= follow_pid=; }

teardown() {
    [ -z "$follow_pid" ] || kill "$follow_pid" 2>/dev/null || true
    jobs -p | xargs -r kill 2>/dev/null || true
    ipcs -q | awk '/^0x/ { print $2 }' | xargs -rn 1 ipcrm -q 2>/dev/null || true
    [ -z "${other_dir-}" ] || rm -rf "$other_dir"
}

make() { q=$(mqctl create --sysv "$@"); }
id() { echo "${q##*:}"; }

# follow OPTION…: in the background, until it has begun; its events go to $events
follow() {
    events=$BATS_TEST_TMPDIR/events
    note=$BATS_TEST_TMPDIR/note
    : >"$events"
    "$IPCBOX" mqpeek follow -J "$@" >"$events" 2>"$note" 3>&- &
    follow_pid=$!
    within 60 begun
}

# As many links as it attaches: two around system calls for each kind, or more around functions.
begun() { kill -0 "$follow_pid" && [ "$(readlink /proc/"$follow_pid"/fd/* 2>/dev/null | grep -c "anon_inode:bpf_link")" -ge "${links:-2}" ]; }

ended() {
    local got=0
    wait "$follow_pid" || got=$?
    follow_pid=
    is "$got" "$1" || { cat "$note"; return 1; }
    [ ! -s "$events" ] || "$SRC/tests/schema/validate" --lines mqpeek-follow <"$events"
}

stop() { kill -TERM "$follow_pid" && ended "${1:-0}"; }

# What sysvcalls does, as it has to be told.
expected() {
    printf '["send","%s",7,"first"]\n["recv","%s",7,"first"]\n' "$1" "$1"
    printf '["send","%s",8,"second"]\n["recv","%s",8,"se"]\n' "$1" "$1"
    printf '["change","%s",null,null]\n' "$1"
    printf '["recv","%s",9,"late"]\n["send","%s",9,"late"]\n' "$1" "$1"
}

# The last two are of two processes, which end their calls in either order.
told() { jq -c 'select(.event != "lost") | [.event, .queue, .mtype, .text]' "$events" | awk 'NR < 6 { print; next } { print | "sort" }'; }

# callers KIND: that program's calls, followed
callers() {
    local got=0
    make
    follow "$q"
    "$HELPERS/sysvcalls" "$(id)" "$1" || got=$?
    [ "$got" != 77 ] || skip "the kernel has no entry for 32-bit programs"
    is "$got" 0
    stop
    is "$(told)" "$(expected "$q")"
    is "$(jq -c 'select(.event == "change") | [.limit, .mode, .uid]' "$events")" '[5000,"0600",0]'
    has "$(cat "$note")" "7 events, 0 lost"
    # A receiver that slept is told as such.
    jq -se 'map(select(.text == "late" and .event == "recv")) | length == 1 and .[0].blocked > 0' "$events"
}

@test "sysv follow: a 64-bit program's calls" { callers 64; }
@test "sysv follow: a 32-bit program's calls by their own numbers" { callers 32; }
@test "sysv follow: a 32-bit program's calls through ipc(2), in both its forms" { callers ipc; }

@test "sysv follow: several queues of both kinds, by id and by key, in one order" {
    make --key 0x77
    first=$q
    make
    third=$(mqctl create --sysv)
    posix=/$(unique both)
    mqctl create "$posix"
    links=4
    follow key:0x77 "$q" "$first" "$posix"
    mqctl send "$posix" one
    mqctl send "$first" two --type 9223372036854775807
    mqctl send "$third" not-this
    mqctl send "$q" three
    mqctl recv "$posix" >/dev/null
    mqctl recv "$first" >/dev/null
    mqctl -q rm "$first"
    mqctl recv "$q" >/dev/null
    stop
    mqctl -q rm "$posix"
    is "$(jq -c 'select(.event | IN("send", "recv", "remove")) | [.event, .queue, .text]' "$events")" \
        "[\"send\",\"$posix\",\"one\"]
[\"send\",\"key:0x77\",\"two\"]
[\"send\",\"$q\",\"three\"]
[\"recv\",\"$posix\",\"one\"]
[\"recv\",\"key:0x77\",\"two\"]
[\"remove\",\"key:0x77\",null]
[\"recv\",\"$q\",\"three\"]"
    has "$(cat "$events")" '"mtype":"9223372036854775807"'
    jq -se 'map(.time) | . == sort' "$events"
    jq -se 'map(select(.queue | startswith("/"))) | all(has("mtype") | not)' "$events"
}

@test "sysv follow: --type, --send, --pid, -N, and a table" {
    make
    follow "$q" --type 3:5 -N 2
    for type in 1 3 7 5; do mqctl send "$q" --type $type "t$type"; done
    ended 0
    is "$(jq -sc 'map([.event, .mtype])' "$events")" '[["send",3],["send",5]]'
    follow "$q" --send
    mqctl recv "$q" -N 4 >/dev/null
    mqctl send "$q" x
    mqctl set "$q" --limit 100
    stop
    is "$(jq -sc 'map([.event, .text])' "$events")" '[["send","x"]]'
    "$IPCBOX" mqpeek follow "$q" -N 1 >"$BATS_TEST_TMPDIR/table" 2>/dev/null 3>&- &
    follow_pid=$!
    within 60 begun
    mqctl send "$q" y --type 4
    wait "$follow_pid"
    follow_pid=
    has "$(cat "$BATS_TEST_TMPDIR/table")" "TYPE  LENGTH" "4       1"
    [[ "$(cat "$BATS_TEST_TMPDIR/table")" != *PRIORITY* ]]
    expect 2 mqpeek follow "$q" -p 3
    expect 2 mqpeek follow --all --posix --sysv
    expect 2 mqpeek follow --all --posix --type 3
    expect 2 mqpeek follow "$q" --sysv
    expect 2 mqpeek follow sysv:x
    expect 3 mqpeek follow sysv:2147483647
    expect 3 mqpeek follow key:0x1234
    mqctl -q rm "$q"
    expect 3 mqpeek follow "$q"
}

@test "sysv follow: --all has both kinds, also queues that come later" {
    # shellcheck disable=SC2016 # the inner shell's
    expect 0 unshare -i bash -uc '
        "$IPCBOX" mqpeek follow --all -J >"$0" 2>"$1" 3>&- &
        until [ "$(readlink /proc/$!/fd/* | grep -c anon_inode:bpf_link)" -ge 4 ]; do kill -0 $! && sleep 0.05 || exit 9; done
        q=$("$IPCBOX" mqctl create --sysv --key 5)
        "$IPCBOX" mqctl send "$q" new --type 6
        "$IPCBOX" mqctl rm "$q"
        "$IPCBOX" mqctl create /posix
        "$IPCBOX" mqctl send /posix old
        "$IPCBOX" mqctl -q rm /posix
        kill $! && wait $!' "$BATS_TEST_TMPDIR/events" "$BATS_TEST_TMPDIR/note"
    is "$(jq -c 'select(.event | IN("send", "remove")) | [.event, .queue, .mtype, .text]' "$BATS_TEST_TMPDIR/events")" \
        '["send","sysv:0",6,"new"]
["remove","sysv:0",null,null]
["send","/posix",null,"old"]'
}

@test "sysv follow: a queue of another IPC namespace, and not the one with the same id here" {
    mkfifo "$BATS_TEST_TMPDIR/hold"
    make
    # shellcheck disable=SC2016 # the inner shell's
    unshare -i bash -uc '"$IPCBOX" mqctl create --sysv >"$0/id"; read -r _ <"$0/hold"
        exec "$IPCBOX" mqctl send "$(cat "$0/id")" inside' "$BATS_TEST_TMPDIR" 3>&- &
    there=$!
    exec 9<>"$BATS_TEST_TMPDIR/hold"
    within 10 test -s "$BATS_TEST_TMPDIR/id"
    far=pid:$there:$(cat "$BATS_TEST_TMPDIR/id")
    follow "$far"
    mqctl send "$q" outside
    echo >&9
    wait "$there"
    stop
    is "$(jq -c '[.event, .queue, .text]' "$events")" "[\"send\",\"$far\",\"inside\"]"
    exec 9>&-
}

@test "sysv follow: all of a storm is seen or counted" {
    make
    follow "$q"
    count=20000
    [ -z "${IPCBOX_TEST_LONG-}" ] || count=300000
    got=0
    "$HELPERS/sysvcalls" "$(id)" storm "$count" >"$BATS_TEST_TMPDIR/storm" || got=$?
    is "$got" 0
    is "$(cat "$BATS_TEST_TMPDIR/storm")" "wrong 0"
    kill -TERM "$follow_pid"
    got=0
    wait "$follow_pid" || got=$?
    follow_pid=
    sent=$(grep -c '"event":"send"' "$events")
    received=$(grep -c '"event":"recv"' "$events")
    lost=$(grep '"event":"lost"' "$events" | jq -s 'map(.count) | add // 0')
    is $((sent + received + lost)) $((2 * count))
    if [ "$lost" = 0 ]; then is "$got" 0; else is "$got" 1; fi
}

# Other users' eyes: a binary with every capability that helps, used by someone who may not read.
given() { setpriv --reuid 54341 --regid 54341 --clear-groups "$other_dir/ipcbox" "$@"; }

give() {
    other_dir=$(mktemp -d /tmp/ipcbox.XXXXXX)
    chmod 755 "$other_dir"
    cp "$IPCBOX" "$other_dir/ipcbox"
    chmod 755 "$other_dir/ipcbox"
    setcap cap_bpf,cap_perfmon,cap_sys_admin,cap_ipc_owner,cap_sys_ptrace,cap_dac_read_search+ep "$other_dir/ipcbox"
}

@test "sysv follow: nobody sees what the kernel would not let them read" {
    give
    make --mode 600
    expect 5 given mqpeek follow "$q" --timeout 0.2
    expect 5 given mqdump record "$q" --duration 0.2
    own=$(setpriv --reuid 54341 --regid 54341 --clear-groups "$IPCBOX" mqctl create --sysv 2>/dev/null || given mqctl create --sysv)
    shared=$(mqctl create --sysv --mode 644)
    events=$BATS_TEST_TMPDIR/events
    for all in "--all" "$shared"; do
        setpriv --reuid 54341 --regid 54341 --clear-groups "$other_dir/ipcbox" mqpeek follow -J $all >"$events" 2>"$BATS_TEST_TMPDIR/note" 3>&- &
        follow_pid=$!
        # Until it has begun: its descriptors cannot be looked at from here.
        both() {
            mqctl send "$q" secret && mqctl recv "$q" >/dev/null
            mqctl send "$shared" public && mqctl recv "$shared" >/dev/null
            grep -q public "$events"
        }
        within 60 both
        # The mode that lets them read is taken away: the right ends with it.
        mqctl set "$shared" --mode 600
        mqctl send "$shared" secret2
        mqctl recv "$shared" >/dev/null
        mqctl set "$shared" --mode 644
        mqctl send "$shared" again
        mqctl recv "$shared" >/dev/null
        within 60 grep -q again "$events"
        kill -TERM "$follow_pid"
        wait "$follow_pid"
        follow_pid=
        is "$(grep -c secret "$events" || true)" 0
        is "$(jq -r .queue "$events" | sort -u)" "$shared"
    done
    # Their own they see.
    setpriv --reuid 54341 --regid 54341 --clear-groups "$other_dir/ipcbox" mqpeek follow -J "$own" -N 1 >"$events" 2>/dev/null 3>&- &
    follow_pid=$!
    mine() { mqctl send "$own" mine; grep -q mine "$events"; }
    within 60 mine
    wait "$follow_pid"
    follow_pid=
    # Without capabilities: why not.
    expect 5 setpriv --reuid 54341 --regid 54341 --clear-groups "$IPCBOX" mqpeek follow "$own"
    has "$err" "cannot follow"
}

# conforms FILE: each line is as the schema of dumps has it
conforms() {
    python3 - "$SRC/tests/schema/dump.schema.json" "$1" <<'PY'
import json, sys, jsonschema
check = jsonschema.Draft7Validator(json.load(open(sys.argv[1])))
for line in open(sys.argv[2]):
    check.validate(json.loads(line))
PY
}

attached() { [ "$(readlink /proc/"$1"/fd/* 2>/dev/null | grep -c "anon_inode:bpf_link")" -ge 2 ]; }

@test "sysv record: the traffic is in the file, and replay sends it again, to either kind of queue" {
    cd "$BATS_TEST_TMPDIR"
    make
    "$IPCBOX" mqdump record "$q" -N 6 -O t.traffic 2>record.err 3>&- &
    job=$!
    within 60 attached "$job"
    mqctl send "$q" one --type 5
    mqctl send "$q" two --type 9223372036854775807
    mqctl set "$q" --limit 1000
    is "$(mqctl recv "$q" --type 9223372036854775807)" two
    mqctl send "$q" --file <(printf 'a\0\377')
    is "$(mqctl recv "$q")" one
    mqctl recv "$q" >/dev/null
    wait "$job"
    is "$(head -n 1 t.traffic | jq -c '[.version, .kind]')" '[2,"traffic"]'
    is "$(jq -c 'select(.type == "event") | [.event, .queue, .mtype, .text]' t.traffic | head -n 2)" \
        "[\"send\",\"$q\",5,\"one\"]
[\"send\",\"$q\",\"9223372036854775807\",\"two\"]"
    is "$(jq -c 'select(.type == "sysv_change") | [.queue, .limit, .mode]' t.traffic)" "[\"$q\",1000,\"0600\"]"
    expect 0 mqdump verify t.traffic
    conforms t.traffic
    expect 0 mqdump -J show --messages t.traffic
    is "$(jq -c '[.events[] | [.event, .mtype, .priority]] | .[0], length' <<<"$out")" '["send",5,null]
6'
    has "$out" '"mtype":"9223372036854775807"'
    "$SRC/tests/schema/validate" mqdump-show-events <out
    # To where it was recorded, at its pace and as fast as it can.
    for speed in 50 max; do
        expect 0 mqdump -J replay t.traffic --speed "$speed"
        is "$(jq -c '[.sent, .received, .bytes]' <<<"$out")" '[3,0,9]'
        is "$(mqpeek -q -J "$q" | jq -c '[.queues[0].messages[] | .data_base64]')" '["b25l","dHdv","YQD/"]'
        has "$(mqpeek -q -J "$q")" '"mtype":"9223372036854775807"'
        mqctl recv "$q" -N 3 >/dev/null
    done
    # Receives too, those of the recorded types.
    expect 0 mqdump -J replay t.traffic --only all --speed max
    is "$(jq -c '[.sent, .received]' <<<"$out")" '[3,3]'
    is "$(mqpeek -q -J "$q" | jq '.queues[0].depth')" 0
    # A queue that is full, removed, of the other kind, or none.
    mqctl set "$q" --limit 3
    expect 1 mqdump replay t.traffic --speed max --timeout 0.2
    has "$err" "$q" full
    is "$(mqctl recv "$q")" one
    mqctl -q rm "$q"
    expect 3 mqdump replay t.traffic
    has "$err" "nothing was sent" "$q"
    posix=/$(unique replay)
    mqctl create "$posix"
    expect 0 mqdump -J replay t.traffic --to "$posix" --speed max
    is "$(mqctl recv "$posix" -N 2 | tr '\n' ' ')" "one two "
    mqctl -q rm "$posix"
    expect 2 mqdump replay t.traffic --to key:0 || expect 1 mqdump replay t.traffic --to key:0
    sed 's/"mtype":5/"mtype":0/' t.traffic | mqdump seal >bad
    expect 1 mqdump replay bad --to "$posix"
    has "$err" mtype
}

@test "sysv show: the queues and messages of a dump of both kinds" {
    cd "$BATS_TEST_TMPDIR"
    make --key 0x4d51 --limit 500
    mqctl send "$q" one --type 5
    mqctl send "$q" two --type 7
    empty=$(mqctl create --sysv)
    posix=/$(unique show)
    mqctl create "$posix"
    mqctl send "$posix" three -p 3
    mqdump save "$q" "$empty" "$posix" -O dump
    mqctl -q rm "$posix"
    conforms dump
    expect 0 mqdump -J show dump
    is "$(jq -c '.queues[] | [.name, .depth, .bytes, .key, .limit]' <<<"$out")" \
        "[\"$q\",2,6,\"0x4d51\",500]
[\"$empty\",0,0,null,16384]
[\"$posix\",1,5,null,null]"
    "$SRC/tests/schema/validate" mqdump-show <out
    expect 0 mqdump -J show --messages dump
    is "$(jq -c '.messages[] | [.queue, .index, .priority, .mtype, .text]' <<<"$out")" \
        "[\"$q\",0,null,5,\"one\"]
[\"$q\",1,null,7,\"two\"]
[\"$posix\",0,3,null,\"three\"]"
    "$SRC/tests/schema/validate" mqdump-show-messages <out
    expect 0 mqdump show --messages dump "$q"
    has "$out" TYPE one
    [[ "$out" != *three* ]]
    expect 3 mqdump show dump sysv:2147483647
}
