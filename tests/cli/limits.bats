#!/usr/bin/env bats
# mqpeek limits: its figures against what the kernel does.

bats_require_minimum_version 1.5.0
load common
load scene

# Runs a script as a user of whom nobody has a queue, in an IPC namespace of its own, where /proc
# shows all. Its first argument is the scratch folder. Each time another user: the kernel takes the
# queues of a namespace that ended off the account of theirs only some time later.
user_alone() { alone sh -c "$with_mqueue" "$BATS_TEST_TMPDIR/dev$RANDOM" setpriv --reuid "$1" --regid "$1" --clear-groups bash -c "$2" bash; }

@test "limits: costs, figures and a verdict for each error" {
    expect 0 mqpeek -J limits
    is "$(jq -c '[.errors[].error]' <<<"$out")" '["EMFILE","EMFILE","ENOSPC","EINVAL","ENOMEM"]'
    # Root can count the queues of its namespace, whatever others hide.
    [ "$(id -u)" != 0 ] || is "$(jq -r '.errors[2].result' <<<"$out")" ok
    is "$(jq -c '[.queues_max,.msg_max,.msgsize_max,.msg_default,.msgsize_default]' <<<"$out")" \
        "[$(cd /proc/sys/fs/mqueue && cat queues_max msg_max msgsize_max msg_default msgsize_default | paste -sd,)]"
    expect 0 mqpeek -J limits 10 8192
    is "$(jq -c '[.new_maxmsg,.new_msgsize,.new_charge]' <<<"$out")" '[10,8192,82880]'
    expect 0 mqpeek -J limits 65536 16M
    is "$(jq -c '[.new_maxmsg,.new_msgsize,.new_charge]' <<<"$out")" '[65536,16777216,1099516346368]'
    expect 0 mqpeek limits
    has "$out" "EMFILE" "ENOSPC" "EINVAL" "ENOMEM" "fs.mqueue.queues_max"
    # The answer comes before its figures.
    expect 0 mqpeek limits 65536 8192
    is "$(head -n 1 <<<"$out")" "mq_open(3) of a queue of 65536 messages of 8192 bytes fails: EMFILE, EINVAL" ||
        is "$(head -n 1 <<<"$out")" "mq_open(3) of a queue of 65536 messages of 8192 bytes fails: EMFILE"
    [ "$(grep -n '^ERROR' <<<"$out" | cut -d: -f1)" -lt "$(grep -n '^msg max:' <<<"$out" | cut -d: -f1)" ]
    expect 0 mqpeek limits sysv
    has "$(head -n 1 <<<"$out")" "ERROR"
}

# $MAY_BPF: the binary with the capabilities that BPF takes, for any user
may_use_bpf() {
    MAY_BPF=$(mktemp -d)/ipcbox
    export MAY_BPF
    chmod 755 "${MAY_BPF%/*}"
    cp "$IPCBOX" "$MAY_BPF"
    setcap cap_bpf,cap_perfmon+ep "$MAY_BPF" || skip "file capabilities cannot be given here"
}

teardown() {
    if [ -n "${MAY_BPF-}" ]; then
        rm -r "${MAY_BPF%/*}"
    fi
}

