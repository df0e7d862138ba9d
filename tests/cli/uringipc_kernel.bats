#!/usr/bin/env bats
# uringipc with kernel channels: the machine's own, or those that ipcbox run gives its programs. The
# channels of one run are seen by nobody else, so each test is one script in one run.

load common

setup() {
    IPCBOX_CHANNELS=$(mktemp -d /dev/shm/ipcbox-cli.XXXXXX)
    chmod 1777 "$IPCBOX_CHANNELS"
    export IPCBOX_CHANNELS D=$BATS_TEST_TMPDIR
    cat >"$D/pre" <<'END'
set -eu -o pipefail
. "$SRC/tests/cli/common.bash"
BATS_TEST_TMPDIR=$D
k() { "$IPCBOX" uringipc --backend kernel "$@"; }
kb() { exec "$IPCBOX" uringipc --backend kernel "$@" 3>&-; }
ends() { local got=0; wait "$1" || got=$?; is "$got" "${2-0}"; }
trap 'k -q -J list | jq ".channels[].pid | numbers" | xargs -r kill' EXIT # those that --detach left
holders_are() { [ "$(k -J info "$1" | jq .process_count)" = "$2" ]; }
END
}

teardown() {
    rm -rf "$IPCBOX_CHANNELS" "${bin:-}"
}

# The script on stdin, where there are kernel channels.
within_run() {
    { cat "$D/pre" -; } >"$D/script"
    timeout -k 5 300 "$IPCBOX" run -- bash "$D/script" 3>&-
}

@test "uringipc kernel: a channel from its making to its end" {
    within_run <<'END'
expect 0 k -J
is "$out" '{"channels":[]}'
expect 0 k -J create --detach --key jobs --entries 8 --size 100 --pid-file "$D/pid"
id=$(jq .id <<<"$out")
is "$(jq .pid <<<"$out") $(jq -r .backend <<<"$out")" "$(cat "$D/pid") kernel"
is "$(k -J list | jq -c '.channels[] | [.channel, .id, .name, .delivery, .backend, .mode, .entries,
    .size, .process_count, .depth, .owner]')" \
    "[\"$id\",$id,\"jobs\",\"unicast\",\"kernel\",\"0600\",8,100,1,0,\"$(id -un)\"]"
k send jobs one
k send "$id" two --user-data 7
key=$(k -J list | jq -r '.channels[0].key')
expect 0 k -J send "$key" ""
is "$out" '{"message_count":1,"bytes":0}'
for again in 1 2; do
    expect 0 k -J peek jobs
    is "$(jq -c '[.messages[] | [.position, .msg_id, .length, .text, .user_data]]' <<<"$out")" \
        '[[0,2,3,"one","0x0"],[1,3,3,"two","0x7"],[2,4,0,"","0x0"]]'
done
# One after the other: what has been received is not received again.
is "$(k recv jobs)" one
expect 0 k -J recv jobs -N 2
is "$(jq -sc 'map([.position, .text, .user_data])' <<<"$out")" '[[1,"two","0x7"],[2,"","0x0"]]'
expect 1 k recv jobs --timeout 0.3
has "$err" "0 of 1 messages came in time"
expect 0 k destroy jobs
[ ! -e "$D/pid" ]
for verb in recv send peek info destroy; do expect 3 k "$verb" jobs </dev/null; done
expect 0 k -J
is "$out" '{"channels":[]}'
is "$(ls -A "$IPCBOX_CHANNELS"/*)" ""
END
}

@test "uringipc kernel: its keeper killed in any way ends the channel" {
    within_run <<'END'
k create -d -k a --pid-file "$D/a"
kill "$(cat "$D/a")"
within 30 test ! -e "$D/a"
expect 3 k send a x
k create -d -k a --pid-file "$D/a"
kill -KILL "$(cat "$D/a")"
within 30 bash -c "! '$IPCBOX' uringipc --backend kernel send a x"
is "$(k -J | jq -c .channels)" '[]'
kb create -k a >"$D/id" &
pid=$!
within 30 test -s "$D/id"
k send a x
k destroy a
ends "$pid"
kb create -k a >"$D/id" &
pid=$!
within 30 k send a x
kill -INT "$pid"
ends "$pid"
expect 3 k send a x
END
}

