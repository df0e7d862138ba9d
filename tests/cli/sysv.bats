#!/usr/bin/env bats
# mqpeek and System V queues: what it shows is what ipcs and lsipc show, it changes nothing, and
# nobody sees what the kernel would not let them read.

load common

setup() { q=; }

teardown() {
    jobs -p | xargs -r kill 2>/dev/null || true
    ipcs -q | awk '/^0x/ { print $2 }' | xargs -rn 1 ipcrm -q 2>/dev/null || true
}

make() { q=$(mqctl create --sysv "$@"); }
id() { echo "${q#*:}"; }

# queue FILTER: of $q in the listing in $out
queue() { jq -c --arg name "$q" ".queues[] | select(.name == \$name) | $1" <<<"$out"; }

other() { setpriv --reuid 54341 --regid 54341 --clear-groups --inh-caps=-all --bounding-set=-all "$@"; }

# The backends that work here, in turns: for_backends COMMAND…
backends() { echo copy; [ "$EUID" != 0 ] || ! mqpeek -q peek --backend bpf "$q" >/dev/null 2>&1 || echo bpf; }

@test "sysv: list shows what ipcs and lsipc show" {
    make --mode 640 --limit 5000 --key 0x4d51
    mqctl send "$q" hello
    mqctl send "$q" "" --type 7
    ipcmk -Q >/dev/null
    expect 0 mqpeek -J
    is "$(queue '[.kind,.id,.key,(.depth // .messages),.bytes,.limit,.maxmsg,.mode,.owner,.holder_count // .holders,.reference]')" \
        "[\"sysv\",$(id),\"0x4d51\",2,5,5000,null,\"0640\",\"root\",null,\"$q\"]"
    is "$(jq '[.queues[] | select(.kind == "sysv")] | length' <<<"$out")" "$(ipcs -q | grep -c '^0x')"
    is "$(lsipc -q -o ID,KEY,MSGS,USEDBYTES --noheadings | awk -v id="$(id)" '$1 == id' | xargs)" "$(id) 0x00004d51 2 5B"
    is "$(ipcs -q | awk -v id="$(id)" '$2 == id { print $3, $4, $5, $6 }')" "root 640 5 2"
    expect 0 mqpeek list --sysv
    has "$out" "$q" "5000"
    expect 0 mqpeek -J list --posix
    is "$(jq '[.queues[] | select(.kind != "posix")] | length' <<<"$out")" 0
    expect 2 mqpeek list --posix --sysv
    expect 0 mqpeek -J list --nonempty --sysv
    is "$(jq '.queues | length' <<<"$out")" 1
    expect 2 mqpeek -J list --sysv --orphans
    has "$err" "no process has a System V queue open"
    ipcrm -q "$(id)"
    expect 0 mqpeek -J
    is "$(queue .)" ""
}

@test "sysv: peek shows every message with its type, and changes nothing" {
    make --key 0x77
    for type in 5 3 9223372036854775807; do mqctl send "$q" "t$type" --type "$type"; done
    mqctl send "$q" --file <(printf 'a\0\377') --type 2
    before=$(ipcs -q -i "$(id)")
    for backend in $(backends); do
        expect 0 mqpeek -J --backend "$backend" "$q"
        is "$(jq -c '.queues[0] | [.kind,.id,.key,.limit,.backend,.consistent,.consistency]' <<<"$out")" \
            "[\"sysv\",$(id),\"0x77\",16384,\"$backend\",true,\"verified\"]"
        is "$(jq -c '[.queues[0].messages[] | [.index,.length,.data_base64]]' <<<"$out")" \
            '[[0,2,"dDU="],[1,2,"dDM="],[2,20,"dDkyMjMzNzIwMzY4NTQ3NzU4MDc="],[3,3,"YQD/"]]'
        has "$out" '"mtype":"9223372036854775807"'
        expect 0 mqpeek --backend "$backend" key:0x77
        has "$out" "TYPE" "($backend, verified)" "4 messages, 27 of 16384 bytes"
        [[ "$out" != *PRIORITY* ]]
        is "$(mqpeek --backend "$backend" --raw -i 1 "$q")" t3
        is "$(mqpeek --backend "$backend" --noheadings --type 3:5 "$q" | awk '{ print $2 }' | tr '\n' ' ')" "5 3 "
        expect 0 mqpeek --backend "$backend" -J -m 0 "$q"
        is "$(jq -c '[.queues[0].messages[].length]' <<<"$out")" '[2,2,20,3]'
    done
    is "$(ipcs -q -i "$(id)")" "$before"
    is "$(mqctl recv "$q" -N 2 | tr '\n' ' ')" "t5 t3 "
}

