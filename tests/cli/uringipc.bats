#!/usr/bin/env bats
# uringipc: channels between real processes. The embedded ones; and, of the tests with the tag
# kernel, those of the kernel's interface when IPCBOX_CHANNEL_BACKEND=kernel (cli/run).

load common

setup() {
    IPCBOX_CHANNELS=$(mktemp -d /dev/shm/ipcbox-cli.XXXXXX)
    chmod 1777 "$IPCBOX_CHANNELS"
    export IPCBOX_CHANNELS
}

teardown() {
    # The channels that are kept by processes; the others go with their files.
    [ "$backend" = embedded ] || u -J list | jq '.channels[].pid' | xargs -r kill
    kill $(jobs -p) 2>/dev/null || true
    rm -rf "$IPCBOX_CHANNELS" "${bin:-}"
}

backend=${IPCBOX_CHANNEL_BACKEND:-embedded}
u() { uringipc --backend "$backend" "$@"; }
# The same, to be run in the background: $! is the program itself.
ub() { exec "$IPCBOX" uringipc --backend "$backend" "$@" 3>&-; }
nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
columns() { u -J list | jq -r "[.channels[] | $1] | join(\",\")"; }
# The kernel does not tell who receives, only who has it open: also its keeper.
receivers_are() {
    u -J list | jq -e ".channels[0] | if .backend == \"kernel\" then .process_count - 1 else .receiver_count end == $1"
}

# bats test_tags=kernel
@test "uringipc: a channel from its making to its end" {
    expect 0 u -J
    is "$out" '{"channels":[]}'
    expect 0 u create --detach --key jobs --entries 8 --size 100
    id=$out
    has "$id" ""
    [[ $id =~ ^[1-9][0-9]*$ ]]
    is "$(columns '(.id|tostring), .name, .delivery, .backend, .mode, (.entries|tostring)')" \
        "$id,jobs,unicast,$backend,0600,8"
    expect 0 u send jobs one
    expect 0 u send "$id" two
    key=$(u -J list | jq -r '.channels[0].key')
    expect 0 u -J send "$key" ""
    is "$out" '{"message_count":1,"bytes":0}'
    expect 0 u -J peek jobs
    is "$(jq -c '[.messages[] | [.position, .msg_id, .length, .text]]' <<<"$out")" \
        '[[0,2,3,"one"],[1,3,3,"two"],[2,4,0,""]]'
    expect 0 u recv jobs
    is "$out" one
    expect 0 u -J recv jobs -N 2
    is "$(jq -sc 'map(.text)' <<<"$out")" '["two",""]'
    expect 1 u recv jobs --timeout 0
    has "$err" "0 of 1 messages came in time"
    expect 0 u destroy jobs
    expect 3 u recv jobs
    expect 3 u destroy "$id"
    expect 0 u -J
    is "$out" '{"channels":[]}'
    is "$(ls -A "$IPCBOX_CHANNELS"/*)" ""
}

@test "uringipc: that the kernel has no channels is said where it explains something, and once" {
    if uringipc --backend kernel list >/dev/null 2>&1; then
        skip "this kernel has io_uring IPC channels"
    fi
    for verb in "create --detach --key x" list; do
        # shellcheck disable=SC2086
        expect 0 uringipc $verb
        is "$(grep -c "using embedded channels: " <<<"$err")" 1
    done
    for verb in "send x hello" "peek x" "info x" "recv x" "dump x" "monitor x --timeout 0"; do
        # shellcheck disable=SC2086
        expect 0 uringipc $verb
        is "$err" ""
    done
    for verb in send peek info recv dump monitor destroy; do
        expect 3 uringipc "$verb" nowhere </dev/null
        is "$(grep -c "using embedded channels: " <<<"$err")" 1
    done
    expect 3 uringipc -q send nowhere </dev/null
    is "$(grep -c "using embedded channels: " <<<"$err")" 0
    expect 4 uringipc --backend kernel send x hello
    has "$err" "kernel" "use --backend embedded"
}

# bats test_tags=kernel
@test "uringipc: a channel that stays full is told, not a timeout" {
    u create -d -k full --entries 1
    u send full x
    expect 1 u send full y --timeout 0.1
    has "$err" "full: not sent: the channel stayed full until the time was over"
    expect 1 u create --entries 32768 --size 65535
    has "$err" "with 32768 entries a message has at most 65503 bytes"
}

