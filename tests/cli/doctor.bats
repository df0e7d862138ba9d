#!/usr/bin/env bats
# ipcbox doctor: what it says must be what the verbs then do.

load common
load screen

teardown() { screen_stop; }

# row BACKEND: its object
row() { jq -e --arg b "$1" '.backends[] | select(.backend == $b)' <<<"$doctor"; }

@test "doctor: a backend that it calls usable works, one that it does not says why" {
    q=$(unique)
    "$HELPERS/mqmake" "/$q" 2 16 1:hello
    expect 0 ipcbox -J doctor
    doctor=$out
    jq -e '.backends | all(.usable or (.why | length > 0)) and all((.usable | not) or .why == null)' <<<"$doctor"
    for backend in syscall fcntl ioctl bpf drain; do
        if row "$backend" | jq -e .usable; then
            force=
            [ "$backend" != drain ] || force=--force
            expect 0 mqpeek --raw --backend "$backend" $force "/$q"
            is "$out" hello
        else
            got=0
            mqpeek --raw --backend "$backend" "/$q" 2>"$BATS_TEST_TMPDIR/why" || got=$?
            [ "$got" = 4 ] || [ "$got" = 5 ]
            has "$(cat "$BATS_TEST_TMPDIR/why")" "$(row "$backend" | jq -r .why)"
        fi
    done
    row drain | jq -e .explicit_only
    "$HELPERS/mqmake" -u "/$q"
}

@test "doctor: without capabilities BPF is refused, with what would help" {
    expect 0 setpriv --reuid 54351 --regid 54351 --clear-groups "$IPCBOX" -J doctor
    doctor=$out
    row bpf | jq -e '(.usable | not) and (.why | length > 0) and (.remedy | length > 0)'
    row "ends of processes" | jq -e '(.usable | not) and (.remedy | test("root"))' ||
        row "ends of processes" | jq -e .usable
    row "holders, blocked threads" | jq -e '.usable | not'
}

@test "doctor: types of the kernel that do not fit are seen by every row that needs them" {
    : >"$BATS_TEST_TMPDIR/btf"
    IPCBOX_BTF=$BATS_TEST_TMPDIR/btf expect 0 ipcbox -J doctor
    jq -e '[.backends[] | select(.backend | IN("bpf", "System V: bpf", "tracepoint", "calls", "calls of sockets"))]
        | length == 6 and all((.usable | not) and (.why | length > 0))' <<<"$out"
}

@test "doctor: a device of bus1 that the user may not open" {
    cat >"$BATS_TEST_TMPDIR/inner" <<'EOF'
mount -t tmpfs none /dev
mknod -m 0600 /dev/bus1 c 10 "$(awk '$2 == "fuse" {print $1}' /proc/misc)"
exec setpriv --reuid 54351 --regid 54351 --clear-groups "$IPCBOX" -J doctor
EOF
    expect 0 unshare -m --propagation private sh "$BATS_TEST_TMPDIR/inner"
    jq -e '.backends[] | select(.applet == "b1ctl" and .backend == "kernel") | (.usable | not) and
        (.why | test("may not open /dev/bus1")) and (.remedy | test("chmod 0666"))' <<<"$out"
}

@test "doctor: it leaves nothing behind, and is a table for people" {
    expect 0 alone_ipc "$IPCBOX" doctor
    has "$out" "APPLET" "BACKEND" "USABLE" "mqpeek" "b1ctl"
    expect 0 alone_ipc sh -c '"$IPCBOX" doctor >"$1"; "$IPCBOX" mqpeek -q -J list' sh "$BATS_TEST_TMPDIR/doctor"
    jq -e '.queues == []' <<<"$out"
    expect 1 sh -c '"$IPCBOX" doctor >/dev/full'
    expect 2 ipcbox doctr
    has "$err" 'did you mean "doctor"?'
}

@test "doctor: what run can answer here is what it answers" {
    for reuid in 0 54351; do
        [ "$(id -u)" = 0 ] || reuid=$(id -u)
        as() { setpriv --reuid "$reuid" --regid "$reuid" --clear-groups "$IPCBOX" "$@"; }
        expect 0 as -J doctor
        doctor=$out
        for part in mq bus1 uring; do
            want=125
            ! row "run --only $part" | jq -e .usable || want=0
            expect "$want" as run --only "$part" true
            [ "$want" = 0 ] || has "$err" "$(row "run --only $part" | jq -r .why)"
        done
        row seccomp | jq -e .usable
    done
}

@test "doctor, limits: a narrow terminal gets further lines, not broken ones" {
    # That there is something to mend does not hang on the machine.
    for command in doctor "mqpeek -q limits 100 64K"; do
        screen_start 80 70 "prlimit --msgqueue=819200:819200 '$IPCBOX' $command"
        see status=0
        # Lines that the terminal broke are joined again: none of the tables of reasons is.
        [ -z "$(tm capture-pane -pJ | sed '/^USER/,$d' | awk 'length > 80')" ]
        words=$(screen | tr -s ' \n' ' ')
        screen_stop
    done
    # Every word is there.
    has "$words" REMEDY "(RLIMIT_MSGQUEUE)" "ulimit -q"
    # In a pipe a row is a line.
    expect 0 ipcbox doctor
    is "$(wc -l <<<"$out")" "$(($("$IPCBOX" -J doctor | jq '.backends | length') + 1))"
}

alone_ipc() { unshare -i "$@"; }
