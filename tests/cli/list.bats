#!/usr/bin/env bats
# mqpeek list, against queues whose state the helper tells.

load common
load scene
load screen

setup() { scene_start; }
teardown() {
    screen_stop
    scene_stop
}

# queue WHICH: its object in $out
queue() { jq -e --arg name "/$scene-$1" '.queues[] | select(.name == $name)' <<<"$out"; }

@test "list: every queue with what is in it, who holds it, who is blocked" {
    expect 0 mqpeek -J
    is "$(queue full | jq -c '[.depth,.maxmsg,.msgsize,.bytes,.mode,.holder_count,.sender_count]')" '[1,1,16,3,"0640",1,1]'
    is "$(queue empty | jq -c '[.depth,.maxmsg,.bytes,.holder_count,.receiver_count]')" '[0,4,0,1,1]'
    is "$(queue orphan | jq -c '[.depth,.bytes,.unlinked]')" '[2,6,false]'
    is "$(queue notify | jq -c '[.notify,.notify_pid,.notify_signo]')" "$(wanted '["signal",.pid,.signo]|tojson')"
    is "$(queue gone | jq -c '[.unlinked,.reference,.holder_count]')" "$(wanted '[true,"pid:\(.pid):\(.gone_fd)",3]|tojson')"
    is "$(queue full | jq -c '[.owner,.uid,.charged]')" "$(jq -nc --arg u "$(id -un)" --argjson i "$(id -u)" '[$u,$i,112]')"
    is "$(queue full | jq .ipc_namespace)" "$(readlink /proc/self/ns/ipc | tr -dc 0-9)"
    # What changed last is the message, also after it has been listed.
    changed=$(queue full | jq -r .changed)
    expect 0 mqpeek -J list
    is "$(queue full | jq -r .changed)" "$changed"
    # The kernel tells whole seconds.
    jq -e '.queues | all((.age | . == floor) and (.changed | endswith(".000000000Z")))' <<<"$out"
    # The reference leads there.
    expect 0 mqpeek peek --backend drain --help
    expect 0 mqpeek list -o reference --noheadings
    has "$out" "/$scene-full" "$(wanted '"pid:\(.pid):\(.gone_fd)"')"
}

@test "list: a table, JSON Lines and chosen columns agree" {
    expect 0 mqpeek list
    has "$out" "NAME" "/$scene-full" "/$scene-gone"
    expect 0 mqpeek list --jsonl
    is "$(jq -s --arg p "/$scene-" '[.[] | select(.name | startswith($p))] | length' <<<"$out")" 5
    jq -se 'all(has("names_complete"))' <<<"$out"
    expect 0 mqpeek list -o Name,MSGS --noheadings
    has "$out" "/$scene-orphan"
    is "$(grep -F "/$scene-orphan " <<<"$out" | tr -s ' ')" "/$scene-orphan 2"
    expect 0 mqpeek list -o +uid
    has "$out" "UID"
}

@test "list: --nonempty, --orphans, --pid, --sort" {
    expect 0 mqpeek -J list --nonempty
    is "$(jq -c --arg p "/$scene-" '[.queues[].name | select(startswith($p)) | ltrimstr($p)] | sort' <<<"$out")" '["full","gone","orphan"]'
    expect 0 mqpeek -J list --orphans
    is "$(jq -c --arg p "/$scene-" '[.queues[].name | select(startswith($p)) | ltrimstr($p)]' <<<"$out")" '["orphan"]'
    expect 0 mqpeek -J list --pid "$(wanted .sender.pid)"
    is "$(jq -c --arg p "/$scene-" '[.queues[].name | ltrimstr($p)]' <<<"$out")" '["full","gone"]'
    expect 0 mqpeek -J list --sort MSGS
    jq -e '[.queues[].depth] | . == (sort | reverse)' <<<"$out"
    expect 0 mqpeek -J list --sort name
    jq -e '[.queues[].name] | . == sort' <<<"$out"
    expect 0 mqpeek -J list --sort age
    jq -e '[.queues[].age] | . == (sort | reverse)' <<<"$out"
    for column in reference unlinked uid mode notify notify_pid holder_count changed; do
        expect 0 mqpeek -J list --sort "$column"
        jq -e --arg p "/$scene-" '[.queues[].name | select(startswith($p))] | length == 5' <<<"$out"
    done
}