@test "uringipc: wrong usage" {
    expect 2 u send
    expect 2 u create --broadcast --multicast
    expect 2 u create --key 0x0
    expect 2 u create --key 17
    expect 2 u recv "" --raw
    expect 1 u create --entries 3
    has "$err" "power of two"
    expect 2 u send 0 x
    expect 2 u recv pid:1
    expect 1 u recv pid:1:2
    has "$err" "no descriptor of a process"
    expect 2 u send x y --lines
}

# bats test_tags=kernel
@test "uringipc: a million lines through a pipeline, in order, to a clean end" {
    n=1000000
    u create -d -k stream --entries 1024 --size 64
    ub recv stream --follow | sha256sum >"$BATS_TEST_TMPDIR/sum" &
    within 30 receivers_are 1
    seq "$n" | u send stream --lines
    u destroy stream
    wait $!
    is "$(cat "$BATS_TEST_TMPDIR/sum")" "$(seq "$n" | sha256sum)"
}

# bats test_tags=kernel
@test "uringipc: recv ends quietly when its reader has gone" {
    u create -d -k stream --entries 16 --size 64
    bash -c '"$IPCBOX" uringipc --backend "$0" recv stream --follow | head -n 1' "$backend" \
        >"$BATS_TEST_TMPDIR/first" 2>"$BATS_TEST_TMPDIR/complaints" 3>&- &
    reader=$!
    seq 200000 >"$BATS_TEST_TMPDIR/lines"
    expect 1 u send stream --lines -f "$BATS_TEST_TMPDIR/lines" --timeout 2
    has "$err" "is not sent, nor what follows"
    wait "$reader"
    is "$(cat "$BATS_TEST_TMPDIR/first")" 1
    is "$(cat "$BATS_TEST_TMPDIR/complaints")" ""
}

@test "uringipc: recv and monitor end when their reader has gone, though nothing comes" {
    u create -d -k quiet --broadcast
    for verb in "recv --follow" "monitor --backlog"; do
        # shellcheck disable=SC2086
        bash -c '"$IPCBOX" uringipc --backend embedded --noheadings "$@" | head -n 1' - $verb quiet \
            >"$BATS_TEST_TMPDIR/first" 3>&- &
        pid=$!
        sleep 0.2
        u send quiet hello
        within 60 bash -c "! kill -0 $pid"
        has "$(cat "$BATS_TEST_TMPDIR/first")" hello
    done
}

@test "uringipc: a message that cannot be written out stays in the channel" {
    u create -d -k full
    seq 3 | u send full --lines
    expect 1 bash -c '"$IPCBOX" uringipc --backend embedded recv full >/dev/full'
    has "$err" "No space left"
    expect 1 bash -c '"$IPCBOX" uringipc --backend embedded -J recv full -N 3 >/dev/full'
    is "$(u recv full -N 3 --timeout 20 | paste -sd,)" 1,2,3
}

# bats test_tags=kernel
@test "uringipc: broadcast reaches everyone, multicast one of them, a target only itself" {
    u create -d -k all --broadcast
    for i in 1 2 3; do
        ub recv all --follow >"$BATS_TEST_TMPDIR/$i" &
    done
    within 30 receivers_are 3
    seq 1000 | u send all --lines
    private=0
    if [ "$backend" = embedded ]; then # which tells who the subscribers are
        target=$(u -J info all | jq '[.peers[] | select(.role == "receiver") | .subscriber][0]')
        u send all private --target "$target"
        private=1
    fi
    expect 3 u send all nobody --target 1
    has "$err" "nothing was sent"
    u destroy all
    wait
    is "$(cat "$BATS_TEST_TMPDIR"/[123] | grep -c private || true)" "$private"
    for i in 1 2 3; do
        is "$(grep -v private "$BATS_TEST_TMPDIR/$i" | md5sum)" "$(seq 1000 | md5sum)"
    done
    u create -d -k some --multicast
    for i in 1 2 3; do
        ub recv some --follow >"$BATS_TEST_TMPDIR/$i" &
    done
    within 30 receivers_are 3
    seq 1000 | u send some --lines
    u destroy some
    wait
    is "$(cat "$BATS_TEST_TMPDIR"/[123] | sort -n | md5sum)" "$(seq 1000 | md5sum)"
}

