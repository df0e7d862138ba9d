#!/usr/bin/env bats
# mqdump: kills at any moment, and what is left to the next restore.

load common

setup() {
    export IPCBOX_STATE_DIR=$BATS_TEST_TMPDIR/state TMPDIR=$BATS_TEST_TMPDIR
    cd "$BATS_TEST_TMPDIR"
    mkdir state
    q=/$(unique kill)
    others=("$q-2")
}

teardown() {
    for name in "$q" "${others[@]}"; do
        "$HELPERS/mqmake" -u "$name" 2>/dev/null || true
    done
}

make() { "$HELPERS/mqmake" "$@"; }
unlink() { "$HELPERS/mqmake" -u "$1"; }
exists() { mqdump save "$1" >/dev/null 2>&1; }
content() { mqdump save "$1" | jq -c 'select(.type == "queue" or .type == "message") | del(.time)'; }
texts() { content "$1" | jq -r 'select(.type == "message").text' | paste -sd,; }
root() { [ "$(id -u)" = 0 ] || skip "needs root"; }

without_hangups() (
    trap '' HUP
    "$@"
)

# storm WHAT: kills it at random moments; in the plain build all of them more than 200 times.
storm() {
    local kills=30
    ! sanitized || kills=8
    [ -z "${IPCBOX_TEST_LONG-}" ] || kills=100
    expect 0 timeout 600 "$HELPERS/dumpstorm" "kill-$1" "$IPCBOX" . $kills "$RANDOM"
    is "$out" "$kills killed"
    is "$(find "$IPCBOX_STATE_DIR" -name 'restore-*')" ""
}

@test "mqdump restore --recover: journals of other namespaces, and of those that are gone" {
    state=$BATS_TEST_TMPDIR/elsewhere
    mkdir "$state"
    echo saved >"$state/old.dump"
    # No namespace has this number.
    printf 'restore 1 %s 1\nmake %s 384\nreplaces %s %s 1 1\n' "$(cat /proc/sys/kernel/random/boot_id)" \
        "$(printf /gone | base64)" "$(printf /gone | base64)" \
        "$(printf %s "$state/old.dump" | base64 -w 0)" >"$state/restore-1-0"
    expect 0 env IPCBOX_STATE_DIR="$state" "$IPCBOX" mqdump restore --recover
    # Who may look at every process knows that it is gone; who may not says where it belongs.
    if [ -e "$state/restore-1-0" ]; then
        has "$err" "/gone: left by an interrupted restore: in IPC namespace 1: it is recovered there"
    else
        has "$err" "/gone: left by an interrupted restore: no process is in its IPC namespace any more: what it replaced is in $state/old.dump"
    fi
    [ -e "$state/old.dump" ]
}

@test "mqdump: SIGKILL at random moments of save and seal: no half file" {
    storm save
    storm seal
}

@test "mqdump: SIGKILL at random moments of restore: no half queue" { storm restore; }

@test "mqdump: SIGKILL at random moments of restore --replace: nothing is lost" { storm replace; }

@test "mqdump: SIGKILL at random moments of restore --append: the old messages, and the first of the new" { storm append; }

@test "mqdump: SIGKILL at random moments of record: no half file, nothing is lost" {
    root
    storm record
}

@test "mqdump: SIGKILL at random moments of replay: the first of its messages, each once" { storm replay; }

@test "mqdump: SIGKILL at random moments of criu action and criu restore: all is there in the end" {
    root
    storm criu
}

@test "mqdump: what a killed restore left is shown as incomplete, then removed or finished" {
    make "$q" 5 20 1:a 2:b
    mqdump save "$q" -O a.dump
    unlink "$q"
    expect 137 strace -qq -o /dev/null -e inject=mq_timedsend:signal=KILL:when=2 "$IPCBOX" mqdump restore a.dump
    expect 0 mqpeek -J list
    jq -e --arg q "$q" '.queues[] | select(.name == $q) | .incomplete and .mode == "0000" and .depth == 1' <<<"$out"
    has "$err" "$q is incomplete"
    expect 0 mqpeek list
    has "$out$err" "$q is incomplete"
    if [ "$(id -u)" = 0 ]; then
        expect 5 setpriv --reuid 65534 --regid 65534 --clear-groups "$IPCBOX" mqpeek "$q"
    else
        expect 5 mqpeek "$q"
    fi
    expect 0 mqdump restore --recover
    has "$err" "$q: left by an interrupted restore: removed"
    ! exists "$q"
    expect 137 strace -qq -o /dev/null -e inject=fchmod:signal=KILL:when=1 "$IPCBOX" mqdump restore a.dump
    expect 1 mqdump restore a.dump
    has "$err" "$q: left by an interrupted restore: finished" "exists already"
    is "$(texts "$q")" b,a
    unlink "$q"
    expect 137 strace -qq -o /dev/null -e inject=mq_timedsend:signal=KILL:when=1 "$IPCBOX" mqdump restore a.dump
    expect 0 mqdump restore a.dump
    is "$(texts "$q")" b,a
}

