# SPDX-License-Identifier: LGPL-2.1-or-later
# mqpeek top on a real terminal, and its snapshots.
bats_require_minimum_version 1.5.0
load common
load screen

# The command as it stands in the shell of the terminal.
TOP="$IPCBOX mqpeek top --rates sampled"

# A short name: it must fit into narrow terminals.
# What stands for no blocked threads: where some processes cannot be looked into it is not 0.
setup() {
    q="top$$-$BATS_TEST_NUMBER"
    none=0
    mqpeek list -J 2>/dev/null | jq -e .waiters_complete >/dev/null || none=-
}

teardown() {
    screen_stop
    for which in a b c; do "$HELPERS/mqmake" -u "/$q-$which" 2>/dev/null || true; done
    [ -z "${actors-}" ] || kill $actors 2>/dev/null || true
}

# Three queues: a is half full, b is full, c is empty.
three() {
    "$HELPERS/mqmake" "/$q-a" 4 64 1:one 5:five
    "$HELPERS/mqmake" "/$q-b" 2 64 0:first 0:second
    "$HELPERS/mqmake" "/$q-c" 8 64
}

# rows: the queues on the screen, without the minute's curve
rows() { screen | sed -nE "s|^(/$q-[^ ]*) +([^ ]+) +([0-9]+/[0-9]+) .* ([^ ]+) +([^ ]+) +([0-9-]+) +([0-9-]+) +([^ ]+)\$|\1 \2 \3 \4 \5 \6 \7 \8|p"; }

rows_are() { [ "$(rows)" = "$1" ]; }

see_rows() {
    within 30 rows_are "$1" || {
        echo "want: $1"
        echo "got:  $(rows)"
        screen
        return 1
    }
}

@test "the table shows depth, rates and blocked threads, and q leaves the terminal as it was" {
    three
    screen_start 100 24 "$TOP --filter $q"
    see "QUEUE" "rates: sampled"
    see_rows "/$q-b ████████ 2/2 0+ 0+ $none $none -
/$q-a ████···· 2/4 0+ 0+ $none $none -
/$q-c ········ 0/8 0+ 0+ $none $none -"
    see "3 queues, 4 messages, 0 blocked"
    keys q
    see "status=0" "icanon echo end"
    lacks "QUEUE"
}

@test "keys sort, reverse, filter, pause and help" {
    three
    screen_start 100 24 "$TOP --filter $q --sort name"
    see "QUEUEv"
    first() { [ "$(rows | head -n 1 | cut -d' ' -f1)" = "/$q-$1" ]; }
    within 30 first a
    keys r
    within 30 first c
    see "QUEUE^"
    keys r s
    see "MESSAGESv"
    within 30 first a # two messages, as b, and the name decides
    keys S S
    see "FILLv"
    within 30 first b
    keys '?'
    see "mqpeek top: keys" "any key: back"
    keys x
    see "FILLv"
    keys / b Enter
    see "filter: ${q}b" "no queue has that in its name"
    keys / BSpace
    keys -- -b Enter
    see "filter: $q-b" "1 queue, 2 messages"
    keys /
    keys zzz
    see "no queue has that in its name"
    keys Escape
    see "filter: $q-b" "1 queue, 2 messages"
    keys Space
    see "PAUSED"
    "$HELPERS/mqmake" -u "/$q-b"
    keys Space
    see "0 queues"
    keys q
    see "status=0"
}