@test "uringipc kernel: a stream of lines through a pipeline, in order, to a clean end" {
    n=${IPCBOX_TEST_LONG:+200000} within_run <<'END'
n=${n:-20000}
k create -d -k stream --entries 1024 --size 64
{ kb recv stream --follow; } > >(sha256sum >"$D/sum") &
pid=$!
within 30 holders_are stream 2
seq "$n" | k send stream --lines
k destroy stream
ends "$pid"
within 30 test -s "$D/sum"
is "$(cat "$D/sum")" "$(seq "$n" | sha256sum)"
END
}

@test "uringipc kernel: broadcast reaches everyone, multicast one of them" {
    within_run <<'END'
k create -d -k all --broadcast --entries 16
for i in 1 2 3; do kb recv all --follow >"$D/$i" & done
within 30 holders_are all 4
seq 300 | k send all --lines
k destroy all
wait
for i in 1 2 3; do is "$(sha256sum <"$D/$i")" "$(seq 300 | sha256sum)"; done
k create -d -k some --multicast
for i in 1 2 3; do kb recv some --follow >"$D/$i" & done
within 30 holders_are some 4
seq 300 | k send some --lines
k destroy some
wait
is "$(cat "$D"/[123] | sort -n | sha256sum)" "$(seq 300 | sha256sum)"
END
}

@test "uringipc kernel: a receiver that comes too late is told, and holds up nobody" {
    within_run <<'END'
k create -d -k news --broadcast --entries 4
seq 10 | k send news --lines
expect 1 k recv news --timeout 5
has "$err" "more messages have passed than the ring holds" "uringipc peek --all shows what is still there"
seq 11 20 | k send news --lines --timeout 0
is "$(k peek news --all --raw)" 17181920
END
}

@test "uringipc kernel: full, too long, unknown target" {
    within_run <<'END'
k create -d -k full --entries 2 --size 4
k send full a
k send full b
expect 1 k send full c --timeout 0
has "$err" "the channel is full" "wait with --timeout"
expect 1 k send full c --timeout 0.1
has "$err" "not sent: the channel stayed full"
expect 1 k send full 12345
has "$err" "not sent: " "longer than the channel takes"
kb send full c &
pid=$!
is "$(k recv full -N 3 | paste -sd,)" a,b,c
ends "$pid"
expect 3 k send full d --target 54321
# This kernel publishes it all the same, or does not, and that is said.
has "$err" "published all the same" || has "$err" "no receiver 54321"
END
}

@test "uringipc kernel: looking takes nothing, through any descriptor, and ends with its process" {
    within_run <<'END'
k create -d -k seen --multicast
kb recv seen --follow >/dev/null &
receiver=$!
within 30 holders_are seen 2
fd=$(k -J info seen | jq ".peers[] | select(.pid == $receiver) | .fd")
kb --jsonl monitor "pid:$receiver:$fd" >"$D/seen" &
monitor=$!
within 30 bash -c "ls -l /proc/$monitor/fd | grep -q io_uring_ipc"
sleep 0.3
seq 5 | k send seen --lines
within 30 grep -q '"text":"5"' "$D/seen"
is "$(jq -sc 'map(.text)' "$D/seen")" '["1","2","3","4","5"]'
is "$(k -J peek "pid:$receiver:$fd" --all | jq -c '[.messages[].text]')" '["1","2","3","4","5"]'
expect 0 k -J info "pid:$receiver:$fd"
is "$(jq -c '[.name, .delivery]' <<<"$out")" '["seen","multicast"]'
k dump "pid:$receiver:$fd" -O "$D/dump"
mqdump verify "$D/dump"
expect 3 k peek "pid:$receiver:0"
has "$err" "is no channel"
expect 3 k peek "pid:$receiver:999"
expect 3 k peek "pid:$((1 << 22)):3"
k destroy seen
ends "$receiver"
ends "$monitor"
k create -d -k to
seq 5 | k send to --lines
k dump to -O "$D/dump"
k create -d -k copy
k replay "$D/dump" --to copy --speed max
is "$(k recv copy -N 5 | paste -sd,)" 1,2,3,4,5
END
}

