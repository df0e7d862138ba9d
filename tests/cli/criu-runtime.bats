#!/usr/bin/env bats
# mqdump criu runtime below a stand-in for an OCI runtime, which does what runc and criu would do with
# what it is given. With the real ones: containers.bats.

load common

setup() {
    [ "$(id -u)" = 0 ] || skip "needs root"
    export IPCBOX_STATE_DIR=$BATS_TEST_TMPDIR/state PATH=$BATS_TEST_TMPDIR/bin:$PATH
    unset CRIU_CONFIG_FILE
    cd "$BATS_TEST_TMPDIR"
    mkdir bin links w img bundle
    ln -s "$IPCBOX" links/mq-fakerun
    export BASE=$PWD
    # state: the process of the container; checkpoint: criu's action; all: what it was called with.
    cat >bin/fakerun <<'SH'
#!/bin/bash
printf '%s\n' "$@" >"$BASE/called"
cp "${CRIU_CONFIG_FILE:-/dev/null}" "$BASE/config"
verb= image=
for word; do
    [ "$last" != --image-path ] || image=$word
    case $word in state | checkpoint | restore | fail | read) verb=${verb:-$word} ;; esac
    last=$word
done
case $verb in
state)
    mv "$BASE/called" "$BASE/asked"
    [ -e "$BASE/pid" ] || exit 1
    echo "{\"ociVersion\":\"1.2.0\",\"id\":\"$last\",\"pid\":$(cat "$BASE/pid"),\"bundle\":\"$BASE/bundle\"}"
    ;;
checkpoint)
    script=$(sed -n 's/^action-script //p' "$BASE/config")
    [ -n "$script" ] || exit 0
    CRTOOLS_SCRIPT_ACTION=post-dump CRTOOLS_IMAGE_DIR=$image CRTOOLS_INIT_PID=$(cat "$BASE/pid") "$script"
    ;;
restore) [ ! -e "$BASE/inside" ] || . "$BASE/inside" ;;
fail) exit 7 ;;
read) cat ;;
esac
SH
    chmod +x bin/fakerun
    echo '{"ociVersion":"1.2.0","linux":{"namespaces":[{"type":"pid"},{"type":"ipc"}]}}' >bundle/config.json
    pids=()
}

teardown() {
    [ ! -e w/ready ] || pids+=("$(cat w/ready)")
    for pid in "${pids[@]}"; do
        # shellcheck disable=SC2046
        { kill -KILL "$pid" $(pgrep -P "$pid") && wait; } 2>/dev/null || true
    done
    ! mountpoint -q podns || umount podns
}

# container [UNSHARE-OPTION…]: three processes with two queues and a nameless one; the first is $pid.
container() {
    unshare "$@" "$HELPERS/criutree" /a /b w 3>&- &
    within 30 test -e w/ready
    pid=$(cat w/ready)
    echo "$pid" >pid
}

checkpoint() { links/mq-fakerun --root r checkpoint --image-path "$PWD/img" box; }
restore() { links/mq-fakerun restore --bundle bundle --image-path "$PWD/img" box; }

@test "mqdump criu runtime: everything else goes to the runtime as it is" {
    for self in links/mq-fakerun "$IPCBOX mqdump criu runtime -- fakerun"; do
        # shellcheck disable=SC2086 # words
        expect 7 $self --root "a b" --log '' fail -x -- "c'd" checkpoint
        is "$(cat called)" "$(printf '%s\n' --root "a b" --log '' fail -x -- "c'd" checkpoint)"
        is "$out$err" ""
    done
    for words in "checkpoint --help" "restore -h" checkpoint "checkpoint --pre-dump --image-path img box"; do
        # shellcheck disable=SC2086 # words
        expect 0 links/mq-fakerun $words
        is "$out$err$(paste -sd' ' called)" "$words"
        [ ! -e asked ]
    done
    is "$(echo in | links/mq-fakerun read)" in
    is "$(cat config)" ""
    mkdir plain && ln -s "$(command -v grep)" plain/fakesig
    ln -s "$IPCBOX" links/mq-fakesig
    is "$(PATH=$PWD/plain:$PATH links/mq-fakesig SigIgn /proc/self/status)" "$(grep SigIgn /proc/self/status)"
    expect 3 env PATH=/usr/bin:/bin "$PWD/links/mq-fakerun" list
    has "$err" "there is no runtime fakerun"
    expect 2 mqdump criu runtime
}

@test "mqdump criu runtime: a link to itself is not the runtime" {
    cp -P links/mq-fakerun bin/fakerun
    expect 3 links/mq-fakerun list
    has "$err" "there is no runtime fakerun"
}

