#!/usr/bin/env bats
# Who holds a queue: every descriptor table, every pid namespace, and what is said where not all can be
# seen.

load common

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
