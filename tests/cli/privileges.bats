#!/usr/bin/env bats
# What a running process still may, read from /proc/PID/status, and that it still does its work.
bats_require_minimum_version 1.5.0
load common
load screen

setup() {
    q=$(unique priv)
    pid=
}

teardown() {
    screen_stop
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    for name in "$q" "$q-later"; do "$HELPERS/mqmake" -u "/$name" 2>/dev/null || true; done
    [ -z "${dir-}" ] || rm -rf "$dir"
}

# status FIELD: of the process $pid
status() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"; }

# caps SET: its names, sorted, without cap_
caps() { capsh --decode="$(status "$1")" | sed 's/.*=//; s/cap_//g' | tr , '\n' | sort | xargs; }

# holds PERMITTED EFFECTIVE: those and no other, for ever
holds() {
    [ "$(caps CapPrm)" = "$1" ] && [ "$(caps CapEff)" = "$2" ] && [ "$(caps CapInh)" = "" ] &&
        [ "$(caps CapAmb)" = "" ] && [ "$(status NoNewPrivs)" = 1 ]
}

see_holds() {
    within 30 holds "$@" || {
        grep -E 'Cap|NoNew' "/proc/$pid/status"
        echo "permitted: $(caps CapPrm); effective: $(caps CapEff)"
        return 1
    }
}

# Before it was started: what the test itself may, so that nothing passes by being given nothing.
@test "here is something to give up" {
    pid=self
    has " $(caps CapEff) " " bpf " " perfmon " " sys_admin " " dac_override " " setuid "
    pid=
}