@test "mqdump: a killed append says how many messages came in" {
    make "$q" 8 20 1:a 2:b 3:c
    mqdump save "$q" -O a.dump
    expect 137 strace -qq -o /dev/null -e inject=mq_timedsend:signal=KILL:when=3 "$IPCBOX" mqdump restore --append a.dump
    is "$(texts "$q")" c,c,b,b,a
    expect 0 mqdump restore --recover
    has "$err" "$q: left by an interrupted restore: append interrupted: 2 or 3 of 3 messages came in"
    expect 0 mqdump restore --recover
    is "$err" ""
}

@test "mqdump: an interrupt undoes a restore, and ends an append with what came in" {
    make "$q" 8 20 1:a 2:b 3:c
    mqdump save "$q" -O a.dump
    unlink "$q"
    for signal in INT TERM HUP; do
        expect 1 strace -qq -o /dev/null -e inject=mq_timedsend:signal=$signal:when=2 "$IPCBOX" mqdump restore a.dump
        has "$err" "nothing was restored: interrupted"
        ! exists "$q"
    done
    # Not for who has said that it does not count.
    expect 0 without_hangups strace -qq -o /dev/null -e inject=mq_timedsend:signal=HUP:when=2 "$IPCBOX" mqdump restore a.dump
    expect 1 strace -qq -o /dev/null -e inject=mq_timedsend:signal=INT:when=2 "$IPCBOX" mqdump restore --append a.dump
    has "$err" "interrupted: 2 of 3 messages were appended to $q" "the rest is still in the dump"
    is "$(texts "$q")" c,c,b,b,a
    is "$(find "$IPCBOX_STATE_DIR" -type f)" ""
}

