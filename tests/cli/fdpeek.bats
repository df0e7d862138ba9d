#!/usr/bin/env bats
# fdpeek over real sockets and pipes, whose contents fdmake knows.

load common

# Begins fdmake. Afterwards ${at[NAME]} is the PID:FD of each of its objects.
make_objects() {
    dir=$(mktemp -d "/tmp/ipcbox-fd-XXXXXX")
    mkfifo "$dir/hold"
    setsid "$HELPERS/fdmake" "$dir" <"$dir/hold" >"$dir/names" 3>&- &
    maker=$!
    exec 9>"$dir/hold"
    within 20 grep -qx ready "$dir/names"
    declare -gA at=()
    local name place
    while read -r name place; do at[$name]=$place; done <"$dir/names"
    pid=${at[stream]%:*}
}

teardown() {
    exec 9>&-
    [ -z "${maker-}" ] || wait "$maker" 2>/dev/null || true
    rm -rf "${dir-}"
}

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; }

# queue NAME FILTER: of the listed queue of that object
queue() { jq -c --arg t "${at[$1]}" ".queues[] | select(.target == \$t) | $2" <<<"$out"; }

@test "list: what is unread, the fullest first, and who reads and writes it" {
    make_objects
    expect 0 fdpeek -J list -p "$pid"
    is "$(queue stream '[.kind, .bytes, .bytes_complete]')" '["stream",150009,true]'
    is "$(queue seqpacket '[.kind, .bytes]')" '["seqpacket",70004]'
    is "$(queue pipe '[.kind, .bytes, .capacity]')" '["pipe",5002,65536]'
    is "$(queue packets '.bytes')" 20
    is "$(queue fifo '[.kind, .bytes, .path]')" "[\"fifo\",11,\"$dir/fifo\"]"
    is "$(queue listener '[.listening, .pending_count, .path]')" "[true,1,\"$dir/sock\"]"
    is "$(queue stream '[.readers[0].pid, .readers[0].comm, .writers[0].fd]')" \
        "[$pid,\"fdmake\",${at[stream-sender]#*:}]"
    jq -e '[.queues[].bytes] | . == (sort | reverse)' <<<"$out"
    # An empty one on which nobody is blocked is not there, unless asked for.
    is "$(queue empty-pipe .bytes)" ""
    expect 0 fdpeek -J list -a -p "$pid"
    is "$(queue empty-pipe '[.bytes, .depth]')" "[0,0]"
    expect 0 fdpeek list -p "$pid"
    has "$out" "${at[seqpacket]}" "fdmake[$pid]"
}

@test "list: blocked threads" {
    make_objects
    expect 0 fdpeek -J list
    is "$(queue read-by-child '[.bytes, .blocked_reader_count, .blocked_writer_count]')" "[0,1,0]"
    is "$(queue written-by-child '[.blocked_reader_count, .blocked_writer_count]')" "[0,1]"
    expect 0 fdpeek list
    has "$(grep "^${at[read-by-child]}" <<<"$out")" "1 reading"
    has "$(grep "^${at[written-by-child]}" <<<"$out")" "1 writing"
}

@test "info: both ends of a queue" {
    make_objects
    expect 0 fdpeek -J info "${at[written-by-child]}"
    jq -e --argjson p "$pid" '.queues[0] | .kind == "stream" and (.readers | map(.pid) | index($p)) and
        .threads[0].direction == "send" and .threads[0].comm == "fdmake" and .threads[0].pid != $p' <<<"$out"
    expect 0 fdpeek -J info "$dir/sock"
    is "$(jq -c '.queues[0] | [.listening, .pending_count, (.writers | length > 0)]' <<<"$out")" "[true,1,true]"
    expect 0 fdpeek info "${at[fifo]}" "$dir/fifo"
    has "$out" "path:                 $dir/fifo" "PID"
    inode=$(stat -Lc %i "/proc/${at[pipe]/:/\/fd\/}")
    expect 0 fdpeek -J info "pipe:[$inode]"
    is "$(jq -c '.queues[].bytes' <<<"$out")" 5002
    inode=$(stat -Lc %i "/proc/${at[stream]/:/\/fd\/}")
    expect 0 fdpeek -J info "socket:[$inode]"
    is "$(jq -c '.queues[].bytes' <<<"$out")" 150009
}

@test "info, list: what is no queue" {
    make_objects
    expect 2 fdpeek info nonsense
    has "$err" "PID:FD, PID, /path, @name, socket:[INODE] or pipe:[INODE]"
    expect 2 fdpeek lits
    has "$err" 'did you mean "list"'
    expect 2 fdpeek info "$pid:01"
    expect 2 fdpeek info "$pid:-1"
    expect 3 fdpeek info "$pid:9999"
    has "$err" "process $pid has no descriptor 9999"
    expect 3 fdpeek info 99999999
    has "$err" "there is no process 99999999"
    expect 3 fdpeek list -p 99999999
    expect 3 fdpeek info /etc/passwd
    has "$err" "neither a socket nor a FIFO"
    expect 3 fdpeek info "$dir/none"
    expect 3 fdpeek info "@ipcbox-none"
    expect 3 fdpeek info "pipe:[1]"
    exec 8</etc/passwd
    expect 3 fdpeek info "$$:8"
    has "$err" "neither a unix socket nor a pipe"
    exec 8<&-
    mkfifo "$dir/idle"
    expect 3 fdpeek info "$dir/idle"
    has "$err" "nothing is in it"
}

@test "list: another user sees sockets, and is told what is hidden" {
    make_objects
    expect 0 as_nobody "$IPCBOX" fdpeek -J list -a
    jq -e '.holders_complete == false and .processes_hidden > 0' <<<"$out"
    is "$(jq -c --arg p "$dir/sock" '[.queues[] | select(.path == $p and .listening) | .readers]' <<<"$out")" "[[]]"
    has "$err" "may not be seen"
    expect 5 as_nobody "$IPCBOX" fdpeek info "${at[stream]}"
    expect 5 as_nobody "$IPCBOX" fdpeek info "$pid"
}

@test "list: sockets of another network namespace" {
    dir=$(mktemp -d "/tmp/ipcbox-fd-XXXXXX")
    mkfifo "$dir/hold"
    unshare -n setsid "$HELPERS/fdmake" "$dir" <"$dir/hold" >"$dir/names" 3>&- &
    maker=$!
    exec 9>"$dir/hold"
    within 20 grep -qx ready "$dir/names"
    place=$(awk '$1 == "stream" { print $2 }' "$dir/names")
    expect 0 fdpeek -J info "$place"
    is "$(jq -c '.queues[0] | [.bytes, .kind]' <<<"$out")" '[150009,"stream"]'
}
