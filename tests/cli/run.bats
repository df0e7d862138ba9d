#!/usr/bin/env bats
# ipcbox run: programs written for the proposed interfaces, on this kernel.

load common

setup() {
    # Channels need Linux 6.10; elsewhere that is what is tested of them.
    channels=1
    "$IPCBOX" run --only uring true 2>/dev/null || channels=0
}

# without_channels: what a program for them gets where they cannot be emulated
without_channels() {
    expect 1 ipcbox run "$1"
    has "$out" "no io_uring channels here"
    has "$err" "io_uring channels: not emulated: " "Linux 6.10"
    expect 125 ipcbox run --only uring "$1"
}

teardown() {
    [ -z "${server-}" ] || kill "$server"
    [ -z "${server-}" ] || wait "$server" || true
    server=
}

@test "run: a program written for the three peek interfaces finds them as proposed" {
    expect 0 ipcbox run "$HELPERS/mq_abi"
    has "$out" " 0 failed"
    expect 0 ipcbox run --mq-syscall 600 "$HELPERS/mq_abi" 600
    has "$out" " 0 failed"
    expect 0 env IPCBOX_MQ_SYSCALL=601 "$IPCBOX" run "$HELPERS/mq_abi" 601
    has "$out" " 0 failed"
    expect 0 ipcbox run --only mq "$HELPERS/mq_abi"
    has "$out" " 0 failed"
}

@test "run: the number of another system call is refused, and nothing is trapped by it" {
    expect 125 ipcbox run --mq-syscall 1 -- /bin/echo hi
    has "$err" "system call 1 is not mq_timedreceive2"
    is "$out" ""
    expect 125 env IPCBOX_MQ_SYSCALL=1 "$IPCBOX" run /bin/echo hi
    has "$err" "system call 1 is not mq_timedreceive2"
    expect 125 env IPCBOX_MQ_SYSCALL=abc "$IPCBOX" run /bin/echo hi
    has "$err" "IPCBOX_MQ_SYSCALL"
    expect 0 env IPCBOX_MQ_SYSCALL=1 "$IPCBOX" run --only bus1 /bin/echo hi
    is "$out" hi
    # As the numbers that mqpeek looks for inside.
    expect 0 env IPCBOX_MQ_SYSCALL=600 "$IPCBOX" run sh -c '"$HELPERS/mqmake" "$0" 10 64 1:x &&
        "$IPCBOX" mqpeek --backend syscall --raw "$0"; "$HELPERS/mqmake" -u "$0"' "/$(unique)"
    is "$out" x
}

@test "run: without it the same program fails" {
    expect 1 "$HELPERS/mq_abi"
}

@test "run: mqpeek's own code for patched kernels sees what its other backends see" {
    q=/$(unique)
    "$HELPERS/mqmake" "$q" 10 128 3:three 1:one 9:nine 1:again 0:
    want=$(mqpeek -J "$q" | jq -c '.queues[0].messages')
    [ "$(jq length <<<"$want")" = 5 ]
    for backend in syscall fcntl ioctl; do
        expect 0 ipcbox run "$IPCBOX" mqpeek --backend "$backend" -J "$q"
        is "$(jq -c '.queues[0].messages' <<<"$out")" "$want"
        is "$(jq -r '.queues[0].backend' <<<"$out")" "$backend"
    done
    is "$(mqpeek -J "$q" | jq -c '.queues[0].messages')" "$want"
    "$HELPERS/mqmake" -u "$q"
}

@test "run: a program written for bus1 finds its device, however it is named" {
    expect 0 ipcbox run "$HELPERS/bus1_abi"
    has "$out" " 0 failed"
    ln -s /dev/bus1 "$BATS_TEST_TMPDIR/absolute"
    ln -s absolute "$BATS_TEST_TMPDIR/relative"
    expect 0 ipcbox run sh -c '
        "$HELPERS/bus1_abi" //dev/./bus1 && cd /dev && "$HELPERS/bus1_abi" bus1 &&
        "$HELPERS/bus1_abi" ../dev/bus1 && cd "$1" && "$HELPERS/bus1_abi" absolute &&
        "$HELPERS/bus1_abi" relative' sh "$BATS_TEST_TMPDIR"
    is "$(grep -c ' 0 failed' <<<"$out")" 5
}

@test "run: a program written for io_uring channels, with rings of every kind" {
    [ "$channels" = 1 ] || { without_channels "$HELPERS/uring_abi" && return; }
    expect 0 ipcbox run "$HELPERS/uring_abi" run
    has "$out" " 0 failed"
    expect 1 "$HELPERS/uring_abi"
}

