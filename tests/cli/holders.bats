#!/usr/bin/env bats
# Who holds a queue: every descriptor table, every pid namespace, and what is said where not all can be
# seen.

bats_require_minimum_version 1.5.0
load common
load scene

setup() {
    q=/$(unique)
    started=()
}

teardown() {
    for pid in ${started[@]+"${started[@]}"}; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    for name in "$q" "$q"own "$q"late; do
        "$HELPERS/mqmake" -u "$name" 2>/dev/null || true
    done
}

# start COMMAND…: a helper in the background; $told is the JSON that it printed.
start() {
    rm -f "$BATS_TEST_TMPDIR/told"
    "$@" >"$BATS_TEST_TMPDIR/told" 3>&- &
    started+=($!)
    within 60 test -s "$BATS_TEST_TMPDIR/told"
    told=$(cat "$BATS_TEST_TMPDIR/told")
}

tell() { jq -r "$1" <<<"$told"; }

# row FILTER: of the queue in the listing in $out
row() { jq -c --arg n "$q" '.queues[] | select(.name == $n) | '"$1" <<<"$out"; }

for_tables() {
    start "$HELPERS/mqtables" "$1" "$q" block
    expect 0 mqpeek -J list
    is "$(row '[.holder_count,.receiver_count]')" '[1,1]'
    # It is listed as the process's, and the operand that leads to it works.
    expect 0 mqpeek -J info "$q"
    is "$(jq -c '.queues[0].holders | map([.pid,.fd])' <<<"$out")" "$(tell '[[.pid,.fd]] | tojson')"
    for id in pid tid; do
        expect 0 mqpeek info -J "pid:$(tell ".$id"):77"
        is "$(jq -r '.queues[0].name' <<<"$out")" "$q"
    done
    expect 0 mqpeek info -J "pid:$(tell .pid):$q"
    expect 0 mqdump save --pid "$(tell .pid)"
    has "$out" "\"$q\""
    # No advice may rest on its being left behind.
    expect 0 mqpeek -J list --orphans
    is "$(row .name)" ""
    expect 1 mqpeek --backend drain "$q"
    has "$err" "process $(tell .pid) (mqtables) has it open"
    # Without a name it is still found.
    "$HELPERS/mqmake" -u "$q"
    expect 0 mqpeek -J list
    is "$(row '[.unlinked,.holder_count]')" '[true,1]'
    expect 0 mqpeek info -J "$(row .reference | tr -d \")"
}

@test "holders: a thread with a descriptor table of its own" {
    for_tables own
}

@test "holders: a process whose first thread has ended" {
    for_tables late
}

@test "holders: a user sees both of its own, too" {
    for kind in own late; do
        chmod 1777 "$BATS_TEST_TMPDIR" 2>/dev/null || true
        start setpriv --reuid 54333 --regid 54333 --clear-groups "$HELPERS/mqtables" "$kind" "$q$kind" block
        expect 0 setpriv --reuid 54333 --regid 54333 --clear-groups "$IPCBOX" mqpeek -J list
        is "$(jq -c --arg n "$q$kind" '.queues[] | select(.name == $n) | .holder_count' <<<"$out")" 1
        expect 0 setpriv --reuid 54333 --regid 54333 --clear-groups "$IPCBOX" mqpeek info -J "pid:$(tell .pid):77"
    done
}

@test "holders: where kcmp() is refused, one table that threads share counts once" {
    start "$HELPERS/mqtables" own "$q" block
    expect 0 strace -f -q -e trace=kcmp -e inject=kcmp:error=EPERM -o /dev/null "$IPCBOX" mqpeek -J list
    is "$(row '[.holder_count,.receiver_count]')" '[1,1]'
}

# ---- where processes cannot be seen ----

# With the queues' file system at /dev/mqueue.
mounted() { unshare -m sh -c "$with_mqueue" "$BATS_TEST_TMPDIR/dev" "$@"; }

# A pod: the IPC namespace is shared, the pid namespace is not.
pod() { mounted unshare -p -f --mount-proc --kill-child "$@"; }

# Without the capabilities that BPF takes, in no set, as in an ordinary container.
contained="setpriv --bounding-set -bpf,-perfmon,-sys_admin --inh-caps -all"

another="setpriv --reuid 54333 --regid 54333 --clear-groups"

