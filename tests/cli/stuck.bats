#!/usr/bin/env bats
# ipcbox stuck over real processes: stuckscene plants them and tells what must be reported.

load common

# scenes [COMMAND…]: begins stuckscene, run by COMMAND, and waits until all scenes are made.
scenes() {
    dir=$(mktemp -d /tmp/ipcbox-stuck-XXXXXX)
    chmod 777 "$dir"
    mkfifo -m 666 "$dir/hold"
    "$@" "$HELPERS/stuckscene" "$dir" <"$dir/hold" >"$dir/scenes" 2>"$dir/errors" 3>&- &
    maker=$!
    exec 9>"$dir/hold"
    within 60 all_made
}

all_made() { [ "$(wc -l <"$dir/scenes")" = "$(grep -cE '^    \{"[a-z-]+", "[a-z]+",' "$SRC/tests/helpers/stuckscene.c")" ]; }

teardown() {
    exec 9>&-
    [ -z "${maker-}" ] || wait "$maker" 2>/dev/null || true
    [ -z "${other-}" ] || kill -KILL $other 2>/dev/null || true
    rm -rf "${dir-}"
}

# What each scene must be told as, and is: "KIND PID…" a line, sorted.
told() { jq -r '.findings[] | "\(.kind) \([.threads[].pid] | unique | map(tostring) | join(" "))"' <<<"$out"; }

wanted() {
    while read -r name kind pids; do
        [ "$kind" = quiet ] || echo "$kind $(tr ' ' '\n' <<<"$pids" | sort -n | paste -sd ' ') $name"
    done <"$dir/scenes"
}