# bats test_tags=kernel
@test "uringipc: payloads of all kinds arrive as they were" {
    u create -d -k raw --size 1M --entries 4
    head -c 1000000 /dev/urandom >"$BATS_TEST_TMPDIR/blob"
    u send raw -f "$BATS_TEST_TMPDIR/blob"
    u send raw <"$BATS_TEST_TMPDIR/blob"
    u send raw -- "$(printf '\033[31mred\033[0m')"
    u peek raw -n 1 --raw | cmp - "$BATS_TEST_TMPDIR/blob"
    u -J peek raw | jq -r '.messages[1].data_base64' | base64 -d | cmp - "$BATS_TEST_TMPDIR/blob"
    expect 0 u peek raw -m 20
    has "$out" '<1b 5b 33 31 6d'
    u recv raw --raw | cmp - "$BATS_TEST_TMPDIR/blob"
    u recv raw --raw | cmp - "$BATS_TEST_TMPDIR/blob"
    head -c 1048577 /dev/zero >"$BATS_TEST_TMPDIR/big"
    expect 1 u send raw -f "$BATS_TEST_TMPDIR/big"
    has "$err" "longer than the 1048576 bytes"
    printf 'short\n%s\nafter\n' "$(head -c 200 /dev/zero | tr '\0' x)" >"$BATS_TEST_TMPDIR/lines"
    u create -d -k small --size 100
    expect 1 u send small --lines -f "$BATS_TEST_TMPDIR/lines"
    has "$err" "line 2 is not sent, nor what follows"
    is "$(u -J peek small | jq -c '[.messages[].text]')" '["short"]'
}

@test "uringipc: what recv --jsonl writes send --jsonl reads" {
    u create -d -k from --size 100
    u create -d -k to --size 100
    printf 'a\n\n\377\001\n' | u send from --lines --user-data 18446744073709551615
    u --jsonl recv from -N 3 | u --jsonl send to >"$BATS_TEST_TMPDIR/sum"
    is "$(cat "$BATS_TEST_TMPDIR/sum")" '{"message_count":3,"bytes":3}'
    is "$(u -J peek to | jq -c '[.messages[].data_base64]')" '["YQ==","","/wE="]'
    is "$(u --jsonl peek to | grep -c '"user_data":"0xffffffffffffffff",')" 3
    printf '{"text":"\\u00e9"}\n{"text":"x","length":2}\n' >"$BATS_TEST_TMPDIR/bad"
    expect 1 u --jsonl send to -f "$BATS_TEST_TMPDIR/bad"
    has "$err" "stopped after 1 messages" "line 2"
    expect 1 u --jsonl send to <<<'no JSON'
    has "$err" "line 1: not one JSON object a line"
    expect 1 u --jsonl send to <<<'{}'
    is "$(u recv to -N 4 | tail -n 1)" é
    expect 0 u --jsonl send to data
    is "$(u recv to)" data
}

@test "uringipc: a full channel makes senders wait, or give up" {
    u create -d -k full --entries 2
    u send full a
    u send full b
    expect 1 u send full c --timeout 0
    has "$err" "full"
    expect 1 u send full c --timeout 0.05
    ub send full c &
    sender=$!
    is "$(u recv full)" a
    wait "$sender"
    is "$(u recv full -N 2 | paste -sd,)" b,c
}

# bats test_tags=kernel
@test "uringipc: peek and monitor take nothing" {
    u create -d -k watched --entries 16
    u send watched before
    ub --jsonl monitor watched -N 2 >"$BATS_TEST_TMPDIR/seen" &
    watcher=$!
    ub --jsonl monitor watched --backlog >"$BATS_TEST_TMPDIR/all" &
    all=$!
    within 30 grep -q before "$BATS_TEST_TMPDIR/all"
    # The first has begun when it sees what comes now.
    i=0
    while kill -0 "$watcher" 2>/dev/null && [ "$i" -lt 12 ]; do
        i=$((i + 1))
        u send watched "m$i"
        sleep 0.1
    done
    wait "$watcher"
    is "$(wc -l <"$BATS_TEST_TMPDIR/seen")" 2
    jq -se '.[0].position + 1 == .[1].position and (.[0].text | startswith("m"))' \
        "$BATS_TEST_TMPDIR/seen"
    is "$(u -J peek watched | jq '.messages | length')" $((i + 1))
    is "$(u recv watched)" before
    u destroy watched
    wait "$all"
    is "$(wc -l <"$BATS_TEST_TMPDIR/all")" $((i + 1))
}