# Lists, and gives no advice that rests on nobody having the queue open.
no_false_certainty() {
    expect 0 "$@" "$IPCBOX" mqpeek -J list
    jq -e '.holders_complete == false and .waiters_complete == false and .note != null' <<<"$out"
    is "$(row '[.holder_count,.receiver_count]')" '[0,0]'
    expect 0 "$@" "$IPCBOX" mqpeek list
    has "$(grep -F "$q " <<<"$out" | tr -s ' ')" " 0+ 0+ 0+ "
    expect 5 "$@" "$IPCBOX" mqpeek list --orphans
    is "$out" ""
    has "$err" "cannot tell which queues nobody has open"
    expect 5 "$@" "$IPCBOX" mqpeek -J list --orphans
    expect 0 "$@" "$IPCBOX" mqpeek -J limits
    jq -e '.holders_complete == false and .orphans == []' <<<"$out"
    jq -e 'all(.errors[]; .remedy == null or (.remedy | contains("nobody has open") | not))' <<<"$out"
    expect 0 "$@" "$IPCBOX" mqpeek limits
    has "$out" "which queues no process has open is not known"
    expect 0 "$@" "$IPCBOX" mqpeek metrics
    run ! grep -q "^ipcbox_mqueue_holders{queue=\"$q\"}" <<<"$out"
    has "$out" "ipcbox_mqueue_holders_complete 0" "ipcbox_mqueue_waiters_complete 0"
}

@test "holders: a pod shares the IPC namespace, and does not see who holds a queue" {
    start "$HELPERS/mqtables" own "$q" block
    no_false_certainty pod $contained
    expect 5 pod $contained "$IPCBOX" mqpeek --backend drain "$q"
    has "$err" "not all processes can be seen"
    # What is advised works there: a container's file cannot be given capabilities that it must not have.
    expect 0 pod $contained "$IPCBOX" mqpeek list
    has "$err" "outside of this pid namespace" "--cap-add BPF --cap-add PERFMON" "from the host"
    run ! grep -q setcap <<<"$err"
    expect 5 pod $contained "$IPCBOX" mqpeek --backend bpf "$q"
    has "$err" "--cap-add BPF --cap-add PERFMON"
    run ! grep -q setcap <<<"$err"
}

@test "holders: root of the machine asks the kernel, also in a pod" {
    start "$HELPERS/mqtables" own "$q" block
    expect 0 pod "$IPCBOX" mqpeek -J list
    jq -e '.holders_complete and .waiters_complete' <<<"$out"
    is "$(row '[.holder_count,.receiver_count]')" '[1,1]'
    expect 0 pod "$IPCBOX" mqpeek list
    has "$(grep -F "$q " <<<"$out" | tr -s ' ')" " 1 0 1 "
    expect 0 pod "$IPCBOX" mqpeek -J list --orphans
    is "$(row .name)" ""
    expect 0 pod "$IPCBOX" mqpeek -J info "$q"
    is "$(jq -c '.queues[0].holders | map([.pid,.comm,.fd])' <<<"$out")" '[[null,"mqtables",77]]'
    # A queue that is really left behind is told.
    kill "${started[0]}"
    wait "${started[0]}" || true
    expect 0 pod "$IPCBOX" mqpeek -J list --orphans
    is "$(row .holder_count)" 0
}

@test "holders: another user's processes, hidden (hidepid) or forbidden" {
    start "$HELPERS/mqtables" own "$q" block
    no_false_certainty mounted $another
    for how in 2 invisible 4 ptraceable; do
        no_false_certainty mounted sh -c "mount -t proc -o hidepid=$how proc /proc && exec $another \"\$@\"" sh
    done
    expect 0 setpriv --reuid 54333 --regid 54333 --clear-groups "$IPCBOX" mqpeek list
    has "$err" "run as root"
}

@test "holders: a container's root whose own processes are all visible, and pid 1, too" {
    start "$HELPERS/mqtables" own "$q" block
    no_false_certainty pod sh -c 'mount -t proc -o hidepid=2 proc /proc && exec '"$contained"' "$@"' sh
}

@test "list -A: namespaces that no process is in, by their mounts and by descriptors" {
    dir="$BATS_TEST_TMPDIR/a b"
    mkdir "$dir"
    touch "$dir/ipc"
    expect 0 unshare -m bash -c '
        unshare -i sh -c "\"\$HELPERS/mqmake\" /kept 3 8 1:abc && mount --bind /proc/self/ns/ipc \"\$1\"" sh "$1"
        unshare -i sh -c "\"\$HELPERS/mqmake\" /open 3 8 1:xyz && exec unshare -i sleep 60 9</proc/self/ns/ipc" & keeper=$!
        until "$IPCBOX" mqpeek list -A -q -o reference | grep -q ":/open"; do sleep 0.1; done
        "$IPCBOX" mqpeek list -A -J -q
        "$IPCBOX" mqpeek --raw "ns:$1:/kept"; echo
        "$IPCBOX" mqpeek --raw "ns:/proc/$keeper/fd/9:/open"; echo
        "$IPCBOX" mqdump save "ns:$1:/kept" | grep -c "\"ipc_n"
        kill $keeper' bash "$dir/ipc"
    is "$(sed 1d <<<"$out")" $'abc\nxyz\n1'
    is "$(head -n 1 <<<"$out" | jq -r --arg r "ns:$dir/ipc:/kept" '.queues[] | select(.reference == $r) | [.name,.holder_count] | join(" ")')" "/kept 0"
}