@test "mqdump criu runtime: a container without queues is checkpointed without help" {
    unshare -i sleep 1000 3>&- &
    pids+=($!)
    echo $! >pid
    within 30 grep -qx sleep "/proc/$!/comm"
    expect 0 checkpoint
    is "$out$err$(cat config)" ""
    is "$(paste -sd' ' called)" "--root r checkpoint --image-path $PWD/img box"
    is "$(paste -sd' ' asked)" "--root r state box"
    expect 0 restore
    is "$out$err$(cat config)" ""
}

@test "mqdump criu runtime: checkpoint and restore, criu is told of everything" {
    container -im --propagation slave sh -c 'mount -t mqueue none /mnt && exec "$@"' sh
    echo 'log-level 4' >mine
    CRIU_CONFIG_FILE=$PWD/mine expect 0 checkpoint
    is "$out$err" ""
    is "$(grep -c '^external file\[[0-9a-f]*:[0-9a-f]*\]$' config)" 3
    is "$(grep -v file config | grep .)" "log-level 4
$(findmnt -N "$pid" -t mqueue -no TARGET | sed 's/.*/external mnt[&]:mq/')
action-script $(readlink -f "$IPCBOX")"
    expect 0 mqdump criu args --config "$pid"
    is "$out" "$(grep ^external config)"
    expect 0 mqdump verify img/mqueues.dump
    echo 7 >w/go
    cat >inside <<'SH'
ns=$(sed -n 's,^join-ns ipc:/proc/self/fd/,,p' "$BASE/config")
[ "$ns" -ge 200 ] && [ "$(stat -Lc %i /proc/self/fd/$ns)" != "$(stat -Lc %i /proc/self/ns/ipc)" ] || exit 91
nsenter --ipc=/proc/self/fd/$ns "$IPCBOX" mqdump save --all >"$BASE/again" || exit 92
sed -n 's/^inherit-fd fd\[\([0-9]*\)\]:file.*/\1/p' "$BASE/config" | while read -r fd; do
    [ "$fd" -ge 200 ] && grep -q QSIZE /dev/fd/$fd || exit 93
done
ls "$(sed -n 's/^external mnt\[mq\]://p' "$BASE/config")" >"$BASE/mounted"
SH
    expect 0 restore
    is "$(paste -sd' ' mounted)" "a b"
    is "$(jq -r 'select(.type == "message") | .queue + .text' again | paste -sd,)" "/ahigh,/ahigh too,/amiddle,/alow,/a"
    # Nothing of it is seen outside.
    [ -z "$(findmnt -t mqueue -no TARGET | grep ipcbox || true)" ]
    ! "$HELPERS/mqmake" -u /a 2>/dev/null
}

# In the namespace of a process, which stands for a pod.
pod() { nsenter --ipc="$PWD/podns" "$@"; }

@test "mqdump criu runtime: in a shared namespace queues that are there are kept, or the restore refused" {
    touch podns
    unshare --ipc=podns true
    echo "{\"linux\":{\"namespaces\":[{\"type\":\"ipc\",\"path\":\"$PWD/podns\"}]}}" >bundle/config.json
    pod "$HELPERS/mqmake" /others 2 8 1:theirs
    pod "$HELPERS/criutree" /a /b w 3>&- &
    within 30 test -e w/ready
    cp w/ready pid
    expect 0 checkpoint
    # shellcheck disable=SC2046
    kill -KILL "$(cat pid)" $(pgrep -P "$(cat pid)")
    pod "$IPCBOX" mqctl recv /others >/dev/null
    cat >inside <<'SH'
! grep -q join-ns "$BASE/config" || exit 91
[ "$(grep -c inherit-fd "$BASE/config")" = 3 ] || exit 92
SH
    expect 0 restore
    has "$err" "/others: it exists with other messages, and was not open: left as it is"
    is "$(pod "$IPCBOX" mqdump save /a | jq -r 'select(.type == "message").text' | paste -sd,)" "high,high too,middle,low,"
    pod "$IPCBOX" mqctl recv /a >/dev/null
    expect 1 restore
    has "$err" "/a exists, and is not what was saved" "nsenter --ipc=$PWD/podns mqctl rm" "container box is not restored"
    pod "$HELPERS/mqmake" -u /a
    pod "$HELPERS/mqmake" -u /b
    pod "$HELPERS/mqmake" -u /others
    expect 0 restore
    is "$(pod "$IPCBOX" mqpeek list -o name --jsonl | jq -r .name | sort | paste -sd' ')" "/a /b /others"
    umount podns
}

@test "mqdump criu runtime: what cannot be restored is not checkpointed" {
    container -Uri
    expect 4 checkpoint
    has "$err" "container box is not checkpointed, and goes on" "user namespace"
    [ ! -e called ]
    kill -0 "$pid"
    expect 4 mqdump criu args "$pid"
    has "$err" "user namespace"
}