@test "sysv: wrong keys and ids, options of the other kind" {
    make
    for bad in sysv: sysv:x sysv:-1 sysv:99999999999 key: key:0 key:0x0 key:0x100000000 key:zz pid:0:sysv:1 pid:x:sysv:1; do
        expect 2 mqpeek peek "$bad"
        has "$err" "$bad" "names no queue"
    done
    expect 3 mqpeek sysv:2147483647
    expect 3 mqpeek key:0x1234
    expect 3 mqpeek "pid:999999999:$q"
    expect 2 mqpeek "$q" -p 3
    expect 2 mqpeek "$q" --backend syscall
    expect 1 mqpeek "$q" -i 5
    ipcrm -q "$(id)"
    expect 3 mqpeek "$q"
    has "$err" "no such queue"
    # The next queue in its place has another id.
    make
    [ "$(id)" != 0 ] || skip "the first id"
}

@test "sysv: limits that were lowered below what waits" {
    # shellcheck disable=SC2016 # the inner shell's
    unshare -i bash -euc '
        q=$("$IPCBOX" mqctl create --sysv)
        "$IPCBOX" mqctl send "$q" 0123456789 && "$IPCBOX" mqctl send "$q" x
        echo 4 >/proc/sys/kernel/msgmax
        "$IPCBOX" mqctl set "$q" --limit 3
        ! "$IPCBOX" mqpeek --backend copy "$q" >/dev/null 2>"$0/err"
        grep -q "longer than msgmax" "$0/err"
        "$IPCBOX" mqpeek -J "$q" >"$0/out" || true
        "$IPCBOX" mqpeek -J list --sysv | jq -e ".queues[0] | .bytes == 11 and .limit == 3 and (.depth // .messages) == 2"
        ! "$IPCBOX" mqctl send "$q" 12345 2>"$0/err"
        grep -q "msgmax" "$0/err"
        [ "$("$IPCBOX" mqctl recv "$q")" = 0123456789 ]' "$BATS_TEST_TMPDIR"
}

@test "sysv: info tells whom a receiver waits for, and which message never fits" {
    make --limit 100
    mqctl send "$q" "$(printf %090d 1)"
    "$IPCBOX" mqctl send "$q" "$(printf %050d 1)" 2>/dev/null 3>&- &
    sender=$!
    full=$q
    make --key 0x99
    wants=()
    for type in 5 -3 '!7' 0; do "$IPCBOX" mqctl recv --type "$type" "$q" >/dev/null 2>&1 3>&- & done
    blocked() { [ "$(mqpeek -q -J info "$1" | jq '.queues[0].waiters | length')" = "$2" ]; }
    within 20 blocked "$q" 4
    within 20 blocked "$full" 1
    expect 0 mqpeek -J info "$q"
    is "$(jq -c '[.queues[0].waiters[] | [.direction,.wants]] | sort' <<<"$out")" \
        '[["recv","any"],["recv","equal 5"],["recv","not 7"],["recv","up to 3"]]'
    is "$(jq -c '.queues[0] | [.key,.creator,.cuid,.lspid,.depth]' <<<"$out")" '["0x99","root",0,null,0]'
    expect 0 mqpeek -J info "$full"
    is "$(jq -c '.queues[0].waiters[] | [.pid,.direction,.length,.fits,.wants]' <<<"$out")" "[$sender,\"send\",50,true,null]"
    mqctl set "$full" --limit 40
    within 20 blocked "$full" 1
    expect 0 mqpeek -J info "$full"
    is "$(jq -c '.queues[0].waiters[] | [.length,.fits]' <<<"$out")" '[50,false]'
    has "$err" "never fits" "40"
    # Without privilege threads are found in /proc.
    mqctl set "$q" --mode 644
    expect 0 other "$IPCBOX" mqpeek -J info "$q"
    is "$(jq -c '.queues[0] | [.waiters_complete, (.waiters | length)]' <<<"$out")" '[false,0]'
    expect 0 mqpeek -J list
    is "$(queue '.receiver_count // .receivers')" 4
}