# Whether a look finds every planted scene; what is missing stays in $missing.
finds_all() {
    local status=0 line name
    out=$("$@" -J) || status=$?
    [ "$status" = 1 ] || return 1
    missing=
    while read -r line; do
        name=${line##* }
        told | grep -qxF -- "${line% *}" || missing+="$name "
    done < <(wanted)
    [ -z "$missing" ]
}

# Whether the planted threads are told with how long they have waited: no longer than they are there,
# and with BPF all of them. Without, the kernel forgets it of a sleeper that it moves.
waits_have_begun() {
    local old pids
    old=$(($(date +%s) - $(stat -c %Y "$dir/hold") + 1))
    pids=$(wanted | cut -d ' ' -f 2- | grep -oE '[0-9]+' | paste -sd ,)
    jq -e --argjson old "$old" --argjson pids "[$pids]" \
        '[.findings[].threads[] | select(.pid as $p | $pids | index($p)) | .since]
            | any(. != null) and all(. == null or (. >= 0 and . <= $old))' <<<"$out" &&
        jq -e --argjson pids "[$pids]" '.backend == "proc" or
            ([.findings[].threads[] | select(.pid as $p | $pids | index($p)) | .since] | all(. != null))' <<<"$out"
}

quiet_pids() { sed -n 's/^[a-z-]* quiet //p' "$dir/scenes" | tr ' ' '\n'; }

none_of_the_quiet() {
    local pid
    for pid in $(quiet_pids); do
        if jq -e --argjson p "$pid" '[.findings[].threads[].pid, .findings[].stopped_pid] | index($p)' <<<"$out"; then
            echo "process $pid only rests"
            return 1
        fi
    done
}

@test "stuck: every planted scene is found, and none that rests" {
    scenes
    for backend in bpf proc; do
        within 60 finds_all ipcbox stuck --backend "$backend" || { echo "$backend: missing: $missing"; told; return 1; }
        for _ in 1 2 3; do
            expect 1 ipcbox stuck -J --backend "$backend"
            none_of_the_quiet
        done
        is "$(jq -r .backend <<<"$out")" "$backend"
        "$SRC/tests/schema/validate" ipcbox-stuck <<<"$out"
        waits_have_begun
    done
    expect 1 ipcbox stuck -J
    is "$(jq -r '.backend, .backend_reason' <<<"$out")" $'bpf\nnull'
    # The same in text, with what to do.
    expect 1 ipcbox stuck
    has "$out" "DEADLOCK  " "STOPPED   " "ORPHAN    " "is stopped (SIGSTOP); 3 threads wait for it" \
        "(full, 1 of 1)" "try: kill -CONT " "which traces it"
}

@test "stuck: an ordinary user finds what its own processes wait for, and is told what is hidden" {
    user() { setpriv --reuid 54371 --regid 54371 --clear-groups "$@"; }
    scenes user
    within 60 finds_all user "$IPCBOX" stuck || { echo "missing: $missing"; told; return 1; }
    none_of_the_quiet
    jq -e '.processes_hidden > 0 and .backend == "proc" and (.backend_reason | test("BPF"))' <<<"$out"
    waits_have_begun
    expect 5 user "$IPCBOX" stuck --backend bpf
    has "$err" "run as root"
    expect 1 user "$IPCBOX" stuck
    has "$out" "that you may not look into (taken as running)"
}

@test "stuck PID: its chain, whatever it waits for; 0 when it can go on" {
    scenes
    within 60 finds_all ipcbox stuck
    read -r _ _ middle last < <(grep ^chain-of-three "$dir/scenes")
    stopped=$(jq --argjson p "$last" '.findings[] | select(any(.threads[]; .pid == $p)).stopped_pid' <<<"$out")
    expect 1 ipcbox stuck -J "$last"
    "$SRC/tests/schema/validate" ipcbox-stuck <<<"$out"
    is "$(jq -c '[.chain[].pid]' <<<"$out")" "[$last,$middle,$stopped]"
    is "$(jq '.findings | length' <<<"$out")" 1
    is "$(jq -c '.chain[0] | [.call, .direction, .object.kind, .wakers]' <<<"$out")" \
        "[\"read\",\"read\",\"pipe\",[$middle]]"
    read -r _ _ writer reader < <(grep ^pipeline-at-rest "$dir/scenes")
    expect 0 ipcbox stuck -J "$reader"
    is "$(jq -c '[.findings, [.chain[].pid]]' <<<"$out")" "[[],[$reader,$writer]]"
    jq -e '.chain[1].live_because' <<<"$out"
    expect 0 ipcbox stuck "$reader"
    has "$out" "CHAIN" "reads pipe:[" "written only by stuckscene[$writer]"
}

@test "stuck: a process frozen with its control group" {
    mkfifo "$BATS_TEST_TMPDIR/f"
    sh -c "exec 8>'$BATS_TEST_TMPDIR/f'; exec sleep 1000" 3>&- &
    writer=$!
    cat "$BATS_TEST_TMPDIR/f" 3>&- &
    reader=$!
    other="$writer $reader"
    mkdir "$BATS_TEST_TMPDIR/groups"
    # A mount of its own: the machine's may be read-only, or of version 1.
    unshare -m bash -euc 'mount -t cgroup2 none "$1/groups" || exit 9
        group=$1/groups/ipcbox-stuck-$$
        mkdir "$group"
        trap "echo 0 >$group/cgroup.freeze; echo $2 >$1/groups/cgroup.procs; rmdir $group" EXIT
        echo "$2" >"$group/cgroup.procs"
        echo 1 >"$group/cgroup.freeze"
        for _ in $(seq 40); do
            "$IPCBOX" stuck -J "$3" >"$1/json" || true
            ! grep -q "\"kind\":\"stopped\"" "$1/json" || break
        done
        "$IPCBOX" stuck "$3" >"$1/text" || [ $? = 1 ]' sh "$BATS_TEST_TMPDIR" "$writer" "$reader" || {
        [ $? = 9 ] && skip "no control groups of version 2"
        return 1
    }
    jq -e --argjson w "$writer" '.findings[0] | .kind == "stopped" and .stopped_pid == $w' "$BATS_TEST_TMPDIR/json"
    has "$(cat "$BATS_TEST_TMPDIR/text")" "is frozen with the control group" "try: echo 0 >" "/cgroup.freeze"
}