@test "mqdump criu runtime: when the runtime tells no process, it does what it would do" {
    expect 0 checkpoint
    has "$err" "container box: " "does not tell its state" "checkpoints it without its queues"
    is "$(tail -n 1 called)" box
    echo 0 >pid
    expect 0 checkpoint
    has "$err" "tells no process of it"
}

@test "mqdump criu runtime: a save that fails makes the checkpoint fail" {
    container -i
    mkdir img/mqueues.dump
    expect 1 checkpoint
    has "$err" "the queues of process $pid cannot be saved"
    kill -0 "$pid"
    touch w/go
    within 30 test -e w/drained
    is "$(paste -sd, w/drained)" "9:high,9:high too,5:middle,1:low,0:"
}

@test "mqdump criu runtime: a damaged dump or bundle is told, and nothing runs" {
    container -i
    checkpoint
    rm called
    cp img/mqueues.dump whole
    head -n 3 whole >img/mqueues.dump
    expect 1 restore
    has "$err" "img/mqueues.dump: container box is not restored"
    [ ! -e called ]
    cp whole img/mqueues.dump
    echo '[]' >bundle/config.json
    expect 1 restore
    has "$err" "config.json is no JSON object"
    rm bundle/config.json
    expect 3 restore
    [ ! -e called ]
}

@test "mqdump criu: the commands of the manual page are those of docs/containers.md, which containers.bats runs" {
    sed -n '/^With podman/,/^A tree/{/^ /{s/^ *//;s/\\-/-/g;p}}' "$SRC/man/mqdump.1" >manual
    is "$(wc -l <manual)" 8
    for tag in setup first second; do
        "$SRC/tests/lib/readme" block "$tag" "$SRC/docs/containers.md"
    done >documented
    [ -z "$(grep -vxFf documented manual)" ]
}

# At rest in a namespace of its own, where "inside" works on it.
sleeper() {
    unshare -i sleep 1000 3>&- &
    pids+=($!)
    echo $! >pid
    within 30 grep -qx sleep "/proc/$!/comm"
}
inside() { nsenter -i -t "$(cat pid)" "$IPCBOX" "$@"; }

@test "mqdump criu runtime: System V queues that criu would restore as others are refused" {
    sleeper
    q=$(inside mqctl create --sysv)
    head -c 5000 /dev/zero | inside mqctl send "$q"
    head -c 5000 /dev/zero | inside mqctl send "$q"
    expect 0 checkpoint
    is "$out$err" ""
    is "$(grep -c action-script config)" 1
    expect 0 mqdump verify img/mqueues.dump
    is "$(inside mqpeek info -J "$q" | jq .queues[0].depth)" 2

    inside mqctl set "$q" --limit 12000
    expect 4 checkpoint
    has "$err" "container box is not checkpointed, and goes on: $q has a limit of 12000 bytes" "mqctl set $q --limit 16384"
    expect 4 mqdump criu args "$(cat pid)"
    expect 4 env CRTOOLS_SCRIPT_ACTION=post-dump CRTOOLS_IMAGE_DIR=img CRTOOLS_INIT_PID="$(cat pid)" "$IPCBOX"
    inside mqctl set "$q" --limit 16384

    echo "{\"linux\":{\"namespaces\":[{\"type\":\"ipc\",\"path\":\"/proc/$(cat pid)/ns/ipc\"}]}}" >bundle/config.json
    expect 4 checkpoint
    has "$err" "it shares its IPC namespace"
    rm bundle/config.json

    inside mqctl set "$q" --owner 1000 --group 1000
    expect 0 checkpoint
    own=$(nsenter -i -t "$(cat pid)" setpriv --reuid 1000 --regid 1000 --clear-groups "$IPCBOX" mqctl create --sysv --mode 600)
    expect 0 checkpoint
    has "$err" "the creator of 1 System V queues will be root"
    inside mqctl set "$own" --owner 0 --group 0
    expect 4 checkpoint
    has "$err" "$own was created by 1000:1000 and belongs to 0:0"
    inside mqctl rm "$own"

    nsenter -i -t "$(cat pid)" sh -c 'echo 20000 >/proc/sys/kernel/msgmax; echo 30000 >/proc/sys/kernel/msgmnb'
    inside mqctl set "$q" --limit 30000
    head -c 8193 /dev/zero | inside mqctl send "$q"
    expect 4 checkpoint
    has "$err" "$q has a message of more than 8192 bytes"
    is "$(inside mqpeek info -J "$q" | jq .queues[0].depth)" 3
}
