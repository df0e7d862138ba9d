#!/usr/bin/env bats
# mqpeek peek and recover, over real queues.

load common
load scene
load screen

setup() { q=/$(unique); }
teardown() {
    scene_stop
    screen_stop
    jobs -p | xargs -r kill 2>/dev/null || true
    "$HELPERS/mqmake" -u "$q" 2>/dev/null || true
    rm -rf "/tmp/ipcbox-peek-$$-$BATS_TEST_NUMBER"
}

make() { "$HELPERS/mqmake" "$q" "$@"; }
make_bytes() { "$HELPERS/mqmake" -e "$q" "$@"; }

# A folder that any user may enter, as bats' own need not be.
public_dir() {
    dir=/tmp/ipcbox-peek-$$-$BATS_TEST_NUMBER
    mkdir -m 755 "$dir"
}
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; }

@test "peek: one aligned line a message, in receive order" {
    make 10 64 1:last 7:first 1:'very last' 7:second 3:
    expect 0 mqpeek "$q"
    is "$out" "$q: 5 of 10 messages, 24 bytes (bpf, verified)
INDEX  PRIORITY  LENGTH  CONTENT
    0         7       5  first
    1         7       6  second
    2         3       0  (empty)
    3         1       4  last
    4         1       9  very last"
    is "$err" ""
    # Nothing has moved: the same again.
    first=$out
    expect 0 mqpeek peek "$q"
    is "$out" "$first"
    expect 0 mqpeek "$q" --noheadings
    is "$(sed 's/^ *//; s/  */ /g' <<<"$out")" "$(tail -n +3 <<<"$first" | sed 's/^ *//; s/  */ /g')"
    expect 0 mqpeek "$q" --noheadings -o content,index
    is "$(head -n 1 <<<"$out" | tr -s ' ')" "first 0"
}

@test "peek: an empty queue is said to be empty" {
    make 10 64
    expect 0 mqpeek "$q"
    is "$out" "$q: empty (bpf, verified)"
    expect 0 mqpeek -J "$q"
    is "$(jq -c '.queues[0] | [.depth, .messages]' <<<"$out")" "[0,[]]"
}

@test "peek: JSON has every byte, and text only where it is text" {
    make_bytes 10 64 9:'{"a":1}' 8:'\x00\x01\xfe\xff' 7:'caf\xc3\xa9' 6:'nul\x00' 5:
    expect 0 mqpeek -J "$q"
    is "$(jq -c '[.queues[0].messages[] | [.index, .priority, .length, .data_base64, .text]]' <<<"$out")" \
        '[[0,9,7,"eyJhIjoxfQ==","{\"a\":1}"],[1,8,4,"AAH+/w==",null],[2,7,5,"Y2Fmw6k=","café"],[3,6,4,"bnVsAA==",null],[4,5,0,"",""]]'
    is "$(jq -c '.queues[0].messages | map(has("text"))' <<<"$out")" "[true,false,true,false,true]"
    is "$(jq -c '.queues[0] | [.queue, .name, .depth, .bytes, .maxmsg, .msgsize, .backend, .consistent]' <<<"$out")" \
        "[\"$q\",\"$q\",5,20,10,64,\"bpf\",true]"
    # A JSON Lines record stands alone.
    expect 0 mqpeek --jsonl "$q"
    is "$(wc -l <<<"$out")" 5
    is "$(sed -n 2p <<<"$out" | jq -c '[.queue, .backend, .consistent, .index, .data_base64]')" \
        "[\"$q\",\"bpf\",true,1,\"AAH+/w==\"]"
    # Cut only when asked to; the length stays true.
    expect 0 mqpeek -J -m 2 -i 0 "$q"
    is "$(jq -c '.queues[0].messages[0] | [.length, .text]' <<<"$out")" '[7,"{\""]'
    expect 0 mqpeek -J -m 0 "$q"
    is "$(jq -c '[.queues[0].messages[] | [.length, .data_base64]]' <<<"$out")" \
        '[[7,null],[4,null],[5,null],[4,null],[0,null]]'
}

