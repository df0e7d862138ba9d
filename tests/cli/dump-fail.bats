#!/usr/bin/env bats
# mqdump: limits, full disks, pipes that are closed, a lack of rights. Nothing is done by halves.

load common

setup() {
    export IPCBOX_STATE_DIR=$BATS_TEST_TMPDIR/state TMPDIR=$BATS_TEST_TMPDIR
    cd "$BATS_TEST_TMPDIR"
    mkdir state
    q=/$(unique fail)
    others=("$q-2")
    user=
}

teardown() {
    for name in "$q" "${others[@]}"; do
        "$HELPERS/mqmake" -u "$name" 2>/dev/null || true
    done
    [ -z "$user" ] || rm -rf "$user"
}

make() { "$HELPERS/mqmake" "$@"; }
unlink() { "$HELPERS/mqmake" -u "$1"; }
exists() { mqdump save "$1" >/dev/null 2>&1; }
texts() { mqdump save "$1" | jq -r 'select(.type == "message").text' | paste -sd,; }
root() { [ "$(id -u)" = 0 ] || skip "needs root"; }

# A user without any rights, who has a directory.
as_user() {
    if [ -z "$user" ]; then
        user=$(mktemp -d -p /tmp)
        chown 23456 "$user"
    fi
    (cd / && exec setpriv --reuid 23456 --regid 23456 --clear-groups --inh-caps=-all --bounding-set=-all \
        env IPCBOX_STATE_DIR="$user/state" TMPDIR="$user" HOME="$user" "$@")
}

# edited FILTER: a.dump through jq
edited() { jq -c "$1" a.dump | mqdump seal >edited.dump; }

@test "mqdump: each limit is checked before anything is made, and told with its figures" {
    root
    make "$q" 5 20 1:a
    make "$q-2" 5 20 1:b
    mqdump save "$q" "$q-2" -O a.dump
    unlink "$q"
    unlink "$q-2"
    msg_max=$(cat /proc/sys/fs/mqueue/msg_max) msgsize_max=$(cat /proc/sys/fs/mqueue/msgsize_max)
    edited "if .name == \"$q-2\" then .maxmsg = 60000 else . end"
    expect 1 as_user "$IPCBOX" mqdump restore - <edited.dump
    has "$err" "nothing was restored" "$q-2 holds up to 60000 messages, msg_max is $msg_max" "raise /proc/sys/fs/mqueue/msg_max"
    expect 1 as_user "$IPCBOX" mqdump restore --dry-run - <edited.dump
    has "$err" "nothing would be restored" "msg_max is $msg_max"
    edited "if .name == \"$q-2\" then .msgsize = 1000000 else . end"
    expect 1 as_user "$IPCBOX" mqdump restore - <edited.dump
    has "$err" "$q-2 takes messages of 1000000 bytes, msgsize_max is $msgsize_max" "raise /proc/sys/fs/mqueue/msgsize_max"
    # 48 bytes of list and tree nodes a message; the first would fit.
    expect 1 as_user prlimit --msgqueue=1000 "$IPCBOX" mqdump restore - <a.dump
    has "$err" "the queues of user 23456 would cost" "0 are in use, RLIMIT_MSGQUEUE is 1000" "raise ulimit -q"
    ! exists "$q"
    ! exists "$q-2"
    # Also what others have made counts against the number of queues; where that cannot be seen the
    # kernel refuses the second, and the first is removed.
    cat >many.sh <<'SH'
"$HELPERS/mqmake" /there 1 1
echo 2 >/proc/sys/fs/mqueue/queues_max
mkdir -p mq /dev/mqueue
for mount in true false; do
    ! $mount || { mount -t mqueue none mq && mount --bind mq /dev/mqueue; }
    as_user "$IPCBOX" mqdump restore - <a.dump 2>&1 && exit 1
    "$IPCBOX" mqpeek -J list 2>/dev/null | jq -r '.queues[].name'
    ! $mount || umount /dev/mqueue
done
SH
    export -f as_user
    export user
    expect 0 unshare -im bash -eu many.sh
    has "$out" "1 queues exist, 2 more are to be made, queues_max is 2" "raise /proc/sys/fs/mqueue/queues_max" \
        "$q-2: there are as many queues as queues_max allows: 2"
    is "$(grep ^/ <<<"$out" | paste -sd' ')" "/there /there"
}