@test "sysv: threads are found in /proc as well, with what they wait for" {
    make
    "$IPCBOX" mqctl recv --type -3 "$q" >/dev/null 2>&1 3>&- &
    receiver=$!
    listed() { mqpeek -q -J list | jq -e --arg n "$q" '.queues[] | select(.name == $n) | (.receiver_count // .receivers) == 1'; }
    within 20 listed
    # A process that cannot load BPF, but may look into others.
    mqctl set "$q" --mode 644
    expect 0 setpriv --inh-caps=-all --bounding-set=-bpf,-perfmon,-sys_admin "$IPCBOX" mqpeek -J info "$q"
    is "$(jq -c '.queues[0].waiters[] | [.pid,.tid,.direction,.wants]' <<<"$out")" "[$receiver,$receiver,\"recv\",\"up to 3\"]"
}

@test "sysv: nobody sees what the kernel would not let them read, whatever the program was given" {
    make --mode 600
    mqctl send "$q" secret
    cp "$IPCBOX" "$BATS_TEST_TMPDIR/ipcbox"
    chmod 755 "$BATS_TEST_TMPDIR/ipcbox"
    chmod 711 "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/* 2>/dev/null || true
    setcap cap_bpf,cap_perfmon,cap_sys_admin,cap_ipc_owner,cap_sys_ptrace,cap_dac_read_search+ep "$BATS_TEST_TMPDIR/ipcbox"
    given() { setpriv --reuid 54341 --regid 54341 --clear-groups "$BATS_TEST_TMPDIR/ipcbox" "$@"; }
    given --version >/dev/null || skip "the test folder is not for others"
    for verb in "" "--backend copy" "--backend bpf" info "-m 0"; do
        # shellcheck disable=SC2086 # words
        expect 5 given mqpeek $verb "$q"
        [[ "$out" != *secret* ]]
    done
    expect 5 given mqctl recv "$q"
    expect 5 given mqctl rm "$q"
    expect 5 other "$IPCBOX" mqpeek "$q"
    # The listing shows what ipcs shows to everybody.
    expect 0 given mqpeek -J list --sysv
    is "$(queue '[(.depth // .messages),.bytes]')" '[1,6]'
    mqctl set "$q" --mode 644
    expect 0 given mqpeek -J "$q"
    is "$(jq -r '.queues[0].messages[0].text' <<<"$out")" secret
    expect 0 other "$IPCBOX" mqpeek -J "$q"
    is "$(jq -r '.queues[0] | .backend + " " + .messages[0].text' <<<"$out")" "copy secret"
    mqctl set "$q" --mode 622
    expect 5 given mqpeek "$q"
    expect 5 other "$IPCBOX" mqpeek "$q"
    rm "$BATS_TEST_TMPDIR/ipcbox"
    # Set-user-ID makes no difference either.
    cp "$IPCBOX" "$BATS_TEST_TMPDIR/suid"
    chmod 4755 "$BATS_TEST_TMPDIR/suid"
    mqctl set "$q" --mode 600
    expect 5 setpriv --reuid 54341 --regid 54341 --clear-groups "$BATS_TEST_TMPDIR/suid" mqpeek "$q"
}