@test "run: a program that uses liburing for channels" {
    [ "$channels" = 1 ] || { without_channels "$HELPERS/uring_lib" && return; }
    expect 0 ipcbox run "$HELPERS/uring_lib"
    has "$out" " 0 failed"
    expect 1 "$HELPERS/uring_lib"
}

@test "run: only what was asked for is there" {
    expect 1 ipcbox run --only mq "$HELPERS/bus1_abi"
    has "$err" "/dev/bus1: No such file"
    expect 1 ipcbox run --only bus1 "$HELPERS/mq_abi"
    expect 1 ipcbox run --only bus1,mq "$HELPERS/uring_abi"
}

@test "run: other files of that name are left alone" {
    touch "$BATS_TEST_TMPDIR/bus1"
    echo mine >"$BATS_TEST_TMPDIR/bus1"
    expect 0 ipcbox run sh -c 'cd "$1" && cat bus1 ./bus1 "$1/bus1"' sh "$BATS_TEST_TMPDIR"
    is "$out" "$(printf 'mine\nmine\nmine')"
}

@test "run: a call that a tracer takes away is none of another architecture" {
    touch "$BATS_TEST_TMPDIR/kept"
    expect 1 ipcbox run strace -f -qq -o /dev/null -e inject=unlink,unlinkat:error=EIO rm -f "$BATS_TEST_TMPDIR/kept"
    has "$err" "Input/output error"
    [[ "$err" != *32-bit* ]]
    [ -e "$BATS_TEST_TMPDIR/kept" ]
    # So too the first, with which the command is handed to who answers its calls.
    expect 125 strace -f -qq -o /dev/null -e inject=sendmsg:error=ENOSPC:when=1 timeout -k 5 60 "$IPCBOX" run true
    has "$err" "the command's process ended too early"
}

@test "run: a supervisor that can answer no longer ends the command and says why" {
    expect 125 strace -f -qq -o /dev/null -e inject=ioctl:error=ENOMEM:when=3+ timeout -k 5 60 "$IPCBOX" run -q -- ls /
    has "$err" "calls can no longer be answered: Cannot allocate memory"
    is "$out" ""
    # What fails once is tried again.
    expect 0 strace -f -qq -o /dev/null -e inject=ioctl:error=ENOMEM:when=4 timeout -k 5 60 "$IPCBOX" run -q -- ls /
    [ -n "$out" ]
}

@test "run: ends as the command ends" {
    expect 0 ipcbox run true
    expect 7 ipcbox run sh -c 'exit 7'
    expect 143 bash -c '"$IPCBOX" run sh -c "kill -TERM \$\$"'
    expect 127 ipcbox run no-such-command
    has "$err" "no-such-command: No such file or directory"
    expect 126 ipcbox run /etc/passwd
    has "$err" "Permission denied"
    expect 125 ipcbox run --only nothing true
    has "$err" "not a list of"
    expect 2 ipcbox run
    has "$err" "run needs CMD"
}

@test "run: options of the command are the command's" {
    expect 0 ipcbox run sh -c 'echo "$@"' sh -v --json
    is "$out" "-v --json"
    expect 0 ipcbox run -- printf '%s\n' -J
    is "$out" "-J"
}

@test "run: nothing of the supervisor leaks into the command" {
    expect 0 ipcbox run sh -c 'ls /proc/$$/fd; env; trap'
    inside=$out
    expect 0 sh -c 'ls /proc/$$/fd; env; trap'
    is "$(grep -v '^_=\|^__LLVM_PROFILE' <<<"$inside")" "$(grep -v '^_=\|^__LLVM_PROFILE' <<<"$out")"
    expect 0 ipcbox run grep -E '^Sig(Blk|Ign)' /proc/self/status
    inside=$out
    expect 0 grep -E '^Sig(Blk|Ign)' /proc/self/status
    is "$inside" "$out"
}

@test "run: signals sent to it reach the command" {
    "$IPCBOX" run sh -c 'trap "echo got it >'"$BATS_TEST_TMPDIR"'/got; exit 3" TERM
                      touch '"$BATS_TEST_TMPDIR"'/ready
                      while :; do sleep 0.05; done' 3>&- &
    pid=$!
    within 20 test -e "$BATS_TEST_TMPDIR/ready"
    kill -TERM "$pid"
    status=0
    wait "$pid" || status=$?
    is "$status" 3
    is "$(cat "$BATS_TEST_TMPDIR/got")" "got it"
}

@test "run: the command dies with its supervisor" {
    "$IPCBOX" run sh -c 'echo $$ >'"$BATS_TEST_TMPDIR"'/pid; exec sleep 1000' 3>&- &
    pid=$!
    within 20 test -s "$BATS_TEST_TMPDIR/pid"
    kill -KILL "$pid"
    wait "$pid" || true
    gone() { ! kill -0 "$(cat "$BATS_TEST_TMPDIR/pid")"; }
    within 20 gone
}