# A restore that fails at its last message, so that it also undoes, is killed at every call that
# leaves a trace; then the recovery is killed too. What was there is there in the end.
@test "mqdump: a replacement killed anywhere, its undoing and the recovery included, brings the old queue back" {
    root
    make "$q" 5 20 1:new 2:new
    make "$q-2" 5 20 1:other 2:other
    mqdump save "$q" "$q-2" -O new.dump
    unlink "$q"
    unlink "$q-2"
    make "$q" 4 30 7:old 1:older
    # Without permissions it looks most like half of a restore.
    mqdump save "$q" | jq -c 'if .type == "queue" then .mode = "0000" else . end' | mqdump seal >old.dump
    mqdump restore --replace old.dump >/dev/null
    rm -f state/*
    before=$(content "$q")
    points=0
    for call in mq_open mq_unlink write fsync linkat unlink unlinkat; do
        for n in $(seq 100); do
            got=0
            strace -qq -o /dev/null -e inject=mq_timedsend:error=EMSGSIZE:when=4 -e inject=$call:signal=KILL:when="$n" \
                "$IPCBOX" mqdump restore --replace new.dump 2>killed.err || got=$?
            [ "$got" != 1 ] || break
            [ "$got" = 137 ] || { echo "ended with $got at $call $n: $(cat killed.err)"; false; }
            points=$((points + 1))
            strace -qq -o /dev/null -e inject=mq_open,mq_unlink,unlink:signal=KILL:when=$((n % 3 + 1)) \
                "$IPCBOX" mqdump restore --recover 2>/dev/null || true
            expect 0 mqdump restore --recover
            [ "$(content "$q")" = "$before" ] || { echo "killed at $call $n: $err"; ls state; false; }
            ! exists "$q-2"
        done
        is "$(content "$q")" "$before"
    done
    [ "$points" -ge 20 ]
    is "$(find state -name 'restore-*')" ""
}

@test "mqdump: what cannot be put back is told with its place, again and again" {
    root
    make "$q" 5 20 1:new
    mqdump save "$q" -O new.dump
    unlink "$q"
    make "$q" 4 30 7:old
    expect 137 strace -qq -o /dev/null -e inject=mq_timedsend:signal=KILL:when=1 "$IPCBOX" mqdump restore --replace new.dump
    for _ in 1 2; do
        expect 0 bash -c 'ulimit -q 100; "$IPCBOX" mqdump restore --recover'
        has "$err" "$q: left by an interrupted restore: not put back" "RLIMIT_MSGQUEUE is 100" \
            "what it replaced is in $IPCBOX_STATE_DIR/replaced-"
    done
    expect 0 mqdump restore --recover
    has "$err" "$q: left by an interrupted restore: put back"
    is "$(texts "$q")" old
    is "$(find state -type f)" ""
}

# At its very end it fails after all, and is killed while it undoes that: its journal said that all was there.
@test "mqdump: a replacement that is undone at the last step, and killed at that, brings the old queue back" {
    root
    make "$q" 5 20 1:new
    mqdump save "$q" -O new.dump
    unlink "$q"
    make "$q" 4 30 7:old
    points=0
    for call in mq_unlink mq_open unlink unlinkat; do
        for n in $(seq 20); do
            got=0
            strace -qq -o /dev/null -e inject=fchmod:error=EIO:when=2 -e inject=$call:signal=KILL:when="$n" \
                "$IPCBOX" mqdump restore --replace new.dump 2>killed.err || got=$?
            [ "$got" != 1 ] || break
            [ "$got" = 137 ] || { echo "ended with $got at $call $n: $(cat killed.err)"; false; }
            points=$((points + 1))
            expect 0 mqdump restore --recover
            is "$call $n: $(texts "$q")" "$call $n: old"
            is "$(find state -type f)" ""
        done
        has "$(cat killed.err)" "cannot give it its mode"
    done
    [ "$points" -ge 6 ]
}

@test "mqdump: a replacement that fails and cannot be undone leaves its journal: the recovery undoes it" {
    make "$q" 5 20 1:new
    mqdump save "$q" -O new.dump
    unlink "$q"
    make "$q" 4 30 7:old
    expect 1 strace -qq -o /dev/null -e inject=mq_timedsend:error=EMSGSIZE "$IPCBOX" mqdump restore --replace new.dump
    has "$err" "the old $q could not be put back" "it is in $IPCBOX_STATE_DIR/replaced-"
    ! exists "$q"
    # Whoever looks is told.
    for verb in list recover; do
        expect 0 mqpeek -q $verb
        has "$err" "$q: a restore was interrupted: what was there before is in $IPCBOX_STATE_DIR/replaced-" \
            "mqdump restore --recover"
        [[ "$err" != *"nothing to recover"* ]]
    done
    expect 0 mqdump restore --recover
    has "$err" "$q: left by an interrupted restore: put back"
    is "$(texts "$q")" old
    is "$(find state -type f)" ""
    expect 0 mqpeek recover
    has "$err" "nothing to recover"
}

@test "mqdump: what was replaced is kept as long as another queue has its name" {
    root
    make "$q" 5 20 1:new
    mqdump save "$q" -O new.dump
    unlink "$q"
    make "$q" 4 30 7:old
    # Before anything has been changed: no trace of it is left.
    expect 137 strace -qq -o /dev/null -e inject=mq_unlink:signal=KILL:when=1 "$IPCBOX" mqdump restore --replace new.dump
    expect 0 mqdump restore --recover
    is "$(texts "$q")" old
    is "$(find state -type f)" ""
    expect 137 strace -qq -o /dev/null -e inject=mq_timedsend:signal=KILL:when=1 "$IPCBOX" mqdump restore --replace new.dump
    unlink "$q"
    make "$q" 4 30 3:other
    for _ in 1 2; do
        expect 0 mqdump restore --recover
        has "$err" "$q: left by an interrupted restore: not put back: another queue has its name" \
            "what it replaced is in $IPCBOX_STATE_DIR/replaced-"
        is "$(texts "$q")" other
    done
    unlink "$q"
    expect 0 mqdump restore --recover
    has "$err" "$q: left by an interrupted restore: put back"
    is "$(texts "$q")" old
    is "$(find state -type f)" ""
}