@test "sysv: a queue of another IPC namespace" {
    mkfifo "$BATS_TEST_TMPDIR/hold"
    # shellcheck disable=SC2016 # the inner shell's
    unshare -i bash -c 'q=$("$IPCBOX" mqctl create --sysv) && "$IPCBOX" mqctl send "$q" inside && echo "$q" >"$0/id" && exec cat "$0/hold"' \
        "$BATS_TEST_TMPDIR" 3>&- &
    there=$!
    exec 9>"$BATS_TEST_TMPDIR/hold"
    within 10 test -s "$BATS_TEST_TMPDIR/id"
    far=pid:$there:$(cat "$BATS_TEST_TMPDIR/id")
    make
    mqctl send "$q" outside
    for backend in $(backends); do
        expect 0 mqpeek -J --backend "$backend" "$q" "$far" "$q"
        is "$(jq -c '[.queues[].messages[].text]' <<<"$out")" '["outside","inside","outside"]'
    done
    expect 0 mqpeek -J info "$far"
    is "$(jq '.queues[0].ipc_namespace' <<<"$out")" "$(readlink "/proc/$there/ns/ipc" | tr -dc 0-9)"
    expect 5 other "$IPCBOX" mqpeek "$far"
    exec 9>&-
}

@test "sysv: limits explains each error in figures" {
    # shellcheck disable=SC2016 # the inner shell's
    expect 0 unshare -i bash -c 'echo 3 >/proc/sys/kernel/msgmni; for i in 1 2 3; do "$IPCBOX" mqctl create --sysv --limit 1; done >/dev/null
        "$IPCBOX" mqctl send sysv:1 x; exec "$IPCBOX" mqpeek -J limits sysv'
    is "$(jq -c '[.msgmni, .queue_count, .message_count, .bytes, .full_count, .fullest]' <<<"$out")" '[3,3,1,1,1,"sysv:1"]'
    is "$(jq -c '[.errors[] | [.error, .result]]' <<<"$out")" \
        '[["ENOSPC","fails"],["EAGAIN","fails"],["EINVAL","depends"],["E2BIG","depends"],["EIDRM","depends"],["EACCES","depends"]]'
    expect 0 mqpeek -J limits sysv
    is "$(jq -c '[.errors[:2][].result]' <<<"$out")" '["ok","ok"]'
    "$SRC/tests/schema/validate" mqpeek-limits-sysv <"$BATS_TEST_TMPDIR/out"
    expect 0 mqpeek limits posix
    expect 2 mqpeek limits 5
    expect 2 mqpeek limits sysv 5
}

@test "sysv: doctor tells which ways to look work" {
    expect 0 ipcbox -J doctor
    make
    for backend in bpf copy; do
        usable=$(jq --arg b "System V: $backend" '.backends[] | select(.backend == $b).usable' <<<"$out")
        got=false
        if mqpeek -q --backend "$backend" "$q" >/dev/null 2>&1; then got=true; fi
        is "$usable" "$got"
    done
}

@test "sysv: metrics have a sample for each queue" {
    make --key 0x4d51 --limit 100
    mqctl send "$q" hello
    expect 0 mqpeek metrics
    has "$out" "ipcbox_sysv_messages{queue=\"$q\",key=\"0x4d51\"} 1" "ipcbox_sysv_bytes{queue=\"$q\",key=\"0x4d51\"} 5" \
        "ipcbox_sysv_limit_bytes{queue=\"$q\",key=\"0x4d51\"} 100" "ipcbox_sysv_queues 1" "ipcbox_sysv_limit_queues "
    is "$(tail -n 1 <<<"$out")" "# EOF"
    # Each family is named once.
    is "$(grep '^# TYPE' <<<"$out" | sort | uniq -d)" ""
}

# What ipcs tells of $q but for its times and last processes, and all messages.
whole() {
    ipcs -q -i "$(id)" | grep -v -e _time -e cbytes | sed 's/lspid.*//'
    mqpeek --jsonl "$q" | jq -c '[.index, .mtype, .data_base64, .key, .limit]'
}

