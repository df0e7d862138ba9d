#!/usr/bin/env bats
# b1ctl: the shell language, and looking at a bus from outside.

bats_require_minimum_version 1.5.0
load common

setup() {
    bus=$BATS_TEST_TMPDIR/bus
    serve_pid=
}

teardown() {
    [ -z "$serve_pid" ] || kill "$serve_pid" 2>/dev/null || true
    [ -z "$serve_pid" ] || wait "$serve_pid" || true
}

serve() {
    "$IPCBOX" b1ctl -q serve "$bus" 3>&- &
    serve_pid=$!
    within 20 test -e "$bus"
}

@test "b1ctl -c: one line, as text and as JSON" {
    expect 0 b1ctl -c 'peer a b; node a.n; give a.n b as h; send b.h "hi"; recv a'
    has "$out" "PEER" "a" "message" "n" "hi"
    has "$err" "a bus of this process alone"
    expect 0 b1ctl -q -J -c 'peer a b; node a.n; give a.n b as h; send b.h "hi\n\x00"; recv a'
    is "$err" ""
    is "$(jq -c '.messages[] | [.peer, .type, .target, .length, .data_base64, .text]' <<<"$out")" \
        '["a","message","n",4,"aGkKAA==",null]'
}

@test "b1ctl -c: handles travel, and releases are told in order" {
    expect 0 b1ctl -q --jsonl -c '
        peer a b c; node a.n b.m; give a.n b as h; give b.m a as back
        send a.back "take this" with a.n   # a copy of a handle
        recv b as gift
        send b.gift,b.h twice
        recv a all
        drop b.h b.gift; recv a all
        drop a.n; recv a all
        release b.m; recv a all'
    is "$(jq -r '[.peer, .type, .target, .handles, .text] | join(" ")' <<<"$out")" "\
b message m b.gift take this
a message n  twice
a message n  twice
a handle-release n  
a node-release back  "
}

@test "b1ctl -c, run: an error names the line and what to do" {
    expect 3 b1ctl -q -c $'peer a\nnode a.n\nsend a.x 1'
    has "$err" "line 3" 'a has nothing called "x"'
    printf 'peer a\n\nfrob\n' >"$BATS_TEST_TMPDIR/s"
    expect 1 b1ctl -q run "$BATS_TEST_TMPDIR/s"
    has "$err" "/s: line 3" 'no command "frob"' "peer, node, give"
    expect 1 b1ctl -q -c 'peer a; recv a'
    has "$err" "nothing waits for a"
    expect 1 b1ctl -q -c 'send "abc'
    has "$err" "a quote is not closed"
    expect 1 b1ctl -q -c 'peer a; peer a'
    has "$err" "exists"
    expect 3 b1ctl -q run "$BATS_TEST_TMPDIR/none"
    expect 0 b1ctl -q -J run - <<<$'peer a\nnode a.n; send a.n x\nrecv a'
    is "$(jq -r '.messages[0].text' <<<"$out")" x
}

@test "b1ctl shell: a terminal with completion, history and help" {
    session=$(unique b1shell)
    tmux -L "$session" new-session -d -x 120 -y 50 "$IPCBOX b1ctl -q"
    screen() { tmux -L "$session" capture-pane -p | grep -qF -- "$1"; }
    within 20 screen 'b1>'
    tmux -L "$session" send-keys 'pee' Tab 'alice' Enter
    within 20 screen 'b1> peer alice'
    tmux -L "$session" send-keys 'node alice.n' Enter
    tmux -L "$session" send-keys 'send al' Tab '.n hello' Enter
    tmux -L "$session" send-keys 'recv alice' Enter
    within 20 screen 'hello'
    tmux -L "$session" send-keys 'nonsense' Enter
    within 20 screen 'no command "nonsense"'
    tmux -L "$session" send-keys 'help' Enter
    within 20 screen 'open peers'
    # The line before the last comes again: the history.
    tmux -L "$session" send-keys Up Up
    within 20 sh -c "tmux -L $session capture-pane -p | tail -n +2 | grep -v '^\$' | tail -n 1 | grep -qF 'b1> nonsense'"
    tmux -L "$session" send-keys Enter
    within 20 sh -c "[ \$(tmux -L $session capture-pane -p | grep -cF 'no command \"nonsense\"') = 2 ]"
    tmux -L "$session" send-keys 'quit' Enter
    within 20 sh -c "! tmux -L $session has-session"
}