@test "stuck: what a stopped service has not read is told, decoded" {
    cat >"$BATS_TEST_TMPDIR/client.py" <<'PY'
import os, signal, socket, time
client, service = socket.socketpair()
pid = os.fork()
if pid == 0:
    client.close()
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(1000)
service.close()
client.sendall(b'{"method":"org.example.Store.Get","parameters":{"key":1}}\0')
print(os.getpid(), pid, flush=True)
client.recv(1)
PY
    python3 "$BATS_TEST_TMPDIR/client.py" >"$BATS_TEST_TMPDIR/pids" 3>&- &
    other=$!
    within 30 test -s "$BATS_TEST_TMPDIR/pids"
    read -r client service <"$BATS_TEST_TMPDIR/pids"
    other="$client $service"
    finds() { out=$(ipcbox stuck -J "$client") || jq -e '.findings | length == 1' <<<"$out"; }
    within 30 finds
    is "$(jq -c '.unread | map([.pid, .state, .bytes])' <<<"$out")" "[[$service,\"T\",58]]"
    has "$(jq -r '.unread[0].message' <<<"$out")" org.example.Store.Get
    expect 1 ipcbox stuck "$client"
    has "$out" "[$service], which is stopped, has not read 58 bytes" org.example.Store.Get
}

@test "stuck: for what is unread it looks at the descriptors of the findings' processes alone" {
    mkfifo "$BATS_TEST_TMPDIR/f"
    cat "$BATS_TEST_TMPDIR/f" 3>&- &
    stuck=$!
    sleep 1000 < <(:) 3>&- &
    bystander=$!
    other="$stuck $bystander"
    finds() { { ipcbox stuck -J "$stuck" || [ $? = 1 ]; } | jq -e --argjson p "$stuck" 'any(.findings[].threads[]; .pid == $p)'; }
    within 20 finds
    strace -f -qq -e trace=openat -o "$BATS_TEST_TMPDIR/strace" "$IPCBOX" stuck --backend bpf >/dev/null || [ $? = 1 ]
    grep -q "\"$stuck/fd\"" "$BATS_TEST_TMPDIR/strace"
    if grep "\"$bystander/fd\"" "$BATS_TEST_TMPDIR/strace"; then return 1; fi
    strace -f -qq -e trace=openat -o "$BATS_TEST_TMPDIR/strace" "$IPCBOX" stuck --backend bpf "$stuck" >/dev/null || [ $? = 1 ]
    grep -q "\"$stuck/fd\"" "$BATS_TEST_TMPDIR/strace"
    if grep "\"$bystander/fd\"" "$BATS_TEST_TMPDIR/strace"; then return 1; fi
}

@test "stuck PID: what the end of a chain, which goes on, has sent to a stopped process" {
    cat >"$BATS_TEST_TMPDIR/daemon.py" <<'PY'
import os, signal, socket, time
client, daemon = socket.socketpair()
forward, service = socket.socketpair()
pids = [os.getpid()]
for role in "daemon", "service":
    pid = os.fork()
    if pid == 0:
        client.close()
        if role == "daemon":
            service.close()
            forward.sendall(daemon.recv(100))
        else:
            daemon.close()
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(1000)
    pids.append(pid)
for s in daemon, forward, service: s.close()
client.sendall(b'{"method":"org.example.Store.Put"}\0')
print(*pids, flush=True)
client.recv(1)
PY
    python3 "$BATS_TEST_TMPDIR/daemon.py" >"$BATS_TEST_TMPDIR/pids" 3>&- &
    other=$!
    within 30 test -s "$BATS_TEST_TMPDIR/pids"
    read -r client daemon service <"$BATS_TEST_TMPDIR/pids"
    other="$client $daemon $service"
    finds() { out=$(ipcbox stuck -J "$client") && jq -e '.unread | length == 1' <<<"$out"; }
    within 30 finds
    is "$(jq -c '[.findings, [.chain[].pid], (.unread[0] | [.pid, .state])]' <<<"$out")" "[[],[$client,$daemon],[$service,\"T\"]]"
    has "$(jq -r '.unread[0].message' <<<"$out")" org.example.Store.Put
}