@test "sysv: save and restore give back id, key, owner, creator, mode, limit, types and order" {
    cd "$BATS_TEST_TMPDIR"
    mqctl create --sysv >/dev/null
    make --key 0x4d51 --mode 640 --limit 500
    mqctl set "$q" --owner 54341 --group 54342
    for type in 5 3 9223372036854775807 3; do mqctl send "$q" --type $type "t$type"; done
    mqctl send "$q" --file <(printf 'a\0\377')
    mqctl send "$q" ""
    before=$(whole)
    expect 0 mqdump save "$q" -O dump
    is "$(whole)" "$before"
    expect 0 mqdump verify dump
    is "$(head -n 1 dump | jq .version)" 2
    expect 1 mqdump restore dump
    has "$err" "$q exists already"
    is "$(whole)" "$before"
    mqctl rm "$q"
    expect 0 mqdump restore --dry-run dump
    expect 3 mqpeek "$q"
    expect 0 mqdump restore dump
    has "$out" "$q" create
    is "$(whole)" "$before"
    # The wish for the id is used up.
    is "$(cat /proc/sys/kernel/msg_next_id)" -1
    # A dump without such queues is of the version that every ipcbox reads.
    mqctl create "/$BATS_TEST_NAME"
    mqdump save "/$BATS_TEST_NAME" -O posix
    is "$(head -n 1 posix | jq .version)" 1
    mqctl -q rm "/$BATS_TEST_NAME"
}

@test "sysv: restore makes all queues or none" {
    cd "$BATS_TEST_TMPDIR"
    make
    mqctl send "$q" one
    first=$q
    make --key 0x4d52
    mqctl send "$q" two --type 7
    posix=/$(unique)
    mqctl create "$posix"
    mqctl send "$posix" three
    mqdump save "$first" "$q" "$posix" -O dump
    none() { [ "$(ipcs -q | grep -c '^0x')" = "$1" ]; }
    mqctl -q rm "$first" "$q"
    # The POSIX queue is in the way.
    expect 1 mqdump restore dump
    none 0
    # The key is.
    mqctl -q rm "$posix"
    mqctl create key:0x4d52 >/dev/null
    expect 1 mqdump restore dump
    none 1
    expect 3 mqpeek "$posix"
    mqctl rm key:0x4d52
    # One queue only, then another.
    expect 0 mqdump restore dump "$q"
    none 1
    is "$(mqctl recv "$q")" two
    expect 3 mqdump restore dump sysv:77
    mqctl rm "$q"
    # What cannot be: no room for queues, a type that no message has, a line that is missing.
    for edit in 's/"mtype":7/"mtype":0/' 's/"id":/"no":/' 's/"key":"0x4d52"/"key":"0x14d520000"/'; do
        sed "$edit" dump | mqdump seal >bad
        expect 1 mqdump restore bad
        none 0
        expect 3 mqpeek "$posix"
    done
    # shellcheck disable=SC2016 # the inner shell's
    expect 1 unshare -i sh -c 'echo 1 >/proc/sys/kernel/msgmni; exec "$IPCBOX" mqdump restore dump'
    has "$err" msgmni
    chmod 644 dump
    expect 5 setpriv --inh-caps=-all --bounding-set=-all "$IPCBOX" mqdump restore dump "$first" || expect 5 other "$IPCBOX" mqdump restore - "$first" <dump
    none 0
    expect 0 mqdump restore dump
    none 2
    is "$(mqctl recv "$first") $(mqctl recv "$q") $(mqctl recv "$posix")" "one two three"
    mqctl -q rm "$posix"
}

@test "sysv: save --all takes both kinds, and names what it may not read" {
    cd "$BATS_TEST_TMPDIR"
    make --mode 644
    mqctl send "$q" open
    make --mode 600
    mqctl send "$q" closed
    expect 0 mqdump save --all -O dump
    is "$(jq -c 'select(.type == "sysv_message") | .text' dump | tr '\n' ' ')" '"open" "closed" '
    expect 5 other "$IPCBOX" mqdump save --all
    has "$err" "$q is left out"
    is "$(jq -c 'select(.type == "sysv_message") | .text' <<<"$out")" '"open"'
    expect 5 other "$IPCBOX" mqdump save "$q"
}

