# SPDX-License-Identifier: LGPL-2.1-or-later
# mqpeek top on a real terminal, and its snapshots.
bats_require_minimum_version 1.5.0
load common
load screen

# The command as it stands in the shell of the terminal.
TOP="$IPCBOX mqpeek top --rates sampled"

# A short name: it must fit into narrow terminals.
setup() {
    q="top$$-$BATS_TEST_NUMBER"
    actors=
}

teardown() {
    screen_stop
    for which in a b c; do "$HELPERS/mqmake" -u "/$q-$which" 2>/dev/null || true; done
    [ -z "$actors" ] || kill $actors 2>/dev/null || true
}

# actor NAME QUEUE: a process that does what tell NAME … says
actor() {
    local fd
    mkfifo "$BATS_TEST_TMPDIR/$1.in"
    "$HELPERS/mqactor" "$1" "/$q-$2" <"$BATS_TEST_TMPDIR/$1.in" >"$BATS_TEST_TMPDIR/$1.out" 3>&- &
    actors="$actors $!"
    exec {fd}>"$BATS_TEST_TMPDIR/$1.in"
    printf -v "fd_$1" %s "$fd"
    within 30 grep -q '^pid' "$BATS_TEST_TMPDIR/$1.out"
}

tell() {
    local fd=fd_$1
    echo "$2" >&"${!fd}"
}

# Three queues: a is half full, b is full, c is empty.
three() {
    "$HELPERS/mqmake" "/$q-a" 4 64 1:one 5:five
    "$HELPERS/mqmake" "/$q-b" 2 64 0:first 0:second
    "$HELPERS/mqmake" "/$q-c" 8 64
}

# rows: the queues on the screen, without the minute's curve and the holders
rows() { screen | sed -nE "s|^(/$q-[^ ]*) +([^ ]+) +([0-9]+/[0-9]+) .* ([^ ]+) +([^ ]+) +[0-9k]+\+? +([0-9]+)\+? +([0-9]+)\+? +([^ ]+)\$|\1 \2 \3 \4 \5 \6 \7 \8|p"; }

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
    see_rows "/$q-b ████████ 2/2 0+ 0+ 0 0 -
/$q-a ████···· 2/4 0+ 0+ 0 0 -
/$q-c ········ 0/8 0+ 0+ 0 0 -"
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