# In the background a terminal cannot be read, once the signal that would stop it is ignored.
@test "b1ctl shell: a library for editing that cannot be loaded is done without" {
    mkdir "$BATS_TEST_TMPDIR/lib"
    echo "no library" | tee "$BATS_TEST_TMPDIR"/lib/libedit.so.{0,2} >/dev/null
    printf 'peer a\nnode a.n\nsend a.n hello\nrecv a\nquit\n' |
        LD_LIBRARY_PATH="$BATS_TEST_TMPDIR/lib" script -qec "$IPCBOX b1ctl -q shell" /dev/null >"$BATS_TEST_TMPDIR/out"
    has "$(<"$BATS_TEST_TMPDIR/out")" "no line editing, history and completion: " "libedit" "b1> " "hello"
    LD_LIBRARY_PATH="$BATS_TEST_TMPDIR/lib" "$IPCBOX" doctor -J >"$BATS_TEST_TMPDIR/doctor" || true
    jq -e '[.. | objects | select(.backend? == "line editing")] | length == 1 and (.[0] | tostring | test("libedit"))' "$BATS_TEST_TMPDIR/doctor"
}

@test "b1ctl shell: a terminal that cannot be read" {
    session=$(unique b1shell)
    mkfifo "$BATS_TEST_TMPDIR/ended"
    tmux -L "$session" new-session -d -x 150 -y 20 \
        "bash -c 'set -m; trap \"\" TTIN TTOU; $IPCBOX b1ctl -q & wait \$!; echo status=\$?; cat $BATS_TEST_TMPDIR/ended'" 3>&-
    screen() { tmux -L "$session" capture-pane -p | grep -qF -- "$1"; }
    within 20 screen 'b1ctl: the terminal: Input/output error'
    within 20 screen 'status=1'
    echo >"$BATS_TEST_TMPDIR/ended"
    within 20 sh -c "! tmux -L $session has-session"
}

@test "b1ctl list, peek, send, recv, graph: a served bus from outside" {
    serve
    exec 8<>"$bus"
    mkfifo "$BATS_TEST_TMPDIR/cmds"
    "$IPCBOX" b1ctl -q --device "$bus" --jsonl run - <"$BATS_TEST_TMPDIR/cmds" \
        >"$BATS_TEST_TMPDIR/shell.out" 3>&- 8>&- &
    shell=$!
    exec 9>"$BATS_TEST_TMPDIR/cmds"
    printf 'peer a b\nnode a.n\ngive a.n b as h\nsend b.h "waits here" with b.h\n' >&9
    waiting() { "$IPCBOX" b1ctl -q -J list | jq -e --arg b "$bus.d" '.peers | map(select(.bus == $b).depth) | add == 1'; }
    within 20 waiting
    # Other buses of the machine do not matter.
    here() { "$IPCBOX" b1ctl -J "$1" | jq -c --arg b "$bus.d" "{$2: [.$2[] | select(.bus == \$b)]}"; }
    expect 0 b1ctl -J list
    "$SRC/tests/schema/validate" b1ctl-list <<<"$out"
    out=$(here list peers)
    is "$(jq -c '[.peers | sort_by(.depth)[] | .depth] | length' <<<"$out")" 3
    fd=$(jq --argjson p "$shell" '.peers[] | select(.depth == 1).holders[] | select(.pid == $p and .comm == "ipcbox").fd' <<<"$out")
    is "$(jq -c '.peers[] | select(.depth == 1) | [.node_count, .handle_count, .bytes, .uid]' <<<"$out")" \
        '[1,2,10,0]'
    expect 0 b1ctl -J peek --pid "$shell" --fd "$fd"
    is "$(jq -c '.messages[] | [.type, .length, .text]' <<<"$out")" '["message",10,"waits here"]'
    expect 0 b1ctl -J graph
    "$SRC/tests/schema/validate" b1ctl-graph <<<"$out"
    out=$(here graph edges)
    is "$(jq -c '[.edges[] | select(.waiting)] | length' <<<"$out")" 1
    is "$(jq -c '.edges | length' <<<"$out")" 3
    b1ctl graph --dot | dot -Tsvg | grep -q '<svg'
    # Its own handle of the peer, which we take over for a moment.
    handle=$(here graph edges | jq '[.edges[] | select(.from == .to and (.waiting | not))][0].handle')
    echo -n 'from outside' | b1ctl send --pid "$shell" --fd "$fd" "$handle"
    expect 0 b1ctl -J recv --pid "$shell" --fd "$fd" -N 2 --timeout 10
    is "$(jq -c '[.messages[].text]' <<<"$out")" '["waits here","from outside"]'
    "$SRC/tests/schema/validate" b1ctl-messages <<<"$out"
    expect 1 b1ctl recv --pid "$shell" --fd "$fd" --timeout 0.1
    expect 0 b1ctl -J peek --fd 8
    is "$(jq -c .messages <<<"$out")" '[]'
    expect 4 b1ctl peek --fd 0
    expect 1 b1ctl peek --fd 250
    expect 2 b1ctl peek
    exec 9>&-
    wait "$shell"
}