@test "peek: some of the messages" {
    make 10 64 9:a 8:b 8:c 2:d 1:e
    shown() { jq -r '[.queues[].messages[].text] | join("")' <<<"$out"; }
    expect 0 mqpeek -J -n 2 "$q"; is "$(shown)" ab
    expect 0 mqpeek -J -n 0 "$q"; is "$(shown)" ""
    expect 0 mqpeek -J -i 1 "$q"; is "$(shown)" b
    expect 0 mqpeek -J -i 1:3 "$q"; is "$(shown)" bcd
    expect 0 mqpeek -J -i 3: "$q"; is "$(shown)" de
    expect 0 mqpeek -J -i 3:18446744073709551615 "$q"; is "$(shown)" de
    expect 0 mqpeek -J -p 8 "$q"; is "$(shown)" bc
    expect 0 mqpeek -J -p 2:8 "$q"; is "$(shown)" bcd
    expect 0 mqpeek -J -p 2: -n 3 -i 1: "$q"; is "$(shown)" bcd
    expect 0 mqpeek -J -p 100: "$q"; is "$(shown)" ""
    # What is not there is an error; what cannot be there is wrong usage.
    expect 1 mqpeek -i 5 "$q"; has "$err" "there is no message 5, it has 5"
    expect 1 mqpeek -i 18446744073709551615 "$q"; has "$err" "there is no message"
    expect 2 mqpeek -i -1 "$q"; has "$err" '--index: "-1"'
    expect 2 mqpeek -i 3:1 "$q"
    expect 2 mqpeek -i 99999999999999999999 "$q"
    expect 2 mqpeek -i 1:2:3 "$q"
    expect 2 mqpeek -n -5 "$q"
    expect 2 mqpeek -m many "$q"
    expect 2 mqpeek -p x "$q"
    expect 2 mqpeek --max-snapshot 0 "$q"
}

@test "peek: a content that is cut ends with an ellipsis in the table, and only there" {
    make_bytes 10 64 9:hello 8:four 7:'\x00\x01\xfe\xff\x00'
    expect 0 mqpeek "$q" -m 4 --noheadings -o content
    is "$(sed 's/ *$//' <<<"$out")" $'hell…\nfour\n<00 01 fe ff…'
    expect 0 mqpeek "$q" -m 4 -J
    is "$(jq -r '[.queues[].messages[].text] | tojson' <<<"$out")" '["hell","four",null]'
    expect 0 mqpeek "$q" -m 4 --raw -n 2
    has "$out" "hellfour"
}

@test "peek: --raw is the bytes, --hex is hexdump -C, --text keeps the lines" {
    make_bytes 10 64 5:'\x00\x01ab\x1b[2J\xff and more than sixteen' 4:'two\x0alines'
    mqpeek --raw -i 0 "$q" >"$BATS_TEST_TMPDIR/raw"
    printf '\0\1ab\033[2J\377 and more than sixteen' | cmp - "$BATS_TEST_TMPDIR/raw"
    expect 0 mqpeek --hex --noheadings -i 0 "$q"
    is "$out" "$(hexdump -C "$BATS_TEST_TMPDIR/raw")"
    # Equal lines are folded, as there.
    "$HELPERS/mqmake" "$q-long" 10 500 7:"$(printf 'x%.0s' {1..200})" 3: "1:$(printf 'ab%.0s' {1..33})c"
    for i in 0 1 2; do
        mqpeek --raw -i "$i" "$q-long" >"$BATS_TEST_TMPDIR/raw"
        expect 0 mqpeek --hex --noheadings -i "$i" "$q-long"
        is "$out" "$(hexdump -C "$BATS_TEST_TMPDIR/raw")"
    done
    "$HELPERS/mqmake" -u "$q-long"
    expect 0 mqpeek --hex "$q"
    has "$out" "[0] priority 5, 31 bytes" "[1] priority 4, 9 bytes" "|two.lines|"
    expect 0 mqpeek --text --noheadings -i 1 "$q"
    is "$out" "two
lines"
    expect 0 mqpeek --text --noheadings -i 0 "$q"
    is "$out" '␀\x01ab\x1b[2J\xff and more than sixteen'
    expect 2 mqpeek --hex --raw "$q"
    expect 2 mqpeek --raw -J "$q"
}

