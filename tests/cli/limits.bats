#!/usr/bin/env bats
# mqpeek limits: its figures against what the kernel does.

load common
load scene

# Runs a script as a user of whom nobody has a queue, in an IPC namespace of its own, where /proc
# shows all. Its first argument is the scratch folder.
user_alone() { alone sh -c "$with_mqueue" "$BATS_TEST_TMPDIR/dev$RANDOM" setpriv --reuid "$1" --regid "$1" --clear-groups bash -c "$2" bash; }

@test "limits: costs, figures and a verdict for each error" {
    expect 0 mqpeek -J limits
    is "$(jq -c '[.errors[].error]' <<<"$out")" '["EMFILE","EMFILE","ENOSPC","EINVAL","ENOMEM"]'
    is "$(jq -c '[.queues_max,.msg_max,.msgsize_max,.msg_default,.msgsize_default]' <<<"$out")" \
        "[$(cd /proc/sys/fs/mqueue && cat queues_max msg_max msgsize_max msg_default msgsize_default | paste -sd,)]"
    expect 0 mqpeek -J limits 10 8192
    is "$(jq -c '[.new_maxmsg,.new_msgsize,.new_charge]' <<<"$out")" '[10,8192,82880]'
    expect 0 mqpeek -J limits 65536 16M
    is "$(jq -c '[.new_maxmsg,.new_msgsize,.new_charge]' <<<"$out")" '[65536,16777216,1099516346368]'
    expect 0 mqpeek limits
    has "$out" "EMFILE" "ENOSPC" "EINVAL" "ENOMEM" "fs.mqueue.queues_max"
}

@test "limits: the verdict on bytes is the kernel's, to the byte" {
    # 5 queues of 10 x 100 cost 5 x 1960; a limit that just holds them and one of 1 x 1 (97).
    for spare in 97 96; do
        out=$(user_alone 54331 '
            ulimit -q $((5 * 1960 + '$spare')) || exit 9
            for i in 1 2 3 4 5; do "$HELPERS/mqmake" /l$i 10 100 || exit 8; done
            "$IPCBOX" mqpeek -J -q limits 1 1 || exit 7
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
    jq -e '.queues == 2 and .queues_max == 2 and (.errors[] | select(.error == "ENOSPC").result == "fails")' <<<"${out%%$'\n'*}"
    out=$(user_alone 54333 '"$IPCBOX" mqpeek -J -q limits $(($(cat /proc/sys/fs/mqueue/msg_max) + 1)) 1
        "$HELPERS/mqmake" /c $(($(cat /proc/sys/fs/mqueue/msg_max) + 1)) 1; true' 2>&1)
    has "$out" "Invalid argument"
    jq -e '.errors[] | select(.error == "EINVAL").result == "fails"' <<<"${out%%$'\n'*}"
    # The queues that nobody has open are those that could go.
    out=$(user_alone 54334 '"$HELPERS/mqmake" /left 1 1; "$IPCBOX" mqpeek -J -q limits')
    is "$(jq -c '[.orphans[].name]' <<<"$out")" '["/left"]'
    is "$(jq -c '[.users[] | [.uid,.queues,.charged,.unread]]' <<<"$out")" '[[54334,1,97,0]]'
}

@test "limits --exact: the kernel's account, also of queues that were given away" {
    expect 0 alone sh -c '"$HELPERS/mqmake" /mine 3 5; "$IPCBOX" mqpeek -J -q limits --exact'
    jq -e '.charged_exact and .charged >= 303' <<<"$out"
    chmod 755 "$BATS_TEST_TMPDIR"
    expect 5 setpriv --reuid 54335 --regid 54335 --clear-groups bash -c 'coproc "$HELPERS/mqscene" "$1"
        read -r -u "${COPROC[0]}" x; "$IPCBOX" mqpeek -q limits --exact; s=$?; kill $COPROC_PID; wait; exit $s' bash "$(unique)"
    has "$err" "cannot tell exactly"
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
