#!/usr/bin/env bats
# What every verb does when its reader has gone, the disk is full, the clock jumps, or what it looks at vanishes.

load common

setup() {
    export IPCBOX_CHANNELS=$BATS_TEST_TMPDIR/channels IPCBOX_STATE_DIR=$BATS_TEST_TMPDIR/state
    mkdir "$IPCBOX_CHANNELS"
    q=/$(unique fault)
    "$HELPERS/mqmake" "$q" 8 64 3:hello 1:world
    uringipc -q --backend embedded create --detach --key k >/dev/null
    uringipc -q --backend embedded send k one
}

teardown() {
    kill $(jobs -p) 2>/dev/null || true
    "$HELPERS/mqmake" -u "$q" 2>/dev/null || true
}

# Every verb that writes to standard output, a line each.
verbs() {
    mqdump save "$q" >"$BATS_TEST_TMPDIR/a.dump"
    cat <<EOF
doctor
doctor -J
--list
mqpeek --help
mqpeek --version
mqpeek list
mqpeek list -J
mqpeek peek $q
mqpeek peek --raw $q
mqpeek peek --jsonl $q
mqpeek info $q
mqpeek limits -J
mqpeek metrics
mqpeek top -b -N 2 -d 0.1
mqdump save $q
mqdump show $BATS_TEST_TMPDIR/a.dump
mqdump seal $BATS_TEST_TMPDIR/a.dump
uringipc -q --backend embedded list
uringipc -q --backend embedded info k
uringipc -q --backend embedded peek k
uringipc -q --backend embedded dump k
uringipc -q --backend embedded recv k
b1ctl -q -J list
b1ctl -q --jsonl -c "peer a;node a.n;send a.n x;recv a"
EOF
}

@test "fault: a full disk under standard output: one line, status 1" {
    while IFS= read -r words; do
        eval "set -- $words"
        expect 1 bash -c '"$IPCBOX" "$@" >/dev/full' - "$@"
        has "$err" "No space left on device"
        is "$(grep -c 'No space left' <<<"$err")" 1
    done < <(verbs)
    # and what could not be told has not been taken
    expect 0 uringipc -q --backend embedded recv k --timeout 20
    is "$out" one
}

@test "fault: a limit on the size of files: one line, status 1" {
    export TO=$BATS_TEST_TMPDIR/limited
    while IFS= read -r words; do
        eval "set -- $words"
        status=0
        err=$(bash -c 'ulimit -f 0; exec "$IPCBOX" "$@" 2>&1 >"$TO"' - "$@") || status=$?
        has "$words: $status: $err" ": 1: " "File too large"
        is "$(grep -c 'File too large' <<<"$err")" 1
    done < <(verbs)
    for words in "mqpeek metrics -O $TO" "mqdump save $q -O $TO" "mqdump save $q -O -" \
        "uringipc -q --backend embedded dump k -O $TO" "mqdump restore --rename $q=$q-x $BATS_TEST_TMPDIR/a.dump" \
        "mqpeek $q --backend drain --force"; do
        status=0
        err=$(bash -c 'ulimit -f 0; exec "$IPCBOX" $1 2>&1 >"$TO"' - "$words") || status=$?
        has "$words: $status: $err" ": 1: " "File too large"
        is "$(wc -c <"$TO")" 0
    done
    expect 0 mqpeek "$q" --noheadings -o content
    is "$(sed 's/ *$//' <<<"$out")" $'hello\nworld'
    expect 3 mqpeek "$q-x"
}

@test "fault: a reader that has gone ends every verb quietly" {
    while IFS= read -r words; do
        eval "set -- $words"
        bash -c '{ sleep 0.1; "$IPCBOX" "$@" 2>"$BATS_TEST_TMPDIR/err"; echo $? >"$BATS_TEST_TMPDIR/status"; } | :' - "$@"
        if grep -E 'Broken pipe|cannot write' "$BATS_TEST_TMPDIR/err"; then
            echo "$words"
            return 1
        fi
        echo "$words: $(cat "$BATS_TEST_TMPDIR/status" "$BATS_TEST_TMPDIR/err")"
        [ "$(cat "$BATS_TEST_TMPDIR/status")" -le 1 ]
    done < <(verbs)
}

@test "fault: a closed standard output is an error, not a file that is written to" {
    expect 1 bash -c '"$IPCBOX" mqpeek list >&-'
    has "$err" "cannot write the output"
    expect 1 bash -c '"$IPCBOX" mqdump save --all >&-'
}

@test "fault: a full file system leaves no file behind and no message lost" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    mkdir "$BATS_TEST_TMPDIR/small"
    "$HELPERS/mqmake" -u "$q"
    "$HELPERS/mqmake" "$q" 4 8192 "1:$(head -c 8000 /dev/zero | tr '\0' x)" "2:$(head -c 8000 /dev/zero | tr '\0' y)"
    before=$(mqpeek -J "$q" | jq -c '[.. | .length? // empty]')
    cat >"$BATS_TEST_TMPDIR/inner" <<'EOF'