@test "peek: hostile bytes never reach a terminal" {
    make_bytes 10 200 9:'\x1b]0;owned\x07\x1b[2J' 8:'\xc2\x9b31m' 7:'a\x0d\x0ab\x08\x7f' \
        6:'\xe2\x80\xaegnp.exe' 5:'\x00\xff\x1b'
    # Whose input never ends: script(1) would answer that with ever more memory.
    mkfifo "$BATS_TEST_TMPDIR/quiet"
    for how in "" --hex --text "-m 3"; do
        # The only line ends are the terminal's own.
        script -qec "NO_COLOR=1 COLUMNS=70 '$IPCBOX' mqpeek $how '$q'" /dev/null <>"$BATS_TEST_TMPDIR/quiet" >"$BATS_TEST_TMPDIR/tty"
        [ -s "$BATS_TEST_TMPDIR/tty" ]
        # shellcheck disable=SC1003 # a backslash, quoted
        ! tr -d '\r\n\\' <"$BATS_TEST_TMPDIR/tty" | LC_ALL=C grep -aq '[[:cntrl:]]'
        ! LC_ALL=C grep -aqP '\xc2[\x80-\x9f]|\xe2\x80\xae' "$BATS_TEST_TMPDIR/tty"
    done
    # Raw bytes are not for terminals at all.
    script -qec "'$IPCBOX' mqpeek --raw '$q'" /dev/null <>"$BATS_TEST_TMPDIR/quiet" >"$BATS_TEST_TMPDIR/tty" || true
    grep -q "send them to a pipe" "$BATS_TEST_TMPDIR/tty"
}

@test "peek: names without a slash, with too many, too long, with control bytes" {
    make 10 64 1:x
    # After a verb a bare name is taken, and said.
    expect 0 mqpeek peek "${q#/}"
    has "$err" "taking \"${q#/}\" as $q"
    has "$out" "$q: 1 of 10"
    expect 2 mqpeek peek /a/b; has "$err" "one slash"
    for file in "mqpeek" "mqpeek info" "mqctl rm" "mqdump save" "mqpeek recover"; do
        # shellcheck disable=SC2086 # words
        expect 2 "$IPCBOX" $file /dev/mqueue/jobs
        has "$err" "one slash" "(write /jobs)"
    done
    expect 2 mqpeek peek //a
    expect 2 mqpeek peek /; has "$err" "empty"
    expect 2 mqpeek peek ""; has "$err" "empty"
    expect 2 mqpeek "/$(printf 'x%.0s' {1..300})"; has "$err" "at most 255 bytes"
    expect 3 mqpeek "/$(printf 'x%.0s' {1..255})"
    expect 3 mqpeek /no-such-queue-here; has "$err" "no such queue"
    # Control bytes are a name like any other, and are shown harmless.
    expect 3 mqpeek $'/ipcbox\033[2J\n'
    has "$err" '/ipcbox\x1b[2J\n: no such queue'
    "$HELPERS/mqmake" "$q"$'\033[2J\n' 10 64 1:x
    expect 0 mqpeek "$q"$'\033[2J\n'
    "$HELPERS/mqmake" -u "$q"$'\033[2J\n'
    has "$out" "$q"'\x1b[2J\n: 1 of 10'
    # A first word that is no verb.
    expect 2 mqpeek peak "$q"; has "$err" '"peek"'
    expect 2 mqpeek peek; has "$err" "needs QUEUE"
}

@test "peek: queues of processes, also unlinked ones" {
    scene_start
    ref=$(wanted '"pid:\(.pid):\(.gone_fd)"')
    expect 0 mqpeek -J "$ref"
    is "$(jq -c '.queues[0] | [.queue, .name, .unlinked, (.messages | length)]' <<<"$out")" \
        "[\"$ref\",\"/$scene-gone\",true,1]"
    expect 0 mqpeek "pid:$(wanted .pid):/$scene-orphan" "/$scene-full"
    has "$out" "/$scene-orphan: 2 of" "/$scene-full: 1 of 1"
    expect 3 mqpeek "pid:$(wanted .pid):999"; has "$err" "has no descriptor 999"
    expect 3 mqpeek "pid:$(wanted .pid):0"; has "$err" "is not a message queue"
    sleep 0 & gone=$!
    wait "$gone"
    expect 3 mqpeek "pid:$gone:3"; has "$err" "there is no process $gone"
    expect 2 mqpeek pid:; expect 2 mqpeek pid:0:1; expect 2 mqpeek pid:1:x; expect 2 mqpeek pid:-1:1
    expect 2 mqpeek pid:99999999999:1
}