@test "run: inside of run the outer one serves" {
    expect 0 ipcbox run "$IPCBOX" run -v "$HELPERS/mq_abi"
    has "$out" " 0 failed"
    has "$err" "left to the kernel, which has it: mq_timedreceive2 F_MQ_PEEK MQ_IOC_BULK_PEEK"
    [ "$channels" = 0 ] || has "$err" "/dev/bus1 io_uring channels"
    # What neither of them can answer is left out twice, and the command is run.
    expect 0 strace -f -qq -o /dev/null -e inject=io_uring_setup:error=ENOSYS "$IPCBOX" run "$IPCBOX" run -v "$HELPERS/bus1_abi"
    has "$out" " 0 failed"
    is "$(grep -c "io_uring channels: not emulated: " <<<"$err")" 2
}

@test "run: a 32-bit caller is ended with a message" {
    "$HELPERS/foreign" || skip "this kernel has no 32-bit system calls"
    expect 137 bash -c '"$IPCBOX" run "$HELPERS/foreign"'
    has "$err" "32-bit programs (i386, x32) cannot run under ipcbox run"
}

@test "run: fifty at once, and five hundred short children of one" {
    for i in $(seq 50); do
        ipcbox run sh -c '"$HELPERS/mq_abi"; "$HELPERS/bus1_abi"; "$HELPERS/uring_lib"' \
            >"$BATS_TEST_TMPDIR/many.$i" 3>&- &
    done
    wait
    is "$(cat "$BATS_TEST_TMPDIR"/many.* | grep -c ' 0 failed')" $((100 + channels * 50))
    if [ "$channels" = 1 ]; then
        expect 0 ipcbox run --only uring "$HELPERS/uring_lib" 500
        has "$out" " 0 failed"
    fi
    q=/$(unique)
    "$HELPERS/mqmake" "$q" 10 128 1:x
    expect 0 ipcbox run sh -c '
        i=0
        while [ $i -lt 500 ]; do
            "$HELPERS/mqmake" -2 "$1" & i=$((i + 1))
            [ $((i % 25)) = 0 ] && wait
        done
        wait' sh "$q"
    is "$(wc -l <<<"$out")" 500
    is "$(sort -u <<<"$out")" "1:x"
    "$HELPERS/mqmake" -u "$q"
}

# A node of the peer behind descriptor 3, and its handle in that of 4.
link_peers='import ctypes, fcntl
src = (ctypes.c_uint64 * 2)(1, 2**64 - 1)
dst = (ctypes.c_uint64 * 2)()
cmd = (ctypes.c_uint64 * 5)(0, 4, 1, ctypes.addressof(src), ctypes.addressof(dst))
fcntl.ioctl(3, 0xc0289700, cmd, True)
print(dst[1])'

@test "run: two programs of one run share a bus" {
    expect 0 ipcbox run bash -c 'exec 3<>/dev/bus1 4<>/dev/bus1
        handle=$(python3 -c "$1")
        "$IPCBOX" b1ctl send --fd 4 "$handle" "from one to another"
        "$IPCBOX" b1ctl -J recv --fd 3 --timeout 10' bash "$link_peers"
    is "$(jq -r '.messages[].text' <<<"$out")" "from one to another"
}

@test "run: b1ctl's own code for the kernel does what it does with its embedded bus" {
    script='peer a b c; node a.n b.m; give a.n b as h; give b.m a as back
        send a.back "take this" with a.n; recv b as gift; send b.gift,b.h twice; recv a all
        drop b.h b.gift; recv a all; drop a.n; recv a all; release b.m; recv a all'
    what='[.messages[] | [.peer, .type, .target, .handles, .text]]'
    expect 0 b1ctl -q -J -c "$script"
    want=$(jq -c "$what" <<<"$out")
    is "$(jq length <<<"$want")" 5
    expect 0 ipcbox run --only bus1 "$IPCBOX" b1ctl --device /dev/bus1 -J -c "$script"
    is "$(jq -c "$what" <<<"$out")" "$want"
    is "$err" ""
    expect 0 ipcbox run "$HELPERS/b1_abi" /dev/bus1
    has "$out" " 0 failed"
    expect 0 ipcbox run "$HELPERS/b1_hostile" /dev/bus1 counts
    is "$out" "0 wrong"
}