# On a file system of 64 KiB: the dump does not fit, and what was there stays.
@test "mqdump: a full disk is an error, and what was there stays as it was" {
    root
    make "$q" 10 8000 1:a
    mqdump save "$q" -O a.dump
    jq -c 'if .type == "message" then . as $m | range(10) | $m | del(.data_base64, .length) | .text = "x" * 7900 else . end' \
        a.dump | mqdump seal >big.dump
    unlink "$q"
    mqdump restore big.dump
    {
        echo '{"type":"header","format":"ipcbox-dump","version":1,"kind":"traffic"}'
        jq -c 'select(.type == "message") | .type = "event" | .event = "send" | .time = "2026-01-01T00:00:00Z"' big.dump
    } | mqdump seal >big.traffic
    mkdir small
    cat >full.sh <<'SH'
mount -t tmpfs -o size=64k none small
cp a.dump small/kept
say() { echo "$*: $("$@" 2>&1 >/dev/null) $?"; }
mqdump() { "$IPCBOX" mqdump "$@"; }
says() { local out status=0; out=$("$@" 2>&1 >/dev/null) || status=$?; echo "$status $out"; }
says mqdump save "$1" -O small/new
says mqdump save "$1" -O small/kept
says mqdump seal big.dump -O small/kept
TMPDIR=$PWD/small says sh -c 'cat big.dump | "$IPCBOX" mqdump restore -'
IPCBOX_STATE_DIR=$PWD/small/state says mqdump restore --replace a.dump
CRTOOLS_SCRIPT_ACTION=post-dump CRTOOLS_IMAGE_DIR=$PWD/small CRTOOLS_INIT_PID=$2 says mqdump criu action
TMPDIR=$PWD/small says mqdump replay --speed max big.traffic
cmp a.dump small/kept && ls -A small small/state
SH
    # A process that has it open, for the checkpoint.
    sleep 60 9</dev/null 3>&- &
    holder=$!
    mkfifo silence
    "$HELPERS/mqactor" holder "$q" <>silence >actor 3>&- &
    actor=$!
    within 30 grep -q pid actor
    expect 0 unshare -m bash -eu full.sh "$q" "$actor"
    kill "$holder" "$actor"
    mapfile -t lines <<<"$out"
    for i in 0 1 2; do
        has "${lines[i]}" "1 mqdump: " "No space left on device"
    done
    has "${lines[3]}" "1 mqdump: -: nothing was restored: cannot keep the input in $PWD/small: No space left on device" "set TMPDIR"
    has "${lines[4]}" "1 mqdump: a.dump: nothing was restored: $q cannot be saved before it is replaced: No space left"
    has "${lines[5]}" "1 mqdump: the queues of process $actor cannot be saved: No space left on device"
    has "${lines[6]}" "1 mqdump: big.traffic: nothing was sent: cannot keep what is to be sent in $PWD/small: No space left" "set TMPDIR"
    is "$(printf '%s\n' "${lines[@]:7}" | paste -sd' ')" "small: kept state  small/state:"
    is "$(texts "$q" | tr -d x)" ",,,,,,,,,"
}

@test "mqdump: output that cannot be written is an error of every verb, a reader who leaves is none" {
    make "$q" 5 20 1:a
    mqdump save "$q" -O a.dump
    {
        echo '{"type":"header","format":"ipcbox-dump","version":1,"kind":"traffic"}'
        echo "{\"type\":\"event\",\"event\":\"send\",\"time\":\"2026-01-01T00:00:00Z\",\"queue\":\"$q\",\"priority\":1,\"text\":\"b\"}"
    } | mqdump seal >a.traffic
    runs=("save $q" "save --all" "show a.dump" "show -J --messages a.dump" "verify a.dump" "seal a.dump" \
        "restore --append --dry-run a.dump" "restore --append a.dump" "replay a.traffic" "criu script")
    [ "$(id -u)" != 0 ] || runs+=("record $q --duration 0.1")
    for run in "${runs[@]}"; do
        expect 1 sh -c "\"\$IPCBOX\" mqdump $run >/dev/full"
        has "$err" "No space left on device"
        expect 0 bash -c "set -o pipefail; \"\$IPCBOX\" mqdump $run | { exec <&-; sleep 0.2; }"
        [[ "$err" != *"roken pipe"* ]]
    done
    is "$(texts "$q")" a,a,a,b,b
    # What has been done stays, and that is said.
    expect 1 sh -c '"$IPCBOX" mqdump restore --replace a.dump >/dev/full'
    has "$err" "No space left on device; all was restored, and what was replaced is kept"
    is "$(texts "$q")" a
    expect 0 mqdump restore --append a.dump
    expect 1 sh -c '"$IPCBOX" mqdump restore --append --dry-run a.dump >/dev/full'
    [[ "$err" != *restored* ]]
    expect 1 mqdump save "$q" -O /dev/full
    expect 0 mqdump save "$q" -O /dev/null
    is "$(texts "$q")" a,a
}