@test "peek: a queue of another IPC namespace" {
    # shellcheck disable=SC2016 # expanded inside
    unshare -i sh -c '"$1" "$2" 4 32 1:there && echo $$ && exec sleep 100' \
        sh "$HELPERS/mqmake" "$q" >"$BATS_TEST_TMPDIR/pid" 3>&- &
    within 30 test -s "$BATS_TEST_TMPDIR/pid"
    pid=$(cat "$BATS_TEST_TMPDIR/pid")
    expect 3 mqpeek "$q"
    expect 0 mqpeek "pid:$pid:$q"
    has "$out" "pid:$pid:$q: 1 of 4" there
    expect 3 mqpeek "pid:$pid:$q-not"
    kill "$pid"
}

@test "peek: several queues: all are tried, the worst status counts" {
    make 10 64 1:here
    expect 3 mqpeek /no-such-queue-here "$q"
    has "$out" "$q: 1 of 10" here
    has "$err" "no such queue"
    expect 3 mqpeek -J "$q" /no-such-queue-here "$q"
    is "$(jq '.queues | length' <<<"$out")" 2
}

@test "peek: a reader that leaves, a full disk, a closed output" {
    args=()
    for i in 0 1 2 3 4 5 6 7 8 9; do args+=("$i:$(printf "%08000d" "$i")"); done
    make 10 8192 "${args[@]}"
    for how in --hex --raw -J --jsonl; do
        mqpeek "$how" "$q" "$q" "$q" "$q" "$q" 2>"$BATS_TEST_TMPDIR/err" | head -c 10 >/dev/null
        is "${PIPESTATUS[0]}" 0
        is "$(cat "$BATS_TEST_TMPDIR/err")" ""
        ! "$IPCBOX" mqpeek "$how" "$q" >/dev/full 2>"$BATS_TEST_TMPDIR/err"
        has "$(cat "$BATS_TEST_TMPDIR/err")" "No space left on device"
        ! "$IPCBOX" mqpeek "$how" "$q" >&- 2>"$BATS_TEST_TMPDIR/err"
        has "$(cat "$BATS_TEST_TMPDIR/err")" "cannot write the output"
    done
    expect 0 mqpeek "$q"
    has "$out" "10 of 10 messages, 80000 bytes"
}

@test "peek: a named backend is taken or it fails" {
    make 10 64 1:x
    for backend in syscall fcntl ioctl; do
        expect 4 mqpeek --backend "$backend" "$q"
        has "$err" "cannot peek with $backend"
        is "$out" ""
    done
    expect 4 mqpeek --backend syscall --mq-syscall 473 "$q"; has "$err" "473"
    expect 2 mqpeek --mq-syscall 0 "$q"
    # Numbers of other calls are not tried: read(2) would seem to be there, others act.
    expect 2 mqpeek --mq-syscall 0x1 "$q"; has "$err" "system call 1 is not mq_timedreceive2"
    expect 2 env IPCBOX_MQ_SYSCALL=243 "$IPCBOX" mqpeek "$q"; has "$err" "system call 243"
    expect 2 env IPCBOX_MQ_SYSCALL=abc "$IPCBOX" mqpeek "$q"; has "$err" "IPCBOX_MQ_SYSCALL"
    expect 4 env IPCBOX_MQ_SYSCALL=473 "$IPCBOX" mqpeek --backend syscall "$q"; has "$err" "473"
    expect 2 mqpeek --backend fexit "$q"; has "$err" "only bpf, syscall, fcntl, ioctl, drain"
    expect 2 mqpeek --backend magic "$q"
    expect 2 mqpeek --force "$q"; has "$err" "--force is for --backend drain"
    expect 0 mqpeek --backend bpf "$q"
}