@test "follow: when BPF is loaded, looking into processes and queues is all that is left" {
    events=$BATS_TEST_TMPDIR/events
    "$IPCBOX" mqpeek follow -J --all >"$events" 2>"$BATS_TEST_TMPDIR/note" 3>&- &
    pid=$!
    see_holds "dac_read_search sys_ptrace" "dac_read_search sys_ptrace"
    # It still sees everybody's traffic, and queues that are made now.
    setpriv --reuid 54361 --regid 54361 --clear-groups "$HELPERS/mqmake" "/$q" 4 64 3:hello
    seen() { jq -se --arg q "/$q" 'any(.event == "send" and .queue == $q and .text == "hello") and
        any(.event == "create" and .queue == $q)' "$events"; }
    within 30 seen
    kill -TERM "$pid"
    wait "$pid"
    pid=
    has "$(cat "$BATS_TEST_TMPDIR/note")" "0 lost"
}

@test "top: BPF stays permitted for the picture of a queue, and is effective only during a load" {
    "$IPCBOX" mqpeek top -b -J -d 0.5 >"$BATS_TEST_TMPDIR/out" 2>/dev/null 3>&- &
    pid=$!
    see_holds "bpf dac_read_search perfmon sys_ptrace" "dac_read_search sys_ptrace"
    # A queue that is made now, that nobody has open, of somebody else, is found all the same.
    setpriv --reuid 54361 --regid 54361 --clear-groups "$HELPERS/mqmake" "/$q-later" 4 64 3:hello
    seen() { jq -se --arg q "/$q-later" 'any(.name == $q and .depth == 1)' "$BATS_TEST_TMPDIR/out"; }
    # The next listing comes when a hundred times what the first one took is over.
    within 300 seen
}

@test "top: a queue can be opened in the live table afterwards" {
    "$HELPERS/mqmake" "/$q" 4 64 3:hello
    screen_start 100 30 "$IPCBOX mqpeek top --filter $q"
    see "/$q"
    pid=$(pgrep -f "$IPCBOX mqpeek top --filter $q" -n)
    see_holds "bpf dac_read_search perfmon sys_ptrace" "dac_read_search sys_ptrace"
    keys Enter
    see hello
    see_holds "bpf dac_read_search perfmon sys_ptrace" "dac_read_search sys_ptrace"
}

@test "record: nothing is left but putting the file in its place" {
    dir=$(mktemp -d)
    chown 54361 "$dir"
    chmod 700 "$dir"
    "$HELPERS/mqmake" "/$q" 4 64
    "$IPCBOX" mqdump record "/$q" >"$BATS_TEST_TMPDIR/stream" 2>/dev/null 3>&- &
    pid=$!
    see_holds "" ""
    kill -TERM "$pid"
    wait "$pid"
    "$IPCBOX" mqdump record "/$q" -O "$dir/dump" 2>/dev/null 3>&- &
    pid=$!
    see_holds "dac_override fowner" "dac_override fowner"
    kill -TERM "$pid"
    wait "$pid"
    pid=
    expect 0 mqdump verify "$dir/dump"
}

@test "serve: clients' memory, and the mount only to take it away" {
    dir=$(mktemp -d)
    chmod 755 "$dir"
    "$IPCBOX" b1ctl -q serve "$dir/bus" 3>&- &
    pid=$!
    within 20 test -e "$dir/bus"
    see_holds "dac_override dac_read_search sys_admin sys_ptrace" "dac_override dac_read_search sys_ptrace"
    # Its threads, too: each has sets of its own.
    expect 0 b1ctl -q --device "$dir/bus" -c 'peer a b; node a.n; give a.n b as h; send b.h hi; recv a'
    has "$out" hi
    for task in /proc/"$pid"/task/*; do
        is "$(grep CapEff "$task/status")" "$(grep CapEff "/proc/$pid/status")"
    done
    kill -TERM "$pid"
    wait "$pid"
    pid=
    [ ! -e "$dir/bus" ]
    [ ! -e "$dir/bus.d" ]
    run ! grep -q "$dir" /proc/self/mountinfo
}

@test "monitor: it watches with little, while its command keeps what it had" {
    ipcbox -J doctor | jq -e '.backends[] | select(.backend == "calls") | .usable' || skip "this kernel is too old for it"
    "$IPCBOX" b1ctl -q monitor -- sh -c 'grep -E "^(CapPrm|CapEff|NoNew)" /proc/self/status >"$1"; exec sleep 60' sh \
        "$BATS_TEST_TMPDIR/command" >/dev/null 3>&- &
    pid=$!
    see_holds "dac_read_search kill sys_ptrace" "dac_read_search kill sys_ptrace"
    within 30 grep -q NoNew "$BATS_TEST_TMPDIR/command"
    is "$(cat "$BATS_TEST_TMPDIR/command")" "$(grep -E '^(CapPrm|CapEff|NoNew)' /proc/self/status)"
    kill -TERM "$pid"
    wait "$pid" || true
    pid=
}

@test "no new privileges: for every verb that runs nothing, before it does anything" {
    sets() { strace -f -e trace=prctl -o "$BATS_TEST_TMPDIR/trace" "$IPCBOX" "$@" >/dev/null 2>&1 || true
        grep -q PR_SET_NO_NEW_PRIVS "$BATS_TEST_TMPDIR/trace"; }
    "$HELPERS/mqmake" "/$q" 4 64 3:hello
    sets mqpeek
    sets mqpeek "/$q"
    sets mqpeek info "/$q"
    sets mqdump save "/$q"
    sets uringipc list
    sets b1ctl list
    sets doctor
}

@test "what is run by it keeps its privileges: it is none of ours to restrict" {
    dir=$(mktemp -d)
    cat >"$dir/criu" <<'EOF'
#!/bin/sh
grep -E '^(CapPrm|CapEff|NoNewPrivs)' /proc/self/status
EOF
    chmod 755 "$dir/criu"
    "$HELPERS/mqmake" "/$q" 4 64 3:hello
    CRTOOLS_SCRIPT_ACTION=post-dump CRTOOLS_IMAGE_DIR=$dir CRTOOLS_INIT_PID=$BASHPID \
        expect 0 mqdump criu action
    "$HELPERS/mqmake" -u "/$q"
    expect 0 mqdump criu restore -D "$dir" --criu "$dir/criu" -- -D "$dir"
    is "$out" "$(grep -E '^(CapPrm|CapEff|NoNewPrivs)' /proc/self/status)"
}

@test "file capabilities: they end with BPF, and with them nothing of other users is opened" {
    dir=$(mktemp -d)
    chmod 755 "$dir"
    cp "$IPCBOX" "$dir/ipcbox"
    setcap cap_bpf,cap_perfmon+ep "$dir/ipcbox"
    user() { setpriv --reuid 54361 --regid 54361 --clear-groups "$@"; }
    cp "$HELPERS/mqmake" "$dir/mqmake"
    user "$dir/mqmake" "/$q" 4 64 3:hello
    user "$dir/ipcbox" mqpeek follow "/$q" 2>/dev/null 3>&- &
    sleep 0.1
    pid=$(pgrep -u 54361 -f "mqpeek follow /$q" -n)
    # Before Linux 5.19 a program that is loaded cannot be asked for anything without them.
    case $(uname -r) in
    5.?.* | 5.1[0-8].*) see_holds "bpf perfmon" "" ;;
    *) see_holds "" "" ;;
    esac
    # As setcap is documented: it peeks at its own, and at nobody else's.
    expect 0 user "$dir/ipcbox" mqpeek --raw "/$q"
    is "$out" hello
    "$HELPERS/mqmake" "/$q-later" 4 64 3:secret
    expect 5 user "$dir/ipcbox" mqpeek --raw "/$q-later"
    has "$err" "not permitted to read it"
}