@test "run --bus: programs of two runs share a served bus" {
    bus=$BATS_TEST_TMPDIR/bus
    "$IPCBOX" b1ctl serve "$bus" 3>&- &
    server=$!
    within 20 test -e "$bus"
    expect 0 ipcbox run --bus "$bus" "$HELPERS/bus1_abi"
    has "$out" " 0 failed"
    mkfifo "$BATS_TEST_TMPDIR/go"
    for i in 1 2; do
        "$IPCBOX" run --bus "$bus" bash -c 'exec 4<>/dev/bus1; read -r _ <"$1"' bash \
            "$BATS_TEST_TMPDIR/go" 3>&- &
        pids[i]=$!
    done
    within 20 grep -q '^usage .*peers=2' "$bus.d/debug"
    printf '\n\n' >"$BATS_TEST_TMPDIR/go"
    wait "${pids[@]}"
    teardown
    expect 125 ipcbox run --bus "$bus" true
    has "$err" "cannot open the bus" "b1ctl serve makes one"
}

@test "run: without privilege channels and bus1 are answered, and what is not is said" {
    [ "$(id -u)" = 0 ] || skip "needs root to become another user"
    n() { setpriv --reuid=65534 --regid=65534 --clear-groups "$IPCBOX" run "$@"; }
    expect 0 n -v true
    has "$err" "message queues: not emulated: " "answered by ipcbox: /dev/bus1"
    expect 0 n "$HELPERS/$([ "$channels" = 1 ] && echo uring_abi || echo bus1_abi)"
    has "$out" " 0 failed"
    has "$err" "message queues: not emulated: " "CAP_BPF"
    expect 0 n --only bus1 "$HELPERS/bus1_abi"
    has "$out" " 0 failed"
    is "$err" ""
    expect 125 n --only mq true
    has "$err" "CAP_BPF" "run as root"
    q=/$(unique)
    export XDG_STATE_HOME=$BATS_TEST_TMPDIR/state
    mkdir -m 777 "$XDG_STATE_HOME"
    chmod a+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$BATS_TEST_TMPDIR"
    setpriv --reuid=65534 --regid=65534 --clear-groups "$HELPERS/mqmake" "$q" 10 128 1:one 2:two
    expect 0 n --only mq --allow-drain "$HELPERS/mqmake" -2 "$q"
    has "$out" "2:two"
    expect 0 n --only mq --allow-drain grep NoNewPrivs /proc/self/status
    has "$out" "1"
    "$HELPERS/mqmake" -u "$q"
}

@test "run: one supervisor to a process, and the second says so" {
    part=$([ "$channels" = 1 ] && echo uring || echo bus1)
    expect 125 ipcbox run --only mq "$IPCBOX" run --only "$part" true
    has "$err" "a supervisor answers this process's system calls already" "outside"
    expect 0 ipcbox run "$IPCBOX" run "$HELPERS/${part}_abi"
    has "$out" " 0 failed"
}

@test "run: as many peers and channels as a program may have, whatever the limit was" {
    many='import os
fds = [os.open("/dev/bus1", os.O_RDWR) for i in range(1500)]
print(len(fds))'
    expect 0 bash -c 'ulimit -Sn 256; "$IPCBOX" run bash -c "ulimit -Sn; ulimit -Sn 2000; python3 -c \"\$1\"" bash "$1"' \
        bash "$many"
    is "$out" "$(printf '256\n1500')"
}

@test "run: callers whose memory never comes hold up nobody else" {
    expect 0 ipcbox run bash -c '
        for _ in 1 2 3 4 5 6 7 8; do "$HELPERS/b1_hostile" /dev/bus1 stuck >>"$1" & done
        until [ "$(grep -c stuck "$1")" = 8 ]; do sleep 0.05; done
        "$HELPERS/bus1_abi"; "$HELPERS/uring_lib"; kill -KILL $(jobs -p); wait' bash \
        "$BATS_TEST_TMPDIR/stuck"
    is "$(grep -c ' 0 failed' <<<"$out")" $((1 + channels))
}

@test "run: a process is not taken for the one that had its number before" {
    [ "$(id -u)" = 0 ] || skip "needs root to choose process ids"
    expect 0 unshare -p -f --mount-proc "$IPCBOX" run bash -c '
        for program in bus1_abi mq_abi uring_abi bus1_abi mq_abi uring_abi; do
            echo 19999 >/proc/sys/kernel/ns_last_pid
            "$HELPERS/$program" & echo $!
            wait
        done'
    is "$(grep -c '^20000$' <<<"$out")" 6
    is "$(grep -c ' 0 failed' <<<"$out")" $((4 + channels * 2))
}

@test "run: what is left behind is not waited for" {
    expect 0 timeout 60 "$IPCBOX" run sh -c 'sleep 100 >/dev/null 2>&1 &
        until grep -q sleep "/proc/$!/comm"; do :; done; echo $!'
    kill "$out"
}