@test "sysv: top shows both kinds, counts what goes in and out, and who is blocked" {
    make --limit 100
    posix=/$(unique top)
    mqctl create "$posix"
    mqctl send "$q" "$(printf %050d 1)"
    "$IPCBOX" mqctl recv --type 9 "$q" >/dev/null 2>&1 3>&- &
    events=$BATS_TEST_TMPDIR/events
    "$IPCBOX" mqpeek top -b -J -d 0.5 --rates counted >"$events" 2>"$BATS_TEST_TMPDIR/note" 3>&- &
    top=$!
    row() { jq -c --arg q "$q" "select(.name == \$q) | $1" "$events"; }
    both() { grep -qF "$posix" "$events" && row .receiver_count | grep -qx 1; }
    within 60 both
    # Sends until an interval has some.
    counted() {
        mqctl send "$q" x && mqctl recv "$q" --type 1 >/dev/null
        row 'select(.sent > 0 and .received > 0) | 1' | grep -q 1
    }
    within 60 counted
    kill "$top"
    wait "$top" || true
    sed -i '/}$/!d' "$events" # the last line may be half of one
    mqctl -q rm "$posix"
    is "$(row '[.maxmsg, .holder_count, .rates, .unlinked]' | sort -u)" '[null,null,"counted",false]'
    "$SRC/tests/schema/validate" --lines mqpeek-top <"$events"
    expect 0 mqpeek top -b -N 1 -d 0.1 -J --sysv
    is "$(jq -r .name <<<"$out")" "$q"
    expect 0 mqpeek top -b -N 1 -d 0.1 -J --posix
    is "$(jq -r 'select(.name | startswith("sysv")) | .name' <<<"$out")" ""
    expect 0 mqpeek top -b -N 1 -d 0.1 --rates sampled
    has "$out" "$q"
    expect 2 mqpeek top --posix --sysv
}

@test "sysv: top counts nothing on queues that the user may not read" {
    make --mode 600
    expect 0 other "$IPCBOX" mqpeek top -b -N 2 -d 0.2 -J
    is "$(jq -c --arg q "$q" 'select(.name == $q) | .depth' <<<"$out" | sort -u)" 0
    other_dir=$(mktemp -d /tmp/ipcbox.XXXXXX)
    chmod 755 "$other_dir"
    cp "$IPCBOX" "$other_dir/ipcbox"
    setcap cap_bpf,cap_perfmon,cap_sys_admin,cap_ipc_owner,cap_sys_ptrace,cap_dac_read_search+ep "$other_dir/ipcbox"
    setpriv --reuid 54341 --regid 54341 --clear-groups "$other_dir/ipcbox" mqpeek top -b -N 8 -d 0.3 -J --rates counted \
        >"$BATS_TEST_TMPDIR/events" 2>"$BATS_TEST_TMPDIR/note" 3>&- &
    top=$!
    while kill -0 "$top" 2>/dev/null; do mqctl send "$q" x && mqctl recv "$q" >/dev/null; done
    wait "$top"
    rm -r "$other_dir"
    is "$(jq -c --arg q "$q" 'select(.name == $q) | [.sent, .received]' "$BATS_TEST_TMPDIR/events" | sort -u)" '[null,null]'
}

# kills a restore of both kinds in the middle of its CALL number N; false when it came to its end
killed_at() {
    ! strace -qq -o "$BATS_TEST_TMPDIR/trace" -e trace="$1" -e inject="$1:signal=KILL:when=$2" \
        "$IPCBOX" mqdump restore dump >"$BATS_TEST_TMPDIR/killed" 2>&1
}