@test "a producer, a slow consumer and a blocked third: all as they are" {
    three
    actor producer a
    actor consumer a
    actor third b
    actor reader c
    screen_start 100 24 "$TOP --filter $q --sort name -d 0.2"
    see_rows "/$q-a ████···· 2/4 0+ 0+ 0 0 -
/$q-b ████████ 2/2 0+ 0+ 0 0 -
/$q-c ········ 0/8 0+ 0+ 0 0 -"
    tell third "send 0 too-much"
    tell reader recv
    # The rates come and go with the depth, and the time passes.
    waits() { rows | cut -d' ' -f1-3,6- | grep -qE "^/$q-$1 $2 [0-9.]+(ms|s)\$"; }
    within 30 waits b "████████ 2/2 1 0"
    within 30 waits c "········ 0/8 0 1"
    see "3 queues, 4 messages, 2 blocked"
    minute() { waits b "████████ 2/2 1 0" && rows | grep -qE "^/$q-b .* [2-9]s\$"; }
    within 30 minute
    tell producer "send 1 more"
    tell producer "send 1 more"
    see "4/4"
    tell producer "send 1 more" # blocks
    within 30 waits a "████████ 4/4 1 0"
    see "3 queues, 6 messages, 3 blocked"
    tell consumer recv
    see "3 queues, 6 messages, 2 blocked" # what it took made room
    tell consumer drain
    tell third exit 0
    actor feeder c
    tell feeder "flood 5 abc"
    within 30 grep -q "received 0 3 abc" "$BATS_TEST_TMPDIR/reader.out"
    now() { [ "$(rows | cut -d' ' -f1-3,6-)" = "/$q-a ········ 0/4 0 0 -
/$q-b ████████ 2/2 1 0 $(rows | sed -n "s/^.*-b .* //p")
/$q-c ████···· 4/8 0 0 -" ]; }
    within 30 now
    keys q
    see "status=0"
}

# The screen, but for what depends on the moment: the curve, for how long somebody waits, and what
# could not be looked into, with what rests on that.
still() {
    local line rates=
    screen | while IFS= read -r line; do
        case $line in
            /*) line="${line:0:32}~${line:43:16}${line:64:8}" ;;
            QUEUE*) rates= ;;
            rates:*) rates=1 line=${line%%;*} ;;
            *) [ -z "$rates" ] || continue ;;
        esac
        echo "$line"
    done | cat -s
}

@test "80 by 24 without colour, to the letter" {
    q="s$(printf %07d $$)" # the width decides about the layout
    three
    actor third b
    tell third "send 0 too-much"
    screen_start 80 24 "NO_COLOR=1 $TOP --filter $q"
    waits() { screen | grep -qE "^/$q-b .* 0\+ +0\+ .* [0-9.]+(ms|s)\$"; }
    within 30 waits
    is "$(still)" "3 queues, 4 messages, 1 blocked, every 1s
rates: sampled, at least: as told by --rates
QUEUE        FILLv     MESSAGES MINUTE         IN/S   OUT/S HELD SND RCV    WAIT
/$q-b  ████████       2/2 ~      0+      0+   1   0
/$q-a  ████····       2/4 ~      0+      0+   0   0
/$q-c  ········       0/8 ~      0+      0+   0   0

filter: $q  Esc clears"
    # One more column of the curve each second: full, half full, empty.
    curve() { screen | grep -qE "^/$q-$1 .* $2$2$2? +0"; }
    within 30 curve b █
    within 30 curve a ▅
    within 30 curve c ▁
    run -0 tm capture-pane -p -e
    run ! grep -qE $'\e\\[[0-9;]*3[0-7]m' <<<"$output"
    keys q
    see "status=0"
}

@test "which of more queues than fit are shown, who holds them, and whole notes" {
    screen_start 100 10 "unshare -i -m sh -c 'mkdir -p $BATS_TEST_TMPDIR/mq; mount -t mqueue none $BATS_TEST_TMPDIR/mq
        for i in 1 2 3 4 5 6 7 8 9; do $HELPERS/mqmake /n\$i 1 8; done
        exec 7<>$BATS_TEST_TMPDIR/mq/n9; rm $BATS_TEST_TMPDIR/mq/n9; $HELPERS/mqmake /n9 1 8
        exec $TOP --sort name'"
    see "10 queues, 0 messages" "HELD" "/n1 " "/n2 "
    shown() { screen | sed -nE "1s/^([0-9]+-[0-9]+ of 10) queues.*/\1/p"; }
    # The title counts the rows that are there.
    is "$(shown)" "1-$(screen | grep -c '^/n') of 10"
    held() { screen | grep -qE "^/n1 .* 0\+? +0\+? +0\+? +-\$"; }
    within 30 held
    keys End
    last() { [[ $(shown) == *-"10 of 10" ]]; }
    within 30 last
    is "$(screen | grep -cE '^/n9 \(unlinked\) .* 1\+? +0\+? +0\+? +-$')" 1
    is "$(screen | grep -cE '^/n9 ')" 2
    keys q
    see "status=0"
}

@test "Enter opens a queue: attributes, holders, blocked threads, messages" {
    three
    actor third b
    tell third "send 0 too-much"
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
    see "/$q-b" "messages  2 of 2" "open in 1 place" "third  fd 3  sends and receives" \
        "1 thread blocked" "third  in send for "
    "$HELPERS/mqmake" -u "/$q-b"
    see "cannot look into it"
    keys q
    see "QUEUEv"
    keys q
    see "status=0"
}

@test "no queue, and no queue that may be seen, are not the same" {
    dir=$(mktemp -d /tmp/ipcbox.XXXXXX)
    chmod 755 "$dir"
    cp "$IPCBOX" "$dir/ipcbox"
    screen_start 60 12 "unshare -i $TOP"
    see "there are no queues" "0 queues, 0 messages"
    keys q
    see "status=0"
    screen_stop
    # Who may not mount, and sees no mount, sees only what is open.
    screen_start 60 12 "unshare -i -m sh -c 'umount -q /dev/mqueue; exec setpriv --reuid 65534 --regid 65534 --clear-groups $dir/ipcbox mqpeek top'"
    see "no queue can be seen:" "only queues that processes visible to you have open" "or run as root"
    keys q
    see "status=0"
    rm -r "$dir"
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

@test "colour, where there is some; attributes also without" {
    three
    tm new-session -d -x 80 -y 24 "NO_COLOR=1 $TOP --filter $q; exec cat" 3>&-
    see "2/4"
    run -0 tm capture-pane -p -e
    [[ "$output" == *$'\e[7m'* || "$output" == *$'\e[1'* ]]
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
    local end
    three
    for sig in TERM INT HUP QUIT SEGV; do
        case $sig in QUIT | SEGV) end=$((128 + $(kill -l "$sig"))) ;; *) end=0 ;; esac
        screen_start 80 24 "sh -c 'echo \$\$ >$BATS_TEST_TMPDIR/pid; ulimit -c 0; exec $TOP --filter $q'"
        see "2/4"
        kill -"$sig" "$(cat "$BATS_TEST_TMPDIR/pid")"
        see "status=$end" "icanon echo end"
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
    expect 0 mqpeek top --rates sampled --filter "$q" --sort name -N 2 -d 0.2 --noheadings -o name,depth,maxmsg,rates
    is "$(sed -E 's/ +/ /g' <<<"$out")" "/$q-a 2 4 sampled
/$q-b 2 2 sampled
/$q-c 0 8 sampled
/$q-a 2 4 sampled
/$q-b 2 2 sampled
/$q-c 0 8 sampled"
    has "$err" "at least"
    # A queue that has lost its name is told from the one that has it now.
    actor reader c
    "$HELPERS/mqmake" -u "/$q-c"
    "$HELPERS/mqmake" "/$q-c" 8 64
    for how in "top --rates sampled --filter $q-c --sort name -N 1 -d 0.1" list; do
        # shellcheck disable=SC2086 # words
        expect 0 mqpeek $how
        is "$(grep -oE "/$q-c( \(unlinked\))?" <<<"$out" | sort)" "/$q-c
/$q-c (unlinked)"
        # shellcheck disable=SC2086
        expect 0 mqpeek $how --jsonl
        is "$(jq -c --arg n "/$q-c" 'select(.name == $n) | .unlinked' <<<"$out" | sort)" $'false\ntrue'
    done
    tell reader exit
    expect 0 mqpeek top --rates sampled --filter "$q-B" -N 1 -d 0.2 -J
    is "$(jq -c '[.name, .depth, .maxmsg, .sent, .received, .rates, .oldest_wait, .unlinked]' <<<"$out")" \
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
    jq -e '.depth == 2' <"$BATS_TEST_TMPDIR/stream" >/dev/null
}

@test "a reader that closes the pipe ends it" {
    three
    mqpeek top --rates sampled -b -d 0.1 --filter "$q" 2>/dev/null | head -n 1 >/dev/null
}

@test "messages that are counted in the kernel are all there, and the screen says so" {
    three
    screen_start 80 24 "$IPCBOX mqpeek top --filter $q -d 0.2"
    see "rates: counted in the kernel (BPF, "
    exact() { screen | grep -qE "^/$q-c .* 0/8 .* 0 +0 +[0-9]+\+? +0\+? +0\+? +-\$"; }
    within 30 exact || { screen; false; }
    keys q
    see "status=0"
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

@test "spans and rates of any length fit their columns" {
    "$HELPERS/mqmake" "/$q-a" 1 64 0:full
    actor third a
    screen_start 80 24 "$TOP --filter $q -d 0.1"
    see "$q-a"
    tell third "send 0 too-much"
    # The longest: 999.9ms. A look that came too late for it gets another sender to see.
    waits() {
        screen | grep -qE "^/$q-a .* 1 +0 [0-9]{3}\.[0-9]ms\$" && return
        if screen | grep -qE "^/$q-a .* 1 +0 +[0-9.]+(s|m[0-9]*s?)\$"; then
            mqctl recv "/$q-a" >/dev/null
            tell third "send 0 too-much"
        fi
        return 1
    }
    within 60 waits
    keys q
    see "status=0"
}

# The picture is made of a real screen, and what stands on that stands in it, too.
@test "the picture of the documentation can be made again" {
    "$SRC/tests/lib/screenshot" "$(dirname "$IPCBOX")" "$BATS_TEST_TMPDIR/top.svg" 4
    /usr/bin/python3 - "$BATS_TEST_TMPDIR/top.svg" "$SRC/docs/top.svg" <<'END'
import sys
import xml.etree.ElementTree as tree
for path in sys.argv[1:]:
    root = tree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg", root.tag
    text = "\n".join(e.text for e in root.iter("{http://www.w3.org/2000/svg}text"))
    for part in ("7 queues, ", "/audit", "/telemetry", "/thumbnails", "IN/S", "WAIT", "█", "q quit"):
        assert part in text, (path, part, text)
END
    is "$(printf 'a\033[31mb<&\033[0m \033[7m c\033[0m\n' | "$SRC/tests/lib/ansi2svg" "t" 5 |
        sed -n 's/.*<text[^>]*>\(.*\)<.*/\1/p')" "t
a
b&lt;&amp;
c"
    run -1 "$SRC/tests/lib/ansi2svg" "t" 5 <<<$'\e[5mblinks'
}

@test "wrong usage" {
    expect 2 mqpeek top --sort nonsense
    expect 2 mqpeek top -d 0
    expect 2 mqpeek top --filter "$(printf 'x%.0s' {1..100})"
    expect 2 mqpeek top /operand
}