@test "list: that there are no queues is said on a terminal, and nowhere else" {
    screen_start 80 24 "unshare -i $IPCBOX mqpeek list"
    see "mqpeek: there are no queues" "status=0"
    screen_stop
    screen_start 80 24 "unshare -i $IPCBOX mqpeek list --sysv"
    see "mqpeek: there are no System V queues" "status=0"
    screen_stop
    expect 0 unshare -i "$IPCBOX" mqpeek list
    is "$out" ""
    lacking=$(grep "there are no" <<<"$err") || true
    is "$lacking" ""
}

@test "list: wrong usage and processes that are not there" {
    expect 2 mqpeek list --sort dept
    has "$err" 'no column "dept"' 'did you mean "depth"?'
    expect 2 mqpeek list --sort zzzzzz
    expect 2 mqpeek list --pid 0
    expect 2 mqpeek list --pid x
    expect 2 mqpeek list --sysv --orphans
    has "$err" "no process has a System V queue open"
    expect 2 mqpeek list --nonemty
    has "$err" "--nonempty"
    expect 2 mqpeek lits
    has "$err" 'did you mean "list"?'
    expect 2 mqpeek list surplus
    sleep 0 &
    gone=$!
    wait "$gone"
    expect 3 mqpeek list --pid "$gone"
    has "$err" "there is no process $gone"
    expect 5 setpriv --reuid 54321 --regid 54321 --clear-groups "$IPCBOX" mqpeek list --pid "$(wanted .pid)"
    has "$err" "not permitted to look into process $(wanted .pid)" "run as root"
}

@test "list: where all can be seen nothing is unknown, and no note is printed" {
    expect 0 alone sh -c '"$HELPERS/mqscene" inner >"$1" & while ! test -s "$1"; do sleep 0.05; done; "$IPCBOX" mqpeek -J; kill $!; wait' sh "$BATS_TEST_TMPDIR/inner"
    is "$err" ""
    jq -e '.names_complete and .holders_complete and .waiters_complete and .note == null' <<<"$out"
    is "$(jq -c '[.queues[] | [.name,.holder_count,.sender_count,.receiver_count]]' <<<"$out")" \
        '[["/inner-empty",1,0,1],["/inner-full",1,1,0],["/inner-gone",3,0,0],["/inner-notify",1,0,0],["/inner-orphan",0,0,0]]'
}

@test "list: another user, who may not look everywhere, is told so" {
    expect 0 setpriv --reuid 54321 --regid 54321 --clear-groups "$IPCBOX" mqpeek -J
    has "$err" "run as root"
    jq -e '.holders_complete == false and .waiters_complete == false' <<<"$out"
    jq -e --arg n "/$scene-orphan" '[.queues[] | select(.name == $n)] | all(.holder_count == 0 and .depth == null)' <<<"$out"
}