# found KIND PIDS: whether both sources tell the finding of these processes and no other of theirs.
found() {
    for backend in bpf proc; do
        out=$(ipcbox stuck --backend $backend -J ${2//,/ }) || [ $? = 1 ] || return 2
        [ "$(jq -r '.findings[] | "\(.kind) \([.threads[].pid] | unique | map(tostring) | join(","))"' <<<"$out")" = "$1 $2" ] || return 1
    done
}

# rests PID…: several looks of both sources find nothing.
rests() {
    for backend in bpf proc bpf proc; do expect 0 ipcbox stuck --backend $backend "$@"; done
}

@test "stuck: a channel's receiver whose only sender has gone; one that has a sender, or a timeout, rests" {
    mkfifo "$BATS_TEST_TMPDIR/lines"
    id=$(uringipc -q --noheadings create --detach)
    "$IPCBOX" uringipc -q send --lines "$id" <"$BATS_TEST_TMPDIR/lines" 3>&- &
    sender=$!
    exec 9>"$BATS_TEST_TMPDIR/lines"
    "$IPCBOX" uringipc -q recv --follow "$id" >"$BATS_TEST_TMPDIR/got" 3>&- 9>&- &
    receiver=$!
    other="$sender $receiver"
    echo one >&9
    within 20 test -s "$BATS_TEST_TMPDIR/got"
    waits() { out=$(ipcbox stuck -J "$receiver") && jq -e '.chain[0].object.kind == "channel"' <<<"$out"; }
    within 20 waits
    is "$(jq -c '.chain[0] | [.direction, .object.name, .wakers]' <<<"$out")" "[\"recv\",\"channel $id\",[$sender]]"
    "$SRC/tests/schema/validate" ipcbox-stuck <<<"$out"
    rests "$receiver"
    kill -STOP "$sender"
    within 20 found stopped "$receiver"
    kill -KILL "$sender"
    wait "$sender" || true
    within 20 found orphan "$receiver"
    expect 1 ipcbox stuck "$receiver"
    has "$out" "receives from channel $id" "nobody else has it open"
    kill "$receiver"
    "$IPCBOX" uringipc -q recv -t 1000 "$id" >/dev/null 3>&- 9>&- &
    receiver=$!
    other=$receiver
    within 20 waits
    rests "$receiver"
    kill "$receiver"
    uringipc -q destroy "$id"
}

@test "stuck: two clients of a served bus that wait for one another; not when one only sleeps" {
    bus=$BATS_TEST_TMPDIR/bus
    "$IPCBOX" b1ctl -q serve "$bus" 3>&- &
    server=$!
    within 20 test -e "$bus"
    mkfifo "$BATS_TEST_TMPDIR/hold"
    "$HELPERS/busscene" "$bus" waits <"$BATS_TEST_TMPDIR/hold" >"$BATS_TEST_TMPDIR/one" 3>&- &
    other="$server $!"
    "$HELPERS/busscene" "$bus" rests <"$BATS_TEST_TMPDIR/hold" >"$BATS_TEST_TMPDIR/two" 3>&- &
    other+=" $!"
    exec 9>"$BATS_TEST_TMPDIR/hold"
    within 20 test -s "$BATS_TEST_TMPDIR/one" -a -s "$BATS_TEST_TMPDIR/two"
    read -r first second <"$BATS_TEST_TMPDIR/one"
    within 20 found deadlock "$first,$second"
    is "$(jq -c '[.findings[0].threads[] | [.object.kind, .direction]] | unique' <<<"$out")" '[["bus1","poll"]]'
    has "$(jq -r '.findings[0].threads[0].object.name' <<<"$out")" "of bus $bus.d"
    "$SRC/tests/schema/validate" ipcbox-stuck <<<"$out"
    read -r first second <"$BATS_TEST_TMPDIR/two"
    waits() { out=$(ipcbox stuck -J "$first") && jq -e --argjson s "$second" '.chain | [.[0].object.kind, .[0].wakers, .[1].pid] == ["bus1", [$s], $s]' <<<"$out"; }
    within 20 waits
    rests "$first" "$second"
    # A server that is stopped is not waited for, nor whoever opens its files.
    kill -STOP "$server"
    within 20 eval '[ "$(cut -d " " -f 3 /proc/$server/stat)" = T ]'
    cat "$bus.d/debug" >/dev/null 3>&- &
    other+=" $!"
    for backend in bpf proc; do expect 0 timeout 60 "$IPCBOX" stuck --backend $backend "$first"; done
    kill -CONT "$server"
    exec 9>&-
    kill "$server"
    wait "$server" || true
}

@test "stuck: bad operands, a process that is gone, --dot, a reader that closes the pipe" {
    expect 2 ipcbox stuck abc
    has "$err" "abc: not the number of a process"
    expect 2 ipcbox stuck --dot -J
    expect 3 ipcbox stuck 4194303
    has "$err" "there is no process 4194303"
    expect 0 ipcbox stuck --dot "$$"
    has "$out" "digraph stuck {" "\"$$\""
    dot -Tsvg <<<"$out" >/dev/null
    ipcbox stuck -J | head -c 1 >/dev/null
}

@test "stuck: names that are no text, many threads, a pid namespace whose /proc hides" {
    mkfifo "$BATS_TEST_TMPDIR/f"$'\n\033[2J'
    cat "$BATS_TEST_TMPDIR/f"$'\n\033[2J' 3>&- &
    other=$!
    finds() { ipcbox stuck "$other" >"$BATS_TEST_TMPDIR/out" || [ $? = 1 ] && grep -q ORPHAN "$BATS_TEST_TMPDIR/out"; }
    within 20 finds
    if grep -q "$(printf '\033')" "$BATS_TEST_TMPDIR/out"; then return 1; fi
    unshare -m sh -c 'mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 54372 --clear-groups '"'$IPCBOX'"' stuck' \
        >"$BATS_TEST_TMPDIR/out" || [ $? = 1 ]
    grep -q "processes that /proc hides" "$BATS_TEST_TMPDIR/out"
}

@test "stuck: without false alarms beside a build with a job server, pipelines and busy producers" {
    cat >"$BATS_TEST_TMPDIR/Makefile" <<'MAKE'
all: $(addprefix job,$(shell seq 200))
job%:
	@seq 3000 | sort -n | tail -n 1 >/dev/null; true
MAKE
    (while :; do make -s -j 3 -C "$BATS_TEST_TMPDIR"; done) >/dev/null 2>&1 3>&- &
    other=$!
    (while :; do seq 100000 | gzip -c | gunzip -c | wc -l; done) >/dev/null 2>&1 3>&- &
    other+=" $!"
    for _ in $(seq $((${IPCBOX_TEST_LONG:+990} + 10))); do
        "$IPCBOX" stuck -J -w 0.05 >"$BATS_TEST_TMPDIR/out" || true
        # Whatever else is on this machine may be stuck.
        jq -e '[.findings[] | select(.kind == "deadlock") | .threads[].comm]
            | map(select(test("^(make|sh|bash|seq|sort|tail|gzip|gunzip|wc)$"))) == []' "$BATS_TEST_TMPDIR/out"
    done
}