@test "uringipc kernel: the mode is the permission, for root too" {
    [ "$(id -u)" = 0 ] || skip "needs root to become another user"
    bin=$(mktemp -d /tmp/ipcbox-cli.XXXXXX)
    chmod 755 "$bin"
    install -m 755 "$IPCBOX" "$bin/ipcbox"
    chmod 711 "$D"
    bin=$bin within_run <<'END'
n() { setpriv --reuid=65534 --regid=65534 --clear-groups "$bin/ipcbox" uringipc --backend kernel "$@"; }
k create -d -k secret --mode 0600
k create -d -k news --mode 0644 --broadcast
k create -d -k open --mode 0666
k create -d -k mute --mode 0444
for ch in secret news open; do k send "$ch" hello; done
for verb in recv send; do
    expect 5 n "$verb" secret </dev/null
    has "$err" "the channel's mode forbids it"
done
expect 5 n peek secret
has "$err" "does not let you send to it"
is "$(n recv news)" hello
expect 5 n send news x
n send open x
is "$(n recv open -N 2 | paste -sd,)" hello,x
expect 5 n destroy open
expect 5 k send mute x
has "$err" "root is no exception"
expect 5 k peek mute
is "$(n -J list | jq -c '[.channels[] | select(.name == "secret") | .depth]')" '[null]'
END
}

# A program that makes a channel: its id; then, for each line of its input, a descriptor that it
# attaches as a sender (attach), or the channel's end (destroy).
stranger='
import ctypes, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(*args):
    result = libc.syscall(*args)
    if result < 0:
        sys.exit("errno %d" % ctypes.get_errno())
    return result
def say(what):
    print(what, flush=True)
ring = call(425, 4, ctypes.create_string_buffer(120))
made = ctypes.create_string_buffer(
    struct.pack("4IQ4I", 0, 8, 64, int(sys.argv[1], 8), int(sys.argv[2], 0), 0, 0, 0, 0), 40)
call(427, ring, 38, made, 1)
channel = struct.unpack_from("I", made, 24)[0]
say(channel)
for line in sys.stdin:
    if line == "attach\n":
        a = ctypes.create_string_buffer(struct.pack("2IQiIQ4I", channel, 1, 0, -1, 0, 0, 0, 0, 0, 0), 48)
        call(427, ring, 39, a, 1)
        say(struct.unpack_from("i", a, 16)[0])
    else:
        call(427, ring, 41, None, channel)
        say("destroyed")'

# The same in a script: stranger MODE KEY; tell COMMAND; $told is its last answer, $stranger it.
strangers() {
    printf 'program=%q\n' "$stranger"
    cat <<'END'
stranger() {
    mkfifo "$D/orders" "$D/answers"
    python3 -c "$program" "$@" <"$D/orders" >"$D/answers" &
    stranger=$!
    exec 4>"$D/orders" 5<"$D/answers"
    read -r told <&5
}
tell() {
    echo "$1" >&4
    read -r told <&5
}
END
}