@test "peek: a queue larger than what may be held is read in windows, and said to be" {
    args=()
    for i in 0 1 2 3 4 5 6 7 8 9; do args+=("$i:$(printf "%08000d" "$i")"); done
    make 10 8192 "${args[@]}"
    whole=$(mqpeek --raw "$q" | cksum)
    for max in 1 9000 20K; do
        expect 0 mqpeek -J --max-snapshot "$max" "$q"
        is "$(jq -c '.queues[0] | [.consistent, .consistency, .depth, .bytes, (.messages | length)]' <<<"$out")" \
            '[false,"torn",null,null,10]'
        is "$(mqpeek -q --raw --max-snapshot "$max" "$q" | cksum)" "$whole"
    done
    expect 0 mqpeek --max-snapshot 9000 "$q"
    has "$out" "too large for one snapshot, read in windows"
    expect 0 mqpeek -J --max-snapshot 1M "$q"
    is "$(jq .queues[0].consistent <<<"$out")" true
}

# Where the head of a message takes 48 bytes, eight of these are 4096.
@test "peek: messages that would fill a window to its last byte" {
    args=()
    for i in 0 1 2 3 4 5 6 7 8 9; do args+=("1:$(printf "%0464d" "$i")"); done
    make 10 512 "${args[@]}"
    whole=$(mqpeek --raw "$q" | cksum)
    for max in 4096 4095 8K; do
        expect 0 mqpeek --raw --max-snapshot "$max" "$q"
        is "$(mqpeek -q --raw --max-snapshot "$max" "$q" | cksum)" "$whole"
    done
}

@test "peek: a kernel without BTF" {
    make 10 64 1:x
    # shellcheck disable=SC2016 # expanded inside
    expect 4 unshare -m --propagation private bash -c '
        mount -t tmpfs none /sys/kernel && exec "$IPCBOX" mqpeek "$1"' bash "$q"
    has "$err" "no BTF of the kernel" "CONFIG_DEBUG_INFO_BTF"
    is "$(wc -l <<<"$err")" 1
    is "$out" ""
}

@test "peek: queues that vanish and come back, processes that end meanwhile" {
    (
        for _ in $(seq 150); do
            "$HELPERS/mqmake" "$q" 4 64 1:there 0:too
            "$HELPERS/mqmake" -u "$q"
        done
    ) 3>&- &
    churn=$!
    seen=
    while kill -0 "$churn" 2>/dev/null; do
        status=0
        mqpeek -J "$q" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || status=$?
        seen+=$status
        if [ "$status" = 0 ]; then
            jq -e '.queues[0] | .consistent and (.messages | length <= 2)' "$BATS_TEST_TMPDIR/out" >/dev/null
        else
            is "$status" 3
            has "$(cat "$BATS_TEST_TMPDIR/err")" "$q: no such queue"
        fi
        sleep 0 &
        gone=$!
        status=0
        mqpeek "pid:$gone:0" 2>"$BATS_TEST_TMPDIR/err" || status=$?
        is "$status" 3
        wait "$gone"
    done
    wait "$churn"
    has "$seen" 0 3
}

@test "drain: not where processes are hidden from the caller" {
    [ "$(id -u)" = 0 ]
    public_dir
    mkdir -m 700 "$dir/state"
    chown 65534 "$dir/state"
    cp "$IPCBOX" "$dir/mqpeek"
    as_nobody "$HELPERS/mqmake" "$q" 10 64 1:one
    # shellcheck disable=SC2016 # expanded inside
    expect 5 unshare -m --propagation private bash -c '
        mount -t proc -o hidepid=2 none /proc
        exec setpriv --reuid=65534 --regid=65534 --clear-groups env XDG_STATE_HOME="$1/state" \
            "$1/mqpeek" --backend drain "$2"' bash "$dir" "$q"
    has "$err" "not all processes can be seen" "--force"
    [ -z "$(ls "$dir/state")" ]
}

@test "drain: root of the machine asks the kernel where processes are hidden" {
    [ "$(id -u)" = 0 ]
    mqpeek -q --backend bpf "$q-none" 2>/dev/null || [ $? = 3 ] || skip "BPF may not be used here"
    "$HELPERS/mqmake" "$q" 10 64 1:one
    export IPCBOX_STATE_DIR=$BATS_TEST_TMPDIR/state
    inside() { unshare -p -f --mount-proc --propagation private "$IPCBOX" mqpeek --backend drain "$q"; }
    expect 0 inside
    has "$out" "1 of 10 messages" "one"
    # Its holder is outside, where nobody in there sees it.
    mkfifo "$BATS_TEST_TMPDIR/in"
    "$HELPERS/mqactor" keeper "$q" <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/keeper" 3>&- &
    holder=$!
    exec 7>"$BATS_TEST_TMPDIR/in"
    within 30 grep -q '^pid' "$BATS_TEST_TMPDIR/keeper"
    expect 1 inside
    has "$err" "a process of another pid namespace (keeper) has it open"
    exec 7>&-
    wait "$holder"
    expect 0 mqpeek "$q"
    has "$out" "one"
}

