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

# Begins a bus of its own and dbusactor as a service on it: $bus, $service
make_bus() {
    dir=$(mktemp -d "/tmp/ipcbox-fd-XXXXXX")
    export DBUS_SESSION_BUS_ADDRESS=unix:path=$dir/bus
    dbus-daemon --session --nofork --nopidfile --address="$DBUS_SESSION_BUS_ADDRESS" 3>&- 2>/dev/null &
    bus=$!
    within 20 test -S "$dir/bus"
    "$HELPERS/dbusactor" serve org.example.Store >"$dir/service" 3>&- &
    service=$!
    within 20 grep -q ready "$dir/service"
}

put() { dbus-send --dest=org.example.Store --type=method_call /store org.example.Store.Put "$@"; }

teardown() {
    for job in ${follower-} ${service-} ${bus-}; do
        kill -CONT "$job" 2>/dev/null || true
        kill "$job" 2>/dev/null || true
        wait "$job" 2>/dev/null || true
    done
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
    expect 0 fdpeek -J info "${at[dgram]}"
    is "$(jq -c '.queues[0].passed | map([.index, .type])' <<<"$out")" '[[2,"socket"],[2,"file"]]'
    expect 0 fdpeek info "${at[dgram]}"
    has "$out" "passed descriptors:" "passwd"
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

# messages NAME [OPTION…]: peeks at that object, with -J
messages() {
    local name=$1
    shift
    expect 0 fdpeek -J "${at[$name]}" "$@"
}

@test "peek: what waits, message by message, as it was sent" {
    make_objects
    messages stream
    is "$(jq -c '.queues[0] | [.kind, .bytes, .backend, .consistent, .complete]' <<<"$out")" \
        '["stream",150009,"bpf",true,true]'
    is "$(jq -c '.queues[0].messages[:2] | map([.index, .length, .text])' <<<"$out")" '[[0,3,"lo "],[1,5,"world"]]'
    is "$(jq -c '.queues[0] | [.depth == (.messages | length), ([.messages[].length] | add)]' <<<"$out")" '[true,150009]'
    jq -r '.queues[0].messages[2:-1][].data_base64' <<<"$out" | base64 -d | sha1sum >"$BATS_TEST_TMPDIR/sum"
    is "$(cut -d' ' -f1 "$BATS_TEST_TMPDIR/sum")" \
        "$(/usr/bin/python3 -c 'import hashlib
print(hashlib.sha1(bytes((i * 7 + i // 256) & 255 for i in range(150000))).hexdigest())')"
    messages dgram
    is "$(jq -c '.queues[0].messages | map([.length, .text, .fd_count])' <<<"$out")" \
        '[[3,"one",0],[0,"",0],[14,"three with fds",2]]'
    is "$(jq -c '.queues[0].messages[2].fds | map(.type)' <<<"$out")" '["socket","file"]'
    is "$(jq -r '.queues[0].messages[2].fds[1].name' <<<"$out")" passwd
    messages dgram-empty-first
    is "$(jq -c '[.queues[0].depth, .queues[0].bytes]' <<<"$out")" "[1,0]"
    messages dgram-none
    is "$(jq -c '[.queues[0].depth, .queues[0].messages]' <<<"$out")" "[0,[]]"
    messages packets
    is "$(jq -c '[.queues[0].messages[].text]' <<<"$out")" '["packet one","packet two"]'
    messages spliced
    is "$(jq -r '.queues[0].messages[0].text' <<<"$out")" "$(head -c 100 /etc/passwd)"
    # Again the same: nothing was taken.
    first=$out
    messages spliced
    is "$(jq -c 'del(.queues[].tries)' <<<"$out")" "$(jq -c 'del(.queues[].tries)' <<<"$first")"
}

@test "peek: what a client sent before it was accepted is shown at the listener" {
    make_objects
    messages listener
    is "$(jq -c '.queues[0].messages | map([.text, .pid, .uid])' <<<"$out")" "[[\"early bird\",$pid,0]]"
    expect 0 fdpeek "$dir/sock"
    has "$out" "early bird"
    expect 0 fdpeek "${at[client]}" --peer -J
    is "$(jq -r '.queues[0].messages[0].text' <<<"$out")" "early bird"
}

@test "peek: the other end's queue" {
    make_objects
    expect 0 fdpeek "${at[stream-sender]}" --peer -J
    is "$(jq -c '[.queues[0].target, .queues[0].bytes]' <<<"$out")" "[\"${at[stream]}\",150009]"
    expect 3 fdpeek "${at[listener]}" --peer
    has "$err" "no other end"
}

@test "peek: a table, content as it is, cut or not at all" {
    make_objects
    expect 0 fdpeek "${at[packets]}"
    is "$out" "${at[packets]}: pipe, 20 of 65536 bytes unread (bpf)
INDEX  LENGTH  PID  FDS  CONTENT
    0      10    -    0  packet one
    1      10    -    0  packet two"
    expect 0 fdpeek "${at[packets]}" -n 1 -J -m 3
    is "$(jq -c '[.queues[0].messages[] | [.length, .text]]' <<<"$out")" '[[10,"pac"]]'
    expect 0 fdpeek "${at[packets]}" --raw
    is "$out" "packet onepacket two"
    expect 0 fdpeek "${at[packets]}" --hex
    has "$out" "70 61 63 6b 65 74 20 6f"
    expect 2 fdpeek "${at[packets]}" --raw --hex
    expect 2 fdpeek "${at[packets]}" --raw -J
    expect 0 fdpeek "$pid" --noheadings -m 0
    expect 0 fdpeek "$dir/fifo" -J
    is "$(jq -r '.queues[0].messages[0].text' <<<"$out")" "in the fifo"
    # A line for each message, and all that is said of the queue in it.
    expect 0 fdpeek "${at[packets]}" --jsonl
    is "$(jq -sc 'map([.kind, .text])' <<<"$out")" '[["pipe","packet one"],["pipe","packet two"]]'
    # Into a full disk, and into a reader that leaves.
    expect 1 sh -c 'exec "$1" fdpeek "$2" >/dev/full' sh "$IPCBOX" "${at[packets]}"
    has "$err" "No space left"
    "$IPCBOX" fdpeek "${at[stream]}" | head -n 1 | grep -q stream
}

@test "peek: without BPF, what disturbs nothing" {
    make_objects
    without() { setpriv --inh-caps=-all --bounding-set=-bpf,-perfmon,-sys_admin -- "$@"; }
    expect 0 without "$IPCBOX" fdpeek -J "${at[stream]}"
    is "$(jq -c '.queues[0] | [.backend, .complete, .depth]' <<<"$out")" '["recv",false,null]'
    has "$err" "BPF shows all"
    expect 0 without "$IPCBOX" fdpeek -J "${at[pipe]}"
    is "$(jq -c '.queues[0] | [.backend, .complete, .bytes]' <<<"$out")" '["tee",true,5002]'
    expect 5 without "$IPCBOX" fdpeek "${at[listener]}"
    has "$err" "CAP_BPF"
    expect 2 fdpeek --backend none "${at[pipe]}"
    expect 4 fdpeek --backend tee "${at[stream]}"
    has "$err" "tee is not for a stream"
    expect 0 without "$IPCBOX" fdpeek -J list -p "$pid"
    is "$(queue dgram '[.bytes, .bytes_complete, .depth]')" '[3,false,null]'
    is "$(queue listener '.bytes_complete')" false
}

@test "peek: nobody sees more than the kernel lets them trace, whatever the program was given" {
    make_objects
    for where in "${at[stream]}" "$pid" "$dir/sock" "${at[pipe]}"; do
        expect 5 as_nobody "$IPCBOX" fdpeek "$where"
    done
    tool=$dir/tool
    cp "$IPCBOX" "$tool"
    chmod 755 "$tool" "$dir"
    setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep "$tool"
    expect 5 as_nobody "$tool" fdpeek "${at[stream]}"
    has "$err" "may not be looked at"
    expect 5 as_nobody "$tool" fdpeek "$dir/sock"
    has "$err" "may not be looked at"
    # Of the user's own processes it shows everything, with BPF.
    # shellcheck disable=SC2016 # the inner shell's
    own() { printf secret | as_nobody sh -c '"$1" fdpeek -J "$$:0"' sh "$tool"; }
    expect 0 own
    is "$(jq -c '[.queues[0].backend, .queues[0].messages[0].text]' <<<"$out")" '["bpf","secret"]'
    # One that is not dumpable is nobody's to look at but root's.
    expect 0 as_nobody "$tool" fdpeek -J list -a
    is "$(jq -c --arg p "$dir/sock" '[.queues[] | select(.path == $p and .listening) | .bytes_complete]' <<<"$out")" "[false]"
}

@test "peek: a call that waits in a stopped service's socket is shown as what it is" {
    make_bus
    kill -STOP "$service"
    put string:key dict:string:uint32:a,1,b,2
    put string:"$(head -c 120000 /dev/zero | tr '\0' x)" uint32:7
    waits() { [ "$("$IPCBOX" fdpeek -J "$service" 2>/dev/null | jq '[.queues[].messages[].decoded[]?] | length')" = 2 ]; }
    within 20 waits
    expect 0 fdpeek -J "$service"
    is "$(jq -c '[.queues[].messages[].decoded[]?] | .[0] | [.type, .destination, .path, .interface, .member, .signature, .body, .unix_fds]' <<<"$out")" \
        '["method_call","org.example.Store","/store","org.example.Store","Put","sa{su}",["key",{"a":1,"b":2}],0]'
    # One that spans buffers is put together, and shown where it ends.
    is "$(jq -c '[.queues[].messages[].decoded[]?] | .[1] | [.member, (.body[0] | length), .body[1]]' <<<"$out")" '["Put",120000,7]'
    jq -e '.queues[] | select(.messages != []) | (.messages | length > 2) and .messages[0].protocol == "dbus"' <<<"$out"
    expect 0 fdpeek "$service" -m 100
    has "$out" 'method_call #2' '-> org.example.Store /store org.example.Store.Put ("key",{"a":1,"b":2})'
    expect 0 fdpeek -J "$service" --decode none
    is "$(jq -c '[.queues[].messages[].decoded] | unique' <<<"$out")" '[null]'
    expect 0 fdpeek -J "$service" --decode varlink
    is "$(jq -c '[.queues[].messages[].decoded] | unique' <<<"$out")" '[null]'
    expect 2 fdpeek "$service" --decode dbsu
}

@test "peek: Varlink, and a stream whose first message was read in part" {
    send_and_read() {
        setsid /usr/bin/python3 - "$1" "$2" 3>&- <<'END' &
import os, socket, sys, time
a, b = socket.socketpair()
a.send(eval(sys.argv[1]))
b.recv(int(sys.argv[2])) if sys.argv[2] != "0" else None
open("/tmp/ipcbox-fd-place-%d" % os.getppid(), "w").write("%d:%d" % (os.getpid(), b.fileno()))
time.sleep(30)
END
        service=$!
        within 20 test -s "/tmp/ipcbox-fd-place-$$"
        place=$(cat "/tmp/ipcbox-fd-place-$$")
        rm "/tmp/ipcbox-fd-place-$$"
    }
    send_and_read 'b"{\"method\": \"io.example.Get\", \"parameters\": {\"n\": 1}}\0{\"parameters\":{}}\0"' 0
    expect 0 fdpeek -J "$place"
    is "$(jq -c '.queues[0].messages[0] | [.protocol, .decoded]' <<<"$out")" \
        '["varlink",[{"method":"io.example.Get","parameters":{"n":1}},{"parameters":{}}]]'
    kill "$service"
    wait "$service" || true
    call='b"l\1\0\1\0\0\0\0\7\0\0\0\34\0\0\0" b"\1\1o\0\2\0\0\0/s\0\0\0\0\0\0" b"\3\1s\0\3\0\0\0Put\0\0\0\0\0"'
    send_and_read "($call) + ($call)" 20
    expect 0 fdpeek -J "$place"
    is "$(jq -c '.queues[0].messages[0] | [.protocol, .skipped_bytes, (.decoded | map([.path, .member]))]' <<<"$out")" \
        '["dbus",28,[["/s","Put"]]]'
    has "$err" "28 bytes in front of message"
}

# follow [OPTION…]: in the background, into $events, until stop_following; with -J
follow() {
    events=$BATS_TEST_TMPDIR/events
    "$IPCBOX" fdpeek follow -J "$@" >"$events" 2>"$BATS_TEST_TMPDIR/note" 3>&- &
    follower=$!
    attached() { readlink "/proc/$follower/fd/"* | grep -q anon_inode:bpf_link; }
    within 30 attached
}

stop_following() {
    kill -TERM "$follower"
    wait "$follower"
    follower=
    note=$(cat "$BATS_TEST_TMPDIR/note")
}

# got JQ: true of all events as an array
got() { jq -se "$1" "$events" >/dev/null; }

@test "follow: D-Bus by match, beside what the client and dbus-monitor received" {
    make_bus
    # A monitor of our own: what it was sent, we must have seen.
    stdbuf -oL dbus-monitor >"$dir/monitor" 2>/dev/null 3>&- &
    maker=$!
    within 20 grep -q NameAcquired "$dir/monitor"
    follow --all --decode dbus --match type=method_call,member=Put,destination=org.example.Store
    expect 0 "$HELPERS/dbusactor" call org.example.Store 300
    is "$out" "300 answered"
    # Each call twice: to the bus, and from there to the service. The monitor gets a third.
    within 20 got 'map(select(.comm == "dbusactor")) | map(.decoded | length) | add == 300'
    within 20 got 'map(select(.comm == "dbus-daemon")) | map(.decoded | length) | add == 300'
    stop_following
    has "$note" " 0 lost"
    got 'all(.event == "recv" and .protocol == "dbus" and .kind == "stream" and (.time | length) == 30)'
    got 'map(select(.comm == "dbusactor").decoded[].body[1]) | sort == [range(300)]'
    within 20 sh -c "[ \$(grep -c 'member=Put' '$dir/monitor') = 300 ]"
    kill "$maker"
}

@test "follow: a process, in both directions; what is closed unread" {
    make_bus
    follow "$service"
    # What loading took is given up.
    gave_up() { [ "$(sed -n 's/^CapPrm:[[:space:]]*//p' "/proc/$follower/status")" = 0000000000000000 ]; }
    within 20 gave_up
    put string:key uint32:7
    within 20 got "any(.pid == $service and .decoded[0].member == \"Put\" and .decoded[0].body == [\"key\",7])"
    within 20 got "any(.comm == \"dbus-daemon\" and .sender_pid == $service and .decoded[0].type == \"method_return\")"
    stop_following
    got "all(.pid == $service or .sender_pid == $service)"
    follow --all
    /usr/bin/python3 -c 'import socket
a, b = socket.socketpair()
a.send(b"nobody reads this")
b.close()'
    within 20 got 'any(.event == "lost" and .reason == "unread" and .count == 1 and .text == "nobody reads this")'
    stop_following
}

@test "follow: a socket by its path, so many messages, and then the end" {
    dir=$(mktemp -d "/tmp/ipcbox-fd-XXXXXX")
    follow --path "$dir/log" -N 3
    /usr/bin/python3 - "$dir/log" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
c = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for text in (b"one", b"two", b"", b"four"):
    c.sendto(text, sys.argv[1])
    s.recv(10)
END
    wait "$follower"
    follower=
    is "$(jq -sc --arg p "$dir/log" 'map([.event, .kind, .path == $p, .text])' "$events")" \
        '[["recv","dgram",true,"one"],["recv","dgram",true,"two"],["recv","dgram",true,""]]'
    expect 1 fdpeek follow --path "$dir/none" -N 1 --timeout 0.3
    expect 0 fdpeek follow --path "$dir/none" --timeout 0.1
}

@test "follow: a capture that tshark reads as D-Bus" {
    make_bus
    "$IPCBOX" fdpeek follow --all --match member=Put -O "$dir/t.pcapng" 2>"$BATS_TEST_TMPDIR/note" 3>&- &
    follower=$!
    attached() { readlink "/proc/$follower/fd/"* | grep -q anon_inode:bpf_link; }
    within 30 attached
    expect 0 "$HELPERS/dbusactor" call org.example.Store 5
    sleep 0.3
    [ ! -e "$dir/t.pcapng" ] # it appears whole
    stop_following
    # Type, length, interface of its blocks: a section, two interfaces, ten packets of D-Bus.
    blocks() { /usr/bin/python3 - "$1" <<'END'
import struct, sys
b, at, out = open(sys.argv[1], "rb").read(), 0, []
while at < len(b):
    kind, size = struct.unpack_from("<II", b, at)
    assert struct.unpack_from("<I", b, at + size - 4)[0] == size
    out.append("%x" % kind + (":%d" % struct.unpack_from("<H", b, at + 8)[0] if kind == 1 else ""))
    at += size
print(" ".join(out))
END
    }
    is "$(blocks "$dir/t.pcapng")" "a0d0d0a 1:231 1:147 6 6 6 6 6 6 6 6 6 6"
    if command -v tshark >/dev/null; then
        is "$(tshark -r "$dir/t.pcapng" -T fields -e _ws.col.Protocol -e dbus.member 2>/dev/null | sort | uniq -c | xargs)" "10 D-Bus Put"
    fi
    "$IPCBOX" fdpeek follow --all --decode dbus --timeout 0.2 -O - >"$dir/out.pcapng"
    is "$(blocks "$dir/out.pcapng" | cut -d' ' -f1-3)" "a0d0d0a 1:231 1:147"
    expect 1 sh -c 'exec "$1" fdpeek follow --all --timeout 0.2 -O - >/dev/full' sh "$IPCBOX"
}

@test "follow: what cannot be followed" {
    make_objects
    expect 2 fdpeek follow
    has "$err" "which TARGET?"
    expect 2 fdpeek follow --all "$pid"
    expect 2 fdpeek follow --all --match nonsense=1
    has "$err" "sender, destination"
    expect 2 fdpeek follow --all --match member=Put --decode varlink
    expect 3 fdpeek follow 99999999
    expect 4 fdpeek follow "${at[pipe]}"
    has "$err" "pipes cannot be followed"
    expect 5 as_nobody "$IPCBOX" fdpeek follow --all
    tool=$dir/tool
    cp "$IPCBOX" "$tool"
    chmod 755 "$tool" "$dir"
    setcap cap_bpf,cap_perfmon+ep "$tool"
    expect 5 as_nobody "$tool" fdpeek follow --all
    has "$err" "run as root"
}

@test "schema: list, info, peek and follow" {
    make_bus
    valid() {
        local name=$1
        shift
        expect 0 "$@"
        "$SRC/tests/schema/validate" "$name" <"$BATS_TEST_TMPDIR/out"
    }
    lines() {
        local name=$1
        shift
        expect 0 "$@"
        "$SRC/tests/schema/validate" --lines "$name" <"$BATS_TEST_TMPDIR/out"
    }
    kill -STOP "$service"
    put string:key variant:uint32:1
    busdir=$dir
    make_objects
    valid fdpeek-list fdpeek -J
    lines fdpeek-list fdpeek list -a --jsonl
    valid fdpeek-list as_nobody "$IPCBOX" fdpeek -J list -a
    valid fdpeek-info fdpeek -J info "${at[stream]}" "${at[pipe]}" "${at[read-by-child]}" "$dir/sock"
    lines fdpeek-info fdpeek info --jsonl "${at[stream]}"
    valid fdpeek-peek fdpeek -J "$service" "$pid" "${at[dgram]}"
    jq -e '[.queues[].messages[] | select(.protocol == "dbus")] | length > 0' <<<"$out"
    lines fdpeek-peek fdpeek --jsonl "$pid"
    valid fdpeek-peek fdpeek -J --backend tee "${at[pipe]}"
    kill -CONT "$service"
    follow --all
    put string:again
    /usr/bin/python3 -c 'import socket
a, b = socket.socketpair()
a.send(b"unread")
b.close()'
    within 20 got 'any(.reason == "unread") and any(.decoded[0].member? == "Put")'
    stop_following
    "$SRC/tests/schema/validate" --lines fdpeek-follow <"$events"
    "$SRC/tests/schema/validate" --lines fdpeek-follow \
        <<<'{"time":"2026-01-01T00:00:00.000000000Z","event":"lost","reason":"overrun","count":3}'
    rm -rf "$busdir"
}