@test "ns: what leads to no IPC namespace is refused, and not opened" {
    mkfifo "$BATS_TEST_TMPDIR/fifo"
    for path in "$BATS_TEST_TMPDIR/fifo" /etc/passwd /proc/self/ns/mnt; do
        expect 1 timeout 10 "$IPCBOX" mqpeek "ns:$path:/x"
        has "$err" "$path is not an IPC namespace"
    done
    expect 3 mqpeek "ns:$BATS_TEST_TMPDIR/nothing:/x"
    expect 2 mqpeek ns:/x
    expect 2 mqpeek ns::/x
    expect 2 mqpeek "ns:/$(printf 'x%.0s' $(seq 300)):/x"
}

@test "list: an empty /dev/mqueue of another namespace hides no queue that is open" {
    # The mount is that of a namespace without queues, the caller is an ordinary user of another one.
    expect 0 mounted unshare -i $another bash -c 'coproc "$HELPERS/mqtables" own /held
        read -r -u "${COPROC[0]}" x; "$IPCBOX" mqpeek -J list; kill "$COPROC_PID"'
    is "$(jq -c '[.names_complete, (.queues[] | [.name,.holder_count])]' <<<"$out")" '[false,["/held",1]]'
    has "$err" "may be that of another IPC namespace"
}

@test "list: a mount of queues whose path has a blank" {
    mkdir "$BATS_TEST_TMPDIR/my queues"
    expect 0 unshare -m bash -c 'mount -t mqueue none "$1" && "$HELPERS/mqmake" "$2" 2 8 && exec 5<"$1$2" && "$IPCBOX" mqpeek -J list' \
        bash "$BATS_TEST_TMPDIR/my queues" "$q"
    is "$(row .holder_count)" 1
}

@test "without /proc: what is missing is said, and what would help" {
    # The leak checker itself needs /proc.
    export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
    for args in "list" "$q" "info $q" "follow $q" "limits"; do
        "$HELPERS/mqmake" "$q" 2 8 1:x 2>/dev/null || true
        expect 1 unshare -m sh -c "mount -t tmpfs none /proc && exec \"\$IPCBOX\" mqpeek $args" ||
            expect 4 unshare -m sh -c "mount -t tmpfs none /proc && exec \"\$IPCBOX\" mqpeek $args"
        has "$err" "/proc" "mount -t proc proc /proc"
        run ! grep -qi btf <<<"$err"
    done
    expect 0 unshare -m sh -c 'mount -t tmpfs none /proc && exec "$IPCBOX" doctor -J'
    is "$(jq -c '[.. | objects | select(.backend? == "bpf" and (.applet | contains("mqpeek"))).usable]' <<<"$out")" '[false]'
}

@test "ends of processes: in a pid namespace doctor and follow claim none, whoever listens outside" {
    "$HELPERS/mqmake" "$q" 2 8
    "$IPCBOX" mqpeek follow "$q" 2>/dev/null 3>&- &
    started+=($!)
    within 30 sh -c '"$IPCBOX" doctor -J | jq -e ".. | objects | select(.backend? == \"ends of processes\").usable"'
    expect 0 pod "$IPCBOX" doctor -J
    is "$(jq -c '[.. | objects | select(.backend? == "ends of processes").usable]' <<<"$out")" '[false]'
    expect 1 pod "$IPCBOX" mqpeek follow "$q" --timeout 0.1 -N 1
    has "$err" "processes that exit are not shown"
}

@test "info: a descriptor that only names a queue (O_PATH) reads nothing" {
    expect 0 unshare -m bash -c 'mkdir "$1" && mount -t mqueue none "$1" && "$HELPERS/mqmake" "$2" 2 8 &&
        python3 -c "import os,sys; os.open(sys.argv[1], os.O_PATH); os.system(sys.argv[2])" "$1$2" "\"$IPCBOX\" mqpeek info -J \"$2\""' \
        bash "$BATS_TEST_TMPDIR/queues" "$q"
    is "$(jq -c '[.queues[0].holders[].access]' <<<"$out")" '["path"]'
}