@test "limits: the verdict on bytes is the kernel's, to the byte" {
    # 5 queues of 10 x 100 cost 5 x 1960; a limit that just holds them and one of 1 x 1 (97).
    may_use_bpf
    for spare in 97 96; do
        out=$(user_alone $((54400 + spare)) '
            ulimit -q $((5 * 1960 + '$spare')) || exit 9
            for i in 1 2 3 4 5; do "$HELPERS/mqmake" /l$i 10 100 || exit 8; done
            "$MAY_BPF" mqpeek -J -q limits 1 1 || exit 7
            "$HELPERS/mqmake" /l6 1 1 2>&1 && echo made || true')
        is "$(jq -sc '.[0] | [.charged,.available,.new_charge]' <<<"${out%%$'\n'*}")" "[9800,$spare,97]"
        if [ "$spare" = 97 ]; then
            jq -se '.[0].errors[0] | .error == "EMFILE" and .result == "ok"' <<<"${out%%$'\n'*}"
            has "$out" made
        else
            jq -se '.[0].errors[0] | .error == "EMFILE" and .result == "fails"' <<<"${out%%$'\n'*}"
            has "$out" "Too many open files"
        fi
    done
}

@test "limits: too many queues, too large ones" {
    out=$(alone sh -c "$with_mqueue" "$BATS_TEST_TMPDIR/dev" sh -c 'echo 2 >/proc/sys/fs/mqueue/queues_max && exec setpriv --reuid 54332 --regid 54332 --clear-groups sh -c "
        \"\$HELPERS/mqmake\" /a 1 1; \"\$HELPERS/mqmake\" /b 1 1; \"\$IPCBOX\" mqpeek -J -q limits; \"\$HELPERS/mqmake\" /c 1 1; true"' 2>&1)
    has "$out" "No space left on device"
    jq -e '.queue_count == 2 and .queues_max == 2 and (.errors[] | select(.error == "ENOSPC").result == "fails")' <<<"${out%%$'\n'*}"
    out=$(user_alone 54333 '"$IPCBOX" mqpeek -J -q limits $(($(cat /proc/sys/fs/mqueue/msg_max) + 1)) 1
        "$HELPERS/mqmake" /c $(($(cat /proc/sys/fs/mqueue/msg_max) + 1)) 1; true' 2>&1)
    has "$out" "Invalid argument"
    jq -e '.errors[] | select(.error == "EINVAL").result == "fails"' <<<"${out%%$'\n'*}"
    # The queues that nobody has open are those that could go. Only who sees all can tell.
    out=$(alone sh -c '"$HELPERS/mqmake" /left 1 1; "$IPCBOX" mqpeek -J -q limits')
    is "$(jq -c '[.orphans[] | select(.name == "/left").name]' <<<"$out")" '["/left"]'
    out=$(user_alone 54334 '"$HELPERS/mqmake" /left 1 1; "$IPCBOX" mqpeek -J -q limits')
    is "$(jq -c '[.orphans[].name]' <<<"$out")" '[]'
    is "$(jq -c '[.users[] | [.uid,.queue_count,.charged,.unread]]' <<<"$out")" '[[54334,1,97,0]]'
}

@test "limits --exact: the kernel's account, also of queues that were given away" {
    expect 0 alone sh -c '"$HELPERS/mqmake" /mine 3 5; "$IPCBOX" mqpeek -J -q limits --exact'
    jq -e '.charged_exact and .charged >= 303' <<<"$out"
    chmod 755 "$BATS_TEST_TMPDIR"
    expect 5 setpriv --reuid 54335 --regid 54335 --clear-groups bash -c 'coproc "$HELPERS/mqscene" "$1"
        read -r -u "${COPROC[0]}" x; "$IPCBOX" mqpeek -q limits --exact; s=$?; kill $COPROC_PID; wait; exit $s' bash "$(unique)"
    has "$err" "cannot tell exactly"
}

@test "limits: bytes of any shape, until the kernel refuses" {
    # As many queues of each shape as fit, and a rest that one of 1 x 1 (97 bytes) just takes or misses.
    user=54500
    may_use_bpf
    for shape in "10 8192" "3 1" "1 8192" "7 513" "10 1"; do
        # shellcheck disable=SC2086 # two words
        cost=$(mqpeek -J -q limits $shape | jq .new_charge)
        for rest in 97 96; do
            user=$((user + 1))
            out=$(user_alone $user "
                ulimit -q $((4 * cost + rest)) || exit 9
                for i in 1 2 3 4; do \"\$HELPERS/mqmake\" /l\$i $shape || exit 8; done
                \"\$HELPERS/mqmake\" /l5 $shape 2>/dev/null && exit 7
                \"\$MAY_BPF\" mqpeek -J -q limits 1 1 | jq -r '.errors[0].result'
                \"\$HELPERS/mqmake\" /l6 1 1 2>/dev/null && echo made; true")
            is "$out" "$([ "$rest" = 97 ] && printf 'ok\nmade' || echo fails)"
        done
    done
}

@test "limits: ok is never said of what was only added up" {
    # Charged to the same user in another IPC namespace, where it cannot be seen.
    out=$(user_alone 54399 '"$IPCBOX" mqpeek -J -q limits 1 1')
    is "$(jq -c '[.errors[] | select(.error == "EMFILE" and (.why | contains("MSGQUEUE"))).result]' <<<"$out")" '["unknown"]'
    is "$(jq -c '[.errors[] | select(.error == "ENOSPC").result]' <<<"$out")" '["unknown"]'
    # The kernel's own counters know both: unlinked queues, and bytes of another namespace.
    may_use_bpf
    out=$(user_alone 54398 'unshare -r -i sh -c "\"\$HELPERS/mqmake\" /elsewhere 10 100 && exec sleep 60" & sleep 0.5
        "$HELPERS/mqtables" own /gone >/dev/null & sleep 0.5; "$HELPERS/mqmake" -u /gone
        "$MAY_BPF" mqpeek -J -q limits 1 1')
    is "$(jq -c '[.charged_exact,.queue_count]' <<<"$out")" '[true,1]'
    jq -e '.charged >= 1960' <<<"$out"
}

@test "limits: a /proc without the system's figures" {
    out=$(alone sh -c 'mount -t proc -o subset=pid proc /proc && "$IPCBOX" mqpeek -q limits' 2>&1)
    run ! grep -E '[0-9]{18}' <<<"$out"
    has "$out" "not known"
    out=$(alone sh -c 'mount -t proc -o subset=pid proc /proc && "$IPCBOX" mqpeek -J -q limits')
    jq -e '.queues_max == null and .new_charge == null and ([.errors[] | select(.result == "ok").error] | index("EINVAL")) == null' <<<"$out"
}

@test "limits: memory, of the machine and of the control group" {
    expect 0 mqpeek -J -q limits
    jq -e '.memory_available > 0 and (.errors[] | select(.error == "ENOMEM") |
        .result == "ok" and .remedy == null and (.why | test("[0-9]+ bytes of memory left")))' <<<"$out"
    # The tighter of a group and the one around it, in the words of both versions.
    for version in 2 1; do
        # shellcheck disable=SC2016 # expanded inside
        expect 0 unshare -m --propagation private bash -c '
            mount -t tmpfs none /sys/fs/cgroup || exit 99
            if [ "$1" = 2 ]; then
                dir=/sys/fs/cgroup used=memory.current max=memory.max none=max
                file=0::/around/inner
            else
                dir=/sys/fs/cgroup/memory used=memory.usage_in_bytes max=memory.limit_in_bytes
                none=9223372036854771712 file=4:memory:/around/inner
            fi
            mkdir -p $dir/around/inner
            echo $file >"$2"
            mount --bind "$2" /proc/self/cgroup 2>/dev/null
            echo 5000000 >$dir/around/$used; echo 5040000 >$dir/around/$max
            echo 1000000 >$dir/around/inner/$used; echo $none >$dir/around/inner/$max
            mount --bind "$2" /proc/$$/cgroup && exec "$IPCBOX" mqpeek -J -q limits' bash "$version" "$BATS_TEST_TMPDIR/cgroup"
        is "$(jq -c '[.group_memory, .group_memory_max]' <<<"$out")" '[5000000,5040000]'
        jq -e '.errors[] | select(.error == "ENOMEM") | .result == "fails" and (.remedy | test("control group"))' <<<"$out"
    done
}

@test "limits: wrong usage, full disks" {
    expect 2 mqpeek limits 5
    has "$err" "MAXMSG and MSGSIZE go together"
    expect 2 mqpeek limits 0 1
    expect 2 mqpeek limits 65537 1
    expect 2 mqpeek limits 1 17M
    expect 2 mqpeek limits x 1
    expect 2 mqpeek limits 1 2 3
    expect 1 sh -c '"$IPCBOX" mqpeek limits >/dev/full'
}