@test "sysv: a restore that is killed anywhere is finished or undone by the next" {
    cd "$BATS_TEST_TMPDIR"
    export IPCBOX_STATE_DIR=$BATS_TEST_TMPDIR/state
    make --key 0x4d51 --mode 640 --limit 500
    mqctl set "$q" --owner 54341
    mqctl send "$q" one --type 5
    mqctl send "$q" two
    first=$q
    make --mode 600
    mqctl send "$q" three
    posix=/$(unique killed)
    mqctl create "$posix"
    mqctl send "$posix" four
    want=$(mqpeek -q -J "$first" "$q" | jq -c '[.queues[] | .key, .limit, [.messages[] | .mtype, .text]]')
    mqdump save "$first" "$q" "$posix" -O dump
    gone() { mqctl -q rm "$first" "$q" "$posix" >/dev/null 2>&1 || true; }
    gone
    undone=0 finished=0
    for call in msgget msgsnd msgctl mq_open; do
        for ((n = 1; n < 60; n++)); do
            killed_at "$call" "$n" || break
            expect 0 mqdump restore --recover
            is "$(cat /proc/sys/kernel/msg_next_id)" -1
            is "$(find state -name 'sysv-restore-*' | wc -l)" 0
            if mqpeek -q "$first" >/dev/null 2>&1; then
                is "$(mqpeek -q -J "$first" "$q" | jq -c '[.queues[] | .key, .limit, [.messages[] | .mtype, .text]]')" "$want"
                is "$(mqpeek list --sysv --noheadings -o owner,mode | xargs)" "54341 0640 root 0600"
                expect 0 mqpeek "$posix"
                finished=$((finished + 1))
            else
                is "$(ipcs -q | grep -c '^0x' || true)" 0
                expect 3 mqpeek "$posix"
                undone=$((undone + 1))
            fi
            gone
        done
        # It came to its end.
        is "$(mqctl recv "$first")" one
        gone
    done
    [ "$undone" -gt 3 ]
    [ "$finished" -gt 0 ]
}

@test "sysv: a wrong queue is one clear line and the right status in each command, and nothing changes" {
    cd "$BATS_TEST_TMPDIR"
    make --mode 640
    mqctl send "$q" kept
    before=$(ipcs -q -i "$(id)" | grep -v _time)
    # An id that only another IPC namespace has.
    # shellcheck disable=SC2016 # the inner shell's
    far=$(unshare -i bash -c 'for i in 1 2 3; do "$IPCBOX" mqctl create --sysv; done | tail -n 1')
    for command in "mqpeek peek" "mqpeek info" "mqpeek follow" "mqdump save" "mqdump record" \
        "mqctl send" "mqctl recv" "mqctl wait" "mqctl set --limit 9" "mqctl rm"; do
        for none in sysv:2147483647 key:0x1234 "$far"; do
            # shellcheck disable=SC2086 # words
            expect 3 $command "$none"
            is "$(grep -cv 'following with' err)" 1
            has "$err" "$none"
        done
        for bad in key:0 sysv:x sysv:-1; do
            # shellcheck disable=SC2086 # words
            expect 2 $command "$bad"
            has "$err" "$bad"
        done
    done
    for type in 0 -1; do expect 2 mqctl send "$q" --type "$type" x; done
    expect 2 mqpeek follow "$q" --type -1
    is "$(ipcs -q -i "$(id)" | grep -v _time)" "$before"
    is "$(ipcs -q | grep -c '^0x')" 1
    # A namespace that has no room: nothing is made, of the dump's queues either.
    mqdump save "$q" -O dump
    # shellcheck disable=SC2016 # the inner shell's
    expect 1 unshare -i bash -c 'echo 1 >/proc/sys/kernel/msgmni; "$IPCBOX" mqctl create --sysv >/dev/null
        "$IPCBOX" mqctl create --sysv; a=$?; "$IPCBOX" mqdump restore dump; b=$?
        [ "$a $b" = "1 1" ] && [ "$(ipcs -q | grep -c ^0x)" = 1 ] && exit 1'
    has "$err" msgmni
}