@test "every verb: a kernel without message queues" {
    make 10 64 1:x
    none() {
        # strace is not the function of common.bash there.
        # shellcheck disable=SC2016 # expanded inside
        ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 unshare -m --propagation private \
            sh -c 'umount /dev/mqueue 2>/dev/null; exec "$@"' sh \
            strace -f -qq -o /dev/null -e trace=mq_open,fsopen -e inject=mq_open:error=ENOSYS \
            -e inject=fsopen:error=ENODEV "$IPCBOX" "$@"
    }
    for verb in "$q" list limits metrics "top -b -N 1" "info $q" "follow $q" "follow --all"; do
        # shellcheck disable=SC2086 # words
        expect 4 none mqpeek $verb
        has "$err" "this kernel has no POSIX message queues" "CONFIG_POSIX_MQUEUE"
        is "$out" ""
    done
    expect 4 none mqdump save --all
    expect 0 none -J doctor
    is "$(jq -c '[.backends[] | select(.applet | test("mqpeek")) | select(.backend | test("^System V|^ends of processes") | not) | .usable] | any' <<<"$out")" false
}

@test "peek: only what its user may read, whatever the program may" {
    [ "$(id -u)" = 0 ]
    public_dir
    cp "$IPCBOX" "$dir/mqpeek"
    make 10 64 1:secret
    own=$q-own
    as_nobody "$HELPERS/mqmake" "$own" 10 64 5:mine
    # Without capabilities nothing can be peeked at here, and it says what would help.
    expect 5 as_nobody "$dir/mqpeek" "$own"
    has "$err" "CAP_BPF" "setcap"
    # With them, one's own queues, and no others: not by name, not through a process.
    setcap cap_bpf,cap_perfmon,cap_dac_override,cap_sys_ptrace,cap_sys_admin+ep "$dir/mqpeek"
    expect 0 as_nobody "$dir/mqpeek" "$own"
    has "$out" mine
    expect 5 as_nobody "$dir/mqpeek" "$q"
    has "$err" "not permitted to read it"
    is "$out" ""
    sleep 100 3>&- &
    expect 5 as_nobody "$dir/mqpeek" "pid:$!:$q"
    expect 5 as_nobody "$dir/mqpeek" "pid:$!:0"
    kill $!
    "$HELPERS/mqmake" -u "$own"
}

@test "peek: what drain risks is said, and it does not start where it could harm" {
    make 10 64 1:one 2:two
    scene_start
    expect 1 mqpeek --backend drain "/$scene-notify"
    has "$err" "drain receives every message" "registered" "--force"
    # 5 where it cannot be known who has a queue open, 0 where it can.
    status=0
    mqpeek --backend drain "$q" || status=$?
    [ "$status" = 5 ] || [ "$status" = 0 ]
    expect 0 mqpeek --backend drain --force -J "$q"
    is "$(jq -c '.queues[0] | [.backend, [.messages[].text]]' <<<"$out")" '["drain",["two","one"]]'
    expect 0 mqpeek "$q"
    has "$out" "2 of 10 messages"
}

# In a place of its own: journals of other runs are not ours to touch.
interrupted() {
    unshare -m bash -c '
        set -e
        mount -t tmpfs tmpfs /var/lib
        ! strace -qq -o /dev/null -e "trace=$1" -e "inject=$1:signal=KILL:when=2" \
            "$IPCBOX" mqpeek -q --backend drain --force "$q" >/dev/null 2>&1
        '"$2" bash "$1"
}