@test "mqdump: output to pipes, descriptors and files that cannot be made" {
    make "$q" 5 20 1:a
    dumps() { mqdump verify -J "$1" | jq -e '.dumps[0].whole' >/dev/null; }
    for target in - /dev/stdout /dev/fd/1 /proc/self/fd/1; do
        "$IPCBOX" mqdump save "$q" -O "$target" | cat >piped.dump
        dumps piped.dump
        # What the shell appends to stays, and goes on.
        echo before >appended
        "$IPCBOX" mqdump save "$q" -O "$target" >>appended
        is "$(head -n 1 appended)" before
        tail -n +2 appended >rest.dump
        dumps rest.dump
        "$IPCBOX" mqdump seal piped.dump -O "$target" | cmp - piped.dump
        "$IPCBOX" mqpeek metrics -O "$target" | grep -q '^# EOF'
    done
    "$IPCBOX" mqdump save "$q" -O >(cat >substituted.dump)
    filled() { dumps substituted.dump; }
    within 10 filled
    is "$(ls -A)" "$(ls -A | grep -vxe -)" # no file has the name of an option
    runs=("mqdump save $q" "mqdump seal piped.dump" "mqpeek metrics")
    [ "$(id -u)" != 0 ] || runs+=("mqdump record $q")
    for run in "${runs[@]}"; do
        # shellcheck disable=SC2086 # words
        expect 1 $run -O "$BATS_TEST_TMPDIR/absent/file"
        has "$err" "$BATS_TEST_TMPDIR/absent/file: cannot write: No such file or directory"
        # shellcheck disable=SC2086 # words
        expect 1 $run -O "$BATS_TEST_TMPDIR"
        has "$err" "$BATS_TEST_TMPDIR: cannot write: Is a directory"
    done
    # A limit on the size of files is an error, and not a death without a word.
    is "$(sh -c 'ulimit -f 0; exec "$IPCBOX" mqdump save "$1" -O limited.dump 2>&1' sh "$q")" \
        "mqdump: limited.dump: cannot write: File too large"
    expect 2 mqdump save --pid 1 --all
    has "$err" "--pid and --all exclude each other"
    [ ! -e limited.dump ]
}

@test "mqdump restore --dry-run: fails for an owner that the user namespace does not have" {
    root
    make "$q" 5 20 1:a
    mqdump save "$q" -O a.dump
    jq -c 'if .type == "queue" then .uid = 54321 else . end' a.dump | mqdump seal >owned.dump
    for how in --dry-run ""; do
        # shellcheck disable=SC2086 # a word or none
        expect 5 unshare -Uri "$IPCBOX" mqdump restore $how owned.dump
        has "$err" "its owner 54321:"
        # shellcheck disable=SC2086 # a word or none
        expect 0 unshare -i "$IPCBOX" mqdump restore $how owned.dump
    done
}

@test "mqdump: without rights nothing is shown, changed or followed, and it says what would help" {
    root
    make "$q" 5 20 1:secret
    mqdump save "$q" -O a.dump
    expect 5 as_user "$IPCBOX" mqdump save "$q"
    has "$err" "$q: not permitted to read it"
    is "$out" ""
    for how in --replace --append; do
        expect 5 as_user "$IPCBOX" mqdump restore $how - <a.dump
        has "$err" "nothing was restored: $q exists, and may not be opened"
    done
    expect 5 as_user "$IPCBOX" mqdump criu args $$
    has "$err" "run as root"
    expect 5 as_user env CRTOOLS_SCRIPT_ACTION=post-dump CRTOOLS_IMAGE_DIR="$user" CRTOOLS_INIT_PID=$$ "$IPCBOX" mqdump criu action
    has "$err" "run as root"
    # It could not be had here, whoever ran it: its capabilities are bounded.
    expect 5 as_user "$IPCBOX" mqdump record "$q"
    has "$err" "--cap-add BPF"
    # A journal where others may write is none.
    expect 5 as_user env IPCBOX_STATE_DIR=/tmp "$IPCBOX" mqdump restore --rename "$q=$q-2" - <a.dump
    has "$err" "set IPCBOX_STATE_DIR"
    for verb in "mqdump restore --rename $q=$q-2 a.dump" "mqpeek --backend drain --force $q"; do
        # shellcheck disable=SC2086 # words
        expect 1 env IPCBOX_STATE_DIR=/proc/none "$IPCBOX" $verb
        has "$err" "cannot use /proc/none: No such file or directory (set IPCBOX_STATE_DIR)"
    done
    expect 5 as_user env -u IPCBOX_STATE_DIR HOME=/nonexistent "$IPCBOX" mqdump restore --rename "$q=$q-2" - <a.dump
    ! exists "$q-2"
    is "$(texts "$q")" secret
    # What is open to all may be replaced only by its owner.
    jq -c 'if .type == "queue" then .mode = "0666" else . end' a.dump | mqdump seal | mqdump restore --replace - >/dev/null
    expect 5 as_user "$IPCBOX" mqdump restore --replace - <a.dump
    has "$err" "$q belongs to somebody else"
    is "$(texts "$q")" secret
}

@test "mqdump: a dump is written whole also where there are no files without a name" {
    make "$q" 5 20 1:a
    expect 0 strace -qq -o trace -e trace=openat -P "$PWD" -e inject=openat:error=EOPNOTSUPP:when=1 "$IPCBOX" mqdump save "$q" -O "$PWD/a.dump"
    grep -q O_TMPFILE trace
    expect 0 mqdump verify a.dump
    expect 1 strace -qq -o trace -e trace=openat,fsync -P "$PWD" -e inject=openat:error=EOPNOTSUPP:when=1 "$IPCBOX" mqdump seal /bin/true -O "$PWD/b.dump"
    is "$(find . -name '.*.dump*' -o -name 'b.dump')" ""
}