@test "b1ctl: others see only their own peers" {
    dir=$(mktemp -d) # bats keeps its own directories to itself
    chmod 755 "$dir"
    bus=$dir/bus
    serve
    exec 8<>"$bus"
    ino=$(stat -Lc %i /proc/self/fd/8)
    is "$(grep -c ^peer "$bus.d/debug")" 1
    is "$(setpriv --reuid 65534 --clear-groups sh -c "grep -c ^peer '$bus.d/debug'" || true)" 0
    expect 2 setpriv --reuid 65534 --clear-groups grep x "$bus.d/peer-$ino"
    has "$err" "Permission denied"
    exec 8>&-
    kill "$serve_pid"
    wait "$serve_pid"
    serve_pid=
    rmdir "$dir"
}

@test "b1ctl list, graph: without privilege it says what is not shown" {
    dir=$(mktemp -d) # bats keeps its own directories to itself
    chmod 755 "$dir"
    bus=$dir/bus
    cp "$IPCBOX" "$dir/ipcbox"
    serve
    for verb in list graph; do
        expect 0 setpriv --reuid 54321 --regid 54321 --clear-groups "$dir/ipcbox" b1ctl "$verb"
        has "$err" "may not be looked at: which peers they have open is not shown (root sees all)" "show only your own peers"
        expect 0 b1ctl "$verb"
        run ! grep -q "served bus\|root sees" <<<"$err"
    done
    kill "$serve_pid"
    wait "$serve_pid"
    serve_pid=
    rm -r "$dir"
}

@test "b1ctl list: a peer of the kernel's device that processes share is shown once" {
    cat >"$BATS_TEST_TMPDIR/inner" <<'EOF'
set -e
mount -t tmpfs none /dev
mknod /dev/null c 1 3
mknod /dev/bus1 c 10 "$(awk '$2 == "fuse" {print $1}' /proc/misc)"
exec 7<>/dev/bus1 8<>/dev/bus1 9>&7
sleep 1000 &
"$IPCBOX" b1ctl -J list | jq -c --arg shell "$$" --arg child "$!" '[.peers[] | select(.bus == "/dev/bus1") |
    [.holders[].pid | tostring | select(. == $shell or . == $child)] | length] | sort'
kill $!
EOF
    expect 0 unshare -m --propagation private bash "$BATS_TEST_TMPDIR/inner"
    # One through two descriptors in two processes, one through one in each.
    is "$out" "[2,4]"
}

# Each way in which the RFC's kernel code differs (lib/bus1/engine/bus_defects.h), and the page's words.
differences() {
    cat <<'EOF_LIST'
STRIDE arrays are walked by element
SEND_OOPS a SEND with a bad message fails and harms nothing
WHOLE_VECS only n_data bytes of the iovecs are sent
ERRORS_U64 errors are int32
RECV_ONE RECV returns 0
NO_SIZES reports the sizes with EMSGSIZE
ALL_TRANSFERS respects the room for transfers
RELEASE_ZERO RELEASE refuses unknown ids and bad pointers
HANDLE_RELEASE HANDLE_RELEASE comes once, with the last handle, counts handles in waiting messages, and the node lives on
NODE_DROPS a released node's messages are still delivered
POLLIN POLLIN ends with the last message
SEND_CLOSED a SEND to a closed peer is EBADRQC at once
NO_ACCOUNT account is the user that caused the message; users have quotas
EOF_LIST
}

@test "b1ctl(1) lists each difference between the embedded bus and the RFC's code" {
    is "$(differences | cut -d ' ' -f 1)" \
        "$(sed -nE 's/^ *B1_DEFECT_([A-Z0-9_]+) = 1 << [0-9]+,.*/\1/p' "$SRC/lib/bus1/engine/bus_defects.h")"
    page=$(sed 's/\\-/-/g' "$SRC/man/b1ctl.1" | tr '\n' ' ' | tr -s ' ')
    while read -r _ words; do
        has "$page" "$words"
    done < <(differences)
    # And where the two are alike.
    has "$page" "ids are odd, and of one counter of the peer for nodes and handles"
}