@test "recover: a drain that is killed loses nothing" {
    [ "$(id -u)" = 0 ]
    export q
    make 10 64 1:one 2:two 3:three
    before=$(mqpeek --noheadings "$q")
    # shellcheck disable=SC2016 # expanded inside
    for call in mq_timedreceive mq_timedsend; do
        expect 0 interrupted "$call" '
            "$IPCBOX" mqpeek -q "$q" 2>&1
            echo "--"
            ls -l /var/lib/ipcbox
            ! "$IPCBOX" mqpeek -q --backend drain --force "$q" 2>&1
            echo "--"
            "$IPCBOX" mqpeek -J recover --force "$q"
            "$IPCBOX" mqpeek recover
            [ -z "$(ls /var/lib/ipcbox)" ]'
        has "$out" "$q: a drain was interrupted:" "(put them back: mqpeek recover $q)" "-rw-------" \
            "at work or was interrupted"
        is "$(sed -n '/^{/,$p' <<<"$out" | jq -c '.recovered[] | [.queue, .complete, .uncertain, .guessed, .journal]')" \
            "[\"$q\",true,false,false,null]"
        has "$err" "nothing to recover"
        is "$(mqpeek --noheadings "$q")" "$before"
    done
}

@test "recover: every verb on the queue says that messages of it are in a journal" {
    [ "$(id -u)" = 0 ]
    export q dir=$BATS_TEST_TMPDIR
    make 10 64 1:one 2:two 3:three
    mqdump save "$q" -O "$dir/dump"
    # shellcheck disable=SC2016 # expanded inside
    expect 0 interrupted mq_timedreceive '
        set +e
        told() {
            timeout 60 "$IPCBOX" "$@" >"$dir/stdout" 2>"$dir/stderr"
            [ $? != 124 ] && grep -qF "$q: a drain was interrupted" "$dir/stderr" || {
                echo "not told: $*"; cat "$dir/stderr"; failed=1
            }
        }
        failed=
        told doctor >/dev/null # which is about no queue
        [ -n "$failed" ] || exit 9
        failed=
        told mqpeek; told mqpeek list --nonempty; told mqpeek -J; told mqpeek -q
        told mqpeek "$q"; told mqpeek info "$q"; told mqpeek limits; told mqpeek metrics
        told mqpeek top -b -N 1; told mqpeek follow "$q" --timeout 0.1; told mqpeek follow --all --timeout 0.1
        told mqdump save "$q"; told mqdump save --all; told mqdump save --pid $$
        told mqdump record "$q" --duration 0.1
        told mqdump restore "$dir/dump"; told mqdump restore --dry-run "$dir/dump"
        told mqdump replay "$dir/dump"; told mqdump criu restore -D "$dir"
        # Who may not read the journal is told as well, by the name of the file.
        mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue
        setpriv --reuid 65534 --regid 65534 --clear-groups "$IPCBOX" mqpeek 2>"$dir/stderr"
        grep -qF "$q: a drain was interrupted: messages of it are in" "$dir/stderr" ||
            { cat "$dir/stderr"; failed=1; }
        # One that is at work is not taken for one that was interrupted.
        exec 9<>/var/lib/ipcbox/drain-*.journal
        flock 9
        "$IPCBOX" mqpeek 2>"$dir/stderr"
        grep -qF "a drain is at work" "$dir/stderr" || ! grep -qF "was interrupted" "$dir/stderr" || failed=1
        exec 9>&-
        # A journal from before the machine was started: no queue of now is meant by it.
        for f in /var/lib/ipcbox/drain-*; do
            sed "s/$(cat /proc/sys/kernel/random/boot_id)/01234567-89ab-cdef-0123-456789abcdef/" "$f" \
                >"${f/-????????-????-????-????-????????????-/-01234567-89ab-cdef-0123-456789abcdef-}"
            rm "$f"
        done
        ls /var/lib/ipcbox >&2
        "$IPCBOX" mqpeek 2>"$dir/stderr"
        grep -qF "$q: a drain was interrupted, before the machine was started: " "$dir/stderr" &&
            grep -qF "mqpeek recover --force $q" "$dir/stderr" || { cat "$dir/stderr"; failed=1; }
        "$IPCBOX" mqpeek recover && failed=1
        "$IPCBOX" mqpeek recover --force "$q" || failed=1
        [ -z "$(ls /var/lib/ipcbox)" ] || failed=1
        [ -z "${failed-}" ]'
    expect 0 mqpeek -J "$q"
    is "$(jq -c '[.queues[0].messages[].text] | sort' <<<"$out")" '["one","three","two"]'
}