# bats test_tags=kernel
@test "uringipc: a dump is what was there, and comes again in a replay" {
    d=$BATS_TEST_TMPDIR/dump
    u create -d -k from --size 100 --entries 16
    u create -d -k to --size 100
    printf 'a\n\n\377\001\nlast\n' | u send from --lines --user-data 7
    expect 0 u dump from -O "$d"
    is "$(jq -sc '[.[] | select(.type == "message") | [.position, .length, .user_data]]' "$d")" \
        '[[0,1,"0x7"],[1,0,"0x7"],[2,2,"0x7"],[3,4,"0x7"]]'
    expect 0 mqdump verify "$d"
    # jq keeps numbers as doubles: what may be larger is a string, and edited dumps keep it.
    u create -d -k large --size 100
    u send large x --user-data 18446744073709551615
    u dump large -O "$d.large"
    jq -c . "$d.large" | mqdump seal >"$d.edited"
    cmp "$d.large" "$d.edited"
    u replay "$d.edited" --to large
    is "$(u recv large -N 2 --jsonl | jq -r .user_data | uniq -c | tr -s ' ')" " 2 0xffffffffffffffff"
    expect 0 u -J replay "$d" --to to --speed max
    is "$(jq -c '[.message_count, .bytes]' <<<"$out")" '[4,7]'
    u recv from -N 4 >"$BATS_TEST_TMPDIR/1"
    u recv to -N 4 >"$BATS_TEST_TMPDIR/2"
    cmp "$BATS_TEST_TMPDIR/1" "$BATS_TEST_TMPDIR/2"
    # What is damaged, cut or too long for the channel sends nothing.
    sed 's/"length":4/"length":5/' "$d" >"$d.bad"
    expect 1 u replay "$d.bad" --to to
    has "$err" "nothing was sent"
    head -n 3 "$d" >"$d.cut"
    expect 1 u replay "$d.cut" --to to
    u create -d -k tiny --size 3
    expect 1 u replay "$d" --to tiny
    has "$err" "4 bytes are more than the 3"
    is "$(u -J list | jq -c '[.channels[].sent] | sort')" '[0,2,4,4]'
    expect 2 u replay "$d"
    expect 2 u replay "$d" --to to --speed 0
    expect 1 u replay "$d" --to tiny --dry-run
}

# bats test_tags=kernel
@test "uringipc dump: what is sent while it looks, until interrupted" {
    d=$BATS_TEST_TMPDIR/dump
    u create -d -k from --broadcast
    ub dump from --follow >"$d" &
    dumper=$!
    within 30 grep -q '"type":"channel"' "$d"
    seq 5 | u send from --lines
    within 30 grep -q '"text":"5"' "$d"
    kill -INT "$dumper"
    wait "$dumper"
    expect 0 mqdump verify "$d"
    is "$(jq -sc '[.[] | select(.type == "message") | .text]' "$d")" '["1","2","3","4","5"]'
    jq -se '[.[] | select(.type == "message") | .time] | . == sort and (map(. != null) | all)' "$d"
    u create -d -k to
    expect 0 u replay "$d" --to to --speed 1000
    is "$(u recv to -N 5 | paste -sd,)" 1,2,3,4,5
}

# bats test_tags=kernel
@test "uringipc create: in the foreground it ends with the channel" {
    ub create -k fg >"$BATS_TEST_TMPDIR/id" &
    pid=$!
    within 30 test -s "$BATS_TEST_TMPDIR/id"
    is "$(columns '(.id|tostring)')" "$(cat "$BATS_TEST_TMPDIR/id")"
    kill -TERM "$pid"
    wait "$pid"
    is "$(columns .id)" ""
}