@test "list: a user's own queues where nothing is mounted" {
    q=$(unique own)
    expect 0 unshare -m sh -c 'umount /dev/mqueue 2>/dev/null; exec setpriv --reuid 54322 --clear-groups sh -c '\''
        "$HELPERS/mqscene" '"$q"' >"$0" & while ! test -s "$0"; do sleep 0.05; done
        "$IPCBOX" mqpeek -J; s=$?; kill $!; wait; exit $s'\'' "$1"' sh "$(mktemp -p /tmp --suffix "-$q" && chmod 666 /tmp/*"-$q")"
    rm -f /tmp/*"-$q"
    has "$err" "only queues that processes visible to you have open are listed"
    jq -e '.names_complete == false' <<<"$out"
    is "$(jq -c --arg p "/$q-" '[.queues[].name | select(startswith($p)) | ltrimstr($p)]' <<<"$out")" '["empty","full","gone","notify"]'
}

@test "list: a mount of another namespace's queues is not believed" {
    # The mount belongs to the outer namespace, the caller to the inner one.
    expect 0 unshare -m sh -c 'mkdir -p "$1" && mount -t tmpfs none /dev && mkdir /dev/mqueue &&
        mount -t mqueue none /dev/mqueue && exec unshare -i "$IPCBOX" mqpeek -J' sh "$BATS_TEST_TMPDIR/dev"
    is "$(jq -c '[.queues[].name]' <<<"$out")" '[]'
    # The own mount is.
    expect 0 unshare -m sh -c 'mount -t tmpfs none /dev && mkdir /dev/mqueue &&
        mount -t mqueue none /dev/mqueue && exec setpriv --reuid 54321 --regid 54321 --clear-groups "$IPCBOX" mqpeek -J'
    jq -e --arg n "/$scene-orphan" '.names_complete and any(.queues[]; .name == $n and .depth == null and .mode == "0640")' <<<"$out"
}

@test "list -A: other namespaces, entered and left" {
    mkfifo "$BATS_TEST_TMPDIR/go"
    unshare -i sh -c '"$HELPERS/mqscene" '"$scene"'-in >"$1" 3>&- & read -r x <"$2"; kill $!; wait' sh \
        "$BATS_TEST_TMPDIR/inner" "$BATS_TEST_TMPDIR/go" 3>&- &
    outer=$!
    within 60 test -s "$BATS_TEST_TMPDIR/inner"
    inner=$(jq .pid "$BATS_TEST_TMPDIR/inner")
    expect 0 mqpeek -J list
    [ -z "$(jq -r --arg p "/$scene-in-" '.queues[].name | select(startswith($p))' <<<"$out")" ]
    expect 0 mqpeek -J list -A
    is "$(jq -c --arg p "/$scene-in-" '[.queues[] | select(.name | startswith($p)) | .name | ltrimstr($p)] | sort' <<<"$out")" '["empty","full","gone","notify","orphan"]'
    is "$(jq --arg n "/$scene-in-orphan" '.queues[] | select(.name == $n) | .ipc_namespace' <<<"$out")" "$(readlink "/proc/$inner/ns/ipc" | tr -dc 0-9)"
    jq -e --arg n "/$scene-in-full" '.queues[] | select(.name == $n) | .sender_count == 1 and (.reference | startswith("pid:"))' <<<"$out"
    jq -e --arg n "/$scene-full" 'any(.queues[]; .name == $n)' <<<"$out"
    # The table has what leads there; of the own namespace that is the name.
    reference=$(jq -r --arg n "/$scene-in-full" '.queues[] | select(.name == $n).reference' <<<"$out")
    expect 0 mqpeek list -A
    is "$(awk -v n="$reference" '$1 == n {print $2}' <<<"$out")" 1
    is "$(awk -v n="/$scene-full" '$1 == n {print $2}' <<<"$out")" 1
    expect 0 mqpeek -q "$reference"
    # One process's queues are shown wherever they are.
    expect 0 mqpeek -J list --pid "$inner"
    jq -e --arg n "/$scene-in-notify" 'any(.queues[]; .name == $n)' <<<"$out"
    echo >"$BATS_TEST_TMPDIR/go"
    wait "$outer"
}

@test "list: hostile names reach no terminal raw" {
    q="$(unique)"$'\e[31m\n"x'
    "$HELPERS/mqmake" "/$q" 2 8 0:a
    expect 0 mqpeek list -o name
    has "$out" '\x1b[31m\n"x'
    [[ "$out" != *$'\e'* ]]
    expect 0 mqpeek -J list
    jq -e --arg n "/$q" 'any(.queues[]; .name == $n)' <<<"$out"
    "$HELPERS/mqmake" -u "/$q"
}

@test "list: 5000 queues, 500 processes" {
    expect 0 alone sh -c 'echo 6000 >/proc/sys/fs/mqueue/queues_max || exit 9
        setpriv --reuid 54323 --clear-groups "$HELPERS/mqmany" many 5000 500 20 >"$1" &
        while ! test -s "$1"; do kill -0 $! || exit 8; sleep 0.1; done
        "$IPCBOX" mqpeek -J; s=$?; kill $!; wait; exit $s' sh "$BATS_TEST_TMPDIR/many"
    # Each queue is held twice. Another test may look into all namespaces, and have a few of them open for that moment.
    is "$(jq -c '[.queues[].holder_count] as $n | [($n | length), ($n | min), ($n | map(select(. != 2)) | length < 5)]
        + [.holders_complete]' <<<"$out")" '[5000,2,true,true]'
}

# list_calls QUEUES PROCESSES: how many system calls a listing makes
list_calls()
{
    expect 0 alone sh -c 'echo 6000 >/proc/sys/fs/mqueue/queues_max || exit 9
        setpriv --reuid 54323 --clear-groups "$HELPERS/mqmany" many "$2" "$3" 20 >"$1-many" &
        while ! test -s "$1-many"; do kill -0 $! || exit 8; sleep 0.1; done
        ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -qq -o "$1" "$IPCBOX" mqpeek -J
        s=$?; kill $!; wait; exit $s' sh "$BATS_TEST_TMPDIR/calls-$1" "$1" "$2"
    # Another test may look into all namespaces, and have one of these queues open for that moment.
    jq -e --argjson q "$1" --argjson h "$((20 * $2))" '(.queues | length) == $q
        and ([.queues[].holder_count] | add | . >= $h and . <= $h + 2)' <<<"$out"
    calls=$(wc -l <"$BATS_TEST_TMPDIR/calls-$1")
}

@test "list: system calls grow as queues and processes do" {
    n=$((${IPCBOX_TEST_LONG:+850} + 400))
    list_calls $n $((n / 10))
    few=$calls
    list_calls $((2 * n)) $((n / 5))
    twice=$calls
    list_calls $((4 * n)) $((n / 5 * 2))
    echo "calls: $few $twice $calls"
    # Each queue and each descriptor takes some.
    ((few > n + n / 10 * 20))
    # The same for the second half as for the first, and two per cent for tables that grow in jumps.
    (((calls - twice) * 100 <= (twice - few) * 2 * 102))
}

@test "list: processes that are hidden are missed" {
    expect 0 alone sh -c '"$HELPERS/mqscene" hid >"$1" & while ! test -s "$1"; do sleep 0.05; done
        mount -t proc -o hidepid=2 none /proc
        setpriv --reuid 54324 --regid 54324 --clear-groups "$IPCBOX" mqpeek -J; s=$?; kill $!; wait; exit $s' sh "$BATS_TEST_TMPDIR/hid"
    has "$err" "run as root"
    jq -e '.holders_complete == false and (.queues | all(.holder_count == 0))' <<<"$out"
}

@test "list: while queues and processes come and go" {
    (
        for i in $(seq 100); do
            "$HELPERS/mqmake" "/$scene-v$((i % 7))" 1 8 0:x
            "$HELPERS/mqmake" -u "/$scene-v$((i % 7))"
        done
    ) 3>&- &
    churn=$!
    while kill -0 "$churn" 2>/dev/null; do
        expect 0 mqpeek -J list -A
        jq -e --arg n "/$scene-full" 'any(.queues[]; .name == $n and .sender_count == 1)' <<<"$out" >/dev/null
    done
    wait "$churn"
}

@test "list: full disks are errors, readers that leave are none" {
    expect 1 sh -c '"$IPCBOX" mqpeek list >/dev/full'
    has "$err" "No space left"
    expect 0 bash -c 'set -o pipefail; "$IPCBOX" mqpeek -q list --jsonl | head -n 1'
    jq -e .name <<<"$out"
}