@test "what happens is seen as it happens: depth, blocked threads, how long" {
    three
    mkfifo "$BATS_TEST_TMPDIR/in"
    "$HELPERS/mqactor" sleeper "/$q-c" <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" 3>&- &
    actors=$!
    exec 7>"$BATS_TEST_TMPDIR/in"
    within 30 grep -q pid "$BATS_TEST_TMPDIR/out"
    screen_start 100 24 "$TOP --filter $q-c -d 0.2"
    see_rows "/$q-c ········ 0/8 0+ 0+ $none $none -"
    echo "recv" >&7 # blocks
    blocked() { rows | grep -qE "^/$q-c ········ 0/8 [^ ]+ [^ ]+ $none 1 "; }
    within 30 blocked
    see "1 blocked"
    "$HELPERS/mqactor" feeder "/$q-c" >"$BATS_TEST_TMPDIR/fed" <<<"flood 5 abc"
    is "$(tail -n 1 "$BATS_TEST_TMPDIR/fed")" "flooded 5"
    has_four() { rows | grep -qE "^/$q-c ████···· 4/8 [^ ]+ [^ ]+ $none $none -"; }
    within 30 has_four
    grep -q "received 0 3 abc" "$BATS_TEST_TMPDIR/out"
    exec 7>&-
    keys q
    see "status=0"
}

@test "Enter opens a queue: attributes, holders, messages" {
    three
    screen_start 100 30 "$TOP --filter $q --sort name"
    see "/$q-a"
    keys Down Down Up Up Enter
    see "messages  2 of 4, 7 bytes; the largest may have 64 bytes" "owner     uid $(id -u)" \
        "nobody is registered" "0 threads blocked"
    # In receive order where messages can be peeked, else the reason.
    see_messages() { shows "      0         5       4  five" "      1         1       3  one" || shows "messages: "; }
    within 30 see_messages
    keys Escape
    see "QUEUEv"
    keys Down Enter
    see "/$q-b" "messages  2 of 2"
    "$HELPERS/mqmake" -u "/$q-b"
    see "cannot look into it"
    keys q
    see "QUEUEv"
    keys q
    see "status=0"
}

@test "small terminals, and terminals that change" {
    three
    screen_start 100 24 "$TOP --filter $q --sort name"
    see "MINUTE"
    tm resize-window -x 60 -y 10
    lacks_minute() { lacks MINUTE && shows "MESSAGES" "/$q-a" "2/4"; }
    within 30 lacks_minute
    # No line is broken in two by the edge.
    [ "$(screen | grep -c "/$q-")" = 3 ]
    tm resize-window -x 24 -y 3
    small() { lacks QUEUE && [ "$(screen | grep -c "^/$q")" = 3 ]; }
    within 30 small
    tm resize-window -x 5 -y 1
    tm resize-window -x 120 -y 40
    see "MINUTE" "WAIT" "2/4"
    keys q
    see "status=0"
}

@test "80 by 24 without colour: no colour is sent, attributes are" {
    three
    tm new-session -d -x 80 -y 24 "NO_COLOR=1 $TOP --filter $q; exec cat" 3>&-
    see "2/4"
    run -0 tm capture-pane -p -e
    [[ "$output" == *$'\e[7m'* || "$output" == *$'\e[1'* ]]
    run ! grep -qE $'\e\\[[0-9;]*3[0-7]m' <<<"$output"
    keys q
    screen_stop
    tm new-session -d -x 80 -y 24 "$TOP --filter $q; exec cat" 3>&-
    see "2/4"
    run -0 tm capture-pane -p -e
    grep -qE $'\e\\[[0-9;]*3[0-7]m' <<<"$output"
}

@test "without UTF-8 the bars are plain characters" {
    three
    screen_start 100 24 "LC_ALL=C $TOP --filter $q"
    see "####....       2/4" "########       2/2"
    keys q
    see "status=0"
}

@test "a terminal that cannot place its cursor is refused, with a hint" {
    screen_start 80 24 "TERM=dumb $TOP"
    see "cannot draw a live table" "use --batch" "status=4"
    screen_stop
    screen_start 80 24 "TERM= $TOP"
    see "cannot draw a live table" "status=4"
}