@test "uringipc create: in the foreground it ends when it is destroyed from elsewhere" {
    ub create -k fg >"$BATS_TEST_TMPDIR/id" 2>"$BATS_TEST_TMPDIR/said" &
    pid=$!
    within 30 test -s "$BATS_TEST_TMPDIR/id"
    u destroy fg
    wait "$pid"
    has "$(cat "$BATS_TEST_TMPDIR/said")" "it has been destroyed"
}

# bats test_tags=kernel
@test "uringipc create --pid-file: a process keeps the channel; both go together" {
    f=$BATS_TEST_TMPDIR/pid
    expect 0 u -J create -d -k kept --pid-file "$f"
    pid=$(cat "$f")
    is "$(jq .pid <<<"$out")" "$pid"
    has "$(tr '\0' ' ' <"/proc/$pid/cmdline")" create
    u send kept hello
    is "$(u recv kept)" hello
    expect 1 u create -d -k other --pid-file "$f"
    has "$err" "is in use by process $pid"
    is "$(columns .name)" kept
    # Killed: the channel and the file have gone.
    kill "$pid"
    within 30 test ! -e "$f"
    expect 3 u recv kept --timeout 0
    # Destroyed: so has the process.
    u create -d -k kept --pid-file "$f"
    pid=$(cat "$f")
    u destroy kept
    within 30 test ! -e "$f"
    within 30 bash -c "! kill -0 $pid"
    # What a killed one leaves is taken over.
    u create -d -k kept --pid-file "$f"
    kill -KILL "$(cat "$f")"
    within 30 bash -c "! kill -0 $(cat "$f")"
    u create -d -k kept2 --pid-file "$f"
    kill "$(cat "$f")"
    within 30 test ! -e "$f"
    # In the foreground it tells that one.
    ub create -k fg -p "$f" >/dev/null &
    pid=$!
    within 30 grep -qx "$pid" "$f"
    kill "$pid"
    wait "$pid"
    [ ! -e "$f" ]
    expect 1 u create -d --pid-file /nonexistent/pid
    has "$err" "/nonexistent/pid: No such file"
}

@test "uringipc list and info: who has it open" {
    u create -d -k busy --broadcast
    for _ in 1 2; do
        ub recv busy --follow >/dev/null &
    done
    within 30 receivers_are 2
    is "$(columns '.process_count, .receiver_count, .sender_count, .channel == (.id | tostring)')" 2,2,0,true
    has "$(u info busy)" "process count:  2" "lost: " "sent: " "created: "
    is "$(u -J info busy | jq -c '[.peers[].pid] | sort')" "$(jobs -p | sort -n | jq -sc .)"
    u destroy busy
    wait
}

@test "uringipc: the mode is the permission" {
    [ "$(id -u)" = 0 ] || skip "needs root to become another user"
    bin=$(mktemp -d /tmp/ipcbox-cli.XXXXXX)
    chmod 755 "$bin"
    install -m 755 "$IPCBOX" "$bin/ipcbox"
    n() { nobody "$bin/ipcbox" uringipc --backend embedded "$@"; }
    u create -d -k secret --mode 0600
    u create -d -k news --mode 0644 --broadcast
    u create -d -k open --mode 0666
    for ch in secret news open; do u send "$ch" hello; done
    ids=$(u -J list | jq -c '[.channels[] | {(.name): .id}] | add')
    secret=$(jq .secret <<<"$ids")
    expect 5 n recv "$secret"
    has "$err" "read permission"
    expect 5 n peek "$secret"
    expect 5 n send "$secret" x
    expect 3 n recv secret
    expect 0 n recv news
    is "$out" hello
    expect 5 n send news x
    has "$err" "read and write permission"
    expect 0 n send open x
    expect 0 n recv open -N 2
    expect 3 n destroy nothing-of-this-name
    expect 5 n destroy open
    has "$err" "only its owner"
    # Contents of others' channels are not listed either.
    is "$(n -J list | jq -c '[.channels[] | select(.id == '"$secret"') | .depth]')" '[null]'
    expect 0 n create -d -k mine
    is "$(n -J list | jq -r '.channels[] | select(.name == "mine") | .owner')" nobody
    expect 0 n destroy mine
}