mount -t tmpfs -o size=16k none "$1" || exit 99
head -c 9000 /dev/zero >"$1/ballast"
"$IPCBOX" mqdump save "$2" -O "$1/a.dump"; echo "save $?"
"$IPCBOX" uringipc -q --backend embedded dump k -O "$1/k.dump" && rm "$1/k.dump"; echo "dump $?"
IPCBOX_CHANNELS=$1 "$IPCBOX" uringipc -q --backend embedded create --detach --key big --size 1M; echo "create $?"
mount -t tmpfs -o size=8k none /var/lib
export IPCBOX_STATE_DIR=/var/lib/ipcbox
"$IPCBOX" mqpeek "$2" --backend drain --force; echo "drain $?"
umount /var/lib
ls -A "$1"
EOF
    expect 0 unshare -m --propagation private sh "$BATS_TEST_TMPDIR/inner" "$BATS_TEST_TMPDIR/small" "$q"
    has "$out" "save 1" "create 1" "drain 1" "ballast"
    hasnt=$(grep -E 'a\.dump|^big|\.ctl' <<<"$out") || true
    is "$hasnt" ""
    has "$err" "No space left"
    is "$(mqpeek -J "$q" | jq -c '[.. | .length? // empty]')" "$before"
}

@test "fault: queues that come and go while all of them are looked at" {
    (while :; do
        "$HELPERS/mqmake" "$q-x" 2 8 1:a 2>/dev/null
        "$HELPERS/mqmake" -u "$q-x" 2>/dev/null
    done) 3>&- &
    for i in $(seq 15); do
        expect 0 mqpeek list -J
        jq -e --arg q "$q" '[.queues[].name] | index($q)' <<<"$out" >/dev/null
        expect 0 mqdump save --all
        mqdump verify - <<<"$out" >/dev/null
        expect 0 mqpeek metrics
        expect 0 mqpeek limits
        got=0
        mqpeek "$q-x" >/dev/null 2>&1 || got=$?
        [ "$got" = 0 ] || [ "$got" = 3 ]
    done
    expect 0 mqpeek top -b -N 3 -d 0.1
}

@test "fault: processes that end while they are looked into" {
    (while :; do
        "$HELPERS/mqactor" short "$q" </dev/null
    done) 3>&- >/dev/null &
    for i in $(seq 10); do
        expect 0 mqpeek list -J
        expect 0 mqpeek info -J "$q"
        expect 0 uringipc -q --backend embedded list
        sleep 5 3>&- &
        pid=$!
        kill -KILL "$pid"
        got=0
        mqpeek list --pid "$pid" >/dev/null 2>&1 || got=$?
        [ "$got" = 0 ] || [ "$got" = 3 ] || [ "$got" = 5 ]
        wait "$pid" 2>/dev/null || true
        expect 3 mqpeek "pid:$pid:3"
        expect 3 mqpeek list --pid "$pid"
    done
}

@test "fault: a clock that is years ahead or behind changes no duration and breaks no time" {
    for by in -94608000 94608000; do
        expect 0 env LD_PRELOAD="$HELPERS/libjump.so" JUMP="$by" "$IPCBOX" mqpeek -J list
        jq -e '.queues' <<<"$out" >/dev/null
        expect 0 env LD_PRELOAD="$HELPERS/libjump.so" JUMP="$by" "$IPCBOX" mqpeek list
        [[ "$out" != *" -"[0-9]* ]]
        expect 1 timeout 60 env LD_PRELOAD="$HELPERS/libjump.so" JUMP="$by" "$IPCBOX" mqpeek follow "$q" -N 1 --timeout 0.2
        expect 1 timeout 60 env LD_PRELOAD="$HELPERS/libjump.so" JUMP="$by" "$IPCBOX" uringipc -q --backend embedded \
            recv k -N 2 --timeout 0.2
        uringipc -q --backend embedded send k one
        expect 0 timeout 60 env LD_PRELOAD="$HELPERS/libjump.so" JUMP="$by" "$IPCBOX" mqdump save "$q"
        mqdump verify - <<<"$out"
    done
}

# Each of one call that fails once.
@test "fault: a directory that cannot be read is no empty one; a program without memory and a lost wake-up are none" {
    local error n reasons=
    for error in ENOMEM EIO EMFILE; do
        expect 1 strace -f -qq -o /dev/null -e inject=getdents64:error=$error:when=1 "$IPCBOX" uringipc -q -J list --backend embedded
        has "$err" "uringipc: "
        is "$(jq -c .channels <<<"$out")" "[]"
    done
    expect 0 strace -f -qq -o /dev/null -e inject=write:error=EIO:when=1 timeout 60 "$IPCBOX" doctor
    # One of them is libbpf's question whether variables can be mapped.
    for n in {1..20}; do
        expect 0 strace -f -qq -o /dev/null -e inject=bpf:error=ENOMEM:when="$n" "$IPCBOX" mqpeek info "$q"
        reasons+=$(grep '^waiters reason' <<<"$out" || true)
    done
    has "$reasons" "the memory of the BPF programs cannot be mapped"
}