@test "recover: a user without any privilege" {
    [ "$(id -u)" = 0 ]
    public_dir
    mkdir -m 700 "$dir/state"
    chown 65534 "$dir/state"
    cp "$IPCBOX" "$dir/mqpeek"
    as_nobody "$HELPERS/mqmake" "$q" 10 64 1:one 2:two 3:three
    user() { as_nobody env XDG_STATE_HOME="$dir/state" "$@"; }
    user strace -qq -o /dev/null -e trace=mq_timedsend -e inject=mq_timedsend:signal=KILL:when=2 \
        "$dir/mqpeek" -q --backend drain --force "$q" >/dev/null 2>&1 || true
    # Whatever is run next on it says so, also when it cannot do its own work.
    expect 5 user "$dir/mqpeek" "$q"
    has "$err" "a drain was interrupted" "$dir/state/ipcbox/drain-" "mqpeek recover $q"
    [ "$(stat -c %a "$dir/state/ipcbox")" = 700 ]
    expect 0 user "$dir/mqpeek" recover --force "$q"
    [ -z "$(ls "$dir/state/ipcbox")" ]
    expect 0 mqpeek -J "$q"
    is "$(jq -c '[.queues[0].messages[].text]' <<<"$out")" '["three","two","one"]'
}

@test "recover: a queue that is gone keeps its journal, another takes the messages when told" {
    [ "$(id -u)" = 0 ]
    export q
    make 10 64 1:one 2:two 3:three
    # shellcheck disable=SC2016 # expanded inside
    expect 0 interrupted mq_timedsend '
        "$HELPERS/mqmake" -u "$q"
        "$IPCBOX" mqpeek recover && exit 1
        [ $? = 3 ]
        ls /var/lib/ipcbox | grep -q journal
        "$HELPERS/mqmake" "$q" 10 64
        "$IPCBOX" mqpeek recover "$q"
        ls /var/lib/ipcbox | grep -q journal
        "$IPCBOX" mqpeek recover --force "$q"
        [ -z "$(ls /var/lib/ipcbox)" ]
        "$IPCBOX" mqpeek --noheadings -o content "$q"'
    has "$err" "its queue is not there any more" "nothing to recover"
    has "$out" one two
    expect 2 mqpeek recover --force
    expect 3 mqpeek recover /no-such-queue-here
}

@test "peek: memory stays within 24 MiB and one snapshot" {
    if grep -q __asan_init "$IPCBOX"; then
        skip "sanitizers take memory of their own"
    fi
    args=()
    for i in 0 1 2 3 4 5 6 7 8 9; do args+=("$i:$(printf "%08000d" "$i")"); done
    make 10 8192 "${args[@]}"
    for how in --raw -J --hex; do
        "$HELPERS/maxrss" "$BATS_TEST_TMPDIR/rss" "$IPCBOX" mqpeek "$how" "$q" >/dev/null
        rss=$(cat "$BATS_TEST_TMPDIR/rss")
        echo "$how: $rss KiB"
        [ "$rss" -le $((24 * 1024 + 80)) ]
    done
}

@test "peek: a long job shows its progress on a terminal, and only there" {
    args=()
    for i in 0 1 2 3 4 5 6 7 8 9; do args+=("$i:$(seq -s ' ' 2000 | head -c 8000)"); done
    make 10 8192 "${args[@]}"
    dir=$BATS_TEST_TMPDIR
    mkfifo "$dir/slow" "$dir/go"
    # A reader that takes a little, then waits to be told.
    slow() {
        (
            sleep 1
            head -c 70000 >/dev/null
            read -r _ <"$dir/go"
            exec cat >/dev/null
        ) <"$dir/slow" 3>&- &
    }
    slow
    screen_start 80 10 "'$IPCBOX' mqpeek --hex '$q' >'$dir/slow'"
    see "mqpeek: " " messages, " " KiB, " " KiB/s"
    echo >"$dir/go"
    see status=0
    lacks "messages"
    screen_stop
    slow
    screen_start 80 10 "'$IPCBOX' mqpeek -q --hex '$q' >'$dir/slow'"
    echo >"$dir/go"
    see status=0
    lacks "messages"
    slow
    mqpeek --hex "$q" >"$dir/slow" 2>"$dir/err" 3>&- &
    echo >"$dir/go"
    wait $!
    is "$(cat "$dir/err")" ""
}