# bats test_tags=kernel
@test "uringipc: a receiver that is killed holds back nobody" {
    u create -d -k all --broadcast --entries 4
    ub recv all --follow >/dev/null &
    victim=$!
    within 30 receivers_are 1
    kill -STOP "$victim"
    kill -KILL "$victim"
    wait "$victim" || true
    seq 20 | timeout 60 "$IPCBOX" uringipc --backend "$backend" send all --lines
    is "$(u peek all --raw)" 17181920
}

@test "uringipc: sixteen idle receivers sleep" {
    u create -d -k idle --broadcast
    for _ in $(seq 16); do
        ub recv idle --follow >/dev/null &
    done
    within 60 receivers_are 16
    ticks() { cat $(jobs -p | sed 's|.*|/proc/&/stat|') | awk '{ n += $14 + $15 } END { print n }'; }
    before=$(ticks)
    sleep 4
    after=$(ticks)
    echo "# 16 idle receivers used $((after - before)) ticks of 10 ms in 4 s" >&3
    # A single one that does not sleep would use 400.
    [ $((after - before)) -lt 100 ]
    u destroy idle
    wait
}

@test "uringipc: a hostile file is refused in words" {
    u create -d -k victim
    file=$(ls -d "$IPCBOX_CHANNELS"/ipcbox*/[0-9]* | grep -v ctl)
    printf '\377\377\377\377\377\377\377\377' | dd of="$file" bs=1 seek=132 conv=notrunc status=none
    expect 1 u peek "$(basename "$file")"
    has "$err" "makes no sense"
    truncate -s 10 "$file"
    expect 1 u recv "$(basename "$file")"
    has "$err" "10 bytes long"
    expect 0 u -J list
    jq -e '.channels[0].problem' <<<"$out"
}

@test "uringipc bench: figures for all, and every message checked" {
    expect 0 u -J bench --quick --runs 1
    "$SRC/tests/schema/validate" uringipc-bench <<<"$out"
    jq -e '.idle_receiver_count == 16 and .idle_percent >= 0 and .backend == "embedded"' <<<"$out"
    is "$(jq '.results | length' <<<"$out")" 6
    jq -e '[.results[] | .channel > 0 and .pipe > 0 and .seqpacket > 0] | all' <<<"$out"
    echo "# $(jq -c '[.results[] | [.what, .size, .pipe_ratio]]' <<<"$out")" >&3
}

@test "uringipc: each JSON output is as its schema says" {
    [ "$(id -u)" = 0 ] && as_other="setpriv --reuid=65534 --regid=65534 --clear-groups" || as_other=
    valid() { "$SRC/tests/schema/validate" "$@"; }
    u -J | valid uringipc-list
    u -J create -d -k a --size 100 | valid uringipc-create
    u -J create -d --broadcast --mode 0666 | valid uringipc-create
    printf 'text\n\n\377\n' | u -J send a --lines | valid uringipc-send
    u -J | valid uringipc-list
    u --jsonl | valid --lines uringipc-list
    $as_other "$IPCBOX" uringipc -q -J | valid uringipc-list
    ub recv a -N 4 --jsonl >"$BATS_TEST_TMPDIR/received" &
    reading() { [ "$(u -J list | jq '[.channels[].receiver_count] | max')" = 1 ]; }
    within 30 reading
    ub monitor a -N 1 --jsonl >"$BATS_TEST_TMPDIR/seen" &
    within 30 bash -c "ls -l /proc/$!/fd | grep -q ipcbox"
    u -J peek a | valid uringipc-peek
    u --jsonl peek a --all | valid --lines uringipc-peek
    u -J info a | valid uringipc-info
    sleep 0.3
    u send a last --user-data 18446744073709551615
    wait
    valid --lines uringipc-recv <"$BATS_TEST_TMPDIR/received"
    is "$(wc -l <"$BATS_TEST_TMPDIR/received")" 4
    valid --lines uringipc-monitor <"$BATS_TEST_TMPDIR/seen"
    u send a again
    u dump a -O "$BATS_TEST_TMPDIR/dump"
    u -J replay "$BATS_TEST_TMPDIR/dump" --to a | valid uringipc-replay
    truncate -s 10 "$(ls "$IPCBOX_CHANNELS"/ipcbox*/[0-9]* | grep -v ctl | head -n 1)"
    u -J | valid uringipc-list
}