@test "signals that end or stop it leave the terminal as it was" {
    three
    for sig in TERM INT HUP QUIT SEGV; do
        screen_start 80 24 "sh -c 'echo \$\$ >$BATS_TEST_TMPDIR/pid; ulimit -c 0; exec $TOP --filter $q'"
        see "2/4"
        kill -"$sig" "$(cat "$BATS_TEST_TMPDIR/pid")"
        see "status=$((128 + $(kill -l "$sig")))" "icanon echo end"
        lacks "2/4"
        screen_stop
    done
}

@test "Ctrl-Z gives the terminal back, fg takes it again" {
    three
    tm new-session -d -x 100 -y 24 "bash --norc" 3>&-
    keys "PS1='prompt> '; $TOP --filter $q" Enter
    see "2/4"
    keys C-z
    see "Stopped" "prompt>"
    keys "stty -a | grep -o -- '-\\?icanon'; fg" Enter
    see "QUEUE" "2/4"
    keys q
    see "prompt>" "icanon"
    lacks "-icanon"
}

@test "snapshots in a pipe: as text and as JSON Lines" {
    three
    expect 0 mqpeek top --rates sampled --filter "$q" --sort name -N 2 -d 0.2 --noheadings -o name,messages,maxmsg,rates
    is "$(sed -E 's/ +/ /g' <<<"$out")" "/$q-a 2 4 sampled
/$q-b 2 2 sampled
/$q-c 0 8 sampled
/$q-a 2 4 sampled
/$q-b 2 2 sampled
/$q-c 0 8 sampled"
    has "$err" "at least"
    expect 0 mqpeek top --rates sampled --filter "$q-B" -N 1 -d 0.2 -J
    is "$(jq -c '[.name, .messages, .maxmsg, .sent, .received, .rates, .oldest_wait, .unlinked]' <<<"$out")" \
        "[\"/$q-b\",2,2,0,0,\"sampled\",null,false]"
    jq -e '(.time | test("^20..-..-..T..:..:..\\.[0-9]{9}Z$")) and .interval >= 0.2 and .in_per_second == 0' <<<"$out"
}

@test "each snapshot of a stream comes when it is taken" {
    three
    "$IPCBOX" mqpeek top --rates sampled --filter "$q-a" -d 0.2 -J 2>/dev/null >"$BATS_TEST_TMPDIR/stream" 3>&- &
    actors=$!
    two() { [ "$(wc -l <"$BATS_TEST_TMPDIR/stream")" -ge 2 ]; }
    within 30 two
    kill "$actors"
    jq -e '.messages == 2' <"$BATS_TEST_TMPDIR/stream" >/dev/null
}

@test "a reader that closes the pipe ends it" {
    three
    mqpeek top --rates sampled -b -d 0.1 --filter "$q" 2>/dev/null | head -n 1 >/dev/null
}

@test "messages that are counted in the kernel are all there" {
    three
    mkfifo "$BATS_TEST_TMPDIR/in"
    "$HELPERS/mqactor" busy "/$q-c" <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" 3>&- &
    actors=$!
    exec 7>"$BATS_TEST_TMPDIR/in"
    "$IPCBOX" mqpeek top --rates counted --filter "$q-c" -d 0.2 -J 2>/dev/null >"$BATS_TEST_TMPDIR/stream" 3>&- &
    actors="$actors $!"
    # Known from the second look on.
    counted() { jq -se 'any(.sent == 0 and .rates == "counted")' <"$BATS_TEST_TMPDIR/stream"; }
    within 60 counted
    for _ in 1 2 3 4 5 6 7 8 9 10; do printf 'flood 3 x\ndrain\n' >&7; done
    exec 7>&-
    all_of_them() { [ "$(jq -sc '[map(.sent), map(.received) | add]' <"$BATS_TEST_TMPDIR/stream")" = '[30,30]' ]; }
    within 60 all_of_them
    kill ${actors##* }
}

@test "wrong usage" {
    expect 2 mqpeek top --sort nonsense
    expect 2 mqpeek top -d 0
    expect 2 mqpeek top --filter "$(printf 'x%.0s' {1..100})"
    expect 2 mqpeek top /operand
}