@test "uringipc kernel: a channel that another program has made is found and looked at" {
    { strangers; cat; } <<'END' | within_run
stranger 0666 0x4711
id=$told
expect 0 k -J list
is "$(jq -c '.channels[] | [.channel, .id, .key, .owner, .entries, .size, .process_count, .pid]' <<<"$out")" \
    "[\"$id\",$id,null,null,8,64,null,null]"
k send 0x4711 one
k send "$id" two
for ch in "$id" 0x4711; do
    expect 0 k -J peek "$ch"
    is "$(jq -c '[.messages[].text]' <<<"$out")" '["one","two"]'
done
expect 0 k -J info 0x4711
is "$(jq -c '[.id, .key]' <<<"$out")" '[null,"0x4711"]'
expect 3 k peek 0x4712
has "$err" "no such channel"
tell attach
# Its descriptor and its id are one channel.
expect 0 k -J list
is "$(jq -c '.channels[] | [.id, .pid, .fd, .process_count]' <<<"$out")" "[$id,$stranger,$told,1]"
for ch in "$id" 0x4711 "pid:$stranger:$told"; do
    kb --jsonl monitor --backlog "$ch" >"$D/seen" &
    monitors+=($!)
    within 30 grep -q '"text":"two"' "$D/seen"
done
place="pid:$stranger:$told"
tell destroy
for pid in "${monitors[@]}"; do ends "$pid"; done
expect 3 k peek "$place"
has "$err" "it has been destroyed" || has "$err" "the channel has been destroyed"
expect 3 k peek "$id"
expect 0 k -J list
is "$(jq -c '.channels[] | [.channel, .problem]' <<<"$out")" "[\"$place\",\"it has been destroyed\"]"
kill "$stranger"
END
}

@test "uringipc kernel: what others may not look at is told, and no channel is listed twice" {
    [ "$(id -u)" = 0 ] || skip "needs root to become another user"
    bin=$(mktemp -d /tmp/ipcbox-cli.XXXXXX)
    chmod 755 "$bin"
    install -m 755 "$IPCBOX" "$bin/ipcbox"
    chmod 711 "$D"
    { strangers; cat; } <<'END' | bin=$bin within_run
n() { setpriv --reuid=65534 --regid=65534 --clear-groups "$bin/ipcbox" uringipc --backend kernel "$@"; }
stranger 0600 0
id=$told
k create -d -k mute --mode 0444
expect 0 n -J list
is "$(jq -c '.channels[] | [.id == '"$id"', .name, .messages, .problem]' <<<"$out")" \
'[false,"mute",null,"its mode does not let you"]
[true,null,null,"its mode does not let you"]'
has "$err" "processes may not be looked at" "run as root"
expect 0 k -J list
is "$(jq '.channels | length' <<<"$out")" 2
[[ "$err" != *"run as root"* ]]
expect 5 n peek "$id"
has "$err" "does not let you send"
kill "$stranger"
END
}

@test "uringipc kernel: idle receivers sleep" {
    within_run <<'END'
k create -d -k idle --broadcast
for _ in 1 2 3 4; do kb recv idle --follow >/dev/null & done
within 60 holders_are idle 5
ticks() { cat $(jobs -p | sed 's|.*|/proc/&/stat|') | awk '{ n += $14 + $15 } END { print n }'; }
before=$(ticks)
sleep 3
used=$(($(ticks) - before))
# A single one that does not sleep would use 300 of 10 ms.
[ "$used" -lt 100 ]
k destroy idle
wait
END
}

@test "uringipc kernel: without --backend both kinds are found" {
    within_run <<'END'
expect 0 "$IPCBOX" uringipc create -d -k kern
is "$err" ""
"$IPCBOX" uringipc --backend embedded create -d -k emb
is "$("$IPCBOX" uringipc -J | jq -c '[.channels[] | [.name, .backend]] | sort')" \
    '[["emb","embedded"],["kern","kernel"]]'
for ch in kern emb; do
    "$IPCBOX" uringipc send "$ch" hello
    has "$("$IPCBOX" uringipc -J peek "$ch" | jq -r .backend)" "$ch"
    is "$("$IPCBOX" uringipc recv "$ch")" hello
done
expect 3 "$IPCBOX" uringipc peek neither
"$IPCBOX" uringipc destroy kern emb
is "$("$IPCBOX" uringipc -J)" '{"channels":[]}'
END
}
